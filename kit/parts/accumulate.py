"""Sums over a set of images: kept in memory, or in a file whose pass may be killed and go on."""

import hashlib
import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Protocol

from torch import Tensor

from kit.data.locks import is_held
from kit.data.passes import Batch, Progress, agreed, alone, batches, go_over, rows_of_batch
from kit.data.reading import NO_STAMP, contents
from kit.data.sets import ImageSet
from kit.errors import KitError, shown
from kit.parts.files import (
    check_list,
    check_place,
    check_same,
    damaged_file,
    list_files,
    listed_at,
    load_collected,
    state_file,
    state_files,
)
from kit.writing import clear_unfinished, sync_folder


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


def sum_up(
    model,
    kind: str,
    empty: Sum,
    of_batch: Callable[[Tensor], Sum],
    images: ImageSet,
    batch: int,
    path: Path | None,
    workers: int,
) -> Sum:
    """The sum over all images.

    Args:
        model: from `kit.load`.
        kind: `"means"` or `"moments"`, for files and messages.
        empty: facts without images.
        of_batch: pixels [batch, 3, height, width] -> their sum.
        images: the set.
        batch: images at once.
        path: where the result is written, and its states beside it; None keeps it in memory. A file
            that is there already is read, if it is of this very pass.
        workers: see `kit.data.passes.go_over`.

    Raises:
        KitError: a file of another pass, or of somebody else, is in the way; another pass is writing it;
            images have been replaced since; no image can be read.
    """
    keeper = _SumKeeper(kind, empty, of_batch, images, batch, path)
    if path is None:
        go_over(model, images, batch, keeper, kind, workers)
    elif not agreed(keeper.is_done()):
        with alone(keeper.lock, f'"{shown(path)}"', keeper.look):
            go_over(model, images, batch, keeper, kind, workers)
    return keeper.result()


class _SumKeeper:
    """Adds up what each batch gives; with a path, the state of each process lies beside it."""

    def __init__(self, kind, empty, of_batch, images, batch, path):
        self.kind, self.empty, self.of_batch = kind, empty, of_batch
        self.images, self.path, self.batch = images, path, batch
        self.sum: Sum | None = None

    def look(self) -> None:
        """Raise where the path, or a place beside it that will be written, is somebody else's."""
        check_place(self.path, self.kind)
        check_list(self.path)

    @property
    def lock(self) -> Path:
        """Where the lock of the pass lies."""
        return self.path.with_name(f"{self.path.name}.lock")

    def is_done(self) -> bool:
        """Whether the pass has ended, and left nothing to tidy up but the lock of a process that is gone."""
        self.look()
        if not os.path.lexists(self.path) or state_files(self.path):
            return False
        is_held(self.lock)
        return True

    def prepare(self) -> None:
        """Forget states of images that have been replaced since: a sum cannot take them out again."""
        if not self.path or os.path.lexists(self.path):
            return
        for each in (self.path, listed_at(self.path), state_file(self.path, 0), *state_files(self.path)):
            clear_unfinished(each)
        for file in state_files(self.path):
            _, progress = self._read(file)
            done = progress.done.items()
            if any(self._changed([rows_of_batch(self.images, self.batch, n)], seen) for n, seen in done):
                file.unlink()
                sync_folder(file.parent)

    def open(self, rank: int) -> tuple[Progress, Progress]:
        own, every = Progress(), Progress()
        self.state = self.path and state_file(self.path, rank)
        if self.path and os.path.lexists(self.path):  # another pass made it while this one began
            return own, Progress({key: {} for key in range(batches(self.images, self.batch))})
        for file in state_files(self.path) if self.path else ():
            found, progress = self._read(file)
            every |= progress
            if file == self.state:
                self.sum, own = found, progress
        return own, every

    def begin(self) -> None:
        """There is nothing to make."""

    def add(self, batch: Batch) -> dict:
        if batch.pixels is not None:
            new = self.of_batch(batch.pixels)
            if not all(value.isfinite().all() for value in new.tensors.values()):
                raise KitError(
                    f"the model gives numbers that are not finite for one of images {batch.rows[0]} to "
                    f'{batch.rows[-1]} ("{shown(self.images.names[batch.rows[0]])}" is the first); load it '
                    "in float32, or leave the image out."
                )
            self.sum = new if self.sum is None else self.sum.joined(new)
        return {"sha256": _digest([batch.sha256]), "stamps": _digest([batch.stamps])}

    def save(self, progress: Progress) -> None:
        if self.state and progress.done:
            damaged = {str(number): why for number, why in progress.damaged.items()}
            done = {str(number): seen for number, seen in progress.done.items()}
            (self.sum or self.empty).save(self.state, batch=self.batch, done=done, damaged=damaged)

    def finish(self) -> None:
        if not self.path:
            return
        files = state_files(self.path)
        if not os.path.lexists(self.path):
            read = [self._read(file) for file in files]
            sums = [found for found, _ in read if found is not None]
            every = reduce(Progress.__or__, (progress for _, progress in read), Progress())
            seen = [every.done.get(number) for number in range(batches(self.images, self.batch))]
            if None in seen:
                raise KitError(
                    f'{seen.count(None)} batches of the pass into "{shown(self.path)}" are missing; make the '
                    "same call again: it goes on."
                )
            if sums:
                listed = list_files(self.path, self.images.names, every.damaged)
                whole = {key: _one([bytes.fromhex(each[key]) for each in seen]) for key in seen[0]}
                reduce(lambda one, other: one.joined(other), sums).save(
                    self.path, batch=self.batch, images=whole, list=listed
                )
        for file in files:
            file.unlink()

    def result(self) -> Sum:
        """What came of the pass."""
        if self.path and os.path.lexists(self.path):
            self.sum, _ = self._read(self.path)
        if self.sum is None:
            first = next(iter((self.images.damaged or {}).values()), "")
            raise KitError(f"none of the {len(self.images)} images could be read. The first one: {first}")
        return self.sum

    def _read(self, file: Path) -> tuple[Sum | None, Progress]:
        """A file of this very pass, or an error; of a state that has no image yet no sum."""
        state = file != self.path
        facts, tensors = load_collected(file, self.kind, least=0 if state else 1)
        check_same(self.kind, file, facts, self.empty.facts | ({"batch": self.batch} if state else {}))
        try:
            found = self.empty.filled(facts["count"], tensors) if facts["count"] else None
            done = {int(number): seen for number, seen in facts["done"].items()} if state else {}
            damaged = {int(number): why for number, why in facts["damaged"].items()} if state else {}
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
        return found, Progress(done, damaged)

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
