"""The page of `tests.bench.alignment`, from its figures."""

import numpy as np

from kit.measures.intervals import Interval
from kit.projections.aligned import OFFERED
from kit.projections.ranking import SCORES
from kit.workshop.shipped_aligners import FIT, HELD
from tests.bench.alignment import FIVE, OTHER, PAIRS

JUDGES = ("variance share", "pairs")

INTRODUCTION = """# Which map of parts to take

Written by `python -m tests.bench.alignment`. Five towers without text, each mapped into the space of
`stickers-l8` by every kind of map of `kit.projections.fit`, on {fit:,} scenes without labels
(seed {fit_seed}); all figures are of {held:,} other scenes (seed {held_seed}).

A map is judged by what is known of the parts without any map. *Variance share*: how much of what a part
writes an attribute explains. *Pairs*: how much more a part changes with one factor of a scene than with
others ({pairs} pairs a factor). Both are of the tower's own parts; neither has seen a CLIP. R is how far a
mapped part moves with the sum along the texts of an attribute (`kit.rank_parts`). Spearman's correlation of
R with the truth over the parts of a tower says whether the map finds the parts that carry the attribute; the
mean is over five towers and five attributes
({five}). Intervals are 95 %, parts drawn again within each
tower.
"""


def table(head: list[str], rows: list[list]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n"


def interval(draws: np.ndarray) -> Interval:
    """The first draw, which is the data, between quantiles of the others."""
    low, high = np.nanquantile(draws[1:], [0.025, 0.975])
    return Interval(draws[0], low, high)


def means(found: dict, kind: str, score: str, judge: str, agreements) -> np.ndarray:
    """Mean over towers and attributes, [1 + draw]."""
    return np.nanmean([agreements(f, kind, score, judge).mean(1) for f in found.values()], 0)


def write(found: dict[str, dict], most: list[float], agreements) -> str:
    """The page.

    Args:
        found: figures of each tower.
        most: `tests.bench.alignment.ceiling`.
        agreements: `tests.bench.alignment.agreements` but for its chance.
    """
    towers, kinds = list(found), list(next(iter(found.values()))["kinds"])
    text = INTRODUCTION.format(
        fit=FIT[0], fit_seed=FIT[1], held=HELD[0], held_seed=HELD[1], pairs=PAIRS, five=", ".join(FIVE)
    )
    text += "\n## Kinds of maps against the truth of parts\n\n"
    rows = []
    for kind in kinds:
        judged = [interval(means(found, kind, "R", judge, agreements)) for judge in JUDGES]
        seconds = [f["kinds"][kind]["seconds"] for f in found.values()]
        ahead = "" if kind == "shared" else str(paired(found, kind, agreements).told(2))
        rows.append([kind, *(j.told(2) for j in judged), ahead, f"{min(seconds):.2f}–{max(seconds):.2f}"])
    text += table(["map", *(f"R and {j}" for j in JUDGES), "ahead of shared, paired", "CPU seconds"], rows)
    text += f'\nOffered for parts: `"{OFFERED}"`; for what parts add to the sum: `"shared"`.\n'
    text += "\n## The sum: centred cosine with what the CLIP sees\n\n"
    rows = [[k, *(Interval(*f["kinds"][k]["cosine"]).told(3) for f in found.values())] for k in kinds]
    text += table(["map", *towers], rows)
    told = Interval(*most).told(3)
    text += (
        f"\nFor scale: `{OTHER}`, a smaller CLIP of the same world, reaches {told} with one map for all.\n"
    )
    text += "\nA better sum is no better map of parts: compare the order of the rows with the table above.\n"
    text += "\n## What the mapped sum reads, and what the tower's own representation holds\n\n"
    text += (
        "Mean accuracy over the five attributes: of the mapped sum by texts, and of a linear classifier "
        "trained with labels on the tower's own representation. In brackets, attributes that the mapped sum "
        "reads better than that classifier by more than five points: maps for each part can undo what the "
        "sum cancels, and then say of the tower what is not so.\n\n"
    )
    rows = [["linear classifier", *(f"{np.mean([f['probe'][a] for a in FIVE]):.2f}" for f in found.values())]]
    rows += [[kind, *(_reads(f, kind) for f in found.values())] for kind in kinds]
    text += table(["map", *towers], rows)
    text += "\n## Fits that are equally good disagree on parts\n\n"
    text += "1 − correlation of a part's mapped vectors between two fits, mean over parts; in brackets the\n"
    text += "centred cosines of both sums.\n\n"
    fits = [row[0] for row in next(iter(found.values()))["apart"]]
    rows = [
        [name, *("{3:.2f} ({1:.3f}, {2:.3f})".format(*f["apart"][n]) for f in found.values())]
        for n, name in enumerate(fits)
    ]
    rows.append(["effective rank of all parts over the sum of theirs", *_ranks(found)])
    text += table(["two fits", *towers], rows)
    kind = _named(kinds)
    text += f'\n## Scores of parts against the truth, by the map "{kind}"\n\n'
    for judge in JUDGES:
        text += f"Spearman's correlation with {judge}, mean over the five attributes:\n\n"
        rows = []
        for score in SCORES:
            cells = [interval(agreements(f, kind, score, judge).mean(1)).told(2) for f in found.values()]
            rows.append([score, *cells, interval(means(found, kind, score, judge, agreements)).told(2)])
        text += table(["score", *towers, "all"], rows) + "\n"
    return text


def paired(found: dict, kind: str, agreements) -> Interval:
    """How far a kind is ahead of the shared map in the same cells, mean over them; cells are drawn again."""
    gaps = np.concatenate(
        [
            agreements(f, kind, "R", JUDGES[0])[0] - agreements(f, "shared", "R", JUDGES[0])[0]
            for f in found.values()
        ]
    )
    rng = np.random.default_rng(0)
    draws = gaps[rng.integers(0, len(gaps), (1000, len(gaps)))].mean(1)
    return interval(np.array([gaps.mean(), *draws]))


def _reads(f: dict, kind: str) -> str:
    right = f["kinds"][kind]["right"]
    more = [a for a in FIVE if right[a] > f["probe"][a] + 0.05]
    return f"{np.mean([right[a] for a in FIVE]):.2f}" + (f" ({', '.join(more)})" if more else "")


def _ranks(found: dict) -> list[str]:
    return [f"{f['shared rank']:.2f}" for f in found.values()]


def _named(kinds: list[str]) -> str:
    return next(k for k in kinds if k.split(",")[0] == OFFERED)
