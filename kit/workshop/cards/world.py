"""Writes the pictures and the tables of the data card again: `python -m kit.workshop.cards.world`."""

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from kit.world import atlas
from kit.world.gallery import gallery
from kit.world.sample import MIXES
from kit.world.scenes import Scenes, draw
from kit.world.values import CATEGORY, HELD_OUT, SEEN, VALUES
from kit.writing import write_file

FOLDER = Path(__file__).parents[3] / "data_cards"
BEGIN, END = "<!-- tables: written by python -m kit.workshop.cards.world -->", "<!-- end of tables -->"
INK, PAPER = (40, 44, 52), (250, 250, 248)


def _picture(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())


def _wrapped(text: str, font: ImageFont.ImageFont, width: int, lines: int) -> str:
    """Text broken into at most so many lines of this width."""
    rows = [""]
    for word in text.split():
        longer = f"{rows[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            rows[-1] = longer
        else:
            rows.append(word)
    return "\n".join(rows[:lines])


def _sheet(rows: list[tuple[str, Scenes]], columns: int, zoom: int, lines: int) -> Image.Image:
    """Groups of scenes under headings, each scene with its caption below."""
    font, bold = ImageFont.load_default(11), ImageFont.load_default(14)
    cell, gap, head = 64 * zoom, 10, 30
    pitch = cell + lines * 14 + 8
    heights = [head + -(-len(s) // columns) * pitch for _, s in rows]
    page = Image.new("RGB", (columns * (cell + gap) + gap, sum(heights) + gap), PAPER)
    pen, top = ImageDraw.Draw(page), 0
    for (title, scenes), height in zip(rows, heights):
        pen.text((gap, top + 9), title, font=bold, fill=INK)
        for i, (image, caption) in enumerate(zip(scenes.images, scenes.captions)):
            x, y = gap + i % columns * (cell + gap), top + head + i // columns * pitch
            page.paste(_picture(image).resize((cell, cell), Image.Resampling.NEAREST), (x, y))
            text = _wrapped(caption, font, cell, lines)
            pen.multiline_text((x, y + cell + 3), text, font=font, fill=INK, spacing=2)
        top += height
    return page


def scenes_picture() -> Image.Image:
    """The gallery, what training draws in either mix, and the held-out artist."""
    groups = [
        ("the gallery", gallery()),
        ('the clean mix: draw(8, seed=7, kind="mixed", mix="clean")', draw(8, 7, "mixed", mix="clean")),
        ('the web mix: draw(8, seed=8, kind="mixed", mix="web")', draw(8, 8, "mixed", mix="web")),
        (
            'the held-out artist: draw(8, seed=9, artists="held_out")',
            draw(8, 9, artists="held_out", sizes=("medium", "large")),
        ),
    ]
    return _sheet(groups, columns=8, zoom=2, lines=4)


def drawings_picture() -> Image.Image:
    """Every drawing, a column of artists for each concept."""
    size, columns = 24, 25
    drawings = atlas.stickers().flatten(0, 1).float()
    small = F.interpolate(drawings, (size, size), mode="bilinear", antialias=True)
    shown = small[:, :3] + torch.tensor(PAPER).view(3, 1, 1) * (1 - small[:, 3:] / 255)
    shown = shown.round().clamp(0, 255).to(torch.uint8).unflatten(0, atlas.available().shape)
    artists, concepts = shown.shape[:2]
    pitch = artists * size + 14
    page = Image.new("RGB", (columns * (size + 6), -(-concepts // columns) * pitch), PAPER)
    for c in range(concepts):
        for a in range(artists):
            x, y = c % columns * (size + 6) + 3, c // columns * pitch + a * size + 4
            page.paste(_picture(shown[a, c]), (x, y))
    return page


def tables() -> str:
    """What a scene can be, and how often, as Markdown."""
    named = [a for a in VALUES if a not in ("concept", "artist", "kind")]
    lines = ["| attribute | values |", "|---|---|"]
    lines += [f"| {a} ({len(VALUES[a])}) | {', '.join(VALUES[a])} |" for a in named]
    lines += [
        f"| artist ({len(SEEN)} seen, 1 held out) | {', '.join(SEEN)}; held out: {', '.join(HELD_OUT)} |"
    ]
    lines += ["", "| category | concepts |", "|---|---|"]
    for name in VALUES["category"]:
        members = [c for c in VALUES["concept"] if CATEGORY[c] == name]
        lines.append(f"| {name} ({len(members)}) | {', '.join(members)} |")
    kinds = VALUES["kind"]
    lines += ["", f"| mix | {' | '.join(kinds)} | bias |", f"|---|{'---|' * (len(kinds) + 1)}"]
    for mix, (shares, bias) in MIXES.items():
        lines.append(f"| {mix} | {' | '.join(f'{shares[k]:.0%}' for k in kinds)} | {bias} |")
    lines += ["", "| artist | drawings | missing, or a full square |", "|---|---|---|"]
    for artist, lost in atlas.missing().items():
        lines.append(f"| {artist} | {len(VALUES['concept']) - len(lost)} | {', '.join(lost) or 'none'} |")
    return "\n".join(lines)


def main() -> None:
    """Write the pictures, and the tables between their markers on the card."""
    pictures = FOLDER / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for name, picture, quality in (("scenes", scenes_picture(), 60), ("drawings", drawings_picture(), 40)):
        encode = partial(picture.save, format="JPEG", quality=quality, optimize=True)
        write_file(pictures / f"stickers_{name}.jpg", encode)
    card = FOLDER / "stickers.md"
    before, _, rest = card.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    write_file(card, f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}")


if __name__ == "__main__":
    main()
