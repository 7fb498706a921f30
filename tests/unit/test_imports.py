"""Imports go one way, and `import kit` is light."""

import ast
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KIT = ROOT / "kit"

BASE = {"errors", "axes", "writing", "numbers"}
ABOVE = BASE | {"world", "models", "data", "parts", "measures"}  # what computes, and what draws
ABOVE |= {"edits", "projections", "maps", "retrieval", "figures"}
MAY_IMPORT = {
    "errors": set(),
    "axes": {"errors"},
    "writing": {"errors"},
    "numbers": {"errors"},
    "cache": {"errors", "writing"},
    "world": BASE,
    "models": BASE | {"world", "cache"},
    "data": BASE | {"world", "models"},
    "parts": BASE | {"world", "models", "data"},
    "measures": BASE,  # no model, no plotting
    "edits": BASE | {"world", "models", "data", "parts", "measures"},
    "projections": BASE | {"world", "models", "data", "parts", "measures"},
    "maps": BASE | {"world", "models", "data", "parts", "measures"},
    "retrieval": BASE | {"world", "models", "data", "parts", "measures"},
    "figures": BASE | {"world", "models", "data", "parts", "measures"},
    "panels": ABOVE,
    "sweep": ABOVE,
    "workshop": ABOVE | {"sweep"},
    "cli": BASE | {"pass_command", "sweep", "cache"},
    "pass_command": BASE | {"world", "models", "data", "parts"},
    "notebook_tools": BASE,
    "lab": set(),  # imported by the notebook server alone
}
# `kit/__init__.py` names everything and is imported by nothing.
DRAWING = {
    "ipywidgets": {"panels"},
    "anywidget": {"panels"},
    "IPython": {"panels", "figures"},
    "plotly": {"figures"},
    "matplotlib": {"figures"},
}
NOTEBOOKS = {"kit", "torch", "numpy", "pandas", "plotly", "ipywidgets", "IPython.display"}


def imported(tree: ast.AST) -> set[str]:
    """Every module named by an import statement, at any depth, as a dotted name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "the kit imports by full names"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def within_kit(names: set[str]) -> set[str]:
    """Of dotted names, the parts of the kit that they lie in."""
    inside = [name.split(".") for name in names if name.split(".")[0] == "kit"]
    return {name[1] if len(name) > 1 else "__init__" for name in inside}


def part_of(path: Path) -> str:
    return path.relative_to(KIT).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    return sorted(p for p in KIT.rglob("*.py") if p != KIT / "__init__.py")


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").rglob("*.ipynb"))


def code_of(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_arrow(path):
    part = part_of(path)
    assert part in MAY_IMPORT, f"{part} has no place in the order of imports: see this test's table"
    allowed = MAY_IMPORT[part] | {part}
    wrong = within_kit(imported(ast.parse(path.read_text(encoding="utf-8")))) - allowed
    assert not wrong, f"{part} may import {sorted(allowed)}, not {sorted(wrong)}"


def needed(tree: ast.AST) -> set[str]:
    """What `imported` gives, but for what annotations alone need, under `if TYPE_CHECKING:`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    return imported(tree)


def at_once(tree: ast.AST) -> set[str]:
    """Libraries that are imported with a module: outside of functions, and not for annotations alone."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = []
    return {name.split(".")[0] for name in needed(tree)}


def needed_by(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules of the kit that a file imports, at any depth, but for those that annotations alone need."""
    imports = needed(ast.parse(path.read_text(encoding="utf-8")))
    parts = [name.split(".") for name in imports if name.startswith("kit.")]
    names = [[".".join(p[:size]) for size in range(len(p), 1, -1)] for p in parts]
    return {next(n for n in each if n in modules) for each in names}


def test_imports_run_in_no_circle():
    modules = {".".join(p.relative_to(ROOT).with_suffix("").parts): p for p in sources()}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    order = graphlib.TopologicalSorter({name: needed_by(path, modules) for name, path in modules.items()})
    order.prepare()  # raises graphlib.CycleError, which names the circle


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_libraries_that_draw_stay_where_they_belong(path):
    tree, part = ast.parse(path.read_text(encoding="utf-8")), part_of(path)
    tops = {name.split(".")[0] for name in imported(tree)} & DRAWING.keys()
    assert not [name for name in tops if part not in DRAWING[name]]
    if part == "figures":  # where they are first used, as importing them takes longer than most pictures
        assert not at_once(tree) & DRAWING.keys()


@pytest.mark.parametrize("path", sorted((KIT / "panels").rglob("*.py")), ids=lambda p: p.name)
def test_panels_compute_nothing_with_tensors(path):
    tops = {name.split(".")[0] for name in needed(ast.parse(path.read_text(encoding="utf-8")))}
    assert "torch" not in tops, "computing lies below the panels (design §2)"


@pytest.mark.parametrize(
    "source, found",
    [
        ("if TYPE_CHECKING:\n    from torch import Tensor", set()),
        ("if TYPE_CHECKING:\n    from torch import Tensor\nelse:\n    import torch", {"torch"}),
        ("def f():\n    import torch.nn", {"torch.nn"}),
    ],
)
def test_types_alone_are_no_import(source, found):
    assert needed(ast.parse(source)) == found


@pytest.mark.parametrize(
    "source, found",
    [
        ("import plotly.io", {"plotly"}),
        ("class C:\n    import plotly", {"plotly"}),
        ("class C:\n    def f(self):\n        import plotly", set()),
        ("if TYPE_CHECKING:\n    import plotly", set()),
    ],
)
def test_what_a_function_imports_waits(source, found):
    assert at_once(ast.parse(source)) == found


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_model_and_images_say_what_they_are(path):
    functions = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.FunctionDef)]
    arguments = [
        (f.name, a) for f in functions for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)
    ]
    bare = [(name, a.arg) for name, a in arguments if a.arg in ("model", "images") and a.annotation is None]
    assert not bare


@pytest.mark.parametrize("path", notebooks(), ids=lambda p: p.name)
def test_notebooks_import_only_what_the_design_allows(path):
    names = imported(ast.parse(code_of(path)))
    allowed = [n for n in names if any(n == a or n.startswith(a + ".") for a in NOTEBOOKS)]
    assert not names - set(allowed)


@pytest.mark.parametrize(
    "source, found",
    [
        ("import kit.parts", {"parts"}),
        ("from kit import panels", {"panels"}),
        ("def f():\n    from kit.models.model import Model", {"models"}),
        ("import kit", {"__init__"}),
        ("import torch, kitten", set()),
    ],
)
def test_every_form_of_import_is_seen(source, found):
    assert within_kit(imported(ast.parse(source))) == found


def test_import_kit_is_light():
    heavy = ["open_clip", "timm", "plotly", "ipywidgets", "anywidget", "matplotlib"]
    heavy += ["jupyterlab", "jupyter_server", "sklearn"]
    code = f"import sys, kit; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
