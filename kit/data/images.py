"""Folders of images, and images that a person uploads."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from kit.data.sets import ImageFolder
from kit.errors import KitError, nearest
from kit.models.images import read_image

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


def read_folder(folder, limit: int | None = None) -> ImageFolder:
    """The image files below a folder, with the names of sub-folders as labels.

    Nothing is opened yet. Hidden files and files of other kinds are passed over.

    Args:
        folder: where to look, sub-folders included.
        limit: take at most so many, the first in sorted order.

    Returns:
        An `ImageFolder` of at least one file.

    Raises:
        KitError: no such folder, a file instead of a folder, or no image in it.

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
    files = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    names = (path.relative_to(folder) for path in files)
    names = sorted(n.as_posix() for n in names if not any(part.startswith(".") for part in n.parts))[:limit]
    if not names:
        raise KitError(f'the folder "{folder}" holds no image; looked for {", ".join(SUFFIXES)}.')
    places = [Path(name).parent.as_posix() for name in names]
    labels = {} if set(places) == {"."} else {"folder": places}
    return ImageFolder(folder, names, pd.DataFrame(labels, index=range(len(names))))


def checked_folder(folder) -> Path:
    """The folder as a path; an error where there is none, or a file in its place."""
    folder = Path(os.fspath(folder))
    if folder.is_file():
        raise KitError(f'"{folder}" is a file, not a folder; read one image with kit.models.read_image.')
    if not folder.is_dir():
        siblings = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
        raise KitError(f'there is no folder "{folder}".{nearest(folder.name, siblings)}')
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
