"""The chapter on efficiency says what the benchmark's file holds, for any machine."""

import copy
import re

import made_up
import pytest
from test_statistics_report import texts

from study.chapters import efficiency_report as chapter

SECONDS = {"plain": 3.0, "packed frames alone": 2.0, "all together": 1.5}
MEMORY = {"plain": 800.0, "packed frames alone": 600.0, "all together": 200.0}


def rows(ways=tuple(SECONDS), setting="float32", memory=True, faster=1.0):
    made = [
        {
            "way": way,
            "setting": setting,
            "seconds": SECONDS[way] / faster,
            "ratio": SECONDS["plain"] / SECONDS[way],
            "lowest_ratio": SECONDS["plain"] / SECONDS[way] - 0.11,
            "highest_ratio": SECONDS["plain"] / SECONDS[way] + 0.22,
            "deviation": 0.0 if way == "plain" else 3e-7,
        }
        for way in ways
    ]
    for row in made if memory else []:
        row |= {"memory_mb": MEMORY[row["way"]], "memory_share": MEMORY[row["way"]] / MEMORY["plain"]}
    return made


def growth(way, factor):
    return [
        {"against": against, "value": value, "way": way, "seconds": factor * value**power}
        for against, power in zip(chapter.AXES, (1, 1.5, 2, 0.5), strict=True)
        for value in (1, 2, 4, 8)
    ]


def make_benchmark():
    pair = ("plain", "all together")
    parts = {"step_small": rows(), "step_base": rows(), "lora": rows(pair), "run": rows(pair, memory=False)}
    parts |= {"positions_256": rows(pair, memory=False), "distances": rows(pair, memory=False)}
    parts["run"][1] |= {"deviation": 4e-5, "cache_seconds": 17.0}
    parts["scaling"] = growth("plain", 2.0) + growth("all together", 1.0)
    share = {"gflop_a_step": 120.0, "machine_gflop_s": 100.0, "share": 0.42, "highest_share": 0.47}
    parts["matmul"] = [{"model": "small", "way": way, "setting": "float32"} | share for way in pair]
    parts["systems"] = [{"system": "fusion", "seconds_a_minute": 0.123}]
    run = {"system": "fusion", "utterances_an_epoch": 11_200, "epochs": 20, "exaflop": 1.25}
    gpus = [{"gpu": "X9", "peak_tflop_s": 100, "share": share, "hours": 2 / share} for share in (0.2, 0.4)]
    estimate = {"front_end_gflop_a_second": 5.1, "transformer_gflop_a_second": 31.2, "mean_seconds": 5.7}
    parts["estimate"] = estimate | {"rows": [run | gpu for gpu in gpus]}
    updates = [("one batch", 1, 0.0), ("averaged over steps", 4, 0.31), ("exact_ccc", 4, 2e-7)]
    parts["exact_ccc"] = [
        {"way": way, "batch": 32, "steps": steps, "distance": distance, "cosine": 1 - distance / 4, "seconds": 1.5}
        for way, steps, distance in updates
    ]
    whisper = {"window": 15.0, "seconds_of_speech": 2.51, "first_layer": 1e-7, "largest": 0.34, "correlation": 0.98765}
    parts["whisper"] = [whisper | {"ratio": 4.32}]
    parts["batch_sizes"] = [
        {"model": model, "batch": batch, "utterances_a_second": batch * factor}
        for model, factor in (("small", 10.0), ("base", 1.0))
        for batch in (1, 4)
    ]
    sizes = {
        "small": {"hidden_size": 256, "num_hidden_layers": 6},
        "base": {"hidden_size": 768, "num_hidden_layers": 12},
    }
    settings = {"batch": {"small": 8, "base": 4}, "mean_seconds": 5.7, "shortest": 2.0, "longest": 11.0, "sizes": sizes}
    machine = {"processor": "Abacus", "cores": 2, "threads": 2, "torch": "9.9"}
    return {"cpu": {"machine": machine, "settings": settings, "parts": parts}}


def with_gpu():
    found = make_benchmark()
    gpu = copy.deepcopy(found["cpu"])
    gpu["machine"]["gpu"] = "X9"
    gpu["parts"] = {
        "step_small": rows(faster=100) + rows(setting="bfloat16", faster=300),
        "step_base": rows(faster=100) + rows(setting="bfloat16", faster=300),
    }
    return found | {"cuda": gpu}


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr(chapter, "benchmark", make_benchmark)


