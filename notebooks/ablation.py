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
# # One run, from sound to CCC
#
# This notebook trains one system of the study and shows what it learnt. It runs each ablation:
# `papermill notebooks/ablation.ipynb OUT.ipynb -p variant fusion_gender` trains another system, and
# `-p profile emotale` takes another corpus. A run that is complete is read instead of trained again.

# %% tags=["parameters"]
profile = "embedded"
variant = "fusion"
seeds = [0]
overrides = {}

# %%
from IPython.display import HTML, Markdown

from sercore import corpora, params, training
from sercore.model import AttributeModel
from study import results as studies
from study.chapters import ablation
from study.show import figures, report

params.refuse_unknown(In)
chosen = params.load_seeds(profile, variant, seeds, overrides)
HTML(report.banner(chosen[0]))

# %% [markdown]
# ## The parameters
#
# A profile gives the scale, a variant of `params/variants.yaml` the difference from the default system, and
# `overrides` whatever else should differ. Together they are:

# %%
print(params.dump(chosen[0]))

# %% [markdown]
# ## The corpus

# %% tags=["nbval-ignore-output"]
speech = [corpora.read(one.corpus, one.seed) for one in chosen]

# %%
report.sizes(speech[0].table)

# %% [markdown]
# ## Training
#
# Each epoch draws the same number of utterances of every emotion; the epoch with the best mean CCC on a balanced
# part of the development split is kept ([the method](/method)).

# %% tags=["nbval-ignore-output"]
trained = [training.train(one, corpus) for one, corpus in zip(chosen, speech, strict=True)]

# %%
ablation.summary(AttributeModel.from_pretrained(trained[0].folder / "model"))

# %% tags=["nbval-ignore-output"]
figures.learning_curves(trained)

# %% [markdown]
# ## How well it predicts
#
# Concordance correlation with the raters' mean, for each split that has labels. Trained weights depend a little on
# the processor, so these figures may move in the third decimal from machine to machine.

# %% tags=["nbval-ignore-output"]
scores = report.scores(trained)
HTML(report.splits_table(scores))

# %% tags=["nbval-ignore-output"]
figures.predicted_against_gold(trained, studies.reported_split(trained))

# %% [markdown]
# ## Whom it serves
#
# Most utterances are neutral, so a system may do well on average and fail on rare emotions: the failure for which
# the paper introduces undersampling. Bias is the mean of prediction minus gold; within one emotion the gold values
# differ little, so the CCC there is lower than over all utterances.

# %% tags=["nbval-ignore-output"]
errors = report.emotion_errors(trained, studies.reported_split(trained))
figures.emotion_errors(errors)

# %% tags=["nbval-ignore-output"]
errors

# %% [markdown]
# ## Does it repeat?

# %%
Markdown(report.agreement(trained, "results/embedded/paper/study"))
