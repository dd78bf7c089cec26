"""What every notebook promises: in step with its script, no logic, outputs committed, nothing of one machine."""

import ast
import re
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml

from study import plan as questions

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def content(notebook):
    return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def test_every_script_has_its_notebook():
    assert {path.stem for path in NOTEBOOKS} == {path.stem for path in FOLDER.glob("*.py")}


def test_the_book_has_every_notebook_and_each_question_its_chapter():
    contents = yaml.safe_load((FOLDER.parent / "book" / "_toc.yml").read_text())
    pages = [contents["root"], *(page["file"] for part in contents["parts"] for page in part["chapters"])]
    assert sorted(page for page in pages if page.startswith("notebooks/")) == [f"notebooks/{p.stem}" for p in NOTEBOOKS]
    for name in questions.questions("embedded"):
        assert f'plan.question(profile, "{name}")' in (FOLDER / f"{name}.py").read_text()
    for name in questions.questions("embedded", open=True):
        assert f'results = "results/embedded/{name}"' in (FOLDER / f"{name}.py").read_text()


def test_the_papers_chapters_link_to_pages_of_their_own_book_alone():
    """A study builds a book without the chapters of open questions, in which a link to them would be broken."""
    paper = [path.stem for path in NOTEBOOKS if path.stem not in questions.questions("embedded", open=True)]
    pages = {"method", "your_corpus", "api", "cite", "references", *(f"notebooks/{name}" for name in questions.PAGES)}
    texts = {f"notebooks/{name}": (FOLDER / f"{name}.py").read_text() for name in paper}
    texts |= {page: (FOLDER.parent / "book" / f"{page}.md").read_text() for page in ("method", "your_corpus")}
    links = {(page, link) for page, text in texts.items() for link in re.findall(r"\]\(/([\w/]+)\)", text)}
    assert {link for _, link in links} <= {*pages, "notebooks/overview", f"notebooks/{questions.REAL}"}, links
    assert links


def test_scripts_hide_no_module_of_python(path):
    """A kernel that runs in this folder imports from it first: a ``statistics.py`` here would break torch."""
    assert path.stem not in sys.stdlib_module_names


def test_notebook_and_script_are_in_step(path, notebook):
    assert content(notebook) == content(jupytext.read(path.with_suffix(".py")))


def test_first_code_cell_holds_the_parameters(path, notebook):
    """Without the tag papermill would only warn and run the notebook's own values."""
    first, *others = code_cells(notebook)
    assert "parameters" in first.metadata["tags"]
    assert not any("parameters" in cell.metadata.get("tags", []) for cell in others)
    body = ast.parse(first.source).body
    assert all(isinstance(line, ast.Assign) for line in body)
    assert ("profile" in {line.targets[0].id for line in body}) == (path.stem not in questions.OF_NO_CORPUS)


def test_notebooks_hold_no_logic(notebook):
    forbidden = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.If, ast.Try, ast.With)
    for cell in code_cells(notebook):
        nodes = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, forbidden)]
        assert not nodes, cell.source


def test_code_is_folded(notebook):
    shown = [
        cell.source for cell in code_cells(notebook)[1:] if not {"hide-input", "remove-input"} & {*cell.metadata.tags}
    ]
    assert not shown


def test_captions_are_short_and_figures_have_one(notebook):
    texts = [
        output.data.get("text/html", "") for cell in code_cells(notebook) for output in cell.outputs if "data" in output
    ]
    captions = re.findall(r'<p class="caption">(.*?)</p>', "".join(texts))
    for cell in code_cells(notebook):
        if any("image/svg+xml" in output.get("data", {}) for output in cell.outputs):
            captions.append(cell.metadata["mystnb"]["figure"]["caption"])
            assert cell.metadata["mystnb"]["image"]["alt"]
    assert not [caption for caption in captions if len(caption.split()) > 35]


def test_every_column_of_a_table_has_a_heading(notebook):
    """What pandas calls ``index`` has no name of its own."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs if "data" in output]
    tables = re.findall(r"(?s)<thead>(.*?)</thead>", "".join(each.data.get("text/html", "") for each in outputs))
    headings = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", head[head.rindex("<tr>") :]) for head in tables]
    assert not [names for names in headings if {"", "&nbsp;", "index"} & {*names}]


def test_outputs_are_committed(notebook):
    """nbval passes a notebook that was never executed."""
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert not [out for cell in code_cells(notebook) for out in cell.outputs if out.output_type == "error"]


def test_nothing_of_the_machine_or_the_hour_is_kept(path, notebook):
    assert notebook.metadata.kernelspec.name == "python3"
    assert "papermill" not in notebook.metadata
    assert not any({"papermill", "execution"} & set(cell.metadata) for cell in notebook.cells)
    text = path.read_text(encoding="utf-8")
    assert "object at 0x" not in text
    assert not re.search(r"(?<![\w.:/-])/(home|root|work|tmp|Users)/", text)
