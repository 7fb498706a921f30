"""Groups as bars with intervals: in the page, and as a still picture of the same arrays (PIL only)."""

import html

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from kit.panels.drawing import ACCENT, FAINT, GROUND, INK, colour_bar, colours, hatch, write
from kit.panels.group_accuracy import GroupAccuracy, GroupFinding
from kit.panels.heat_panel import png_bytes

WIDTH, TRACK = 1080, 230


def groups_html(table: pd.DataFrame, alt: str) -> str:
    """A table of groups with a bar before (hollow) and after (solid) in each row, whiskers for intervals.

    Args:
        table: of a `GroupFinding`.
        alt: the drawing in words.
    """
    head = "<tr><th scope='col'>group</th><th scope='col'>images</th>"
    head += "<th scope='col' class='loupe-axis'><span>0</span><span>0.5</span><span>1</span></th>"
    head += "<th scope='col'>before</th><th scope='col'>after</th></tr>"
    rows = []
    for name, row in table.iterrows():
        bars = _bar(row["before"], row["before_low"], row["before_high"], "before")
        bars += _bar(row["accuracy"], row["low"], row["high"], "after")
        rows.append(
            f"<tr><th scope='row'>{html.escape(str(name))}</th><td>{int(row['images'])}</td>"
            f"<td><div class='loupe-acc' aria-hidden='true'>{bars}</div></td>"
            f"<td>{row['before']:.2f}</td><td><b>{row['accuracy']:.2f}</b></td></tr>"
        )
    return (
        f"<table class='loupe-groups' aria-label='{html.escape(alt, quote=True)}'>"
        f"<thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _bar(value: float, low: float, high: float, look: str) -> str:
    whisker = f"left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"
    return (
        "<div class='loupe-acc-track'>"
        f"<span class='loupe-acc-{look}' style='width:{100 * value:.1f}%'></span>"
        f"<span class='loupe-acc-whisker' style='{whisker}'></span></div>"
    )


def groups_png(found: GroupFinding, cases: GroupAccuracy, title: str) -> bytes:
    """Grid and bars side by side, caption and truth below, as PNG bytes."""
    grid, cell = cases.layout, 44
    body = max(24 + cell * grid.rows + 40, 40 + 40 * len(found.table))
    sheet = Image.new("RGB", (WIDTH, body + 130), GROUND)
    pen = ImageDraw.Draw(sheet)
    write(pen, (4, 4), title, 15, INK)
    _draw_cells(pen, found, cases, (34, 40), cell)
    _draw_groups(pen, found.table, (60 + cell * grid.cols, 40))
    for n, line in enumerate(_wrapped(found.caption, 120) + _wrapped(found.truth, 130)):
        write(pen, (4, body + 40 + 21 * n), line, 14, INK if n == 0 else FAINT)
    return png_bytes(sheet)


def _draw_cells(pen, found: GroupFinding, cases: GroupAccuracy, corner, cell: int) -> None:
    x0, y0 = corner
    grid, values = cases.layout, cases.layout.spread(found.cells)
    fills = colours(values, cases.limit)
    for c, name in enumerate(grid.col_names):
        write(pen, (x0 + c * cell + cell // 2, y0), name, 11, FAINT, "ma")
    for i, label in enumerate(grid.labels):
        if not label:
            continue
        row, col = divmod(i, grid.cols)
        x, y = x0 + col * cell, y0 + 18 + row * cell
        box = (x, y, x + cell * grid.spans[i] - 3, y + cell - 3)
        pen.rectangle(box, fill=tuple(fills[i].tolist()), outline=(210, 210, 210))
        if label in found.off:
            hatch(pen, box)
            pen.rectangle(box, outline=INK, width=3)
        dark = fills[i].mean() < 140
        words = f"{values[i]:+.3f}".replace("0.", ".") if grid.row_names[row] else label
        if label not in found.off:
            write(pen, (x + 5, y + 15), words, 11, GROUND if dark else INK)
    for r, name in enumerate(grid.row_names):
        write(pen, (x0 - 6, y0 + 18 + r * cell + cell // 2), name, 11, FAINT, "rm")
    at = (x0, y0 + 24 + grid.rows * cell)
    colour_bar(pen, at, float(f"{cases.limit:.2g}"), "effect of the cue on the score (hatched: off)")


def _draw_groups(pen, table: pd.DataFrame, corner) -> None:
    x0, y = corner
    left = x0 + 190
    for at, words in ((0, "0"), (0.5, "0.5"), (1, "1")):
        write(pen, (left + TRACK * at, y), words, 11, FAINT, "ma")
    write(pen, (left + TRACK + 60, y), "before, after", 11, FAINT, "ma")
    for n, (name, row) in enumerate(table.iterrows()):
        top = y + 22 + 38 * n
        write(pen, (x0, top + 5), str(name), 13, INK)
        for k, what in enumerate(("before", "accuracy")):
            low, high = ("before_low", "before_high") if k == 0 else ("low", "high")
            box = (left, top + 13 * k, left + round(TRACK * row[what]), top + 13 * k + 9)
            pen.rectangle(box, fill=ACCENT if k else GROUND, outline=FAINT)
            middle = top + 13 * k + 4
            pen.line((left + TRACK * row[low], middle, left + TRACK * row[high], middle), fill=INK, width=2)
        pen.line((left + TRACK // 2, top - 3, left + TRACK // 2, top + 25), fill=(190, 190, 190))
        write(pen, (left + TRACK + 60, top + 5), f"{row['before']:.2f}, {row['accuracy']:.2f}", 12, INK, "ma")


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most so many characters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def grid_values(cases: GroupAccuracy, found: GroupFinding) -> np.ndarray:
    """The cells as the canvas draws them, float32 [row, col]."""
    grid = cases.layout
    return grid.spread(found.cells).reshape(grid.rows, grid.cols)
