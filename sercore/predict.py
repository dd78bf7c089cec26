"""A trained system for one's own files: `load` a run or a published model, and call it on the files' paths.

`evaluate` is the same for another corpus, or a run's own with something changed.
"""

import contextlib
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from huggingface_hub import snapshot_download
from numpy.typing import NDArray
from pyarrow import ArrowInvalid
from safetensors import SafetensorError
from scipy.io import wavfile
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from sercore import ATTRIBUTES, InputError, audio, corpora, runs
from sercore.batches import collate
from sercore.cache import model_digest
from sercore.corpus import CorpusError, some
from sercore.disk import complete_file
from sercore.encoders import DEVICE, choose_kernels
from sercore.features import Features, FrozenEncoders
from sercore.hub import hub_answers, quieten
from sercore.model import AttributeModel, require_finite
from sercore.params import Params, ParamsError, with_corpus
from sercore.sections import Speech, Text

REMEDY = (
    "give a run's folder below runs/, an exported one, or its name on the hub, since results/ keeps runs without their "
    "models; `python -m sercore train PROFILE VARIANT SEED` trains one and prints its folder"
)
BATCH_SIZE = 8  # files of similar length: 15 s of each through a large encoder fit into 8 GB


def load(run: Path | str | runs.Run) -> "Predictor":
    """The system of a complete run, or of its folder (``runs/embedded/fusion/seed-0``), of a folder that
    `sercore.export` wrote, or of its name on the hub (``user/model``), on an accelerator if any.

    `ParamsError` if the run is not complete, its model is absent or damaged, an encoder cannot be loaded, or the system
    needs all of a speaker's utterances at once.
    """
    folder = run.folder if isinstance(run, runs.Run) else runs.located(Path(run))
    if folder and not folder.exists() and str(folder).count("/") == 1:
        try:
            folder = Path(snapshot_download(str(folder), local_files_only=not hub_answers()))
        except Exception as error:  # of whichever library the hub's package uses
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0].rstrip('.')}"
            raise ParamsError(f"{folder} is no folder, and not to be had from the hub ({reason}): {REMEDY}.") from None
    predictor = _predictor(folder)
    if predictor.encoders.params.speech.per_speaker:
        problem = f"{folder} normalises each speaker by all utterances of a corpus, so it predicts no single files"
        raise ParamsError(f"{problem}: put them into a corpus, or load a run without speech.per_speaker.")
    return predictor


