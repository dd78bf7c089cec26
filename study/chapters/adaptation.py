"""What adaptation costs: a system's CCC beside what it trains, how long that takes and what memory it needs."""

import pandas as pd

from sercore.sections import AdaptedEncoder
from study import results
from study.comparisons import scores
from study.plan import Question, members
from study.results import Study


def _adapted(encoder: AdaptedEncoder | None) -> str:
    if encoder is None:
        return "–"
    if not encoder.finetune:
        return "frozen"
    return f"LoRA, rank {encoder.lora}" if encoder.lora else "fine-tuned"


def costs(study: Study, question: Question) -> pd.DataFrame:
    """A row a compared system: how its encoders are adapted (``speech``, ``text``), mean CCC, and cost (median over
    seeds; of an ensemble the sum over its members, for memory the largest)."""
    each = results.costs(study.runs)
    params = {run.system: run.params for run in study.runs}
    rows = []
    for system in question.compared:
        first, spent = params[members(system)[0]], each.loc[list(members(system))]
        encoders = {"speech": _adapted(first.speech), "text": _adapted(first.text)}
        summed = spent[["trained parameters", "seconds a run"]].sum()
        rows.append({"system": system} | encoders | {**summed, "peak memory (MB)": spent["peak memory (MB)"].max()})
    mean = scores(study, question).query("endpoint == 'mean'")
    return pd.DataFrame(rows).merge(mean, on="system")
