"""The same objects once more: in another place, of another size, before another background."""

from dataclasses import replace

import torch

from kit.errors import KitError
from kit.world.sample import KIND
from kit.world.scenes import Scenes, painted

DRAWING = ("category", "concept", "artist")
DRESS = ("colour", "texture")


def elsewhere(scenes: Scenes, redressed: bool = False) -> Scenes:
    """Each scene's object in the place, size, turn and background of the scene before it.

    As one would see a thing that is carried about: what stays is the object.

    Args:
        scenes: of kind "single", two or more.
        redressed: the object also takes the colour and the texture of the object whose place it takes;
            what stays is the drawing.

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
    taken = DRAWING if redressed else DRAWING + DRESS
    layout = replace(other, codes=other.codes | {name: scenes.codes[name] for name in taken})
    return painted(layout, index, scenes.seed, scenes.mix, scenes.masks.shape[1], scenes.scale)
