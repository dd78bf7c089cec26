# %% [markdown]
# # Does undersampling help?
#
# Most utterances are neutral. `fusion` draws equally many utterances of every emotion in each epoch ([the
# sampler](/method)); `fusion_whole_data` trains on the whole training split, and so with more updates an epoch.
# `baseline` is the challenge's system: the last hidden state of the speech encoder, attentive statistics pooling, no
# text, the whole data. It is compared with `speech_only`, which averages layers, pools by the mean, and undersamples.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from study import comparisons, plan, show
from study.results import read, read_tables

show.refuse_unknown(In)
study = read(profile, results)
show.banner(study.params)

# %% [markdown]
# ## Results

# %% tags=["hide-input"]
question = plan.question(profile, "undersampling")
differences = comparisons.differences(study, question)
show.answer(differences)

# %% tags=["hide-input"] mystnb={"figure": {"name": "undersampling-forest", "caption": "Whole data against undersampling: difference of mean CCC. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence; cross: the paper's. Numbers and n: {numref}`undersampling-differences`."}, "image": {"alt": "Forest plot: training on the whole data against undersampling, with and without text"}}
grid = show.forest(differences)

# %% tags=["hide-input"]
show.differences(differences, "Difference of mean CCC between training on the whole data and undersampling.")

# %% [markdown]
# ## CCC of all systems

# %% tags=["hide-input"]
show.scores(comparisons.scores(study, question), "CCC of each system, of one rater and of guessing.")

# %% [markdown]
# ## Error by emotion
#
# Undersampling is meant for the rare emotions, which an average hides ({numref}`undersampling-emotions`). Bias
# is the mean of prediction minus gold.

# %% tags=["hide-input"]
errors = read_tables(results, ["emotions"])["emotions"]
errors["training"] = errors["system"].map({"fusion": "undersampling", "fusion_whole_data": "whole data"})

# %% tags=["hide-input"] mystnb={"figure": {"name": "undersampling-emotions", "caption": "RMSE and bias of each attribute by emotion, with undersampling and on the whole data; mean over runs, without intervals."}, "image": {"alt": "RMSE and bias of each attribute by emotion, with undersampling and on the whole data"}}
panels = {"hue": "training", "col": "endpoint", "row": "statistic", "sharex": "row", "height": 3.4}
grid = show.points(errors.dropna(subset="training"), "emotion", "points of the scale", **panels)

# %% [markdown]
# ## What it means
#
# - **Mechanism.** Undersampling trades utterances for balance: an epoch holds few of the frequent emotions and each of
#   the rare ones. The challenge's test split is balanced too, so the system meets the distribution that it was trained
#   on. Whole-data epochs bring more utterances and more updates: the difference is one of two recipes as they are used,
#   not of balance alone.
# - **In the simulation** voice and words follow the attributes in the same way in every emotion. A system of the whole
#   data learns the same relation, only on other shares, so balance has little to add.
# - **On human speech** the paper's loss without undersampling is almost all in valence, from one training of each.
#   EmoTale is balanced as recorded and cannot repeat the step.
# - **In practice**, train both until validation stops improving, or with equally many updates, and look at errors by
#   emotion: an average hides the rare ones.
#
# ## Comparison with the paper

# %% tags=["hide-input"]
show.beside_the_paper(differences)
