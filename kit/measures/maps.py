"""Maps over tokens held against masks: how much of a map lies on an object. No model, no plotting.

A mask may cut a token: `inside` is the share of the token's pixels that lie on the object. A map that
knows nothing of the object gets the object's share of the picture, on average, from each measure here.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.errors import KitError


def average_precision(maps: Tensor, inside: Tensor) -> Tensor:
    """Average precision of the pixels of each map, every pixel with the value of its token.

    Pixels are taken from the highest value to the lowest; precision is averaged over the object's pixels
    as they come. Tokens of equal value come together, so that a constant map is worth no more than
    the object's share.

    Args:
        maps: any finite values, [batch, token].
        inside: share of each token's pixels that lie on the object, 0-1, [batch, token].

    Returns:
        [batch], 0-1.

    Raises:
        KitError: shapes that do not fit, values that are not finite, shares outside 0-1, an empty mask.

    Source:
        The step-wise sum over thresholds, as `sklearn.metrics.average_precision_score`; no interpolation.

    Example:
        >>> average_precision(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[1.0, 1.0, 0.0]]))
        tensor([0.8333])
    """
    _check(maps, inside)
    values, order = maps.sort(dim=1, descending=True)  # [batch, token]
    found = inside.gather(1, order)
    place = torch.arange(maps.shape[1], device=maps.device)
    precision = found.cumsum(1) / (place + 1)
    last = torch.ones_like(values, dtype=torch.bool)
    last[:, :-1] = values[:, :-1] != values[:, 1:]
    # where the run of equal values ends that each token belongs to
    end = torch.where(last, place, maps.shape[1]).flip(1).cummin(1).values.flip(1)
    return (precision.gather(1, end) * found).sum(1) / found.sum(1)


def pointing(maps: Tensor, inside: Tensor) -> Tensor:
    """Share of the highest token's pixels that lie on the object: the pointing game, at token size.

    Args:
        maps: any finite values, [batch, token]; tokens that share the highest value are averaged.
        inside: as for `average_precision`.

    Returns:
        [batch], 0-1.

    Raises:
        KitError: as `average_precision`.

    Example:
        >>> pointing(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[0.25, 1.0, 0.0]]))
        tensor([0.2500])
    """
    _check(maps, inside)
    best = (maps == maps.amax(1, keepdim=True)).to(maps.dtype)  # [batch, token]
    return (best * inside).sum(1) / best.sum(1)


def points_apart(maps: Tensor, on: Tensor) -> Tensor:
    """Whether the highest token of a map lies on the first of two objects, minus whether on the second.

    Args:
        maps: any finite values, [batch, token]; of equal highest ones the first counts.
        on: whether a token counts as lying on each object, 0 or 1, [batch, object, token].

    Returns:
        [batch]: 1, 0 or -1.

    Example:
        >>> points_apart(torch.tensor([[3.0, 1.0], [1.0, 3.0]]), torch.eye(2).expand(2, 2, 2))
        tensor([ 1., -1.])
    """
    expect_shape(maps, "batch token", "maps")
    expect_shape(on, "batch object token", "on", batch=len(maps), token=maps.shape[1])
    best = maps.argmax(1)[:, None, None].expand(-1, on.shape[1], 1)
    hit = on.float().gather(2, best)[..., 0]  # [batch, object]
    return hit[:, 0] - hit[:, 1]


def mass_inside(maps: Tensor, inside: Tensor) -> Tensor:
    """Share of a map's positive values that lies on the object.

    Args:
        maps: any finite values, [batch, token]; negative ones count as zero.
        inside: as for `average_precision`.

    Returns:
        [batch], 0-1; 0 for a map without a positive value, which points nowhere.

    Raises:
        KitError: as `average_precision`.

    Example:
        >>> mass_inside(torch.tensor([[3.0, 1.0, -2.0]]), torch.tensor([[1.0, 0.0, 1.0]]))
        tensor([0.7500])
    """
    _check(maps, inside)
    mass = maps.clamp(min=0)
    total = mass.sum(1)
    return (mass * inside).sum(1) / torch.where(total > 0, total, torch.ones_like(total))


def mass_elsewhere(maps: Tensor, inside: Tensor, others: Iterable[int] = range(1, 11)) -> Tensor:
    """`mass_inside` on the objects of other images, mean over these: what a habit of looking is worth.

    Args:
        maps, inside: as of `mass_inside`.
        others: how many places before an image, in the order given and round its end, each other image is.

    Returns:
        [batch], 0-1.

    Example:
        >>> mass_elsewhere(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.eye(2), [1])
        tensor([0., 1.])
    """
    return torch.stack([mass_inside(maps, inside.roll(k, 0)) for k in others]).mean(0)


def token_shares(masks: Tensor, grid: tuple[int, int]) -> Tensor:
    """Share of each token's pixels that lie on each object.

    Args:
        masks: bool [batch, object, height, width].
        grid: rows and columns of tokens; they divide height and width.

    Returns:
        [batch, object, token], 0-1, tokens row by row.

    Raises:
        KitError: a grid that does not divide the masks.

    Example:
        >>> masks = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
        >>> masks[0, 0, :2, :3] = True
        >>> token_shares(masks, (2, 2))
        tensor([[[1.0000, 0.5000, 0.0000, 0.0000]]])
    """
    expect_shape(masks, "batch object row col", "masks")
    (rows, cols), (height, width) = grid, masks.shape[2:]
    if height % rows or width % cols:
        raise KitError(
            f"masks of {height} × {width} pixels do not fall apart into {rows} × {cols} tokens; "
            "resize them first."
        )
    cells = masks.float().unflatten(3, (cols, width // cols)).unflatten(2, (rows, height // rows))
    return cells.mean((3, 5)).flatten(2)


def _check(maps: Tensor, inside: Tensor) -> None:
    expect_shape(maps, "batch token", "maps")
    expect_shape(inside, "batch token", "inside", batch=len(maps), token=maps.shape[1])
    if not torch.isfinite(maps).all():
        raise KitError("maps hold values that are not finite; look for them in the model's output.")
    low, high = float(inside.min()), float(inside.max())
    if not 0 <= low <= high <= 1:
        raise KitError(f"shares of the mask go from {low:g} to {high:g}; they should lie between 0 and 1.")
    empty = (inside.sum(1) == 0).nonzero()
    if len(empty):
        raise KitError(f"mask {int(empty[0])} is empty, so no map can point into it; leave the image out.")
