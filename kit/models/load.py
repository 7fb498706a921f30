"""Models by name: the door `kit.load`."""

import os
from pathlib import Path

import torch
from torch import nn

from kit.errors import KitError
from kit.models import names
from kit.models.build import pick_device
from kit.models.live import load_live
from kit.models.load_open_clip import load_open_clip, load_open_clip_folder
from kit.models.load_timm import load_timm, load_timm_folder
from kit.models.model import Model
from kit.models.transformers_folders import HF, load_transformers_folder, load_transformers_name
from kit.models.transforms import expect_preprocess
from kit.models.weights_file import expect_there, looks_like_file

LOCAL, HUB = "local-dir:", "hf-hub:"  # as open_clip and timm write them


def load(
    name, pretrained=None, *, config=None, preprocess=None, like=None, key=None, device=None, seed=0
) -> Model:
    """A model by name, ready to be taken apart.

    Shipped models come with the kit. Every other model needs `pretrained`: nothing is ever
    random in silence, and nothing is fetched unless its tag was named. Half-precision
    and 8-bit floats of a file are computed in float32. Only tensors are read from a file, never code.

    Args:
        name: a shipped name ("stickers-l8"), an open_clip architecture ("ViT-B-16"), a timm name
            ("timm/vit_small_patch14_reg4_dinov2"), or a folder with a model in the layout of open_clip or
            timm or transformers, which brings its own preparation of images. "local-dir:FOLDER" is the same,
            and with a folder of open_clip it takes config= and like= as well. "hf/OWNER/NAME" is such a
            folder of transformers in the cache of the hub, or fetched from it. A live module of these
            libraries, or one of your own that gives [batch, embed], is taken as it is and never changed.
        pretrained: a tag of the architecture, a local weights file, or "random".
        config: settings over the architecture's own: for open_clip `embed_dim`, `vision_cfg`, `text_cfg`,
            `quick_gelu` (a full one makes a new architecture under any name; without `text_cfg` it has
            no text tower); for timm the arguments of its model, such as `img_size`. `class_names` names the
            outputs of a head.
        preprocess: `{"mean": ..., "std": ..., "interpolation": ...}` over the tag's own, or a torchvision
            transform from PIL image to tensor.
        like: the tag whose QuickGELU, mean, std and resizing a local file follows ("openai", or
            "ViT-B-32/openai" under a name of your own).
        key: where in a file with several sets of weights the wanted ones lie ("teacher", "teacher.backbone",
            "state_dict_ema"); without it an error lists them.
        device: "cpu", "cuda", "mps"; None takes CUDA where it is there, else the CPU.
        seed: of random weights; the caller's random stream is not touched.

    Returns:
        A `Model` in eval mode and float32.

    Raises:
        KitError: an unknown name, tag or device; no `pretrained`; a file that does not fit; no
            network for a tag; too little memory.

    Example:
        >>> import kit
        >>> kit.load("timm/vit_tiny_patch16_224", pretrained="random", config={"img_size": 64}).grid
        (4, 4)
    """
    if isinstance(name, nn.Module) and any(one is not None for one in (pretrained, like, key)):
        raise KitError("a live module has its weights and settings; leave out pretrained=, like= and key=.")
    name = os.fspath(name) if isinstance(name, str | os.PathLike) else name
    if not isinstance(name, str | nn.Module) or name == "":
        raise KitError(f'a model name was asked of {name!r}; give a name such as "stickers-l8".')
    if pretrained is not None and not isinstance(pretrained, str | bytes | os.PathLike):
        raise KitError(
            f'pretrained= should be a tag, the path of a weights file, or "random", not {pretrained!r}.'
        )
    pretrained = None if pretrained is None else os.fsdecode(pretrained)
    if pretrained is not None and looks_like_file(pretrained):
        expect_there(Path(pretrained))
    if config is not None and not isinstance(config, dict):
        raise KitError(f"config= should be a dict of settings, not of the type {type(config).__name__}.")
    expect_preprocess(preprocess)
    if key is not None and not isinstance(key, str):
        raise KitError(f'key= should be a name in the weights file, such as "teacher", not {key!r}.')
    default = torch.get_default_dtype()
    if default not in (torch.float32, torch.float64):
        raise KitError(
            f"torch's default type is {str(default).removeprefix('torch.')}, too coarse for an exact sum of "
            "parts; call torch.set_default_dtype(torch.float32) first."
        )
    if isinstance(name, nn.Module):
        place = None if device is None else pick_device(device)
        with torch.inference_mode(False):
            return load_live(name, config=config, preprocess=preprocess, device=place)
    options = {"config": config, "preprocess": preprocess, "like": like, "seed": seed, "key": key}
    options["device"] = pick_device(device)
    # whatever holds where this is called from, the weights are ordinary tensors, first in main memory
    with torch.inference_mode(False), torch.device("cpu"):
        return _load(name, pretrained, options)


def _load(name: str, pretrained: str | None, options: dict) -> Model:
    """The model of a name that is a string."""
    if name.startswith(HUB):
        raise KitError(
            f'"{name}" lies on the hub, and only tags are fetched; download its folder, and load that: '
            'load("path/to/folder"). A model of transformers is fetched as "hf/OWNER/NAME".'
        )
    if name.startswith(HF):
        return load_transformers_name(name, pretrained, options)
    place = name.removeprefix(LOCAL)
    folder = names.SHIPPED / name if name in names.shipped_names() else Path(place)
    is_folder = os.path.isdir(folder)
    if place != name and not is_folder:
        raise KitError(f'there is no folder "{place}", of which "{name}" was asked.')
    kind = names.folder_kind(folder) if is_folder else ""
    fixed = kind == "timm" or (place == name and kind != "transformers")
    if kind and fixed and (options["config"] is not None or options["like"] is not None):
        raise KitError(f'"{name}" brings its own configuration; leave out config= and like=.')
    if options["key"] is not None and not is_folder and not looks_like_file(pretrained or ""):
        raise KitError(f'key= chooses among the weights of a file, but "{name}" was asked without one.')
    if kind == "open_clip":
        return load_open_clip_folder(name, folder, pretrained, **options)
    if kind == "transformers":
        return load_transformers_folder(name, folder, pretrained, **options)
    if kind == "timm":
        own = {name: options[name] for name in ("preprocess", "device", "seed", "key")}
        return load_timm_folder(name, folder, pretrained, **own)
    if is_folder and (place != name or "/" in folder.as_posix()):
        raise KitError(
            f'the folder "{name}" holds no model: neither open_clip_config.json nor config.json is in it. '
            'A weights file is given with its architecture: load("ViT-B-32", pretrained="path/to/file").'
        )
    if name.startswith("timm/"):
        return load_timm(name, pretrained, **options)
    return load_open_clip(name, pretrained, **options)
