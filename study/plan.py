"""What the study asks, as ``params/questions.yaml`` declares it, and what a study of a profile has to do for it.

A *part* is what is collected and analysed together: all questions of the paper, or one that it leaves open.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sercore import ATTRIBUTES, InputError, corpora, params
from sercore.corpus import Corpus, CorpusError, some
from sercore.disk import digests
from sercore.failures import one_sentence
from sercore.params import CorpusParams, Params, ParamsError, with_corpus
from sercore.runs import begun, is_of_other_code, latest
from sercore.sections import Transcripts
from sercore.sums import units
from study.sums import FEWEST, pooled

STUDY = "study"  # the condition in which a profile is as it is
PAPER = "paper"
OF_NO_CORPUS = ("significance", "compare")  # pages which show no result of the profile
REAL = "real_speech"  # the chapter on human speech, in every book
PAGES = (*OF_NO_CORPUS, "efficiency", "runs", "data", "ablation")  # chapters beside those of questions
_ASKED = {"sentence", "only", "comparisons", "conditions", "tests", "corpora"}
_KEYS = {
    "questions": _ASKED,
    "open": _ASKED,
    "ensembles": {"label", "paper", "members", "attributes"},
    "baselines": {"paper", "features", "as"},
}  # of an entry


@dataclass(frozen=True)
class Question:
    """A question and its family of comparisons, one for each condition. ``pairs``: (system, reference), variants or
    ensembles. ``conditions``: under which they are trained (`overrides`). ``tests``: evaluation sets beside the
    corpus's own (`tested_on`). ``open``: whether the paper leaves it open."""

    name: str
    sentence: str
    pairs: tuple[tuple[str, str], ...]
    conditions: tuple[str, ...] = (STUDY,)
    tests: tuple[str, ...] = ()
    open: bool = False

    @property
    def compared(self) -> tuple[str, ...]:
        """Every system and reference once; each reference stands before what is compared with it."""
        return tuple(dict.fromkeys(name for pair in self.pairs for name in reversed(pair)))


def questions(profile: str, *, open: bool = False) -> dict[str, Question]:
    """The questions of the paper, or those that it leaves open, that a profile answers, by name, in the order of
    ``params/questions.yaml``; a system, condition or test that is not declared raises `ParamsError`."""
    return {name: one for name, one in _answered(profile).items() if one.open == open}


def question(profile: str, name: str) -> Question:
    """One of `questions`, open or not; `ParamsError` where the profile does not answer it."""
    answered = _answered(profile)
    if name not in answered:
        raise ParamsError(f"profile {profile!r} does not answer {name!r}; it answers {', '.join(answered)}.")
    return answered[name]


def overrides(condition: str) -> dict[str, Any]:
    """What a condition changes in the parameters of all systems; nothing in the condition `STUDY`."""
    conditions = declarations()["conditions"]
    if condition not in conditions:
        raise ParamsError(f"unknown condition {condition!r}; params/questions.yaml has {', '.join(conditions)}.")
    return {key: value for key, value in conditions[condition].items() if key != "only"}


def tested_on(test: str) -> dict[str, Any]:
    """What a test changes in the parameters of the corpus."""
    return {key: value for key, value in declarations()["tests"][test].items() if key not in ("needs", "only")}


def declared_corpora(profile: str) -> dict[str, str]:
    """The corpora on which the question `cross_corpus` trains and tests, and that of `profile`, in place of a declared
    one that is read alike: name -> profile."""
    names = declarations()["open"]["cross_corpus"]["corpora"]
    own = {name: profile for name, each in names.items() if reader_of(each) == reader_of(profile)}
    return ({} if own else {profile: profile}) | names | own


def reader_of(profile: str) -> str:
    """What reads the corpus of a profile, by which questions and conditions are chosen."""
    return params.read_profile(profile)["corpus"]["reader"]


def members(system: str) -> tuple[str, ...]:
    """The variants that an ensemble is made of; of any other system, itself alone."""
    return tuple(dict.fromkeys(name for names in members_by_attribute(system).values() for name in names))


def members_by_attribute(system: str) -> dict[str, tuple[str, ...]]:
    """For each attribute the variants whose mean prediction an ensemble's is; of any other system, itself alone."""
    entry = declarations()["ensembles"].get(system, {"members": [system]})
    if "attributes" in entry:
        return {name: (entry["attributes"][name],) for name in ATTRIBUTES}
    return dict.fromkeys(ATTRIBUTES, tuple(entry["members"]))


def margin(profile: str) -> float:
    """The largest difference of mean CCC that does not matter, declared for what reads a profile's corpus, or for all
    others."""
    margins = declarations()["margins"]
    return margins.get(reader_of(profile), margins["others"])


def paper_row(system: str) -> str | None:
    """The row of ``book/paper_results.yaml`` that a variant or ensemble stands for; None where the paper has none."""
    return _entry(system).get("paper")


