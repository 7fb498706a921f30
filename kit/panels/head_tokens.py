"""Notebook 16's panel: which head sees what, where. Tokens, heads side by side, and a film of the layers."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pandas as pd

from kit.data.sets import Images
from kit.models import load
from kit.models.model import Model
from kit.panels.heat_panel import HeatPanel
from kit.panels.panel import Panel
from kit.panels.saving import pixels_line
from kit.panels.selection import split_tokens
from kit.panels.token_controls import TokenControls
from kit.panels.token_drawing import look_table, token_png
from kit.panels.token_looks import FILMS, Look, TokenLooks, TokenState

PROMPTS = ("a cat", "a dog", "a red thing", "a blue thing", "a thing on grass", "a thing on snow")


class HeadTokens(Panel):
    """Click a token: who reads it, for which prompt. Click a head: where it looks. And layer by layer.

    Args:
        model: a model, or the name of a shipped one.
        images: scenes of `kit.world`, or pictures (paths, PIL images, arrays); None = the gallery.
        texts: prompts to begin with; None = a few that fit the gallery.
        spans: the texts of each head (`kit.textspan`), so that maps of its own first text can be asked for.
        bank: the bank that these texts were picked from; for a model that encodes no text, also the only
            texts that prompts can be.
        state: a state string as the panel shows it, instead of texts.

    Raises:
        KitError: an unknown model, an image that cannot be read, texts without their bank, a state that
            cannot be.

    Example:
        >>> panel = HeadTokens("stickers-l8", texts=["a cat", "a thing on grass"])     # doctest: +SKIP
        >>> panel.choose(selector="L2.H3, L5.H0", tokens="r3c2")                       # doctest: +SKIP
        >>> panel.look.said["readers"]                                                 # doctest: +SKIP
        'From r3c2 all heads add +0.004 to ‘a cat’, most of it L2.H3 +0.003 and L5.H0 +0.000. …'
    """

    def __init__(
        self,
        model: Model | str = "stickers-l8",
        images: Images | None = None,
        texts=None,
        spans=None,
        bank=None,
        state: str | None = None,
    ):
        super().__init__()
        model = load(model) if isinstance(model, str) else model
        self.cases = TokenLooks(model, images, spans, bank)
        if state is None:
            self.selection = self.cases.first_state(model.label, texts or PROMPTS)
        else:
            self.selection = TokenState.parse(state)
        self._writing, self._held, self._drawn = False, "", ""
        self.c = TokenControls(model.layers, bool(model.prefix_tokens), bool(self.cases.own))
        self.box.children = self.c.arranged(self._say, self._foot())
        self._link = self.c.link  # closed with the panel
        self._find_and_draw()
        self._sync()
        self._connect()

    @property
    def caption(self) -> str:
        """What the chosen heads add, in a sentence or two."""
        return self.look.said["caption"]

    @property
    def state(self) -> dict:
        """What is looked at, as plain data; `str(panel.selection)` is the same as one string."""
        return self.selection.as_dict()

    def finding(self) -> str:
        return f"{self.selection.model}, {self.selection.image}: {self.caption} {self.look.said['readers']}"

    def png(self, paper: bool = False) -> bytes:
        return token_png(self.look, self.selection, self.cases.seen(self.selection))

    def table(self) -> pd.DataFrame:
        """What each head adds: to the maps from each token, to each prompt, to each layer's frame."""
        return look_table(self.look, self.selection)

    def code(self) -> str:
        return as_code(self.selection, self.cases.of_gallery)

    def provenance(self) -> str:
        return self.cases.provenance(self.selection)

    # --- from hands to state

    def choose(self, **fields) -> None:
        """Change the state as a hand in the panel does; what cannot be becomes a sentence."""
        if self._writing:
            return
        self.guarded(partial(self._change, fields), self._undo)
        self._sync()

    def upload(self, content: bytes, filename: str) -> None:
        """Look at an uploaded picture; what cannot be read becomes a sentence in the panel."""
        name = []
        if self.guarded(lambda: name.append(self.cases.add_upload(content, filename).name), self._undo):
            self.choose(image=name[0])

    def _change(self, fields: dict) -> None:
        with self._quietly():
            self.selection.change(**fields)
        self._find_and_draw()

    def _selected(self, _) -> None:
        """The selection was changed from outside the panel."""
        if not self._writing and self.selection.as_dict() != self._good:
            self.choose()

    def _undo(self) -> None:
        with self._quietly():
            self.selection.change(**self._good)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Changes of state or controls that are no hand's."""
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before

    def _heads_picked(self, cells: list[int]) -> None:
        """A click looks at a head; with shift it stands beside the first, or goes."""
        if self._writing:
            return
        labels, heads = self.look.found[0].grid.labels, self.look.heads
        names = [labels[i] for i in cells if labels[i]]
        if not names:
            self._sync()
        elif len(names) == 1:
            went = len(heads) == 2 and names[0] in heads and len(self._picked_cells) == 2
            self._held = "" if went else self._held
            self._look_at(names[0])
        else:
            self._held = names[-1]
            self._look_at(heads[0])

    def _look_at(self, head: str, **more) -> None:
        """Look at a head, with the one that is held beside it."""
        beside = f", {self._held}" if self._held and self._held != head else ""
        self.choose(selector=head + beside, **more)

    def _reader_picked(self, cells: list[int]) -> None:
        """A cell of the readers is a head and a prompt."""
        if self._writing:
            return
        if not cells:
            self._sync()
            return
        text, reader = divmod(cells[-1], len(self.look.readers))
        self._look_at(self.look.readers[reader], text=text)

    def _hold(self, held: bool) -> None:
        if self._writing:
            return
        self._held = self.look.heads[0] if held else ""
        if not held:
            self.choose(selector=self.look.heads[0])

    def _tokens_picked(self, heat: HeatPanel, cells: list[int]) -> None:
        if self._writing:
            return
        kept = [t for t in split_tokens(self.selection.tokens) if t == "cls"]
        self.choose(tokens=", ".join(kept + [heat.labels[i] for i in cells]))

    def _class_token(self, wanted: bool) -> None:
        others = [t for t in split_tokens(self.selection.tokens) if t != "cls"]
        self.choose(tokens=", ".join((["cls"] if wanted else []) + others))

    def _restore(self, text: str) -> None:
        if self._writing or text == str(self.selection):
            return
        parsed = {}
        if self.guarded(lambda: parsed.update(TokenState.parse(text).as_dict()), self._undo):
            self.choose(**parsed)
        else:
            self._sync()

    # --- from state to screen

    def _find_and_draw(self) -> None:
        self.look: Look = self.cases.look(self.selection)
        self._draw()
        self._good = self.selection.as_dict()

    def _draw(self) -> None:
        look, state = self.look, self.selection
        picture = self.cases.picture(state.image)
        if self._drawn != state.image:
            seen = self.cases.seen(state).image
            for heat in self.c.maps:
                heat.set_picture(seen, picture.masks)
            self._drawn = state.image
        self._draw_maps()
        self._draw_readers()
        self._draw_film()
        said = look.said
        self.c.gaze.text, self.c.pair.text = said["gaze"], said["pair"]
        self.c.truth.text = f"Truth: {picture.line}." if picture.line else picture.note
        model = self.cases.model(state.model)
        self.c.unseen.text = " ".join(note for text in state.texts if (note := model.unknown_note(text)))
        self.c.told.text = said["caption"]  # last: who hears or waits for it finds everything else in place

    def _draw_maps(self) -> None:
        look, state = self.look, self.selection
        shown = [*look.maps, look.difference] if len(look.maps) == 2 else look.maps
        names = [*look.heads, " minus ".join(look.heads)]
        for heat, head, box, values, name in zip(
            self.c.maps, self.c.map_heads, self.c.columns, [*shown, None, None], [*names, ""]
        ):
            box.layout.display = "none" if values is None else ""
            if values is None:
                continue
            with heat.hold_sync():
                heat.set_numbers(values)
                heat.vmax, heat.unit = look.limit, look.unit
                heat.alt = f"{name}, {look.unit}, {state.shows}. {look.said['pair']} {look.said['caption']}"
            head.strong, head.text = name, f"{name}: {self._asked_of(name)}"

    def _asked_of(self, name: str) -> str:
        """What a map is about, in words."""
        state, look = self.selection, self.look
        if state.shows == "attention":
            return "where it looks, whatever it writes there"
        if name not in look.heads:
            return "red where the first adds more"
        if state.shows == "own text":
            return f"for its own first text, ‘{look.own[look.heads.index(name)]}’"
        return f"for ‘{state.texts[state.text]}’"

    def _draw_readers(self) -> None:
        look, state, found = self.look, self.selection, self.look.found[0]
        where = state.tokens or "the whole picture"
        with self.c.grid.hold_sync():
            self.c.grid.set_layout(found.grid)
            self.c.grid.set_numbers(found.grid.spread(look.cells).reshape(found.grid.rows, found.grid.cols))
            self.c.grid.vmax = look.cell_limit
            self.c.grid.alt = f"Heads for ‘{state.texts[state.text]}’. {look.said['readers']}"
        with self.c.readers.hold_sync():
            self.c.readers.set_numbers(look.reads)
            self.c.readers.row_names, self.c.readers.col_names = list(state.texts), look.readers
            self.c.readers.labels = [f"{head} · {text}" for text in state.texts for head in look.readers]
            self.c.readers.vmax, self.c.readers.alt = look.read_limit, look.said["readers"]
        looks = ("whole", "only", "rest")
        with self.c.bars.hold_sync():
            self.c.bars.texts, self.c.bars.text = list(state.texts), state.text
            self.c.bars.kinds = [{"name": n, "look": k} for n, k in zip(["all heads", *look.heads], looks)]
            self.c.bars.limit = float(max(look.read_limit, np.nanmax(np.abs(look.bars))))
            self.c.bars.set_values(look.bars)
            self.c.bars.alt = look.said["readers"]
        self.c.read.text = look.said["readers"]
        self.c.grid_head.text = f"Which heads: what each adds to ‘{state.texts[state.text]}’ from {where}"
        self.c.bars_head.text = f"For which prompt: what heads add from {where}"
        self.c.readers_head.text = f"Who reads it, for which prompt: the strongest readers of {where}"

    def _draw_film(self) -> None:
        film, state = self.look.film, self.selection
        with self.c.film.hold_sync():
            self.c.film.set_numbers(film.frames[state.film][state.layer])
            self.c.film.vmax, self.c.film.alt = film.limits[state.film], self.look.said["film"]
        self.c.film_said.text = self.look.said["film"]
        which = f"layer {state.layer} alone" if state.film == FILMS[0] else f"layers 0–{state.layer}"
        self.c.film_head.text = f"Layer by layer: all heads of {which}, for ‘{state.texts[state.text]}’"

    def _sync(self) -> None:
        """Make every control show the state."""
        state, look = self.selection, self.look
        grid, n = look.found[0].grid, len(look.prefix[0])
        titles = [
            (f"{p.name}: {(p.line or p.note).split(', ')[0]}", p.name) for p in self.cases.pictures.values()
        ]
        with self._quietly():
            if tuple(self.c.picture.options) != tuple(titles):
                self.c.picture.options = titles
            self.c.picture.value, self.c.prompts.value = state.image, "; ".join(state.texts)
            self.c.directions.value, self.c.shows.value = state.directions, state.shows
            self.c.kind.value, self.c.layer.value, self.c.line.value = state.film, state.layer, str(state)
            self._held = look.heads[1] if len(look.heads) == 2 else self._held
            self.c.beside.value = bool(self._held)
            self.c.class_token.value = "cls" in split_tokens(state.tokens)
            self._picked_cells = [grid.labels.index(head) for head in look.heads]
            self.c.grid.picked = self._picked_cells
            tokens = [t - n for t in look.tokens if t >= n]
            for heat in self.c.maps:
                heat.picked = tokens
            here = look.heads[0] in look.readers
            place = state.text * len(look.readers) + look.readers.index(look.heads[0]) if here else 0
            self.c.readers.picked = [place] if here else []

    def _connect(self) -> None:
        pairs = {
            "image": self.c.picture,
            "directions": self.c.directions,
            "shows": self.c.shows,
            "film": self.c.kind,
        }
        for name, control in {**pairs, "layer": self.c.layer}.items():
            control.observe(lambda change, name=name: self.choose(**{name: change.new}), names="value")
        self.c.prompts.observe(
            lambda change: self.choose(texts=[t.strip() for t in change.new.split(";") if t.strip()]),
            names="value",
        )
        self.c.line.observe(lambda change: self._restore(change.new), names="value")
        self.c.grid.observe(lambda change: self._heads_picked(change.new), names="picked")
        self.c.readers.observe(lambda change: self._reader_picked(change.new), names="picked")
        self.c.bars.observe(lambda change: self.choose(text=change.new), names="text")
        for heat in self.c.maps:
            heat.observe(partial(lambda heat, change: self._tokens_picked(heat, change.new), heat), "picked")
        self.c.beside.observe(lambda change: self._hold(change.new), names="value")
        self.c.class_token.observe(lambda change: self._class_token(change.new), names="value")
        self.c.all_tokens.on_click(lambda _: self.choose(tokens=""))
        self._take_uploads(self.c.upload_button)
        self.selection.observe(self._selected, names=list(TokenState.fields))


