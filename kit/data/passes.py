"""One pass over a set of images in batches: by one process or several, resumable, past damaged files."""

import glob
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from kit.data.locks import Lock
from kit.data.reading import attempt
from kit.data.sets import ImageSet
from kit.errors import KitError, shown
from kit.models.model import Model

SAVE_EVERY = 5.0  # seconds between two saved states
LINE_EVERY = 10.0  # seconds between two lines of progress in a file


@dataclass
class Progress:
    """What of a pass is done.

    Attributes:
        done: number of a batch -> what its keeper wants to know of it, as plain JSON.
        damaged: number of an image -> sentence, of those that could not be read.
    """

    done: dict[int, dict] = field(default_factory=dict)
    damaged: dict[int, str] = field(default_factory=dict)

    def __or__(self, other: "Progress") -> "Progress":
        return Progress(self.done | other.done, self.damaged | other.damaged)

    def plain(self) -> dict:
        """The same as JSON has it, where numbers are texts."""
        both = {"done": self.done, "damaged": self.damaged}
        return {key: {str(number): value for number, value in each.items()} for key, each in both.items()}

    @classmethod
    def of(cls, plain: dict) -> "Progress":
        """What `plain` gave."""
        return cls(*({int(n): value for n, value in plain[key].items()} for key in ("done", "damaged")))


@dataclass
class Batch:
    """Some images that go through the model together.

    Attributes:
        rows: their numbers, those that cannot be read included.
        good: places among these of the ones that can.
        pixels: of the ones that can, [batch, 3, height, width]; None where there is none.
        sha256: of every file, or of values.
        stamps: of every file; see `kit.data.reading.Read`.
    """

    rows: list[int]
    good: list[int]
    pixels: Tensor | None
    sha256: list[bytes]
    stamps: list[bytes]


class Keeper(Protocol):
    """What a pass fills: sums, or a store."""

    def prepare(self) -> None:
        """Called first, in one process: drop what an earlier pass left that is true no longer."""

    def open(self, rank: int) -> tuple[Progress, Progress]:
        """Read the states that an earlier pass left: what this process did of it, and what all did."""

    def begin(self) -> None:
        """Called once every process has opened."""

    def add(self, batch: Batch) -> dict:
        """Take in a batch; what it gives comes back in `Progress.done`."""

    def save(self, progress: Progress) -> None:
        """Write the state of this process, so that a kill loses nothing that is in it."""

    def finish(self) -> None:
        """Put the states of all processes together; called in one of them."""


def go_over(model: Model, images: ImageSet, batch: int, keeper: Keeper, title: str, workers: int = 0) -> None:
    """Hand every image of a set to a keeper, each once, in batches.

    Batches are cut by the set alone, and processes take whole ones, so that a resumed pass, one by several
    processes and a plain one see the same batches. Under `torchrun` each process takes its share.

    Args:
        model: gives the transform.
        images: the set.
        batch: images at once.
        keeper: what is filled.
        title: of the progress bar.
        workers: processes that read and transform images ahead; 0 does it in this one.

    Raises:
        KitError: an image of a set without files cannot be read; the folder of the set is gone.
    """
    rank, processes = place()
    if rank == 0:
        keeper.prepare()
    wait_for_all()
    own, all_done = keeper.open(rank)
    wait_for_all()  # nobody writes before everybody has read
    keeper.begin()
    if images.damaged is not None:
        images.damaged |= all_done.damaged
    mine = [number for number in range(batches(images, batch)) if number not in all_done.done][
        rank::processes
    ]
    rows = [rows_of_batch(images, batch, number) for number in mine]
    total, saved = sum(map(len, rows)), time.monotonic()
    silent = rank > 0 or "TQDM_DISABLE" in os.environ  # which tqdm's bar in notebooks does not look at
    with tqdm(total=total, desc=title, unit="img", delay=2, disable=silent, **_lines()) as bar:
        try:
            for number, numbers, found in zip(mine, rows, _read(model, images, rows, workers), strict=True):
                why = {n: each[1] for n, each in zip(numbers, found) if each[1]}
                _take_note(images, why)
                own.done[number] = keeper.add(_batch_of(model, numbers, found))
                own.damaged |= why
                bar.update(len(numbers))
                if time.monotonic() - saved > SAVE_EVERY:
                    keeper.save(own)
                    saved = time.monotonic()
        finally:
            keeper.save(own)
    wait_for_all()
    if rank == 0:
        keeper.finish()
    wait_for_all()


class _Lines:
    """A stream on which every state of a bar is a line of its own, as a file or a log needs it."""

    def __init__(self, stream):
        self.stream, self.encoding = stream, getattr(stream, "encoding", None)

    def write(self, text: str) -> None:
        if state := text.strip():  # a bar writes each state behind a carriage return
            self.stream.write(f"{state}\n")

    def flush(self) -> None:
        self.stream.flush()


