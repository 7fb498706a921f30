"""Notebook 22's panel: which parts of a tower matter for a feature, by each score, beside what is true."""

from functools import partial

import numpy as np

from kit.data.sets import Images
from kit.edits import ask
from kit.errors import KitError
from kit.figures import Bars, Curves, Grid, Scatter, number
from kit.measures import rank_agreement
from kit.panels.declared import DeclaredPanel, Shown
from kit.panels.fields import Menu, Parts, State, Toggle, Words
from kit.panels.latest import Latest
from kit.parts import collect
from kit.parts.roles import role_shares
from kit.projections import Aligned, Bank, align, rank_parts
from kit.projections.ranking import AXES, SCORES
from kit.world import draw, prompts

SEED, SCENES, RANDOM, OWN = 82_001, 300, "in random order", "own texts"
TOWERS = ("stickers-deit", "stickers-dino", "stickers-dinov2", "stickers-swin", "stickers-maxvit")
FEATURES = ("background", "position", "size", "colour", "texture", "category", "concept")


class Ranking(DeclaredPanel):
    """Parts by a score for a feature, the score beside the truth, and what is lost as parts go in its order.

    Args:
        towers: aligned towers (`kit.align`); None = the five that ship with maps.
        images: what their parts are ranked over; None = 300 scenes with one object.
        state: a state string as the panel shows it.

    Raises:
        KitError: a tower that is not aligned, a state that cannot be.
    """

    model = Menu(None, "tower", "whose parts are ranked", "230px")
    feature = Menu(None, "feature", "what the parts are asked for", "230px")
    score = Toggle(None, "score", "how parts are ranked")
    part = Parts("grid", "", "part")
    own = Words("", OWN, "a red thing; a blue thing: two or more", "100%")
    positional = ("feature", "score", "part", "own")
    rows = (("model", "feature", "score"), "own", ("grid", "scores"), ("truth", "curve"))
    seed = SEED

    def __init__(
        self, towers: list[Aligned] | None = None, images: Images | None = None, state: str | None = None
    ):  # fmt: skip
        if towers is not None and not all(isinstance(tower, Aligned) for tower in towers):
            raise KitError("parts are ranked where texts can be asked of them; give towers of kit.align.")
        self.given = dict.fromkeys(TOWERS) if towers is None else {t.base.name: t for t in towers}
        self.pictures = draw(SCENES, SEED, kind="single") if images is None else images
        self.seen = Latest(len(self.given))
        super().__init__(self.held(next(iter(self.given)))[0], state)

    def options(self, name: str) -> list:
        return {"model": list(self.given), "feature": [*FEATURES, OWN], "score": [*SCORES]}.get(name, [])

    def also(self, fields: dict) -> dict:
        fields = {"feature": OWN, **fields} if fields.get("own") else fields
        return {"part": "", **fields} if {"model", "feature", "score"} & fields.keys() else fields

    def slow(self, state: State) -> bool:
        return state.model not in self.seen

    def held(self, name: str) -> tuple:
        """A tower and what its mapped parts are for every picture: one pass, when it is first asked for."""

        def made() -> tuple:
            tower, count = self.given[name] or align(name), f"{len(self.pictures):,} images"
            tower.encode_text([text for feature in FEATURES for text in prompts(feature)])
            return tower, tower.store(collect(tower.base, self.pictures, "store", count))

        return self.seen.of(name, made)

    def ranked(self, s: State) -> tuple:
        """Scores of all parts; what is asked of pictures, and the truth, both None for own texts; index."""
        tower, store = self.held(s.model)
        bank = Bank.own(tower, s.own) if s.feature == OWN else None
        question = None if bank else ask(tower, store, s.feature).with_own_means()
        texts = bank.vectors if bank else tower.encode_text(prompts(s.feature))
        parts = store.vectors(None if bank else question.images.numpy())
        table = rank_parts(parts, texts, list(store.index["name"]), AXES if len(texts) > 4 * AXES else None)
        truth = None if bank else role_shares(tower.base, s.feature, kinds=None)
        return table.set_index("part"), question, truth, store.index

    def show(self, s: State) -> Shown:
        table, question, truth, index = self.kept((s.model, s.feature, s.own), lambda: self.ranked(s))
        names, values = table.index.to_numpy(), table[s.score].to_numpy()
        about, first = f"‘{s.own}’" if s.feature == OWN else s.feature, names[values.argmax()]
        if (part := s.part or first) not in names:
            raise KitError(f'"{s.model}" has no part "{part}"; there are {len(names)}, see the grid.')
        stands, shares = number(values.max(), digits=2), np.zeros(len(names))
        caption = f"For {about}, {first} stands first of {len(names)} parts by {s.score}, with {stands}."
        if truth is not None:
            shares = truth.reindex(names).to_numpy()
            agrees = rank_agreement(values, shares, SEED).told(2)
            caption += f" Rank correlation with the truth over parts: {agrees}."
        title = f"Which parts: {s.score} for {about}"
        grid = Grid(index, values, s.score, picked=[part], signed=s.score != "size", title=title)
        others, title = table.columns[:-1], f"{part} by every score"  # all but size
        scores = Bars(others, table.loc[part, others].to_numpy(float), "score", title=title)
        title = "No truth is known of own texts" if truth is None else "Is it so? Each point a part"
        unit, kinds = "share of its variance (truth)", index["kind"]
        points = Scatter(values, shares, names, s.score, unit, kinds, picked=part, title=title)
        orders = {f"by {s.score}": names[np.argsort(-values, kind="stable")]}
        orders[RANDOM] = np.random.default_rng(SEED).permutation(names)
        lost = (lambda: question.lost(orders)) if question else partial(dict.fromkeys, orders, [np.nan])
        curves = self.kept((s.model, s.feature, s.own, s.score), lost)
        across, title = "parts replaced by their mean", f"What is lost as parts go: {about}, by texts"
        curve = Curves(
            range(len(next(iter(curves.values())))), curves, across, "accuracy", limits=(0, 1), title=title
        )
        figures, count = {"grid": grid, "scores": scores, "truth": points, "curve": curve}, len(self.pictures)
        return Shown(caption, figures, about=about, images=f"{count:,} images", table=table.reset_index())

    def again(self, state: State) -> str:
        return "towers, images"

    def loaded(self) -> str:
        return f"import kit\ntowers = [{self.held(self.selection.model)[0].line}]"

    def lines(self) -> str:
        s, axes = self.selection, f", axes={AXES}" * (self.selection.feature == "concept")
        texts = f"kit.world.prompts({s.feature!r})"
        texts = [text.strip() for text in s.own.split(";")] if s.feature == OWN else texts
        return f"""\
images = kit.world.draw({SCENES}, {SEED}, kind="single")  # or your own
(tower,) = towers
store = tower.store(kit.collect(tower.base, images, "store", "my images"))
kit.rank_parts(store.vectors(), tower.encode_text({texts}), list(store.index["name"]){axes})"""
