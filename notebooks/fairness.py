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
# # Who is served well, and who is not?
#
# One CCC for a whole test set hides for whom a system works. Here it is taken apart: by the speaker's gender, by the
# duration of the utterance, by its emotion, and speaker by speaker, for `fusion` and for `speech_only`. The same is
# done on simulated speech and, where its results are there, on EmoTale, which is human speech.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/fairness"
human = "results/emotale/fairness"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study.chapters import groups, groups_report

params.refuse_unknown(In)
tables = groups.read(results, human)
HTML(groups_report.banner(tables))

# %% [markdown]
# ## Answer, as measured

# %%
Markdown(groups_report.answer(tables))

# %% mystnb={"image": {"alt": "Mean CCC by gender, duration and emotion, simulated and human speech apart"}}
groups_report.forest(tables)

# %% [markdown]
# In brackets after each group: its utterances, and their speakers. A gap is a group minus a reference that was chosen
# in advance: men, the shortest third of the utterances, neutral speech.

# %%
HTML(groups_report.gaps_table(tables))

# %%
HTML(groups_report.scores_table(tables))

# %% [markdown]
# ## Why CCC within an emotion is low
#
# CCC holds the error against the spread of the values that are to be predicted. Within one emotion these vary less
# than in all speech, so the same error gives a lower CCC: the range is restricted. A low CCC within an emotion thus
# does not show that a system errs more on it. The error itself does: its root mean square, and the bias, which tells
# whether a group is rated too high or too low as a whole. CCC of groups can be compared only as far as their spreads
# are alike, which those of women and men, or of short and long utterances, mostly are.

# %%
HTML(groups_report.errors_table(tables))

# %% [markdown]
# ## Speaker by speaker
#
# The CCC of one speaker rests on a few utterances, so speakers differ by chance even where a system serves all alike.
# The last column says what remains of the differences without that chance.

# %%
HTML(groups_report.speakers_table(tables))

# %% [markdown]
# ## What is known, and what is not
#
# - Speakers are what counts, not utterances. A gap between women and men compares two groups of people, and a corpus of
#   a few speakers of each finds none but very large gaps. *Unresolved* is no sign of fairness: it says that a gap up to
#   about the detectable one may be there.
# - Intervals are for the trained models as they are; another training may serve others.
# - Gender is confounded with all else in which the women and men of a corpus differ, and duration with what is said:
#   EmoTale's sentences are five, so its longest third is mostly another sentence than its shortest.
# - Age, accent, first language and health are not in these tables, nor are groups within groups.
# - The raters are part of the measurement. Where they judge women and men differently, a system that agrees with them
#   has a small gap and is not fair.
# - What the simulated voices show follows from how they were made, and from the synthesiser's voices.
#
# On your own corpus: `make study CHAPTER=fairness PROFILE=msp_podcast DATA=/path/to/MSP-Podcast`. Groups that the
# corpus does not know are left out.
