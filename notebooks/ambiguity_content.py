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
# # What do O and X carry?
#
# [Another chapter](/notebooks/ambiguous_labels) repeats what the paper did with utterances whose emotion raters call
# *other* (O) or do not agree on (X). The paper leaves open why they should help. This chapter takes them apart:
#
# - **dose**: `fusion_ambiguous_0`, `_25`, `_50` and `fusion` train on none, a quarter, half and all of the training
#   split's O and X. A larger dose holds the smaller one. Of O and X an epoch draws what there is where that is less
#   than of the emotions;
# - **O against X**: `fusion_other_only` and `fusion_no_agreement_only` train on one of the two;
# - **control of the same size**: `fusion_fewer_agreed` trains on all O and X, and on as many utterances fewer of the
#   emotions. It knows as many different utterances as `fusion_ambiguous_0`, some of them ambiguous;
# - **soft use**: in `fusion_soft` and `fusion_soft_ambiguous_0` an utterance weighs the more in the loss, the better
#   its raters agree on the attribute. The weight is the inverse of the error variance of their mean plus a constant
#   {cite:p}`mai2021`, here the mean of these variances. No emotion enters it.
#
# An epoch without O and X is shorter, so the system without them would also learn for fewer steps. On the embedded
# profile it does not: where an epoch has fewer batches, there are more epochs. Another profile needs other numbers of
# epochs in `params/variants.yaml`; whether its updates are equal, the table of training sets tells.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/ambiguity_content"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study import comparisons
from study import plan as questions
from study import results as studies
from study.chapters import labels_report
from study.show import chapters, figures, report

params.refuse_unknown(In)
asked = questions.question(profile, "ambiguity_content")
found = {name: studies.read(profile, results, name) for name in asked.conditions}
study = found["study"]
HTML(report.banner(study.runs[0].params))

# %% [markdown]
# ## Answer, as measured

# %%
compared = {name: comparisons.compare(one, asked) for name, one in found.items()}
Markdown(chapters.answer(compared["study"]))

# %% mystnb={"image": {"alt": "Forest plot: doses of O and X, one of the two, and soft use"}}
figures.forest([compared["study"]])

# %%
HTML(chapters.differences_table(compared["study"]))

# %% [markdown]
# ## What each system trains on

# %%
HTML(labels_report.training_sets(study, asked.compared))

# %% [markdown]
# ## Dose and raters' noise
#
# In the simulation the raters' noise can be turned up. Utterances, voices and votes stay the same, and with
# them which utterances are O or X; only the ratings of arousal, valence and dominance change, in all splits. One
# condition makes the ratings of O and X alone noisier: raters who do not agree on the word are there unsure of the
# feeling, too. That is the case in which O and X should do harm, and in which soft use should help. In all others the
# simulated raters' word and their ratings are independent, given the emotion, and all utterances are rated equally
# well, so there is nothing to gain from weights. A real corpus has one condition, its own.

# %% mystnb={"image": {"alt": "Difference of mean CCC to training without O and X, against their share"}}
labels_report.dose_figure(labels_report.dose_response(compared, found))

# %%
HTML(labels_report.conditions_table(compared))

# %%
HTML(labels_report.noise_table(found, compared))

# %% [markdown]
# Differences of two conditions are not to be compared by their size alone: noisier gold values lower every CCC, and
# with it every difference.

# %% [markdown]
# ## What O and X are like
#
# Before any training: where do O and X lie, how far do they spread, and how far do their raters differ, beside
# utterances on whose emotion the raters agree? The simulation answers with what was put into it. Two sources of real
# speech stand beside it: EmoTale, whose emotions are enacted, and the published statistics of WHiSER, which is rated by
# the protocol of MSP-Podcast.

# %%
described = labels_report.sources(study)
HTML(labels_report.kinds_table(described))

# %% mystnb={"image": {"alt": "Mean of each attribute, with interval and spread, for agreed, other and no agreement"}}
labels_report.kinds_figure(described, "mean")

# %% [markdown]
# Points are means, their bars 95 % intervals over speakers where speakers are known; the wide bands reach one standard
# deviation of the consensus to each side. Below, the standard deviation of the ratings of one utterance, in the same
# way.

# %% mystnb={"image": {"alt": "Standard deviation among raters, for agreed, other and no agreement"}}
labels_report.kinds_figure(described, "raters' sd")

# %% [markdown]
# ## CCC of each system

# %%
HTML(chapters.scores_table(compared["study"]))

# %% [markdown]
# ## What is known, and what is not
#
# - A dose is told apart from none only where its row says *resolved*. Undersampling draws few utterances of each class
#   in an epoch, however many there are, so a larger dose means other utterances in later epochs, not more of them at
#   once. A flat line from the first dose on would mean that a few different O and X are as good as many.
# - `fusion_fewer_agreed` − `fusion_ambiguous_0` tells whether an O or X utterance is worth as much as an agreed one.
#   What an epoch draws of the rarest emotions stays, so the utterances that are left out are of the frequent ones.
# - The number of updates is held equal as far as whole epochs allow, see the table of training sets; a system with more
#   epochs chooses among a few more of them.
# - In the simulation O and X differ from the rest by the rules of its raters. That these rules are those of human
#   raters is not known, and the real sources above do not have them all: where a real corpus's X has raters who differ
#   more on valence, or its O lies elsewhere, the condition with noise on O and X is nearer to it than the study's own.
# - WHiSER's published statistics come without speakers, and it has few O. EmoTale's O is boredom, an emotion with a
#   place of its own in the plane of arousal and valence; it is no rest of all other emotions. Neither says what
#   training on such utterances gives.
# - A weight from a handful of ratings is noisy itself: where all utterances are rated equally well, weights differ by
#   chance alone. What soft use gives with many raters is not known from here.

# %% [markdown]
# ## On your own corpus
#
#     make study CHAPTER=ambiguity_content PROFILE=msp_podcast DATA=/path/to/release
#
# It needs single ratings (`labels_detailed.csv`) for the soft loss. [Your corpus](/your_corpus) tells the rest.
