"""The first page, the README and the page on comparing systems say what the results hold, of any seeds and profile."""

import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from made_up import make_study

from study import comparisons, show
from study.chapters import compare, overview
from study.plan import questions, systems
from study.results import read


@pytest.fixture(
    scope="module", params=[("embedded", 1), ("embedded", 2), ("embedded", 5), ("msp_podcast", 5), ("iemocap", 5)]
)
def study(request):
    profile, seeds = request.param
    return make_study(systems(questions(profile).values()), seeds, profile)


@pytest.fixture(scope="module")
def real():
    return read("emotale", ROOT / "results" / "emotale" / "paper")


def test_sentences_are_true_of_any_number_of_seeds(study, real):
    seeds = len({run.params.seed for run in study.runs})
    found = overview.found(study, real)
    kind = next(iter(found)).removesuffix(" speech")
    assert kind == {"embedded": "simulated", "msp_podcast": "naturalistic", "iemocap": "acted"}[study.params.profile]
    assert kind in show.banner(study.params, real.params).data.lower()
    text = show.findings(found).data
    assert (f"on {kind} speech, of these trained models," in text) == (seeds < 3)
    margins = {study.params.profile: ".01" if study.params.profile == "msp_podcast" else ".02"}
    assert f"within {margins[study.params.profile]}" in text
    answers = show.answer(comparisons.all_differences(study)).data.split("\n")
    bullets = [line for line in answers if line.startswith("- ")]
    assert len(bullets) == len(comparisons.tested(comparisons.all_differences(study)))
    assert all(("rained model" in line) == (seeds < 3) for line in bullets)
    assert not any("runs of each" in line for line in bullets if seeds < 3)
    claims = overview.claims(found)
    assert (f"{kind} speech, of these trained models" in claims) == (seeds < 3)
    assert f"{overview.EMOTALE}, of these trained models" in claims  # folds are one run


def test_every_confirmatory_step_is_in_one_sentence_and_one_claim(study, real):
    found = overview.found(study, real)
    steps = comparisons.tested(next(iter(found.values())))
    text = show.findings(found).data
    for _, row in steps.iterrows():
        a, b = f"`{row['system']}`", f"`{row['reference']}`"
        kind = {"i": "Inconclusive", "e": "Equivalent"}.get(row["verdict"][0], "Better")
        [line] = [line for line in text.split("\n") if line.startswith(f"- **{kind}**")]
        assert any(f"{one} {word} {other} (" in line for word in ("than", "and") for one, other in ((a, b), (b, a)))
    claims = overview.claims(found)
    assert list(claims.index) == list(steps["step"])
    assert (claims.iloc[:, -1] != "–").sum() == min(4, len(steps))


def test_the_leaderboard_is_in_order_and_has_the_papers_names(study):
    table = comparisons.tested(overview.leaderboard(study))
    assert table["estimate"].is_monotonic_decreasing
    assert table.set_index("system")["label"]["fusion_gender"] == "MMWavLM + G Pred"


def test_another_profile_has_a_first_page_too(real):
    found = overview.found(real, real)
    assert list(found) == ["enacted speech"]
    assert list(overview.claims(found).index) == ["MMWavLM vs. WavLM"]
    assert set(overview.leaderboard(real)["label"]) == {"–"}


def test_the_readme_holds_the_committed_results(tmp_path, monkeypatch):
    for name in ("README.md", "params", "book"):
        source, target = ROOT / name, tmp_path / name
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("_build")) if source.is_dir() else shutil.copy(
            source, target
        )
    (tmp_path / "results").symlink_to(ROOT / "results")
    monkeypatch.chdir(tmp_path)
    overview.write_readme()
    assert Path("README.md").read_text() == (ROOT / "README.md").read_text()


def test_the_example_of_a_comparison_holds_the_committed_results(tmp_path):
    compare.write_example(tmp_path)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_text() for path in (ROOT / "results" / "compare").iterdir()}
