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

from kit.data.reading import NO_BYTES, Read, attempt, file_sha256, file_stamp, read_file
from kit.errors import KitError, shown
from kit.models.images import AnyImages, Items, read_image, single_images
from kit.models.model import Model
from kit.world.scenes import Scenes

Picks = slice | Sequence[int] | np.ndarray | Tensor  # some images of a set: numbers, or yes and no for each


def numbers_of(images: Picks, count: int) -> np.ndarray:
    """Numbers of the picked of so many images."""
    return np.arange(count)[images if isinstance(images, slice) else np.asarray(images)]


class ImageSet(Protocol):
    """Images in an order that is the same on every machine.

    Attributes:
        names: of the images, in order.
        labels: one row for each image; no columns where nothing is known.
        damaged: number -> sentence, of the images that could not be read so far; None where such an image
            is an error.
        digest: sha256 that tells this set from others.
        root: the folder that names are paths below; None where images are no files of their own.
    """

    names: list[str]
    labels: pd.DataFrame
    damaged: dict[int, str] | None
    digest: str
    root: Path | None

    def __len__(self) -> int: ...

    def __getitem__(self, number: int): ...

    def take(self, images: "Picks") -> "ImageSet":
        """Some of the images with their labels."""

    def read(self, number: int) -> Read:
        """One image as a pass takes it in; nothing that is wrong with it is raised."""

    def content(self, number: int) -> bytes:
        """sha256 of one image's file, or of its values."""

    def stamp(self, number: int) -> bytes | None:
        """What the file of an image is known by as untouched; None where `digest` is over its content."""


class OneByOne:
    """Pictures that are read one by one as they are asked for."""

    def __getitem__(self, number: int) -> Image.Image:
        """One RGB picture; raises `KitError` where it cannot be read, and lists it."""
        read = self.read(number)
        if read.image is None:
            raise KitError(read.why)
        return read.image


@dataclass(repr=False)
class ImageFolder(OneByOne):
    """Image files below a folder, read one by one as they are asked for.

    Attributes:
        root: the folder.
        names: paths below it, with forward slashes.
        labels: one row for each file: `folder`, the sub-folder that it lies in, where there are
            sub-folders; what a data set knows besides.
        damaged: number -> sentence, of the files that could not be read so far.
        notes: sentences on how files were found, and on what was passed over.
        passed_over: reason -> how many files or folders were passed over for it.
    """

    root: Path
    names: list[str]
    labels: pd.DataFrame
    damaged: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        about = " ".join([f'<{type(self).__name__} "{shown(self.root)}": {len(self):,} images.', *self.notes])
        return f"{about}>"

    def path(self, number: int) -> Path:
        """Where one file lies."""
        return self.root / self.names[number]

    def read(self, number: int) -> Read:
        """One file as a pass takes it in; one that cannot be read is listed."""
        found = read_file(self.path(number), self.names[number])
        if found.why:
            self.damaged[number] = found.why
        return found

    def take(self, images: Picks) -> "ImageFolder":
        """Some of the images with their labels, in the order in which they are named.

        Args:
            images: numbers, a slice, or a boolean array.
        """
        chosen = numbers_of(images, len(self))
        labels = self.labels.iloc[chosen].reset_index(drop=True)
        return replace(self, names=[self.names[n] for n in chosen], labels=labels, damaged={})

    def content(self, number: int) -> bytes:
        """sha256 of one file; zeros where it gives no bytes."""
        return file_sha256(self.path(number))

    def stamp(self, number: int) -> bytes:
        """What one file is known by as untouched."""
        return file_stamp(self.path(number))

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
        lines = (f"{name}\t{_size(self.path(n))}\n" for n, name in enumerate(self.names))
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(repr=False)
class PaperSet(ImageFolder):
    """The images of a published data set that lie in a folder, with its labels.

    Attributes:
        name: of set and split.
        notes: sentences on what differs from the published set, or that nothing does, too.
    """

    name: str = ""

    def take(self, images: Picks) -> "PaperSet":
        """Some of the images with their labels; see `ImageFolder.take`."""
        taken = super().take(images)
        return replace(taken, notes=[*self.notes, f"{len(taken):,} of these {len(self):,} were taken."])

    @cached_property
    def digest(self) -> str:
        """sha256 over names and sizes of the files and over the labels: other labels are another set."""
        return hashlib.sha256((super().digest + self.labels.to_csv()).encode()).hexdigest()


