"""How the representation reads a value anywhere in a tower: places of it, weights over rows, one matrix.

Once patterns, norm statistics and gates are frozen, the representation depends on a value v of the
stream, flattened for each image, as

    sum over slots s and rows k of   weight[batch, s, k] · v[batch, where[s, k]] @ gain[s]

`where` and `gain` are fixed by the model, `weight` is known for each image after its run. A reader is
carried from the output back through one operation after another (`kit.parts.reader_rules`). What only moves
numbers (windows, shifts, grids, mergings, paddings) is carried by sending the places themselves through
the operation; what multiplies features changes `gain`; what averages or normalises tokens changes
`weight`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Held = dict[object, Tensor]


class Unreadable(Exception):
    """An operation that a reader cannot be carried through."""


class Weight:
    """Weights over rows, [batch or 1, slot, row]; worked out once for what is held of a run."""

    def __init__(self, make: Callable[[Held], Tensor]):
        self.make = make

    def __call__(self, held: Held) -> Tensor:
        if self not in held:
            held[self] = self.make(held)
        return held[self]

    def then(self, change: Callable[[Tensor], Tensor]) -> "Weight":
        """These weights, changed."""
        return Weight(lambda held: change(self(held)))

    def times(self, node: object, size: int, places: Tensor) -> "Weight":
        """These weights times what is held at `node`: `size` numbers an image, taken at [slot, row]."""
        return Weight(lambda held: self(held) * held[node].reshape(-1, size)[:, places])


@dataclass(frozen=True)
class Reader:
    """Linear map from a value in the graph to the representation.

    Attributes:
        where: places in one image's flattened value, [slot, row, feature].
        gain: [slot, feature, embed].
        weight: gives [batch or 1, slot, row] from what is held of a run.
    """

    where: Tensor
    gain: Tensor
    weight: Weight

    def written(self, value: Tensor, count: int, batch: int, held: Held) -> Tensor:
        """The features that are read, summed over rows: [part, batch, slot, feature].

        Args:
            value: of `count` parts, [part * batch, ...].
            count: number of parts.
            batch: number of images.
            held: what is held of the run.
        """
        read = value.reshape(count, batch, -1)[..., self.where]  # [part, batch, slot, row, feature]
        return torch.einsum("bsk,pbskf->pbsf", self.weight(held).expand(batch, -1, -1), read)

    def vectors(self, value: Tensor, count: int, batch: int, held: Held) -> Tensor:
        """What a value writes to the representation, [part, batch, embed]."""
        return self.written(value, count, batch, held).flatten(2) @ self.gain.flatten(0, 1)

    def through(self, table: Tensor) -> "Reader | None":
        """The reader of an operation's input, the operation moving numbers; None where it reads none.

        Args:
            table: for each place of one image's output the place of the input, counted from 1; 0 where
                nothing of the input stands.
        """
        places = table.flatten()[self.where]
        there = places > 0
        if there.all():
            return replace(self, where=places - 1)
        rows, features = there.any(2), there.any(1)  # [slot, row], [slot, feature]
        if not torch.equal(there, rows[:, :, None] & features[:, None]):
            raise Unreadable("a padding or a concatenation that cuts features and rows at once")
        slots, some, few = rows.any(1), rows.any(0), features.any(0)
        if not slots.any():
            return None
        where = (places - 1).clamp(min=0)[slots][:, some][:, :, few]
        gain = (self.gain * features[..., None])[slots][:, few]
        weight = self.weight.then(lambda w: (w * rows.to(w))[:, slots][:, :, some])
        return Reader(where, gain, weight)

    def averaged(self, table: Tensor, scale: float) -> "Reader":
        """The reader of the input of a sum over several places; `table` [place of the output, several]."""
        slots, rows, features = self.where.shape
        several = table.shape[-1]
        where = table[self.where].transpose(2, 3).reshape(slots, rows * several, features)
        weight = self.weight.then(lambda w: w.repeat_interleave(several, 2) * scale)
        return Reader(where, self.gain, weight)

    def rows(self, size: int, inner: int) -> "Rows":
        """The same reading, each slot of whole rows of one dimension, so that a matrix can be applied.

        Args:
            size: of the dimension that holds features.
            inner: how many numbers lie between two neighbours of that dimension.
        """
        columns = self.where // inner % size
        positions = self.where // (inner * size) * inner + self.where % inner  # [slot, row, feature]
        group, count = positions.new_zeros(positions.shape[2]), 1  # features of one row go together
        if not torch.equal(positions[0, :, :1].expand_as(positions[0]), positions[0]):
            _, group = torch.unique(positions[0], dim=1, return_inverse=True)
            count = int(group.max()) + 1
        first = torch.stack([positions[:, :, int((group == g).nonzero()[0])] for g in range(count)], 1)
        if not torch.equal(first[:, group].transpose(1, 2), positions):
            raise Unreadable("features of one slot lie in other rows than those of another")
        if not torch.equal(columns[:, :1].expand_as(columns), columns):
            raise Unreadable("features change their place from row to row")
        gain = self.gain.new_zeros(len(self.gain), count, size, self.gain.shape[-1])
        slots = torch.arange(len(gain), device=gain.device)[:, None]
        gain.index_put_((slots, group[None], columns[:, 0]), self.gain, accumulate=True)
        weight = self.weight if count == 1 else self.weight.then(lambda w: w.repeat_interleave(count, 1))
        return Rows(first.flatten(0, 1), gain.flatten(0, 1), weight)


@dataclass(frozen=True)
class Rows:
    """A reader of whole rows.

    Attributes:
        positions: the rows, [slot, row].
        gain: [slot, size of a row, embed].
        weight: as in `Reader`.
    """

    positions: Tensor
    gain: Tensor
    weight: Weight

    def reader(self, gain: Tensor, inner: int, weight: Weight | None = None) -> Reader:
        """The reader of whole rows of another size: `gain` [slot, feature, embed]."""
        size = gain.shape[1]
        start = self.positions // inner * (inner * size) + self.positions % inner
        where = start[..., None] + inner * torch.arange(size, device=start.device)
        return Reader(where, gain, weight or self.weight)

    def taps(self, table: Tensor, kernel: Tensor, inner: int) -> Reader:
        """The reader of a convolution's input, each tap of the kernel a slot of its own.

        Args:
            table: for each position of the output and each tap the position of the input, counted
                from 1; 0 for padding.
            kernel: [tap, in, out], or [tap, channel] where each channel is convolved alone.
            inner: positions of the input.
        """
        positions = table[self.positions].transpose(1, 2).flatten(0, 1)  # [slot * tap, row]
        there = positions > 0
        if kernel.ndim == 2:
            gain = (kernel[None, ..., None] * self.gain[:, None]).flatten(0, 1)
        else:
            gain = torch.einsum("tio,soe->stie", kernel, self.gain).flatten(0, 1)
        weight = self.weight.then(lambda w: w.repeat_interleave(table.shape[1], 1) * there.to(w))
        return Rows((positions - 1).clamp(min=0), gain, weight).reader(gain, inner)
