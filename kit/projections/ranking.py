"""Which parts matter for a feature that texts name: scores of parts in the space of a CLIP."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.errors import KitError

AXES = 8  # of a bank of many texts, whose directions span all there is
SCORES = ("R", "share", "without itself", "CompAttribute", "size")


def rank_parts(
    parts: Tensor, directions: Tensor, names: list[str] | None = None, axes: int | None = None
) -> pd.DataFrame:
    """How much each part carries, or adds, of a feature that is given by texts.

    A feature is the space that the directions of its texts span, less their mean: "red", "blue", "green"
    span what colours differ by. Within it, with s the part and S the sum of all parts, over images:

    - `R`: correlation of s with S as vectors, −1 to 1: finds specialists of any size. Independent of the
      order of texts and of the basis.
    - `share`: covariance of s with S over the variance of S: what the part adds; sums to 1 over parts;
      negative where it works against the rest.
    - `without itself`: correlation of s with S − s. R holds the part's own variance, so a part of large noise
      has a high R and nothing here; but a part that alone carries the feature has nothing here either.
    - `CompAttribute`: the paper's: mean over axes of the correlation along each, with axes made one after the
      other in the order of texts, on which it depends. Texts are not centred.
    - `size`: root of the variance of the whole part, not of the feature: a baseline that must lose.

    Args:
        parts: in the space of the directions, [image, part, embed]; all parts that vary.
        directions: of the feature's texts, unit rows, two or more, [text, embed].
        names: of the parts; None numbers them.
        axes: of many texts, keep this many principal axes; None keeps all.

    Returns:
        One row for each part, in their order: `part` and the scores.

    Raises:
        KitError: shapes that do not fit, one text, a number of axes below 1, parts that never vary within
            the feature.

    Source:
        CompAttribute: Balasubramanian et al. 2024, arXiv 2406.01583. R is the vector correlation of Escoufier
        1973, Biometrics 29, with its sign.

    Example:
        >>> chance = torch.Generator().manual_seed(0)
        >>> colour, noise = (torch.randn(500, 1, 4, generator=chance) for _ in range(2))
        >>> inside = torch.tensor([1.0, 1.0, 0.0, 0.0])
        >>> found = rank_parts(torch.cat([colour * inside, noise * (1 - inside)], 1), torch.eye(4)[:2])
        >>> found["share"].round(2).tolist()
        [1.0, 0.0]
    """
    expect_shape(parts, "image part embed", "parts")
    expect_shape(directions, "text embed", "directions", embed=parts.shape[2])
    if len(directions) < 2:
        raise KitError("a feature is what texts differ by; give two texts or more.")
    if axes is not None and axes < 1:
        raise KitError(f"axes should be 1 or more, or None for all, but is {axes}.")
    parts, directions = (parts - parts.mean(0)).double(), directions.double()
    size = parts.square().sum(-1).mean(0).sqrt()
    inside = _without_rounding(parts @ feature_axes(directions, axes), size)  # [image, part, axis]
    whole = inside.sum(1, keepdim=True)
    power = whole.square().sum()
    if power <= 1e-20 * parts.sum(1).square().sum():
        raise KitError("the sum of these parts does not vary along these texts; give other texts.")
    found = {
        "R": _correlation(inside, whole),
        "share": (inside * whole).sum((0, 2)) / power,
        "without itself": _correlation(inside, whole - inside),
        "CompAttribute": _by_axis(parts, directions, size),
        "size": size,
    }
    named = list(range(parts.shape[1])) if names is None else list(names)
    if len(named) != parts.shape[1]:
        raise KitError(f"{len(named)} names for {parts.shape[1]} parts; give one for each.")
    return pd.DataFrame({"part": named} | {name: found[name].numpy() for name in SCORES})


def feature_axes(directions: Tensor, axes: int | None = None) -> Tensor:
    """Orthonormal axes of what directions differ by, the largest first, [embed, axis].

    Args:
        directions: [text, embed].
        axes: at most so many; None = all that are more than rounding.
    """
    spread = directions - directions.mean(0)
    _, values, rows = torch.linalg.svd(spread, full_matrices=False)
    inside = rows[values > 1e-6 * values[0].clamp(min=1e-300)]
    return inside[:axes].T


def _correlation(one: Tensor, other: Tensor) -> Tensor:
    """Vector correlation over images, [part]; 0 where one of the two never varies."""
    shared = (one * other).sum((0, 2))
    size = (one.square().sum((0, 2)) * other.square().sum((0, 2))).sqrt()
    return torch.where(size > 0, shared / size.clamp(min=1e-300), 0.0)


def _without_rounding(inside: Tensor, size: Tensor) -> Tensor:
    """Coordinates along axes, 0 where a part varies along one by no more than rounding of float32."""
    varies = inside.square().mean(0).sqrt() > 1e-6 * size[:, None]  # [part, axis]
    return inside * varies


def _by_axis(parts: Tensor, directions: Tensor, size: Tensor) -> Tensor:
    """The paper's score, [part]: axes by orthogonalising texts in their order."""
    axes = torch.linalg.qr(directions.T)[0]  # [embed, axis]
    inside = _without_rounding(parts @ axes, size)
    whole = inside.sum(1, keepdim=True)
    shared = (inside * whole).sum(0)  # [part, axis]
    both = (inside.square().sum(0) * whole.square().sum(0)).sqrt()
    return torch.where(both > 0, shared / both.clamp(min=1e-300), 0.0).mean(-1)
