"""ImageNet-Segmentation: pictures of ImageNet with the pixels of their object, in one file of MATLAB 7.3."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from kit.data.reading import NO_BYTES, Read, attempt, file_stamp
from kit.data.sets import OneByOne, Picks, numbers_of
from kit.errors import KitError, shown
from kit.models.images import MAX_PIXELS

IMAGES, TRUTHS = "/value/img", "/value/gt"
FILE = "gtsegs_ijcv.mat"
MOST = 1_000_000  # pictures in a file
DEEPEST = 4  # references behind each other


@dataclass
class SegmentationFile(OneByOne):
    """Pictures and masks that are read one by one from an HDF5 file as they are asked for.

    Attributes:
        path: the file.
        numbers: which of its pictures, in order.
        labels: no columns: the file knows no classes.
        damaged: number -> sentence, of the pictures that could not be read so far.
        name: of the set.
        notes: sentences on what is in the file.
    """

    path: Path
    numbers: list[int]
    labels: pd.DataFrame
    damaged: dict[int, str] = field(default_factory=dict)
    name: str = "ImageNet-Segmentation"
    notes: list[str] = field(default_factory=list)
    root = None  # pictures are no files of their own

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def names(self) -> list[str]:
        """Numbers of the pictures in the file, from 0."""
        return [str(number) for number in self.numbers]

    def read(self, number: int) -> Read:
        """One picture as a pass takes it in; one that cannot be read is listed."""
        image, why = attempt(lambda: self._picture(number), f"picture {self.numbers[number]}")
        if why:
            self.damaged[number] = why
        return Read(image, why, self.content(number), self.stamp(number))

    def mask(self, number: int) -> np.ndarray:
        """The object's pixels, bool [row, col], of the picture's size.

        Raises:
            KitError: no matrix, values other than 0 and 1, another size than the picture.
        """
        values = self._array(TRUTHS, number)
        if values.ndim != 2 or not np.isin(values, (0, 1)).all():
            some = ", ".join(map(str, np.unique(values)[:5]))
            raise KitError(
                f'mask {self.numbers[number]} of "{self.path.name}" should be [col, row] of 0 and 1; it is '
                f"{list(values.shape)} with values {some}: take the published file."
            )
        return values.T.astype(bool)

    def take(self, images: Picks) -> "SegmentationFile":
        """Some of the pictures: numbers, a slice, or a boolean array."""
        numbers = [self.numbers[n] for n in numbers_of(images, len(self))]
        notes = [*self.notes, f"{len(numbers):,} of these {len(self):,} were taken."]
        labels = pd.DataFrame(index=range(len(numbers)))
        return replace(self, numbers=numbers, labels=labels, damaged={}, notes=notes)

    def content(self, number: int) -> bytes:
        """sha256 of one picture's values; zeros where there are none."""
        try:
            values = self._array(IMAGES, number)
        except KitError:
            return NO_BYTES
        return hashlib.sha256(f"{values.shape}".encode() + values.tobytes()).digest()

    def stamp(self, number: int) -> bytes:
        """What the whole file is known by as untouched."""
        return file_stamp(self.path)

    @cached_property
    def digest(self) -> str:
        """sha256 over the file's name and size and the numbers taken: nothing is read for it."""
        facts = f"{self.path.name} {self.path.stat().st_size} {self.numbers}"
        return hashlib.sha256(facts.encode()).hexdigest()

    def _picture(self, number: int) -> Image.Image:
        values = self._array(IMAGES, number)  # [3, col, row], or [col, row] where it is grey
        if values.dtype != np.uint8 or not (values.ndim == 2 or (values.ndim == 3 and len(values) == 3)):
            raise KitError(
                f'picture {self.numbers[number]} of "{self.path.name}" should be [3, col, row] of uint8; it '
                f"is {list(values.shape)} of {values.dtype}: take the published file."
            )
        return Image.fromarray(np.ascontiguousarray(values.T)).convert("RGB")

    def _array(self, key: str, number: int) -> np.ndarray:
        """What a cell of the file points to; masks lie behind two references, pictures behind one."""
        import h5py

        with _opened(self.path) as file:
            try:
                held = file[_own(file, key)[self.numbers[number], 0]]
                for _ in range(DEEPEST):
                    if held.dtype == h5py.ref_dtype:
                        held = file[held[0, 0]]
                _check_own(held)
                if held.dtype == h5py.ref_dtype or held.size > 3 * MAX_PIXELS:
                    raise ValueError(f"{list(held.shape)} of {held.dtype}")
                return np.asarray(held)
            except KitError:
                raise
            except (KeyError, ValueError, IndexError, AttributeError, TypeError, OSError) as error:
                raise KitError(
                    f'cell {self.numbers[number]} of "{key}" in "{self.path.name}" leads nowhere '
                    f"({type(error).__name__}); take the published file again."
                ) from error


