"""Notebook 15's panel: a picture, a class, a method; its map, its mask, and how well that fits."""

from dataclasses import replace

import ipywidgets as w
import numpy as np
import pandas as pd

from kit.maps import Segmented
from kit.models.directions import Directions
from kit.models.model import Model
from kit.panels.heat_panel import HeatPanel
from kit.panels.made_masks import MadeMasks, SegmentFound, SegmentState
from kit.panels.panel import Sentence
from kit.panels.saving import provenance
from kit.panels.segment_drawing import mask_html, methods_html, segment_png
from kit.panels.state_panel import StatePanel


class Segmenter(StatePanel):
    """One picture asked for one class by one method: map, mask with the true outline, IoU of all methods.

    All maps are made when the panel is made; no tower runs on a click. A class that is not in the picture can
    be asked for too: then the truth is whatever is there.

    Args:
        model: from `kit.load`.
        scenes: pictures with masks, of `kit.world`; at most 12.
        directions: `kit.models.Directions` of all classes.
        asked: names of the classes that can be asked for; None = those of the pictures' objects.
        overall: figures over many images, from `kit.maps.segment`, shown beside; None = none.
        state: a state string as the panel shows it.

    Raises:
        KitError: too many pictures or classes, a class without a direction, a state that cannot be.

    Example:
        >>> panel = Segmenter(model, scenes, directions)                       # doctest: +SKIP
        >>> panel.choose(method="rollout")                                     # doctest: +SKIP
        >>> panel.caption                                                      # doctest: +SKIP
        'rollout, asked for ‘cat’: 41% of the picture, IoU 0.30 with the cat. …'
    """

    def __init__(
        self,
        model: Model,
        scenes,
        directions: Directions,
        asked: list[str] | None = None,
        overall: Segmented | None = None,
        state: str | None = None,
    ):
        super().__init__()
        self.cases = MadeMasks(model, scenes, directions, asked, overall)
        self.selection = self.cases.first_state() if state is None else SegmentState.parse(state)
        self.found: SegmentFound
        self._drawn: tuple[str, str] | None = None  # picture and truth that the canvas has
        self._begin()

    def finding(self) -> str:
        return f"{self.cases.model.label}, {self.selection.image}: {self.caption}"

    def png(self) -> bytes:
        return segment_png(self.found, self.selection, self.cases.images)

    def table(self) -> pd.DataFrame:
        """IoU of each method in this picture, and its figures over all images."""
        fits = self.found.fits
        here = pd.DataFrame(
            {"method": list(fits), "image": self.selection.image, "class": self.selection.text}
        )
        here["IoU"] = list(fits.values())
        return here if self.found.overall is None else here.join(self.found.overall, on="method")

    def code(self) -> str:
        state, cases = self.selection, self.cases
        return "\n".join(
            [
                "import kit",
                "from kit.maps import METHODS, seen_mask, spread",
                "from kit.measures import Segmentation",
                "",
                "# scenes and directions (all classes) as the panel was given them",
                f"model = kit.load({cases.model.name!r})",
                f"number = {int(state.image.split()[-1])}  # {self.found.picture.line}",
                f"row = directions.names.index({state.text!r})",
                "own = directions.vectors[row] - directions.vectors.mean(0)",
                "pixels = model.preprocess(scenes.images[number : number + 1])",
                f"maps = METHODS[{state.method!r}](model, pixels, own[None])",
                f"objects = {self._objects()}  # {self.found.whose}",
                "true = seen_mask(model, scenes.masks[number, objects].any(0))[None]",
                "print(Segmentation().add(*spread(maps, model.image_size), true).iou())",
            ]
        )

    def provenance(self) -> str:
        more = {"class": self.selection.text, "method": self.selection.method}
        return provenance(self.cases.model, self.selection.image, self.cases.seed, **more)

    def _objects(self) -> list[int]:
        """Numbers of the objects whose mask is the truth."""
        things = self.found.picture.things
        own = [n for n, thing in enumerate(things) if thing == self.selection.text]
        return own or list(range(len(things)))

    # --- from hands to state

    def _change(self, fields: dict) -> None:
        self.selection = replace(self.selection, **fields)
        self._show()

    def _undo(self) -> None:
        self.selection = SegmentState(**self._good)

    def _picked(self, change) -> None:
        """Another picture is first asked for its own object."""
        picture = next(p for p in self.cases.pictures if p.name == change.new)
        own = [thing for thing in picture.things if thing in self.cases.asked]
        self.choose(image=change.new, **({"text": own[0]} if own else {}))

    # --- from state to screen

    def _find_and_draw(self) -> None:
        self.found = found = self.cases.find(self.selection)
        state = self.selection
        with self.heat.hold_sync():
            self.heat.vmax, self.heat.alt = float(np.abs(found.heat).max()) or 1.0, found.alt
            self.heat.set_numbers(found.heat)
            if (drawn := (found.picture.name, found.whose)) != self._drawn:
                self.heat.set_picture(found.picture.image, found.true[None])
                self._drawn = drawn
        self.mask.value = mask_html(found, state)
        self.methods.value = methods_html(found, state, self.cases.images)
        self.truth.text, self.said.text = f"truth: {found.picture.line}", found.caption

    def _sync(self) -> None:
        """Make every control show the state."""
        state = self.selection
        with self._quietly():
            self.image.value, self.text.value, self.method.value = state.image, state.text, state.method
            self.line.value = str(state)

    def _build_controls(self) -> None:
        def menu(name: str, options: list, width: str) -> w.Dropdown:
            made = w.Dropdown(description=name, options=options, layout=w.Layout(width=width))
            made.style.description_width = "initial"
            return made

        pictures = [(f"{p.name}: {' and '.join(p.things)}", p.name) for p in self.cases.pictures]
        self.image = menu("picture", pictures, "330px")
        self.text = menu("class", self.cases.asked, "230px")
        self.method = menu("method", self.cases.methods, "270px")
        self.line = w.Text(description="state", continuous_update=False, layout=w.Layout(width="100%"))
        self.line.style.description_width = "initial"
        self.heat = HeatPanel(kind="map", unit="in the method's own units", outline=True)
        self.mask, self.methods = w.HTML(), w.HTML()
        self.said, self.truth = Sentence(look="caption", live=True), Sentence(look="truth")
        self.box.children = self._arranged()

    def _arranged(self) -> list[w.Widget]:
        """The rows of the panel from top to bottom."""
        heads = [
            Sentence(
                look="head", strong="The map", text="The map: red speaks for the class, blue against it"
            ),
            Sentence(
                look="head",
                strong="What it finds",
                text="What it finds: the map, clipped at 0, above its mean",
            ),
            Sentence(
                look="head", strong="How well it fits", text="How well it fits: the same for every method"
            ),
        ]
        columns = [w.VBox(pair) for pair in zip(heads, (self.heat, self.mask, self.methods))]
        columns[2].layout = w.Layout(flex="2 1 345px", max_width="460px")
        for column in columns[:2]:
            column.layout = w.Layout(flex="1 1 210px", max_width="270px")
        rows = [w.HBox([self.image, self.text, self.method]), w.HBox(columns)]
        for box, look in [*((c, "column") for c in columns), *zip(rows, ("row", "columns"))]:
            box.add_class(f"loupe-{look}")
        return [rows[0], self._say, self.said, self.truth, rows[1], self.line, *self._foot()]

    def _connect(self) -> None:
        self.image.observe(lambda change: None if self._writing else self._picked(change), names="value")
        self.text.observe(lambda change: self.choose(text=change.new), names="value")
        self.method.observe(lambda change: self.choose(method=change.new), names="value")
        self.line.observe(lambda change: self._restore(change.new), names="value")
