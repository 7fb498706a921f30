"""Tensors that were collected over images, in a safetensors file that says what they are."""

import glob
import json
import os
from pathlib import Path

import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kit.errors import KitError


def save_collected(path: str | Path, kind: str, facts: dict, tensors: dict[str, Tensor]) -> None:
    """Write a file of a kind (`"means"`, `"moments"`), first under a temporary name."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    metadata = {kind: json.dumps({"format": _format(kind), **facts})}
    save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, metadata=metadata)
    os.replace(temporary, path)


def load_collected(path: str | Path, kind: str) -> tuple[dict, dict[str, Tensor]]:
    """Facts and tensors of a file that `save_collected` wrote; an error where it is no file of this kind."""
    path = Path(path)
    if not path.is_file():
        raise KitError(f'no file of {kind} at "{path}"; collect them with kit.collect and save them.')
    other = f'"{path.name}" is not a file of {kind}; write one with {kind.capitalize()}.save.'
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get(kind, "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise KitError(other) from error
    if facts.pop("format", None) != _format(kind):
        raise KitError(other)
    return facts, tensors


def check_weights(model, collected, kind: str) -> None:
    """Raise unless what was collected is of this model with these weights."""
    if collected.weights_hash != model.weights_hash:
        raise KitError(
            f'these {kind} are of "{collected.model}" with weights {collected.weights_hash[:8]}, but the '
            f'model is "{model.name}" with weights {model.weights_hash[:8]}; collect them again with '
            "kit.collect."
        )


def check_same(what: str, path, found: dict, wanted: dict) -> None:
    """Raise unless a file holds the facts that are wanted; the message names both values."""
    for key, value in wanted.items():
        if found[key] != value:
            raise KitError(
                f'"{Path(path).name}" holds {what} where {key.replace("_", " ")} is {short(found[key])}, but '
                f"now it is {short(value)}; name another path, or delete the file to begin anew."
            )


def short(value: object) -> str:
    """A value in quotes, its middle left out where it is long."""
    text = f'"{value}"'
    return text if len(text) < 100 else f"{text[:60]} … {text[-30:]}"


def state_file(path: Path, rank: int) -> Path:
    """Where one process of a pass keeps its state until the pass is done."""
    return path.with_name(f"{path.name}.part-{rank}")


def state_files(path: Path) -> list[Path]:
    """The states that a pass left, those of all its processes."""
    found = path.parent.glob(f"{glob.escape(path.name)}.part-*")
    return sorted(f for f in found if f.name.rpartition("-")[2].isdecimal())


def list_files(path: Path, images, damaged: dict[int, str]) -> Path:
    """Write the names of a set's images, and why some could not be read, beside what was collected."""
    table = pd.DataFrame({"name": images.names})
    table["damaged"] = [damaged.get(n, "") for n in range(len(images))]
    listed = path.with_name(f"{path.name}.files.csv")
    replace_file(listed, table.to_csv(index=False))
    return listed


def replace_file(path: Path, text: str) -> None:
    """Write a text file, first under a temporary name."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def _format(kind: str) -> str:
    return f"loupe-{kind}-1"
