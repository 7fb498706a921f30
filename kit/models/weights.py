"""Weights files as people have them, read without running their code, and fitted to a module."""

import os
import pickle
import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from kit.errors import KitError, nearest
from kit.models.hf_layout import from_transformers

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".tar")
# names under which trainers keep the state of the model, plain weights before averaged ones
INNER = ("state_dict", "model_state_dict", "model", "module", "net", "network", "student", "teacher", "ema")
INNER += ("model_ema", "state_dict_ema", "ema_state_dict")
WRAPPERS = ("_orig_mod.", "module.", "model.", "net.", "clip.", "backbone.")
# buffers that older versions saved and that are no weights
IGNORED = ("attn_mask", "position_ids", "input_resolution", "context_length", "vocab_size")


def looks_like_file(pretrained) -> bool:
    """Whether `pretrained` names a place on disk rather than a tag."""
    text = os.fspath(pretrained)
    return Path(text).exists() or "/" in text or os.sep in text or text.lower().endswith(SUFFIXES)


def read_weights(path) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors of a weights file by name, and what was done to get them.

    Reads safetensors, and torch files by `torch.load(weights_only=True)`. Takes the state out
    of a trainer's dict and the wrappers' prefixes off the names, and turns the layout
    of a `transformers` CLIP into open_clip's.

    Args:
        path: the file.

    Returns:
        The tensors, and sentences for `Model.notes`.

    Raises:
        KitError: no such file, a folder, an empty or damaged file, a TorchScript archive,
            a pickle that asks for code, no tensors, NaN or infinite values.
    """
    path = Path(path)
    raw = _read(path)
    state, notes = _unwrap(raw, path.name)
    state = {name: value for name, value in state.items() if name.split(".")[-1] not in IGNORED}
    state, stripped = _strip(state)
    if stripped:
        notes.append(f'The prefix "{stripped}" was taken off the names of {path.name}.')
    state, converted = from_transformers(state, path.name)
    notes += converted
    bad = [name for name, value in state.items() if value.is_floating_point() and not _finite(value)]
    if bad:
        raise KitError(
            f'"{path.name}" holds NaN or infinite values in {len(bad)} of {len(state)} tensors: '
            f"{_some(bad)}; the training that wrote it has diverged, take an earlier checkpoint."
        )
    half = sorted({str(v.dtype).removeprefix("torch.") for v in state.values() if v.dtype.itemsize == 2})
    if half:
        notes.append(f"Stored as {', '.join(half)}, computed in float32.")
    return state, notes


def fit(module: nn.Module, state: dict[str, Tensor], file: str, model: str) -> None:
    """Load `state` into `module`, every tensor in its place.

    Raises:
        KitError: missing or foreign names, or another shape; both are named, and the module
            is left as it was.
    """
    there = module.state_dict()
    missing = [name for name in there if name not in state]
    foreign = [name for name in state if name not in there]
    if len(missing) > len(there) / 2:
        raise KitError(
            f'"{file}" is a file for another architecture than "{model}": of {len(there)} tensors that '
            f"the model has, {len(there) - len(missing)} are in the file (model: {_some(there)}; "
            f"file: {_some(state)}); load it under the architecture that it was trained with."
        )
    other = [name for name in there if name in state and state[name].shape != there[name].shape]
    if other:
        pairs = [
            f"{n} is {list(state[n].shape)} in the file, {list(there[n].shape)} in the model" for n in other
        ]
        raise KitError(
            f'"{file}" does not fit "{model}": {len(other)} of {len(there)} tensors have another shape: '
            f"{_some(pairs, '; ')}; load it under the architecture that it was trained with, or give config=."
        )
    if missing or foreign:
        parts = [f"{len(missing)} of {len(there)} tensors are missing ({_some(missing)})"] if missing else []
        parts += [f"{len(foreign)} tensors of the file have no place ({_some(foreign)})"] if foreign else []
        raise KitError(
            f'"{file}" does not fit "{model}": {" and ".join(parts)}; save the whole state_dict() of this '
            "architecture, or load the file under the one that it was trained with."
        )
    module.load_state_dict(state)  # copies, and turns half precision into the module's float32


def _finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())


def _some(names, joint: str = ", ") -> str:
    names = list(names)
    return joint.join(names[:3]) + (f"{joint}..." if len(names) > 3 else "")


def _read(path: Path):
    """The object that the file holds, or a sentence on why it is no weights file."""
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix in SUFFIXES)
        listed = f"it holds {_some(inside)}; name one of them" if inside else "it holds no weights file"
        raise KitError(f'pretrained="{path}" is a folder: {listed}.')
    if not path.exists():
        names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise KitError(f'there is no weights file "{path}".{nearest(path.name, names)}')
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise KitError(f'"{path.name}" is empty (0 bytes); copy or download it again.')
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        return _read_safetensors(path, start)
    if zipfile.is_zipfile(path):
        _refuse_torchscript(path)
    elif start[:1] != b"\x80":  # the first byte of every pickle
        raise _no_weights(path, start)
    return _read_torch(path)


def _no_weights(path: Path, start: bytes) -> KitError:
    shown = start[:24].decode("ascii", "replace").replace("\ufffd", "?").replace("\n", " ")
    return KitError(
        f'"{path.name}" is not a weights file: it begins with "{shown}"; '
        "give a .safetensors file or one that torch.save wrote."
    )


def _read_safetensors(path: Path, start: bytes):
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if start[8:9] != b"{":
        raise _no_weights(path, start)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise KitError(f'"{path.name}" is damaged ({error}); copy or download it again.') from None


def _refuse_torchscript(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if any(name.split("/")[-1] == "constants.pkl" for name in archive.namelist()):
            raise KitError(
                f'"{path.name}" is a TorchScript archive, a program and not only weights, and Loupe runs no '
                "code from a weights file; where you trust it, convert it once: torch.save("
                f'torch.jit.load("{path.name}", map_location="cpu").state_dict(), "weights.pt").'
            )


def _read_torch(path: Path):
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        asks = f" It asks for {wanted[1]}." if wanted else ""
        raise KitError(
            f'"{path.name}" holds more than tensors, and Loupe runs no code from a weights file; where you '
            f'trust it, save its weights alone: torch.save(model.state_dict(), "weights.pt").{asks}'
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise KitError(f'"{path.name}" is damaged ({first}); copy or download it again.') from None


def _unwrap(raw, file: str) -> tuple[dict[str, Tensor], list[str]]:
    """The dict of tensors inside what a trainer saved."""
    notes = []
    while isinstance(raw, dict) and not _is_state(raw):
        inner = [key for key in INNER if isinstance(raw.get(key), dict) and raw[key]]
        if not inner:
            break
        rest = f'; it also holds "{inner[1]}"' if len(inner) > 1 else ""
        notes.append(f'Weights taken from "{inner[0]}" of {file}{rest}.')
        raw = raw[inner[0]]
    if not isinstance(raw, dict) or not _is_state(raw):
        held = f"a dict of {_some(map(str, raw))}" if isinstance(raw, dict) else f"a {type(raw).__name__}"
        raise KitError(
            f'"{file}" holds {held}, but no weights by name; '
            "save them with torch.save(model.state_dict(), ...)."
        )
    return {name: value for name, value in raw.items() if isinstance(value, Tensor)}, notes


def _is_state(raw: dict) -> bool:
    tensors = sum(isinstance(value, Tensor) for value in raw.values())
    return tensors > 0 and tensors >= len(raw) / 2 and all(isinstance(key, str) for key in raw)


def _strip(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Names without the prefixes that wrappers put before every one of them."""
    stripped = ""
    found = True
    while found:
        found = next((p for p in WRAPPERS if all(name.startswith(p) for name in state)), "")
        stripped += found
        state = {name[len(found) :]: value for name, value in state.items()}
    return state, stripped
