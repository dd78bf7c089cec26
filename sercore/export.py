"""A run as a folder in the hub's format, with a model card: ``AutoModel.from_pretrained`` loads it without `sercore`.

The folder holds the code of `sercore.network`, the weights, what prepares inputs, and ``README.md``. Adapters are
merged into the weights that they adapt. A frozen text encoder that is on the hub is named, not saved.
"""

import contextlib
from collections.abc import Mapping
from importlib.util import find_spec
from math import isfinite
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, HfApi, ModelCard, ModelCardData
from peft.tuners.tuners_utils import BaseTunerLayer

from sercore import ATTRIBUTES, report, runs
from sercore.disk import complete
from sercore.encoders import TextEncoder
from sercore.hub import PACKAGED, hub_answers
from sercore.network.model import AttributeConfig, AttributeNetwork
from sercore.onnx import write
from sercore.params import ParamsError, reader
from sercore.predict import Predictor, is_exported, load
from sercore.sums import SignificanceError, speaker_sums, units
from sercore.verdicts import scores


def export(run: Path, folder: Path, name: str, *, onnx: bool = False) -> None:
    """Write the system of the complete run in `run` to `folder`, to be published on the hub as `name`; with `onnx` also
    as a graph, ``model.onnx``, see `sercore.onnx`.

    `ParamsError` if `folder` exists, as `sercore.predict.load` does, or if the system has speaker embeddings, which a
    second encoder gives; for a graph if the packages that write it are missing, or pooling is not the mean.
    """
    if folder.exists():
        raise ParamsError(f"{folder} exists: name another folder, or remove it.")
    if is_exported(run):
        raise ParamsError(f"{run} is exported already: give a run's folder.")
    if onnx and not find_spec("onnxscript"):
        raise ParamsError("a graph needs packages that are missing: `pip install onnx onnxscript` brings them.")
    predictor, found = load(run), runs.read(runs.located(run))
    if predictor.encoders.speaker:
        raise ParamsError(f"{run} takes embeddings of a speaker encoder, which is not exported: export another run.")
    if onnx and found.params.heads.pooling != "mean":
        raise ParamsError(f"{run} pools by {found.params.heads.pooling}, of which no graph is made: leave out --onnx.")
    parts = [predictor.model, *predictor.encoders.beside.values()]
    size = (1 + onnx) * sum(value.nbytes for part in parts for value in part.state_dict().values())
    complete(folder, lambda partial: _write(found, predictor, partial, name, onnx), size)


def push(folder: Path, name: str) -> str:
    """Upload what `export` wrote to the hub, as the model `name`; returns its address. `ParamsError` if that fails."""
    try:
        if not hub_answers():
            raise OSError("it does not answer")
        HfApi().create_repo(name, exist_ok=True)
        HfApi().upload_folder(repo_id=name, folder_path=folder)
    except Exception as error:  # of whichever library the hub's package uses
        reason, remedy = str(error).partition("\n")[0].rstrip("."), f"`hf auth login`, then `hf upload {name} {folder}`"
        raise ParamsError(f"{folder} is complete, but could not be sent to the hub ({reason}): {remedy}.") from None
    return f"https://huggingface.co/{name}"


