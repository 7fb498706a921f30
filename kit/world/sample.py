"""What stands where in a scene: labels and geometry, in integers, before anything is painted."""

from dataclasses import dataclass
from functools import cache
from itertools import permutations

import torch
from torch import Tensor

from kit.world import atlas
from kit.world.chance import Chance
from kit.world.values import (
    CATEGORY,
    HELD_OUT,
    LAND,
    LAND_BACKGROUNDS,
    SEEN,
    SIZE,
    VALUES,
    WATER,
    WATER_BACKGROUNDS,
)

UNIT = 16  # geometry is in sixteenths of a pixel
SLOTS = 4  # objects in a scene, at most
ANGLES = 65  # steps of rotation, from -0.22 to 0.22 rad
MIXES = {  # shares of the kinds, and how strongly backgrounds fit
    "clean": ({"single": 0.58, "count": 0.18, "pair": 0.20, "word": 0.04, "single_word": 0.0}, 0.9),
    "web": ({"single": 0.40, "count": 0.14, "pair": 0.16, "word": 0.06, "single_word": 0.24}, 0.97),
}
LINE = 0.4  # share of up to three equal objects that stand in a line, and not on the grid
MATCHING = 0.35  # share of single_word scenes whose word names their object
KIND = {name: code for code, name in enumerate(VALUES["kind"])}
SIDE = ((16, 20), (26, 31), (40, 46))  # small, medium, large
SHIFT = ((16, 20), (13, 16), (7, 9))  # from the centre, by size
ACROSS = (4, 3, 1)  # jitter across the shift, by size


@dataclass
class Recipe:
    """The arguments of `draw` that say what is drawn."""

    kind: str
    bias: float
    artists: str
    colours: float
    textures: float
    sizes: tuple[str, ...]
    words: float
    mix: str


@dataclass
class Plan:
    """Scenes before painting: codes by attribute, [n] each, and up to four objects, [n, slot] each."""

    codes: dict[str, Tensor]
    there: Tensor  # bool
    x: Tensor  # centre and side in 1/16 px
    y: Tensor
    side: Tensor
    angle: Tensor  # index into the table of rotations
    flip: Tensor  # bool, [n, slot]
    word_x: Tensor  # left and top of the word box in px, [n]
    word_y: Tensor

    def __getitem__(self, which: slice | Tensor) -> "Plan":
        rest = {k: v[which] for k, v in vars(self).items() if k != "codes"}
        return Plan({k: v[which] for k, v in self.codes.items()}, **rest)


@cache
def _tables(artists: str) -> tuple[Tensor, Tensor]:
    """Artists who drew a concept, [concept, k] (padded), and how many there are, [concept]."""
    names = {"seen": SEEN, "held_out": HELD_OUT, "all": SEEN + HELD_OUT}[artists]
    chosen = torch.tensor([VALUES["artist"].index(a) for a in names])
    has = atlas.available()[chosen].T  # [concept, artist]
    order = has.int().argsort(dim=1, descending=True, stable=True)
    return chosen[order], has.sum(1)


def _lookup(table: list | tuple, index: Tensor) -> Tensor:
    return torch.tensor(table, device=index.device)[index]


def _groups() -> dict[str, list]:
    """Constant tables: category of a concept; 0 neutral, 1 water, 2 land of a category; concept of a word."""
    categories, concepts = VALUES["category"], VALUES["concept"]
    return {
        "category": [categories.index(CATEGORY[c]) for c in concepts],
        "habitat": [1 if c in WATER else 2 if c in LAND else 0 for c in categories],
        "word": [concepts.index(w) for w in VALUES["word"]],
        "water": [VALUES["background"].index(b) for b in WATER_BACKGROUNDS],
        "land": [VALUES["background"].index(b) for b in LAND_BACKGROUNDS],
    }


TABLE = _groups()


def habitat(category: Tensor) -> Tensor:
    """0 neutral, 1 water, 2 land; -1 stays neutral."""
    return _lookup(TABLE["habitat"], category.clamp(min=0)) * (category >= 0)


def background_habitat(background: Tensor) -> Tensor:
    """0 neutral, 1 water, 2 land."""
    table = [
        1 if b in TABLE["water"] else 2 if b in TABLE["land"] else 0 for b in range(len(VALUES["background"]))
    ]
    return _lookup(table, background)


