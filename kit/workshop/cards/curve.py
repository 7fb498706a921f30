"""The picture of a training: accuracies over the images seen."""

import csv
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from kit.writing import write_file

CURVES = {
    "s_clean": "clean, seen",
    "s_full": "full, seen",
    "h_clean": "clean, held-out",
    "h_full": "full, held-out",
}
COLOURS = ("#0072B2", "#D55E00", "#56B4E9", "#E69F00")  # Okabe-Ito
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 60, 150, 36, 50


def curve(log: Path) -> list[dict]:
    """The looks that the training took at itself: images seen, seconds, accuracies."""
    with log.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["s_full"]]
    kept = ["seen", "seconds", *CURVES, "s_natural", "relation"]
    return [{k: float(r[k]) for k in kept if r.get(k)} for r in rows]


def draw_curve(rows: list[dict], switch: int | None, path: Path) -> None:
    """Accuracy over images seen, as a PNG; a dashed line where captions begin, if they do."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    end = max(r["seen"] for r in rows)
    x = lambda seen: LEFT + (WIDTH - LEFT - RIGHT) * seen / end  # noqa: E731
    y = lambda share: HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share  # noqa: E731
    for tick in range(0, 11, 2):
        pen.line((LEFT, y(tick / 10), x(end), y(tick / 10)), fill="#dddddd")
        pen.text((LEFT - 8, y(tick / 10)), f"{tick / 10:.1f}", fill="black", font=font, anchor="rm")
    for tick in range(0, int(end) + 1, 100_000 if end > 300_000 else 50_000):
        pen.text((x(tick), HEIGHT - BOTTOM + 8), f"{tick // 1000}k", fill="black", font=font, anchor="ma")
    if switch:
        for dash in range(TOP, HEIGHT - BOTTOM, 8):
            pen.line((x(switch), dash, x(switch), dash + 4), fill="#888888")
        corner = (x(switch) + 4, HEIGHT - BOTTOM - 4)
        pen.text(corner, "captions begin", fill="#666666", font=font, anchor="ls")
    low = HEIGHT  # of the last label: they are pushed apart from below
    for (name, label), colour in sorted(zip(CURVES.items(), COLOURS), key=lambda c: rows[-1][c[0][0]]):
        points = [(x(r["seen"]), y(r[name])) for r in rows]
        pen.line(points, fill=colour, width=3)
        low = min(points[-1][1], low - 18)
        pen.text((points[-1][0] + 8, low), label, fill=colour, font=font, anchor="lm")
    pen.text((x(end / 2), HEIGHT - 8), "images seen", fill="black", font=font, anchor="ms")
    pen.text((6, 4), "accuracy among all concepts", fill="black", font=font)
    write_file(path, lambda file: picture.save(file, "PNG", optimize=True))
