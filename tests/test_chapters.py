"""What the chapters say, of made-up systems whose order is known."""

import base64
import re
from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from made_up import make_study

from sercore import params
from study import comparisons, paper
from study import plan as questions
from study.comparisons import CEILING, FLOOR
from study.plan import Question
from study.show import chapters, tables

TEXT = Question("text", "?", (("fusion", "speech_only"), ("fusion_gender", "fusion")))


@pytest.fixture(scope="module")
def study():
    return make_study()


@pytest.fixture(scope="module")
def compared(study):
    return comparisons.compare(study, TEXT)


def linked(html, name):
    return base64.b64decode(re.search(rf'download="{name}" href="data:[^,]+,([^"]+)"', html)[1]).decode()


def with_verdict(compared, verdict, difference):
    """The same comparison with the first pair's result replaced."""
    changed = compared.differences.copy()
    changed.loc[changed.index[3], ["difference", "verdict"]] = [difference, verdict]
    return replace(compared, differences=changed)


def test_the_table_of_scores_has_floor_and_ceiling_and_the_paper_beside(compared):
    table = chapters.scores_table(compared)
    assert table.index(">fusion<") < table.index(CEILING) < table.index(FLOOR)
    assert "this study: test3" in table
    assert "the paper: validation set" in table
    assert ">.6588<" in table  # MMWavLM, as printed
    assert re.search(r"\d+ utterances of 12 speakers that all", table)
    assert paper.quoted()["caveat"] in table
    assert "Table 3, MMWavLM + G Pred: one summary of the paper" in table
    best = compared.scores.query("system == 'fusion' and endpoint == 'mean'").iloc[0]
    assert f"{best.ccc:.3f}<br><small>[{best.low:.2f}, {best.high:.2f}]".replace("0.", ".") in table
    assert "<b>" not in table


def test_figures_of_the_paper_on_other_data_are_marked():
    study = make_study(("baseline", "speech_only", "speech_gender"))
    table = chapters.scores_table(comparisons.compare(study, Question("q", "?", (("baseline", "speech_only"),))))
    assert ".579<br><small>Test3</small>" in table
    alone = chapters.scores_table(comparisons.compare(study, Question("q", "?", (("baseline", "speech_gender"),))))
    assert "the paper: Test3" in alone
    assert ">.579<" in alone


def test_the_table_of_differences_tells_its_family_and_test(study, compared):
    table = chapters.differences_table(compared)
    row = compared.tested.iloc[0]
    assert f"+{row.difference:.3f}<br>".replace("0.", ".") in table
    assert ">+.0194<" in table  # the paper's
    assert "family of the 2 comparisons" in table
    assert "Satterthwaite" in table
    assert "trained runs of each system: 2" in table
    single = replace(study, runs=[run for run in study.runs if run.params.seed == 0])
    assert "swapping the two within speakers" in chapters.differences_table(comparisons.compare(single, TEXT))
    assert chapters.differences_table(comparisons.compare(study, TEXT)) == table  # nbval compares the text


def test_files_hold_the_numbers_and_the_shown_table(compared):
    table = chapters.differences_table(compared)
    numbers = pd.read_csv(StringIO(linked(table, "text-differences.csv")))
    expected = compared.differences.assign(verdict=compared.differences["verdict"].replace("", None))
    pd.testing.assert_frame_equal(numbers, expected, check_dtype=False, atol=5e-5, rtol=0)
    text = linked(table, "text-differences.tex")
    assert r"fusion $-$ speech\_only & $" not in text
    assert r"fusion $-$ speech\_only & +." in text
    assert text.count(r"\\") == 1 + len(TEXT.pairs)
    assert "Simulated" not in text.splitlines()[0]
    assert "synthesiser" in text.splitlines()[0]
    assert not re.search(r"<|[^\x00-\x7f]", text.split(r"\begin")[1].replace("$<$", ""))


def test_the_answer_follows_the_verdicts(compared):
    lines = chapters.answer(compared).split("\n")
    assert lines[0] == "Of 2 differences declared in advance, 1 resolved on test3:"
    assert lines[2].startswith("- `fusion` is higher than `speech_only`: +.")
    assert lines[2].endswith("resolved.")
    assert lines[3].startswith("- `fusion_gender` is not told apart from `fusion`: ")
    assert "lower than `speech_only`: −.200" in chapters.answer(with_verdict(compared, "resolved", -0.2))


@pytest.mark.parametrize(
    ("verdict", "difference", "said"),
    [
        ("resolved", 0.2, "+.0194 in the paper; +.200 here, of the same sign."),
        ("resolved", -0.2, "+.0194 in the paper; −.200 here, of the opposite sign."),
        ("unresolved", 0.2, "+.0194 in the paper; unresolved here"),
    ],
)
def test_the_paper_is_beside_not_confirmed_or_refuted(compared, verdict, difference, said):
    text = chapters.against_the_paper(with_verdict(compared, verdict, difference))
    assert f"`fusion` − `speech_only`: {said}" in text
    assert "neither confirm nor refute" in text


def test_a_difference_that_is_nothing_in_its_digits_has_no_sign():
    study = make_study(("fusion", "fusion_development_ambiguous"))
    compared = comparisons.compare(study, Question("q", "?", (("fusion_development_ambiguous", "fusion"),)))
    text = chapters.against_the_paper(with_verdict(compared, "resolved", 0.1))
    assert "+.00 in the paper; +.100 here, where the paper's two digits show no sign." in text


@pytest.mark.parametrize("reader", ["simulated", "emotale", "iemocap", "msp_podcast", "manifest"])
def test_every_reader_tells_what_its_figures_say_of_the_paper(compared, reader):
    corpus = {"corpus": {"reader": reader, "path": "somewhere"}}
    changed = replace(compared, params=params.load("embedded", "fusion", 0, corpus))
    assert ("neither confirm nor refute" in chapters.against_the_paper(changed)) == (reader != "msp_podcast")


def test_the_overview_and_its_links(study, compared):
    table = chapters.overview_table([compared, compared])
    assert table.count("<tr>") == 1 + 4
    links = chapters.contents([compared])
    assert links == "- [?](/notebooks/text)"
    folder = params.project_root() / "notebooks"
    assert all((folder / f"{name}.py").is_file() for name in questions.questions("embedded"))


def test_splits_stand_beside_each_other():
    study = make_study(("fusion", "fusion_development_ambiguous"))
    question = Question("ambiguous", "?", (("fusion_development_ambiguous", "fusion"),))
    both = [comparisons.compare(study, question, split) for split in ("development", "test3")]
    table = chapters.leak_table(study.runs, both)
    curve = [run.history["mean"].iloc[run.metrics["best_epoch"] - 1] for run in study.runs]
    assert f"{np.mean(curve):.3f}".lstrip("0") in table
    for one in both:
        assert f"{one.tested.iloc[0].difference:+.3f}".replace("0.", ".").replace("-", "−") in table
    assert "not tested" in table
    assert table.count("<tr>") == 2 + 2


def test_the_challenges_figures_are_quoted():
    table = chapters.quoted_table("Test3")
    assert table.count("<tr>") == 1 + 3
    assert all(text in table for text in (".6076", ".579", ".6003", "–"))
    assert ".6588" not in table


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, ".500"), (-0.0194, "−.019"), (1, "1.000"), (0, ".000"), (np.nan, "–"), (10.04, "10.040")]
)
def test_numbers_are_printed_as_the_paper_does(value, text):
    assert tables.number(value) == text
