"""What errors in the transcripts cost: CCC of systems with text against the word error rate, and against speech alone.

Conventions:

- ``study`` holds runs that were tested on changed transcripts (`study.results.Study.tests`), ``rates`` is the table
  that `write` wrote; both are of the split that the study reports.
- A word error rate is the measured one, whatever was asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sercore import ATTRIBUTES, corpora
from sercore.params import Params, Transcripts, resolve, with_corpus
from sercore.runs import Run
from sercore.significance import ccc_interval
from sercore.transcripts import error_rates, reported
from study.comparisons import LEVEL, aligned, estimates, family, system_difference
from study.plan import Question
from study.results import Study, reported_split
from study.show.figures import panels
from study.show.tables import breakable, cell, html, interval, number, signed

RATES = "wer.csv"
LOOKS = {"fusion": ("#0072B2", "o", "-"), "fusion_noisy_text": ("#D55E00", "s", "--")}
SPEECH_ONLY = "#777777"
TITLES = {"mean": "mean of the three attributes", "valence": "valence"}


@dataclass(frozen=True, eq=False)
class Tested:
    """What systems score on changed transcripts.

    ``scores``: a row a test, system and endpoint, with ``ccc``, ``low``, ``high``. ``differences``: as in
    `study.comparisons.Comparison`, with ``test``; all pairs on all tests are one family. Both have the
    test's measured ``wer`` and ``missing``. ``seeds``: trained runs of each system.
    """

    scores: pd.DataFrame
    differences: pd.DataFrame
    seeds: int

    def against(self, reference: str) -> pd.DataFrame:
        """The tested differences to one system, of the mean CCC."""
        rows = self.differences
        return rows[(rows["reference"] == reference) & (rows["endpoint"] == "mean")]


def write(trained: Sequence[Params], tests: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Measure the errors of every test's transcripts, and of what systems are trained on, into ``wer.csv`` of `folder`.

    Columns ``name`` (a test, on the reported split, or a system, on the training split), ``split``, and those of
    `sercore.transcripts.error_rates`.

    Args:
        trained: parameters of a run of each system, all of the same corpus.
        tests: name -> what differs from the corpus parameters, as for `sercore.evaluation.evaluate`.
        folder: made if need be.

    Raises:
        CorpusError, AudioError, ParamsError: as `sercore.corpora.read`.
    """
    said = with_corpus(trained[0], {"transcripts": Transcripts().model_dump()})
    rows = [_rates(test, said, with_corpus(said, override), reported(_table(said))) for test, override in tests.items()]
    training = _table(said).query("split == 'train'")
    rows += [_rates(params.variant, said, params, training) for params in trained if params.text]
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{RATES}.partial"
    pd.DataFrame(rows).to_csv(partial, index=False, float_format="%.4f", lineterminator="\n")
    partial.rename(folder / RATES)


def read(folder: Path | str) -> pd.DataFrame:
    """The table that `write` wrote, by ``name``; a relative path is relative to the project's root."""
    return pd.read_csv(resolve(Path(folder)) / RATES, index_col="name")


