"""Tables beside what was collected: CSV in which text stays text, numbers stay numbers, and nothing is lost.

Texts stand in quotes, numbers do not. A missing value is `\\N`; a text that begins with a backslash has one
more of them. The kind of each column is kept by whoever keeps the table.
"""

import csv
import hashlib
import io
from pathlib import Path

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from kit.data.images import text_column
from kit.errors import KitError, shown

FILES_KINDS = [["name", "text"], ["damaged", "text"]]
FILES_BEGIN = '"name","damaged"\n'
MISSING = "\\N"
TEXT = "text"
LONGEST = 131_072  # letters of a field that Python's reader of CSV takes


def kinds_of(table: pd.DataFrame) -> list[list[str]]:
    """Name and kind of each column: "text", or the type of its numbers.

    Raises:
        KitError: a column whose name is no text, or that holds something else than texts, numbers or truth
            values.

    Example:
        >>> kinds_of(pd.DataFrame({"folder": ["001"], "y": [1]}))
        [['folder', 'text'], ['y', 'int64']]
    """
    found = []
    for place, name in enumerate(table.columns):
        if not isinstance(name, str) or list(table.columns).count(name) > 1:
            raise KitError(
                f"labels have a column {shown(repr(name))}, no text or there twice; give each a name."
            )
        column = table.iloc[:, place]
        numbers = is_numeric_dtype(column.dtype) or is_bool_dtype(column.dtype)
        if numbers and column.dtype.kind in "biuf":
            found.append([name, str(column.dtype)])
            continue
        odd = next((v for v in column if not (isinstance(v, str) or _is_missing(v))), None)
        if odd is not None or any(isinstance(v, str) and len(v) >= LONGEST for v in column):
            raise KitError(
                f'labels "{shown(name)}" hold {"a very long text" if odd is None else shown(repr(odd), 60)}; '
                "give texts, numbers or truth values, of one kind in a column."
            )
        found.append([name, TEXT])
    return found


def table_text(table: pd.DataFrame) -> str:
    """A table as CSV; `read_table` gives it back.

    Example:
        >>> print(table_text(pd.DataFrame({"folder": ["001", "=a,b"], "y": [1, 2]})), end="")
        "folder","y"
        "001",1
        "=a,b",2
    """
    kinds = kinds_of(table)
    columns = [_cells(table.iloc[:, place], kind) for place, (_, kind) in enumerate(kinds)]
    held = io.StringIO(newline="")
    writer = csv.writer(held, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow([name for name, _ in kinds])
    writer.writerows(zip(*columns))
    return held.getvalue()


def read_table(text: str, kinds: list[list[str]], rows: int) -> pd.DataFrame:
    """A table from CSV that `table_text` wrote.

    Args:
        text: the CSV.
        kinds: of its columns, from `kinds_of`.
        rows: how many it has; one without columns does not say.

    Raises:
        ValueError, csv.Error: other columns, rows or values than these.

    Example:
        >>> table = pd.DataFrame({"folder": ["1e5", None, ""], "y": [0.5, 1.0, 2.0]})
        >>> read_table(table_text(table), kinds_of(table), 3).equals(table)
        True
    """
    lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if lines[:1] != [[name for name, _ in kinds]] and (kinds or lines not in ([[]], [])):
        raise ValueError("other columns")
    lines = lines[1:] if kinds else []
    if kinds and len(lines) != rows:
        raise ValueError(f"{len(lines)} rows, not {rows}")
    columns = list(zip(*lines, strict=True)) if lines else [()] * len(kinds)
    return pd.DataFrame(
        {name: _column(list(cells), kind) for (name, kind), cells in zip(kinds, columns, strict=True)},
        index=range(rows),
    )


def _cells(column: pd.Series, kind: str) -> list:
    """What stands in the cells of a column."""
    if kind != TEXT:
        return [MISSING if v is pd.NA else v for v in column.tolist()]
    return [MISSING if _is_missing(v) else f"\\{v}" if v.startswith("\\") else v for v in column]


def _column(cells: list[str], kind: str) -> pd.Series:
    if kind == TEXT:
        texts = [None if c == MISSING else c[1:] if c.startswith("\\") else c for c in cells]
        return text_column(texts)
    if kind in ("bool", "boolean"):
        if odd := set(cells) - {"True", "False", MISSING}:
            raise ValueError(f"{min(odd)} is no truth value")
        return pd.Series([None if c == MISSING else c == "True" for c in cells], dtype=kind)
    number = float if "float" in kind.lower() else int
    return pd.Series([None if c == MISSING else number(c) for c in cells], dtype=kind)


def _is_missing(value) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def text_digest(text: str) -> str:
    """sha256 of a text as `kit.writing.write_file` writes it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def files_text(names: list[str], damaged: dict[int, str]) -> str:
    """The list of a set's images: their names, and why some could not be read."""
    return table_text(files_table(names, damaged))


def files_table(names: list[str], damaged: dict[int, str]) -> pd.DataFrame:
    """The same as a table."""
    why = [damaged.get(number, "") for number in range(len(names))]
    return pd.DataFrame({"name": text_column(names), "damaged": text_column(why)})


def damaged_in(path: Path, rows: int) -> dict[int, str]:
    """Number of an image -> why it could not be read, of a list that a pass wrote; nothing where none is."""
    try:
        listed = read_table(path.read_bytes().decode("utf-8", "surrogatepass"), FILES_KINDS, rows)
    except (OSError, ValueError, csv.Error):
        return {}
    return {number: why for number, why in enumerate(listed["damaged"]) if why}
