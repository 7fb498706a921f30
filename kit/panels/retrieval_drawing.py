"""Nearest images and their precision as pictures: no state, no computation."""

import html

from PIL import Image, ImageDraw

from kit.figures.maps import picture
from kit.figures.strip import data_url
from kit.panels.charts import Svg
from kit.panels.drawing import ACCENT, FAINT, GROUND, INK, colour_bar, colours, write
from kit.panels.heat_panel import png_bytes
from kit.panels.nearest_images import RetrievalFound, RetrievalState, Row
from kit.panels.pictures import LINE, SERIES, Sheet

FILLS = {"head": ACCENT, "random head": SERIES[1], "layer": FAINT, "full model": INK}
CHART, LEFT, RIGHT, TOP = 430, 84, 44, 12
BAR, BETWEEN = 6, 9
MARK = (213, 94, 0)  # Okabe and Ito's vermilion: the attribute is shared


def titles(row: Row) -> tuple[str, str]:
    """What a row of pictures is called: its kind, and its space."""
    return {"full model": "full model"}.get(row.space, row.space), "" if row.space == row.part else row.part


def thumb(image, side: int = 64) -> str:
    """A small picture as base64 of WebP."""
    small = picture(image)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return data_url(small).partition(",")[2]


def strip(row: Row, thumbs: list[str], attribute: str) -> str:
    """One row of nearest pictures (`thumb`) as HTML; those that share the attribute are framed and marked."""
    tiles = []
    for number, value, shared, small in zip(row.numbers, row.values, row.shared, thumbs):
        hit = attribute in shared
        words = ", ".join(shared) or "nothing that is asked"
        alt = html.escape(f"image {number}, {value:+.2f}, shares {words}")
        others = html.escape(", ".join(a for a in shared if a != attribute))
        told = f"<b>✓ {html.escape(attribute)}</b>" if hit else ""
        tiles.append(
            f'<figure{" class=loupe-hit" if hit else ""} title="{alt}"><img alt="{alt}" '
            f'src="data:image/webp;base64,{small}"><figcaption>{told}<span>{others}</span>'
            f"</figcaption></figure>"
        )
    kind, name = titles(row)
    return (
        f'<div class="loupe-near"><div class="loupe-near-of"><b>{html.escape(kind)}</b>'
        f"<span>{html.escape(name)}</span></div>{''.join(tiles)}</div>"
    )


def face(image, words: str) -> str:
    """The query and what is known of it, as HTML."""
    said = html.escape(words)
    return (
        f'<figure><img src="data:image/webp;base64,{thumb(image, 160)}" alt="the query: {said}">'
        f"<figcaption>{said}</figcaption></figure>"
    )


def chart_height(found: RetrievalFound) -> int:
    """How tall the chart of precision is."""
    return TOP + found.precision["attribute"].nunique() * (4 * BAR + BETWEEN) + 56


def draw_precision(sheet, found: RetrievalFound, attribute: str) -> None:
    """Four bars for each attribute with whiskers, a tick for chance, on a sheet of `charts` or `pictures`."""
    place = lambda share: LEFT + (CHART - LEFT - RIGHT) * share  # noqa: E731
    names = list(dict.fromkeys(found.precision["attribute"]))
    bottom = TOP + len(names) * (4 * BAR + BETWEEN)
    for share in (0, 0.25, 0.5, 0.75, 1):
        sheet.line([(place(share), TOP - 4), (place(share), bottom)], LINE)
        sheet.text((place(share), bottom + 4), f"{share:g}", FAINT, "ma", 11)
    table = {(row.attribute, row.space): row for row in found.precision.itertuples()}
    for n, name in enumerate(names):
        y = TOP + n * (4 * BAR + BETWEEN)
        sheet.text((LEFT - 8, y + 2 * BAR), name, INK if name == attribute else FAINT, "rm", 12)
        for k, (space, fill) in enumerate(FILLS.items()):
            row, top = table[name, space], y + k * BAR
            sheet.box((LEFT, top, max(LEFT + 1, place(row.value)), top + BAR - 1), fill)
            ends = [(place(end), top + BAR / 2 - 0.5) for end in (row.low, row.high)]
            sheet.line(ends, MARK if fill == INK else INK, 1)
        chance = place(table[name, "head"].chance)
        sheet.line([(chance, y - 2), (chance, y + 4 * BAR + 1)], MARK, 2)
        value = table[name, "head"].value
        sheet.text((CHART - RIGHT + 6, y + 2 * BAR), f"{value:.2f}", ACCENT, "lm", 11)
    x = 8
    for space, fill in FILLS.items():
        sheet.box((x, bottom + 25, x + 10, bottom + 35), fill)
        sheet.text((x + 14, bottom + 24), space, FAINT, "la", 11)
        x += 34 + 6.1 * len(space)
    sheet.line([(x, bottom + 24), (x, bottom + 36)], MARK, 2)
    sheet.text((x + 6, bottom + 24), "chance", FAINT, "la", 11)


