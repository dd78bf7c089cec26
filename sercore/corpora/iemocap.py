"""IEMOCAP: acted dialogues of ten speakers in five sessions, scripted and improvised, as the full release unpacks.

Busso et al., "IEMOCAP: Interactive emotional dyadic motion capture database", Language Resources and Evaluation 42,
2008. ``Session<k>/dialog/EmoEvaluation/<dialog>.txt`` holds a block an utterance, a header and then a line a rater::

    [6.2901 - 8.2357]<TAB>Ses01F_impro01_F000<TAB>neu<TAB>[2.5000, 2.5000, 2.5000]
    C-E2:<TAB>Neutral;<TAB>()
    A-E3:<TAB>val 3; act 2; dom  2;<TAB>()

The three numbers are valence, activation (here arousal) and dominance.
"""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pandas as pd

from sercore import ATTRIBUTES
from sercore.corpora import files
from sercore.corpus import RATING_COLUMNS, Corpus, CorpusError, some
from sercore.params import CorpusParams, resolve

KIND = "acted"
DESCRIPTION = (
    "IEMOCAP: real voices, but dialogues acted by ten speakers. Figures do not show how a system performs on"
    " spontaneous speech."
)
LICENCE = "by agreement with USC; ask whether yours covers publishing a model"
SCALE = (1.0, 5.0)
EMOTIONS = {"neu": "N", "hap": "H", "ang": "A", "sad": "S", "fea": "F", "sur": "U", "dis": "D"}
EMOTIONS |= {"exc": "H", "fru": "O", "oth": "O", "xxx": "X"}
"""Codes of the consensus. Excitement is filed under happiness, as most of the literature does; frustration, which is
none of the eight primary emotions, under other; ``xxx`` says that the raters did not agree."""

HEADER = re.compile(
    r"\[\s*[\d.]+\s*-\s*[\d.]+\s*\]\s+(?P<utterance>\S+)\s+(?P<emotion>\S+)\s+"
    r"\[(?P<valence>[^,\]]*),(?P<arousal>[^,\]]*),(?P<dominance>[^,\]]*)\]"
)
FORM = "'[6.2901 - 8.2357] Ses01F_impro01_F000 neu [2.5000, 2.5000, 2.5000]' with valence, activation and dominance"
# The letter after the session names the actor with the markers; who speaks is told by the last field.
UTTERANCE = re.compile(r"(?P<session>Ses\d\d)[FM]_.+_(?P<letter>[FM])\d+")
# Raters E are external; F and M are the actors themselves, whom the consensus leaves out. A rating may be blank.
VOTE = re.compile(r"C-(?P<rater>E\d+):\s*(?P<word>[A-Za-z]+)")
RATING = re.compile(
    r"A-(?P<rater>E\d+):\s*val\s*(?P<valence>[^;]*);\s*act\s*(?P<arousal>[^;]*);\s*dom\s*(?P<dominance>[^;]*);"
)
SPOKEN = re.compile(r"(?P<utterance>Ses\S+)\s+\[[^\]]*\]:?(?P<text>.*)")
TOLERANCE = 1e-3  # of the consensus, which the release rounds to 4 decimals
BEYOND = 1.0  # an attribute so far outside the scale is drawn to its end: raters are reported to have gone beyond 5


class Params(CorpusParams):
    """The full release of IEMOCAP on disk; it has no official split, so session ``seed % 5 + 1`` is the test set."""

    folds: Literal[5] = 5
    missing_audio: Literal["error", "skip"] = "error"


