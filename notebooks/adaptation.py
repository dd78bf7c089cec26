# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How should the encoders be adapted?
#
# {cite:t}`lertpetchpun2025` fine-tune WavLM, leave Whisper and the text encoder frozen, and train one system for all
# three attributes. They leave open what lies between frozen and fine-tuned, and whether each attribute wants a system
# of its own. This chapter holds against each other
#
# - WavLM fine-tuned (`fusion`), frozen (`fusion_frozen`) and with low-rank adapters (`fusion_lora`);
# - Whisper frozen (`whisper_fusion`), with adapters (`whisper_lora`) and fine-tuned (`whisper_finetuned`);
# - the text encoder frozen (`fusion`), with adapters (`fusion_text_lora`) and fine-tuned (`fusion_text_finetuned`),
#   beside a WavLM that is fine-tuned in each;
# - one system for three attributes (`fusion`) and one for each (`fusion_by_attribute`), where the loss is the CCC of a
#   single attribute, which also chooses the epoch.
#
# An adapter (LoRA {cite:p}`lora`) adds to a weight $W$ the product $\frac{\alpha}{r} B A$ of two thin matrices of rank
# $r$ and trains these alone. Here $r$ is 8 and $\alpha$ twice that, in every linear map of the transformer
# {cite:p}`qlora`. Of three ways to adapt such encoders to emotional speech with few parameters, {cite:t}`peftser` found
# this one the best; the learning rate of adapters is theirs. It is another one than that of fine-tuning, and no rate
# was tuned here.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/adaptation"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study import comparisons
from study import plan as questions
from study import results as studies
from study.chapters import adaptation_report
from study.show import chapters, figures, report

params.refuse_unknown(In)
study = studies.read(profile, results)
HTML(report.banner(study.runs[0].params))

# %% [markdown]
# ## Answer, as measured

# %%
compared = comparisons.compare(study, questions.question(profile, "adaptation"))
Markdown(chapters.answer(compared))

# %% mystnb={"image": {"alt": "Forest plot: ways to adapt encoders, and one system per attribute, against references"}}
figures.forest([compared])

# %%
HTML(chapters.differences_table(compared))

# %% [markdown]
# ## What it costs

# %% mystnb={"image": {"alt": "Mean CCC of each system against trained parameters, seconds of training and memory"}}
adaptation_report.costs_figure(compared, study.runs)

# %%
HTML(adaptation_report.costs_table(compared, study.runs))

# %% [markdown]
# Adapters save parameters to store, states of the optimiser, and the gradients of the transformer's own weights. They
# do not save the way through the transformer and back. A frozen encoder runs once for all epochs and seeds, and what it
# gives is kept on disk. So the three prices need not go together.
#
# ## Attribute by attribute

# %%
HTML(adaptation_report.attributes_table(compared))

# %% [markdown]
# ## The systems

# %%
HTML(chapters.scores_table(compared))

# %% [markdown]
# ## What is known, and what is not
#
# The differences above are those of whole recipes: a way to adapt comes with its learning rate, and all have the same
# number of epochs. A difference says which recipe is better at this scale, not that no better rate or rank exists. What
# would change an answer is a search over rates and ranks on the validation set, the same for all.
#
# On the embedded profile the encoders are tiny. A rank of 8 is a good part of the width of their layers, so adapters
# are hardly low in rank there, and a fine-tuned encoder has little to forget. They have also learnt from speech that is
# far simpler than that of podcasts. How adapters compare with fine-tuning in encoders of hundreds of millions of
# weights is not known from this.
#
# One system per attribute costs three times as much as one. It could gain where attributes pull the encoder apart, and
# lose where each helps the others to learn it. Both kinds of systems have the same size, seeds and epochs; an ensemble
# of three systems for all attributes, at the same price, would be the stronger reference.
#
# Whoever adapts WavLM by other means should look at one trap: the attention of WavLM in transformers 5 takes the
# weights out of its projections and passes by what adapters would add to these. Adapters of attention then have no
# effect, without a warning. The attention used here does call them, which the tests hold against merged weights.
#
# ## On your own corpus
#
# `make study CHAPTER=adaptation PROFILE=msp_podcast DATA=/path/to/release` trains all of these systems at the paper's
# scale and makes this chapter of them. Ranks, rates and systems are entries of `params/variants.yaml`; the comparisons
# are declared in `params/questions.yaml`.
