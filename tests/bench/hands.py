"""What a hand does in notebook 00's panel, each time with another head or other prompts."""

from collections.abc import Callable
from itertools import cycle, permutations

import kit

PROMPTS = ("a cat", "a dog", "a red thing", "a thing on grass")


def explorer(model):
    """The panel with four prompts, whose vectors and the first picture's run are cached from here on."""
    return kit.panels.Explorer(model, texts=PROMPTS)


def hands(panel) -> dict[str, Callable[[], None]]:
    """By name: functions that each make one change as the widgets of the browser do."""
    heat, grid, bars = (panel.views[name].widget for name in ("map", "grid", "bars"))
    heads = cycle([i for i, label in enumerate(grid.labels) if ".H" in label])
    orders = cycle("; ".join(texts) for n in (3, 2) for texts in permutations(PROMPTS, n))
    tokens = cycle(range(len(heat.labels)))
    return {
        "another head": lambda: setattr(grid, "picked", [next(heads)]),
        "other prompts, all cached": lambda: setattr(panel.controls["texts"], "value", next(orders)),
        "another prompt chosen": lambda: setattr(bars, "text", 1 - min(1, bars.text)),
        "a token picked": lambda: setattr(heat, "picked", [next(tokens)]),
        "switched off, or on again": panel.controls["switch"].click,
    }
