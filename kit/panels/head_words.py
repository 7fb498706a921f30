"""What each head says, as data: texts of every head for a bank, a number of texts and a set of images."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from traitlets import Enum, HasTraits, Int, Unicode

from kit.errors import KitError, nearest
from kit.measures import Agreement, agreement
from kit.models.model import Model
from kit.parts.layout import GridLayout, grid_layout
from kit.parts import roles
from kit.parts.stores import Store
from kit.projections import Bank, TextSpan, textspan
from kit.retrieval.tables import extremes

MOST_TEXTS = 32
OWN = "own texts"
EVERY = "all images"
FEWEST = 20  # images of a subset: fewer say little of a variance
MOST_VALUES = 12  # of a label that subsets are made of
KEPT = 32  # of the latest findings
EXTREMES = 4  # images shown at each end of a head's first text
# Two attributes tell the same thing: the side of an object, alone in a scene or beside another.
ALSO = {"arrangement": ("relation", "position")}
FIELDS = ("model", "bank", "texts", "score", "images", "part", "own")


class SpanState(HasTraits):
    """What is looked at: bank, number of texts, score, images, and the head whose texts are listed.

    It prints as a short string, and `SpanState.parse` gives back an equal one.

    Example:
        >>> str(SpanState(model="stickers-l8", bank="stickers grammar", part="L5.H0"))
        'stickers-l8|stickers grammar|5|released|all images|L5.H0|'
    """

    model = Unicode("")
    bank = Unicode("")
    texts = Int(5)
    score = Enum(("released", "variance"), default_value="released")
    images = Unicode(EVERY)
    part = Unicode("")
    own = Unicode("")

    def as_dict(self) -> dict:
        """All fields as plain data."""
        return {name: getattr(self, name) for name in FIELDS}

    def __str__(self) -> str:
        return "|".join(str(getattr(self, name)).replace("|", "/") for name in FIELDS)

    @classmethod
    def parse(cls, state: str) -> "SpanState":
        """The state that a string made by `str(state)` stands for.

        Raises:
            KitError: another number of fields, or a number of texts or a score that cannot be.
        """
        fields = str(state).split("|")
        if len(fields) != len(FIELDS):
            raise KitError(f'"{state}" is not a state: {len(fields)} fields; write "{"|".join(FIELDS)}".')
        values = dict(zip(FIELDS, map(str.strip, fields)))
        return cls().changed(**values | {"texts": _whole(values["texts"])})

    def changed(self, **values) -> "SpanState":
        """Another state with some fields changed.

        Raises:
            KitError: a number of texts, or a score, that cannot be.
        """
        new = self.as_dict() | values
        if not isinstance(new["texts"], int) or not 1 <= new["texts"] <= MOST_TEXTS:
            raise KitError(f"{new['texts']} texts for each head cannot be listed; ask for 1 to {MOST_TEXTS}.")
        if new["score"] not in (known := ("released", "variance")):
            raise KitError(f'no score "{new["score"]}"; there are {" and ".join(known)}.')
        return SpanState(**new)


def _whole(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


@dataclass(frozen=True)
class SpanFound:
    """What is shown for one state.

    Attributes:
        table: of all heads, see `kit.projections.TextSpan.table`.
        grid: where each head sits.
        shares: of each head's variance that its texts explain, 0-1, float32 [part].
        firsts: the first text of each head.
        says: its property; "" where the bank has none.
        truth: strongest attribute of each head by `kit.roles`, "" where none is above chance.
        right: for each head, whether both agree; None where there is nothing to compare.
        agrees: over the heads that have both; None without roles or properties.
        listed: rows of the table of the head that is looked at.
        extremes: numbers of the images with the largest and smallest score for its first text.
        values: these scores.
        caption, alt: sentences.
    """

    table: pd.DataFrame
    grid: GridLayout
    shares: np.ndarray
    firsts: list[str]
    says: list[str]
    truth: list[str]
    right: list[bool | None]
    agrees: Agreement | None
    listed: pd.DataFrame
    extremes: list[int]
    values: list[float]
    caption: str = ""
    alt: str = ""


@dataclass
class HeadWords:
    """A store, banks and subsets of its images; nothing that is asked of them runs a tower.

    Args:
        model: that the store is of.
        store: what the heads wrote (`kit.collect(..., keep="store")`).
        banks: texts to choose from; None = those of the stickers grammar, its words, random directions.
    """

    model: object
    store: Store
    banks: list[Bank] | None = None
    _moments: dict = field(default_factory=dict, repr=False)
    _own: dict = field(default_factory=dict, repr=False)
    _found: dict = field(default_factory=dict, repr=False)

    def __post_init__(self):
        if self.banks is None:
            grammar = Bank.stickers(self.model)
            self.banks = [grammar, Bank.words(self.model), Bank.random(self.model, len(grammar.texts))]
        self.subsets = subsets(self.store.labels)
        self.index = self.store.index[self.store.index["kind"] == "head"].reset_index(drop=True)
        if self.index.empty:
            raise KitError("the store keeps no heads; collect it with a selector that names some.")
        self.truth = _truths(self.model, self.index)

    @property
    def bank_names(self) -> list[str]:
        """Names that `state.bank` can have."""
        return [*(bank.name for bank in self.banks), OWN]

    def forget(self) -> None:
        """Let go of all moments and texts that were found; they are found again when asked for."""
        self._moments, self._found = {}, {}

    def first_state(self) -> SpanState:
        """The first bank, and the head of which one text explains most."""
        state = SpanState(model=self.model.label, bank=self.banks[0].name, part=self.index["name"][0])
        found = self.find(state.changed(texts=1))
        return state.changed(part=self.index["name"][int(found.shares.argmax())])

    def bank(self, state: SpanState) -> Bank:
        """The bank of a state; own texts are encoded once."""
        if state.bank == OWN:
            return self._own_bank(state.own)
        for bank in self.banks:
            if bank.name == state.bank:
                return bank
        known = ", ".join(self.bank_names)
        raise KitError(f'no bank "{state.bank}"; there are {known}.{nearest(state.bank, self.bank_names)}')

    def _own_bank(self, own: str) -> Bank:
        texts = tuple(dict.fromkeys(t for line in own.split(";") if (t := " ".join(line.split()))))
        if not texts:
            raise KitError("there are no own texts yet; write some, with ; between them.")
        if texts not in self._own:
            vectors = self.model.encode_text(list(texts)).float().cpu()
            self._own = {texts: Bank(list(texts), vectors, None, OWN, self.model.weights_hash)}
        return self._own[texts]

    def moments(self, images: str):
        """Moments of the heads over a subset, made once."""
        if images not in self.subsets:
            raise KitError(
                f'no images "{images}"; there are {len(self.subsets)} subsets.{nearest(images, self.subsets)}'
            )
        if images not in self._moments:
            rows = None if images == EVERY else self.subsets[images]
            self._moments[images] = self.store.moments(rows, ", ".join(self.index["name"]))
        return self._moments[images]

    def find(self, state: SpanState) -> SpanFound:
        """What is shown for a state: arithmetic on what is kept, no pass of a tower."""
        names, bank = self.index["name"].tolist(), self.bank(state)
        if state.part not in names:
            raise KitError(f'no head "{state.part}" in the store; it has {len(names)}, from {names[0]}.')
        spans = self._spans(state, bank)
        by_part = spans.table.groupby("part")["share"].sum()
        shares = by_part.reindex(names).fillna(0.0).to_numpy(dtype=np.float32)
        firsts, says = (_first(spans.table, names, column) for column in ("text", "property"))
        listed = spans.table[spans.table["part"] == state.part]
        extremes, values = self._extremes(state, bank, listed)
        right = [None if not (s and t) else s == t or s in ALSO.get(t, ()) for s, t in zip(says, self.truth)]
        both = [(s, t) for s, t in zip(says, self.truth) if s and t]
        agrees = agreement(*zip(*both), seed=0, also=ALSO, draws=500) if both else None
        found = SpanFound(
            spans.table, grid_layout(self.index), shares, firsts, says, self.truth, right, agrees,
            listed, extremes, values,
        )  # fmt: skip
        return _with_words(found, state, bank, len(self._rows(state.images)))

    def _spans(self, state: SpanState, bank: Bank) -> TextSpan:
        """The texts of every head. Those for a smaller number are the first of those for a larger one."""
        key = id(bank), state.images, state.score
        most, spans = self._found.get(key, (0, None))
        if most < state.texts:
            most = min(MOST_TEXTS, 1 << (state.texts - 1).bit_length())
            spans = textspan(self.moments(state.images), bank, most, state.score)
            self._found = {**dict(list(self._found.items())[-KEPT:]), key: (most, spans)}
        return spans.first(state.texts)

    def _rows(self, images: str) -> np.ndarray:
        return np.arange(len(self.store)) if images == EVERY else np.flatnonzero(self.subsets[images])

    def _extremes(self, state: SpanState, bank: Bank, listed: pd.DataFrame) -> tuple[list, list]:
        """The images at both ends of the listed head's score for its first text, and these scores."""
        if listed.empty:
            return [], []
        first = bank.vectors[bank.texts.index(listed["text"].iloc[0])]
        return extremes(self.store, first, state.part, self._rows(state.images), EXTREMES)


