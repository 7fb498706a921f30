"""The same scene twice, with one factor changed: the ground for whatever is said to carry that factor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kit.errors import KitError, nearest
from kit.world import atlas
from kit.world.chance import Chance
from kit.world.paint import paint
from kit.world.printed import word_boxes, word_of
from kit.world.sample import KIND, LINE, TABLE, Recipe, arrange, dress, labels
from kit.world.scenes import CHUNK, OBJECTS, Scenes, check_draw, painted
from kit.world.values import HELD_OUT, SEEN, VALUES

# what a factor takes with it
ALSO = {
    "colour": "nothing",
    "texture": "nothing",
    "background": "the label `fit`",
    "position": "the object's place, and with it the mask",
    "size": "the mask, and the object's centre: large objects stand nearer to the middle",
    "concept": "the drawing, and with it the mask; the category stays",
    "category": "concept, drawing and mask, and the label `fit`",
    "artist": "the drawing, and with it the mask",
    "word": "the box, which is as wide as its word, and what it hides of the object",
    "count": "the masks of what comes or goes, and what that hides of the others",
    "relation": "where the two objects stand, and with it their masks",
}
DRAWN_AS = {"count": "count", "relation": "pair"}  # kinds of scenes; "single" otherwise
BELOW_ONE = 1 - 2**-24  # the largest number of float32 below 1


@dataclass
class Pairs:
    """Scenes that come twice: in `second` one factor has another value, and all else is as in `first`.

    Attributes:
        attribute: the factor.
        first, second: `Scenes`, row by row the same scene.

    A slice, a list of numbers or a boolean array picks pairs: `pairs[:8]`.
    """

    attribute: str
    first: Scenes
    second: Scenes

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, which) -> Pairs:
        return Pairs(self.attribute, self.first[which], self.second[which])

    def __repr__(self) -> str:
        return f"Pairs({len(self)}, another {self.attribute}, of {self.first})"

    @property
    def also(self) -> str:
        """What changes with the factor, since it cannot stay."""
        return ALSO[self.attribute]

    def at(self, scale: int) -> Pairs:
        """The same pairs with so many times the pixels a side, see `Scenes.at`."""
        return Pairs(self.attribute, self.first.at(scale), self.second.at(scale))

    @cached_property
    def support(self) -> Tensor:
        """Where the two pictures can differ, bool [batch, height, width]; elsewhere they are equal.

        All that an object touches, its soft edges too, which its mask leaves out; for a word the two boxes,
        for a background all that no object hides.
        """
        if self.attribute == "word":
            return (word_boxes(self.first) | word_boxes(self.second))[:, 0]
        if self.attribute == "background":
            opaque = _touched(self.first, BELOW_ONE) & ~_touched(self.first, 1.0)  # exactly 1
            return ~opaque
        return _touched(self.first, 0.0) | _touched(self.second, 0.0)


def _touched(scenes: Scenes, edge: float) -> Tensor:
    """Pixels that objects cover by more than `edge`, and that no word hides, bool [batch, height, width]."""
    found = []
    for low in range(0, len(scenes), CHUNK):
        some = slice(low, low + CHUNK)
        chance = Chance(scenes.seed, scenes.index[some])
        found.append(paint(scenes.layout[some], chance, scenes.scale, edge)[1].any(1))
    return torch.cat(found)


def pairs(
    attribute: str,
    n: int,
    seed: int,
    artists: str = "seen",
    *,
    start: int = 0,
    device: torch.device | str = "cpu",
) -> Pairs:
    """Scenes of the stickers world twice, with one factor changed and all else equal to the bit.

    The labels are drawn as `draw` draws them, without bias; one is changed to another of its values, each as
    likely; and both scenes are put together and painted from the same chances. Backgrounds, light and
    grain are the same, and so is the place of the object wherever the factor lets it stay (`also` says what
    cannot). `support` is where pixels can differ.

    Pair i depends only on the world's version, the factor, the seed and i.

    Args:
        attribute: "colour" (of recoloured objects), "texture" (of the same), "background", "position",
            "size", "concept" (another of its category), "category" (a concept of another one), "artist"
            (among concepts that every one of them drew), "word" (another printed word, neither of which
            names the object), "count" (equal objects on a grid, of which some come or go) or "relation" (of
            two objects).
        n: how many pairs.
        seed: which world; a whole number from 0 to 2**40 - 1.
        artists: "seen", "held_out" (the artist that training never sees) or "all".
        start: number of the first scene. Scenes of a count that would stand in a line are left out.
        device: where the scenes are drawn.

    Returns:
        `Pairs`.

    Raises:
        KitError: an unknown attribute, or the artist where there is one alone; as `draw`.

    Example:
        >>> two = pairs("colour", 4, seed=0)
        >>> (two.first.codes["colour"] == two.second.codes["colour"]).any().item(), two.also
        (False, 'nothing')
        >>> torch.equal(two.first.masks, two.second.masks)
        True
    """
    if attribute not in ALSO:
        known = ", ".join(ALSO)
        raise KitError(f'no factor "{attribute}": there are {known}.{nearest(attribute, list(ALSO))}')
    if attribute == "artist" and artists == "held_out":
        raise KitError('one artist alone is held out, so there is no other; ask for artists="seen" or "all".')
    kind = DRAWN_AS.get(attribute, "single")
    colours = 1.0 if attribute in ("colour", "texture") else 0.5
    textures = 0.75 if attribute == "texture" else 0.3  # 0.75: each of the four is as likely
    recipe = Recipe(kind, 0.0, artists, colours, textures, VALUES["size"], 0.0, "clean")
    check_draw(n, seed, recipe, start)
    chance, index = _numbers(attribute, n, seed, start, device)
    codes = labels(chance, recipe)
    if attribute == "artist":
        of_all = atlas.available()[_artists(artists)].all(0).to(index.device)
        codes["concept"] = _pick(chance, "of-all", of_all.expand(n, -1))
        dress(chance, recipe, "", codes, codes["concept"] >= 0)
    if attribute == "word":
        codes |= {"kind": torch.full_like(index, KIND["single_word"])}
        codes["word"] = _pick(chance, "one-word", _values(attribute, codes, artists))
    name = "concept" if attribute == "category" else attribute
    other = codes | {name: _pick(chance, f"another-{attribute}", _values(attribute, codes, artists))}
    if attribute == "category":
        other["category"] = torch.tensor(TABLE["category"], device=index.device)[other["concept"]]
    layouts = (arrange(chance, each) for each in (codes, other))
    objects = OBJECTS.get(kind, 4)
    return Pairs(attribute, *(painted(layout, index, seed, recipe.mix, objects) for layout in layouts))


def _numbers(attribute: str, n: int, seed: int, start: int, device) -> tuple[Chance, Tensor]:
    """The first `n` scenes from `start` on that can be changed, int64 [n], and their chances."""
    index = torch.arange(start, start + n, dtype=torch.int64, device=device)
    while attribute == "count" and len(index) and (index := _off_line(index, seed)).shape[0] < n:
        index = torch.arange(start, 2 * index[-1].item() - start + 64, dtype=torch.int64, device=device)
    return Chance(seed, index[:n]), index[:n]


def _off_line(index: Tensor, seed: int) -> Tensor:
    return index[~Chance(seed, index).happens("line", LINE)]


def _artists(artists: str) -> list[int]:
    names = {"seen": SEEN, "held_out": HELD_OUT, "all": SEEN + HELD_OUT}[artists]
    return [VALUES["artist"].index(name) for name in names]


def _values(attribute: str, codes: dict[str, Tensor], artists: str) -> Tensor:
    """Which values the factor can take instead of the one that it has, bool [batch, value]."""
    name = "concept" if attribute == "category" else attribute
    device, count = codes["concept"].device, len(VALUES[name])
    value, now = torch.arange(count, device=device), codes[name][:, None]
    free = (value != now).expand(len(now), count)
    if attribute == "colour":
        return free & (value > 0)
    if attribute == "artist":
        drawn = atlas.available()[:, codes["concept"].cpu()].T.to(device)
        return free & drawn & torch.isin(value, torch.tensor(_artists(artists), device=device))
    if attribute == "word":
        return free & (value != word_of(codes["concept"])[:, None])
    if attribute in ("concept", "category"):
        same = torch.tensor(TABLE["category"], device=device) == codes["category"][:, None]
        drawn = atlas.available()[codes["artist"].cpu()].to(device)
        return free & drawn & (same if attribute == "concept" else ~same)
    return free


def _pick(chance: Chance, stream: str, allowed: Tensor) -> Tensor:
    """One of the values that are allowed, each as likely, int64 [batch]; allowed: bool [batch, value]."""
    order = chance.bits(stream) * allowed.sum(1) >> 31
    return (allowed.cumsum(1) == order[:, None] + 1).int().argmax(1)
