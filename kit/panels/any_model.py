"""Notebook 20's panel: any tower by name, taken apart, and the map of each of its heads."""

from functools import partial

from kit.data.sets import Images
from kit.figures import Grid, Maps, Strip
from kit.maps.findings import find, finding_table
from kit.maps.selection import Selection
from kit.models import Model, available, untrained
from kit.panels.declared import Shown
from kit.panels.fields import Action, Menu, Name, Parts, State, Tokens, Upload
from kit.panels.latest import Latest
from kit.panels.pictures import PicturePanel
from kit.parts import run
from kit.parts.examine import verdict
from kit.parts.part_scores import loudest, part_scores
from kit.projections.prompts import APART, DIRECTIONS, LINES, OWN, mean_representation, picture_direction

FIRST = "timm/vit_small_patch14_reg4_dinov2"
RUNS = 8  # pictures whose run is kept


class AnyModel(PicturePanel):
    """A tower by name, its verdict, the layer × head grid, and the map of what a head reads.

    Args:
        model: a name of `kit.available()`, built with random weights at a small input, or a model.
        images: scenes of `kit.world`, pictures, or a set; None = the gallery.
        state: a state string as the panel shows it, instead of a model.

    Raises:
        KitError: an unknown name, a tower that is refused, an image or a state that cannot be read.

    Example:
        >>> AnyModel("timm/deit_tiny_patch16_224").shown.note      # doctest: +SKIP
        'timm/deit_tiny_patch16_224 (random weights, untrained) at 112 × 112 pixels: exact. …'
    """

    model = Name("tower", "type a part of a name", prefix="timm/")
    image = Menu(None, "picture", width="290px")
    selector = Parts("grid")
    texts = Menu(OWN, "direction", "what the parts are asked for")
    tokens = Tokens("map")
    open = Action("take apart", "take_apart", "build this tower, untrained, and check the sum of its parts")
    file = Upload("upload")
    positional = ("image", "selector", "texts")
    rows = (("model", "open"), ("image", "file", "texts"), ("seen", "map", "grid"))

    def __init__(self, model: Model | str = FIRST, images: Images | None = None, state: str | None = None):
        self.take(images)
        self.begin = getattr(model, "name", model)
        self.given = {} if isinstance(model, str) else {model.name: model}
        self.names = list(dict.fromkeys([*self.given, *available()["name"]]))
        self.towers = {}  # name -> model, and picture -> its run; one, and another until it is shown
        super().__init__(None, state)

    def options(self, name: str) -> list:
        return {"model": self.names, "texts": list(DIRECTIONS)}.get(name) or super().options(name)

    def first(self) -> dict:
        return {**super().first(), "model": self.begin, "selector": ""}

    def slow(self, state: State) -> bool:
        runs = self.towers.get(state.model, ("", ()))[1]
        return state.image not in runs or (state.model, state.image, state.texts) not in self._kept

    def _change(self, fields: dict, draw: bool = True) -> None:
        """Another tower is looked at by its loudest head; the one before goes only where nothing failed."""
        if "model" in fields and not fields.get("selector"):
            self._set(self.checked({**fields, "selector": "none", "tokens": ""}))
            _, _, held, scores = self.asked(self.selection)
            fields = {"selector": loudest(held.index, scores.parts[:, 0])}
        super()._change(fields, draw)
        self.towers = {self.selection.model: self.towers[self.selection.model]}
        ((self.model, _),) = self.towers.values()

    def asked(self, s: State) -> tuple:
        """Tower and picture, the one pass, whose first checks the sum, and the scores for a direction."""
        self.picture(s.image)  # raises where there is none, before a tower is built
        if s.model not in self.towers:
            self.towers[s.model] = self.given.get(s.model) or untrained(s.model, say=self.say), Latest(RUNS)
        model, runs = self.towers[s.model]
        picture = self.sized(s.image, model)
        if s.image not in runs:
            self.say(f"recording the operations of {s.model}, checking the sum…")
        held = runs.of(s.image, lambda: run(model, model.preprocess([picture.image]), tokens=True))
        mean = partial(self.kept, s.model, lambda: mean_representation(model, self.images(model)))
        z = partial(picture_direction, held.representation, s.texts, mean)
        scores = self.kept((s.model, s.image, s.texts), lambda: part_scores(held, z()))
        return model, picture, held, scores

    def show(self, s: State) -> Shown:
        """What each part adds to the direction, and where the picked ones read it."""
        model, picture, held, scores = self.asked(s)
        source, picture, tokens = picture.source, picture.seen_by(model), s.tokens.replace("none", "")
        asked = Selection(model=s.model, image=s.image, selector=s.selector, texts=(s.texts,), tokens=tokens)
        found, (rows, cols) = find(held, scores, asked, picture), held.grid
        sums = f"all {len(found.names)} add up to {found.cells.sum():.3f}"
        grid = Grid(
            held.index, found.cells, "what each part adds", found.cell_limit,
            picked=[found.names[part] for part in found.picked],
            title=f"Which parts: what each adds to {s.texts}; {'from these places only' if tokens else sums}",
        )  # fmt: skip
        heat = Maps(
            found.heat[None], [picture.image], "what each place adds", limit=found.heat_limit,
            masks=None if picture.masks is None else picture.masks.any(0)[None], picked=tokens.split(", "),
            title=f"Where from: {rows} × {cols} places, read by {found.names_of_picked}",
        )  # fmt: skip
        seen = Strip([picture.image], tips=[picture.told], large=True, title="The picture")
        prefix = "the class token" if held.frozen.plain and held.prefix == 1 else "tokens without a place"
        return Shown(
            found.caption.replace("the class token", prefix), {"seen": seen, "map": heat, "grid": grid},
            truth=picture.told, note=verdict(model, held.frozen.check), about=s.image, images=source,
            table=finding_table(found, asked),
        )  # fmt: skip

    def take_apart(self) -> dict:
        """The tower whose name was typed."""
        return {"model": self.controls["model"].value}

    def loaded(self) -> str:
        """Lines that build the tower as the panel did, untrained where it is not shipped."""
        named = f"kit.panels.untrained({self.selection.model!r})"
        return f"import kit\nimport torch\nmodel = {named}  # a shipped one as it is"

    def lines(self) -> str:
        s, images = self.selection, "images = kit.world.gallery()\n"
        return f"""\
{images * (self.of_gallery and s.texts == APART)}\
run = kit.parts.run(model, model.preprocess({self.picture(s.image).code}))
direction = torch.nn.functional.normalize({LINES[s.texts]}, dim=-1)
scores = run.scores(direction)  # [batch, part, text]
heat = run.maps(direction, {s.selector!r})  # [batch, head, token, text]"""
