"""Equal-error rate and silhouette against their definitions, and who is chosen."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import make_study
from scipy import stats

from sercore.corpus import CorpusError
from study import comparisons, show
from study.chapters.speakers import changes, choose, equal_error_rate, separation
from study.plan import Question


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60))
def test_equal_error_rate_lies_between_the_errors_on_both_sides_of_where_they_cross(pairs):
    same, scores = (np.array(values) for values in zip(*pairs, strict=True))
    if same.all() or not same.any():
        return
    thresholds = [*range(7), 7]
    accepted = np.array([(scores[~same] >= threshold).mean() for threshold in thresholds])
    rejected = np.array([(scores[same] < threshold).mean() for threshold in thresholds])
    found = equal_error_rate(same, scores)
    worst = np.maximum(accepted, rejected).min()
    best = np.minimum(accepted, rejected).max()
    assert best - 1e-9 <= found <= worst + 1e-9


def test_equal_error_rate_of_two_normal_distributions():
    """Scores of both kinds have deviation 1 and means d apart: the errors are equal at d / 2, and Phi(-d / 2)."""
    generator = np.random.default_rng(0)
    for distance in (0, 1, 3):
        scores = np.concatenate([generator.normal(distance, 1, 100_000), generator.normal(0, 1, 100_000)])
        found = equal_error_rate(np.arange(200_000) < 100_000, scores)
        assert found == pytest.approx(stats.norm.cdf(-distance / 2), abs=0.005)


def embeddings(spread, speakers=6, each=8):
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(speakers), each)
    points = np.eye(12)[labels] + spread * generator.normal(0, 1, (len(labels), 12))
    return points / np.linalg.norm(points, axis=1, keepdims=True), labels


def silhouette(points, labels):
    distances, values = 1 - points @ points.T, []
    for row, label in enumerate(labels):
        own = (labels == label) & (np.arange(len(labels)) != row)
        a = distances[row, own].mean()
        b = min(distances[row, labels == other].mean() for other in set(labels) - {label})
        values.append((b - a) / max(a, b))
    return np.mean(values)


def test_silhouette_is_its_definition_and_the_interval_the_jackknifes():
    points, labels = embeddings(0.3)
    row = separation(points, labels).set_index("measure").loc["silhouette"]
    assert row["estimate"] == pytest.approx(silhouette(points, labels))
    without = np.array([silhouette(points[labels != name], labels[labels != name]) for name in range(6)])
    error = np.sqrt(5 / 6 * ((without - without.mean()) ** 2).sum())
    assert row["high"] - row["estimate"] == pytest.approx(stats.t.ppf(0.975, 5) * error)
    assert (row["speakers"], row["utterances"]) == (6, 48)


def test_clusters_and_noise_differ():
    clear = separation(*embeddings(0.01)).set_index("measure")["estimate"]
    assert clear["silhouette"] > 0.95
    assert clear["equal-error rate"] == 0
    noise = separation(*embeddings(30, each=20)).set_index("measure")
    assert abs(noise.loc["silhouette", "estimate"]) < 0.1
    assert noise.loc["equal-error rate", "low"] < 0.5 < noise.loc["equal-error rate", "high"] + 0.03


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_a_change_of_a_difference_has_the_interval_of_independent_errors(seeds):
    study = make_study(("fusion", "fusion_speaker"), seeds)
    rows = comparisons.differences(study, Question("speakers", "?", (("fusion_speaker", "fusion"),)))
    other = rows.assign(estimate=rows["estimate"] + 0.1, standard_error=2 * rows["standard_error"])
    table = pd.concat([rows.assign(skew=0.3, kind="seen"), other.assign(skew=0.9, kind="seen")], ignore_index=True)
    [change], [row] = (each.to_dict("records") for each in (changes(table), comparisons.tested(rows)))
    df = 25 / (1 + 16) * row["df"]  # Satterthwaite's
    half_width = stats.t.ppf(0.975, df) * np.sqrt(5) * row["standard_error"]
    assert (change["kind"], change["system"], change["sets"]) == ("seen", "fusion_speaker", seeds)
    assert change["estimate"] == pytest.approx(0.1)
    assert (change["low"], change["high"]) == pytest.approx((0.1 - half_width, 0.1 + half_width))
    assert show.models(changes(table)) == ("; of these trained models" if seeds < 3 else "")


def test_the_most_talkative_are_chosen():
    counts = {"quiet": 1, "loud": 150, **{f"s{number}": 20 + number for number in range(12)}}
    table = pd.DataFrame({"speaker": np.repeat(list(counts), list(counts.values()))})
    rows = choose(table, np.random.default_rng(0))
    assert set(rows["speaker"]) == {"loud", *(f"s{number}" for number in range(3, 12))}
    assert (rows["speaker"] == "loud").sum() == 100
    assert sorted(rows["number"].unique()) == list(range(1, 11))
    assert len(rows[["number", "speaker"]].drop_duplicates()) == 10
    with pytest.raises(CorpusError, match="fewer than two known speakers"):
        choose(table[table["speaker"].isin(["quiet", "loud"])], np.random.default_rng(0))
