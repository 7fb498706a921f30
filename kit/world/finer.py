"""The same scenes with more pixels, for the eye alone: no model has seen them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from kit.errors import KitError
from kit.world import atlas
from kit.world.chance import Chance
from kit.world.paint import dressed, grounds, textured, warped
from kit.world.sample import SLOTS
from kit.world.values import SIZE

if TYPE_CHECKING:
    from kit.world.scenes import Scenes


def finer(scenes: Scenes, scale: int = 4) -> Tensor:
    """What `Scenes.finer` returns."""
    if not isinstance(scale, int) or not 1 <= scale <= 8:
        raise KitError(f"scale should be a whole number from 1 to 8, but is {scale!r}.")
    if len(scenes) > 64:
        raise KitError(f"{len(scenes)} scenes are too many to draw finer at once: pick 64 or fewer.")
    layout, codes = scenes.layout, scenes.codes
    chance = Chance(scenes.seed, scenes.index)
    canvas = F.interpolate(grounds(chance, codes["background"]), scale_factor=scale, mode="bicubic")
    for slot in range(SLOTS):
        for suffix in ("", "_2"):
            second = (codes["concept_2"] >= 0) & (slot == 1)
            scene = (layout.there[:, slot] & (second == (suffix == "_2"))).nonzero()[:, 0]
            if not len(scene):
                continue
            corner = torch.zeros_like(scene)
            drawing = dressed(codes, suffix, scene, atlas.CELL)
            ink = warped(layout, scene, slot, drawing, corner, corner, SIZE, scale)
            textured(ink, codes, suffix, scene, corner, corner, scale)
            canvas[scene] = canvas[scene] * (1 - ink[:, 3:]) + ink[:, :3]
    _print_words(scenes, canvas, scale)
    return canvas.round().clamp(0, 255).to(torch.uint8)


def _print_words(scenes: Scenes, canvas: Tensor, scale: int) -> None:
    """The word boxes, from a sheet of words that were rendered larger."""
    sheet, widths = atlas.words(fine=True)
    for i in (scenes.codes["word"] >= 0).nonzero()[:, 0].tolist():
        word = int(scenes.codes["word"][i])
        height, width = atlas.WORD_HEIGHT * scale, int(atlas.words()[1][word]) * scale
        box = sheet[word, :1, :, : int(widths[word])][None].float()
        box = F.interpolate(box, (height, width), mode="bilinear", antialias=True)[0]
        top, left = (int(v[i]) * scale for v in (scenes.layout.word_y, scenes.layout.word_x))
        canvas[i, :, top : top + height, left : left + width] = box.to(canvas.device)
