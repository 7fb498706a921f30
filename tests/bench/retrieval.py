"""Cost of ranking a gallery by what every head wrote, and of a click in notebook 14's panel.

`python -m tests.bench.retrieval` writes docs/bench/retrieval.md; times with nothing else running.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from statistics import median

import numpy as np
import torch

import kit
from kit.retrieval import FULL, Gallery
from tests.bench.harness import save, settings
from tests.wire import messages

IMAGES = 5000
CHANGES = {
    "another head": [{"part": f"L{layer}.H{head}"} for layer in range(6) for head in range(6)],
    "another query": [{"query": f"image {n}"} for n in range(3, 60)],
    "another attribute": [{"attribute": "colour"}, {"attribute": "background"}],
    "another random head": [{"other": n} for n in range(1, 40)],
    "raw, product, centred": [{"how": "raw"}, {"how": "product"}, {"how": "centred"}],
}


def wide_store(model, folder: str):
    """A store of 5,000 images and all 144 heads of the shape of ViT-B-16, of random numbers."""
    pixels = torch.zeros(2, 3, *model.image_size)
    small = kit.collect(model, pixels.to(torch.uint8), "store", "two", path=f"{folder}/two", selector="L*.H*")
    generator, arrays = np.random.default_rng(0), {}
    for key, array in small.arrays.items():
        path = f"{folder}/{key}.npy"
        made = np.lib.format.open_memmap(path, "w+", array.dtype, (IMAGES, *array.shape[1:]))
        for some in np.array_split(np.arange(IMAGES), 50):
            numbers = generator.standard_normal((len(some), *array.shape[1:]), dtype=np.float32)
            made[some] = np.abs(numbers) + 0.5 if key == "scalars" else numbers
        made.flush()
        arrays[key] = np.load(path, mmap_mode="r")
    return replace(small, arrays=arrays, rows=np.arange(IMAGES), name=f"{IMAGES:,} of random numbers")


def rankings(gallery: Gallery, rounds: int) -> list[str]:
    """Lines of a table: all spaces ranked for one query after another."""
    lines = []
    for how in ("product", "raw", "centred"):
        begin = time.perf_counter()
        gallery.lengths(how == "centred")
        once = time.perf_counter() - begin
        times = []
        for number in range(rounds + 1):
            begin = time.perf_counter()
            query = gallery.query(number)
            scores = gallery.scores(query, how)
            for space in (*gallery.heads["name"], FULL):
                gallery.best(scores, query, space, 10)
            times.append(time.perf_counter() - begin)
        middle, low, high = (f"{1000 * of(times[1:]):.0f}" for of in (median, min, max))
        heads = len(gallery.heads)
        lines.append(f"| {how}, {heads} heads | {middle} | {low}–{high} | {1000 * once:.0f} |")
    return lines


def clicks(model, scenes, store, rounds: int) -> list[str]:
    """Lines of a table: changes of the panel that were not made before."""
    panel, lines = kit.panels.Retrieval(model, scenes, store), []
    for what, changes in CHANGES.items():
        times, sizes, before = [], [], model.passes.total()
        for change in changes[: rounds + 1]:
            begin = time.perf_counter()
            with messages() as sent:
                panel.choose(**change)
            times.append(time.perf_counter() - begin)
            sizes.append(sum(sent))
            assert not panel.message, panel.message
        middle, low, high = (f"{1000 * of(times):.0f}" for of in (median, min, max))
        calls = model.passes.total() - before
        lines.append(f"| {what} | {middle} | {low}–{high} | {max(sizes) / 1000:.1f} | {calls} |")
    return lines


def measure(rounds: int) -> list[str]:
    """Two tables."""
    model = kit.load("stickers-l8")
    scenes = kit.world.draw(IMAGES, 81_410, kind="single")
    with tempfile.TemporaryDirectory() as folder:
        store = kit.collect(model, scenes, "store", f"{IMAGES:,} scenes", selector="L*", path=f"{folder}/s")
        wide = kit.load("ViT-B-16", pretrained="random", config={"vision_cfg": {"image_size": 32}})
        facts = settings(rounds=rounds, images=IMAGES)
        said = ", ".join(f"{key} {value}" for key, value in facts.items())
        first = [
            "## All heads, layers and the whole ranked for one query, the ten nearest of each head",
            "",
            f"{said[:1].upper()}{said[1:]}. *Once*: lengths of all images, before the first query.",
            "",
            "| compared by, model | median ms | range | once ms |",
            "|---|---|---|---|",
            *_named("stickers-l8", rankings(Gallery(store), rounds)),
            *_named("ViT-B-16", rankings(Gallery(wide_store(wide, folder)), rounds)),
            "",
        ]
        second = [
            f"## A change in the panel, {IMAGES:,} images of stickers-l8, nothing of it computed before",
            "",
            "| change | median ms | range | most kB sent | calls of a tower |",
            "|---|---|---|---|---|",
            *clicks(model, scenes, store, rounds),
            "",
        ]
    return ["\n".join(first), "\n".join(second)]


def _named(name: str, lines: list[str]) -> list[str]:
    return [line.replace(" heads |", f" heads of {name} |") for line in lines]


def main() -> None:
    """Measure, print, and write docs/bench/retrieval.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    chosen = parser.parse_args()
    torch.set_num_threads(2)
    tables = measure(chosen.rounds)
    print("\n".join(tables))
    if not chosen.dry:
        save("retrieval", tables)


if __name__ == "__main__":
    main()
