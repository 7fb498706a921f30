"""What the tensors of a weights file must be before they are computed with."""

from collections.abc import Iterable

import torch
from torch import Tensor

from kit.errors import KitError
from kit.models.text import shorten

WHOLE = (torch.uint8, torch.int8, torch.uint16, torch.int16, torch.uint32, torch.int32, torch.uint64)
WHOLE += (torch.int64,)
PACKED = (torch.float4_e2m1fn_x2,)  # two numbers in a byte, which nothing here unpacks


def some(names: Iterable[str], joint: str = ", ") -> str:
    """The first three of some names, and that there are more."""
    names = list(names)
    return joint.join(shorten(name, 200) for name in names[:3]) + (f"{joint}..." if len(names) > 3 else "")


def left_out(names: list[str], file: str) -> list[str]:
    """The note on entries of a file that were not used."""
    if not names:
        return []
    count = "1 entry" if len(names) == 1 else f"{len(names)} entries"
    return [f"Left out of {file}, since this model has no place for it: {count} ({some(names)})."]


def is_whole(value: Tensor | None) -> bool:
    """Whether a tensor is there and holds whole numbers."""
    return value is not None and value.dtype in WHOLE


def kind_of(value: Tensor) -> str:
    """ "float", "whole", "bool", "complex", or "" for what cannot be computed with."""
    if value.is_quantized or value.dtype in PACKED:
        return ""
    if value.is_floating_point():
        return "float"
    if value.is_complex():
        return "complex"
    return "bool" if value.dtype == torch.bool else "whole" if value.dtype in WHOLE else ""


def type_of(value: Tensor) -> str:
    """Name of a tensor's type, such as "float32"."""
    return str(value.dtype).removeprefix("torch.")


def stored_as(state: dict[str, Tensor]) -> list[str]:
    """The note on floats that are stored in another type than they are computed in."""
    types = {v.dtype for v in state.values() if v.is_floating_point()} - {torch.float32}
    if not types:
        return []
    note = (
        f"Stored as {', '.join(sorted(str(t).removeprefix('torch.') for t in types))}, computed in float32."
    )
    if any(t.itemsize == 1 for t in types):
        note += " An 8-bit float keeps one or two digits; it is these rounded weights that are taken apart."
    if torch.float8_e8m0fnu in types:
        note += " float8_e8m0fnu is made for scales: it holds powers of two without a sign."
    return [note]


def is_plain(value: Tensor) -> bool:
    """Whether a tensor holds its values one after the other, in a type that can be computed with."""
    strided = not value.is_nested and value.layout == torch.strided
    return strided and not value.is_meta and bool(kind_of(value))


def expect_plain(state: dict[str, Tensor], file: str) -> None:
    """Raise on tensors that hold their values otherwise than one after the other, or not at all."""
    found = {}
    for name, value in state.items():
        if value.is_nested or value.layout != torch.strided:
            layout = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
            found[name] = (f"of the layout {layout}", "save it as a dense tensor, tensor.to_dense()")
        elif value.is_meta:
            found[name] = ("without values, on the device meta", "save it again after its weights were read")
        elif not kind_of(value):
            found[name] = (f"of the type {type_of(value)}", "dequantise it and save it as float32")
    if found:
        name, (what, remedy) = next(iter(found.items()))
        more = f" (and {len(found) - 1} more: {some([*found][1:])})" if len(found) > 1 else ""
        raise KitError(
            f'"{file}" cannot be computed with: the tensor "{shorten(name, 90)}" is {what}{more}; {remedy}.'
        )


def expect_kinds(state: dict[str, Tensor], there: dict[str, Tensor], file: str, model: str) -> None:
    """Raise where the file holds whole, true-or-false or complex numbers and the model floats, and so on."""
    both = [name for name in there if name in state]
    wrong = [name for name in both if kind_of(state[name]) != kind_of(there[name])]
    if not wrong:
        return
    pairs = [f"{n} is {type_of(state[n])} in the file, {type_of(there[n])} in the model" for n in wrong]
    wanted = there[wrong[0]]
    remedy = (
        "weights are float32, float16 or bfloat16: save them so, and dequantise a quantised model first"
        if wanted.is_floating_point()
        else f"save it as {type_of(wanted)}, as it is in the state_dict() of the model"
    )
    raise KitError(
        f'"{file}" does not fit "{model}": {len(wrong)} of {len(there)} tensors are numbers of another kind: '
        f"{some(pairs, '; ')}; {remedy}."
    )


def expect_finite(state: dict[str, Tensor], file: str, types: dict[str, torch.dtype] | None = None) -> None:
    """Raise where a value is NaN or infinite, as stored or in the type that it is computed in."""
    bad = {}
    for name, value in state.items():
        if kind_of(value) in ("float", "complex"):
            kind = value.dtype if types is None else types[name]
            if torch.isfinite(value.sum(dtype=kind)):  # which it is only where all of them are
                continue
            count = int((~torch.isfinite(value.to(kind))).sum())
            if count:
                bad[name] = f"{name} ({type_of(value)}, {count:,} of {value.numel():,} values)"
    if bad:
        raise KitError(
            f'"{file}" holds NaN or infinite values in {len(bad)} of {len(state)} tensors: '
            f"{some(bad.values())}; {_why_not_finite([state[name] for name in bad])}."
        )


def _why_not_finite(values: list[Tensor]) -> str:
    if not any(torch.isnan(value).any() for value in values):
        if all(torch.isfinite(value).all() for value in values):
            return "they are too large for float32, in which models are computed: take an earlier checkpoint"
        if all(value.dtype == torch.float16 for value in values):
            return "they were too large for that type when they were saved: save them as float32 or bfloat16"
    return "the training that wrote it has diverged, take an earlier checkpoint"


def expect_whole(state: dict[str, Tensor], there: dict[str, Tensor], file: str) -> None:
    """Raise where places that are counted (of a table of positions, say) lie outside those of the model."""
    for name, value in state.items():
        if is_whole(value) and value.numel():
            low, high = there[name].min().item(), there[name].max().item()
            found = value.to(torch.int64)
            count = int(((found < low) | (found > high)).sum())
            if count:
                raise KitError(
                    f'"{file}" holds {count:,} of {value.numel():,} numbers outside {low} to {high} in '
                    f'"{name}", the places of a table in the model; it is damaged or of another architecture.'
                )
