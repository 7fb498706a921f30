"""A gallery whose images have attributes: what neighbours share, and how well each space finds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.parts.galleries import FULL, HOWS, Gallery, Query
from kit.parts.stores import Store
from kit.retrieval.tables import nearest_in_each, others_of_layer, precision_by_attribute
from kit.world import attributes

DEPTH = 10  # of the precision
ASKED = 250  # images that are queries of the precision, so that it stays quick in a large gallery
SEED = 0  # of these, of the bootstrap, of the random heads


class Near(NamedTuple):
    """Images nearest to a query in one space: numbers and values, nearest first, and shared attributes.

    `own`: where nobody labelled the query, what each image has of the attribute that is asked for.
    """

    part: str
    numbers: list[int]
    values: list[float]
    shared: list[list[str]]
    own: Sequence[str] = ()

    def words(self, first: str = "") -> list[str]:
        """What each image shares, in words; one attribute can stand first."""
        return [", ".join(sorted(each, key=lambda name: name != first)) for each in self.shared]

    def told(self) -> list[str]:
        """Each image in words: number, how alike it is, what it shares.

        Example:
            >>> Near("L5.H0", [17], [0.53], [["size", "colour"]]).told()
            ['image 17, +0.53, shares size, colour']
        """
        said = self.own or [f"shares {each or 'nothing that is asked'}" for each in self.words()]
        return [f"image {n}, {v:+.2f}, {each}" for n, v, each in zip(self.numbers, self.values, said)]


@dataclass(frozen=True)
class Beside:
    """A query and a head's space beside three other spaces, and what neighbours share with the query.

    Attributes:
        attribute: that is marked; `""` where none was meant: then neighbours are marked that the full model
            has near too.
        value: of a query that nobody labelled, the value of the attribute that most of the head's nearest
            have, which is marked; else `""`.
        near: kind of space -> the nearest images in it: "head", "random head", "layer", "full model".
        precision: kind of space -> its precision for every attribute, over many queries.
        shares: for each head, [head]: of its nearest the share with the query's value minus chance (NaN where
            the query has none), or without an attribute the share that the full model has near too.
        unit: what the shares are.
        images: how many images the gallery has.
    """

    attribute: str
    value: str
    near: dict[str, Near]
    precision: dict[str, pd.DataFrame]
    shares: np.ndarray
    unit: str
    images: int

    def hits(self, kind: str) -> list[bool]:
        """Which of the nearest images in one space are marked."""
        near, full = self.near[kind], self.near[FULL].numbers
        if self.value:
            return [own == self.value for own in near.own]
        if self.attribute:
            return [self.attribute in shared for shared in near.shared]
        return [number in full for number in near.numbers]

    def heading(self, kind: str) -> str:
        """One space, and how many of its nearest images are marked."""
        hits, part = self.hits(kind), self.near[kind].part
        part += {"random head": ", another head", "layer": ", the layer"}.get(kind, "")
        does = f"share its {self.attribute}" if self.attribute else "also near by the full model"
        does = f"have the {self.attribute} {self.value}" if self.value else does
        return f"{part}: {sum(hits)} of {len(hits)} {does}"

    def words(self, kind: str) -> list[str]:
        """What each of the nearest images shares, the attribute first, with a tick where it is marked."""
        words = self.near[kind].own or self.near[kind].words(self.attribute)
        return [f"✓ {each}" if hit else each for each, hit in zip(words, self.hits(kind))]

    def measured(self, column: str) -> np.ndarray:
        """A column of the precision in every space, [attribute, space]."""
        return np.stack([table[column] for table in self.precision.values()], 1)

    def says(self, asked: str, attribute: str) -> str:
        """The finding in a sentence or two.

        Args:
            asked: the query, in words.
            attribute: the one that is marked; its precision is told even where nobody knows the query's.
        """
        head, full = self.near["head"], self.near[FULL]
        nearest = f"{len(head.numbers)} images nearest to {asked}"
        if self.value or (self.attribute and any(s for near in self.near.values() for s in near.shared)):
            mine, its = sum(self.hits("head")), sum(self.hits(FULL))
            what = f"the {attribute} {self.value}" if self.value else f"its {attribute}"
            told = f"Of the {nearest}, {mine} in {head.part} and {its} by the full model have {what}."
        else:
            both = len(set(head.numbers) & set(full.numbers))
            told = f"{both} of the {nearest} in {head.part} are also nearest by the full model"
            told += f", of {self.images:,}."
        mine, its = (self.precision[kind].set_index("attribute") for kind in ("head", FULL))
        if attribute in mine.index:
            own, whole = _interval(mine.loc[attribute]), _interval(its.loc[attribute])
            told += f" Over many queries: {own} in {head.part}, {whole} by the full model, "
            told += f"chance {mine['chance'][attribute]:.2f}."
        return told

    def table(self) -> pd.DataFrame:
        """The nearest images of every space, then the precision of each space for each attribute."""
        rows = [
            ("nearest", kind, near.part, k + 1, number, value, "; ".join(shared))
            for kind, near in self.near.items()
            for k, (number, value, shared) in enumerate(zip(near.numbers, near.values, near.shared))
        ]
        columns = ["view", "space", "part", "rank", "image", "value", "shares"]
        found = [table.assign(space=kind, view="precision") for kind, table in self.precision.items()]
        return pd.concat([pd.DataFrame(rows, columns=columns), *found], ignore_index=True)


class LabelledGallery(Gallery):
    """A gallery with attributes of its images; what was asked of it once is kept.

    Args:
        store: of heads in coordinates, `kit.collect(..., keep="store")`.
        labels: attributes, one row for each image; None = those that the store's labels hold.

    Attributes:
        labels: the attributes, one column each; codes: attribute -> its values as whole numbers, [image],
            below 0 where there is none.

    Raises:
        KitError: labels of other images, or ten images and fewer.

    Example:
        >>> import kit
        >>> model, scenes = kit.load("stickers-l8"), kit.world.draw(40, seed=1)
        >>> store = kit.collect(model, scenes, "store", "40 scenes", selector="L*")
        >>> gallery = LabelledGallery(store)
        >>> gallery.near(gallery.query(2), "L5.H0", 3).shared[0]
        ['background', 'size']
        >>> gallery.compare(gallery.query(2), "L5.H0", "background", 3).heading("head")
        'L5.H0: 3 of 3 share its background'
    """

    def __init__(self, store: Store, labels: pd.DataFrame | None = None):
        super().__init__(store)
        self.labels = attributes_of(store.labels) if labels is None else labels
        if len(self.labels) != len(store):
            raise KitError(f"{len(self.labels)} rows of labels, but {len(store)} images; give each one.")
        if len(store) <= DEPTH:
            raise KitError(f"a gallery of {len(store)} images is too small; give more than {DEPTH}.")
        self.codes = {name: pd.factorize(self.labels[name])[0] for name in self.labels}
        self._precision: dict[tuple[str, str], pd.DataFrame] = {}
        self._scored: tuple = (None, None, None)  # the last query, how, scores

    def prepare(self) -> None:
        """Find now what most questions need: lengths, and precision of the layers and the whole."""
        for how in HOWS:
            self.lengths(how == "centred")
            self.precision(FULL, how)
        for space in self.spaces[len(self.heads) : -1]:
            self.precision(space)

    def beside(self, head: str, draw: int = 0) -> dict[str, str]:
        """The spaces that a head's is compared with, and its own: kind -> name.

        Args:
            head: its name.
            draw: which of the layer's other heads, in a random order, is the random head.

        Raises:
            KitError: no such head, or the only one of its layer.
        """
        others = others_of_layer(self, head)
        order = np.random.default_rng(SEED).permutation(len(others))
        other = others[order[draw % len(others)]]
        return {"head": head, "random head": other, "layer": head.partition(".")[0], FULL: FULL}

    def compare(
        self, query: Query, head: str, attribute: str, k: int, how: str = "centred", draw: int = 0
    ) -> Beside:
        """The nearest images of a query in a head's space and beside it, and how well each space finds.

        Args:
            query: from `query` or `ask`.
            head: its name.
            attribute: of `labels`, that is marked; another word, such as `""`, marks none.
            k: how many nearest images.
            how: `"product"`, `"raw"` or `"centred"`.
            draw: as in `beside`.

        Raises:
            KitError: as `beside` and `near`.
        """
        near = {kind: self.near(query, space, k, how) for kind, space in self.beside(head, draw).items()}
        precision = {kind: self.precision(each.part, how) for kind, each in near.items()}
        marked, value, like = attribute if attribute in self.codes else "", "", query.number
        if marked and query.number is None:
            near = {kind: each._replace(own=self._own(each.numbers, marked)) for kind, each in near.items()}
            value, like = self._commonest(near["head"])
        if not marked or like is None:
            shares, unit = self.overlap(query, k, how), "share also near by the full model"
            return Beside("", "", near, precision, shares, unit, len(self))
        shares = self.gain(query, marked, k, how, like)
        unit = f"share with {f'the {marked} {value}' if value else f'its {marked}'}, minus chance"
        unit = unit if np.isfinite(shares).any() else f"the query has no {marked}"
        return Beside(marked, value, near, precision, shares, unit, len(self))

    def best_found(self, query: Query, k: int) -> tuple[str, str] | None:
        """The attribute of a query that a head finds best against chance, and that head; None without one."""
        gains = {name: self.gain(query, name, k) for name in self.codes}
        known = {name: gain for name, gain in gains.items() if np.isfinite(gain).all()}
        if not known:
            return None
        name = max(known, key=lambda each: known[each].max())
        return name, self.heads["name"].iloc[int(known[name].argmax())]

    def near(self, query: Query, space: str, k: int, how: str = "centred") -> Near:
        """The nearest images of a query in one space, and the attributes each has in common with it.

        Raises:
            KitError: another space or way to compare, more images than there are.
        """
        numbers, values = self.best(self._scores_of(query, how), query, space, k)
        shared = [[a for a in self.labels if self._share(a, query, n)] for n in numbers.tolist()]
        return Near(space, numbers.tolist(), values.tolist(), shared)

    def overlap(self, query: Query, k: int, how: str = "centred") -> np.ndarray:
        """For each head the share of the `k` nearest that are also nearest by the full model, [head]."""
        near = nearest_in_each(self._scores_of(query, how), query, k)  # [k, space]
        return np.isin(near[:, : len(self.heads)], near[:, -1]).mean(0)

    def gain(
        self, query: Query, attribute: str, k: int, how: str = "centred", like: int | None = None
    ) -> np.ndarray:
        """For each head the share of the `k` nearest with the query's value, minus chance, [head].

        Args:
            query: an image of the gallery, or another one.
            attribute: of `labels`; where the query has no value of it, all is NaN.
            k: how many nearest images.
            how: `"product"`, `"raw"` or `"centred"`.
            like: number of an image whose value is meant; None is the query itself.
        """
        codes, like = self.codes[attribute], query.number if like is None else like
        if codes[like] < 0:
            return np.full(len(self.heads), np.nan)
        near = nearest_in_each(self._scores_of(query, how), query, k)[:, : len(self.heads)]
        others = np.delete(codes, [] if query.number is None else query.number)
        chance = (others[others >= 0] == codes[like]).mean()
        return (codes[near] == codes[like]).mean(0) - chance

    def precision(self, space: str, how: str = "centred") -> pd.DataFrame:
        """`kit.retrieval.tables.precision_by_attribute` of the ten nearest in one space; kept."""
        if (space, how) not in self._precision:
            found = precision_by_attribute(self, space, self.codes, how, DEPTH, ASKED, SEED)
            self._precision[space, how] = found
        return self._precision[space, how]

    def _own(self, numbers: list[int], attribute: str) -> list[str]:
        """What images have of an attribute, in words; "" where nobody knows."""
        return self.labels[attribute].iloc[numbers].fillna("").astype(str).tolist()

    def _commonest(self, near: Near) -> tuple[str, int | None]:
        """The value that most of some images have, of equals the nearest's, and the first that has it."""
        known = [own for own in near.own if own]
        value = max(known, key=known.count, default="")
        return value, near.numbers[near.own.index(value)] if value else None

    def _scores_of(self, query: Query, how: str):
        """Scores of the last query, [image, space]: another head asks for no other ones."""
        if self._scored[0] is not query or self._scored[1] != how:
            self._scored = query, how, self.scores(query, how)
        return self._scored[2]

    def _share(self, attribute: str, query: Query, number: int) -> bool:
        codes = self.codes[attribute]
        return query.number is not None and codes[number] == codes[query.number] >= 0


def _interval(row: pd.Series) -> str:
    return f"{row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def attributes_of(labels: pd.DataFrame) -> pd.DataFrame:
    """What images can be asked: of scenes their attributes, of others the labels that repeat.

    Example:
        >>> attributes_of(pd.DataFrame({"folder": ["a", "a", "b"], "file": ["x", "y", "z"]})).columns.tolist()
        ['folder']
    """
    if {"kind", "concept", "relation", "artist"} <= set(labels):
        return attributes(labels)
    found = [c for c in labels if 1 < labels[c].nunique() <= labels[c].notna().sum() * 2 / 3]
    return labels[[c for c in found if labels[c].dtype.kind != "f"]]
