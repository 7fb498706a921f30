"""Folders of images, and images that a person uploads."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from kit.errors import KitError, nearest
from kit.models.images import read_image

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


@dataclass
class ImageFolder:
    """Images of a folder, read one by one as they are asked for.

    Attributes:
        root: the folder.
        paths: files in sorted order, so that numbers mean the same on every machine.
        labels: name of the sub-folder that each file lies in, or None where there are no sub-folders.
        damaged: number -> sentence, of the files that could not be read so far.
    """

    root: Path
    paths: list[Path]
    labels: list[str] | None
    damaged: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Image.Image:
        """The RGB picture of one file; raises `KitError` on a damaged one."""
        return read_image(self.paths[number])

    def readable(self):
        """Number and picture of every file that can be read; the others are listed in `damaged`."""
        for number in range(len(self)):
            try:
                picture = self[number]
            except KitError as error:
                self.damaged[number] = str(error)
                continue
            yield number, picture


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
        >>> len(images), images.labels, images[0].size
        (1, ['cat'], (4, 4))
    """
    folder = Path(os.fspath(folder))
    if folder.is_file():
        raise KitError(f'"{folder}" is a file, not a folder; read one image with kit.models.read_image.')
    if not folder.is_dir():
        siblings = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
        raise KitError(f'there is no folder "{folder}".{nearest(folder.name, siblings)}')
    files = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    inside = [p for p in files if not any(part.startswith(".") for part in p.relative_to(folder).parts)]
    inside = sorted(inside, key=lambda path: path.relative_to(folder).as_posix())[:limit]
    if not inside:
        raise KitError(f'the folder "{folder}" holds no image; looked for {", ".join(SUFFIXES)}.')
    labels = [path.relative_to(folder).parent.as_posix() for path in inside]
    return ImageFolder(folder, inside, None if set(labels) == {"."} else labels)


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
