"""Models of transformers small enough to build in milliseconds, from configurations, with random weights."""

import torch
from torch import nn

from kit.models.build import seeded
from tests.unit import tiny_models as tiny

VISION = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
TEXT = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 8, "vocab_size": 60,
}  # fmt: skip
SWIN = {
    "image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 1], "num_heads": [1, 2],
    "window_size": 4,
}  # fmt: skip
PERCEIVER = {
    "image_size": 32, "num_latents": 8, "d_latents": 32, "num_self_attends_per_block": 2,
    "num_self_attention_heads": 2, "num_cross_attention_heads": 1,
}  # fmt: skip
DECODER = {
    "decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 16,
}  # fmt: skip


def make(name: str, settings: dict | None = None, attention: str = "sdpa", **more) -> nn.Module:
    """A filled model by the name of its class, in eval mode.

    Args:
        name: of the class, such as "ViTModel".
        settings: of its configuration; without them those of a plain tower.
        attention: how it computes attention.
        more: further settings.
    """
    import transformers

    kind = getattr(transformers, name)
    settings = VISION if settings is None else settings
    with seeded(0):
        model = kind._from_config(kind.config_class(**{**settings, **more}), attn_implementation=attention)
    return tiny.filled(model)


def dual(name: str = "CLIPModel", attention: str = "sdpa", **text) -> nn.Module:
    """A filled model with an image and a text tower."""
    settings = {"vision_config": {**VISION}, "text_config": {**TEXT, **text}}
    if name == "SiglipModel":
        settings["text_config"] |= {"projection_size": 32}
    else:
        settings |= {"projection_dim": 24}
    return make(name, settings, attention)


def randomly_scaled(model: nn.Module) -> nn.Module:
    """The same with other values where a fresh network has one for all, such as LayerScale."""
    with torch.no_grad(), seeded(5):
        for name, value in model.named_parameters():
            if "lambda" in name:
                value.copy_(torch.randn_like(value))
    return model
