"""The page on groups says what its tables hold, a panel a profile."""

import numpy as np
import pandas as pd
import pytest
from made_up import make_study

from study.chapters import groups, groups_report


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups")
    groups.write(make_study(("speech_only", "fusion")), folder)
    return groups.read(folder)


@pytest.fixture(scope="module")
def two(tables):
    """The same, and as if measured on EmoTale."""
    joined = {}
    for name, table in tables.items():
        other = table.assign(profile="emotale", reader="emotale")
        if "group" in other:
            other = other[other["group"] != "fear"]
        joined[name] = pd.concat([table, other], ignore_index=True)
    return joined


def test_a_panel_a_profile_with_every_group_and_the_speakers(two):
    figure = groups_report.forest(two)
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == ["embedded: simulated speech", "emotale: human speech, enacted"]
    names = [[label.get_text() for label in panel.get_yticklabels()] for panel in figure.axes]
    assert len(names[0]) == len(names[1]) + 1 == 1 + 2 + 3 + 8 + 1
    drawn = figure.axes[0].containers[1].lines[0].get_xdata().astype(float)
    expected = two["groups"].query("profile == 'embedded' and system == 'fusion' and endpoint == 'mean'")["ccc"]
    np.testing.assert_allclose(drawn, expected)


def test_the_answer_counts_what_is_resolved_and_always_tells_of_women_and_men(two):
    gaps = two["gaps"].copy()
    tested = (gaps["measure"] == "ccc") & (gaps["endpoint"] == "mean")
    gaps.loc[tested, "verdict"] = "unresolved"
    chosen = tested & (gaps["group"] == "sadness") & (gaps["profile"] == "emotale") & (gaps["system"] == "fusion")
    gaps.loc[chosen, "verdict"] = "resolved"
    simulated, human = groups_report.answer(two | {"gaps": gaps}).split("**emotale**")
    assert "of 20 gaps of the mean CCC declared in advance, 0 resolved" in simulated
    assert "of 18 gaps of the mean CCC declared in advance, 1 resolved" in human
    assert simulated.count("Female − Male (6 and 6 speakers)") == human.count("Female − Male (6 and 6 speakers)") == 2
    assert "sadness − neutral" in human
    assert "sadness" not in simulated


def test_tables_are_one_a_profile_with_files_of_all_systems(two):
    for table in (groups_report.scores_table(two), groups_report.gaps_table(two), groups_report.errors_table(two)):
        assert table.count("<table") == 2
        assert "simulated speech" in table
        assert "human speech, enacted" in table
    assert "gaps-emotale.csv" in groups_report.gaps_table(two)
    assert groups_report.speakers_table(two).count("<tr>") == 1 + 4


def test_the_banner_tells_simulated_from_human_speech(tables, two):
    assert "says nothing about human speech" in groups_report.banner(two)
    human = {name: table[table["profile"] == "emotale"] for name, table in two.items()}
    assert "says nothing about human speech" not in groups_report.banner(human)
    assert "260 utterances of 12 speakers (test3)" in groups_report.banner(tables)
