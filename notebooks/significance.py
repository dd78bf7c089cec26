# %% [markdown]
# # Statistical significance
#
# Two systems differ in the third decimal. Would they on other speakers, and if both were trained again? A simulation in
# which the truth is known shows that the methods of this study roughly hold their nominal rates, and that those which take
# utterances as independent do not. A set of the challenge's size cannot detect the smaller differences of the paper.

# %% tags=["parameters", "quiet"]
folder = "results/significance"

# %% tags=["remove-input"]
from study import show
from study.chapters import significance
from study.results import read_tables

show.refuse_unknown(In)

# %% [markdown]
# ## Current practice and recommendations
#
# ```{list-table} Current practice and what we recommend.
# :name: significance-practice
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
#   - the higher figure in bold; tests over utterances
#   - p from swapping the systems within speakers, and the interval that belongs to it
# * - whether a way of training is better
#   - the best of several runs; a t-test on the runs' CCCs
#   - several runs of both; variance of speakers plus variance of seeds, Satterthwaite's degrees of freedom
# * - which rows of a table differ
#   - every pair, each at 5 %
#   - a declared family of comparisons, each p multiplied by their number
# * - what "no difference" means
#   - "comparable"
#   - equivalent within a declared margin {cite:p}`lakens2017`, or inconclusive, with the interval
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

# %% tags=["hide-input"] mystnb={"figure": {"name": "significance-coverage", "caption": "Coverage (nominal: .95) and false rejections (nominal: .05) by number of speakers; bars: interval of the simulation. Numbers: {numref}`significance-rates`."}, "image": {"alt": "Coverage and false rejections against the number of speakers, a line a method"}}
rates = significance.rates(folder)
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
# ## Verdicts
#
# A family of four comparisons, two of systems that do not differ and two of systems that differ by just the margin: every
# verdict but *inconclusive* is false. {numref}`significance-promises` also asks how often the difference that planning
# calls detectable is found. The plan takes the standard error as known; with few runs it is not, so read the detectable
# difference as one that is found more often than not, and plan with a reserve. With two runs a verdict is one of the
# trained models; taken for one of ways of training, as here, it is false too often, the more so the more speakers there
# are.

# %% tags=["hide-input"]
promises = read_tables(folder, ["verdicts"])["verdicts"]
show.show(
    promises[
        ["speakers", "runs", "false", "detectable", "power", "detectable_equivalence", "equivalence_power"]
    ].rename(
        columns={
            "false": "families with a false verdict",
            "detectable_equivalence": "margin for equivalence",
            "equivalence_power": "power for equivalence",
        }
    ),
    "Nominal: .05 of the families at most, and .80 of the differences and equivalences; 20 utterances a speaker, "
    f"{promises['repetitions'].min()} families a row.",
    "promises",
    promises,
)

# %% [markdown]
# ## What the simulation rests on
#
# Methods that take utterances as independent are overconfident, and more speakers do not help. A bootstrap over few
# speakers is too narrow as well. A test on runs alone ignores the variance of speakers, so it takes this variance for a
# difference of methods. The simulation takes CCCs and skew from the paper; the shares of the speaker in gold values and
# errors, the tails and the variance of runs are assumptions (`simulation/significance.py`).
#
# ## Detectable differences
#
# Two systems err on the same utterances, mostly in the same direction, and what they share cancels in their difference.
# So the detectable difference depends on the correlation of their errors, which the paper does not report.

# %% tags=["hide-input"]
power = significance.power(folder)
show.show(
    power[["set", "speakers", "utterances", "correlation", "detectable", "text", "gender", "without O and X"]],
    "Detectable difference (80 % power), and power for the paper's differences; 20 % of the variance is the speaker's.",
    "power",
    power,
)

# %% [markdown]
# This is generous: the paper's validation set is a balanced part of the development set, each figure stands for one
# training, and several rows are compared. A difference too small to detect may still exist. All of it rests on the
# simulation's assumptions, not on the paper's predictions.
#
# ## Unknown speakers
#
# Where the speaker of an utterance is unknown, the utterances of one show are taken together, or all of them if the
# file name tells no show. Such units may hold several speakers, which costs precision but takes nothing as independent
# that is not.
#
# The functions are those of [`sercore.significance`](/api); for files of predictions there is [a
# command](/notebooks/compare). The package `confidence_intervals` does more: it also draws utterances within the drawn
# speakers.
