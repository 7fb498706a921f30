"""Maps and masks of a few pictures for every method and class that is offered: made once, then looked up."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from kit.errors import KitError, nearest
from kit.maps import METHODS, Segmented, seen_mask
from kit.maps.classes import fits, maps_of_classes
from kit.models.directions import Directions
from kit.models.model import Model
from kit.panels.truth import Picture, scene_pictures

FIELDS = ("model", "image", "text", "method")
MOST = 12  # pictures, and classes: every one is asked of every other


@dataclass(frozen=True)
class SegmentState:
    """What is looked at: a picture, a class, a method.

    Example:
        >>> str(SegmentState("stickers-l8", "scene 0", "cat", "rollout"))
        'stickers-l8|scene 0|cat|rollout'
    """

    model: str
    image: str
    text: str
    method: str

    def as_dict(self) -> dict:
        """All fields as plain data."""
        return {name: getattr(self, name) for name in FIELDS}

    def __str__(self) -> str:
        return "|".join(self.as_dict().values())

    @classmethod
    def parse(cls, state: str) -> "SegmentState":
        """The state that a string made by `str(state)` stands for.

        Raises:
            KitError: another number of fields.
        """
        fields = [field.strip() for field in str(state).split("|")]
        if len(fields) != len(FIELDS):
            raise KitError(f'"{state}" is not a state: {len(fields)} fields; write "{"|".join(FIELDS)}".')
        return cls(*fields)


@dataclass(frozen=True)
class SegmentFound:
    """What is shown for one state.

    Attributes:
        picture: as the tower saw it, with its masks.
        heat: the map, float32 [row, col], in the method's own units.
        found, true: pixels that the method calls the object, and that are, bool [height, width].
        fits: IoU of the object in this picture by each method, for the same class.
        overall: of `Segmented.table`: figures over all images; None where none were given.
        whose: what the true mask is of, in words.
        caption, alt: sentences.
    """

    picture: Picture
    heat: np.ndarray = field(repr=False)
    found: np.ndarray = field(repr=False)
    true: np.ndarray = field(repr=False)
    fits: dict[str, float]
    overall: pd.DataFrame | None = field(repr=False)
    whose: str
    caption: str = ""
    alt: str = ""


class MadeMasks:
    """Everything that a panel can show, computed when it is made.

    Args:
        model: from `kit.load`.
        scenes: pictures with masks, of `kit.world`; at most 12.
        directions: of all classes: a class's direction is its own minus the mean of all.
        asked: names of the classes that can be asked for; None = those of the pictures' objects.
        overall: figures over many images, from `kit.maps.segment`; None = none are shown.

    Raises:
        KitError: too many pictures or classes, or a class without a direction.
    """

    def __init__(
        self, model: Model, scenes, directions: Directions, asked=None, overall: Segmented | None = None
    ):
        seen = model.viewed(scenes.images)
        self.pictures = [p.with_image(image) for p, image in zip(scene_pictures(scenes), seen)]
        self.model, self.seed = model, scenes.seed
        asked = list(dict.fromkeys(t for p in self.pictures for t in p.things) if asked is None else asked)
        for what, count in (("pictures", len(self.pictures)), ("classes", len(asked))):
            if not 1 <= count <= MOST:
                raise KitError(f"{count} {what} cannot be prepared for every method; give 1 to {MOST}.")
        if unknown := [name for name in asked if name not in directions.names]:
            raise KitError(
                f'the class "{unknown[0]}" has no direction among the {len(directions)}.'
                f"{nearest(unknown[0], directions.names)}"
            )
        self.asked, self.methods = asked, list(METHODS if overall is None else overall.results)
        if unknown := [name for name in self.methods if name not in METHODS]:
            raise KitError(f'the panel knows no method "{unknown[0]}"; it has {", ".join(METHODS)}.')
        self.overall = None if overall is None else overall.table()
        self.images = 0 if overall is None else len(overall.classes)
        pixels = model.preprocess(scenes.images)
        self._maps, self.refused = maps_of_classes(model, pixels, directions, asked, self.methods)
        self.shown = [name for name in self.methods if name not in self.refused]
        if not self.shown:
            raise KitError(next(iter(self.refused.values())))

    def first_state(self) -> SegmentState:
        """The first picture, asked for its own object, by the first method that gives a map."""
        first = self.pictures[0]
        text = next((t for t in first.things if t in self.asked), self.asked[0])
        return SegmentState(self.model.name, first.name, text, self.shown[0])

    def find(self, state: SegmentState) -> SegmentFound:
        """What is shown for a state; nothing runs.

        Raises:
            KitError: another model, a picture, class or method that is not offered, or a method that gives
                no map of this tower.
        """
        names = [p.name for p in self.pictures]
        offers = (
            ("model", [self.model.name]),
            ("image", names),
            ("text", self.asked),
            ("method", self.methods),
        )
        for name, known in offers:
            if (value := getattr(state, name)) not in known:
                what = {"image": "picture", "text": "class"}.get(name, name)
                raise KitError(
                    f'no {what} "{value}" here; there are {", ".join(known)}.{nearest(value, known)}'
                )
        if state.method in self.refused:
            raise KitError(self.refused[state.method])
        place = names.index(state.image)
        picture = self.pictures[place]
        true, whose = self._truth(picture, state.text)
        maps = [self._maps[state.text, method][place] for method in self.shown]  # [row, col] each
        found, ious = fits(maps, true)
        which = self.shown.index(state.method)
        shown = SegmentFound(
            picture=picture,
            heat=maps[which].numpy(),
            found=found[which].numpy(),
            true=true.numpy(),
            fits=dict(zip(self.shown, ious)),
            overall=self.overall,
            whose=whose,
        )
        return self._with_words(shown, state)

    def _truth(self, picture: Picture, text: str) -> tuple:
        """The mask of the objects that are asked for; of all where none is."""
        masks = picture.masks
        chosen = [n for n, thing in enumerate(picture.things) if thing == text]
        some = masks[chosen].any(0) if chosen else masks.any(0)
        whose = text if chosen else " and ".join(picture.things)
        return seen_mask(self.model, some), whose

    def _with_words(self, shown: SegmentFound, state: SegmentState) -> SegmentFound:
        fit, size = shown.fits[state.method], shown.found.mean()
        best = max(shown.fits, key=lambda name: np.nan_to_num(shown.fits[name]))
        there = state.text in shown.picture.things
        told = f"the {shown.whose}" if there else f"what is there, the {shown.whose}"
        caption = (
            f"{state.method}, asked for ‘{state.text}’: {size:.0%} of the picture, IoU {fit:.2f} with {told}"
        )
        caption = (
            caption.rstrip(",") + f". Best of {len(shown.fits)} methods here: {best}, {shown.fits[best]:.2f}."
        )
        if self.refused:
            caption += f" Without {', '.join(self.refused)}: {next(iter(self.refused.values()))}"
        row, col = np.unravel_index(int(shown.heat.argmax()), shown.heat.shape)
        alt = (
            f"Map of {state.method} for ‘{state.text}’ on {shown.picture.name}; highest at r{row}c{col}. "
            f"{shown.picture.line}."
        )
        return replace(shown, caption=caption, alt=alt)
