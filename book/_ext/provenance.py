"""The foot of every page, the study's BibTeX, and links to its repository, from what stands beside the book."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from sphinx.application import Sphinx
from sphinx.config import Config

from sercore.params import project_root

THEIRS = re.compile(r"(?ms)^@\w+\{lertpetchpun2025,.*?^\}")


def describe(app: Sphinx, config: Config) -> None:
    """Write the foot of all pages and what a page asks for as ``{{ bibtex }}``, and link to the repository, if any."""
    root, results, options = project_root(), Path(app.srcdir).parent / "results", config.html_theme_options
    cited = yaml.safe_load((root / "CITATION.cff").read_text())
    found = {path.parent: json.loads(path.read_text()) for path in sorted(results.rglob("environment.json"))}
    trained = [one["git_revision"][:7] for one in found.values() if one.get("git_revision")]
    revision = _git(root, "log", "-1", "--format=%h") or (*trained, "unknown")[0]
    changed = date.fromtimestamp(max((folder.stat().st_mtime for folder in found), default=0)).isoformat()
    made = _git(root, "log", "-1", "--format=%cs", "--", str(results)) or changed
    foot = [f"sercore {cited['version']}, revision {revision}", f"results of {made}", *_seeds(results, found)]
    packages = pd.DataFrame([one.get("packages", {}) for one in found.values()])
    foot += [f"{name} {' or '.join(packages[name].dropna().unique())}" for name in packages]
    options["extra_footer"] = f"<p>{' · '.join(foot)}</p>"

    address = options.get("repository_url")
    authors = [one.get("name") or f"{one['family-names']}, {one['given-names']}" for one in cited["authors"]]
    fields = {"title": cited["title"], "author": " and ".join(authors), "version": cited["version"], "year": made[:4]}
    ours = ",\n".join(f"  {key} = {{{value}}}" for key, value in (fields | {"url": address}).items() if value)
    theirs = THEIRS.search(Path(app.srcdir, "references.bib").read_text())[0]
    config.myst_substitutions["bibtex"] = f"```bibtex\n@software{{sercore,\n{ours}\n}}\n\n{theirs}\n```"

    options |= {"use_repository_button": bool(address), "use_edit_page_button": bool(address)}
    if not address:  # for which the theme would look
        options["launch_buttons"] = {}


def place(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Tell the theme where a page lies in the repository, where ``book/notebooks`` is a link to ``notebooks``."""
    folder = "" if page.startswith("notebooks/") else "book"
    context["doc_path"] = app.config.html_theme_options["path_to_docs"] = folder
    # What docutils writes is neither a role that is in use, nor one that its list may hold.
    context["body"] = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')


def _seeds(results: Path, folders: Iterable[Path]) -> list[str]:
    seeds: dict[str, set[int]] = {}
    for folder in folders:
        seeds.setdefault(folder.relative_to(results).parts[0], set()).update(pd.read_csv(folder / "runs.csv")["seed"])
    return [f"{name}: seeds {', '.join(map(str, sorted(some)))}" for name, some in seeds.items()]


def _git(root: Path, *command: str) -> str:
    if not (root / ".git").exists() or not shutil.which("git"):
        return ""
    return subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=False).stdout.strip()


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", describe)
    app.connect("html-page-context", place, priority=1)  # before the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}