def read(params: Params, seed: int) -> Corpus:
    """Read the release, split by sessions, since the corpus has no official split.

    Of the sessions that are there, in order, number ``seed % 5`` is test1, the next one development, the others train.
    No speaker is in two sessions, but scripted dialogues repeat their text in each.

    Attributes are from 1 to 5, ``emotion`` as in `EMOTIONS`; transcripts keep tags such as ``[LAUGHTER]``. ``ratings``
    hold each external rater's attributes, if complete, and the first of the same rater's categories, if there is one.

    `UserWarning` if attributes lie outside the scale, or are not the mean of the external raters'.
    """
    root = resolve(params.path)
    tree = files.walk(root)
    table, ratings = _evaluations(tree, root)
    files.warn_of_other_means(table, ratings, root, TOLERANCE)
    values = table[list(ATTRIBUTES)]
    drawn = values.clip(*SCALE)
    near = ((values - drawn).abs() > 0) & ((values - drawn).abs() <= BEYOND)
    if len(outside := table.index[near.any(axis=1)]):
        problem = f"{len(outside)} utterances in {root} have an attribute outside the scale 1 to 5"
        warnings.warn(f"{problem}: {some(outside)}; it is set to the scale's end.", stacklevel=3)
    names = table.index.to_series().str.extract(UTTERANCE)
    waves = files.by_stem(tree, ".wav")
    # Lines without a name ("M: Yeah.") belong to none.
    spoken = [SPOKEN.match(line) for *_, line in _lines(tree, "transcriptions")]
    texts = {one["utterance"]: one["text"].strip() for one in spoken if one}
    table = table.assign(
        **values.mask(near, drawn),
        path=[waves.get(name) for name in table.index],
        speaker=names["session"] + names["letter"],
        gender=names["letter"].map({"F": "Female", "M": "Male"}),
        transcript=[texts.get(name) or None for name in table.index],
    )
    ratings = ratings.dropna(subset=list(ATTRIBUTES), ignore_index=True)
    split = {"split": lambda present: files.dealt(present, present.index.str[:5], seed % params.folds)}
    return files.corpus(root, params, "IEMOCAP", table, SCALE, ratings, **split)


def _evaluations(tree: list[Path], root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Emotion and attributes of each utterance (its name is the index), and the table of single ratings."""
    utterances, votes, ratings, utterance = [], {}, [], ""
    for path, number, line in _lines(tree, "EmoEvaluation"):
        utterance = utterance if number > 1 else ""
        if line.startswith("["):
            header = HEADER.match(line)
            if header is None or UTTERANCE.fullmatch(header["utterance"]) is None:
                raise CorpusError(f"{path}, line {number}: {line!r} is not of the form {FORM}; restore the file.")
            utterances.append(header.groupdict())
            utterance = header["utterance"]
        elif vote := VOTE.match(line):  # the consensus has the first three letters of the raters' words
            votes[utterance, vote["rater"]] = EMOTIONS.get(vote["word"][:3].lower(), "O")
        elif utterance and (rating := RATING.match(line)):
            ratings.append({"utterance": utterance, **rating.groupdict()})
    if not utterances:
        problem = f"{root} is not IEMOCAP: no folder EmoEvaluation in it has labels of utterances"
        raise CorpusError(f"{problem}; set corpus.path to the folder that holds Session1 to Session5.")
    table = pd.DataFrame(utterances).set_index("utterance")
    table = table.assign(emotion=[EMOTIONS.get(code.lower(), code) for code in table["emotion"]])
    rated = pd.DataFrame(ratings, columns=list(RATING_COLUMNS), index=[one["utterance"] for one in ratings])
    rated["emotion"] = [votes.get((one["utterance"], one["rater"])) for one in ratings]
    return files.numbers(table, root), files.numbers(rated, root)


def _lines(tree: list[Path], folder: str) -> Iterator[tuple[Path, int, str]]:
    """Each line of the text files right in the folders so named, not in those below, which hold single raters' files:
    its file, its number from 1, and its text."""
    for path in tree:
        if path.parent.name == folder and path.name.endswith(".txt"):
            # str.splitlines would also split at characters that latin-1 makes of other encodings' letters.
            for number, line in enumerate(path.read_text(encoding="latin-1").split("\n"), 1):
                yield path, number, line.strip()