def read_imagenet_segmentation(path) -> SegmentationFile:
    """ImageNet-Segmentation, as it is published: one HDF5 file with cells `/value/img` and `/value/gt`.

    MATLAB writes matrices column by column, so that a picture is [3, col, row] in the file; a cell holds a
    reference to it, and that of a mask a reference to a cell of its own.

    Args:
        path: `gtsegs_ijcv.mat`, or the folder that it lies in.

    Returns:
        A `SegmentationFile`: pictures by number, and `mask(number)`; a pass takes it, and so does
        `kit.maps.segment`.

    Raises:
        KitError: no such file, no HDF5 file, a missing key, cells of another shape or number.

    Source:
        Guillaumin, Küttel, Ferrari 2014, ImageNet Auto-Annotation with Segmentation Propagation (IJCV).
    """
    import h5py

    path = Path(path)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise KitError(
            f'there is no file "{path}"; name {FILE}, which data_cards/imagenet_segmentation.md tells of.'
        )
    with _opened(path) as file:
        cells = {}
        for key in (IMAGES, TRUTHS):
            if _own(file, key) is None:
                known = ", ".join(f"/{name}" for name in file) or "nothing"
                raise KitError(
                    f'"{path.name}" has no "{key}"; it holds {known}: take {FILE} as it is published.'
                )
            cells[key] = _own(file, key)
            if cells[key].ndim != 2 or cells[key].shape[1] != 1 or cells[key].dtype != h5py.ref_dtype:
                raise KitError(
                    f'"{key}" of "{path.name}" should be references, [image, 1]; it is '
                    f"{list(cells[key].shape)} of {cells[key].dtype}: take {FILE} as it is published."
                )
        counts = [len(cell) for cell in cells.values()]
    if counts[0] != counts[1] or not 0 < counts[0] <= MOST:
        raise KitError(
            f'"{path.name}" has {counts[0]} pictures and {counts[1]} masks; there should be one for each, '
            f"and no more than {MOST:,}: take {FILE} as it is published."
        )
    labels = pd.DataFrame(index=range(counts[0]))
    return SegmentationFile(
        path, list(range(counts[0])), labels, notes=[f"{counts[0]:,} pictures in the file."]
    )


def _own(file, key: str):
    """A dataset that lies in the file itself; None where there is none of that name."""
    import h5py

    for end in range(2, len(key) + 1):
        if end == len(key) or key[end] == "/":
            link = file.get(key[:end], getlink=True)
            if link is not None and not isinstance(link, h5py.HardLink):
                raise KitError(
                    f'"{key[:end]}" of "{shown(Path(file.filename).name)}" is a link to another place; take '
                    f"{FILE} as it is published."
                )
    found = file.get(key)
    if not isinstance(found, h5py.Dataset):
        return None
    _check_own(found)
    return found


def _check_own(dataset) -> None:
    """Raise where a dataset keeps its numbers in other files, which would be shown as a picture."""
    if dataset.external or dataset.is_virtual:
        name = shown(Path(dataset.file.filename).name)
        raise KitError(f'"{name}" keeps its numbers in other files; take {FILE} as it is published.')


def _opened(path: Path):
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise KitError(
            f'"{path}" cannot be opened as HDF5, the format of MATLAB 7.3; take {FILE} as it is published.'
        ) from error
