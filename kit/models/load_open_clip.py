"""open_clip models: architectures, tags, local files and shipped folders."""

import copy
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from kit.errors import KitError
from kit.models import names
from kit.models.build import FirstOutput, build_open_clip, check_memory, has_package, open_clip_facts, seeded
from kit.models.fetch import fetch_open_clip
from kit.models.model import NO_TEXT, Model
from kit.models.text import TextTower, folder_words
from kit.models.weights import fit, looks_like_file, read_weights

WEIGHTS = "open_clip_model.safetensors"
RECIPE = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Plan:
    """What is built from a name, before anything is built.

    Attributes:
        name: what was asked.
        architecture: open_clip's name of it.
        pretrained: tag, file or "random".
        tag: open_clip's table entry where `pretrained` is a tag, else empty.
        config: the model's configuration, QuickGELU settled.
        recipe: mean, std and resizing that the weights were trained with.
    """

    name: str
    architecture: str
    pretrained: str
    tag: dict
    config: dict
    recipe: dict


def plan(name, pretrained, config=None, preprocess=None, like=None) -> Plan:
    """Settle configuration and preprocessing of a name; nothing is built or fetched.

    QuickGELU follows the tag, as in open_clip's tables, also where open_clip itself would only warn
    (`ViT-B-32` with the tag `openai`).

    Raises:
        KitError: an unknown name or tag; no `pretrained`; a local file whose settings are in doubt.
    """
    import open_clip

    architecture = name if open_clip.get_model_config(name) is not None else name.replace("/", "-")
    base = open_clip.get_model_config(architecture)
    if base is None and config is None:
        raise names.unknown_name(name)
    config = merge_config(base, config, name)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if pretrained is None:
        raise names.missing_tag(name, tags)
    pretrained = os.fspath(pretrained)
    tag = open_clip.get_pretrained_cfg(architecture, pretrained)
    if tag and like is not None:
        raise KitError(f'like= is for local files; the tag "{pretrained}" has its own settings.')
    if tag:
        recipe = tag
    elif pretrained == "random":
        recipe = like_tag(architecture, like, tags) if like else {}
    elif looks_like_file(pretrained):
        recipe = recipe_of_file(architecture, tags, like, config, preprocess)
    else:
        raise names.unknown_tag(name, pretrained, tags)
    config["quick_gelu"] = bool(config.get("quick_gelu") or recipe.get("quick_gelu"))
    return Plan(name, architecture, pretrained, tag, config, recipe)


def load_open_clip(name, pretrained, *, config, preprocess, like, device, seed) -> Model:
    """The model of an open_clip architecture; see `kit.load`."""
    asked = plan(name, pretrained, config, preprocess, like)
    config, reason, notes, state = asked.config, no_text_reason(name, asked.config), [], None
    file = fetch_open_clip(asked.architecture, asked.pretrained, asked.tag) if asked.tag else None
    if file is None and asked.pretrained != "random":
        state, notes = read_weights(asked.pretrained)
        if not asked.recipe and preprocess is None:
            notes.append("No tag says how this file's images were prepared; open_clip's defaults are used.")
        if not reason and not has_text_weights(state):
            reason = f'the file of "{name}" holds no text tower; use {NO_TEXT}.'
    texts = config.get("text_cfg") or {}
    vision_only = not texts or ("hf_model_name" in texts and bool(reason))
    vision_only = vision_only or (state is not None and not has_text_weights(state))
    check_memory(
        lambda: build_open_clip(config, vision_only), name, device, file or (state and asked.pretrained)
    )
    with seeded(seed):
        module = build_open_clip(config, vision_only)
    if file:
        _load_tag(module, file, vision_only, name)
    elif state is not None:
        _fit_state(module, state, vision_only, Path(asked.pretrained).name, name)
    text = None if reason else TextTower(module, lambda: _tokenizer(asked.architecture, config, name))
    return wrap(name, asked.pretrained, module, config, asked.recipe, preprocess, device, text, reason, notes)


def wrap(name, pretrained, module, config, recipe, preprocess, device, text, reason, notes) -> Model:
    """A `Model` around a filled open_clip module."""
    module = module.to(device).eval().requires_grad_(False)
    visual = getattr(module, "visual", module)
    tower = FirstOutput(visual) if getattr(visual, "output_tokens", False) else visual
    facts = open_clip_facts(visual)
    return Model(
        name=name,
        pretrained=pretrained,
        source="open_clip",
        library_model=module,
        tower=tower.eval(),
        transform=make_transform(recipe, facts["image_size"], preprocess),
        embed_dim=config["embed_dim"],
        text_tower=text,
        no_text_reason=reason,
        trained=pretrained != "random",
        notes=notes,
        **facts,
    )


def load_open_clip_folder(name, folder: Path, pretrained, preprocess, device, seed) -> Model:
    """A model from a folder in the layout of the shipped ones.

    The folder holds open_clip_config.json, open_clip_model.safetensors and bpe.txt.gz, and
    words.json where the vocabulary is closed. `pretrained` may name another file or "random".
    """
    import open_clip

    settings = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    config, recipe = settings["model_cfg"], settings.get("preprocess_cfg", {})
    file = os.fspath(pretrained) if pretrained is not None else str(folder / WEIGHTS)
    vision_only = not config.get("text_cfg")
    check_memory(lambda: build_open_clip(config, vision_only), name, device)
    state, notes = (None, []) if file == "random" else read_weights(file)
    with seeded(seed):
        module = build_open_clip(config, vision_only)
    if state is not None:
        _fit_state(module, state, vision_only, Path(file).name, name)
    # open_clip counts a relative path of the tokenizer from the working directory
    bpe, place = str((folder / "bpe.txt.gz").resolve()), f"local-dir:{folder.resolve()}"
    text = None
    if not vision_only:
        text = TextTower(module, lambda: open_clip.get_tokenizer(place, bpe_path=bpe), folder_words(folder))
    reason = no_text_reason(name, config)
    return wrap(name, pretrained, module, config, recipe, preprocess, device, text, reason, notes)


