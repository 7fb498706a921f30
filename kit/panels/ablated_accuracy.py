"""What a set of images answers with parts replaced: state in, accuracies, curve and pictures out, no pass."""

import re
from dataclasses import dataclass
from itertools import zip_longest

import pandas as pd
from PIL import Image

from kit.data.sets import Images
from kit.edits import Answers, Means, ask, by_layer
from kit.edits.by_layer import WAYS
from kit.errors import KitError, nearest
from kit.measures import answer_changes
from kit.measures.changes import resampled
from kit.measures.intervals import Interval
from kit.models.images import read_image
from kit.models.model import Model
from kit.panels.charts import Row
from kit.panels.selection import Selection
from kit.panels.truth import truth_line
from kit.parts import Store, collect, select
from kit.world import draw

ATTRIBUTES = ("concept", "colour", "background", "position", "size", "texture")
SEED = 0  # of the resampling
IMAGES, HELD = 300, 200  # scenes that are looked at and averaged where none are given
SEEDS = 11_101, 11_102
MLPS, EMBED, EVERY_HEAD = "L*.MLP", "embed", "L*.H*"
_LAYERS = re.compile(r"L(\d+)-(\d+)\.attn")
FORWARD, BACK = "layers 0 to l", "layers l to the last"
SHOWN = 3  # pictures


@dataclass(frozen=True)
class Changed:
    """One picture whose answer changed.

    Attributes:
        number: of the image in the store.
        before, after, truth: the answers in words.
    """

    number: int
    before: str
    after: str
    truth: str


@dataclass(frozen=True)
class Ablated:
    """What is shown of one state.

    Attributes:
        rows: accuracy for each question, before and after.
        curve: name of a curve -> accuracy at each layer, for the question that is looked at.
        point: the curve and the layer at which the state lies; None where it lies on neither.
        lost, won: numbers of images whose answer became wrong, or right.
        other: how many answers changed from one wrong answer to another.
        changed: up to three pictures whose answer changed.
        caption: the finding in one sentence.
        bars_alt, curve_alt: the charts in words.
    """

    rows: list[Row]
    curve: dict[str, list[Interval]]
    point: tuple[int, int] | None
    lost: int
    won: int
    other: int
    changed: list[Changed]
    caption: str
    bars_alt: str
    curve_alt: str


@dataclass(frozen=True)
class Choice:
    """What a selector says, by the panel's controls.

    Attributes:
        mlps, embed: whether all MLPs, and the stream that enters, are replaced.
        layers: first and last layer whose attention is replaced; None = of no layer.
        others: the terms that no control stands for.
    """

    mlps: bool = False
    embed: bool = False
    layers: tuple[int, int] | None = None
    others: str = ""

    @classmethod
    def read(cls, selector: str) -> "Choice":
        """The controls that stand for a selector.

        Example:
            >>> Choice.read("L*.MLP, L0-2.attn, L5.H0")
            Choice(mlps=True, embed=False, layers=(0, 2), others='L5.H0')
        """
        terms = [t.strip() for t in selector.split(",") if t.strip() and t.strip() != "none"]
        if any(t.startswith("!") for t in terms):  # what is taken away depends on the order: left as written
            return cls(others=", ".join(terms))
        found = [t for t in terms if _LAYERS.fullmatch(t)]
        layers = tuple(map(int, _LAYERS.fullmatch(found[0]).groups())) if len(found) == 1 else None
        known = {MLPS, EMBED} | (set(found) if layers else set())
        others = [t for t in terms if t not in known]
        return cls(MLPS in terms, EMBED in terms, layers, ", ".join(dict.fromkeys(others)))

    @property
    def selector(self) -> str:
        """The selector of these controls."""
        terms = [MLPS] * self.mlps + [EMBED] * self.embed
        terms += ["L{}-{}.attn".format(*self.layers)] if self.layers else []
        return ", ".join(terms + [self.others] * bool(self.others)) or "none"


