"""The synthetic world of stickers: scenes drawn from a seed, with complete ground truth."""

from kit.world.scenes import Scenes, draw
from kit.world.values import VALUES, VERSION

__all__ = ["VALUES", "VERSION", "Scenes", "draw"]