def subsets(labels: pd.DataFrame) -> dict[str, np.ndarray | None]:
    """Subsets of images by the values of their labels: name -> bool [image]; None for all.

    Example:
        >>> list(subsets(pd.DataFrame({"size": ["small"] * 30 + ["large"] * 30})))
        ['all images', 'size: large', 'size: small']
    """
    found: dict[str, np.ndarray | None] = {EVERY: None}
    for column in labels.columns:
        values = labels[column].dropna()
        if values.dtype.kind == "f" or not 2 <= values.nunique() <= MOST_VALUES:
            continue
        for value in sorted(values.unique(), key=str):
            inside = (labels[column] == value).to_numpy()
            if FEWEST <= inside.sum() < len(labels):
                found[f"{column}: {value}"] = inside
    return found


def _truths(model: Model, index: pd.DataFrame) -> list[str]:
    """The attribute that explains most of each head, "" where none is above chance or nothing is known."""
    try:
        strongest = roles(model, strongest=True).set_index("part")["attribute"]
    except KitError:
        return [""] * len(index)
    return [strongest.get(name, "") for name in index["name"]]


def _first(table: pd.DataFrame, names: list[str], column: str) -> list[str]:
    """What the table says of the first text of each head; "" where it says nothing."""
    if column not in table:
        return [""] * len(names)
    first = table[table["rank"] == 1].set_index("part")[column]
    return [first.get(name, "") for name in names]


