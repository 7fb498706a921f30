"""The family's page, from the cards: `python -m kit.workshop.cards.family` writes docs/family.md."""

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd

import kit.world as world
from kit.models.names import SHIPPED, shipped_names
from kit.workshop.cards.bars import asked_by, training_of
from kit.workshop.cards.marked import MEASURED, write_between
from kit.workshop.cards.table import figure

PAGE = Path(__file__).parents[3] / "docs" / "family.md"
SHOWN = {  # heading -> rows of the cards, the first one that a member has
    "concept": ("concept, clean",),
    "hard concept": ("concept, full",),
    "new artist": ("concept, clean",),
    "category": ("category",),
    "colour": ("colour",),
    "texture": ("texture",),
    "background": ("background",),
    "position": ("position",),
    "size": ("size",),
    "count": ("count",),
    "relation": ("relation order", "relation"),
    "printed word": ("printed word, alone",),
}
CHOICES = {"colour": 10, "relation order": 2}  # answers to choose from, where not all values of the attribute
FOOLED = "typographic attack: drop"
CUE = "animals: average minus worst group"
KNOWN = 0.9  # a figure whose whole interval lies above is called seen
LEARNT = {
    "captions": "captions that are true",
    "web captions": "captions of a web kind, printed words",
    "labels": "labels",
    "self-distillation": "pairs of images of one drawing",
}


def cards() -> dict[str, dict]:
    """Card of each shipped member that has one, by name."""
    paths = {name: SHIPPED / name / "card.json" for name in shipped_names()}
    return {n: json.loads(p.read_text(encoding="utf-8")) for n, p in paths.items() if p.is_file()}


def family() -> pd.DataFrame:
    """The shipped models side by side: what they are, and what they see.

    Returns:
        One row for each model, indexed by its name: `learnt from`, `asked by` (prompts or linear probe),
        `layers`, `heads` (of all layers), `patches`, `parameters`, then one column for each thing asked:
        share of right answers on unbiased scenes, 0-1, as the cards give it. Figures of prompts and of
        probes answer different questions: compare within one kind.

    Example:
        >>> import kit
        >>> float(kit.family().loc["stickers-l8", "background"]) > 0.9
        True
    """
    rows = {}
    for name, card in cards().items():
        row = {
            "learnt from": LEARNT[training_of(name)],
            "asked by": asked_by(name),
            "layers": card["layers"],
            "heads": sum(card["heads"]),
            "patches": card["grid"][0] * card["grid"][1],
            "parameters": card["parameters"],
        }
        found = {heading: seen(card, heading) for heading in SHOWN}
        rows[name] = row | {heading: r["value"] if r else None for heading, r in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def seen(card: dict, heading: str) -> dict | None:
    """The card's row under a heading of the table; None where the member was not asked."""
    artists = "held_out" if heading == "new artist" else "seen"
    for what in SHOWN[heading]:
        if (row := row_of(card, what, artists)) is not None:
            return row
    return None


def row_of(card: dict, what: str, artists: str = "seen") -> dict | None:
    """A row of a card's table; None where there is none."""
    return next((r for r in card["measured"] if (r["what"], r["artists"]) == (what, artists)), None)


def chance_of(row: dict) -> float:
    """Share of right answers of someone who guesses."""
    what = row["what"].partition(",")[0]
    attribute = {"printed word": "word", "relation order": "relation"}.get(what, what)
    return 1 / CHOICES.get(what, len(world.VALUES[attribute]))


def said_of(card: dict) -> str:
    """What a member sees, sees in part, and does not see, in one sentence; from its intervals."""
    sees, partly, blind = [], [], []
    for heading in SHOWN:
        row = seen(card, heading)
        if row is None:
            continue
        chance = chance_of(row)
        if row["low"] >= KNOWN:
            sees.append(heading)
        elif row["low"] <= 2 * chance:
            blind.append(f"{heading} ({row['value']:.2f}; chance {chance:.2f})")
        else:
            partly.append(f"{heading} ({row['value']:.2f})")
    told = [f"sees {', '.join(sees) or 'nothing surely'}"]
    told += [f"in part: {', '.join(partly)}"] if partly else []
    told += [f"no better than twice chance: {', '.join(blind)}"] if blind else []
    return f"- **{card['name']}** {'; '.join(told)}."


def _compared(found: dict[str, dict], larger: str, smaller: str) -> str | None:
    """Whether one clean CLIP knows more concepts than another, with intervals apart."""
    if not {larger, smaller} <= found.keys():
        return None
    one, other = (row_of(found[n], "concept, clean") for n in (larger, smaller))
    verdict = "intervals apart" if one["low"] > other["high"] else "intervals **not** apart"
    return f"- {larger} {figure(one)} against {smaller} {figure(other)}: {verdict}."


def page(found: dict[str, dict]) -> str:
    """The tables, as Markdown."""
    shape = ["| model | learnt from | layers | heads | patches | parameters | MB | images seen |"]
    shape.append("|---" * 8 + "|")
    for name, card in found.items():
        cells = [f"[{name}](../data_cards/{name}.md)", LEARNT[training_of(name)], card["layers"]]
        cells += [sum(card["heads"]), " × ".join(map(str, card["grid"])), f"{card['parameters']:,}"]
        cells += [f"{card['bytes'] / 1e6:.1f}", f"{card['made']['seen']:,}"]
        shape.append(f"| {' | '.join(map(str, cells))} |")
    lines = [*shape, "", f"Together {sum(c['bytes'] for c in found.values()) / 1e6:.1f} MB.", ""]
    for asked, kinds in (
        ("Asked by prompts", "captions"),
        ("Asked by linear probes", "labels self-distillation"),
    ):
        chosen = {n: c for n, c in found.items() if training_of(n).split()[-1] in kinds.split()}
        if chosen:
            lines += [f"### {asked}", "", *_figures(chosen), "", *map(said_of, chosen.values()), ""]
    sizes = ("stickers-l8-128", "stickers-l8", "stickers-s8", "stickers-s16")
    told = [line for pair in pairwise(sizes) if (line := _compared(found, *pair))]
    if told:
        lines += ["### Size and patch", "", "Concept on clean scenes of seen artists:", "", *told, ""]
    return "\n".join(lines).rstrip()


def _figures(chosen: dict[str, dict]) -> list[str]:
    """One row for each thing asked, one column for each member."""
    lines = [f"| | {' | '.join(chosen)} |", "|---" * (len(chosen) + 1) + "|"]
    for heading in SHOWN:
        cells = [figure(row) if (row := seen(card, heading)) else "" for card in chosen.values()]
        lines.append(f"| {heading} | {' | '.join(cells)} |")
    for heading, what in (("lost to a wrong word", FOOLED), ("lost on the worst background", CUE)):
        cells = [figure(row) if (row := row_of(card, what)) else "" for card in chosen.values()]
        lines.append(f"| {heading} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Write the measured part of the page."""
    write_between(PAGE, MEASURED, page(cards()))


if __name__ == "__main__":
    main()
