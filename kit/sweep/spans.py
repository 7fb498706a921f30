"""Notebook 12 on real data: accuracy with texts in place of heads (figure 3), and what each head says."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from kit.figures import Figure
from kit.measures import changes, hits
from kit.projections import reconstructed, textspan
from kit.sweep.ablation import AT_ONCE
from kit.sweep.settings import rows
from kit.sweep.shown import CHANGE, VALUE, curves, table
from kit.sweep.work import Work, halves

COUNTS = (1, 2, 5, 10, 20, 40, 60)  # texts; the last is the paper's
LISTED, READ = 20, 5  # texts of each head that are counted as explaining, and that are printed


@dataclass
class Heads:
    """Which heads are spanned, and which are replaced by their means.

    Attributes:
        last: selector of the former.
        early: selector of the latter; "none" where there are no earlier layers.
    """

    last: str
    early: str

    @classmethod
    def of(cls, layers: int, last: int) -> "Heads":
        """The heads of a tower of so many layers, with the last so many apart."""
        last = min(last, layers)
        early = f"L0-{layers - last - 1}.H*" if layers > last else "none"
        return cls(f"L-{last}:.H*", early)


def counts_for(width: int) -> list[int]:
    """Numbers of texts that are tried for heads of so many dimensions.

    Example:
        >>> counts_for(64), counts_for(16)
        ([1, 2, 5, 10, 20, 40, 60], [1, 2, 5, 10, 16])
    """
    return [m for m in COUNTS if m <= width] + ([width] if width < COUNTS[-1] else [])


def figure(work: Work, heads: Heads, counts: list[int]) -> dict[str, np.ndarray]:
    """Whether each image is answered right: baselines, and (bank, number of texts from 0), bool [image].

    Texts and means come from the half of the images that an image is not in.
    """
    store, directions, truth = work.store("imagenet"), work.classifier, work.truth
    half, right = halves(len(store), work.settings.seed), {}
    names = ["nothing", "early", *((b, m) for b in work.banks for m in [0, *counts])]
    right = {name: np.zeros(len(store), bool) for name in names}
    for h in (0, 1):
        moments = store.moments(half != h, heads.last)
        spans = {name: textspan(moments, bank, counts[-1]) for name, bank in work.banks.items()}
        early = store.means(half != h, heads.early).sum(0).float() if heads.early != "none" else 0
        images = np.flatnonzero(half == h)
        blocks = np.array_split(images, max(1, -(-len(images) // AT_ONCE)))
        for some in tqdm(blocks, desc="texts in place of heads", unit="block", delay=2, leave=False):
            cosines = store.cosines(directions, some)
            right["nothing"][some] = hits(cosines, truth[some]).numpy()
            if heads.early != "none":
                cosines = cosines - (store.vectors(some, heads.early).sum(1) - early) @ directions.T
            right["early"][some] = hits(cosines, truth[some]).numpy()
            for name, span in spans.items():
                found = reconstructed(store, span, directions, truth[some], [0, *counts], some, cosines)
                for count, hit in found.items():
                    right[name, count][some] = hit.numpy()
    return right


def listed(work: Work, heads: Heads, counts: list[int]) -> tuple[list[dict], dict[str, list[dict]]]:
    """The texts of each head, and the share of variance that so many texts explain."""
    moments, explained = work.store("imagenet").moments(selector=heads.last), {}
    table = None
    for name, bank in work.banks.items():
        span = textspan(moments, bank, counts[-1])
        table = span.table if table is None else table
        shares = {m: span.first(m).table.groupby("part")["share"].sum() for m in counts}
        explained[name] = [{"texts": m, "share": round(float(s.mean()), 6)} for m, s in shares.items()]
    return [_head(part, own) for part, own in table.groupby("part", sort=False)], explained


def _head(part: str, own: pd.DataFrame) -> dict:
    """What one head says."""
    first = own[own["rank"] <= READ]
    told = first.groupby("property", sort=False).size().sort_values(ascending=False, kind="stable")
    return {
        "part": part,
        "texts": list(first["text"]),
        "property": str(told.index[0]),
        "telling": int(told.iloc[0]),
        "read": len(first),
        "explained": round(float(own[own["rank"] <= LISTED]["share"].sum()), 6),
        "margin": round(float(first["margin"].iloc[0]), 6),
    }


def run(work: Work) -> dict:
    """Figure 3 and the table of heads.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, figure 3 and table 2. The paper takes texts and means from
        the very images; roles there were read by a person, here most of the first five texts tell them.
    """
    store = work.store("imagenet")
    heads = Heads.of(work.model.layers, work.settings.last)
    counts = counts_for(store.arrays["heads"].shape[2])
    right = figure(work, heads, counts)
    column = lambda key: right[key].astype(float)  # noqa: E731
    baselines = {
        "nothing replaced": "nothing",
        "earlier heads by means": "early",
        "all heads by means": (next(iter(work.banks)), 0),
    }
    accuracy, gaps = {}, {}
    for bank in work.banks:
        table = changes({m: column((bank, m)) for m in counts}, work.settings.seed)
        accuracy[bank] = rows(table[["value", "low", "high"]], "texts")
        gap = {m: column((bank, m)) - column(("random directions", m)) for m in counts}
        if bank != "random directions":
            gaps[bank] = rows(changes(gap, work.settings.seed)[["value", "low", "high"]], "texts")
    said, explained = listed(work, heads, counts)
    return {
        "images": len(store),
        "candidates": len(work.classes),
        "heads": heads.last,
        "counts": counts,
        "baselines": rows(
            changes({name: column(key) for name, key in baselines.items()}, work.settings.seed)
        ),
        "accuracy": accuracy,
        "minus random": gaps,
        "explained": explained,
        "bank of the table": next(iter(work.banks)),
        "said": said,
    }


def show(result: dict) -> list[Figure]:
    """Figure 3, its baselines, and the table of heads."""
    places = result["counts"], "texts for each head"
    shares = {b: [{"value": row["share"]} for row in own] for b, own in result["explained"].items()}
    levels = {f"{row['name']}, {100 * row['value']:.1f}": 100 * row["value"] for row in result["baselines"]}
    ours = (
        f"{result['images']:,} images, {result['candidates']:,} candidates. Heads {result['heads']} hold "
        "nothing but what their texts span; earlier heads are replaced by their means; MLPs stay. Texts "
        "and means are of the half of the images that is not answered."
    )
    over, explain = "Accuracy minus that of random directions", "Variance of a head that its texts explain"
    mean = "Mean over heads, texts of all images."
    heads = [
        row
        | {"texts": "; ".join(row["texts"]), "told": f"{row['property']} ({row['telling']} of {row['read']})"}
        for row in result["said"]
    ]
    columns = {"head": "part", "first texts": "texts", "told most often": "told"}
    columns |= {f"{LISTED} texts explain, %": ("explained",), "margin of the first": "margin"}
    bank = (
        f"Bank: {result['bank of the table']}. A head always gets a text: a small share or margin means that "
    )
    return [
        curves(result["accuracy"], *places, "accuracy, %", levels=levels, title="Figure 3", says=ours),
        curves(result["minus random"], *places, "points", title=over, says="Paired."),
        curves(shares, *places, "share of variance, %", title=explain, says=mean),
        table(
            result["baselines"],
            {"baseline": "name", "accuracy, %": VALUE, "change, points": CHANGE},
            "Baselines",
        ),
        table(heads, columns, "What each head says (table 2)", f"{bank}it is hardly about it."),
    ]
