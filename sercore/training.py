"""Train one system: `train(params, corpus)` leaves a complete run, and continues an interrupted one."""

import contextlib
import gc
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from scipy.special import softmax
from tqdm import tqdm
from transformers import EarlyStoppingCallback, EvalPrediction, Trainer, TrainingArguments, set_seed
from transformers.trainer_callback import PrinterCallback, TrainerState
from transformers.trainer_utils import rotate_checkpoints

from sercore import ATTRIBUTES, runs
from sercore.batches import Utterances, collate
from sercore.cache import model_digest
from sercore.corpus import GENDERS, Corpus
from sercore.disk import digest, is_sealed, seal, writing
from sercore.encoders import choose_kernels
from sercore.exact_ccc import first_pass, second_pass
from sercore.features import Features, FrozenEncoders, moments, require_kept
from sercore.hub import quieten
from sercore.model import AttributeModel, require_finite, room
from sercore.network.encoders import SPECTROGRAMS
from sercore.network.losses import ccc
from sercore.params import Params, ParamsError
from sercore.sampling import EpochSampler, Rows, choose


def train(params: Params, corpus: Corpus) -> runs.Run:
    """Train the system of `params`, keep the epoch with the best mean validation CCC, and predict all other splits and
    what was held out of the training split.

    A run that is complete, with the same parameters, corpus, encoder, kind of device and number of processes, is read
    instead; an interrupted one continues from its last epoch and ends with the same figures.

    Raises:
        CorpusError: speakers in two splits, no labelled training or validation utterance, too few of an emotion,
            fewer utterances in an epoch than in a batch, or no gender, speaker or ratings for a loss that needs it.
        ParamsError: an encoder cannot be loaded, an epoch ends with predictions that are NaN, or ``training.processes``
            is another number than that of the processes.
        OSError: a checkpoint or the model cannot be written, or there is no room for them.
    """
    model, rows, speakers, features, inputs = prepare(params, corpus)
    if params.speech.cache and features.speech is None and not (params.speech.finetune and features.spectrograms):
        inputs["speech.cache"] = SPECTROGRAMS if features.spectrograms else "no room"  # of what is best kept
    inputs |= {name: model_digest(encoder) for name, encoder in model.encoders().items()}
    if rows.weights is not None:
        inputs["weights"] = digest([rows.weights.to_csv()])
    utterances = Utterances(corpus, features, speakers, rows.weights)
    if params.speech.states == "standardised":
        kept = require_kept(features.speech, "speech.states: standardised")
        places = corpus.table.index.get_indexer(rows.training.index)
        model.speech.moments.copy_(torch.tensor(moments(kept[place] for place in places)))
    state, wanted, run = processes(), params.training.processes, runs.find(params, inputs)
    if broadcast_object_list([run is not None])[0]:  # another process may have completed it between two looks
        return run or runs.read(runs.run_folder(params, inputs))
    if wanted not in (None, state.num_processes):
        problem = f"training.processes is {wanted}, and {state.num_processes} would train {params.variant}"
        raise ParamsError(f"{problem}: start `torchrun --nproc-per-node {wanted} -m sercore train ...`.")
    with runs.claimed(params, inputs) if state.is_main_process else contextlib.nullcontext():
        state.wait_for_everyone()
        if runs.find(params, inputs) is None:  # or another process, for which this one waited, has trained it
            AttributeTrainer(params, model, utterances, rows, runs.partial_folder(params, inputs)).complete()
    return runs.read(runs.run_folder(params, inputs))


def processes() -> PartialState:
    """This process among those that torchrun started; what they wait for may take a week, such as features."""
    return PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(weeks=1))


def prepare(params: Params, corpus: Corpus) -> tuple[AttributeModel, Rows, list[str], Features, dict[str, str]]:
    """The model, rows, training speakers, features and inputs of a training, for which what cannot work is refused
    before the first feature is computed; errors as of `train`."""
    quieten()
    gc.collect()  # what trainers of this process left in reference cycles
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    choose_kernels(params.training.deterministic)
    corpus.require_disjoint_speakers()
    set_seed(params.seed)
    rows = choose(corpus, params)
    speakers = sorted(rows.training["speaker"].dropna().unique())
    model = AttributeModel.from_params(params, scale=corpus.scale, speakers=len(speakers))
    encoders = FrozenEncoders(params, model.speech)
    model.config.beside = {name: model_digest(encoder) for name, encoder in encoders.beside.items()}
    inputs = {"corpus": corpus.digest()} | _circumstances(params)
    runs.require_room(params, inputs, room(model))
    with processes().main_process_first():  # the others find what it cached
        features = encoders(corpus.table)
    return model, rows, speakers, features, inputs | features.digests()


