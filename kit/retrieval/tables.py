"""Which head finds images that share an attribute, beside the whole model, its layer and other heads."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from kit.errors import KitError
from kit.measures import Interval, chance_precision, changes, precision_at_k, resampled
from kit.models.model import Model
from kit.parts.files import check_weights
from kit.parts.galleries import FULL, Gallery, Query
from kit.parts.roles import roles
from kit.parts.stores import Store
from kit.world import attributes

SPACES = (FULL, "head", "layer", "random head")


def role_heads(model: Model) -> pd.DataFrame:
    """For each attribute the head whose true role it is, by the measured roles of a shipped model.

    A head's role is that of `kit.roles(model, strongest=True)`. Several heads can have one role: the one
    that it explains most of is taken. An attribute that is no head's strongest has no such head.

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
    table, strongest = (each[each["kind"] == "head"] for each in (roles(model), roles(model, strongest=True)))
    table = table[table["significant"]]
    most = table.loc[table.groupby("attribute", sort=False)["share"].idxmax()].set_index("attribute")
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


def retrieval_tables(model: Model, stores: Iterable[Store], heads: Mapping[str, str]) -> pd.DataFrame:
    """`retrieval_table` of several stores of scenes, each asked for those of its attributes that have a head.

    Args:
        model: that the stores are of.
        stores: of scenes of the world, each of one kind.
        heads: attribute -> head; missing ones are left out.

    Example:
        >>> import kit
        >>> model, scenes = kit.load("stickers-l8"), kit.world.draw(80, seed=1)
        >>> store = kit.collect(model, scenes, "store", "80 scenes", selector="L*")
        >>> found = retrieval_tables(model, [store], {"background": "L5.H0", "count": "L5.H1"})
        >>> found["attribute"].unique().tolist()
        ['background']
    """
    known, tables = {name: head for name, head in heads.items() if isinstance(head, str)}, []
    for store in stores:
        labels = attributes(store.labels)
        if some := [name for name in labels if name in known]:
            tables.append(retrieval_table(model, store, labels[some], known))
    return pd.concat(tables, ignore_index=True)


def told(table: pd.DataFrame, space: str = "head") -> pd.DataFrame:
    """One space of a `retrieval_table` in words, one row for each attribute.

    Returns:
        `part`; `precision` and `minus full model` with their 95 % intervals; `chance`; and who `wins`: the
        space or the full model where the interval of the difference leaves zero out, else neither.

    Example:
        >>> row = {"attribute": "size", "space": "head", "part": "L0.H0", "value": 0.5, "low": 0.4}
        >>> row |= {"high": 0.6, "chance": 0.3, "change": -0.1, "change_low": -0.2, "change_high": -0.05}
        >>> told(pd.DataFrame([row])).loc["size", ["precision", "minus full model", "wins"]].tolist()
        ['0.50 [0.40, 0.60]', '−0.10 [−0.20, −0.05]', 'full model']
    """
    rows = table[table["space"] == space].set_index("attribute")
    ends = rows[["value", "low", "high"]], rows[["change", "change_low", "change_high"]]
    precision, change = ([Interval(*row) for row in each.to_numpy(dtype=float)] for each in ends)
    wins = [space if each.low > 0 else "full model" if each.high < 0 else "neither" for each in change]
    columns = {
        "part": rows["part"],
        "precision": [each.told() for each in precision],
        "chance": [f"{value:.2f}" for value in rows["chance"]],
        "minus full model": [each.told(sign=True) for each in change],
        "wins": wins,
    }
    return pd.DataFrame(columns, index=rows.index)


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
    gallery: Gallery, space: str, codes, images: np.ndarray, how: str = "centred", k: int = 10, queries=None
) -> np.ndarray:
    """Precision of each of some images as a query among them, [query] or [query, attribute].

    Args:
        gallery: of the images.
        space: one of `gallery.spaces`.
        codes: value of each image of the gallery, [image]; of several attributes [image, attribute].
        images: numbers of those that are used.
        how, k: see `retrieval_table`.
        queries: numbers of those of them that are queries; None = all.
    """
    queries = images if queries is None else queries
    return precision_at_k(gallery.neighbours(space, k, how, images, queries), codes, queries)


def precision_by_attribute(
    gallery: Gallery,
    space: str,
    codes: dict,
    how: str = "centred",
    k: int = 10,
    most: int = 250,
    seed: int = 0,
) -> pd.DataFrame:
    """Precision of one space for every attribute, with its interval over queries.

    Attributes that the same images have are asked of one ranking.

    Args:
        gallery: of the images.
        space: one of `gallery.spaces`.
        codes: attribute -> value of each image of the gallery, whole numbers [image]; below 0 is none.
        how, k: see `retrieval_table`.
        most: images that are queries of an attribute, drawn from those that have a value.
        seed: of the draw, and of the bootstrap.

    Returns:
        One row for each attribute that three images have: `attribute`, `part` (the space), `value`, `low`,
        `high` of the precision (95 %), `chance`.
    """
    having: dict[bytes, list[str]] = {}
    for name, values in codes.items():
        having.setdefault((values >= 0).tobytes(), []).append(name)
    rows = {}
    for names in having.values():
        images = np.flatnonzero(codes[names[0]] >= 0)
        if len(images) < 3:
            continue
        queries = np.sort(images[np.random.default_rng(seed).permutation(len(images))[:most]])
        values = np.stack([codes[name] for name in names], 1)  # [image, attribute]
        each = precisions(gallery, space, values, images, how, min(k, len(images) - 1), queries)
        for name, found in zip(names, resampled(len(queries), seed).intervals(each), strict=True):
            rows[name] = [name, space, *found, chance_precision(codes[name][images]).mean()]
    columns = ["attribute", "part", "value", "low", "high", "chance"]
    return pd.DataFrame([rows[name] for name in codes if name in rows], columns=columns)


def nearest_in_each(scores: Tensor, query: Query, k: int) -> np.ndarray:
    """Numbers of the images that are most alike to a query in every space, best first, int64 [k, space].

    Args:
        scores: of all images in all spaces, [image, space], from `Gallery.scores`.
        query: that they are of; it is not among its own nearest.
        k: how many.
    """
    if query.number is not None:
        scores = scores.clone()
        scores[query.number] = -torch.inf
    return scores.topk(k, dim=0).indices.numpy()


def extremes(store: Store, direction: Tensor, part: str, images: np.ndarray, count: int) -> tuple[list, list]:
    """The images with the largest and the smallest scores of a part, and these scores, largest first.

    Args:
        store: of the images.
        direction: [embed].
        part: its name.
        images: numbers of those that are compared.
        count: how many of each end.
    """
    score = store.scores(direction[None], images, part)[:, 0, 0]
    order = score.argsort(descending=True)
    ends = torch.cat([order[:count], order[-count:]])
    return images[ends.numpy()].tolist(), score[ends].tolist()


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
    check_weights(model, store, "parts of a store")
    if len(labels) != len(store) or labels.shape[1] == 0:
        raise KitError(
            f"labels should be one row for each of the {len(store):,} images and one column for each "
            f"attribute, but the shape is {labels.shape}."
        )
