"""A model of which it is known where a head reads: one patch of a picture is lit, and nothing else counts."""

import torch
from torch import Tensor

from kit.models import load
from kit.models.model import Model

GRID, PATCH, WIDTH, EMBED = 4, 8, 16, 8


def lit_patches() -> tuple[Model, Tensor]:
    """An untrained tower of one layer and one head, and black pictures with one lit patch each.

    Positions, class token and MLP are silent, and every token but the lit one is zero: only that patch can
    carry a score.

    Returns:
        The model, and pixels [16, 3, 32, 32]; in picture i patch i is lit, row by row.

    Example:
        >>> model, pixels = lit_patches()
        >>> model.grid, pixels.shape[0]
        ((4, 4), 16)
    """
    size = GRID * PATCH
    vision = {"width": WIDTH, "layers": 1, "head_width": WIDTH, "patch_size": PATCH, "image_size": size}
    config = {"embed_dim": EMBED, "vision_cfg": vision, "text_cfg": None}
    model = load("ViT-B-32", "random", config=config)
    tower = model.tower
    silent = [tower.class_embedding, tower.positional_embedding]
    with torch.no_grad():
        for weights in (*silent, *tower.transformer.resblocks[0].mlp.c_proj.parameters()):
            weights.zero_()
    lit = torch.eye(GRID * GRID).unflatten(1, (GRID, GRID))  # [picture, row, col]
    pixels = lit.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)
    return model, pixels[:, None].expand(-1, 3, -1, -1).contiguous()
