"""Models small enough to build in milliseconds, in the layouts that people have."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from kit.models.build import build_open_clip, seeded
from kit.workshop.training.tokenizer import learn_merges, write_vocabulary

WORDS = ("a", "cat", "dog", "red", "thing", "zebra")
VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 8, "width": 16, "heads": 2, "layers": 1}
PREPROCESS = {
    "size": 32, "mode": "RGB", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
    "interpolation": "bicubic", "resize_mode": "squash",
}  # fmt: skip
TIMM = "timm/vit_tiny_patch16_224"
TIMM_CONFIG = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}


def config(text: bool = True) -> dict:
    """An open_clip configuration; the vocabulary is open_clip's own unless a folder brings one."""
    full = {"embed_dim": 24, "vision_cfg": dict(VISION), "text_cfg": {**TEXT, "vocab_size": 49408}}
    return full if text else {"embed_dim": 24, "vision_cfg": dict(VISION)}


def filled(module: torch.nn.Module, seed: int = 1) -> torch.nn.Module:
    """The module with every parameter away from its neutral value, and exact in half precision."""
    with seeded(seed), torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn_like(parameter) * 0.1
            parameter.copy_((parameter + noise).half().float())
    return module.eval().requires_grad_(False)  # with gradients, attention takes another path: 1e-7 apart


def clip(settings: dict | None = None, seed: int = 1) -> torch.nn.Module:
    """A filled open_clip module; all of it follows from the seed."""
    settings = settings or config()
    with seeded(seed):
        return filled(build_open_clip(settings, vision_only="text_cfg" not in settings), seed)


def write_folder(folder: Path, seed: int = 1) -> Path:
    """A model folder as those that ship: half-precision weights, configuration, vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    size = write_vocabulary(folder / "bpe.txt.gz", learn_merges(WORDS))
    settings = config()
    settings["text_cfg"]["vocab_size"] = size
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": settings, "preprocess_cfg": PREPROCESS}), encoding="utf-8"
    )
    state = {name: value.half().contiguous() for name, value in clip(settings, seed).state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def pixels(batch: int = 2, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Random pixels as a tower reads them."""
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))
