"""Still pictures for notebooks: arrays and titles in, a PNG with its finding in words out (PIL only).

Nothing is computed here. Signed numbers are red above zero and blue below, with equal limits on both sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from kit.errors import KitError
from kit.panels.drawing import ACCENT, FAINT, GROUND, INK, colours
from kit.panels.heat_panel import png_bytes
from kit.parts.layout import grid_layout

if TYPE_CHECKING:
    from torch import Tensor

FINE = 2  # pixels drawn for each pixel shown, so that letters stay sharp
WIDTH = 760
SERIES = (ACCENT, (230, 159, 0), (0, 158, 115))  # told apart by colour-blind eyes; a mark differs too
LINE = (205, 205, 205)


def picture(pixels: Tensor) -> Image.Image:
    """A picture to look at from the pixels of a scene, [3, height, width] uint8."""
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


class Still:
    """A picture, and the sentence that says what is seen in it.

    Attributes:
        image: drawn `FINE` times larger than it is shown.
        says: the finding; what a reader without eyes, and a saved notebook's check, go by.
    """

    def __init__(self, image: Image.Image, says: str):
        self.image, self.says = image, says

    def __repr__(self) -> str:
        return self.says

    def _repr_mimebundle_(self, include=None, exclude=None):
        width, height = (side // FINE for side in self.image.size)
        data = {"image/png": png_bytes(few_colours(self.image)), "text/plain": self.says}
        return data, {"image/png": {"width": width, "height": height}}


def grid(values, index: pd.DataFrame, title: str, unit: str, says: str, digits: int = 2) -> Still:
    """One number for each part: layers down, heads across, then MLP and constants; `embed` below.

    Args:
        values: one number for each row of `index`, [part].
        index: `parts.index`.
        title, unit: what the numbers are, and in what they are counted.
        says: the finding in one sentence.
        digits: decimals in the cells.
    """
    places = grid_layout(index)
    spread = places.spread(_numbers(values, len(index), "part"))
    limit = float(np.nanmax(np.abs(spread))) or 1.0
    fills, cell, left, top = colours(spread, limit), (78, 34), 44, 56
    sheet = Sheet(left + places.cols * cell[0] + 16, top + places.rows * cell[1] + 62, title)
    for c, name in enumerate(places.col_names):
        sheet.text((left + c * cell[0] + cell[0] / 2, top - 18), name, FAINT, "ma")
    for r, name in enumerate(places.row_names):
        sheet.text((left - 8, top + r * cell[1] + cell[1] / 2 - 1), name, FAINT, "rm")
    for i, label in enumerate(places.labels):
        if not label:
            continue
        x, y = left + i % places.cols * cell[0], top + i // places.cols * cell[1]
        wide = cell[0] * places.spans[i] - 3
        sheet.box((x, y, x + wide, y + cell[1] - 3), tuple(fills[i].tolist()), LINE)
        words = _number(spread[i], digits)
        words = words if places.row_names[i // places.cols] else f"{label}  {words}"
        dark = float(fills[i].mean()) < 140
        sheet.text((x + wide / 2, y + cell[1] / 2 - 2), words, GROUND if dark else INK, "mm")
    sheet.colour_bar((left, top + places.rows * cell[1] + 12), limit, unit, digits)
    return Still(sheet.image, says)


def bars(series: dict, names: list[str], title: str, unit: str, says: str, digits: int = 2) -> Still:
    """A group of horizontal bars for each name, one bar for each series; zero is a line.

    Args:
        series: name of a series -> its numbers, one for each of `names`; at most three.
        names: what the groups are called.
        title, unit, says, digits: as for `grid`.
    """
    tables = [_numbers(values, len(names), "name") for values in series.values()]
    low, high = min(0.0, *(float(t.min()) for t in tables)), max(0.0, *(float(t.max()) for t in tables))
    left, right, top, thick = 128, WIDTH - 70, 66, 14 if len(series) == 1 else 11
    step, span = thick * len(series) + 9, (high - low) or 1.0
    sheet = Sheet(WIDTH, top + step * len(names) + 34, title)
    sheet.legend((left, 36), list(series))
    room = 58 if low < 0 else 0  # for the numbers of bars that point left
    zero = left + room + (right - left - room) * (0 - low) / span
    for n, name in enumerate(names):
        y = top + n * step
        sheet.text((left - 10, y + thick * len(series) / 2), name, INK, "rm")
        for k, values in enumerate(tables):
            end = zero + (right - left - room) * float(values[n]) / span
            box = (min(zero, end), y + k * thick, max(zero, end), y + (k + 1) * thick - 2)
            sheet.box(box, SERIES[k])
            at, anchor = (end + 6, "lm") if values[n] >= 0 else (end - 6, "rm")
            words = _number(values[n], digits).lstrip("+")
            sheet.text((at, y + (k + 0.5) * thick - 1), words, FAINT, anchor, 11)
    sheet.line([(zero, top - 6), (zero, top + step * len(names))], INK)
    sheet.text((zero, top + step * len(names) + 6), f"0      {unit}", FAINT, "la")
    return Still(sheet.image, says)


def curves(series: dict, title: str, across: str, up: str, says: str, marks: dict | None = None) -> Still:
    """Positive numbers as curves over their place in the list, on a logarithmic axis.

    Args:
        series: name of a curve -> its numbers; at most three.
        title: what is shown; `across`, `up`: names of the axes.
        says: the finding in one sentence.
        marks: places of vertical lines, and what each line says.
    """
    tables = [np.log10(np.maximum(_numbers(v, len(v), "place"), 1e-18)) for v in series.values()]
    longest = max(len(t) for t in tables)
    low, high = np.floor(min(t.min() for t in tables)), np.ceil(max(t.max() for t in tables))
    box = (84, 62, WIDTH - 24, 320)
    sheet = Sheet(WIDTH, 372, title)
    sheet.legend((box[0], 36), list(series))

    def place(x, y):
        across_share, up_share = x / (longest - 1), (y - low) / (high - low)
        return box[0] + (box[2] - box[0]) * across_share, box[3] - (box[3] - box[1]) * up_share

    for power in np.arange(low, high + 1, max(1, (high - low) // 6)):
        sheet.line([place(0, power), place(longest - 1, power)], LINE)
        sheet.text((box[0] - 8, place(0, power)[1]), f"1e{int(power):+d}", FAINT, "rm", 11)
    for x in range(0, longest, 10):
        sheet.text((place(x, low)[0], box[3] + 6), str(x), FAINT, "ma", 11)
    for at, words in (marks or {}).items():
        sheet.line([place(at, low), place(at, high)], INK)
        sheet.text((place(at, high)[0] + 5, box[1] + 4), words, INK, "la", 11)
    for k, table in enumerate(tables):
        points = [place(x, y) for x, y in enumerate(table)]
        sheet.line(points, SERIES[k], 2)
        for x, y in points:
            sheet.mark(k, (x, y))
    sheet.text(((box[0] + box[2]) / 2, box[3] + 24), across, FAINT, "ma")
    sheet.text((8, 62), up, FAINT, "la", 11)
    return Still(sheet.image, says)


def maps(pictures, heats, titles: list[str], unit: str, says: str, digits: int = 3) -> Still:
    """Pictures side by side, each under its map of tokens; all maps share one colour scale.

    Args:
        pictures: one for each tile: PIL image, or uint8 [3, height, width].
        heats: one for each tile: numbers [row, col], or None (or NaN) for the picture alone.
        titles: one for each tile.
        unit, says, digits: as for `grid`.
    """
    heats = [None if h is None or np.isnan(h).any() else h for h in heats]
    known = [np.asarray(h, dtype=np.float64) for h in heats if h is not None]
    limit = max((float(np.abs(h).max()) for h in known), default=1.0)
    gap = 14
    side = min(240, (WIDTH - gap * (len(titles) + 1)) // len(titles))
    sheet = Sheet((side + gap) * len(titles) + gap, side + 78, "")
    for k, (picture, heat, title) in enumerate(zip(pictures, heats, titles, strict=True)):
        x = gap + k * (side + gap)
        sheet.text((x, 8), title, INK, "la", 13)
        sheet.paste(_tile(picture, heat, limit, side * FINE), (x, 28))
    if known:
        sheet.colour_bar((gap, side + 40), limit, unit, digits)
    return Still(sheet.image, says)


def _tile(picture, heat, limit: float, side: int) -> Image.Image:
    """A picture of `side` pixels, paled and under its map where there is one."""
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(np.asarray(picture).transpose(1, 2, 0).copy())
    picture = picture.convert("RGB").resize((side, side), Image.Resampling.NEAREST)
    if heat is None:
        return picture
    grey = np.asarray(picture.convert("L"), dtype=np.float64)[..., None]
    heat = np.asarray(heat, dtype=np.float64)
    rows, cols = heat.shape
    at = np.ix_(np.arange(side) * rows // side, np.arange(side) * cols // side)
    alpha = 0.9 * np.sqrt(np.abs(heat[at]) / limit)[..., None]
    ink = colours(np.sign(heat[at]) * 0.9, 1.0)
    return Image.fromarray(
        ((90 + 0.6 * grey) * (1 - alpha) + ink * alpha).round().clip(0, 255).astype(np.uint8)
    )


def few_colours(image: Image.Image) -> Image.Image:
    """The picture in 256 colours, spread so that a colour bar keeps its steps beside a busy picture."""
    return image.quantize(256, Image.Quantize.MAXCOVERAGE)


class Sheet:
    """A white sheet; all places are in shown pixels."""

    def __init__(self, width: float, height: float, title: str):
        self.image = Image.new("RGB", (round(width * FINE), round(height * FINE)), GROUND)
        self._pen = ImageDraw.Draw(self.image)
        self.text((8, 8), title, INK, "la", 15)

    def text(self, at, words: str, fill, anchor: str, size: int = 12) -> None:
        plain = words.translate(str.maketrans({"‘": "'", "’": "'", "−": "-", "…": "..."}))
        self._pen.text(_fine(at), plain, fill, ImageFont.load_default(size * FINE), anchor)

    def box(self, corners, fill, outline=None) -> None:
        self._pen.rectangle(_fine(corners), fill, outline)

    def line(self, points, fill, width: int = 1) -> None:
        self._pen.line([tuple(_fine(p)) for p in points], fill, width * FINE // 2 or 1)

    def paste(self, image: Image.Image, at) -> None:
        self.image.paste(image, tuple(round(v) for v in _fine(at)))

    def mark(self, kind: int, at, radius: float = 2.5) -> None:
        """A disc, a square or a triangle, by the number of the series."""
        x, y, r = at[0], at[1], radius
        if kind == 0:
            self._pen.ellipse(_fine((x - r, y - r, x + r, y + r)), SERIES[kind])
        elif kind == 1:
            self.box((x - r, y - r, x + r, y + r), SERIES[kind])
        else:
            self._pen.polygon(_fine((x - r, y + r, x + r, y + r, x, y - r)), SERIES[kind])

    def legend(self, at, names: list[str]) -> None:
        x, y = at
        for k, name in enumerate(names):
            self.mark(k, (x + 4, y + 8))
            self.text((x + 14, y), name, FAINT, "la")
            x += 30 + self._pen.textlength(name, ImageFont.load_default(12 * FINE)) / FINE

    def colour_bar(self, at, limit: float, unit: str, digits: int) -> None:
        (x, y), wide = at, 180
        for i, rgb in enumerate(colours(np.linspace(-1, 1, wide * FINE), 1.0).tolist()):
            self._pen.line(_fine((x + i / FINE, y, x + i / FINE, y + 9)), tuple(rgb))
        ends = (
            (0, _number(-limit, digits), "la"),
            (wide / 2, "0", "ma"),
            (wide, _number(limit, digits), "ra"),
        )
        for shift, words, anchor in ends:
            self.text((x + shift, y + 12), words, FAINT, anchor, 11)
        self.text((x + wide + 16, y - 3), unit, FAINT, "la")


def _fine(numbers) -> list[float]:
    return [v * FINE for v in numbers]


def _number(value: float, digits: int) -> str:
    text = f"{float(value):+.{digits}f}"
    return text if float(text) else text.replace("-", "+")


def _numbers(values, count: int, what: str) -> np.ndarray:
    """The values as float64 [count], from a tensor, an array or a list."""
    array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=np.float64)
    if array.shape != (count,):
        raise KitError(
            f"a picture wants one number for each {what}, [{count}], but the shape is {list(array.shape)}."
        )
    return array
