"""The sets of images that commands and pages know by name: one row each."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kit.data.imagenet import IMAGENET_SPLITS, read_imagenet
from kit.data.images import read_folder
from kit.data.segmentation import FILE, read_imagenet_segmentation
from kit.data.sets import ImageSet
from kit.data.waterbirds import WATERBIRDS_SPLITS, read_waterbirds
from kit.errors import KitError, shown
from kit.world import Scenes, draw


def _scenes(where: str, limit: int | None) -> Scenes:
    """Unbiased scenes of the world of all kinds, seed 1."""
    if not (where.isdecimal() and where.isascii() and 0 < len(where) < 10) or int(where) == 0:
        where = shown(where, 60)
        raise KitError(f'stickers:{where}: "{where}" is no number of scenes; write stickers:2000.')
    return draw(min(int(where), limit or int(where)), seed=1, kind="mixed")


@dataclass(frozen=True)
class DataSet:
    """A set of images by name.

    Attributes:
        place: what a command names beside it.
        title: what it is.
        reader: place -> images; of a set with splits, place and split.
        splits: those that it has, the one that is read unasked first.
        asked: splits that `loupe sweep` asks for, "whole" where it has none; () where no experiment is on it.
        limited: whether the reader takes a limit beside the place, as one that makes images does.
    """

    place: str
    title: str
    reader: Callable
    splits: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    limited: bool = False

    def read(self, where: str, limit: int | None = None) -> ImageSet | Scenes:
        """Its images, at most so many; a set with splits is written `place` or `place:split`."""
        if self.limited:
            return self.reader(where, limit)
        place, colon, split = where.rpartition(":")
        named = self.splits and colon and len(place) > 1 and not os.path.exists(where)  # "C:" is a drive
        images = self.reader(place, split) if named else self.reader(where)
        return images if limit is None else images.take(slice(limit))

    @property
    def about(self) -> str:
        """What it is, and its splits."""
        splits = [f"{split} (default)" if split == self.splits[0] else split for split in self.splits]
        return "; ".join([self.title, *([f"{', '.join(splits[:-1])} or {splits[-1]}"] if splits else [])])


DATA_SETS = {
    "imagenet": DataSet("FOLDER", "ImageNet with its labels", read_imagenet, IMAGENET_SPLITS[::-1], ("val",)),
    "waterbirds": DataSet(
        "FOLDER", "Waterbirds with its labels", read_waterbirds, WATERBIRDS_SPLITS[::-1], ("val", "test")
    ),
    "segmentation": DataSet(
        "FILE", f"ImageNet-Segmentation, {FILE}", read_imagenet_segmentation, asked=("whole",)
    ),
    "stickers": DataSet("NUMBER", "unbiased scenes of the world, seed 1", _scenes, limited=True),
    "folder": DataSet("FOLDER", "a folder whose name looks like one of these", read_folder, limited=True),
}


def written() -> dict[str, str]:
    """How a command writes each set -> what it is.

    Example:
        >>> written()["waterbirds:FOLDER[:SPLIT]"]
        'Waterbirds with its labels; test (default), val or train'
    """
    return {f"{k}:{s.place}{'[:SPLIT]' if s.splits else ''}": s.about for k, s in DATA_SETS.items()}


def read_set(words: str, limit: int | None = None) -> ImageSet | Scenes:
    """The images that words name, such as "waterbirds:data/birds:val"; where no kind is named, a folder.

    Args:
        words: see `written`.
        limit: take at most so many.

    Raises:
        KitError: what the set's own reader raises.

    Example:
        >>> len(read_set("stickers:3"))
        3
    """
    kind, colon, where = words.partition(":")
    return DATA_SETS[kind].read(where, limit) if colon and kind in DATA_SETS else read_folder(words, limit)


def of_papers(kind: str, where: str | Path) -> Iterator[tuple[str, ImageSet]]:
    """What the papers' experiments ask of a set: pairs of a name and images."""
    one = DATA_SETS[kind]
    for split in one.asked:
        images = one.reader(where, split) if one.splits else one.reader(where)
        yield (kind if len(one.asked) == 1 else f"{kind} {split}"), images
