"""Lists in the paper's convention against a slow form of its code: `python -m tests.bench.released_lists`.

Writes docs/released_lists.md. Needs `KIT_REAL_WEIGHTS` for the real tower. Words choose towers, whose rows
are printed and not written. Where other work runs, set `OMP_NUM_THREADS=1`.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import kit
from kit.projections import Bank
from tests.bench.real_data import open_clip_layout, photographs, texts
from tests.bench.real_maps import table
from tests.exact.released import compared, heads_of, text_set

RANK, BATCH = 80, 32
PAGE = Path(__file__).parents[2] / "docs" / "released_lists.md"
HEAD = [
    "tower", "images", "heads", "bank", "texts a head", "equal", "behind ties", "equal, float32",
    "behind ties, float32", "the default instead",
]  # fmt: skip
INTRODUCTION = """# Lists of texts, held against the released algorithm

Made by `KIT_REAL_WEIGHTS=… python -m tests.bench.released_lists`. `kit.textspan(moments, bank,
score="released", rank=80, convention="paper")` is to give the lists of the first paper's released code, so
that they can be held against published ones. Here its picks stand beside those of the same algorithm
written out picture by picture (`tests/exact/released.py`), on the same parts in float32.

*equal* are picks that are the same, of all before the first tie of their head; a tie is two texts whose
variances differ by less than 1e-5 of the larger, which rounding decides, and what follows one in a list is
*behind ties*. Singular vectors are taken in float64, and in the last but one columns in float32 as the
released code takes them: a head has fewer directions than 80, so some are rounding, and they differ from
routine to routine. *The default instead* is `kit.textspan(moments, bank, rank=80)` on exact parts: other
bookkeeping, other lists. Heads are all of *stickers-l8*, those of the last four layers elsewhere; the texts
are the stickers bank, the names of ImageNet's classes, and random directions with seed 0.
"""


def towers() -> dict:
    """Name -> what gives model, images, bank and number of texts."""

    def stickers():
        model = kit.load("stickers-l8")
        return model, kit.world.draw(160, seed=3).images, Bank.stickers(model), 10

    def real():
        model = open_clip_layout()
        names, vectors = texts()
        return model, photographs()[0][:160], Bank(names, vectors, None, "class texts", model.weights_hash), 5

    def untrained():
        model = kit.load("ViT-B-16", "random")
        random = np.random.default_rng(0)
        images = [
            random.integers(0, 256, (14, 14, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
            for _ in range(96)
        ]
        return model, images, Bank.random(model, 1000), 5

    return {"stickers-l8": stickers, "real ViT-Ti": real, "random ViT-B-16": untrained}


def measured(make, name: str) -> list[str]:
    """The row of one tower."""
    model, images, bank, count = make()
    last = "L*.H*" if model.layers < 12 else f"L{model.layers - 4}-{model.layers - 1}.H*"
    moments = kit.collect(model, images, "moments", name, BATCH, last, convention="paper")
    exact = kit.collect(model, images, "moments", name, BATCH, last)
    names, values = heads_of(model, images, BATCH)
    found = kit.textspan(moments, bank, count, rank=RANK, convention="paper")
    plain = kit.textspan(exact, bank, count, rank=RANK)
    row = [name, str(len(images)), str(len(moments.parts)), str(len(bank.texts)), str(count)]
    for svd in (None, single):
        wanted = {
            part: text_set(values[:, names.index(part)], bank.vectors, count, RANK, svd)
            for part in moments.parts
        }
        ours, default = (compared(spans, wanted, bank.texts) for spans in (found, plain))
        row += [f"{ours['equal']} of {ours['of']}", str(ours["behind ties"])]
    return [*row, f"{default['equal']} of {default['of']}"]


def single(x: Tensor) -> Tensor:
    """Right singular vectors as the released code takes them: numpy's, in float32."""
    return torch.from_numpy(np.linalg.svd(x.numpy(), full_matrices=False)[2])


if __name__ == "__main__":
    words = sys.argv[1:]
    rows = []
    for name, make in towers().items():
        if not words or any(word in name for word in words):
            rows.append(measured(make, name))
            print(dict(zip(HEAD, rows[-1])), flush=True)
    if not words:
        PAGE.write_text(f"{INTRODUCTION}\n{table(HEAD, rows)}", encoding="utf-8")