def _lines() -> dict:
    """What a bar is made with where nothing on the screen moves: a line at times in place of a bar."""
    notebook = any(kind.__module__ == "tqdm.notebook" for kind in tqdm.__mro__)
    still = not notebook and not sys.stderr.isatty()
    return {"file": _Lines(sys.stderr), "mininterval": LINE_EVERY, "ascii": True} if still else {}


def batches(images: ImageSet, batch: int) -> int:
    """How many batches a set is cut into."""
    return math.ceil(len(images) / batch)


def rows_of_batch(images: ImageSet, batch: int, number: int) -> list[int]:
    """Numbers of the images of a batch."""
    return list(range(number * batch, min((number + 1) * batch, len(images))))


def _batch_of(model: Model, numbers: list[int], found: list[tuple]) -> Batch:
    good = [place for place, each in enumerate(found) if each[0] is not None]
    pixels = None
    if good:
        pixels = torch.stack([found[place][0] for place in good]).to(model.device, model.dtype)
    return Batch(numbers, good, pixels, [each[2] for each in found], [each[3] for each in found])


def _take_note(images: ImageSet, why: dict[int, str]) -> None:
    """List images that could not be read; an error where they are no files, or their folder is gone."""
    if not why:
        return
    if images.damaged is None:
        number, said = next(iter(why.items()))
        raise KitError(said if len(images) == 1 else f"image {number}: {said}")
    if images.root is not None and not os.path.isdir(images.root):
        raise KitError(
            f'the folder "{shown(images.root)}" is no longer there; bring it back and make the same call '
            "again: it goes on."
        )
    images.damaged |= why


def _read(model: Model, images: ImageSet, rows: list[list[int]], workers: int) -> Iterator[list[tuple]]:
    """For each batch what `_Reader` gives of its images."""
    reader = DataLoader(
        _Reader(model.transform, images), batch_sampler=rows, num_workers=workers, collate_fn=list
    )
    try:
        yield from reader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise KitError(
            f"a process that reads images has ended ({shown(error)}); make the same call again with "
            "workers=0, which goes on and reads in one process."
        ) from error


@contextmanager
def alone(path: Path, what: str, look: Callable[[], None]) -> Iterator[None]:
    """Keep other passes out while this one goes on; the processes that share it count as one.

    Each of them holds a lock of its own, so that one that outlives the first still keeps others out.

    Args:
        path: of the lock file.
        what: is written, in words.
        look: is called before anything is made, and raises where the place is somebody else's.

    Raises:
        KitError: another pass is going on, or what `look` raises; in every process alike.
    """
    rank, _ = place()
    lock, why = None, ""
    if rank == 0:
        try:
            look()
            lock = Lock(path, what)
            for other in path.parent.glob(f"{glob.escape(path.name)}-*"):
                Lock(other, what).release()  # one that is held is of a process that goes on by itself
        except KitError as error:
            why = str(error)
    try:
        if why := agreed(why):
            raise KitError(why)
        if rank > 0:
            lock = Lock(path.with_name(f"{path.name}-{rank}"), what)
        yield
    finally:
        if lock is not None:
            lock.release()


def agreed(value):
    """What the first of the processes that share a pass says, in all of them."""
    if not dist.is_initialized():
        return value
    said = [value]
    dist.broadcast_object_list(said, src=0)
    return said[0]


def place() -> tuple[int, int]:
    """Number of this process among those that `torchrun` started, and how many there are.

    Raises:
        KitError: the environment names several processes, but not how they find each other.
    """
    if not dist.is_initialized():
        count = os.environ.get("WORLD_SIZE", "1")
        if count == "1":
            return 0, 1
        try:
            dist.init_process_group("gloo")
        except Exception as error:  # of several kinds, for each variable that is missing or odd
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise KitError(
                f"WORLD_SIZE is {shown(count)}, but the processes do not find each other ({shown(said)}); "
                "start them with torchrun, or take WORLD_SIZE out of the environment."
            ) from error
    return dist.get_rank(), dist.get_world_size()


def wait_for_all() -> None:
    """Go on once every process is here."""
    if dist.is_initialized():
        dist.barrier()


class _Reader(torch.utils.data.Dataset):
    """Image number -> transformed picture or None, why there is none, sha256, stamp."""

    def __init__(self, transform, images: ImageSet):
        self.transform, self.images = transform, images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> tuple[Tensor | None, str, bytes, bytes]:
        found = self.images.read(number)
        if found.image is None:
            return None, found.why, found.sha256, found.stamp
        pixels, why = attempt(lambda: self.transform(found.image), self.images.names[number])
        return pixels, why, found.sha256, found.stamp
