"""Masks over pictures and the table of methods: in the page, and as a still picture of the same arrays."""

import base64
import html
import io

import numpy as np
from PIL import Image, ImageDraw

from kit.panels.drawing import ACCENT, FAINT, GROUND, INK, colour_bar, colours, write
from kit.panels.heat_panel import png_bytes
from kit.panels.made_masks import SegmentFound, SegmentState

SIDE = 256
# Okabe and Ito's; a pattern tells them apart too: full, stripes, dots
RIGHT, WRONG, MISSED = (0, 158, 115), (230, 159, 0), (204, 121, 167)
KEY = (
    ("right", RIGHT, "found, and the object"),
    ("wrong", WRONG, "found, not the object (stripes)"),
    ("missed", MISSED, "the object, not found (dots)"),
)


def mask_image(image: Image.Image, found: np.ndarray, true: np.ndarray, side: int = SIDE) -> Image.Image:
    """A paled picture under its mask, with the outline of the truth.

    Args:
        image: as the tower saw it.
        found, true: bool [height, width].
        side: pixels of the longer side drawn.
    """
    height, width = found.shape
    scale = max(1, side // max(found.shape))
    size = (width * scale, height * scale)
    grey = np.asarray(image.convert("L").resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
    sheet = np.repeat((110 + 0.5 * grey)[..., None], 3, axis=-1)
    large = [
        np.kron(m, np.ones((scale, scale), dtype=bool)) for m in (found & true, found & ~true, true & ~found)
    ]
    rows, cols = np.indices(grey.shape)
    patterns = (True, (rows + cols) % 8 < 4, (rows % 6 < 3) & (cols % 6 < 3))
    for mask, pattern, ink in zip(large, patterns, (RIGHT, WRONG, MISSED)):
        strong = mask & pattern
        sheet[mask] = 0.75 * sheet[mask] + 0.25 * np.array(ink)
        sheet[strong] = 0.35 * sheet[strong] + 0.65 * np.array(ink)
    drawn = Image.fromarray(sheet.round().clip(0, 255).astype(np.uint8))
    _outline(ImageDraw.Draw(drawn), true, scale)
    return drawn


def _outline(pen, mask: np.ndarray, scale: int) -> None:
    """Edges of a mask, dark on light, so that they show on any ground."""
    framed = np.pad(mask, 1)
    lines = []
    for row, col in zip(*np.nonzero(framed[1:-1, 1:] != framed[1:-1, :-1])):
        lines.append(((col * scale, row * scale), (col * scale, (row + 1) * scale)))
    for row, col in zip(*np.nonzero(framed[1:, 1:-1] != framed[:-1, 1:-1])):
        lines.append(((col * scale, row * scale), ((col + 1) * scale, row * scale)))
    for fill, width in (((255, 255, 255), 4), ((0, 0, 0), 2)):
        for line in lines:
            pen.line(line, fill=fill, width=width)


def mask_html(shown: SegmentFound, state: SegmentState) -> str:
    """The mask as a figure with its key."""
    held = io.BytesIO()  # WebP: a fifth of the time that a PNG takes, on every click
    mask_image(shown.picture.image, shown.found, shown.true).save(held, "WEBP", quality=92, method=1)
    drawn = base64.b64encode(held.getvalue()).decode()
    alt = html.escape(
        f"mask of {state.method} for {state.text}, IoU {shown.fits[state.method]:.2f}", quote=True
    )
    keys = "".join(f'<span><i class="loupe-{name}"></i>{html.escape(words)}</span>' for name, _, words in KEY)
    return (
        f'<figure class="loupe-mask"><img src="data:image/webp;base64,{drawn}" alt="{alt}">'
        f"<figcaption>{keys}<span>line: the true outline</span></figcaption></figure>"
    )


def methods_html(shown: SegmentFound, state: SegmentState, images: int) -> str:
    """Each method: IoU in this picture as a bar, and its figures over all images."""
    over = shown.overall
    head = "<th scope='col'>method</th><th scope='col' colspan='2'>IoU here</th>"
    if over is not None:
        head += "".join(f"<th scope='col'>{name}</th>" for name in ("mIoU", "95 %", "mAP"))
    rows = []
    for name, fit in shown.fits.items():
        chosen = ' class="loupe-this" aria-current="true"' if name == state.method else ""
        value = "–" if np.isnan(fit) else f"{fit:.2f}"
        bar = f"<b style='width:{40 * np.nan_to_num(fit):.0f}px'></b>"
        cells = f"<th scope='row'>{html.escape(name)}</th><td>{value}</td><td class='loupe-fit'>{bar}</td>"
        if over is not None:
            row = over.loc[name]
            ends = f"{row['mIoU_low']:.2f}–{row['mIoU_high']:.2f}"
            told = (f"<b>{row['mIoU']:.2f}</b>", ends, f"{row['mAP']:.2f}")
            cells += "".join(f"<td>{value}</td>" for value in told)
        rows.append(f"<tr{chosen}>{cells}</tr>")
    note = f"<small>mIoU and mAP over {images:,} images</small>" if over is not None else ""
    label = f"IoU of {len(rows)} methods in this picture"
    return (
        f'<div class="loupe-wide"><table class="loupe-methods" aria-label="{label}">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{note}"
    )


def segment_png(shown: SegmentFound, state: SegmentState, images: int) -> bytes:
    """Map, mask and table side by side, as PNG bytes."""
    top, gap = 56, 24
    sheet = Image.new("RGB", (1080, top + SIDE + 92), GROUND)
    pen = ImageDraw.Draw(sheet)
    write(pen, (4, 4), f"{state.model} · {state.image} · ‘{state.text}’ · {state.method}", 15, INK)
    limit = float(np.abs(shown.heat).max()) or 1.0
    sheet.paste(_map_image(shown, limit), (4, top))
    write(pen, (4, 32), "the map, and the true outline", 12, FAINT)
    colour_bar(pen, (4, top + SIDE + 8), float(f"{limit:.2g}"), "in the method's own units")
    left = 4 + SIDE + gap
    sheet.paste(mask_image(shown.picture.image, shown.found, shown.true), (left, top))
    write(pen, (left, 32), "what it finds", 12, FAINT)
    for n, (_, fill, words) in enumerate(KEY):
        y = top + SIDE + 6 + 16 * n
        pen.rectangle((left, y, left + 10, y + 10), fill=fill)
        write(pen, (left + 16, y - 1), words, 11, FAINT)
    _draw_methods(pen, shown, state, images, (left + SIDE + gap, 32))
    write(pen, (4, sheet.height - 26), shown.caption, 14, INK)
    return png_bytes(sheet)


def _map_image(shown: SegmentFound, limit: float) -> Image.Image:
    """The map over the paled picture, with the outline of the truth."""
    grey = np.asarray(shown.picture.image.convert("L").resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    base = np.repeat((82 + 0.66 * grey.astype(np.float64))[..., None], 3, axis=-1)
    rows, cols = shown.heat.shape
    cells = shown.heat[np.ix_(np.arange(SIDE) * rows // SIDE, np.arange(SIDE) * cols // SIDE)]
    alpha = 0.85 * np.minimum(1, np.abs(cells) / limit)[..., None] ** 0.75
    drawn = Image.fromarray(
        (base * (1 - alpha) + colours(np.sign(cells) * 0.85, 1.0) * alpha).astype(np.uint8)
    )
    _outline(ImageDraw.Draw(drawn), shown.true, SIDE // shown.true.shape[0])
    return drawn


def _draw_methods(pen, shown: SegmentFound, state: SegmentState, images: int, corner) -> None:
    x, y = corner
    write(pen, (x, y), "IoU here", 12, FAINT)
    if shown.overall is not None:
        write(pen, (x + 400, y), f"mIoU, {images:,} images", 12, FAINT, "ma")
    for n, (name, fit) in enumerate(shown.fits.items()):
        top, chosen = y + 26 + 27 * n, name == state.method
        write(pen, (x, top), name, 13, INK if chosen else FAINT)
        if chosen:
            pen.rectangle((x - 8, top - 2, x - 6, top + 16), fill=ACCENT)
        fit = float(np.nan_to_num(fit))
        pen.rectangle((x + 170, top + 2, x + 170 + 110, top + 13), fill=(238, 238, 238))
        pen.rectangle(
            (x + 170, top + 2, x + 170 + round(110 * fit), top + 13), fill=ACCENT if chosen else FAINT
        )
        write(pen, (x + 290, top), f"{fit:.2f}", 12, INK)
        if shown.overall is not None:
            row = shown.overall.loc[name]
            told = f"{row['mIoU']:.2f} [{row['mIoU_low']:.2f}, {row['mIoU_high']:.2f}]"
            write(pen, (x + 400, top), told, 12, INK, "ma")
