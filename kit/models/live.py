"""Live modules: what the caller has built, trained or edited, taken as it is."""

import copy
import sys

import torch
from torch import Tensor, nn

from kit.errors import KitError, nearest
from kit.models.build import free_memory, open_clip_facts
from kit.models.load_open_clip import image_tower
from kit.models.load_open_clip import wrap as wrap_open_clip
from kit.models.load_timm import wrap as wrap_timm
from kit.models.load_transformers import wrap as wrap_transformers
from kit.models.model import NO_TEXT, Model
from kit.models.module_facts import passed, places, sized
from kit.models.output import expect_representation
from kit.models.text import TextTower
from kit.models.walk import grid_of
from kit.models.wrapped import unwrapped

SETTINGS = ("class_names", "grid", "image_size", "prefix_tokens", "tokenizer")
TYPES = (torch.float32, torch.float64)
OPEN_CLIP_WORDS = 49408  # tokens of the vocabulary that comes with open_clip


def load_live(module: nn.Module, *, config=None, preprocess=None, device=None) -> Model:
    """The model of a live module; see `kit.load`.

    The module is looked at and never changed: where it computes in half precision, or elsewhere than asked,
    a copy is taken apart, which is said.

    Args:
        module: of open_clip, timm or transformers, or one whose forward turns pixels
            [batch, 3, height, width] into [batch, embed]; in eval mode.
        config: `class_names`; `tokenizer` of a text tower; and what cannot be read from the module:
            `image_size`, `grid` (rows and columns of patches), `prefix_tokens`.
        preprocess: settings or a transform as for `kit.load`, or a processor of transformers.
        device: where to compute; None leaves the module where it is.

    Raises:
        KitError: train mode, weights that are no floats or lie on several devices, an output that is no one
            representation, or something that could not be read and was not given.
    """
    settings = live_settings(config)
    module, taken_out = unwrapped(module)
    name = type(module).__name__
    module, notes = as_it_computes(module, name, device)
    notes = [taken_out, *notes] if taken_out else notes
    if is_of(module, "transformers", "PreTrainedModel"):
        return wrap_transformers(name, None, module, settings, preprocess, notes)
    if is_of(module, "open_clip"):
        return _open_clip(name, module, settings, preprocess, notes)
    if all(hasattr(module, part) for part in ("forward_features", "forward_head", "pretrained_cfg")):
        labels = settings.get("class_names") or module.pretrained_cfg.get("label_names")
        return wrap_timm(name, None, module, labels, preprocess, None, notes)
    return _own(name, module, settings, preprocess, notes)


def is_of(module: nn.Module, package: str, kind: str = "") -> bool:
    """Whether a module's class, or one that it comes from, is of a package; nothing is imported."""
    if package not in sys.modules:
        return False
    kinds = [k for k in type(module).__mro__ if k.__module__.partition(".")[0] == package]
    return any(not kind or k.__name__ == kind for k in kinds)


def live_settings(config: dict | None) -> dict:
    """The settings of `config=` that a live module takes, without those that are None."""
    for key in config or {}:
        if key not in SETTINGS:
            raise KitError(
                f'config= of such a model has no setting "{key}"; there are {", ".join(SETTINGS)}.'
                f"{nearest(key, SETTINGS)}"
            )
    return {key: value for key, value in (config or {}).items() if value is not None}


def as_it_computes(module: nn.Module, name: str, device) -> tuple[nn.Module, list[str]]:
    """The module itself, or a copy in float32 or on another device, and the note on it.

    Raises:
        KitError: it is in train mode; it has no weights, or such as cannot be computed with; too little
            memory for a copy.
    """
    if any(part.training for part in module.modules()):
        raise KitError(
            f"the module {name} is in train mode, where dropout and batch statistics change the result; "
            "call module.eval() first (kit.load does not do it for you: the module is yours)."
        )
    weights = list(module.named_parameters())
    if not weights:
        raise KitError(f"the module {name} has no weights; give one that turns pixels into [batch, embed].")
    for path, value in weights:
        _expect_float(name, path, value)
    places = {value.device for value in (*module.parameters(), *module.buffers())}
    if len(places) > 1:
        raise KitError(
            f"the module {name} lies on several devices ({', '.join(sorted(map(str, places)))}); "
            "load it without device_map, or bring it to one with module.to(device)."
        )
    types, place = {value.dtype for _, value in weights}, places.pop()
    wanted = place if device is None else device
    moved = wanted.type != place.type or wanted.index not in (None, place.index)
    coarse = len(types) > 1 or not types <= set(TYPES)
    if not coarse and not moved:
        return module, []
    twin, mib = _copied(module, name, wanted, coarse)
    was = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in types))
    why = f"computes in {was}" if coarse else f"lies on {place}"
    what = "a float32 copy" if coarse else f"a copy on {wanted}"
    return twin, [
        f"The module {why}; {what} of {mib:,.0f} MiB is taken apart, and what is done to the module from "
        "now on does not reach it."
    ]


