# %% [markdown]
# # Statistical significance
#
# Two systems differ in the third decimal. Would they on other speakers, and if both were trained again? This chapter
# compares methods for intervals and tests, their coverage and false rejections in simulation, and which differences a
# test set of the challenge's size can detect.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from study import show
from study.chapters import efficiency, significance
from study.results import read

show.refuse_unknown(In)
study = read(profile, results)
show.banner(study.params)

# %% [markdown]
# ## Current practice and recommendations
#
# ```{list-table}
# :header-rows: 1
#
# * - What one wants
#   - Current practice
#   - What we recommend
# * - performance of a system
#   - one CCC, to four digits
#   - CCC with a 95 % interval: jackknife over speakers, Student's t on Fisher's z {cite:p}`efron1982`
# * - performance on other speakers
#   - bootstrap over utterances, which assumes that those of one speaker are independent
#   - speakers as the units
# * - whether two trained systems differ
#   - the higher figure in bold; Williams' test of correlations
#   - interval of the difference; p from swapping the systems within speakers
# * - whether a way of training is better
#   - the best of several runs; a t-test on the runs' CCCs
#   - several runs of both; variance of speakers plus variance of seeds, Satterthwaite's degrees of freedom
# * - which rows of a table differ
#   - every pair, each at 5 %
#   - a declared family of comparisons, adjusted by Holm's procedure {cite:p}`holm1979`
# * - what "no difference" means
#   - "comparable"
#   - inconclusive, with the interval; the detectable difference is for planning
# * - which measure counts
#   - whichever improved
#   - the mean CCC of the three attributes {cite:p}`lin1989`, fixed before
# ```
#
# ## Coverage and false rejections
#
# A 95 % interval should cover the truth in 95 of 100 studies, and a test at 5 % reject in at most 5 of 100 if there is
# no difference. A simulation of numbers, where the truth is known, checks this: two equally good systems predict
# speakers of unequal size, each slightly better on some of them.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Coverage and false rejections against the number of speakers, a line a method"}}
rates = significance.rates()
rates["speakers"] = rates["speakers"].astype(str)
grid = show.curves(
    rates, "speakers", ("speakers", "rate"), hue="method", col="family", facet_kws={"sharey": False}, markers=True
)

# %% tags=["hide-input"]
show.scores(
    rates.drop(columns="speakers").assign(size=rates["speakers"] + " speakers"),
    "Coverage (nominal: .95) and false rejections (nominal: .05) of each method; ✓: used in this study.",
    rows=("family", "method"),
    columns="size",
    name="rates",
)

# %% [markdown]
# Methods that take utterances as independent are overconfident, and more speakers do not help. A bootstrap over few
# speakers is too narrow as well. A test on runs alone ignores the variance of speakers, so it takes this variance for a
# difference of methods. The simulation takes CCCs and skew from the paper; the shares of the speaker in gold values and
# errors, the tails and the variance of runs are assumptions (`study/chapters/significance.py`).
#
# ## Detectable differences
#
# Two systems err on the same utterances, mostly in the same direction, and what they share cancels in their difference.
# So the detectable difference depends on the correlation of their errors, which the paper does not report.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Detectable difference of mean CCC against the correlation of the errors, by set"}}
power = significance.power()
labels = "correlation of the two systems' errors", "detectable difference of mean CCC"
grid = show.curves(power.rename(columns={"detectable": "estimate"}), "correlation", labels, hue="set")
grid = grid.set(yscale="log")

# %% [markdown]
# Bars: as the share of the errors' variance that is the speaker's goes from 0 to 40 %.

# %% tags=["hide-input"]
show.show(
    power.query("speaker_share == 0.2")[
        ["set", "speakers", "utterances", "correlation", "detectable", "text", "gender", "without O and X"]
    ],
    "Detectable difference (80 % power), and power for the paper's differences; 20 % of the variance is the speaker's.",
    "power",
    power,
)

# %% [markdown]
# This is generous: the paper's validation set is a balanced part of the development set, each figure stands for one
# training, and several rows are compared. A difference too small to detect may still exist. All of it rests on the
# simulation's assumptions, not on the paper's predictions. In this study's own runs:

# %% tags=["hide-input"]
show.show(
    significance.errors_of(study), "How errors go together in this study, averaged over attributes and runs.", "errors"
)

# %% [markdown]
# ## Unknown speakers
#
# Where the speaker of an utterance is unknown, the utterances of one show are taken together, or all of them if the
# file name tells no show. Such units may hold several speakers, which costs precision but takes nothing as independent
# that is not.
#
# ## Inconsistencies in the paper's tables

# %% tags=["hide-input"]
show.show(
    significance.slips(),
    "Rows whose printed mean is not that of the three CCCs beyond rounding, or is doubted.",
    "slips",
)

# %% [markdown]
# ## Speed
#
# CCC is a function of six sums. A set of any size is one small table, a row a speaker, and ten thousand resamples are
# one matrix product.

# %% tags=["hide-input"]
speed = efficiency.measured().query("part == 'intervals'").pivot_table("estimate", "way", "measure", sort=False)
show.show(speed.reset_index(), "Time of 10,000 resamples over 400 speakers, extrapolated for the loop.", "speed")

# %% [markdown]
# The functions are those of [`sercore.significance`](/api), usable for any predictions. The package
# `confidence_intervals` does more: it also draws utterances within the drawn speakers.
