"""Which models there are: shipped ones, open_clip's architectures and tags, timm's."""

import json
import os
from functools import cache
from pathlib import Path

import pandas as pd

from kit.errors import KitError, nearest

SHIPPED = Path(__file__).parent / "shipped"


def folder_kind(folder: Path) -> str:
    """ "open_clip", "timm" or "transformers": in whose layout the folder holds a model; "" for none."""
    if (folder / "open_clip_config.json").is_file():
        return "open_clip"
    if not (folder / "config.json").is_file():
        return ""
    try:
        found = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return "timm"  # whose reader says what is amiss
    of_transformers = isinstance(found, dict) and ("model_type" in found or "architectures" in found)
    return "transformers" if of_transformers and not found.get("architecture") else "timm"


def shipped_names(texts: bool = False) -> list[str]:
    """Names of the models that come with the kit; of those that read texts alone where these are asked."""
    folders = SHIPPED.iterdir() if SHIPPED.is_dir() else []
    kinds = ("open_clip",) if texts else ("open_clip", "timm")
    return sorted(folder.name for folder in folders if folder_kind(folder) in kinds)


def available() -> pd.DataFrame:
    """Every model that `kit.load` knows by name, with what it supports.

    Nothing is fetched: the table comes from the installed libraries.

    Returns:
        One row for each name and tag, and one with `pretrained="random"` for each architecture:
        `name`, `pretrained` (None: shipped), `source` (shipped, open_clip, timm), `family` (the kind of
        image tower), `text` (True: has a text tower), `needs` (a package that texts need, or "").

    Example:
        >>> import kit
        >>> table = kit.available()
        >>> table[(table.name == "ViT-L-14-336")].pretrained.tolist()
        ['openai', 'random']
    """
    rows = [
        (name, None, "shipped", "vit" if folder_kind(SHIPPED / name) == "open_clip" else "timm",
         folder_kind(SHIPPED / name) == "open_clip", "")
        for name in shipped_names()
    ]  # fmt: skip
    rows += _open_clip_rows() + _timm_rows()
    return pd.DataFrame(rows, columns=["name", "pretrained", "source", "family", "text", "needs"])


def _open_clip_rows() -> list[tuple]:
    import open_clip

    rows = []
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        vision, text = config["vision_cfg"], config["text_cfg"]
        family = (
            "timm"
            if "timm_model_name" in vision
            else "resnet"
            if isinstance(vision["layers"], list)
            else "vit"
        )
        needs = "transformers" if "hf_model_name" in text or "hf_tokenizer_name" in text else ""
        rows += [
            (name, tag, "open_clip", family, True, needs)
            for tag in [*open_clip.list_pretrained_tags_by_model(name), "random"]
        ]
    return rows


def _timm_rows() -> list[tuple]:
    import timm

    families = {name: family for family in timm.list_modules() for name in timm.list_models(module=family)}
    tags: dict[str, list] = {name: [] for name in families}
    for full in timm.list_pretrained():
        name, _, tag = full.partition(".")
        tags.setdefault(name, []).append(tag)
    return [
        (f"timm/{name}", tag, "timm", families.get(name, ""), False, "")
        for name in sorted(tags)
        for tag in [*tags[name], "random"]
    ]


@cache
def timm_tags(name: str) -> tuple[str, ...]:
    """Tags of a timm architecture."""
    import timm

    return tuple(full.partition(".")[2] for full in timm.list_pretrained(f"{name}.*"))


def unknown_name(name: str) -> KitError:
    """The error for a name that nobody knows, with the nearest ones."""
    import open_clip
    import timm

    known = [*shipped_names(), *open_clip.list_models(), *(f"timm/{n}" for n in timm.list_models())]
    hint = nearest(name, known)
    if name in timm.list_models() or name.partition(".")[0] in timm.list_models():
        hint = f' timm models are written "timm/{name}".'
    if os.path.isfile(name):
        return KitError(
            f'"{name}" is a file, and a weights file is given with its architecture: '
            f'load("ViT-B-32", pretrained="{name}").'
        )
    kinds = "model and no folder" if "/" in name and not name.startswith("timm/") else "model"
    return KitError(
        f"there is no {kinds} \"{name}\"; kit.available() lists the shipped ones, open_clip's and timm's."
        f"{hint}"
    )


def missing_tag(name: str, tags) -> KitError:
    """The error for a name without `pretrained`: a model is never random in silence."""
    listed = ", ".join(tags) if tags else "none was published"
    return KitError(
        f'"{name}" needs pretrained=: one of its tags ({listed}), a local file, or "random" '
        "for untrained weights."
    )


def unknown_tag(name: str, tag: str, tags) -> KitError:
    """The error for a tag that the architecture does not have."""
    listed = ", ".join(tags) if tags else "none was published"
    return KitError(
        f'"{name}" has no tag "{tag}"; its tags: {listed}. '
        f"A local file is given by its path.{nearest(tag, tags)}"
    )


def unknown_setting(setting: str, settings) -> KitError:
    """The error for a key of `preprocess=` that the library's transform does not take."""
    return KitError(
        f'preprocess= has no setting "{setting}"; there are {", ".join(settings)}.'
        f"{nearest(setting, settings)}"
    )
