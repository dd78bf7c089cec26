# %% [markdown]
# # Cross-corpus generalisation: ranking error or calibration error?
#
# Corpora differ in speakers, microphones, elicitation, raters and scales. Every system is trained on each corpus that
# is available on this machine and tested on all of them.
#
# A low CCC on another corpus has two causes. With a **calibration (scale) error**, predictions are too high, too low,
# too narrow or too wide, which a few labelled utterances would correct. With a **ranking error**, the system cannot
# tell which of two utterances is more aroused, and no rescaling helps. So each CCC is given as predicted and *aligned*,
# after the predictions were given the mean and standard deviation of the test corpus. The aligned CCC is Pearson's
# correlation; where it is positive, no other map $a + b \cdot \text{prediction}$ with $b > 0$ has a higher CCC.

# %% tags=["parameters", "quiet"]
profile = "embedded"
results = "results/embedded/cross_corpus"

# %% tags=["remove-input"]
from study import show
from study.chapters import cross_corpus
from study.results import read_tables

show.refuse_unknown(In)
tables = read_tables(results, cross_corpus.TABLES)
show.show(
    cross_corpus.sizes(tables, profile),
    "Declared corpora, and what systems are tested on; 0: not available on this machine.",
    "corpora",
)

# %% [markdown]
# ## Results

# %% tags=["hide-input"]
means = tables["matrix"].query("endpoint == 'mean'")
show.scores(
    means.query("train != test"),
    "Mean CCC on another corpus, what aligning gains, and what is left to the system that was trained there.",
    rows=("train", "test", "system"),
    columns="measure",
    name="matrix",
)

# %% tags=["hide-input"] mystnb={"figure": {"name": "cross_corpus-heat", "caption": "Mean CCC of all pairs of corpora, as predicted and aligned, with 95 % intervals over speakers."}, "image": {"alt": "Heat maps: mean CCC of all pairs of corpora, as predicted and aligned, by system"}}
cells = means.query("measure in ['CCC', 'aligned CCC']")
grid = show.heatmap(cells, "train", "test", ("tested on", "trained on"), col="measure", row="system")

# %% [markdown]
# Within a column of {numref}`cross_corpus-heat` all systems are tested on the same utterances; columns differ in how hard
# these are. On the diagonal a system is tested on unseen speakers of its own corpus, with folds pooled; elsewhere each
# run is tested by itself.
#
# ## Text across corpora

# %% tags=["hide-input"]
show.differences(
    tables["differences"],
    "Difference of mean CCC as predicted; all pairs of declared corpora are one family.",
    rows=("train", "test"),
)

# %% [markdown]
# ## What it means
#
# - The intervals are over speakers, with the trained models as they are. The corpora are no random sample: nothing
#   follows for a corpus outside the matrix.
# - Transfer from or to simulated speech shows that the measurement works. It says nothing about human speech.
# - EmoTale's sentences are the same in every emotion by design. A system with text can gain nothing from them.
# - Aligning uses the labels of the test corpus. It bounds what calibration could gain and is no way to predict.
# - Raters differ too: where they hardly agree, no system has a high CCC.
#
# On your own corpora: `params/questions.yaml` lists corpora by name and profile under `cross_corpus`; one whose path is
# missing is left out, that of `PROFILE` is always in: `make study CHAPTER=cross_corpus PROFILE=msp_podcast
# DATA=/path/to/release`. Several releases of MSP-Podcast need a profile each, with its own path; what a system was
# trained on in one release, it is not tested on in another, but a speaker may be in both.
