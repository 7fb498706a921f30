"""Notebook 22's panel: which parts of a tower matter for a feature, by each score, beside what is true."""

import numpy as np

from kit.data.sets import Images
from kit.edits import ask
from kit.errors import KitError
from kit.figures import Bars, Curves, Grid, Scatter, number
from kit.measures import rank_agreement
from kit.panels.declared import DeclaredPanel, Shown
from kit.panels.fields import Menu, Parts, State, Texts, Toggle
from kit.panels.latest import Latest
from kit.parts import collect
from kit.parts.roles import role_shares
from kit.projections import Aligned, align, rank_parts
from kit.projections.ranking import AXES, SCORES
from kit.world import draw, prompts

SEED, SCENES = 82_001, 300
TOWERS = ("stickers-deit", "stickers-dino", "stickers-dinov2", "stickers-swin", "stickers-maxvit")
FEATURES, OWN = ("background", "position", "size", "colour", "texture", "category", "concept"), "own texts"
RANDOM = "in random order"


class Ranking(DeclaredPanel):
    """Parts by a score for a feature, the score beside the truth, and what is lost as parts go in its order.

    Args:
        towers: aligned towers (`kit.align`); None = the five that ship with maps.
        images: what their parts are ranked over; None = 300 scenes with one object.
        state: a state string as the panel shows it.

    Raises:
        KitError: a tower that is not aligned, a state that cannot be.

    Example:
        >>> panel = Ranking()                                   # doctest: +SKIP
        >>> panel.choose(feature="colour", score="share")       # doctest: +SKIP
        >>> panel.caption                                       # doctest: +SKIP
        'For colour, L5.H2 stands first of 31 parts by share, with 0.31. …'
    """

    model = Menu(None, "tower", width="230px")
    feature = Menu(None, "feature", "what the parts are asked for", "230px")
    score = Toggle(None, "score", "how parts are ranked")
    part = Parts("grid", "", "part")
    own = Texts("", OWN, "a red thing; a blue thing: two or more", "100%")
    positional = ("model", "feature", "score", "part", "own")
    rows = (("model", "feature", "score"), "own", ("grid", "scores"), ("truth", "curve"))
    seed = SEED

    def __init__(
        self, towers: list[Aligned] | None = None, images: Images | None = None, state: str | None = None
    ):
        if towers is not None and not all(isinstance(tower, Aligned) for tower in towers):
            raise KitError("parts are ranked where texts can be asked of them; give towers of kit.align.")
        self.given = {} if towers is None else {tower.base.name: tower for tower in towers}
        self.pictures = draw(SCENES, SEED, kind="single") if images is None else images
        self.seen = Latest(len(self.given) or len(TOWERS))
        super().__init__(self.held(next(iter(self.given), TOWERS[0]))[0], state)

    def options(self, name: str) -> list:
        known = {
            "model": list(self.given) or list(TOWERS),
            "feature": [*FEATURES, OWN],
            "score": list(SCORES),
        }
        return known.get(name, [])

    def also(self, fields: dict) -> dict:
        fields = {"feature": OWN, **fields} if fields.get("own") else fields
        return {"part": "", **fields} if {"model", "feature", "score"} & fields.keys() else fields

    def held(self, name: str) -> tuple:
        """A tower and what its mapped parts are for every picture; one pass, when it is first asked for."""

        def pass_over() -> tuple:
            tower = self.given.get(name) or align(name)
            store = collect(tower.base, self.pictures, "store", f"{len(self.pictures):,} images")
            return tower, tower.store(store)

        return self.seen.of(name, pass_over)

    def slow(self, state: State) -> bool:
        return state.model not in self.seen

    def ranked(self, s: State) -> tuple:
        """Scores of all parts, what is asked of pictures (None for own texts), the truth, and the store."""
        tower, store = self.held(s.model)
        if s.feature != OWN:
            question, texts = ask(tower, store, s.feature), prompts(s.feature)
        else:
            question, texts = None, list(s.own)
        images = None if question is None else question.images.numpy()
        axes = AXES if len(texts) > 4 * AXES else None
        table = rank_parts(store.vectors(images), tower.encode_text(texts), list(store.index["name"]), axes)
        truth = None if question is None else role_shares(tower.base, s.feature, kinds=None)
        return table.set_index("part"), question, truth, store

    def order(self, s: State, table, score: str) -> list[str]:
        """The parts as they go: the first by a score first; by chance for `RANDOM`."""
        names = np.array(table.index)
        if score == RANDOM:
            return list(np.random.default_rng(SEED).permutation(names))
        return list(names[np.argsort(-table[score].to_numpy(), kind="stable")])

    def curve(self, s: State, table, question, score: str) -> np.ndarray:
        """Accuracy with none, the first, the first two … parts replaced by their means, [part + 1]."""
        steps = question.with_own_means().steps(self.order(s, table, score))
        return np.array([right.mean() for right in steps])

    def show(self, s: State) -> Shown:
        table, question, truth, store = self.kept((s.model, s.feature, s.own), lambda: self.ranked(s))
        first = table[s.score].idxmax()
        part = s.part or first
        if part not in table.index:
            raise KitError(f'"{s.model}" has no part "{part}"; there are {len(table)}, see the grid.')
        values, about = table[s.score], f"‘{'; '.join(s.own)}’" if s.feature == OWN else s.feature
        caption = (
            f"For {about}, {first} stands first of {len(table)} parts by {s.score}, with "
            f"{number(values[first], digits=2)}."
        )
        grid = Grid(
            store.index, values.to_numpy(), s.score, picked=[part], signed=s.score != "size",
            title=f"Which parts: {s.score} for {about}",
        )  # fmt: skip
        own = [name for name in SCORES if name != "size"]
        scores = Bars(own, table.loc[part, own].to_numpy(float), "score", title=f"{part} by every score")
        known = np.full(len(table), np.nan) if truth is None else truth.reindex(table.index).to_numpy()
        if truth is not None:
            agrees = rank_agreement(values.to_numpy(), known, SEED)
            caption += f" Rank correlation with the truth over parts: {agrees.told(2)}."
        points = Scatter(
            values.to_numpy(), np.nan_to_num(known), list(table.index), s.score, "share of variance (truth)",
            list(store.index["kind"]), picked=part, title="Is it so? Each point a part",
        )  # fmt: skip
        lost = {f"by {s.score}": np.full(len(table) + 1, np.nan), RANDOM: np.full(len(table) + 1, np.nan)}
        if question is not None:
            for name, score in zip(lost, (s.score, RANDOM)):
                key = s.model, s.feature, score, "curve"
                lost[name] = self.kept(key, lambda score=score: self.curve(s, table, question, score))
        curve = Curves(
            list(range(len(table) + 1)), lost, "parts replaced by their mean", "accuracy", limits=(0, 1),
            title=f"What is lost as parts go: {about} read from the mapped sum",
        )  # fmt: skip
        figures = {"grid": grid, "scores": scores, "truth": points, "curve": curve}
        return Shown(caption, figures, about=about, images=store.name, table=table.reset_index())

    def again(self, state: State) -> str:
        return "[tower]" if self.given else ""

    def loaded(self) -> str:
        return f"import kit\ntower = kit.align({self.selection.model!r})"

    def lines(self) -> str:
        s = self.selection
        texts = list(s.own) if s.feature == OWN else f"kit.world.prompts({s.feature!r})"
        axes = AXES if s.feature == "concept" else None
        return f"""\
images = ...  # {len(self.pictures):,} pictures
store = tower.store(kit.collect(tower.base, images, "store", "my images"))
kit.rank_parts(store.vectors(), tower.encode_text({texts}), list(store.index["name"]), {axes})"""
