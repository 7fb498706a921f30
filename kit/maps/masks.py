"""From a map of tokens to a mask, and from a true mask to what the tower saw: once, for every method."""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms import functional as F
from torchvision.transforms.functional import InterpolationMode

from kit.axes import expect_shape
from kit.errors import KitError
from kit.models.model import Model

PROTOCOLS = ("aligned", "released")
# what changes numbers and leaves each pixel in its place
IN_PLACE = {
    "ToTensor", "MaybeToTensor", "PILToTensor", "MaybePILToTensor", "MaybeConvertMode",
    "ConvertImageDtype", "ToDtype", "Normalize", "_convert_to_rgb",
}  # fmt: skip


class Spread(NamedTuple):
    """A map as large as the picture, 0-1, and the pixels that it calls the object, both [batch, row, col]."""

    heat: Tensor
    found: Tensor


def spread(maps: Tensor, size: tuple[int, int]) -> Spread:
    """Token maps as maps of pixels and masks, each image by itself.

    Enlarged by bilinear interpolation, clipped at zero, stretched to 0-1, cut at the mean over its pixels.
    A map without a positive value finds nothing: zeros, and an empty mask. After the cut values are rounded
    to 1e-4, so that pixels that only rounding tells apart stay tied, whatever the batch.

    Args:
        maps: [batch, row, col], any finite values, prefix tokens left out.
        size: (height, width) in pixels.

    Returns:
        `Spread(heat, found)`.

    Raises:
        KitError: maps of another shape, or values that are not finite.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, as its released code does it; there the largest, smallest
        and mean value are those of a whole batch, and a map without positive values is 0/0.

    Example:
        >>> spread(torch.tensor([[[0.0, 4.0], [-3.0, 2.0]]]), (2, 2)).found
        tensor([[[False,  True],
                 [False,  True]]])
    """
    expect_shape(maps, "batch row col", "maps")
    if not torch.isfinite(maps).all():
        raise KitError("maps hold values that are not finite; look for them in the model's output.")
    large = interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0].clamp(min=0)
    low, high = (getattr(large, f"a{end}")((1, 2), keepdim=True) for end in ("min", "max"))
    heat = (large - low) / torch.where(high > low, high - low, 1.0)
    heat = torch.where(high > low, heat.clamp(0, 1), 0.0)
    found = heat > heat.mean((1, 2), keepdim=True)
    return Spread(heat.round(decimals=4), found)  # what only rounding tells apart is a tie


def seen_mask(model: Model, mask, size: tuple[int, int] | None = None, protocol: str = "aligned") -> Tensor:
    """A true mask as the tower sees its picture.

    Args:
        model: from `kit.load`.
        mask: True on the object, bool or 0/1, [row, col], of the picture's own size.
        size: (height, width) of the picture, to be checked against; None = not checked.
        protocol: `"aligned"`: the mask is resized and cropped as the picture is, nearest pixel.
            `"released"`: it is squashed to the tower's size whatever its shape, while the picture is
            cropped, as the paper's released code does it: a perfect mask then misses on oblong pictures.

    Returns:
        bool [height, width] of the tower's size.

    Raises:
        KitError: an unknown protocol, a mask of another shape, size or kind, a transform with a step whose
            effect on places is not known.

    Example:
        >>> import kit
        >>> wide = np.zeros((64, 128), dtype=bool)
        >>> wide[:, :32] = True                        # a quarter of the picture; half of it is cropped away
        >>> model = kit.load("timm/vit_tiny_patch16_224", "random", config={"depth": 1})
        >>> [round(float(seen_mask(model, wide, protocol=p).float().mean()), 2) for p in PROTOCOLS]
        [0.0, 0.25]
    """
    if protocol not in PROTOCOLS:
        raise KitError(f'no protocol "{protocol}"; there are {" and ".join(PROTOCOLS)}.')
    values = np.asarray(mask.cpu() if isinstance(mask, Tensor) else mask)
    if values.ndim != 2 or not np.isin(values, (0, 1)).all():
        raise KitError(
            f"a mask should be [row, col], True on the object; this one is {list(values.shape)} of "
            f"{values.dtype}: write mask == the object's value."
        )
    if size is not None and tuple(size) != values.shape:
        raise KitError(
            f"the mask is {values.shape[0]} x {values.shape[1]} pixels, but its picture {size[0]} x "
            f"{size[1]}; give the mask of this very picture, at its own size."
        )
    sheet = Image.fromarray(values.astype(np.uint8))
    if protocol == "released":
        sheet = F.resize(sheet, list(model.image_size), InterpolationMode.NEAREST)
    else:
        for step in getattr(model.transform, "transforms", [model.transform]):
            sheet = _moved(step, sheet, model.name)
    seen = torch.from_numpy(np.array(sheet)) > 0
    return expect_seen(seen, model)


def perfect_iou(model: Model, size: tuple[int, int], protocol: str = "aligned") -> float:
    """IoU of a perfect mask: the pixels of a square in the middle, as the tower gets them, and its mask.

    Args:
        model: from `kit.load`.
        size: (height, width) of the picture; the square is half as wide as its shorter side.
        protocol: of `seen_mask`. Aligned the mask lies where the pixels do, at every shape.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> perfect_iou(model, (128, 192))
        1.0
    """
    (height, width), side = size, min(size) // 4
    true = np.zeros(size, dtype=bool)
    true[height // 2 - side : height // 2 + side, width // 2 - side : width // 2 + side] = True
    looked = model.preprocess(np.uint8(255 * true))[0, 0] > 0  # the square's pixels as the tower got them
    seen = seen_mask(model, true, protocol=protocol)
    return float((looked & seen).sum() / (looked | seen).sum())


def expect_seen(seen: Tensor, model: Model) -> Tensor:
    """The mask, if it has the tower's size."""
    if tuple(seen.shape) != tuple(model.image_size):
        raise KitError(
            f'the transform of "{model.name}" gives a mask of {list(seen.shape)}, but the tower reads '
            f"{list(model.image_size)}; give preprocess= that ends at this size."
        )
    return seen


def _moved(step, sheet: Image.Image, name: str) -> Image.Image:
    """A mask after one step of a transform."""
    kind = getattr(step, "__name__", type(step).__name__)
    if kind in IN_PLACE:
        return sheet
    if kind == "Resize":
        size = step.size if isinstance(step.size, int) else list(step.size)
        return F.resize(sheet, size, InterpolationMode.NEAREST, step.max_size)
    if kind == "CenterCrop":
        return F.center_crop(sheet, step.size)
    raise KitError(
        f'what "{kind}" in the transform of "{name}" does to the places of pixels is not known, so masks '
        "cannot follow; give preprocess= made of Resize, CenterCrop, ToTensor and Normalize."
    )
