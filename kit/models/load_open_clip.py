"""open_clip models: architectures, tags, local files and shipped folders."""

import copy
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from kit.errors import KitError
from kit.models import names
from kit.models.build import FirstOutput, build_open_clip, check_memory, has_package, open_clip_facts, seeded
from kit.models.checkpoint import needed
from kit.models.fetch import asking_only_the_cache, cached_file, fetch_open_clip, reachable
from kit.models.folders import OPEN_CLIP_FILES, open_clip_settings, settings_beside, weights_in
from kit.models.hf_layout import from_transformers
from kit.models.model import NO_TEXT, Model
from kit.models.text import TextTower, folder_words, has_vocabulary
from kit.models.transforms import checked_transform, given
from kit.models.values import left_out
from kit.models.weights import fit, look_over, read_weights
from kit.models.weights_file import looks_like_file

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
    pretrained = str(pretrained)
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


def load_open_clip(name, pretrained, *, config, preprocess, like, device, seed, key=None) -> Model:
    """The model of an open_clip architecture; see `kit.load`."""
    asked = plan(name, pretrained, config, preprocess, like)
    notes = []
    if not asked.tag and asked.pretrained != "random":
        if not asked.recipe and preprocess is None:
            notes.append("No tag says how this file's images were prepared; open_clip's defaults are used.")
        notes += settings_beside(asked.pretrained)
    texts = Texts(lambda: _tokenizer(asked.architecture, asked.config, name))
    return _made(asked, asked.pretrained, texts, preprocess, device, seed, notes, key)


def load_open_clip_folder(
    name, folder: Path, pretrained, *, config, preprocess, like, device, seed, key=None
) -> Model:
    """A model from a folder in the layout of the shipped ones, or as it lies on the hub.

    The folder holds open_clip_config.json and a weights file, bpe.txt.gz where the vocabulary is not
    open_clip's own, and words.json where it is closed. `pretrained` may name another file or "random".
    Images are prepared as the folder says, unless `like` or `preprocess` says otherwise.
    """
    own, recipe, notes = open_clip_settings(folder)
    config = merge_config(own, config, name)
    if like is not None:
        recipe, notes = like_tag(name, like, []), []
        config["quick_gelu"] = bool(config.get("quick_gelu") or recipe["quick_gelu"])
    size = config["vision_cfg"].get("image_size") if isinstance(config["vision_cfg"], dict) else None
    if size is not None and recipe.get("size", size) not in (size, [size, size]):
        notes.append(
            f"The settings of images say {recipe['size']} px; the tower reads {size}, and so they become."
        )
    file = pretrained if pretrained is not None else str(weights_in(folder, OPEN_CLIP_FILES))
    # open_clip counts a relative path of the tokenizer from the working directory, at the first text
    place = folder.resolve()
    texts = Texts(lambda: _folder_tokenizer(place, config, name), folder_words(folder))
    asked = Plan(name, name, file, {}, config, recipe)
    return _made(asked, pretrained, texts, preprocess, device, seed, notes, key)


@dataclass(frozen=True)
class Texts:
    """How texts become tokens: what makes the tokenizer, and the words of a closed vocabulary."""

    make: Callable
    words: tuple[str, ...] = ()


def _made(
    asked: Plan, shown: str | None, texts: Texts, preprocess, device, seed: int, notes: list, key: str | None
) -> Model:
    """The model of a plan; `shown` is what its `pretrained` says."""
    name, config, state = asked.name, asked.config, None
    reason = no_text_reason(name, config, fetch=bool(asked.tag))
    file = fetch_open_clip(asked.architecture, asked.pretrained, asked.tag) if asked.tag else None
    if file is None and asked.pretrained != "random":
        state, said = _read(asked.pretrained, config, name, key)
        notes = [*said, *notes]
        if not reason and not has_text_weights(state):
            reason = f'the file of "{name}" holds no text tower; use {NO_TEXT}.'
    text_cfg = config.get("text_cfg") or {}
    vision_only = not text_cfg or ("hf_model_name" in text_cfg and bool(reason))
    vision_only = vision_only or (state is not None and not has_text_weights(state))
    named = not vision_only and isinstance(text_cfg, dict)
    described = text_cfg.get("hf_model_name") if named else None
    with asking_only_the_cache(described) if described else nullcontext():
        check_memory(
            lambda: build_open_clip(config, vision_only), name, device, file or (state and asked.pretrained)
        )
        with seeded(seed):
            module = build_open_clip(config, vision_only)
    if file:
        _load_tag(module, file, vision_only, name)
    elif state is not None:
        notes += _fit_state(module, state, vision_only, Path(asked.pretrained).name, name)
    text = None if reason else TextTower(module, texts.make, texts.words)
    return wrap(name, shown, module, config, asked.recipe, preprocess, device, text, reason, notes)