def compare(study: Study, question: Question, rates: pd.DataFrame, kinds: Sequence[str]) -> Tested:
    """Scores and differences of the question's systems on the tests of some kinds, such as ``words`` of ``words_10``.

    Raises:
        ParamsError: a system of the question has not been run.
        SignificanceError: the values give no interval.
    """
    split, scores, pairs = reported_split(study.runs), [], {}
    tests = [test for test in rates.index if test.partition("_")[0] in kinds and test in set(study.tests["test"])]
    for test in tests:
        gold, predictions, seeds = aligned(_on(study, test), question.compared, split)
        for system, predicted in predictions.items():
            found = ccc_interval(gold[list(ATTRIBUTES)], predicted, gold["speaker"])
            scores.append(estimates(found).assign(system=system, test=test))
        for one, other in question.pairs:
            pairs[test, one, other] = system_difference(gold, predictions[one], predictions[other])
    differences = family([pair for _, *pair in pairs], list(pairs.values()))
    differences["test"] = np.repeat([test for test, *_ in pairs], len(differences) // len(pairs))
    columns = rates[["wer", "missing"]]
    return Tested(
        pd.concat(scores, ignore_index=True).join(columns, on="test"), differences.join(columns, on="test"), seeds
    )


def answer(tested: Tested, reference: str = "speech_only") -> str:
    """Markdown: at which word error rates each system is above and below the reference, and where it is unresolved."""
    rows = tested.against(reference)
    rows = rows[rows["test"] != "recognised"]
    lines = []
    for system, levels in rows.groupby("system", sort=False):
        resolved = levels["verdict"] == "resolved"
        groups = {
            "above": levels[resolved & (levels["difference"] > 0)],
            "unresolved": levels[~resolved],
            "below": levels[resolved & (levels["difference"] < 0)],
        }
        listed = "; ".join(f"{name} at {_percents(group['wer'])}" for name, group in groups.items() if len(group))
        lines.append(f"- `{system}` against `{reference}`, by word error rate: {listed}. {_crossing(levels)}")
    return "\n".join(lines)


def differences_table(tested: Tested) -> str:
    """HTML: a row a test: measured errors, mean CCC of each system, and each declared difference with its verdict."""
    means = tested.scores[tested.scores["endpoint"] == "mean"]
    scores = means.assign(cell=[cell(number(row["ccc"]), interval(row)) for _, row in means.iterrows()])
    scores = scores.pivot_table(index="test", columns="system", values="cell", aggfunc="first", sort=False)
    steps = tested.differences[tested.differences["endpoint"] == "mean"]
    steps = steps.assign(
        pair=steps["system"] + " − " + steps["reference"],
        cell=[cell(f"{signed(row['difference'])} {row['verdict']}", interval(row)) for _, row in steps.iterrows()],
    )
    steps = steps.pivot_table(index="test", columns="pair", values="cell", aggfunc="first", sort=False)
    first = means.drop_duplicates("test").set_index("test")
    errors = pd.DataFrame({"word error rate": first["wer"].map(_percent), "missing": first["missing"].map(_percent)})
    table = pd.concat([errors, scores.rename(columns=breakable), steps.rename(columns=breakable)], axis=1)
    row = means.iloc[0]
    caption = (
        f"Mean CCC of the three attributes on {row['utterances']:,} utterances of {row['speakers']} speakers, averaged"
        f" over {tested.seeds} trained runs of each system, with 95 % intervals; below a difference its interval."
        f" Resolved: p below {LEVEL:g} after Holm's procedure over the {steps.size} comparisons of this table,"
        " and a difference no smaller than the detectable one. Word error rate: fewest edits, without case and"
        " punctuation, of the transcripts that are there."
    )
    return html(table.rename(index=_label), caption, "transcripts")


def figure(tested: Tested) -> Figure:
    """Mean CCC and that of valence against the measured word error rate; bars and band are intervals over speakers.

    The tests ``words_...`` are joined by a line, that of a recogniser stands apart. The band is speech alone.
    """
    drawn, axes = panels(1, len(TITLES), (8.4, 3.8))
    for panel, endpoint in zip(axes, TITLES, strict=True):
        _draw(panel, tested.scores[tested.scores["endpoint"] == endpoint])
        panel.set(title=TITLES[endpoint], xlabel="word error rate, measured (%)")
    axes[0].set_ylabel("CCC (bars, band: 95 % interval)")
    drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize=8.5)
    return drawn


