"""Notebook 00's panel: a picture taken apart into layers, heads and tokens, for prompts that you type."""

import asyncio
import base64
import html

import pandas as pd

from kit.data.sets import Images
from kit.models import load
from kit.models.model import Model
from kit.panels.controls import Controls
from kit.panels.drawing import heat_png, panel_png
from kit.panels.encoded import Encoded
from kit.panels.findings import Finding
from kit.panels.heat_panel import png_bytes
from kit.panels.panel import Panel
from kit.panels.saving import finding_table, pixels_line
from kit.panels.selection import FIELDS, Selection, split_tokens

PINS = 4
WAIT_SECONDS = 0.05  # a total effect waits for the next change: a held arrow key repeats faster than this
PROMPTS = ("a cat", "a dog", "a red thing", "a blue thing", "a thing on grass", "a thing on snow")


class Explorer(Panel):
    """A picture, the layer × head grid, and a bar for each prompt; pick, type, switch off, and see.

    Args:
        model: a model, or the name of a shipped one.
        images: scenes of `kit.world`, or pictures (paths, PIL images, arrays); None = the gallery.
        texts: prompts to begin with; None = a few that fit the gallery.
        state: a state string as the panel shows it, instead of texts.
        means: mean parts of a reference set (`kit.collect`); None = those that a shipped model has.

    Raises:
        KitError: an unknown model, an image that cannot be read, a state that cannot be.

    Example:
        >>> panel = Explorer("stickers-l8", texts=["a cat", "a dog"])    # doctest: +SKIP
        >>> panel.selection.selector = "L5.H3"                            # doctest: +SKIP
        >>> panel.caption                                                 # doctest: +SKIP
        'L5.H3 adds +0.081 of 0.264 to ‘a cat’, mostly from 6 of 64 tokens, 5 of them on the cat.'
    """

    def __init__(
        self,
        model: Model | str = "stickers-l8",
        images: Images | None = None,
        texts=None,
        state: str | None = None,
        means=None,
    ):
        super().__init__()
        model = load(model) if isinstance(model, str) else model
        self.cases = Encoded(model, images, means)
        self.selection = Selection(model=model.label, image=next(iter(self.cases.pictures)))
        self.selection.texts = tuple(texts or PROMPTS)
        if self.cases.has_means(model.label):
            self.selection.replace = "mean"
        if state is not None:
            self.selection.change(**Selection.parse(state).as_dict())
        elif self.selection.selector == "none":
            self.selection.selector = self._loudest_head()
        self.found: Finding = self.cases.find(self.selection)
        self._good = self.selection.as_dict()
        self._pins: list[str] = []
        self._drawn_picture = None
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        self.controls = Controls()
        self.box.children = self.controls.arranged(self._say, self._foot())
        self._connect()
        self._draw()
        self.selection.observe(self._selected, names=list(FIELDS))

    @property
    def caption(self) -> str:
        """The finding in one sentence."""
        return self.found.caption

    @property
    def state(self) -> dict:
        """What is looked at, as plain data; `str(panel.selection)` is the same as one string."""
        return self.selection.as_dict()

    def finding(self) -> str:
        return f"{self.selection.model}, {self.selection.image}: {self.found.caption}"

    def png(self, paper: bool = False) -> bytes:
        return panel_png(self.found, self.selection, self.cases.seen(self.selection))

    def table(self) -> pd.DataFrame:
        return finding_table(self.found, self.selection)

    def code(self) -> str:
        return as_code(self.selection, self.cases.of_gallery)

    def provenance(self) -> str:
        return self.cases.provenance(self.selection)

    def upload(self, content: bytes, filename: str) -> None:
        """Look at an uploaded picture; what cannot be read becomes a sentence in the panel."""
        name = []
        if self.guarded(lambda: name.append(self.cases.add_upload(content, filename).name), self._undo):
            self.choose(image=name[0])

    # --- from state to screen

    def _selected(self, _=None) -> None:
        """The selection changed, from wherever: find, draw; where that fails, go back."""
        if self._writing or self.selection.as_dict() == self._good:
            return
        self.guarded(self._find_and_draw, self._undo)
        self._sync()

    def _find_and_draw(self) -> None:
        self.found = self.cases.find(self.selection)
        self._draw()
        self._good = self.selection.as_dict()

    def _undo(self) -> None:
        self._writing = True
        try:
            self.selection.change(**self._good)
        finally:
            self._writing = False

    def _draw(self) -> None:
        found, state, c = self.found, self.selection, self.controls
        picture = self.cases.picture(state.image)
        if self._drawn_picture != (state.model, state.image):
            c.heat.set_picture(self.cases.seen(state).image, picture.masks)
            c.face.value = _face(picture)
            self._drawn_picture = state.model, state.image
        with c.heat.hold_sync(), c.grid.hold_sync(), c.bars.hold_sync():
            c.heat.set_numbers(found.heat)
            c.heat.vmax, c.heat.alt = found.heat_limit, found.heat_alt
            c.grid.set_layout(found.grid)
            c.grid.set_numbers(found.grid.spread(found.cells).reshape(found.grid.rows, found.grid.cols))
            c.grid.vmax, c.grid.alt = found.cell_limit, found.cell_alt
            c.grid.off = found.grid.cells_of(found.off)
            c.bars.texts, c.bars.text, c.bars.limit = list(state.texts), state.text, found.bar_limit
            c.bars.marks = [] if found.marks is None else found.marks.tolist()
            c.bars.set_values(found.bars)
            c.bars.alt = found.bar_alt
        self._draw_words(picture)
        self._sync()

    def _draw_words(self, picture) -> None:
        found, state, c = self.found, self.selection, self.controls
        model = self.cases.model(state.model)
        truth = f"Truth: {picture.line}." if picture.line else picture.note
        c.truth.text = (
            f"{truth} {'' if model.trained else 'This model has random weights: nothing here is knowledge.'}"
        )
        c.unseen.text = " ".join(note for text in state.texts if (note := model.unknown_note(text)))
        names = found.names_of_picked
        size = " × ".join(map(str, model.image_size))
        c.heat_head.strong = "Where from"
        c.heat_head.text = f"Where from: tokens read by {names}, on the {size} pixels that the model saw"
        c.grid_head.strong, c.grid_head.text = "Which parts", f"Which parts: {found.direction}. {found.sums}"
        c.bars_head.strong = "How much"
        c.bars_head.text = f"How much: cosine with each prompt; “it” is {names}"
        c.caption.text = found.caption

    def _sync(self) -> None:
        """Make every control show the selection."""
        state, c, found = self.selection, self.controls, self.found
        self._writing = True
        try:
            _offer(c.picture, [(self._title(name), name) for name in self.cases.pictures])
            _offer(c.model, [(name, name) for name in self.cases.model_names])
            c.picture.value, c.model.value = state.image, state.model
            c.prompts.value = "; ".join(state.texts)
            c.directions.value, c.effect.value, c.replace.value = (
                state.directions,
                state.effect,
                state.replace,
            )
            c.state.value = str(state)
            c.grid.picked = found.grid.cells_of(found.picked)
            c.heat.picked = [t - len(found.prefix) for t in found.tokens if t >= len(found.prefix)]
            c.bars.text = state.text
            c.all_tokens.disabled = not found.tokens
            c.restore.disabled = not found.off
            on_again = found.picked and set(found.picked) <= set(found.off)
            c.switch.description = "switch on" if on_again else "switch off"
            c.outline.disabled = self.cases.picture(state.image).masks is None
        finally:
            self._writing = False

    def _title(self, name: str) -> str:
        picture = self.cases.pictures[name]
        words = picture.line.split(", ")[0] or picture.note.split(", ")[0]
        return f"{name}: {words}" if words else name

    def _loudest_head(self) -> str:
        """The head that adds most to the first prompt."""
        found = self.cases.find(self.selection)
        heads = [i for i, name in enumerate(found.names) if ".H" in name]
        return found.names[max(heads, key=lambda i: found.cells[i])] if heads else "all"

    # --- from hands to state

    def _connect(self) -> None:
        c = self.controls
        for name in ("picture", "model", "directions", "effect", "replace"):
            field = {"picture": "image"}.get(name, name)
            getattr(c, name).observe(
                lambda change, field=field: self.choose(**{field: change.new}), names="value"
            )
        c.prompts.observe(lambda change: self.choose(texts=_prompts(change.new)), names="value")
        c.state.observe(lambda change: self._restore_state(change.new), names="value")
        c.grid.observe(lambda change: self.choose(selector=self._parts_at(change.new)), names="picked")
        c.heat.observe(lambda change: self.choose(tokens=self._tokens_at(change.new)), names="picked")
        c.bars.observe(lambda change: self.choose(text=change.new), names="text")
        c.outline.observe(lambda change: setattr(c.heat, "outline", change.new), names="value")
        self._take_uploads(c.upload)
        c.switch.on_click(lambda _: self.switch_off())
        c.keep.on_click(lambda _: self.keep_only())
        c.restore.on_click(lambda _: self.choose(off=""))
        c.all_tokens.on_click(lambda _: self.choose(tokens=""))
        c.pin.on_click(lambda _: self.guarded(self._pin, self._undo))

    def choose(self, **fields) -> None:
        """Change the state as a hand in the panel does; a total effect waits for the next change."""
        if self._writing:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.guarded(lambda: self._set_quietly(fields), self._undo):
            return self._sync()
        loop = _running_loop()
        if self.selection.effect == "total" and loop and not self._ready():
            self.controls.busy.text = "computing…"
            self._timer = loop.call_later(WAIT_SECONDS, self._compute)
        else:
            self._compute()

    def switch_off(self) -> None:
        """Switch the selected parts off; where all of them are off, on again."""
        names, off = self.found.names, set(self.found.off)
        picked = set(self.found.picked)
        now = sorted(off - picked if picked <= off else off | picked)
        self.choose(off=", ".join(names[i] for i in now))

    def keep_only(self) -> None:
        """Switch off all heads and MLPs but the selected; what does not depend on the picture stays."""
        kinds, picked = self.found.kinds, set(self.found.picked)
        rest = [n for i, n in enumerate(self.found.names) if kinds[i] in ("head", "mlp") and i not in picked]
        self.choose(off=", ".join(rest))

    def _set_quietly(self, fields: dict) -> None:
        self._writing = True
        try:
            self.selection.change(**fields)
        finally:
            self._writing = False

    def _ready(self) -> bool:
        ready = []
        return (
            self.guarded(lambda: ready.append(self.cases.is_ready(self.selection)), self._undo) and ready[0]
        )

    def _compute(self) -> None:
        self._timer = None
        c = self.controls
        slow = not self._ready()
        try:
            if slow:
                self.controls.busy.text = "computing…"
                self._lock(True)
            self._selected()
        finally:
            c.busy.text = ""
            if slow:
                self._lock(False)
        self._sync()

    def _lock(self, locked: bool) -> None:
        for control in self.controls.to_lock():
            control.disabled = locked
        self.controls.grid.busy = self.controls.heat.busy = self.controls.bars.busy = locked

    def _restore_state(self, text: str) -> None:
        if self._writing or text == str(self.selection):
            return
        parsed = {}
        if self.guarded(lambda: parsed.update(Selection.parse(text).as_dict()), self._undo):
            self.choose(**parsed)
        else:
            self._sync()

    def _parts_at(self, cells: list[int]) -> str:
        grid = self.found.grid
        return ", ".join(grid.labels[i] for i in cells if grid.labels[i]) or "none"

    def _tokens_at(self, cells: list[int]) -> str:
        kept = [t for t in split_tokens(self.selection.tokens) if t == "cls"] if cells else []
        return ", ".join(kept + [self.controls.heat.labels[i] for i in cells])

    def _pin(self) -> None:
        picture = base64.b64encode(heat_png(self.found, self.cases.seen(self.selection))).decode()
        words = html.escape(self.found.caption)
        state = html.escape(str(self.selection))
        self._pins = [
            f'<div class="loupe-pin"><img src="data:image/png;base64,{picture}" alt="{words}">'
            f"<div>{words}<br><small>{state}</small></div></div>",
            *self._pins,
        ][:PINS]
        self.controls.pins.value = f'<div class="loupe-pins">{"".join(self._pins)}</div>'


