"""Which head finds images that share an attribute, beside the whole model, its layer and other heads."""

import numpy as np
import pandas as pd
from tqdm import tqdm

from kit.errors import KitError
from kit.measures import chance_precision, changes, precision_at_k
from kit.models.model import Model
from kit.parts.galleries import FULL, Gallery
from kit.parts.roles import roles
from kit.parts.stores import Store

SPACES = (FULL, "head", "layer", "random head")


def role_heads(model: Model) -> pd.DataFrame:
    """For each attribute the head whose true role it is, by the measured roles of a shipped model.

    A head's role is the attribute that explains most of what it writes, of those above chance
    (`kit.roles`). Several heads can have one role: the one that it explains most of is taken. An attribute
    that is no head's strongest has no such head.

    Args:
        model: a shipped model, or its name.

    Returns:
        One row for each attribute: `head` (missing where it is no head's role), `share` of its variance that
        the attribute explains; `most`, the head in which the attribute has the largest share whatever else
        it writes, with `most_share`.

    Raises:
        KitError: a model without roles.

    Example:
        >>> role_heads("stickers-l8").loc["background", "head"]
        'L5.H0'
    """
    table = roles(model)
    table = table[(table["kind"] == "head") & table["significant"]]
    most = table.loc[table.groupby("attribute", sort=False)["share"].idxmax()].set_index("attribute")
    strongest = table.loc[table.groupby("part")["share"].idxmax()]
    own = strongest.loc[strongest.groupby("attribute")["share"].idxmax()].set_index("attribute")
    found = pd.DataFrame({"most": most["part"], "most_share": most["share"]})
    found.insert(0, "head", own["part"].reindex(found.index))
    found.insert(1, "share", own["share"].reindex(found.index))
    return found


