# %% [markdown]
# # Do “other” and “no agreement” utterances help in training?
#
# Raters call the emotion of some utterances *other* (O); on others no emotion has a plurality (X). These utterances
# have attributes like the rest, but occur in no test split. The systems differ in their training set:
#
# - `fusion`: drawn from all emotions of the training split, O and X included;
# - `fusion_without_ambiguous`: without O and X;
# - `fusion_fewer_agreed`: with them, but without as many of the others (a control of equal size);
# - `fusion_ambiguous_only`: O and X alone (the paper's "- Non-O/X" can be read as this or as the control above);
# - `fusion_development_ambiguous`: with O and X of the development split too;
# - `fusion_development_ambiguous_fewer_agreed`: the same, without as many others;
# - `fusion_development_ambiguous_disjoint`: only with those O and X of the development split whose speakers have no
#   utterance in the validation set.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
import pandas as pd

from study import comparisons, plan, show
from study.results import read

show.refuse_unknown(In)
study = read(profile, results)
show.banner(study.params)

# %% [markdown]
# ## Results

# %% tags=["hide-input"]
question = plan.question(profile, "ambiguous_labels")
differences = comparisons.differences(study, question)
show.answer(differences)

# %% tags=["hide-input"] mystnb={"figure": {"name": "ambiguous_labels-forest", "caption": "Other training sets against `fusion`: difference of mean CCC. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence; cross: the paper's. Numbers and n: {numref}`ambiguous_labels-differences`."}, "image": {"alt": "Forest plot: six other training sets, each compared with fusion"}}
grid = show.forest(differences)

# %% tags=["hide-input"]
show.differences(differences, "Difference of mean CCC to `fusion`, which trains on the whole training split.")

# %% [markdown]
# ## CCC of all systems

# %% tags=["hide-input"]
scores = comparisons.scores(study, question)
show.scores(scores, "CCC of each system, of one rater and of guessing.")

# %% [markdown]
# ## Leakage from the development split
#
# `fusion_development_ambiguous` trains on speakers of the set that chooses its epoch, and on which the paper reports.
# If that leaked, its gain would be larger on the validation set than on a test split, and
# `fusion_development_ambiguous_disjoint`, which is trained on no speaker of the validation set, would not have it.

# %% tags=["hide-input"]
development = comparisons.scores(study, question, "development")
validation = comparisons.validation_scores(study, question)
compared = pd.concat([validation, development, scores]).query("endpoint == 'mean' and system in @question.compared")

# %% tags=["hide-input"] mystnb={"figure": {"name": "ambiguous_labels-sets", "caption": "Mean CCC of each system by set. Bars: range over seeds on the validation set, 95 % interval over speakers elsewhere."}, "image": {"alt": "Mean CCC of each system on the validation set, the development and the test split"}}
grid = show.points(compared, "system", "mean CCC", hue="split")

# %% [markdown]
# The development split here holds the utterances on which none of the systems was trained.

# %% tags=["hide-input"]
show.differences(
    comparisons.differences(study, question, "development"),
    "Difference of mean CCC to `fusion` on the development split.",
    name="development-differences",
)

# %% [markdown]
# ## What it means
#
# - **Mechanism.** Raters of O and X disagree on the word. If they agree on the attributes as usual, such utterances are
#   training data like any others. Leaving utterances out takes away what they teach and how many there are; the control
#   of equal size separates the two. O and X of the development split also bring new speakers.
# - **In the simulation** O and X are ordinary utterances by design: the raters' published behaviour gives them the
#   attributes and the spread of the rest ([the data](/notebooks/data)). Their number can matter, and not their kind.
# - **On human speech** the raters of WHiSER, from whom the simulation takes its figures, behave like this
#   {cite:p}`whiser`. Of these steps the paper gains clearly only with O and X of the development split in
#   place of agreed utterances, and it reports on that split.
# - **In practice**, keep O and X if attributes are predicted. If development utterances are added to the training data,
#   report on a test split. `CHAPTER=ambiguity_content` varies their dose and their noise.
#
# ## Comparison with the paper

# %% tags=["hide-input"]
show.beside_the_paper(differences)
