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
# # Does undersampling help?
#
# Most utterances are neutral. `fusion` draws the same number of every emotion in each epoch ([the
# sampler](/method)); `fusion_whole_data` takes every training utterance in every epoch, in as many epochs and thus with
# more steps. `baseline` is the system that the challenge gave to its participants: WavLM's last hidden state under an
# attentive statistics pooling, without text and on the whole data; beside it stands `speech_only`, which differs from
# it by the layers it averages, the pooling, and undersampling.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study import comparisons
from study import plan as questions
from study import results as studies
from study.show import chapters, figures, report

params.refuse_unknown(In)
study = studies.read(profile, results)
HTML(report.banner(study.runs[0].params))

# %% [markdown]
# ## Answer, as measured

# %%
compared = comparisons.compare(study, questions.question(profile, "undersampling"))
Markdown(chapters.answer(compared))

# %% mystnb={"image": {"alt": "Forest plot: training on the whole data against undersampling, with and without text"}}
figures.forest([compared])

# %%
HTML(chapters.differences_table(compared))

# %% [markdown]
# ## Balanced epochs and the whole data

# %%
HTML(chapters.scores_table(compared))

# %% [markdown]
# ## Whom it serves
#
# Undersampling is meant for the rare emotions, which an average hides. Error by emotion, with undersampling first and
# on the whole data below it; bias is the mean of prediction minus gold.

# %%
systems = studies.by_system(study.runs)
sampled = report.emotion_errors(systems["fusion"], compared.split)
whole = report.emotion_errors(systems["fusion_whole_data"], compared.split)

# %% mystnb={"image": {"alt": "Error and bias by emotion of the system that undersamples"}}
figures.emotion_errors(sampled)

# %% mystnb={"image": {"alt": "Error and bias by emotion of the system trained on the whole data"}}
figures.emotion_errors(whole)

# %% [markdown]
# ## What it means
#
# Undersampling trades utterances for balance: an epoch sees few of the common emotions and each of the rare ones. The
# test split is balanced as well, so a system that learnt from balanced epochs meets there the mixture that it knows.
# The two systems see unequally many utterances; the difference is that of the recipes as they are used, not of balance
# alone.

# %% [markdown]
# ## Beside the paper

# %%
Markdown(chapters.against_the_paper(compared))
