# %% [markdown]
# # Which weight should the gender loss have?
#
# The loss of `fusion_gender` is that of `fusion` plus a weight, alpha, times the cross-entropy of a gender head
# {cite:p}`lertpetchpun2025`. The paper uses 1; here alpha is 0 (`fusion`), 0.1, 0.5, 1 and 2.
#
# An auxiliary task can help if the main task needs what it teaches and does not find it by itself. The simulation can
# turn this need on. Under the condition `study`, women and men change their voices alike when aroused. Under
# `gender_linked`, women sound one standard deviation more aroused than they feel, and men one less; texts, ratings and
# speakers stay the same. A system that knows the gender can correct for this.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/gender_weight"

# %% tags=["remove-input"]
from study import comparisons, plan, show
from study.chapters import gender_weight
from study.results import read_conditions

show.refuse_unknown(In)
question = plan.question(profile, "gender_weight")
studies = read_conditions(profile, results, question)
show.banner(studies[0].params)

# %% [markdown]
# ## Results

# %% tags=["hide-input"]
differences = comparisons.by_condition(comparisons.differences, studies, question)
show.answer(differences)

# %% tags=["hide-input"] mystnb={"figure": {"name": "gender_weight-forest", "caption": "Each weight against weight 0, by condition: difference of mean CCC. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence; cross: the paper's. Numbers and n: {numref}`gender_weight-differences`."}, "image": {"alt": "Forest plot: each weight compared with weight 0, for each condition"}}
grid = show.forest(differences, row="condition")

# %% tags=["hide-input"]
show.differences(differences, "Difference of mean CCC to weight 0, under each condition.", rows=("condition",))

# %% [markdown]
# Under the condition `study`, three of these comparisons are also among those of [the auxiliary
# tasks](/notebooks/auxiliary_tasks). Where the seeds are the same they are one result, here in another family; the
# verdict there counts.
#
# ## CCC by attribute

# %% tags=["hide-input"] mystnb={"figure": {"name": "gender_weight-weights", "caption": "Difference of CCC to weight 0 by weight and attribute; intervals 95 %, those of the mean simultaneous."}, "image": {"alt": "Difference of CCC to weight 0 against the weight, by attribute and condition"}}
weights = differences.assign(weight=differences["system"].map(gender_weight.weights(studies[0])).astype(str))
labels = "weight of the gender loss", "difference of CCC to weight 0"
grid = show.curves(weights, "weight", labels, hue="endpoint", col="condition")

# %% tags=["hide-input"]
scores = comparisons.by_condition(comparisons.scores, studies, question)
show.scores(scores, "CCC of each weight, of one rater and of guessing.", rows=("condition", "system"))

# %% [markdown]
# ## Gender recognition
#
# Balanced accuracy is the mean recall of women and men; guessing gives .5.

# %% tags=["hide-input"]
accuracies = gender_weight.accuracies(studies, question).sort_values(["condition", "weight"], ignore_index=True)
show.show(
    accuracies[["condition", "weight", "estimate", "low", "high", "accuracy", "majority"]].rename(
        columns={"estimate": "balanced accuracy"}
    ),
    "Gender recognition with 95 % limits over speakers; majority: always saying the more frequent gender.",
    "accuracies",
    accuracies,
)

# %% [markdown]
# ## Effect of the gender link
#
# A weight that helps under one condition alone need not work better there. {numref}`gender_weight-link-effects`
# asks this directly: the gain with the link minus the gain without.

# %% tags=["hide-input"]
effects = gender_weight.link_effects(studies, question)
show.show(
    effects.query("endpoint in ['arousal', 'mean']")[["weight", "endpoint", "estimate", "low", "high", "p"]],
    f"Gain over weight 0 with the link minus gain without, with 95 % limits and unadjusted p{show.models(effects)}.",
    "link-effects",
    effects,
)

# %% [markdown]
# ## What it means
#
# - **Mechanism.** A system hears who is a woman without being taught, since women's and men's voices differ in much
#   else, and the CCC loss itself rewards using it. The auxiliary loss can add only what this leaves. High gender
#   accuracy shows that the auxiliary task was learnt, not that it was useful.
# - **In the simulation** the link is an instrument: one direction, one size, the same for all speakers. It shows what
#   the best case looks like.
# - **On human speech** it is not known whether women and men are heard to express arousal so differently. The paper
#   tried weight 1 alone. Gender here is a label of the corpus with two values.
# - **In practice**, expect little, and choose the weight on validation data before the comparison, not from its test
#   results.
#
# On your own corpus: `make study CHAPTER=gender_weight PROFILE=msp_podcast DATA=/path/to/release`.
