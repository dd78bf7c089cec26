# %% [markdown]
# # Performance by gender, emotion and duration
#
# One CCC for a test set hides for whom a system works. Here that of `fusion` is split by gender, duration and emotion, on
# the profile's corpus and on EmoTale, which is human speech. Few speakers of
# a group leave wide intervals, so an inconclusive gap is no sign of fairness.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/fairness"
human = "results/emotale/fairness"

# %% tags=["remove-input"]
from study import show
from study.chapters import fairness
from study.results import read

show.refuse_unknown(In)
tables = fairness.read(results, human)
show.banner(read(profile, results).params, read("emotale", human).params)

# %% [markdown]
# ## Results
#
# A gap is the CCC of a group minus that of a reference: men, the shortest third of the utterances,
# neutral speech.

# %% tags=["hide-input"]
gaps = tables["gaps"].rename(columns={"system": "model", "group": "system"}).query("model == 'fusion'")
show.differences(
    gaps,
    "Gaps in mean CCC of `fusion`.",
    rows=("condition", "grouping"),
    name="gaps",
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fairness-mean", "caption": "Mean CCC of `fusion` by gender, duration and emotion, with 95 % intervals over speakers. Numbers and n: {numref}`fairness-groups`."}, "image": {"alt": "Mean CCC of fusion by gender, duration and emotion, in both corpora"}}
groups = tables["groups"].query("endpoint == 'mean' and system == 'fusion'").sort_values("grouping", kind="stable")
grid = show.points(groups, "group", "mean CCC", hue="condition", height=5.5)

# %% [markdown]
# ## Why CCC within an emotion is low
#
# CCC compares the error with the spread of the gold values. Within one emotion they vary less, so the same error gives
# a lower CCC (restriction of range). RMSE and bias show whether a system errs more. CCCs of groups can be compared only
# if their spreads are alike ({numref}`fairness-groups`).

# %% tags=["hide-input"]
show.show(
    groups[["condition", "group", "utterances", "speakers", "estimate", "rmse", "bias", "deviation"]].rename(
        columns={"estimate": "mean CCC", "deviation": "sd of gold values"}
    ),
    "`fusion` by group: mean of the three attributes; RMSE, bias and sd in points of the scale.",
    "groups",
    tables["groups"],
)

# %% [markdown]
# ## What it means
#
# - A verdict on a group of a few speakers is about those speakers: {numref}`fairness-groups` gives their number.
#   *Inconclusive* is no sign of fairness.
# - Intervals are for the trained models as they are.
# - Gender and duration are confounded with what else differs: EmoTale has five sentences, so its longest third is
#   mostly another sentence than its shortest.
# - Age, accent, first language and health are not in these tables, nor are intersections of groups.
# - The raters are part of the measurement: a system that agrees with biased raters has a small gap and is not fair.
#
# On your own corpus: `make study CHAPTER=fairness PROFILE=msp_podcast DATA=/path/to/release`. Groups that the corpus
# does not know are left out.
