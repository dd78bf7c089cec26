# %% [markdown]
# # Data
#
# The size of the corpus, how unevenly emotions and speakers are distributed, and how far its raters agree.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
import seaborn as sns

from sercore import ATTRIBUTES
from sercore.corpus import EMOTIONS
from study import show
from study.chapters import data
from study.results import read

show.refuse_unknown(In)
study = read(profile, results)
corpus = study.corpus.assign(emotion=study.corpus["emotion"].map(EMOTIONS))
show.banner(study.params)

# %% tags=["hide-input"]
show.show(
    data.sizes(study.corpus),
    "Size of each split. O: other; X: no agreement. Shares are of utterances or speakers.",
    "sizes",
)

# %% [markdown]
# No speaker of the training or the development split occurs in another split; a corpus in which one does is refused.
# O is an emotion beside the eight primary ones; X means that no emotion has a plurality among the raters. Both have
# attributes like any other utterance.
#
# ## Emotions
#
# The emotion decides what an epoch draws ([the sampler](/method)); the three attributes are predicted.

# %% tags=["hide-input"] mystnb={"figure": {"name": "data-emotions", "caption": "Share of each emotion in each split."}, "image": {"alt": "Bar chart: share of each emotion in each split"}}
panels = {"height": 3.4, "aspect": 0.65}
bars = {"stat": "percent", "common_norm": False, "shrink": 0.8}
grid = sns.displot(corpus.dropna(subset="emotion"), y="emotion", col="split", **bars, **panels)
grid = grid.set_axis_labels("utterances (%)", "").set_titles("{col_name}")

# %% tags=["hide-input"] mystnb={"figure": {"name": "data-attributes", "caption": "Attributes by emotion. Boxes: quartiles and median; whiskers: 5th and 95th percentile."}, "image": {"alt": "Box plots of arousal, valence and dominance for each emotion"}}
attributes = corpus.melt("emotion", list(ATTRIBUTES), "attribute")
boxes = {"kind": "box", "order": list(EMOTIONS.values()), "whis": (5, 95), "showfliers": False}
grid = sns.catplot(attributes.dropna(), x="value", y="emotion", col="attribute", **boxes, **panels)
grid = grid.set_axis_labels("points of the scale", "").set_titles("{col_name}")

# %% [markdown]
# Emotions overlap: the emotion does not determine the attributes.
#
# ## Audio samples
#
# One utterance of each emotion.

# %% tags=["hide-input"]
show.players(study.samples)

# %% [markdown]
# ## Raters
#
# The gold value is the mean of a few raters; {numref}`data-raters` shows how far they agree. WHiSER {cite:p}`whiser` has ratings of the same kind of
# human speech.

# %% tags=["hide-input"]
show.show(
    data.rater_statistics(study.corpus, study.ratings),
    "Spread, bias and agreement of raters in train and development, beside WHiSER's published values (scale 1 to 7).",
    "raters",
)

# %% [markdown]
# ICC(1,1) is the reliability of one rating, ICC(1,k) that of the mean of all ratings of an utterance
# {cite:p}`shrout1979`; kappa is Fleiss' {cite:p}`fleiss1971`. Systems are measured against the mean of all raters,
# which is less noisy than one.

# %% tags=["hide-input"]
show.show(
    data.class_statistics(study.corpus, study.ratings).rename(index=EMOTIONS),
    "Mean and standard deviation (sd) of the consensus by emotion, and sd among an utterance's raters.",
    "classes",
)

# %% [markdown]
# ## Speakers

# %% tags=["hide-input"] mystnb={"figure": {"name": "data-speakers", "caption": "Share of the utterances spoken by the most talkative speakers. On the diagonal everyone would speak equally often."}, "image": {"alt": "Curve: share of the utterances spoken by the most talkative speakers, for each split"}}
labels = "share of the speakers, most talkative first", "share of the utterances"
style = {"kind": "line", "hue": "split", "height": 3.4, "aspect": 1.5}
grid = show.relplot(data.talkativeness(study.corpus), "speakers", "spoken", labels, **style)

# %% [markdown]
# Utterances of one speaker resemble each other, so the number of speakers limits what a test split can show; every
# interval in this book takes speakers as its units.
#
# ## Durations

# %% tags=["hide-input"] mystnb={"figure": {"name": "data-durations", "caption": "Cumulative distribution of the utterances' durations, by split."}, "image": {"alt": "Distribution of the utterances' durations, for each split"}}
grid = sns.displot(corpus, x="duration", hue="split", kind="ecdf", height=3, aspect=1.7)
grid = show.legend_above(grid.set_axis_labels("duration (s)", "share of the utterances"))

# %% [markdown]
# ## Assumptions of the simulation
#
# These choices were made before any system was compared with another. Signs of the acoustic cues follow
# {cite:t}`scherer2003` and {cite:t}`juslin2003`. {numref}`data-assumptions` is empty for real speech.

# %% tags=["hide-input"]
show.show(
    data.assumptions(study.params), "What the simulation assumes, and the source of each assumption.", "assumptions"
)
