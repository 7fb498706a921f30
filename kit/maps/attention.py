"""Maps from attention patterns: of the last layer, rolled out over all layers, weighed by gradients."""

import torch
from torch import Tensor

from kit.maps.passes import look, patches, pattern_gradients, rows_read
from kit.models.model import Model


def raw_attention(model: Model, pixels: Tensor, directions: Tensor) -> Tensor:
    """How much the last layer's class token attends to each patch, mean over heads.

    Asks no direction: the map is the same for every class. In towers that pool patches, the mean over the
    pooled tokens.

    Args:
        model: from `kit.load`; a tower with the same tokens in every layer.
        pixels: [batch, 3, height, width].
        directions: not used.

    Returns:
        [batch, row, col].

    Raises:
        KitError: a tower of another kind.
    """
    seen = look(model, pixels, "raw attention")
    rows = rows_read(model, model.layers - 1)
    return patches(model, seen.calls[-1].pattern(tuple(rows)).mean((1, 2)))  # over heads and rows


def rollout(model: Model, pixels: Tensor, directions: Tensor) -> Tensor:
    """Attention followed through all layers, as if each passed on half of what it got.

    The product over layers of (pattern + identity) / 2, patterns averaged over heads; its class row.

    Args, returns, raises: as `raw_attention`.

    Source:
        Abnar and Zuidema 2020, Quantifying Attention Flow in Transformers, arXiv 2005.00928.
    """
    seen = look(model, pixels, "rollout")
    return patches(model, rolled([(c.pattern().mean(1), 0.5) for c in seen.calls], model))


def gradcam(model: Model, pixels: Tensor, directions: Tensor) -> Tensor:
    """The last layer's attention, each head weighed by how it moves the score, on average over patches.

    This is GradCAM of heads, as works on transformers compare with. The package pytorch-grad-cam weighs
    channels of the last block's tokens instead, and gives other maps. Where every weighed head speaks against
    the class the map is clipped to zero everywhere.

    Args:
        model, pixels: as `raw_attention`.
        directions: one for each image, [batch, embed].

    Returns:
        [batch, row, col], not below zero.

    Raises:
        KitError: a tower of another kind.

    Source:
        Selvaraju et al. 2017, arXiv 1610.02391, taken to attention as in Chefer et al. 2021,
        arXiv 2012.09838: heads in place of channels, the class row alone.
    """
    patterns, gradients = pattern_gradients(model, pixels, directions, "GradCAM of heads")
    rows = rows_read(model, model.layers - 1)
    pattern, gradient = patterns[-1][:, :, rows], gradients[-1][:, :, rows]  # [batch, head, row, token]
    weight = gradient[..., model.prefix_tokens :].mean(-1, keepdim=True)
    return patches(model, (pattern * weight).mean((1, 2)).clamp(min=0))


def rolled(layers: list[tuple[Tensor, float]], model: Model) -> Tensor:
    """The rows that are read of the product of (matrix + identity) times a factor, mean, [batch, token]."""
    total = None
    for matrix, factor in layers:
        step = factor * (matrix + torch.eye(matrix.shape[-1]).to(matrix))  # [batch, token, token]
        total = step if total is None else step @ total
    return total[:, rows_read(model, model.layers - 1)].mean(1)
