"""EmoTale: enacted emotional speech in Danish and English, each utterance rated by three listeners.

Hjuler et al., "EmoTale: An Enacted Speech-emotion Dataset in Danish", ASRU 2025, arXiv 2508.14548;
https://github.com/snehadas/EmoTale. File names are ``<EN|DK>_<speaker>_<emotion>_<sentence>.wav``.
"""

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from sercore import ATTRIBUTES
from sercore.corpora import files
from sercore.corpora.clone import clone
from sercore.corpus import RATING_COLUMNS, Corpus, CorpusError, some
from sercore.params import CorpusParams, resolve

KIND = "enacted"
DESCRIPTION = (
    "EmoTale: real voices, but emotions enacted on five sentences by few speakers. Figures do not show how a system"
    " performs on spontaneous speech."
)
LICENCE = "its authors claim copyright and state none; cite them, and do not redistribute it"
URL = "https://github.com/snehadas/EmoTale"
COMMIT = "e495a2aa90b13ade37c1d0635d814f54ef1b8598"
HOME = Path("data/emotale")
SCALE = (1.0, 5.0)
ORIGINALS = "originals_48kHz"  # a few files of the published folder again, as they were recorded
RATERS = ("a1", "a2", "a3")
FIELDS = {"A": "arousal", "V": "valence", "D": "dominance", "cat": "emotion"}  # of a rater's columns, such as a1_A
# As in the corpus's README, but for the "frigde" of the first English one.
SENTENCES = {
    "EN1": "The tablecloth is lying on the fridge.",
    "EN2": "The black sheet of paper is located up there besides the piece of timber.",
    "EN3": "They just carried it upstairs and now they are going down again.",
    "EN4": "It will be in the place where we always store it.",
    "EN5": "In seven hours it will be morning.",
    "DK1": "Dugen ligger på køleskabet.",
    "DK2": "Det sorte ark papir er placeret deroppe ved siden af tømmerstykket.",
    "DK3": "De bar det bare ovenpå og nu skal de ned igen.",
    "DK4": "Det vil være på det sted, hvor vi altid opbevarer det.",
    "DK5": "Om syv timer er det morgen.",
}


class Params(CorpusParams):
    """The EmoTale corpus on disk; it has no official split, so fold ``seed % folds`` is the test set."""

    language: Literal["English", "Danish", "both"] = "English"
    folds: int = Field(7, ge=3)
    missing_audio: Literal["error", "skip"] = "error"


def read(params: Params, seed: int) -> Corpus:
    """Read one or both languages, split by speakers, since the corpus has no official split.

    Without a folder at `HOME`, the published corpus is fetched to it.

    The speakers, those of both languages first and women before men, are dealt in turn to ``params.folds`` groups:
    group ``seed % folds`` is test1, the next one development, the others train. Audio may lie in any folder below.
    ``emotion`` is the enacted one, with boredom as O (other); the attributes are the mean of the three raters', 1 to 5;
    ``ratings`` hold each rater's. `CorpusError` if speakers are fewer than folds.
    """
    root = resolve(params.path)
    if params.path == HOME and not root.exists():
        clone(URL, COMMIT, root, "about 0.4 GB")
    path = root / "annotations.csv"
    columns = [f"{rater}_{field}" for rater in RATERS for field in FIELDS]
    published = files.read_csv(path, ["file", *columns, "gt_emotion"]).replace("B", "O")  # boredom is other
    said = published["file"].str.extract(r"^(?P<language>EN|DK)_(?P<speaker>\d+)_[A-Z]_(?P<sentence>\d)\.wav$")
    if len(unread := published["file"][said["speaker"].isna()]):
        raise CorpusError(f"{path} names files unlike EN_001_A_1.wav: {some(unread)}; restore the published table.")
    english = said.loc[said["language"] == "EN", "speaker"]  # all speak Danish
    published = published.assign(**said, monolingual=~said["speaker"].isin(english))
    published = published.set_index(published["file"].str.removesuffix(".wav").rename("utterance"))
    if params.language != "both":
        published = published[published["language"] == {"English": "EN", "Danish": "DK"}[params.language]]
    if published.empty:
        raise CorpusError(f"{path} has no row in {params.language}: restore the published table.")
    ratings = pd.concat([_ratings(published, rater, path) for rater in RATERS], ignore_index=True)
    waves = files.by_stem([path for path in files.walk(root) if path.parent.name != ORIGINALS], ".wav")
    known = files.read_csv(root / "speaker_info.csv", ["speaker", "gender"])
    genders = dict(zip(known["speaker"], known["gender"].replace({"F": "Female", "M": "Male"}), strict=True))
    table = published[["speaker", "monolingual"]].assign(
        path=[waves.get(name) for name in published.index],
        emotion=published["gt_emotion"],
        gender=published["speaker"].map(genders),
        transcript=[SENTENCES.get(said) for said in published["language"] + published["sentence"]],
    )
    table = table.join(ratings.groupby("utterance")[list(ATTRIBUTES)].mean())
    # Women and men are dealt evenly over the groups, and who speaks both languages is in one group in both.
    split = {"split": lambda present: files.dealt(present, ["monolingual", "gender", "speaker"], seed, params.folds)}
    return files.corpus(path, params, f"EmoTale ({params.language})", table, SCALE, ratings, **split)


def _ratings(published: pd.DataFrame, rater: str, path: Path) -> pd.DataFrame:
    columns = {f"{rater}_{field}": name for field, name in FIELDS.items()}
    own = files.numbers(published, path, list(columns)[:3]).rename(columns=columns)
    return own.assign(rater=rater).reset_index()[list(RATING_COLUMNS)]
