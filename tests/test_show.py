"""Tables, figures and sentences show what the tidy tables hold."""

import base64
import re
from dataclasses import replace
from io import StringIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_up import make_study, write_results

from sercore import params
from sercore.corpus import PRIMARY_EMOTIONS
from sercore.report import number, probability, signed
from study import comparisons, paper, show
from study.chapters import ablation, undersampling
from study.comparisons import CEILING, FLOOR
from study.plan import Question, questions
from study.results import read, summed
from study.show.tables import basis

TEXT = Question("text", "?", (("fusion", "speech_only"), ("fusion_gender", "fusion")))


@pytest.fixture(scope="module")
def study():
    return make_study()


@pytest.fixture(scope="module")
def differences(study):
    return comparisons.differences(study, TEXT)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def results(study, tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    (root / "study").mkdir()
    write_results(root / "study", study)
    return root


def linked(html, name):
    return base64.b64decode(re.search(rf'download="{name}" href="data:[^,]+,([^"]+)"', html)[1]).decode()


def changed(differences, estimate, verdict):
    """The same table with another result of the first pair."""
    table = differences.copy()
    table.loc[table.index[3], ["estimate", "verdict"]] = [estimate, verdict]
    return table


def test_the_table_of_scores_has_floor_and_ceiling_and_the_paper_beside(study):
    scores = comparisons.scores(study, TEXT)
    table = show.scores(scores, "What.").data
    assert table.index(">fusion<") < table.index(CEILING) < table.index(FLOOR)
    assert re.search(r'<td class="data[^"]* paper" ?>.659<', table)  # MMWavLM, printed as .6588
    best = scores.query("system == 'fusion' and endpoint == 'mean'").iloc[0]
    assert f"{best.estimate:.3f}<br><small>[{best.low:.2f}, {best.high:.2f}]".replace("0.", ".") in table
    count = (study.corpus["split"] == "test3").sum()
    assert f"What. {count} utterances, 12 speakers, 2 seeds; [95 % interval]." in table
    other = show.scores(comparisons.scores(study, Question("q", "?", (("speech_only", "fusion"),))), "").data
    assert ".579" not in other


def test_the_papers_figures_on_other_data_say_so():
    study = make_study(("baseline", "speech_only"))
    table = show.scores(comparisons.scores(study, Question("q", "?", (("baseline", "speech_only"),))), "").data
    assert ".579<br><small>Test3</small>" in table


def test_files_hold_the_numbers_and_the_shown_table(differences):
    table = show.differences(differences, "What.").data
    numbers = pd.read_csv(StringIO(linked(table, "differences.csv")))
    expected = differences.assign(verdict=differences["verdict"].replace("", None))
    pd.testing.assert_frame_equal(numbers, expected, check_dtype=False, atol=5e-5, rtol=0)
    text = linked(table, "differences.tex")
    assert r"fusion $-$ speech\_only & +." in text
    assert text.count(r"\\") == 1 + len(TEXT.pairs)
    assert text.startswith("% What.")
    assert not re.search(r"<|[^\x00-\x7f]", text.split(r"\begin")[1].replace("$<$", ""))
    assert ">+.019<" in table  # the paper's, printed as +.0194


def test_a_table_says_what_it_rests_on(study):
    assert basis(pd.DataFrame({"utterances": [1600, 1600], "seeds": [5.0, np.nan]})) == "1,600 utterances, 5 seeds."
    pooled = pd.DataFrame({"seeds": [3, 3], "sets": [1, 1], "low": [0, 0]})
    assert basis(pd.DataFrame({"seeds": [1]})) == "1 seed."
    assert basis(pooled) == "3 seeds (folds, pooled); [95 % interval]."
    families = {"family": ["first", "second", "second"], "comparisons": [11, 3, 2], "margin": 0.02}
    judged = pd.DataFrame({"speakers": [14, 1000, 14], **families})
    said = "14–1,000 speakers; first family of 11, second family of 3, 2; margin .02; [simultaneous 95 % interval]."
    assert basis(judged) == said


def test_a_column_has_equal_decimals_and_no_id_repeats():
    table = pd.DataFrame(
        {
            "system": ["a_b", "c"],
            "ccc": [0.5, 2.0],
            "seconds": [0.25, 100.0],
            "gradient": [0.0, 3e-6],
            "p": [0.0004, 1.0],
            "count": [1600, 2],
            "epoch": [3.0, np.nan],
        }
    )
    html = show.show(table, "What.", "name").data
    cells = re.findall(r'<td class="data[^"]*" ?>(.*?)</td>', html)
    assert cells[:6] == [".500", "0", "0e+00", "&lt;&nbsp;.001", "1,600", "3"]
    assert cells[6:] == ["2.000", "100", "3e-06", "1.000", "2", "–"]
    assert '<th scope="row">a_<wbr>b</th>' in html
    assert "id=" not in html
    assert "$<$ .001" in linked(html, "name.tex")


def test_every_column_that_names_a_row_has_a_heading(study):
    scores = comparisons.scores(study, TEXT)
    table = scores.assign(condition="study", cost="1 s")
    html = show.scores(table, "What.", rows=("condition", "system", "cost")).data
    heads = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"(?s)<tr>(.*?)</tr>", html)]
    assert heads[0] == ["condition", "system", "cost", *dict.fromkeys(scores["endpoint"])]
    assert heads[1][:3] == ["study", "speech_<wbr>only", "1 s"]
    assert html.count('<th scope="row">') == 3 * (len(heads) - 1)
    assert r"condition & system & cost & arousal" in linked(html, "scores.tex")
    beside = show.scores(scores, "What.").data
    assert re.search(r"<td colspan=\"2\"></td>\s*<th [^>]*>this study</th>", beside)
    assert re.search(r"<th [^>]*>system</th>\s*<th [^>]*>encoder</th>\s*<th [^>]*>arousal</th>", beside)
    assert not re.search("<th[^>]*></th>", html + beside)