@pytest.mark.usefixtures("measured")
def test_totals_hold_what_was_measured():
    table = {row[0]: row[1:] for row in texts(chapter.totals_table())[2:]}
    assert list(table) == [
        "training step, 6 layers of width 256",
        "training step, 12 layers of width 768",
        "training step of adapters (LoRA), 12 layers of width 768",
        "a whole run of fusion, embedded scale",
    ]
    assert table["training step, 6 layers of width 256"] == [
        "3.00",
        "1.50",
        "2.00[1.89, 2.22]",
        "25 %200 of 800 MB",
    ]
    assert table["a whole run of fusion, embedded scale"][-1] == "–"


@pytest.mark.usefixtures("measured")
def test_every_change_has_a_row_under_its_work():
    table = texts(chapter.tricks_table())[2:]
    assert [row[0] for row in table][:3] == ["training step, 6 layers of width 256", "", table[2][0]]
    assert table[0][1:] == ["packed frames alone", "2.00", "1.50[1.39, 1.72]", "75 %"]
    assert not any("plain" in row for row in table)


@pytest.mark.usefixtures("measured")
def test_modules_are_in_milliseconds():
    table = texts(chapter.modules_table())[2:]
    assert [row[:3] for row in table] == [
        ["positional convolution by FFT, width 256", "3,000", "1,500"],
        ["distances looked up once", "3,000", "1,500"],
    ]


@pytest.mark.usefixtures("measured")
def test_growth_is_the_power_of_the_line():
    assert re.findall(r"a power of ([\d.]+)", chapter.scaling_sentences()) == ["1.00", "1.50", "2.00", "0.50"]


@pytest.mark.usefixtures("measured")
def test_agreement_names_the_largest_deviations():
    assert "at most 3.0e-07 apart" in chapter.agreement()
    assert "took 17.0 s, once" in chapter.agreement()
    assert "CCCs of whole runs, at most 4.0e-05" in chapter.agreement()


@pytest.mark.usefixtures("measured")
def test_estimate_says_that_it_is_one():
    table = chapter.estimate_table()
    assert "An estimate, not a measurement" in table
    assert texts(table)[2] == ["fusion", "11,200", "20", "1.25", "10.0", "5.0"]


@pytest.mark.usefixtures("measured")
def test_systems_are_those_of_the_study():
    study = made_up.make_study()
    table = {row[0]: row[1:] for row in texts(chapter.systems_table(study))[1:]}
    assert set(table) == {run.system for run in study.runs}
    assert table["fusion"][-1] == "0.123"
    assert table["speech_only"][-1] == "–"
    run = next(run for run in study.runs if run.system == "fusion")
    assert table["fusion"][:2] == [str(run.metrics["parameters"]), str(run.metrics["trainable_parameters"])]


def test_a_gpu_has_columns_of_its_own(monkeypatch):
    monkeypatch.setattr(chapter, "benchmark", make_benchmark)
    assert "Nothing here was measured on a GPU" in chapter.machines()
    monkeypatch.setattr(chapter, "benchmark", with_gpu)
    assert "Nothing here was measured on a GPU" not in chapter.machines()
    assert "GPU: X9; Abacus" in chapter.machines()
    heads, _, first, *_ = texts(chapter.totals_table())
    assert [head for head in heads if head != "&nbsp;"] == ["CPU, float32", "GPU, float32", "GPU, bfloat16"]
    assert first[1] == "3.00"
    assert first[5] == "0.0300"
    assert first[9] == "0.0100"


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("draw", [chapter.tricks_figure, chapter.scaling_figure])
def test_figures_have_labelled_axes(draw):
    figure = draw()
    assert all(panel.get_xlabel() for panel in figure.axes)
    assert figure.axes[0].get_ylabel()


@pytest.mark.usefixtures("measured")
def test_what_is_not_the_same_is_told():
    assert texts(chapter.exact_table())[2] == ["averaged over steps", "4", "31 %", "0.922", "1.50"]
    assert "computed 4.3 times as fast" in chapter.whisper_sentence()
    assert "a later state by up to 0.34 of it; the last states correlate by 0.988" in chapter.whisper_sentence()
    assert texts(chapter.batch_table())[1:] == [
        ["6 layers of width 256", "10.0", "40.0"],
        ["12 layers of width 768", "1.00", "4.00"],
    ]


PARTS = ("scaling", "matmul", "systems", "estimate", "whisper", "exact_ccc", "batch_sizes")


def test_committed_benchmark_is_whole():
    """All that the chapter shows was measured, of ways that agree."""
    parts = chapter.benchmark()["cpu"]["parts"]
    assert set(parts) >= {*chapter.WORK, *chapter.MODULES, *PARTS}
    deviations = [row["deviation"] for part in (*chapter.WORK, *chapter.MODULES) for row in parts[part]]
    assert max(deviations) <= 1e-4
    assert {row["against"] for row in parts["scaling"]} == set(chapter.AXES)
    assert not re.search(r"/(home|root|work|tmp)/", str(chapter.benchmark()))
