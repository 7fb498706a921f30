"""What a panel of one picture is asked, and prompts and tokens as they are written."""

import re
from dataclasses import dataclass

from kit.errors import KitError

MOST_TEXTS = 12
LONGEST_TEXT = 120
_TOKENS = re.compile(r"(cls|r\d+c\d+)")


@dataclass(frozen=True)
class Selection:
    """Which picture, prompts, parts and tokens are looked at, and how: what a `Finding` is found for.

    Attributes:
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
    """

    model: str = ""
    image: str = ""
    selector: str = "none"
    texts: tuple[str, ...] = ("a cat", "a dog")
    text: int = 0
    tokens: str = ""
    off: str = ""
    effect: str = "direct"
    replace: str = "zero"
    directions: str = "contrast"


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