class AblatedAccuracy:
    """A store and its questions; every answer is arithmetic on stored scores.

    Args:
        model: of the store.
        images: what the store was collected from, for the pictures: scenes, a set of images; None draws some.
        store: with `tokens="cls"` where the class token is to be asked for; None collects one.
        references: reference sets to choose from; None collects one, and takes the model's own means.
        asked: questions; None asks for the attributes of the world that the store has labels of.

    Raises:
        KitError: images without labels or a model without texts, where no questions are given.
    """

    def __init__(
        self,
        model: Model,
        images: Images | None = None,
        store: Store | None = None,
        references=None,
        asked=None,
    ):
        self.model = model
        self.images = draw(IMAGES, SEEDS[0]) if images is None else images
        self.store = (
            _collected(model, self.images, f"{len(self.images):,} scenes") if store is None else store
        )
        if len(self.store) + len(self.store.damaged) != len(self.images):
            raise KitError(
                f"{len(self.images)} images, but the store is of {len(self.store)}; give those that it was "
                "collected from."
            )
        references = _references(model) if references is None else references
        self.references = {reference.name: reference for reference in references}
        self.asked: dict[str, Answers] = {
            a.name: a for a in (_questions(model, self.store) if asked is None else asked)
        }
        self._before = {name: each.after() for name, each in self.asked.items()}
        self._right = {n: a.right().astype(float) for n, a in self.asked.items()}
        self._curves: dict[tuple, dict] = {}

    @property
    def cls_known(self) -> bool:
        """Whether the store keeps what heads read at the class token."""
        return "cls" in self.store.arrays

    def first(self) -> Selection:
        """The state that a panel opens with."""
        name, replace = (next(iter(self.references)), "mean") if self.references else ("none", "zero")
        return Selection(
            model=self.model.name, image=name, selector=MLPS, texts=(next(iter(self.asked)),), replace=replace
        )

    def find(self, state: Selection) -> Ablated:
        """Everything that is shown of a state.

        Args:
            state: `image` names the reference set, `selector` the replaced parts, `texts` the question that
                is looked at, and `tokens="cls"` replaces what heads read at the class token.

        Raises:
            KitError: a name that is not there; means that nobody has collected.
        """
        if state.model != self.model.name:
            raise KitError(
                f'this panel holds stored parts of "{self.model.name}", not of "{state.model}"; '
                "open another panel for another model."
            )
        reference, asked = self._reference(state), self._question(state)
        cls = self._cls(state)
        after = {n: each.after(state.selector, reference, cls) for n, each in self.asked.items()}
        rows = [self._row(name, found) for name, found in after.items()]
        curve, point = self._curve(asked.name, reference), self._point(state)
        lost, won, other, changed = self._changed(asked, after[asked.name])
        row = next(r for r in rows if r.name == asked.name)
        return Ablated(
            rows,
            curve,
            point,
            lost,
            won,
            other,
            changed,
            self._caption(state, row, lost, won),
            _bars_alt(rows),
            _curve_alt(curve, asked.name),
        )

    def picture(self, number: int) -> Image.Image:
        """One image of the store, as a picture."""
        images = getattr(self.images, "images", self.images)
        return read_image(images[int(self.store.rows[number])])

    def truth(self, number: int) -> str:
        """What is true of one image, in one line."""
        return truth_line(self.store.labels.iloc[number])

    def _reference(self, state: Selection) -> Means | None:
        if state.replace == "zero":
            return None
        if not self.references:
            raise KitError(
                f'no reference set was given, so "mean" is off for "{self.model.name}"; collect a store of '
                "images and give references=[kit.edits.Means.of(store)], or replace by zero."
            )
        if state.image not in self.references:
            known = ", ".join(f'"{name}"' for name in self.references)
            near = nearest(state.image, self.references)
            raise KitError(f'no reference set "{state.image}" here; there are {known}.{near}')
        return self.references[state.image]

    def _question(self, state: Selection) -> Answers:
        (name,) = state.texts if len(state.texts) == 1 else ("",)
        if name not in self.asked:
            raise KitError(
                f'no question "{name}" here; there are {", ".join(self.asked)}.{nearest(name, self.asked)}'
            )
        return self.asked[name]

    def _cls(self, state: Selection) -> str | None:
        if state.tokens not in ("", "cls"):
            raise KitError(f'only the class token can be replaced here ("cls"), not "{state.tokens}".')
        return EVERY_HEAD if state.tokens else None

    def _row(self, name: str, after) -> Row:
        asked, right = self.asked[name], self.asked[name].judged(after).astype(float)
        draws = resampled(len(right), SEED)
        before = draws.interval(self._right[name])
        return Row(name, before, draws.interval(right), 1 / len(asked.classes))

    def _curve(self, name: str, reference: Means | None) -> dict[str, list[Interval]]:
        """Accuracy with the attention of the first layers, and of the last, replaced."""
        key = name, reference and reference.name
        if key not in self._curves:
            asked = self.asked[name]
            draws, found = resampled(len(asked.truth), SEED), by_layer(asked, reference, WAYS[:2])
            self._curves[key] = {
                way: [draws.interval(right.astype(float)) for right in list(each.values())[1:]]
                for way, each in zip((FORWARD, BACK), found.values(), strict=True)
            }
        return self._curves[key]

    def _point(self, state: Selection) -> tuple[int, int] | None:
        choice, last = Choice.read(state.selector), self.model.layers - 1
        if choice.layers is None or choice != Choice(layers=choice.layers) or state.tokens:
            return None
        first, final = choice.layers
        return (0, final) if first == 0 else (1, first) if final == last else None

    def _changed(self, asked: Answers, after) -> tuple[int, int, int, list[Changed]]:
        """How many answers changed, and some of the pictures: those that became wrong come first."""
        lost, won, other, said, now, order = answer_changes(self._before[asked.name], after, asked.truth)
        kinds: dict[tuple, list[int]] = {}  # of one change only the clearest picture comes first
        for i in order:
            kinds.setdefault((int(said[i]), int(now[i])), []).append(i)
        shown = [i for turn in zip_longest(*kinds.values()) for i in turn if i is not None][:SHOWN]
        words = [
            Changed(int(asked.images[i]), *(asked.classes[int(a[i])] for a in (said, now, asked.truth)))
            for i in shown
        ]
        return int(lost.sum()), int(won.sum()), int(other.sum()), words

    def _caption(self, state: Selection, row: Row, lost: int, won: int) -> str:
        count = len(select(self.store.index, state.selector))
        if not count and not state.tokens:
            return f"Nothing is replaced: ‘{row.name}’ is answered rightly on {100 * row.before.value:.1f} %."
        what = [f"{count} of {len(self.store.index)} parts ({state.selector})"] * bool(count)
        what = " and ".join(what + ["what heads read at the class token"] * bool(state.tokens))
        by = "zero" if state.replace == "zero" else f"means over {state.image}"
        change = 100 * (row.after.value - row.before.value)
        told = f"With {what} replaced by {by}, ‘{row.name}’ goes from {100 * row.before.value:.1f} % to "
        told += (
            f"{100 * row.after.value:.1f} % ({change:+.1f} points): {lost} answers became wrong, {won} right."
        )
        return told.replace("(-", "(−")


