"""Accuracies with their intervals, drawn once and shown twice: as SVG in a live panel, as PNG in a saved one.

A chart is drawn on a sheet with four strokes (text, box, line, mark). `Svg` writes them in the colours of
JupyterLab's theme, and `kit.panels.pictures` paints them. Nothing is computed here.
"""

import html
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kit.measures import Interval
from kit.panels.drawing import ACCENT, FAINT, GROUND, INK
from kit.panels.pictures import LINE, SERIES, Sheet, Still

THEMED = {
    INK: "var(--jp-content-font-color1, #212121)",
    FAINT: "var(--jp-content-font-color2, #616161)",
    LINE: "var(--jp-border-color2, #cdcdcd)",
    ACCENT: "var(--jp-brand-color1, #1976d2)",
    GROUND: "var(--jp-layout-color1, #ffffff)",
}
ANCHORS = {"l": "start", "m": "middle", "r": "end"}
BARS_WIDTH, CURVE_WIDTH, CURVE_HEIGHT = 470, 470, 300


class Svg:
    """A sheet that writes SVG.

    Args:
        width, height: in pixels.
        title: its first line.

    Example:
        >>> sheet = Svg(100, 50, "a title")
        >>> sheet.html("a title and nothing else").startswith('<svg viewBox="0 0 100 50" role="img"')
        True
    """

    def __init__(self, width: float, height: float, title: str):
        self._size, self._pieces = (width, height), []
        self.text((8, 8), title, INK, "la", 13)

    def text(self, at, words: str, fill, anchor: str, size: int = 12) -> None:
        y = at[1] + (size * 0.8 if anchor[1] == "a" else size * 0.35)
        self._pieces.append(
            f'<text x="{at[0]:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{ANCHORS[anchor[0]]}" '
            f'fill="{_colour(fill)}">{html.escape(words)}</text>'
        )

    def box(self, corners, fill, outline=None) -> None:
        x, y, right, bottom = corners
        edge = f' stroke="{_colour(outline)}"' if outline else ""
        self._pieces.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{right - x:.1f}" height="{bottom - y:.1f}" '
            f'fill="{_colour(fill)}"{edge}/>'
        )

    def line(self, points, fill, width: int = 1) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._pieces.append(
            f'<polyline points="{path}" fill="none" stroke="{_colour(fill)}" stroke-width="{width}"/>'
        )

    def mark(self, kind: int, at, radius: float = 2.5) -> None:
        x, y, r, fill = at[0], at[1], radius, _colour(SERIES[kind])
        if kind == 0:
            self._pieces.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{fill}"/>')
        else:
            self.box((x - r, y - r, x + r, y + r), SERIES[kind])

    def legend(self, at, names: list[str]) -> None:
        x, y = at
        for kind, name in enumerate(names):
            self.mark(kind, (x + 4, y + 7), 3.5)
            self.text((x + 13, y), name, FAINT, "la")
            x += 28 + 6.4 * len(name)

    def html(self, alt: str) -> str:
        """The drawing as SVG, with what it shows in words."""
        width, height = self._size
        return (
            f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(alt)}" '
            f'style="width:100%;max-width:{width:g}px">{"".join(self._pieces)}</svg>'
        )


def _colour(fill) -> str:
    return THEMED.get(tuple(fill), f"rgb({fill[0]},{fill[1]},{fill[2]})")


@dataclass(frozen=True)
class Row:
    """One line of a bar chart.

    Attributes:
        name: what was asked.
        before, after: accuracies, 0-1, with their intervals.
        chance: accuracy of a blind answer.
    """

    name: str
    before: Interval
    after: Interval
    chance: float


def bars_height(rows: list[Row]) -> int:
    """How tall the chart of these rows is."""
    return 84 + 40 * len(rows)


def draw_bars(sheet, rows: list[Row], chosen: str = "") -> None:
    """Two bars for each row, before and after, with whiskers for the intervals and a tick for chance."""
    left, right, top = 92, BARS_WIDTH - 92, 52
    place = lambda share: left + (right - left) * share  # noqa: E731
    sheet.text((left, 30), "grey: as it is · blue: replaced · tick: chance · whiskers: 95 %", FAINT, "la", 11)
    for percent in (0, 25, 50, 75, 100):
        x = place(percent / 100)
        sheet.line([(x, top), (x, top + 40 * len(rows))], LINE)
        sheet.text((x, top + 40 * len(rows) + 5), str(percent), FAINT, "ma", 11)
    sheet.text((right + 18, top + 40 * len(rows) + 5), "accuracy, %", FAINT, "la", 11)
    for number, row in enumerate(rows):
        y = top + 40 * number + 6
        if row.name == chosen:
            sheet.box((2, y - 2, 5, y + 30), ACCENT)
        sheet.text((left - 8, y + 14), row.name, INK if row.name == chosen else FAINT, "rm", 13)
        for shift, found, fill in ((0, row.before, (150, 150, 150)), (14, row.after, ACCENT)):
            sheet.box((left, y + shift, place(found.value), y + shift + 11), fill)
            _whisker(sheet, (place(found.low), place(found.high)), y + shift + 5.5)
        x = place(row.chance)
        sheet.line([(x, y - 3), (x, y + 28)], INK, 2)
        change = 100 * (row.after.value - row.before.value)
        words = f"{100 * row.after.value:.1f} ({change:+.1f})".replace("-", "−")
        sheet.text((right + 8, y + 19), words, INK, "lm")


