"""Towers by name with random weights, at a small input and with nothing at a neutral value."""

from collections.abc import Callable

import torch
from torch import nn

from kit.errors import KitError
from kit.models.build import build_open_clip, free_memory
from kit.models.load import load
from kit.models.load_timm import make_timm
from kit.models.model import Model
from kit.models.names import shipped_names, unknown_name

SMALL = (112, 128, 160, 192)  # sides in pixels that are tried where half of the tower's own does not fit
COPIES = 3  # of the weights: the model, its copy while the sum is checked, what a pass keeps


def untrained(name: str, config: dict | None = None, say: Callable[[str], None] = lambda text: None) -> Model:
    """The tower of a name with random weights, at a small input; a shipped model as it is.

    Half of the side that the tower was made for, or the nearest that it takes: a small picture is
    taken apart in a fraction of the time, by the same operations. Squares are not cropped. Norms,
    biases, scales and running statistics are moved away from the values that a fresh network has (a
    LayerScale of 1e-5 hides every head, and a bias of zero every mistake in a bias).

    Args:
        name: shipped, of open_clip, or of timm (`"timm/…"`).
        config: settings as for `kit.load`, instead of the small input.
        say: told what is being done, in a few words.

    Raises:
        KitError: an unknown name, or too little memory, with the estimate.

    Example:
        >>> untrained("timm/vit_tiny_patch16_224").image_size
        (112, 112)
    """
    if name in shipped_names():
        return load(name)
    of_timm = name.startswith("timm/")
    if config is None:
        config, count = _timm_settings(name) if of_timm else _open_clip_settings(name)
        needed, free = COPIES * 4 * count, free_memory()
        if needed > free:
            raise KitError(
                f'"{name}" has {count:,} weights; to take it apart needs about {needed / 2**30:.1f} GiB, and '
                f"{free / 2**30:.1f} GiB are free. Choose a smaller one of its family."
            )
        say(f"building {name}: {count / 1e6:.1f} million weights…")
    model = load(name, "random", config=config, preprocess={"crop_pct": 1.0} if of_timm else None)
    unsettle(model.tower)
    return model


def unsettle(module: nn.Module, seed: int = 0) -> None:
    """Move every norm, bias, scale and running statistic of a fresh network away from its neutral value."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise).to(parameter))
        for key, buffer in module.named_buffers():
            if key.endswith("running_mean"):
                buffer.add_(0.1 * torch.randn(buffer.shape, generator=noise).to(buffer))
            if key.endswith("running_var"):
                buffer.mul_(0.5 + torch.rand(buffer.shape, generator=noise).to(buffer))


def _timm_settings(name: str) -> tuple[dict | None, int]:
    """Settings for a small input, and the number of weights."""
    import timm

    architecture = name.removeprefix("timm/")
    if not timm.is_model(architecture):
        raise unknown_name(name)
    module = make_timm(name, architecture, {}, meta=True)
    count = sum(p.numel() for p in module.parameters())
    height, width = module.pretrained_cfg["input_size"][1:]
    first = (getattr(module, "feature_info", None) or [{"reduction": 1}])[0]["reduction"]
    for side in (height // 2, *SMALL):
        if height == width > side and side % first == 0 and _takes(name, architecture, side):
            return {"img_size": side}, count
    return None, count


def _takes(name: str, architecture: str, side: int) -> bool:
    """Whether a timm network can be built for this side and passes it; nothing is computed."""
    try:
        module = make_timm(name, architecture, {"img_size": side}, meta=True).eval()
        with torch.no_grad():
            module(torch.zeros(2, 3, side, side, device="meta"))
    except Exception:  # whatever a library says of a size that does not fit
        return False
    return True


def _open_clip_settings(name: str) -> tuple[dict, int]:
    """The same for the image tower of an open_clip name; its text tower is not built."""
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None:
        raise unknown_name(name)
    with torch.device("meta"):
        count = sum(p.numel() for p in build_open_clip(config, vision_only=True).parameters())
    patch, side = config["vision_cfg"].get("patch_size"), config["vision_cfg"].get("image_size", 224)
    small = bool(patch) and isinstance(side, int) and 8 * patch < side
    return {"text_cfg": None} | ({"vision_cfg": {"image_size": 8 * patch}} if small else {}), count
