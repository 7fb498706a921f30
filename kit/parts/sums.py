"""Sums over a set of images: kept in memory, or in a file whose pass may be killed and go on."""

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Protocol

from torch import Tensor

from kit.data.passes import Progress, go_over
from kit.data.sets import ImageSet
from kit.errors import KitError
from kit.parts.files import check_same, list_files, load_collected, state_file, state_files


class Sum(Protocol):
    """What is summed up, such as means or moments.

    Attributes:
        facts: what two passes over the same images have in common.
    """

    facts: dict

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
        KitError: a file of another pass is in the way; no image can be read.
    """
    keeper = _SumKeeper(kind, empty, of_batch, images, batch, path)
    if path is None or not path.exists():
        go_over(model, images, batch, keeper, kind, workers)
    return keeper.result()


class _SumKeeper:
    """Adds up what each batch gives; with a path, the state of each process lies beside it."""

    def __init__(self, kind, empty, of_batch, images, batch, path):
        self.kind, self.empty, self.of_batch = kind, empty, of_batch
        self.images, self.path, self.cut = images, path, {"batch": batch}
        self.sum: Sum | None = None

    def open(self, rank: int) -> tuple[Progress, Progress]:
        own, every = Progress(), Progress()
        self.state = self.path and state_file(self.path, rank)
        for file in state_files(self.path) if self.path else ():
            found, progress = self._read(file, self.cut)
            every |= progress
            if file == self.state:
                self.sum, own = found, progress
        return own, every

    def begin(self) -> None:
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, rows: list[int], pixels: Tensor) -> None:
        new = self.of_batch(pixels)
        self.sum = new if self.sum is None else self.sum.joined(new)

    def save(self, progress: Progress) -> None:
        if self.state and self.sum:
            damaged = {str(number): why for number, why in progress.damaged.items()}
            self.sum.save(self.state, **self.cut, done=sorted(progress.done), damaged=damaged)

    def finish(self) -> None:
        if not self.path:
            return
        files = state_files(self.path)
        sums, progress = zip(*(self._read(file, self.cut) for file in files)) if files else ((), ())
        if sums:
            list_files(self.path, self.images, reduce(Progress.__or__, progress).damaged)
            reduce(lambda one, other: one.joined(other), sums).save(self.path)
        for file in files:
            file.unlink()

    def result(self) -> Sum:
        """What came of the pass."""
        if self.path and self.path.exists():
            self.sum, _ = self._read(self.path, {})
        if self.sum is None:
            first = next(iter((self.images.damaged or {}).values()), "")
            raise KitError(f"none of the {len(self.images)} images could be read. The first one: {first}")
        return self.sum

    def _read(self, file: Path, cut: dict) -> tuple[Sum, Progress]:
        """A file of this very pass, or an error."""
        facts, tensors = load_collected(file, self.kind)
        wanted = self.empty.facts | cut
        check_same(self.kind, file, {key: facts.get(key) for key in wanted}, wanted)
        damaged = {int(number): why for number, why in facts.get("damaged", {}).items()}
        return self.empty.filled(facts["count"], tensors), Progress(set(facts.get("done", ())), damaged)