def as_code(state: TokenState, of_gallery: bool) -> str:
    """Lines that compute what a state shows, without a panel."""
    heads = [name.strip() for name in state.selector.split(",")]
    lines = [
        "import kit",
        f"model = kit.load({state.model!r})",
        f"run = kit.parts.run(model, model.preprocess({pixels_line(state.image, of_gallery)}))",
        f"vectors = model.encode_text({list(state.texts)!r})",
        f"directions = kit.panels.prompt_directions(vectors, {state.directions!r})",
        "maps = run.maps(directions)                                # [1, head, token, text]",
        f"first = run.maps(directions, {heads[0]!r})[0, 0, run.prefix:, {state.text}].reshape(run.grid)",
    ]
    if len(heads) == 2:
        lines.append(
            f"second = run.maps(directions, {heads[1]!r})[0, 0, run.prefix:, {state.text}].reshape(run.grid)"
        )
    film = f"run.maps(directions, f'L{{k}}.H*')[0, :, :, {state.text}].sum(0)"
    if state.shows == "attention":
        layer, head = heads[0][1:].split(".H")
        lines.append(f"looks = run.pattern_shares({layer})[0, :, {head}].sum(0)                # [token]")
        lines.append("looks = looks / looks.sum()")
    lines.append(f"frames = [{film} for k in range(model.layers)]")
    return "\n".join(lines)
