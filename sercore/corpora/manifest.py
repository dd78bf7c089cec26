"""Any corpus, described by one CSV with the columns of the corpus table."""

from typing import Annotated, Literal

from pydantic import AfterValidator

from sercore import ATTRIBUTES
from sercore.corpora import files
from sercore.corpus import COLUMNS, Corpus, require_columns
from sercore.params import CorpusParams, resolve

KIND = "unspecified"
DESCRIPTION = "The corpus of a manifest, of whose speech nothing is known."


def _ascending(scale: tuple[float, float]) -> tuple[float, float]:
    if scale[0] >= scale[1]:
        raise ValueError("the lowest value of the scale comes first, and the highest differs from it")
    return scale


class Params(CorpusParams):
    """One CSV with the columns of the corpus table."""

    scale: Annotated[tuple[float, float], AfterValidator(_ascending)] = (1.0, 7.0)
    missing_audio: Literal["error", "skip"] = "error"


def read(params: Params, seed: int) -> Corpus:
    """Read a manifest: one row an utterance, UTF-8, columns in any order.

    ``utterance``, ``path``, ``split``, ``arousal``, ``valence`` and ``dominance`` are required; ``emotion``,
    ``speaker``, ``gender`` and ``transcript`` optional; ``duration`` is always measured. An empty cell is a missing
    value, any other is literal (``NA`` is a transcript, ``007`` a speaker). Paths are relative to the CSV's folder.
    """
    path = resolve(params.path)
    table = files.read_csv(path)
    require_columns(table, ("utterance", "path", "split", *ATTRIBUTES), path, ("utterance", *COLUMNS))
    table = table.set_index("utterance").reindex(columns=list(COLUMNS), fill_value="")
    table = files.numbers(table, path)
    for name in ("split", "emotion", "speaker", "gender", "transcript"):
        text = table[name].str.normalize("NFC").str.strip()
        table[name] = text.mask(text == "")
    table["path"] = [wave if (wave := path.parent / name).is_file() else None for name in table["path"]]
    return files.corpus(path, params, path.stem, table, params.scale)
