"""One image of a set as a pass takes it in: a picture or why there is none, and its sha256."""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from kit.errors import KitError, shown
from kit.models.images import decode, read_bytes, stamp_of

if TYPE_CHECKING:
    from kit.data.sets import ImageSet

NO_BYTES = bytes(32)  # stands for the sha256 of a file that gave no bytes
NO_STAMP = bytes(16)  # stands for the stamp of a file that changed while it was read


class Read(NamedTuple):
    """What reading one image gave.

    Attributes:
        image: an RGB picture; None where it cannot be read.
        why: the sentence that says so; "" where it can.
        sha256: of the file or of the values; 32 zeros where not even the bytes could be had.
        stamp: by which a file is known as untouched, 16 bytes; zeros where there is none.
    """

    image: Image.Image | None
    why: str
    sha256: bytes = NO_BYTES
    stamp: bytes = NO_STAMP


def attempt(read: Callable[[], Image.Image], name: str) -> tuple[Image.Image | None, str]:
    """A picture and "", or None and the sentence that says why; one image never ends a pass.

    Args:
        read: gives the picture, or raises whatever decoders and file systems raise.
        name: of the image, for the sentence.
    """
    try:
        return read(), ""
    except KitError as error:
        return None, str(error)
    except Exception as error:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return None, f'"{shown(name)}" cannot be read ({shown(said)}); save it again.'


def read_file(path: Path, name: str) -> Read:
    """An image file: opened once, so that picture and sha256 are of the same bytes."""
    sha256, stamp = NO_BYTES, NO_STAMP

    def picture() -> Image.Image:
        nonlocal sha256, stamp
        content, found = read_bytes(path)
        sha256, stamp = hashlib.sha256(content).digest(), found or NO_STAMP
        return decode(content, f'"{shown(path.name)}"')

    image, why = attempt(picture, name)
    return Read(image, why, sha256, stamp)


def file_sha256(path: Path) -> bytes:
    """sha256 of a file; zeros where it gives no bytes."""
    try:
        return hashlib.sha256(read_bytes(path)[0]).digest()
    except KitError:
        return NO_BYTES


def file_stamp(path: Path) -> bytes:
    """The stamp of a file as it lies there now; zeros where there is none."""
    try:
        return stamp_of(os.stat(path))
    except OSError:
        return NO_STAMP


def replaced(images: "ImageSet", seen: Iterable[tuple[int, bytes, bytes]]) -> list[int]:
    """Numbers of the images whose file is no longer the one that was read.

    A file whose stamp is the same was not touched; the others are read, by several threads.

    Args:
        images: knows `stamp` and `content` of a number, as an `ImageSet` does.
        seen: number, sha256 and stamp of what was read.
    """
    seen = [(number, sha256) for number, sha256, stamp in seen if _touched(images.stamp(number), stamp)]
    found = contents(images, [number for number, _ in seen])
    return [number for (number, sha256), now in zip(seen, found) if now != sha256]


def contents(images: "ImageSet", numbers: list[int]) -> list[bytes]:
    """sha256 of some images as they are now, read by several threads."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(images.content, numbers))


def _touched(now: bytes | None, then: bytes) -> bool:
    """Whether a stamp says that the file may be another one; None is of an image that is in memory."""
    return now is not None and (now != then or now == NO_STAMP)
