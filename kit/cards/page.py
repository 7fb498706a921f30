"""Pages whose measured part a command writes between two marks."""

from pathlib import Path

from kit.errors import KitError

MARKS = ("<!-- measured -->", "<!-- end of measured -->")


def figure(row: dict) -> str:
    """A figure with its interval, as the pages print it."""
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def split_page(path: Path) -> tuple[str, str]:
    """A page up to and from its marks, between which figures go.

    Raises:
        KitError: the page lacks the marks.
    """
    text = path.read_text(encoding="utf-8")
    if any(text.count(mark) != 1 for mark in MARKS):
        raise KitError(f"{path.name} should hold the lines {MARKS[0]} and {MARKS[1]} once each; add them.")
    before, rest = text.split(MARKS[0])
    return before + MARKS[0], MARKS[1] + rest.split(MARKS[1])[1]