class Predictor:
    """Predicts audio files in the training corpus's scale, in float32: a prediction does not depend on other files."""

    def __init__(self, params: Params, model: AttributeModel) -> None:
        self.model, self.encoders = model, FrozenEncoders(params, model.speech)
        for name, known in model.config.beside.items():
            if model_digest(self.encoders.beside[name]) != known:
                problem = f"encoder {getattr(params, name).encoder!r} is not the one with which the run was trained"
                raise ParamsError(f"{problem}: restore it, or train again.")

    def __call__(
        self,
        files: Sequence[Path | str],
        texts: Sequence[str | None] | None = None,
        *,
        windows: bool = False,
        embeddings: bool = False,
    ) -> pd.DataFrame:
        """Predict for each of `files`, or for none: leave out those that `unusable` names.

        `texts` are their transcripts, None or empty where there is none; a system without text needs no `texts`. A file
        longer than the system's ``speech.max_seconds`` is predicted from its start; with `windows` it is cut into as
        few equal parts as are no longer, and gets the mean of their predictions, each with the whole transcript.

        Columns of the result: arousal, valence, dominance; a row a file, in the order given. The index, ``utterance``,
        is the file's stem, or its path where several have the same stem. With `embeddings` also ``embedding_0`` and so
        on: what the model makes of the speech alone, pooled over time, before the heads.

        `AudioError` if a file is missing, no usable audio, shorter than a frame, or given twice; `ParamsError` if there
        are more or fewer texts than files, or the system predicts NaN. `UserWarning` if files have no transcript and
        the system takes text, or the reverse, or if files are cut.
        """
        paths = [Path(file) for file in ([files] if isinstance(files, Path | str) else files)]
        texts = [None] * len(paths) if texts is None else [texts] if isinstance(texts, str) else list(texts)
        if len(texts) != len(paths):
            raise ParamsError(f"{len(texts)} texts for {len(paths)} files: give one for each, empty where it has none.")
        if self.encoders.text is None and any(texts):
            warnings.warn("this system takes no text: the transcripts are not used.", stacklevel=2)
        columns = {"path": paths, "transcript": texts, "duration": [audio.duration(path) for path in paths]}
        stems = Counter(path.stem for path in paths)
        named = [path.stem if stems[path.stem] == 1 else str(path) for path in paths]
        names = pd.Index(named, dtype=object, name="utterance")  # a name may be no UTF-8, which pandas' text refuses
        if names.has_duplicates:
            raise audio.AudioError(f"the same file is given twice: {some(names[names.duplicated()])}; give each once.")
        table = pd.DataFrame(columns, index=names)
        low, high = self.model.config.scale
        pooled: list[torch.Tensor] = []
        keep = self.model.pooling.register_forward_hook(lambda *each: pooled.append(each[-1].cpu()))
        with keep, tempfile.TemporaryDirectory() as folder:
            parts = _parts(table, self.encoders.params.speech.max_seconds, Path(folder)) if windows else table
            parts = parts.sort_values("duration", ascending=False, kind="stable")
            features = self.encoders(parts, cached=False)
            values = _predictions(self.model, features, range(len(features)), BATCH_SIZE).astype(np.float64)
        predicted = pd.DataFrame(low + (high - low) * values, parts.index, list(ATTRIBUTES))
        if embeddings and pooled:
            vectors = pd.DataFrame(torch.cat(pooled).numpy(), parts.index).add_prefix("embedding_")
            predicted = pd.concat([predicted, vectors], axis=1)
        return predicted.groupby(level=0).mean().loc[table.index]

    def unusable(self, files: Sequence[Path | str], *, windows: bool = False) -> dict[Path, str]:
        """The files for which a call would raise `AudioError`, found by decoding each, with what is wrong with it."""
        found: dict[Path, str] = {}
        seconds = self.encoders.params.speech.max_seconds
        for path in tqdm([Path(file) for file in files], "audio", disable=len(files) < 100):
            try:
                duration = audio.duration(path)
                self.encoders.require_frames(pd.Series([duration], [path]))
                audio.load(path, max(duration, seconds) if windows else seconds)
            except audio.AudioError as error:
                found[path] = str(error)
        return found


def evaluate(folder: Path, test: str, corpus: Mapping[str, Any]) -> Path:
    """Predict an evaluation set, named `test`, by the complete run in `folder`, unless that was done on this corpus.

    The set is what is labelled outside the training split; of another corpus without an official split, all that is
    labelled. `corpus` is merged over the run's own corpus parameters. The result is ``<folder>/tests/<test>.parquet``:
    ``utterance``, ``split`` and the three ``predicted_...``, in the scale of that corpus, in the run's own precision.
    `ParamsError` if the folder holds no usable run or `corpus` is not valid; `CorpusError` if the corpus cannot be read
    or the set is empty; `AudioError` if an audio file is not usable.
    """
    predictor = _predictor(folder)
    own = predictor.encoders.params
    choose_kernels(own.training.deterministic)
    params = with_corpus(own, corpus)
    tested = corpora.read(params.corpus, params.seed)
    path, digest = folder / "tests" / f"{test}.parquet", tested.digest()
    with contextlib.suppress(OSError, ArrowInvalid):  # absent or damaged
        if pd.read_parquet(path).attrs.get("corpus") == digest:
            return path
    whole = params.corpus.reader != own.corpus.reader and params.corpus.folds is not None
    rows = tested.table[whole | (tested.table["split"] != "train")].dropna(subset=list(ATTRIBUTES))
    if rows.empty:
        raise CorpusError(f"corpus {tested.name} has no labelled utterance outside its training split to test on.")
    features, places = predictor.encoders(tested.table), tested.table.index.get_indexer(rows.index).tolist()
    half = own.training.precision == "bfloat16"
    values = _predictions(predictor.model, features, places, own.training.batch_size, half)
    low, high = tested.scale
    predictions = rows[["split"]].reset_index()
    predictions[runs.PREDICTED] = low + (high - low) * values
    predictions.attrs["corpus"] = digest
    path.parent.mkdir(exist_ok=True)
    complete_file(path, lambda partial: predictions.to_parquet(partial, index=False, compression="zstd"))
    return path