def _write(run: runs.Run, predictor: Predictor, folder: Path, name: str, onnx: bool) -> None:
    model, inputs, text = predictor.model, predictor.encoders, run.params.text
    for layer in model.modules():
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
    encoders, weights = dict(model.encoders()), model.state_dict()
    if isinstance(inputs.text, TextEncoder):
        encoders["text"] = inputs.text.model
        weights |= inputs.text.model.state_dict(prefix="text.")
    config = AttributeConfig.from_dict(model.config.to_dict())
    config.encoders = {part: encoder.config.to_dict() | {"_name_or_path": ""} for part, encoder in encoders.items()}
    bases = {}  # of each encoder that is on the hub, its name there
    for part, encoder in encoders.items():
        base = getattr(run.params, part).encoder
        if base in PACKAGED or not Path(encoder.config.name_or_path).is_absolute():
            bases[part] = base
        setattr(config, part, getattr(config, part) | {"encoder": bases.get(part, Path(base).name), "lora": None})
    config.frozen, config.beside = {}, {}
    if text and not text.finetune and "text" in bases:
        revision = getattr(encoders["text"].config, "_commit_hash", None)
        config.frozen = {"text": {"encoder": bases["text"], "revision": revision}}
    config.loss |= {"speaker": 0.0, "adversarial": False}  # a speaker head tells of the corpus's speakers
    config.id2label = dict(enumerate(map(str, ATTRIBUTES)))
    network = AttributeNetwork(config)
    merged = {key.replace(".base_layer", ""): value for key, value in weights.items() if ".lora_" not in key}
    network.load_state_dict({key: value for key, value in merged.items() if not key.startswith("speaker")})
    AttributeConfig.register_for_auto_class()
    AttributeNetwork.register_for_auto_class("AutoModel")
    network.save_pretrained(folder)
    inputs.inputs.extractor.save_pretrained(folder)
    words = inputs.text.inputs if isinstance(inputs.text, TextEncoder) else inputs.text
    if words:
        words.tokenizer.save_pretrained(folder)
    if onnx:
        write(network, inputs.inputs, words, folder / "model.onnx")
    _card(run, config, list(bases.values()), name, onnx).save(folder / "README.md")


def _card(run: runs.Run, config: AttributeConfig, bases: list[str], name: str, onnx: bool) -> ModelCard:
    """The model card, with a row a split of the CCCs of what the run predicted."""
    corpus, dataset, ccc = reader(run.params.corpus.reader), run.params.corpus.reader, run.metrics["ccc"]
    task = ("audio-classification", dataset, dataset, "ccc")
    results = [
        EvalResult(*task, round(value, 4), dataset_split=split, metric_name=f"CCC, {what}")
        for split, values in ccc.items()
        for what, value in values.items()
        if isfinite(value)
    ]
    data = ModelCardData(
        license="mit" if corpus.KIND == "simulated" else "other",
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["speech-emotion-recognition", *ATTRIBUTES],
        base_model=bases or None,
        model_name=name,
        eval_results=results,
    )
    parameters = run.params.model_dump(mode="json", include={"seed", "heads", "loss", "sampling", "training"})
    (low, high), encoders = config.scale, filter(None, (config.speech, config.text))
    return ModelCard.from_template(
        data,
        template_path=str(Path(__file__).with_name("model_card.md")),
        name=name,
        range=f"{low:g} (low) to {high:g} (high)",
        text=config.text is not None,
        onnx=onnx,
        seconds=f"{config.speech['max_seconds']:g}",
        rows=[_row(run, split, values) for split, values in ccc.items()],
        untrained=" and ".join(name for name in ATTRIBUTES if name not in run.params.loss.attributes),
        corpus=corpus,
        dataset=dataset,
        encoders=[f"{each['encoder']} ({'fine-tuned' if each['finetune'] else 'frozen'})" for each in encoders],
        parameters=yaml.safe_dump(parameters, sort_keys=False),
    )


def _row(run: runs.Run, split: str, ccc: Mapping[str, float]) -> list[str]:
    """Split, utterances, speakers, and CCCs with their intervals, which one speaker alone does not have."""
    rows = run.predictions.query("split == @split").dropna(subset=run.params.loss.attributes).set_index("utterance")
    speakers, limits = units(rows.index, rows["speaker"]), ["no interval"] * len(ccc)
    with contextlib.suppress(SignificanceError):
        sums = speaker_sums(rows[[*ATTRIBUTES]].to_numpy(), rows[runs.PREDICTED].to_numpy(), speakers.to_numpy())
        limits = [report.interval(row) for _, row in scores({split: sums}).iterrows()]
    texts = [f"{report.number(value)} {each}" for value, each in zip(ccc.values(), limits, strict=True)]
    return [split, f"{len(rows):,}", str(speakers.nunique()), *texts]
