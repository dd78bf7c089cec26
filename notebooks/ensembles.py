# %% [markdown]
# # Are ensembles better?
#
# Both systems that {cite:t}`lertpetchpun2025` submitted are ensembles: the mean of the predictions of a few systems,
# here taken seed by seed; nothing is trained for them.
#
# - `ensemble_two` (place 1): `speech_gender_development_ambiguous` and `whisper_fusion`;
# - `ensemble_three` (place 2): `speech_gender_development_ambiguous`, `speech_gender` and
#   `whisper_gender_development_ambiguous`.
#
# Both are compared with the challenge's `baseline`, and `ensemble_two` with each of its members: an ensemble is worth
# its cost only if it is better than its best member.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/paper"

# %% tags=["remove-input"]
from study import comparisons, paper, plan, show
from study.results import read

show.refuse_unknown(In)
study = read(profile, results)
show.banner(study.params)

# %% [markdown]
# ## Results

# %% tags=["hide-input"]
question = plan.question(profile, "ensembles")
differences = comparisons.differences(study, question)
show.answer(differences)

# %% tags=["hide-input"] mystnb={"figure": {"name": "ensembles-forest", "caption": "Ensembles against members and baseline: difference of mean CCC. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence; cross: the paper's. Numbers and n: {numref}`ensembles-differences`."}, "image": {"alt": "Forest plot: ensembles compared with the baseline, their members and each other"}}
grid = show.forest(differences)

# %% tags=["hide-input"]
show.differences(differences, "Difference of mean CCC between ensembles, their members and the challenge's baseline.")

# %% [markdown]
# ## Ensembles, members and baseline

# %% tags=["hide-input"]
show.scores(comparisons.scores(study, question), "CCC of each system, of one rater and of guessing.")

# %% [markdown]
# ## What it means
#
# - **Mechanism.** A mean of predictions has a smaller error where its members err differently, but also a smaller
#   spread, which CCC punishes. A gain over the baseline contains all that differs between them: encoders, text,
#   auxiliary task and sampling.
# - **In the simulation** the members' encoders are small and learnt from the same synthetic voices, so their errors are
#   more alike than those of WavLM and Whisper may be. Noise of the raters is common to all and does not average out.
# - **On human speech** the only evidence is the challenge's ranking, whose labels are hidden (the table below). An
#   ensemble was not tried on EmoTale.
# - **In practice**, compare an ensemble with its best member, not with a baseline, and count its cost as the sum of its
#   members' ([the ranking](/notebooks/overview)).
#
# ## Comparison with the paper

# %% tags=["hide-input"]
show.beside_the_paper(differences)

# %% [markdown]
# The challenge's own ranking, on a test set whose labels are hidden:

# %% tags=["hide-input"]
show.show(
    paper.results().query("data == 'Test3'")[["arousal", "valence", "dominance", "mean"]],
    "CCC on Test3, from the paper (second-hand).",
    "challenge",
)
