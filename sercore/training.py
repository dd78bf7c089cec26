"""Train one system: `train(params, corpus)` leaves a complete run, and goes on where an interrupted one stopped."""

import gc
import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import PartialState
from scipy.special import softmax
from tqdm import tqdm
from transformers import EvalPrediction, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback

from sercore import ATTRIBUTES, corpora, runs
from sercore.batches import Utterances, collate, corpus_features, frozen_features
from sercore.cache import model_digest
from sercore.corpus import GENDERS, Corpus, CorpusError
from sercore.encoders import quieten
from sercore.fast.exact_ccc import first_pass, second_pass
from sercore.losses import ccc
from sercore.model import AttributeModel
from sercore.params import Params
from sercore.raters import agreement_weights
from sercore.sampling import EpochSampler, held_out, training_and_validation


def train(params: Params, corpus: Corpus) -> runs.Run:
    """Train the system of `params`, keep the epoch with the best mean validation CCC, and predict all other splits and
    what was held out of the training split.

    A run that is complete, with the same parameters, corpus and encoder, is read instead; an interrupted one goes on
    from its last epoch and ends with the same figures.

    Raises:
        CorpusError: speakers in two splits, no labelled training or validation utterance, too few of an emotion,
            fewer utterances in an epoch than in a batch, or no gender, speaker or ratings for a loss that needs it.
        ParamsError: an encoder cannot be loaded.
    """
    quieten()
    _forget_earlier_runs()
    corpus.require_disjoint_speakers()
    set_seed(params.seed)
    rows = _rows(params, corpus)
    speakers = sorted(rows.training["speaker"].dropna().unique())
    model = AttributeModel.from_params(params, scale=corpus.scale, speakers=len(speakers))
    with PartialState(cpu=not torch.cuda.is_available()).main_process_first():  # the others find what it made
        features = frozen_features(params, corpus.table, model.speech)
    inputs = {"corpus": corpus.digest()} | features.digests()
    inputs |= {name: model_digest(encoder) for name, encoder in model.encoders().items()}
    if rows.weights is not None:
        inputs["weights"] = blake2b(rows.weights.to_csv().encode(), digest_size=16).hexdigest()
    if (run := runs.find(params, inputs)) is not None:
        return run
    per_emotion, batch_size = params.sampling.samples_per_emotion, params.training.batch_size
    sampler = EpochSampler(rows.training["emotion"], per_emotion, batch_size, params.seed)
    with PartialState().main_process_first():
        partial = runs.partial_folder(params, inputs)

    def dataset(chosen: pd.DataFrame, weights: pd.DataFrame | None = None) -> Utterances:
        return Utterances(chosen, corpus.table, features, params, corpus.scale, speakers, weights)

    def predicted(chosen: pd.DataFrame) -> pd.DataFrame:
        return _predictions(trainer, dataset(chosen), chosen, corpus.scale)

    trainer = AttributeTrainer(
        model=model,
        args=_arguments(params, partial / "checkpoints"),
        train_dataset=dataset(rows.training, rows.weights),
        eval_dataset=dataset(rows.validation),
        data_collator=collate,
        compute_metrics=lambda evaluation: validation_ccc(evaluation, params.loss.attributes),
        sampler=sampler,
        rates={name: getattr(params, name).learning_rate for name in model.encoders()},
        exact_ccc=params.training.exact_ccc,
    )
    if params.training.every_epoch:
        trainer.add_callback(_EveryEpoch(lambda: predicted(rows.others.dropna(subset=list(ATTRIBUTES))), partial))
    start = time.perf_counter()
    trainer.train(resume_from_checkpoint=_last_checkpoint(partial / "checkpoints"))
    seconds = time.perf_counter() - start
    predictions, history = predicted(rows.others), _history(trainer.state.log_history)
    if trainer.is_world_process_zero():
        model.save_pretrained(partial / "model")
        shutil.rmtree(partial / "checkpoints")
        runs.finish(partial, _metrics(params, model, predictions, history, seconds), history, predictions)
    trainer.accelerator.wait_for_everyone()
    return runs.read(runs.run_folder(params))


def prepare(params: Params) -> None:
    """Read the corpus and cache what its frozen encoders give, so that runs in parallel need not do it each."""
    quieten()
    corpus_features(params, corpora.read(params.corpus, params.seed).table)


def split_ccc(predictions: pd.DataFrame, trained: Sequence[str]) -> dict[str, dict[str, float]]:
    """CCC of each attribute, and the mean of those `trained`, for each split of a run's predictions that has labels."""
    labelled = predictions.dropna(subset=list(ATTRIBUTES))
    return {split: _ccc_of(rows, trained) for split, rows in labelled.groupby("split", sort=False)}


