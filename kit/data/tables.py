"""Tables that come with data sets: files of other people, of which nothing is believed unseen."""

import csv
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from kit.errors import KitError


def table_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict]]:
    """Number of a line and what stands in it by column, of a table in CSV."""
    try:
        reader = csv.DictReader(file_text(path).splitlines(), strict=True)
        lacking = [column for column in columns if column not in (reader.fieldnames or [])]
        if lacking:
            raise KitError(
                f'"{path}" lacks the column {lacking[0]}; its first line is '
                f'"{short(",".join(reader.fieldnames or []))}" and should name {", ".join(columns)}.'
            )
        for row in reader:
            if None in row or None in row.values():
                count = sum(row[name] is not None for name in reader.fieldnames) + len(row.get(None, []))
                raise KitError(
                    f'line {reader.line_num} of "{path}" has {count} fields, the first line '
                    f"{len(reader.fieldnames)}; take the published file."
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise KitError(f'"{path}" is not a table in CSV ({error}); take the published file.') from error


def file_text(path: Path) -> str:
    """What a file in UTF-8 says."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise KitError(f'"{path}" is not a text in UTF-8; take the published file.') from error


def short(said: str) -> str:
    """At most 60 characters of what a file says, printable ones as they are."""
    said = said if len(said) <= 60 else f"{said[:57]}..."
    return "".join(c if c.isprintable() else "?" for c in said)


def inside(written: str, table: Path, line: int) -> str:
    """A path that a table names, with forward slashes; an error where it is not one below its folder.

    A link in that folder may lead out of it: whoever made the link meant it, and loaders follow links.
    """
    path = PureWindowsPath(written)  # knows both slashes, and drives
    if not path.parts or path.drive or path.root or ".." in path.parts or "\0" in written:
        raise KitError(
            f'line {line} of "{table}" names "{short(written)}", which is not a path below its folder; '
            "take the published table, and keep the images in its folder."
        )
    return path.as_posix()


def linked(root: Path, names: list[str]) -> int:
    """How many of these files are links, or lie behind a link to a folder."""
    above = {name.rpartition("/")[0] for name in names}
    own = {place: os.path.join(os.path.realpath(root), *filter(None, place.split("/"))) for place in above}
    behind = {place for place in above if os.path.realpath(root / place) != own[place]}
    return sum(name.rpartition("/")[0] in behind or os.path.islink(root / name) for name in names)


def check_files(root: Path, names: list[str], table: Path) -> None:
    """Raise where a file that the table names is not there, or is named twice."""
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise KitError(f'"{table}" names "{twice}" twice; take the published table.')
    missing = [name for name in names if not os.path.isfile(root / name)]
    if missing:
        raise KitError(
            f'{len(missing):,} of {len(names):,} images that "{table}" names are not there, such as '
            f'"{short(missing[0])}"; unpack the archive again, or take their lines out of the table.'
        )
