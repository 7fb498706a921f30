"""Hierarchies whose values are rigged to read one planted cell of the picture: the map must be that cell."""

import pytest
import torch

import kit

TOWERS = {
    "swin_tiny_patch4_window7_224": {
        "img_size": (56, 112),
        "embed_dim": 32,
        "depths": (2, 2),
        "num_heads": (2, 4),
    },
    "swinv2_tiny_window8_256": {
        "img_size": (64, 128),
        "embed_dim": 32,
        "depths": (2, 2),
        "num_heads": (2, 4),
    },
    "maxvit_tiny_tf_224": {"img_size": (64, 128), "embed_dim": (32, 64), "depths": (1, 1), "stem_width": 32},
}
SILENT = ("attn.proj", "mlp.fc2", "conv.conv3_1x1")  # the ends of the branches


@pytest.fixture(scope="module", params=TOWERS)
def rigged(request):
    """A tower in which every branch writes zero, and every stem convolution reads its own place alone."""
    config = TOWERS[request.param]
    model = kit.load(f"timm/{request.param}", pretrained="random", config=config).double()
    with torch.no_grad():
        for name, module in model.tower.named_modules():
            if name.endswith(SILENT):
                for parameter in module.parameters():
                    parameter.zero_()
            if ".stem.conv" in name and module.kernel_size == (3, 3):
                middle = module.weight[:, :, 1:2, 1:2].clone()
                module.weight.zero_()[:, :, 1:2, 1:2] = middle
            if name.endswith(("norm1", "norm2")) and isinstance(module, torch.nn.LayerNorm):
                module.weight.fill_(1)  # Swin v2 starts at zero
                module.bias.normal_(generator=torch.Generator().manual_seed(1))
    attentions = [m for m in model.tower.modules() if hasattr(m, "qkv")]
    return model, attentions


@pytest.mark.parametrize("place", [(0.2, 0.3), (0.6, 0.9), (0.95, 0.05)])
def test_the_map_is_the_planted_cell(rigged, place):
    model, attentions = rigged
    height, width = model.image_size
    for layer, attention in enumerate(attentions):
        grid = layer_grid(model, layer)
        row, col = int(place[0] * grid[0]), int(place[1] * grid[1])
        cell = (height // grid[0], width // grid[1])
        pixels = torch.zeros(1, 3, height, width, dtype=torch.float64)
        pixels[:, :, row * cell[0] : (row + 1) * cell[0], col * cell[1] : (col + 1) * cell[1]] = 2.0
        found = planted_map(model, attention, layer, pixels)  # [row, col] of the finest layer
        fine = (found.shape[0] // grid[0], found.shape[1] // grid[1])
        inside = torch.zeros_like(found, dtype=torch.bool)
        inside[row * fine[0] : (row + 1) * fine[0], col * fine[1] : (col + 1) * fine[1]] = True
        assert found[inside].min() > 0.999 * found.max() > 0, f"layer {layer}"
        assert found[~inside].max() < 1e-6 * found.max(), f"layer {layer}"


def layer_grid(model, layer):
    """Rows and columns of a layer, from timm's own list of reductions."""
    stages = [m for m in model.tower.modules() if type(m).__name__.endswith("Stage")]
    counts = [sum(hasattr(m, "qkv") for m in stage.modules()) for stage in stages]
    stage = next(i for i in range(len(counts)) if layer < sum(counts[: i + 1]))
    reduction = model.tower.model.feature_info[stage - len(stages)]["reduction"]
    return model.image_size[0] // reduction, model.image_size[1] // reduction


def planted_map(model, attention, layer, pixels):
    """Sizes of the map of head 0 when it reads what tells the bright tokens from the dark, [row, col]."""
    kept = {n: p.clone() for n, p in attention.named_parameters()}
    try:
        return rigged_map(model, attention, layer, pixels)
    finally:
        with torch.no_grad():
            for name, parameter in attention.named_parameters():
                parameter.copy_(kept[name])


def rigged_map(model, attention, layer, pixels):
    seen = []
    hook = attention.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model.encode_image(pixels)
    hook.remove()
    rows = seen[0].flatten(0, -2)  # [token, dim]
    dark = rows.median(0).values
    bright = rows[(rows - dark).norm(dim=1).argmax()]
    noise = torch.Generator().manual_seed(2)
    first = getattr(attention, "head_first", False)  # of MaxViT: heads outside, query, key, value inside
    with torch.no_grad():
        for name, parameter in attention.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
        attention.proj.weight.copy_(torch.randn(attention.proj.weight.shape, generator=noise))
        weight = attention.qkv.weight.zero_().unflatten(0, (model.heads[layer], 3, -1) if first else (3, -1))
        value = weight[0, 2] if first else weight[2]
        value[0] = bright - (bright @ dark) / (dark @ dark) * dark  # blind to the dark tokens
    run = kit.run(model, pixels)
    direction = torch.randn(1, model.embed_dim, generator=noise).double()
    return run.maps(direction, f"L{layer}.H0")[0, 0, run.prefix :, 0].abs().reshape(run.grid)
