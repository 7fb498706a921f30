"""Accuracy by group: the worst, plain and reweighted averages, before and after an edit, with intervals."""

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.measures.intervals import Interval
from kit.numbers import listed, number

WORST, AVERAGE, WEIGHTED = "worst group", "average", "average by training shares"
TAILS = (0.025, 0.975)


class GroupBootstrap:
    """Images drawn again once, for every condition that is measured on them: so all figures are paired.

    A group of which a draw took no image is left out of that draw.

    Args:
        groups: name of each image's group, [image].
        seed: of the resampling.
        shares: group -> its share of the training set; None leaves the reweighted average out.
        draws: how many times the images are drawn again.

    Attributes:
        groups: names of the groups, sorted.
        rows: what is measured: the groups, the worst of them, the average over images, and the average of
            the groups weighted by the shares.
        sizes: images of each group.

    Raises:
        KitError: no image, or shares that do not name every group.

    Source:
        Sagawa et al. 2020, arXiv 1911.08731: worst-group accuracy, and the average weighted by the sizes of
        the training groups where the test set is balanced otherwise.

    Example:
        >>> of = GroupBootstrap(["a", "a", "b", "b"], seed=0)
        >>> dict(zip(of.rows, of.values([1, 1, 0, 1]).tolist()))
        {'a': 1.0, 'b': 0.5, 'worst group': 0.5, 'average': 0.75}
    """

    def __init__(self, groups, seed: int, shares: dict[str, float] | None = None, draws: int = 2000):
        names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        if codes.ndim != 1 or len(codes) == 0:
            raise KitError("groups should be [image] with at least one image.")
        self.groups = names.tolist()
        self._inside = np.eye(len(names), dtype=np.float32)[codes]  # [image, group]
        self.sizes = self._inside.sum(0).astype(int)
        self.shares = None if shares is None else self._checked(shares)
        self.rows = [*self.groups, WORST, AVERAGE, *([] if shares is None else [WEIGHTED])]
        rng, n = np.random.default_rng(seed), len(codes)
        self._counts = np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(draws)])
        self._counts = self._counts.astype(np.float32)  # how often each image is taken, [draw, image]
        self._taken = self._counts @ self._inside  # [draw, group]

    def _checked(self, shares: dict[str, float]) -> np.ndarray:
        if missing := [g for g in self.groups if g not in shares]:
            known = ", ".join(shares)
            raise KitError(f'the shares do not name the group "{missing[0]}"; they name {known}.')
        found = np.array([shares[group] for group in self.groups], dtype=np.float64)
        return found / found.sum()

    def values(self, right) -> np.ndarray:
        """The figures of one condition, one for each row.

        Args:
            right: whether each image is answered right, [image].
        """
        return self._figures(self._column(right)[None] @ self._inside, self.sizes[None])[0]

    def drawn(self, right) -> np.ndarray:
        """The same figures on every set of images drawn again, [draw, row]."""
        return self._figures(self._counts @ (self._inside * self._column(right)[:, None]), self._taken)

    def _column(self, right) -> np.ndarray:
        column = np.asarray(right, dtype=np.float32)
        if column.shape != (len(self._inside),):
            raise KitError(f"{len(self._inside)} images have a group, but answers are {list(column.shape)}.")
        return column

    def _figures(self, hits: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Groups, worst, averages, [draw, row], from right answers and sizes, [draw, group]."""
        means = np.divide(hits, sizes, out=np.full(hits.shape, np.nan), where=sizes > 0)
        found = [means, np.nanmin(means, axis=1, keepdims=True), (hits.sum(1) / sizes.sum(1))[:, None]]
        if self.shares is not None:
            there = (sizes > 0) @ self.shares
            found.append((np.nansum(means * self.shares, axis=1) / there)[:, None])
        return np.concatenate(found, axis=1)

    def table(self, after, before=None) -> pd.DataFrame:
        """Figures with their intervals, and how they changed.

        Args:
            after: answers of the condition, [image].
            before: answers of the same images before it; None leaves the changes out.

        Returns:
            One row for each of `rows`: `images`, `accuracy`, `low`, `high`; with `before` also `before` and
            `change`, `change_low`, `change_high`, paired over images. Shares, 0-1. The row of the worst group
            counts the images of the one that is worst at first: before, where that is given.
        """
        value, drawn = self.values(after), self.drawn(after)
        first, groups = value if before is None else self.values(before), len(self.groups)
        low, high = np.nanquantile(drawn, TAILS, axis=0)
        worst, averages = self.sizes[np.nanargmin(first[:groups])], len(self.rows) - groups - 1
        images = [*self.sizes, worst, *[self.sizes.sum()] * averages]
        found = pd.DataFrame({"images": images, "accuracy": value, "low": low, "high": high}, self.rows)
        if before is None:
            return found
        low, high = np.nanquantile(drawn - self.drawn(before), TAILS, axis=0)
        return found.assign(before=first, change=value - first, change_low=low, change_high=high)

    def told(self, after, before=None) -> pd.DataFrame:
        """The table as it is read: figures with their intervals, the worst group by its name.

        Args:
            after, before: as of `table`.

        Returns:
            One row for each of `rows`: `images`, `accuracy`; with `before` also `before` and `change`. The
            row of the worst group names the group that is worst at first, and counts its images.

        Example:
            >>> GroupBootstrap(["a", "a", "b", "b"], seed=0).told([1, 1, 0, 0])
                             images           accuracy
            a                     2  1.00 [1.00, 1.00]
            b                     2  0.00 [0.00, 0.00]
            worst group (b)       2  0.00 [0.00, 1.00]
            average               4  0.50 [0.00, 1.00]
        """
        found = self.table(after, before)
        first = found["accuracy" if before is None else "before"].iloc[: len(self.groups)]
        worst = str(first.idxmin())
        told = pd.DataFrame({"images": found["images"]})
        if before is not None:
            told["before"] = [number(each, digits=2) for each in found["before"]]
        for column, ends in (("accuracy", ("low", "high")), ("change", ("change_low", "change_high"))):
            if column in found:
                rows = zip(found[column], *(found[end] for end in ends))
                told[column] = [Interval(*row).told(sign=column == "change") for row in rows]
        return told.rename({WORST: f"{WORST} ({worst})"})

    def says(self, found: pd.DataFrame, off: list[str]) -> str:
        """What an edit did to the worst group and to all images, in a sentence.

        Args:
            found: `table` of it, with the answers before.
            off: names of the parts that are switched off; [] = none.

        Example:
            >>> of, before = GroupBootstrap(["a", "a", "b", "b"], seed=0), [1, 1, 0, 0]
            >>> of.says(of.table([1, 1, 1, 0], before), ["L5.H0"])
            'L5.H0 off: worst group (b) 0.00 → 0.50, change +0.50 [+0.00, +1.00]; all images 0.50 → 0.75.'
        """
        row, mean, groups = found.loc[WORST], found.loc[AVERAGE], found.loc[self.groups]
        was, now = groups["before"].idxmin(), groups["accuracy"].idxmin()
        if not off:
            worst = f"Every part on: {row['before']:.2f} of the worst group ({was}) is answered right"
            return f"{worst}, {mean['before']:.2f} of all images."
        change = Interval(*(row[name] for name in ("change", "change_low", "change_high"))).told(sign=True)
        worst = was if was == now else f"{was}, now {now}"
        return (
            f"{listed(off)} off: worst group ({worst}) {row['before']:.2f} → {row['accuracy']:.2f}, "
            f"change {change}; all images {mean['before']:.2f} → {mean['accuracy']:.2f}."
        )

    def worsts(self, edits) -> np.ndarray:
        """Accuracy of the worst group after each of some edits, [edit].

        Args:
            edits: answers after each, [edit, image].
        """
        return np.array([self.values(right)[self.rows.index(WORST)] for right in edits])

    def change(self, after, before, row: str = WORST) -> Interval:
        """How one figure changed, paired over images.

        Args:
            after, before: answers of the same images, [image].
            row: one of `rows`.

        Raises:
            KitError: an unknown row.
        """
        if row not in self.rows:
            raise KitError(f'no figure "{row}"; there are {", ".join(self.rows)}.')
        found = self.table(after, before).loc[row]
        return Interval(*(float(found[c]) for c in ("change", "change_low", "change_high")))

    def worst(self, right) -> tuple[str, Interval, Interval]:
        """The worst group of the images as they are, its accuracy, and the average minus it.

        Each draw looks for its own worst group, so that the intervals know that the group was chosen for
        being the worst.

        Args:
            right: whether each image is answered right, [image].
        """
        value, drawn, place = self.values(right), self.drawn(right), self.rows.index(WORST)
        gaps = drawn[:, place + 1] - drawn[:, place]
        accuracy, gap = (
            Interval(float(one), *map(float, np.quantile(many, TAILS)))
            for one, many in ((value[place], drawn[:, place]), (value[place + 1] - value[place], gaps))
        )
        return self.groups[int(value[:place].argmin())], accuracy, gap

    def worst_over(self, chosen, others, quantile: float = 0.95) -> Interval:
        """Worst group of one edit minus a quantile of the worst groups of other edits, paired over images.

        Args:
            chosen: answers after the edit, [image].
            others: answers after the others, [edit, image].
            quantile: of the other edits' worst groups.

        Returns:
            `Interval`; above zero: better than that share of the others, whatever images are drawn again.
        """
        place = self.rows.index(WORST)
        values = self.worsts(others)
        drawn = np.stack([self.drawn(right)[:, place] for right in others])  # [edit, draw]
        over = self.drawn(chosen)[:, place] - np.quantile(drawn, quantile, axis=0)
        value = self.values(chosen)[place] - np.quantile(values, quantile)
        return Interval(float(value), *(float(v) for v in np.quantile(over, TAILS)))

    def fewest(self, steps) -> int:
        """The first of some edits whose worst group is within one standard error of the best one's.

        Args:
            steps: answers after the edits, from the smallest edit to the largest, [edit, image].

        Returns:
            Its number.

        Source:
            Breiman et al. 1984, Classification and Regression Trees, section 3.4.3: the one standard error
            rule, here for the paired difference of the worst groups.
        """
        place, values = self.rows.index(WORST), self.worsts(steps)
        best = int(values.argmax())
        drawn = [self.drawn(right)[:, place] for right in steps]
        gaps = [float((drawn[best] - each).std()) for each in drawn]
        return next(k for k, value in enumerate(values) if value >= values[best] - gaps[k])
