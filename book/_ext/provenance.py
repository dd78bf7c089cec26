"""The foot of every page, the study's BibTeX, and links to its repository, from what stands beside the book."""

import json
import re
import shutil
import subprocess
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
    """Write the foot of all pages, and the text that a page asks for as ``{{ bibtex }}``."""
    root, results = project_root(), Path(app.srcdir).parent / "results"
    cited = yaml.safe_load((root / "CITATION.cff").read_text())
    found = {path.parent: json.loads(path.read_text()) for path in sorted(results.rglob("environment.json"))}
    trained = next((one["git_revision"] for one in found.values() if one.get("git_revision")), "unknown")
    revision = _git(root, "log", "-1", "--format=%h") or trained[:7]
    changed = date.fromtimestamp(max((folder.stat().st_mtime for folder in found), default=0)).isoformat()
    made = _git(root, "log", "-1", "--format=%cs", "--", str(results)) or changed
    packages = pd.DataFrame([one.get("packages", {}) for one in found.values()])
    versions = [f"{name} {' or '.join(packages[name].dropna().unique())}" for name in packages]
    seeds: dict[str, set[int]] = {}
    for folder in found:
        seeds.setdefault(folder.relative_to(results).parts[0], set()).update(pd.read_csv(folder / "runs.csv")["seed"])
    ranges = [f"{name}: seeds {min(some)}–{max(some)}" for name, some in seeds.items()]
    options = config.html_theme_options
    foot = [f"sercore {cited['version']}, revision {revision}", f"results of {made}", *ranges, *versions]
    options["extra_footer"] = f"<p>{' · '.join(foot)}</p>"
    address = options.get("repository_url")
    fields = {"title": cited["title"], "author": " and ".join(one["name"] for one in cited["authors"])}
    fields |= {"version": cited["version"], "year": made[:4]} | ({"url": address} if address else {})
    ours = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    theirs = THEIRS.search(Path(app.srcdir, "references.bib").read_text())[0]
    config.myst_substitutions["bibtex"] = f"```bibtex\n@software{{sercore,\n{ours}\n}}\n\n{theirs}\n```"
    if address:
        options |= {"use_repository_button": True, "use_edit_page_button": True}
    else:  # the theme would look for an address
        options["launch_buttons"] = {}


def place(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Tell the theme where a page lies in the repository, where ``book/notebooks`` is a link to ``notebooks``."""
    folder = "" if page.startswith("notebooks/") else "book"
    context["doc_path"] = app.config.html_theme_options["path_to_docs"] = folder
    # What docutils writes is neither a role that is in use, nor one that its list may hold.
    context["body"] = context.get("body", "").replace('role="doc-biblioentry"', 'role="listitem"')


def _git(root: Path, *command: str) -> str:
    if not (root / ".git").exists() or not shutil.which("git"):
        return ""
    return subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=False).stdout.strip()


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", describe)
    app.connect("html-page-context", place, priority=1)  # before the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}