def wrap(name, pretrained, module, config, recipe, preprocess, device, text, reason, notes) -> Model:
    """A `Model` around a filled open_clip module; without a device it is left as it is."""
    module = module if device is None else module.to(device).eval().requires_grad_(False)
    visual = getattr(module, "visual", module)
    tower = image_tower(visual)
    facts = open_clip_facts(visual)
    return Model(
        name=name,
        pretrained=pretrained,
        source="open_clip",
        library_model=module,
        tower=tower.eval(),
        transform=make_transform(recipe, facts["image_size"], preprocess, name),
        embed_dim=config["embed_dim"],
        text_tower=text,
        no_text_reason=reason,
        trained=pretrained != "random",
        notes=notes,
        **facts,
    )


def image_tower(visual: nn.Module) -> nn.Module:
    """Pixels -> representation [batch, embed] of an image tower, itself where it gives nothing else."""
    return FirstOutput(visual) if getattr(visual, "output_tokens", False) else visual


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


def make_transform(recipe: dict, image_size, preprocess, name: str = "the model"):
    """open_clip's own transform for a tag's settings with the caller's over them."""
    from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

    if callable(preprocess):
        return preprocess
    settings = {**merge_preprocess_dict(PreprocessCfg(), recipe), "size": image_size}
    unknown = [key for key in preprocess or {} if key not in settings]
    if unknown:
        raise names.unknown_setting(unknown[0], settings)
    make = lambda settings: image_transform_v2(PreprocessCfg(**settings), is_train=False)  # noqa: E731
    return checked_transform(make, {**settings, **given(preprocess)}, name)


def no_text_reason(name: str, config: dict, fetch: bool = False) -> str:
    """Why this architecture cannot encode texts here, or ""; `fetch`: a published tag was asked for."""
    text = config.get("text_cfg")
    if not text:
        return f'"{name}" has no text tower; use {NO_TEXT}.'
    if ("hf_tokenizer_name" in text or "hf_model_name" in text) and not has_package("transformers"):
        return (
            f'"{name}" reads text with the package transformers, which is not installed: '
            "pip install transformers. Its image tower works without it."
        )
    # the text tower is built after a file that lies there
    described = text.get("hf_model_name") if isinstance(text, dict) else None
    if described and not cached_file(described, ("config.json",)) and not (fetch and reachable()):
        return (
            f'"{name}" has the text tower "{described}", which is not in the hub\'s cache; fetch it once: '
            f'transformers.AutoConfig.from_pretrained("{described}"). Its image tower works without it.'
        )
    return ""


def has_text_weights(state: dict) -> bool:
    """Whether a state names weights of a text tower."""
    return any(key.startswith("text.") or key.endswith("token_embedding.weight") for key in state)


def _fit_state(module: nn.Module, state: dict, vision_only: bool, file: str, name: str) -> list[str]:
    """Bring the names of a state into the module's layout, then load it; what is to be noted."""
    from open_clip.model import convert_to_custom_text_state_dict

    if vision_only:
        inner = {
            key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")
        }
        rest = [key for key in state if not key.startswith("visual.")] if inner else []
        return left_out(rest, file) + fit(module, inner or state, file, name)
    found = len(state)
    if hasattr(module, "text"):
        state = convert_to_custom_text_state_dict(state)
    else:
        state = {key.removeprefix("text."): value for key, value in state.items()}
    if len(state) < found:
        raise KitError(
            f'"{file}" holds the text tower of "{name}" twice, with "text." before its names and without; '
            "save one of the two."
        )
    notes = []
    for key in ("logit_scale", "logit_bias"):  # temperature of training; no direction or score uses it
        own = module.state_dict().get(key)
        if own is None:
            notes += left_out([key], file) if state.pop(key, None) is not None else []
        elif key not in state:
            state[key] = own
        elif state[key].numel() == own.numel():
            state[key] = state[key].reshape(own.shape)
    return notes + fit(module, state, file, name)