def label(system: str) -> str:
    """The paper's name of a variant or ensemble, else its own."""
    return _entry(system).get("label", system)


def systems(asked: Iterable[Question]) -> list[str]:
    """The variants to train for `asked`, in the order of ``params/variants.yaml``."""
    needed = {member for question in asked for system in question.compared for member in members(system)}
    return [name for name in params.variants() if name in needed]


@dataclass(frozen=True)
class Plan:
    """A study: what it trains, tests, analyses and shows; all that the graph asks. ``data``: where the corpus lies, if
    not where the profile says. ``chapter``: ``paper``, ``open`` (all open questions), ``all``, or one open question.
    ``count``: trained seeds of each system; by default the corpus's folds, else one for the paper and two for an open
    question. ``changes``: parameters of all runs on the profile's corpus that differ, as ``training.epochs=60``."""

    profile: str
    data: str | None = None
    chapter: str = PAPER
    count: int | None = None
    changes: str | None = None

    @property
    def command(self) -> str:
        """The beginning of a command line of `study` for this plan."""
        options = dict(zip(("profile", "data", "chapter", "seeds", "set"), astuple(self), strict=True))
        given = [f"--{name} {shlex.quote(str(value))}" for name, value in options.items() if value is not None]
        return " ".join(["python -m study", *given])

    @cached_property
    def parts(self) -> dict[str, list[Question]]:
        """The questions of each part."""
        paper = {PAPER: list(questions(self.profile).values())}
        beyond = {name: [one] for name, one in questions(self.profile, open=True).items()}
        every = {PAPER: paper, "open": beyond, "all": paper | beyond}
        return every.get(self.chapter) or {self.chapter: [question(self.profile, self.chapter)]}

    @property
    def chapters(self) -> list[str]:
        """Notebooks of the book, the first page first."""
        paper = [*dict.fromkeys(["overview", REAL, *questions(self.profile)]), *PAGES]
        return [*(paper if PAPER in self.parts else []), *(name for name in self.parts if name != PAPER)]

    @property
    def corpora(self) -> dict[str, str]:
        """Those of `declared_corpora` that are on this machine: name -> profile; none if no part asks for them."""
        names = declared_corpora(self.profile) if "cross_corpus" in self.parts else {}
        found = {name: self.of(each).parameters("fusion").corpus for name, each in names.items()}
        kept = [name for name, one in found.items() if is_simulated(one) or params.resolve(one.path).exists()]
        return {name: names[name] for name in kept}

    def values(self, chapter: str) -> dict[str, str]:
        """Parameters of a chapter's notebook; none where it shows other results than the profile's."""
        if chapter in OF_NO_CORPUS or (chapter == REAL and REAL not in questions(self.profile)):
            return {}
        return {"profile": self.profile, "results": f"build/{self.profile}/results/{self.part_of(chapter)}"}

    def part_of(self, chapter: str) -> str:
        """The part whose results a chapter shows."""
        return chapter if chapter in self.parts else PAPER

    def of(self, profile: str) -> "Plan":
        """This plan, or what it trains on the corpus of another profile: a seed for each of its folds, or three."""
        if profile == self.profile:
            return self
        return Plan(profile, chapter="cross_corpus", count=params.load(profile, "fusion", 0).corpus.folds or 3)

    def seeds(self) -> list[int]:
        """Seeds of every system."""
        folds = self.parameters("fusion").corpus.folds
        return list(range(self.count or folds or (1 if PAPER in self.parts else 2)))

    def changed(self, condition: str) -> dict[str, Any]:
        """The overrides of a run under a condition, with the corpus and the changes that the user named."""
        moved = {"corpus": {"path": self.data}} if self.data else {}
        return params.merge(params.merge(moved, overrides(condition)), _nested(self.changes or ""))

    def parameters(self, variant: str, condition: str = STUDY, seed: int = 0) -> Params:
        """The parameters of a run."""
        return params.load(self.profile, variant, seed, self.changed(condition))

    def settings(self, variant: str, condition: str) -> str:
        """All that a system's runs depend on, and its seeds, as text."""
        run, seeds = params.dump(self.parameters(variant, condition)), repr(self.seeds())
        return "\n".join([run, seeds, *self.contents(variant, condition)])

    def frozen(self, variant: str, condition: str) -> str:
        """All that features depend on, as text."""
        run = self.parameters(variant, condition).model_dump_json(include={"corpus", "speech", "text", "speaker"})
        return "\n".join([run, *self.contents(variant, condition)])

    def systems(self, part: str) -> list[str]:
        """The variants to train for a part."""
        return systems(self.parts[part])

    def conditions(self, part: str) -> tuple[str, ...]:
        """The conditions of a part."""
        return self.parts[part][0].conditions

    def tests(self, part: str) -> tuple[str, ...]:
        """The evaluation sets of a part, beside the corpus's own."""
        return self.parts[part][0].tests

    def jobs(self) -> Iterator[tuple[str, str, str]]:
        """Part, condition and variant of all that is trained on the profile's own corpus."""
        for part in self.parts:
            yield from product([part], self.conditions(part), self.systems(part))

    def features_of(self, variant: str, condition: str) -> str:
        """The variant whose features hold those of `variant`: the one with its speech encoder and the most others."""
        parts = [part for part in self.parts if condition in self.conditions(part)]
        every = {name: self.parameters(name, condition) for part in parts for name in self.systems(part)}
        unadapted = {"lora": None, "learning_rate": None}
        speech = {name: one.speech.model_copy(update=unadapted) for name, one in every.items()}
        alike = [name for name in every if speech[name] == speech[variant]]
        return max(alike, key=lambda name: len(used_encoders(every[name])))

    def run_folders(self, asked: Question, condition: str) -> list[Path]:
        """Where the runs of a question's systems are."""
        named = product(systems([asked]), self.seeds())
        return [run_folder(self.parameters(name, condition, seed)) for name, seed in named]

    def contents(self, variant: str, condition: str) -> list[str]:
        """Digests of the corpus, unless it is simulated, and of the encoders that are folders here."""
        run = self.parameters(variant, condition)
        folders = [params.project_root() / name for name in used_encoders(run)]
        files = digests(path for folder in folders for path in sorted(folder.glob("*")) if path.is_file())
        unchanged = run.corpus.model_copy(update={"transcripts": Transcripts()})
        return files if is_simulated(run.corpus) else [_digest(unchanged, 0), *files]

    def warn_of_other_code(self) -> None:
        """Name the runs of this profile that another revision of the code trained, in one line."""
        every = sorted((params.project_root() / "runs" / self.profile).glob("*/seed-*"))
        if other := [str(run.relative_to(run.parents[3])) for run in every if is_of_other_code(run)]:
            problem = f"{len(other)} of {len(every)} runs are of another revision of sercore ({some(other, 3)})"
            print(f"warning: {problem}: remove them to train them again.", file=sys.stderr)

    def require_room(self, gpu: int) -> None:
        """Print what this study needs, unless its corpus is simulated, which is small; if that is not here, end this
        process with the one sentence of ``study plan``, in a process of its own, which no GPU remembers."""
        if not is_simulated(self.parameters("fusion").corpus):
            seen = {} if gpu else {"CUDA_VISIBLE_DEVICES": ""}
            words = [sys.executable, *shlex.split(self.command)[1:], "plan"]
            if status := subprocess.call(words, env=os.environ | seen):
                sys.exit(status)

    def needed(self, part: str) -> list[str]:
        """The files that say that all systems of a part were trained, and tested where it asks for that."""
        build = f"build/{self.profile}"
        done = f"{build}/tests/{part}/{{}}/{{}}" if self.tests(part) else f"{build}/runs/{{}}/{{}}.done"
        here = [done.format(one, name) for one in self.conditions(part) for name in self.systems(part)]
        others = set(self.corpora.values() if part == "cross_corpus" else []) - {self.profile}
        return here + [f"build/{one}/runs/{STUDY}/{name}.done" for one in others for name in self.systems(part)]

    def declared(self, part: str) -> str:
        """What a part compares, as text, with the members of its ensembles."""
        return repr([(one, [members(name) for name in one.compared]) for one in self.parts[part]])


