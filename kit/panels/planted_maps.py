"""Notebook 21's panel: parts whose maps are known, and what a map that fits their sum makes of them."""

from kit.figures import Bars, Scatter, number
from kit.panels.declared import DeclaredPanel, Shown
from kit.panels.fields import Menu, Number, State, Toggle
from kit.projections.aligners import MAPS
from kit.projections.planted_worlds import DIM, PARTS, WORLDS, planted_parts, recovered

OWN, SEED, SHOWN = "as the numbers say", 0, 60  # points that are drawn
TURNS = {"each part its own": False, "one for all": True}
TRAINED, EPOCHS = ("cosine", "orthogonal"), 60
PART = [f"part {n}" for n in range(PARTS)]


class PlantedMaps(DeclaredPanel):
    """Six planted parts: how they share factors, which map is fitted, and how wrong each mapped part is.

    Args:
        state: a state string as the panel shows it.

    Raises:
        KitError: a state that cannot be.

    Example:
        >>> panel = PlantedMaps()                               # doctest: +SKIP
        >>> panel.choose(world="D: eight shared factors")       # doctest: +SKIP
        >>> panel.caption                                       # doctest: +SKIP
        'The sum is right (error 0.000 on images that were not fitted), and the parts are wrong: …'
    """

    world = Menu(None, "world", "how parts share what they vary by", "210px")
    rank = Number(DIM, "factors a part", 1, DIM, "of how many factors each part is made", "250px")
    shared = Number(0, "shared by all", 0, DIM, "how many of these are the same for all parts", "250px")
    turns = Toggle(None, "true maps", "whether the true map is the same for all parts")
    kind = Menu(None, "map", "which map is fitted", "190px")
    isometry = Number(1, "isometry", 0, 10, "pull of “cosine” towards isometries", "230px")
    part = Menu(None, "part", "whose numbers are shown on the right", "150px")
    positional = ("world", "rank", "shared", "turns", "kind", "isometry", "part")
    rows = (("world", "rank", "shared"), ("kind", "isometry", "turns"), ("errors", "scatter"), "part")
    seed = SEED

    def __init__(self, state: str | None = None):
        super().__init__(_Planted(), state)

    def options(self, name: str) -> list:
        known = {"world": [*WORLDS, OWN], "turns": list(TURNS), "kind": ["ridge", *MAPS], "part": PART}
        return list(dict.fromkeys(known.get(name, [])))

    def also(self, fields: dict) -> dict:
        if fields.get("world", OWN) != OWN:
            rank, shared = WORLDS[fields["world"]]
            return {"rank": rank, "shared": shared, **fields}
        if {"rank", "shared"} & fields.keys() and "world" not in fields:
            now = fields.get("rank", self.selection.rank), fields.get("shared", self.selection.shared)
            named = {numbers: name for name, numbers in WORLDS.items()}
            return {**fields, "world": named.get(now, OWN)}
        return fields

    def key(self, s: State) -> tuple:
        """What the numbers depend on."""
        return s.rank, s.shared, s.turns, s.kind, s.isometry if s.kind == "cosine" else 0

    def slow(self, state: State) -> bool:
        return state.kind in TRAINED and self.key(state) not in self._kept

    def show(self, s: State) -> Shown:
        planted = self.kept((s.rank, s.shared, s.turns), lambda: self.planted(s))
        options = {"isometry": float(s.isometry)} if s.kind == "cosine" else {}
        options |= {"epochs": EPOCHS} if s.kind in TRAINED else {}
        found = self.kept(self.key(s), lambda: recovered(s.kind, planted, **options))
        place, errors = PART.index(s.part), found.part_errors.numpy()
        right = "right" if found.error < 0.05 else "wrong"
        fits = "right" if found.sum_error < 0.05 else "wrong"
        caption = (
            f"The sum is {fits}: 1 − cosine {number(found.sum_error, digits=3)}. The parts are {right}: "
            f"{number(found.error, digits=2)} of their length is error. All on images that were not fitted."
        )
        title = "How wrong: error of each mapped part"
        bars = Bars(PART, errors, "error over length", limits=(0, max(1.0, 1.05 * errors.max())), title=title)
        one, other = (each[:SHOWN, place].flatten()[::4].numpy() for each in (found.truth, found.mapped))
        scatter = Scatter(
            one, other, [f"image {n // 4}, number {n % 4 * 4}" for n in range(len(one))], "true number",
            "mapped number", diagonal=True, title=f"The numbers of {s.part}: on the line where right",
        )  # fmt: skip
        return Shown(caption, {"errors": bars, "scatter": scatter}, about=s.world, images="planted parts")

    def planted(self, s: State):
        """The planted parts of a state."""
        return planted_parts(s.rank, s.shared, TURNS[s.turns], SEED)

    def again(self, state: State) -> str:
        return ""

    def loaded(self) -> str:
        return "from kit.projections.planted_worlds import planted_parts, recovered"

    def lines(self) -> str:
        s = self.selection
        options = f", isometry={s.isometry}.0" * (s.kind == "cosine") + f", epochs={EPOCHS}" * (
            s.kind in TRAINED
        )
        return f"""\
planted = planted_parts({s.rank}, {s.shared}, {TURNS[s.turns]}, seed={SEED})
found = recovered({s.kind!r}, planted{options})
found.sum_error, found.part_errors"""


class _Planted:
    """In place of a model: no weights."""

    name = label = "planted parts"
    weights_hash, trained, pretrained = "", True, None
