# %% [markdown]
# # What do “other” and “no agreement” utterances contribute?
#
# [Another chapter](/notebooks/ambiguous_labels) repeats the paper's experiments with utterances that raters call
# *other* (O) or on which they do not agree (X). The paper leaves open why they should help: as more
# utterances, as another kind of speech, or as labels of another quality.
#
# The systems differ in what they see:
#
# - `fusion_ambiguous_0`, `_25`, `_50` and `fusion`: none, a quarter, half and all of the training split's O and X;
# - `fusion_fewer_agreed`: all O and X in place of as many agreed utterances;
# - `fusion_other_only`, `fusion_no_agreement_only`: O or X alone;
# - `fusion_soft`, `fusion_soft_ambiguous_0`: the loss weighs an utterance by the agreement of its raters
#   (`sercore.raters.agreement_weights`).
#
# Two conditions of the simulation make ratings noisier: for all utterances (`noise_double`), or for O and X alone
# (`noise_ambiguous`).

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/ambiguity_content"

# %% tags=["remove-input"]
from study import comparisons, plan, show
from study.chapters import ambiguity_content
from study.results import read_conditions

show.refuse_unknown(In)
question = plan.question(profile, "ambiguity_content")
studies = read_conditions(profile, results, question)
show.banner(studies[0].params)

# %% [markdown]
# ## Results

# %% tags=["hide-input"]
differences = comparisons.by_condition(comparisons.differences, studies, question)
show.differences(
    differences.drop(columns="paper"), "Difference of mean CCC; one family per condition.", rows=("condition",)
)

# %% [markdown]
# What is not inconclusive, if anything:

# %% tags=["hide-input"]
show.answer(differences[differences["verdict"] != "inconclusive"])

# %% tags=["hide-input"] mystnb={"figure": {"name": "ambiguity_content-doses", "caption": "Difference of mean CCC to training without O and X, by the share of these trained on, with simultaneous 95 % intervals. Numbers and n: {numref}`ambiguity_content-differences`."}, "image": {"alt": "Difference of mean CCC to training without O and X against their share, by condition"}}
doses = ambiguity_content.doses(differences, studies[0])
grid = show.curves(doses, "share", ("share of O and X trained on", "difference of mean CCC to none"), hue="condition")

# %% [markdown]
# ## What these utterances are like

# %% tags=["hide-input"] mystnb={"figure": {"name": "ambiguity_content-kinds", "caption": "Mean of each attribute for agreed utterances, O and X. Bars: 95 % interval over speakers; WHiSER {cite:p}`whiser` publishes none."}, "image": {"alt": "Mean of each attribute for agreed utterances, O and X, in this study and in WHiSER"}}
kinds = ambiguity_content.kinds(studies[0])
grid = show.points(kinds, "kind", "points of the scale", col="endpoint", hue="source", height=2.6)

# %% [markdown]
# ## What it means
#
# - **Mechanism.** O and X may help as more utterances, as another kind of speech, or as labels of another quality.
#   Dose, controls of equal size and weights by agreement separate the three.
# - **In the simulation** O and X are ordinary utterances by design: raters disagree on the word, not on the attributes.
#   Weighting by agreement has little to weigh, unless a condition makes their ratings noisier. Most limits are wide, so
#   read no effect into the dose without {numref}`ambiguity_content-differences`.
# - **On human speech** the raters of WHiSER {cite:p}`whiser` spread no wider on O and X than elsewhere; its few O are
#   somewhat more aroused. What they teach a system has not been measured.
# - **In practice**, keep them, and look at the spread of your own raters first: weights can help only where it varies.
#
# On your own corpus: `make study CHAPTER=ambiguity_content PROFILE=msp_podcast DATA=/path/to/release`.
