"""Measure a trained model and write its page: `python -m kit.workshop.cards.model_card stickers-l8`.

Writes `card.json` beside the weights, and the measured part of `data_cards/NAME.md` with the picture
of the training curve. `--page` writes the page again from the figures that are there.
"""

import argparse
import json
from pathlib import Path

from kit.models import load
from kit.models.names import SHIPPED
from kit.workshop.cards.bars import asked_by, bars_of
from kit.workshop.cards.curve import curve, draw_curve
from kit.workshop.cards.evaluate import SEEDS, evaluate
from kit.workshop.cards.marked import CARDS, MEASURED, write_between
from kit.workshop.cards.members import FIT_SEED, FITTED, member, weights_of
from kit.workshop.cards.table import figure
from kit.workshop.training.recipe import ClipRecipe
from kit.workshop.training.train import recipe_named
from kit.writing import write_file

CPU = "2 shared CPU cores"


def facts(folder: Path) -> dict:
    """Shape and size of the model and its file."""
    model, ours = member(folder), load(folder.name)
    return {
        "layers": ours.layers,
        "heads": list(ours.heads),
        "embed_dim": ours.embed_dim,
        "grid": list(ours.grid),
        "parameters": sum(p.numel() for p in model.module.parameters()),
        "image_tower_parameters": sum(p.numel() for p in model.tower.parameters()),
        "bytes": weights_of(folder).stat().st_size,
    }


def made(name: str, rows: list[dict], machine: str) -> dict:
    """How the weights came to be: command, images seen, time, machine, seed."""
    recipe = recipe_named(name)
    how = {
        "command": f"python -m kit.workshop.training.train {name}",
        "seen": recipe.samples,
        "seconds": rows[-1]["seconds"],
        "machine": machine,
        "seed": recipe.seed,
    }
    if isinstance(recipe, ClipRecipe):
        how["captions_from"] = max((p.until for p in recipe.phases if not p.text), default=0)
        how |= {"started_from": recipe.start} if recipe.start else {}
        how |= {"stored": "float16, matrices of the blocks in float8_e4m3"} if recipe.eight_bits else {}
    return how


def _table(name: str, rows: list[dict]) -> list[str]:
    """Seen and held-out artists side by side, each with its bar and whether it is reached."""
    heads = [asked_by(name), "seen artists", "bar", "held-out artist", "bar", "scenes each", "seed"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    by_what: dict[str, dict] = {}
    for row in rows:
        by_what.setdefault(row["what"], {})[row["artists"]] = row
    bars = bars_of(name)
    for what, pair in by_what.items():
        cells = [what]
        for artists in ("seen", "held_out"):
            row, bar = pair.get(artists), bars.get((what, artists))
            cells += [figure(row) + (f" ({row['group']})" if "group" in row else "") if row else ""]
            cells += [f"{bar}{'' if bar.met(row['value']) else ', not reached'}" if bar else ""]
        cells.append(" / ".join(dict.fromkeys(str(r["images"]) for r in pair.values())))
        lines.append(f"| {' | '.join(cells)} | {pair['seen']['seed']} |")
    return lines


def _by_artist(rows: list[dict]) -> list[str]:
    lines = ["| artist | clean | natural | full |", "|---|---|---|---|"]
    for artist in sorted({r["artist"] for r in rows}):
        mine = {r["slice"]: figure(r) for r in rows if r["artist"] == artist}
        lines.append(f"| {artist} | {mine['clean']} | {mine['natural']} | {mine['full']} |")
    return lines


def _origin(card: dict) -> str:
    """How the weights were made, and how large they are."""
    how = card["made"]
    start = f" from the weights of {how['started_from']}," if "started_from" in how else ""
    tower, whole = card["image_tower_parameters"], card["parameters"]
    inside = f" ({tower:,} in the image tower)" if tower != whole else ""
    minutes = how["seconds"] / 60
    return (
        f"Made with `{how['command']}`:{start} {how['seen']:,} images seen, {minutes:.0f} minutes on "
        f"{how['machine']}, seed {how['seed']}. {whole:,} parameters{inside}, {card['bytes']:,} bytes in "
        f"{how.get('stored', 'float16')}."
    )


def page(card: dict) -> str:
    """The measured part of the page, as Markdown."""
    taken = ", ".join(f"{c['is']} for {c['taken_for']} ({c['share']:.0%})" for c in card["confusions"])
    worst = ", ".join(f"{c['concept']} {c['accuracy']:.2f}" for c in card["worst"])
    return "\n".join(
        [
            *_table(card["name"], card["measured"]),
            "",
            "Concept by artist:",
            "",
            *_by_artist(card["by_artist"]),
            "",
            f"Most frequent confusions on clean scenes, seen artists: {taken}.",
            "",
            f"{card['concepts_over_80']} concepts reach 0.80 there; the lowest: {worst}.",
            "",
            _origin(card),
            "",
            f"![Accuracy during the training]({card['name']}-curve.png)",
        ]
    )


def write_page(card: dict) -> None:
    """Replace the measured part of the model's page, and its picture."""
    write_between(CARDS / f"{card['name']}.md", MEASURED, page(card))
    draw_curve(card["curve"], card["made"].get("captions_from"), CARDS / f"{card['name']}-curve.png")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name")
    parser.add_argument("--scenes", type=int, default=2048, help="single-object scenes of each slice")
    parser.add_argument("--machine", default=CPU, help="where it was trained")
    parser.add_argument("--log", type=Path, help="log of the training (default: runs/NAME/log.csv)")
    parser.add_argument("--again", action="store_true", help="measure anew; how it was made is kept")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    given = parser.parse_args(arguments)
    folder = SHIPPED / given.name
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if not given.page:
        if not given.again:
            rows = curve(given.log or Path("runs") / given.name / "log.csv")
            card = {"name": given.name, "made": made(given.name, rows, given.machine), "curve": rows}
        card |= {"seeds": SEEDS, "probes": {"scenes": FITTED, "seed": FIT_SEED}, **facts(folder)}
        card |= evaluate(folder, given.scenes)
        write_file(path, json.dumps(card, indent=1) + "\n")
    write_page(card)


if __name__ == "__main__":
    main()
