"""The same arrays as a still picture, for a saved notebook that no kernel stands behind (PIL only)."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kit.panels.findings import Finding
from kit.panels.heat_panel import png_bytes
from kit.panels.selection import Selection
from kit.panels.truth import Picture

INK, FAINT, GROUND, ACCENT = (33, 33, 33), (97, 97, 97), (255, 255, 255), (25, 118, 210)
_STOPS = np.array(
    [[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]], dtype=np.float64
)
SIDE = 320  # pixels of the picture
WIDTH = 1080


def colours(values: np.ndarray, limit: float) -> np.ndarray:
    """Blue to white to red, uint8 [..., 3]; the ends stand for ±limit.

    Example:
        >>> colours(np.array([0.0, 1.0]), 1.0).tolist()
        [[247, 247, 247], [178, 24, 43]]
    """
    at = (np.clip(np.nan_to_num(values) / limit, -1, 1) + 1) * 2
    return (
        np.stack([np.interp(at, range(5), _STOPS[:, c]) for c in range(3)], axis=-1).round().astype(np.uint8)
    )


def panel_png(found: Finding, state: Selection, picture: Picture) -> bytes:
    """Picture under its map, grid and bars side by side, as PNG bytes."""
    rows, cols = found.heat.shape
    map_height = round(SIDE * rows / cols)
    grid_cell = min(46, 380 // found.grid.cols, max(14, SIDE // found.grid.rows))
    bars_height = 28 + 62 * len(found.bars)
    body = max(map_height, 20 + grid_cell * found.grid.rows) + 40
    sheet = Image.new("RGB", (WIDTH, max(body, bars_height) + 96), GROUND)
    pen = ImageDraw.Draw(sheet)
    write(pen, (4, 2), f"{state.model} · {picture.name}", 15, INK)
    write(pen, (4, 22), f"score: {found.direction}", 13, FAINT)
    _draw_map(sheet, pen, found, picture, (4, 50, SIDE, map_height))
    _draw_grid(pen, found, (SIDE + 40, 50), grid_cell)
    _draw_bars(pen, found, state, (SIDE + 460, 50))
    bottom = sheet.height - 42
    write(pen, (4, bottom), found.caption, 15, INK)
    write(pen, (4, bottom + 22), f"truth: {picture.line}" if picture.line else "", 13, FAINT)
    return png_bytes(sheet)


def heat_png(found: Finding, picture: Picture, side: int = 152) -> bytes:
    """The map over its picture alone, as PNG bytes."""
    rows, cols = found.heat.shape
    sheet = Image.new("RGB", (side, round(side * rows / cols)), GROUND)
    sheet.paste(_map_image(found, picture, sheet.size))
    return png_bytes(sheet)


def _map_image(found: Finding, picture: Picture, size: tuple[int, int]) -> Image.Image:
    w, h = size
    grey = np.asarray(picture.image.convert("L").resize((w, h), Image.Resampling.BICUBIC), dtype=np.float64)
    base = np.repeat((82 + 0.66 * grey)[..., None], 3, axis=-1)
    strength = 0.85 * np.minimum(1, np.abs(np.nan_to_num(found.heat)) / found.heat_limit) ** 0.75
    strong = colours(np.sign(np.nan_to_num(found.heat)) * 0.85, 1.0)
    rows, cols = found.heat.shape
    which = (np.arange(h) * rows // h)[:, None], (np.arange(w) * cols // w)[None]
    alpha = strength[which][..., None]
    return Image.fromarray((base * (1 - alpha) + strong[which] * alpha).round().astype(np.uint8))


def _draw_map(sheet, pen, found: Finding, picture: Picture, box) -> None:
    x, y, w, h = box
    sheet.paste(_map_image(found, picture, (w, h)), (x, y))
    colour_bar(pen, (x, y + h + 8), found.heat_limit, "what each token adds")


def _draw_grid(pen, found: Finding, corner, cell: int) -> None:
    x0, y0 = corner
    grid, values = found.grid, found.grid.spread(found.cells)
    fills = colours(values, found.cell_limit)
    picked, off = set(grid.cells_of(found.picked)), set(grid.cells_of(found.off))
    for c, name in enumerate(grid.col_names):
        write(pen, (x0 + c * cell + cell // 2, y0), name, 11, FAINT, "ma")
    for i, label in enumerate(grid.labels):
        if not label:
            continue
        row, col = divmod(i, grid.cols)
        x, y = x0 + col * cell, y0 + 18 + row * cell
        box = (x, y, x + cell * grid.spans[i] - 3, y + cell - 3)
        pen.rectangle(
            box, fill=None if np.isnan(values[i]) else tuple(fills[i].tolist()), outline=(210, 210, 210)
        )
        if i in off:
            hatch(pen, box)
        if i in picked:
            pen.rectangle(box, outline=INK, width=3)
        if not grid.row_names[row]:
            dark = fills[i].mean() < 140 and not np.isnan(values[i])
            write(pen, (x + 4, y + 4), label, 10, GROUND if dark else INK)
    for r, name in enumerate(grid.row_names):
        write(pen, (x0 - 6, y0 + 18 + r * cell + cell // 2), name, 11, FAINT, "rm")
    colour_bar(pen, (x0, y0 + 24 + grid.rows * cell), found.cell_limit, "what each part adds")


def hatch(pen, box) -> None:
    left, top, right, bottom = box
    for d in range(6, right - left + bottom - top, 6):
        start = (min(left + d, right), top + max(0, left + d - right))
        pen.line([start, (left + max(0, d - (bottom - top)), min(top + d, bottom))], fill=INK)


def _draw_bars(pen, found: Finding, state: Selection, corner) -> None:
    x0, y = corner
    track, left = 110, x0 + 76
    middle = left + track // 2
    for t, (text, values) in enumerate(zip(state.texts, found.bars)):
        chosen = t == state.text
        if chosen:
            pen.rectangle((x0 - 8, y, x0 - 6, y + 54), fill=ACCENT)
        write(pen, (x0, y), text if len(text) < 36 else text[:34] + "…", 13, INK if chosen else FAINT)
        for k, (name, fill) in enumerate((("whole", INK), ("without", (150, 150, 150)), ("only it", ACCENT))):
            top = y + 18 + 12 * k
            write(pen, (x0, top - 2), name, 10, FAINT)
            pen.rectangle((left, top, left + track, top + 8), fill=(238, 238, 238))
            if not np.isnan(values[k]):
                end = middle + round(track / 2 * float(np.clip(values[k] / found.bar_limit, -1, 1)))
                pen.rectangle((min(middle, end), top, max(middle, end), top + 8), fill=fill)
                write(pen, (left + track + 8, top - 2), f"{values[k]:+.3f}".replace("-", "−"), 10, FAINT)
        y += 62


def colour_bar(pen, corner, limit: float, unit: str) -> None:
    x, y = corner
    for i, rgb in enumerate(colours(np.linspace(-1, 1, 120), 1.0).tolist()):
        pen.line((x + i, y, x + i, y + 7), fill=tuple(rgb))
    for at, text, anchor in ((0, f"−{limit:g}", "la"), (60, "0", "ma"), (120, f"+{limit:g}", "ra")):
        write(pen, (x + at, y + 10), text, 10, FAINT, anchor)
    write(pen, (x + 132, y - 2), unit, 11, FAINT)


def write(pen, at, text: str, size: int, fill, anchor: str = "la") -> None:
    """Write a line with Pillow's own font."""
    # Pillow's own font has no typographic quotes and signs
    plain = text.translate(str.maketrans({"‘": "'", "’": "'", "−": "-", "×": "x", "…": "...", "→": "->"}))
    pen.text(at, plain, fill=fill, font=ImageFont.load_default(size), anchor=anchor)
