"""Notebook 14 on real data: what is near an image in the space of one head (figure 4), counted by labels."""

from functools import partial

import numpy as np

from kit.figures import Figure
from kit.retrieval import retrieval_table
from kit.sweep.settings import rows
from kit.sweep.shown import CHANGE, VALUE, table
from kit.sweep.work import Work

MOST = 2000  # images of a gallery: every pair is compared in the space of every head
NEAREST = 10


def run(work: Work) -> dict:
    """Precision of retrieval by bird and by place on Waterbirds, head by head, beside the whole model.

    The head of an attribute is the one with the best precision on one half of the images; figures are of the
    other half.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, figure 4, shows nearest images and counts nothing.
    """
    store, seed = work.store("waterbirds test"), work.settings.seed
    labels = store.labels[["class_name", "place"]].rename(columns={"class_name": "bird"})
    labels = labels.assign(place=labels["place"].map({0: "land", 1: "water"}))
    kept = np.isin(np.arange(len(store)), np.random.default_rng(seed).permutation(len(store))[:MOST])
    labels = labels.where(np.repeat(kept[:, None], 2, axis=1))  # images without a value are left out
    k = min(NEAREST, max(1, int(kept.sum()) // 8))
    find = partial(retrieval_table, work.model, store, labels, k=k, seed=seed)
    found = {how: find(how=how) for how in ("centred", "raw")}
    return {
        "images": int(kept.sum()),
        "nearest": k,
        "tables": {how: rows(table, "row") for how, table in found.items()},
    }


def show(result: dict) -> list[Figure]:
    """Precision in the space of a head, and beside it."""
    columns = {"label": "attribute", "space": "space", "which": "part", "precision, %": VALUE}
    columns |= {"minus the full model, points": CHANGE, "chance, %": ("chance",)}
    says = (
        f"{result['images']:,} test images of Waterbirds: share of the {result['nearest']} nearest that have "
        "the query's label. The head of a label is chosen on one half, figures are of the other."
    )
    tables = result["tables"].items()
    return [table(rows, columns, f"{how.capitalize()} cosine", says) for how, rows in tables]
