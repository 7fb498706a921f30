"""The training's scenes, in order: which image is seen when follows from the recipe alone."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

import kit.world as world
from kit.models.tokenizer import WordTokenizer
from kit.models.training.recipe import CHUNK, Recipe


@dataclass
class Batch:
    """Images uint8 [batch, 3, height, width], label codes, a caption's tokens and what it names."""

    images: Tensor
    codes: dict[str, Tensor]
    tokens: Tensor  # [batch, context]
    mentions: dict[str, Tensor]
    mix: str

    @property
    def truth(self) -> Tensor:
        """Bool [image, caption]: is the caption true of the image?"""
        return world.truth(self.mentions, self)

    def rows(self, rows: Tensor) -> "Batch":
        """Some rows of the batch."""
        codes, mentions = ({n: t[rows] for n, t in table.items()} for table in (self.codes, self.mentions))
        return Batch(self.images[rows], codes, self.tokens[rows], mentions, self.mix)


class Stream:
    """Batches by position, so that a resumed training sees what an unbroken one would.

    Scenes are drawn in chunks on the training's device and shown `recipe.views`
    times, each time in another order and with fresh captions.
    """

    def __init__(self, recipe: Recipe, tokenizer: WordTokenizer, device: str):
        self.recipe, self.tokenizer, self.device = recipe, tokenizer, device
        self.ahead = ThreadPoolExecutor(1)  # draws the next chunk meanwhile
        self._chunk, self._next = (-1, None), (-1, None)

    def at(self, seen: int) -> Batch:
        """The batch after `seen` images."""
        chunk, within = divmod(seen, CHUNK * self.recipe.views)
        if self._chunk[0] != chunk:
            drawn = self._next[1].result() if self._next[0] == chunk else self._draw(chunk)
            self._chunk = (chunk, drawn)
            self._next = (chunk + 1, self.ahead.submit(self._draw, chunk + 1))
        view, row = divmod(within, CHUNK)
        whole, orders = self._chunk[1]
        return whole[view].rows(orders[view][row : row + self.recipe.phase(seen).batch])

    def _draw(self, chunk: int) -> tuple[list[Batch], list[Tensor]]:
        """A chunk of scenes with the captions and the order of each view."""
        r = self.recipe
        wanted = r.phase(chunk * CHUNK * r.views).scenes
        scenes = world.draw(CHUNK, r.seed, artists="seen", start=chunk * CHUNK, device=self.device, **wanted)
        views, orders = [], []
        for number in range(chunk * r.views, (chunk + 1) * r.views):
            captions, mentions = world.captions_for(scenes, number)
            tokens = self.tokenizer(captions).to(self.device)
            views.append(Batch(scenes.images, scenes.codes, tokens, mentions, scenes.mix))
            order = torch.randperm(CHUNK, generator=torch.Generator().manual_seed(number))
            orders.append(order.to(self.device))
        return views, orders
