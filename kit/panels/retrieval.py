"""Notebook 14's panel: pictures nearest to a query in one head's space, beside three other spaces."""

from dataclasses import replace
from functools import lru_cache

import pandas as pd

from kit.data.sets import Images
from kit.errors import KitError
from kit.figures import Bars, Grid, Strip
from kit.figures.strip import small
from kit.maps.pictures import known_line, uploaded_picture
from kit.models.model import Model
from kit.panels.declared import DeclaredPanel, Shown
from kit.panels.fields import Action, Count, Menu, Pick, State, Upload, Words
from kit.parts.galleries import FULL, Query
from kit.parts.stored import stored
from kit.parts.stores import Store
from kit.retrieval import LabelledGallery

SEED = 81_401  # of scenes where no images are given
SHOWN = 8  # nearest images of each space
THUMBS, SIDE = 4096, 96  # small pictures that are kept, and their pixels
TALL = 150  # pixels of the rows of the grid: the pictures below stay in sight
LARGE = 10_000  # images from which on a click takes its time
IMAGE = "image "
OVERLAP = "as the full model"
HOWS = [("centred cosine", "centred"), ("raw cosine", "raw"), ("inner product", "product")]


class Retrieval(DeclaredPanel):
    """A query, the head grid, and the nearest pictures by a head, a random head, its layer, the whole model.

    Only an upload runs the image tower, once; everything else is arithmetic on the store.

    Args:
        model: that the store is of, or the name of a shipped one.
        images: the images of the store, to be shown; None = 1,000 scenes with one object.
        store: of heads and MLPs (`kit.collect(..., keep="store", selector="L*")`); None = a pass is made now.
        labels: attributes, one row for each image; None = those of the scenes, or labels that repeat.
        state: a state string as the panel shows it.

    Raises:
        KitError: an unknown model, a store of other images, labels of other images, a state that cannot be.

    Example:
        >>> panel = Retrieval("stickers-l8")                    # doctest: +SKIP
        >>> panel.choose(part="L5.H0", attribute="background")  # doctest: +SKIP
        >>> panel.caption                                       # doctest: +SKIP
        'Of the 8 images nearest to image 0, 8 in L5.H0 and 3 by the full model have its background. …'
    """

    query = Words("", "query", f"{IMAGE}17", "190px")
    part = Pick("heads")
    how = Menu("centred", "comparison", "how two images are compared", "230px")
    attribute = Menu(None, "mark", "what marked pictures share; for an upload: what most have", "200px")
    other = Count(0, "random head")
    following = Action("next image", "next", "the next image")
    another = Action("another random head", lambda s: {"other": s.other + 1}, "of the same layer")
    file = Upload("upload")
    positional = ("query", "part", "how", "attribute", "other")
    rows = (("query", "following", "file", "attribute", "how", "another"), ("asked", "heads"),
            ("head", "random head"), ("layer", FULL), "precision")  # fmt: skip

    def __init__(
        self, model: Model | str = "stickers-l8", images: Images | None = None, store: Store | None = None,
        labels: pd.DataFrame | None = None, state: str | None = None,
    ):  # fmt: skip
        model, self.images, store, self.seed = stored(model, images, store, "L*", SEED)
        self.gallery, self.most = LabelledGallery(store, labels), min(SHOWN, len(store) - 1)
        self.given = labels is not None
        self.gallery.prepare()
        self.small = lru_cache(THUMBS)(lambda n: small(self.picture(n), SIDE))
        super().__init__(model, state)
        self.views["heads"].widget.tall = TALL

    def options(self, name: str) -> list:
        known = {"how": HOWS, "attribute": [*self.gallery.labels, OVERLAP]}
        return list(self.gallery.heads["name"]) if name == "part" else known.get(name, [])

    def first(self) -> dict:
        """The first image, and the head that finds one of its attributes best, against chance."""
        query = f"{IMAGE}0"
        best = self.gallery.best_found(self.asked(query), self.most)
        return {"query": query} | ({"attribute": best[0], "part": best[1]} if best else {})

    def also(self, fields: dict) -> dict:
        text = str(fields.get("query", "")).strip()
        return {**fields, "query": f"{IMAGE}{text}"} if text.isdecimal() else fields

    def slow(self, state: State) -> bool:
        return len(self.gallery) > LARGE

    def picture(self, number: int):
        """An image of the gallery."""
        return self.images[int(self.gallery.store.rows[number])]

    def asked(self, name: str) -> Query:
        """A query by its name; an image is found once."""
        if name in self.uploads:
            return self.uploads[name][1]
        number = name.removeprefix(IMAGE)
        if not name.startswith(IMAGE) or not number.isdecimal():
            raise KitError(f'no query "{name}"; write "{IMAGE}17", or upload a picture again.')
        return self.kept(name, lambda: self.gallery.query(int(number)))

    def next(self) -> dict:
        """The image after the query; the first after the last, and after an upload."""
        number = self.asked(self.selection.query).number
        return {"query": f"{IMAGE}{0 if number is None else (number + 1) % len(self.gallery)}"}

    def uploaded(self, content: bytes, name: str, note: str) -> dict:
        """Read a picture and run the tower on it once; the latest are kept."""
        picture = uploaded_picture(content, name, note)
        held = self.uploads.get(picture.name)
        query = held[1] if held else self.gallery.ask(self.model, self.model.preprocess([picture.image]))
        self.keep_upload(picture.name, (picture, query))
        return {"query": picture.name}

    def show(self, s: State) -> Shown:
        """The nearest pictures in a head's space and in those beside it, and how good they are in general."""
        gallery, query = self.gallery, self.asked(s.query)
        found = gallery.compare(query, s.part, s.attribute, self.most, s.how, s.other)
        upload, number, called = self.uploads.get(s.query), query.number, s.query
        if upload:
            picture, told, called = upload[0].image, upload[0].note, f"‘{upload[0].file}’"
            told += "" if number is None else f"; it is image {number}, and left out"
        else:
            picture, told = self.picture(number), known_line(gallery.store.labels.iloc[number])
        heads = Grid(gallery.heads, found.shares, found.unit, 1.0, bool(found.attribute), picked=[s.part])
        names, chance = (found.precision["head"][column] for column in ("attribute", "chance"))
        value, low, high = map(found.measured, ("value", "low", "high"))
        bars = Bars(
            names, value, "precision of the ten nearest", tuple(found.near), low, high, limits=(0, 1),
            levels={"chance": chance}, picked=s.attribute if s.attribute in set(names) else "",
            title="How well in general: over many queries; whiskers: 95 % interval",
        )  # fmt: skip
        figures = {"heads": replace(heads, title=f"Which head: {found.unit}"), "precision": bars}
        figures["asked"] = Strip([picture], [told], large=True, title="The query")
        for kind, near in found.near.items():
            pictures, title = [self.small(n) for n in near.numbers], found.heading(kind)
            marks = {"framed": found.hits(kind), "tips": near.told(), "title": title}
            figures[kind] = Strip(pictures, found.words(kind), **marks)
        return Shown(
            found.says(called, s.attribute), figures, truth=f"The query is {told}." if upload else "",
            images=f"{gallery.store.name}, digest {gallery.store.facts['data'][0][:12]}",
            facts={"query": s.query, "compared": s.how}, table=found.table(),
        )  # fmt: skip

    def again(self, state: State) -> str:
        return "model, images, store" + ", labels" * self.given

    def lines(self) -> str:
        s, name = self.selection, self.gallery.store.name
        mine, asked = 'ask(model, model.preprocess(["my picture.png"]))', self.asked(s.query)
        spaces = list(self.gallery.beside(s.part, s.other).values())
        labels = "labels = ...  # one row for each image\n" * self.given
        return f"""\
images = ...  # those of the store: {name}
{labels}\
store = kit.collect(model, images, 'store', {name!r}, selector='L*')
gallery = kit.retrieval.Gallery(store)
query = gallery.{mine if s.query in self.uploads else f"query({asked.number})"}
near = {{space: gallery.nearest(query, space, {self.most}, {s.how!r}) for space in {spaces!r}}}"""
