"""Notebook 12's panel: what each head says, for a bank of texts, and whether that is so."""

import numpy as np

from kit.data.sets import Images
from kit.data.subsets import EVERY, subsets
from kit.errors import KitError
from kit.figures import Grid, Strip, Table, number
from kit.measures.agreement import against_roles
from kit.models.model import Model
from kit.panels.declared import DeclaredPanel, Shown
from kit.panels.fields import Menu, Number, Pick, State, Toggle, Words
from kit.parts.roles import strongest_roles
from kit.parts.stored import stored
from kit.parts.stores import Store
from kit.projections import Bank, TextSpan, textspan
from kit.projections.banks import OWN
from kit.projections.textspan import SHARE
from kit.retrieval.tables import extremes

SEED = 81_001  # of scenes where no images are given
FEW, MOST, ENDS = 8, 32, 4  # texts of a head that are found at once; pictures at each end


class Spans(DeclaredPanel):
    """Layers by heads with the property that each head's first text tells, and the texts of one head.

    Args:
        model: a CLIP, or the name of a shipped one.
        images: the images of the store, to be shown; scenes of `kit.world` or anything that a pass takes.
            None = 1,000 scenes with one object.
        store: what the heads wrote for them (`kit.collect(..., keep="store")`); None = a pass is made now.
        banks: texts to choose from (`kit.projections.Bank`); None = the stickers grammar and controls.
        state: a state string as the panel shows it.

    Raises:
        KitError: an unknown model, a store of other images, a bank of another model, a state that cannot be.

    Example:
        >>> panel = Spans("stickers-l8")                        # doctest: +SKIP
        >>> panel.choose(texts=10, images="size: large")        # doctest: +SKIP
        >>> panel.caption                                       # doctest: +SKIP
        '10 texts of “stickers grammar” explain 63% of what L5.H0 varies over 312 images. …'
    """

    bank = Menu(None, "bank", "the texts that describe heads", "300px")
    texts = Number(5, "texts a head", 1, MOST, "how many texts describe a head")
    score = Toggle(None, "score", "which text is taken next")
    images = Menu(None, "images", "the images over which a head varies", "300px")
    part = Pick("heads")
    own = Words("", "own texts", "a cat; a red thing", "100%")
    positional = ("bank", "texts", "score", "images", "part", "own")
    rows = (("bank", "texts", "images", "score"), "own", ("heads", "listed"), "ends")

    def __init__(
        self, model: Model | str = "stickers-l8", images: Images | None = None, store: Store | None = None,
        banks: list[Bank] | None = None, state: str | None = None,
    ):  # fmt: skip
        model, self.pictures, self.store, self.seed = stored(model, images, store, "L*.H*", SEED)
        self.given = banks is not None
        if banks is None:
            grammar = Bank.stickers(model)
            banks = [grammar, Bank.words(model), Bank.random(model, len(grammar.texts))]
        self.banks, self.subsets = {bank.name: bank for bank in banks}, subsets(self.store.labels)
        self.heads = self.store.index[self.store.index["kind"] == "head"].reset_index(drop=True)
        if self.heads.empty:
            raise KitError("the store keeps no heads; collect it with a selector that names some.")
        self.roles = strongest_roles(model, list(self.heads["name"]))
        super().__init__(model, state)

    def options(self, name: str) -> list:
        known = {"bank": [*self.banks, OWN], "score": ["released", "variance"], "images": list(self.subsets)}
        return list(self.heads["name"]) if name == "part" else known.get(name, [])

    def first(self) -> dict:
        one = self.spans(next(iter(self.banks.values())), EVERY, "released", 1).summary()
        return {"part": one["share"].idxmax()}  # the head that one text explains most of

    def also(self, fields: dict) -> dict:
        """Own texts that are written are the bank that is used."""
        return {"bank": OWN, **fields} if fields.get("own") else fields

    def bank_of(self, s: State) -> Bank:
        """The bank of a state; own texts are encoded once."""
        return self.kept(s.own, lambda: Bank.own(self.model, s.own)) if s.bank == OWN else self.banks[s.bank]

    def spans(self, bank: Bank, images: str, score: str, texts: int) -> TextSpan:
        """The texts of every head. Those for a smaller number are the first of those for a larger one."""
        heads, most = ", ".join(self.heads["name"]), FEW if texts <= FEW else MOST
        moments = self.kept(images, lambda: self.store.moments(self.subsets[images], heads))
        key = bank.name, tuple(bank.texts), images, score, most
        return self.kept(key, lambda: textspan(moments, bank, most, score)).first(texts)

    def show(self, s: State) -> Shown:
        """What the first text of each head tells, the texts of one, and pictures at both ends."""
        bank, store, inside = self.bank_of(s), self.store, self.subsets[s.images]
        images = np.arange(len(store)) if inside is None else np.flatnonzero(inside)
        spans = self.spans(bank, s.images, s.score, s.texts)
        heads, caption = spans.summary(), spans.says(s.part, bank.name, len(images))
        marks, agrees = against_roles(heads["property"], self.roles)
        caption += f" First texts tell the true role of {agrees}." if agrees else ""
        told = heads["property"].where(heads["property"] != "", heads["text"])
        title = "About what: what the first text of each head tells" + "; ✓ its true role" * bool(agrees)
        unit = "share of its variance that the texts explain"
        grid = Grid(self.heads, heads["share"], unit, 1.0, False, told, marks, [s.part], title=title)
        listed, title = spans.listed(s.part), f"Which texts: those of {s.part}, in the order taken"
        table = Table(listed, SHARE, [SHARE], "tells" * ("tells" in listed), title=title)
        first, ends, values = heads["text"][s.part], [], []
        if first:
            ends, values = extremes(store, bank.vectors[bank.texts.index(first)], s.part, images, ENDS)
        under = [f"it adds most to ‘{first}’"] * ENDS + ["least"] * ENDS
        shown = [self.pictures[store.rows[i]] for i in ends]
        strip = Strip(shown, [number(v, digits=3, sign=True) for v in values], under[: len(ends)])
        unseen = [self.model.unknown_note(text) for text in bank.texts] if s.bank == OWN else []
        return Shown(
            caption, {"heads": grid, "listed": table, "ends": strip}, note=" ".join(filter(None, unseen)),
            images=f"{store.name} ({s.images}), digest {store.facts['data'][0][:12]}", facts={"bank": s.bank},
            table=spans.table.assign(true_role=spans.table["part"].map(dict(zip(heads.index, self.roles)))),
        )  # fmt: skip

    def again(self, state: State) -> str:
        return "model, images, store" + ", [bank]" * (self.given and state.bank != OWN)

    def lines(self) -> str:
        s, name, (column, _, value) = self.selection, self.store.name, self.selection.images.partition(": ")
        rows = f'(store.labels["{column}"].astype(str) == {value!r}).to_numpy()' if value else "None"
        return f"""\
images = ...  # those of the store: {name}
store = kit.collect(model, images, 'store', {name!r}, selector='L*.H*')
moments = store.moments({rows}, 'L*.H*')
bank = {self.bank_of(s).line}
kit.textspan(moments, bank, {s.texts}, {s.score!r}).table"""
