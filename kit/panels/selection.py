"""What is looked at: one small state that every view of a notebook observes."""

import re
from urllib.parse import quote, unquote

from traitlets import Enum, HasTraits, Int, Tuple, Unicode, observe, validate

from kit.errors import KitError, nearest

MOST_TEXTS = 12
LONGEST_TEXT = 120
_COUNTED = {"text": "prompt", "layer": "layer"}
_TOKENS = re.compile(r"(cls|r\d+c\d+)")
FIELDS = ("model", "image", "selector", "texts", "text", "tokens", "off", "effect", "replace", "directions")
# These stay readable in a state string; `|` and `;` separate, so they never do.
_READABLE = " ,.*!-_'~():"


class Selection(HasTraits):
    """Which picture, prompts, parts and tokens are looked at, and how.

    It holds plain values and no widget, so that a test, a script and a panel share it. It prints as
    a short string, and `Selection.parse` gives back an equal one.

    Args:
        model: name of the model.
        image: name of the picture (`"scene 17"`; an upload is named by its hash).
        texts: prompts, at most 12.
        text: which of the texts the grid and the map are about, from 0.
        selector: parts that are selected, such as `"L5.H3"` (see `kit.parts.select`).
        tokens: tokens whose share is shown, such as `"r3c5, r3c6"`; empty = all of them.
        off: parts that are switched off, a selector; empty = none.
        effect: `"direct"` (the sum is changed) or `"total"` (later layers run again).
        replace: what a switched-off part is replaced by, `"mean"` or `"zero"`.
        directions: `"contrast"` (prompt minus the mean of the other prompts), `"raw"`, or
            `"reference"` (raw, and every part minus its mean over the reference set).

    Raises:
        KitError: a value that cannot be; the value before is kept.

    Example:
        >>> state = Selection(model="stickers-l8", image="scene 17", selector="L5.H3", texts=("a cat",))
        >>> str(state)
        'stickers-l8|scene 17|L5.H3|a cat'
        >>> str(Selection.parse(str(state))) == str(state)
        True
    """

    model = Unicode("")
    image = Unicode("")
    texts = Tuple(default_value=("a cat", "a dog"))
    text = Int(0)
    selector = Unicode("none")
    tokens = Unicode("")
    off = Unicode("")
    effect = Enum(("direct", "total"), default_value="direct")
    replace = Enum(("mean", "zero"), default_value="zero")
    directions = Enum(("contrast", "raw", "reference"), default_value="contrast")

    fields = FIELDS  # in the order in which they are written; the first four are always written

    def __init__(self, **values):
        super().__init__()
        self.change(**values)

    @validate("texts", "text", "tokens", "selector", "off")
    def _check(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        if name == "text" and not 0 <= value < len(self.texts):
            raise KitError(f"no prompt {value}: there are {len(self.texts)}, counted from 0.")
        return _checked(name, value, type(self))

    @observe("texts")
    def _keep_text_in_range(self, change):
        self.text = min(self.text, len(self.texts) - 1)

    def change(self, **values) -> None:
        """Set several fields at once; where one is wrong, none is set."""
        values = {name: _checked(name, value, type(self)) for name, value in values.items()}
        texts = values.get("texts", self.texts)
        values.setdefault("text", min(self.text, len(texts) - 1))
        if not 0 <= values["text"] < len(texts):
            raise KitError(f"no prompt {values['text']}: there are {len(texts)}, counted from 0.")
        with self.hold_trait_notifications():
            for name, value in values.items():
                setattr(self, name, value)

    def as_dict(self) -> dict:
        """All fields as plain data."""
        return {name: getattr(self, name) for name in self.fields}

    def __str__(self) -> str:
        texts = ";".join(_quote(t) for t in self.texts)
        fields = [_quote(self.model), _quote(self.image), _quote(self.selector), texts]
        for name in self.fields[4:]:
            if getattr(self, name) != type(self).class_traits()[name].default_value:
                fields.append(f"{name}={_quote(str(getattr(self, name)))}")
        return "|".join(fields)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.parse({str(self)!r})"

    @classmethod
    def parse(cls, state: str) -> "Selection":
        """The selection that a string made by `str(selection)` stands for.

        Raises:
            KitError: the string has too few fields, or a field that is unknown.
        """
        fields = str(state).strip().split("|")
        if len(fields) < 4:
            raise KitError(
                f'"{state}" is not a state: {len(fields)} of at least 4 fields; write '
                '"model|picture|parts|prompt;prompt".'
            )
        values = dict(zip(FIELDS, map(unquote, fields[:3])), texts=tuple(map(unquote, fields[3].split(";"))))
        known = cls.fields[4:]
        for field in fields[4:]:
            name, equals, value = field.partition("=")
            if not equals or name not in known:
                raise KitError(
                    f'"{field}" is no field of a state; known: {", ".join(known)}.{nearest(name, known)}'
                )
            values[name] = unquote(value)
        for name in [n for n in values if isinstance(cls.class_traits()[n], Int)]:
            if not values[name].isdecimal():
                raise KitError(f'"{name}={values[name]}" should be the number of a {_COUNTED[name]}, from 0.')
            values[name] = int(values[name])
        return cls(**values)


def _checked(name: str, value, kind: type[Selection]):
    """The value as it is kept, or the error that says what is wrong with it."""
    if name == "texts":
        return checked_texts(value)
    trait, fields = kind.class_traits().get(name), kind.fields
    if trait is None or name not in fields:
        raise KitError(
            f'a selection has no field "{name}"; it has {", ".join(fields)}.{nearest(name, fields)}'
        )
    if isinstance(trait, Enum) and value not in trait.values:
        raise KitError(f'{name} "{value}" is none of {", ".join(trait.values)}.')
    counted = isinstance(trait, Int)
    if not isinstance(value, int if counted else str):
        raise KitError(f"{name} should be {'a number' if counted else 'a string'}, but is {value!r}.")
    if name in ("selector", "off"):
        return ", ".join(term.strip() for term in value.split(",") if term.strip())
    if name == "tokens":
        return checked_tokens(value)
    return value


def checked_texts(value) -> tuple[str, ...]:
    """Prompts as they are kept.

    Raises:
        KitError: none, an empty one, one twice, too many, or one that is too long.
    """
    if isinstance(value, str):
        raise KitError(f'texts should be a list of prompts, but is the string "{value[:30]}".')
    texts = tuple(" ".join(str(t).split()) for t in value)
    if not texts or not all(texts):
        raise KitError("a prompt is empty; write at least one word in each.")
    if len(texts) > MOST_TEXTS:
        raise KitError(f"{len(texts)} prompts are more than a panel shows; give at most {MOST_TEXTS}.")
    for text in texts:
        if len(text) > LONGEST_TEXT:
            raise KitError(
                f'the prompt "{text[:30]}…" has {len(text)} characters; give at most {LONGEST_TEXT}.'
            )
        if texts.count(text) > 1:
            raise KitError(f'the prompt "{text}" is there twice; remove one of them.')
    return texts


def checked_tokens(value: str) -> str:
    """A token string as it is kept: each token once.

    Raises:
        KitError: a term that is no token.
    """
    terms = split_tokens(value)
    for term in terms:
        if not _TOKENS.fullmatch(term):
            raise KitError(f'no token "{term}"; tokens are written "r3c5" (row 3, column 5) or "cls".')
    return ", ".join(terms)


def split_tokens(tokens: str) -> list[str]:
    """The terms of a token string, each once, in the order written."""
    return list(dict.fromkeys(t.strip() for t in tokens.split(",") if t.strip()))


def token_numbers(tokens: str, prefix: int, shape: tuple[int, int]) -> list[int]:
    """Numbers of the tokens that `"r3c5, cls"` names; prefix tokens come first.

    Raises:
        KitError: a token that is not there.

    Example:
        >>> token_numbers("r0c1, cls", prefix=1, shape=(2, 2))
        [2, 0]
    """
    numbers = []
    for term in split_tokens(tokens):
        if term == "cls":
            if not prefix:
                raise KitError('no token "cls": this model has patches only; write "r0c0" and the like.')
            numbers.append(0)
            continue
        row, col = map(int, term[1:].split("c"))
        if row >= shape[0] or col >= shape[1]:
            raise KitError(f'no token "{term}": there are {shape[0]} rows and {shape[1]} columns, from 0.')
        numbers.append(prefix + row * shape[1] + col)
    return numbers


def _quote(text: str) -> str:
    return quote(text, safe=_READABLE)