def _whisker(sheet, ends: tuple[float, float], y: float) -> None:
    sheet.line([(ends[0], y), (ends[1], y)], INK)
    for x in ends:
        sheet.line([(x, y - 3), (x, y + 3)], INK)


def draw_curves(
    sheet, curves: dict, names: list[str], lines: dict, across: str, point: tuple[int, int] | None = None
) -> None:
    """Accuracies along a list of places, with whiskers.

    Args:
        sheet: of `CURVE_WIDTH` by `CURVE_HEIGHT`.
        curves: name of a curve -> one `Interval` for each place, 0-1; at most three.
        names: of the places.
        lines: words -> accuracy, drawn as level lines.
        across: name of the axis.
        point: number of the curve and of the place that is ringed.
    """
    box = (52, 54, CURVE_WIDTH - 60, CURVE_HEIGHT - 48)
    step = (box[2] - box[0]) / max(1, len(names) - 0.2)
    x_of = lambda n, k: box[0] + step * (n + 0.35) + 5 * k  # noqa: E731
    y_of = lambda share: box[3] - (box[3] - box[1]) * share  # noqa: E731
    sheet.legend((box[0], 30), list(curves))
    for percent in (0, 25, 50, 75, 100):
        y = y_of(percent / 100)
        sheet.line([(box[0], y), (box[2], y)], LINE)
        sheet.text((box[0] - 6, y), str(percent), FAINT, "rm", 11)
    for words, share in lines.items():
        sheet.line([(box[0], y_of(share)), (box[2], y_of(share))], INK)
        sheet.text((box[2] + 4, y_of(share)), words, FAINT, "lm", 11)
    for number, name in enumerate(names):
        sheet.text((x_of(number, 0.5), box[3] + 6), name, FAINT, "ma", 11)
    for k, found in enumerate(curves.values()):
        points = [(x_of(n, k), y_of(each.value)) for n, each in enumerate(found)]
        sheet.line(points, SERIES[k], 2)
        for n, ((x, y), each) in enumerate(zip(points, found, strict=True)):
            sheet.line([(x, y_of(each.low)), (x, y_of(each.high))], SERIES[k])
            if point == (k, n):
                sheet.box((x - 6, y - 6, x + 6, y + 6), GROUND, INK)
            sheet.mark(k, (x, y))
    sheet.text(((box[0] + box[2]) / 2, box[3] + 24), across, FAINT, "ma", 12)
    sheet.text((8, 12 + 20), "%", FAINT, "la", 11)


def bars(rows: list[Row], title: str, says: str) -> Still:
    """A still bar chart of accuracies before and after; see `draw_bars`."""
    sheet = Sheet(BARS_WIDTH, bars_height(rows), title)
    draw_bars(sheet, rows)
    return Still(sheet.image, says)


def curves(
    found: dict, names: list[str], title: str, across: str, says: str, lines: dict | None = None
) -> Still:
    """A still chart of accuracies along places; see `draw_curves`."""
    sheet = Sheet(CURVE_WIDTH, CURVE_HEIGHT, title)
    draw_curves(sheet, found, names, lines or {}, across)
    return Still(sheet.image, says)


def beside(*stills: Still, says: str) -> Still:
    """Several still charts side by side, as one."""
    images = [still.image for still in stills]
    sheet = Image.new("RGB", (sum(i.width for i in images), max(i.height for i in images)), GROUND)
    for number, image in enumerate(images):
        sheet.paste(image, (sum(i.width for i in images[:number]), 0))
    return Still(sheet, says)


def intervals(table) -> list[Interval]:
    """Rows of `kit.measures.changes` as intervals.

    Example:
        >>> import pandas as pd
        >>> intervals(pd.DataFrame({"value": [0.5], "low": [0.4], "high": [0.6]}))[0].value
        0.5
    """
    return [Interval(*map(float, row)) for row in np.asarray(table[["value", "low", "high"]], dtype=float)]
