"""Sums over a set of images: kept in memory, or in a file whose pass may be killed and go on."""

import hashlib
import os
from functools import reduce
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from kit.data.passes import Batch, Progress, batches, rows_of_batch
from kit.data.reading import NO_STAMP, contents
from kit.errors import KitError, shown
from kit.parts.files import (
    check_list,
    check_place,
    check_same,
    damaged_file,
    list_files,
    listed_at,
    load_collected,
)
from kit.parts.one_pass import PassKeeper, Request
from kit.writing import sync_folder


class Sum(Protocol):
    """What is summed up, such as means or moments.

    Attributes:
        facts: what two passes over the same images have in common.
        tensors: all its numbers, by name.
    """

    facts: dict
    tensors: dict[str, Tensor]

    def joined(self, other: "Sum") -> "Sum":
        """The sum over the images of both."""

    def filled(self, count: int, tensors: dict[str, Tensor]) -> "Sum":
        """The same facts with the count and tensors of a file."""

    def save(self, path: Path, **more) -> None:
        """Write a file, with further facts."""


class SumKeeper(PassKeeper):
    """Adds up what each batch gives; with a path, states and the result are files.

    Args:
        request: what is asked.
        empty: facts without images.
    """

    def __init__(self, request: Request, empty: Sum):
        path = request.path
        super().__init__(request, path and path.with_name(f"{path.name}.lock"), path)
        self.empty, self.batch = empty, request.batch
        if path is not None:
            self.what, self.listed = f'"{shown(path)}"', listed_at(path)
            self.files = (path, self.listed)

    def of_batch(self, pixels: Tensor) -> Sum:
        """The sum of some images, [batch, 3, height, width]."""

    def look(self) -> None:
        """Raise where the path, or the list beside it, is somebody else's."""
        check_place(self.path, self.kind)
        check_list(self.path)

    def is_whole(self) -> bool:
        """Whether the file is there."""
        return self.path is not None and os.path.lexists(self.path)

    def forget_replaced(self, file: Path) -> None:
        """Forget a state with images that have been replaced since: a sum cannot take them out again."""
        _, progress = self.read(file)
        if any(self._changed([self.rows(number)], seen) for number, seen in progress.done.items()):
            file.unlink()
            sync_folder(file.parent)

    def add(self, batch: Batch) -> dict:
        """Add up a batch; what its files were like is written down."""
        if batch.pixels is not None:
            new = self.of_batch(batch.pixels)
            if not torch.stack([value.sum() for value in new.tensors.values()]).isfinite().all():
                raise KitError(
                    f"the model gives numbers that are not finite for one of images {batch.rows[0]} to "
                    f'{batch.rows[-1]} ("{shown(self.images.names[batch.rows[0]])}" is the first); load it '
                    "in float32, or leave the image out."
                )
            self.so_far = new if self.so_far is None else self.so_far.joined(new)
        return {"sha256": _digest([batch.sha256]), "stamps": _digest([batch.stamps])}

    def write(self, file: Path, progress: Progress) -> None:
        """Write a state: a file as the result is one, with what is done."""
        (self.so_far or self.empty).save(file, batch=self.batch, **progress.plain())

    def complete(self, results: list[Sum], done: list[dict], damaged: dict[int, str]) -> None:
        """Write the sum of all states, and the list of the images."""
        if results:
            listed = list_files(self.path, self.images.names, damaged)
            whole = {key: _one([bytes.fromhex(each[key]) for each in done]) for key in done[0]}
            total = reduce(lambda one, other: one.joined(other), results)
            total.save(self.path, batch=self.batch, images=whole, list=listed)

    def result(self) -> Sum:
        """The sum: of the file, or in memory."""
        if self.is_whole():
            self.so_far, _ = self.read(self.path)
        if self.so_far is None:
            raise self.none_read(next(iter((self.images.damaged or {}).values()), ""))
        return self.so_far

    def read(self, file: Path) -> tuple[Sum | None, Progress]:
        """A file of this very pass, or an error; of a state that has no image yet no sum."""
        state = file != self.path
        facts, tensors = load_collected(file, self.kind, least=0 if state else 1)
        check_same(self.kind, file, facts, self.empty.facts | ({"batch": self.batch} if state else {}))
        try:
            total = self.empty.filled(facts["count"], tensors) if facts["count"] else None
            progress = Progress.of(facts) if state else Progress()
        except (KeyError, TypeError, AttributeError) as error:
            raise damaged_file(file, f"{type(error).__name__}: {error}") from error
        if not state and "images" in facts:
            check_list(file, facts["list"])
            cut = range(batches(self.images, facts["batch"]))
            if self._changed([rows_of_batch(self.images, facts["batch"], n) for n in cut], facts["images"]):
                raise KitError(
                    f'"{shown(file.name)}" holds {self.kind} of images of which some have been replaced '
                    "since by others of the same names and sizes; name another path, or delete the file to "
                    "begin anew."
                )
        return total, progress

    def _changed(self, rows: list[list[int]], seen: dict) -> bool:
        """Whether files, batch by batch, are no longer those that were summed up."""
        stamps = [[self.images.stamp(row) for row in some] for some in rows]
        every = {stamp for some in stamps for stamp in some}
        if every == {None}:  # in memory: the digest of the set is over their values
            return False
        if not every & {None, NO_STAMP} and _digest(stamps) == seen["stamps"]:
            return False
        return _digest([contents(self.images, some) for some in rows]) != seen["sha256"]


def _digest(batches: list[list[bytes]]) -> str:
    """One digest of what is known of images, batch by batch."""
    return _one([hashlib.sha256(b"".join(some)).digest() for some in batches])


def _one(digests: list[bytes]) -> str:
    """One digest of those of batches."""
    return (digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()).hex()
