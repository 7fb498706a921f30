"""Every committed notebook is saved as readers need it; and each check complains where it should."""

import json
from pathlib import Path

import pytest

from tests.notebooks import guard

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(p for p in FOLDER.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
CHECKS = [
    guard.was_run,
    guard.is_tidy,
    guard.figures_speak,
    guard.is_short,
    guard.has_outline,
    guard.is_compared,
]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_saved_notebook_reads_well(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    complaints = [c for check in CHECKS for c in check(notebook)] + guard.is_story(notebook, path.name)
    if path.stat().st_size > guard.MAX_BYTES:
        complaints.append(f"{path.stat().st_size} bytes, at most {guard.MAX_BYTES} are allowed")
    raw = path.read_bytes()
    if b"\r" in raw or not raw.endswith(b"\n"):
        complaints.append("lines should end in a newline, the last one too")
    assert not complaints


def test_there_are_notebooks():
    assert {p.name[:2] for p in NOTEBOOKS} >= {"00", "10"}


def code(source="x = 1", count=1, outputs=(), **metadata):
    outputs = [dict(o) for o in outputs]
    return {
        "cell_type": "code",
        "source": source,
        "execution_count": count,
        "outputs": outputs,
        "metadata": metadata,
    }


def words(source):
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def shown(**data):
    data = {"text/plain": data.pop("plain", ""), **{k.replace("_", "/", 1): v for k, v in data.items()}}
    return {"output_type": "display_data", "data": data, "metadata": {}}


PLOTLY = {"output_type": "display_data", "data": {"application/vnd.plotly.v1+json": {}}, "metadata": {}}
FAULTS = [
    (guard.was_run, [code(count=None)], "execution counts are [None]"),
    (guard.was_run, [code(count=2)], "execution counts are [2]"),
    (guard.was_run, [code(outputs=[{"output_type": "error"}])], "code cell 0 holds an error"),
    (guard.is_tidy, [code(outputs=[shown(plain="/home/ada/x.png")])], "cell 0 shows the path /home/ada"),
    (guard.is_tidy, [code(execution={})], "cell 0 keeps times of execution"),
    (guard.is_tidy, [code(outputs=[shown(text_html="<script>")])], "cell 0 holds a script"),
    (guard.figures_speak, [code(outputs=[PLOTLY])], "neither a picture nor a finding"),
    (guard.figures_speak, [code(outputs=[shown(plain="FigureWidget({")])], "neither a picture nor a finding"),
    (guard.is_short, [words("#"), code("x = 1\n" * 7)], "code cell 0 has 7 lines"),
    (guard.is_short, [words("#"), code("def f():\n" + "    x = 1\n" * 12)], "code cell 0 has 13 lines"),
    (guard.is_short, [words("#"), code("x = 1\n" * 6)], "the median code cell has 6 lines"),
    (guard.is_short, [code()], "0 text cells for 1 code cells"),
    (guard.has_outline, [words("## Part")], "one title is wanted, first"),
    (guard.has_outline, [words("# A"), words("# B")], "one title is wanted, first"),
    (guard.has_outline, [words("# A\n\n### B")], "a heading of level 1 is followed by one of level 3"),
    (guard.is_compared, [code(tags=["nbval-ignore-output"])] * 3, "3 cells are tagged to be ignored"),
    (guard.is_compared, [code(tags=["nbval-skip"])], 'the tag "nbval-skip"'),
    (guard.is_compared, [code("# NBVAL_SKIP\nx = 1")], "code cell 0 has a marker in its source"),
]


@pytest.mark.parametrize("check, cells, complaint", FAULTS, ids=[f"{c.__name__}-{m}" for c, _, m in FAULTS])
def test_each_check_complains_of_its_fault(check, cells, complaint):
    found = check({"cells": cells, "metadata": {}})
    assert any(complaint in f for f in found), found


@pytest.mark.parametrize("name, source, faulty", [
    ("11_x.ipynb", "def f():\n    pass", True),
    ("10_x.ipynb", "def f():\n    pass", False),
    ("10_x.ipynb", "try:\n    f()\nexcept ValueError:\n    g()", True),
    ("11_x.ipynb", "f = 1", False),
])  # fmt: skip
def test_functions_only_where_the_formula_is_the_subject(name, source, faulty):
    assert bool(guard.is_story({"cells": [code(source)]}, name)) is faulty


def test_a_good_notebook_passes_every_check():
    picture = shown(plain="L5.H3 adds +0.081", image_png="iVBO")
    cells = [words("# A\n\n```\n# no heading\n```\n\n## B"), code(outputs=[picture])]
    assert not [c for check in CHECKS for c in check({"cells": cells, "metadata": {}})]
