"""One pass of a module on a picture without content: what each of its modules was handed and what it gave."""

import copy
from contextlib import suppress
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

BATCH = 3  # of the picture that is passed: told apart from most other sizes
MOST_PREFIX = 64  # class, register and distillation tokens
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


@dataclass(frozen=True)
class Call:
    """One call of a module.

    Attributes:
        path: of the module, "" for the root.
        module: the caller's own.
        given: shape of the first tensor that it was handed, () without one.
        out: what it gave.
    """

    path: str
    module: nn.Module
    given: tuple[int, ...]
    out: object


@dataclass(frozen=True)
class Walk:
    """The calls of one pass in the order in which they ended, and what the whole gave."""

    calls: list[Call]
    out: object


def walk(module: nn.Module, run, size: tuple[int, int], values: bool = False) -> Walk:
    """What happens in a module when `run(module, pixels)` is called.

    A twin without values is run, so that it costs neither memory nor time, and that no hook of the caller is
    called. Where a module asks for values, a copy of it is run.

    Args:
        module: is not changed.
        run: what to do with the twin and pixels [BATCH, 3, height, width].
        size: height and width.
        values: run a copy, on a picture of noise.
    """
    if not values:
        with suppress(Exception):  # whatever a library makes of tensors without values
            return _walked(_twin(module, "meta"), module, run, size)
    return _walked(_twin(module, None), module, run, size)


def _twin(module: nn.Module, device: str | None) -> nn.Module:
    """A copy without hooks; with a device, its tensors lie there and hold nothing."""
    memo: dict = {}
    if device is not None:
        for tensor in (*module.parameters(), *module.buffers()):
            empty = torch.empty_like(tensor, device=device)
            is_weight = isinstance(tensor, nn.Parameter)
            memo[id(tensor)] = nn.Parameter(empty, requires_grad=False) if is_weight else empty
    twin = copy.deepcopy(module, memo)
    for part in twin.modules():
        for name in _HOOKS:
            getattr(part, name, {}).clear()
    return twin


def _walked(twin: nn.Module, module: nn.Module, run, size: tuple[int, int]) -> Walk:
    own, calls = dict(module.named_modules()), []

    def watch(path: str):
        def keep(part, args, keywords, out):
            tensors = [leaf for leaf in tree_leaves((args, keywords)) if isinstance(leaf, Tensor)]
            calls.append(Call(path, own[path], tuple(tensors[0].shape) if tensors else (), out))

        return keep

    for path, part in twin.named_modules():
        part.register_forward_hook(watch(path), with_kwargs=True)
    weight = next(twin.parameters())
    with torch.no_grad():
        noise = torch.rand(BATCH, 3, *size, generator=torch.Generator().manual_seed(0))
        pixels = noise.to(weight.device, weight.dtype)
        return Walk(calls, run(twin, pixels))


def grid_of(walk: Walk, size: tuple[int, int]) -> tuple[tuple[int, int], int] | None:
    """Rows and columns of patches, and the number of tokens before them; None where they do not show.

    Patches are cut by the last convolution before the first linear layer, or by a linear layer that reads
    all values of a patch at once. The tokens that come with them are counted at the last module that
    reads them all.
    """
    grid = _cut(walk.calls, size)
    if grid is None:
        return None
    count = grid[0] * grid[1]
    lengths = [c.given[1] for c in walk.calls if len(c.given) == 3 and c.given[0] == BATCH]
    more = [length - count for length in lengths if 0 <= length - count <= MOST_PREFIX]
    return grid, more[-1] if more else 0


def _cut(calls: list[Call], size: tuple[int, int]) -> tuple[int, int] | None:
    grid = None
    for call in calls:
        if isinstance(call.module, nn.Conv2d) and isinstance(call.out, Tensor) and call.out.ndim == 4:
            grid = tuple(call.out.shape[2:])
        elif isinstance(call.module, nn.Linear | nn.MultiheadAttention):
            return grid or _cut_by_linear(call, size)
    return grid


def _cut_by_linear(call: Call, size: tuple[int, int]) -> tuple[int, int] | None:
    if len(call.given) != 3 or call.given[2] % 3:
        return None
    side = isqrt(call.given[2] // 3)
    grid = (size[0] // side, size[1] // side)
    whole = 3 * side * side == call.given[2] and grid[0] * grid[1] == call.given[1]
    return grid if whole else None
