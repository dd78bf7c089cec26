"""What frames a page: its parameters, on which speech its figures were measured, and samples of the corpus."""

import ast
import base64
from collections.abc import Sequence
from pathlib import Path

from IPython.display import HTML

from sercore.corpus import EMOTIONS
from sercore.params import Params, ParamsError, reader


def banner(*params: Params) -> HTML:
    """On which speech a page's figures were measured, as each corpus's reader describes it."""
    described = [reader(name) for name in dict.fromkeys(one.corpus.reader for one in params)]
    title = f'<p class="admonition-title">{" and ".join(one.KIND for one in described).capitalize()} speech</p>'
    return HTML(f'<div class="admonition warning">{title}<p>{" ".join(one.DESCRIPTION for one in described)}</p></div>')


def players(folder: Path | str) -> HTML:
    """An audio player for each file ``<emotion code>.<mp3 or flac>`` of `folder`, the audio within the page."""
    folder = Path(folder)
    found = {path.stem: path for path in sorted(folder.glob("*")) if path.suffix in (".mp3", ".flac")}
    if not found:
        return HTML(f"<p>This copy of the results has no audio ({folder.name}/ is missing).</p>")
    style = "display:inline-block;width:15rem;max-width:100%;margin:.3rem .8rem .3rem 0"
    figures = []
    for code, name in [(code, name) for code, name in EMOTIONS.items() if code in found]:
        kind = {".mp3": "mpeg", ".flac": "flac"}[found[code].suffix]
        sound = f"data:audio/{kind};base64,{base64.b64encode(found[code].read_bytes()).decode()}"
        player = f'<audio controls preload="none" style="width:100%" aria-label="{name}" src="{sound}"></audio>'
        figures.append(f'<figure style="{style}"><figcaption>{name}</figcaption>{player}</figure>')
    return HTML(f"<div>{''.join(figures)}</div>")


def refuse_unknown(cells: Sequence[str]) -> None:
    """Refuse parameters that a notebook does not have (papermill would only warn), by the ``cells`` executed so far
    (IPython's ``In``): the notebook's own parameters, then papermill's."""
    executed = [cell for cell in cells if cell]
    if not executed:  # nbval keeps no history, and injects nothing
        return
    known = _assigned(executed[0])
    unknown = set().union(*[_assigned(cell) for cell in executed if cell.startswith("# Parameters\n")]) - known
    if unknown:
        raise ParamsError(f"unknown parameters {', '.join(sorted(unknown))}; valid are {', '.join(sorted(known))}.")


def _assigned(code: str) -> set[str]:
    names = [node.targets[0] for node in ast.parse(code).body if isinstance(node, ast.Assign)]
    return {name.id for name in names if isinstance(name, ast.Name)}
