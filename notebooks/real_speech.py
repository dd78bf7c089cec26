# %% [markdown]
# # On real speech: EmoTale
#
# EmoTale {cite:p}`emotale` is human speech that anyone can fetch: enacted emotions, five neutral sentences, 14 speakers
# in English and 18 in Danish, each utterance rated by three listeners. Speaker-disjoint folds test every speaker once.
# In the profile `emotale` the speech encoder is that of Whisper tiny.en {cite:p}`whisper`, frozen, its hidden states
# layer-normalised; only the heads are trained. {numref}`real_speech-scores` names the encoder of each system.

# %% tags=["parameters", "quiet"]
profile = "emotale"
results = "results/emotale/paper"
fairness = "results/emotale/fairness"

# %% tags=["remove-input"]
from study import comparisons, plan, show
from study.results import read, read_tables

show.refuse_unknown(In)
study = read(profile, results)
show.banner(study.params)

# %% [markdown]
# ## Results

# %% tags=["hide-input"]
question = plan.question(profile, "real_speech")
differences = comparisons.differences(study, question)
show.answer(differences)

# %% tags=["hide-input"]
scores = comparisons.scores(study, question)
show.scores(scores, "CCC of each system, of one rater and of guessing.", rows=("system", "encoder"))

# %% tags=["hide-input"] mystnb={"figure": {"name": "real_speech-forest", "caption": "Difference of mean CCC on EmoTale. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence; cross: the paper's. Numbers and n: {numref}`real_speech-differences`."}, "image": {"alt": "Forest plot: each comparison of systems on EmoTale"}}
grid = show.forest(differences)

# %% tags=["hide-input"]
show.differences(differences, "Differences of mean CCC, one family.")

# %% [markdown]
# - `speech_only` is the reference, in `emotale` the frozen encoder with layer-normalised states. `readout_raw_20` averages raw
#   states, as the paper does, for 20 epochs.
# - `speech_finetuned` fine-tunes `wavlm-nano`, a tiny encoder pretrained on no human voice. `egemaps_ridge`, a ridge
#   regression on the 88 functionals of eGeMAPS {cite:p}`egemaps`, is the field's classic; `ridge_probe` is one on the
#   time averages of the frozen encoder's states.
# - `fusion` adds the transcript. The sentences are neutral, so this is a negative control: it should not help.
# - `speech_gender`, `speech_speaker` and `speech_speaker_embedding` add gender or speaker, as auxiliary tasks and as an
#   embedding.
#
# ## Which layers carry emotion

# %% tags=["hide-input"] mystnb={"figure": {"name": "real_speech-layers", "caption": "Left: learned weights, mean and standard deviation over runs. Right: mean CCC of a ridge regression on one hidden state, with its interval over speakers."}, "image": {"alt": "Learned weight of each hidden state, and CCC of a ridge regression on it alone"}}
layers = read_tables(results, ["layers"])["layers"]
grid = show.curves(layers, "layer", ("hidden state", ""), col="measure", facet_kws={"sharey": False})

# %% [markdown]
# ## By gender and emotion

# %% tags=["hide-input"] mystnb={"figure": {"name": "real_speech-groups", "caption": "Mean CCC of `speech_only` by gender and by emotion, with 95 % intervals over speakers."}, "image": {"alt": "Mean CCC of speech_only on EmoTale, by gender and by emotion"}}
groups = read_tables(fairness, ["groups"])["groups"].query("endpoint == 'mean' and system == 'speech_only'")
grid = show.points(groups.query("grouping in ['all', 'gender', 'emotion']"), "group", "mean CCC", hue="grouping")

# %% [markdown]
# Within one emotion gold values vary less, so that the same error gives a lower CCC. The chapter on performance by gender,
# emotion and duration (`CHAPTER=fairness`) has the tests, and that on languages (`CHAPTER=languages`) tells how far
# systems generalise from one language to the other.
#
# ## What it means
#
# - **Mechanism.** Whisper's encoder was pretrained on much human speech {cite:p}`whisper`, `wavlm-nano` on
#   synthetic voices alone, and eGeMAPS is 88 averages. Average states of unequal scale hide what an encoder knows;
#   `CHAPTER=readout` takes this apart.
# - **Against the simulation.** Synthetic speech need not rank encoders as human speech does: `CHAPTER=adaptation`
#   compares the same encoder, on simulated speech, with one pretrained on synthetic voices alone.
# - **What is not shown.** With so few speakers only large differences can be found, so inconclusive rows say nothing
#   against text, speaker or gender. The speech is enacted and the sentences are neutral. Figures on spontaneous speech
#   are usually lower.
# - **In practice**, start from a frozen encoder with normalised states: it trains in seconds. Keep a ridge regression
#   and eGeMAPS beside it; a system below these is not yet working.
