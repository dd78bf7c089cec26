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
# # How much should the speaker's gender weigh, and when does it help?
#
# The loss of `fusion_gender` is that of `fusion` plus a weight, alpha, times the cross-entropy of a head that tells the
# speaker's gender {cite:p}`lertpetchpun2025`. Here the weight is 0 (`fusion`), 0.1, 0.5, 1 and 2.
#
# An auxiliary task can help where what it teaches is needed for the main one, and is not found without it. In the
# simulation this need can be turned on. *As it is*, women and men of the same arousal change their voices alike, so
# gender tells nothing about it. *With a gender link*, women sound one standard deviation more aroused than they feel,
# and men one less; texts, ratings and speakers stay the same. Whoever then knows the gender can take this off. Whoever
# does not takes every woman for excited and every man for calm.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/gender_weight"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study.chapters import gender_weight, gender_weight_report
from study.show import report

params.refuse_unknown(In)
measured = gender_weight.measure(profile, results)
HTML(report.banner(measured[0].comparison.params))

# %% [markdown]
# ## Answer, as measured

# %%
Markdown(gender_weight_report.answer(measured))

# %% mystnb={"image": {"alt": "Difference of CCC to weight 0, and gender accuracy, against the weight"}}
gender_weight_report.figure(measured)

# %%
HTML(gender_weight_report.differences_table(measured))

# %% [markdown]
# ## Does the link make the difference?
#
# That a weight is resolved in one corpus and not in the other does not show that it works better there. This is asked
# directly: is what the weight gains with the link another amount than what it gains without? The figures for arousal
# are the ones that the link bears on.

# %%
HTML(gender_weight_report.link_table(measured))

# %% [markdown]
# ## What there is to gain
#
# What knowing the gender is worth to a listener who reads the voice as well as a linear rule can:

# %%
HTML(gender_weight_report.reading_table(measured))

# %% [markdown]
# A system need not be told. Women's and men's voices differ in much that it hears, and the attribute loss itself
# rewards it for using that. The auxiliary loss can add no more than what the system leaves of this gain at weight 0.
# How much that is, the CCC of arousal at weight 0 with and without the link shows.

# %%
HTML(gender_weight_report.scores_table(measured))

# %% [markdown]
# ## What is known, and what is not
#
# - Five weights were tried, of which the differences are held together by Holm's procedure. A single weight that looks
#   best among unresolved ones is no recommendation.
# - Gender accuracy tells whether the auxiliary task was learnt, not whether it was of use. A system that tells every
#   gender and predicts attributes no better had no need of the task, or knew the gender before.
# - The link is an instrument: one direction, one size, the same for all speakers. Human voices may be linked in other
#   ways, or hardly at all. What holds for the simulation tells when such a task *can* help, not that it does for human
#   speech.
# - Gender here is what a corpus notes, one of two values. It is a label of a speaker, not a property of a voice.
#
# On a corpus of your own the weights are compared as it is, in about as many runs:
# `make study CHAPTER=gender_weight PROFILE=msp_podcast DATA=/path/to/MSP-Podcast`. The corpus must know its speakers'
# gender.
