"""Nearest images by what a head writes, as data: rankings of one query in four spaces, precision of each."""

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from traitlets import Enum, HasTraits, Int, Unicode

from kit.errors import KitError, nearest
from kit.measures import chance_precision
from kit.models.images import read_image
from kit.parts.galleries import FULL, HOWS, Gallery, Query
from kit.parts.layout import GridLayout, grid_layout
from kit.parts.stores import Store
from kit.retrieval import others_of_layer
from kit.retrieval.tables import nearest_in_each, precision_by_attribute
from kit.world import attributes

SHOWN = 8  # nearest images of each space
DEPTH = 10  # of the precision
ASKED = 250  # images that are queries of the precision, so that a click stays quick in a large gallery
SEED = 0  # of these, of the bootstrap, of the random heads
IMAGE, UPLOAD = "image ", "upload "
OVERLAP = "as the full model"
FIELDS = ("model", "query", "part", "how", "attribute", "other")


class RetrievalState(HasTraits):
    """What is looked at: the query, the head, the comparison, the attribute marked, which random head.

    Example:
        >>> str(RetrievalState(model="stickers-l8", query="image 3", part="L5.H0", attribute="background"))
        'stickers-l8|image 3|L5.H0|centred|background|0'
    """

    model = Unicode("")
    query = Unicode("")
    part = Unicode("")
    how = Enum(HOWS, default_value="centred")
    attribute = Unicode(OVERLAP)
    other = Int(0)

    def as_dict(self) -> dict:
        """All fields as plain data."""
        return {name: getattr(self, name) for name in FIELDS}

    def __str__(self) -> str:
        return "|".join(str(getattr(self, name)).replace("|", "/") for name in FIELDS)

    @classmethod
    def parse(cls, state: str) -> "RetrievalState":
        """The state that a string made by `str(state)` stands for.

        Raises:
            KitError: another number of fields, or a value that cannot be.
        """
        fields = [each.strip() for each in str(state).split("|")]
        if len(fields) != len(FIELDS) or not fields[-1].isdecimal():
            raise KitError(f'"{state}" is not a state: write "{"|".join(FIELDS)}", the last a number.')
        return cls().changed(**dict(zip(FIELDS, fields)) | {"other": int(fields[-1])})

    def changed(self, **values) -> "RetrievalState":
        """Another state with some fields changed.

        Raises:
            KitError: a way to compare that is not known.
        """
        new = self.as_dict() | values
        if new["how"] not in HOWS:
            raise KitError(f'no way "{new["how"]}" to compare; there are {", ".join(HOWS)}.')
        return RetrievalState(**new)


class Upload(NamedTuple):
    """A picture that is not of the gallery, and what the model made of it."""

    image: Image.Image
    query: Query
    note: str


@dataclass(frozen=True)
class Row:
    """The nearest images of a query in one space.

    Attributes:
        space: "head", "random head", "layer" or "full model".
        part: name of the space.
        numbers: of the images, nearest first.
        values: how alike they are.
        shared: for each of them the attributes whose value it has in common with the query.
    """

    space: str
    part: str
    numbers: list[int]
    values: list[float]
    shared: list[list[str]]


@dataclass(frozen=True)
class Nearest:
    """The part of what is shown for one state that concerns this query alone, which is found at once.

    Attributes:
        rows: of the head, a random head, the layer, the whole.
        grid, cells: for each head how far the attribute's share among the nearest lies above its share in
            the gallery, [part]; or the share of them that is also nearest by the full model.
        unit: what the cells are.
        alt: the cells in words.
    """

    rows: list[Row]
    grid: GridLayout
    cells: np.ndarray
    unit: str
    alt: str


@dataclass(frozen=True)
class RetrievalFound(Nearest):
    """What is shown for one state.

    Attributes:
        precision: attribute, space, part, value, low, high, chance; over many queries.
        caption: the finding in a sentence or two.
    """

    precision: pd.DataFrame
    caption: str


