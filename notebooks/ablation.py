# %% [markdown]
# # One run, from audio to CCC
#
# This notebook trains one system of the study and shows how it learnt. It runs every ablation: `papermill
# notebooks/ablation.ipynb OUT.ipynb -p variant fusion_gender` trains another system, `-p profile emotale` takes another
# corpus. A complete run is read instead of trained again.

# %% tags=["parameters", "hide-input"]
profile = "embedded"
variant = "fusion"
seeds = [0]
overrides = {}

# %% tags=["hide-input"]
import seaborn as sns

from sercore import params
from sercore.model import AttributeModel
from study import comparisons, show
from study.chapters import ablation, undersampling
from study.results import Study, reported_split, summed

show.refuse_unknown(In)
chosen = params.load_seeds(profile, variant, seeds, overrides)
show.banner(chosen[0])

# %% [markdown]
# ## Parameters
#
# A profile gives the scale, a variant of `params/variants.yaml` the difference from the default system, and `overrides`
# whatever else differs. Together they are:

# %% tags=["hide-input"]
print(params.dump(chosen[0]))

# %% [markdown]
# ## Training
#
# Each epoch draws equally many utterances of every emotion; the epoch with the best mean CCC on a balanced part of the
# development split is kept ([the method](/method)).

# %% tags=["nbval-ignore-output", "hide-input"]
runs = ablation.train(chosen)

# %% tags=["hide-input"]
show.show(
    ablation.summary(AttributeModel.from_pretrained(runs[0].folder / "model")), "Parameters of each part.", "parameters"
)

# %% tags=["nbval-ignore-output", "hide-input"] mystnb={"figure": {"name": "ablation-curves", "caption": "Training loss, and CCC on the validation set, by epoch."}, "image": {"alt": "Curves: training loss and validation CCC of each attribute by epoch"}}
curves = ablation.learning_curves(runs)
style = {"kind": "line", "hue": "endpoint", "col": "measure", "height": 3.2, "facet_kws": {"sharey": False}}
grid = show.relplot(curves, "epoch", "value", ("epoch", ""), **style)

# %% [markdown]
# ## Predictions
#
# Processors round differently, and training amplifies it: on another model of processor a CCC may differ as much as
# between two seeds.

# %% tags=["nbval-ignore-output", "hide-input"]
show.scores(
    comparisons.split_scores(summed(Study(runs))),
    "CCC on each labelled split. The development split chose the epoch, so its figures are optimistic.",
    rows=("system", "split"),
)

# %% tags=["nbval-ignore-output", "hide-input"] mystnb={"figure": {"name": "ablation-predictions", "caption": "Predictions against gold values on the reported split; the darker, the more utterances."}, "image": {"alt": "Two-dimensional histograms: predictions against gold values of each attribute"}}
predictions = ablation.predictions(runs, reported_split(runs))
grid = sns.displot(predictions, x="gold", y="predicted", col="endpoint", bins=25, height=2.6, aspect=0.9)
grid = grid.set_axis_labels("gold (points of the scale)", "predicted").set_titles("{col_name}")

# %% [markdown]
# ## Error by emotion
#
# Most utterances are neutral, so a system may be good on average and fail on rare emotions. Bias is the mean of
# prediction minus gold.

# %% tags=["nbval-ignore-output", "hide-input"] mystnb={"figure": {"name": "ablation-emotions", "caption": "RMSE and bias of each attribute by emotion, on the reported split."}, "image": {"alt": "RMSE and bias of each attribute by emotion"}}
errors = undersampling.errors_by_emotion(runs, reported_split(runs))
grid = show.points(errors, "emotion", "points of the scale", hue="endpoint", col="statistic", height=4, sharex=False)

# %% [markdown]
# ## Reproducibility

# %% tags=["hide-input"]
show.repeats(ablation.repeated(runs, f"results/{profile}/paper/study"))
