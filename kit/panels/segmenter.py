"""Notebook 15's panel: a picture, a class, a method; its map, its mask, and how well that fits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import ipywidgets as w
import numpy as np
import pandas as pd

from kit.maps import Segmented
from kit.models.directions import Directions
from kit.panels.heat_panel import HeatPanel
from kit.panels.panel import Panel, Sentence
from kit.panels.saving import provenance
from kit.panels.segment_cases import SegmentCases, SegmentFound, SegmentState
from kit.panels.segment_drawing import mask_html, methods_html, segment_png


class Segmenter(Panel):
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
        model,
        scenes,
        directions: Directions,
        asked: list[str] | None = None,
        overall: Segmented | None = None,
        state: str | None = None,
    ):
        super().__init__()
        self.cases = SegmentCases(model, scenes, directions, asked, overall)
        self.selection = self.cases.first_state() if state is None else SegmentState.parse(state)
        self.found: SegmentFound = self.cases.find(self.selection)
        self._writing, self._drawn = False, None
        self._build_controls()
        self._draw()
        self._sync()
        self._connect()

    @property
    def caption(self) -> str:
        """The finding in a few sentences."""
        return self.found.caption

    @property
    def state(self) -> dict:
        """What is looked at, as plain data; `str(panel.selection)` is the same as one string."""
        return self.selection.as_dict()

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
                f"own = directions.vectors[directions.names.index({state.text!r})] - directions.vectors.mean(0)",
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

    def choose(self, **fields) -> None:
        """Change the state as a hand in the panel does; what cannot be becomes a sentence."""
        if not self._writing:
            self.guarded(partial(self._change, fields), lambda: None)
            self._sync()

    def _change(self, fields: dict) -> None:
        new = replace(self.selection, **fields)
        found = self.cases.find(new)
        self.selection, self.found = new, found
        self._draw()

    def _picked(self, change) -> None:
        """Another picture is first asked for its own object."""
        picture = next(p for p in self.cases.pictures if p.name == change.new)
        own = [thing for thing in picture.things if thing in self.cases.asked]
        self.choose(image=change.new, **({"text": own[0]} if own else {}))

    def _restore(self, text: str) -> None:
        if self._writing or text == str(self.selection):
            return
        parsed: dict = {}
        if self.guarded(lambda: parsed.update(SegmentState.parse(text).as_dict()), lambda: None):
            self.choose(**parsed)
        else:
            self._sync()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Changes of controls that are no hand's."""
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before

    # --- from state to screen

    def _draw(self) -> None:
        found, state = self.found, self.selection
        with self.heat.hold_sync():
            self.heat.vmax, self.heat.alt = float(np.abs(found.heat).max()) or 1.0, found.alt
            self.heat.set_numbers(found.heat)
            if (drawn := (found.picture.name, found.whose)) != self._drawn:
                self.heat.set_picture(found.picture.image, found.true[None])
                self._drawn = drawn
        self.mask.value = mask_html(found, state)
        self.methods.value = methods_html(found, state, self.cases.images)
        self.said.text, self.truth.text = found.caption, f"truth: {found.picture.line}"

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
        columns[2].layout = w.Layout(flex="2 1 400px", max_width="520px")
        for column in columns[:2]:
            column.layout = w.Layout(flex="1 1 250px", max_width="290px")
        rows = [w.HBox([self.image, self.text, self.method]), w.HBox(columns)]
        for box, look in [*((c, "column") for c in columns), *zip(rows, ("row", "columns"))]:
            box.add_class(f"loupe-{look}")
        return [rows[0], self._say, self.said, self.truth, rows[1], self.line, *self._foot()]

    def _connect(self) -> None:
        self.image.observe(lambda change: None if self._writing else self._picked(change), names="value")
        self.text.observe(lambda change: self.choose(text=change.new), names="value")
        self.method.observe(lambda change: self.choose(method=change.new), names="value")
        self.line.observe(lambda change: self._restore(change.new), names="value")
