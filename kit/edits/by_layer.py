"""Answers with the attention of more and more layers replaced: figure 2 of paper 1, and its complement."""

import numpy as np
import pandas as pd

from kit.edits.answers import Answers
from kit.errors import KitError, nearest
from kit.parts.means import Means
from kit.parts.selector import select

FORWARD, BACK, ALONE = WAYS = "layers 0 to l", "layers l to last", "layer l alone"


def layer_selectors(layers: int) -> dict[str, list[str]]:
    """For each way through the layers the selectors of the attention that is replaced, one for each layer l.

    Example:
        >>> layer_selectors(2)["layers l to last"]
        ['L0-1.attn', 'L1-1.attn']
    """
    every, last = range(layers), layers - 1
    return {
        FORWARD: [f"L0-{n}.attn" for n in every],
        BACK: [f"L{n}-{last}.attn" for n in every],
        ALONE: [f"L{n}.attn" for n in every],
    }


def by_layer(
    question: Answers, means: Means | None = None, ways: tuple[str, ...] = WAYS
) -> dict[str, dict[str, np.ndarray]]:
    """Whether each image is answered right with the attention of some layers replaced, all else left.

    Args:
        question: put to the images of a store that keeps the heads of all layers.
        means: what stands in the place of the heads, as for `Answers.after`.
        ways: which layers go: 0 to l, l to the last, or l alone, for each l in turn.

    Returns:
        Way -> selector -> bool [image]; the first of each way is `"none"`, nothing replaced.

    Raises:
        KitError: another way; see `Answers.after`.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, figure 2, is the way "layers 0 to l".

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> store = kit.collect(model, kit.world.draw(8, seed=1), "store", "8 scenes")
        >>> found = by_layer(kit.edits.ask(model, store, "concept"), kit.edits.Means.of(store))
        >>> list(found["layer l alone"])[:3]
        ['none', 'L0.attn', 'L1.attn']
    """
    selectors = layer_selectors(int(question.index["layer"].max()) + 1)
    if unknown := [way for way in ways if way not in selectors]:
        hint = nearest(unknown[0], WAYS)
        raise KitError(f'no way "{unknown[0]}" through the layers; there are {", ".join(WAYS)}.{hint}')
    return {way: {s: question.right(s, means=means) for s in ("none", *selectors[way])} for way in ways}


def place_of(index: pd.DataFrame, selector: str) -> tuple[str, int] | None:
    """The way through the layers, and the layer, whose attention is all that a selector names.

    Args:
        index: parts, as `parts.index`.
        selector: of parts, however they are written.

    Returns:
        "layers 0 to l" or "layers l to last", with l; None where the parts are others.

    Raises:
        KitError: a part that is not there.

    Example:
        >>> index = pd.DataFrame({"name": ["L0.H0", "L1.H0"], "kind": "head", "layer": [0, 1], "head": 0})
        >>> place_of(index, "L0.H0"), place_of(index, "L1.attn"), place_of(index, "none")
        (('layers 0 to l', 0), ('layers l to last', 1), None)
    """
    rows, ways = select(index, selector), layer_selectors(int(index["layer"].max()) + 1)
    for way in (FORWARD, BACK):
        for layer, other in enumerate(ways[way]):
            if rows and rows == select(index, other):
                return way, layer
    return None
