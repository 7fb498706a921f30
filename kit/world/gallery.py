"""A small fixed set of scenes that look good, for notebooks and pages."""

from functools import cache

import torch
from torch import Tensor

from kit.world.chance import Chance
from kit.world.sample import TABLE, arrange
from kit.world.scenes import Scenes, painted
from kit.world.values import VALUES

SEED = 64  # of the places, turns and crops that the rows leave open
_COLUMNS = ("kind", "concept", "artist", "colour", "texture", "background", "size", "position", "more")
# kind, concept, artist, colour, texture, background, size, position; then count, word, or relation and the
# second object's concept, artist, colour and texture
_ROWS = """
single | cat | noto | red | plain | grass | large | left |
single | whale | noto | natural | plain | sea | large | center |
single | whale | noto | natural | plain | road | large | center |
single | horse | twemoji | natural | plain | grass | large | center |
single | horse | twemoji | natural | plain | lake | large | center |
single | turtle | twemoji | natural | plain | lake | medium | right |
single | tractor | noto-v1 | natural | plain | sea | medium | bottom |
single | fox | noto | natural | plain | snow | large | right |
single | crown | emojione | blue | plain | wood | large | top |
single | elephant | noto | purple | dotted | sand | large | center |
single | umbrella | twemoji | green | striped | brick | large | right |
single | guitar | noto | orange | plain | night | large | left |
single | butterfly | emojione | natural | plain | forest | medium | top |
single | shirt | noto-v1 | yellow | checkered | paper | large | center |
single | strawberry | fxemoji | natural | plain | wood | small | left |
single | rocket | noto | natural | plain | night | medium | right |
pair | cat | twemoji | natural | plain | grass |  |  | left of, dog, noto, natural, plain
pair | crab | noto | natural | plain | sand |  |  | right of, car, twemoji, blue, plain
pair | owl | twemoji | natural | plain | night |  |  | above, evergreen tree, noto, natural, plain
pair | apple | noto | red | plain | paper |  |  | left of, pear, noto, green, plain
count | penguin | noto | natural | plain | snow |  |  | three
count | sunflower | twemoji | natural | plain | sky |  |  | four
word |  |  |  |  | brick |  |  | banana
single_word | rabbit | noto | natural | plain | grass | medium | top | guitar
"""


def _codes() -> dict[str, Tensor]:
    """The rows as codes, int64 [row] for each attribute."""
    table = []
    for line in _ROWS.strip().splitlines():
        row = dict(zip(_COLUMNS, (cell.strip() for cell in line.split("|"))))
        more = [cell.strip() for cell in row.pop("more").split(",")]
        names = {
            "pair": ("relation", "concept_2", "artist_2", "colour_2", "texture_2"),
            "count": ("count",),
            "word": ("word",),
            "single_word": ("word",),
        }
        row |= dict(zip(names.get(row["kind"], ()), more))
        if row["kind"].startswith("single"):
            row["count"] = "one"
        table.append(row)
    second = [f"{a}_2" for a in ("concept", "category", "artist", "colour", "texture")]
    codes = {}
    for name in (*VALUES, *second):
        values = VALUES[name.removesuffix("_2")]
        codes[name] = torch.tensor([values.index(row[name]) if row.get(name) else -1 for row in table])
    category = torch.tensor([*TABLE["category"], -1])  # -1 stays -1
    for suffix in ("", "_2"):
        codes[f"category{suffix}"] = category[codes[f"concept{suffix}"]]
    return codes


@cache
def gallery() -> Scenes:
    """Twenty-four fixed scenes that look good.

    The same animals and vehicles on their own and on a conflicting background, recoloured and textured
    objects, pairs, several equal objects, a word alone, and an object with a word that names another. All
    by artists that training sees.

    Returns:
        `Scenes`, always the same ones.

    Example:
        >>> gallery().labels.concept.iloc[0], gallery().labels.colour.iloc[0]
        ('cat', 'red')
    """
    codes = _codes()
    index = torch.arange(len(codes["kind"]))
    layout = arrange(Chance(SEED, index), codes)
    return painted(layout, index, SEED, "clean", 4)
