"""Animals on water and on land: the stickers as a set with a spurious cue, laid out as Waterbirds is."""

import torch

from kit.data.sets import Pictures
from kit.errors import KitError
from kit.world import VALUES, prompts
from kit.world.chance import Chance
from kit.world.sample import MIXES, Recipe, arrange, background_habitat, labels
from kit.world.scenes import OBJECTS, check_draw, painted
from kit.world.values import CATEGORY, LAND_BACKGROUNDS, WATER_BACKGROUNDS

ANIMALS, PLACES = ("land animal", "water animal"), ("land", "water")  # y, place
GROUPS = tuple(f"{animal} on {place}" for animal in ANIMALS for place in PLACES)
BLOCK = 4096  # scenes whose labels are drawn at a time; only those that are wanted are painted


def animals(n: int, seed: int, artists: str = "seen") -> Pictures:
    """The first scenes of a seed that show a land or water animal on land or on water.

    They are scenes of `kit.world.draw(..., seed)`, background independent of the animal, without those of
    other things and of backgrounds that are neither land nor water; these are not even painted.

    Args:
        n: how many scenes.
        seed: of the world.
        artists: "seen", "held_out" or "all".

    Returns:
        `Pictures` with the labels of the scenes and `y` (0 land animal, 1 water animal), `class_name`,
        `place` (0 land, 1 water) and `group`, as `read_waterbirds` has them.

    Raises:
        KitError: n not positive, an unknown seed or group of artists.

    Example:
        >>> animals(3, seed=0).labels.group.tolist()
        ['land animal on land', 'land animal on land', 'water animal on land']
    """
    recipe = Recipe("single", 0.0, artists, 0.5, 0.3, VALUES["size"], 0.0, "clean")  # as `draw` has it
    check_draw(n, seed, recipe)
    index, start = torch.zeros(0, dtype=torch.int64), 0
    while len(index) < n:
        block = torch.arange(start, start + BLOCK)
        index = torch.cat([index, block[_wanted(labels(Chance(seed, block), recipe))]])
        start += BLOCK
    index = index[:n]
    chance = Chance(seed, index)
    codes = labels(chance, recipe)
    scenes = painted(arrange(chance, codes), index, seed, recipe.mix, OBJECTS["single"])
    y = (codes["category"] == VALUES["category"].index(ANIMALS[1])).long()
    place = (background_habitat(codes["background"]) == 1).long()
    more = {
        "y": y,
        "class_name": [ANIMALS[c] for c in y.tolist()],
        "place": place,
        "group": [f"{ANIMALS[c]} on {PLACES[p]}" for c, p in zip(y.tolist(), place.tolist())],
    }
    return Pictures(scenes.images, scenes.labels.reset_index(drop=True).assign(**more))


def _wanted(codes: dict[str, torch.Tensor]) -> torch.Tensor:
    """Which scenes show a land or water animal on land or water, bool [batch]."""
    kinds = [VALUES["category"].index(animal) for animal in ANIMALS]
    animal = (codes["category"][:, None] == torch.tensor(kinds)).any(1)
    return animal & (background_habitat(codes["background"]) > 0)


def animal_texts() -> dict[str, list[str]]:
    """For each class its texts: the names of its animals, as the model cards ask them.

    Example:
        >>> animal_texts()["water animal"][:3]
        ['a whale', 'a fish', 'a blowfish']
    """
    named = list(zip(VALUES["concept"], prompts("concept")))
    return {animal: [text for c, text in named if CATEGORY[c] == animal] for animal in ANIMALS}


def training_shares(mix: str) -> dict[str, float]:
    """How the four groups share the single animals that a model was trained on, 0-1.

    With probability `bias` an animal stands on a background of its own kind, otherwise on any.

    Args:
        mix: "clean" or "web", what the model was trained on.

    Raises:
        KitError: an unknown mix.

    Example:
        >>> {group: round(share, 4) for group, share in training_shares("web").items() if share < 0.1}
        {'land animal on water': 0.0036, 'water animal on land': 0.0029}
    """
    if mix not in MIXES:
        raise KitError(f'no mix "{mix}"; there are {" and ".join(MIXES)}.')
    bias, many = MIXES[mix][1], len(VALUES["background"])
    places = {"land": len(LAND_BACKGROUNDS) / many, "water": len(WATER_BACKGROUNDS) / many}
    found = {}
    for animal in ANIMALS:
        concepts = sum(category == animal for category in CATEGORY.values())
        for place in PLACES:
            own = animal.startswith(place)
            found[f"{animal} on {place}"] = concepts * (bias * own + (1 - bias) * places[place])
    whole = sum(found.values())
    return {group: share / whole for group, share in found.items()}