def validation_ccc(evaluation: EvalPrediction, trained: Sequence[str]) -> dict[str, float]:
    """CCC of each attribute, and the mean of those `trained`, for the trainer."""
    predicted = evaluation.predictions
    return _named_ccc(evaluation.label_ids, predicted[0] if isinstance(predicted, tuple) else predicted, trained)


class AttributeTrainer(Trainer):
    """transformers' trainer, with this study's choice of training utterances and one line of progress an epoch.

    Args:
        sampler: of each epoch's utterances.
        exact_ccc: whether the loss is that of an update's whole batch, of all accumulation steps and devices as one.
        rates: learning rates of encoders, see `AttributeModel.encoders`; None is that of everything else.
    """

    def __init__(
        self, sampler: EpochSampler, exact_ccc: bool, rates: Mapping[str, float | None], **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self.sampler, self.exact_ccc, self.rates = sampler, exact_ccc, rates
        self.remove_callback(PrinterCallback)
        self.add_callback(_Progress())

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        return self.sampler

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """transformers' own, whose groups are divided where an encoder has a learning rate of its own."""
        optimizer = super().create_optimizer(model)
        encoders = self.model.encoders()
        rates = {part: rate for name, rate in self.rates.items() if rate for part in encoders[name].parameters()}
        groups, optimizer.param_groups = optimizer.param_groups, []
        for group in groups:
            for rate in {rates.get(part, group["lr"]): None for part in group["params"]}:
                chosen = [part for part in group["params"] if rates.get(part, group["lr"]) == rate]
                optimizer.add_param_group(group | {"params": chosen, "lr": rate})
        return optimizer

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device: torch.device) -> tuple[list, Any]:
        """The batches of an update; with the exact CCC, each with what its part of the loss's gradient needs."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.exact_ccc and batches:
            batches = [self._prepare_inputs(batch) for batch in batches]
            self.model.train()
            with self.compute_loss_context_manager():
                parts = first_pass(
                    self.model, self.model.loss, batches, self.accelerator.gather, self.accelerator.process_index
                )
            batches = [batch | {"part": part} for batch, part in zip(batches, parts, strict=True)]
        return batches, items

    def compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any], *others: Any, **options: Any) -> Any:
        """The model's own loss, or the second pass of a batch that `get_batch_samples` has passed once."""
        if "part" not in inputs:
            return super().compute_loss(model, inputs, *others, **options)
        parts = self.current_gradient_accumulation_steps * self.accelerator.num_processes
        part = inputs.pop("part")
        # What the trainer and the devices will average is a sum.
        return second_pass(model, inputs, replace(part, gradients={k: v * parts for k, v in part.gradients.items()}))


class _Progress(TrainerCallback):
    """A bar over the epochs with the latest validation CCC."""

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        self.bar = tqdm(
            total=int(args.num_train_epochs),
            initial=round(state.epoch or 0),
            desc=args.run_name,
            unit="epoch",
            **({} if state.is_world_process_zero else {"disable": True}),
        )

    def on_evaluate(self, args: TrainingArguments, state: Any, control: Any, metrics: dict, **_: Any) -> None:
        self.bar.set_postfix_str(f"validation CCC {metrics['eval_mean']:.3f}", refresh=False)
        self.bar.update()

    def on_train_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        self.bar.close()


