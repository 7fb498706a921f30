"""Tensors that were collected over images, in a safetensors file that says what they are."""

import glob
import hashlib
import json
import os
from pathlib import Path

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from kit.errors import KitError, shown
from kit.models.model import Model
from kit.parts.headers import format_of, is_whole, signed
from kit.parts.labels import FILES_BEGIN, files_text, text_digest
from kit.writing import cannot_write, checked_path, write_file

FIRST_FORMAT = "loupe-{}-1"  # without digests; what ships with older models is read as it is


def save_collected(path: str | Path, kind: str, facts: dict, tensors: dict[str, Tensor]) -> None:
    """Write a file of a kind (`"means"`, `"moments"`) with the digests of its facts and tensors.

    Raises:
        KitError: something else lies there; it cannot be written.
    """
    path = checked_path(path)
    check_place(path, kind)
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    digests = {key: _digest(value) for key, value in tensors.items()}
    metadata = {kind: signed(kind, facts | {"sha256": digests})}  # one entry: several have no fixed order
    write_file(path, safetensors.torch.save(tensors, metadata=metadata))


def check_place(path: Path, kind: str) -> None:
    """Raise where a path holds something that is no file of this kind of ours."""
    if os.path.isdir(path):
        raise KitError(f'"{shown(path)}" is a folder, and {kind} are one file; name a file.')
    if os.path.lexists(path) and not _said(path, kind):
        raise KitError(
            f'"{shown(path)}" is there already and is not a file of {kind}; name another path, so that '
            "nothing is lost."
        )


