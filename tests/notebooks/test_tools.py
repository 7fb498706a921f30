"""Running and saving a notebook: what is dropped, what stays, and that a failure leaves the file alone."""

import subprocess
import sys

import nbformat
import pytest

from kit import notebook_tools
from kit.errors import KitError

WIDGET_CELL = "import ipywidgets\nout = ipywidgets.Output()\nwith out:\n    print('inside')\nout"


def write(path, *sources):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {}}
    nbformat.write(notebook, path)
    return path


def run_command(path):
    """The command in a process of its own: in this one the browser tests may hold an event loop."""
    command = [sys.executable, "-m", "kit.notebook_tools", "run", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_saved_run_holds_results_and_nothing_of_the_machine(tmp_path):
    path = write(tmp_path / "a.ipynb", WIDGET_CELL, "", "1 + 1")
    assert run_command(path).returncode == 0
    first = path.read_bytes()
    notebook = nbformat.reads(first.decode(), as_version=4)
    assert [c.execution_count for c in notebook.cells] == [1, 2]
    assert notebook.cells[1].outputs[0].data["text/plain"] == "2"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert "version" not in notebook.metadata.language_info
    assert not [c for c in notebook.cells if "execution" in c.metadata]
    assert run_command(path).returncode == 0
    assert path.read_bytes() == first
    assert not list(tmp_path.glob("*.part"))


def test_a_cell_that_raises_is_named_and_the_file_stays(tmp_path):
    path = write(tmp_path / "a.ipynb", "x = 1", "1 / 0")
    before = path.read_bytes()
    ended = run_command(path)
    assert ended.returncode == 1
    message = ended.stderr
    assert "a.ipynb: code cell 2 stopped the run; the file is unchanged." in message
    assert "ZeroDivisionError" in message
    assert path.read_bytes() == before


def test_a_path_of_this_machine_is_refused(tmp_path):
    notebook = nbformat.read(write(tmp_path / "a.ipynb", "x = 1"), as_version=4)
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text=f"saved to {tmp_path}/x")]
    with pytest.raises(KitError, match="an output of cell 1 holds the path"):
        notebook_tools.save(notebook, tmp_path / "b.ipynb")
    assert not (tmp_path / "b.ipynb").exists()


def test_what_is_no_notebook_is_refused(tmp_path, capsys):
    assert notebook_tools.main(["run", str(tmp_path / "a.py")]) == 1
    assert "is no notebook; name files that end in .ipynb." in capsys.readouterr().err


@pytest.mark.parametrize(
    "shown, found",
    [
        ("/tmp/x/y.png", "/tmp/x"),
        ("C:\\Users\\ada", "C:\\Users\\"),
        ("https://example.org/home/ada", ""),
        ("data/home/ada", ""),
        ("0.3/0.5 of /var", ""),
        ("L5.H3 / L4", ""),
    ],
)
def test_absolute_paths_are_told_from_addresses(shown, found):
    assert notebook_tools.absolute_path(shown) == found


def test_ids_follow_from_the_text(tmp_path):
    sources = ["x = 1", "x = 1", "y = 2"]
    notebooks = [nbformat.read(write(tmp_path / f"{i}.ipynb", *sources), as_version=4) for i in range(2)]
    for notebook in notebooks:
        notebook_tools.tidy(notebook)
    first, second = ([c.id for c in n.cells] for n in notebooks)
    assert first == second and len(set(first)) == 3
