"""The few sentences that depend on a figure."""

from collections.abc import Mapping

import pandas as pd
from IPython.display import Markdown

from sercore.report import number, sentence, signed
from sercore.verdicts import WITHIN
from study import paper
from study.comparisons import of_models, tested
from study.plan import paper_row, questions
from study.show.tables import basis

TOLERANCE = 0.05  # of a CCC, between machines


def answer(table: pd.DataFrame) -> Markdown:
    """What each difference shows, by condition and split."""
    lines = []
    for (condition, split), rows in tested(table).groupby(["condition", "split"], sort=False):
        where = f"{split}, condition `{condition}`" if len(set(table["condition"])) > 1 else str(split)
        size = basis(rows.drop(columns=["low", "margin"])).rstrip(".")
        lines += [f"On {where} ({size}):", "", *(f"- {sentence(row)}" for _, row in rows.iterrows()), ""]
    return Markdown("\n".join(lines).strip())


def findings(tables: Mapping[str, pd.DataFrame]) -> Markdown:
    """A sentence a kind of verdict: what is better, equivalent and inconclusive in each table, whose name says on which
    speech."""
    lines = []
    for kind, pattern in {"Better": "better|worse", "Equivalent": "equivalent", "Inconclusive": "inconclusive"}.items():
        parts = []
        for speech, table in tables.items():
            rows = tested(table)
            models = ", of these trained models," if of_models(rows) else ""
            each = [_found(row) for _, row in rows[rows["verdict"].str.contains(pattern)].iterrows()]
            listed = " and ".join([*filter(None, [", ".join(each[:-1])]), *each[-1:]])
            parts.append(f"on {speech}{models} {listed or 'none'}")
        margins = " and ".join({number(table["margin"].max(), 2): "" for table in tables.values()})
        lines.append(f"- **{kind}**{f' (within {margins})' if kind == 'Equivalent' else ''}: {'; '.join(parts)}.")
    return Markdown("\n".join(lines))


def _found(row: pd.Series) -> str:
    pair = [f"`{row['system']}`", f"`{row['reference']}`"]
    if row["verdict"].startswith(("better", "worse")):
        better, other = pair if row["estimate"] > 0 else reversed(pair)
        return f"{better} than {other} (by {number(abs(row['estimate']))}{WITHIN if WITHIN in row['verdict'] else ''})"
    return f"{' and '.join(pair)} ({signed(row['estimate'])})"


def beside_the_paper(table: pd.DataFrame) -> Markdown:
    """Each difference that the paper prints, whether it has the same sign here, and notes on the paper's figures."""
    rows = tested(table)
    lines = [f"- {_pair(row)}: {_beside(row)}" for _, row in rows.dropna(subset="paper").iterrows()]
    names = [*dict.fromkeys(paper_row(system) for system in (*rows["system"], *rows["reference"]))]
    notes = paper.results()["note"].reindex(names).dropna()
    lines += [f"- {name}: {note}." for name, note in dict(notes).items()]
    missing = ", ".join(_pair(row) for _, row in rows[rows["paper"].isna()].iterrows())
    return Markdown("\n".join([*lines, *([f"- The paper has no figure for {missing}."] if missing else [])]))


def caveat() -> Markdown:
    """How far the paper's figures can be relied on and compared."""
    return Markdown(f"> {paper.quoted()['source']}. {paper.quoted()['caveat']}")


def repeats(table: pd.DataFrame) -> Markdown:
    """Whether CCCs (``estimate``) repeat the ``committed`` ones up to `TOLERANCE`: training amplifies what processors
    round differently."""
    if table.empty:
        return Markdown("The committed results of the paper's questions have no such run to compare with.")
    largest = (table["estimate"] - table["committed"]).abs().max()
    if largest <= TOLERANCE:
        return Markdown(f"Every CCC lies within {TOLERANCE} of the committed one, the tolerance between machines.")
    return Markdown(
        f"A CCC differs by {largest:.3f} from the committed one: **more than between machines, {TOLERANCE}.**"
    )


def contents(profile: str) -> Markdown:
    """A link to the chapter of each question of the paper."""
    return Markdown("\n".join(f"- [{one.sentence}](/notebooks/{name})" for name, one in questions(profile).items()))


def _pair(row: pd.Series) -> str:
    return f"`{row['system']}` − `{row['reference']}`"


def _beside(row: pd.Series) -> str:
    found = paper.difference(row["system"], row["reference"])
    quoted = signed(*found) if found else "–"
    if row["verdict"] in ("inconclusive", "equivalent"):
        here = f", {row['verdict']}"
    elif set(quoted) & set("123456789"):
        here = f", {'the same' if row['paper'] * row['estimate'] > 0 else 'another'} sign"
    else:
        here = ", and no sign in the paper's digits"
    return f"{quoted} in the paper; {signed(row['estimate'])} here{here}."
