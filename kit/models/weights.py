"""Weights files as people have them, brought into a module's own names and types."""

from pathlib import Path

from torch import Tensor, nn

from kit.errors import KitError
from kit.models.hf_layout import from_transformers
from kit.models.values import (
    expect_finite,
    expect_kinds,
    expect_plain,
    expect_whole,
    is_whole,
    left_out,
    some,
    stored_as,
)
from kit.models.weights_file import read_file

# names under which trainers keep the state of the model, plain weights before averaged ones
INNER = ("state_dict", "model_state_dict", "model", "module", "net", "network", "student", "teacher", "ema")
INNER += ("model_ema", "state_dict_ema", "ema_state_dict")
WRAPPERS = ("_orig_mod.", "module.", "model.", "net.", "clip.", "backbone.")
# buffers that older versions saved and that are no weights
IGNORED = ("attn_mask", "position_ids", "input_resolution", "context_length", "vocab_size")
COUNTER = "num_batches_tracked"  # of batch norms; read in training alone


def read_weights(path) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors of a weights file by name, and what was done to get them.

    Takes the state out of a trainer's dict and the wrappers' prefixes off the names, turns the layout of a
    `transformers` CLIP into open_clip's, and 8-bit floats into float32.

    Args:
        path: the file; what is read, and what is not, `read_file` says.

    Returns:
        The tensors, and sentences for `Model.notes`.

    Raises:
        KitError: the file cannot be read; no tensors by name; tensors that are sparse, quantised or
            without values.
    """
    path = Path(path)
    found, notes = _unwrap(read_file(path), path.name)
    state = {
        name: value
        for name, value in found.items()
        if isinstance(value, Tensor) and name.split(".")[-1] not in IGNORED
    }
    notes += left_out([name for name in found if name not in state], path.name)
    state, stripped = _strip(state)
    if stripped:
        notes.append(f'The prefix "{stripped}" was taken off the names of {path.name}.')
    expect_plain(state, path.name)
    notes += stored_as(state)
    state = {n: v.float() if v.is_floating_point() and v.itemsize == 1 else v for n, v in state.items()}
    state, converted = from_transformers(state, path.name)
    return state, notes + converted


def fit(module: nn.Module, state: dict[str, Tensor], file: str, model: str) -> list[str]:
    """Load `state` into `module`, every tensor in its place.

    Returns:
        Sentences for `Model.notes`.

    Raises:
        KitError: missing or foreign names, another shape, whole numbers in place of floats or the other
            way round, values that are NaN or infinite in the module's type; what it is is named, and the
            module is left as it was.
    """
    there = module.state_dict()
    # what is no weight and was not saved is as the architecture has it
    own = {n: v for n, v in there.items() if n.split(".")[-1] in IGNORED}
    own |= {n: v for n, v in there.items() if n.split(".")[-1] == COUNTER and not is_whole(state.get(n))}
    state = state | own
    missing = [name for name in there if name not in state]
    foreign = [name for name in state if name not in there]
    if len(missing) > len(there) / 2:
        raise KitError(
            f'"{file}" is a file for another architecture than "{model}": of {len(there)} tensors that '
            f"the model has, {len(there) - len(missing)} are in the file (model: {some(there)}; "
            f"file: {some(state)}); load it under the architecture that it was trained with."
        )
    expect_kinds(state, there, file, model)
    _expect_shapes(state, there, file, model)
    if missing or foreign:
        parts = [f"{len(missing)} of {len(there)} tensors are missing ({some(missing)})"] if missing else []
        parts += [f"{len(foreign)} tensors of the file have no place ({some(foreign)})"] if foreign else []
        raise KitError(
            f'"{file}" does not fit "{model}": {" and ".join(parts)}; save the whole state_dict() of this '
            "architecture, or load the file under the one that it was trained with."
        )
    expect_finite(state, file, {name: value.dtype for name, value in there.items()})
    expect_whole({n: v for n, v in state.items() if not n.endswith(COUNTER)}, there, file)
    zeros = [n for n, v in there.items() if v.ndim > 1 and not state[n].count_nonzero() and v.any()]
    module.load_state_dict(state)  # copies, and turns half precision into the module's float32
    if not zeros:
        return []
    return [
        f"All values are 0 in {len(zeros)} of {len(there)} tensors of {file} ({some(zeros)}); "
        "where that is not meant, the file was cut short: copy or download it again."
    ]


def look_over(path, module: nn.Module, model: str) -> None:
    """Raise where a file that the library loads itself holds what cannot be computed with.

    Only types and layouts are looked at, and only under the module's own names.
    """
    path = Path(path)
    found, _ = _unwrap(read_file(path), path.name)
    state, _ = _strip({name: value for name, value in found.items() if isinstance(value, Tensor)})
    there = {n: v for n, v in module.state_dict().items() if n.split(".")[-1] not in (*IGNORED, COUNTER)}
    expect_plain(state, path.name)
    expect_kinds(state, there, path.name, model)


def _expect_shapes(state: dict, there: dict, file: str, model: str) -> None:
    both = [name for name in there if name in state]
    empty = [name for name in both if there[name].numel() and not state[name].numel()]
    if empty:
        raise KitError(
            f'"{file}" does not fit "{model}": {len(empty)} of {len(there)} tensors hold no values '
            f"({some(f'{n} is {list(state[n].shape)}' for n in empty)}); such a file is one part of a model "
            "that was trained in parts (DeepSpeed, FSDP): gather the whole weights first, and load those."
        )
    other = [name for name in both if state[name].shape != there[name].shape]
    if other:
        pairs = [
            f"{n} is {list(state[n].shape)} in the file, {list(there[n].shape)} in the model" for n in other
        ]
        raise KitError(
            f'"{file}" does not fit "{model}": {len(other)} of {len(there)} tensors have another shape: '
            f"{some(pairs, '; ')}; load it under the architecture that it was trained with, or give config=."
        )


def _unwrap(raw, file: str) -> tuple[dict, list[str]]:
    """The dict with the tensors inside what a trainer saved."""
    notes, passed = [], []
    while isinstance(raw, dict) and not _is_state(raw):
        passed.append(raw)
        inner = [key for key in INNER if isinstance(raw.get(key), dict) and raw[key]]
        if not inner or any(raw[inner[0]] is one for one in passed):  # a dict may contain itself
            break
        others = ", ".join(f'"{key}"' for key in inner[1:])
        rest = f"; it also holds {others}" if others else ""
        notes.append(f'Weights taken from "{inner[0]}" of {file}{rest}.')
        raw = raw[inner[0]]
    if not isinstance(raw, dict) or not _is_state(raw):
        held = f"a dict of {some(map(str, raw))}" if isinstance(raw, dict) else f"a {type(raw).__name__}"
        held = "an empty dict" if isinstance(raw, dict) and not raw else held
        raise KitError(
            f'"{file}" holds {held}, but no weights by name; '
            "save them with torch.save(model.state_dict(), ...)."
        )
    return raw, notes


def _is_state(raw: dict) -> bool:
    tensors = sum(isinstance(value, Tensor) for value in raw.values())
    return tensors > 0 and tensors >= len(raw) / 2 and all(isinstance(key, str) for key in raw)


def _strip(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Names without the prefixes that wrappers put before every one of them."""
    stripped = ""
    found = True
    while found:
        found = next((p for p in WRAPPERS if state and all(name.startswith(p) for name in state)), "")
        stripped += found
        state = {name[len(found) :]: value for name, value in state.items()}
    return state, stripped
