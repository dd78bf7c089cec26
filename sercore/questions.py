"""What the study asks, as ``params/questions.yaml`` declares it: questions, their comparisons, and ensembles."""

from collections.abc import Iterable
from dataclasses import dataclass

from sercore.params import ParamsError, project_root, read_yaml, variants


@dataclass(frozen=True)
class Question:
    """A question and its family of comparisons.

    ``pairs``: (system, reference), names of variants or ensembles.
    """

    name: str
    sentence: str
    pairs: tuple[tuple[str, str], ...]

    @property
    def compared(self) -> tuple[str, ...]:
        """Every system and reference once; each reference stands before what is compared with it."""
        return tuple(dict.fromkeys(name for pair in self.pairs for name in reversed(pair)))


def questions(profile: str) -> dict[str, Question]:
    """The questions that a profile answers, by name, in the order of ``params/questions.yaml``.

    Raises:
        ParamsError: the file compares a system that is neither a variant nor an ensemble of variants.
    """
    declared = _declared()
    answered = declared["profiles"].get(profile, list(declared["questions"]))
    found = {}
    for name in answered:
        entry = declared["questions"][name]
        found[name] = Question(name, entry["sentence"], tuple(map(tuple, entry["comparisons"])))
        unknown = {one for system in found[name].compared for one in members(system)} - set(variants())
        if unknown:
            lacking = ", ".join(sorted(unknown))
            raise ParamsError(f"params/questions.yaml compares {lacking} in {name!r}: add it to params/variants.yaml.")
    return found


def question(profile: str, name: str) -> Question:
    """One of `questions`; `ParamsError` where the profile does not answer it."""
    answered = questions(profile)
    if name not in answered:
        raise ParamsError(f"profile {profile!r} does not answer {name!r}; it answers {', '.join(answered)}.")
    return answered[name]


def transfer_corpora() -> dict[str, str]:
    """The corpora that the question `across` trains and tests on: name -> profile, in the file's order."""
    return dict(_declared()["open"]["across"]["corpora"])


def members(system: str) -> tuple[str, ...]:
    """The variants whose mean an ensemble is; of any other system, itself alone."""
    entry = _declared()["ensembles"].get(system)
    return tuple(entry["members"]) if entry else (system,)


def paper_row(system: str) -> str | None:
    """The row of ``book/paper_results.yaml`` that a variant or ensemble stands for; None where the paper has none."""
    entries = variants() | _declared()["ensembles"]
    return entries.get(system, {}).get("paper")


def systems(asked: Iterable[Question]) -> list[str]:
    """The variants to train for `asked`, in the order of ``params/variants.yaml``."""
    needed = {member for question in asked for system in question.compared for member in members(system)}
    return [name for name in variants() if name in needed]


def _declared() -> dict:
    return read_yaml(project_root() / "params" / "questions.yaml")
