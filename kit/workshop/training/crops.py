"""Views of images for self-distillation: crops and changed colours, batched, on the images' device."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)


def crop(images: Tensor, size: int, scale: tuple[float, float], generator: torch.Generator) -> Tensor:
    """One random rectangle of each image, perhaps mirrored, [batch, 3, size, size].

    Args:
        images: float [batch, 3, height, width].
        size: side of the result in pixels.
        scale: least and largest share of the image's area.
        generator: on the images' device.
    """
    area, shape, x, y, mirror = _uniform(5, len(images), generator)
    side = (scale[0] + (scale[1] - scale[0]) * area).sqrt()
    stretch = (4 / 3) ** (shape - 0.5)  # width to height from 3 : 4 to 4 : 3
    width, height = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
    sign = torch.where(mirror < 0.5, -1.0, 1.0)
    none = torch.zeros_like(side)
    theta = torch.stack(
        [sign * width, none, (2 * x - 1) * (1 - width), none, height, (2 * y - 1) * (1 - height)], 1
    ).view(-1, 2, 3)
    grid = F.affine_grid(theta, [len(images), 3, size, size], align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def recolour(images: Tensor, strength: float, turn: float, grey: float, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation and hue of each image changed at random.

    All four are one affine map of the colour: a 3 x 3 matrix about the image's own mean.

    Args:
        images: float 0-1, [batch, 3, height, width].
        strength: 0 changes no brightness; 1 halves or doubles contrast and saturation.
        turn: largest turn of the hue in either direction, in half turns.
        grey: share of the images that lose their colour.
        generator: on the images' device.
    """
    bright, contrast, colour, angle, lost = _uniform(5, len(images), generator)
    factor = lambda u: 2 ** (strength * (2 * u - 1))  # noqa: E731
    saturation = torch.where(lost < grey, 0.0, factor(colour))[:, None, None]
    same, light = (
        torch.eye(3, device=images.device),
        torch.tensor(LUMINANCE, device=images.device).expand(3, 3),
    )
    matrix = saturation * _turn(turn * math.pi * (2 * angle - 1)) @ (same - light) + light
    matrix = factor(contrast)[:, None, None] * matrix  # [batch, 3, 3]
    mean = images.mean((2, 3), keepdim=True)
    changed = torch.einsum("bij,bjhw->bihw", matrix, images - mean)
    return changed + mean + (strength * 0.4 * (bright - 0.5))[:, None, None, None]


def blur(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image mixed with itself blurred over 3 x 3 pixels, by a random amount."""
    (amount,) = _uniform(1, len(images), generator)
    soft = F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    return images.lerp(soft, amount[:, None, None, None])


def mask(images: Tensor, patch: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images with that share of their patches at zero, and which they are, bool [batch, patch]."""
    rows, cols = images.shape[2] // patch, images.shape[3] // patch
    noise = torch.rand(len(images), rows * cols, generator=generator, device=images.device)
    hidden = noise.argsort(1).argsort(1) < round(share * rows * cols)  # [batch, patch]
    seen = (~hidden).view(-1, 1, rows, cols).to(images.dtype)
    return images * seen.repeat_interleave(patch, 2).repeat_interleave(patch, 3), hidden


def _turn(angle: Tensor) -> Tensor:
    """Rotations about the grey axis, [batch, 3, 3]."""
    third = (1 - angle.cos()) / 3
    near, far = angle.sin() / math.sqrt(3), third
    diagonal = angle.cos() + third
    rows = [
        diagonal,
        far - near,
        far + near,
        far + near,
        diagonal,
        far - near,
        far - near,
        far + near,
        diagonal,
    ]
    return torch.stack(rows, 1).view(-1, 3, 3)


def _uniform(count: int, batch: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, batch, generator=generator, device=generator.device)