class AttributeTrainer(Trainer):
    """transformers' trainer, with this study's choice of training utterances, for the run in the folder `partial`."""

    model: AttributeModel

    def __init__(
        self, params: Params, model: AttributeModel, utterances: Utterances, rows: Rows, partial: Path
    ) -> None:
        self.params, self.utterances, self.rows, self.partial = params, utterances, rows, partial
        training = params.training
        args = TrainingArguments(
            output_dir=str(partial / "checkpoints"),
            run_name=f"{params.variant} seed {params.seed}",
            num_train_epochs=training.epochs,
            per_device_train_batch_size=training.batch_size,
            per_device_eval_batch_size=training.batch_size,
            gradient_accumulation_steps=training.accumulation,
            learning_rate=training.learning_rate,
            weight_decay=training.weight_decay,
            lr_scheduler_type="constant",
            bf16=training.precision == "bfloat16",
            activation_checkpointing=training.checkpointing,
            ddp_find_unused_parameters=True,  # also with checkpointing, with which transformers would not look for them
            use_cpu=not torch.cuda.is_available(),
            seed=params.seed,
            dataloader_pin_memory=torch.cuda.is_available(),
            dataloader_num_workers=utterances.features.workers,
            eval_strategy="epoch",
            save_strategy="epoch",
            logging_strategy="epoch",
            load_best_model_at_end=True,
            metric_for_best_model="mean",
            restore_callback_states_from_checkpoint=True,  # of patience
            label_names=["attributes"],
            remove_unused_columns=False,
            disable_tqdm=True,
        )
        args._n_gpu = min(1, args.n_gpu)  # torch's DataParallel would cut packed frames, and not between utterances
        parts = (utterances.of(rows.training), utterances.of(rows.validation))
        early: list[Any] = [EarlyStoppingCallback(training.patience)] if training.patience else []
        super().__init__(model, args, collate, *parts, compute_metrics=self._validation_ccc, callbacks=early)
        self.remove_callback(PrinterCallback)

    def complete(self) -> None:
        """Train, from the last checkpoint if there is one, predict, and complete the run's folder."""
        with self.accelerator.main_process_first():
            checkpoint, state = _last_checkpoint(self.partial / "checkpoints")
        callbacks: Any = state.stateful_callbacks or {}
        earlier = [entry["eval_seconds"] for entry in state.log_history if "eval_seconds" in entry]
        self.started = time.perf_counter() - max(earlier, default=0)
        name, epochs = self.args.run_name, self.params.training.epochs
        quiet: dict[str, Any] = {} if self.is_world_process_zero() else {"disable": True}  # {}: as TQDM_DISABLE says
        with tqdm(total=epochs, initial=round(state.epoch or 0), desc=name, unit="epoch", **quiet) as self.bar:
            if callbacks.get("TrainerControl", {}).get("args", {}).get("should_training_stop"):
                self.state = state
                self._load_best_model()
            else:
                self.train(resume_from_checkpoint=checkpoint)
        seconds = time.perf_counter() - self.started
        predictions, log = self.predicted(self.rows.predicted), pd.DataFrame(self.state.log_history)
        names = {f"eval_{name}": name for name in (*ATTRIBUTES, "mean")}
        by_epoch = log.assign(epoch=log["epoch"].round().astype(int)).groupby("epoch").first()
        history = by_epoch[["loss", *names]].rename(columns=names).reset_index()
        if self.is_world_process_zero():
            labelled = predictions.dropna(subset=list(self.params.loss.attributes)).groupby("split", sort=False)
            metrics = {
                "ccc": {split: self._ccc(rows[[*ATTRIBUTES]], rows[runs.PREDICTED]) for split, rows in labelled},
                "best_epoch": int(history.loc[history["mean"].idxmax(), "epoch"]),
                "epochs": len(history),
                "seconds": round(seconds, 2),
                "peak_memory_mb": round(_peak_memory_mb()),
                "parameters": self.model.num_parameters(),
                "trainable_parameters": self.model.num_parameters(only_trainable=True),
            }
            with writing(self.partial, room(self.model, checkpoints=0), RuntimeError):  # torch's
                self.model.save_pretrained(self.partial / "model")
                runs.finish(self.partial, metrics, history, predictions)
        self.accelerator.wait_for_everyone()

    def predicted(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Predictions for rows of the corpus table, as `sercore.runs.Run` has them."""
        outputs: Any = self.predict(self.utterances.of(rows), ignore_keys=["speaker"]).predictions
        values, *logits = outputs if isinstance(outputs, tuple) else (outputs,)
        require_finite(values, f"{self.args.run_name}, with the model of its best epoch,")
        low, high = self.model.config.scale
        predicted = dict(zip(runs.PREDICTED, (values * (high - low) + low).T, strict=True))
        if logits:
            gender = softmax(logits[0].astype(np.float32), axis=1)
            predicted[runs.PREDICTED_FEMALE] = gender[:, GENDERS.index("Female")]
        return rows[["split", "speaker", "emotion", *ATTRIBUTES]].reset_index().assign(**predicted)

    def evaluate(self, *arguments: Any, **options: Any) -> dict[str, float]:
        """transformers' own, which keeps what each epoch predicts where that is wanted, before the checkpoint."""
        metrics = super().evaluate(*arguments, **options)
        self.bar.set_postfix_str(f"validation CCC {metrics['eval_mean']:.3f}", refresh=False)
        self.bar.update()
        if self.params.training.every_epoch:
            with torch.random.fork_rng(devices=[]):  # a loader draws a seed, on which the next epoch must not depend
                labelled = self.rows.predicted.dropna(subset=list(self.params.loss.attributes))
                predictions = self.predicted(labelled)
            if self.is_world_process_zero():
                runs.keep_epoch(self.partial, round(self.state.epoch), predictions)
        return metrics

    def _save_checkpoint(self, *arguments: Any, **options: Any) -> None:
        """transformers' own; then the last and the best checkpoint are kept, or the last two if the last is best."""
        folder = self.partial / "checkpoints"
        with writing(self.partial, room(self.model, checkpoints=1), RuntimeError):
            super()._save_checkpoint(*arguments, **options)
            self.accelerator.wait_for_everyone()  # each process writes its random state
            if self.is_world_process_zero():
                seal(folder / f"checkpoint-{self.state.global_step}")
                rotate_checkpoints(str(folder), 2, self.state.best_model_checkpoint)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """transformers' own, whose groups are divided where an encoder has a learning rate of its own."""
        optimizer = super().create_optimizer(model)
        rates: dict[torch.nn.Parameter, float] = {}
        for name, encoder in self.model.encoders().items():
            rate = getattr(self.params, name).learning_rate or self.args.learning_rate
            rates |= dict.fromkeys(encoder.parameters(), rate)
        groups, optimizer.param_groups = optimizer.param_groups, []
        for group in groups:
            for rate in {rates.get(part, group["lr"]): None for part in group["params"]}:
                chosen = [part for part in group["params"] if rates.get(part, group["lr"]) == rate]
                optimizer.add_param_group(group | {"params": chosen, "lr": rate})
        return optimizer

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device: torch.device) -> tuple[list, Any]:
        """The batches of an update; with the exact CCC, each with what its part of the loss's gradient needs."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.params.training.exact_ccc and batches:
            batches = [self._prepare_inputs(batch) for batch in batches]
            self.model.train()
            with self.compute_loss_context_manager():
                gather, rank = self.accelerator.gather, self.accelerator.process_index
                parts = first_pass(self.model, self.model.loss, batches, gather, rank)
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

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        return self.rows.sampler

    def _validation_ccc(self, evaluation: EvalPrediction) -> dict[str, float]:
        outputs = evaluation.predictions
        predictions = outputs[0] if isinstance(outputs, tuple) else outputs
        require_finite(predictions, f"epoch {round(self.state.epoch)} of {self.args.run_name}")
        return self._ccc(evaluation.label_ids, predictions) | {"seconds": round(time.perf_counter() - self.started, 2)}

    def _ccc(self, truth: Any, predicted: Any) -> dict[str, float]:
        """CCC of each attribute from arrays (utterances, 3), and the mean of those that are trained."""
        values = ccc(*(torch.tensor(np.asarray(each), dtype=torch.float64) for each in (truth, predicted))).tolist()
        named = dict(zip(ATTRIBUTES, values, strict=True))
        return named | {"mean": float(np.mean([named[name] for name in self.params.loss.attributes]))}


def _circumstances(params: Params) -> dict[str, str]:
    """What figures depend on beside parameters and contents, where it is not the usual: one process, on a CPU."""
    found = {"checkpointing": "true"} if params.training.checkpointing else {}
    if torch.cuda.is_available():
        found["device"] = torch.cuda.get_device_name()
        found |= {} if params.training.deterministic else {"deterministic": "false"}
    if (count := params.training.processes or processes().num_processes) > 1:
        found["processes"] = str(count)
    return found


def _last_checkpoint(folder: Path) -> tuple[str | None, TrainerState]:
    """The newest checkpoint that is whole, as is the best one until then, with its state; all others are removed."""
    whole = [path for path in folder.glob("checkpoint-*") if is_sealed(path)]
    found, state, wanted = None, TrainerState(), set()
    for path in sorted(whole, key=lambda path: int(path.name.partition("-")[2])):
        known = TrainerState.load_from_json(str(path / "trainer_state.json"))
        best = path.with_name(f"checkpoint-{known.best_global_step}")
        if best in whole:
            found, state, wanted = str(path), known, {path, best}
            state.best_model_checkpoint = str(best)
    for path in set(folder.glob("checkpoint-*")) - wanted:
        shutil.rmtree(path, ignore_errors=True)
    return found, state


def _peak_memory_mb() -> float:
    """Peak memory of the accelerator where there is one, else of this process, in MB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