def _expect_float(name: str, path: str, value: Tensor) -> None:
    if value.is_meta:
        raise KitError(
            f'the module {name} has no values in "{path}" (device meta); load its weights first, and not '
            "offloaded."
        )
    if not value.is_floating_point() or value.dtype.itemsize == 1:
        kind = str(value.dtype).removeprefix("torch.")
        raise KitError(
            f'the module {name} holds {kind} in "{path}", as quantised modules do; load it without '
            "quantisation, or dequantise it first."
        )


def _copied(module: nn.Module, name: str, device: torch.device, coarse: bool) -> tuple[nn.Module, float]:
    """A copy on a device, in float32 where it was coarse, and its size in MiB."""
    tensors = [*module.parameters(), *module.buffers()]
    size = sum(t.numel() * (4 if coarse and t.is_floating_point() else t.itemsize) for t in tensors)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    if size > free:
        raise KitError(
            f"a copy of {name} needs {size / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free; "
            "close other programs, or give a module that computes in float32 where it lies."
        )
    try:
        twin = copy.deepcopy(module)
    except Exception as error:  # whatever an attribute that cannot be copied makes of it
        raise KitError(
            f"a copy of {name} cannot be made ({error}); give a module that computes in float32."
        ) from None
    twin = twin.to(device)
    return twin.float() if coarse else twin, size / 2**20


def _open_clip(name: str, module: nn.Module, settings: dict, preprocess, notes: list[str]) -> Model:
    """The model of a live module of open_clip: both towers, or an image tower alone."""
    visual = getattr(module, "visual", module)
    recipe = dict(getattr(visual, "preprocess_cfg", None) or {})
    if not recipe and preprocess is None:
        notes.append("The module does not say how images are prepared; open_clip's defaults are used.")
    known = {key: value for key, value in recipe.items() if key != "size"}
    text, reason = _open_clip_text(name, module, settings, notes)
    tower = image_tower(visual)
    size = open_clip_facts(visual)["image_size"]
    config = {"embed_dim": _width(name, tower, size)}
    return wrap_open_clip(name, None, module, config, known, preprocess, None, text, reason, notes)


def _open_clip_text(name: str, module: nn.Module, settings: dict, notes: list[str]):
    """The text tower, or None and why there is none."""
    if not hasattr(module, "encode_text"):
        return None, f'"{name}" is an image tower alone; use {NO_TEXT}.'
    tokenizer = settings.get("tokenizer")
    if tokenizer is None:
        count = getattr(module, "vocab_size", None) or getattr(getattr(module, "text", None), "vocab_size", 0)
        if count != OPEN_CLIP_WORDS:
            return None, (
                f'the vocabulary of "{name}" is not open_clip\'s own, and a module does not hold it; give '
                'config={"tokenizer": open_clip.get_tokenizer(...)}.'
            )
        from open_clip import SimpleTokenizer

        notes.append(
            "Texts become tokens by open_clip's own vocabulary; where the model reads by another, give "
            'config={"tokenizer": ...}.'
        )
        tokenizer = SimpleTokenizer(context_length=module.context_length)
    return TextTower(module, lambda: tokenizer), ""


def _own(name: str, module: nn.Module, settings: dict, preprocess, notes: list[str]) -> Model:
    """The model of a module that no library is known of."""
    size, transform = sized(name, preprocess, settings, _own_size(module))
    seen = passed(name, module, lambda twin, pixels: twin(pixels), size)
    out = expect_representation(name, seen.out)
    facts = places(name, settings, grid_of(seen, size))
    return Model(
        name=name,
        pretrained=None,
        source="a module",
        library_model=module,
        tower=module,
        transform=transform,
        embed_dim=out.shape[1],
        image_size=size,
        no_text_reason=f'"{name}" has no text tower that is known; use {NO_TEXT}.',
        notes=notes,
        **facts,
    )


def _width(name: str, tower: nn.Module, size: tuple[int, int]) -> int:
    seen = passed(name, tower, lambda twin, pixels: twin(pixels), size)
    return expect_representation(name, seen.out).shape[1]


def _own_size(module: nn.Module) -> tuple[int, int] | None:
    """The size of pictures that a module says it reads."""
    for holder in (module, getattr(module, "patch_embed", None)):
        for key in ("image_size", "img_size", "input_size"):
            size = getattr(holder, key, None)
            if isinstance(size, int) and not isinstance(size, bool):
                return size, size
            if isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(s, int) for s in size):
                return tuple(size)
    return None