def _read(file: str, config: dict, name: str, key: str | None) -> tuple[dict, list[str]]:
    """The state of a local file that holds this image tower, alone or in a whole model."""
    with torch.device("meta"):
        visual = build_open_clip(config, vision_only=True)
    return read_weights(file, needed(visual), name, _convert(visual), key, tower="visual.")


def _convert(visual: nn.Module) -> Callable:
    """What `read_weights` takes as `convert`: a CLIP of transformers, and positions of other image sizes."""
    from open_clip.model import resize_pos_embed

    def convert(state: dict, file: str) -> tuple[dict, list[str]]:
        state, notes = from_transformers(state, file)
        name = next((n for n in ("visual.positional_embedding", "positional_embedding") if n in state), "")
        old, own = state.get(name), getattr(visual, "positional_embedding", None)
        if old is None or own is None or old.shape == own.shape or old.shape[1:] != own.shape[1:]:
            return state, notes
        resized = {"visual.positional_embedding": old.float()}
        try:
            resize_pos_embed(resized, SimpleNamespace(visual=visual))
        except RuntimeError:  # positions that are no square
            return state, notes
        state = {**state, name: resized["visual.positional_embedding"]}
        said = (
            f'"{name}" of {file} was turned from {list(old.shape)} into {list(own.shape)}, as open_clip does '
        )
        return state, [*notes, f"{said}for its tags."]

    return convert


def _load_tag(module: nn.Module, file: str, vision_only: bool, name: str) -> None:
    """A published file, by open_clip's own loader, which knows the older layouts."""
    from open_clip.factory import load_checkpoint

    if vision_only:
        state, _ = read_weights(file, needed(module), name, _convert(module), tower="visual.")
        _fit_state(module, state, True, Path(file).name, name)
        return
    if Path(file).suffix not in (".npz", ".npy"):  # SigLIP's original files, as numpy writes them
        look_over(file, module, name)
    try:
        load_checkpoint(module, file, strict=True, weights_only=True)
    except Exception as error:  # whatever a damaged file makes of the libraries
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
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
        made = open_clip.SimpleTokenizer(**text.get("tokenizer_kwargs", {}))
        return _expect_vocabulary(made, config, name, own=False)
    of_hub = config["text_cfg"].get("hf_tokenizer_name")
    try:
        with asking_only_the_cache(of_hub) if of_hub else nullcontext():
            return open_clip.get_tokenizer(architecture)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise KitError(
            f'the tokenizer of "{name}" could not be had ({str(error).splitlines()[0]}); it is '
            "fetched once, with a network. The image tower works without it."
        ) from None


def _folder_tokenizer(folder: Path, config: dict, name: str):
    """The tokenizer of a folder: with the vocabulary that lies in it, else open_clip's own."""
    import open_clip

    own = {"bpe_path": str(folder / "bpe.txt.gz")} if has_vocabulary(folder) else {}
    try:
        made = open_clip.get_tokenizer(f"local-dir:{folder}", **own)
    except Exception as error:  # whatever a damaged vocabulary makes of the libraries
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise KitError(
            f'the vocabulary of "{name}" cannot be read ({first}); take bpe.txt.gz anew from where the model '
            "came. The image tower works without it."
        ) from None
    return _expect_vocabulary(made, config, name, own=bool(own))


def _expect_vocabulary(made, config: dict, name: str, own: bool):
    """Raise where the tokenizer has other tokens than the text tower; `own`: they come from the folder."""
    import open_clip

    wanted = config["text_cfg"].get("vocab_size", open_clip.CLIPTextCfg.vocab_size)
    count = made.vocab_size if isinstance(made, open_clip.SimpleTokenizer) else wanted
    if count > wanted or (own and count != wanted):
        whose = "bpe.txt.gz of this folder" if own else "open_clip's own vocabulary"
        raise KitError(
            f'"{name}" reads {wanted:,} tokens, but {whose} has {count:,}, so texts would become other '
            "tokens than in training; put its own bpe.txt.gz into a folder with open_clip_config.json and "
            "the weights, and load that folder. The image tower works without it."
        )
    return made