@dataclass
class NearestImages:
    """A gallery and its labels; only an upload runs a tower, once.

    Args:
        model: that the store is of.
        store: of heads in coordinates.
        labels: attributes, one row for each image of the store; None = those that its labels hold.
    """

    model: object
    store: Store
    labels: pd.DataFrame | None = None
    uploads: dict[str, Upload] = field(default_factory=dict, repr=False)
    _precision: dict = field(default_factory=dict, repr=False)
    _asked: tuple = field(default=(None, None), repr=False)  # the last query
    _scores: tuple = field(default=(None, None), repr=False)

    def __post_init__(self):
        self.gallery = Gallery(self.store)
        self.index = self.gallery.heads
        self.labels = attributes_of(self.store.labels) if self.labels is None else self.labels
        if len(self.labels) != len(self.store):
            raise KitError(f"{len(self.labels)} rows of labels, but {len(self.store)} images; give each one.")
        if len(self.store) <= DEPTH:
            raise KitError(f"a gallery of {len(self.store)} images is too small; give more than {DEPTH}.")
        self.codes = {name: pd.factorize(self.labels[name])[0] for name in self.labels}
        for how in HOWS:  # what every click needs; the rest is found when it is asked for
            self.gallery.lengths(how == "centred")
            self.precision(FULL, how)
        for layer in dict.fromkeys(name.partition(".")[0] for name in self.index["name"]):
            self.precision(layer, RetrievalState.how.default_value)

    @property
    def attribute_names(self) -> list[str]:
        """What `state.attribute` can be."""
        return [*self.labels, OVERLAP]

    def first_state(self) -> RetrievalState:
        """The first image, and the head that finds one of its attributes best, against the gallery."""
        state = RetrievalState(model=self.model.label, query=f"{IMAGE}0", part=self.index["name"].iloc[0])
        found = {}
        for name in self.labels:
            cells = self._cells(state.changed(attribute=name), self.query(state))[0]
            if np.isfinite(cells).all():
                found[name] = cells
        if not found:
            return state
        name = max(found, key=lambda each: found[each].max())
        return state.changed(attribute=name, part=self.index["name"].iloc[int(found[name].argmax())])

    def add_upload(self, content: bytes, filename: str) -> str:
        """Read a picture and run the tower on it once; gives the name of the query."""
        name = UPLOAD + hashlib.sha256(content).hexdigest()[:10]
        if name not in self.uploads:
            image = read_image(bytes(content))
            query = self.gallery.ask(self.model, self.model.preprocess([image]))
            self.uploads[name] = Upload(image, query, f"{filename}, {image.width} × {image.height} pixels")
        return name

    def query(self, state: RetrievalState) -> Query:
        """The query of a state.

        Raises:
            KitError: an image that is not there.
        """
        if state.query in self.uploads:
            return self.uploads[state.query].query
        if self._asked[0] != state.query:
            number = state.query.removeprefix(IMAGE)
            if not state.query.startswith(IMAGE) or not number.isdecimal():
                raise KitError(f'no query "{state.query}"; write "{IMAGE}17", or upload a picture again.')
            self._asked = state.query, self.gallery.query(int(number))
        return self._asked[1]

    def nearest(self, state: RetrievalState) -> Nearest:
        """What is shown for a state at once: arithmetic on the store, no pass of a tower.

        Raises:
            KitError: a query, head or attribute that is not there.
        """
        names = list(self.index["name"])
        if state.part not in names:
            raise KitError(f'no head "{state.part}" in the store; it has {len(names)}, from {names[0]}.')
        if state.attribute not in self.attribute_names:
            known = self.attribute_names
            raise KitError(f'no attribute "{state.attribute}"; there are {", ".join(known)}.'
                           f"{nearest(state.attribute, known)}")  # fmt: skip
        query, grid = self.query(state), grid_layout(self.index)
        rows = [self._row(space, part, query, state) for space, part in self.spaces(state).items()]
        cells, unit = self._cells(state, query)
        told = "; ".join(f"{n} {cells[p]:+.2f}" for n, p in zip(grid.labels, grid.parts) if n)
        return Nearest(rows, grid, cells, unit, f"For each head, {unit}: {told}.")

    def find(self, state: RetrievalState, near: Nearest | None = None) -> RetrievalFound:
        """Everything that is shown for a state; `near` is what `nearest` gave for it, where it did already.

        Raises:
            KitError: as `nearest`.
        """
        near = self.nearest(state) if near is None else near
        table = pd.concat([self.precision(part, state.how).assign(space=space)
                           for space, part in self.spaces(state).items()], ignore_index=True)  # fmt: skip
        return RetrievalFound(
            **vars(near), precision=table, caption=_caption(near.rows, table, state, len(self.gallery))
        )

    def spaces(self, state: RetrievalState) -> dict[str, str]:
        """The four spaces of a state: kind -> name; the random head is drawn among the layer's others."""
        others = others_of_layer(self.gallery, state.part)
        order = np.random.default_rng(SEED).permutation(len(others))
        other = others[order[state.other % len(others)]]
        return {"head": state.part, "random head": other, "layer": state.part.partition(".")[0], FULL: FULL}

    def _scored(self, state: RetrievalState, query: Query):
        """Scores of the last query, [image, space]: another head asks for no other ones."""
        key = state.query, state.how
        if self._scores[0] != key:
            self._scores = key, self.gallery.scores(query, state.how)
        return self._scores[1]

    def _row(self, space: str, part: str, query: Query, state: RetrievalState) -> Row:
        numbers, values = self.gallery.best(self._scored(state, query), query, part, self._shown)
        shared = [[a for a in self.labels if self._same(a, query, n)] for n in numbers.tolist()]
        return Row(space, part, numbers.tolist(), values.tolist(), shared)

    @property
    def _shown(self) -> int:
        return min(SHOWN, len(self.gallery) - 1)

    def _same(self, attribute: str, query: Query, number: int) -> bool:
        codes = self.codes[attribute]
        return query.number is not None and codes[number] == codes[query.number] >= 0

    def _cells(self, state: RetrievalState, query: Query) -> tuple[np.ndarray, str]:
        """One number for each head, and what it is."""
        near = nearest_in_each(self._scored(state, query), query, self._shown)  # [k, space]
        heads = near[:, : len(self.index)]
        if state.attribute == OVERLAP or query.number is None:
            return np.isin(heads, near[:, -1]).mean(0).astype(np.float32), "share also near by the full model"
        codes = self.codes[state.attribute]
        mine = codes[query.number]
        if mine < 0:
            return np.full(len(self.index), np.nan, np.float32), f"the query has no {state.attribute}"
        share = chance_precision(codes[codes >= 0])[(codes >= 0).nonzero()[0] == query.number][0]
        gain = (codes[heads] == mine).mean(0) - share
        return gain.astype(np.float32), f"share with its {state.attribute}, minus chance"

    def precision(self, part: str, how: str) -> pd.DataFrame:
        """Precision of one space for every attribute, with its interval over queries; kept."""
        if (part, how) not in self._precision:
            found = precision_by_attribute(self.gallery, part, self.codes, how, DEPTH, ASKED, SEED)
            self._precision[part, how] = found
        return self._precision[part, how]


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


def _caption(rows: list[Row], precision: pd.DataFrame, state: RetrievalState, images: int) -> str:
    """The finding in a sentence or two."""
    head, _, _, full = rows
    table = precision.set_index(["space", "attribute"])
    what = state.attribute
    if what == OVERLAP or all(not shared for row in rows for shared in row.shared):
        both = len(set(head.numbers) & set(full.numbers))
        caption = (
            f"{both} of the {len(head.numbers)} images nearest to {state.query} in {head.part} are also "
        )
        caption += f"nearest by the full model, of {images:,}."
    else:
        near = [sum(what in shared for shared in row.shared) for row in (head, full)]
        caption = f"Of the {len(head.numbers)} images nearest to {state.query}, {near[0]} in {head.part} and "
        caption += f"{near[1]} by the full model have its {what}."
    if ("head", what) in table.index:
        mine, its = table.loc[("head", what)], table.loc[(FULL, what)]
        caption += (
            f" Over many queries: {mine['value']:.2f} [{mine['low']:.2f}, {mine['high']:.2f}] in "
            f"{head.part}, {its['value']:.2f} [{its['low']:.2f}, {its['high']:.2f}] by the full model, "
            f"chance {mine['chance']:.2f}."
        )
    return caption
