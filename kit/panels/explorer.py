"""Notebook 00's panel: a picture taken apart into layers, heads and tokens, for prompts that you type."""

import html
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import ipywidgets as w
import pandas as pd

from kit.data.sets import Images
from kit.errors import KitError
from kit.figures import Bars, Grid, Maps, Strip
from kit.figures.maps import painted
from kit.figures.strip import data_url, small
from kit.maps.findings import Finding, finding_table
from kit.maps.pictures import Picture
from kit.maps.selection import checked_texts, split_tokens
from kit.models import load
from kit.models.model import Model
from kit.panels.declared import Shown
from kit.panels.encoded import PRINTED, Encoded
from kit.panels.fields import Action, Menu, Parts, Radio, State, Texts, Toggle, Tokens, Upload
from kit.panels.pictures import PicturePanel
from kit.world import VALUES

TALL = 224  # pixels of the rows of the grid: it ends where the map does
PINS, PIN = 4, 152  # findings that are kept below; pixels of their maps
PROMPTS = ("a cat", "a dog", "a red thing", "a blue thing", "a thing on grass", "a thing on snow")
DIRECTIONS = [("minus the others", "contrast"), ("as they are", "raw"), ("minus reference mean", "reference")]
KINDS = ("whole", "without it", "only it")
INSTEAD = {"mean": "its mean is put in", "zero": "zero is put in"}
CHANCE = " This model has random weights: nothing here is knowledge."


