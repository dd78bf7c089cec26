# %% [markdown]
# # How much do results depend on the validation set?
#
# The paper chooses each system's epoch, and reports its CCC, on the same set: k utterances of each primary emotion
# drawn from the development split {cite:p}`lertpetchpun2025`. It does not state k. Here every epoch of every run kept
# its predictions, so other sets can be drawn by the thousand without training again.
#
# A draw matters twice: for how good the chosen epoch is on test, and for what is reported on the draw itself, which can
# reverse the order of two systems. Choosing on the whole development split, with emotions weighted alike, needs no draw.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/validation_protocol"

# %% tags=["remove-input"]
from study import comparisons, plan, show
from study.chapters import validation_protocol
from study.results import read, read_tables

show.refuse_unknown(In)
study = read(profile, results, "every_epoch")
tables = read_tables(f"{results}/draws", validation_protocol.TABLES)
k = validation_protocol.own_size(tables, study.params.sampling.validation_per_emotion)
show.banner(study.params)

# %% [markdown]
# ## What another draw would have chosen and reported

# %% tags=["hide-input"]
selection = tables["selection"].query("k in (0, @k)")
columns = ["system", "kind", "epoch", "epoch_sd", "reported", "reported_sd", "test", "test_sd", "regret"]
show.show(
    selection[columns],
    "Means over draws and runs; sd: over draws. Regret: best CCC on test minus that of the chosen epoch.",
    "selection",
    tables["selection"],
)

# %% [markdown]
# `balanced`: k of each emotion, with the profile's own k; `whole`: the development split; `weighted`: the same without O
# and X, with emotions weighted alike; `last epoch`: no choice.
#
# ## What another draw would have said of two systems

# %% tags=["hide-input"] mystnb={"figure": {"name": "validation_protocol-draws", "caption": "Standard deviation of a reported difference over draws of a validation set of k utterances of each emotion."}, "image": {"alt": "Standard deviation over draws of a reported difference against k, a panel a pair"}}
drawn = tables["differences"]
drawn["pair"] = drawn["system"] + " − " + drawn["reference"]
style = {"kind": "line", "hue": "draw", "col": "pair", "col_wrap": 1, "height": 1.8, "aspect": 3.6}
grid = show.relplot(drawn, "k", "difference_sd", ("k utterances of each emotion", "sd (CCC)"), **style)

# %% tags=["hide-input"]
show.show(
    drawn.query("k == @k")[["pair", "draw", "difference", "difference_sd", "flips"]].rename(
        columns={"flips": "other sign"}
    ),
    "Reported difference where both systems share a draw or not; other sign: share of draws.",
    "flips",
    drawn,
)

# %% [markdown]
# What the same systems are worth on the test split:

# %% tags=["hide-input"]
differences = comparisons.differences(study, plan.question(profile, "validation_protocol"))
show.differences(differences, "Difference of mean CCC between the systems.")

# %% [markdown]
# ## Recommended protocol
#
# 1. **Choose the epoch on all development utterances of a primary emotion, with emotions weighted alike.** This keeps
#    the balance and removes the draw.
# 2. **If a set is drawn, draw it once for all systems, and state its k and seed.**
# 3. **Do not report on the set that chose.** Report on a test split.
# 4. **Give intervals over speakers and seeds.** The draw is one of three sources of variance, and the only one that can
#    be removed at no cost ([significance](/notebooks/significance)).
#
# How often a wrong order results depends on how far apart the systems are, and the regret on how flat the learning
# curves are; both would change with another corpus. Learning rates, seeds and systems tried on the same set are choices
# too.
#
# On your own corpus: `make study CHAPTER=validation_protocol PROFILE=msp_podcast DATA=/path/to/release`.
