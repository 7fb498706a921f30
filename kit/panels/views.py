"""How a figure is seen in a panel: a thin view for each kind, built once and only assigned to."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import ipywidgets as w

from kit.figures import Bars, Curves, Figure, Grid, Maps, Scatter, Strip, Table
from kit.figures.look import PROPERTIES, colour_of
from kit.panels.chart import ChartPanel
from kit.panels.heat_panel import BarPanel, HeatPanel
from kit.panels.panel import Sentence

LOOKS = ("whole", "rest", "only")  # of the bars of a group of radio buttons, in the style sheet


class View:
    """A widget and the heading above it. What did not change is not sent."""

    def __init__(self, widget: w.Widget):
        self.widget, self.head, self.figure = widget, Sentence(look="head"), None
        self._told: Callable[[Iterable[str]], None] = lambda names: None

    def when_picked(self, tell: Callable[[Iterable[str]], None], switches: bool = False) -> None:
        """Call this with the names that a hand picks; `switches`: a click adds one or takes it away."""
        self._told = tell
        if switches:
            self.widget.switches = True

    def show(self, figure: Figure) -> None:
        """Show a figure of the same kind."""
        if figure == self.figure:
            return
        self.head.text, self.head.strong = figure.title, figure.title.split(":")[0]
        before, self.figure = self.figure, figure
        try:
            self._show(figure)
        except BaseException:
            self.figure = before
            raise

    def _show(self, figure: Figure) -> None:
        raise NotImplementedError

    def sync(self) -> None:
        """Mark again what the figure says is picked, whatever a hand did."""

    def lock(self, locked: bool) -> None:
        """Take no picks for a time, or take them again."""
        if self.widget.has_trait("busy"):
            self.widget.busy = locked


class CanvasView(View):
    """Signed numbers on a canvas that takes keys."""

    def __init__(self, widget: HeatPanel):
        super().__init__(widget)
        widget.observe(self._clicked, names="picked")

    def _clicked(self, change) -> None:
        self._told([label for cell in change.new if (label := self.widget.labels[cell])])

    def sync(self) -> None:
        known = {label: cell for cell, label in enumerate(self.widget.labels) if label}
        self.widget.picked = [known[name] for name in self.figure.picked if name in known]


class GridView(CanvasView):
    """Layers by heads on a canvas."""

    def __init__(self):
        super().__init__(HeatPanel(kind="grid", missing="no number"))

    def _show(self, figure: Grid) -> None:
        places, canvas = figure.layout, self.widget
        known = [colour_of(word) if word in PROPERTIES else "" for word in figure.words]
        with canvas.hold_sync():
            canvas.set_numbers(places.spread(figure.values).reshape(places.rows, places.cols))
            for name in ("labels", "spans", "row_names", "col_names"):
                setattr(canvas, name, getattr(places, name))
            for name, of_parts in (("words", figure.words), ("marks", figure.marks), ("edges", known)):
                of_cells = [of_parts[part] if part >= 0 else "" for part in places.parts if of_parts]
                setattr(canvas, name, of_cells)
            canvas.off = [places.labels.index(name) for name in figure.off]
            canvas.vmax, canvas.signed = figure.limit, figure.signed
            canvas.unit, canvas.alt = figure.unit, figure.alt


class MapView(CanvasView):
    """The first map of a figure on a canvas, over its picture."""

    def __init__(self):
        super().__init__(HeatPanel(kind="map"))
        self._drawn: tuple = ()

    def _show(self, figure: Maps) -> None:
        canvas, mask = self.widget, None if figure.masks is None else figure.masks[0]
        with canvas.hold_sync():
            canvas.set_numbers(figure.values[0])
            drawn = figure.pictures[0], None if mask is None else mask.tobytes()
            if drawn != self._drawn:
                canvas.set_picture(figure.pictures[0], mask)
                self._drawn = drawn
            canvas.vmax, canvas.signed = figure.limit, figure.signs[0]
            canvas.unit, canvas.alt = figure.unit, figure.alt


class MapsView(View):
    """Several maps side by side, each under its name; tokens are picked in any of them."""

    def __init__(self):
        super().__init__(w.HBox())
        self.widget.add_class("loupe-tiles")
        self.tiles: list[MapView] = []

    def _show(self, figure: Maps) -> None:
        while len(self.tiles) < len(figure.values):
            tile = MapView()
            tile.when_picked(lambda names: self._told(names))
            self.tiles.append(tile)
            self.widget.children += (w.VBox([tile.head, tile.widget]),)
        for k, (tile, box) in enumerate(zip(self.tiles, self.widget.children)):
            box.layout.display = "" if k < len(figure.values) else "none"  # what is built stays
            if k < len(figure.values):
                tile.show(figure.only(k))

    def sync(self) -> None:
        for tile in self.tiles:
            tile.sync()

    def lock(self, locked: bool) -> None:
        for tile in self.tiles:
            tile.lock(locked)


class ChartView(View):
    """Bars, curves or points, drawn by plotly in the browser."""

    def __init__(self, still: bytes):
        super().__init__(ChartPanel(still=still))
        self.widget.on_picked(lambda name: self._told([name]))

    def _show(self, figure: Bars | Curves | Scatter) -> None:
        drawn = replace(figure, title="").plotly()  # the heading stands above
        drawn.layout.font = None  # the page's own ink, and its size of text
        self.widget.show(drawn.to_json(), figure.alt)


class RadioView(View):
    """Bars of which a group is chosen, by click or arrow keys; tells its number. Levels are ticks."""

    def __init__(self):
        super().__init__(BarPanel())
        self.widget.observe(lambda change: self._told([change.new]), names="text")

    def _show(self, figure: Bars) -> None:
        bars, marks = self.widget, next(iter(figure.levels.values()), [])
        with bars.hold_sync():
            bars.kinds = [{"name": name, "look": look} for name, look in zip(figure.kinds, LOOKS)]
            bars.texts, bars.unknown = list(figure.labels), list(figure.unknown)
            bars.unit, bars.alt = figure.unit, figure.alt
            bars.limit, bars.marks = figure.limits[1], marks
            bars.set_values(figure.values)

    def sync(self) -> None:
        self.widget.text = self.figure.labels.index(self.figure.picked)


class PageView(View):
    """Tables and pictures, as a piece of the page."""

    def __init__(self):
        super().__init__(w.HTML())

    def _show(self, figure: Table | Strip) -> None:
        self.widget.value = figure.html()


def view_of(figure: Figure) -> View:
    """A view for figures of this one's kind."""
    if isinstance(figure, Grid):
        return GridView()
    if isinstance(figure, Maps):
        return MapView() if len(figure.values) == 1 else MapsView()
    return PageView() if hasattr(figure, "html") else ChartView(figure.png())
