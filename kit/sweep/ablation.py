"""Notebook 11 on real data: accuracy on ImageNet with parts replaced by their means (table 1, figure 2)."""

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from kit.data.sets import Picks
from kit.figures import Figure
from kit.measures import changes, hits
from kit.parts import Store
from kit.parts.means import replaced
from kit.sweep.settings import rows
from kit.sweep.shown import CHANGE, VALUE, curves, table
from kit.sweep.work import Work, halves

AT_ONCE = 256  # images
CROSSED, OWN = "means of the other half", "means of the very images"


class Pieces:
    """Sums of parts that are replaced together, as vectors of the representation's width.

    Args:
        store: of the images.
        pieces: name -> view ("parts", or "cls" for what heads read at the class token) and selector.
    """

    def __init__(self, store: Store, pieces: dict[str, tuple[str, str]]):
        self.views = {"parts": store}
        if any(view == "cls" for view, _ in pieces.values()):
            self.views["cls"] = store.read_at_cls()
        self.store, self.pieces = store, pieces

    def means(self, images: Picks | None = None) -> dict[str, Tensor]:
        """Mean of each piece over images, [embed]."""
        return {
            name: self.views[view].means(images, selector).sum(0).float()
            for name, (view, selector) in self.pieces.items()
        }

    def of(self, images: Picks) -> dict[str, Tensor]:
        """Each piece of these images, over the length of the representation, [image, embed]."""
        return {
            name: self.views[view].vectors(images, selector).sum(1)
            for name, (view, selector) in self.pieces.items()
        }


def whole(store: Store, images: Picks) -> Tensor:
    """The representations of images over their length, [image, embed]."""
    return store.cosines(torch.eye(store.arrays["embedding"].shape[1]), images)


def edits(layers: int, cls: bool) -> dict[str, tuple[str, list[str]]]:
    """What is replaced: name -> which table it belongs to, and the pieces."""
    mlps = [f"L{n}.MLP" for n in range(layers)]
    own = [f"cls L{n}" for n in range(layers)] if cls else []
    found = {"nothing": ("table", []), "all MLPs": ("table", mlps), "embed": ("table", ["embed"])}
    found["all MLPs and embed"] = ("table", [*mlps, "embed"])
    if cls:
        found["class token to itself"] = ("table", own)
        found["all of these"] = ("table", [*mlps, "embed", *own])
    attention = [f"L{n}.attn" for n in range(layers)]
    for n in range(layers):
        found[f"layers 0 to {n}"] = ("layers 0 to l", attention[: n + 1])
    for n in range(layers):
        found[f"layers {n} to last"] = ("layers l to last", attention[n:])
    return found


def pieces_of(layers: int, cls: bool) -> dict[str, tuple[str, str]]:
    """The pieces that `edits` names."""
    found = {"embed": ("parts", "embed")}
    found |= {f"L{n}.{what}": ("parts", f"L{n}.{what}") for n in range(layers) for what in ("MLP", "attn")}
    return found | ({f"cls L{n}": ("cls", f"L{n}.H*") for n in range(layers)} if cls else {})


def answered(work: Work, wanted: dict[str, tuple[str, list[str]]]) -> dict[str, dict[str, np.ndarray]]:
    """Whether each image is answered right after each edit: whose means -> edit -> bool [image].

    One pass over the store: an edit takes its pieces out of the representation and puts their means in.
    """
    store, directions, truth = work.store("imagenet"), work.classifier, work.truth
    pieces = Pieces(store, pieces_of(work.model.layers, work.tokens("imagenet") is not None))
    half = halves(len(store), work.settings.seed)
    own, crossed = pieces.means(), [pieces.means(half != h) for h in (0, 1)]
    right = {whose: {name: np.zeros(len(store), bool) for name in wanted} for whose in (CROSSED, OWN)}
    blocks = [b for h in (0, 1) for b in _blocks(np.flatnonzero(half == h))]
    for images in tqdm(blocks, desc="mean ablation", unit="block", delay=2, leave=False):
        base, values = whole(store, images), pieces.of(images)
        for whose, means in ((CROSSED, crossed[half[images[0]]]), (OWN, own)):
            for name, (_, names) in wanted.items():
                after = base
                for piece in names:
                    after = replaced(after, values[piece], means[piece])
                right[whose][name][images] = hits(after @ directions.T, truth[images]).numpy()
    return right


def _blocks(images: np.ndarray) -> list[np.ndarray]:
    return np.array_split(images, max(1, -(-len(images) // AT_ONCE)))


def run(work: Work) -> dict:
    """Table 1 and figure 2, with the means of the other half of the images and of the very images.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, table 1 and figure 2. The paper averages over the very
        images that are evaluated; here that stands beside means over the half that is not.
    """
    wanted = edits(work.model.layers, work.tokens("imagenet") is not None)
    right = answered(work, wanted)
    found = {}
    for whose, each in right.items():
        table = changes({name: values.astype(float) for name, values in each.items()}, work.settings.seed)
        kinds = {kind: [n for n, (k, _) in wanted.items() if k == kind] for kind, _ in wanted.values()}
        found[whose] = {kind: rows(table.loc[names]) for kind, names in kinds.items()}
    return {
        "images": len(work.store("imagenet")),
        "candidates": len(work.classes),
        "layers": work.model.layers,
        "no class token": work.tokens("imagenet") is None,
        "tables": found,
    }


def show(result: dict) -> list[Figure]:
    """Table 1; figure 2, and its complement."""
    crossed, own = (result["tables"][whose] for whose in (CROSSED, OWN))
    both = [
        row | {f"own {key}": same[key] for key in CHANGE} for row, same in zip(crossed["table"], own["table"])
    ]
    columns = {"replaced by its mean": "name", f"accuracy, %: {CROSSED}": VALUE, "change, points": CHANGE}
    columns[f"change, points: {OWN}"] = tuple(f"own {key}" for key in CHANGE)
    says = f"{result['images']:,} images, {result['candidates']:,} candidates."
    says += " This tower has no class token that heads read." if result["no class token"] else ""
    lines = {
        "layers 0 to k": crossed["layers 0 to l"],
        "layers k to last": crossed["layers l to last"],
    }
    whole = 100 * both[0]["value"]
    curve = curves(
        lines,
        range(result["layers"]),
        "layer k",
        "accuracy, %",
        levels={f"as it is, {whole:.1f}": whole},
        title="Figure 2, and its complement",
        says=f"Attention of these layers replaced by its mean ({CROSSED}); MLPs stay.",
    )
    return [table(both, columns, "Table 1", says), curve]
