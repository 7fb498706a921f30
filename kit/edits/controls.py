"""Controls of mean ablation: roles of other heads, and names of other answers."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from kit.edits.answers import Answers
from kit.errors import KitError
from kit.parts.means import Means


def crossing(
    asked: Mapping[str, Answers], shares: pd.DataFrame, heads: int, means: Means | None = None
) -> float:
    """How much more two questions lose with their own heads than with each other's: the smaller of the two.

    The heads of a question are those of which its attribute explains most. A number above zero says that
    *each* question loses more with its own heads: roles cross.

    Args:
        asked: two questions by the attribute that they ask for.
        shares: of a head's variance that an attribute explains, [head, attribute].
        heads: how many heads of each attribute are replaced.
        means: what stands in their place, as for `Answers.after`.

    Returns:
        A difference of accuracies, 0-1.

    Raises:
        KitError: not two questions.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> store = kit.collect(model, kit.world.draw(40, seed=1), "store", "40 scenes")
        >>> asked = {name: kit.edits.ask(model, store, name) for name in ("concept", "background")}
        >>> heads = kit.roles(model).query("kind == 'head'")
        >>> crossing(asked, heads.pivot(index="part", columns="attribute", values="share"), 36)
        0.0
    """
    if len(asked) != 2:
        raise KitError(f"roles of two questions cross, but there are {len(asked)}; give two.")
    chosen = {name: ", ".join(shares[name].nlargest(heads).index) for name in asked}
    right = {
        (a, b): question.right(chosen[b], means=means).mean() for a, question in asked.items() for b in asked
    }
    one, other = asked
    return float(min(right[one, other] - right[one, one], right[other, one] - right[other, other]))


def shuffled_crossings(
    asked: Mapping[str, Answers], shares: pd.DataFrame, heads: int, means: Means | None = None,
    within_layers: bool = False, draws: int = 100, seed: int = 0,
) -> np.ndarray:  # fmt: skip
    """`crossing` with the roles shuffled among the heads, [draw]: what it is by chance.

    Args:
        asked, shares, heads, means: as of `crossing`.
        within_layers: whether a head takes the role of one of its own layer alone.
        draws: how many shuffles.
        seed: of the shuffles.
    """
    names, rng = shares.index.to_numpy().astype(str), np.random.default_rng(seed)
    layers = pd.factorize(pd.Series(names).str.partition(".")[0])[0]
    found = []
    for _ in range(draws):
        drawn = rng.permutation(len(names))
        if within_layers:  # places of a layer, in order, take its heads in the drawn order
            drawn = drawn[np.argsort(layers[drawn], kind="stable")]
            drawn = drawn[np.argsort(np.argsort(layers, kind="stable"))]
        found.append(crossing(asked, shares.set_axis(names[drawn]), heads, means))
    return np.array(found)


def other_names(
    question: Answers, edits: Mapping[str, str], means: Means | None = None, draws: int = 200, seed: int = 0
) -> pd.Series:
    """A permutation test: the share of shuffles of the answers' names that are as accurate as the true names.

    A model that tells images apart, but whose names mean nothing, is as accurate with other names.

    Args:
        question: put to a store.
        edits: name -> the parts that are replaced.
        means: what stands in their place.
        draws: how many shuffles; the same for each edit.
        seed: of the shuffles.

    Returns:
        For each edit a share, 0-1.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> store = kit.collect(model, kit.world.draw(40, seed=1), "store", "40 scenes")
        >>> asked = kit.edits.ask(model, store, "background")
        >>> other_names(asked, {"nothing": "none"}).to_dict()
        {'nothing': 0.0}
    """
    rng, classes = np.random.default_rng(seed), len(question.classes)
    orders = torch.from_numpy(np.stack([rng.permutation(classes) for _ in range(draws)]))  # [draw, class]
    shares = {}
    for name, selector in edits.items():
        said = question.best(question.after(selector, means)).argmax(1)
        renamed = (orders[:, said] == question.truth).double().mean(1)  # [draw]
        true = (said == question.truth).double().mean()
        shares[name] = float((renamed >= true).double().mean())
    return pd.Series(shares)