@dataclass
class Pictures:
    """Images that are in memory, or files that are named one by one.

    Attributes:
        images: anything that `kit.models.read_image` reads, in order.
        labels: one row for each image.
        damaged: number -> sentence, of the files that could not be read so far; None where all are in
            memory, so that one that cannot be read is an error.
    """

    images: Sequence | Tensor
    labels: pd.DataFrame
    damaged: dict[int, str] | None = field(init=False)

    def __post_init__(self):
        listed = isinstance(self.images, list | tuple) and any(map(_is_path, self.images))
        self.damaged = {} if listed or isinstance(self.images, Items) else None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int):
        return self.images[number]

    def read(self, number: int) -> Read:
        """One image as a pass takes it in; a file that cannot be read is listed."""
        source, why = attempt(lambda: self.images[number], f"image {number}")
        if _is_path(source):
            found = read_file(Path(source), str(source))
        elif why:
            found = Read(None, why)
        else:
            sha256 = hashlib.sha256(_content(source)).digest()
            found = Read(*attempt(lambda: read_image(source), f"image {number}"), sha256)
        if found.why and self.damaged is not None:
            self.damaged[number] = found.why
        return found

    def content(self, number: int) -> bytes:
        """sha256 of one image's file, or of its values; zeros where it cannot be had."""
        source, why = attempt(lambda: self.images[number], f"image {number}")
        if _is_path(source):
            return file_sha256(Path(source))
        return NO_BYTES if why else hashlib.sha256(_content(source)).digest()

    def stamp(self, number: int) -> bytes | None:
        """What a file is known by as untouched; None of an image that is in memory, or another's set."""
        source = None if isinstance(self.images, Items) else self.images[number]
        return file_stamp(Path(source)) if _is_path(source) else None

    @property
    def root(self) -> Path | None:
        """Where the names of files begin: they are as they were given."""
        return None if self.damaged is None or isinstance(self.images, Items) else Path.cwd()

    @property
    def names(self) -> list[str]:
        """Their numbers, or file names where they are paths."""
        if isinstance(self.images, Items):
            return [str(n) for n in range(len(self))]
        return [str(i) if _is_path(i) else str(n) for n, i in enumerate(self.images)]

    @cached_property
    def digest(self) -> str:
        """sha256 over the values; over names and sizes of what are paths."""
        found = hashlib.sha256()
        for number in range(len(self)):
            image, why = attempt(lambda number=number: self.images[number], f"image {number}")
            found.update(NO_BYTES if why else _content(image))
        return found.hexdigest()


Images = ImageSet | Scenes | AnyImages  # whatever `as_set` makes a set of


def _is_path(image) -> bool:
    return isinstance(image, str | os.PathLike)


def _size(path: Path) -> int:
    """Bytes of a file; -1 where there is none, as one may vanish after the set was listed."""
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return -1


def _content(image) -> bytes:
    """Bytes that tell an image from others."""
    if _is_path(image):
        path = Path(image)
        return f"{path.name} {max(_size(path), 0)}".encode("utf-8", "surrogatepass")
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    values = np.asarray(image.detach().cpu() if isinstance(image, Tensor) else image)
    return f"{values.dtype} {values.shape} ".encode() + values.tobytes()


def as_set(images: Images, model: Model | None = None) -> ImageSet:
    """Images as a set: a set as it is, scenes of the world with labels, whatever `preprocess` reads.

    Of a set of torchvision, labels `y` and `class_name` are kept. One of files (`ImageFolder`) is read from
    them, without its own transform: images pass through that of the model.

    Args:
        images: any of these.
        model: the model that they are for: scenes are painted at its size. None = as they are.

    Raises:
        KitError: there is no image.

    Example:
        >>> import kit
        >>> as_set(kit.world.draw(3, seed=0)).labels.concept.tolist()
        ['birthday cake', 'sailboat', 'running shoe']
    """
    if model is not None and isinstance(images, Scenes):
        images = images.sized_for(model)
    if not (hasattr(images, "digest") and hasattr(images, "names")):
        images = _others_set(images) or _pictures(images)
    if len(images) == 0:
        raise KitError("no image was given: the set is empty; give at least one.")
    return images


def set_name(images: Images) -> str:
    """What a set is called: its own name, that of its folder, or how many images it has.

    Example:
        >>> set_name(["a.png", "b.png"])
        '2 images'
    """
    name, root = getattr(images, "name", ""), getattr(images, "root", None)
    where = f' of the folder "{shown(Path(root).name, 60)}"' if root else ""
    return name if name and isinstance(name, str) else f"{len(as_set(images)):,} images{where}"


def _pictures(images: Scenes | AnyImages) -> Pictures:
    """Images in memory, or named one by one, with what labels they have."""
    labels, singles = getattr(images, "labels", None), single_images(images)
    if not isinstance(labels, pd.DataFrame):
        labels = _targets(images, len(singles))
    return Pictures(singles, labels.reset_index(drop=True))


def _others_set(images: object) -> ImageFolder | None:
    """A set of torchvision whose images are files below a folder, or some of one; None of all others."""
    if hasattr(images, "dataset") and hasattr(images, "indices"):
        whole = _others_set(images.dataset)
        return whole and whole.take(list(images.indices))
    root, samples = getattr(images, "root", None), getattr(images, "samples", None)
    if not _is_path(root) or not isinstance(samples, list) or not samples:
        return None
    names = [Path(os.path.relpath(path, root)).as_posix() for path, _ in samples]
    notes = ["The set's own transform is left out: images pass through that of the model."]
    own = any(getattr(images, key, None) is not None for key in ("transform", "transforms"))
    return ImageFolder(Path(root), names, _targets(images, len(names)), notes=notes * own)


def _targets(images: object, count: int) -> pd.DataFrame:
    """The labels that a set of torchvision has, one row for each image; no column where there are none."""
    y, classes = np.asarray(getattr(images, "targets", ())), list(getattr(images, "classes", ()))
    if y.shape != (count,) or y.dtype.kind not in "iu":
        return pd.DataFrame(index=range(count))
    table = pd.DataFrame({"y": y})
    if len(classes) > y.max() and y.min() >= 0:
        names = [", ".join(name) if isinstance(name, tuple | list) else str(name) for name in classes]
        table["class_name"] = [names[k] for k in y]
    return table