def precision_svg(found: RetrievalFound, attribute: str) -> str:
    """The chart in the colours of the page."""
    sheet = Svg(CHART, chart_height(found), "")
    draw_precision(sheet, found, attribute)
    return sheet.html(precision_alt(found))


def precision_alt(found: RetrievalFound) -> str:
    """The chart in words."""
    told: dict[str, list[str]] = {}
    for row in found.precision.itertuples():
        told.setdefault(row.attribute, []).append(f"{row.space} {row.value:.2f}")
    words = "; ".join(f"{name}: {', '.join(each)}" for name, each in told.items())
    return f"Precision of the ten nearest. {words}."


def retrieval_png(found: RetrievalFound, state: RetrievalState, query, images: dict) -> bytes:
    """Query, grid and precision above the four rows of pictures, as PNG bytes.

    Args:
        found, state: what is shown.
        query: picture of the query.
        images: number -> picture, of all that are shown.
    """
    grid, cell = found.grid, 40
    head = max(22 + chart_height(found), 60 + cell * grid.rows + 40)
    side, gap, wide = 84, 10, 1080
    sheet = Image.new("RGB", (wide, 40 + head + len(found.rows) * (side + 22) + 16), GROUND)
    pen = ImageDraw.Draw(sheet)
    write(pen, (8, 6), f"{state.model} · {state.query} · {state.part} · {state.how}", 15, INK)
    sheet.paste(_square(query, 150), (8, 40))
    write(pen, (8, 194), "the query", 11, FAINT)
    _draw_grid(pen, found, state.part, (206, 52), cell)
    chart = Sheet(CHART, chart_height(found), "")
    draw_precision(chart, found, state.attribute)
    small = chart.image.resize((CHART, chart_height(found)), Image.Resampling.LANCZOS)
    sheet.paste(small, (wide - CHART - 8, 62))
    write(pen, (wide - CHART + 76, 42), "precision of the ten nearest, whiskers 95 %", 12, FAINT)
    for n, row in enumerate(found.rows):
        y = 40 + head + n * (side + 22)
        kind, name = titles(row)
        write(pen, (8, y + 24), kind, 14, INK)
        write(pen, (8, y + 44), name, 12, FAINT)
        for k, (number, shared) in enumerate(zip(row.numbers, row.shared)):
            x = 130 + k * (side + gap)
            sheet.paste(_square(images[number], side), (x, y))
            if state.attribute in shared:
                pen.rectangle((x - 3, y - 3, x + side + 2, y + side + 2), outline=MARK, width=3)
            write(pen, (x, y + side + 3), f"shares {len(shared)}", 10, FAINT)
    return png_bytes(sheet)


def _square(image, side: int) -> Image.Image:
    found = Image.new("RGB", (side, side), GROUND)
    image = image.convert("RGB")
    scale = side / max(image.size)
    size = [max(1, round(edge * scale)) for edge in image.size]
    found.paste(image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC))
    return found


def _draw_grid(pen, found: RetrievalFound, part: str, corner, cell: int) -> None:
    x0, y0 = corner
    grid, values = found.grid, found.grid.spread(found.cells)
    fills = colours(values, 1.0)
    write(pen, (x0 - 24, y0 - 12), found.unit, 12, FAINT)
    for c, name in enumerate(grid.col_names):
        write(pen, (x0 + c * cell + cell // 2, y0 + 4), name, 11, FAINT, "ma")
    for i, name in enumerate(grid.labels):
        if not name:
            continue
        row, col = divmod(i, grid.cols)
        x, y = x0 + col * cell, y0 + 20 + row * cell
        box = (x, y, x + cell - 3, y + cell - 3)
        known = values[i] == values[i]
        pen.rectangle(box, fill=tuple(fills[i].tolist()) if known else None, outline=(210, 210, 210))
        if name == part:
            pen.rectangle(box, outline=INK, width=3)
    for r, name in enumerate(grid.row_names):
        write(pen, (x0 - 6, y0 + 20 + r * cell + cell // 2), name, 11, FAINT, "rm")
    colour_bar(pen, (x0, y0 + 26 + grid.rows * cell), 1.0, "")
