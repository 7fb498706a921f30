"""Measure a trained model and write its page: `python -m kit.cards.model_card stickers-l8`.

Writes `card.json` beside the weights, and the measured part of `data_cards/NAME.md` with the picture
of the training curve. `--page` writes the page again from the figures that are there.
"""

import argparse
import csv
import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from kit.cards.evaluate import SEEDS, Shipped, evaluate
from kit.errors import KitError
from kit.models.names import SHIPPED
from kit.models.training.train import recipe_named

CARDS = Path(__file__).parents[2] / "data_cards"
MARKS = ("<!-- measured -->", "<!-- end of measured -->")
CURVES = {
    "s_clean": "clean, seen",
    "s_full": "full, seen",
    "h_clean": "clean, held-out",
    "h_full": "full, held-out",
}
COLOURS = ("#0072B2", "#D55E00", "#56B4E9", "#E69F00")  # Okabe-Ito


def facts(folder: Path) -> dict:
    """Size of the model and its file."""
    clip = Shipped(folder).clip
    return {
        "parameters": sum(p.numel() for p in clip.parameters()),
        "image_tower_parameters": sum(p.numel() for p in clip.visual.parameters()),
        "bytes": (folder / "open_clip_model.safetensors").stat().st_size,
    }


def curve(log: Path) -> list[dict]:
    """The looks that the training took at itself: images seen, seconds, accuracies."""
    with log.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["s_full"]]
    kept = ["seen", "seconds", *CURVES, "s_natural", "relation"]
    return [{k: float(r[k]) for k in kept if r[k]} for r in rows]


def draw_curve(rows: list[dict], switch: int, path: Path) -> None:
    """Accuracy over images seen, as a PNG; a dashed line where captions begin."""
    width, height, left, bottom, top = 720, 360, 60, 50, 36
    picture = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    end = max(r["seen"] for r in rows)
    x = lambda seen: left + (width - left - 150) * seen / end  # noqa: E731
    y = lambda share: height - bottom - (height - bottom - top) * share  # noqa: E731
    for tick in range(0, 11, 2):
        pen.line((left, y(tick / 10), x(end), y(tick / 10)), fill="#dddddd")
        pen.text((left - 8, y(tick / 10)), f"{tick / 10:.1f}", fill="black", font=font, anchor="rm")
    for tick in range(0, int(end) + 1, 100_000):
        pen.text((x(tick), height - bottom + 8), f"{tick // 1000}k", fill="black", font=font, anchor="ma")
    for dash in range(top, height - bottom, 8):
        pen.line((x(switch), dash, x(switch), dash + 4), fill="#888888")
    pen.text((x(switch) + 4, height - bottom - 4), "captions begin", fill="#666666", font=font, anchor="ls")
    low = height  # of the last label: they are pushed apart from below
    for (name, label), colour in sorted(zip(CURVES.items(), COLOURS), key=lambda c: rows[-1][c[0][0]]):
        points = [(x(r["seen"]), y(r[name])) for r in rows]
        pen.line(points, fill=colour, width=3)
        low = min(points[-1][1], low - 18)
        pen.text((points[-1][0] + 8, low), label, fill=colour, font=font, anchor="lm")
    pen.text((x(end / 2), height - 8), "images seen", fill="black", font=font, anchor="ms")
    pen.text((6, 4), "accuracy among all concepts", fill="black", font=font)
    picture.save(path, optimize=True)


def _figure(row: dict) -> str:
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _table(rows: list[dict]) -> list[str]:
    """Seen and held-out artists side by side, with the bar of the seen ones."""
    lines = [
        "| zero-shot | seen artists | bar | held-out artist | bar | scenes each | seed |",
        "|---" * 7 + "|",
    ]
    by_what: dict[str, dict] = {}
    for row in rows:
        by_what.setdefault(row["what"], {})[row["artists"]] = row
    for what, pair in by_what.items():
        bars = [f"≥ {r['bar']:.2f}" if r["bar"] else "" for r in (pair["seen"], pair["held_out"])]
        sizes = sorted({r["images"] for r in pair.values()})
        images = " / ".join(str(r["images"]) for r in pair.values()) if len(sizes) > 1 else str(sizes[0])
        cells = [what, _figure(pair["seen"]), bars[0], _figure(pair["held_out"]), bars[1], images]
        lines.append(f"| {' | '.join(cells)} | {pair['seen']['seed']} |")
    return lines


def page(card: dict) -> str:
    """The measured part of the page, as Markdown."""
    made, lines = card["made"], _table(card["measured"])
    artists = sorted({r["artist"] for r in card["by_artist"]})
    lines += ["", "By artist:", "", "| artist | clean | natural | full |", "|---|---|---|---|"]
    for artist in artists:
        rows = {r["slice"]: r for r in card["by_artist"] if r["artist"] == artist}
        lines.append(f"| {artist} | {' | '.join(_figure(rows[s]) for s in ('clean', 'natural', 'full'))} |")
    taken = ", ".join(f"{c['is']} for {c['taken_for']} ({c['share']:.0%})" for c in card["confusions"])
    worst = ", ".join(f"{c['concept']} {c['accuracy']:.2f}" for c in card["worst"])
    lines += ["", f"Most frequent confusions on clean scenes, seen artists: {taken}."]
    lines += ["", f"{card['concepts_over_80']} concepts reach 0.80 there; the lowest: {worst}."]
    lines += [
        "",
        f"Made with `{made['command']}`: {made['seen']:,} images seen, {made['seconds'] / 60:.0f} minutes on "
        f"{made['machine']}. {card['parameters']:,} parameters ({card['image_tower_parameters']:,} in "
        f"the image tower), {card['bytes']:,} bytes in float16.",
        "",
        f"![Accuracy during the training]({card['name']}-curve.png)",
    ]
    return "\n".join(lines)


def write_page(card: dict) -> None:
    """Replace the measured part of the model's page, and its picture.

    Raises:
        KitError: the page lacks the marks between which the figures go.
    """
    path = CARDS / f"{card['name']}.md"
    text = path.read_text(encoding="utf-8")
    if any(text.count(mark) != 1 for mark in MARKS):
        raise KitError(f"{path.name} should hold the lines {MARKS[0]} and {MARKS[1]} once each; add them.")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    path.write_text(f"{before}{MARKS[0]}\n{page(card)}\n{MARKS[1]}{after}", encoding="utf-8")
    draw_curve(card["curve"], card["made"]["captions_from"], CARDS / f"{card['name']}-curve.png")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name")
    parser.add_argument("--scenes", type=int, default=2048, help="single-object scenes of each slice")
    parser.add_argument("--machine", default="2 shared CPU cores with AMX", help="where it was trained")
    parser.add_argument("--log", type=Path, help="log of the training (default: runs/NAME/log.csv)")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    given = parser.parse_args(arguments)
    recipe, folder = recipe_named(given.name), SHIPPED / given.name
    path = folder / "card.json"
    if not given.page:
        rows = curve(given.log or Path("runs") / given.name / "log.csv")
        made = {
            "command": f"python -m kit.models.training.train {given.name}",
            "seen": recipe.samples,
            "captions_from": max(p.until for p in recipe.phases if not p.text),
            "seconds": rows[-1]["seconds"],
            "machine": given.machine,
        }
        card = {"name": given.name, "made": made, "curve": rows, "seeds": SEEDS, **facts(folder)}
        path.write_text(json.dumps(card | evaluate(folder, given.scenes), indent=1) + "\n", encoding="utf-8")
    write_page(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
