"""Table 1 and Figure 2 of paper 1 on the real tower in open_clip's layout, written to docs/real_ablation.md.

`tests.bench.real_ablation` asks the same tower other questions (which layers, which sets, how much of a
score); here is the paper's own protocol, with what notebook 11 keeps apart, from two stores.
"""

import time
from pathlib import Path

import open_clip
import torch

import kit
from kit.edits import Answers, Means
from kit.measures import changes, hits, in_percent
from tests.bench.harness import settings
from tests.bench.real_data import open_clip_layout, photographs, reference_set, texts
from tests.bench.real_maps import table

PAGE = Path(__file__).parents[2] / "docs" / "real_ablation.md"
LAYERS = 12
MLPS, HEADS = "L*.MLP", "L*.H*"
TABLE1 = {  # as the released code orders them; it counts `embed` among the MLPs
    "nothing": ("none", None),
    "all MLPs": (MLPS, None),
    "embed": ("embed", None),
    "all MLPs and embed": (f"{MLPS}, embed", None),
    "class token to itself": ("none", HEADS),
    "all MLPs, embed, class token to itself": (f"{MLPS}, embed", HEADS),
}
SETS = ("coco128", "ants_bees", "noise")


def questions(store) -> dict[str, Answers]:
    """The names of the 182 photographs' classes, and all 1,000, as candidates."""
    names, vectors = texts()
    labels = photographs()[2]
    known = [names[label] for label in labels]
    return {
        "the 182 names of the photographs": kit.edits.asked(
            store, vectors[labels], torch.arange(len(labels)), known, "182 names"
        ),
        "all 1,000 names": kit.edits.asked(store, vectors, labels, names, "1,000 names"),
    }


def rows_of(question: Answers, edits: dict, means: Means | None) -> list[list[str]]:
    """One row for each edit: what was replaced, accuracy, and the change, paired."""
    right = {
        name: hits(question.after(parts, means, cls), question.truth) for name, (parts, cls) in edits.items()
    }
    return [[name, *row] for name, row in zip(right, in_percent(changes(right, seed=0)).to_numpy())]


def figure2(question: Answers, means: Means) -> list[list[str]]:
    """Accuracy with the attention of layers 0 to k, of k to the last, and of k alone, replaced."""
    last, ways = LAYERS - 1, ("L0-{0}.attn", "L{0}-11.attn", "L{0}.attn")
    found = {}
    for way in ways:
        right = {"none": hits(question.after(), question.truth)}
        for layer in range(last + 1):
            right[layer] = hits(question.after(way.format(layer), means), question.truth)
        found[way] = in_percent(changes(right, seed=0))["accuracy, %"]
    return [[f"L{layer}", *(found[way].loc[layer] for way in ways)] for layer in range(last + 1)]


def sets_rows(question: Answers, stores: dict) -> list[list[str]]:
    """The same three ablations with the means of several sets, the evaluated photographs' own, and zero."""
    sets = {name: Means.of(store) for name, store in stores.items()}
    sets |= {
        "the photographs themselves (as in the paper's Table 1)": Means.of(question.store),
        "zero": None,
    }
    parts = (MLPS, "L0-7.attn", "L8-11.attn")
    rows = []
    for name, means in sets.items():
        right = {p: hits(question.after(p, means), question.truth) for p in parts}
        cells = [in_percent(changes({p: found}, seed=0))["accuracy, %"].iloc[0] for p, found in right.items()]
        rows.append([name, *cells])
    return rows


def page() -> str:
    """The whole document."""
    start, model = time.perf_counter(), open_clip_layout()
    store = kit.collect(model, photographs()[0], "store", "182 photographs", selector="all", tokens="cls")
    stores = {
        name: kit.collect(model, reference_set(name), "store", name, selector="all", tokens="cls")
        for name in SETS
    }
    asked, means = questions(store), Means.of(stores["coco128"])
    head, tables = ["replaced by its mean", "accuracy, %", "change, points"], []
    for name, question in asked.items():
        tables.append(f"Candidates: {name}.\n\n{table(head, rows_of(question, TABLE1, means))}")
    one = asked["the 182 names of the photographs"]
    across = ["k", "layers 0 to k, %", "layers k to 11, %", "layer k alone, %"]
    which = ["means over", "all MLPs, %", "attention 0–7, %", "attention 8–11, %"]
    stated = settings(open_clip=open_clip.__version__, seconds=f"{time.perf_counter() - start:.0f}")
    facts = ", ".join(f"{key} {value}" for key, value in stated.items())
    return TEXT.format(
        table1="\n".join(tables),
        published=published(one, means),
        figure2=table(across, figure2(one, means)),
        sets=table(which, sets_rows(one, stores)),
        facts=facts,
    )


def published(question: Answers, means: Means) -> str:
    """What was measured beside what is published, with where that was read."""
    right = {
        n: hits(question.after(p, means), question.truth) for n, p in (("all", "none"), ("no", TABLE1_CUT))
    }
    lost = in_percent(changes(right, seed=0))["change, points"].loc["no"]
    early = {
        n: hits(question.after(p, means), question.truth) for n, p in (("all", "none"), ("no", "L0-7.attn"))
    }
    flat = in_percent(changes(early, seed=0))["change, points"].loc["no"]
    rows = [
        ["all MLPs and embed: change, points", "-1 to -3, three CLIPs on ImageNet (notes, review)", lost],
        ["attention of all layers but the last four: change, points", "flat (notes)", flat],
        ["accuracy of single models", "not seen in any source", "–"],
    ]
    return table(["what", "published", "this tower, this kit"], rows)


TABLE1_CUT = f"{MLPS}, embed"
TEXT = """# Table 1 and Figure 2 on a real tower

Made with `KIT_REAL_WEIGHTS=FOLDER python -m tests.bench.real_table1`. The folder is not part of the
repository; what it holds is said in [real_weights.md](real_weights.md), where the same tower is asked other
questions. This is a ViT-Ti/16 in open_clip's layout with a projection, fitted by us, into the text space of a
real CLIP: **not a released CLIP, and no figure here is a result of a paper.** 182 photographs, one for each
class, so an accuracy has a standard error of about 3.4 points; they show the classes from which the
projection was fitted, and may overlap with what the tower was trained on.

Means are over coco128 unless another set is named; direct effects throughout. Intervals: 95 %, bootstrap over
photographs, seed 0; changes are paired.

## Measured beside published

{published}
*notes*: public reading notes that repeat the paper's equations; *review*: a review that quotes figures. The
paper's own tables were not at hand, and both are unconfirmed.

## Table 1: MLPs, `embed`, the class token's attention to itself

{table1}
## Figure 2: attention of layers, cumulatively, and the complement

{figure2}
## The set that means are taken over

{sets}
{facts}.
"""


def main() -> None:
    """Write the page."""
    torch.set_num_threads(2)
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE.name)


if __name__ == "__main__":
    main()
