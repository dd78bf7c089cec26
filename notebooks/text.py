# %% [markdown]
# # Does the transcript help?
#
# An utterance is judged by how it sounds and by what it says. Systems with text concatenate a frozen embedding of the
# transcript with the speech embedding ([the model](/method)); `speech_only` and `whisper_only` do without. The paper
# {cite:p}`lertpetchpun2025` reports this step for WavLM. It is repeated here for the encoder of `whisper_only`, since
# the gain depends on what the speech encoder already knows about words.

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

# %% tags=["hide-input"] mystnb={"figure": {"name": "text-forest", "caption": "Difference of mean CCC: text, and the frozen against the fine-tuned encoder. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence; cross: the paper's. Numbers and n: {numref}`text-differences`."}, "image": {"alt": "Forest plot: what text adds to each speech encoder, and the frozen encoder compared with the fine-tuned one"}}
grid = show.forest(differences)
# %% tags=["hide-input"]
show.differences(differences, "Difference of mean CCC: text, and the frozen against the fine-tuned encoder.")

# %% [markdown]
# ## CCC with and without text

# %% tags=["hide-input"]
show.scores(comparisons.scores(study, question), "CCC of each system, of one rater and of guessing.")

# %% [markdown]
# ## What it means
#
# - **Mechanism.** Arousal and dominance are heard in the voice; valence lies largely in the words. Text adds most to
#   valence, and least to an encoder that already recognises words, as large ones do {cite:p}`wagner2023`.
# - **In the simulation** the gain is by design: valence is a weak cue of the voice, and the words tell it. The
#   transcripts have no recognition errors, so the gain is an upper bound.
# - **On human speech** the paper's system without text already hears most of the valence ({numref}`text-scores`), so text has
#   far less to add. EmoTale's sentences are neutral: text is a negative control there ([real
#   speech](/notebooks/real_speech)).
# - **In practice**, report valence with and without text, and with the transcripts that a user would have
#   (`CHAPTER=transcripts`). The encoder of `fusion` is fine-tuned and that of `whisper_fusion` frozen: their difference
#   is one of encoder and adaptation together.
#
# ## Comparison with the paper

# %% tags=["hide-input"]
show.beside_the_paper(differences)
