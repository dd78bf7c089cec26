"""The simulated release: raters as published, shares as in the paper, the same bytes always, nobody's folder lost."""

import filecmp
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from sercore import ATTRIBUTES
from sercore.corpora import msp_podcast
from sercore.corpus import GENDERS, PRIMARY_EMOTIONS, CorpusError
from sercore.params import ParamsError
from simulation import grammar, population
from simulation import release as simulated
from study.chapters.data import class_statistics, rater_statistics

SMALL = {
    "reader": "simulation.release",
    "train_utterances": 150,
    "train_speakers": 10,
    "development_utterances": 60,
    "development_speakers": 6,
    "test_utterances_per_emotion": 6,
    "test_speakers": 12,
}
TINY = SMALL | {"train_utterances": 12, "development_utterances": 8, "test_utterances_per_emotion": 2}


@pytest.fixture(scope="module", autouse=True)
def project(tmp_path_factory):
    """A project for the cache of what was read."""
    root = tmp_path_factory.mktemp("project")
    (root / "params").mkdir()
    (root / "params" / "variants.yaml").write_text("fusion: {}\n")
    with pytest.MonkeyPatch.context() as context:
        context.chdir(root)
        yield root


def read(folder):
    return msp_podcast.read(msp_podcast.Params(reader="msp_podcast", path=folder), 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return simulated.write(simulated.Params(path=tmp_path_factory.mktemp("data") / "simulated", **SMALL))


@pytest.fixture(scope="module")
def corpus(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read(folder)


def as_tables(drawn: population.Utterances) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the statistics need of a corpus, without sound."""
    count, raters = drawn.votes.shape
    names = pd.RangeIndex(count)
    ratings = pd.DataFrame(drawn.ratings.reshape(-1, 3).astype(float), columns=ATTRIBUTES)
    ratings = ratings.assign(
        utterance=np.repeat(names, raters), rater=drawn.raters.ravel(), emotion=population.VOTES[drawn.votes.ravel()]
    )
    table = pd.DataFrame(drawn.attributes, names, ATTRIBUTES).assign(emotion=drawn.consensus, split="train")
    return table, ratings


# How far a simulated statistic may be from the published one: sampling error of the corpus, and for the means and the
# votes what follows from MSP-Podcast's larger share of emotions. Kappa, X and O depend on the shares themselves.
TOLERANCE = {
    "one rating: standard deviation": 0.05,
    "ratings of one utterance: standard deviation": 0.05,
    "bias of a rater: standard deviation": 0.07,
    "consensus: mean": 0.16,
    "consensus: standard deviation": 0.05,
    "ICC(1,1)": 0.04,
    "ICC(1,k)": 0.06,
    "CCC of one rater and the mean of the others": 0.05,
    "correlation of the consensus": 0.08,
    "primary votes: share of the most frequent, mean": 0.04,
    "primary votes: share of the most frequent, standard deviation": 0.03,
}


@pytest.mark.parametrize("seed", range(4))
def test_raters_are_as_published(seed):
    generator = np.random.default_rng(seed)
    biases = population.draw_raters(generator, simulated.Params.model_fields["raters"].default)
    drawn = population.draw_quotas(generator, population.natural_quotas(2200), biases, 5)
    table = rater_statistics(*as_tables(drawn))
    for statistic, tolerance in TOLERANCE.items():
        difference = (table.loc[statistic, "measured"] - table.loc[statistic, "published"]).abs()
        assert (difference <= tolerance).all(), f"{statistic}\n{table.loc[statistic]}"


def drawn_with(noise):
    generator = np.random.default_rng(0)
    biases = population.draw_raters(generator, 60)
    return population.draw_utterances(generator, 4000, biases, 5, population.Noise(**noise))


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.2])
def test_noise_changes_ratings_alone_and_by_its_factor(factor):
    usual, noisy = drawn_with({}), drawn_with({"raters": factor})
    for name in ("intended", "true", "raters", "votes"):
        np.testing.assert_array_equal(getattr(usual, name), getattr(noisy, name))
    inner = np.abs(usual.true - 4).max(axis=1) < 1  # where few ratings end at 1 or 7
    published = population.published("ratings of one utterance: standard deviation")
    rounding = 1 / 12
    # The published deviation holds the rounding, which no factor changes.
    expected = factor**2 * (published**2 - rounding) + (rounding if factor else 0)
    found = noisy.ratings[inner].var(axis=1, ddof=1).mean(axis=0)
    assert found == pytest.approx(expected, rel=0.12, abs=0.01)  # 1 and 7 end the scale


def test_noise_of_ambiguous_utterances_leaves_the_others_alone():
    usual, noisy = drawn_with({}), drawn_with({"ambiguous": 3.0})
    ambiguous = np.isin(usual.consensus, ["O", "X"])
    np.testing.assert_array_equal(usual.votes, noisy.votes)
    np.testing.assert_array_equal(usual.ratings[~ambiguous], noisy.ratings[~ambiguous])
    variances = [one.ratings[ambiguous].var(axis=1).mean() for one in (usual, noisy)]
    assert 2 < variances[1] / variances[0] < 9


def test_no_agreement_and_other_follow_from_the_votes():
    generator = np.random.default_rng(0)
    drawn = population.draw_utterances(generator, 20_000, population.draw_raters(generator, 60), 5)
    given = as_tables(drawn)
    shares = given[0]["emotion"].value_counts(normalize=True)
    assert shares["X"] + shares["O"] == pytest.approx(population.OTHER_OR_X, abs=0.015)
    assert shares["X"] > 4 * shares["O"]
    # They disagree on the word, not on the feeling: ordinary means, ordinary spread.
    classes = class_statistics(*given)
    everyone = rater_statistics(*given)["measured"]
    for attribute in ATTRIBUTES:
        for code in "XO":
            assert abs(classes.loc[code, f"mean {attribute}"] - everyone["consensus: mean", attribute]) < 0.1
            spread = everyone["ratings of one utterance: standard deviation", attribute]
            assert classes.loc[code, f"raters' sd {attribute}"] == pytest.approx(spread, abs=0.03)


def test_consensus_is_the_plurality():
    words = [["A", "A", "N", "O", "H"], ["A", "A", "N", "N", "H"], ["O", "O", "O", "N", "H"], list("ASHUF")]
    votes = np.array([[list(population.VOTES).index(word) for word in row] for row in words])
    empty = np.empty(0)
    assert population.Utterances(empty, empty, empty, votes, empty).consensus.tolist() == ["A", "X", "O", "X"]


def test_emotions_have_the_shares_of_the_challenge():
    counts = dict(zip([*population.CODES, "O or X"], population.natural_quotas(84_260), strict=True))
    assert counts["O or X"] == pytest.approx(0.2246 * 84_260, abs=1)
    for code, published in population.TRAINING_COUNTS.items():
        assert counts[code] == pytest.approx(published, rel=0.03)
    assert population.natural_quotas(1600).sum() == 1600
    assert population.natural_quotas(1600).min() >= 20


def test_a_quarter_of_the_training_speakers_speaks_most():
    counts = np.bincount(population.assign_speakers(np.random.default_rng(0), 84_260, 2114, 0.80))
    top = np.sort(counts)[::-1].cumsum() / counts.sum()
    assert top[round(0.26 * 2114) - 1] == pytest.approx(0.80, abs=0.02)
    counts = np.bincount(population.assign_speakers(np.random.default_rng(0), 1600, 40, 0.80))
    top = np.sort(counts)[::-1].cumsum() / counts.sum()
    assert top[9] < 0.80 < top[10]  # 26 % of 40 speakers are 10.4 of them
    assert counts.min() >= 1
    even = np.bincount(population.assign_speakers(np.random.default_rng(0), 1605, 100, 0))
    assert set(even) == {16, 17}


@given(st.floats(0, 0.99), st.integers(1, 60), st.integers(0, 500))
def test_any_skew_has_its_share_and_loses_no_speaker(skew, speakers, more):
    assigned = population.assign_speakers(np.random.default_rng(0), speakers + more, speakers, skew)
    counts = np.bincount(assigned, minlength=speakers)
    assert counts.min() >= 1
    assert counts.sum() == speakers + more
    assert (np.diff(counts) <= 1).all()  # the first speaks most, but for rounding
    if skew == 0:
        assert np.ptp(counts) <= 1


def test_skew_changes_who_speaks_and_nothing_else():
    plain, skewed = (list(simulated._splits(simulated.Params(path="x", skew=skew, **SMALL))) for skew in (0, 0.95))
    for one, other in zip(plain, skewed, strict=True):
        assert one.speakers == other.speakers
        assert [prompt.text for prompt in one.prompts] == [prompt.text for prompt in other.prompts]
        np.testing.assert_array_equal(one.utterances.ratings, other.utterances.ratings)
        assert (one.prompts == other.prompts) == (one.name != "Train")
    assert np.bincount(plain[0].assigned).max() == 15
    assert np.bincount(skewed[0].assigned).max() > 50


def test_release_is_read_as_one_of_msp_podcast(corpus):
    assert corpus.table["split"].value_counts().to_dict() == {"train": 150, "development": 60, "test3": 48}
    assert corpus.split("test3")["emotion"].value_counts().to_dict() == dict.fromkeys(PRIMARY_EMOTIONS, 6)
    assert corpus.table.groupby("split")["speaker"].nunique().to_dict() == {"train": 10, "development": 6, "test3": 12}
    assert corpus.table.groupby("speaker")["split"].nunique().max() == 1
    assert set(corpus.table["gender"]) == set(GENDERS)
    assert corpus.table["transcript"].notna().all()
    assert 1.5 < corpus.table["duration"].mean() < 2.5
    assert corpus.table["duration"].between(0.5, 6).all()
    assert corpus.ratings.groupby("utterance").size().eq(5).all()
    assert not corpus.ratings.duplicated(["utterance", "rater"]).any()
    assert corpus.table.index[corpus.table["split"] == "test3"].str.fullmatch(r"MSP-PODCAST_test3_\d{4}").all()
    corpus.require_disjoint_speakers()


def test_side_files_agree_with_the_labels(folder, corpus):
    labels = folder / "Labels" / "labels_consensus.csv"
    assert labels.open().readline().strip() == "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"
    partitions = (folder / "Partitions.txt").read_text().lower().splitlines()
    assert sorted(partitions) == sorted(f"{split}; {name}.wav".lower() for name, split in corpus.table["split"].items())
    lines = (folder / "Speaker_ids.txt").read_text().splitlines()
    assert len(lines) == corpus.table["speaker"].nunique() + len(corpus.table)
    assert "SIMULATED" in (folder / "readme.txt").read_text()


def test_audio_is_16_khz_pcm(folder):
    for path in (folder / "Audios").iterdir():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        samples = np.abs(soundfile.read(path, dtype="int16")[0].astype(int))
        assert samples.max() > 100
        assert np.mean(samples >= 32_767) < 1e-3  # a few clipped peaks at most


def test_loudness_tells_arousal_and_hardly_valence(corpus):
    loudness = [np.log(soundfile.read(path)[0].std()) for path in corpus.table["path"]]
    tells = corpus.table[list(ATTRIBUTES)].corrwith(pd.Series(loudness, corpus.table.index))
    assert tells["arousal"] > 0.2
    assert tells["dominance"] > 0.2
    assert abs(tells["valence"]) < min(tells["arousal"], tells["dominance"])


def test_women_and_men_differ_in_pitch(corpus):
    def pitch(path):
        samples = soundfile.read(path)[0]
        frames = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::256]
        frames = frames[frames.std(axis=1) > 0.5 * samples.std()]
        correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 4096)) ** 2)[:, 32:267]
        return np.median(16_000 / (32 + correlation.argmax(axis=1)))

    heard = corpus.table.drop_duplicates("speaker")
    by_gender = heard["path"].map(pitch).groupby(heard["gender"]).median()
    assert by_gender["Female"] > 1.3 * by_gender["Male"]


def test_half_of_the_emotional_words_are_absent_from_training():
    generator = np.random.default_rng(0)
    words = {word for listed in grammar.EMOTION_WORDS.values() for word in listed.split()}

    def used(training):
        texts = [grammar.sentence(generator, code, generator.standard_normal(), training) for code in "ASHUFDCN" * 500]
        return words & {word.strip(".,").lower() for text in texts for word in text.split()}

    assert used(training=False) == words
    assert len(used(training=True)) == len(words) / 2


def test_words_occur_in_one_list_only():
    listed = [word for words in grammar.EMOTION_WORDS.values() for word in words.split()]
    listed += [word for words in (*grammar.VALENCE_WORDS, grammar.UNINFORMATIVE_WORDS) for word in words.split()]
    assert len(set(listed)) == len(listed)
    assert not set(listed) & set(grammar.PRETRAINING_WORDS.split())
    assert not set(grammar.TOPICS.split()) & set(grammar.PRETRAINING_TOPICS.split())
    assert not set(grammar.FRAMES) & set(grammar.PRETRAINING_FRAMES)


def test_pretraining_shares_no_voice_with_the_study():
    def variants(pool):
        speakers = population.draw_speakers(np.random.default_rng(0), 200, pool)
        return {speaker.voice.partition("+")[2] for speaker in speakers}

    assert len(variants("study")) == 18
    assert len(variants("pretraining")) == 13
    assert not variants("study") & variants("pretraining")


def same(one, other):
    """Whether two folders hold the same files with the same bytes."""
    names = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    if names != sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file()):
        return False
    return not filecmp.cmpfiles(one, other, names, shallow=False)[1]


def test_bytes_depend_on_the_seed_alone(tmp_path, monkeypatch):
    one = simulated.write(simulated.Params(path=tmp_path / "one", **TINY))
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert same(one, simulated.write(simulated.Params(path=tmp_path / "two", **TINY)))
    assert not same(one, simulated.write(simulated.Params(path=tmp_path / "three", seed=2, **TINY)))


def test_release_is_kept_or_replaced(tmp_path):
    path = tmp_path / "simulated"
    label = simulated.write(simulated.Params(path=path, **TINY)) / "Labels" / "labels_consensus.csv"
    written, content = label.stat().st_mtime_ns, label.read_bytes()
    assert simulated.write(simulated.Params(path=path, **TINY)) == path
    assert simulated.write(simulated.Params(path=path, transcripts={"errors": 0.3}, **TINY)) == path
    assert label.stat().st_mtime_ns == written
    simulated.write(simulated.Params(path=path, seed=2, **TINY))
    assert label.read_bytes() != content
    assert sorted(item.name for item in tmp_path.iterdir()) == [".simulated.lock", "simulated"]


def test_a_release_older_than_a_parameter_is_kept(tmp_path):
    folder = simulated.write(simulated.Params(path=tmp_path / "simulated", **TINY))
    marker = folder / simulated.MARKER
    recipe = json.loads(marker.read_text())
    assert recipe.pop("gender_link") == 0
    marker.write_text(json.dumps(recipe))
    written = marker.stat().st_mtime_ns
    simulated.write(simulated.Params(path=folder, **TINY))
    assert marker.stat().st_mtime_ns == written
    simulated.write(simulated.Params(path=folder, gender_link=1, **TINY))
    assert json.loads(marker.read_text())["gender_link"] == 1


def test_a_gender_link_changes_the_sound_alone(folder, tmp_path):
    linked = simulated.write(simulated.Params(path=tmp_path / "linked", gender_link=1, **SMALL))
    for kept in ("Labels", "Transcripts", "Partitions.txt", "Speaker_ids.txt"):
        paths = [path for path in [folder / kept, *(folder / kept).rglob("*")] if path.is_file()]
        assert all(path.read_bytes() == (linked / path.relative_to(folder)).read_bytes() for path in paths)
    table = read(linked).table
    louder = pd.Series({path.stem: level(path) - level(folder / "Audios" / path.name) for path in table["path"]})
    by_gender = louder.groupby(table["gender"]).mean()
    assert by_gender["Female"] > 1  # dB
    assert by_gender["Male"] < -1
    test_audio_is_16_khz_pcm(linked)


def level(path):
    return 20 * np.log10(soundfile.read(path)[0].std())


@pytest.mark.parametrize("link", [0, 1])
def test_whoever_knows_the_gender_reads_arousal_as_well_with_a_link_as_without(link):
    """Correlation of true arousal with the best linear reading of the voice, by least squares."""
    generator = np.random.default_rng(0)
    drawn = population.draw_utterances(generator, 3000, population.draw_raters(generator, 60), 5).deviations
    speakers = population.draw_speakers(generator, 100)
    prompts = [
        population.draw_prompt(generator, speakers[number % 100], "", deviations, link)
        for number, deviations in enumerate(drawn)
    ]
    voice = [[prompt.pitch, prompt.range, prompt.rate, np.log(prompt.volume), 1] for prompt in prompts]
    female = [[speakers[number % 100].gender == "Female"] for number in range(len(drawn))]

    def reads(given):
        return np.corrcoef(given @ np.linalg.lstsq(given, drawn[:, 0])[0], drawn[:, 0])[0, 1]

    alone, knowing = reads(np.array(voice)), reads(np.hstack([voice, female]))
    assert knowing == pytest.approx(0.87, abs=0.02)
    assert knowing - alone == pytest.approx(0.16 if link else 0, abs=0.03)


def test_interrupted_release_is_made_anew(tmp_path, monkeypatch):
    def interrupted(prompts):
        yield np.ones(100, dtype=np.int16)
        raise KeyboardInterrupt

    params = simulated.Params(path=tmp_path / "simulated", **TINY)
    with monkeypatch.context() as context:
        context.setattr(simulated, "synthesise", interrupted)
        with pytest.raises(KeyboardInterrupt):
            simulated.write(params)
    assert not params.path.exists()
    assert len(read(simulated.write(params)).table) == 12 + 8 + 16


def test_folder_of_a_user_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CorpusError, match=r"is no simulated release .* another folder"):
        simulated.write(simulated.Params(path=tmp_path, **TINY))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_two_processes_at_once_share_one_release(tmp_path):
    script = (
        "from simulation import release as simulated;"
        f"simulated.write(simulated.Params(path={str(tmp_path / 'simulated')!r}, **{TINY!r}))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [writer.communicate()[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], errors
    assert sum("Speaking" in error for error in errors) == 1  # the other one waited and found it there
    assert len(read(tmp_path / "simulated").table) == 12 + 8 + 16


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train_speakers": 13}, "corpus.train_speakers is 13"),
        ({"test_speakers": 17}, "corpus.test_speakers is 17"),
        ({"raters": 5, "raters_per_utterance": 6}, "corpus.raters is 5"),
    ],
)
def test_impossible_sizes_are_refused(tmp_path, wrong, message):
    with pytest.raises(ParamsError, match=message):
        simulated.write(simulated.Params(path=tmp_path / "simulated", **(TINY | wrong)))
    assert not any(tmp_path.iterdir())


def test_every_assumption_has_a_source():
    table = simulated.assumptions()
    assert list(table.columns) == ["choice", "value", "source"]
    assert table["choice"].is_unique
    assert (table.map(lambda text: isinstance(text, str) and len(text) > 0)).all(axis=None)
    assert table["source"].str.contains("assumption|WHiSER|arXiv").all()
