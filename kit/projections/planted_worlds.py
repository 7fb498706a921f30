"""Worlds of parts whose maps are known: what a map fitted on their sum can recover, and what it cannot."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from kit.errors import KitError, expect_count
from kit.projections.aligners import fit, polar
from kit.projections.ranking import feature_axes, rank_parts

IMAGES, PARTS, DIM = 1000, 6, 16
WORLDS = {  # of how many factors each part is made, and how many of these all parts share
    "A: parts of their own": (16, 0),
    "B: narrow parts": (4, 0),
    "C: all is shared": (16, 16),
    "D: eight shared factors": (8, 8),
}


@dataclass(frozen=True)
class PlantedParts:
    """Parts of a tower, and the same parts in another space, each turned by a rotation of its own.

    Attributes:
        parts: [image, part, dim].
        truth: the same in the other space, [image, part, dim]; their sum is what a CLIP would see.
        fitted: the first so many images are there to fit on, the others to judge.
    """

    parts: Tensor
    truth: Tensor
    fitted: int


@dataclass(frozen=True)
class Recovered:
    """What a map made of planted parts, on images that it was not fitted on.

    Attributes:
        mapped, truth: [image, part, dim], the mapped times one factor for all parts, since a cosine leaves
            the length open.
        sum_error: 1 − cosine of the sum with the true sum, mean over images.
        part_errors: |mapped − true| / |true| of each part, over images, [part]; 0 right, 1 nothing right.
    """

    mapped: Tensor
    truth: Tensor
    sum_error: float
    part_errors: Tensor

    @property
    def error(self) -> float:
        """|mapped − true| / |true| over all parts."""
        return float((self.mapped - self.truth).norm() / self.truth.norm())


def planted_parts(rank: int, shared: int, one_turn: bool = False, seed: int = 0) -> PlantedParts:
    """Six parts of 16 numbers, made of random factors.

    Args:
        rank: of how many factors each part is made, 1-16.
        shared: how many of these are the same for all parts, 0 to `rank`; each part mixes them in its own
            way.
        one_turn: all parts are turned alike, as if one map held for all.
        seed: of everything.

    Raises:
        KitError: numbers outside these limits.

    Example:
        >>> planted = planted_parts(rank=4, shared=0)
        >>> torch.linalg.matrix_rank(planted.parts[:, 0]).item()
        4
    """
    expect_count("rank", rank)
    expect_count("shared", shared, 0)
    if rank > DIM or shared > rank:
        raise KitError(
            f"a part of {DIM} numbers is made of 1 to {DIM} factors, and shares at most all of these; asked "
            f"were rank {rank} and {shared} shared."
        )
    chance = torch.Generator().manual_seed(seed)
    noise = lambda *shape: torch.randn(*shape, generator=chance, dtype=torch.float64)  # noqa: E731
    common = noise(2 * IMAGES, 1, shared).expand(-1, PARTS, -1)
    factors = torch.cat([common, noise(2 * IMAGES, PARTS, rank - shared)], 2)
    parts = torch.einsum("npr,prd->npd", factors, noise(PARTS, rank, DIM))
    turns = torch.stack([polar(noise(DIM, DIM)) for _ in range(PARTS)])
    turns = turns[:1].expand(PARTS, -1, -1) if one_turn else turns
    return PlantedParts(parts, torch.einsum("npd,pde->npe", parts, turns), IMAGES)


def recovered(kind: str, planted: PlantedParts, **options) -> Recovered:
    """Fit maps of a kind on the sum of planted parts, and hold the mapped parts against the truth.

    Args:
        kind, options: as for `kit.projections.fit`.
        planted: from `planted_parts`.

    Example:
        >>> own, shares = (recovered("ridge", planted_parts(16, n)) for n in (0, 16))
        >>> own.error < 0.01, shares.sum_error < 1e-4, shares.error > 0.5
        (True, True, True)
    """
    count = planted.fitted
    aligner = fit(kind, planted.parts[:count], planted.truth[:count].sum(1), **options)
    held, truth = planted.parts[count:], planted.truth[count:]
    mapped = aligner.parts(held)
    total = mapped.sum(1) + aligner.bias
    mapped = mapped * ((mapped * truth).sum() / mapped.square().sum())
    apart = (mapped - truth).square().sum((0, 2)) / truth.square().sum((0, 2))
    return Recovered(
        mapped, truth, float(1 - cosine_similarity(total, truth.sum(1), dim=-1).mean()), apart.sqrt()
    )


def noise_and_carrier(size: float, seed: int) -> tuple[dict[str, float], dict[str, float]]:
    """Scores of two planted parts that fool scores: one of noise, and one that alone carries the feature.

    Args:
        size: of the noise inside the feature's space, over that of the parts that carry it.
        seed: of everything.

    Returns:
        For each, name of a score (`kit.rank_parts`) -> value.

    Example:
        >>> noise, carrier = noise_and_carrier(3, seed=0)
        >>> noise["R"] > 0.8, abs(noise["without itself"]) < 0.1, carrier["R"] > 0.9
        (True, True, True)
    """
    chance = torch.Generator().manual_seed(seed)
    random = lambda *shape: torch.randn(*shape, generator=chance, dtype=torch.float64)  # noqa: E731
    texts = 3 * random(1, DIM) + random(5, DIM)  # in a cone, as texts are
    texts = texts / texts.norm(dim=1, keepdim=True)
    axes = feature_axes(texts).T  # [axis, dim]
    factor, count = random(2 * IMAGES, len(axes)), 2 * IMAGES
    carry = [scale * factor + 0.1 * random(*factor.shape) for scale in (1.0, 0.7, 0.5)]
    noise = size * random(count, len(axes)) * factor.std()
    helped = torch.stack([noise, *carry], 1) @ axes
    alone = torch.stack([factor, *(0.2 * random(*factor.shape) for _ in range(3))], 1) @ axes
    return tuple(rank_parts(parts, texts).iloc[0, 1:].to_dict() for parts in (helped, alone))
