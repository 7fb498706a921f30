"""Pages of models, and the parts of them that commands write between marks."""

from pathlib import Path

from kit.errors import KitError
from kit.writing import write_file

CARDS = Path(__file__).parents[3] / "data_cards"
MEASURED = ("<!-- measured -->", "<!-- end of measured -->")
ROLES = ("<!-- roles -->", "<!-- end of roles -->")


def write_between(path: Path, marks: tuple[str, str], text: str) -> None:
    """Replace what stands between two marks of a page.

    Raises:
        KitError: there is no such page, or it lacks the marks between which the text goes.
    """
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    if any(page.count(mark) != 1 for mark in marks):
        raise KitError(f"{path.name} should hold the lines {marks[0]} and {marks[1]} once each; add them.")
    before, rest = page.split(marks[0])
    after = rest.split(marks[1])[1]
    write_file(path, f"{before}{marks[0]}\n{text}\n{marks[1]}{after}")
