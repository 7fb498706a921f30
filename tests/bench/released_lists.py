"""Lists in the paper's convention against a slow form of its code: `python -m tests.bench.released_lists`.

Prints, for each tower, how many picks at rank 80 are those of the released algorithm on the same float32
parts: with singular vectors in float64, and in float32 as the released code takes them, where those of
rounding differ from routine to routine. Needs `KIT_REAL_WEIGHTS` for the real tower. Words choose towers.
"""

import sys

import numpy as np
import torch

import kit
from kit.projections import Bank
from tests.bench.real_data import open_clip_layout, photographs, texts
from tests.exact.released import compared, heads_of, text_set

RANK, BATCH = 80, 32


def towers() -> dict:
    """Name -> what gives model, images, bank and number of texts."""

    def stickers():
        model = kit.load("stickers-l8")
        return model, list(kit.world.draw(160, seed=3).images.numpy()), Bank.stickers(model), 10

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


def measured(make, name: str) -> str:
    """One line on one tower."""
    model, images, bank, count = make()
    last = "L*.H*" if model.layers < 12 else f"L{model.layers - 4}-{model.layers - 1}.H*"
    images = [
        image if not isinstance(image, np.ndarray) or image.shape[-1] == 3 else torch.from_numpy(image)
        for image in images
    ]
    moments = kit.collect(model, images, "moments", name, BATCH, last, convention="paper")
    names, values = heads_of(model, images, BATCH)
    places = [names.index(part) for part in moments.parts]
    found = kit.textspan(moments, bank, count, rank=RANK, convention="paper")
    plain = kit.textspan(kit.collect(model, images, "moments", name, BATCH, last), bank, count, rank=RANK)
    single = lambda x: torch.from_numpy(np.linalg.svd(x.numpy(), full_matrices=False)[2])  # noqa: E731
    said = [name, f"{len(images)} images, {len(places)} heads, {count} texts"]
    for what, svd in (("float64", None), ("float32", single)):
        wanted = {
            part: text_set(values[:, at], bank.vectors, count, RANK, svd)
            for part, at in zip(moments.parts, places)
        }
        ours, default = (compared(spans, wanted, bank.texts) for spans in (found, plain))
        said.append(f"{what}: {ours}, default {default['equal']}")
    return "; ".join(said)


if __name__ == "__main__":
    for name, make in towers().items():
        if len(sys.argv) < 2 or any(word in name for word in sys.argv[1:]):
            print(measured(make, name), flush=True)
