"""What an intervention changes: figures before and after on the same images, with paired intervals."""

from functools import lru_cache

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.measures.intervals import Interval, _around, _column
from kit.numbers import number

DRAWS = 2000


class Resampled:
    """Sets of images drawn again with replacement, kept, so that many figures share them.

    Each figure then costs one matrix product; `interval` gives what `bootstrap_interval` gives for the
    same seed, and differences of figures are paired because the draws are the same.

    Args:
        images: how many there are.
        seed: of the resampling.
        draws: how many times the images are drawn again.

    Raises:
        KitError: no image.

    Example:
        >>> Resampled(4, seed=0).interval([1.0, 1.0, 0.0, 1.0]).value
        0.75
    """

    def __init__(self, images: int, seed: int, draws: int = DRAWS):
        if images < 1:
            raise KitError("no image to draw again; give at least one.")
        self.images, rng = images, np.random.default_rng(seed)
        self._counts = np.zeros((draws, images), dtype=np.float32)
        for low in range(0, draws, 100):  # the blocks of `bootstrap_interval`, so that draws are the same
            size = (min(100, draws - low), images)
            chosen = rng.integers(images, size=size)
            np.add.at(self._counts[low : low + size[0]], (np.arange(size[0])[:, None], chosen), 1.0)

    def interval(self, values, level: float = 0.95) -> Interval:
        """Mean of a figure over images, [image], with its interval."""
        return self.intervals(_column(values, "values")[:, None], level)[0]

    def intervals(self, values: np.ndarray, level: float = 0.95) -> list[Interval]:
        """`interval` of several figures of the same images, [image, figure], in one product."""
        values = np.asarray(values, dtype=np.float64)
        found = self.sums(values) / self.images  # [draw, figure]
        return [_around(mean, drawn, level) for mean, drawn in zip(values.mean(0), found.T, strict=True)]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums of numbers of each image, [image, number], over the images of each draw, [draw, number].

        For figures that are no means over images, such as a ratio of two sums.
        """
        if len(values) != self.images:
            raise KitError(f"{len(values)} values, but {self.images} images were drawn again.")
        return self._counts.astype(np.float64) @ np.asarray(values, dtype=np.float64)


@lru_cache(maxsize=8)
def resampled(images: int, seed: int) -> Resampled:
    """The same draws for the same number of images and seed; kept, for they take a moment to make."""
    return Resampled(images, seed)


def changes(figures: dict, seed: int) -> pd.DataFrame:
    """A figure of each image under several conditions, each against the first, paired by image.

    Args:
        figures: name of the condition -> one number for each image, [image] (0 and 1 for right and wrong);
            the first is what the others are compared with.
        seed: of the resampling.

    Returns:
        One row for each condition: `value`, `low`, `high` of its mean; `change`, `change_low`,
        `change_high` of its mean minus that of the first.

    Raises:
        KitError: no condition, or conditions of different images.

    Example:
        >>> table = changes({"before": [1.0, 1.0, 0.0, 1.0], "after": [1.0, 0.0, 0.0, 1.0]}, seed=0)
        >>> table.change.tolist()
        [0.0, -0.25]
    """
    if not figures:
        raise KitError("no condition was given; name at least one.")
    columns = {name: _column(values, name) for name, values in figures.items()}
    first, *_ = columns.values()
    for name, values in columns.items():
        if len(values) != len(first):
            raise KitError(
                f'"{name}" has {len(values)} images, but "{next(iter(columns))}" has {len(first)}; '
                "give every condition the same images."
            )
    draws, rows = resampled(len(first), seed), []
    for values in columns.values():
        found, change = draws.interval(values), draws.interval(values - first)
        rows.append([*found, *change])
    names = ["value", "low", "high", "change", "change_low", "change_high"]
    return pd.DataFrame(rows, index=list(columns), columns=names)


def in_percent(table: pd.DataFrame, digits: int = 1) -> pd.DataFrame:
    """A table of `changes` as it is read: accuracy in per cent, changes in points, each with its interval.

    Example:
        >>> in_percent(changes({"before": [1.0, 1.0], "after": [1.0, 1.0]}, seed=0)).loc["after"].tolist()
        ['100.0 [100.0, 100.0]', '+0.0 [+0.0, +0.0]']
    """

    def words(names: list[str], sign: bool) -> list[str]:
        told = [
            [number(v, digits=digits, sign=sign) for v in row] for row in 100 * table[names].to_numpy(float)
        ]
        return [f"{value} [{low}, {high}]" for value, low, high in told]

    return pd.DataFrame(
        {
            "accuracy, %": words(["value", "low", "high"], False),
            "change, points": words(["change", "change_low", "change_high"], True),
        },
        index=table.index,
    )
