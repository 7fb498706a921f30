"""A trained model as a folder that its library's own API loads."""

import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from kit.workshop.training.clip import ClipTraining
from kit.workshop.training.recipe import ClipRecipe
from kit.workshop.training.timm_model import TimmTraining
from kit.writing import write_file

KEPT = ("pool_size", "first_conv", "classifier")  # of timm's own description of the architecture


def export_clip(training: ClipTraining, folder: Path) -> None:
    """Write the averaged weights in float16, the configuration and the vocabulary.

    Where the recipe says so, the blocks' matrices are stored in 8 bits, which libraries read as they read
    float16: such a model is its rounded weights. The label heads are left out.
    `open_clip.create_model_and_transforms("local-dir:FOLDER")` loads the result; `open_clip.get_tokenizer`
    needs the absolute `bpe_path=` besides.

    Args:
        training: a training at its end.
        folder: made if absent; files of the same names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe, clip = training.recipe, training.clip
    weights = dict(clip.state_dict()) | training.averaged()
    stored = {n: w.detach().to("cpu", _stored(recipe, n, w)).contiguous() for n, w in weights.items()}
    write_file(folder / "open_clip_model.safetensors", save(stored))
    write_file(folder / "bpe.txt.gz", (training.folder / "bpe.txt.gz").read_bytes())
    text = dict(recipe.text, vocab_size=clip.vocab_size)
    model = {"embed_dim": recipe.embed_dim, "vision_cfg": recipe.vision, "text_cfg": text}
    config = {"model_cfg": model, "preprocess_cfg": recipe.preprocess}
    _write_json(folder / "open_clip_config.json", config)


def _stored(recipe: ClipRecipe, name: str, weight: Tensor) -> torch.dtype:
    """The type that a weight is stored in."""
    matrix = "resblocks." in name and weight.ndim == 2
    return torch.float8_e4m3fn if recipe.eight_bits and matrix else torch.float16


def export_timm(training: TimmTraining, folder: Path) -> None:
    """Write the averaged weights in float16 and timm's configuration.

    Running statistics of batch norms stay float32. `timm.create_model("local-dir:FOLDER",
    pretrained=True)`, the path being absolute, loads the result.

    Args:
        training: a training at its end.
        folder: made if absent; files of the same names are replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe, module = training.recipe, training.averaged_module().cpu()
    weights = module.state_dict() | {n: p.detach().half() for n, p in module.named_parameters()}
    write_file(folder / "model.safetensors", save({n: w.contiguous() for n, w in weights.items()}))
    shown = recipe.preprocess
    described = {name: module.pretrained_cfg.get(name) for name in KEPT} | {
        "tag": recipe.name,
        "num_classes": module.num_classes,
        "input_size": [3, shown["size"], shown["size"]],
        "fixed_input_size": True,
        "interpolation": shown["interpolation"],
        "crop_pct": 1.0,
        "crop_mode": shown["resize_mode"],
        "mean": shown["mean"],
        "std": shown["std"],
    }
    if module.num_classes:
        described["label_names"] = training.label_names
    config = {
        "architecture": recipe.architecture,
        "num_classes": module.num_classes,
        "num_features": module.num_features,
        "model_args": recipe.settings,
        "pretrained_cfg": {name: value for name, value in described.items() if value is not None},
    }
    _write_json(folder / "config.json", config)


def _write_json(path: Path, config: dict) -> None:
    write_file(path, json.dumps(config, indent=2) + "\n")