def _with_words(found: SpanFound, state: SpanState, bank: Bank, images: int) -> SpanFound:
    """The same with its sentences."""
    place = found.grid.labels.index(state.part)
    share = found.shares[found.grid.parts[place]]
    if found.listed.empty:
        caption = f"{state.part} varies along none of these texts over {images:,} images."
    else:
        first = found.listed["text"].iloc[0]
        many = len(found.listed)
        whose = "Its first text is" if many > 1 else "The text is"
        verb = "texts of “{}” explain" if many > 1 else "text of “{}” explains"
        caption = (
            f"{many} {verb.format(bank.name)} {share:.0%} of what {state.part} varies over {images:,} "
            f"images. {whose} ‘{first}’."
        )
    if found.agrees is not None:
        a = found.agrees
        caption += (
            f" First texts tell the true role of {a.right.sum()} of {len(a.right)} heads "
            f"({a.share.value:.0%}, chance {a.chance.low:.0%} to {a.chance.high:.0%})."
        )
    told = [s or f or "nothing" for s, f in zip(found.says, found.firsts)]
    cells = "; ".join(f"{name} {told[p]}" for name, p in zip(found.grid.labels, found.grid.parts) if name)
    return replace(found, caption=caption, alt=f"What the first text of each head tells: {cells}.")
