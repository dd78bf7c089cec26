# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Can one use who speaks without leaning on the few who speak most?
#
# A quarter of MSP-Podcast's training speakers speak most of its utterances {cite:p}`lertpetchpun2025`. A system
# that knows the speaker may learn these few by heart. In the paper a speaker embedding lowers the CCC, and so does
# predicting the speaker; and embeddings of ten speakers were seen not to cluster. This chapter asks what these two
# uses and three others do for speakers whom a system has heard, and for new ones, as the skew grows:
#
# - `fusion_speaker_embedding` is given a frozen embedding of the voice (+ S Emb in the paper);
# - `fusion_speaker` must tell the training speakers apart (+ S Pred);
# - `fusion_speaker_adversarial` has the same speaker head, but its gradient is reversed below the head
#   {cite:p}`ganin2015`: the representation is to hide who speaks;
# - `fusion_speaker_normalised` gives each speaker's frozen features the same mean and spread. It needs no label, but
#   all utterances of a speaker at once, those of the test split too (it is transductive);
# - `fusion_speaker_capped` is trained on at most 30 utterances of each speaker, of equally many emotions as far as they
#   go.
#
# Each is held against `fusion`.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/speakers"

# %% tags=["remove-input"]
from IPython.display import HTML, Markdown

from sercore import params
from study import plan as questions
from study.chapters import speakers, speakers_report
from study.show import report

params.refuse_unknown(In)
question = questions.question(profile, "speakers")
found = speakers.read(profile, results, question)
measured = speakers.measure(found, question)
first = next(iter(found.values())).runs[0].params
HTML(report.banner(first))

# %% [markdown]
# ## Answer, as measured

# %%
Markdown(speakers_report.answer(found, measured))

# %%
Markdown(speakers_report.standing(found, measured))

# %% [markdown]
# ## How unequally do speakers talk?
#
# In the simulation, the same training utterances are dealt to the same speakers in several ways; only who says what
# differs. The test speakers are always the same, and all speak equally often.

# %% mystnb={"image": {"alt": "Lorenz curves: share of utterances spoken by the busiest speakers, a line a corpus"}}
embedded = speakers_report.embeddings(results, first.corpus.reader)
curves = speakers_report.counts(found, embedded)
speakers_report.lorenz_figure(curves)

# %%
HTML(speakers_report.skew_table(curves))

# %% [markdown]
# ## Do embeddings of one speaker cluster?
#
# The authors' picture: ten speakers, up to a hundred utterances of each, their embeddings projected to a plane by t-SNE
# {cite:p}`tsne`. Such a projection can draw clusters apart or together, so the eye alone is no judge. The silhouette
# {cite:p}`rousseeuw1987` and the equal-error rate below are those of the whole embedding.

# %% mystnb={"image": {"alt": "Scatter plots: embeddings of ten speakers on a plane, a panel a corpus"}}
speakers_report.embedding_figure(embedded)

# %%
HTML(speakers_report.embedding_table(embedded))

# %%
Markdown(speakers_report.embedding_sentences(embedded))

# %% [markdown]
# The figures are of the encoder that the table names, and of no other. That of this repository is tiny and has heard
# synthetic voices alone, so it says little of what a large one does on human speech; EmoTale's speakers also all say
# the same five sentences. Another encoder is a line in the profile's file.
#
# ## What the uses are worth
#
# *Heard*: utterances of training speakers that were kept from the training, the same share of each speaker. *New*: the
# test split. Each of the two is a family of comparisons of its own under each condition.

# %% mystnb={"image": {"alt": "Difference of each system to fusion against the skew, for heard and for new speakers"}}
speakers_report.difference_figure(found, measured)

# %%
HTML(speakers_report.difference_table(found, measured))

# %%
HTML(speakers_report.scores_table(measured))

# %% [markdown]
# ## What is known, and what is not
#
# Heard speakers are scored in proportion to how much they speak, so where the skew is large their figure is that of a
# few. That is how it would be in use, if those who speak in training are those who speak later; and it is why its
# intervals are wide. New speakers are the question of a benchmark.
#
# What the simulation can tell: whether skew alone makes a use of the speaker help or harm, everything else being equal.
# What it cannot: how people differ. Its speakers have a pitch, a rate and a loudness of their own and feel like
# everyone else; people also differ in how they show what they feel, which is what a system might want to learn of a
# speaker. A difference that is unresolved here may be there on real speech, and one that is resolved here may not.
#
# What would change the answer: more test speakers (the intervals are over speakers), more seeds, or
# speakers whose habits of showing feelings differ.
#
# ## On your own corpus
#
# ```bash
# make study CHAPTER=speakers PROFILE=msp_podcast DATA=/path/to/release
# ```
#
# runs the same on a release of MSP-Podcast, with its own skew; `PROFILE=emotale` on EmoTale, where all speak equally
# often. Any other corpus needs a condition of its own in `params/questions.yaml`: `sampling.held_out`, the share of
# each training speaker's utterances that is kept to score on, and a `samples_per_emotion` that fits what is left.