def test_a_figure_that_the_paper_prints_with_two_digits_says_so():
    assert paper.stated_difference("fusion_development_ambiguous", "fusion") == "+.001<br><small>± .010</small>"
    assert paper.stated_difference("fusion", "speech_only") == "+.019"
    assert paper.stated_difference("whisper_only", "speech_only") == "–"
    row = paper.printed_scores(["fusion_development_ambiguous"]).iloc[0]
    assert row["valence"] == ".710<br><small>± .005</small>"


def test_the_answer_follows_the_verdicts(study, differences):
    lines = show.answer(differences).data.split("\n")
    assert lines[0].startswith("On test3 (")
    assert lines[2].startswith("- Of these trained models, `fusion` is better than `speech_only`: by .")
    more = summed(replace(study, runs=make_study(TEXT.compared, 3).runs))
    lines = show.answer(comparisons.differences(more, TEXT)).data.split("\n")
    assert lines[2].startswith("- `fusion` is better than `speech_only`: by .")
    assert lines[3].startswith("- `fusion_gender` against `fusion`: inconclusive; differences from")


@pytest.mark.parametrize(
    ("estimate", "verdict", "said"),
    [
        (0.2, "better", "+.0194 in the paper; +.200 here, the same sign."),
        (-0.2, "worse", "+.0194 in the paper; −.200 here, another sign."),
        (0.2, "inconclusive", "+.0194 in the paper; +.200 here, inconclusive."),
        (0.01, "equivalent", "+.0194 in the paper; +.010 here, equivalent."),
    ],
)
def test_the_paper_is_beside(differences, estimate, verdict, said):
    text = show.beside_the_paper(changed(differences, estimate, verdict)).data
    assert f"`fusion` − `speech_only`: {said}" in text
    assert "Table 3, MMWavLM + G Pred: one summary of the paper" in text


def test_a_difference_that_is_nothing_in_its_digits_has_no_sign():
    study = make_study(("fusion", "fusion_development_ambiguous"))
    question = Question("q", "?", (("fusion_development_ambiguous", "fusion"),))
    table = changed(comparisons.differences(study, question), 0.1, "better")
    assert "+.00 in the paper; +.100 here, and no sign in the paper's digits." in show.beside_the_paper(table).data


