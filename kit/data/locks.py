"""One pass at a time: a lock that its process holds, and that is gone when the process is gone."""

import json
import os
import socket
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from kit.errors import KitError, shown
from kit.writing import cannot_write, make_folder

try:
    import fcntl
except ImportError:  # Windows, which locks bytes of a file by another call
    fcntl = None
    import msvcrt

BEGIN = b'{"loupe pass"'  # of a lock file, so that no file of somebody else is written over
FAR = 1 << 30  # the byte that Windows locks: beyond what is read

_guard = threading.Lock()
_held: dict[tuple[int, str], dict] = {}  # process and path -> what stands in the lock file


class Lock:
    """The right to write somewhere, taken at once or refused.

    The system takes it away from a process that ends, however it ends, so a killed pass never stands in the
    way. It is not passed on to processes that this one starts.

    Args:
        path: the lock file; it is there as long as the lock is held.
        what: what is written, in words, for the message.

    Raises:
        KitError: another process or another thread holds it; a file of somebody else has that name; the file
            system has no locks.
    """

    def __init__(self, path: Path, what: str):
        self.path, self.what = path, what
        self.key = (os.getpid(), os.path.realpath(path))
        about = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "since": f"{datetime.now():%d %B %H:%M:%S}",
        }
        with _guard:
            if self.key in _held:
                raise KitError(self._taken(_held[self.key]))
            self.file = self._opened()
            _held[self.key] = about
        with suppress(OSError):  # a full disk: the lock holds, but says less
            self.file.truncate(0)
            self.file.write(BEGIN + f": {json.dumps(about)}}}".encode())

    def _opened(self):
        """The lock file, locked."""
        make_folder(self.path.parent)
        while True:
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise cannot_write(self.path, error) from error
            file = os.fdopen(descriptor, "r+b", buffering=0)
            try:
                self._take(file)
                if self._named(file):  # its last owner may have removed the name a moment ago
                    return file
            except BaseException:
                file.close()
                raise
            file.close()

    def _take(self, file) -> None:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError) as error:
            raise KitError(self._taken(_said(file))) from error
        except OSError as error:
            raise KitError(
                f'the file system of "{shown(self.path.parent)}" gives no locks ({error.strerror}), so two '
                "passes could write over each other there; name a place on another disk."
            ) from error
        begin = file.read(len(BEGIN))
        file.seek(0)
        if not BEGIN.startswith(begin):
            raise KitError(f'"{shown(self.path)}" is not a lock of a pass; name another place.')

    def _named(self, file) -> bool:
        try:
            there, ours = os.stat(self.path), os.fstat(file.fileno())
        except FileNotFoundError:
            return False
        return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)

    def _taken(self, about: dict) -> str:
        who = f"process {about.get('process', 'unknown')} on {about.get('host', 'an unknown machine')}"
        return (
            f"{self.what} is being written by another pass: {shown(who)}, since "
            f"{shown(about.get('since', 'a moment ago'))}. Wait for it, or end it and make the same call "
            "again: the lock of a process that is gone is gone too. Only where another machine holds this "
            f'disk and did not notice, delete "{shown(self.path)}".'
        )

    def release(self) -> None:
        """Give the right back, and remove the file."""
        with _guard, suppress(OSError):
            if fcntl is None:  # Windows removes no file that is open
                self.file.close()
            os.unlink(self.path)
        self.file.close()
        _held.pop(self.key, None)


def is_held(path: Path) -> bool:
    """Whether a process holds a lock; the file that one left which was killed is removed."""
    if not os.path.lexists(path):
        return False
    try:
        Lock(path, "it").release()
    except KitError:
        return True
    return False


def _lock(file) -> None:
    """Lock at once, or raise `BlockingIOError` or `PermissionError`."""
    if fcntl is not None:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process alone, unlike flock's
        return
    file.seek(FAR)
    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    file.seek(0)


def _said(file) -> dict:
    """What the owner wrote into its lock file."""
    with suppress(OSError, ValueError, RecursionError):
        file.seek(0)
        about = json.loads(file.read(10_000))["loupe pass"]
        return about if isinstance(about, dict) else {}
    return {}
