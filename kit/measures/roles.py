"""Roles of parts: the share of a part's variance that an attribute explains, and what chance would give."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from kit.axes import expect_shape
from kit.errors import KitError

TAILS = (0.025, 0.975)  # of a 95 % interval
NO_VARIANCE = 1e-12  # variance over mean square that is rounding of float32
NO_COORDINATE = 1e-10  # share of a part's variance in a principal component that is rounding


class Shares(NamedTuple):
    """Shares of variance, one for each part, and the same shares under the permutation null."""

    share: Tensor  # [part]
    low: Tensor  # [part]
    high: Tensor  # [part]
    null: Tensor  # [permutation, part]


def variance_share(
    outputs: Tensor,
    codes: Tensor,
    within: Tensor | None = None,
    *,
    seed: int,
    folds: int = 5,
    permutations: int = 500,
    draws: int = 300,
) -> Shares:
    """Cross-validated share of each part's variance that lies between the groups of an attribute.

    This is eta squared, the variance between group means over the total variance, without its
    upward bias: each fold's scenes are held against means of the other folds,

        share = sum_i <y_i - m_i, g_i - w_i> / sum_i |y_i - m_i|^2,

    where y_i is a part's output for scene i and, over the scenes outside the fold of i, m_i is the mean
    of all, g_i the mean of i's group and w_i the mean of i's wider group (m_i without `within`).
    The noise of a held-out output is independent of that of the means, so a part that knows nothing of
    the attribute gets zero on average, however many groups there are, and negative values are noise.
    Nested shares add up: that of the wider groups and that of the finer ones within them make that of
    the finer ones, but for which scenes fell into which fold.

    The null shuffles the labels inside each fold and wider group. The interval draws scenes again with
    replacement; copies stay in the fold of their scene, so that none meets a mean that holds it. Principal
    components of each part stand for its vectors; only those of no variance but rounding are left out,
    so distances stay as they are.

    Args:
        outputs: what each part writes, [scene, part, dim].
        codes: group of each scene, int [scene]; none negative.
        within: wider group of each scene, int [scene]; each group lies in one of them.
        seed: of the folds, the shuffles and the bootstrap.
        folds: into how many the scenes of every group are dealt.
        permutations: shuffles of the labels.
        draws: bootstrap draws.

    Returns:
        `Shares`: no unit, at most about 1; low and high bound the 95 % interval (percentile bootstrap).

    Raises:
        KitError: shapes that do not fit, values that are not finite, a scene without a group, a group of
            fewer scenes than folds, one group alone, a group that lies in two wider ones, a part that
            does not vary.

    Source:
        Eta squared: Fisher 1925, Statistical Methods for Research Workers, chapter 8. Means held against
        held-out data: Allefeld and Haynes 2014, cross-validated MANOVA. Differs from the latter in
        measuring Euclidean variance, without whitening by the variance within groups.

    Example:
        >>> side = torch.tensor([0, 1]).repeat(10)
        >>> knows, noise = side[:, None] * 2.0, torch.randn(20, 1, generator=torch.Generator().manual_seed(0))
        >>> found = variance_share(torch.stack([knows, noise], 1), side, seed=0)
        >>> found.share > found.null.quantile(0.95, dim=0)
        tensor([ True, False])
    """
    _check(outputs, codes, within, folds)
    generator = torch.Generator().manual_seed(seed)
    design = _design(outputs, codes, torch.zeros_like(codes) if within is None else within, folds, generator)
    rows = torch.arange(len(codes))
    share = design.shares(rows, design.group)
    drawn = [design.resampled(generator) for _ in range(draws)]
    low, high = torch.stack(drawn).quantile(torch.tensor(TAILS, dtype=torch.float64), dim=0)
    null = torch.stack([design.shares(rows, design.shuffled(generator)) for _ in range(permutations)])
    return Shares(share, low, high, null)


def family_bound(null: Tensor, level: float = 0.95) -> Tensor:
    """What the largest of many shares stays below by chance, for each of them.

    Of some five hundred shares, 25 lie above their own 95 % quantile by chance. Here a shuffle counts
    by its most extreme share, in units of that share's own spread over shuffles (max-T): with
    probability `level` none of them lies above its bound where no attribute plays a role.

    Args:
        null: shares under the null, of all parts and attributes about which a claim is made,
            [permutation, row].
        level: probability that no row is above its bound by chance.

    Returns:
        [row], in the unit of the shares.

    Raises:
        KitError: another number of axes, or fewer than two permutations.

    Source:
        Westfall and Young 1993, Resampling-Based Multiple Testing, chapter 2: single-step max-T.

    Example:
        >>> null = torch.randn(1000, 50, generator=torch.Generator().manual_seed(0))
        >>> float((null > null.quantile(0.95, dim=0)).any(1).double().mean().round(decimals=1))
        0.9
        >>> float((null > family_bound(null)).any(1).double().mean().round(decimals=2))
        0.05
    """
    expect_shape(null, "permutation row", "null")
    if len(null) < 2:
        raise KitError(f"a null of {len(null)} permutations has no spread; make some hundreds.")
    centre, spread = null.mean(0), null.std(0)
    most = ((null - centre) / spread).amax(1)  # [permutation]
    return centre + most.quantile(level) * spread


@dataclass
class _Design:
    """Scenes dealt to folds, and everything that their shares are made of."""

    values: Tensor  # centred principal coordinates of all parts, [scene, coordinate]
    part: Tensor  # of each coordinate
    squares: Tensor  # squared length of each part, [scene, part]
    group: Tensor  # [scene]
    wider: Tensor  # of each group
    fold: Tensor  # [scene]

    def shares(self, rows: Tensor, group: Tensor) -> Tensor:
        """The shares of some scenes with these groups, float64 [part]."""
        folds, groups = int(self.fold.max()) + 1, len(self.wider)
        cell = self.fold[rows] * groups + group
        counts = cell.bincount(minlength=folds * groups)
        # sums the rows of each cell without a copy of them
        sums = embedding_bag(rows[cell.argsort()], self.values, counts.cumsum(0) - counts, mode="sum")
        sums = sums.unflatten(0, (folds, groups))  # [fold, group, coordinate]
        counts = counts.view(folds, groups, 1)
        others, left = sums.sum(0) - sums, counts.sum(0) - counts  # of the scenes outside the fold
        mean = others.sum(1, keepdim=True) / left.sum(1, keepdim=True)  # [fold, 1, coordinate]
        wide = _means(_pooled(others, self.wider), _pooled(left, self.wider))[:, self.wider]
        effect = _means(others, left) - wide  # [fold, group, coordinate]
        between = ((sums - counts * mean) * effect * (left > 0)).sum((0, 1))  # [coordinate]
        inside, number = sums.sum(1), counts.sum(1)
        spread = (number * mean[:, 0] ** 2 - 2 * inside * mean[:, 0]).sum(0)  # of scenes about the means
        total = self._by_part(spread) + self.squares[rows].sum(0)
        return self._by_part(between) / total

    def shuffled(self, generator: torch.Generator) -> Tensor:
        """The groups, shuffled inside each fold and wider group, [scene]."""
        stratum = self.fold * (int(self.wider.max()) + 1) + self.wider[self.group]
        order = (stratum + torch.rand(len(stratum), generator=generator, dtype=torch.float64)).argsort()
        shuffled = torch.empty_like(self.group)
        shuffled[stratum.argsort(stable=True)] = self.group[order]
        return shuffled

    def resampled(self, generator: torch.Generator) -> Tensor:
        """The shares of scenes drawn again with replacement, each in its own fold, [part]."""
        rows = torch.randint(len(self.group), self.group.shape, generator=generator)
        return self.shares(rows, self.group[rows])

    def _by_part(self, sums: Tensor) -> Tensor:
        """Sums over the coordinates of each part, float64 [part]."""
        parts = torch.zeros(self.squares.shape[1], dtype=torch.float64)
        return parts.index_add_(0, self.part, sums.double())


def _means(sums: Tensor, counts: Tensor) -> Tensor:
    """Sums over counts; zero where nothing was counted."""
    return sums / counts.clamp(min=1)


def _pooled(sums: Tensor, wider: Tensor) -> Tensor:
    """Sums of groups [fold, group, ...] added up over each wider group."""
    shape = (len(sums), int(wider.max()) + 1, *sums.shape[2:])
    return sums.new_zeros(shape).index_add_(1, wider, sums)


def _design(outputs: Tensor, codes: Tensor, within: Tensor, folds: int, generator) -> _Design:
    """Everything that stays the same over shuffles and draws; scenes of each group are dealt in turn."""
    names, group = codes.unique(return_inverse=True)
    wider = torch.empty_like(names)
    wider[group] = within.unique(return_inverse=True)[1]
    order = (group + torch.rand(len(group), generator=generator, dtype=torch.float64)).argsort()
    fold = torch.empty_like(group)
    fold[order] = torch.arange(len(group)) % folds
    coordinates = [_coordinates(outputs[:, p], p) for p in range(outputs.shape[1])]
    part = torch.tensor([p for p, c in enumerate(coordinates) for _ in range(c.shape[1])])
    squares = torch.stack([c.double().square().sum(1) for c in coordinates], 1)
    return _Design(torch.cat(coordinates, 1), part, squares, group, wider, fold)


def _coordinates(output: Tensor, part: int) -> Tensor:
    """Centred coordinates of one part in its principal components, [scene, coordinate]."""
    mean = output.double().mean(0)
    centred = output - mean.to(output.dtype)  # [scene, dim]
    moment = (centred.T @ centred).double() / len(centred)
    if moment.trace() <= NO_VARIANCE * (moment.trace() + mean.square().sum()):
        raise KitError(f"part {part} is the same in all scenes, so nothing explains it; leave it out.")
    variances, axes = torch.linalg.eigh(moment)
    return centred @ axes[:, variances > NO_COORDINATE * moment.trace()].to(output.dtype)


def _check(outputs: Tensor, codes: Tensor, within: Tensor | None, folds: int) -> None:
    expect_shape(outputs, "scene part dim", "outputs")
    expect_shape(codes, "scene", "codes", scene=len(outputs))
    if not torch.isfinite(outputs).all():
        raise KitError("outputs hold values that are not finite; look for them in the model's output.")
    if folds < 2:
        raise KitError(f"folds={folds} leaves no scenes to take means of; give 2 or more.")
    if len(codes) and int(codes.min()) < 0:
        raise KitError(f"{int((codes < 0).sum())} scenes have no group (a negative code); leave them out.")
    names, counts = codes.unique(return_counts=True)
    if len(names) < 2:
        raise KitError(f"{len(names)} group: variance between groups needs two or more.")
    if int(counts.min()) < folds:
        rarest = int(names[counts.argmin()])
        raise KitError(
            f"group {rarest} has {int(counts.min())} scenes, but there are {folds} folds; "
            "draw more scenes, or take fewer folds."
        )
    if within is not None:
        expect_shape(within, "scene", "within", scene=len(outputs))
        pairs = torch.stack([codes, within], 1).unique(dim=0)  # [pair, 2]
        if len(pairs) > len(names):
            torn = int(pairs[1:, 0][pairs[1:, 0] == pairs[:-1, 0]][0])
            raise KitError(f"group {torn} lies in more than one group of within=; codes must refine it.")
