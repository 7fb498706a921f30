"""Passes that are killed, started twice, or whose files are damaged, in processes forked from one that has
imported: `python -m tests.exact.forks FOLDER COUNT` prints what came of it as JSON.

A moment is the n-th time that a process opens, renames, removes or makes something below its folder, which
Python tells an audit hook; n is drawn from a seed that is named.
"""

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import kit
from kit.data import passes, read_folder
from kit.errors import KitError
from kit.parts import collect, load_means, load_moments, load_store
from tests.unit.tiny_models import write_folder

SEED = 22
KEPT = ("store", "moments", "means")
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir"}
DONE, REFUSED = 0, 3
BATCH = 3


def pictures(folder: Path) -> Path:
    """Eleven pictures, of which one is none, in class folders whose names look like numbers."""
    values = np.random.default_rng(0)
    for number in range(11):
        place = folder / ("001" if number % 2 else "1")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(
            place / f"{number:02d}.bmp"
        )
    (folder / "1" / "04.bmp").write_bytes(b"no picture")
    return folder


def die(_) -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def numbers(kept) -> dict[str, bytes]:
    """Everything that was collected."""
    if hasattr(kept, "arrays"):
        labels = json.dumps([kept.files, kept.damaged, kept.name, kept.labels.to_dict("list")])
        held = {key: array.tobytes() for key, array in kept.arrays.items()}
        return held | {"labels": labels.encode(), "index": kept.index.to_csv().encode()}
    return {key: value.double().numpy().tobytes() for key, value in kept.tensors.items()}


class Forks:
    """Children that make the same pass, into folders of their own.

    Args:
        folder: for everything.
    """

    def __init__(self, folder: Path):
        self.folder, self.random = folder, random.Random(SEED)
        self.model = kit.load(str(write_folder(folder / "model")))
        self.pictures = pictures(folder / "pictures")
        self.plain, self.whole, self.moments = {}, {}, {}
        for keep in KEPT:
            out = folder / "plain" / keep
            made = self.make(keep, out)  # here, so that the model's record is made once for all children
            self.whole[keep] = numbers(made)
            self.plain[keep] = contents(out)
            counted = self.start(keep, folder / "counted" / keep, at=0)
            self.moments[keep] = int(self.wait(counted)[1])

    def make(self, keep: str, out: Path):
        """The pass."""
        images = read_folder(self.pictures)
        return collect(self.model, images, keep, "pictures", BATCH, path=out / "kept")

    def load(self, keep: str, out: Path):
        """What a pass left, read again."""
        read = {"store": load_store, "moments": load_moments, "means": load_means}
        return read[keep](self.model, out / "kept")

    def start(self, keep: str, out: Path, at: int | None = None, act: Callable | None = None):
        """A child that makes the pass; at a moment it calls `act`. Its number, and where it writes a line."""
        out.mkdir(parents=True, exist_ok=True)
        said, tell = os.pipe()
        child = os.fork()
        if child:
            os.close(tell)
            return child, said
        count = 0

        def hook(event: str, arguments: tuple) -> None:
            nonlocal count
            if event in EVENTS and str(arguments[0]).startswith(str(out)):
                count += 1
                if count == at:
                    act(tell)

        if at is not None:
            sys.addaudithook(hook)
        try:
            self.make(keep, out)
            status, line = DONE, str(count)
        except KitError as error:
            status, line = REFUSED, str(error)
        os.write(tell, line.encode())
        os._exit(status)

    def wait(self, started) -> tuple[int, str]:
        """How a child ended, and what it said."""
        child, said = started
        with os.fdopen(said) as file:
            line = file.read()
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), line

    def moment(self, keep: str) -> int:
        return self.random.randint(1, self.moments[keep])

    def kills(self, count: int) -> list[dict]:
        """Children killed at a moment, some of them twice; then the same call in peace."""
        found = []
        for number in range(count):
            keep, out = KEPT[number % 3], self.folder / f"kill-{number}"
            times = 1 + number % 2
            ends = [self.wait(self.start(keep, out, self.moment(keep), die)) for _ in range(times)]
            last = self.wait(self.start(keep, out))
            same = contents(out) == self.plain[keep]
            found.append({"keep": keep, "killed": [end for end, _ in ends], "last": last, "same": same})
        return found

    def doubles(self, count: int) -> list[dict]:
        """A child that stands still at a moment, a second one that begins meanwhile, and both at once."""
        found = []
        for number in range(count):
            keep, out = KEPT[number % 3], self.folder / f"double-{number}"
            gate, opened = os.pipe()

            def stand(tell: int, gate: int = gate) -> None:
                os.write(tell, b"here ")
                os.read(gate, 1)

            first = self.start(keep, out, self.moment(keep), stand) if number % 4 else self.start(keep, out)
            if number % 4:
                assert os.read(first[1], 5) == b"here "
            second = self.wait(self.start(keep, out))
            os.write(opened, b"!")
            one, other = self.wait(first), second
            os.close(gate), os.close(opened)
            named = f"process {first[0]} on" in other[1]
            again = self.wait(self.start(keep, out))
            same = contents(out) == self.plain[keep]
            found.append({"first": one, "second": other, "named": named, "again": again, "same": same})
        return found

    def flips(self, count: int) -> list[dict]:
        """A byte changed in a file of a pass that has ended, or of one that was killed."""
        found = []
        for number in range(count):
            keep, out = KEPT[number % 3], self.folder / f"flip-{number}"
            half = number % 2 == 1
            at = self.moments[keep] * self.random.randint(50, 65) // 100 if half else None
            self.wait(self.start(keep, out, at, die))
            files = [
                p for p in sorted(out.rglob("*")) if p.is_file() and p.stat().st_size and p.suffix != ".tmp"
            ]
            file = self.random.choice([p for p in files if not p.name.endswith(".lock")])
            content = bytearray(file.read_bytes())
            place = self.random.randrange(len(content))
            content[place] ^= self.random.randint(1, 255)
            file.write_bytes(content)
            said = ""
            try:
                kept = self.make(keep, out) if half or number % 4 else self.load(keep, out)
                same = numbers(kept) == self.whole[keep] and (contents(out) == self.plain[keep] or not half)
            except KitError as error:
                same, said = False, str(error)
            where = f"{file.relative_to(out)} at {place}"
            found.append({"keep": keep, "half": half, "where": where, "same": same, "said": said})
        return found


def main(folder: str, count: str) -> None:
    """Run all of it."""
    torch.set_num_threads(1)
    passes.SAVE_EVERY = 0.0  # after every batch
    os.fsync = lambda _: None  # it guards against a loss of power, which no test can bring about
    forks = Forks(Path(folder))
    found = {name: getattr(forks, name)(int(count)) for name in ("kills", "doubles", "flips")}
    shutil.rmtree(folder)
    print(json.dumps(found | {"moments": forks.moments}))


if __name__ == "__main__":
    main(*sys.argv[1:])
