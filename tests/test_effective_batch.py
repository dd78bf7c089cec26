"""The loss of an update's whole batch, against the same utterances in one batch."""

from threading import Barrier, Thread

import numpy as np
import pandas as pd
import pytest
import torch

from sercore import params
from sercore.batches import Utterances, collate
from sercore.exact_ccc import first_pass, second_pass
from sercore.features import FrozenEncoders
from sercore.model import AttributeModel
from sercore.training import train

STILL = {"heads": {"width": 16, "dropout": 0.0}}
SIZES = [9, 4, 7]


@pytest.fixture
def system(project, tones):
    """A model with every head, and a dataset."""
    chosen = params.load("embedded", "fusion", 0, STILL | {"loss": {"gender": 1.0, "speaker": 0.1}})
    torch.manual_seed(0)
    model = AttributeModel.from_params(chosen, speakers=4, scale=tones.scale)
    features = FrozenEncoders(chosen, model.speech)(tones.table)
    return model, Utterances(tones, features, list("0123")).of(tones.split("train"))


def still(model):
    model.speech.config.mask_time_prob = model.speech.config.activation_dropout = 0.0
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model.train()


def parts_of(dataset, sizes):
    ends = np.cumsum([0, *sizes])
    return [collate([dataset[i] for i in range(*ends[at : at + 2])]) for at in range(len(sizes))]


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None])


def alone(tensor):
    return tensor.clone()


def test_the_gradient_of_parts_is_that_of_the_whole(system):
    model, dataset = still(system[0]), system[1]
    whole = model(**collate([dataset[i] for i in range(sum(SIZES))])).loss
    expected = gradients(model, whole)
    batches = parts_of(dataset, SIZES)
    parts = first_pass(model, model.loss, batches, alone, rank=0)
    found = sum(gradients(model, second_pass(model, *both)) for both in zip(batches, parts, strict=True))
    assert parts[0].loss.item() == pytest.approx(whole.item(), abs=1e-5)
    assert second_pass(model, batches[0], parts[0]).item() == pytest.approx(whole.item(), abs=1e-5)
    torch.testing.assert_close(found, expected, atol=1e-5 * expected.abs().max().item(), rtol=1e-5)
    plain = sum(gradients(model, model(**batch).loss) for batch in batches) / len(SIZES)
    assert (plain - expected).norm() > 0.01 * expected.norm()  # which is why


def test_weights_join_the_whole_batch(system):
    model, rows = still(system[0]), system[1]
    whole = collate([rows[i] for i in range(sum(SIZES))])
    weights = torch.rand(whole["attributes"].shape, generator=torch.Generator().manual_seed(0))
    expected = gradients(model, model(**whole, weights=weights).loss)
    pairs = zip(parts_of(rows, SIZES), weights.split(SIZES), strict=True)
    batches = [batch | {"weights": part} for batch, part in pairs]
    parts = first_pass(model, model.loss, batches, alone, rank=0)
    found = sum(gradients(model, second_pass(model, *both)) for both in zip(batches, parts, strict=True))
    torch.testing.assert_close(found, expected, atol=1e-5 * expected.abs().max().item(), rtol=1e-5)
    plain = gradients(model, model(**whole).loss)
    assert (plain - expected).norm() > 0.01 * expected.norm()


def test_both_passes_draw_the_same(system):
    model, dataset = system[0].train(), system[1]
    (batch,) = parts_of(dataset, [12])
    (part,) = first_pass(model, model.loss, [batch], alone, rank=0)
    torch.manual_seed(99)
    again = []
    second_pass(lambda **inputs: again.append(model(**inputs)) or again[0], batch, part)
    assert model.loss(again[0].outputs(), batch).item() == pytest.approx(part.loss.item(), abs=1e-6)
    assert model(**batch).loss.item() != pytest.approx(part.loss.item(), abs=1e-6)


def test_devices_see_one_batch(system):
    """Two threads stand for two devices, whose gradients the trainer would add up."""
    model, dataset = still(system[0]), system[1]
    expected = gradients(model, model(**collate([dataset[i] for i in range(16)])).loss)
    batches = parts_of(dataset, [8, 8])
    barrier, shared, parts = Barrier(2), [None, None], [None, None]

    def device(rank):
        def gather(tensor):
            shared[rank] = tensor
            barrier.wait()
            joint = torch.cat(shared)
            barrier.wait()
            return joint

        parts[rank] = first_pass(model, model.loss, [batches[rank]], gather, rank)[0]

    threads = [Thread(target=device, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = sum(gradients(model, second_pass(model, *both)) for both in zip(batches, parts, strict=True))
    torch.testing.assert_close(found, expected, atol=1e-5 * expected.abs().max().item(), rtol=1e-5)


def test_a_run_with_accumulation_is_that_of_the_big_batch(project, tones, monkeypatch):
    monkeypatch.setattr("sercore.training.AttributeModel", Still)
    common = STILL | {"sampling": {"samples_per_emotion": 8, "validation_per_emotion": 2}}
    big = common | {"training": {"epochs": 3, "batch_size": 40}}
    small = common | {"training": {"epochs": 3, "batch_size": 8, "accumulation": 5, "exact_ccc": True}}
    one, other = (train(params.load("embedded", "fusion_gender", 0, each), tones) for each in (big, small))
    assert one.system != other.system
    pd.testing.assert_frame_equal(one.history, other.history, atol=2e-4, rtol=1e-4)
    plain = train(
        params.load("embedded", "fusion_gender", 0, small | {"training": small["training"] | {"exact_ccc": False}}),
        tones,
    )
    assert np.abs(plain.history["loss"] - one.history["loss"]).max() > 0.002


class Still(AttributeModel):
    @classmethod
    def from_params(cls, *arguments, **options):
        return still(AttributeModel.from_params(*arguments, **options))