class _EveryEpoch(TrainerCallback):
    """Keeps what each epoch predicts, before the checkpoint is written that an interrupted run goes on from."""

    def __init__(self, predict: Callable[[], pd.DataFrame], partial: Path) -> None:
        self.predict, self.partial = predict, partial

    def on_evaluate(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        with torch.random.fork_rng(devices=[]):  # a loader draws a seed, on which the next epoch must not depend
            predictions = self.predict()
        if state.is_world_process_zero:
            runs.keep_epoch(self.partial, round(state.epoch), predictions)


def _arguments(params: Params, folder: Path) -> TrainingArguments:
    training = params.training
    return TrainingArguments(
        output_dir=str(folder),
        run_name=f"{params.variant} seed {params.seed}",
        num_train_epochs=training.epochs,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=training.batch_size,
        gradient_accumulation_steps=training.accumulation,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        lr_scheduler_type="constant",
        bf16=training.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        seed=params.seed,
        dataloader_pin_memory=torch.cuda.is_available(),
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="mean",
        label_names=["attributes"],
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
    )


@dataclass(frozen=True)
class _Rows:
    """Rows of a corpus table: trained on, choosing the epoch, and predicted; and what the first weigh in the loss."""

    training: pd.DataFrame
    validation: pd.DataFrame
    others: pd.DataFrame
    weights: pd.DataFrame | None


def _rows(params: Params, corpus: Corpus) -> _Rows:
    labelled, share = _labelled(corpus, "train"), params.sampling.held_out
    held = held_out(labelled, share) if share else labelled.index[:0]
    training, validation = training_and_validation(
        labelled.drop(held), _labelled(corpus, "development"), params.sampling, params.seed
    )
    for name in ("gender", "speaker"):
        if getattr(params.loss, name) and training[name].isna().all():
            raise CorpusError(f"no training utterance has a {name}, which loss.{name} needs: add them or set it to 0.")
    predicted = (corpus.table["split"] != "train") | corpus.table.index.isin(held)
    others = corpus.table[predicted].drop(training.index, errors="ignore")
    weights = agreement_weights(corpus.ratings, training.index) if params.loss.weight == "agreement" else None
    return _Rows(training, validation, others, weights)


def _metrics(
    params: Params, model: AttributeModel, predictions: pd.DataFrame, history: pd.DataFrame, seconds: float
) -> dict[str, Any]:
    """What `sercore.runs.Run` calls metrics."""
    return {
        "ccc": split_ccc(predictions, params.loss.attributes),
        "best_epoch": int(history.loc[history["mean"].idxmax(), "epoch"]),
        "epochs": params.training.epochs,
        "seconds": round(seconds, 2),
        "peak_memory_mb": round(_peak_memory_mb()),
        "parameters": model.num_parameters(),
        "trainable_parameters": model.num_parameters(only_trainable=True),
    }


def _labelled(corpus: Corpus, split: str) -> pd.DataFrame:
    """Utterances of a split that have all three attributes, O and X included."""
    labelled = corpus.split(split).dropna(subset=list(ATTRIBUTES))
    if labelled.empty:
        raise CorpusError(f"no utterance of split {split!r} has arousal, valence and dominance.")
    return labelled


def _last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end: the trainer writes its own state last."""
    complete = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json") if _is_json(path)]
    return str(max(complete, key=lambda path: int(path.name.split("-")[1]))) if complete else None


def _is_json(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text()))
    except json.JSONDecodeError:
        return False


def _predictions(trainer: Trainer, dataset: Utterances, rows: pd.DataFrame, scale: tuple[float, float]) -> pd.DataFrame:
    outputs = trainer.predict(dataset, ignore_keys=["speaker"]).predictions
    attributes, *gender = outputs if isinstance(outputs, tuple) else (outputs,)
    predicted = dict(zip(runs.PREDICTED, (attributes * (scale[1] - scale[0]) + scale[0]).T, strict=True))
    if gender:
        predicted[runs.PREDICTED_FEMALE] = softmax(gender[0].astype(np.float32), axis=1)[:, GENDERS.index("Female")]
    return rows[["split", "speaker", "emotion", *ATTRIBUTES]].reset_index().assign(**predicted)


def _history(log: list[dict[str, float]]) -> pd.DataFrame:
    losses = {round(entry["epoch"]): entry["loss"] for entry in log if "loss" in entry}
    rows = [
        {"epoch": round(entry["epoch"]), "loss": losses[round(entry["epoch"])]}
        | {name: entry[f"eval_{name}"] for name in (*ATTRIBUTES, "mean")}
        for entry in log
        if "eval_mean" in entry
    ]
    return pd.DataFrame(rows)


def _ccc_of(rows: pd.DataFrame, trained: Sequence[str]) -> dict[str, float]:
    predicted = rows[[f"predicted_{name}" for name in ATTRIBUTES]]
    return _named_ccc(rows[list(ATTRIBUTES)].to_numpy(), predicted.to_numpy(), trained)


def _named_ccc(truth: np.ndarray, predicted: np.ndarray, trained: Sequence[str]) -> dict[str, float]:
    values = ccc(torch.tensor(truth, dtype=torch.float64), torch.tensor(predicted, dtype=torch.float64)).tolist()
    named = dict(zip(ATTRIBUTES, values, strict=True))
    return named | {"mean": sum(named[name] for name in trained) / len(trained)}


def _forget_earlier_runs() -> None:
    """Free what trainers of this process left in reference cycles, and measure the accelerator's peak memory anew."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak_memory_mb() -> float:
    """Peak memory of the accelerator where there is one, else of this process, in MB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