def rates_table(rates: pd.DataFrame) -> str:
    """HTML: what `write` measured, a row a test or a system's training."""
    texts = {"utterances": rates["utterances"].map("{:,.0f}".format), "missing": rates["missing"].map(_percent)}
    texts |= {name: rates[name].map(_percent) for name in ("substitutions", "deletions", "insertions", "wer")}
    table = pd.DataFrame(texts).rename(index=_label, columns={"wer": "word error rate"})
    table.insert(0, "split", rates["split"].to_numpy())
    caption = (
        "Fewest edits, in per cent of the words said, without case and punctuation; utterances that lost their"
        " transcript are left out. In the rows of the training split: what the system was trained on."
    )
    return html(table, caption, "rates")


# Steps of the above


def _table(params: Params) -> pd.DataFrame:
    return corpora.read(params.corpus, params.seed).table


def _rates(name: str, said: Params, written: Params, rows: pd.DataFrame) -> dict[str, Any]:
    texts = [_table(params).loc[rows.index, "transcript"] for params in (said, written)]
    return {"name": name, "split": rows["split"].iloc[0]} | error_rates(*texts)


def _on(study: Study, test: str) -> list[Run]:
    """The study's runs with what they predict on a test in place of what they predicted."""
    gold = study.corpus[["speaker", "emotion", *ATTRIBUTES]]
    rows = study.tests[study.tests["test"] == test].join(gold, on="utterance")
    by_run = dict(list(rows.groupby(["system", "seed"])))
    return [replace(run, predictions=by_run[run.system, run.params.seed]) for run in study.runs]


def _crossing(levels: pd.DataFrame) -> str:
    """Where the difference itself changes its sign, between two word error rates by a straight line."""
    levels = levels.sort_values("wer")
    wer, values = levels["wer"].to_numpy(), levels["difference"].to_numpy()
    changes = np.flatnonzero(np.sign(values[:-1]) != np.sign(values[1:]))
    if not len(changes):
        return f"The difference is {'positive' if values[0] > 0 else 'negative'} throughout."
    at = [wer[i] - values[i] * (wer[i + 1] - wer[i]) / (values[i + 1] - values[i]) for i in changes]
    return f"The difference itself passes zero at about {_percents(at)}."


def _draw(panel: Axes, scores: pd.DataFrame) -> None:
    heard = scores["test"] == "recognised"
    speech = scores[scores["system"] == "speech_only"].iloc[0]
    panel.axhspan(speech["low"], speech["high"], color=SPEECH_ONLY, alpha=0.25, linewidth=0)
    panel.axhline(speech["ccc"], color=SPEECH_ONLY, linestyle=":", label="speech_only")
    for shift, (system, (colour, marker, line)) in enumerate(LOOKS.items()):
        one = scores["system"] == system
        look = {"color": colour, "capsize": 3}
        # Side by side, so that bars can be told apart.
        _points(panel, scores[one & ~heard], shift - 0.5, marker=marker, linestyle=line, label=system, **look)
        if heard.any():
            name = f"{system}, recogniser"
            look |= {"linestyle": "none", "fillstyle": "none", "markersize": 9}
            _points(panel, scores[one & heard], shift - 0.5, marker=marker, label=name, **look)


def _points(panel: Axes, rows: pd.DataFrame, shift: float, **look: Any) -> None:
    rows = rows.sort_values("wer")
    reach = [rows["ccc"] - rows["low"], rows["high"] - rows["ccc"]]
    panel.errorbar(100 * rows["wer"] + 0.8 * shift, rows["ccc"], yerr=reach, **look)


def _percent(share: float) -> str:
    return "–" if pd.isna(share) else f"{100 * share:.0f} %"


def _percents(shares: Sequence[float]) -> str:
    return ", ".join(f"{100 * share:.0f}" for share in shares) + " %"


def _label(name: str) -> str:
    """What a test, or a system, is called in a table."""
    kind, _, asked = name.rpartition("_")
    if asked.isdigit():
        return f"{'errors of all kinds' if kind == 'words' else kind}, {int(asked)} % asked for"
    return {"recognised": "a recogniser's words"}.get(name, breakable(name))
