"""What replacing parts costs in accuracy, with intervals: questions, and one question along the layers."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from kit.edits.answers import Answers
from kit.edits.by_layer import WAYS, by_layer
from kit.measures.answers import Changed
from kit.measures.changes import changes, resampled
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


def compare_edits(
    question: Answers, edits: Mapping[str, str | tuple[str, str | None]], means: Means | None = None, seed=0
) -> pd.DataFrame:
    """Accuracy of one question after several edits, each against the first, paired by image.

    Args:
        question: put to a store.
        edits: name -> the parts that are replaced; or these, and the heads of which what they read at the
            class token is replaced (`cls` of `Answers.after`).
        means: what stands in their place.
        seed: of the bootstrap.

    Returns:
        One row for each edit, as `kit.measures.changes`.

    Raises:
        KitError: no edit; see `Answers.after`.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> store = kit.collect(model, kit.world.draw(8, seed=1), "store", "8 scenes")
        >>> asked = kit.edits.ask(model, store, "background")
        >>> compare_edits(asked, {"nothing": "none", "late heads": "L5.attn"}).index.tolist()
        ['nothing', 'late heads']
    """
    both = {name: (edit, None) if isinstance(edit, str) else edit for name, edit in edits.items()}
    right = {name: question.judged(question.after(off, means, cls)) for name, (off, cls) in both.items()}
    return changes(right, seed)


def compare_questions(
    questions: Iterable[Answers], selector: str, other: str = "none", means: Means | None = None, seed=0
) -> pd.DataFrame:
    """Accuracy of each question with some parts replaced, against other parts replaced, paired by image.

    Args:
        questions: put to a store.
        selector: the parts that are replaced.
        other: those whose replacement it is compared with.
        means, seed: as of `compare_edits`.

    Returns:
        One row for each question, as `kit.measures.changes`.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> store = kit.collect(model, kit.world.draw(8, seed=1), "store", "8 scenes")
        >>> compare_questions([kit.edits.ask(model, store, "background")], "none")["change"].tolist()
        [0.0]
    """
    edits = {"other": other, "this": selector}
    rows = {each.name: compare_edits(each, edits, means, seed).loc["this"] for each in questions}
    return pd.DataFrame(rows).T


def compare_means(question: Answers, selector: str, sets: Mapping[str, Means | None], seed=0) -> pd.DataFrame:
    """Accuracy of one question with the same parts replaced by means over several sets, paired by image.

    Args:
        question, selector, seed: as of `compare_questions`.
        sets: name -> means; None is zero. Each is compared with the first.

    Returns:
        One row for each set, as `kit.measures.changes`.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> store = kit.collect(model, kit.world.draw(8, seed=1), "store", "8 scenes")
        >>> asked = kit.edits.ask(model, store, "background")
        >>> compare_means(asked, "L5.attn", {"these": Means.of(store), "zero": None}).index.tolist()
        ['these', 'zero']
    """
    return changes({name: question.right(selector, means=each) for name, each in sets.items()}, seed)


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
