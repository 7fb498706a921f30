"""What the kit keeps between runs: small files in one folder, which may be emptied at any time.

Keeping saves time and nothing else. A folder that is missing, full or read-only is no error: then
nothing is kept, and everything is made anew.
"""

import os
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import platformdirs

from kit.errors import KitError

VARIABLE = "KIT_CACHE"
LIMIT = 200_000_000  # bytes of all files together; those that were used longest ago go first
LARGEST = 8_000_000  # bytes of one file
OURS = re.compile(r"record-[0-9a-f]{64}\.json")
UNFINISHED = re.compile(r"record-[0-9a-f]{64}\.json\..+\.tmp")
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
    """Keep a file, written under a temporary name and then renamed; whether that could be done."""
    temporary = None
    try:
        path = _path(name)
        if path is None or len(data) > LARGEST:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".tmp", dir=path.parent)
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        return False
    _shrink()
    return True


def kept() -> list[tuple[Path, int, float]]:
    """The kept files, each with its bytes and when it was last used (seconds); longest ago first."""
    found = []
    for path in _listed(OURS):
        with suppress(OSError):  # another process removed it
            facts = path.stat()
            found.append((path, facts.st_size, facts.st_mtime))
    return sorted(found, key=lambda entry: entry[2])


def clear() -> int:
    """Remove every kept file, and nothing else that lies in the folder; how many there were.

    Raises:
        KitError: a file cannot be removed.
    """
    found = _listed(OURS)
    for path in [*found, *_listed(UNFINISHED)]:
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


def _listed(pattern: re.Pattern) -> list[Path]:
    """The files of the folder whose whole name fits the pattern."""
    place = folder()
    try:
        return [] if place is None else [p for p in place.iterdir() if pattern.fullmatch(p.name)]
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
    for path in _listed(UNFINISHED):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()
