"""Folders of images, and images that a person uploads."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd
from PIL import Image

from kit.data.sets import ImageFolder
from kit.errors import KitError, expect_count, nearest, shown
from kit.models.images import FORMATS, read_image

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm",
    ".pnm", *([".avif"] if "AVIF" in FORMATS else []),
)  # fmt: skip


def read_folder(folder, limit: int | None = None) -> ImageFolder:
    """The image files below a folder, with the names of sub-folders as labels.

    Nothing is opened yet. Hidden files and files of other kinds are passed over; links are followed.

    Args:
        folder: where to look, sub-folders included.
        limit: take at most so many, the first in sorted order.

    Returns:
        An `ImageFolder` of at least one file.

    Raises:
        KitError: no such folder, a file instead of a folder, a folder in it that may not be listed, a limit
            below 1, or no image in it.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "cat").mkdir()
        >>> Image.new("RGB", (4, 4)).save(folder / "cat" / "one.png")
        >>> images = read_folder(folder)
        >>> images.names, images.labels.folder.tolist(), images[0].size
        (['cat/one.png'], ['cat'], (4, 4))
    """
    folder = checked_folder(folder)
    names = sorted(_pictures_below(folder, "", ()))
    names = names if limit is None else names[: expect_count("limit", limit)]
    if not names:
        raise KitError(f'the folder "{shown(folder)}" holds no image; looked for {", ".join(SUFFIXES)}.')
    places = [PurePosixPath(name).parent.as_posix() for name in names]
    labels = {} if set(places) == {"."} else {"folder": text_column(places)}
    return ImageFolder(folder, names, pd.DataFrame(labels, index=range(len(names))))


def _pictures_below(folder: Path, place: str, above: tuple) -> Iterator[str]:
    """Paths of image files below a folder, with forward slashes; `above` are the folders that it lies in."""
    here = os.path.join(folder, place)
    try:
        about = os.stat(here)
        with os.scandir(here) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise KitError(
            f'the folder "{shown(here)}" cannot be listed ({error.strerror}), so its images would be '
            "missing; see to it that this user may read it, or move it away."
        ) from error
    if (node := (about.st_dev, about.st_ino)) in above:  # a link to a folder that it lies in
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path)):
            yield from _pictures_below(folder, f"{place}{entry.name}/", (*above, node))
        elif entry.name.lower().endswith(SUFFIXES) and os.path.isfile(entry.path):
            yield place + entry.name


def text_column(texts: list[str | None]) -> pd.Series:
    """Texts as a column; as Python's own where they hold bytes that are no text, which Arrow refuses."""
    odd = any(text and not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text) for text in texts)
    return pd.Series(texts, dtype=object if odd else "str")


def checked_folder(folder) -> Path:
    """The folder as a path; an error where there is none, or a file in its place."""
    folder = Path(os.fspath(folder))
    if os.path.isfile(folder):
        raise KitError(
            f'"{shown(folder)}" is a file, not a folder; read one image with kit.models.read_image.'
        )
    if not os.path.isdir(folder):
        siblings = []
        with suppress(OSError, ValueError):
            siblings = [entry.name for entry in os.scandir(folder.parent) if entry.is_dir()]
        raise KitError(f'there is no folder "{shown(folder)}".{shown(nearest(folder.name, siblings))}')
    return folder


@dataclass(frozen=True)
class Upload:
    """An uploaded image.

    Attributes:
        name: the file's name.
        image: RGB picture.
        digest: sha256 of the file's bytes, by which a panel's state names it.
    """

    name: str
    image: Image.Image
    digest: str


def read_upload(content, name: str = "upload") -> Upload:
    """An uploaded file as a picture with a name of its own.

    Args:
        content: the file's bytes, as `ipywidgets.FileUpload` holds them.
        name: the file's name.

    Raises:
        KitError: the bytes are no image that can be read.

    Example:
        >>> import io
        >>> buffer = io.BytesIO()
        >>> Image.new("L", (2, 3)).save(buffer, "PNG")
        >>> read_upload(buffer.getvalue(), "grey.png").image.mode
        'RGB'
    """
    content = bytes(content)
    return Upload(str(name), read_image(content), hashlib.sha256(content).hexdigest())
