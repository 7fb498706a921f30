"""Whether labels that a method gives agree with the truth, and whether that could be chance."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.measures.intervals import Interval, bootstrap_interval

# Two attributes tell the same thing: the side of an object, alone in a scene or beside another.
ALSO = {"arrangement": ("relation", "position")}
ROLE_DRAWS = 500  # of `against_roles`, which is asked at every click


class Agreement(NamedTuple):
    """How many labels agree with the truth.

    Attributes:
        right: bool, one for each label.
        share: of labels that agree, with its bootstrap interval over labels.
        chance: the share that is reached when the truth is dealt out anew: mean, and the middle 95 %.
        p: share of such deals that reach as much as the labels do (the labels themselves count as one).
    """

    right: np.ndarray
    share: Interval
    chance: Interval
    p: float

    def says(self, things: str) -> str:
        """The finding in words.

        Example:
            >>> agreement(["colour", "size"], ["colour", "count"], seed=0).says("heads")
            '1 of 2 heads (50%, chance 0% to 50%)'
        """
        share, low, high = self.share.value, self.chance.low, self.chance.high
        chance = f"chance {low:.0%} to {high:.0%}"
        return f"{self.right.sum()} of {len(self.right)} {things} ({share:.0%}, {chance})"


def agreement(
    said: Sequence[str],
    true: Sequence[str],
    seed: int,
    *,
    also: Mapping[str, Sequence[str]] | None = None,
    draws: int = 2000,
) -> Agreement:
    """Share of labels that agree with the truth, beside the truth dealt out in random orders.

    Chance is not one over the number of labels: where most heads carry the background and most labels say
    so, a random order agrees often. So the control keeps both lists and only breaks who belongs to whom.

    Args:
        said: labels that a method gives.
        true: what they should be, in the same order.
        seed: of the resampling and of the random orders.
        also: truth -> other labels that are right for it.
        draws: number of resamplings, and of random orders.

    Returns:
        `Agreement`.

    Raises:
        KitError: no labels, or lists of different lengths.

    Example:
        >>> found = agreement(["colour", "size", "size"], ["colour", "size", "count"], seed=0)
        >>> found.right.tolist(), round(found.share.value, 2)
        ([True, True, False], 0.67)
    """
    if len(said) != len(true) or not len(said):
        raise KitError(f"{len(said)} labels for {len(true)} truths; give one for each, and at least one.")
    also = also or {}
    values = sorted(set(true))
    fits = np.array([[s == t or s in also.get(t, ()) for t in values] for s in said])  # [label, truth]
    codes = np.searchsorted(values, list(true))
    rows, rng = np.arange(len(said)), np.random.default_rng(seed)
    right = fits[rows, codes]
    dealt = np.array([fits[rows, rng.permutation(codes)].mean() for _ in range(draws)])
    low, high = np.quantile(dealt, [0.025, 0.975])
    return Agreement(
        right,
        bootstrap_interval(right.astype(float), seed, draws=draws),
        Interval(float(dealt.mean()), float(low), float(high)),
        float((1 + (dealt >= right.mean()).sum()) / (1 + draws)),
    )


def agreement_table(said, true, groups, seed: int, *, also: Mapping[str, Sequence[str]] | None = None):
    """Agreement and chance in each group of labels, see `agreement`.

    Args:
        said, true, seed, also: as of `agreement`.
        groups: of each label.

    Returns:
        One row for each group, in the order in which they come first: `labels` (how many), `agree`
        and `chance`, both with 95 % intervals, as they are read.

    Example:
        >>> agreement_table(["colour", "size", "size"], ["colour", "size", "count"], ["a", "a", "b"], seed=0)
           labels              agree             chance
        a       2  1.00 [1.00, 1.00]  0.50 [0.00, 1.00]
        b       1  0.00 [0.00, 0.00]  0.00 [0.00, 0.00]
    """
    said, true, groups = (np.asarray(each, dtype=object) for each in (said, true, groups))
    rows = {}
    for name in dict.fromkeys(groups):
        found = agreement(said[groups == name], true[groups == name], seed, also=also)
        rows[name] = {
            "labels": len(found.right), "agree": found.share.told(), "chance": found.chance.told()
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")


def fits_role(said: str, role: str) -> bool | None:
    """Whether a property tells a part's role; None where one of them is not known.

    Example:
        >>> fits_role("colour", "colour"), fits_role("relation", "arrangement"), fits_role("", "size")
        (True, True, None)
    """
    return said == role or said in ALSO.get(role, ()) if said and role else None


def against_roles(said: Sequence[str], roles: Sequence[str], seed: int = 0) -> tuple[list[str], str]:
    """What is said of each head beside its true role.

    Args:
        said: what a method says that each head is about; "" where nothing is said.
        roles: the true roles, such as of `kit.parts.roles.strongest_roles`; "" where none is known.
        seed: as of `agreement`.

    Returns:
        For each head "✓" where both agree, "✗" with the role where not, "" where one is not known; and how
        many agree, in words, or "" where nothing can be compared.

    Example:
        >>> against_roles(["colour", "size", ""], ["colour", "arrangement", "word"])
        (['✓', '✗ arrangement', ''], '1 of 2 heads (50%, chance 0% to 50%)')
    """
    right = [fits_role(*pair) for pair in zip(said, roles, strict=True)]
    marks = ["" if r is None else "✓" if r else f"✗ {role}" for r, role in zip(right, roles)]
    known = [pair for pair, r in zip(zip(said, roles), right) if r is not None]
    told = agreement(*zip(*known), seed=seed, also=ALSO, draws=ROLE_DRAWS).says("heads") if known else ""
    return marks, told


def rank_agreement(values, truth, seed: int, draws: int = 300) -> Interval:
    """Spearman's rank correlation of two numbers of the same things, with its bootstrap interval over these.

    Args:
        values, truth: [thing], finite; of three things or more.
        seed: of the bootstrap.
        draws: how often things are drawn again.

    Raises:
        KitError: other shapes, values that are not finite.

    Example:
        >>> rank_agreement([1, 2, 3, 4], [1, 4, 9, 16], seed=0).value
        1.0
    """
    both = np.stack([np.asarray(values, dtype=float), np.asarray(truth, dtype=float)])
    if both.ndim != 2 or both.shape[1] < 3 or not np.isfinite(both).all():
        raise KitError(f"give two rows of finite numbers for three things or more, not {both.shape}.")
    count = both.shape[1]
    rows = np.random.default_rng(seed).integers(0, count, (draws, count))
    found = [_spearman(*both), *(_spearman(*both[:, some]) for some in rows)]
    low, high = np.nanquantile(found[1:], [0.025, 0.975])
    return Interval(found[0], float(low), float(high))


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation, ties at their middle rank; 0 where one of the two never varies."""
    one, other = (_ranks(each) - (len(each) + 1) / 2 for each in (one, other))
    length = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / length) if length else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties at the middle of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[places]
