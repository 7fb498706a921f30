"""The picture of a model's roles: attributes by parts, as a heat map."""

from itertools import groupby, pairwise
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from kit.writing import write_file

# ColorBrewer YlGnBu: lightness falls all the way, so it reads without colour too
SCALE = ("#ffffd9", "#edf8b1", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#253494", "#081d58")
WIDTH, LEFT, RIGHT, TOP, ROW, GAP = 1000, 104, 92, 66, 26, 6
SMALL, PLAIN = ImageFont.load_default(11), ImageFont.load_default(14)
LETTERS = {"mlp": "M", "embed": "E", "branch": "B"}


def colour(share: float, top: float) -> tuple[int, int, int]:
    """Colour of a share on a scale from 0 to `top`; straight between the stops."""
    place = min(max(share / top, 0.0), 1.0) * (len(SCALE) - 1)
    low = min(int(place), len(SCALE) - 2)
    ends = [tuple(int(SCALE[i][j : j + 2], 16) for j in (1, 3, 5)) for i in (low, low + 1)]
    return tuple(round(a + (b - a) * (place - low)) for a, b in zip(*ends))


def columns(parts: pd.DataFrame) -> list[tuple[float, float, str, str]]:
    """Left and right edge, layer and letter of each part's column; layers stand apart."""
    layers = ["" if pd.isna(layer) else f"L{layer}" for layer in parts["layer"]]
    breaks = sum(a != b for a, b in pairwise(layers))
    wide = (WIDTH - LEFT - RIGHT - breaks * GAP) / len(parts)
    placed, x = [], float(LEFT)
    for i, (layer, kind, head) in enumerate(zip(layers, parts["kind"], parts["head"])):
        x += GAP if i and layer != layers[i - 1] else 0
        placed.append((x, x + wide, layer, str(head) if kind == "head" else LETTERS.get(kind, "?")))
        x += wide
    return placed


def draw_roles(table: pd.DataFrame, name: str, path: Path) -> None:
    """Shares of every attribute (rows) in every part (columns, in forward order), as a PNG.

    Args:
        table: from `kit.roles`.
        name: of the model, for the title.
        path: where the picture goes.
    """
    attributes, parts = list(table["attribute"].unique()), table.drop_duplicates("part")
    bottom = TOP + ROW * len(attributes)
    picture = Image.new("RGB", (WIDTH, bottom + 34), "white")
    pen, placed, top = ImageDraw.Draw(picture), columns(parts), float(table["share"].max())
    title = f"{name}: share of the variance of each part's output that an attribute explains"
    pen.text((LEFT, 8), title, fill="black", font=PLAIN)
    for layer, group in groupby(placed, key=lambda column: column[2]):
        edges = list(group)
        middle = (edges[0][0] + edges[-1][1]) / 2
        pen.text((middle, TOP - 22), layer, fill="black", font=PLAIN, anchor="ms")
    for left, right, _, letter in placed:
        pen.text(((left + right) / 2, TOP - 5), letter, fill="#555555", font=SMALL, anchor="ms")
    for i, attribute in enumerate(attributes):
        y = TOP + ROW * i
        pen.text((LEFT - 8, y + ROW / 2), attribute, fill="black", font=PLAIN, anchor="rm")
        rows = table[table["attribute"] == attribute]
        for (left, right, *_), share, significant in zip(placed, rows["share"], rows["significant"]):
            shade = colour(share, top)
            pen.rectangle((left, y, right - 1, y + ROW - 2), fill=shade)
            if significant:
                x, mark = (left + right) / 2, "white" if share > top / 2 else "#333333"
                pen.ellipse((x - 1.5, y + ROW / 2 - 2.5, x + 1.5, y + ROW / 2 + 0.5), fill=mark)
    pen.text((LEFT, bottom + 10), legend(parts), fill="#555555", font=SMALL)
    colour_bar(pen, top, bottom)
    write_file(path, lambda file: picture.save(file, "PNG", optimize=True))


def legend(parts: pd.DataFrame) -> str:
    """What letters and dots mean, of those that there are."""
    words = {"embed": "E: stream that enters the first block", "mlp": "M: MLP", "branch": "B: other branch"}
    named = [words[kind] for kind in words if (parts["kind"] == kind).any()]
    return "; ".join(["numbers: heads", *named, "dot: above what chance gives all cells together"])


def colour_bar(pen: ImageDraw.ImageDraw, top: float, bottom: int) -> None:
    """The scale at the right edge, with its figures."""
    left, high = WIDTH - RIGHT + 26, bottom - 2 - TOP
    for step in range(high):
        pen.line((left, bottom - 2 - step, left + 14, bottom - 2 - step), fill=colour(step / high, 1.0))
    for tick in range(int(top * 10) + 1):
        y = bottom - 2 - high * tick / 10 / top
        pen.text((left + 20, y), f"{tick / 10:.1f}", fill="black", font=SMALL, anchor="lm")
    pen.text((left - 14, TOP - 22), "share, 0 to 1", fill="black", font=SMALL, anchor="ls")
