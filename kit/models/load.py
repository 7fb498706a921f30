"""Models by name: the door `kit.load`."""

import os
from pathlib import Path

from kit.errors import KitError
from kit.models import names
from kit.models.build import pick_device
from kit.models.load_open_clip import load_open_clip, load_open_clip_folder
from kit.models.load_timm import load_timm, load_timm_folder
from kit.models.model import Model


def load(name, pretrained=None, *, config=None, preprocess=None, like=None, device=None, seed=0) -> Model:
    """A model by name, ready to be taken apart.

    Shipped models come with the kit. Every other model needs `pretrained`: nothing is ever
    random in silence, and nothing is fetched unless its tag was named. Half-precision
    files are computed in float32. Only tensors are read from a file, never code.

    Args:
        name: a shipped name ("stickers-l8"), an open_clip architecture ("ViT-B-16"), a timm name
            ("timm/vit_small_patch14_reg4_dinov2"), or a folder in the layout of the shipped models.
        pretrained: a tag of the architecture, a local weights file, or "random".
        config: settings over the architecture's own: for open_clip `embed_dim`, `vision_cfg`, `text_cfg`,
            `quick_gelu` (a full one makes a new architecture under any name; without `text_cfg` it has
            no text tower); for timm the arguments of its model, such as `img_size`. `class_names` names the
            outputs of a head.
        preprocess: `{"mean": ..., "std": ..., "interpolation": ...}` over the tag's own, or a torchvision
            transform from PIL image to tensor.
        like: the tag whose QuickGELU, mean, std and resizing a local file follows ("openai", or
            "ViT-B-32/openai" under a name of your own).
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
    name = os.fspath(name) if isinstance(name, str | os.PathLike) else name
    if not isinstance(name, str) or not name:
        raise KitError(f'a model name was asked of {name!r}; give a name such as "stickers-l8".')
    options = {"config": config, "preprocess": preprocess, "like": like, "seed": seed}
    options["device"] = pick_device(device)
    folder = names.SHIPPED / name if name in names.shipped_names() else Path(name)
    kind = names.folder_kind(folder) if folder.is_dir() else ""
    if kind:
        if config is not None or like is not None:
            raise KitError(f'"{name}" brings its own configuration; leave out config= and like=.')
        load_folder = load_open_clip_folder if kind == "open_clip" else load_timm_folder
        return load_folder(name, folder, pretrained, preprocess, options["device"], seed)
    if folder.is_dir() and "/" in folder.as_posix():
        raise KitError(
            f'the folder "{name}" holds no model: neither open_clip_config.json nor config.json is in it. '
            'A weights file is given with its architecture: load("ViT-B-32", pretrained="path/to/file").'
        )
    if name.startswith("timm/"):
        return load_timm(name, pretrained, **options)
    return load_open_clip(name, pretrained, **options)
