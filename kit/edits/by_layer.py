"""Answers with the attention of more and more layers replaced: figure 2 of paper 1, and its complement."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.edits.ablation import ablate
from kit.edits.answers import Answers
from kit.errors import KitError, nearest
from kit.models.model import Model
from kit.parts.means import Means
from kit.parts.runs import Run
from kit.parts.selector import select
from kit.parts.stores import Store

FORWARD, BACK, ALONE = WAYS = "layers 0 to k", "layers k to the last", "layer k alone"


def layer_selectors(layers: int) -> dict[str, list[str]]:
    """For each way through the layers the selectors of the attention that is replaced, one for each layer k.

    Example:
        >>> layer_selectors(2)["layers k to the last"]
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
        ways: which layers go: 0 to k, k to the last, or k alone, for each k in turn.

    Returns:
        Way -> selector -> bool [image]; the first of each way is `"none"`, nothing replaced.

    Raises:
        KitError: another way; see `Answers.after`.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, figure 2, is the way "layers 0 to k".

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> store = kit.collect(model, kit.world.draw(8, seed=1), "store", "8 scenes")
        >>> found = by_layer(kit.edits.ask(model, store, "concept"), kit.edits.Means.of(store))
        >>> list(found["layer k alone"])[:3]
        ['none', 'L0.attn', 'L1.attn']
    """
    selectors = layer_selectors(int(question.index["layer"].max()) + 1)
    if unknown := [way for way in ways if way not in selectors]:
        hint = nearest(unknown[0], WAYS)
        raise KitError(f'no way "{unknown[0]}" through the layers; there are {", ".join(WAYS)}.{hint}')
    return {way: {s: question.right(s, means=means) for s in ("none", *selectors[way])} for way in ways}


def effects_by_layer(
    model: Model, run: Run, question: Answers, kind: str, means: Means | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """Whether each image is answered right without one layer's attention or MLP, directly and in total.

    Args:
        model: that gave the answers.
        run: of the images that are asked, in their order.
        question: put to these images.
        kind: "attn" or "MLP".
        means: what stands in their place; None takes those that a shipped model comes with.

    Returns:
        "direct" and "total" -> layer, such as "L0" -> bool [image].

    Raises:
        KitError: a run of other images; see `kit.ablate`.

    Example:
        >>> import kit
        >>> model, scenes = kit.load("stickers-l8"), kit.world.draw(8, seed=1)
        >>> asked = kit.edits.ask(model, kit.collect(model, scenes, "store", "8 scenes"), "background")
        >>> run = kit.run(model, model.preprocess(scenes.images))
        >>> found = effects_by_layer(model, run, asked, "MLP")
        >>> {effect: len(layers) for effect, layers in found.items()}
        {'direct': 6, 'total': 6}
    """
    if len(run.pixels) != len(question):
        raise KitError(f"a run of {len(run.pixels)} images, but {len(question)} are asked; run these.")
    found: dict[str, dict[str, np.ndarray]] = {"direct": {}, "total": {}}
    for effect, layers in found.items():
        for layer in range(model.layers):
            after = ablate(model, run, f"L{layer}.{kind}", effect=effect, means=means).embedding
            layers[f"L{layer}"] = question.judged(after @ question.directions.T)
    return found


def lost_by_layer(store: Store, attribute: str, seed: int, draws: int = 20) -> dict[str, np.ndarray]:
    """How well a linear classifier reads a label as whole layers go from the sum, the last layer first.

    The classifier (ridge regression of the labels on the representation, over its length) learns from every
    other image and judges the rest; parts that go are replaced by their means over the images that it learned
    from. Parts between layers go with the layer before them; what stands before all layers goes last.

    Args:
        store: all parts of labelled images, constants apart.
        attribute: a column of the store's labels.
        seed: of the random orders.
        draws: how many.

    Returns:
        Accuracy with none, one, two … layers gone, [step]: "last first", and "random", the mean over orders
        in which as many parts go at each step.

    Raises:
        KitError: no such label, or fewer than twenty labelled images.

    Source:
        Balasubramanian et al. 2024, arXiv 2406.01583, layer ablation. Differs in: means are of other images
        than those that are judged, and a random order stands beside it.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-deit")
        >>> store = kit.collect(model, kit.world.draw(40, seed=1), "store", "40 scenes")
        >>> len(lost_by_layer(store, "background", seed=0)["random"])
        8
    """
    if attribute not in store.labels:
        known = ", ".join(map(str, store.labels.columns))
        raise KitError(f'the images of "{store.name}" have no label "{attribute}"; they have {known}.')
    labels = store.labels[attribute]
    known = np.flatnonzero(labels.notna().to_numpy())
    if len(known) < 20:
        raise KitError(f'{len(known)} images of "{store.name}" have a "{attribute}"; 20 are the fewest.')
    parts = store.vectors(known).double()  # [image, part, dim]
    whole = store.cosines(torch.eye(parts.shape[2]), known).double()  # [image, dim]
    codes = torch.from_numpy(pd.factorize(labels.iloc[known])[0].copy())
    learns = torch.arange(len(known)) % 2 == 0
    weights, full = _linear(whole, codes, learns)
    says = ((parts - parts[learns].mean(0))[~learns] @ weights).transpose(0, 1)  # [part, image, class]
    truth = codes[~learns]

    def accuracies(order: list[int]) -> list[float]:
        gone = (full - says[order[:end]].sum(0) for end in ends)
        return [float(left.argmax(1).eq(truth).double().mean()) for left in gone]

    layer = store.index["layer"].astype("Float64").ffill().fillna(-1).to_numpy(dtype=float)
    back = np.argsort(-layer, kind="stable")
    ends = [0, *np.cumsum(np.unique(-layer, return_counts=True)[1])]
    rng = np.random.default_rng(seed)
    drawn = [accuracies(rng.permutation(back).tolist()) for _ in range(draws)]
    return {"last first": np.array(accuracies(back.tolist())), "random": np.mean(drawn, axis=0)}


def _linear(inputs: Tensor, codes: Tensor, learns: Tensor) -> tuple[Tensor, Tensor]:
    """A linear classifier [dim, class] from some images, and what it says of the others, [image, class]."""
    middle, wanted = inputs[learns].mean(0), torch.nn.functional.one_hot(codes).double()
    inside, base = inputs[learns] - middle, wanted[learns].mean(0)
    gram = inside.T @ inside
    penalty = 0.1 * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    weights = torch.linalg.solve(gram + penalty, inside.T @ (wanted[learns] - base))
    return weights, (inputs[~learns] - middle) @ weights + base


def place_of(index: pd.DataFrame, selector: str) -> tuple[str, int] | None:
    """The way through the layers, and the layer, whose attention is all that a selector names.

    Args:
        index: parts, as `parts.index`.
        selector: of parts, however they are written.

    Returns:
        "layers 0 to k" or "layers k to the last", with k; None where the parts are others.

    Raises:
        KitError: a part that is not there.

    Example:
        >>> index = pd.DataFrame({"name": ["L0.H0", "L1.H0"], "kind": "head", "layer": [0, 1], "head": 0})
        >>> place_of(index, "L0.H0"), place_of(index, "L1.attn"), place_of(index, "none")
        (('layers 0 to k', 0), ('layers k to the last', 1), None)
    """
    rows, ways = select(index, selector), layer_selectors(int(index["layer"].max()) + 1)
    for way in (FORWARD, BACK):
        for layer, other in enumerate(ways[way]):
            if rows and rows == select(index, other):
                return way, layer
    return None
