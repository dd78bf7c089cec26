"""A trained system for one's own files: `load` a run, and call what it returns on the files' paths.

>>> predictor = sercore.load("runs/embedded/fusion/seed-0")  # doctest: +SKIP
>>> predictor(["a.wav", "b.flac"], texts=["What a day.", None])  # doctest: +SKIP
           arousal   valence  dominance
utterance
a          4.70...   5.12...    4.33...
b          3.21...   3.90...    3.71...
"""

import contextlib
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from torch import Tensor
from tqdm import tqdm

from sercore import ATTRIBUTES, audio, runs
from sercore.batches import collate, refuse_short, transcripts
from sercore.corpus import some
from sercore.encoders import DEVICE, AudioInputs, SpeakerEncoder, TextEncoder, TextInputs, quieten
from sercore.model import AttributeModel
from sercore.params import Params, ParamsError

BATCH_SIZE = 8
"""Files at a time, of similar length: 15 s of each through a large encoder fit into 8 GB."""


def load(run: Path | str | runs.Run) -> "Predictor":
    """The system of a complete run, on the accelerator where there is one.

    Args:
        run: a run's folder, such as ``runs/embedded/fusion/seed-0``, or the run itself.

    Raises:
        ParamsError: the folder is no complete run, its model is absent or damaged, an encoder cannot be loaded, or the
            system needs all of a speaker's utterances at once.
    """
    quieten()
    folder = run.folder if isinstance(run, runs.Run) else Path(run)
    params, model = trained(folder)
    if params.speech.per_speaker:
        raise ParamsError(
            f"{folder} normalises each speaker by all utterances of a corpus, so it predicts no single files: put them "
            "into a corpus, or load a run without speech.per_speaker."
        )
    with _project_of(folder):
        return Predictor(params, model)


def trained(folder: Path | None) -> tuple[Params, AttributeModel]:
    """Parameters and model of the complete run in `folder`, on the CPU; `ParamsError` as for `load`."""
    if folder is None or not (folder / "model").is_dir():
        problem = "does not exist" if folder and not folder.exists() else "holds no trained model"
        raise ParamsError(
            f"{folder or 'a table of results'} {problem}: give a run's folder below runs/, since results/ keeps runs "
            "without their models; `python -m sercore train PROFILE VARIANT SEED` trains one and prints its folder."
        )
    params = runs.read(folder).params
    try:
        return params, AttributeModel.from_pretrained(folder / "model").eval()
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ParamsError(
            f"{folder / 'model'} is damaged or of another version ({type(error).__name__}): "
            "remove the run and train it again."
        ) from None


class Predictor:
    """Predicts arousal, valence and dominance of audio files, in the scale of the corpus that the system learnt from.

    In float32, whatever the run was trained in, so that a prediction does not depend on the files beside it.
    """

    def __init__(self, params: Params, model: AttributeModel) -> None:
        self.params = params
        self.model = model.to(DEVICE)
        self.inputs = AudioInputs(params.speech.encoder)
        text = TextInputs if params.text and params.text.finetune else TextEncoder
        self.text = text(params.text.encoder) if params.text else None
        self.speaker = SpeakerEncoder(params.speaker.encoder) if params.speaker else None

    def __call__(self, files: Sequence[Path | str], texts: Sequence[str | None] | None = None) -> pd.DataFrame:
        """Predict for each of `files`.

        Args:
            files: paths of audio in any format, sampling rate and number of channels that `sercore.audio.load` reads.
            texts: the transcript of each file, None or empty where there is none; a system without text needs none.

        Returns:
            Columns arousal, valence, dominance; a row a file, in the order given. The index, ``utterance``, is the
            file's stem; files of the same stem go by their paths as given.

        Raises:
            AudioError: a file is missing, no usable audio, shorter than a frame, or given twice.
            ParamsError: there are more or fewer texts than files.

        Warns:
            UserWarning: files without a transcript, although the system takes text; or texts that it does not take.
        """
        paths = [Path(file) for file in ([files] if isinstance(files, Path | str) else files)]
        texts = [None] * len(paths) if texts is None else [texts] if isinstance(texts, str) else list(texts)
        if len(texts) != len(paths):
            raise ParamsError(f"{len(texts)} texts for {len(paths)} files: give one for each, empty where it has none.")
        durations = pd.Series(audio.durations(paths), index=_utterances(paths), dtype=float)
        refuse_short(durations, self.params, self.model.speech)
        words = self._words(texts)
        low, high = self.model.config.scale
        predicted = np.empty((len(paths), len(ATTRIBUTES)))
        by_length = np.argsort(-durations.to_numpy(), kind="stable")
        with tqdm(total=len(paths), desc="predictions", unit="file", disable=len(paths) <= BATCH_SIZE) as bar:
            for start in range(0, len(paths), BATCH_SIZE):
                chosen = by_length[start : start + BATCH_SIZE]
                batch = [self._example(paths[index], words[index]) for index in chosen]
                predicted[chosen] = low + (high - low) * self._predict(batch)
                bar.update(len(chosen))
        return pd.DataFrame(predicted, durations.index, list(ATTRIBUTES))

    def _words(self, texts: list[str | None]) -> list[dict[str, Tensor]]:
        """What the model takes of each text."""
        if self.text is None:
            if any(texts):
                warnings.warn("this system takes no text: the transcripts are not used.", stacklevel=3)
            return [{} for _ in texts]
        spoken = transcripts(texts)
        if isinstance(self.text, TextInputs):
            return [{"tokens": tokens} for tokens in self.text(spoken)]
        return [{"text": torch.from_numpy(embedding[0])} for embedding in self.text(spoken)]

    def _example(self, path: Path, words: dict[str, Tensor]) -> dict[str, Tensor]:
        waveform = audio.load(path, self.params.speech.max_seconds)
        example = {"audio": self.inputs(waveform), "samples": torch.tensor(len(waveform))} | words
        if self.speaker is not None:
            example["speaker_embedding"] = torch.from_numpy(self.speaker(waveform)[0])
        return example

    @torch.no_grad()
    def _predict(self, examples: list[dict[str, Tensor]]) -> np.ndarray:
        batch = {name: tensor.to(DEVICE) for name, tensor in collate(examples).items()}
        # cuDNN would convolve in TF32, which rounds to three digits, and differently from batch to batch.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return self.model(**batch).predictions.double().cpu().numpy()


def _utterances(paths: Sequence[Path]) -> pd.Index:
    """Stems, or paths where several files have the same stem."""
    stems = Counter(path.stem for path in paths)
    names = pd.Index([path.stem if stems[path.stem] == 1 else str(path) for path in paths], name="utterance")
    if names.has_duplicates:
        raise audio.AudioError(f"the same file is given twice: {some(names[names.duplicated()])}; give each once.")
    return names


def _project_of(folder: Path) -> contextlib.AbstractContextManager:
    """The project that holds a run as working directory: encoders may be named relative to it."""
    projects = [above for above in folder.resolve().parents if (above / "params" / "variants.yaml").is_file()]
    return contextlib.chdir(projects[0]) if projects else contextlib.nullcontext()
