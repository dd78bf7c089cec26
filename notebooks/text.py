# %% [markdown]
# # Does the transcript help?
#
# An utterance is judged by how it sounds and by what it says. Systems with text concatenate a frozen embedding of the
# transcript with the speech embedding ([the model](/method)); `speech_only` and `whisper_only` do without. The paper
# {cite:p}`lertpetchpun2025` reports this step for WavLM. It is repeated here for Whisper, since the gain depends on
# what the speech encoder already knows about words.

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
question = plan.question(profile, "text")
differences = comparisons.differences(study, question)
show.answer(differences)

# %% tags=["hide-input"] mystnb={"figure": {"name": "text-forest", "caption": "Difference of mean CCC: text, and Whisper against WavLM. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence; cross: the paper's. Numbers and n: {numref}`text-differences`."}, "image": {"alt": "Forest plot: what text adds to WavLM and to Whisper, and Whisper compared with WavLM"}}
grid = show.forest(differences)
# %% tags=["hide-input"]
show.differences(differences, "Difference of mean CCC: what text adds to each encoder, and Whisper against WavLM.")

# %% [markdown]
# ## CCC with and without text

# %% tags=["hide-input"]
show.scores(comparisons.scores(study, question), "CCC of each system, of one rater and of guessing.")

# %% [markdown]
# ## Discussion
#
# The gain from `speech_only` to `fusion` is an upper bound: the transcripts are the words as they were meant, without
# recognition errors, unlike those of `CHAPTER=transcripts`. WavLM is fine-tuned and Whisper is frozen, so their
# difference is one of encoder and adaptation together.
#
# On simulated speech the gain follows from the design: a voice there carries next to no valence, and only the words tell
# it. The paper's system without text hears most of the valence ({numref}`text-scores`), so that text has far less to add.
#
# ## Comparison with the paper

# %% tags=["hide-input"]
show.beside_the_paper(differences)
