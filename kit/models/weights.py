"""Weights files as people have them, brought into a module's own names and types."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from kit.errors import KitError
from kit.models.checkpoint import (
    COUNTER,
    IGNORED,
    Checkpoint,
    chosen,
    expect_key,
    open_checkpoint,
    pick,
    places,
    taken,
)
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

State = dict[str, Tensor]
# what brings a state in another layout into the model's own: the state and notes, or None where it cannot
Convert = Callable[[State, str], tuple[State, list[str]] | None]


def read_weights(
    path, wanted: dict[str, torch.Size], model: str, convert: Convert, key: str | None = None, tower: str = ""
) -> tuple[State, list[str]]:
    """Tensors of a model out of a weights file, by the model's names, and what was done to get them.

    The file is searched for the one place under which all names of the model lie in their shapes; where
    there is none, for one that `convert` brings to that. 8-bit floats become float32.

    Args:
        path: the file; what is read, and what is not, `read_file` says.
        wanted: names and shapes that the file must hold.
        model: how messages call the model.
        convert: see `Convert`.
        key: the place that is meant, where several fit.
        tower: what stands before the wanted names where the file holds more than this tower ("visual.").

    Returns:
        Everything that lies there, and sentences for `Model.notes`. Where nothing fits, it is what comes
        nearest, of which `fit` says what is amiss.

    Raises:
        KitError: the file cannot be read; no tensors by name; tensors that are sparse, quantised or
            without values; several places that fit; none of that key.
    """
    checkpoint = open_checkpoint(read_file(Path(path)), Path(path).name)
    expect_key(checkpoint, key)
    prefix, found, state, converted = _found(checkpoint, wanted, model, convert, key, tower)
    dropped = [n for n in found if n.split(".")[-1] in IGNORED]
    dropped += [n[len(prefix) :] for n in checkpoint.others if n.startswith(prefix)]
    notes = [*taken(checkpoint, prefix, found), *left_out(dropped, checkpoint.file)]
    return state, notes + stored_as(found) + converted


def _found(checkpoint: Checkpoint, wanted, model: str, convert: Convert, key, tower: str):
    """Prefix, tensors there, state and notes of the weights that fit, else of those that come nearest."""
    names = dict.fromkeys([*wanted, *(tower + name for name in wanted)])
    hits = {prefix: n for prefix, n in places(checkpoint, wanted).most_common() if chosen(prefix, key)}
    bases = {prefix: _without(prefix, tower) for prefix in hits}
    whole = [prefix for prefix, n in hits.items() if n == len(wanted)]
    fitting = {
        bases[prefix]: checkpoint.under(bases[prefix], names)
        for prefix in whole
        if _fits(checkpoint.under(prefix), wanted, "")
    }
    if fitting:
        prefix = pick(checkpoint, fitting, key, model)
        return prefix, fitting[prefix], _plain(fitting[prefix], checkpoint.file), []
    near = [prefix for prefix, n in hits.items() if n >= len(wanted) / 2]
    base = next(iter(bases.values()), f"{key}." if key and checkpoint.under(f"{key}.") else "")
    there = checkpoint.under(base, names)
    closest = (base, there, _plain(there, checkpoint.file), [])
    for tried in (whole, near, _trunks(checkpoint, len(wanted) / 2, key)):
        made = {}
        for base in dict.fromkeys(bases.get(prefix, prefix) for prefix in tried):
            there = checkpoint.under(base, names)
            state, notes = convert(_plain(there, checkpoint.file), checkpoint.file) or ({}, [])
            if _fits(state, wanted, tower):
                made[base] = (there, state, notes)
            elif _count(state, wanted, tower) > _count(closest[2], wanted, tower):
                closest = (base, there, state, notes)
        if made:
            prefix = pick(checkpoint, {base: state for base, (_, state, _) in made.items()}, key, model)
            return prefix, *made[prefix]
    return closest


def _without(prefix: str, tower: str) -> str:
    """Where the whole model begins whose tower begins at this prefix."""
    return prefix.removesuffix(tower) if f".{prefix}".endswith(f".{tower}") else prefix


def _fits(state: State, wanted: dict[str, torch.Size], tower: str) -> bool:
    """Whether all that is wanted is there, in its shapes."""
    found = [(state.get(tower + name, state.get(name)), shape) for name, shape in wanted.items()]
    return all(value is not None and not value.is_nested and value.shape == shape for value, shape in found)


def _count(state: State, wanted: dict[str, torch.Size], tower: str) -> int:
    return sum(tower + name in state or name in state for name in wanted)


def _trunks(checkpoint: Checkpoint, count: float, key: str | None) -> list[str]:
    """Prefixes under which many tensors lie, the outermost first."""
    found: dict[str, int] = {}
    for name in checkpoint.tensors:
        parts = name.split(".")
        for cut in range(len(parts)):
            prefix = "".join(f"{part}." for part in parts[:cut])
            found[prefix] = found.get(prefix, 0) + 1
    many = [prefix for prefix, n in found.items() if n >= count and chosen(prefix, key)]
    return sorted(many, key=lambda prefix: prefix.count("."))


def _plain(state: State, file: str) -> State:
    """Tensors that can be computed with, 8-bit floats in float32, without buffers that are no weights."""
    state = {name: value for name, value in state.items() if name.split(".")[-1] not in IGNORED}
    expect_plain(state, file)
    return {n: v.float() if v.is_floating_point() and v.itemsize == 1 else v for n, v in state.items()}


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
    checkpoint = open_checkpoint(read_file(Path(path)), Path(path).name)
    there = {n: v for n, v in module.state_dict().items() if n.split(".")[-1] not in (*IGNORED, COUNTER)}
    prefix = next((prefix for prefix, _ in places(checkpoint, there).most_common(1)), "")
    state = checkpoint.under(prefix)
    expect_plain(state, checkpoint.file)
    expect_kinds(state, there, checkpoint.file, model)


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
