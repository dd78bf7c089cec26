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
# # How much does the validation set decide?
#
# The paper chooses each system's epoch, and reports its CCC, on one and the same set: k utterances of each primary
# emotion, drawn at random from the development split {cite:p}`lertpetchpun2025`. It does not tell k, nor what another
# draw would have given. Here every epoch of every run has kept its predictions, so that other sets can be drawn by the
# thousand and no system need be trained again: each set tells which epoch it would have chosen, and what would have
# been reported.
#
# Four systems differ in what the paper's protocol may interact with: `fusion` trains on equally many utterances of
# every emotion, O and X included; `fusion_whole_data` on all there are; `fusion_without_ambiguous` on no O and X; and
# `speech_only` as `fusion`, but without the words.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/validation_protocol"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study import comparisons
from study import plan as questions
from study import results as studies
from study.chapters import protocol, protocol_report
from study.show import chapters, report

params.refuse_unknown(In)
study = studies.read(profile, results, "every_epoch")
HTML(report.banner(study.runs[0].params))

# %% [markdown]
# ## Answer, as measured

# %%
tables = protocol.read_tables(results)
k = protocol_report.own_size(tables, study.runs[0].params.sampling.validation_per_emotion)
Markdown(protocol_report.answer(tables, k))

# %% [markdown]
# ## Which epoch is chosen
#
# Lines: CCC of each epoch, a line a trained run. Bars: how often one of a thousand balanced sets, drawn for each run,
# would have chosen the epoch. Where the curve is flat, many epochs are about as good, and the draw decides among them.

# %% mystnb={"image": {"alt": "CCC against the epoch for four systems, with the share of sets that choose each epoch"}}
protocol_report.curves_figure(tables, k)

# %% [markdown]
# ## What the draw alone does to a figure
#
# The standard deviation over draws, with the trained runs as they are; shaded, the range over systems, pairs and seeds.
# A set of `development` cannot have more of an emotion than the rarest one allows, and where it has all of them nothing
# of that emotion is left to chance. The test split is larger and balanced: sets drawn from it show what a larger
# development split would allow. Grey lines are the paper's two small differences, which are held against the lines of
# a difference.

# %% mystnb={"image": {"alt": "Standard deviation of a reported CCC and of a difference against k, on two splits"}}
protocol_report.deviation_figure(tables)

# %%
HTML(protocol_report.differences_table(tables, k))

# %% [markdown]
# ## What it costs to report on what has chosen
#
# The best of many epochs on a set is in part the luckiest one. Its CCC on a fresh set of the same make, without a
# common utterance, tells how much. A k of which the split cannot hold two such sets is left out.

# %% mystnb={"image": {"alt": "Optimism against k for balanced and random sets, with the range over systems and seeds"}}
protocol_report.optimism_figure(tables)

# %% [markdown]
# A fresh set still has the speakers of the first. With half of a split's speakers as the development split, and the
# others as the truth:

# %%
HTML(protocol_report.speakers_table(tables))

# %% [markdown]
# ## Undersampling, O and X
#
# A balanced set may suit a system that learnt from balanced epochs, and a natural one, with O and X in it, a system
# that learnt from those. What each kind of set chooses for each system:

# %%
Markdown(protocol_report.interaction(tables, k))

# %%
HTML(protocol_report.selection_table(tables, k))

# %% [markdown]
# ## The same systems on test
#
# Whether the systems differ at all is not for the validation set to tell. On the test split, over speakers and seeds:

# %%
compared = comparisons.compare(study, questions.question(profile, "validation_protocol"))
Markdown(chapters.answer(compared))

# %%
HTML(chapters.differences_table(compared))

# %% [markdown]
# ## Beside the paper

# %%
Markdown(protocol_report.beside_the_paper(tables, k))

# %% [markdown]
# ## A protocol

# %%
Markdown(protocol_report.recommendation(tables, k))

# %% [markdown]
# ## What is known, and what is not
#
# What a draw does to a reported CCC follows from how many utterances are drawn and how much systems err on them; so it
# is there in any corpus, and above stands its size in this one. How often a wrong order results depends on how far
# apart the systems are, and how much an epoch too early or too late costs depends on how flat the learning curves are.
# Both would change with another corpus, other encoders or another learning rate. Choosing flatters the more, the more
# there is to choose from: this chapter counts epochs alone, but learning rates, seeds and systems that were tried on
# the same set are choices too. The runs share one corpus, so intervals over few seeds are ranges and no more.
#
# To ask it of your own corpus: `make study CHAPTER=validation_protocol PROFILE=msp_podcast DATA=/path/to/release`. Any
# study keeps what each epoch predicts with `training: {every_epoch: true}`, as `epochs.parquet` in the run's folder.
