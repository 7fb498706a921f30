"""Folders of images, and images that a person uploads."""

import hashlib
import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd
from PIL import Image

from kit.data.listing import list_images
from kit.data.sets import ImageFolder
from kit.errors import KitError, expect_count, nearest, shown
from kit.models.images import FORMATS, read_image


def read_folder(folder, limit: int | None = None) -> ImageFolder:
    """The image files below a folder, with the names of sub-folders as labels.

    What is an image, and which links are followed, is the rule of `kit.data.listing.list_images`. What is
    not listed is counted by reason; a warning tells where that may be images that were meant.

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
        >>> (folder / "about.txt").touch()
        >>> images = read_folder(folder)
        >>> images.names, images.labels.folder.tolist(), images[0].size
        (['cat/one.png'], ['cat'], (4, 4))
        >>> images.notes
        ['Passed over: files that are no image (.txt), 1.']
    """
    folder = checked_folder(folder)
    listing = list_images(folder)
    names = listing.names if limit is None else listing.names[: expect_count("limit", limit)]
    if not names:
        raise KitError(
            f'the folder "{shown(folder)}" holds no image in a format that is read: {", ".join(FORMATS)}. '
            f"{' '.join(listing.notes) or 'It is empty.'} Name another folder, or save its images anew."
        )
    if listing.lost:
        warnings.warn(f'of the folder "{shown(folder)}": {" ".join(listing.notes)}', stacklevel=2)
    places = [PurePosixPath(name).parent.as_posix() for name in names]
    labels = {} if set(places) == {"."} else {"folder": text_column(places)}
    return ImageFolder(
        folder, names, pd.DataFrame(labels, index=range(len(names))), notes=listing.notes,
        passed_over=dict(listing.passed_over),
    )  # fmt: skip


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
