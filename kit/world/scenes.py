"""Scenes with their labels, masks and captions: the door to the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.errors import KitError, nearest
from kit.world import atlas
from kit.world.captions import captions_for
from kit.world.chance import Chance
from kit.world.paint import paint
from kit.world.sample import MIXES, Plan, Recipe, arrange, background_habitat, habitat, labels
from kit.world.values import SIZE, VALUES

KINDS = (*VALUES["kind"], "mixed")
ARTISTS = ("seen", "held_out", "all")
FINEST = 8  # times 64 pixels a side
CHUNK = 256  # scenes painted at a time, so that memory stays bounded
OBJECTS = {"single": 1, "single_word": 1, "pair": 2, "word": 1}  # masks kept of each scene; else 4


class Sized(Protocol):
    """What looks at pictures of one size, such as a model: its `image_size` is (height, width)."""

    image_size: tuple[int, int]


@dataclass
class Scenes:
    """Pictures of the world and everything that is true of them.

    Attributes:
        images: uint8 [batch, 3, 64, 64]; finer where `at` made them so.
        masks: visible pixels of each object, bool [batch, object, 64, 64]; false where there is no object.
        codes: attribute -> int64 [batch], an index into `VALUES` of the attribute (`concept_2` and so on
            index the same values as `concept`); -1 where a scene has no such attribute.
        layout: where everything stands.
        index: number of each scene in its seed, int64 [batch].
        seed, mix: what they were drawn with; `mix` decides the style of the captions.

    A slice, a list of numbers or a boolean array picks scenes: `scenes[:8]`,
    `scenes[scenes.labels.concept == "cat"]`.
    """

    images: Tensor
    masks: Tensor
    layout: Plan
    index: Tensor
    seed: int
    mix: str

    @property
    def codes(self) -> dict[str, Tensor]:
        """Labels as numbers: attribute -> int64 [batch]."""
        return self.layout.codes

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, which: slice | Sequence | Tensor) -> Scenes:
        if not isinstance(which, slice):
            which = which if isinstance(which, Tensor) else torch.tensor(np.array(which))
            which = which.to(self.images.device).reshape(-1)
        return Scenes(
            self.images[which], self.masks[which], self.layout[which], self.index[which], self.seed, self.mix
        )

    def __repr__(self) -> str:
        return f"Scenes({len(self)} of {self.images.shape[2]} x {self.images.shape[3]} px, seed {self.seed})"

    @cached_property
    def _said(self) -> tuple[list[str], dict[str, Tensor]]:
        return captions_for(self, 0)

    @property
    def captions(self) -> list[str]:
        """One caption for each scene; `captions_for` makes others."""
        return self._said[0]

    @property
    def mentions(self) -> dict[str, Tensor]:
        """What each caption names: attribute -> int64 [batch], -1 where it is silent."""
        return self._said[1]

    def finer(self, scale: int = 4) -> Tensor:
        """The images of `at`, to look at. Say beside such a picture that the model saw a coarser one.

        Args:
            scale: how many times finer, 1-8.

        Returns:
            uint8 [batch, 3, 64 * scale, 64 * scale].

        Raises:
            KitError: another scale, or more than 64 scenes.

        Example:
            >>> draw(2, seed=0).finer().shape
            torch.Size([2, 3, 256, 256])
        """
        if len(self) > 64:
            raise KitError(f"{len(self)} scenes are too many to draw finer at once: pick 64 or fewer.")
        return self.at(scale).images

    @property
    def scale(self) -> int:
        """How many times finer than 64 x 64 pixels the images are."""
        return self.images.shape[-1] // SIZE

    def at(self, scale: int) -> Scenes:
        """The same scenes painted with so many times the pixels a side: 2 for what models of 128 px see.

        The drawings come from the atlas at full resolution, so edges are smooth where a coarser picture has
        steps; backgrounds are the same ones, enlarged. Scenes finer than 64 x 64 pixels have no grain.

        Args:
            scale: 1-8.

        Returns:
            `Scenes` with the same numbers, labels and captions; images and masks are of the new size.

        Raises:
            KitError: another scale.

        Example:
            >>> draw(2, seed=0).at(2)
            Scenes(2 of 128 x 128 px, seed 0)
        """
        if not isinstance(scale, int) or not 1 <= scale <= FINEST:
            raise KitError(f"scale should be a whole number from 1 to {FINEST}, but is {scale!r}.")
        if scale == self.scale:
            return self
        return painted(self.layout, self.index, self.seed, self.mix, self.masks.shape[1], scale)

    def sized_for(self, model: Sized) -> Scenes:
        """The same scenes as a model is given them: painted at its own size, in whole multiples of 64 pixels.

        Wherever the kit takes scenes and a model, it is these that are used.

        Args:
            model: such as `kit.load` gives.

        Returns:
            `Scenes` as of `at`.

        Example:
            >>> import kit
            >>> draw(2, seed=0).sized_for(kit.load("stickers-l8-128"))
            Scenes(2 of 128 x 128 px, seed 0)
        """
        return self.at(min(max(min(model.image_size) // SIZE, 1), FINEST))

    @cached_property
    def labels(self) -> pd.DataFrame:
        """One row per scene, values by name, missing where a scene has none.

        `fit` says whether the background is the first object's own kind ("own"), the other kind
        ("conflicting"), or neither ("neutral"); it is missing for objects that belong to no kind.
        """
        table = {}
        for name, code in self.codes.items():
            values = np.array([*VALUES[name.removesuffix("_2")], None], dtype=object)
            table[name] = values[code.cpu().numpy()]
        lives, ground = (
            habitat(self.codes["category"]).cpu(),
            background_habitat(self.codes["background"]).cpu(),
        )
        fit = torch.where(lives == 0, -1, torch.where(ground == 0, 2, (lives != ground).long()))
        table["fit"] = np.array(["own", "conflicting", "neutral", None], dtype=object)[fit.numpy()]
        printed = (self.codes["word"] >= 0).cpu().numpy()
        width = atlas.words()[1][self.codes["word"].cpu()].numpy()
        left, top = (v.cpu().numpy() for v in (self.layout.word_x, self.layout.word_y))
        box = {"left": left, "top": top, "width": width, "height": np.full_like(top, atlas.WORD_HEIGHT)}
        for side, value in box.items():
            table[f"word_{side}"] = pd.array(np.where(printed, value * self.scale, -1), dtype="Int64")
            table[f"word_{side}"][~printed] = pd.NA
        return pd.DataFrame(table, index=pd.Index(self.index.cpu().numpy(), name="scene"))


def check_draw(n: int, seed: int, recipe: Recipe, start: int = 0) -> None:
    """Say what is wrong with the arguments of `draw`, if anything is."""
    named = (
        ("kind", recipe.kind, KINDS),
        ("artists", recipe.artists, ARTISTS),
        ("mix", recipe.mix, tuple(MIXES)),
    )
    for what, value, known in (*named, *(("size", s, VALUES["size"]) for s in recipe.sizes)):
        if value not in known:
            raise KitError(f"unknown {what} {value!r}: there are {', '.join(known)}.{nearest(value, known)}")
    if not isinstance(n, int) or n <= 0:
        raise KitError(f"n should be a positive number of scenes, but is {n!r}.")
    for what, value in (("seed", seed), ("start", start)):
        if not isinstance(value, int) or not 0 <= value < 2**40:
            raise KitError(f"{what} should be a whole number from 0 to 2**40 - 1, but is {value!r}.")
    for what in ("bias", "colours", "textures", "words"):
        value = getattr(recipe, what)
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise KitError(f"{what} is a share and should lie in 0-1, but is {value!r}.")
    if not recipe.sizes:
        raise KitError(f"sizes is empty: name some of {', '.join(VALUES['size'])}, or leave it out for all.")


def draw(
    n: int,
    seed: int,
    kind: str = "single",
    bias: float | None = None,
    artists: str = "seen",
    *,
    start: int = 0,
    device: torch.device | str = "cpu",
    colours: float = 0.5,
    textures: float = 0.3,
    sizes: tuple[str, ...] | None = None,
    words: float = 0.0,
    mix: str | None = None,
) -> Scenes:
    """Scenes of the stickers world, with everything that is true of them.

    Scene i depends only on the world's version, the seed and i (and on what is asked of the world), never on
    `n`, `start` or the device: each attribute has its own counter-based stream of random integers.

    Args:
        n: how many scenes.
        seed: which world; a whole number from 0 to 2**40 - 1.
        kind: "single" (one object), "count" (one to four equal ones), "pair" (two concepts in a relation),
            "word" (a printed word alone), "single_word" (one object and a word), "mixed" (what training
            draws).
        bias: how often water animals and boats stand on sea or lake, and land animals and land vehicles on
            grass, sand, forest or road, 0-1; otherwise the background is uniform. None: the background is
            independent of everything, unless `mix` is named, which brings its own.
        artists: "seen", "held_out" (the artist that training never sees) or "all".
        start: index of the first scene.
        device: where the scenes are drawn.
        colours: share of objects that are recoloured, 0-1.
        textures: share of objects with a texture, 0-1.
        sizes: sizes that single objects may have; None for all.
        words: share of single scenes that also get a printed word, 0-1.
        mix: "clean" or "web": the shares of kinds in "mixed", the bias if none is given, and the style of
            captions. None: as "clean", without bias.

    Returns:
        `Scenes`; its tensors are on `device`.

    Raises:
        KitError: an unknown kind, artists, size or mix; n not positive; a share outside 0-1.

    Example:
        >>> scenes = draw(4, seed=0)
        >>> scenes.images.shape, scenes.masks.shape
        (torch.Size([4, 3, 64, 64]), torch.Size([4, 1, 64, 64]))
    """
    if bias is None:
        bias = MIXES[mix][1] if mix in MIXES else 0.0
    sizes = VALUES["size"] if sizes is None else (sizes,) if isinstance(sizes, str) else tuple(sizes)
    recipe = Recipe(kind, bias, artists, colours, textures, sizes, words, mix or "clean")
    check_draw(n, seed, recipe, start)
    index = torch.arange(start, start + n, dtype=torch.int64, device=device)
    chance = Chance(seed, index)
    layout = arrange(chance, labels(chance, recipe))
    return painted(layout, index, seed, recipe.mix, OBJECTS.get(kind, 4))


def painted(layout: Plan, index: Tensor, seed: int, mix: str, objects: int, scale: int = 1) -> Scenes:
    """The scenes of a plan, painted chunk by chunk, with `scale` times 64 pixels a side."""
    images, masks = [], []
    for low in range(0, len(index), CHUNK):
        part = index[low : low + CHUNK]
        picture, mask = paint(layout[low : low + len(part)], Chance(seed, part), scale)
        images.append(picture)
        masks.append(mask[:, :objects])
    return Scenes(torch.cat(images), torch.cat(masks), layout, index, seed, mix)
