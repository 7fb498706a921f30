"""Panels that are declared: fields, rows, and one pure function from a state to what is shown."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import ipywidgets as w
import pandas as pd

from kit.errors import KitError, nearest
from kit.figures import Figure, together
from kit.figures.figure import LARGEST, written
from kit.models.model import Model
from kit.panels.fields import (
    READABLE,
    Action,
    Field,
    Menu,
    Name,
    Radio,
    State,
    Upload,
    Words,
    names_of,
)
from kit.panels.latest import Latest
from kit.panels.panel import Panel, Sentence
from kit.panels.saving import provenance
from kit.panels.upload import UploadButton
from kit.panels.views import RadioView, view_of

WAIT_SECONDS = 0.05  # a slow state waits for the next change: a held arrow key repeats faster than this
BUSY = "computing…"
KEPT, UPLOADS = 64, 8  # results, and uploads, that a panel keeps
LINE = Words("", "state", "what is looked at, as a string: copy it, or paste one", "100%")


@dataclass(frozen=True)
class Shown:
    """What a panel shows of one state.

    Attributes:
        caption: the finding, in a sentence or two.
        figures: name -> figure; always the same names, and each always of the same kind.
        truth, note: further lines, such as what is true of the picture.
        about: what the finding is about beside the model, such as the picture.
        images: the images, in words; `facts`: more that the numbers depend on (for files that are saved).
        table: the numbers, where they are more than those of the figures.
    """

    caption: str
    figures: dict[str, Figure]
    truth: str = ""
    note: str = ""
    about: str = ""
    images: str = ""
    facts: dict = field(default_factory=dict)
    table: pd.DataFrame | None = None


class DeclaredPanel(Panel):
    """Base of panels. A subclass names its fields and rows, and gives `show` and `lines`.

    Attributes of a subclass:
        fields of `kit.panels.fields`: in the order in which a state string has them.
        rows: names of fields and figures, row by row from top to bottom; names in a tuple within a row stand
            in a column, and in a tuple within that side by side. "told" is what is said of the state
            (caption, truth, note), which stands above the figures otherwise; "busy" where it is said that
            something is computed, otherwise beside the last controls above the figures.
        stills: names of figures, row by row, as a still has them; () = as the panel.
        positional: fields that a state string always has, in this order, behind the model; others only where
            they are not as at the beginning, as `name=value`.

    Attributes:
        model: what the panel was made with.
        selection: the state, which can be observed; `shown`: what is shown of it.
        uploads: the latest uploads, by the names that the state has for them (`keep_upload`).
    """

    rows: Sequence[str | Sequence] = ()
    stills: Sequence[Sequence[str]] = ()
    positional: Sequence[str] = ()
    seed: int | None = None  # of what was drawn for the panel
    fields: ClassVar[dict[str, Field]] = {}

    def __init_subclass__(cls):
        held = [{**getattr(base, "fields", {}), **vars(base)} for base in reversed(cls.__mro__)]
        declared = {name: each for names in held for name, each in names.items()}
        cls.fields = {name: each for name, each in declared.items() if isinstance(each, Field)}
        for name in cls.fields.keys() & vars(cls).keys():
            delattr(cls, name)  # a field is a trait of the selection, and the panel has a model of its own
        cls.buttons = {n: each for n, each in declared.items() if isinstance(each, Action | Upload)}
        cls.State = type("State", (State,), {**cls.fields, "fields": tuple(cls.fields)})

    def __init__(self, model: Model, state: str | None = None):
        super().__init__()
        self._kept, self.uploads = Latest(KEPT), {}
        self.model, self.selection = model, self.State()
        self.selection.panel, self._writing = self, False
        self._timer, self._later = None, {}  # a change that waits
        if "model" not in self.fields:
            self.selection.model = self.model.label
        self._plain = {}  # what a state string need not say
        for name, each in self.fields.items():
            known = names_of(self.options(name))
            self._plain[name] = known[0] if each.default_value is None and known else each.default_value
        with self._quietly():
            self._set(self._plain)
            self._change({**self._plain, **self.first()} if state is None else self.parsed(state), draw=False)
        self._build()
        self._draw(self.shown)
        self._sync()
        self.selection.observe(self._selected)

    # --- what a subclass says

    def options(self, name: str) -> list:
        """What a field can be: names, or pairs of what is shown and the name."""
        return []

    def first(self) -> dict:
        """Fields that a new panel opens with, where that is not their default."""
        return {}

    def show(self, state: State) -> Shown:
        """What is shown of a state, and nothing else happens.

        Raises:
            KitError: the state cannot be.
        """
        raise NotImplementedError

    def lines(self) -> str:
        """Lines of Python that compute what is shown, without a panel; they stand behind `loaded`."""
        raise NotImplementedError

    def loaded(self) -> str:
        """Lines of Python that load the model, before those of `lines`."""
        own = self.selection.model in (getattr(self.model, "name", ""), getattr(self.model, "label", ""))
        line = getattr(self.model, "line", "") if own else ""
        return f"import kit\nmodel = {line or f'kit.load({self.selection.model!r})'}"

    def again(self, state: State) -> str:
        """What the panel is made of again, as arguments in the names of `lines`."""
        return "model"

    def also(self, fields: dict) -> dict:
        """The fields that a change of fields comes to; a panel adds what a hand means by it."""
        return fields

    def slow(self, state: State) -> bool:
        """Whether `show` would take longer than a click may: then it waits for a pause, and says so."""
        return False

    def runs(self, state: State) -> bool:
        """Whether `show` takes so long that controls are locked for that time, waiting or not."""
        return self.slow(state)

    def uploaded(self, content: bytes, name: str, note: str) -> dict:
        """Take an uploaded picture, and keep it (`keep_upload`); gives the fields that change."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Say what is being done while it takes time."""
        if hasattr(self, "_busy"):  # the first state is found before there are widgets
            self._busy.text = text

    def keep_upload(self, name: str, held: Any) -> None:
        """Keep what an upload became in `uploads`; of others the last stay, and the one that is shown."""
        self.uploads.pop(name, None)  # the latest come last
        self.uploads[name] = held
        others = [n for n in self.uploads if n != name and n not in self._good.values()]
        for old in others[: max(0, len(self.uploads) - UPLOADS)]:
            del self.uploads[old]

    def kept(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once for a key; the latest are kept."""
        return self._kept.of(key, make)

    # --- from hands to state to screen

    @property
    def label(self) -> str:
        """Name of the model that is looked at, which says where weights are random."""
        return self.model.label

    @property
    def caption(self) -> str:
        """The finding in a sentence or two."""
        return self.shown.caption

    @property
    def state(self) -> dict:
        """What is looked at, as plain data; `panel.string` is the same as one string."""
        return self.selection.as_dict()

    @property
    def string(self) -> str:
        """The state as one string, which the panel's own field and its argument `state` take."""
        return str(self.selection)

    def choose(self, **fields: Any) -> None:
        """Change the state as a hand in the panel does; what cannot be becomes a sentence."""
        if self._writing:
            return
        fields = {**self._stop_waiting(), **fields}
        if (takes := self.guarded(partial(self._takes, fields))) is None:
            return self._sync()
        slow, runs = takes
        if slow and (loop := _running_loop()):
            self._busy.text = BUSY
            self._later = fields
            self._timer = loop.call_later(WAIT_SECONDS, self._choose_later, fields)
        else:
            self._choose(fields, runs)

    def _takes(self, fields: dict) -> tuple[bool, bool]:
        """Whether the state that a change comes to is slow, and runs a tower; nothing is shown of it yet."""
        asked = self.State(**{"model": self.selection.model, **self.checked(fields)})
        return self.slow(asked), self.runs(asked)

    def _choose_later(self, fields: dict) -> None:
        """A slow change whose time has come. A kernel hears of interrupts only while it handles a message."""
        if threading.current_thread() is not threading.main_thread():
            return self._choose(fields, True)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self._choose(fields, True)
        finally:
            signal.signal(signal.SIGINT, before)

    def _choose(self, fields: dict, runs: bool) -> None:
        self._timer, self._later = None, {}
        try:
            if runs:
                self._busy.text = BUSY
                self._lock(True)
            self.guarded(partial(self._change, fields))
        finally:
            self._busy.text = ""
            if runs:
                self._lock(False)
        self._sync()

    def _lock(self, locked: bool) -> None:
        """Take nothing from hands, or take it again."""
        for control in (*self.controls.values(), self.line):
            control.disabled = locked
        for view in self.views.values():
            view.lock(locked)

    def _stop_waiting(self) -> dict:
        """Stop a change that waits; gives it, for the next change comes on top of it."""
        if self._timer is not None:
            self._timer.cancel()
            self._busy.text = ""
        later, self._timer, self._later = self._later, None, {}
        return later

    def checked(self, fields: dict) -> dict:
        """All fields of the state that a change comes to, each checked; nothing changes.

        Raises:
            KitError: a field that is not there, or that cannot be.
        """
        if unknown := [name for name in fields if name not in self.fields]:
            known = list(self.fields)
            raise KitError(
                f'no field "{unknown[0]}"; there are {", ".join(known)}.{nearest(unknown[0], known)}'
            )
        new = {**self._values(), **self.also(fields)}
        return {name: each.checked(new[name], self.options(name)) for name, each in self.fields.items()}

    def _values(self) -> dict:
        return {name: getattr(self.selection, name) for name in self.fields}

    def _change(self, fields: dict, draw: bool = True) -> None:
        """Find what a change shows; only what could be shown and drawn is a state to come back to."""
        self._set(self.checked(fields))
        shown = self.show(self.selection)
        if draw:
            self._draw(shown)
        self.shown, self._good = shown, self._values()

    def _set(self, values: dict) -> None:
        with self._quietly():
            self.selection.change(**values)

    def _undo(self) -> None:
        """Back to the last state that could be shown, figures included."""
        self._set(self._good)
        self._draw(self.shown)

    def _selected(self, change) -> None:
        """The selection was changed from outside the panel."""
        if not self._writing and self._values() != self._good:
            new, now = self._values(), self._good
            self.choose(**{name: value for name, value in new.items() if value != now[name]})

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Changes of state or controls that are no hand's."""
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before

    # --- state strings

    def written(self, state: dict) -> str:
        """A state as a string."""
        texts = {n: each.written(state[n]) for n, each in self.fields.items()}
        kept = [texts[name] for name in self.positional]
        named = [n for n in self._named if state[n] != self._plain[n]]
        return "|".join([quote(state["model"], safe=READABLE), *kept, *(f"{n}={texts[n]}" for n in named)])

    @property
    def _named(self) -> list[str]:
        """Fields that stand in a state string by name."""
        return [name for name in self.fields if name not in ("model", *self.positional)]

    def parsed(self, text: str) -> dict:
        """The fields that a state string stands for.

        Raises:
            KitError: too few fields, a field that is not there, or the state of another model.
        """
        model, *pieces = str(text).strip().split("|")
        count, rest = len(self.positional), self._named
        if len(pieces) < count:
            shape = "|".join(["model", *self.positional, *(f"{name}=…" for name in rest)])
            raise KitError(f'"{text}" is not a state: {1 + len(pieces)} fields; write "{shape}".')
        if "model" not in self.fields and unquote(model) not in (self.model.label, self.model.name):
            raise KitError(
                f'this panel has the model "{self.model.label}", and the state is of "{unquote(model)}"; '
                "make another panel."
            )
        values = dict(zip(self.positional, (piece.strip() for piece in pieces)))
        for piece in pieces[count:]:
            name, equals, value = piece.partition("=")
            if not equals or name not in rest:
                raise KitError(
                    f'"{piece}" is no field of this state; known: {", ".join(rest)}.{nearest(name, rest)}'
                )
            values[name] = value
        values |= {"model": model} if "model" in self.fields else {}
        return {**self._plain, **{name: self.fields[name].parsed(text) for name, text in values.items()}}

    def _restore(self, text: str) -> None:
        """The field with the state string was written."""
        if not self._writing and text != self.string:
            self._act(partial(self.parsed, text))

    # --- widgets: built once, and only assigned to

    def _build(self) -> None:
        self.controls = {}
        for name, each in self.fields.items():
            if (control := each.control(self.options(name))) is not None:
                self.controls[name] = control
                if not isinstance(each, Name):
                    control.observe(partial(self._moved, name), names="value")
        self.controls |= {name: self._button(each) for name, each in self.buttons.items()}
        self._say.tips = {each.label: each.tip or each.label for each in (*self.fields.values(), LINE)}
        self.line = LINE.control([])
        self.line.observe(lambda change: self._restore(change.new), names="value")
        self.said, self._busy = Sentence(look="caption", live=True), Sentence(look="busy", live=True)
        self.truth, self.note = Sentence(look="truth"), Sentence(look="note", live=True)
        radios = {each.figure for each in self.fields.values() if isinstance(each, Radio)}
        self.views = {
            name: RadioView() if name in radios else view_of(figure)
            for name, figure in self.shown.figures.items()
        }
        for name, each in self.fields.items():
            if isinstance(each, Menu) and each.figure in self.views:
                self.views[each.figure].when_picked(
                    partial(self._picked, name), getattr(each, "switches", False)
                )
        self.box.children = self._arranged()

    def _button(self, each: Action | Upload) -> w.Widget:
        if isinstance(each, Upload):
            button = UploadButton(label=each.label, tip=each.tip)
            button.on_file(self.upload)
            button.on_refused(lambda sentence: setattr(self._say, "text", sentence))
            return button
        button = w.Button(description=each.label, tooltip=each.tip, layout=w.Layout(width="auto"))
        does = getattr(self, each.does) if isinstance(each.does, str) else lambda: each.does(self.selection)
        button.on_click(lambda _: self._act(does))
        return button

    def _act(self, does: Callable[[], dict | None]) -> None:
        """Choose the fields that something gives; what cannot be becomes a sentence."""
        fields = self.guarded(does)
        if fields:
            self.choose(**fields)
        else:
            self._sync()

    def upload(self, content: bytes, name: str, note: str = "") -> None:
        """Take a picture as a hand does that uploads it; what cannot be becomes a sentence."""
        self._act(partial(self.uploaded, content, name, note))

    def _arranged(self) -> list[w.Widget]:
        """Rows of controls, what is said, rows of figures, the state."""
        above, below, told = [], [], [] if "told" in _names(self.rows) else [self._told()]
        for row in self.rows:
            figures = any(name in self.views for name in _names(row))
            box = w.HBox([self._placed(each) for each in ([row] if isinstance(row, str) else row)])
            box.add_class("loupe-columns" if figures else "loupe-row")
            (below if figures or below else above).append(box)
        if above and "busy" not in _names(self.rows):
            above[-1].children = (*above[-1].children, self._busy)
        return [*above, self._say, *told, *below, self.line, *self._foot()]

    def _told(self) -> w.VBox:
        box = w.VBox([self.said, self.truth, self.note])
        box.add_class("loupe-told")
        return box

    def _placed(self, name: str | Sequence, column: bool = True) -> w.Widget:
        if not isinstance(name, str):
            box = (w.VBox if column else w.HBox)([self._placed(each, not column) for each in name])
            box.add_class("loupe-column" if column else "loupe-row")
            if shown := [n for n in _names(name) if n in self.views]:
                box.add_class(f"loupe-of-{type(self.shown.figures[shown[0]]).__name__.lower()}")
            return box
        if name in ("told", "busy"):
            return self._busy if name == "busy" else self._told()
        if name in self.controls:
            return self.controls[name]
        view = self.views[name]
        box = w.VBox([view.head, view.widget])
        box.add_class("loupe-column")
        box.add_class(f"loupe-of-{type(self.shown.figures[name]).__name__.lower()}")
        return box

    def _draw(self, shown: Shown) -> None:
        """Show what was found; the sentence comes last, so that who waits for it finds the rest in place."""
        for name, figure in shown.figures.items():
            self.views[name].show(figure)
        self.truth.text, self.note.text, self.said.text = shown.truth, shown.note, shown.caption

    def _sync(self) -> None:
        """Make every control show the state."""
        with self._quietly():
            for name in self.fields.keys() & self.controls.keys():
                control, options = self.controls[name], self.options(name)
                if options and list(control.options) != options:
                    control.options = options
                self.fields[name].show(control, getattr(self.selection, name))
            for view in self.views.values():
                view.sync()
            for name, each in self.buttons.items():
                if getattr(each, "active", None):
                    self.controls[name].button_style = "info" if each.active(self.selection) else ""
                if getattr(each, "needed", None):
                    self.controls[name].disabled = not each.needed(self.selection)
            self.line.value = self.string

    def _moved(self, name: str, change) -> None:
        self.choose(**{name: self.fields[name].from_control(change.new)})

    def _picked(self, name: str, now: Iterable) -> None:
        if self._writing:
            return
        value = self.fields[name].chosen(list(now), getattr(self.selection, name))
        if value != getattr(self.selection, name):
            self.choose(**{name: value})
        else:
            self._sync()

    # --- what leaves a panel: all of it from the same figures

    def finding(self) -> str:
        """What the panel shows, in one line."""
        about = f", {self.shown.about}" if self.shown.about else ""
        return f"{self.label}{about}: {self.caption}"

    def png(self, paper: bool = False) -> bytes:
        """The panel as a still picture; `paper`: black on white, for a file."""
        known = self.shown.figures
        figures = [[known[n] for n in _names(row) if n in known] for row in self.stills or self.rows]
        title = " · ".join(filter(None, [self.label, self.shown.about]))
        still = together([r for r in figures if r], title, self.caption, paper)
        return written(still, ".png", None if paper else LARGEST * 4)

    def table(self) -> pd.DataFrame:
        """The numbers that the panel shows."""
        if self.shown.table is not None:
            return self.shown.table
        parts = [figure.rows().assign(figure=name) for name, figure in self.shown.figures.items()]
        return pd.concat(parts, ignore_index=True)

    def code(self) -> str:
        """Lines that compute what is shown, and then the panel as it stands, uploads included."""
        place = "kit.panels." * type(self).__module__.startswith("kit.panels.")
        begin = {**self._plain, **self.first()}
        held = {name: begin[name] for name, value in self.state.items() if value in self.uploads}
        string = self.written({**self.state, **held})
        given = self.again(self.selection)
        made = f"{place}{type(self).__name__}({given}{', ' * bool(given)}state={string!r})"
        if held:
            made = f'panel, file = {made}, "my picture.png"\n'
            made += 'panel.upload(open(file, "rb").read(), file)\npanel'
        return f"{self.loaded()}\n{self.lines()}\n{made}"

    def provenance(self) -> str:
        """Model, weights, images and seed of what is shown, in one line."""
        return provenance(self.model, self.shown.images, self.seed, **self.shown.facts)

    def close(self) -> None:
        """Stop what waits, and close all widgets."""
        self._stop_waiting()
        super().close()


def _names(row: str | Sequence) -> list[str]:
    """The names in a row, those in tuples too."""
    return [row] if isinstance(row, str) else [name for each in row for name in _names(each)]


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