def dress(chance: Chance, recipe: Recipe, suffix: str, codes: dict[str, Tensor], present: Tensor) -> None:
    """Category, artist, colour and texture of the object whose concept is in `codes` already."""
    concept = codes["concept" + suffix].clamp(min=0)
    table, counts = (t.to(concept.device) for t in _tables(recipe.artists))
    pick = chance.bits("artist" + suffix) * counts[concept] >> 31
    colour = 1 + chance.below("colour" + suffix, len(VALUES["colour"]) - 1)
    texture = 1 + chance.below("texture" + suffix, len(VALUES["texture"]) - 1)
    found = {
        "category": _lookup(TABLE["category"], concept),
        "artist": table[concept, pick],
        "colour": colour * chance.happens("recoloured" + suffix, recipe.colours),
        "texture": texture * chance.happens("textured" + suffix, recipe.textures),
    }
    codes.update({k + suffix: torch.where(present, v, -1) for k, v in found.items()})


def _kinds(chance: Chance, recipe: Recipe) -> Tensor:
    if recipe.kind == "mixed":
        kind = chance.choose("kind", list(MIXES[recipe.mix][0].values()))
    else:
        kind = torch.full_like(chance.base, KIND[recipe.kind])
    printed = (kind == KIND["single"]) & chance.happens("printed", recipe.words)
    return torch.where(printed, KIND["single_word"], kind)


def labels(chance: Chance, recipe: Recipe) -> dict[str, Tensor]:
    """Codes of every attribute, -1 where a scene has none; int64 [n] each."""
    kind = _kinds(chance, recipe)
    single = (kind == KIND["single"]) | (kind == KIND["single_word"])
    pair, count, word_only = kind == KIND["pair"], kind == KIND["count"], kind == KIND["word"]
    word = chance.below("word", len(VALUES["word"]))
    matching = (kind == KIND["single_word"]) & chance.happens("matching", MATCHING)
    concepts = len(VALUES["concept"])
    concept = chance.below("concept", concepts)
    concept = torch.where(matching, _lookup(TABLE["word"], word), concept)
    second = (concept + 1 + chance.below("concept_2", concepts - 1)) % concepts
    codes = {"kind": kind, "concept": torch.where(word_only, -1, concept)}
    dress(chance, recipe, "", codes, ~word_only)
    codes["concept_2"] = torch.where(pair, second, -1)
    dress(chance, recipe, "_2", codes, pair)

    allowed = torch.tensor([VALUES["size"].index(s) for s in recipe.sizes], device=kind.device)
    size = allowed[chance.below("size", len(allowed))]
    number = torch.where(count, chance.below("count", 4), 0)
    codes["size"] = torch.where(single, size, -1)
    codes["position"] = torch.where(single, chance.below("position", 5), -1)
    codes["count"] = torch.where(single | count, number, -1)
    codes["relation"] = torch.where(pair, chance.below("relation", 4), -1)
    codes["word"] = torch.where(word_only | (kind == KIND["single_word"]), word, -1)

    lives = habitat(codes["category"])
    background = chance.below("background", len(VALUES["background"]))
    water = _lookup(TABLE["water"], chance.below("water", len(TABLE["water"])))
    land = _lookup(TABLE["land"], chance.below("land", len(TABLE["land"])))
    fitting = torch.where(lives == 1, water, land)
    biased = (lives > 0) & chance.happens("biased", recipe.bias)
    codes["background"] = torch.where(biased, fitting, background)
    return codes


def _between(chance: Chance, stream: str, ranges: tuple, index: Tensor) -> Tensor:
    """Uniform in the range that `index` picks, ends included, in 1/16 px."""
    low, high = _lookup(ranges, index).unbind(-1)
    return low * UNIT + (chance.bits(stream) * ((high - low) * UNIT + 1) >> 31)


