"""The same objects once more: in another place, of another size, before another background."""

from dataclasses import replace

import torch

from kit.errors import KitError
from kit.world.sample import KIND
from kit.world.scenes import Scenes, painted

OWN = ("category", "concept", "artist", "colour", "texture")  # what an object takes along


def elsewhere(scenes: Scenes) -> Scenes:
    """Each scene's object in the place, size, turn and background of the scene before it.

    As one would see a thing that is carried about: what stays is the object.

    Args:
        scenes: of kind "single", two or more.

    Returns:
        `Scenes` with the numbers of those whose places and backgrounds they have.

    Raises:
        KitError: scenes of another kind, or one alone.

    Example:
        >>> from kit.world import draw
        >>> scenes = draw(3, seed=0)
        >>> there = elsewhere(scenes).codes
        >>> bool((there["concept"] == scenes.codes["concept"]).all())
        True
        >>> bool((there["background"] == scenes.codes["background"].roll(1)).all())
        True
    """
    if len(scenes) < 2 or not (scenes.codes["kind"] == KIND["single"]).all():
        raise KitError('objects change places among two or more scenes of kind "single"; give such ones.')
    order = torch.arange(len(scenes), device=scenes.index.device).roll(1)
    other, index = scenes.layout[order], scenes.index[order]
    layout = replace(other, codes=other.codes | {name: scenes.codes[name] for name in OWN})
    return painted(layout, index, scenes.seed, scenes.mix, scenes.masks.shape[1])
