# %% [markdown]
# # Do speaker and gender help as input or as auxiliary task?
#
# Voices differ more than emotions do. The paper {cite:p}`lertpetchpun2025` tries three ways to let a system know the
# speaker, each compared here with `fusion`:
#
# - `fusion_speaker_embedding`: a frozen speaker embedding as additional input (+ S Emb);
# - `fusion_speaker`: classification of the training speakers with an additive angular margin {cite:p}`arcface` (+ S
#   Pred);
# - `fusion_gender`: classification of the gender, with weight 1 (+ G Pred); `fusion_gender_0.5` and `fusion_gender_0.1`
#   with smaller weights.

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

# %% tags=["hide-input"]
question = plan.question(profile, "auxiliary_tasks")
differences = comparisons.differences(study, question)
show.answer(differences)

# %% tags=["hide-input"] mystnb={"figure": {"name": "auxiliary_tasks-forest", "caption": "Difference of mean CCC to `fusion`. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence; cross: the paper's. Numbers and n: {numref}`auxiliary_tasks-differences`."}, "image": {"alt": "Forest plot: speaker embedding, speaker and gender prediction, each against fusion"}}
grid = show.forest(differences)

# %% tags=["hide-input"]
show.differences(differences, "Difference of mean CCC to `fusion`, which uses neither speaker nor gender.")

# %% [markdown]
# ## CCC of all systems

# %% tags=["hide-input"]
show.scores(comparisons.scores(study, question), "CCC of each system, of one rater and of guessing.")

# %% [markdown]
# ## What it means
#
# - **Mechanism.** A high pitch is arousal in one voice and habit in another, so a system that knows the voice could
#   correct for it. But a few speakers produce most of the training utterances ([the data](/notebooks/data)), and no
#   test speaker is among them: what is learnt of these few need not generalise. An auxiliary task helps only if the
#   main task needs what it teaches and does not find it by itself.
# - **In the simulation** speakers differ in pitch, range, rate and loudness, and arousal changes all voices alike.
#   Knowing a voice could help; knowing its gender adds nothing, unless a condition makes it (`CHAPTER=gender_weight`).
# - **On human speech** the paper's gender step is smaller than a test set of the challenge's size can detect
#   ([significance](/notebooks/significance)), and EmoTale has few speakers ([real speech](/notebooks/real_speech)). Its
#   two speaker steps are losses.
# - **In practice**, a gender head is cheap and no reason to expect a gain. `CHAPTER=speakers` compares uses of the
#   speaker that depend less on the most frequent ones.
#
# ## Comparison with the paper

# %% tags=["hide-input"]
show.beside_the_paper(differences)
