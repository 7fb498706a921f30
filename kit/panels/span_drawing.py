"""Words of heads as tables and pictures: no state, no computation."""

import base64
import html
import io

import numpy as np
from PIL import Image, ImageDraw

from kit.panels.drawing import FAINT, GROUND, INK, write
from kit.panels.head_words import EXTREMES, SpanFound, SpanState
from kit.panels.heat_panel import png_bytes

# Okabe and Ito's eight, and two greys: told apart by colour-blind eyes; the word stands there too.
PALETTE = {
    "concept": "#0072B2",
    "category": "#56B4E9",
    "colour": "#D55E00",
    "texture": "#CC79A7",
    "background": "#009E73",
    "position": "#E69F00",
    "size": "#F0E442",
    "count": "#8C564B",
    "relation": "#B8860B",
    "word": "#7F7F7F",
}
OTHERS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#F0E442", "#7F7F7F")
THUMB = 64


def colour_of(name: str) -> str:
    """The colour of a property; the same name has the same one everywhere."""
    return PALETTE.get(name, OTHERS[sum(map(ord, name)) % len(OTHERS)])


def head_map(found: SpanFound, part: str) -> str:
    """Layers by heads as an HTML table: the property that each head's first text tells, and the truth."""
    grid, rows = found.grid, []
    for r in range(grid.rows):
        cells = [_cell(found, int(grid.parts[r * grid.cols + c]), part) for c in range(grid.cols)]
        rows.append(f"<tr><th>{html.escape(grid.row_names[r])}</th>{''.join(cells)}</tr>")
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in grid.col_names)
    key = "✓ as the world says; ✗ what the world says instead" if found.agrees else ""
    return (
        f'<table class="loupe-heads" aria-label="{html.escape(found.alt)}"><tr><th></th>{heads}</tr>'
        f"{''.join(rows)}</table><small>{key}</small>"
    )


def _cell(found: SpanFound, row: int, part: str) -> str:
    if row < 0:
        return "<td></td>"
    says, truth, right = found.says[row], found.truth[row], found.right[row]
    told = html.escape(says or found.firsts[row]) or "–"
    name = found.grid.labels[list(found.grid.parts).index(row)]
    below = "" if right is None else "✓" if right else f"✗ {html.escape(truth)}"
    look = f"border-left-color:{colour_of(says)}" if says else ""
    chosen = ' class="loupe-this"' if name == part else ""
    return f'<td{chosen} style="{look}" title="{html.escape(name)}: {told}">{told}<small>{below}</small></td>'


def text_list(found: SpanFound, part: str) -> str:
    """The texts of one head, each with a bar of what it adds to the explained share."""
    if found.listed.empty:
        return "<p>It varies along none of these texts.</p>"
    has = "property" in found.listed
    lines = []
    for row in found.listed.itertuples():
        tag = row.property if has else ""
        chip = f'<i style="background:{colour_of(tag)}"></i>{html.escape(tag)}' if tag else ""
        copies = f" (also: {', '.join(row.aliases)})" if row.aliases else ""
        lines.append(
            f"<tr><td>{row.rank}</td><td>{html.escape(row.text + copies)}</td><td>{chip}</td>"
            f'<td><b style="width:{60 * row.share:.0f}px"></b>{row.share:.0%}</td></tr>'
        )
    head = "<tr><th></th><th>text</th><th>tells</th><th>share of variance</th></tr>"
    return (
        f'<table class="loupe-texts" aria-label="texts of {html.escape(part)}">{head}{"".join(lines)}</table>'
    )


def strip(images: list, found: SpanFound) -> str:
    """The images at both ends of the head's score for its first text, most first."""
    if not images:
        return ""
    words = html.escape(found.listed["text"].iloc[0])
    tiles = [
        f'<figure><img src="data:image/webp;base64,{thumb(image)}" alt="scene with {value:+.3f}">'
        f"<figcaption>{value:+.3f}</figcaption></figure>".replace("-0", "−0")
        for image, value in zip(images, found.values)
    ]
    most, least = "".join(tiles[:EXTREMES]), "".join(tiles[EXTREMES:])
    return (
        f'<div class="loupe-strip"><span>it adds most to ‘{words}’</span>{most}'
        f"<span>least</span>{least}</div>"
    )


def thumb(image, side: int = THUMB) -> str:
    """A small picture as base64 of WebP."""
    if not isinstance(image, Image.Image):
        array = image.permute(1, 2, 0).cpu().numpy() if hasattr(image, "permute") else np.asarray(image)
        image = Image.fromarray(np.ascontiguousarray(array))
    held, small = io.BytesIO(), image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    small.save(held, "WEBP", quality=80)
    return base64.b64encode(held.getvalue()).decode()


def span_png(found: SpanFound, state: SpanState) -> bytes:
    """The map of heads and the texts of one, as a still picture."""
    grid, cell = found.grid, (100, 40)
    left, top = 44, 70
    width = left + cell[0] * grid.cols + 24
    listed = found.listed.head(12)
    body = max(cell[1] * grid.rows, 18 * len(listed) + 20)
    sheet = Image.new("RGB", (width + 430, top + body + 20), GROUND)
    pen = ImageDraw.Draw(sheet)
    write(pen, (4, 4), f"{state.model} · {state.bank} · {state.texts} texts · {state.images}", 15, INK)
    write(pen, (left, 30), "what the first text tells; + as the world says, x instead of what", 12, FAINT)
    for i, name in enumerate(grid.labels):
        if not name:
            continue
        r, c = divmod(i, grid.cols)
        _draw_cell(
            pen, found, int(grid.parts[i]), (left + c * cell[0], top + r * cell[1]), cell, name == state.part
        )
    for c, name in enumerate(grid.col_names):
        write(pen, (left + c * cell[0] + 4, top - 16), name, 11, FAINT)
    for r, name in enumerate(grid.row_names):
        write(pen, (left - 6, top + r * cell[1] + cell[1] // 2 - 2), name, 11, FAINT, "rm")
    write(pen, (width, 30), f"texts of {state.part}, with the share that each adds", 12, FAINT)
    for k, row in enumerate(listed.itertuples()):
        write(pen, (width, top + 18 * k), f"{row.share:5.0%}  {row.text}", 13, INK)
    return png_bytes(sheet)


def _draw_cell(pen, found: SpanFound, row: int, corner, cell, chosen: bool) -> None:
    x, y = corner
    says, truth, right = found.says[row], found.truth[row], found.right[row]
    box = (x, y, x + cell[0] - 4, y + cell[1] - 4)
    pen.rectangle(box, outline=INK if chosen else (210, 210, 210), width=2 if chosen else 1)
    if says:
        pen.rectangle((x, y, x + 4, y + cell[1] - 4), fill=colour_of(says))
    write(pen, (x + 9, y + 4), (says or found.firsts[row] or "-")[:15], 12, INK)
    if right is not None:
        write(pen, (x + 9, y + 20), "+" if right else f"x {truth}", 10, FAINT)
