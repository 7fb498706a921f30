"""Sets of images with an identity: what a pass goes over, and what its results say they are of."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from kit.errors import KitError
from kit.models.images import read_image


class ImageSet(Protocol):
    """Images in an order that is the same on every machine.

    Attributes:
        names: of the images, in order.
        labels: one row for each image; no columns where nothing is known.
        damaged: number -> sentence, of the images that could not be read so far; None where such an image
            is an error.
        digest: sha256 that tells this set from others.
    """

    names: list[str]
    labels: pd.DataFrame
    damaged: dict[int, str] | None
    digest: str

    def __len__(self) -> int: ...

    def __getitem__(self, number: int): ...

    def content(self, number: int) -> bytes:
        """sha256 of one image's file, or of its values."""


@dataclass
class ImageFolder:
    """Image files below a folder, read one by one as they are asked for.

    Attributes:
        root: the folder.
        names: paths below it, with forward slashes.
        labels: one row for each file: `folder`, the sub-folder that it lies in, where there are
            sub-folders; what a data set knows besides.
        damaged: number -> sentence, of the files that could not be read so far.
    """

    root: Path
    names: list[str]
    labels: pd.DataFrame
    damaged: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def path(self, number: int) -> Path:
        """Where one file lies."""
        return self.root / self.names[number]

    def __getitem__(self, number: int) -> Image.Image:
        """The RGB picture of one file; raises `KitError` on a damaged one, and lists it."""
        try:
            return read_image(self.path(number))
        except KitError as error:
            self.damaged[number] = str(error)
            raise

    def take(self, images) -> "ImageFolder":
        """Some of the images with their labels, in the order in which they are named.

        Args:
            images: numbers, a slice, or a boolean array.
        """
        chosen = np.arange(len(self))[images if isinstance(images, slice) else np.asarray(images)]
        labels = self.labels.iloc[chosen].reset_index(drop=True)
        return replace(self, names=[self.names[n] for n in chosen], labels=labels, damaged={})

    def content(self, number: int) -> bytes:
        """sha256 of one file."""
        with self.path(number).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def readable(self):
        """Number and picture of every file that can be read; the others are listed in `damaged`."""
        for number in range(len(self)):
            try:
                yield number, self[number]
            except KitError:
                continue

    @cached_property
    def digest(self) -> str:
        """sha256 over names and sizes of the files: nothing is read for it."""
        lines = (f"{name}\t{self.path(n).stat().st_size}\n" for n, name in enumerate(self.names))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass
class Pictures:
    """Images that are in memory, or named one by one.

    Attributes:
        images: anything that `kit.models.read_image` reads, in order.
        labels: one row for each image.
    """

    images: Sequence | Tensor
    labels: pd.DataFrame
    damaged = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int):
        return self.images[number]

    def content(self, number: int) -> bytes:
        """sha256 of one image's values."""
        return hashlib.sha256(_content(self.images[number])).digest()

    @property
    def names(self) -> list[str]:
        """Their numbers, or file names where they are paths."""
        return [str(i) if isinstance(i, str | os.PathLike) else str(n) for n, i in enumerate(self.images)]

    @cached_property
    def digest(self) -> str:
        """sha256 over the values; over names and sizes of what are paths."""
        found = hashlib.sha256()
        for image in self.images:
            found.update(_content(image))
        return found.hexdigest()


def _content(image) -> bytes:
    """Bytes that tell an image from others."""
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        return f"{path.name} {path.stat().st_size if path.is_file() else 0}".encode()
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    values = np.asarray(image.detach().cpu() if isinstance(image, Tensor) else image)
    return f"{values.dtype} {values.shape} ".encode() + values.tobytes()


def as_set(images) -> ImageSet:
    """Images as a set: a set as it is, scenes of the world with labels, whatever `preprocess` reads.

    Raises:
        KitError: there is no image.

    Example:
        >>> import kit
        >>> as_set(kit.world.draw(3, seed=0)).labels.concept.tolist()
        ['birthday cake', 'sailboat', 'running shoe']
    """
    if not (hasattr(images, "digest") and hasattr(images, "names")):
        labels = getattr(images, "labels", None)
        images = getattr(images, "images", images)
        single = not isinstance(images, Tensor | np.ndarray | list | tuple)
        images = [images] if single or getattr(images, "ndim", 4) < 4 else images
        labels = pd.DataFrame(index=range(len(images))) if labels is None else labels.reset_index(drop=True)
        images = Pictures(images, labels)
    if len(images) == 0:
        raise KitError("no image was given: the set is empty; give at least one.")
    return images
