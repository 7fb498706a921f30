"""One pass over a set of images in batches: by one process or several, resumable, past damaged files."""

import math
import os
import time
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from kit.data.sets import ImageSet
from kit.errors import KitError
from kit.models.images import read_image

SAVE_EVERY = 5.0  # seconds between two saved states


@dataclass
class Progress:
    """What of a pass is done.

    Attributes:
        done: numbers of the batches.
        damaged: number of an image -> sentence, of those that could not be read.
    """

    done: set[int] = field(default_factory=set)
    damaged: dict[int, str] = field(default_factory=dict)

    def __or__(self, other: "Progress") -> "Progress":
        return Progress(self.done | other.done, self.damaged | other.damaged)


class Keeper(Protocol):
    """What a pass fills: sums, or a store."""

    def open(self, rank: int) -> tuple[Progress, Progress]:
        """Read the states that an earlier pass left: what this process did of it, and what all did."""

    def begin(self) -> None:
        """Called once every process has opened."""

    def add(self, rows: list[int], pixels: Tensor) -> None:
        """Take in the readable images of a batch: their numbers, [batch, 3, height, width]."""

    def save(self, progress: Progress) -> None:
        """Write the state of this process, so that a kill loses nothing that is in it."""

    def finish(self) -> None:
        """Put the states of all processes together; called in one of them."""


def go_over(model, images: ImageSet, batch: int, keeper: Keeper, title: str, workers: int = 0) -> None:
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
        KitError: an image of a set without files cannot be read.
    """
    rank, processes = place()
    own, all_done = keeper.open(rank)
    wait_for_all()  # nobody writes before everybody has read
    keeper.begin()
    count = math.ceil(len(images) / batch)
    mine = [number for number in range(count) if number not in all_done.done][rank::processes]
    rows = [list(range(n * batch, min((n + 1) * batch, len(images)))) for n in mine]
    reader = DataLoader(
        _Reader(model.transform, images), batch_sampler=rows, num_workers=workers, collate_fn=list
    )
    total, saved = sum(map(len, rows)), time.monotonic()
    silent = rank > 0 or "TQDM_DISABLE" in os.environ  # which tqdm's bar in notebooks does not look at
    with tqdm(total=total, desc=title, unit="img", delay=2, disable=silent) as bar:
        try:
            for number, numbers, found in zip(mine, rows, reader, strict=True):
                own.damaged |= {n: f for n, f in zip(numbers, found) if isinstance(f, str)}
                good = [(n, f) for n, f in zip(numbers, found) if not isinstance(f, str)]
                if good:
                    pixels = torch.stack([pixels for _, pixels in good])
                    keeper.add([n for n, _ in good], pixels.to(model.device, model.dtype))
                own.done.add(number)
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


def place() -> tuple[int, int]:
    """Number of this process among those that `torchrun` started, and how many there are."""
    if not dist.is_initialized():
        if int(os.environ.get("WORLD_SIZE", 1)) == 1:
            return 0, 1
        dist.init_process_group("gloo")
    return dist.get_rank(), dist.get_world_size()


def wait_for_all() -> None:
    """Go on once every process is here."""
    if dist.is_initialized():
        dist.barrier()


class _Reader(torch.utils.data.Dataset):
    """Image number -> transformed picture, or the sentence that says why there is none."""

    def __init__(self, transform, images: ImageSet):
        self.transform, self.images = transform, images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> Tensor | str:
        try:
            return self.transform(read_image(self.images[number]))
        except KitError as error:
            if self.images.damaged is None:
                raise error if len(self.images) == 1 else KitError(f"image {number}: {error}") from None
            return str(error)
