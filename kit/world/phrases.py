"""The words that captions are made of: how each value of each attribute is said."""

import pandas as pd

from kit.errors import KitError, nearest
from kit.world.values import RGB, VALUES

# singular with article where it is not "a" + the name, and plural where it is not the name + "s"
_SINGULAR = {
    "sheep": "a sheep",
    "grapes": "a bunch of grapes",
    "bread": "a loaf of bread",
    "scissors": "a pair of scissors",
    "jeans": "a pair of jeans",
    "glasses": "a pair of glasses",
    "corn": "an ear of corn",
}
_PLURAL = {
    "sheep": "sheep",
    "fish": "fish",
    "blowfish": "blowfish",
    "mouse": "mice",
    "shrimp": "shrimp",
    "grapes": "bunches of grapes",
    "bread": "loaves of bread",
    "scissors": "pairs of scissors",
    "jeans": "pairs of jeans",
    "glasses": "pairs of glasses",
    "corn": "ears of corn",
    "maple leaf": "maple leaves",
    "wrench": "wrenches",
}
_CATEGORY = {  # noun, plural
    "food": ("piece of food", "pieces of food"),
    "clothing": ("piece of clothing", "pieces of clothing"),
    "household": ("household thing", "household things"),
    "sport": ("sports thing", "sports things"),
    "sky": ("sky thing", "sky things"),
    "air vehicle": ("aircraft", "aircraft"),
    "instrument": ("musical instrument", "musical instruments"),
}


def _noun(concept: str) -> str:
    return _SINGULAR.get(concept, f"a {concept}").split(" ", 1)[1]


def _many(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


CONCEPT = tuple((_noun(c), _PLURAL.get(c) or _many(_noun(c))) for c in VALUES["concept"])  # noun, plural
CATEGORY = tuple(_CATEGORY.get(c) or (c, _many(c)) for c in VALUES["category"])
THING = ("thing", "things")
COLOUR = ("", *RGB)  # said before the noun; the natural colour has no adjective
TEXTURE = VALUES["texture"]
SIZE = VALUES["size"]
COUNT = VALUES["count"]
RELATION = VALUES["relation"]
BACKGROUND = (
    "on the sea", "on a lake", "on grass", "on sand", "in a forest", "on a road",
    "in the snow", "in the sky", "at night", "on bricks", "on wood", "on paper",
)  # fmt: skip
POSITION = ("on the left", "on the right", "at the top", "at the bottom", "in the center")
OPENING = ("", "a picture of ", "a sticker of ", "there is ")


def article(noun: str) -> str:
    """The noun with "a" or "an"."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def prompts(attribute: str) -> list[str]:
    """One text for each value of an attribute, in the order of `VALUES`, to classify with.

    Args:
        attribute: concept, category, colour, texture, background, position, size, count, relation or word.

    Returns:
        Texts that differ in that attribute alone, such as "a red thing".

    Raises:
        KitError: no phrase of a caption tells this attribute.

    Example:
        >>> prompts("size")
        ['a small thing', 'a medium thing', 'a large thing']
    """
    texts = {
        "concept": [article(noun) for noun, _ in CONCEPT],
        "category": [article(noun) for noun, _ in CATEGORY],
        "colour": ["a thing in its own colours", *(f"{article(c)} thing" for c in COLOUR[1:])],
        "texture": [f"a {t} thing" for t in TEXTURE],
        "background": [f"a thing {b}" for b in BACKGROUND],
        "position": [f"a thing {p}" for p in POSITION],
        "size": [f"a {s} thing" for s in SIZE],
        "count": ["one thing", *(f"{c} things" for c in COUNT[1:])],
        "relation": [f"a thing {r} a thing" for r in RELATION],
        "word": [f"the word {w}" for w in VALUES["word"]],
    }
    if attribute not in texts:
        known = ", ".join(texts)
        raise KitError(f"no prompts for {attribute!r}: captions tell {known}.{nearest(attribute, texts)}")
    return texts[attribute]


def order_texts(labels: pd.DataFrame) -> tuple[list[str], list[str]]:
    """For each scene of two objects the sentence that tells their order, and the one with them exchanged.

    Args:
        labels: of scenes of kind "pair".

    Example:
        >>> row = {"concept": "cat", "relation": "left of", "concept_2": "dog"}
        >>> order_texts(pd.DataFrame([row]))
        (['a cat left of a dog'], ['a dog left of a cat'])
    """
    said = dict(zip(VALUES["concept"], prompts("concept")))
    told = list(zip(labels["concept"].map(said), labels["relation"], labels["concept_2"].map(said)))
    return [f"{a} {way} {b}" for a, way, b in told], [f"{b} {way} {a}" for a, way, b in told]
