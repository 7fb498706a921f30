"""Cost of TextSpan for one head: from stored moments, with their accumulation, and as released.

The released form, written out: singular vectors of all images, texts projected on the leading ones, then at
each step all images times all texts, and both deflated. Its rate in GFLOP/s says how well it is served.
"""

import argparse
import time

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from kit.parts import Moments
from kit.projections import Bank, textspan
from tests.bench.harness import alternate, save, settings, table

EMBED, TEXTS, PICKS, HEAD_DIM = 512, 3498, 20, 64


def released(x: Tensor, texts: Tensor) -> tuple[list[int], float, float]:
    """The picks of the paper's algorithm with full matrices, float32; seconds of the singular vectors, and
    of the steps."""
    start = time.perf_counter()
    span = torch.linalg.svd(x, full_matrices=False).Vh[:HEAD_DIM]
    middle = time.perf_counter()
    texts, x, picked = texts @ span.T @ span, x - x.mean(0), []
    for _ in range(PICKS):
        picked.append(int((x @ texts.T).std(0).argmax()))
        unit = normalize(texts[picked[-1]], dim=0)
        x, texts = x - torch.outer(x @ unit, unit), texts - torch.outer(texts @ unit, unit)
    return picked, middle - start, time.perf_counter() - middle


def flops(images: int) -> float:
    """Operations of the matrix products of images and texts in the steps of `released`."""
    return 2.0 * PICKS * images * EMBED * TEXTS


def accumulated(coordinates: Tensor, gain: Tensor) -> Moments:
    """Moments of one head's coordinates [image, coordinate], which its gain takes to the embedding."""
    values = coordinates.double()
    mean = values.mean(0)
    covariance = (values - mean).T @ (values - mean) / len(values)
    index = pd.DataFrame({"name": ["L0.H0"], "kind": ["head"], "layer": [0], "head": [0]})
    return Moments("noise", "none", "0" * 64, len(values), index, mean[None], covariance[None], gain[None])


def case(images: int) -> tuple[Tensor, Tensor, Bank]:
    """Coordinates with falling variances, the gain of a head, and a bank, all random."""
    noise = torch.Generator().manual_seed(0)
    sizes = torch.linspace(2, 0.1, HEAD_DIM)
    coordinates = torch.randn(images, HEAD_DIM, generator=noise) * sizes + 0.3
    gain = torch.randn(HEAD_DIM, EMBED, generator=noise) / EMBED**0.5
    vectors = normalize(torch.randn(TEXTS, EMBED, generator=noise), dim=-1)
    return coordinates, gain, Bank([str(i) for i in range(TEXTS)], vectors, name="random")


def measure(images: int, rounds: int) -> str:
    """The table of one number of images, with the rate of the released form."""
    coordinates, gain, bank = case(images)
    x, moments = coordinates @ gain, accumulated(coordinates, gain)
    found = textspan(moments, bank, PICKS).table
    picked, vectors, steps = released(x, bank.vectors)
    fast = alternate(
        {
            "from stored moments": lambda: textspan(moments, bank, PICKS),
            "with accumulation": lambda: textspan(accumulated(coordinates, gain), bank, PICKS),
        },
        rounds,
    )
    same = [int(t) for t in found["text"]] == picked
    ratios = {name: f"{(vectors + steps) / fast[name]['seconds']:.0f} ×" for name in list(fast)[:2]}
    stated = settings(
        images=images,
        embed=EMBED,
        texts=TEXTS,
        picks=PICKS,
        head_dim=HEAD_DIM,
        rounds=rounds,
        **{
            "released form once: singular vectors, seconds": f"{vectors:.1f}",
            "its steps, seconds": f"{steps:.1f}",
            "GFLOP/s of the steps": f"{flops(images) / steps / 1e9:.0f}",
            "faster from stored moments": ratios["from stored moments"],
            "faster with accumulation": ratios["with accumulation"],
            "same picks": "yes" if same else "no",
        },
    )
    return table(fast, f"{images:,} images", stated)


def main() -> None:
    """Measure and write docs/bench/textspan.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    tables = []
    for images in chosen.images:
        tables.append(measure(images, chosen.rounds))
        print(tables[-1], flush=True)
    if not chosen.dry:
        print(save("textspan", tables))


if __name__ == "__main__":
    main()
