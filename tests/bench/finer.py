"""The panels of notebooks 00 and 16 with models that look at 128 pixels, as seen in JupyterLab and Chromium.

`python -m tests.bench.finer` writes docs/bench/finer.md, with nothing else running. Seen is the time from a
hand's event to the frame after the last change of sentence and canvases.
"""

import argparse
from itertools import cycle
from statistics import median

from tests.bench.harness import save
from tests.bench.panels import SEEN, in_lab, table

ROUNDS, PICTURES = 15, 22  # rounds; pictures of the gallery that are taken in turn, more than are kept
CELLS = (
    """import kit
texts = ["a cat", "a dog", "a thing on grass"]
panels = [make("stickers-l8-128", texts=texts) for make in (kit.panels.Explorer, kit.panels.HeadTokens)]
panels[0]""",
    "panels[1]",
)
HEADS = "print(*[i for i, n in enumerate(panels[{}].views['grid'].widget.labels) if '.H' in n])"


def seen(rounds: int) -> str:
    """A table: from the event to the frame that shows all of it."""
    with in_lab(CELLS) as page:
        lines = [line for number in (0, 1) for line in _lines(page, number, rounds)]
    head = "| change | median ms | worst ms |"
    return table("stickers-l8-128, seen in JupyterLab and Chromium", rounds, head, lines)


def _lines(page, number: int, rounds: int) -> list[str]:
    from tests.browser import lab

    heads = cycle(map(int, lab.ask(page, HEADS.format(number)).split()))
    acts = {
        "a head, in the grid": lambda k: {"cell": next(heads)},
        "a new picture, in the menu": lambda k: {"menu": "picture", "value": 1 + k % PICTURES},
    }
    acts |= {"a word that is printed": lambda k: {"menu": "print", "value": 1 + k}} if number == 0 else {}
    page.locator(".loupe").nth(number).scroll_into_view_if_needed()
    lines = []
    for what, act in acts.items():
        times = [page.evaluate(SEEN, {"panel": number, **act(k)}) for k in range(rounds + 1)][1:]
        assert None not in times, f"{what}: nothing changed"
        name = ("notebook 00", "notebook 16")[number]
        lines.append(f"| {name}: {what} | {median(times):.0f} | {max(times):.0f} |")
    return lines


def main() -> None:
    """Measure, print, and write docs/bench/finer.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    chosen = parser.parse_args()
    tables = [seen(chosen.rounds)]
    print(*tables, sep="\n")
    if not chosen.dry:
        save("finer", tables)


if __name__ == "__main__":
    main()
