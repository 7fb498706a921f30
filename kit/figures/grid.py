"""Layers by heads: one number, and where given a word, for each part of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.figures import look as looks
from kit.figures.figure import Figure, marked, plain, plotly_figure
from kit.numbers import array, largest, number
from kit.parts.layout import GridLayout, grid_layout

CELL, WORDED, LEFT, TOP = (0.78, 0.36), (1.16, 0.4), 0.46, 0.56  # inches
BAR, LETTER = 1.8, 0.068  # inches of a colour bar, and of a letter of its unit


@dataclass(frozen=True, eq=False)
class Grid(Figure):
    """One number for each part: layers down, heads across, then MLPs and constants; `embed` below.

    Attributes:
        index: as `parts.index`.
        values: [part]; NaN is drawn as an empty frame.
        unit: what they are.
        limit: end of the scale; None = the largest.
        signed: False for what cannot be negative: white to teal from 0, instead of blue to red around 0.
        words, marks: [part], written in the cell in place of the number, and below; a word that
            `look.PROPERTIES` knows has that colour at its edge.
        picked, off: names of parts that are framed, and hatched.

    Raises:
        KitError: numbers, words or marks of another count than there are parts, or a part that is not there.

    Example:
        >>> index = pd.DataFrame({"name": ["L0.H0", "L0.H1"], "kind": "head", "layer": 0, "head": [0, 1]})
        >>> Grid(index, [0.25, -0.5], "share of a cosine", title="Heads").alt
        'Heads. share of a cosine: L0.H0 +0.250; L0.H1 −0.500.'
    """

    index: pd.DataFrame
    values: np.ndarray
    unit: str
    limit: float | None = None
    signed: bool = True
    words: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    picked: tuple[str, ...] = ()
    off: tuple[str, ...] = ()

    def __post_init__(self):
        put = object.__setattr__
        put(self, "index", self.index.copy())
        put(self, "values", array(self.values, [len(self.index)], f"the numbers of a grid ({self.unit})"))
        put(self, "limit", float(self.limit or largest(self.values) or 1.0))
        for name in ("words", "marks", "picked", "off"):
            put(self, name, tuple(getattr(self, name)))
        for name in ("words", "marks"):
            if len(getattr(self, name)) not in (0, len(self.index)):
                raise KitError(
                    f"{len(getattr(self, name))} {name} for {len(self.index)} parts; give one for each."
                )
        if strange := [n for n in (*self.picked, *self.off) if n not in set(self.index["name"])]:
            raise KitError(f'no part "{strange[0]}" among the {len(self.index)} of this grid.')

    @cached_property
    def layout(self) -> GridLayout:
        """Where each part sits."""
        return grid_layout(self.index)

    def told(self, part: int, short: bool = False) -> str:
        """The number of a part as it is written."""
        return number(self.values[part], self.limit, sign=self.signed, short=short)

    def rows(self) -> pd.DataFrame:
        """`part`, the number under the name of its unit, `word`, `mark`, and whether it is picked and off."""
        table = pd.DataFrame({"part": self.index["name"].to_numpy(), self.unit: self.values})
        for name in ("words", "marks"):
            if held := getattr(self, name):
                table[name[:-1]] = held
        for name in ("picked", "off"):
            table[name] = table["part"].isin(getattr(self, name))
        return table

    def _seen(self) -> str:
        told = self.words or [self.told(p) for p in range(len(self.index))]
        marks = self.marks or [""] * len(self.index)
        cells = [f"{n} {t or '–'} {m}".rstrip() for n, t, m in zip(self.index["name"], told, marks)]
        off = f"; switched off: {', '.join(self.off)}" if self.off else ""
        return f"{self.unit}: {'; '.join(cells)}{off}"

    def _size(self) -> tuple[float, float]:
        places = self.layout
        wide, high = self._cell_size
        across = max(places.cols * wide, bar_width(self.unit) if self._bar else 0)
        return self._left + across + 0.1, TOP + places.rows * high + (0.55 if self._bar else 0.1)

    @property
    def _left(self) -> float:
        """Inches for the names of rows."""
        return LEFT

    @property
    def _cell_size(self) -> tuple[float, float]:
        return WORDED if self.words else CELL

    @property
    def _bar(self) -> bool:
        return not self.words or bool(np.isfinite(self.values).any())

    def _draw(self, sheet, look: dict) -> None:
        places, (wide, high) = self.layout, self._cell_size
        axes = sheet.axes(self._left, TOP, places.cols * wide, places.rows * high)
        axes.set(xlim=(0, places.cols), ylim=(places.rows, 0), yticks=np.arange(places.rows) + 0.5)
        axes.set_xticks(np.arange(len(places.col_names)) + 0.5, places.col_names)
        axes.set_yticklabels(places.row_names)
        axes.xaxis.tick_top()
        axes.tick_params(colors=look["faint"], labelsize=8.5)
        fills = looks.colours(self.values, self.limit, self.signed)
        for cell, (label, part) in enumerate(zip(places.labels, places.parts)):
            if label:
                row, col = divmod(cell, places.cols)
                named = not places.row_names[row]
                self._cell(axes, look, (col, row, places.spans[cell]), part, label, fills[part], named)
        if self._bar:
            where = self._left, TOP + places.rows * high + 0.1
            colour_bar(sheet, look, where, self.limit, self.unit, self.signed)

    def _cell(self, axes, look: dict, place, part: int, label: str, fill, named: bool) -> None:
        from matplotlib.patches import Rectangle
        from matplotlib.patheffects import withStroke

        (col, row, span), empty = place, bool(np.isnan(self.values[part]))
        ground = "none" if empty else tuple(fill / 255)
        ink = look["ink"] if empty else looks.reads_on(fill)
        box = {"xy": (col + 0.03, row + 0.05), "width": span - 0.06, "height": 0.9}
        edge = {"edgecolor": look["line"], "linewidth": 0.8, "linestyle": ":" if empty else "-"}
        axes.add_patch(Rectangle(**box, facecolor=ground, gid=f"cell-{label}", **edge))
        if label in self.off:
            axes.add_patch(
                Rectangle(**box, fill=False, hatch="////", linewidth=0, edgecolor=ink, gid=f"off-{label}")
            )
        if self.words and (word := self.words[part]) in looks.PROPERTIES:
            strip = Rectangle((col + 0.03, row + 0.05), 0.06, 0.9, facecolor=looks.colour_of(word))
            axes.add_patch(strip)
        told = self._written(part)
        lines = [label if named and not self.words else "", told, self.marks[part] if self.marks else ""]
        words = "\n".join(_cut(line, span * (18 if self.words else 12)) for line in lines if line)
        halo = [withStroke(linewidth=4, foreground=ground)] if label in self.off and not empty else []
        where = (col + span / 2 + (0.04 if self.words else 0), row + 0.52)
        axes.text(
            *where, words, size=7.5 if "\n" in words else 8, color=ink, ha="center", va="center",
            linespacing=1.0, path_effects=halo, gid=f"number-{label}",
        )  # fmt: skip
        if label in self.picked:
            axes.add_patch(
                Rectangle(**box, fill=False, edgecolor=looks.ACCENT, linewidth=2.6, gid=f"picked-{label}")
            )

    def _written(self, part: int) -> str:
        """What stands in a cell."""
        if self.words:
            return self.words[part]
        return "" if np.isnan(self.values[part]) else self.told(part, short=True)

    def plotly(self):
        """The grid as a plotly figure: hover names a part and its number, a click gives the name."""
        places = self.layout
        shape, pairs = (places.rows, places.cols), list(zip(places.labels, places.parts))
        z, names = (
            np.reshape(a, shape) for a in (places.spread(self.values), np.array(places.labels, object))
        )
        written = np.array([marked(self._written(p)) if label else "" for label, p in pairs], dtype=object)
        said = [f"<b>{marked(label)}</b> {self._hover(p)}" if label else "" for label, p in pairs]
        told = np.array(said, dtype=object).reshape(shape)
        trace = {
            "type": "heatmap", "z": z, "zmin": -self.limit if self.signed else 0, "zmax": self.limit,
            "colorscale": looks.plotly_scale(self.signed), "customdata": names, "hovertext": told,
            "hovertemplate": "%{hovertext}<extra></extra>", "xgap": 2, "ygap": 2,
            "text": written.reshape(shape),
            "texttemplate": "%{text}",
            "colorbar": {"title": {"text": marked(self.unit), "side": "right"}, "thickness": 10},
        }  # fmt: skip
        across = {"tickvals": list(range(len(places.col_names))), "ticktext": places.col_names, "side": "top"}
        of_rows = [
            marked(name or " · ".join(dict.fromkeys(filter(None, row))))
            for name, row in zip(places.row_names, names)
        ]
        down = {"tickvals": list(range(places.rows)), "ticktext": of_rows, "autorange": "reversed"}
        plain = {"showgrid": False, "zeroline": False}
        size = {
            "height": 110 + 34 * places.rows,
            "margin": {"l": 8, "r": 8, "t": 74, "b": 8},
            "shapes": self._frames(names),
        }
        return plotly_figure([trace], self.title, {"xaxis": across | plain, "yaxis": down | plain, **size})

    def _frames(self, names: np.ndarray) -> list[dict]:
        """Frames for plotly: around what is picked, and dotted around what is off."""
        lines = {"picked": {"color": looks.ACCENT, "width": 3}, "off": {"color": "gray", "dash": "dot"}}
        frames = []
        for kind, line in lines.items():
            for (row, col), name in np.ndenumerate(names):
                if name in getattr(self, kind):
                    box = {"x0": col - 0.5, "x1": col + 0.5, "y0": row - 0.5, "y1": row + 0.5}
                    frames.append({"type": "rect", "name": f"{kind}-{name}", "line": line} | box)
        return frames

    def _hover(self, part: int) -> str:
        off = "switched off" if self.index["name"].iloc[part] in self.off else ""
        said = [self.told(part), *(held[part] for held in (self.words, self.marks) if held), off]
        return marked(" ".join(filter(None, said)))


@dataclass(frozen=True, eq=False)
class Cells(Grid):
    """One number for each pair of a row and a column. `index` is made of their names (`cells`)."""

    @cached_property
    def layout(self) -> GridLayout:
        """Where each pair lies: rows and columns in the order in which they first come."""
        rows, cols = (list(dict.fromkeys(self.index[name])) for name in ("row", "col"))
        names, count = self.index["name"].tolist(), len(self.index)
        return GridLayout(len(rows), len(cols), np.arange(count), [1] * count, names, rows, cols)

    @property
    def _left(self) -> float:
        return 0.2 + max(LEFT, 0.07 * max(map(len, self.index["row"])))


def cells(rows: Sequence[str], cols: Sequence[str], values: np.ndarray, unit: str, **more) -> Cells:
    """A figure of numbers [row, col].

    Args:
        rows, cols: names; a cell is called `"row · col"`.
        values: [row, col].
        unit, more: as of `Grid`.

    Example:
        >>> cells(["a cat"], ["L0.H0", "L0.H1"], [[0.25, -0.5]], "score").alt
        'score: a cat · L0.H0 +0.250; a cat · L0.H1 −0.500.'
    """
    pairs = [(f"{row} · {col}", row, col) for row in rows for col in cols]
    index = pd.DataFrame(pairs, columns=["name", "row", "col"])
    return Cells(index, np.reshape(values, -1), unit, **more)


def _cut(line: str, most: int) -> str:
    return plain(line if len(line) <= most else line[: most - 1] + "…")


def bar_width(unit: str) -> float:
    """Inches that a colour bar takes with its unit beside it."""
    return BAR + 0.15 + LETTER * len(unit)


def colour_bar(sheet, look: dict, at: tuple[float, float], limit: float, unit: str, signed: bool) -> None:
    """A colour bar with its ends and its unit, at a place of a sheet in inches."""
    low = -limit if signed else 0.0
    axes = sheet.axes(at[0], at[1], BAR, 0.1)
    ramp = looks.colours(np.linspace(low, limit, 25)[None], limit, signed)
    axes.imshow(ramp, aspect="auto", extent=(low, limit, 0, 1), interpolation="nearest")
    ends = [low, 0.0, limit] if signed else [0.0, limit]
    axes.set_xticks(ends, [number(e, limit, sign=signed) if e else "0" for e in ends])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, color=look["line"], linewidth=0.8)
    axes.tick_params(colors=look["faint"], labelsize=8, pad=2)
    sheet.text(at[0] + BAR + 0.15, at[1] - 0.03, unit, size=8.5, color=look["faint"], va="top")
