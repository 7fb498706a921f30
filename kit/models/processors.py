"""Processors of pictures of transformers, as transforms from PIL image to tensor."""

import json
from types import SimpleNamespace

from PIL import Image
from torch import Tensor

from kit.errors import KitError
from kit.models.names import unknown_setting

# as the rest of the kit calls them -> as transformers does
NAMES = {"mean": "image_mean", "std": "image_std", "interpolation": "resample"}
FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}  # of Pillow


def is_processor(thing: object) -> bool:
    """Whether something is a processor of transformers, of pictures alone or of pictures and texts."""
    return hasattr(thing, "image_processor") or hasattr(thing, "image_mean")


def expect_processor(thing: object) -> object:
    """The processor of pictures in what was given."""
    return getattr(thing, "image_processor", thing)


class Processed:
    """The library's own processor: one picture in, pixels [3, height, width] out.

    Args:
        processor: of transformers.
        settings: over its own; `mean`, `std`, `interpolation`, `size` (one side, or height and width, without
            a crop), or as transformers calls them.
        name: how messages call the model.

    Raises:
        KitError: the processor has no such setting.
    """

    def __init__(self, processor: object, settings: dict, name: str):
        self.processor = processor
        self.settings: dict = {}
        for key, value in settings.items():
            own = NAMES.get(key, key)
            if not hasattr(processor, own):
                known = [k for k in processor.to_dict() if not k.startswith("_")]
                raise unknown_setting(key, [*NAMES, *known])
            if value is not None:
                self.settings |= _setting(own, value, name)
        said = lambda key, default: self.settings.get(key, getattr(processor, key, None)) or default  # noqa: E731
        # what turns pixels back into shares of white, as for a transform of torchvision
        share = 255 * said("rescale_factor", 1 / 255) if said("do_rescale", False) else 255
        mean, std = (said("image_mean", 0), said("image_std", 1)) if said("do_normalize", False) else (0, 1)
        self.transforms = [SimpleNamespace(mean=_shares(mean, share), std=_shares(std, share))]

    def __call__(self, image: Image.Image) -> Tensor:
        """Pixels [3, height, width]."""
        return self.processor(images=image, return_tensors="pt", **self.settings)["pixel_values"][0]

    def __repr__(self) -> str:
        own = {k: v for k, v in self.processor.to_dict().items() if not k.startswith("_") and v is not None}
        return (
            f"{type(self.processor).__name__} {json.dumps(own | self.settings, sort_keys=True, default=str)}"
        )


def _setting(key: str, value: object, name: str) -> dict:
    """One setting as the processor takes it."""
    if key == "resample" and isinstance(value, str):
        if value not in FILTERS:
            raise KitError(f'"{value}" is no interpolation for {name}; there are {", ".join(FILTERS)}.')
        return {key: FILTERS[value]}
    if key == "size" and not isinstance(value, dict):
        height, width = (value, value) if isinstance(value, int) else value
        return {"size": {"height": height, "width": width}, "do_center_crop": False}
    if key in ("image_mean", "image_std") and isinstance(value, int | float):
        return {key: [value] * 3}
    return {key: value}


def _shares(values, share: float) -> list[float]:
    values = values if isinstance(values, list | tuple) else [values] * 3
    return [value / share for value in values]
