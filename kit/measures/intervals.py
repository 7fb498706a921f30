"""Bootstrap intervals: how far a figure would move with other images."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.numbers import number


class Interval(NamedTuple):
    """A figure and the interval around it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return self.told(3)

    def told(self, digits: int = 2, sign: bool = False) -> str:
        """The figure and its interval as they are written in tables.

        Args:
            digits: decimals.
            sign: whether what is not negative has a plus, as a change has.

        Example:
            >>> Interval(0.12, -0.001, 0.25).told(sign=True)
            '+0.12 [+0.00, +0.25]'
        """
        value, low, high = (number(each, digits=digits, sign=sign) for each in self)
        return f"{value} [{low}, {high}]"


def _column(values, what: str) -> np.ndarray:
    """Finite numbers, float64 [batch]."""
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or len(column) == 0:
        raise KitError(f"{what} should be [batch] with at least one value, but the shape is {column.shape}.")
    if not np.isfinite(column).all():
        raise KitError(f"{what} holds values that are not finite; leave these images out, and say how many.")
    return column


def _group_means(values: np.ndarray, groups: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean over groups of the group's mean, [draw]; counts: how often each image is taken, [draw, batch].

    A group of which a draw took no image is left out of that draw.
    """
    inside = groups[:, None] == np.unique(groups)[None]  # [batch, group]
    taken = counts @ inside  # [draw, group]
    sums = (counts * values) @ inside
    means = np.divide(sums, taken, out=np.full_like(sums, np.nan), where=taken > 0)
    return np.nanmean(means, axis=1)


def _resampled(values: np.ndarray, rng: np.random.Generator, draws: int, groups=None) -> np.ndarray:
    """The figure on `draws` resampled sets of images, [draw]."""
    found = []
    for low in range(0, draws, 100):  # in blocks, so that memory stays bounded
        size = (min(100, draws - low), len(values))
        chosen = rng.integers(len(values), size=size)
        if groups is None:
            found.append(values[chosen].mean(1))
            continue
        counts = np.zeros(size)
        np.add.at(counts, (np.arange(size[0])[:, None], chosen), 1.0)
        found.append(_group_means(values, groups, counts))
    return np.concatenate(found)


def _around(value: float, found: np.ndarray, level: float) -> Interval:
    tail = (1 - level) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high))


def bootstrap_interval(values, seed: int, *, groups=None, draws: int = 2000, level: float = 0.95) -> Interval:
    """The mean of a figure over images, with its bootstrap interval.

    Images are drawn again with replacement, and the interval holds the middle
    of the means that come out (percentile bootstrap). For the difference of two
    conditions on the same images pass the differences: they are then paired.

    Args:
        values: one number per image, [batch]; 0 and 1 for an accuracy.
        seed: of the resampling.
        groups: class or group of each image, [batch]: the figure is then the mean over groups of each
            group's mean, so that rare groups count as much as frequent ones.
        draws: how many times the images are drawn again.
        level: share of the draws inside the interval.

    Returns:
        `Interval(value, low, high)`, in the unit of the values.

    Raises:
        KitError: no values, values that are not finite, or groups of another length.

    Source:
        Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.

    Example:
        >>> bootstrap_interval([1.0, 1.0, 0.0, 1.0], seed=0).value
        0.75
    """
    values, rng = _column(values, "values"), np.random.default_rng(seed)
    if groups is None:
        return _around(values.mean(), _resampled(values, rng, draws), level)
    groups = np.asarray(groups)
    if groups.shape != values.shape:
        raise KitError(f"{len(values)} values but groups of shape {groups.shape}; give one group per image.")
    value = _group_means(values, groups, np.ones((1, len(values))))[0]
    return _around(value, _resampled(values, rng, draws, groups), level)


def bootstrap_gap(one, other, seed: int, *, draws: int = 2000, level: float = 0.95) -> Interval:
    """Mean of one set of images minus the mean of another, each resampled on its own.

    Args:
        one: one number per image, [batch].
        other: one number per image of the other set, [batch].
        seed: of the resampling.
        draws: how many times the images are drawn again.
        level: share of the draws inside the interval.

    Returns:
        `Interval(value, low, high)` of the difference.

    Raises:
        KitError: a set is empty or holds values that are not finite.

    Example:
        >>> bootstrap_gap([1.0, 1.0], [1.0, 0.0], seed=0).value
        0.5
    """
    one, other, rng = _column(one, "one"), _column(other, "other"), np.random.default_rng(seed)
    found = _resampled(one, rng, draws) - _resampled(other, rng, draws)
    return _around(one.mean() - other.mean(), found, level)


def beside_random(values: pd.Series, chosen, seed: int, *, draws: int = 2000) -> pd.Series:
    """The mean of some chosen numbers beside that of as many others drawn at random: a permutation test.

    Args:
        values: a number for each thing, by its name.
        chosen: names of some of them.
        seed: of the drawing; chosen things can be drawn too.
        draws: how often as many are drawn.

    Returns:
        `chosen` (how many), `theirs` (their mean), `random` (mean over the draws), `95 % of random` (below
        which 95 % of the draws stay).

    Example:
        >>> float(beside_random(pd.Series({"a": 1.0, "b": 0.0, "c": 0.0}), ["a"], seed=0)["theirs"])
        1.0
    """
    rng, held = np.random.default_rng(seed), values.to_numpy(dtype=np.float64)
    drawn = np.array([rng.choice(held, len(chosen), replace=False).mean() for _ in range(draws)])
    found = len(chosen), values[list(chosen)].mean(), drawn.mean(), np.quantile(drawn, 0.95)
    return pd.Series(found, index=["chosen", "theirs", "random", "95 % of random"], dtype=float)
