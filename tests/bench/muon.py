"""A step of the matrices' optimiser: torch's in bfloat16, and the training's own in float32.

`python -m tests.bench.muon` writes docs/bench/muon.md; times with nothing else running.
"""

import argparse

import torch

from kit.workshop.training.muon import Muon
from tests.bench.harness import alternate, save, settings, table

SHAPES = [(384, 128), (128, 128), (512, 128), (128, 512)] * 6  # of stickers-deit's six layers


def optimiser(ours: bool) -> torch.optim.Optimizer:
    """One over random matrices with random gradients."""
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator)
    if ours:
        return Muon(params, 1e-3, 0.05)
    return torch.optim.Muon(params, lr=1e-3, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")


def main() -> None:
    """Measure, print, and write docs/bench/muon.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    stated = settings(rounds=chosen.rounds, matrices=len(SHAPES))
    steps = {
        "torch.optim.Muon": optimiser(False).step,
        "kit.workshop.training.muon.Muon": optimiser(True).step,
    }
    found = table(alternate(steps, chosen.rounds), "One step of 24 matrices, width 128", stated)
    print(found)
    if not chosen.dry:
        save("muon", [found])


if __name__ == "__main__":
    main()
