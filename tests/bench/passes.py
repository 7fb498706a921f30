"""Cost of a pass over picture files: time against plain encoding, size of what is kept, peak memory."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

import kit
from kit.data.reading import Read
from tests.bench.harness import alternate, save, settings, table

TOWERS = {"stickers-l8": {}, "ViT-B-16": {"pretrained": "random"}}
CASES = (("stickers-l8", 64, 1024), ("stickers-l8", 8, 512), ("ViT-B-16", 8, 32))  # tower, batch, images
KEPT = ("moments", "store", "means")
LARGE = "ViT-L-14"
COUNTS = (1000, 10_000)
PEAKS = 3  # processes of each kind


class Noise:
    """Pictures that are made as they are asked for, so that none stays in memory."""

    damaged = root = None

    def __init__(self, count: int, size: int = 64):
        self.count, self.size = count, size
        self.names = [str(n) for n in range(count)]
        self.labels = pd.DataFrame(index=range(count))
        self.digest = f"noise {count}"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> np.ndarray:
        values = np.random.default_rng(number)
        return values.integers(0, 256, (self.size, self.size, 3), dtype=np.uint8)

    def read(self, number: int) -> Read:
        return Read(Image.fromarray(self[number]), "")

    def stamp(self, number: int) -> None:
        return None


def measure(name: str, batch: int, images: int, rounds: int, clock) -> str:
    """Times of one tower: plain encoding of the same files, then each kind of pass, written and hashed."""
    model = kit.load(name, **TOWERS[name])
    noise = Noise(images, 2 * model.image_size[0])
    with tempfile.TemporaryDirectory() as folder:
        place, made = Path(folder) / "pictures", iter(range(10_000))
        place.mkdir()
        for number in range(len(noise)):
            Image.fromarray(noise[number]).save(place / f"{number:04d}.jpg", quality=90)
        paths = sorted(place.iterdir())
        size = sum(path.stat().st_size for path in paths) / len(paths) / 1024

        def encode():
            for start in range(0, len(paths), batch):
                model.encode_image(model.preprocess(paths[start : start + batch]))

        def collect(keep: str):
            files = kit.data.read_folder(place)
            return lambda: kit.collect(
                model, files, keep, "noise", batch, path=Path(folder) / str(next(made))
            )

        found = alternate(
            {"plain encoding": encode, **{keep: collect(keep) for keep in KEPT}}, rounds, 1, clock=clock
        )
    about = settings(
        images=len(paths), kib_each=round(size), batch=batch, rounds=rounds, clock=clock.__name__
    )
    return table(found, f"{name}, batch {batch}", about)


def sizes() -> str:
    """Bytes of the moments of a large tower's last four layers, and of its stores."""
    model = kit.load(LARGE, "random")
    moments = kit.collect(model, Noise(4, 224), "moments", "noise", selector="L-4:.H*")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "moments"
        moments.save(path)
        size = path.stat().st_size
        kept = {}
        for selector in ("L-4:.H*", "L*.H*", "all, !bias"):
            store = kit.collect(
                model, Noise(4, 224), "store", "noise", selector=selector, path=f"{path}-{len(kept)}"
            )
            kept[selector] = sum(array.nbytes for array in store.arrays.values()) / 4
    rows = [
        f"| store of {selector}, each image | {count / 1024:,.1f} KiB |" for selector, count in kept.items()
    ]
    head = [f"## State, {LARGE}", "", "| what | size |", "|---|---|"]
    return "\n".join([*head, f"| moments of the last four layers | {size / 2**20:.2f} MiB |", *rows, ""])


def memory() -> str:
    """Peak memory of a process that makes a pass, at two numbers of images."""
    rows = []
    for keep in ("moments", "store"):
        for count in COUNTS:
            command = [sys.executable, "-m", "tests.bench.passes", "--peak", keep, str(count)]
            runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(PEAKS)]
            peaks = sorted(int(run.stdout.split()[-1]) / 1024 for run in runs)
            spread = f"{peaks[0]:,.0f}–{peaks[-1]:,.0f}"
            rows.append(f"| {keep} | {count:,} | {peaks[len(peaks) // 2]:,.0f} | {spread} |")
    head = [
        "## Peak memory of the process, stickers-l8, batch 64",
        "",
        f"| pass | images | median of {PEAKS}, MiB | range |",
        "|---|---|---|---|",
    ]
    note = "Pages of a store's own files, which are mapped into memory and written back, count in its peak."
    return "\n".join([*head, *rows, "", note, ""])


def peak(keep: str, count: int) -> None:
    """Make one pass and print the peak of this process in KiB (Linux).

    `ru_maxrss` would do elsewhere, but on Linux a process begins with that of the one that started it.
    """
    model = kit.load("stickers-l8")
    with tempfile.TemporaryDirectory() as folder:
        kit.collect(model, Noise(count), keep, "noise", path=Path(folder) / "kept")
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def main() -> None:
    """Measure and write docs/bench/passes.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--busy", action="store_true", help="count this process's seconds, where others run")
    parser.add_argument("--only", nargs="+", choices=TOWERS, help="times of these alone")
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    parser.add_argument("--peak", nargs=2, metavar=("KEEP", "IMAGES"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.peak:
        peak(chosen.peak[0], int(chosen.peak[1]))
        return
    clock = time.process_time if chosen.busy else time.perf_counter
    cases = [case for case in CASES if not chosen.only or case[0] in chosen.only]
    tables = [measure(*case, chosen.rounds, clock) for case in cases]
    tables += [] if chosen.only else [sizes(), memory()]
    print("\n".join(tables))
    if not (chosen.dry or chosen.only or chosen.busy):
        print(save("passes", tables))


if __name__ == "__main__":
    main()
