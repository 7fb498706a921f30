"""Notebook 11's panel: which parts are replaced, by which means, and what that costs each question."""

import dataclasses

import pandas as pd

from kit.data.sets import Images
from kit.edits import Answers, Means, costs, layer_costs, place_of, questions
from kit.edits.by_layer import BACK, FORWARD
from kit.edits.costs import says
from kit.errors import KitError
from kit.figures import Bars, Curves, Grid, Strip
from kit.models.model import Model
from kit.panels.declared import DeclaredPanel, Shown
from kit.panels.fields import Action, Menu, Parts, State, Toggle
from kit.parts.stored import stored
from kit.world import draw

IMAGES, SEED, HELD, HELD_SEED = 300, 11_101, 200, 11_102  # scenes where no images, or no means, are given
LATE = 4  # layers; the button says so
WAYS = {FORWARD: "layers 0 to k", BACK: "layers k to the last"}
COLUMNS = ["view", "question", "condition", "layer", "accuracy", "low", "high", "chance"]


class Ablations(DeclaredPanel):
    """Parts replaced in a whole set of images, and what that costs: accuracies, curves, pictures.

    A click, or space, on a part replaces it or gives it back; all is arithmetic on stored scores.

    Args:
        model: from `kit.load`.
        images: what the store was collected from; None = 300 scenes.
        store: of these images, with `tokens="cls"` where the class token is asked for; None = a pass now.
        references: reference sets to choose from, `kit.edits.Means`; None collects one.
        asked: questions, `kit.edits.Answers`; None asks for the attributes of the world.
        state: a state string as the panel shows it.

    Raises:
        KitError: no questions, a store of other images, or a state that cannot be.

    Example:
        >>> panel = Ablations(model, scenes, store, [means])           # doctest: +SKIP
        >>> panel.choose(selector="L0-3.attn", texts="colour")         # doctest: +SKIP
        >>> panel.caption                                              # doctest: +SKIP
        'With 24 of 50 parts (L0-3.attn) replaced by means over …'
    """

    image = Menu(None, "reference set", "over which means are taken", "330px")
    selector = Parts("grid", "none", "parts", True, True, "such as L*.MLP, L0-3.attn, !L2.H0")
    texts = Menu(None, "question", "what is asked of every image", "200px", "bars")
    tokens = Toggle("", "class token", "what every head reads at the class token")
    replace = Toggle("zero", "replaced by", "what stands in a part's place")
    positional = ("image", "selector", "texts")

    def __init__(
        self, model: Model, images: Images | None = None, store=None, references: list[Means] | None = None,
        asked: list[Answers] | None = None, state: str | None = None,
    ):  # fmt: skip
        cls, images = "cls" if model.prefix_tokens else None, draw(IMAGES, SEED) if images is None else images
        model, self.pictures, self.store, self.seed = stored(model, images, store, "all", SEED, cls)
        if references is None:
            held = stored(model, draw(HELD, HELD_SEED), None, "all", HELD_SEED, cls).store
            references = [Means.of(held, name=f"{HELD:,} held-out scenes (seed {HELD_SEED})")]
        self.given = asked is not None
        self.references = {each.name: each for each in references}
        asked = questions(model, self.store) if asked is None else asked
        self.asked = {each.name: dataclasses.replace(each, means=None) for each in asked}
        self.chance = [each.chance for each in self.asked.values()]
        late, last = max(0, model.layers - LATE), model.layers - 1
        parts = {"all MLPs": "L*.MLP", "late attention (last four layers)": f"L{late}-{last}.attn"}
        parts |= {"early attention": f"L0-{late - 1}.attn"} if late else {}
        self.buttons = {
            name: Action.choosing(name, f"replace {which}", selector=which, tokens="")
            for name, which in {**parts, "nothing": "none"}.items()
        }
        below = ("image", "replace", *["tokens"] * ("cls" in self.store.arrays))
        self.rows = ((*self.buttons, "texts"), "selector", below, ("grid", "bars"), ("curve", "changed"))
        super().__init__(model, state)

    def options(self, name: str) -> list:
        known = {"image": [*self.references, "none"], "texts": list(self.asked), "replace": ["mean", "zero"]}
        return known.get(name, [("kept", ""), ("replaced", "cls")] if name == "tokens" else [])

    def first(self) -> dict:
        return {"selector": "L*.MLP", "replace": "mean" if self.references else "zero"}

    def also(self, fields: dict) -> dict:
        """A set that is chosen is used, and means are those of a set; a question may stand in a tuple."""
        fields, set_of = dict(fields), fields.get("image", self.selection.image)
        if isinstance(fields.get("texts"), tuple):
            fields["texts"] = " ".join(fields["texts"])
        if fields.get("tokens", "") not in ("", "cls"):
            raise KitError(f'only the class token can be replaced here ("cls"), not "{fields["tokens"]}".')
        if "image" in fields:
            return {"replace": "zero" if set_of == "none" else "mean", **fields}
        wanted = fields.get("replace") == "mean" and set_of == "none" and self.references
        return {"image": next(iter(self.references)), **fields} if wanted else fields

    def means(self, s: State) -> Means | None:
        """What stands in a part's place; None is zero."""
        if s.replace == "mean" and s.image == "none":
            give = "collect a store of images and give references=[kit.edits.Means.of(store)]"
            give = f"choose one of {', '.join(self.references)}" if self.references else give
            raise KitError(
                f'no reference set was given, so "mean" is off for "{s.model}"; {give}, or replace by zero.'
            )
        return self.references[s.image] if s.replace == "mean" else None

    def show(self, s: State) -> Shown:
        """What every question loses without these parts, part by part and layer by layer."""
        means, asked, cls = self.means(s), self.asked[s.texts], "L*.H*" if s.tokens else None
        index, key, names = asked.index, (s.texts, means and means.name), list(self.asked)
        found, chance = costs(self.asked.values(), s.selector, means, cls), self.chance
        now = found[names.index(s.texts), :, 0]  # before and after
        alone = self.kept((key, "alone"), lambda: asked.alone(means).mean(1) - now[0])
        off = list(index["name"].iloc[asked.parts_of(s.selector)])
        grid = Grid(
            index, alone, "change of accuracy, alone", picked=off, off=off,
            title=f"Which parts: ‘{s.texts}’ without each alone; click or space replaces it (hatched)",
        )  # fmt: skip
        bars = Bars(
            names, found[..., 0], "accuracy", ("as it is", "replaced"), found[..., 1], found[..., 2],
            levels={"chance": chance}, limits=(0, 1.02), picked=s.texts,
            title="What they cost: accuracy as it is and with these parts replaced; whiskers: 95 % interval",
        )  # fmt: skip
        way, layer = (not s.tokens and place_of(index, s.selector)) or ("", 0)
        ringed = f"; ringed: now, {WAYS[way].replace('k', str(layer))}" if way else ""
        curves = self.kept((key, "layers"), lambda: layer_costs(asked, means, tuple(WAYS)))
        value, low, high = ({WAYS[name]: each[:, i] for name, each in curves.items()} for i in range(3))
        curve = Curves(
            [f"L{n}" for n in range(self.model.layers)], value, "layer k", "accuracy", low, high,
            levels={"as it is": now[0], "chance": asked.chance}, limits=(0, 1.08),
            picked=f"L{layer}" * bool(way),
            title=f"Where it is written: ‘{s.texts}’ with the attention of layers replaced{ringed}",
        )  # fmt: skip
        changed = asked.changes(s.selector, means, cls)
        some, answers = changed.some(), (changed.said, changed.now, asked.truth)
        strip = Strip(
            [self.pictures[self.store.rows[asked.images[i]]] for i in some],
            ["{} → {}; truth: {}".format(*(asked.classes[each[i]] for each in answers)) for i in some],
            title=f"Answers that changed: {changed.says() or 'none'}",
        )
        rows = bars.rows().assign(view="question", chance=chance * 2).rename(columns={"label": "question"})
        layers = curve.rows().assign(view="curve", question=s.texts).rename(columns={"layer k": "layer"})
        return Shown(
            says(asked, s.selector, means, cls, now, changed),
            {"grid": grid, "bars": bars, "curve": curve, "changed": strip},
            about=f"{len(self.store):,} images", facts={"means": means.name} if means else {},
            images=f"{self.store.name}, digest {self.store.facts['data'][0][:12]}",
            table=pd.concat([rows, layers]).rename(columns={"series": "condition"})[COLUMNS],
        )  # fmt: skip

    def again(self, state: State) -> str:
        references = "[]" if state.image == "none" else "[reference]"
        return f"model, images, store, {references}" + ", [asked]" * self.given

    def lines(self) -> str:
        s, name, cls = self.selection, self.store.name, ", cls='L*.H*'" * bool(self.selection.tokens)
        tokens = ", tokens='cls'" * ("cls" in self.store.arrays)
        means = "reference" if s.replace == "mean" else None
        reference = f"reference = ...  # kit.edits.Means of {s.image}\n" * (s.image != "none")
        return f"""\
images = ...  # those of the store: {name}
store = kit.collect(model, images, 'store', {name!r}{tokens})
{reference}\
asked = kit.edits.ask(model, store, {s.texts!r})  # or kit.edits.asked
after = asked.after({s.selector!r}, {means}{cls})  # cosines, [image, text]
asked.judged(after).mean()"""
