# %% [markdown]
# # Can speaker information help without overfitting to the most frequent speakers?
#
# A quarter of MSP-Podcast's training speakers produce most of its utterances {cite:p}`lertpetchpun2025`. In the paper a
# speaker embedding lowers the CCC, and so does predicting the speaker; embeddings of ten speakers did not cluster. This
# chapter compares five uses of speaker information with `fusion`, for speakers seen in training and for unseen ones, as
# the skew grows:
#
# - `fusion_speaker_embedding`: a frozen speaker embedding as input (+ S Emb in the paper);
# - `fusion_speaker`: classification of the training speakers (+ S Pred);
# - `fusion_speaker_adversarial`: the same with a reversed gradient {cite:p}`ganin2015`, to hide the speaker;
# - `fusion_speaker_normalised`: each speaker's frozen features get the same mean and spread (transductive: it needs all
#   utterances of a speaker, but no label);
# - `fusion_speaker_capped`: at most 30 training utterances a speaker.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/speakers"
human = "results/emotale/speakers"

# %% tags=["remove-input"]
from study import comparisons, plan, show
from study.chapters import speakers
from study.results import read_conditions

show.refuse_unknown(In)
question = plan.question(profile, "speakers")
studies = read_conditions(profile, results, question)
show.banner(studies[0].params)

# %% [markdown]
# ## Results

# %% tags=["hide-input"] mystnb={"figure": {"name": "speakers-seen", "caption": "Difference of mean CCC to `fusion` by skew of the training split, with simultaneous 95 % intervals. Numbers and n: {numref}`speakers-differences`."}, "image": {"alt": "Difference of each system to fusion against the skew, for seen and unseen speakers"}}
differences = speakers.differences(studies, question)
labels = "skew of the training split", "difference of mean CCC"
grid = show.curves(comparisons.tested(differences), "skew", labels, hue="system", col="kind")

# %% [markdown]
# What is not inconclusive, if anything (`train`: what was held out of seen speakers):

# %% tags=["hide-input"]
show.answer(differences[differences["verdict"] != "inconclusive"])

# %% tags=["hide-input"]
show.differences(
    differences.sort_values("kind", ascending=False, kind="stable"),
    "Difference of mean CCC to `fusion`, the least skewed condition first.",
    rows=("kind", "condition"),
)

# %% tags=["hide-input"]
changes = speakers.changes(differences)
show.show(
    changes.drop(columns="sets"),
    "Change of the difference from the least to the most skewed condition, with 95 % limits, not adjusted"
    f"{show.models(changes)}.",
    "changes",
    changes,
)

# %% [markdown]
# ## Distribution of utterances over speakers
#
# In the simulation, the same training utterances are assigned to the same speakers in several ways. Test speakers are
# always the same and speak equally often.

# %% tags=["hide-input"]
embeddings = speakers.read({profile: results, "EmoTale (human)": human})
show.show(
    speakers.skews(studies, embeddings["counts"]),
    "Known speakers, and the share of the utterances that the most talkative 26 % speak.",
    "skew",
)

# %% [markdown]
# ## Speaker embeddings
#
# The authors' picture: ten speakers, up to a hundred utterances of each, by t-SNE {cite:p}`tsne`. Such a projection can
# draw clusters apart or together, so silhouette {cite:p}`rousseeuw1987` and equal-error rate are those of the whole
# embedding. The picture has a point an utterance, so that of human speech is not in the repository: a study of that corpus
# draws it.

# %% tags=["hide-input"] mystnb={"figure": {"name": "speakers-plane", "caption": "Embeddings of ten speakers, up to a hundred utterances of each, by t-SNE; one colour per speaker. Measures of the whole embedding: {numref}`speakers-embedding`."}, "image": {"alt": "Scatter plots: speaker embeddings of ten speakers on a plane, by corpus"}}
plane = embeddings["embedding_2d"].reset_index(drop=True)
axes = {"sharex": False, "sharey": False}
style = {"hue": "speaker", "col": "corpus", "palette": "tab10", "legend": False, "height": 3.3, "facet_kws": axes}
grid = show.relplot(plane, "x", "y", ("t-SNE, first axis (no unit)", "second axis (no unit)"), **style)

# %% tags=["hide-input"]
show.scores(
    embeddings["embedding"],
    "Silhouette (0: no clusters) and equal-error rate (.5: guessing) of the whole embedding.",
    rows=("corpus", "encoder"),
    columns="measure",
    name="embedding",
)

# %% [markdown]
# {numref}`speakers-embedding` names the encoder of each corpus. `speaker-nano`, which this repository carries, is tiny and was
# pretrained on synthetic voices; Resemblyzer was trained on many human speakers {cite:p}`ge2e`.

# %% [markdown]
# ## What it means
#
# - **Mechanism.** What a system learns about a speaker can only be used when that speaker comes back. Seen speakers are
#   scored in proportion to how much they speak, so with a large skew their figure is that of a few, and its interval is
#   wide. Unseen speakers are a benchmark's question.
# - **In the simulation** speakers differ in pitch, rate and loudness but feel alike. It shows whether skew alone makes
#   a use of the speaker help or harm.
# - **On human speech** people also differ in how they express affect, which is what a system might learn about them; a
#   difference found here may be absent there, and the reverse.
# - **In practice**, decide first whether the system will meet its training speakers, and test on such speakers only.
#
# On your own corpus: `make study CHAPTER=speakers PROFILE=msp_podcast DATA=/path/to/release`. Another corpus needs a
# condition of its own in `params/questions.yaml` (`sampling.held_out`, and a `samples_per_emotion` that fits the rest).
