"""What can be chosen in a panel: each field is its check, its control, and its piece of the state string."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any as Anything
from urllib.parse import quote, unquote

import ipywidgets as w
from traitlets import Any, HasTraits, Unicode

from kit.errors import KitError, nearest
from kit.maps.selection import checked_texts, checked_tokens, split_tokens

MANY = 12  # names that an error lists
# These stay readable in a state string; `|` separates fields, so it never does.
READABLE = " ,.*!-_'~():;/"


class Field(Any):
    """Something that can be chosen; a trait of the panel's selection.

    Args:
        default: value to begin with; None = the first of the options.
        label: of its control.
        tip: what the control is for, shown beside the mouse.
        width: of the control.
    """

    def __init__(self, default: Anything = "", label: str = "", tip: str = "", width: str = "230px"):
        super().__init__(default)
        self.label, self.tip, self.width = label, tip, width

    def control(self, options: list) -> w.Widget | None:
        """A control that has a `value`; None = the field is chosen in a figure."""
        made = self.make(options=options)
        if made is not None:
            made.description, made.layout.width = self.label, self.width
            made.style.description_width = "initial"
        return made

    def make(self, options: list) -> w.Widget | None:
        """The control as ipywidgets has it."""
        return None

    def checked(self, value: Anything, options: list) -> Anything:
        """The value as it is kept.

        Raises:
            KitError: it cannot be.
        """
        return value

    def written(self, value: Anything) -> str:
        """The value in a state string."""
        return quote(str(value), safe=READABLE)

    def parsed(self, text: str) -> Anything:
        """The value that a piece of a state string stands for."""
        return unquote(text)

    def from_control(self, shown: Anything) -> Anything:
        """The value that a control shows."""
        return shown

    def show(self, control: w.Widget, value: Anything) -> None:
        """Make a control show the value."""
        control.value = value


class Menu(Field):
    """One of some options: names, or pairs of what is shown and the name.

    Args:
        default, label, tip, width: as of every field.
        figure: name of a figure in which a click on a mark or a part chooses too.
    """

    make = w.Dropdown

    def __init__(
        self, default: Anything = None, label: str = "", tip: str = "", width: str = "230px", figure: str = ""
    ):
        super().__init__(default, label, tip, width)
        self.figure = figure

    def chosen(self, now: list[str], before: Anything) -> Anything:
        """The value after a click; `now` are the names that are picked in the figure."""
        return now[-1] if now else before

    def checked(self, value: Anything, options: list) -> Anything:
        known = names_of(options)
        if value not in known:
            told = ", ".join(map(str, known)) if len(known) <= MANY else f"{len(known)}, from {known[0]}"
            raise KitError(f'no {self.label} "{value}" here; there are {told}.{nearest(str(value), known)}')
        return value


class Fixed(Menu):
    """What a panel does not change; a state of something else is refused."""

    def checked(self, value: Anything, options: list) -> Anything:
        if value not in options:
            raise KitError(
                f'this panel has the {self.label} "{options[0]}", but the state is of "{value}"; '
                "make a panel of that one."
            )
        return value

    make = Field.make


class Toggle(Menu):
    """One of a few options, all of them seen."""

    make = w.ToggleButtons

    def control(self, options: list) -> w.Widget:
        made = super().control(options)
        made.layout.width = made.style.button_width = "auto"
        return made


class Pick(Menu):
    """A part that is clicked in a figure, which takes keys itself: a `Grid` or `Maps`."""

    def __init__(self, figure: str, default: Anything = None, label: str = "head"):
        super().__init__(default, label, figure=figure)

    make = Field.make


class Parts(Pick):
    """Parts that are picked in a figure, as a selector: `"L2.H3, L5.MLP"`, or `"none"`.

    Args:
        figure: name of the figure; "" = they are picked in none.
        default, label: as of every field; a default of "" is also what stands for no parts.
        switches: whether each click adds a part or takes it away, and arrow keys only move.
        typed: whether a selector can be written too; `tip` and `width` are then those of the field.
    """

    def __init__(
        self, figure: str, default: str = "none", label: str = "parts", switches: bool = False,
        typed: bool = False, tip: str = "", width: str = "100%",
    ):  # fmt: skip
        super().__init__(figure, default, label)
        self.switches, self.typed, self.tip, self.width = switches, typed, tip, width

    def make(self, options: list) -> w.Widget | None:
        return w.Text(continuous_update=False, placeholder=self.tip) if self.typed else None

    def checked(self, value: Anything, options: list) -> str:
        if not isinstance(value, str):
            raise KitError(f"{self.label} should be written as in kit.parts.select, but are {value!r}.")
        return ", ".join(term.strip() for term in value.split(",") if term.strip()) or self.nothing

    @property
    def nothing(self) -> str:
        """What stands for no parts."""
        return "none" if self.default_value else ""

    def chosen(self, now: list[str], before: Anything) -> str:
        return ", ".join(now) or self.nothing


class Tokens(Parts):
    """Tokens that are picked in a map: `"r3c5, cls"`; `""` = all of them. The class token is in no map."""

    def __init__(self, figure: str, label: str = "tokens"):
        super().__init__(figure, "", label)

    def checked(self, value: Anything, options: list) -> str:
        return checked_tokens(super().checked(value, options))

    def chosen(self, now: list[str], before: Anything) -> str:
        return ", ".join([t for t in split_tokens(before) if t == "cls" and now] + now)


class Radio(Pick):
    """One of the groups of a `Bars`, which is then a group of radio buttons that takes keys itself.

    The value is the group's number, from 0. Which there are depends on other fields, so `show` says it.
    """

    def __init__(self, figure: str, label: str):
        super().__init__(figure, 0, label)

    def checked(self, value: Anything, options: list) -> int:
        if not str(value).isdecimal():
            raise KitError(f'"{value}" should be the number of a {self.label}, from 0.')
        return int(value)


class Number(Field):
    """A whole number from `low` to `high`."""

    def __init__(self, default: int, label: str, low: int, high: int, tip: str = "", width: str = "330px"):
        super().__init__(default, label, tip, width)
        self.low, self.high = low, high

    def checked(self, value: Anything, options: list) -> int:
        text = str(value)
        if not text.isdecimal() or not self.low <= int(text) <= self.high:
            raise KitError(
                f"{self.label} {text} cannot be; give a whole number from {self.low} to {self.high}."
            )
        return int(text)

    def make(self, options: list) -> w.Widget:
        return w.IntSlider(min=self.low, max=self.high)


class Count(Number):
    """A whole number that a button of the panel counts; no control of its own."""

    def __init__(self, default: int, label: str):
        super().__init__(default, label, 0, 10**9)

    make = Field.make


class Words(Field):
    """Words that are typed; Enter, or leaving the field, chooses them. `tip` stands in the empty field."""

    def checked(self, value: Anything, options: list) -> str:
        if not isinstance(value, str):
            raise KitError(f"{self.label} should be words, but are {value!r}.")
        return value

    def make(self, options: list) -> w.Widget:
        return w.Text(continuous_update=False, placeholder=self.tip)


class Texts(Words):
    """Several texts, separated by `;`; the value is a tuple."""

    def checked(self, value: Anything, options: list) -> tuple[str, ...]:
        return checked_texts(value)

    def written(self, value: Anything) -> str:
        return ";".join(quote(text, safe=READABLE.replace(";", "")) for text in value)

    def parsed(self, text: str) -> list[str]:
        return [unquote(part) for part in text.split(";")]

    def from_control(self, shown: str) -> list[str]:
        return [part for part in map(str.strip, shown.replace("·", ";").split(";")) if part]

    def show(self, control: w.Widget, value: Anything) -> None:
        control.value = "; ".join(value)


class Name(Field):
    """A name of many, typed with proposals, until a button takes it from the control: no change by itself.

    Args:
        label, tip, width: as of every field.
        prefix: what a hand may leave out.
    """

    def __init__(self, label: str, tip: str = "", width: str = "440px", prefix: str = ""):
        super().__init__("", label, tip, width)
        self.prefix = prefix

    def checked(self, value: Anything, options: list) -> str:
        name = str(value).strip()
        return self.prefix + name if self.prefix + name in options else name

    def make(self, options: list) -> w.Widget:
        return w.Combobox(continuous_update=False, placeholder=self.tip, options=options)

    def show(self, control: w.Widget, value: str) -> None:
        if value != getattr(control, "shown", None):  # what was typed since stays
            control.value = control.shown = value


class Action:
    """A button.

    Args:
        label: of the button.
        does: a function of the state, or the panel's method without arguments, by name; it gives the fields
            that change.
        tip: shown beside the mouse.
        active: whether the button stands for what is chosen now, from the state; it is marked then.
        needed: whether the button has something to do, from the state; it cannot be pressed otherwise.
    """

    def __init__(
        self, label: str, does: str | Callable, tip: str = "", active: Callable | None = None,
        needed: Callable | None = None,
    ):  # fmt: skip
        self.label, self.does, self.tip, self.active, self.needed = label, does, tip, active, needed

    @classmethod
    def choosing(cls, label: str, tip: str, **fields: Anything) -> Action:
        """A button that chooses these fields, and is marked where they are chosen."""
        return cls(label, lambda s: fields, tip, lambda s: fields.items() <= s.as_dict().items())


class Upload:
    """A button that takes picture files; each goes to the panel's `uploaded(content, name)`.

    Args:
        label, tip: of the button, and beside the mouse.
    """

    def __init__(self, label: str = "upload", tip: str = "look at pictures of your own"):
        self.label, self.tip = label, tip


class State(HasTraits):
    """What is looked at; every view of a notebook can observe it. Prints as a state string."""

    model = Unicode("")

    def as_dict(self) -> dict:
        """All fields as plain data."""
        return {name: getattr(self, name) for name in ("model", *self.fields)}

    def change(self, **fields: Anything) -> None:
        """Set several fields at once."""
        with self.hold_trait_notifications():
            for name, value in fields.items():
                setattr(self, name, value)

    def __str__(self) -> str:
        return self.panel.written(self.as_dict())


def names_of(options: list) -> list:
    """Names of options, which can be pairs of what is shown and the name."""
    return [option[1] if isinstance(option, tuple) else option for option in options]
