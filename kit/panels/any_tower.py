"""Any image tower by name, untrained and at a small input, and the pictures that it looks at."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from kit.data.sets import Images
from kit.errors import KitError
from kit.models import Model, available, untrained
from kit.panels.encoded import Encoded
from kit.panels.findings import Finding
from kit.panels.selection import Selection
from kit.panels.truth import Picture
from kit.parts.examine import verdict
from kit.projections.prompts import APART, picture_direction


class AnyTower(Encoded):
    """AnyModel by name, one at a time, and the pictures that they look at.

    Args:
        model: the model to begin with, or a name.
        images: as for `Encoded`.
    """

    def __init__(self, model: Model | str, images: Images | None = None):
        self.say: Callable[[str], None] = lambda text: None
        first = untrained(model) if isinstance(model, str) else model
        super().__init__(first, images)
        self.models = {first.name: first}
        self.given = {} if isinstance(model, str) else {first.name: first}
        self.reference = list(self.pictures)  # an upload does not change what others are compared with
        self._shown = first
        self._gallery_means: dict = {}  # name -> [embed]
        self._masks: dict[tuple[str, str], np.ndarray] = {}

    @property
    def model_names(self) -> list[str]:
        """Every name that can be typed."""
        return list(dict.fromkeys([*self.given, *available()["name"]]))

    def model(self, name: str) -> Model:
        """The model of this name, built where it is not at hand."""
        if name not in self.models:
            self.models[name] = self.given.get(name) or untrained(name, say=self.say)
        self._shown = self.models[name]
        return self._shown

    def keep_only(self, name: str) -> None:
        """Let go of every tower but this one, and of what it computed."""
        self.models = {name: self.models[name]}
        for cache in (self._runs, self._scores, self._masks):
            for key in [key for key in cache if key[0] != name]:
                del cache[key]
        self._gallery_means = {n: mean for n, mean in self._gallery_means.items() if n == name}

    def picture(self, name: str) -> Picture:
        """The picture of this name, its masks cropped and resized as the tower on the screen sees it."""
        picture, model = super().picture(name), self._shown
        if picture.masks is None:
            return picture
        if (model.name, name) not in self._masks:
            sheets = [Image.fromarray(m.astype(np.uint8) * 255).convert("RGB") for m in picture.masks]
            seen = np.stack([np.asarray(s)[..., 0] > 127 for s in model.viewed(sheets)])
            self._masks[model.name, name] = seen
        return replace(picture, masks=self._masks[model.name, name])

    def verdict(self, state: Selection) -> str:
        """How the tower of a state came apart, in words."""
        return verdict(self.model(state.model), self._run(state.model, state.image).frozen.check)

    def find(self, state: Selection) -> Finding:
        """The finding of a state; the tower runs only for what was not asked before."""
        found = super().find(state)
        held = self._run(state.model, state.image)
        if held.frozen.plain and held.prefix == 1:
            return found
        said = found.caption.replace("the class token", "tokens without a place")
        return replace(found, caption=said)

    def loudest(self, state: Selection) -> str:
        """The head that adds most in a state, whatever is selected; without heads the part that does."""
        asked = Selection(model=state.model, image=state.image, texts=state.texts)
        found = self.find(asked)
        heads = [i for i, kind in enumerate(found.kinds) if kind == "head"]
        return found.names[max(heads or range(len(found.names)), key=lambda i: found.cells[i])]

    def _run(self, name: str, image: str):
        """The one pass of a picture through a tower; the first one checks the sum."""
        if (name, image) not in self._runs:
            self.model(name)
            self.say(f"recording the operations of {name}, checking the sum…")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return super()._run(name, image)

    def _dirs(self, state: Selection):
        """The unit direction that the parts are scored by, [1, embed]."""
        (name,) = state.texts if len(state.texts) == 1 else ("",)
        z = self._run(state.model, state.image).representation  # [1, embed]
        return picture_direction(z, name, lambda: self._mean(state.model))

    def _mean(self, name: str):
        """The mean representation of the reference pictures, [embed]."""
        if len(self.reference) < 2:
            raise KitError(f'"{APART}" compares pictures, and there is one; give at least two.')
        if name not in self._gallery_means:
            self.say(f"passing the {len(self.reference)} pictures…")
            model = self.model(name)
            pixels = model.preprocess([self.pictures[p].image for p in self.reference])
            self._gallery_means[name] = model.encode_image(pixels).mean(0)
        return self._gallery_means[name]