def test_the_overview_links_to_each_chapter():
    links = show.contents("embedded").data.split("\n")
    assert len(links) == len(questions("embedded"))
    folder = params.project_root() / "notebooks"
    assert all((folder / f"{name}.py").is_file() for name in questions("embedded"))


def test_the_forest_shows_each_difference_its_interval_and_the_papers(differences):
    axes = show.forest(differences).ax
    drawn = np.concatenate([np.ravel(line.get_xdata()) for line in axes.get_lines()])
    marks = np.concatenate([points.get_offsets()[:, 0] for points in axes.collections])
    for row in comparisons.tested(differences).itertuples():
        for value in (row.low, row.high, row.inner_low, row.inner_high):
            assert np.isclose(drawn, value).any()
        assert np.isclose(marks, row.estimate).any()
        assert np.isclose(marks, row.paper).any()
    assert axes.get_xlabel() == "difference of mean CCC on test3"
    two = pd.concat([differences, differences.assign(question="other")])
    assert [ax.get_title() for ax in show.forest(two, row="question").axes.flat] == ["text", "other"]


def test_curves_go_through_the_estimates():
    table = pd.DataFrame(
        {"dose": [0, 1, 2], "estimate": [0.0, 0.3, 0.2], "low": [-0.1, 0.1, 0.15], "high": [0.1, 0.4, 0.3]}
    )
    axes = show.curves(table, "dose", ("dose (%)", "CCC")).ax
    assert np.allclose(axes.get_lines()[0].get_ydata(), table["estimate"])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("dose (%)", "CCC")


def test_figures_repeat_of_the_same_runs_alone(results, study, tmp_path):
    repeated = ablation.repeated(study.runs, results / "study")
    assert len(repeated) == len(study.runs) * 2 * 4
    assert "the tolerance between machines" in show.repeats(repeated).data
    metrics = study.runs[2].metrics | {"ccc": {"test3": {"valence": 0.3}}}
    other = ablation.repeated([replace(study.runs[2], metrics=metrics)], results / "study")
    assert "A CCC differs by 0.100" in show.repeats(other).data
    assert ablation.repeated(study.runs, results / "nowhere").empty
    unknown = ablation.repeated([replace(study.runs[0], system="speech_only-12345678")], results / "study")
    assert "have no such run" in show.repeats(unknown).data


def test_errors_by_emotion_against_a_plain_loop(study):
    runs = [run for run in study.runs if run.system == "fusion"]
    table = undersampling.errors_by_emotion(runs, "test3").set_index(["emotion", "endpoint", "statistic"])
    for code, emotion in PRIMARY_EMOTIONS.items():
        tables = [run.predictions for run in runs]
        rows = [each[(each["split"] == "test3") & (each["emotion"] == code)] for each in tables]
        error = np.concatenate([each["predicted_valence"] - each["valence"] for each in rows])
        assert table.loc[(emotion, "valence", "RMSE"), "estimate"] == pytest.approx(np.sqrt((error**2).mean()))
        assert table.loc[(emotion, "valence", "bias"), "estimate"] == pytest.approx(error.mean())


def test_a_study_is_read_and_another_profile_refused(results, tmp_path):
    study = read("embedded", results)
    assert len(study.runs) == 6
    assert set(study.ratings["utterance"]) == set(study.corpus.index)
    with pytest.raises(params.ParamsError, match="holds runs of profile embedded, not of emotale"):
        read("emotale", results)
    with pytest.raises(params.ParamsError, match="missing runs"):
        read("embedded", tmp_path)


def test_players_hold_the_sound(results, tmp_path):
    html = show.players(results / "study" / "samples").data
    assert html.count("<audio") == len(PRIMARY_EMOTIONS)
    assert html.index("anger") < html.index("neutral")
    assert "<audio" not in show.players(tmp_path / "samples").data


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, ".500"), (-0.0194, "−.019"), (1, "1.000"), (0, ".000"), (np.nan, "–"), (10.04, "10.040")]
)
def test_numbers_as_the_paper_prints_them(value, text):
    assert number(value) == text


def test_signs_and_probabilities():
    assert (signed(0.02), signed(-0.02)) == ("+.020", "−.020")
    assert (probability(0.0004), probability(0.0312)) == ("< .001", ".031")
