"""One pass over a set of images: what is asked of it, what every keeper of it does, and how it is made."""

from collections.abc import Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from kit.data.locks import is_held
from kit.data.passes import Keeper, Progress, agreed, alone, batches, go_over, rows_of_batch
from kit.data.sets import ImageSet
from kit.errors import KitError, shown
from kit.models.model import Model
from kit.parts.files import state_file, state_files
from kit.writing import clear_unfinished


@dataclass(frozen=True)
class Request:
    """What is asked of a pass; see `kit.parts.collect`.

    Attributes:
        model: from `kit.load`.
        images: the set.
        name: of the set, in words.
        batch: images at once.
        selector: which parts; None leaves it to the keeper.
        path: file, or folder of a store, that is written; None keeps the result in memory.
        workers: processes that read images ahead.
        tokens: "cls", or None.
        convention: "exact", or "paper", of moments.
    """

    model: Model
    images: ImageSet
    name: str
    batch: int
    selector: str | None = None
    path: Path | None = None
    workers: int = 0
    tokens: str | None = None
    convention: str = "exact"


class PassKeeper(Keeper):
    """Keeps what a pass gives, so that it may be killed and go on: the state of each process lies in a file.

    Args:
        request: what is asked.
        lock: file that keeps other passes out; None where nothing is written.
        states: files of states begin with this path; None likewise.

    Attributes:
        kind: what is kept, for files and messages.
        what: is written, in words.
        files: what the pass writes beside states.
        listed: where images are listed, with those that could not be read.
        so_far: what this process has, where it is in memory.
    """

    kind = what = ""
    files: tuple[Path, ...] = ()
    listed: Path | None = None

    def __init__(self, request: Request, lock: Path | None, states: Path | None):
        self.request, self.lock, self.states = request, lock, states
        self.model, self.images, self.path = request.model, request.images, request.path
        self.state: Path | None = None
        self.so_far = None

    def look(self) -> None:
        """Raise where something that will be written is somebody else's, or of another pass."""

    def is_whole(self) -> bool:
        """Whether the result is there."""
        return False

    def make(self) -> None:
        """Make what batches are written into."""

    def forget_replaced(self, file: Path) -> None:
        """Take out of a state what is of images that have been replaced since."""

    def read(self, file: Path) -> tuple[object, Progress]:
        """What a state has of the result (None where that lies elsewhere), and what of the pass is done."""

    def write(self, file: Path, progress: Progress) -> None:
        """Write a state."""

    def complete(self, results: list, done: list[dict], damaged: dict[int, str]) -> None:
        """Write the result: of all states what they have of it, and of each batch what `add` gave."""

    def result(self):
        """What came of the pass, or of an earlier one."""

    def close(self) -> None:
        """Let files go."""

    def prepare(self) -> None:
        """Tidy up what a killed pass left, and drop what is true no longer."""
        if self.states is None:
            return
        self.look()
        if self.is_whole():
            return
        for file in (*self.files, state_file(self.states, 0), *state_files(self.states)):
            clear_unfinished(file)
        self.make()
        for file in state_files(self.states):
            self.forget_replaced(file)

    def open(self, rank: int) -> tuple[Progress, Progress]:
        """Read the states that an earlier pass left: what this process did of it, and what all did."""
        if self.states is None:
            return Progress(), Progress()
        self.state = state_file(self.states, rank)
        if self.is_whole():  # another pass made it while this one began
            return Progress(), Progress({number: {} for number in self.numbers})
        states = {file: self.read(file) for file in state_files(self.states)}
        self.so_far, own = states.get(self.state, (None, Progress()))
        return own, _together(states.values())

    def save(self, progress: Progress) -> None:
        """Write the state of this process, so that a kill loses nothing that is in it."""
        if self.state is not None and progress.done:
            self.write(self.state, progress)

    def finish(self) -> None:
        """Put the states of all processes together."""
        if self.states is None:
            return
        files = state_files(self.states)
        if not self.is_whole():
            states = [self.read(file) for file in files]
            every = _together(states)
            done = [every.done.get(number) for number in self.numbers]
            if None in done:
                raise KitError(
                    f'{done.count(None)} batches of the pass into "{shown(self.path)}" are missing; make the '
                    "same call again: it goes on."
                )
            self.complete([part for part, _ in states if part is not None], done, every.damaged)
        for file in files:
            file.unlink()

    @property
    def numbers(self) -> range:
        """Numbers of the batches."""
        return range(batches(self.images, self.request.batch))

    def rows(self, number: int) -> list[int]:
        """Numbers of the images of a batch."""
        return rows_of_batch(self.images, self.request.batch, number)

    def none_read(self, why: str) -> KitError:
        """The sentence on a set of which no image could be read."""
        return KitError(f"none of the {len(self.images)} images could be read. The first one: {why}")


def _together(states: Iterable[tuple[object, Progress]]) -> Progress:
    return reduce(Progress.__or__, (progress for _, progress in states), Progress())


def pass_over(keeper: PassKeeper):
    """What a keeper has of the pass that is asked of it: made now, gone on with, or read where it has ended.

    Raises:
        KitError: a file of another pass, or of somebody else, is in the way; another pass is writing there;
            images have been replaced since; no image can be read.
    """
    if keeper.lock is None or not agreed(_is_done(keeper)):
        on = nullcontext() if keeper.lock is None else alone(keeper.lock, keeper.what, keeper.look)
        asked = keeper.request
        with on, closing(keeper):
            go_over(asked.model, asked.images, asked.batch, keeper, keeper.kind, asked.workers)
    return keeper.result()


def _is_done(keeper: PassKeeper) -> bool:
    """Whether the pass has ended, and left nothing to tidy up but the lock of a process that is gone."""
    keeper.look()
    if not keeper.is_whole() or state_files(keeper.states):
        return False
    is_held(keeper.lock)
    return True
