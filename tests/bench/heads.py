"""Cost of a change in notebook 12's panel: every head redrawn, nothing of it computed before.

`python -m tests.bench.heads` writes docs/bench/heads.md; times with nothing else running.
"""

import argparse
import time
from statistics import median

import torch

import kit
from tests.bench.harness import save, settings
from tests.wire import messages

SCENES, TEXTS = 1000, 20
CHANGES = {
    "another number of texts": [{"texts": TEXTS}, {"texts": TEXTS - 1}],
    "another bank": [{"bank": "random directions"}, {"bank": "stickers grammar"}],
    "other images": [{"images": "size: large"}, {"images": "all images"}],
    "another score": [{"score": "variance"}, {"score": "released"}],
    "another head": [{"part": "L2.H3"}, {"part": "L5.H0"}],
}


def measure(rounds: int) -> str:
    """A table: milliseconds in the kernel, bytes, and calls of the towers."""
    model = kit.load("stickers-l8")
    scenes = kit.world.draw(SCENES, 81_001, kind="single")
    store = kit.collect(model, scenes, "store", f"{SCENES} scenes", selector="L*.H*")
    panel = kit.panels.Spans(model, scenes, store)
    panel.choose(texts=TEXTS)
    lines = []
    for what, changes in CHANGES.items():
        times, sizes, before = [], [], model.passes.total()
        for k in range(rounds + 1):
            panel._kept.clear()
            begin = time.perf_counter()
            with messages() as sent:
                panel.choose(**changes[k % 2])
            times.append(time.perf_counter() - begin)
            sizes.append(sum(sent))
            assert not panel.message, panel.message
        middle, low, high = (f"{1000 * of(times[1:]):.0f}" for of in (median, min, max))
        calls = model.passes.total() - before
        lines.append(f"| {what} | {middle} | {low}–{high} | {max(sizes) / 1000:.1f} | {calls} |")
    facts = settings(rounds=rounds, images=SCENES, heads=len(panel.heads), texts=TEXTS)
    said = ", ".join(f"{key} {value}" for key, value in facts.items())
    head = "| change | median ms | range | most kB sent | calls of a tower |"
    heading = "## stickers-l8, all heads redrawn, nothing kept from before"
    return "\n".join(
        [heading, "", f"{said[:1].upper()}{said[1:]}.", "", head, "|---|---|---|---|---|", *lines, ""]
    )


def main() -> None:
    """Measure, print, and write docs/bench/heads.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    chosen = parser.parse_args()
    torch.set_num_threads(2)
    table = measure(chosen.rounds)
    print(table)
    if not chosen.dry:
        save("heads", [table])


if __name__ == "__main__":
    main()