def _collected(model: Model, images: Images, name: str) -> Store:
    """A store of images in a folder that goes when Python ends."""
    cls = "cls" if model.prefix_tokens else None
    return collect(model, images, "store", name, selector="all", tokens=cls)


def _references(model: Model) -> list[Means]:
    held = _collected(model, draw(HELD, SEEDS[1]), f"{HELD:,} held-out scenes (seed {SEEDS[1]})")
    return [Means.of(held)]


def _questions(model: Model, store: Store) -> list[Answers]:
    """The attributes of the world that every image of the store has a label of."""
    known = [a for a in ATTRIBUTES if a in store.labels and store.labels[a].notna().all()]
    if not known:
        raise KitError(
            f'the images of "{store.name}" have no labels of the stickers world; '
            "give asked=[kit.edits.asked(store, directions, truth, answers)]."
        )
    return [ask(model, store, attribute) for attribute in known]


def _percent(found: Interval) -> str:
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _bars_alt(rows: list[Row]) -> str:
    each = [f"{r.name} {_percent(r.before)} before, {_percent(r.after)} after" for r in rows]
    return f"Accuracy by question: {'; '.join(each)}."


def _curve_alt(curve: dict[str, list[Interval]], name: str) -> str:
    each = [f"{what}: {', '.join(f'{100 * i.value:.0f}' for i in found)} %" for what, found in curve.items()]
    return f"Accuracy of {name} with the attention of layers replaced, for l from 0. {'. '.join(each)}."


def table(found: Ablated) -> pd.DataFrame:
    """The rows of a finding as a table, accuracies 0-1."""
    rows = [[r.name, r.before.value, r.after.value, r.after.low, r.after.high] for r in found.rows]
    return pd.DataFrame(rows, columns=["asked", "before", "after", "low", "high"]).set_index("asked")