def _face(picture) -> str:
    """The picture in its colours, for the eye."""
    content = base64.b64encode(png_bytes(picture.fine or picture.image, 232)).decode()
    below = "<figcaption>finer, for the eye</figcaption>" if picture.fine else ""
    words = html.escape(picture.line or picture.note or picture.name)
    return f'<figure><img src="data:image/png;base64,{content}" alt="{words}">{below}</figure>'


def as_code(state: Selection, of_gallery: bool) -> str:
    """Lines that compute what a state shows, without a panel; `images` are those that it was given."""
    lines = [
        "import kit",
        f"model = kit.load({state.model!r})",
        f"pixels = model.preprocess({pixels_line(state.image, of_gallery)})",
        f"vectors = model.encode_text({list(state.texts)!r})",
        f"directions = kit.panels.prompt_directions(vectors, {state.directions!r})",
        "scores = kit.scores(model, pixels, directions)        # [batch, part, text]",
        "run = kit.parts.run(model, pixels)",
        f"heat = run.maps(directions, {state.selector!r})  # [batch, head, token, text]",
    ]
    if state.off:
        how = f"replace={state.replace!r}, effect={state.effect!r}"
        lines.append(f"edited = kit.ablate(model, pixels, {state.off!r}, {how})")
    return "\n".join(lines)


def _offer(dropdown, options: list[tuple[str, str]]) -> None:
    """Set a dropdown's options where they are new; setting them resets its value."""
    if tuple(dropdown.options) != tuple(options):
        dropdown.options = options


def _prompts(text: str) -> list[str]:
    return [part.strip() for part in text.replace("·", ";").split(";") if part.strip()]


def _running_loop():
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
