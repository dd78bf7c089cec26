# %% [markdown]
# # How much do results depend on the validation set?
#
# The paper chooses each system's epoch, and reports its CCC, on the same set: k utterances of each primary emotion
# drawn from the development split {cite:p}`lertpetchpun2025`. It does not state k. Here every epoch of every run kept
# its predictions, so other sets can be drawn by the thousand without training again: each set tells which epoch it
# would have chosen and what would have been reported. `fusion_whole_data`, `fusion_without_ambiguous` and `speech_only`
# stand beside `fusion`, since the protocol may interact with undersampling and O/X.

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
# ## Results
#
# What another balanced set of the profile's own size would have chosen and reported for the same runs, beside other
# ways to choose:

# %% tags=["hide-input"]
kinds = validation_protocol.by_kind(tables, k)
show.show(
    kinds[["system", "kind", "epoch", "epoch_sd", "reported", "reported_sd", "test", "test_sd", "regret"]],
    "Means over runs; sd: over draws, within a run. Regret: best CCC on test minus that of the chosen epoch.",
    "selection",
)

# %% [markdown]
# `balanced`: k of each emotion; `random`: as many at random; `whole`: all; `agreed`: all but O and X; `weighted`: the
# same with emotions weighted alike; `last epoch`: no choice.
#
# ## Learning curves

# %% tags=["hide-input"] mystnb={"image": {"alt": "Mean CCC against the epoch on development and test, a panel a system"}}
curves = tables["curves"].rename(columns={"ccc": "estimate"}).query("set != 'whole'")
grid = show.curves(
    curves, "epoch", ("epoch", "mean CCC"), hue="set", col="system", col_wrap=2, markers=False, height=2.6
)

# %% [markdown]
# Bars: range over the runs. Where a curve is flat, many epochs are about as good, and the draw decides among them.
#
# ## Variation over draws

# %% tags=["hide-input"] mystnb={"image": {"alt": "Standard deviation over draws of a reported CCC and of a difference against k"}}
labels = "k utterances of each emotion", "standard deviation over draws (CCC)"
grid = show.curves(validation_protocol.spreads(tables), "k", labels, hue="measure", col="pool").set(xscale="log")

# %% [markdown]
# Bars: range over systems, pairs and seeds. The test split is larger and stands for a larger development split.

# %% tags=["hide-input"]
names = {"flips": "other sign", "gender": "as G Pred", "ambiguous": "as - O/X"}
show.show(
    validation_protocol.flips(tables, k).rename(columns=names),
    "Reported difference on the same or independent sets; other sign: share of draws.",
    "flips",
)

# %% [markdown]
# *As G Pred*, *as - O/X*: share of draws at least as far from their mean as the paper's difference for gender
# prediction or for leaving out O and X. So often the draw alone makes a difference of that size.
#
# ## Reporting on the validation speakers
#
# A random half of a split's speakers acts as the development split, the others as the truth.

# %% tags=["hide-input"]
show.show(
    validation_protocol.schemes(tables),
    "Optimism: reported CCC minus that on other speakers; error: its root mean square over draws and runs.",
    "schemes",
)

# %% [markdown]
# `same`: all speakers of the half choose and report; `split`: half of them choose, the others report; `crossed`: each
# half reports what the other chose.
#
# ## Differences on the test split

# %% tags=["hide-input"]
question = plan.question(profile, "validation_protocol")
differences = comparisons.differences(study, question)
show.answer(differences)

# %% tags=["hide-input"]
show.differences(differences, "Difference of mean CCC between the systems.")

# %% [markdown]
# ## Recommended protocol
#
# 1. **Choose the epoch on all development utterances of a primary emotion, with emotions weighted alike.** This keeps
#    the balance and removes the draw.
# 2. **If a set is drawn, draw it once for all systems, and state its k and seed.**
# 3. **Do not report on the speakers that chose.** Report on a test split, or let each half of the development speakers
#    report what the other chose.
# 4. **Give intervals over speakers and seeds.** The draw is one of three sources of variance, and the only one that can
#    be removed at no cost ([significance](/notebooks/significance)).
#
# How often a wrong order results depends on how far apart the systems are, and the regret on how flat the curves are;
# both would change with another corpus. Learning rates, seeds and systems tried on the same set are choices too.
#
# On your own corpus: `make study CHAPTER=validation_protocol PROFILE=msp_podcast DATA=/path/to/release`.
