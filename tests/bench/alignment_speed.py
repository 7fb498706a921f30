"""One epoch of maps on cached parts against taking every picture apart again: docs/bench/alignment.md.

`python -m tests.bench.alignment_speed`. The released code of paper 2 decomposes its pictures in every epoch.
Here the decomposition is the kit's own, which is the faster one, so the ratio is what caching alone saves.
"""

import torch

import kit
from kit.projections import fit
from tests.bench.harness import REPORTS, alternate, settings

COUNT, SOME, BATCHES = 2048, 512, (256, 32)  # pictures of an epoch; those that are taken apart for the time
NAMES = ("stickers-deit", "stickers-swin")


def decomposed(model, pixels: torch.Tensor, batch: int) -> None:
    """Parts of pictures, in batches, as each epoch would need them."""
    for some in pixels.split(batch):
        kit.run(model, some, tokens=False).vectors()


def ratios(name: str) -> dict[str, dict]:
    """Times of one epoch of `COUNT` pictures, cached parts first."""
    model, scenes = kit.load(name), kit.world.draw(SOME, 1)
    pixels = model.preprocess(scenes)
    parts = kit.run(model, pixels[:64], tokens=False)
    varies = [i for i, kind in enumerate(parts.index["kind"]) if kind != "bias"]
    cached = parts.vectors()[:, varies].repeat(COUNT // 64, 1, 1)
    cached = cached + 0.1 * torch.randn(cached.shape, generator=torch.Generator().manual_seed(0))
    target = torch.nn.functional.normalize(cached.sum(1)[:, :96], dim=-1)

    def epochs(count: int) -> None:
        fit("cosine", cached, target, epochs=count)

    times = alternate({"one": lambda: epochs(1), "five": lambda: epochs(5)}, rounds=5)
    epoch = (times["five"]["seconds"] - times["one"]["seconds"]) / 4
    apart = {f"batch {b}": lambda b=b: decomposed(model, pixels, b) for b in BATCHES}
    again = alternate(apart, rounds=3, warmup=1)
    found = {key: again[key]["seconds"] * COUNT / SOME for key in apart}
    return {"epoch on cached parts": epoch, **found}


def main() -> None:
    """Measure and write the page."""
    lines = ["# Maps on cached parts\n", __doc__.split("\n\n", 1)[1].strip() + "\n"]
    lines.append(
        f"One epoch of {COUNT:,} pictures, kind “cosine”, batch 256 of the fit; seconds and ratios.\n"
    )
    lines.append(
        "| tower | cached | taken apart again, batch 256 | batch 32 (the paper's) |\n|---|---|---|---|"
    )
    for name in NAMES:
        one, *rest = ratios(name).values()
        told = " | ".join(f"{each:.1f} s, {each / one:.0f} ×" for each in rest)
        lines.append(f"| {name} | {one:.2f} s | {told} |")
    told = "; ".join(f"{key} {value}" for key, value in settings().items())
    lines.append(f"\nMeasured: {told}.")
    (REPORTS / "alignment.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
