"""Maps of some pictures for several classes by several methods, and how the masks made of them fit."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from kit.errors import KitError, nearest
from kit.maps.masks import spread
from kit.maps.methods import METHODS, RENAMED
from kit.models.directions import Directions
from kit.models.model import Model

AT_ONCE = 8  # maps: relevance keeps every value of a pass in float64


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
        KitError: a class without a direction, no such method, or none that gives a map of this tower.
    """
    if unknown := [name for name in classes if name not in directions.names]:
        near = nearest(unknown[0], directions.names)
        raise KitError(f'the class "{unknown[0]}" has no direction among the {len(directions)}.{near}')
    methods = [RENAMED.get(name, name) for name in methods]
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
    if not made:
        raise KitError(next(iter(refused.values())))
    return made, refused


@dataclass(frozen=True)
class Fits:
    """How masks made of several methods' maps of one picture fit the true one.

    Attributes:
        methods: names.
        masks: bool [method, height, width].
        ious: of each mask with the true one, 0 to 1.
        blank: of each map whether it has no positive value, so that it finds nothing.

    Example:
        >>> left = torch.tensor([[True, False]])
        >>> found = fits({"all": torch.ones(1, 2), "left": torch.tensor([[1.0, -1.0]])}, left)
        >>> found.says("left", "cat", "it")
        'left, asked for ‘cat’: 50% of the picture, IoU 1.00 with it. Best of 2 methods here: left, 1.00.'
    """

    methods: list[str]
    masks: Tensor
    ious: list[float]
    blank: list[bool]

    def says(self, method: str, text: str, what: str) -> str:
        """The fit of one method in words, and which method fits best; `what` is in the true mask."""
        n, best = self.methods.index(method), int(np.nan_to_num(self.ious).argmax())
        told = f"{method}, asked for ‘{text}’: {self.masks[n].float().mean():.0%} of the picture, "
        told += f"IoU {self.ious[n]:.2f} with {what}. "
        told += "Its map is nowhere above zero, so it finds nothing. " * self.blank[n]
        told += f"Best of {len(self.ious)} methods here: "
        return told + f"{self.methods[best]}, {self.ious[best]:.2f}."


def fits(maps: dict[str, Tensor], true: Tensor) -> Fits:
    """Masks made of several methods' maps of one picture (`spread`), and how each fits the true one.

    Args:
        maps: method -> [row, col].
        true: bool [height, width].
    """
    every = torch.stack(list(maps.values()))
    _, masks = spread(every, true.shape)
    both, either = (masks & true).sum((1, 2)), (masks | true).sum((1, 2))  # [method]
    return Fits(list(maps), masks, (both / either).tolist(), (every.amax((1, 2)) <= 0).tolist())
