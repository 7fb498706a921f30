"""How much code the kit has and how it is described: `python -m tests.bench.lines`.

One row for each folder of `kit`, its own files alone. *Python* are lines with code: no docstrings, comments
or blank lines. *JS* and *CSS* are lines that are neither blank nor begin as, or lie in, a comment.
*described* is the share of public functions, classes and methods (no `_` before any of their names) that
have a docstring. *bare* are arguments of functions and methods without a type, `self` and `cls` apart. The
longest function and file are counted from their first line to their last.
"""

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKSHOP = ("kit/workshop",)  # what made the shipped models, no part of their use
SILENT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, order=True)
class Longest:
    """The longest of some functions or files."""

    lines: int = 0
    name: str = ""


@dataclass(frozen=True)
class Counts:
    """What was counted in one file, or in several."""

    files: int = 0
    python: int = 0
    js: int = 0
    css: int = 0
    public: int = 0
    described: int = 0
    arguments: int = 0
    bare: int = 0
    function: Longest = field(default_factory=Longest)
    file: Longest = field(default_factory=Longest)

    def __add__(self, other: "Counts") -> "Counts":
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return Counts(
            **{n: max(pair) if n in ("function", "file") else sum(pair) for n, pair in pairs.items()}
        )


def count(path: Path, name: str) -> Counts:
    """What one file holds; the longest function and file are called by `name`."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        lines = plain_lines(text)
        return Counts(files=1, js=lines * (path.suffix == ".js"), css=lines * (path.suffix == ".css"))
    tree = ast.parse(text)
    public, arguments = list(public_of(tree)), list(arguments_of(tree))
    spans = [(node.end_lineno - node.lineno + 1, node.name) for node in functions_of(tree)]
    return Counts(
        files=1,
        python=code_lines(text, tree),
        public=len(public),
        described=sum(ast.get_docstring(node) is not None for node in public),
        arguments=len(arguments),
        bare=sum(argument.annotation is None for argument in arguments),
        function=max((Longest(lines, f"{name}:{function}") for lines, function in spans), default=Longest()),
        file=Longest(len(text.splitlines()), name),
    )


def code_lines(text: str, tree: ast.Module) -> int:
    """Lines of Python with code on them."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node) is not None:
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def plain_lines(text: str) -> int:
    """Lines of JavaScript or CSS that are neither blank nor begin as, or lie in, a comment."""
    found, inside = 0, False
    for line in map(str.strip, text.splitlines()):
        begins = line.startswith("/*")
        if not (inside or begins or line.startswith("//") or not line):
            found += 1
        if inside or begins:
            inside = "*/" not in line
    return found


def functions_of(tree: ast.AST) -> Iterator[Function]:
    """Every function and method, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def public_of(tree: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    """Functions, classes and methods without `_` before their names; nothing that lies in a function."""
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_of(node)


def arguments_of(tree: ast.AST) -> Iterator[ast.arg]:
    """The arguments of every function, `self` and `cls` of methods apart."""
    methods = {
        node
        for owner in ast.walk(tree)
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, Function)
        and not any(ast.unparse(d) == "staticmethod" for d in node.decorator_list)
    }
    for node in functions_of(tree):
        of = node.args
        yield from [*of.posonlyargs, *of.args][int(node in methods) :]
        yield from (*of.kwonlyargs, *filter(None, (of.vararg, of.kwarg)))


def by_folder(root: Path = ROOT, package: str = "kit") -> dict[str, Counts]:
    """What each folder of a package holds in its own files."""
    found: dict[str, Counts] = defaultdict(Counts)
    for path in sorted((root / package).rglob("*")):
        if path.suffix in (".py", ".js", ".css"):
            name = path.relative_to(root).as_posix()
            found[name.rpartition("/")[0]] += count(path, name)
    return dict(found)


def total(counts: Iterable[Counts]) -> Counts:
    """Several counts as one."""
    return sum(counts, Counts())


def table(found: dict[str, Counts]) -> str:
    """The rows of the folders, then what is in and outside the workshop, then all."""
    inside = {name: one for name, one in found.items() if name.startswith(WORKSHOP)}
    outside = [one for name, one in found.items() if name not in inside]
    rows = {
        **found,
        "without the workshop": total(outside),
        f"the workshop ({', '.join(inside) or 'none'})": total(inside.values()),
        "all": total(found.values()),
    }
    wide = max(map(len, rows))
    head = (
        f"{'folder':{wide}} {'files':>5} {'Python':>7} {'JS':>6} {'CSS':>6} {'described':>17} {'bare':>18}  "
        "longest function; longest file"
    )
    return "\n".join([head, *(f"{name:{wide}} {_row(one)}" for name, one in rows.items())])


def _row(one: Counts) -> str:
    described = f"{one.described} of {one.public} {_share(one.described, one.public)}"
    bare = f"{one.bare} of {one.arguments} {_share(one.bare, one.arguments)}"
    longest = "; ".join(f"{each.lines} {each.name}" for each in (one.function, one.file) if each.lines)
    return f"{one.files:>5} {one.python:>7,} {one.js:>6,} {one.css:>6,} {described:>17} {bare:>18}  {longest}"


def _share(some: int, of: int) -> str:
    return f"{some / of:.0%}" if of else "–"


if __name__ == "__main__":
    print(table(by_folder()))