def is_exported(folder: Path) -> bool:
    """Whether a folder is as `sercore.export` writes it, and no run's."""
    return (folder / "preprocessor_config.json").is_file()


def _predictor(folder: Path | None) -> Predictor:
    """The system of the complete run, or the published one, in `folder`; `ParamsError` as for `load`."""
    quieten()
    exported = folder is not None and is_exported(folder)
    if folder is None or not (exported or (folder / "model").is_dir()):
        problem = "does not exist" if folder and not folder.exists() else "holds no trained model"
        raise ParamsError(f"{folder or 'a table of results'} {problem}: {REMEDY}.")
    where, problem, remedy = folder / "model", "damaged or of another version", "remove the run and train it again"
    if exported:
        where, problem, remedy = folder, "damaged, or no model that was exported here", "export it again"
    place = where.resolve()
    projects = (above for above in place.parents if (above / "params" / "variants.yaml").is_file())
    try:
        params = None if exported else runs.read(folder).params
        with contextlib.chdir(next(projects, ".")):  # to which names of encoders may be relative
            model = AttributeModel.from_pretrained(place).eval()
            if params is None:
                here, config = {"encoder": str(place)}, model.config
                sections: dict[str, Any] = {"speech": Speech(**config.speech | here), "text": None, "speaker": None}
                if config.text:
                    sections["text"] = Text(finetune=True, **here)  # part of the model, fine-tuned or not
                params = Params.model_construct(**sections)
            return Predictor(params, model)
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, AttributeError, KeyError, TypeError, SafetensorError) as error:
        raise ParamsError(f"{where} is {problem} ({type(error).__name__}): {remedy}.") from None


@torch.no_grad()
def _predictions(
    model: AttributeModel, features: Features, places: Sequence[int], batch_size: int, half_precision: bool = False
) -> NDArray[np.float32]:
    """Predictions (utterances, 3), from 0 to 1, for the rows of `features` at `places`."""
    model.to(DEVICE)  # type: ignore[arg-type]  # transformers hides the signature
    batches = DataLoader(Subset(features, places), batch_size, collate_fn=collate, num_workers=features.workers)
    parts = [np.empty((0, len(ATTRIBUTES)), np.float32)]  # for no utterance
    # cuDNN would convolve in TF32, which rounds to three digits, and differently from batch to batch.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for batch in tqdm(batches, "predictions", disable=len(batches) < 2):
            inputs = {name: part.to(DEVICE) for name, part in batch.items()}
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=half_precision):
                parts.append(model(**inputs).predictions.float().cpu().numpy())
    values = np.concatenate(parts)
    require_finite(values, "this system")
    return values


def _parts(table: pd.DataFrame, seconds: float, folder: Path) -> pd.DataFrame:
    """`table` with each file longer than `seconds` as the fewest equal parts that are not, written into `folder`."""
    counts = np.ceil(table["duration"] / seconds).astype(int)
    parts = table.loc[table.index.repeat(counts)]
    for place, name in enumerate(table.index[counts > 1]):
        whole = audio.load(table.loc[name, "path"], table.loc[name, "duration"] + 1)
        paths = [folder / f"{place}-{number}.wav" for number in range(counts[name])]
        for path, part in zip(paths, np.array_split(whole, len(paths)), strict=True):
            wavfile.write(path, audio.SAMPLE_RATE, part)
        parts.loc[name, "path"] = paths
        parts.loc[name, "duration"] = len(whole) / len(paths) / audio.SAMPLE_RATE
    return parts
