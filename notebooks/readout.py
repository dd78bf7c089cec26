# %% [markdown]
# # How should the hidden states of a frozen encoder be read out?
#
# The paper {cite:p}`lertpetchpun2025` averages hidden states as they are (`raw`). Their scales differ from layer to
# layer by orders of magnitude, so that the average is at first that of one or two layers, and the learning rate of the
# heads suits none. Two remedies: layer normalisation of each state, without parameters, as s3prl does {cite:p}`superb`
# (`normalised`), or mean 0 and standard deviation 1 of each channel over the training split (`standardised`). Each is
# trained for 20 epochs, as in earlier versions of this study, and for 60. The reference is a ridge regression on the time averages of
# all hidden states, `ridge_probe`.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/readout"
human = "results/emotale/readout"

# %% tags=["remove-input"]
from study import comparisons, plan, show
from study.chapters import readout
from study.results import read

show.refuse_unknown(In)
study, real = read(profile, results), read("emotale", human)
show.banner(study.params, real.params)

# %% [markdown]
# ## Results
#
# Test CCCs did not enter the choice. Where validation CCCs are close, layer normalisation is preferred, since it needs no
# statistics of a corpus.
#
# ### On real speech: EmoTale, in the committed study

# %% tags=["hide-input"]
question = plan.question("emotale", "readout")
show.scores(
    readout.scores(real, question),
    "CCC of each readout of the frozen encoder, on EmoTale; validation: mean over folds.",
    name="emotale",
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "readout-forest", "caption": "Readouts of a frozen encoder on EmoTale: difference of mean CCC. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence. CCCs and n: {numref}`readout-emotale`."}, "image": {"alt": "Forest plot: each readout of a frozen encoder against another, on EmoTale"}}
differences = comparisons.differences(real, question)
grid = show.forest(differences)

# %% tags=["hide-input"]
show.answer(differences)

# %% [markdown]
# ### On this profile's corpus

# %% tags=["hide-input"]
show.scores(
    readout.scores(study, plan.question(profile, "readout")),
    "CCC of each readout of the frozen encoder, on this profile's corpus; validation: mean over runs.",
    name="simulated",
)

# %% tags=["hide-input"]
show.answer(comparisons.differences(study, plan.question(profile, "readout")))

# %% [markdown]
# ## What it means
#
# - **Mechanism.** Raw states differ in scale by orders of magnitude, so the average is at first that of a few layers. A
#   network fed with them may stay below a linear model on the same states, and the encoder then looks worse than it is.
#   Scaling and longer training work together: either alone may do little.
# - **In the simulation** the encoder has few layers and was pretrained on such voices, so less may need repair; on human
#   speech {numref}`readout-emotale` has an encoder that people use.
# - **In practice**, normalise. Layer normalisation needs no statistics of a corpus and works where features do not fit
#   on the disk, so it is the default of every profile where an encoder is frozen; standardisation is the alternative. A
#   fine-tuned encoder adapts its own scales; there the paper's raw average stays.
