"""Library modules from their configurations, and what their own attributes say about them."""

import copy
from collections.abc import Callable
from contextlib import contextmanager
from inspect import signature
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

from kit.errors import KitError

STUB_TEXT = {"context_length": 1, "vocab_size": 1, "width": 8, "heads": 1, "layers": 1}


class TimmTower(nn.Module):
    """timm's own forward up to the input of the classifier, as one module.

    Where the last operation before the classifier is an activation (MaxViT's tanh), the representation is
    that activation's input: behind it there is no sum.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        hidden = getattr(getattr(model, "head", None), "pre_logits", None)
        last = list(hidden.children())[-1] if isinstance(hidden, nn.Sequential) and len(hidden) else None
        self.activation = None if last is None or isinstance(last, nn.Identity | nn.Linear) else [last]
        # a forward_head that knows no such stop is one that only says that there is no head
        self.stop = {"pre_logits": True} if "pre_logits" in signature(model.forward_head).parameters else {}

    def forward(self, pixels: Tensor) -> Tensor:
        """What the classifier reads, before its own activation where it has one, [batch, embed]."""
        features = self.model.forward_features(pixels)
        if self.activation is None:
            return self.model.forward_head(features, **self.stop)  # [batch, embed]
        seen = []
        hook = self.activation[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        self.model.forward_head(features, **self.stop)
        hook.remove()
        return seen[0]  # [batch, embed]


class FirstOutput(nn.Module):
    """The pooled output of a tower that also returns its tokens, as CoCa's does."""

    def __init__(self, visual: nn.Module):
        super().__init__()
        self.visual = visual

    def forward(self, pixels: Tensor) -> Tensor:
        """The pooled output, [batch, embed]."""
        return self.visual(pixels)[0]  # [batch, embed]


@contextmanager
def seeded(seed: int):
    """Random numbers from `seed`; the caller's own stream goes on as if nothing had happened."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def build_open_clip(config: dict, vision_only: bool) -> nn.Module:
    """open_clip's module for a model configuration, with random weights.

    Args:
        config: `embed_dim`, `vision_cfg`, `text_cfg` and so on, as open_clip's JSON files hold them.
        vision_only: give the image tower alone.

    Raises:
        KitError: open_clip does not know a setting.
    """
    import open_clip

    config = copy.deepcopy(config)
    for key in ("vision_cfg", "text_cfg"):
        if not isinstance(config.get(key, {}), dict) and (key == "vision_cfg" or config[key] is not None):
            raise KitError(
                f"the {key} of a config should be a dict, not {config[key]!r}; "
                "it should look like open_clip.get_model_config('ViT-B-32')."
            )
    custom = config.pop("custom_text", False) or "hf_model_name" in (config.get("text_cfg") or {})
    config["vision_cfg"]["timm_model_pretrained"] = False  # never fetch what nobody asked for
    kind = open_clip.CLIP
    if vision_only:
        config = {key: config.get(key, False) for key in ("embed_dim", "vision_cfg", "quick_gelu")}
        config["text_cfg"] = dict(STUB_TEXT)
    else:
        config["text_cfg"]["hf_model_pretrained"] = False
        kind = open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP if custom else kind
    try:
        model = kind(**config)
    except Exception as error:  # a wrong setting shows as an error of any kind somewhere in the model
        raise KitError(
            f"open_clip cannot build this config: {str(error) or type(error).__name__}. "
            "It should look like open_clip.get_model_config('ViT-B-32')."
        ) from None
    return model.visual if vision_only else model


def open_clip_facts(visual: nn.Module) -> dict:
    """Size, grid and prefix tokens of an open_clip image tower, read from the module."""
    image_size = _pair(visual.image_size)
    if hasattr(visual, "trunk"):
        return {**timm_facts(visual.trunk), "image_size": image_size}
    if hasattr(visual, "grid_size"):
        return {"image_size": image_size, "grid": tuple(visual.grid_size), "prefix_tokens": 1}
    # a ResNet reduces 32 times; its pooling puts the mean before the places
    return {"image_size": image_size, "grid": (image_size[0] // 32, image_size[1] // 32), "prefix_tokens": 1}


def timm_facts(model: nn.Module) -> dict:
    """Size, grid and prefix tokens of a timm model, read from the module."""
    patches = getattr(model, "patch_embed", None)
    size = getattr(patches, "img_size", None) or model.pretrained_cfg["input_size"][1:]
    height, width = image_size = _pair(size)
    grid = getattr(patches, "grid_size", None)
    if grid is None:
        reduction = model.feature_info[-1]["reduction"]
        grid = (height // reduction, width // reduction)
    prefix = getattr(model, "num_prefix_tokens", None)
    if prefix is None:
        tokens = [getattr(model, name, None) for name in ("cls_token", "dist_token", "reg_token")]
        prefix = sum(token.shape[1] for token in tokens if token is not None)
    return {"image_size": image_size, "grid": tuple(grid), "prefix_tokens": prefix}


def _pair(size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def check_memory(make: Callable, name: str, device: torch.device, file: str | None = None) -> None:
    """Raise before a model is built that would not fit in the free memory.

    Args:
        make: builds the model; called on the meta device, where tensors have no values.
        name: how the message calls it.
        device: where the model shall go; it is built in main memory first.
        file: a weights file that is held in memory while it is read.

    Raises:
        KitError: the estimate is larger than what is free; both are named.
    """
    with torch.device("meta"):
        model = make()
    count = sum(p.numel() for p in model.parameters())
    needed = 4 * count + (Path(file).stat().st_size if file else 0)
    places = {"memory": free_memory()}
    if device.type == "cuda":
        places["GPU memory"] = torch.cuda.mem_get_info(device)[0]
    for place, free in places.items():
        if needed > free:
            raise KitError(
                f'"{name}" needs about {needed / 2**30:.1f} GiB ({count:,} parameters in float32'
                f"{' and its file' if file else ''}), but {free / 2**30:.1f} GiB of {place} are free; "
                "close other programs or choose a smaller model."
            )


def free_memory() -> int:
    """Bytes that this process may still take: the machine's, or its container's if that is less."""
    free = psutil.virtual_memory().available
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file():
        text = limit.read_text().strip()
        if text.isdigit():
            free = min(free, int(text) - int(used.read_text()))
    return free


def pick_device(device) -> torch.device:
    """The device that was asked for; without one, CUDA where it is there, else the CPU.

    MPS has no float64, so it is used only where it is named.

    Raises:
        KitError: an unknown device, or one that this machine does not have.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
    except RuntimeError:
        raise KitError(f'there is no device "{device}"; use "cpu", "cuda" or "mps".') from None
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False):
        ready = ", ".join(f'"{kind}"' for kind, is_there in there.items() if is_there)
        raise KitError(f'the device "{device}" is not on this machine; there is {ready}.')
    return device


def has_package(name: str) -> bool:
    """Whether a package can be imported, without importing it."""
    from importlib.util import find_spec

    return find_spec(name) is not None