class Explorer(PicturePanel):
    """A picture, the layer × head grid, and a bar for each prompt; pick, type, switch off, and see.

    Args:
        model: a model, or the name of a shipped one; a list of them stands in the menu, the first is shown.
        images: scenes of `kit.world`, pictures (paths, PIL images, arrays), or a set, such as that of
            `kit.data.read_folder`; None = the gallery.
        texts: prompts to begin with; None = a few that fit the gallery.
        state: a state string as the panel shows it, instead of texts.
        means: mean parts of a reference set (`kit.collect`), or the set itself; None = those that a shipped
            model has.

    Raises:
        KitError: an unknown model, an image that cannot be read, a state that cannot be.

    Example:
        >>> panel = Explorer("stickers-l8", texts=["a cat", "a dog"])    # doctest: +SKIP
        >>> panel.selection.selector = "L5.H3"                            # doctest: +SKIP
        >>> panel.caption                                                 # doctest: +SKIP
        'L5.H3 adds +0.081 of 0.264 to ‘a cat’, mostly from 6 of 64 tokens, 5 of them on the cat.'
    """

    model = Menu(None, "model", "which model is taken apart")
    image = Menu(None, "picture", "what the model looks at", "290px")
    selector = Parts("grid")
    texts = Texts(PROMPTS, "prompts", "a cat; a dog", "100%")
    word = Menu("", "print", "a word to print into the picture, any picture", "150px")
    text = Radio("bars", "prompt")
    tokens = Tokens("map")
    off = Parts("", "", "parts that are off")
    effect = Toggle("direct", "effect", "direct: the sum is changed; total: later layers run again")
    replace = Toggle("zero", "off means", "what a switched-off part is replaced by")
    directions = Menu("contrast", "directions", "what a prompt is compared with", "220px")
    file = Upload()
    switch = Action("switch off", "switch_off", "switch the selected parts off, or on again")
    keep = Action("keep only", "keep_only", "switch off all other heads and MLPs; constants stay")
    all_on = Action("all on", lambda s: {"off": ""}, "switch every part on", needed=lambda s: s.off)
    all_tokens = Action("all tokens", lambda s: {"tokens": ""}, "forget the picked tokens",
                        needed=lambda s: s.tokens)  # fmt: skip
    outline = Action("outline", "outlined", "show or hide the outline of what is really there")
    pinned = Action("pin", "pin", "keep this finding below, to compare")
    positional = ("image", "selector", "texts")
    rows = (
        ("image", "word", "file", "model"),
        "texts",
        ("face", ("told", ("directions", "effect", "replace", "switch", "keep", "all_on", "busy"))),
        (("map", ("outline", "all_tokens", "pinned")), "grid", "bars"),
    )
    stills = (("map", "grid"), ("face", "bars"))

    def __init__(
        self,
        model: Model | str | Sequence[Model | str] = "stickers-l8",
        images: Images | None = None,
        texts=None,
        state: str | None = None,
        means=None,
    ):
        models = list(model) if isinstance(model, list | tuple) else [model]
        models = [load(one) if isinstance(one, str) else one for one in models]
        self.take(images)
        self.given = means is not None
        self.cases, self.begin = Encoded(models, self.sized, means), tuple(texts or PROMPTS)
        self.pins, self._pins = w.HTML(), []
        super().__init__(models[0], state)
        grid = self.views["grid"].widget
        grid.tall, grid.missing = TALL, "not split by token"

    def options(self, name: str) -> list:
        known = {"effect": ["direct", "total"], "replace": ["mean", "zero"], "directions": DIRECTIONS}
        known["word"] = [("no word", ""), *((word, word) for word in VALUES["word"])]
        return self.cases.model_names if name == "model" else known.get(name) or super().options(name)

    @property
    def label(self) -> str:
        return self.selection.model

    def picture(self, name: str) -> Picture:
        """The picture of this name; `"scene 3 with banana"` is scene 3 and a word."""
        name, _, word = name.partition(PRINTED)
        found = super().picture(name)
        return replace(found, word=word) if word else found

    def first(self) -> dict:
        """The head that adds most to the first prompt."""
        replace = "mean" if self.cases.has_means(self.model.label) else "zero"
        fields = {**super().first(), "texts": checked_texts(self.begin), "replace": replace}
        found = self.cases.find(SimpleNamespace(**{**self._plain, **fields}))
        heads = [i for i, kind in enumerate(found.kinds) if kind == "head"]
        loudest = max(heads, key=lambda i: found.cells[i], default=None)
        return {**fields, "selector": "all" if loudest is None else found.names[loudest]}

    def also(self, fields: dict) -> dict:
        """Of fewer prompts the last is looked at, where the one before is gone."""
        if "image" in fields:
            self.picture(fields["image"])
        if "texts" not in fields or "text" in fields:
            return fields
        return {**fields, "text": max(0, min(self.selection.text, len(fields["texts"]) - 1))}

    def slow(self, state: State) -> bool:
        return state.effect == "total" and self.runs(state)

    def runs(self, state: State) -> bool:
        return not self.cases.is_ready(state)

    @property
    def found(self) -> Finding:
        """What is shown, as arrays and sentences."""
        return self.cases.find(self.selection)

    def show(self, s: State) -> Shown:
        """The picture, its map and grid for one prompt, and the cosines of all."""
        if s.text >= len(s.texts):
            raise KitError(f"no prompt {s.text}: there are {len(s.texts)}, counted from 0.")
        found, picture, model = self.cases.find(s), self.cases.sized(s), self.cases.model(s.model)
        picked, off = ([found.names[i] for i in rows] for rows in (found.picked, found.off))
        names, size = found.names_of_picked, " × ".join(map(str, model.image_size))
        told = [picture.line or picture.note or picture.name]
        face = Strip([picture.fine or picture.image], [f"seen at {size}"], tips=told, large=True)
        heat = Maps(
            [found.heat], [self.cases.seen(s).image], "what each token adds", [picture.name],
            None if picture.masks is None else picture.masks.any(0)[None], found.heat_limit,
            picked=split_tokens(s.tokens), title=f"Where from: tokens read by {names}", says=found.caption,
        )  # fmt: skip
        title = f"Which parts: {found.direction}. {found.sums}"
        index, unit = self.cases.index(s), "what each part adds"
        grid = Grid(index, found.cells, unit, found.cell_limit, picked=picked, off=off, title=title)
        notes = {text: note for text in s.texts if (note := model.unknown_note(text))}
        without = INSTEAD[s.replace] + ", and later layers run again" * (s.effect == "total")
        bars = Bars(
            s.texts, found.bars, "cosine", KINDS, unknown=notes, picked=s.texts[s.text],
            limits=(-found.bar_limit, found.bar_limit),
            levels={} if found.marks is None else {"every part on": found.marks},
            title=f"How much: cosines. “It” is {names}; without it, {without}",
        )  # fmt: skip
        return Shown(
            found.caption, {"face": face, "map": heat, "grid": grid, "bars": bars}, about=s.image,
            truth=picture.told + CHANCE * (not model.trained),
            note=" ".join(notes.values()),
        )  # fmt: skip

    # --- buttons

    def switch_off(self) -> dict:
        """The selected parts off; where all of them are off, on again."""
        grid = self.shown.figures["grid"]
        off, picked = set(grid.off), set(grid.picked)
        return self._off(off - picked if picked <= off else off | picked)

    def keep_only(self) -> dict:
        """All heads and MLPs but the selected off; what does not depend on the picture stays."""
        grid = self.shown.figures["grid"]
        return self._off(set(grid.index["name"][grid.index["kind"].isin(["head", "mlp"])]) - {*grid.picked})

    def _off(self, names: set[str]) -> dict:
        return {"off": ", ".join(name for name in self.shown.figures["grid"].index["name"] if name in names)}

    def outlined(self) -> None:
        """Show the outline of the truth, or hide it."""
        heat = self.views["map"].widget
        heat.outline = not heat.outline

    def pin(self) -> None:
        """Keep the finding below."""
        heat, words = self.shown.figures["map"], html.escape(self.caption)
        picture = data_url(small(painted(heat.pictures[0], heat.values[0], heat.limit), PIN))
        below = f"<div>{words}<br><small>{html.escape(self.string)}</small></div>"
        pin = f'<div class="loupe-pin"><img src="{picture}" alt="{words}">{below}</div>'
        self._pins = [pin, *self._pins][:PINS]
        self.pins.value = f'<div class="loupe-pins">{"".join(self._pins)}</div>'

    def _arranged(self) -> list[w.Widget]:
        rows = super()._arranged()
        at = rows.index(self.line)
        return [*rows[:at], self.pins, *rows[at:]]

    def _sync(self) -> None:
        super()._sync()
        grid, heat = self.shown.figures["grid"], self.shown.figures["map"]
        again = grid.picked and {*grid.picked} <= {*grid.off}
        self.controls["switch"].description = "switch on" if again else "switch off"
        self.controls["outline"].disabled = heat.masks is None

    # --- what leaves the panel

    def table(self) -> pd.DataFrame:
        return finding_table(self.found, self.selection)

    def provenance(self) -> str:
        return self.cases.provenance(self.selection, self.seed)

    def again(self, state: State) -> str:
        return super().again(state) + ", means=means" * self.given

    def lines(self) -> str:
        s, means = self.selection, "means = ...  # mean parts, as the panel was given them\n" * self.given
        lines = f"""\
{means}\
pixels = model.preprocess({self.cases.sized(s).code})
vectors = model.encode_text({list(s.texts)!r})
directions = kit.panels.prompt_directions(vectors, {s.directions!r})
scores = kit.scores(model, pixels, directions)        # [batch, part, text]
run = kit.parts.run(model, pixels)
heat = run.maps(directions, {s.selector!r})  # [batch, head, token, text]"""
        edit = f"kit.ablate(model, pixels, {s.off!r}, replace={s.replace!r}, effect={s.effect!r})"
        return lines + f"\nedited = {edit}" * bool(s.off)
