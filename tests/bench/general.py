"""Cost of taking hierarchies and plain towers apart, and the memory that it takes, at full size."""

import argparse
import ctypes
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

import kit
from tests.bench.harness import alternate, save, settings, table

TOWERS = (
    "timm/deit_small_patch16_224",
    "timm/vit_small_patch14_reg4_dinov2",
    "timm/swin_tiny_patch4_window7_224",
    "timm/swinv2_tiny_window8_256",
    "timm/maxvit_tiny_tf_224",
)
LIBRARY = "library forward"


def workloads(name: str, batch: int) -> dict[str, Callable]:
    """What is timed, by name; the library's own forward without gradients first."""
    model = kit.load(name, pretrained="random", device="cpu")
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randn(batch, 3, *model.image_size, generator=noise)
    directions = torch.nn.functional.normalize(torch.randn(8, model.embed_dim, generator=noise), dim=-1)

    def library():
        with torch.no_grad():
            model.tower(pixels)

    return {
        LIBRARY: library,
        "scores by head, 1 direction": lambda: kit.scores(model, pixels, directions[:1]),
        "scores by head, 8 directions": lambda: kit.scores(model, pixels, directions),
        "scores by head and token, 1 direction": lambda: kit.scores(
            model, pixels, directions[:1], by="token"
        ),
        "vectors by head": lambda: kit.run(model, pixels, tokens=False).vectors(),
    }


def peak(name: str, batch: int, what: str) -> float:
    """Most memory that `what` takes over what the process held before, in a process of its own, in MiB."""
    command = [sys.executable, "-m", "tests.bench.general", name, "--batch", str(batch), "--peak", what]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def held(kind: str) -> float:
    """Memory of this process in MiB: `"VmRSS"` now, `"VmHWM"` at most since the last reset (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(kind)).split()[1]) / 1024


def measure_peak(work: Callable) -> float:
    """What `work` takes at most once it has run before (recording a tower takes more than running it)."""
    work()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what recording needed goes back to the machine
    Path("/proc/self/clear_refs").write_text("5")  # the mark of most memory starts anew
    before = held("VmRSS")
    for _ in range(3):
        work()
    return held("VmHWM") - before


def memory_table(name: str, batch: int) -> str:
    """Peak memory of each workload as markdown."""
    lines = ["| what | memory taken while it runs, MiB |", "|---|---|"]
    lines += [f"| {what} | {peak(name, batch, what):.0f} |" for what in workloads(name, batch)]
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure the named towers (all, unless some are named) and write docs/bench/general.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("towers", nargs="*", help=f"of {', '.join(TOWERS)}")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    parser.add_argument("--peak", help="do this one workload and print the memory it takes")
    chosen = parser.parse_args()
    torch.set_num_threads(2)
    if chosen.peak:
        work = workloads(chosen.towers[0], chosen.batch)[chosen.peak]
        print(measure_peak(work))
        return
    tables = []
    for name in chosen.towers or TOWERS:
        stated = settings(batch=chosen.batch, rounds=chosen.rounds)
        times = alternate(workloads(name, chosen.batch), rounds=chosen.rounds)
        tables.append(table(times, f"{name}, batch {chosen.batch}", stated))
        tables.append(memory_table(name, chosen.batch))
        print("\n".join(tables[-2:]), flush=True)
    if not chosen.dry:
        print(save("general", tables))


if __name__ == "__main__":
    main()
