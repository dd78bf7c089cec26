"""What the study asks, as ``params/questions.yaml`` declares it: questions, comparisons, conditions, and ensembles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sercore import ATTRIBUTES
from sercore.params import (
    Params,
    ParamsError,
    Simulated,
    load,
    project_root,
    read_yaml,
    require_profile,
    resolve,
    variants,
)

STUDY = "study"
"""The condition in which a profile is as it is."""


@dataclass(frozen=True)
class Question:
    """A question and its family of comparisons, one for each condition.

    ``pairs``: (system, reference), names of variants or ensembles. ``conditions``: under which all of them are trained
    and tested, see `overrides`. ``tests``: corpora on which the trained runs are tested beside their own, see
    `tested_on`. ``open``: whether the paper leaves it open.
    """

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


def questions(profile: str) -> dict[str, Question]:
    """The questions of the paper that a profile answers, by name, in the order of ``params/questions.yaml``.

    Raises:
        ParamsError: the file compares a system that is neither a variant nor an ensemble of variants, or names a
            condition or test that it does not declare.
    """
    return {name: one for name, one in _answered(profile).items() if not one.open}


def open_questions(profile: str) -> dict[str, Question]:
    """As `questions`, those that the paper leaves open."""
    return {name: one for name, one in _answered(profile).items() if one.open}


def question(profile: str, name: str) -> Question:
    """One of `questions` or `open_questions`; `ParamsError` where the profile does not answer it."""
    answered = _answered(profile)
    if name not in answered:
        raise ParamsError(f"profile {profile!r} does not answer {name!r}; it answers {', '.join(answered)}.")
    return answered[name]


def overrides(condition: str) -> dict[str, Any]:
    """What a condition changes in the parameters of all systems; nothing in the condition `STUDY`."""
    declared = {STUDY: {}} | _declared()["conditions"]
    return {key: value for key, value in declared[condition].items() if key != "only"}


def tested_on(test: str) -> dict[str, Any]:
    """What a test changes in the parameters of the corpus."""
    return {key: value for key, value in _declared()["tests"][test].items() if key != "needs"}


def transfer_corpora(profile: str) -> dict[str, str]:
    """The corpora on which the question `cross_corpus` trains and tests, and that of `profile`: name -> profile."""
    names = dict(_declared()["open"]["cross_corpus"]["corpora"])
    return names if profile in names.values() else {profile: profile} | names


def at_hand(profile: str, overrides: Mapping[str, Any]) -> dict[str, Params]:
    """Those of `transfer_corpora` that are on this machine: name -> parameters of a run on it.

    Args:
        profile: of the study.
        overrides: of its parameters, such as where its corpus lies.
    """
    names = transfer_corpora(profile)
    found = {name: load(each, "fusion", 0, overrides if each == profile else {}) for name, each in names.items()}
    return {
        name: params
        for name, params in found.items()
        if isinstance(params.corpus, Simulated) or resolve(params.corpus.path).exists()
    }


def members(system: str) -> tuple[str, ...]:
    """The variants that an ensemble is made of; of any other system, itself alone."""
    return tuple(dict.fromkeys(name for names in members_by_attribute(system).values() for name in names))


def members_by_attribute(system: str) -> dict[str, tuple[str, ...]]:
    """For each attribute the variants whose mean prediction an ensemble's is; of any other system, itself alone."""
    entry = _declared()["ensembles"].get(system, {"members": [system]})
    if "attributes" in entry:
        return {name: (entry["attributes"][name],) for name in ATTRIBUTES}
    return dict.fromkeys(ATTRIBUTES, tuple(entry["members"]))


def paper_row(system: str) -> str | None:
    """The row of ``book/paper_results.yaml`` that a variant or ensemble stands for; None where the paper has none."""
    entries = variants() | _declared()["ensembles"]
    return entries.get(system, {}).get("paper")


def systems(asked: Iterable[Question]) -> list[str]:
    """The variants to train for `asked`, in the order of ``params/variants.yaml``."""
    needed = {member for question in asked for system in question.compared for member in members(system)}
    return [name for name in variants() if name in needed]


def _answered(profile: str) -> dict[str, Question]:
    """All questions but those of which every condition is for other corpora."""
    declared = _declared()
    entries = declared["questions"] | declared["open"]
    found = {
        name: _question(name, entries[name], profile, name in declared["open"])
        for name in declared["profiles"].get(profile, entries)
    }
    return {name: one for name, one in found.items() if one.conditions}


def _question(name: str, entry: dict[str, Any], profile: str, is_open: bool) -> Question:
    declared = _declared()
    named = entry.get("conditions", [STUDY])
    for key, names in (("conditions", [one for one in named if one != STUDY]), ("tests", entry.get("tests", []))):
        if unknown := set(names) - set(declared[key]):
            lacking = ", ".join(sorted(unknown))
            raise ParamsError(f"params/questions.yaml asks {name!r} for {lacking}: add it under {key} there.")
    reader = None
    if profile:
        require_profile(profile)
        reader = read_yaml(project_root() / "params" / f"{profile}.yaml")["corpus"]["reader"]
    conditions = [one for one in named if one == STUDY or declared["conditions"][one].get("only", reader) == reader]
    needs = {one: declared["tests"][one].get("needs", "sercore") for one in entry.get("tests", [])}
    tests = tuple(one for one, package in needs.items() if find_spec(package))
    pairs = tuple(map(tuple, entry["comparisons"]))
    found = Question(name, entry["sentence"], pairs, tuple(conditions), tests, is_open)
    unknown = {one for system in found.compared for one in members(system)} - set(variants())
    if unknown:
        lacking = ", ".join(sorted(unknown))
        raise ParamsError(f"params/questions.yaml compares {lacking} in {name!r}: add it to params/variants.yaml.")
    return found


def _declared() -> dict:
    return read_yaml(project_root() / "params" / "questions.yaml")
