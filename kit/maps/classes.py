"""Maps of some pictures for several classes by several methods, and how the masks made of them fit."""

import torch
from torch import Tensor
from tqdm import tqdm

from kit.errors import KitError, nearest
from kit.maps.masks import spread
from kit.maps.methods import METHODS
from kit.models.directions import Directions
from kit.models.model import Model

AT_ONCE = 32


def maps_of_classes(
    model: Model, pixels: Tensor, directions: Directions, classes: list[str], methods: list[str]
) -> tuple[dict[tuple[str, str], Tensor], dict[str, str]]:
    """Maps of every picture for every class by every method.

    Args:
        model: from `kit.load`.
        pixels: [picture, 3, height, width].
        directions: of all classes: a class's direction is its own minus the mean of all.
        classes: those that are asked for, by name.
        methods: names of `METHODS`.

    Returns:
        Class and method -> maps, [picture, row, col]; and method -> why it gives no map of this tower.

    Raises:
        KitError: a class without a direction, or no such method.
    """
    if unknown := [name for name in classes if name not in directions.names]:
        near = nearest(unknown[0], directions.names)
        raise KitError(f'the class "{unknown[0]}" has no direction among the {len(directions)}.{near}')
    if unknown := [name for name in methods if name not in METHODS]:
        known = ", ".join(METHODS)
        raise KitError(f'there is no method "{unknown[0]}"; there are {known}.{nearest(unknown[0], METHODS)}')
    rows = [directions.names.index(name) for name in classes]
    own = (directions.vectors[rows] - directions.vectors.mean(0)).repeat_interleave(len(pixels), 0)
    many, made, refused = pixels.repeat(len(rows), 1, 1, 1), {}, {}  # every picture for every class
    for method in tqdm(methods, desc=f"{len(many)} maps", unit="method"):
        try:
            pieces = [METHODS[method](model, *p) for p in zip(many.split(AT_ONCE), own.split(AT_ONCE))]
        except KitError as error:
            refused[method] = str(error)
            continue
        by_class = torch.cat(pieces).cpu().unflatten(0, (len(rows), -1))  # [class, picture, row, col]
        made |= {(name, method): maps for name, maps in zip(classes, by_class)}
    return made, refused


def fits(maps: list[Tensor], true: Tensor) -> tuple[Tensor, list[float]]:
    """Masks made of several maps of one picture, and how each fits the true one.

    Args:
        maps: [row, col] each.
        true: bool [height, width].

    Returns:
        Masks, bool [map, height, width], and the IoU of each with the true one.
    """
    _, found = spread(torch.stack(maps), true.shape)
    both, either = (found & true).sum((1, 2)), (found | true).sum((1, 2))  # [map]
    return found, (both / either).tolist()