def _single(chance: Chance, codes: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    size, position = codes["size"].clamp(min=0), codes["position"].clamp(min=0)
    shift = _between(chance, "shift", SHIFT, size)
    spread = tuple((-a, a) for a in ACROSS)
    across = _between(chance, "across", spread, size)
    dx, dy = (chance.between(s, -2 * UNIT, 2 * UNIT) for s in ("middle-x", "middle-y"))
    x = torch.where(position == 0, -shift, torch.where(position == 1, shift, across))
    y = torch.where(position == 2, -shift, torch.where(position == 3, shift, across))
    middle, tight = position == 4, torch.where(size == 2, 2, 1)
    centre = SIZE // 2 * UNIT
    x, y = (torch.where(middle, d // tight, v) + centre for d, v in ((dx, x), (dy, y)))
    return x, y, _between(chance, "side", SIDE, size)


def _pair(chance: Chance, codes: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Two objects on the two sides of the middle, [n, 2] each."""
    relation = codes["relation"].clamp(min=0)
    x, y = [], []
    for j in range(2):
        away = 15 * UNIT + chance.between(f"pair-away-{j}", -UNIT, UNIT)
        along = chance.between(f"pair-across-{j}", -7 * UNIT, 7 * UNIT)
        sign = torch.where((relation % 2 == 0) == (j == 0), -1, 1)  # "left of", "above": the first is low
        beside = relation < 2
        x.append(torch.where(beside, away * sign, along))
        y.append(torch.where(beside, along, away * sign))
    side = torch.stack([_between(chance, f"pair-side-{j}", ((26, 30),), relation * 0) for j in range(2)], 1)
    centre = SIZE // 2 * UNIT
    return torch.stack(x, 1) + centre, torch.stack(y, 1) + centre, side


def _count(chance: Chance, codes: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Up to four equal objects on a jittered grid or in a line, [n, slot] each; the side is [n]."""
    number = codes["count"].clamp(min=0)
    line = chance.happens("line", LINE) & (number < 3)
    upright = chance.below("upright", 2) == 1
    cell = _lookup(list(permutations(range(4))), chance.below("cells", 24))  # [n, slot]
    steps = [(0, 0, 0, 0), (-12, 12, 0, 0), (-20, 0, 20, 0), (0, 0, 0, 0)]
    along = _lookup(steps, number) * UNIT  # [n, slot]
    off = chance.between("off", -12 * UNIT, 12 * UNIT)[:, None]
    jitter = [
        torch.stack([chance.between(f"{a}-{j}", -3 * UNIT, 3 * UNIT) for j in range(4)], 1) for a in "xy"
    ]
    grid = [(cell % 2 * 30 - 15) * UNIT, (cell // 2 * 30 - 15) * UNIT]
    upright, line = upright[:, None], line[:, None]
    row = [torch.where(upright, off, along), torch.where(upright, along, off)]
    centre = SIZE // 2 * UNIT
    x, y = (centre + torch.where(line, r + d // 3, g + d) for r, g, d in zip(row, grid, jitter))
    tight = (line[:, 0] & (number == 2)).long()
    return x, y, _between(chance, "count-side", ((18, 23), (18, 20)), tight)


def _word_box(chance: Chance, codes: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Left and top of the word box, in px; away from the object where there is one."""
    _, widths = atlas.words()
    width = widths.to(chance.base.device)[codes["word"].clamp(min=0)]
    x = 1 + (chance.bits("word-x") * (SIZE - 1 - width) >> 31)
    anywhere = chance.between("word-y", 2, SIZE - atlas.WORD_HEIGHT - 2)
    edge = chance.below("word-edge", 4)
    above = torch.where(codes["position"] == 3, True, chance.below("word-above", 2) == 1)
    above &= codes["position"] != 2
    banded = torch.where(above, 1 + edge, SIZE - atlas.WORD_HEIGHT - 1 - edge)
    return x, torch.where(codes["kind"] == KIND["word"], anywhere, banded)


def arrange(chance: Chance, codes: dict[str, Tensor]) -> Plan:
    """Scenes with these labels, everything put in its place."""
    kind = codes["kind"][:, None]
    one, two, many = _single(chance, codes), _pair(chance, codes), _count(chance, codes)
    fill = torch.zeros_like(many[0])
    slot = torch.arange(SLOTS, device=kind.device)
    parts = []
    for i in range(3):
        wide = torch.cat([two[i], fill[:, 2:]], 1)
        several = many[i] if many[i].ndim == 2 else many[i][:, None]
        chosen = torch.where(kind == KIND["count"], several, one[i][:, None])
        parts.append(torch.where(kind == KIND["pair"], wide, chosen))
    objects = torch.where(kind[:, 0] == KIND["pair"], 2, codes["count"] + 1)
    angle = torch.stack([chance.below(f"angle-{j}", ANGLES) for j in range(SLOTS)], 1)
    flip = torch.stack([chance.below(f"flip-{j}", 2) == 1 for j in range(SLOTS)], 1)
    flip = torch.where(kind == KIND["pair"], flip, flip[:, :1])  # equal objects look the same way
    return Plan(codes, slot < objects[:, None], *parts, angle, flip, *_word_box(chance, codes))
