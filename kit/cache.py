"""What the kit keeps between runs: small files in one folder, which may be emptied at any time.

Keeping saves time and nothing else. A folder that is missing, full or read-only is no error: then
nothing is kept, and everything is made anew.
"""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import platformdirs

from kit.errors import KitError
from kit.writing import is_unfinished, make_folder, write_file

VARIABLE = "KIT_CACHE"
LIMIT = 200_000_000  # bytes of all files together; those that were used longest ago go first
LARGEST = 8_000_000  # bytes of one file
OURS = re.compile(r"record-[0-9a-f]{64}\.json")
ABANDONED = 3600  # seconds after which an unfinished file is taken to be left over


def folder() -> Path | None:
    """Where files are kept: `KIT_CACHE`, or the user's folder for caches. None: nothing is kept.

    Example:
        >>> import pytest
        >>> with pytest.MonkeyPatch.context() as patch:
        ...     patch.setenv("KIT_CACHE", "")
        ...     folder() is None
        True
    """
    named = os.environ.get(VARIABLE)
    if named == "":
        return None
    try:
        path = Path(named or platformdirs.user_cache_dir("loupe", appauthor=False)).expanduser()
    except RuntimeError:  # there is no home
        return None
    return path.absolute()


def read(name: str) -> bytes | None:
    """A kept file, which counts as used now; None where there is none, or none that can be read."""
    try:
        path = _path(name)
        if path is None or not path.is_file() or path.stat().st_size > LARGEST:
            return None
        data = path.read_bytes()
        with suppress(OSError):
            os.utime(path)
    except OSError:
        return None
    return data


def write(name: str, data: bytes) -> bool:
    """Keep a file; whether that could be done."""
    path = _path(name)
    if path is None or len(data) > LARGEST:
        return False
    try:
        make_folder(path.parent)
        write_file(path, data)
    except KitError:  # a missing, full or read-only disk
        return False
    _shrink()
    return True


def kept() -> list[tuple[Path, int, float]]:
    """The kept files, each with its bytes and when it was last used (seconds); longest ago first."""
    found = []
    for path in _listed(_is_ours):
        with suppress(OSError):  # another process removed it
            facts = path.stat()
            found.append((path, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda entry: entry[2])


def clear() -> int:
    """Remove every kept file, and nothing else that lies in the folder; how many there were.

    Raises:
        KitError: a file cannot be removed.
    """
    found = _listed(_is_ours)
    for path in [*found, *_listed(is_unfinished)]:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise KitError(
                f'"{path}" cannot be removed ({error.strerror}); remove it by hand, or let {VARIABLE} name '
                "another folder."
            ) from error
    return len(found)


def _path(name: str) -> Path | None:
    assert OURS.fullmatch(name), name
    place = folder()
    return None if place is None else place / name


def _is_ours(name: str) -> bool:
    return OURS.fullmatch(name) is not None


def _listed(wanted: Callable[[str], bool]) -> list[Path]:
    """The files of the folder whose names are wanted."""
    place = folder()
    try:
        return [] if place is None else [p for p in place.iterdir() if wanted(p.name)]
    except OSError:
        return []


def _shrink() -> None:
    """Remove what was used longest ago until `LIMIT` is kept, and what was never finished."""
    files = kept()
    total = sum(size for _, size, _ in files)
    for path, size, _ in files:
        if total <= LIMIT:
            break
        with suppress(OSError):
            path.unlink(missing_ok=True)
            total -= size
    for path in _listed(is_unfinished):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()
