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
# # The data
#
# What the systems are trained and tested on: how large it is, how unevenly emotions and speakers are spread
# over it, and how far its raters agree.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study import results as studies
from study.show import figures, report

params.refuse_unknown(In)
study = studies.read(profile, results)
HTML(report.banner(study.runs[0].params))

# %%
report.sizes(study.corpus)

# %% [markdown]
# No speaker of the training or the development split is in another one; a corpus where that is not so is refused.
# "Other" is an emotion beside the eight primary ones, "no agreement" that the raters chose none more than the rest;
# such utterances have attributes like any other.
#
# ## Emotions
#
# Each utterance has one emotion, which decides what an epoch draws (see [the sampler](/method)), and three
# attributes, which the systems predict.

# %% mystnb={"image": {"alt": "Bar chart: share of each emotion in each split"}}
figures.emotion_shares(study.corpus)

# %% mystnb={"image": {"alt": "Box plots of arousal, valence and dominance for each emotion"}}
figures.attributes_by_emotion(study.corpus)

# %% [markdown]
# Boxes reach from the lower to the upper quartile, the line is the median, and whiskers end at the 5th and the
# 95th percentile. Emotions overlap: knowing the word would not be knowing the attributes.
#
# ## Listen
#
# One utterance of each emotion.

# %%
HTML(report.players(study.samples))

# %% [markdown]
# ## Raters
#
# The gold value is the mean of a few raters who do not agree much. The table holds their ratings of the
# training and development splits against real ratings of the same kind, those of the WHiSER corpus
# {cite:p}`whiser`.

# %%
HTML(report.rater_table(study.corpus, study.ratings))

# %% [markdown]
# ICC(1,1) is the reliability of one rating, ICC(1,k) that of the mean of all of an utterance
# {cite:p}`shrout1979`; kappa is Fleiss' {cite:p}`fleiss1971`. The row of CCC tells why a system is measured against
# the consensus: one rater alone is a poor predictor of the others.

# %%
HTML(report.class_table(study.corpus, study.ratings))

# %% [markdown]
# Where *other* and *no agreement* are a matter of the word alone, their raters differ over arousal, valence and
# dominance about as much as those of any emotion.
#
# ## Speakers

# %%
Markdown(report.speaker_sentence(study.corpus))

# %% mystnb={"image": {"alt": "Curve: share of utterances spoken by the most talkative speakers, for each split"}}
figures.speaker_skew(study.corpus)

# %% [markdown]
# A diagonal would mean that everyone speaks equally often. Utterances of one speaker resemble each other, so
# the number of speakers, more than that of utterances, limits what a test split can tell; every interval in
# this book therefore takes speakers as its units.
#
# ## Durations

# %% mystnb={"image": {"alt": "Histogram of the utterances' durations, for each split"}}
figures.durations(study.corpus)

# %% [markdown]
# ## Assumptions
#
# A simulated corpus rests on choices. These were made before any system was compared with another. "Assumption" is
# said where no source was at hand; the signs of the acoustic cues follow {cite:t}`scherer2003` and
# {cite:t}`juslin2003`.

# %%
HTML(report.assumptions(study.runs[0].params))
