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
# # How sure can one be?
#
# Two systems differ in the third decimal. Would they on other speakers, and if both were trained again? This
# chapter tells how the others come to their intervals and verdicts, what such methods keep of their promise,
# and which differences a set of the challenge's size can show at all.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study import results as studies
from study.chapters import statistics_report
from study.show import report

params.refuse_unknown(In)
study = studies.read(profile, results)
HTML(report.banner(study.runs[0].params))

# %% [markdown]
# ## What one wants, what is done, what we do
#
# ```{list-table}
# :header-rows: 1
#
# * - one wants to know
#   - common practice
#   - this study
# * - how well a system does
#   - one CCC, to four digits
#   - CCC with a 95 % interval: jackknife over speakers, Student's t on
#     Fisher's z {cite:p}`efron1982`
# * - … on other speakers
#   - bootstrap over utterances, as if those of one speaker were independent
#   - speakers are the units: what is left out or swapped is a speaker, with all
#     utterances
# * - whether two trained systems differ
#   - the higher figure in bold; Williams' test of correlations
#   - interval of the difference; p from swapping the two systems' predictions
#     within speakers
# * - whether a way of training is better
#   - the best of several runs; a t-test on the runs' CCCs
#   - several runs of both; variance of speakers plus variance of seeds,
#     Satterthwaite's degrees of freedom
# * - which rows of a table differ
#   - every pair, each at 5 %
#   - a family of comparisons declared in advance, held together by Holm's
#     procedure {cite:p}`holm1979`
# * - what no difference means
#   - "comparable"
#   - the smallest detectable difference stands beside every table; what lies
#     below is called unresolved
# * - which measure counts
#   - whichever improved
#   - the mean CCC of the three attributes {cite:p}`lin1989`, declared in advance
# ```

# %% [markdown]
# ## Do the methods keep their promise?
#
# A 95 % interval promises to hold the truth in 95 of 100 studies, a test at 5 % to tell apart two equal systems
# in no more than 5 of 100. In a simulation the truth is known. Numbers are drawn as if speakers of unequal size
# were judged by two systems of equal merit, each of which is a little better on some speakers and a little worse
# on others. Nothing here is speech, simulated or other: these figures say how methods behave, and nothing of
# people.

# %%
Markdown(statistics_report.rates_sentences())

# %% mystnb={"image": {"alt": "Coverage and false rejections against the number of speakers, a line a method"}}
statistics_report.rates_figure()

# %% [markdown]
# The grey line is what was promised; bars are 95 % intervals of the simulation's own chance.

# %%
HTML(statistics_report.rates_table())

# %% [markdown]
# What takes utterances for independent is sure of what it cannot know, and more speakers do not help it. A
# bootstrap over few speakers is too narrow as well, since the few who talk most are often left out or drawn
# twice. Runs that differ by their seed say nothing about other speakers, so a test of theirs alone finds the
# speakers' chance to be a difference of the methods. What the simulation takes for granted:

# %%
Markdown(statistics_report.assumptions())

# %% [markdown]
# ## Which differences can be seen?
#
# Two systems err on the same utterances, and mostly in the same direction; what they share falls out of their
# difference. So the smallest detectable difference depends on how much their errors go together. How much they
# did in the paper is not known; the figure holds the range.

# %% mystnb={"image": {"alt": "Detectable difference against correlation of errors; the paper's differences as lines"}}
statistics_report.power_figure()

# %% [markdown]
# Shaded: as the share of the errors that belongs to the speaker goes from the least to the most that was tried.

# %%
HTML(statistics_report.power_table())

# %% [markdown]
# What this says of three differences in the paper, had they been measured on the whole development set:

# %%
Markdown(statistics_report.power_sentences())

# %% [markdown]
# This is kind to the paper. Its validation set is a balanced part of the development set, so smaller; each figure
# stands for one training, so the chance of the seed comes on top; and several rows are compared, with no allowance
# for their number. On the other hand a difference that is too small to detect may still be there: *unresolved* means
# that such a study cannot tell, not that nothing is. And all of it rests on the simulation's assumptions, not on the
# paper's predictions, which this study does not have.
#
# How much errors go together in this study's own runs, on this page's own corpus:

# %%
Markdown(statistics_report.error_sentences(study))

# %% [markdown]
# ## If speakers are unknown
#
# Not every utterance of a podcast has a known speaker. This study then takes together what comes from one show, as
# the file's name tells it: utterances of one show share speakers, or at least a host. Units that hold several
# speakers are fewer than they might be, which costs certainty, but they take nothing for independent that is not.
# To see what it matters, speakers that are known are hidden:

# %%
HTML(statistics_report.sensitivity_table(study))

# %%
Markdown(statistics_report.sensitivity_sentence(study))

# %% [markdown]
# How much it matters depends on the corpus: on how much of the errors is the speaker's, and on how unequally the
# speakers talk.

# %% [markdown]
# ## Slips in the paper's tables
#
# The mean of three CCCs can be checked by anyone:

# %%
Markdown(statistics_report.slips())

# %% [markdown]
# ## Fast enough to be used
#
# CCC follows from six sums, so a set of any size is one small table, a row a speaker, and ten thousand resamples are
# one matrix product. Nobody need go without an interval because it takes too long:

# %%
HTML(statistics_report.benchmark_table())

# %% [markdown]
# `confidence_intervals` does more: it draws utterances within the drawn speakers too. The functions are those of
# [`sercore.significance`](/api), usable for any predictions; the simulation is `python -m study.chapters.calibration`.
