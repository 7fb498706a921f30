"""How the representation reads a value inside the tower: weights over tokens, then one matrix.

In a tower whose stream is position-wise, the representation depends on any value v of the stream,
once attention patterns and norm statistics are frozen, as

    sum over slots p and rows r of   weight[batch, p, r] · v[batch, r] @ gain[p] @ tail[p]

`gain` and `tail` are fixed by the weights of the model; `weight` is known for each image after its
run. Class token: one row, one slot. Average pooling: all rows. Attention pooling: one slot for each
pooling head; what is read through a head passes its few features, so `gain` ends there, and `tail`,
the same for all places before it, goes on. Elsewhere there is no tail. A `Readout` is this at one
place of the graph, with the order of that place's axes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kit.models.nodes import EXAMPLE_BATCH

BATCH, TOKEN = "batch", "token"
# The values of one run that weights are made of: key -> tensor.
Frozen = Mapping[object, Tensor]
Weight = Callable[[Frozen], Tensor]  # -> [batch or 1, slot, row]


class NotPositionWise(Exception):
    """An operation mixes tokens in a way that a `Readout` cannot say."""


@dataclass(frozen=True)
class Readout:
    """Linear map from a value in the graph to the representation.

    Attributes:
        dims: for each dimension of the value the axes that it holds, outermost first: `BATCH`,
            `TOKEN`, or the number of a feature axis of `gain`. Axes of size 1 are not listed.
        gain: [slot, *features, embed], or to the features of a pooling head where there is a tail.
        rows: the token positions that are read, or None where the value has no token axis.
        tokens: size of the token axis (1 where there is none).
        weight: gives [batch or 1, slot, row] from the frozen values of a run.
        tail: [slot, feature of a pooling head, embed], or None.
    """

    dims: tuple[tuple[str | int, ...], ...]
    gain: Tensor
    rows: tuple[int, ...] | None
    tokens: int
    weight: Weight
    tail: Tensor | None = None

    @property
    def axes(self) -> list[str | int]:
        """All axes, outermost first."""
        return [axis for dim in self.dims for axis in dim]

    def size(self, axis: str | int) -> int:
        """Size of an axis; the batch has the size of the recorded example."""
        return {BATCH: EXAMPLE_BATCH, TOKEN: self.tokens}.get(axis) or self.gain.shape[1 + axis]

    def matrix(self) -> Tensor:
        """`gain` with the features flattened in the order in which the value holds them.

        Returns:
            [slot, feature, embed], or to the features of a pooling head where there is a tail.
        """
        order = [a for a in self.axes if isinstance(a, int)]
        missing = [i for i in range(self.gain.ndim - 2) if i not in order]  # features of size 1
        gain = self.gain.permute(0, *[1 + a for a in order + missing], -1)
        return gain.reshape(gain.shape[0], -1, gain.shape[-1])

    def whole(self) -> Tensor:
        """`matrix` up to the representation, [slot, feature, embed]."""
        return self.matrix() if self.tail is None else self.matrix() @ self.tail

    def bring(self, value: Tensor) -> Tensor:
        """The rows of `value` that are read, in canonical order.

        Args:
            value: the value in the graph, with any batch size (1 for a constant), and with all its
                tokens or those alone that are read.

        Returns:
            [batch, row, feature], features in the order of `matrix`.
        """
        held = value.shape[self.dims.index((TOKEN,))] if (TOKEN,) in self.dims else self.tokens
        sizes = [-1 if a == BATCH else held if a == TOKEN else self.size(a) for a in self.axes]
        axes = self.axes if BATCH in self.axes else [BATCH, *self.axes]
        value = value.reshape(sizes if BATCH in self.axes else [1, *sizes])
        front = [a for a in (BATCH, TOKEN) if a in axes]
        value = value.permute([axes.index(a) for a in front + [a for a in axes if a not in front]])
        if TOKEN not in axes:
            return value.reshape(len(value), 1, -1)
        if len(self.rows) < held:
            first, last = self.rows[0], self.rows[-1] + 1
            together = self.rows == tuple(range(first, last))
            value = value[:, first:last] if together else value[:, list(self.rows)]
        return value.flatten(2)

    def with_matrix(self, matrix: Tensor, dims: tuple, **changes: object) -> "Readout":
        """The same weights with another gain of one feature axis, number 0."""
        return replace(self, gain=matrix, dims=dims, **changes)

    def regroup(self, shape: list[int]) -> "Readout":
        """The readout of a value of `shape` that is viewed as this value (reshape, backwards)."""
        gain, pending, dims = self.gain, self.axes, []
        for size in shape:
            dim: list[str | int] = []
            left = size
            while left > 1:
                here = replace(self, gain=gain)
                axis = pending.pop(0)
                whole = here.size(axis)
                if left % whole == 0:
                    left //= whole
                    dim.append(axis)
                elif isinstance(axis, int) and whole % left == 0:
                    sizes = gain.shape
                    gain = gain.reshape(*sizes[: 1 + axis], left, whole // left, *sizes[2 + axis :])
                    shift = {a: a + 1 for a in range(axis + 1, gain.ndim)}
                    dims = [tuple(shift.get(a, a) for a in d) for d in dims]
                    dim = [shift.get(a, a) for a in dim] + [axis]
                    pending = [axis + 1] + [shift.get(a, a) for a in pending]
                    left = 1
                else:
                    raise NotPositionWise("a reshape cuts the token or the batch axis")
            dims.append(tuple(dim))
        return replace(self, gain=gain, dims=tuple(dims))


def merge(first: Readout, second: Readout) -> Readout:
    """One readout for a value that is read along two ways: their sum, slots side by side."""
    if first.dims != second.dims or first.tokens != second.tokens:
        raise NotPositionWise("one value is read in two layouts")
    if first.tail is not second.tail:
        first, second = (_untailed(readout) for readout in (first, second))
    rows, tail = first.rows, first.tail
    if first.rows != second.rows:
        rows = tuple(sorted({*first.rows, *second.rows}))
    parts = [(r, [rows.index(i) for i in r.rows] if rows != r.rows else None) for r in (first, second)]

    def weight(frozen: Frozen) -> Tensor:
        placed = []
        for readout, places in parts:
            own = readout.weight(frozen)  # [batch, slot, row]
            if places is not None:
                wide = own.new_zeros(*own.shape[:2], len(rows))
                wide[:, :, places] = own
                own = wide
            placed.append(own)
        batch = max(p.shape[0] for p in placed)
        return torch.cat([p.expand(batch, -1, -1) for p in placed], dim=1)

    if rows == first.rows == second.rows and first.gain is second.gain:
        summed = lambda frozen: first.weight(frozen) + second.weight(frozen)  # noqa: E731
        return replace(first, weight=summed)
    tail = None if tail is None else torch.cat([tail, tail])
    return replace(first, gain=torch.cat([first.gain, second.gain]), rows=rows, weight=weight, tail=tail)


def _untailed(readout: Readout) -> Readout:
    """The same with the tail in the gain."""
    if readout.tail is None:
        return readout
    return replace(readout, gain=torch.einsum("p...f,pfe->p...e", readout.gain, readout.tail), tail=None)