def load_collected(path: str | Path, kind: str, least: int = 1) -> tuple[dict, dict[str, Tensor]]:
    """Facts and tensors of a file that `save_collected` wrote, as they were written.

    Args:
        path: the file.
        kind: what it should hold.
        least: number of images that it must be of.

    Raises:
        KitError: no such file, not a file of this kind, or one that is damaged.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise KitError(f'no file of {kind} at "{shown(path)}"; collect them with kit.collect and save them.')
    said = _said(path, kind)
    if not said:
        raise KitError(
            f'"{shown(path.name)}" is not a file of {kind}, or its beginning is damaged; write one with '
            f"{kind.capitalize()}.save, or collect them again with kit.collect."
        )
    try:
        facts = json.loads(said)
        whole = _is_whole(facts, kind)
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        digests = facts.pop("sha256", None)
        if whole and digests is not None:
            whole = digests == {key: _digest(value) for key, value in tensors.items()}
        _check_numbers(facts, tensors, least)
    except KitError as error:
        raise damaged_file(path, str(error)) from error
    except Exception as error:  # damage raises errors of many kinds, all of which mean this
        raise damaged_file(path, f"{type(error).__name__}: {error}") from error
    if not whole:
        raise damaged_file(path, "a digest is not that of its content")
    return {key: value for key, value in facts.items() if key != "format"}, tensors


def _said(path: Path, kind: str) -> str:
    """What a file says of itself; nothing where it is no file of this kind."""
    try:
        with safe_open(path, "pt") as file:
            said = (file.metadata() or {}).get(kind, "")
    except Exception:  # whatever cannot be opened is not ours
        return ""
    return said if f'"format": "loupe-{kind}-' in said[:60] else ""


def _is_whole(facts: dict, kind: str) -> bool:
    """Whether facts are as they were written; those of the first format had no digests."""
    if facts["format"] == FIRST_FORMAT.format(kind):
        return "digest" not in facts and "sha256" not in facts
    if facts["format"] != format_of(kind):
        raise KitError(f'its format is "{facts["format"]}", and this kit reads "{format_of(kind)}"')
    return is_whole(facts) and "sha256" in facts


def _check_numbers(facts: dict, tensors: dict[str, Tensor], least: int) -> None:
    """Raise where what was collected cannot be what it says, with or without a digest."""
    count = facts["count"]
    if not isinstance(count, int) or isinstance(count, bool) or count < least:
        raise KitError(f"its number of images is {count!r}")
    texts = {"name": facts["name"], "model": facts["model"], "weights hash": facts["weights_hash"]}
    texts |= {key: facts[key] for key in ("preprocessing", "convention") if key in facts}
    for fact, value in texts.items():
        if not isinstance(value, str) or not value.isprintable():
            raise KitError(f"its {fact} is {value!r}")
    for fact in ("parts", "data"):
        value = facts.get(fact, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise KitError(f"its {fact} are {value!r}")
    for key, value in tensors.items():
        if not value.is_floating_point() or not value.isfinite().all():
            raise KitError(f'its "{key}" holds numbers that are not finite, of {value.dtype}')


def damaged_file(path: Path, why: str) -> KitError:
    """The sentence on a file that is not as it was written."""
    return KitError(
        f'"{shown(path.name)}" is damaged ({shown(why)}); take a copy that is whole, or delete it and '
        "collect again with kit.collect."
    )


def _digest(tensor: Tensor) -> str:
    """sha256 over type, shape and numbers."""
    about = f"{tensor.dtype} {list(tensor.shape)} ".encode()
    values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(about + values.numpy().tobytes()).hexdigest()


def check_weights(model: Model, collected, kind: str) -> None:
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
        if found.get(key) != value:
            raise KitError(
                f'"{shown(Path(path).name)}" holds {what} where {key.replace("_", " ")} is '
                f"{short(found.get(key))}, but now it is {short(value)}; name another path, or delete the "
                "file to begin anew."
            )


def check_name(name: object) -> str:
    """The name of a set of images, which stands in captions, tables and saved code.

    Raises:
        KitError: no text, an empty one, or one with line ends or other signs that cannot be printed.
    """
    if not isinstance(name, str) or not name.strip():
        raise KitError('a reference set needs a name, such as name="2,000 photographs of birds".')
    if not name.isprintable() or len(name) > 200:
        raise KitError(
            f'the name "{shown(name, 60)}" has line ends, signs that cannot be printed, or more than 200 '
            "letters; give one line of words."
        )
    return name


def short(value: object) -> str:
    """A value in quotes, its middle left out where it is long."""
    text = f'"{shown(value, 10_000)}"'
    return text if len(text) < 100 else f"{text[:60]} … {text[-30:]}"


def state_file(path: Path, rank: int) -> Path:
    """Where one process of a pass keeps its state until the pass is done."""
    return path.with_name(f"{path.name}.part-{rank}")


def state_files(path: Path) -> list[Path]:
    """The states that a pass left, those of all its processes."""
    found = path.parent.glob(f"{glob.escape(path.name)}.part-*")
    return sorted(f for f in found if f.name.rpartition("-")[2].isdecimal())


def listed_at(path: Path) -> Path:
    """Where the images of a file of means or moments are listed."""
    return path.with_name(f"{path.name}.files.csv")


def list_files(path: Path, names: list[str], damaged: dict[int, str]) -> str:
    """Write the names of a set's images, and why some could not be read, beside what was collected.

    Returns:
        The digest of the list.
    """
    text = files_text(names, damaged)
    write_file(listed_at(path), text)
    return text_digest(text)


def check_list(path: Path, digest: str | None = None) -> None:
    """Raise where somebody else's file lies at the place of the list, or ours is not as it was written.

    Args:
        path: of what was collected.
        digest: of the list; None where it is still to be written.
    """
    listed = listed_at(path)
    try:
        content = listed.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise cannot_write(listed, error) from error
    if not content.startswith(FILES_BEGIN.encode()):
        raise KitError(
            f'"{shown(listed)}" is there already and is not a list of ours, which would stand there; name '
            "another path, so that nothing is lost."
        )
    if digest is not None and hashlib.sha256(content).hexdigest() != digest:
        raise KitError(
            f'"{shown(listed)}" is not as it was written, so it may name other images; delete it, and '
            f'"{shown(path.name)}", to begin anew.'
        )