def retrieval_table(
    model: Model,
    store: Store,
    labels: pd.DataFrame,
    heads: dict[str, str] | None = None,
    how: str = "centred",
    k: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Precision of retrieval by attribute, in one head's space, a random head's, the layer's, and the whole.

    Every image with a value of the attribute is a query once and is ranked against the others that have
    one; precision is the share of its `k` nearest that have its value. The random head is another one of the
    same layer: its precision is the expectation over the draw, the mean over all of them.

    Args:
        model: that the store is of.
        store: of the heads in coordinates and, for whole layers, the MLPs: `selector="L*"`.
        labels: one row for each image of the store, one column for each attribute; missing values are left
            out, as queries and as answers.
        heads: attribute -> head. None: for each attribute the head with the best precision on one half
            of the images, and everything is measured on the other half.
        how: `"product"`, `"raw"` or `"centred"`, see `kit.parts.galleries.Gallery`.
        k: how many nearest images.
        seed: of the bootstrap over queries (the gallery stays), and of the halves.

    Returns:
        Four rows for each attribute, spaces `"full model"`, `"head"`, `"layer"`, `"random head"`:
        `attribute`, `space`, `part`, `images`, `values`, `chance`, then `value`, `low`, `high` of the
        precision (95 %), and `change`, `change_low`, `change_high` of it minus the full model's, paired by
        query.

    Raises:
        KitError: a store of other weights, labels of other images, an attribute that does not vary, a head
            that is not there, too few images.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, figure 4, shows nearest images and counts nothing; the
        measure is ours.

    Example:
        >>> import kit
        >>> model, scenes = kit.load("stickers-l8"), kit.world.draw(80, seed=1)
        >>> store = kit.collect(model, scenes, "store", "80 scenes", selector="L*")
        >>> table = retrieval_table(model, store, scenes.labels[["background"]], {"background": "L5.H0"}, k=3)
        >>> table.set_index("space")["value"].idxmax()
        'head'
    """
    _check(model, store, labels)
    gallery, blocks = Gallery(store), []
    for name in tqdm(labels.columns, desc="retrieval", unit="attribute", leave=False):
        if heads is not None and name not in heads:
            raise KitError(f'heads= names no head for the attribute "{name}"; leave it out of the labels.')
        codes, chosen = _codes(labels[name])
        if heads is None:
            order = chosen[np.random.default_rng(seed).permutation(len(chosen))]
            half, chosen = np.sort(order[::2]), np.sort(order[1::2])
            head = best_head(gallery, codes, half, how, k)
        else:
            head = heads[name]
        blocks.append(_block(gallery, name, head, codes, chosen, how, k, seed))
    return pd.concat(blocks, ignore_index=True)


def best_head(gallery: Gallery, codes, images: np.ndarray, how: str = "centred", k: int = 10) -> str:
    """The head with the best precision for an attribute over some images.

    Args:
        gallery: of the images.
        codes: value of each of its images, [image].
        images: numbers of those that are used.
        how, k: see `retrieval_table`.
    """
    found = [precisions(gallery, name, codes, images, how, k).mean() for name in gallery.heads["name"]]
    return gallery.heads["name"].iloc[int(np.argmax(found))]


def precisions(
    gallery: Gallery, space: str, codes, images: np.ndarray, how: str = "centred", k: int = 10
) -> np.ndarray:
    """Precision of each of some images as a query among them, [query].

    Args:
        gallery: of the images.
        space: one of `gallery.spaces`.
        codes: value of each image of the gallery, [image].
        images: numbers of those that are used.
        how, k: see `retrieval_table`.
    """
    return precision_at_k(gallery.neighbours(space, k, how, images), codes, images)


def others_of_layer(gallery: Gallery, head: str) -> list[str]:
    """The other heads of a head's layer, among which a random one is drawn."""
    heads = gallery.heads
    mine = heads["layer"][gallery.place(head)] if head in set(heads["name"]) else None
    others = heads["name"][(heads["layer"] == mine) & (heads["name"] != head)] if mine is not None else []
    if mine is None:
        raise KitError(f'no head "{head}" in the store; it has {len(heads)}, from {heads["name"].iloc[0]}.')
    if len(others) == 0:
        raise KitError(f"{head} is the only head of its layer in the store, so there is no random one.")
    return list(others)


def _block(
    gallery, name: str, head: str, codes, images: np.ndarray, how: str, k: int, seed: int
) -> pd.DataFrame:
    """The rows of one attribute."""
    others = others_of_layer(gallery, head)
    layer = head.partition(".")[0]
    of = {space: precisions(gallery, space, codes, images, how, k) for space in (FULL, head, layer, *others)}
    figures = dict(zip(SPACES, (of[FULL], of[head], of[layer], np.mean([of[h] for h in others], axis=0))))
    found = changes(figures, seed).rename_axis("space").reset_index()
    parts = [FULL, head, layer, f"one of {', '.join(others)}"]
    values = codes[images]
    facts = {"part": parts, "images": len(images), "values": len(np.unique(values))}
    for place, (column, value) in enumerate({**facts, "chance": chance_precision(values).mean()}.items()):
        found.insert(1 + place, column, value)
    found.insert(0, "attribute", name)
    return found


def _codes(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers for the values, -1 where there is none; and the images that have one."""
    codes, values = pd.factorize(column, use_na_sentinel=True)
    if len(values) < 2:
        raise KitError(
            f'the attribute "{column.name}" has {len(values)} value in these images, so every ranking is as '
            "good as any other; leave it out."
        )
    return codes, np.flatnonzero(codes >= 0)


def _check(model: Model, store: Store, labels: pd.DataFrame) -> None:
    if model.weights_hash != store.weights_hash:
        raise KitError(
            f'the store is of "{store.model}" with weights {store.weights_hash[:8]}, the model is '
            f'"{model.name}" with weights {model.weights_hash[:8]}; take the store of this model.'
        )
    if len(labels) != len(store) or labels.shape[1] == 0:
        raise KitError(
            f"labels should be one row for each of the {len(store):,} images and one column for each "
            f"attribute, but the shape is {labels.shape}."
        )
