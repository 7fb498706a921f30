"""The training's scenes, in order: which image is seen when follows from the recipe alone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

import kit.world as world
from kit.workshop.training.recipe import CHUNK, Recipe


@dataclass
class Pictures:
    """Images and nothing else, uint8 [batch, 3, height, width], or two looks at each, [batch, 2, 3, ...]."""

    images: Tensor

    def rows(self, rows: Tensor) -> "Pictures":
        """Some rows of the batch."""
        return type(self)(**{name: _rows(value, rows) for name, value in vars(self).items()})


@dataclass
class Labelled(Pictures):
    """Images and their label codes, attribute -> [batch]."""

    codes: dict[str, Tensor]


@dataclass
class Captioned(Labelled):
    """Images, label codes, a caption's tokens and what it names."""

    tokens: Tensor  # [batch, context]
    mentions: dict[str, Tensor]
    mix: str

    @property
    def truth(self) -> Tensor:
        """Bool [image, caption]: is the caption true of the image?"""
        return world.truth(self.mentions, self)


def _rows(value, rows: Tensor):
    if isinstance(value, dict):
        return {name: t[rows] for name, t in value.items()}
    return value[rows] if isinstance(value, Tensor) else value


class Stream:
    """Batches by position, so that a resumed training sees what an unbroken one would.

    Scenes are drawn in chunks on the training's device and shown `recipe.views`
    times, each time in another order.

    Args:
        recipe: what to draw.
        device: where.
        show: what the training gets of the drawn scenes, given them and the number of the view.
    """

    def __init__(self, recipe: Recipe, device: str, show: Callable[[world.Scenes, int], Pictures]):
        self.recipe, self.device, self.show = recipe, device, show
        self.ahead = ThreadPoolExecutor(1)  # draws the next chunk meanwhile
        self._chunk, self._next = (-1, None), (-1, None)

    def at(self, seen: int) -> Pictures:
        """The batch after `seen` images."""
        chunk, within = divmod(seen, CHUNK * self.recipe.views)
        if self._chunk[0] != chunk:
            drawn = self._next[1].result() if self._next[0] == chunk else self._draw(chunk)
            self._chunk = (chunk, drawn)
            self._next = (chunk + 1, self.ahead.submit(self._draw, chunk + 1))
        view, row = divmod(within, CHUNK)
        whole, orders = self._chunk[1]
        return whole[view].rows(orders[view][row : row + self.recipe.phase(seen).batch])

    def _draw(self, chunk: int) -> tuple[list[Pictures], list[Tensor]]:
        """A chunk of scenes as each view shows it, and the order of each view."""
        r = self.recipe
        wanted = r.phase(chunk * CHUNK * r.views).scenes
        scenes = world.draw(CHUNK, r.seed, artists="seen", start=chunk * CHUNK, device=self.device, **wanted)
        scenes = scenes.at(r.scale)
        views, orders = [], []
        for number in range(chunk * r.views, (chunk + 1) * r.views):
            views.append(self.show(scenes, number))
            order = torch.randperm(CHUNK, generator=torch.Generator().manual_seed(number))
            orders.append(order.to(self.device))
        return views, orders
