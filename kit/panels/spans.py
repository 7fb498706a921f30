"""Notebook 12's panel: what each head says, for a bank of texts, and whether that is so."""

import numpy as np

from kit.data.sets import Images
from kit.data.subsets import EVERY, subsets
from kit.errors import KitError
from kit.figures import Grid, Strip, Table, number
from kit.measures import agreement
from kit.models.model import Model
from kit.panels.declared import DeclaredPanel, Shown
from kit.panels.fields import Menu, Number, Pick, State, Toggle, Words
from kit.panels.stored import stored
from kit.parts.roles import ALSO, fits_role, strongest_roles
from kit.projections import Bank, TextSpan, textspan
from kit.projections.banks import OWN
from kit.retrieval.tables import extremes

SEED = 81_001  # of scenes where no images are given
MOST_TEXTS, ENDS, KEPT = 32, 4, 32  # texts of a head; pictures at each end; lists of texts that are kept


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
    texts = Number(5, "texts a head", 1, MOST_TEXTS, "how many texts describe a head")
    score = Toggle(None, "score", "which text is taken next")
    images = Menu(None, "images", "the images over which a head varies", "300px")
    part = Pick("heads")
    own = Words("", "own texts", "a cat; a red thing", "100%")
    positional = ("bank", "texts", "score", "images", "part", "own")
    rows = (("bank", "texts", "images", "score"), "own", ("heads", "listed"), "ends")

    def __init__(
        self, model: Model | str = "stickers-l8", images: Images | None = None, store=None, banks=None,
        state: str | None = None,
    ):  # fmt: skip
        model, self.pictures, self.store, self.seed = stored(model, images, store, "L*.H*", SEED)
        if banks is None:
            grammar = Bank.stickers(model)
            banks = [grammar, Bank.words(model), Bank.random(model, len(grammar.texts))]
        self.banks, self.subsets = {bank.name: bank for bank in banks}, subsets(self.store.labels)
        self.heads = self.store.index[self.store.index["kind"] == "head"].reset_index(drop=True)
        if self.heads.empty:
            raise KitError("the store keeps no heads; collect it with a selector that names some.")
        self.roles = strongest_roles(model, list(self.heads["name"]))
        self._typed, self._moments, self._spans = {}, {}, {}
        one = self.spans(banks[0], EVERY, "released", 1).summary()["share"]
        super().__init__(model, state, part=one.idxmax())

    def options(self, name: str) -> list:
        heads, score = list(self.heads["name"]), ["released", "variance"]
        return {"bank": [*self.banks, OWN], "score": score, "images": list(self.subsets), "part": heads}.get(name, [])

    def also(self, fields: dict) -> dict:
        return {"bank": OWN, **fields} if fields.get("own") else fields

    def texts_of(self, state: State) -> Bank:
        """The bank of a state; own texts are encoded once."""
        if state.bank != OWN:
            return self.banks[state.bank]
        if state.own not in self._typed:
            self._typed = {state.own: Bank.own(self.model, state.own)}
        return self._typed[state.own]

    def spans(self, bank: Bank, images: str, score: str, texts: int) -> TextSpan:
        """The texts of every head. Those for a smaller number are the first of those for a larger one."""
        key = id(bank), images, score
        most, spans = self._spans.get(key, (0, None))
        if most < texts:
            if images not in self._moments:
                self._moments[images] = self.store.moments(self.subsets[images], ", ".join(self.heads["name"]))
            most = min(MOST_TEXTS, 1 << (texts - 1).bit_length())
            spans = textspan(self._moments[images], bank, most, score)
            self._spans = {**dict(list(self._spans.items())[-KEPT:]), key: (most, spans)}
        return spans.first(texts)

    def show(self, state: State) -> Shown:
        bank, inside = self.texts_of(state), self.subsets[state.images]
        images = np.arange(len(self.store)) if inside is None else np.flatnonzero(inside)
        spans = self.spans(bank, state.images, state.score, state.texts)
        heads, mine = spans.summary(), spans.table[spans.table["part"] == state.part]
        right = [fits_role(*pair) for pair in zip(heads["property"], self.roles)]
        told = heads["property"].where(heads["property"] != "", heads["text"])
        marks = ["" if r is None else "✓" if r else f"✗ {role}" for r, role in zip(right, self.roles)]
        caption = f"{state.part} varies along none of these texts over {len(images):,} images."
        if many := len(mine):
            first, texts = mine["text"].iloc[0], f"text{'s' * (many > 1)} of “{bank.name}” explain{'s' * (many == 1)}"
            caption = f"{many} {texts} {heads['share'][state.part]:.0%} of what {state.part} varies over "
            caption += f"{len(images):,} images. {'Its first' if many > 1 else 'The'} text is ‘{first}’."
        if both := [(s, t) for s, t, r in zip(heads["property"], self.roles, right) if r is not None]:
            a = agreement(*zip(*both), seed=0, also=ALSO, draws=500)
            caption += f" First texts tell the true role of {a.right.sum()} of {len(a.right)} heads "
            caption += f"({a.share.value:.0%}, chance {a.chance.low:.0%} to {a.chance.high:.0%})."
        grid = Grid(
            self.heads, heads["share"].to_numpy(), "share of its variance that the texts explain", 1.0, False,
            tuple(told), marks, (state.part,),
            title=f"About what: what the first text of each head tells{'; ✓ its true role' * bool(both)}",
        )  # fmt: skip
        listed = mine.assign(text=[f"{r.text} (also: {', '.join(r.aliases)})" if r.aliases else r.text for r in mine.itertuples()])
        listed = listed.filter(["rank", "text", "property", "share"]).rename(columns={"property": "tells", "share": "share of variance"})
        table = Table(listed, "share of variance", ("share of variance",), "tells" if "tells" in listed else "", title=f"Which texts: those of {state.part}, in the order taken")
        ends, values = extremes(self.store, bank.vectors[bank.texts.index(first)], state.part, images, ENDS) if many else ([], [])
        strip = Strip(
            [self.pictures[self.store.rows[i]] for i in ends], [number(v, digits=3, sign=True) for v in values],
            [f"it adds most to ‘{first}’" if k < ENDS else "least" for k in range(len(ends))],
        )  # fmt: skip
        unknown = self.model.unknown_note if state.bank == OWN else lambda text: ""
        return Shown(
            caption, {"heads": grid, "listed": table, "ends": strip}, note=" ".join(filter(None, map(unknown, bank.texts))),
            images=f"{self.store.name} ({state.images}), digest {self.store.facts['data'][0][:12]}", facts={"bank": state.bank},
            table=spans.table.assign(true_role=spans.table["part"].map(dict(zip(heads.index, self.roles)))),
        )  # fmt: skip

    def lines(self) -> str:
        s, store, (column, _, value) = self.selection, self.store, self.selection.images.partition(": ")
        rows = f'(store.labels["{column}"].astype(str) == {value!r}).to_numpy()' if value else "None"
        return f"""import kit
model = kit.load({s.model!r})
images = ...  # those of the store: {store.name}
store = kit.collect(model, images, 'store', {store.name!r}, selector='L*.H*')
moments = store.moments({rows}, 'L*.H*')
bank = {self.texts_of(s).line}
kit.textspan(moments, bank, {s.texts}, {s.score!r}).table"""
