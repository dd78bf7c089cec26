"""What adaptation costs, of made-up runs whose prices are known."""

import re
from dataclasses import replace

import pytest
from made_up import make_study

from sercore import params
from study import comparisons
from study import plan as questions
from study.chapters import adaptation_report

ALONE = ("fusion_arousal", "fusion_valence", "fusion_dominance")


@pytest.fixture(scope="module")
def study():
    asked = questions.question("embedded", "adaptation")
    made = make_study(tuple(questions.systems([asked])), seeds=3)
    memory = dict(zip(ALONE, (700, 900, 800), strict=True))
    priced = [replace(run, metrics=run.metrics | {"peak_memory_mb": memory.get(run.system, 500)}) for run in made.runs]
    return replace(made, runs=priced)


@pytest.fixture(scope="module")
def compared(study):
    return comparisons.compare(study, questions.question("embedded", "adaptation"))


def test_three_systems_cost_what_each_costs_and_the_memory_of_one(study, compared):
    found = adaptation_report.costs(compared, study.runs)
    assert list(found.index) == list(compared.question.compared)
    one, three = found.loc["fusion"], found.loc["fusion_by_attribute"]
    assert (one["trained parameters"], three["trained parameters"]) == (100, 300)
    assert (one["seconds"], three["seconds"]) == pytest.approx((11.4, 3 * 11.4))  # of 10.4, 11.4 and 12.4
    assert (one["memory (MB)"], three["memory (MB)"]) == (500, 900)


def test_a_system_is_called_by_how_it_is_adapted(study, compared):
    found = adaptation_report.costs(compared, study.runs)[["speech", "text"]]
    assert found.loc["fusion_frozen"].tolist() == ["frozen", "frozen"]
    assert found.loc["whisper_lora"].tolist() == ["LoRA, rank 8", "frozen"]
    assert found.loc["fusion_text_finetuned"].tolist() == ["fine-tuned", "fine-tuned"]
    assert adaptation_report.adaptation(params.load("embedded", "speech_only", 0).text) == "–"


def test_the_tables_show_what_was_measured(study, compared):
    table = adaptation_report.costs_table(compared, study.runs)
    best = compared.scores.query("system == 'fusion_lora' and endpoint == 'mean'").iloc[0]
    row = re.search(r">fusion_<wbr>lora</th>(.*?)</tr>", table, re.DOTALL)[1]
    assert f"{best.ccc:.3f}<br><small>[{best.low:.2f}, {best.high:.2f}]".replace("0.", ".") in row
    assert 'download="adaptation-costs.csv"' in table
    table = adaptation_report.attributes_table(compared)
    step = compared.differences.query("system == 'fusion_by_attribute' and endpoint == 'valence'").iloc[0]
    assert f"{abs(step.difference):.3f}"[1:] in table.split("by_<wbr>attribute")[1]


def test_every_system_has_a_mark_of_its_own_in_each_panel(study, compared):
    figure = adaptation_report.costs_figure(compared, study.runs)
    for panel in figure.axes:
        marks = {(mark[0].get_color(), mark[0].get_marker()) for mark in panel.containers}
        assert len(marks) == len(compared.question.compared)
        ends = [limit for mark in panel.containers for limit in mark[2][0].get_segments()[0][:, 1]]
        expected = compared.scores.query("endpoint == 'mean'").set_index("system")[["low", "high"]]
        assert ends == pytest.approx(expected.loc[list(compared.question.compared)].to_numpy().ravel())
    assert [panel.get_xscale() for panel in figure.axes] == ["log", "linear", "linear"]
    assert figure.axes[0].get_ylabel().startswith("mean CCC on test3")
