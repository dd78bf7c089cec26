"""What errors in the transcripts cost: CCC of systems with text against the word error rate, and against speech alone.

The systems are tested on evaluation sets that differ in their transcripts alone; ``rates`` is the table that `analyse`
writes. Word error rates are measured, not the requested ones.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pandas as pd

from sercore import verdicts
from sercore.params import Params, with_corpus
from sercore.sections import Transcripts
from sercore.transcripts import WORD, reported
from study import comparisons
from study.plan import Plan, Question, corpus_of, declarations, margin, systems, tested_on
from study.results import Study, write_tables


def analyse(plan: Plan, question: Question, folder: Path) -> None:
    """Write the errors of the transcripts of each evaluation set, and of what the systems are trained on, as
    ``wer.csv``: ``name`` (an evaluation set, on the reported split, or a system, on the training split), ``split``, and
    the columns of `error_rates`."""
    trained = [plan.parameters(variant) for variant in systems([question])]
    said = with_corpus(trained[0], {"transcripts": Transcripts().model_dump()})
    table = corpus_of(said.corpus, said.seed).table
    tested, training = reported(table), table.query("split == 'train'")
    rows = [_rates(test, said, with_corpus(said, tested_on(test)), tested) for test in question.tests]
    rows += [_rates(params.variant, said, params, training) for params in trained if params.text]
    write_tables(folder, {"wer": pd.DataFrame(rows)})


def scores(study: Study, question: Question, rates: pd.DataFrame) -> pd.DataFrame:
    """`study.comparisons.scores` of the systems on each evaluation set, with its ``wer`` and ``missing``."""
    return _with_rates(_of_tests(comparisons.scores, study, question, rates["name"]), rates)


def differences(study: Study, question: Question, rates: pd.DataFrame, kinds: Sequence[str]) -> pd.DataFrame:
    """`study.comparisons.differences` on the evaluation sets of `kinds` (``words`` of ``words_10``), all one family.
    Its size follows from the sets that are declared."""
    table = _of_tests(comparisons.differences, study, question, _of_kinds(rates["name"], kinds)).drop(columns="paper")
    size = len(question.pairs) * len(_of_kinds(declarations()["open"]["transcripts"]["tests"], kinds))
    return _with_rates(verdicts.judged(table, margin(study.params.profile), size), rates)


def answer(differences: pd.DataFrame) -> str:
    """At which word error rates `fusion` is better than `speech_only`, in a sentence: "up to" one if it is at all lower
    ones. With too few runs it is about the trained models."""
    rows = comparisons.tested(differences).query("system == 'fusion' and reference == 'speech_only'").sort_values("wer")
    helpful = rows["verdict"].str.startswith("better")
    rates = [f"{rate:.0%}" for rate in rows.loc[helpful, "wer"]]
    where = f"only at these word error rates: {', '.join(rates)}"
    if not rates:
        where = "at none of the word error rates"
    elif helpful.is_monotonic_decreasing:
        where = f"up to a word error rate of {rates[-1]}"
    models = "Of these trained models, " if comparisons.of_models(rows) else ""
    return f"{models}`fusion` is better than `speech_only` {where}; the highest tested is {rows['wer'].max():.0%}."


def error_rates(said: Iterable[str | None], written: Iterable[str | None]) -> dict[str, float]:
    """How far transcripts are from what was said, by the fewest edits of words (`jiwer`).

    Letters' case and punctuation do not count. Utterances without a reference transcript are left out.

    Keys: ``utterances``; ``missing``, the share of them without a transcript; of the others ``words``, the number said;
    ``substitutions``, ``deletions``, ``insertions`` and their sum ``wer``, shares of ``words`` (NaN without words).
    """
    texts = pd.DataFrame({"said": list(said), "written": list(written)}, dtype=object)
    texts = texts.map(lambda text: " ".join(WORD.findall(text.lower())), na_action="ignore")
    texts = texts[texts["said"].fillna("") != ""]
    heard = texts.dropna()
    found = jiwer.process_words(list(heard["said"]), list(heard["written"]))
    words = found.hits + found.substitutions + found.deletions
    kinds = ("substitutions", "deletions", "insertions")
    rates = {name: getattr(found, name) / words if words else np.nan for name in kinds}
    shares = {"missing": texts["written"].isna().mean(), "words": words}
    return {"utterances": len(texts)} | shares | rates | {"wer": sum(rates.values())}


def _of_kinds(names: Iterable[str], kinds: Sequence[str]) -> list[str]:
    return [name for name in names if name.partition("_")[0] in kinds]


def _of_tests(measure: Callable[..., pd.DataFrame], study: Study, question: Question, names: Iterable) -> pd.DataFrame:
    tests = [name for name in names if name in set(study.sums["test"])]
    return pd.concat([measure(study, question, test=test).assign(evaluation=test) for test in tests], ignore_index=True)


def _with_rates(table: pd.DataFrame, rates: pd.DataFrame) -> pd.DataFrame:
    return table.join(rates.set_index("name")[["wer", "missing"]], on="evaluation")


def _rates(name: str, said: Params, written: Params, rows: pd.DataFrame) -> dict[str, Any]:
    texts = [corpus_of(each.corpus, each.seed).table.loc[rows.index, "transcript"] for each in (said, written)]
    return {"name": name, "split": rows["split"].iloc[0]} | error_rates(*texts)
