"""The part "Roles" of a model's page, and its picture."""

import pandas as pd

from kit.parts.roles import table
from kit.workshop.cards.marked import CARDS, ROLES, write_between
from kit.workshop.cards.role_map import draw_roles

STRONGEST = 3
SLIGHT = 0.05  # a share that the text calls small
MEANING = {
    "category": "category",
    "concept": "concept, within its category",
    "colour": "colour of recoloured objects",
    "texture": "texture of recoloured objects",
    "background": "background",
    "position": "position of the object",
    "size": "size of the object",
    "artist": "artist, of concepts that all seen ones drew",
    "count": "number of objects",
    "arrangement": "two objects beside or above each other",
    "relation": "which of the two concepts is named first, within the arrangement",
    "word": "printed word that does not name the object beside it",
}


def figure(row) -> str:
    """A part with its share and interval."""
    return f"{row.part} {row.share:.3f} [{row.low:.3f}, {row.high:.3f}]"


def strongest(rows: pd.DataFrame) -> str:
    """The parts with the largest shares among those above the bound."""
    found = rows[rows["significant"]].nlargest(STRONGEST, "share")
    return "<br>".join(figure(row) for row in found.itertuples()) or "none above chance"


def page(found: dict) -> str:
    """The part of the page, as Markdown."""
    rows = table(found)
    heads, others = rows[rows["kind"] == "head"], rows[rows["kind"] != "head"]
    lines = ["| attribute | strongest heads | strongest other parts | heads above chance | scenes | seed |"]
    lines.append("|---" * 6 + "|")
    for name, measured in found["attributes"].items():
        mine, rest = (t[t["attribute"] == name] for t in (heads, others))
        counted = f"{int(mine['significant'].sum())} of {len(mine)}"
        scenes = f"{measured['scenes']:,} | {measured['seed']}"
        lines.append(f"| {MEANING[name]} | {strongest(mine)} | {strongest(rest)} | {counted} | {scenes} |")
    lines += ["", said(heads), ""]
    lines.append(
        f"Made with `python -m kit.workshop.cards.roles {found['model']}`: {found['permutations']} shuffles, "
        f"seed {found['seed']}, world {found['world']}, {found['cpu_seconds']} CPU-seconds, on the weights "
        f"`{found['weights_hash'][:8]}`."
    )
    return "\n".join(
        ["", f"![Share of variance by attribute and part]({found['model']}-roles.png)", "", *lines]
    )


def said(heads: pd.DataFrame) -> str:
    """Which attributes no head carries, in words."""
    chance = heads.groupby("attribute", sort=False)["significant"].any()
    best = heads[heads["significant"]].groupby("attribute", sort=False)["share"].max()
    absent, slight = list(chance.index[~chance]), list(best.index[best < SLIGHT])
    sentences = [f"No head carries: {', '.join(absent)}." if absent else "Some head carries each of them."]
    if slight:
        sentences.append(f"No head gives a share of {SLIGHT:.2f} to: {', '.join(slight)}.")
    return " ".join(sentences)


def write_page(found: dict) -> None:
    """Replace the part of the model's page, and its picture."""
    draw_roles(table(found), found["model"], CARDS / f"{found['model']}-roles.png")
    write_between(CARDS / f"{found['model']}.md", ROLES, page(found))
