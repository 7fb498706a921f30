"""Files that are written whole or not at all, whatever ends the process that writes them."""

import errno
import hashlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from kit.errors import KitError, shown


def write_file(path: str | Path, content: str | bytes | Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name, bring it to the disk, and give it its name in one step.

    A process that is killed, or a machine that loses power, leaves the old file or the new one.

    Args:
        path: the file; what it held is gone then.
        content: text (as UTF-8, line ends as they are), bytes, or a function that writes to an open file.

    Raises:
        KitError: it cannot be written there.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_file(f"{folder}/note.txt", "one line")
        ...     os.listdir(folder)
        ['note.txt']
    """
    path = checked_path(path)
    temporary = path.with_name(f"{_mark(path)}{secrets.token_hex(4)}.tmp")
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")  # names of any bytes come back as they were
    try:
        with open(temporary, "xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            os.unlink(temporary)  # there where something went wrong


def clear_unfinished(path: Path) -> None:
    """Remove what processes that were killed left of a file that they were writing."""
    for name in os.listdir(path.parent):
        if name.startswith(_mark(path)) and is_unfinished(name):
            with suppress(OSError):
                os.unlink(path.parent / name)


def is_unfinished(name: str) -> bool:
    """Whether a file has a name that `write_file` gives for the time of writing."""
    return name.startswith(".loupe-") and name.endswith(".tmp")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there yet."""
    folder = checked_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if os.path.isfile(folder):
            raise KitError(f'"{shown(folder)}" is a file, not a folder; name another place.') from error
        said = f'the folder "{shown(folder)}" cannot be made ({error.strerror}); name another place.'
        raise KitError(said) from error


def checked_path(path: str | Path) -> Path:
    """A path that can name a file; an error where it cannot."""
    path = Path(os.fspath(path))
    if not path.name and not path.is_absolute():
        path = Path(os.path.abspath(path))
    if "\0" in str(path) or not path.name:
        raise KitError(f'"{shown(path)}" names no file or folder that can be made; name another place.')
    return path


def cannot_write(path: Path, error: OSError) -> KitError:
    """The sentence on a file that the system does not let us write."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return KitError(
            f'"{shown(path)}" cannot be written: the disk is full ({error.strerror}); free some space and '
            "make the same call again."
        )
    return KitError(f'"{shown(path)}" cannot be written ({error.strerror}); name another place.')


def sync_folder(folder: Path) -> None:
    """Bring a change of names in a folder to the disk, where the system can."""
    with suppress(OSError, AttributeError):  # Windows opens no folder
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _mark(path: Path) -> str:
    """How the temporary names of a file begin; short, however long its own is."""
    return f".loupe-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]}-"
