"""What replacing parts costs in accuracy, with intervals: questions, and one question along the layers."""

from collections.abc import Iterable

import numpy as np

from kit.edits.answers import Answers
from kit.edits.by_layer import WAYS, by_layer
from kit.measures.answers import Changed
from kit.measures.changes import resampled
from kit.numbers import number
from kit.parts.means import Means

TERMS = 6  # of a selector that a sentence writes


def costs(
    questions: Iterable[Answers], selector: str, means: Means | None = None, cls: str | None = None, seed=0
) -> np.ndarray:
    """Accuracy of questions as it is, and with parts replaced, with 95 % intervals by bootstrap over images.

    Args:
        questions: put to a store.
        selector, means, cls: the parts and what stands in their place, as for `Answers.after`.
        seed: of the resampling.

    Returns:
        [question, (as it is, replaced), (value, low, high)].

    Raises:
        KitError: see `Answers.after`.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> store = kit.collect(model, kit.world.draw(8, seed=1), "store", "8 scenes")
        >>> costs([kit.edits.ask(model, store, "background")], "L5.attn").shape
        (1, 2, 3)
    """
    found = []
    for each in questions:
        right = np.stack([each.right(), each.judged(each.after(selector, means, cls))], 1)  # [image, when]
        found.append(resampled(len(each), seed).intervals(right))
    return np.array(found)


def layer_costs(
    question: Answers, means: Means | None = None, ways: tuple[str, ...] = WAYS, seed=0
) -> dict[str, np.ndarray]:
    """Accuracy along the layers: what `by_layer` finds, for each way [layer, (value, low, high)]."""
    draws, found = resampled(len(question), seed), by_layer(question, means, ways)
    right = {way: np.stack(list(each.values())[1:], 1) for way, each in found.items()}  # [image, layer]
    return {way: np.array(draws.intervals(each)) for way, each in right.items()}


def says(
    question: Answers, selector: str, means: Means | None, cls: str | None, accuracy, changed: Changed
) -> str:
    """What `costs` found of a question, in a sentence.

    Args:
        question, selector, means, cls: as of `costs`.
        accuracy: before and after, 0-1.
        changed: answers that changed.
    """
    count, (was, now), (lost, won, _) = len(question.parts_of(selector)), accuracy, changed.counts
    if not count and cls is None:
        return f"Nothing is replaced: ‘{question.name}’ is answered rightly on {100 * was:.1f} %."
    terms = selector.split(", ")
    more = f" and {len(terms) - TERMS} more" * (len(terms) > TERMS)
    parts = f"{count} of {len(question.index)} parts ({', '.join(terms[:TERMS])}{more})"
    what = [parts] * bool(count) + ["what heads read at the class token"] * bool(cls)
    change = number(100 * (now - was), digits=1, sign=True)
    return (
        f"With {' and '.join(what)} replaced by {f'means over {means.name}' if means else 'zero'}, "
        f"‘{question.name}’ goes from {100 * was:.1f} % to {100 * now:.1f} % ({change} points): "
        f"{lost} answers became wrong, {won} right."
    )
