"""Tagged texts for photographs: 22 properties of 100 texts, from one set of templates and closed word lists.

The lists are in `photographs.json`. Each text says one thing of a picture, and the list that its word comes
from says which. A carrier, such as "thing" or "someone", stands in texts of several properties and tells
none, so that every text has twins: "a photo of a red thing" and "a photo of a round thing" differ in a word.
"""

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from kit.errors import KitError

LISTS = Path(__file__).with_name("photographs.json")
WORD = re.compile(r"[a-z0-9]+")
TURNS = "CARRIER"  # of a frame: one of the first carriers after the other takes its place
TURNING = 5  # that many of them


class Tagged(NamedTuple):
    """A text, the property that it tells, and what its twins in other properties share: template, carrier."""

    text: str
    property: str
    template: str
    carrier: str


@cache
def lists() -> dict:
    """The lists: `templates`, `carriers`, `fillers`, and `properties`, for each one frame -> words."""
    return json.loads(LISTS.read_text(encoding="utf-8"))


def tagged_texts(given: dict | None = None) -> list[Tagged]:
    """Every text of the bank, property by property.

    Args:
        given: lists of the same form as `lists()`; None is those.

    Raises:
        KitError: a word that tells two properties, a text that stands twice.

    Example:
        >>> texts = tagged_texts()
        >>> len(texts), texts[0].text, texts[0].property, texts[0].template, texts[0].carrier
        (2200, 'a photo of a red thing', 'colours', 'a photo of {}', 'thing')
    """
    given = lists() if given is None else given
    found = [
        Tagged(template.format(phrase), name, template, carrier)
        for name in given["properties"]
        for carrier, phrase in _phrases(given, name)
        for template in given["templates"]
    ]
    check_tags([(each.text, each.property) for each in found], telling_words(given))
    return found


def telling_words(given: dict | None = None) -> dict[str, str]:
    """Every word of the lists, in the singular -> the property that it tells.

    Args:
        given: see `tagged_texts`.

    Raises:
        KitError: a word stands in the lists of two properties.
    """
    given = lists() if given is None else given
    silent, found = {*given["carriers"], *given["fillers"]}, {}
    for name in given["properties"]:
        words = (word for _, phrase in _phrases(given, name) for word in _words(phrase))
        for word in words:
            if word not in silent and found.setdefault(word, name) != name:
                raise KitError(
                    f'the word "{word}" tells two properties, {found[word]} and {name}; take it out of one '
                    "of the lists."
                )
    return found


def tags_of(text: str, words: dict[str, str] | None = None) -> set[str]:
    """The properties that a text tells, by whole words: "number 10" does not hold "number 1".

    Args:
        text: any text.
        words: word -> property; None is those of this bank.

    Example:
        >>> sorted(tags_of("two red dogs in Tokyo")), tags_of("a redwood")
        (['animals', 'colours', 'countries and cities', 'counts'], set())
    """
    words = telling_words() if words is None else words
    return {words[word] for word in _words(text) if word in words}


def check_tags(pairs: Iterable[tuple[str, str]], words: dict[str, str] | None = None) -> None:
    """Raise unless each text stands once and its words tell its property and no other.

    Args:
        pairs: text and property.
        words: see `tags_of`.

    Raises:
        KitError: a text that stands twice, tells nothing, or tells something else.
    """
    words, seen = telling_words() if words is None else words, set()
    for text, name in pairs:
        told = tags_of(text, words)
        if told != {name}:
            raise KitError(
                f'"{text}" is tagged {name}, but its words tell {" and ".join(sorted(told)) or "nothing"}; '
                "write it so that it tells its own property alone."
            )
        if text in seen:
            raise KitError(f'"{text}" stands twice in the bank; take one out.')
        seen.add(text)


def _phrases(given: dict, name: str) -> list[tuple[str, str]]:
    """Carrier (empty where there is none) and phrase, of every entry of a property."""
    found = []
    for frame, listed in given["properties"][name].items():
        for number, word in enumerate(entry.strip() for entry in listed.split(",")):
            phrase = frame.replace("{}", word).replace(TURNS, given["carriers"][number % TURNING])
            if TURNS in frame:
                phrase = f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
            carrier = next((c for c in given["carriers"] if c in _words(phrase)), "")
            found.append((carrier, phrase))
    return found


def _words(text: str) -> list[str]:
    """Words in lower case, plurals in "s" as singulars."""
    words = WORD.findall(text.lower())
    return [w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in words]
