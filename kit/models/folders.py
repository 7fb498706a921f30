"""A folder with a model in it: its settings, its weights and its vocabulary, or what is amiss with them."""

import json
from pathlib import Path

from kit.errors import KitError
from kit.models.values import some
from kit.models.weights_file import AGAIN, PART, SUFFIXES, UNFINISHED, names_in

# in the order in which open_clip and timm themselves look
OPEN_CLIP_FILES = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth", "model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth",
)  # fmt: skip
TIMM_FILES = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")


def read_settings(file: Path) -> dict:
    """The settings that a JSON file holds.

    Raises:
        KitError: it cannot be read, is no JSON, or holds something else than settings by name.
    """
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise KitError(f'"{file}" is no JSON ({error}); take it anew from where the model came.') from None
    if not isinstance(found, dict):
        raise KitError(
            f'"{file}" holds a {type(found).__name__} and no settings by name; '
            "take it anew from where the model came."
        )
    return found


def open_clip_settings(folder: Path) -> tuple[dict, dict, list[str]]:
    """Configuration of the model, settings of its images, and notes, of a folder in open_clip's layout."""
    file = folder / "open_clip_config.json"
    found = read_settings(file)
    config, recipe = found.get("model_cfg", found), found.get("preprocess_cfg") or {}
    for what, part in (("model_cfg", config), ("preprocess_cfg", recipe)):
        if not isinstance(part, dict):
            raise KitError(
                f'the {what} of "{file}" is a {type(part).__name__} and no settings by name; '
                "it should look like open_clip.get_model_config('ViT-B-32')."
            )
    if not recipe:
        return (
            config,
            {},
            [f"{file.name} does not say how images are prepared; open_clip's defaults are used."],
        )
    known = {"size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color"}
    strange = [str(key) for key in recipe if key not in known]
    notes = (
        [f"open_clip has no setting {some(strange)} of images; left out of {file.name}."] if strange else []
    )
    return config, {key: value for key, value in recipe.items() if key in known}, notes


def expect_timm_settings(folder: Path) -> None:
    """Raise unless config.json of a folder names an architecture of timm, and settings where they belong.

    Raises:
        KitError: it is no JSON, or names no architecture of timm.
    """
    import timm

    found = read_settings(folder / "config.json")
    architecture = found.get("architecture")
    known = isinstance(architecture, str) and timm.is_model(architecture.partition(".")[0])
    if not known:
        raise KitError(
            f'"{folder / "config.json"}" names no architecture of timm: "architecture" is {architecture!r}; '
            "kit.available() lists timm's."
        )
    for key in ("pretrained_cfg", "model_args"):
        if not isinstance(found.get(key) or {}, dict):
            raise KitError(
                f'the {key} of "{folder / "config.json"}" is a {type(found[key]).__name__} and no settings '
                "by name; take it anew from where the model came."
            )


def expect_label_names(names, folder: Path) -> list[str] | None:
    """Names of the classes that a folder in timm's layout lists, or an error where they are no names."""
    if names is not None and not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
        raise KitError(
            f'label_names of "{folder / "config.json"}" should be a list of names, one for each class; '
            f"it is a {type(names).__name__}."
        )
    return names


def weights_in(folder: Path, files: tuple[str, ...]) -> Path:
    """The weights file of a folder: the first of these names, else the only one (or a part of it).

    Raises:
        KitError: there is none, or several under other names.
    """
    there = [name for name in names_in(folder) if name.endswith(SUFFIXES)]
    whole = {PART.sub("", name): name for name in there}  # the parts of a file are one
    found = [name for name in files if name in there] or (list(whole.values()) if len(whole) == 1 else [])
    if not found:
        unfinished = [name for name in names_in(folder) if name.endswith(UNFINISHED)]
        if unfinished and not there:
            raise KitError(
                f'the folder "{folder}" is incomplete: the download of {unfinished[0]} did not end; {AGAIN}.'
            )
        held = f"holds {some(there)}, but none of" if there else "holds no weights file, none of"
        raise KitError(
            f'the folder "{folder}" {held} {some(files)}; name the file: '
            f'load("{folder}", pretrained="path/to/file").'
        )
    return folder / found[0]


def settings_beside(file: str) -> list[str]:
    """The note on settings that lie beside a weights file which was given under another name."""
    folder = Path(file).resolve().parent
    names = [n for n in ("open_clip_config.json", "config.json") if (folder / n).is_file()]
    if not names:
        return []
    return [f'{names[0]} beside the file was not read; load("{folder}") follows its settings.']
