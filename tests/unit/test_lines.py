"""The counter of lines: what is code, what is public, what is described, what has a type."""

import ast

import pytest

from tests.bench.lines import (
    Counts,
    Longest,
    arguments_of,
    by_folder,
    code_lines,
    plain_lines,
    public_of,
    table,
    total,
)

PYTHON = '''"""What the file is for.

Two lines more.
"""

import os  # one


# nothing
class Shown:
    """A class."""

    words = """three
    lines of
    code"""

    def said(self, text: str, *more) -> str:
        """What is said."""

        def inner(x):
            return x  # nested, so not public

        return inner(
            text
        )

    @staticmethod
    def plain(a, b: int, **rest: str): ...

    def _own(self, *, at=None):
        pass


def bare(first, /, second): return os.sep


class _Hidden:
    def open(self): ...
'''
STYLE = """/* a comment
   of two lines */
.one { color: red; }   /* beside code */

  /* one line */
.two {
}
"""


@pytest.fixture
def package(tmp_path):
    """A package of two folders."""
    files = {
        "kit/__init__.py": PYTHON,
        "kit/workshop/small.py": "x = 1\n",
        "kit/workshop/a.css": STYLE,
    }
    files |= {
        "kit/workshop/a.js": "// no\nlet a = 1 // yes\n\n",
        "kit/workshop/notes.txt": "no code\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_lines_of_code_leave_out_docstrings_comments_and_blank_lines():
    code = [
        line for line in PYTHON.splitlines() if line.strip() and not line.strip().startswith(("#", '"""'))
    ]
    code = [line for line in code if line != "Two lines more."]
    assert code_lines(PYTHON, ast.parse(PYTHON)) == len(code) == 18


def test_comments_of_styles_and_scripts_are_no_lines():
    assert plain_lines(STYLE) == 3
    assert plain_lines("/* a\n\nb */\nlet x\n//y\n") == 1


def test_public_is_what_has_no_underscore_and_lies_in_no_function():
    assert [node.name for node in public_of(ast.parse(PYTHON))] == ["Shown", "said", "plain", "bare"]


def test_arguments_are_counted_without_self():
    found = {argument.arg: argument.annotation is not None for argument in arguments_of(ast.parse(PYTHON))}
    typed = {"text": True, "b": True, "rest": True}
    assert found == dict.fromkeys(("more", "x", "a", "at", "first", "second"), False) | typed


def test_a_package_is_counted_by_folder(package):
    found = by_folder(package)
    assert found["kit"] == Counts(
        files=1,
        python=18,
        public=4,
        described=2,
        arguments=9,
        bare=6,
        function=Longest(9, "kit/__init__.py:said"),
        file=Longest(len(PYTHON.splitlines()), "kit/__init__.py"),
    )
    assert found["kit/workshop"] == Counts(
        files=3, python=1, js=1, css=3, file=Longest(1, "kit/workshop/small.py")
    )
    assert total(found.values()).python == 19 and total(found.values()).function.lines == 9


def test_the_table_sets_the_workshop_apart(package):
    rows = table(by_folder(package)).splitlines()
    assert [row.split("  ")[0].rstrip() for row in rows] == [
        "folder", "kit", "kit/workshop", "without the workshop", "the workshop (kit/workshop)", "all"
    ]  # fmt: skip
    assert "2 of 4 50%" in rows[1] and "6 of 9 67%" in rows[1]
