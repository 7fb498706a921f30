"""Cost of a pass over images: time against plain encoding, size of what is kept, peak memory."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import kit
from tests.bench.harness import alternate, save, settings, table

TOWERS = {"stickers-l8": {}, "ViT-B-16": {"pretrained": "random"}}
IMAGES = {"stickers-l8": 512, "ViT-B-16": 16}
BATCH = 8
LARGE = "ViT-L-14"
COUNTS = (1000, 10_000)
PEAKS = 3  # processes of each kind


class Noise:
    """Pictures that are made as they are asked for, so that none stays in memory."""

    damaged = None

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

    def content(self, number: int) -> bytes:
        return bytes(32)


def measure(name: str, rounds: int) -> str:
    """Times of one tower: plain encoding of the same pictures, then each kind of pass."""
    model = kit.load(name, **TOWERS[name])
    images = Noise(IMAGES[name], model.image_size[0])

    def encode():
        for start in range(0, len(images), BATCH):
            pictures = [images[n] for n in range(start, min(start + BATCH, len(images)))]
            model.encode_image(model.preprocess(pictures))

    with tempfile.TemporaryDirectory() as folder:
        made = iter(range(10_000))
        kinds = {
            "moments": lambda: kit.collect(model, images, "moments", "noise", BATCH),
            "store": lambda: kit.collect(
                model, images, "store", "noise", BATCH, path=Path(folder) / str(next(made))
            ),
            "means": lambda: kit.collect(model, images, "means", "noise", BATCH),
        }
        found = alternate({"plain encoding": encode, **kinds}, rounds, warmup=1)
    return table(found, name, settings(images=len(images), batch=BATCH, rounds=rounds))


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
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    parser.add_argument("--peak", nargs=2, metavar=("KEEP", "IMAGES"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.peak:
        peak(chosen.peak[0], int(chosen.peak[1]))
        return
    tables = [*(measure(name, chosen.rounds) for name in TOWERS), sizes(), memory()]
    print("\n".join(tables))
    if not chosen.dry:
        print(save("passes", tables))


if __name__ == "__main__":
    main()
