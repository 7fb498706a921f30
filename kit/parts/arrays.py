"""The arrays of a store: files that are written block by block, and known by digests of their blocks.

A block is what one batch of images wrote. The digest of an array is that of the digests of its blocks, so it
is made while the array is written, in any order, and checked by several threads when it is read.
"""

import hashlib
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from kit.errors import KitError, shown
from kit.writing import cannot_write

AT_ONCE = 1 << 24  # bytes that a thread hashes at a time
SETTLED = 2_000_000_000  # nanoseconds after which a change gets a later time on every file system

_checked: dict[Path, tuple] = {}  # file -> size, times, node and digest with which it was found whole


def file_of(folder: Path, key: str) -> Path:
    """Where an array lies."""
    return folder / f"{key}.npy"


def create_array(path: Path, shape: tuple[int, ...], dtype) -> None:
    """A file for an array of zeros, where there is none yet."""
    try:
        with open(path, "xb") as file:
            about = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
                "fortran_order": False,
                "shape": shape,
            }
            np.lib.format.write_array_header_1_0(file, about)
            file.truncate(file.tell() + math.prod(shape) * np.dtype(dtype).itemsize)
    except FileExistsError:
        return
    except OSError as error:
        raise cannot_write(path, error) from error


def open_array(path: Path, shape: tuple[int, ...], dtype, to_do: str) -> np.memmap:
    """An array that is on the disk, to be read.

    Raises:
        KitError: it is not there, no array, or another one than it should be.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise KitError(f'"{shown(path)}" is missing; {to_do}.') from error
    except Exception as error:  # numpy parses the header as Python, and raises errors of many kinds
        raise KitError(f'"{shown(path)}" is damaged ({type(error).__name__}); {to_do}.') from error
    if (array.shape, array.dtype) != (tuple(shape), np.dtype(dtype)) or not array.flags.c_contiguous:
        raise KitError(
            f'"{shown(path)}" should hold {list(shape)} numbers of {np.dtype(dtype)}, but holds '
            f"{list(array.shape)} of {array.dtype}; {to_do}."
        )
    return array


class Writer:
    """Writes blocks of rows into an array that `create_array` made.

    It writes as one writes any file, so that a full disk is an error with a sentence and not a signal.

    Args:
        path: the file.
        shape: of the array.
        dtype: of its numbers.
        to_do: where it is not that array.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype, to_do: str):
        self.path, self.array = path, open_array(path, shape, dtype, to_do)
        self.row_bytes = math.prod(shape[1:]) * self.array.dtype.itemsize
        try:
            self.file = open(path, "r+b", buffering=0)  # noqa: SIM115 - closed with the pass
        except OSError as error:
            raise cannot_write(path, error) from error

    def put(self, start: int, values: np.ndarray) -> str:
        """Write rows from one on, and give the digest of the block."""
        values = np.ascontiguousarray(values, dtype=self.array.dtype)
        try:
            self.file.seek(self.array.offset + start * self.row_bytes)
            left = memoryview(values).cast("B")
            while len(left):
                left = left[self.file.write(left) :]
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return hashlib.sha256(values).hexdigest()

    def digest(self, start: int, stop: int) -> str:
        """The digest of a block as it lies on the disk."""
        return hashlib.sha256(self.array[start:stop]).hexdigest()

    def flush(self) -> None:
        """Bring what was written to the disk."""
        try:
            os.fsync(self.file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        """Let the file go."""
        self.file.close()


def joined_digest(blocks: list[str]) -> str:
    """The digest of an array from those of its blocks, in their order."""
    return hashlib.sha256("".join(blocks).encode()).hexdigest()


def check_array(path: Path, array: np.memmap, batch: int, digest: str, to_do: str) -> None:
    """Raise unless an array is as it was written.

    A file is read once in a process, and again whenever its size or times say that it was touched.

    Args:
        path: its file.
        array: what it holds.
        batch: rows of a block.
        digest: of the array.
        to_do: where it is damaged.
    """
    about = os.stat(path)
    seen = (about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino, batch, digest)
    if _checked.get(path.absolute()) == seen:
        return
    span = batch * max(1, AT_ONCE // max(1, batch * array[:1].nbytes))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(
            lambda start: list(_blocks(array[start : start + span], batch)), range(0, len(array), span)
        )
        blocks = [block for some in found for block in some]
    if joined_digest(blocks) != digest:
        raise KitError(f'"{shown(path)}" is damaged: its digest is not the one that was written; {to_do}.')
    if time.time_ns() - max(about.st_mtime_ns, about.st_ctime_ns) > SETTLED:
        _checked[path.absolute()] = seen


def _blocks(rows: np.ndarray, batch: int) -> Iterator[str]:
    for start in range(0, len(rows), batch):
        yield hashlib.sha256(rows[start : start + batch]).hexdigest()