def merge_config(base: dict | None, config, name: str) -> dict:
    """The architecture's configuration with the caller's settings over it."""
    merged = copy.deepcopy(base) or {}
    for key, value in (config or {}).items():
        inner = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if inner else copy.deepcopy(value)
    missing = [key for key in ("embed_dim", "vision_cfg") if key not in merged]
    if missing:
        raise KitError(
            f'the config of "{name}" lacks {" and ".join(missing)}; it should look like '
            "open_clip.get_model_config('ViT-B-32')."
        )
    return merged


def like_tag(architecture: str, like: str, tags) -> dict:
    """open_clip's own table entry of the tag that `like` names."""
    import open_clip

    other, _, tag = like.rpartition("/")
    entry = open_clip.get_pretrained_cfg(other or architecture, tag)
    if not entry:
        raise names.unknown_tag(
            other or architecture, tag, open_clip.list_pretrained_tags_by_model(other) or tags
        )
    return {"quick_gelu": False, **entry}


def recipe_of_file(architecture: str, tags, like, config: dict, preprocess) -> dict:
    """QuickGELU, mean, std and resizing that a local file follows; an error where they are in doubt."""
    if like is not None:
        return like_tag(architecture, like, tags)
    entries = {tag: like_tag(architecture, tag, tags) for tag in tags}
    decided = {"quick_gelu"} if "quick_gelu" in config else set()
    decided |= set(preprocess) if isinstance(preprocess, dict) else set(RECIPE) if preprocess else set()
    doubtful = [
        key
        for key in ("quick_gelu", *RECIPE)
        if key not in decided and len({str(entry[key]) for entry in entries.values()}) > 1
    ]
    if doubtful:
        raise KitError(
            f'the published tags of "{architecture}" differ in {", ".join(doubtful)}, and a file does '
            f'not say which it follows; name the one that it was trained like: like="{tags[0]}" '
            f"({', '.join(tags)})."
        )
    return next(iter(entries.values()), {})


def make_transform(recipe: dict, image_size, preprocess):
    """open_clip's own transform for a tag's settings with the caller's over them."""
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

    if callable(preprocess):
        return preprocess
    settings = {**merge_preprocess_dict(PreprocessCfg(), recipe), "size": image_size}
    unknown = [key for key in preprocess or {} if key not in settings]
    if unknown:
        raise names.unknown_setting(unknown[0], settings)
    return image_transform_v2(PreprocessCfg(**{**settings, **(preprocess or {})}), is_train=False)


def no_text_reason(name: str, config: dict) -> str:
    """Why this architecture cannot encode texts here, or ""."""
    text = config.get("text_cfg")
    if not text:
        return f'"{name}" has no text tower; use {NO_TEXT}.'
    if ("hf_tokenizer_name" in text or "hf_model_name" in text) and not has_package("transformers"):
        return (
            f'"{name}" reads text with the package transformers, which is not installed: '
            "pip install transformers. Its image tower works without it."
        )
    return ""


def has_text_weights(state: dict) -> bool:
    return any(key.startswith("text.") or key.endswith("token_embedding.weight") for key in state)


def _fit_state(module: nn.Module, state: dict, vision_only: bool, file: str, name: str) -> None:
    """Bring the names of a state into the module's layout, then load it."""
    from open_clip.model import convert_to_custom_text_state_dict

    if vision_only:
        inner = {
            key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")
        }
        fit(module, inner or state, file, name)
        return
    if hasattr(module, "text"):
        state = convert_to_custom_text_state_dict(state)
    else:
        state = {key.removeprefix("text."): value for key, value in state.items()}
    for key in ("logit_scale", "logit_bias"):  # temperature of training; no direction or score uses it
        if key in module.state_dict():
            own = module.state_dict()[key]
            state[key] = state[key].reshape(own.shape) if key in state else own
        else:
            state.pop(key, None)
    fit(module, state, file, name)


def _load_tag(module: nn.Module, file: str, vision_only: bool, name: str) -> None:
    """A published file, by open_clip's own loader, which knows the older layouts."""
    from open_clip.factory import load_checkpoint

    if vision_only:
        state, _ = read_weights(file)
        _fit_state(module, state, True, Path(file).name, name)
        return
    try:
        load_checkpoint(module, file, strict=True, weights_only=True)
    except (RuntimeError, KeyError, ValueError, OSError) as error:
        first = str(error).splitlines()[0]
        raise KitError(
            f'the file of "{name}" at "{file}" cannot be loaded: {first}; remove it and load again.'
        ) from None
    bad = [key for key, value in module.state_dict().items() if not torch.isfinite(value).all()]
    if bad and any(not key.endswith("attn_mask") for key in bad):
        raise KitError(f'the file of "{name}" at "{file}" holds NaN or infinite values: {bad[0]}.')


def _tokenizer(architecture: str, config: dict, name: str):
    """open_clip's tokenizer of the architecture; some fetch their vocabulary."""
    import open_clip

    if open_clip.get_model_config(architecture) is None:
        text = config["text_cfg"]
        return open_clip.SimpleTokenizer(**text.get("tokenizer_kwargs", {}))
    try:
        return open_clip.get_tokenizer(architecture)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise KitError(
            f'the tokenizer of "{name}" could not be had ({str(error).splitlines()[0]}); it is '
            "fetched once, with a network. The image tower works without it."
        ) from None
