"""Tables: words and numbers in rows, shares as bars too."""

import html
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.figures import look as looks
from kit.figures.figure import Figure, plain
from kit.numbers import number

TOP, STEP = 0.36, 0.23  # inches
SHORT = 24  # letters of a column that is not broken


@dataclass(frozen=True, eq=False)
class Table(Figure):
    """Rows of words and numbers, in the order given; all numbers of a column have the same digits.

    Attributes:
        frame: what is shown, column by column; its index is not.
        bar: a column of shares, 0-1, that are drawn as bars too; "" = none.
        digits: decimals of numbers; None = three significant digits of the largest in a column.
        percent: columns of shares that are written in percent.
        chip: a column of properties that have a colour, see `look.colour_of`; "" = none.
        picked: the value in the first column whose row is marked; "" = none.

    Raises:
        KitError: a name that is no column.

    Example:
        >>> Table(pd.DataFrame({"text": ["a cat"], "share": [0.25]}), percent=["share"], title="Texts").alt
        'Texts. a cat 25 %.'
    """

    frame: pd.DataFrame
    bar: str = ""
    percent: tuple[str, ...] = ()
    chip: str = ""
    digits: int | None = None
    picked: str = ""

    def __post_init__(self):
        object.__setattr__(self, "frame", self.frame.reset_index(drop=True).copy())
        object.__setattr__(self, "percent", tuple(self.percent))
        for name in (self.bar, self.chip, *self.percent):
            if name and name not in self.frame.columns:
                raise KitError(f'no column "{name}"; there are {", ".join(map(str, self.frame.columns))}.')

    def rows(self) -> pd.DataFrame:
        """A copy of the frame."""
        return self.frame.copy()

    def cells(self) -> list[list[str]]:
        """What stands in each cell, row by row."""
        columns = []
        for name, column in self.frame.items():
            if column.dtype.kind == "f":
                limit = float(np.nanmax(np.abs(column))) if column.notna().any() else 1.0
                told = [number(v, limit, digits=self.digits) for v in column]
                if name in self.percent:
                    told = [f"{number(100 * v, digits=0)} %".replace("– %", "–") for v in column]
            else:
                words = ((v, number(v, digits=0) if type(v) is int else str(v)) for v in column)
                told = ["" if pd.isna(v) else word for v, word in words]
            columns.append(told)
        return [list(row) for row in zip(*columns)]

    def _seen(self) -> str:
        return "; ".join(" ".join(filter(None, row)) for row in self.cells()) or "no rows"

    def html(self) -> str:
        """The table for a page; what stands in cells cannot carry markup."""
        names, cells = list(self.frame.columns), self.cells()
        classes = {name: self._class(name, column) for name, column in zip(names, zip(*cells))}
        lines = ["".join(f'<th scope="col"{classes.get(n, "")}>{html.escape(str(n))}</th>' for n in names)]
        marked = [False, *(bool(self.picked) and row[0] == self.picked for row in cells)]
        for n, row in enumerate(cells):
            line = ""
            for name, told in zip(names, row):
                known = name == self.chip and told
                chip = f'<i style="background:{looks.colour_of(told)}"></i>' if known else ""
                bar = f'<b style="width:{44 * self._share(name, n):.0f}px"></b>' if name == self.bar else ""
                line += f"<td{classes[name]}>{chip}{bar}{html.escape(told)}</td>"
            lines.append(line)
        this = ' class="loupe-this" aria-current="true"'
        rows = [f"<tr{this if mark else ''}>{line}</tr>" for line, mark in zip(lines, marked)]
        table = f'<table class="loupe-table" aria-label="{html.escape(self.title or "table")}">'
        body = f"<thead>{rows[0]}</thead><tbody>{''.join(rows[1:])}</tbody>"
        return f'<div class="loupe-wide">{table}{body}</table></div>'

    def _class(self, name: str, column: tuple[str, ...]) -> str:
        """How the cells of a column are set: numbers to the right, what is short on one line."""
        number_like = self.frame[name].dtype.kind in "fiu" and name != self.bar
        held = ["loupe-number"] * number_like + ["loupe-short"] * (max(map(len, column)) <= SHORT)
        return f' class="{" ".join(held)}"' if held else ""

    def _share(self, name: str, row: int) -> float:
        return float(np.clip(np.nan_to_num(self.frame[name][row]), 0, 1))

    @property
    def _wide(self) -> list[float]:
        """Inches of each column."""
        texts = [[str(n), *column] for n, column in zip(self.frame.columns, zip(*self.cells()))]
        texts = texts or [[str(n)] for n in self.frame.columns]
        wide = [0.2 + 0.074 * min(48, max(map(len, column))) for column in texts]
        return [w + (0.75 if n == self.bar else 0) for n, w in zip(self.frame.columns, wide)]

    def _size(self) -> tuple[float, float]:
        return max(2.6, sum(self._wide) + 0.1), TOP + STEP * (len(self.frame) + 1) + 0.1

    def _draw(self, sheet, look: dict) -> None:
        from matplotlib.patches import Rectangle

        (wide, high), cells = self._size(), self.cells()
        ends = {"xlim": (0, wide), "ylim": (high - TOP, 0), "xticks": [], "yticks": []}
        axes = sheet.axes(0, TOP, wide, high - TOP, **ends)
        x = 0.08
        for c, (name, w) in enumerate(zip(self.frame.columns, self._wide)):
            axes.text(x, STEP / 2, plain(name), size=8.5, color=look["faint"], va="center")
            for n, row in enumerate(cells):
                y = STEP * (n + 1.5)
                told = row[c] if len(row[c]) <= 48 else row[c][:47] + "…"
                strong = "bold" if self.picked and row[0] == self.picked else "normal"
                left = x
                if name == self.bar:
                    share = self._share(name, n)
                    box = Rectangle((x, y - 0.06), 0.7 * share, 0.12, color=looks.ACCENT, gid=f"bar-{n}")
                    axes.add_patch(box)
                    left = x + 0.7 * share + 0.06
                words = plain(told)
                style = {"size": 8.5, "color": look["ink"], "va": "center", "weight": strong}
                axes.text(left, y, words, gid=f"cell-{n}-{c}", **style)
            x += w
