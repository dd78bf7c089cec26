# %% [markdown]
# # Overview
#
# {cite:t}`lertpetchpun2025` won the attribute task of the Interspeech 2025 challenge: to predict arousal, valence and
# dominance of an utterance. Which of the winning system's choices matter, and by how much? The paper reports
# differences as small as a few thousandths, without intervals or tests. This study trains its systems again with
# several seeds and tests each step over speakers: in minutes on simulated speech, on real speech that anyone can clone,
# and at the scale of the paper.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from study import comparisons, plan, show
from study.results import read

show.refuse_unknown(In)
study = read(profile, results)
show.banner(study.params)

# %% [markdown]
# ## Results

# %% tags=["hide-input"] mystnb={"image": {"alt": "Forest plot: every tested difference of mean CCC with its interval, by question"}}
differences = comparisons.all_differences(study)
grid = show.forest(differences, row="question")

# %% [markdown]
# A mark is the difference of mean CCC {cite:p}`lin1989` of the three attributes; bars are 95 % intervals over speakers
# and seeds. Right of zero the first system is better. A difference is significant where Holm's p {cite:p}`holm1979`,
# adjusted within its question, is below .05; inconclusive does not mean equal. Crosses are the paper's differences, on
# other speech with other encoders.

# %% tags=["hide-input"]
show.differences(differences, "All tested differences of mean CCC.", rows=("question",))

# %% [markdown]
# ## Questions

# %% tags=["hide-input"]
show.contents(profile)

# %% [markdown]
# One rater against the mean of the others gives the scale:

# %% tags=["hide-input"]
first = next(iter(plan.questions(profile).values()))
show.scores(comparisons.scores(study, first), "CCC of the systems of the first question, of one rater and of guessing.")

# %% [markdown]
# About every figure that is quoted from the paper:

# %% tags=["hide-input"]
show.caveat()

# %% [markdown]
# Read on: [the data](/notebooks/data), [the method](/method), [how reliable the tests are, and what the paper could
# have detected](/notebooks/significance), [one run from sound to CCC](/notebooks/ablation), [every
# run](/notebooks/runs), and [your own corpus](/your_corpus). The chapters on what the paper leaves open are made by
# `make study CHAPTER=open`.
