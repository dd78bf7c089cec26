# %% [markdown]
# # Performance by gender, emotion and duration
#
# One CCC hides for whom a system works. Here that of `fusion` is split, on the profile's corpus and on EmoTale, which is
# human speech.

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
# A gap is the CCC of a group minus that of men, the shortest third, or neutral speech. An inconclusive gap is no sign of
# fairness: with few speakers intervals are wide, and a verdict is about these speakers.

# %% tags=["hide-input"]
gaps = tables["gaps"].rename(columns={"system": "model", "group": "system"}).query("model == 'fusion'")
show.differences(
    gaps,
    "Gaps in mean CCC of `fusion`.",
    rows=("condition", "grouping"),
    name="gaps",
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "fairness-mean", "caption": "Mean CCC of `fusion` by gender, duration and emotion, with 95 % intervals over speakers. Numbers and n: `groups.csv` of {numref}`fairness-groups`."}, "image": {"alt": "Mean CCC of fusion by gender, duration and emotion, in both corpora"}}
groups = tables["groups"].query("endpoint == 'mean' and system == 'fusion'").sort_values("grouping", kind="stable")
grid = show.points(groups, "group", "mean CCC", hue="condition", height=5.5)

# %% [markdown]
# ## Why CCC within an emotion is low
#
# Within one emotion gold values vary less, so the same RMSE gives a lower CCC (restriction of range). CCCs of groups can
# be compared only if their spreads are alike.

# %% tags=["hide-input"]
show.show(
    fairness.by_grouping(groups),
    "`fusion`: means over the groups of a kind, and the range of their bias; RMSE, sd and bias in points of the scale.",
    "groups",
    tables["groups"],
)

# %% [markdown]
# ## What it means
#
# - Gender and duration are confounded with what else differs, such as EmoTale's sentences.
# - Age, accent, first language, health and intersections are not in these tables.
# - A system that agrees with biased raters has small gaps and is not fair.
#
# On your own corpus: `make study CHAPTER=fairness PROFILE=msp_podcast DATA=/path/to/release`.
