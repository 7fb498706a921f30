"""Notebook 20's panel: any tower by name, taken apart, and the map of each of its heads."""

import base64
import html
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import ipywidgets as w
import pandas as pd

from kit.data.sets import Images
from kit.models.model import Model
from kit.panels.any_tower import AnyTower
from kit.panels.drawing import panel_png
from kit.panels.findings import Finding
from kit.panels.heat_panel import HeadGrid, HeatPanel, png_bytes
from kit.panels.panel import Sentence
from kit.panels.saving import finding_table, pixels_line
from kit.panels.selection import FIELDS, Selection, split_tokens
from kit.panels.state_panel import StatePanel
from kit.panels.upload import UploadButton
from kit.projections.prompts import APART, CHANCE, DIRECTIONS, OWN

FIRST = "timm/vit_small_patch14_reg4_dinov2"


class AnyModel(StatePanel):
    """A tower by name, its verdict, the layer × head grid, and the map of what a head reads.

    Args:
        model: a name of `kit.available()`, built with random weights at a small input, or a model.
        images: scenes of `kit.world`, or pictures; None = the gallery.
        state: a state string as the panel shows it, instead of a model.

    Raises:
        KitError: an unknown name, a tower that is refused, an image or a state that cannot be read.

    Example:
        >>> panel = AnyModel("timm/maxvit_tiny_tf_224")                # doctest: +SKIP
        >>> panel.choose(selector="L9.H3")                           # doctest: +SKIP
        >>> panel.take_apart("timm/deit_tiny_patch16_224")            # doctest: +SKIP
        >>> panel.verdict                                            # doctest: +SKIP
        'timm/deit_tiny_patch16_224 (random weights, untrained) at 112 × 112 pixels: exact. …'
    """

    def __init__(self, model: Model = FIRST, images: Images | None = None, state: str | None = None):
        super().__init__()
        wanted = Selection.parse(state) if state is not None else None
        self.cases = AnyTower(model if wanted is None else wanted.model, images)
        (name,), first = self.cases.models, next(iter(self.cases.pictures))
        self.selection = wanted or Selection(model=name, image=first, texts=(OWN,))
        if wanted is None:
            self.selection.selector = self.cases.loudest(self.selection)
        self._drawn: tuple[str, str] = "", ""
        self._begin()

    @property
    def verdict(self) -> str:
        """How the tower came apart, in one or two sentences."""
        return self.cases.verdict(self.selection)

    @property
    def string(self) -> str:
        """The state as one string, which `AnyModel(state=…)` and the panel's own field take."""
        return str(self.selection).replace("%2F", "/")

    def finding(self) -> str:
        label = self.cases.model(self.selection.model).label
        return f"{label}, {self.selection.image}: {self.caption}"

    def png(self, paper: bool = False) -> bytes:
        state = self.selection
        marked = Selection(model=self.cases.model(state.model).label, image=state.image, texts=state.texts)
        return panel_png(self.found, marked, self.cases.seen(state))

    def table(self) -> pd.DataFrame:
        return finding_table(self.found, self.selection)

    def code(self) -> str:
        return as_code(self.selection, self.cases.of_gallery)

    def provenance(self) -> str:
        return self.cases.provenance(self.selection)

    # --- from hands to state

    def take_apart(self, name: str) -> None:
        """Build the tower of a name and look at its loudest head."""
        name = name.strip()
        if f"timm/{name}" in self.names:
            name = f"timm/{name}"
        self.choose(model=name)

    def choose(self, **fields) -> None:
        """Change the state as a hand in the panel does; what cannot be becomes a sentence."""
        if self._writing:
            return
        with self._waiting():
            super().choose(**fields)

    def upload(self, content: bytes, filename: str) -> None:
        """Look at an uploaded picture; what cannot be read becomes a sentence in the panel."""
        name = []
        if self.guarded(lambda: name.append(self.cases.add_upload(content, filename).name), self._undo):
            self.choose(image=name[0])

    def _change(self, fields: dict) -> None:
        with self._quietly():
            self.selection.change(**fields)
            if "model" in fields and "selector" not in fields:
                self.selection.change(tokens="", selector=self.cases.loudest(self.selection))
        self._show()
        self.cases.keep_only(self.selection.model)  # only now: where something failed, the one before stays

    def _find_and_draw(self) -> None:
        self.found: Finding = self.cases.find(self.selection)
        self._draw()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Say what is being done while it takes time, and take no other change meanwhile."""
        self.cases.say = self._say_and_lock
        try:
            yield
        finally:
            self._busy.text = ""
            self._lock(False)

    def _say_and_lock(self, text: str) -> None:
        self._busy.text = text
        self._lock(True)

    def _lock(self, locked: bool) -> None:
        for control in (self.name, self.open, self.picture, self.upload_button, self.direction, self.line):
            control.disabled = locked
        self.grid.busy = self.heat.busy = locked

    # --- from state to screen

    def _draw(self) -> None:
        found, state = self.found, self.selection
        picture = self.cases.picture(state.image)
        if self._drawn != (state.model, state.image):
            if self._drawn[0] != state.model:  # a name half typed stays while heads are clicked
                self.name.value = state.model
            seen = self.cases.seen(state).image
            self.heat.set_picture(seen)
            self.face.value = _face(seen, picture.line or picture.note or picture.name)
            self._drawn = state.model, state.image
        with self.heat.hold_sync(), self.grid.hold_sync():
            self.heat.set_numbers(found.heat)
            self.heat.vmax, self.heat.alt = found.heat_limit, found.heat_alt
            self.grid.set_layout(found.grid)
            self.grid.set_numbers(found.grid.spread(found.cells).reshape(found.grid.rows, found.grid.cols))
            self.grid.vmax, self.grid.alt = found.cell_limit, found.cell_alt
        self.told.text = self.verdict
        self.truth.text = f"Truth: {picture.line}." if picture.line else picture.note
        rows, cols = found.heat.shape
        self.heat_head.text = f"Where from: {rows} × {cols} places, read by {found.names_of_picked}"
        sums = f"all {len(found.names)} add up to {found.cells.sum():.3f}"
        sums = "from these places only" if found.tokens else sums
        self.grid_head.text = f"Which parts: what each adds to {state.texts[0]}; {sums}"
        self.said.text = found.caption

    def _sync(self) -> None:
        """Make every control show the state."""
        state, found = self.selection, self.found
        titles = [
            (f"{p.name}: {(p.line or p.note).split(', ')[0]}", p.name) for p in self.cases.pictures.values()
        ]
        with self._quietly():
            if tuple(self.picture.options) != tuple(titles):
                self.picture.options = titles
            self.picture.value, self.direction.value = state.image, state.texts[0]
            self.line.value = self.string
            self.grid.picked = found.grid.cells_of(found.picked)
            self.heat.picked = [t - len(found.prefix) for t in found.tokens if t >= len(found.prefix)]

    def _build_controls(self) -> None:
        self.names = self.cases.model_names
        auto = partial(w.Layout, width="auto")
        self.name = w.Combobox(
            description="tower",
            options=self.names,
            placeholder="type a part of a name",
            continuous_update=False,
            layout=w.Layout(width="440px"),
        )
        self.open = w.Button(description="take apart", tooltip="build this tower, untrained", layout=auto())
        self.picture = w.Dropdown(description="picture", layout=w.Layout(width="290px"))
        self.upload_button = UploadButton()
        self.direction = w.Dropdown(
            description="what is asked", options=DIRECTIONS, layout=w.Layout(width="330px")
        )
        self.line = w.Text(description="state", continuous_update=False, layout=w.Layout(width="100%"))
        for control in (self.name, self.picture, self.direction, self.line):
            control.style.description_width = "initial"
        self._busy = Sentence(look="busy", live=True)
        self.told, self.said = Sentence(look="verdict", live=True), Sentence(look="caption", live=True)
        self.truth, self.face = Sentence(look="truth"), w.HTML()
        self.heat = HeatPanel(kind="map", unit="what each place adds", missing="not split by place")
        self.grid = HeadGrid(unit="what each part adds", missing="not split by place")
        self.heat_head = Sentence(look="head", strong="Where from")
        self.grid_head = Sentence(look="head", strong="Which parts")
        self.box.children = self._arranged()

    def _arranged(self) -> list[w.Widget]:
        """The rows of the panel from top to bottom."""
        self.face.add_class("loupe-face")
        left, right = w.VBox([self.heat_head, self.heat]), w.VBox([self.grid_head, self.grid])
        right.layout.flex, right.layout.max_width = "2 1 380px", "660px"
        told = w.VBox([self.said, self.truth])
        for box, look in ((left, "column"), (right, "column"), (told, "told")):
            box.add_class(f"loupe-{look}")
        rows = [
            w.HBox([self.name, self.open, self._busy]),
            w.HBox([self.face, told]),
            w.HBox([left, right]),
            w.HBox([self.picture, self.upload_button, self.direction]),
        ]
        for row, look in zip(rows, ("row", "row", "columns", "row")):
            row.add_class(f"loupe-{look}")
        return [rows[0], self._say, self.told, *rows[1:], self.line, *self._foot()]

    def _connect(self) -> None:
        self.open.on_click(lambda _: self.take_apart(self.name.value))
        self.picture.observe(lambda change: self.choose(image=change.new), names="value")
        self.direction.observe(lambda change: self.choose(texts=(change.new,)), names="value")
        self.line.observe(lambda change: self._restore(change.new), names="value")
        self.selection.observe(self._selected, names=list(FIELDS))
        self.grid.observe(lambda change: self.choose(selector=self._parts_at(change.new)), names="picked")
        self.heat.observe(lambda change: self.choose(tokens=self._tokens_at(change.new)), names="picked")
        self._take_uploads(self.upload_button)

    def _parts_at(self, cells: list[int]) -> str:
        labels = self.found.grid.labels
        return ", ".join(labels[i] for i in cells if labels[i]) or "none"

    def _tokens_at(self, cells: list[int]) -> str:
        return ", ".join(split_tokens(", ".join(self.heat.labels[i] for i in cells)))


def as_code(state: Selection, of_gallery: bool) -> str:
    """Lines that compute what a state shows, without a panel; `images` are those that it was given."""
    (asked,) = state.texts
    pixels = pixels_line(state.image, of_gallery)
    lines = [
        "import kit",
        "import torch",
        f"model = kit.panels.untrained({state.model!r})  # a shipped one as it is",
        *(["images = kit.world.gallery().images"] if of_gallery and asked == APART else []),
        f"run = kit.parts.run(model, model.preprocess({pixels}))",
        {
            OWN: "direction = run.representation",
            APART: "direction = run.representation - model.encode_image(model.preprocess(images)).mean(0)",
            CHANCE: "direction = torch.randn(1, model.embed_dim, generator=torch.Generator().manual_seed(0))",
        }[asked],
        "direction = torch.nn.functional.normalize(direction, dim=-1)",
        "scores = run.scores(direction)                 # [batch, part, text]",
        f"heat = run.maps(direction, {state.selector!r})  # [batch, head, token, text]",
    ]
    return "\n".join(lines)


def _face(image, words: str) -> str:
    """The picture in its colours, as the tower sees it."""
    content, words = base64.b64encode(png_bytes(image, 232)).decode(), html.escape(words)
    return f'<figure><img src="data:image/png;base64,{content}" alt="{words}"></figure>'
