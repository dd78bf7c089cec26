# %% [markdown]
# # On real speech
#
# Which results hold on human speech? The committed ones are on EmoTale {cite:p}`emotale`, which anyone can fetch: enacted
# emotions, five neutral sentences, 14 speakers in English and 18 in Danish, each utterance rated by three listeners.
# Who has IEMOCAP {cite:p}`iemocap` makes the same chapter on its acted dialogues. Speaker-disjoint folds test every speaker
# once. In the profiles `emotale` and `iemocap` the speech encoder is that of Whisper tiny.en {cite:p}`whisper`, frozen,
# its hidden states layer-normalised; only the heads are trained. {numref}`real_speech-scores` names the encoder of each
# system.

# %% tags=["parameters", "quiet"]
profile = "emotale"
results = "results/emotale/paper"

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

# %% tags=["hide-input"] mystnb={"figure": {"name": "real_speech-forest", "caption": "Difference of mean CCC on real speech. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence; cross: the paper's. Numbers and n: {numref}`real_speech-differences`."}, "image": {"alt": "Forest plot: each comparison of systems on real speech"}}
grid = show.forest(differences)

# %% tags=["hide-input"]
show.differences(differences, "Differences of mean CCC, one family.")

# %% [markdown]
# - `speech_only` is the reference. `readout_raw_20` averages the raw states of a frozen Whisper encoder, as the paper does,
#   for 20 epochs.
# - `speech_finetuned` fine-tunes the profile's WavLM for 20 epochs. Where that is `wavlm-nano`, it is a tiny encoder
#   pretrained on no human voice. `egemaps_ridge`, a ridge regression on the 88 functionals of eGeMAPS {cite:p}`egemaps`,
#   is the field's classic; `ridge_probe` is one on the time averages of a frozen Whisper encoder's states.
# - `fusion` adds the transcript. EmoTale's sentences are neutral, so this is a negative control there: it should not help.
# - `speech_gender`, `speech_speaker` and `speech_speaker_embedding` add gender or speaker, as auxiliary tasks and as an
#   embedding.
#
# ## Which layers carry emotion

# %% tags=["hide-input"] mystnb={"figure": {"name": "real_speech-layers", "caption": "Hidden states of a frozen encoder. Left: learned weights, mean and standard deviation over runs. Right: mean CCC of a ridge regression on one hidden state, with its interval over speakers."}, "image": {"alt": "Learned weight of each hidden state, and CCC of a ridge regression on it alone"}}
tables = read_tables(results, ["layers", "groups"])
grid = show.curves(tables["layers"], "layer", ("hidden state", ""), col="measure", facet_kws={"sharey": False})

# %% [markdown]
# ## By gender and emotion

# %% tags=["hide-input"] mystnb={"figure": {"name": "real_speech-groups", "caption": "Mean CCC of `speech_only` on this profile's corpus, by gender and by emotion, with 95 % intervals over speakers."}, "image": {"alt": "Mean CCC of speech_only by gender and by emotion"}}
groups = tables["groups"].query("endpoint == 'mean' and grouping in ['all', 'gender', 'emotion']")
grid = show.points(groups, "group", "mean CCC", hue="grouping")

# %% [markdown]
# Within one emotion gold values vary less, so that the same error gives a lower CCC. The chapter on performance by gender,
# emotion and duration (`CHAPTER=fairness`) has the tests, and on EmoTale that on languages (`CHAPTER=languages`) tells how
# far systems generalise from one language to the other.
#
# ## What it means
#
# - **Mechanism.** Whisper's encoder was pretrained on much human speech {cite:p}`whisper`, `wavlm-nano` on
#   synthetic voices alone, and eGeMAPS is 88 functionals of hand-made features. Average states of unequal scale hide what
#   an encoder knows; the chapter on readouts (`CHAPTER=readout`) takes this apart.
# - **Against the simulation.** Synthetic speech need not rank encoders as human speech does: `CHAPTER=adaptation`
#   compares the same encoder, on simulated speech, with one pretrained on synthetic voices alone.
# - **What is not shown.** With so few speakers only large differences can be found, so inconclusive rows say nothing
#   against text, speaker or gender. Emotions are enacted or acted here. Figures on spontaneous speech are usually
#   lower.
# - **In practice**, start from a frozen encoder with normalised states: it trains in seconds. Keep a ridge regression
#   and eGeMAPS beside it; a system below these is not yet working.
