# %% [markdown]
# # Compare your own systems
#
# Files of predictions are enough: no corpus, no model, no part of this study but the bare package (`pip install .`).
#
# ```
# python -m sercore compare mine='mine-*.csv' baseline=baseline.csv --gold labels_consensus.csv --output comparison
# ```
#
# Each system is a file, or a pattern of files of its seeds; each is compared with the last. Columns are those of
# MSP-Podcast's labels and the challenge's submissions (`FileName`, `EmoAct`, `EmoVal`, `EmoDom`, `SpkrID`,
# `Split_Set`), or `utterance`, `arousal`, `valence`, `dominance`, `speaker`, `split`; `--id` and `--speaker` name
# others. Gold values may stand in the same file, beside `predicted_arousal` and so on. Rows are matched by utterance.
# From a licensed corpus only sums by speaker need to leave your machine: `sums.parquet` of a study is read as well.

# %% tags=["parameters", "quiet"]
folder = "results/compare"

# %% tags=["remove-input"]
from pathlib import Path

from IPython.display import Markdown

from sercore import report
from sercore.compare import Options, compare, paragraph
from sercore.params import resolve
from study import show

show.refuse_unknown(In)

# %% [markdown]
# ## An example
#
# The two files are predictions of this study for simulated speech, as a challenge's participant would submit them.

# %% tags=["hide-input"]
systems = {name: str(resolve(Path(folder)) / f"{name}.csv") for name in ("fusion", "speech_only")}
scores, differences = compare(systems, resolve(Path(folder)) / "labels.csv", Options())
show.show(report.printed_scores(scores), "CCC of each system with 95 % intervals.", "scores", scores)

# %% tags=["hide-input"]
show.differences(differences, "Difference of mean CCC.")

# %% tags=["hide-input"] mystnb={"figure": {"name": "compare-forest", "caption": "Difference of mean CCC of the two systems. Thin bar clear of 0: a difference; thick bar within the grey margin: an equivalence. Numbers and n: {numref}`compare-differences`."}, "image": {"alt": "Forest plot: the difference of the two systems with its intervals and the margin"}}
grid = show.forest(differences)

# %% [markdown]
# A paragraph to paste, which `--output` writes too, beside the tables (CSV, LaTeX) and the figure (SVG, PNG):

# %% tags=["hide-input"]
Markdown(f"> {paragraph(scores, differences)}")

# %% [markdown]
# ## What it refuses, and what it says
#
# - Refused, with the file and the count: an utterance twice, a prediction that is no number, predictions on another scale
#   than the gold values, gold values in place of predictions, gold values that differ between files.
# - Reported: utterances that a file lacks or that have no gold value, unknown speakers, columns that correlate as if
#   exchanged, constant predictions, which have a CCC of 0.
#
# Speakers are the units. With three seeds or more of each system the verdict is about ways of training, with fewer about
# the trained models. `--margin` is the largest difference that does not matter, .02 by default: fix it before you look.
# [The method](/method) has the formulas.
