"""Notebook 14's panel: pictures nearest to a query in one head's space, beside three other spaces."""

from functools import partial

import ipywidgets as w
import pandas as pd
from PIL import Image

from kit.data.sets import Images
from kit.models.images import read_image
from kit.models.model import Model
from kit.panels.heat_panel import HeadGrid
from kit.panels.nearest_images import IMAGE, NearestImages, RetrievalFound, RetrievalState
from kit.panels.panel import Sentence
from kit.panels.retrieval_drawing import face, precision_svg, retrieval_png, strip, thumb
from kit.panels.saving import provenance
from kit.panels.state_panel import StatePanel
from kit.panels.stored import stored
from kit.panels.truth import truth_line

SEED = 81_401  # of scenes where no images are given
THUMBS = 4096  # small pictures that are kept
HOWS = [("centred cosine", "centred"), ("raw cosine", "raw"), ("inner product", "product")]


class Retrieval(StatePanel):
    """A query, the head grid, and the nearest pictures by a head, a random head, its layer, the whole model.

    Only an upload runs the image tower, once; everything else is arithmetic on the store.

    Args:
        model: that the store is of, or the name of a shipped one.
        images: the images of the store, to be shown; None = 1,000 scenes with one object.
        store: of heads and MLPs (`kit.collect(..., keep="store", selector="L*")`); None = a pass is made now.
        labels: attributes, one row for each image; None = those of the scenes, or labels that repeat.
        state: a state string as the panel shows it.

    Raises:
        KitError: an unknown model, a store of other images, labels of other images, a state that cannot be.

    Example:
        >>> panel = Retrieval("stickers-l8")                    # doctest: +SKIP
        >>> panel.choose(part="L5.H0", attribute="background")  # doctest: +SKIP
        >>> panel.caption                                       # doctest: +SKIP
        'Of the 8 images nearest to image 0, 8 in L5.H0 and 3 by the full model have its background. …'
    """

    def __init__(
        self,
        model: Model | str = "stickers-l8",
        images: Images | None = None,
        store=None,
        labels=None,
        state: str | None = None,
    ):
        super().__init__()
        model, self.images, store, self.seed = stored(model, images, store, "L*", SEED)
        self.cases = NearestImages(model, store, labels)
        self.selection = self.cases.first_state() if state is None else RetrievalState.parse(state)
        self._thumbs: dict[int, str] = {}
        self._begin()

    def finding(self) -> str:
        return f"{self.selection.model}: {self.caption}"

    def png(self, paper: bool = False) -> bytes:
        numbers = {n for row in self.found.rows for n in row.numbers}
        pictures = {n: self._picture(n) for n in numbers}
        return retrieval_png(self.found, self.selection, self._query_picture(), pictures)

    def table(self) -> pd.DataFrame:
        """The pictures that are shown, then the precision of each space for each attribute."""
        near = [
            ("nearest", r.space, r.part, k + 1, n, v, "; ".join(s))
            for r in self.found.rows
            for k, (n, v, s) in enumerate(zip(r.numbers, r.values, r.shared))
        ]
        columns = ["view", "space", "part", "rank", "image", "value", "shares"]
        return pd.concat([pd.DataFrame(near, columns=columns), self.found.precision.assign(view="precision")])

    def code(self) -> str:
        return as_code(self.selection, self.cases)

    def provenance(self) -> str:
        store, state = self.cases.store, self.selection
        data = f"{store.name}, digest {store.facts['data'][0][:12]}"
        return provenance(self.cases.model, data, self.seed, query=state.query, compared=state.how)

    def upload(self, content: bytes, filename: str) -> None:
        """Take an uploaded picture as the query: one run of the tower."""
        name: list[str] = []
        if self.guarded(lambda: name.append(self.cases.add_upload(content, filename)), self._undo):
            self.choose(query=name[0])

    def _change(self, fields: dict) -> None:
        self.selection = self.selection.changed(**fields)
        self._show()

    def _undo(self) -> None:
        self.selection = RetrievalState(**self._good)

    # --- pictures

    def _picture(self, number: int) -> Image.Image:
        return read_image(self.images[int(self.cases.store.rows[number])])

    def _thumb(self, number: int) -> str:
        """A small picture, made once."""
        if number not in self._thumbs:
            self._thumbs[number] = thumb(self._picture(number))
            while len(self._thumbs) > THUMBS:
                self._thumbs.pop(next(iter(self._thumbs)))
        return self._thumbs[number]

    def _query_picture(self) -> Image.Image:
        upload = self.cases.uploads.get(self.selection.query)
        return self._picture(self.cases.query(self.selection).number) if upload is None else upload.image

    def _told(self) -> str:
        """What is known of the query."""
        query, upload = self.cases.query(self.selection), self.cases.uploads.get(self.selection.query)
        if upload is not None:
            there = "" if query.number is None else f"; it is image {query.number}, and left out"
            return f"{upload.note}{there}"
        facts = self.cases.store.labels.iloc[query.number]
        line = truth_line(facts) if "concept" in facts else ", ".join(map(str, facts.dropna()))
        return f"{self.selection.query}: {line}"

    # --- from state to screen

    def _find_and_draw(self) -> None:
        """The pictures first; the precision of a head that nobody looked at yet takes a moment longer."""
        state = self.selection
        near = self.cases.nearest(state)
        for view, row in zip(self.strips, near.rows):
            view.value = strip(row, [self._thumb(n) for n in row.numbers], state.attribute)
        with self.grid.hold_sync():
            self.grid.set_layout(near.grid)
            self.grid.set_numbers(near.grid.spread(near.cells).reshape(near.grid.rows, near.grid.cols))
            self.grid.unit, self.grid.vmax, self.grid.alt = near.unit, 1.0, near.alt
        self.face.value = face(self._query_picture(), self._told())
        self.found: RetrievalFound = self.cases.find(state, near)
        self.chart.value = precision_svg(self.found, state.attribute)
        self.said.text = self.found.caption

    def _sync(self) -> None:
        """Make every control show the state."""
        state = self.selection
        query = self.cases.query(state)
        with self._quietly():
            if query.number is not None:
                self.number.value = query.number
            self.attribute.value, self.how.value = state.attribute, state.how
            self.line.value = str(state)
            self.grid.picked = [self.found.grid.labels.index(state.part)]

    def _build_controls(self) -> None:
        last, auto = len(self.cases.gallery) - 1, partial(w.Layout, width="auto")
        self.number = w.BoundedIntText(
            description="image", min=0, max=last, continuous_update=False, layout=w.Layout(width="150px")
        )
        self.another = w.Button(description="next image", tooltip="the next image", layout=auto())
        self.upload_button = w.FileUpload(accept="image/*", description="upload", layout=auto())
        self.attribute = w.Dropdown(
            description="mark", options=self.cases.attribute_names, layout=w.Layout(width="220px")
        )
        self.how = w.Dropdown(description="compare by", options=HOWS, layout=w.Layout(width="240px"))
        self.other = w.Button(description="another random head", tooltip="of the same layer", layout=auto())
        self.line = w.Text(description="state", continuous_update=False, layout=w.Layout(width="100%"))
        for control in (self.number, self.attribute, self.how, self.line):
            control.style.description_width = "initial"
        self.said = Sentence(look="caption", live=True)
        self.grid = HeadGrid(missing="not asked of this query")
        self.face, self.chart = w.HTML(), w.HTML()
        self.strips = [w.HTML() for _ in range(4)]
        self.box.children = self._arranged()

    def _arranged(self) -> list[w.Widget]:
        """The rows of the panel from top to bottom."""
        text = "Which head: pick one. Red: more of the nearest share the marked attribute than by chance"
        grid_head = Sentence(look="head", strong="Which head", text=text)
        text = "How well in general: precision of the ten nearest; whiskers 95 %"
        chart_head = Sentence(look="head", strong="How well in general", text=text)
        self.face.add_class("loupe-face")
        self.face.add_class("loupe-query")
        left, right = w.VBox([grid_head, self.grid]), w.VBox([chart_head, self.chart])
        left.layout.flex, left.layout.max_width = "1 1 280px", "380px"
        right.layout.flex, right.layout.max_width = "1 1 310px", "440px"
        rows = [
            w.HBox([self.number, self.another, self.upload_button, self.attribute, self.how, self.other]),
            w.HBox([self.face, left, right]),
        ]
        for box, look in ((left, "column"), (right, "column"), (rows[0], "row"), (rows[1], "columns")):
            box.add_class(f"loupe-{look}")
        return [rows[0], self._say, self.said, rows[1], *self.strips, self.line, *self._foot()]

    def _connect(self) -> None:
        self.number.observe(lambda change: self.choose(query=f"{IMAGE}{change.new}"), names="value")
        self.another.on_click(lambda _: self._next())
        self.other.on_click(lambda _: self.choose(other=self.selection.other + 1))
        self.attribute.observe(lambda change: self.choose(attribute=change.new), names="value")
        self.how.observe(lambda change: self.choose(how=change.new), names="value")
        self.grid.observe(self._picked, names="picked")
        self.line.observe(lambda change: self._restore(change.new), names="value")
        self.upload_button.observe(
            lambda change: [self.upload(bytes(f["content"]), f["name"]) for f in change.new], names="value"
        )

    def _next(self) -> None:
        number = self.cases.query(self.selection).number
        step = 0 if number is None else (number + 1) % len(self.cases.gallery)
        self.choose(query=f"{IMAGE}{step}")

    def _picked(self, change) -> None:
        labels = [self.found.grid.labels[i] for i in change.new if self.found.grid.labels[i]]
        if labels and labels[-1] != self.selection.part:
            self.choose(part=labels[-1])
        elif not self._writing:
            self._sync()


def as_code(state: RetrievalState, cases: NearestImages) -> str:
    """Lines that compute what a state shows, without a panel."""
    number = cases.query(state).number
    asked = f"gallery.query({number})"
    if state.query in cases.uploads:
        asked = 'gallery.ask(model, model.preprocess(["my picture.png"]))'
    spaces = list(cases.spaces(state).values())
    return "\n".join(
        [
            "import kit",
            f"model = kit.load({cases.model.name!r})",
            f"images = ...  # those of the store: {cases.store.name}",
            f"store = kit.collect(model, images, 'store', {cases.store.name!r}, selector='L*')",
            "gallery = kit.retrieval.Gallery(store)",
            f"query = {asked}",
            f"near = {{s: gallery.nearest(query, s, {cases._shown}, {state.how!r}) for s in {spaces!r}}}",
        ]
    )
