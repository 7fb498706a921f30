"""What a committed notebook must be like: each check gives a list of complaints, empty where all is well."""

import ast
import re
from itertools import pairwise
from statistics import median

from kit.notebook_tools import absolute_path, output_texts

MAX_BYTES = 2**20
MEDIAN_LINES, MAX_LINES, DEFINED_LINES = 4, 6, 12  # of a cell; of one that defines the function of a formula
IGNORED_CELLS = 2
FORBIDDEN_TAGS = ("nbval-skip", "raises-exception")
MARKER = re.compile(r"^\s*#+\s*NBVAL_", re.MULTILINE)
FORMULA_NOTEBOOKS = ("10", "20")  # there the formula is the subject, and functions are welcome
DEFINITIONS = {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef}
HEADING = re.compile(r"^(#{1,6}) +\S", re.MULTILINE)
REPR = re.compile(r"^\s*(<|[A-Za-z_.]+\()")  # <object at …>, Figure({…, VBox(children=…
FIGURES = {"application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-view+json", "image/svg+xml"}


def text(cell: dict) -> str:
    return "".join(cell["source"])


def code_cells(notebook: dict) -> list[dict]:
    return [c for c in notebook["cells"] if c["cell_type"] == "code"]


def was_run(notebook: dict) -> list[str]:
    """One clean run from top to bottom, without an error."""
    counts = [c.get("execution_count") for c in code_cells(notebook)]
    kinds = [[o["output_type"] for o in c["outputs"]] for c in code_cells(notebook)]
    complaints = [] if counts == list(range(1, len(counts) + 1)) else [f"execution counts are {counts}"]
    return complaints + [f"code cell {n} holds an error" for n, found in enumerate(kinds) if "error" in found]


def is_tidy(notebook: dict) -> list[str]:
    """Nothing that differs between runs or machines, and nothing that waits for a reader's trust."""
    complaints = [f"metadata.{key} is kept" for key in notebook["metadata"] if key == "widgets"]
    for n, cell in enumerate(notebook["cells"]):
        if "execution" in cell["metadata"]:
            complaints.append(f"cell {n} keeps times of execution")
        for output in output_texts(cell.get("outputs", [])):
            if found := absolute_path(output):
                complaints.append(f"cell {n} shows the path {found}")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "application/javascript" in data or "<script" in "".join(data.get("text/html", "")):
                complaints.append(
                    f"cell {n} holds a script, which no viewer runs in a notebook it does not trust"
                )
    return complaints


def figures_speak(notebook: dict) -> list[str]:
    """Each figure has a picture or a sentence, so that it reads without a kernel."""
    complaints = []
    for n, cell in enumerate(code_cells(notebook)):
        for output in cell["outputs"]:
            data = output.get("data", {})
            words = "".join(data.get("text/plain", ""))
            silent = not words.strip() or REPR.match(words)
            if (FIGURES & set(data) or "Widget(" in words) and "image/png" not in data and silent:
                complaints.append(f"the figure of code cell {n} has neither a picture nor a finding in words")
    return complaints


def is_short(notebook: dict) -> list[str]:
    """Short cells, at least as much text as code."""
    cells = code_cells(notebook)
    lines = [sum(1 for line in text(c).splitlines() if line.strip()) for c in cells]
    most = [DEFINED_LINES if text(c).lstrip().startswith(("def ", "@")) else MAX_LINES for c in cells]
    complaints = [f"code cell {n} has {k} lines" for n, k in enumerate(lines) if k > most[n]]
    if lines and median(lines) > MEDIAN_LINES:
        complaints.append(f"the median code cell has {median(lines)} lines")
    texts = len(notebook["cells"]) - len(cells)
    return complaints + ([f"{texts} text cells for {len(cells)} code cells"] if texts < len(cells) else [])


def is_story(notebook: dict, name: str) -> list[str]:
    """No machinery in cells: no function, no class, no `try`; exercises' folded solutions are text."""
    complaints = []
    for n, cell in enumerate(code_cells(notebook)):
        kinds = {type(node) for node in ast.walk(ast.parse(text(cell)))}
        if ast.Try in kinds or ast.TryStar in kinds:
            complaints.append(f"code cell {n} has a try")
        if (
            kinds & {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef}
            and name[:2] not in FORMULA_NOTEBOOKS
        ):
            complaints.append(f"code cell {n} defines a function or a class")
    return complaints


def has_outline(notebook: dict) -> list[str]:
    """One title, in the first cell, and headings that never skip a level."""
    prose = [
        re.sub(r"```.*?```", "", text(c), flags=re.DOTALL)
        for c in notebook["cells"]
        if c["cell_type"] == "markdown"
    ]
    levels = [len(mark) for cell in prose for mark in HEADING.findall(cell)]
    complaints = []
    if levels.count(1) != 1 or levels[:1] != [1]:
        complaints.append(f"one title is wanted, first; the levels of the headings are {levels}")
    skips = [(a, b) for a, b in pairwise(levels) if b > a + 1]
    return complaints + [f"a heading of level {a} is followed by one of level {b}" for a, b in skips]


def is_compared(notebook: dict) -> list[str]:
    """Strict comparison stays strict: few cells ignored, none skipped, no marker in a comment."""
    tags = [tag for c in code_cells(notebook) for tag in c["metadata"].get("tags", [])]
    complaints = [
        f'the tag "{tag}" is not for committed notebooks'
        for tag in tags
        if tag in ("nbval-skip", "raises-exception")
    ]
    ignored = tags.count("nbval-ignore-output")
    if ignored > IGNORED_CELLS:
        complaints.append(f"{ignored} cells are tagged to be ignored, at most {IGNORED_CELLS} may be")
    markers = [
        n for n, c in enumerate(code_cells(notebook)) if re.search(r"^\s*#+\s*NBVAL_", text(c), re.MULTILINE)
    ]
    return complaints + [f"code cell {n} has a marker in its source; use a tag" for n in markers]
