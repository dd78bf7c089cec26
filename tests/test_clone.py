"""A corpus is fetched from a git repository, goes on after an interruption, and is absent or complete."""

import subprocess

import pytest

from sercore.corpora import clone as module
from sercore.corpora.clone import clone
from sercore.corpus import CorpusError


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(
        ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def published(tmp_path):
    """URL and first commit of a repository whose second commit changed a file."""
    folder = tmp_path / "published"
    (folder / "wav").mkdir(parents=True)
    for number in range(50):
        (folder / "wav" / f"ø {number}.wav").write_bytes(bytes([number]) * 1000)
    git(folder, "init", "--quiet")
    for option in ("allowFilter", "allowAnySHA1InWant"):
        git(folder, "config", f"uploadpack.{option}", "true")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    commit = git(folder, "rev-parse", "HEAD").strip()
    (folder / "wav" / "ø 0.wav").write_bytes(b"changed")
    git(folder, "commit", "--quiet", "-am", "second")
    return f"file://{folder}", commit


def holds_all(folder):
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return found == {f"wav/ø {number}.wav": bytes([number]) * 1000 for number in range(50)}


def test_the_files_of_the_commit_are_fetched_once(published, tmp_path, capsys):
    clone(*published, tmp_path / "data" / "corpus", "about 50 kB")
    assert holds_all(tmp_path / "data" / "corpus")
    assert "about 50 kB" in capsys.readouterr().err


def test_an_interrupted_clone_is_not_taken_for_the_corpus_and_goes_on(published, tmp_path, monkeypatch):
    run, asked = subprocess.run, []

    def until_the_second_batch(command, **options):
        asked.append(command)
        if sum("checkout" in one for one in asked) == 2:
            raise KeyboardInterrupt
        return run(command, **options)

    monkeypatch.setattr(module.subprocess, "run", until_the_second_batch)
    folder = tmp_path / "corpus"
    with pytest.raises(KeyboardInterrupt):
        clone(*published, folder, "")
    assert not folder.exists()
    (tmp_path / ".corpus.partial" / "wav" / "ø 49.wav").write_bytes(b"cut off")
    (tmp_path / ".corpus.partial" / ".git" / "index.lock").touch()
    asked.clear()
    monkeypatch.setattr(
        module.subprocess, "run", lambda command, **options: asked.append(command) or run(command, **options)
    )
    clone(*published, folder, "")
    assert holds_all(folder)
    assert sum("checkout" in one for one in asked) == 2  # of three batches, one was there


def test_without_a_network_one_sentence_says_what_to_type(tmp_path):
    with pytest.raises(CorpusError, match=r"could not be fetched \(.+\): where there is a network, `git clone file:"):
        clone(f"file://{tmp_path}/nowhere", "0" * 40, tmp_path / "corpus", "")
    assert not (tmp_path / "corpus").exists()
