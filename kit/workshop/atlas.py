"""Builds the atlas again: `python -m kit.workshop.atlas [folder with unpacked icon packages]`.

Needs npm and the dependency group `atlas` (resvg-py). One lossless WebP sheet per artist, with the licence
beside it, so that an artist can be taken out by deleting files. Words are rendered here, once, so that
drawing a scene needs no font.
"""

import io
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kit.workshop.fxemoji import ICON_FXEMOJI
from kit.world.atlas import CELL, COLUMNS, FINE, FOLDER, WORD_HEIGHT, WORD_WIDTH
from kit.world.values import HELD_OUT, ICON, SEEN, VALUES
from kit.writing import write_file

VERSIONS = {
    "twemoji": "1.2.5",
    "noto": "1.2.9",
    "noto-v1": "1.2.5",
    "emojione": "1.2.3",
    "fxemoji": "1.2.2",
    "fluent-emoji-flat": "1.2.6",
}
FULL_SQUARE = 0.9  # an icon that covers more than this share of its box brings its own background


def fetch(folder: Path) -> None:
    """Download and unpack the icon packages into `folder`, by name, through npm."""
    folder.mkdir(parents=True, exist_ok=True)
    for artist, version in VERSIONS.items():
        if (folder / artist / "icons.json").exists():
            continue
        package = f"@iconify-json/{artist}@{version}"
        done = subprocess.run(
            ["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True
        )
        (folder / artist).mkdir(exist_ok=True)
        archive = done.stdout.split()[-1]
        subprocess.run(["tar", "xzf", archive, "-C", artist, "--strip-components=1"], cwd=folder, check=True)


def render(svg: str, size: int) -> Image.Image:
    """One SVG as RGBA, `size` pixels on a side."""
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def find(icons: dict, name: str) -> dict | None:
    """An icon by name, through aliases, with the set's default box filled in."""
    while name in icons.get("aliases", {}):
        name = icons["aliases"][name]["parent"]
    icon = icons["icons"].get(name)
    if icon is None:
        return None
    default = icons.get("width", 16), icons.get("height", 16)
    return {"left": 0, "top": 0, "width": default[0], "height": default[1], **icon}


def sticker(icon: dict) -> Image.Image | None:
    """The drawing alone in a square cell: its long side fills the cell but for one pixel on each side.

    Returns None for an icon that is a full square with a scene in it.
    """
    left, top, width, height = icon["left"], icon["top"], icon["width"], icon["height"]
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    body = f'<svg {spaces} viewBox="{{}}">{icon["body"]}</svg>'
    coarse = 256
    alpha = np.asarray(render(body.format(f"{left} {top} {width} {height}"), coarse))[..., 3]
    if (alpha > 127).mean() > FULL_SQUARE:
        return None
    rows, columns = np.where((alpha > 20).any(1))[0], np.where((alpha > 20).any(0))[0]
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    unit = max(width, height) / coarse
    side = max(y1 - y0, x1 - x0) * CELL / (CELL - 2) * unit
    cx, cy = left + (x0 + x1) / 2 * unit, top + (y0 + y1) / 2 * unit
    box = f"{cx - side / 2} {cy - side / 2} {side} {side}"
    return render(body.format(box), CELL)


def sheet(folder: Path, artist: str) -> tuple[Image.Image, list[str]]:
    """All stickers of one artist on one sheet, and the concepts that are missing."""
    icons = json.loads((folder / artist / "icons.json").read_text())
    names = ICON_FXEMOJI if artist == "fxemoji" else ICON
    concepts = VALUES["concept"]
    rows = math.ceil(len(concepts) / COLUMNS)
    page = Image.new("RGBA", (COLUMNS * CELL, rows * CELL))
    missing = []
    for i, concept in enumerate(concepts):
        icon = find(icons, names[concept]) if concept in names else None
        drawing = sticker(icon) if icon else None
        if drawing is None:
            missing.append(concept)
            continue
        page.paste(drawing, (i % COLUMNS * CELL, i // COLUMNS * CELL))
    return page, missing


def word_sheet(scale: int = 1) -> Image.Image:
    """Every word in black on a white box with a dark edge, one below the other."""
    font, measure = ImageFont.load_default(12 * scale), ImageFont.load_default(12)
    page = Image.new("RGBA", (WORD_WIDTH * scale, WORD_HEIGHT * scale * len(VALUES["word"])))
    draw = ImageDraw.Draw(page)
    for i, word in enumerate(VALUES["word"]):
        top, height = i * WORD_HEIGHT * scale, WORD_HEIGHT * scale
        width = (math.ceil(draw.textlength(word, font=measure)) + 8) * scale
        box = (0, top, width - 1, top + height - 1)
        draw.rectangle(box, fill="white", outline=(30, 30, 30), width=scale)
        draw.text((4 * scale, top + height // 2), word, font=font, fill="black", anchor="lm")
    return page


def credit(folder: Path, artist: str) -> str:
    """Who drew an icon set, under which licence, and what was done to it."""
    info = json.loads((folder / artist / "info.json").read_text())
    text = (
        f"{info['name']}, by {info['author']['name']}, {info['author']['url']}\n"
        f"Licence: {info['license']['title']}, {info['license']['url']}\n"
        f"Source: npm package @iconify-json/{artist} {VERSIONS[artist]}.\n"
        f"{artist}.webp holds its drawings, cropped, rendered and put on one sheet.\n"
    )
    if info["license"]["spdx"] == "Apache-2.0":
        return text + "The text of the licence is in Apache-2.0.txt beside this file.\n"
    if info["license"]["spdx"] == "MIT":
        terms = (Path(__file__).parents[2] / "LICENSE").read_text().split("\n\n", 2)[2]
        return f"{text}\nCopyright (c) {info['author']['name']}.\n\n{terms}"
    return text


def main(folder: str = "node_modules/icons") -> None:
    """Fetch the packages where they are missing, and write the atlas."""
    source = Path(folder)
    fetch(source)
    missing = {}
    for artist in SEEN + HELD_OUT:
        page, missing[artist] = sheet(source, artist)
        write_sheet(FOLDER / f"{artist}.webp", page)
        write_file(FOLDER / f"{artist}.LICENCE.txt", credit(source, artist))
    write_sheet(FOLDER / "words.webp", word_sheet())
    write_sheet(FOLDER / "words_fine.webp", word_sheet(FINE))
    write_file(FOLDER / "missing.json", json.dumps(missing, indent=1) + "\n")


def write_sheet(path: Path, page: Image.Image) -> None:
    """Write a page of drawings without loss."""
    write_file(path, lambda file: page.save(file, "WEBP", lossless=True, quality=100, method=6))


if __name__ == "__main__":
    main(*sys.argv[1:])