def used_encoders(run: Params) -> list[str]:
    """Names of the encoders of a run."""
    return [section.encoder for section in (run.speech, run.text, run.speaker) if section]


def _nested(changes: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        parts = shlex.split(changes)
    except ValueError as error:
        raise ParamsError(f"SET is {changes!r} ({error}): close the quotation mark.") from None
    for change in parts:
        keys, equals, text = change.partition("=")
        if not equals:
            raise ParamsError(f"SET has {change!r}; it takes KEY=VALUE, such as training.epochs=60.")
        value = params.parse_yaml(text, f"the value of {keys}")
        for key in reversed(keys.split(".")):
            value = {key: value}
        found = params.merge(found, value)
    return found


def is_simulated(corpus: CorpusParams) -> bool:
    """Whether a corpus is made by its reader, not found."""
    return params.reader(corpus.reader).KIND == "simulated"


@cache
def corpus_of(corpus: CorpusParams, seed: int) -> Corpus:
    """The corpus; `CorpusError` also if a labelled split has not two speakers, over which intervals are taken."""
    found = corpora.read(corpus, seed)
    tested = found.table[found.table["split"] != "train"].dropna(subset=[*ATTRIBUTES])
    speakers = units(tested.index, tested["speaker"]).groupby(tested["split"])
    count = speakers.nunique() if is_simulated(corpus) else speakers.agg(lambda names: pooled(names).nunique())
    if (count < 2).any():
        few = f"(those of fewer than {FEWEST} utterances count as one)"
        problem = f"corpus {found.name} names fewer than two speakers {few} in split {count.idxmin()}"
        raise CorpusError(f"{problem}, over which intervals are taken: name them (a manifest's column speaker).")
    return found


def run_folder(run: Params) -> Path:
    """Where the run of these parameters on this corpus is; `ParamsError` if it was not trained."""
    return latest(run, _digest(run.corpus, run.seed))


def begun_runs(run: Params) -> list[Path]:
    """Where runs of these parameters on this corpus are; if not complete, with a dot in front."""
    return begun(run, {"corpus": _digest(run.corpus, run.seed)})


@cache
def _digest(corpus: CorpusParams, seed: int) -> str:
    return corpus_of(corpus, seed).digest()


def _entry(system: str) -> dict[str, Any]:
    content = declarations()
    return (params.variants() | content["ensembles"] | content["baselines"]).get(system, {})


def _answered(profile: str) -> dict[str, Question]:
    content, reader = declarations(), reader_of(profile)
    entries = content["questions"] | content["open"]
    entries = {name: entry for name, entry in entries.items() if reader in entry.get("only", [reader])}
    found = [_question(name, entries[name], content, reader) for name in content["readers"].get(reader, entries)]
    return {one.name: one for one in found if one.conditions}


def _question(name: str, entry: dict[str, Any], content: dict[str, Any], reader: str) -> Question:
    chosen = {}
    for key, named in (("conditions", entry.get("conditions", [STUDY])), ("tests", entry.get("tests", []))):
        if missing := ", ".join(sorted(set(named) - set(content[key]))):
            raise ParamsError(f"params/questions.yaml asks {name!r} for {missing}: add it under {key} there.")
        known = {one: content[key][one] for one in named if content[key][one].get("only", reader) == reader}
        chosen[key] = tuple(one for one, each in known.items() if find_spec(each.get("needs", "sercore")))
    pairs = tuple(map(tuple, entry["comparisons"]))
    found = Question(name, entry["sentence"], pairs, open=name in content["open"], **chosen)
    compared = {member for system in found.compared for member in members(system)}
    if missing := ", ".join(sorted(compared - params.variants().keys() - content["baselines"].keys())):
        raise ParamsError(f"params/questions.yaml compares {missing} in {name!r}: add it to params/variants.yaml.")
    return found


def declarations() -> dict[str, Any]:
    """The content of ``params/questions.yaml``; a key that is not known raises `ParamsError`."""
    content = params.read_yaml(params.project_root() / "params" / "questions.yaml")
    named = [(name, entry, known) for key, known in _KEYS.items() for name, entry in content.get(key, {}).items()]
    for name, entry, known in [("the file", content, {*_KEYS, "conditions", "tests", "readers", "margins"}), *named]:
        if unknown := set(entry) - known:
            wrong = f"{name} has unknown keys {some(sorted(unknown))}; valid are {some(sorted(known), 9)}"
            raise ParamsError(f"params/questions.yaml: {wrong}.")
    return content | {"conditions": {STUDY: {}} | content["conditions"]}


def asked_for(
    profile: str, data: str | None = None, chapter: str = PAPER, seeds: int | None = None, set: str | None = None
) -> Plan:
    """A plan of which every value and parameter is valid; else `ParamsError`."""
    plan = Plan(profile, data, chapter, seeds, set)
    if seeds is not None and (type(seeds) is not int or seeds < 1):
        raise ParamsError(f"seeds is {seeds!r}; it is how many of each system to train, 1 or more.")
    for part, condition, variant in plan.jobs():
        run = plan.parameters(variant, condition)
        for test in plan.tests(part):
            with_corpus(run, tested_on(test))
    return plan


def planned(profile: str = "embedded", **others: Any) -> Plan:
    """The plan of the graph; what its jobs would refuse in it, or in a corpus, ends the process with one sentence."""
    with one_sentence():
        if unknown := others.keys() - {"data", "chapter", "seeds", "set"}:
            raise ParamsError(f"unknown {', '.join(unknown)}; valid are profile, data, chapter, seeds and set.")
        plan = asked_for(profile, **others)
        for _, condition, variant in plan.jobs():
            plan.contents(variant, condition)
        for other in plan.corpora.values():
            plan.of(other).contents("fusion", STUDY)
    return plan


def alone() -> None:
    """Keep this folder for one study until the process ends, however it ends; a second study ends with one sentence."""
    with one_sentence():
        try:
            _FOLDER.acquire()
        except Timeout:
            raise InputError("another study runs in this folder: wait for its end, or work in another clone.") from None


_FOLDER = FileLock(".snakemake/study.lock", timeout=0)
