"""Readers of a tower's values, from the output back: one rule for each kind of operation.

Reading stops at an operation without a rule, and where a reader would grow too large (a chain of
overlapping convolutions). What lies before it is pushed forward to the first value that has readers.
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from kit.models.nodes import MOVES, aten, shape_for
from kit.models.trace import Trace
from kit.parts.linear import ADDS, GATHERS, JOINS, PADS, PLAIN, SCALES, SUMS, Steps
from kit.parts.place_reader import Reader, Unreadable, Weight

MOST_SLOTS = 128  # of all readers of one value
# moves that leave the flattened value of an image as it is
STILL = MOVES - {aten.permute.default, aten.transpose.int, aten.t.default, aten.movedim.int}
Found = Iterator[tuple[fx.Node, Reader | None]]


@dataclass(frozen=True)
class Reading:
    """What is read, and how.

    Attributes:
        readers: of each value that is read directly.
        shut: values that are read in ways that no reader says.
        constants: what each operation adds, [slot, row (1 if the same for all), embed] for each reader.
        parts: for each source that is read part by part its readers, the features of one head behind
            another, and their gains, [head (1 if none), slot * feature, embed].
    """

    readers: dict[fx.Node, list[Reader]]
    shut: set[fx.Node]
    constants: dict[fx.Node, list[tuple[Weight, Tensor]]]
    parts: dict[fx.Node, list[tuple[Reader, Tensor]]]


class Rules:
    """The rules for one trace."""

    def __init__(self, trace: Trace):
        self.trace, self.steps = trace, Steps(trace.constant, {}, 1)
        self.like = next(trace.module.parameters())

    def before(self, node: fx.Node, inputs: list[fx.Node], reader: Reader) -> Found:
        """The readers of a node's linear inputs.

        Raises:
            Unreadable: there is no rule, or it does not apply here.
        """
        target = node.target
        if target in ADDS:
            yield from self._sum(node, inputs, reader)
        elif target in JOINS:
            yield from self._join(node, inputs, reader)
        elif target is operator.getitem and node.args[0] in inputs and _several(node.args[0]):
            yield from self._picked(node, reader)
        elif target in PLAIN | PADS:
            yield inputs[0], self._plain(node, inputs[0], reader)
        elif target is aten.linear.default:
            matrix = self.trace.constant(node.args[1])  # [out, in]
            rows = reader.rows(matrix.shape[0], 1)
            yield inputs[0], rows.reader(torch.einsum("oi,soe->sie", matrix, rows.gain), 1)
        elif target is aten.conv2d.default:
            yield inputs[0], self._convolution(node, reader)
        elif target in (aten.layer_norm.default, aten.rms_norm.default):
            yield inputs[0], self._norm(node, reader)
        elif target is aten.batch_norm.default:
            shape = shape_for(node.meta["val"], 1)
            gain = self.steps.batch_norm(node)[0].reshape(-1, *[1] * (len(shape) - 2)).expand(shape)
            yield inputs[0], _scaled(reader, gain)
        elif target in SCALES:
            yield inputs[0], self._scale(node, inputs[0], reader)
        else:
            raise Unreadable(str(target))

    def _table(self, node: fx.Node) -> Tensor:
        """The places of one image's value, counted from 1."""
        shape = shape_for(node.meta["val"], 1)
        return torch.arange(1, 1 + torch.Size(shape).numel(), device=self.like.device).reshape(shape)

    def _number(self, argument: object) -> Tensor:
        """A constant argument, in the precision of the tower."""
        return torch.as_tensor(self.trace.constant(argument), dtype=self.like.dtype, device=self.like.device)

    def _moved(self, node: fx.Node, source: fx.Node) -> Tensor | tuple[Tensor, ...]:
        """Where an operation that moves numbers puts the places of its input; 0 for none."""
        moved = self.steps.step(node, source, self._table(source).double(), 1)  # not all take integers
        return tuple(m.long() for m in moved) if isinstance(moved, tuple | list) else moved.long()

    def _plain(self, node: fx.Node, source: fx.Node, reader: Reader) -> Reader | None:
        target = node.target
        if target in STILL:
            return reader
        if target in SUMS:
            return self._average(node, source, reader)
        if target is aten.neg.default:
            return replace(reader, gain=-reader.gain)
        if target not in GATHERS and target not in PADS:
            raise Unreadable(str(target))
        return reader.through(self._moved(node, source))

    def _picked(self, node: fx.Node, reader: Reader) -> Found:
        several = node.args[0]
        (source,) = [a for a in several.all_input_nodes if a in self.trace.image]
        if several.target not in GATHERS:
            raise Unreadable(str(several.target))
        yield source, reader.through(self._moved(several, source)[node.args[1]])

    def _average(self, node: fx.Node, source: fx.Node, reader: Reader) -> Reader:
        places = self._table(source) - 1
        target, args = node.target, node.args
        if target is aten.avg_pool2d.default:
            kernel = args[1]
            stride = args[2] if len(args) > 2 and args[2] else kernel
            if any(a not in (0, [0, 0], False, True) for a in args[3:]):
                raise Unreadable("a padded average")
            table = places.unfold(-2, kernel[0], stride[0]).unfold(-2, kernel[1], stride[1]).flatten(-2)
        elif target is aten.adaptive_avg_pool2d.default:
            if any(size != 1 for size in args[1]):
                raise Unreadable("an average over cells of several sizes")
            table = places.flatten(-2)
        else:
            dims = [args[1]] if isinstance(args[1], int) else list(args[1])
            dims = sorted(d % places.ndim for d in dims)
            kept = [d for d in range(places.ndim) if d not in dims]
            table = places.permute(kept + dims).flatten(len(kept))
        table = table.reshape(-1, table.shape[-1])
        if len(table) != torch.Size(shape_for(node.meta["val"], 1)).numel():
            raise Unreadable("an average over cells of several sizes")
        return reader.averaged(table, 1 if target is aten.sum.dim_IntList else 1 / table.shape[-1])

    def _sum(self, node: fx.Node, inputs: list[fx.Node], reader: Reader) -> Found:
        shape = shape_for(node.meta["val"], 1)
        for place in range(2):
            operand = node.args[place]
            if operand in inputs:
                here = reader
                if shape_for(operand.meta["val"], 1) != shape:
                    here = reader.through(self._table(operand).expand(shape))
                factor = self.sign(node, place)
                yield operand, here if factor == 1 else replace(here, gain=factor * here.gain)

    def sign(self, node: fx.Node, place: int) -> float:
        """Factor of an operand of a sum or a difference."""
        if place == 0:
            return 1.0
        return node.kwargs.get("alpha", 1) * (-1.0 if node.target is aten.sub.Tensor else 1.0)

    def _join(self, node: fx.Node, inputs: list[fx.Node], reader: Reader) -> Found:
        pieces, dim = (*node.args, 0)[:2]
        for piece in inputs:
            tables = [self._table(a) if a is piece else torch.zeros_like(self._table(a)) for a in pieces]
            yield piece, reader.through(node.target(tables, dim))

    def _convolution(self, node: fx.Node, reader: Reader) -> Reader:
        weight = self.trace.constant(node.args[1])  # [out, in / groups, height, width]
        given = node.args[3:]
        stride, padding, dilation, groups = (*given, *([1, 1], [0, 0], [1, 1], 1)[len(given) :])
        shape, before = shape_for(node.meta["val"], 1), shape_for(node.args[0].meta["val"], 1)
        alone = groups == before[1] == shape[1]
        if shape[0] != 1 or not (groups == 1 or alone):
            raise Unreadable("a convolution of groups")
        positions = torch.arange(1, 1 + before[2] * before[3], dtype=torch.float64).reshape(1, 1, *before[2:])
        height, width = weight.shape[2:]
        table = F.unfold(positions, (height, width), dilation, padding, stride)[0].T.round().long()
        kernel = weight[:, 0].flatten(1).T if alone else weight.flatten(2).permute(2, 1, 0)
        rows = reader.rows(shape[1], shape[2] * shape[3])
        if len(rows.gain) * height * width > MOST_SLOTS:
            raise Unreadable("too many slots")
        return rows.taps(table, kernel, before[2] * before[3])

    def _norm(self, node: fx.Node, reader: Reader) -> Reader:
        if len(node.args[1]) != 1:
            raise Unreadable("a norm over more than the features")
        shape = shape_for(node.meta["val"], 1)
        rows = reader.rows(shape[-1], 1)
        gain = rows.gain
        if len(node.args) > 2 and node.args[2] is not None:
            gain = self.trace.constant(node.args[2])[:, None] * gain
        if node.target is aten.layer_norm.default:
            gain = gain - gain.mean(1, keepdim=True)
        spread = torch.Size(shape[:-1]).numel()
        return rows.reader(gain, 1, rows.weight.times(node, spread, rows.positions))

    def _scale(self, node: fx.Node, source: fx.Node, reader: Reader) -> Reader:
        """Product with, or quotient by, a constant, or what is held of the image and varies over rows."""
        first, second = node.args[:2]
        other = second if first is source else first
        shape = shape_for(node.meta["val"], 1)
        if shape_for(source.meta["val"], 1) != shape:
            raise Unreadable("a product that repeats its operand")
        if isinstance(other, fx.Node) and other in self.trace.image:
            return self._gated(node, other, shape, reader)
        factor = self._number(other)
        factor = 1 / factor if node.target is aten.div.Tensor else factor
        return _scaled(reader, factor.expand(shape))

    def _gated(self, node: fx.Node, gate: fx.Node, shape: list[int], reader: Reader) -> Reader:
        if node.target is aten.div.Tensor:
            raise Unreadable("a quotient by what depends on the image")
        table = self._table(gate)
        places = (table - 1).expand(shape).flatten()[reader.where]
        if not torch.equal(places[..., :1].expand_as(places), places):
            raise Unreadable("a gate that varies over the features")
        return replace(reader, weight=reader.weight.times(gate, table.numel(), places[..., 0]))

    def constant(self, node: fx.Node) -> Tensor | None:
        """What a node adds of its own, of the shape of one image's value; None for nothing."""
        meta = node.meta["val"]
        if isinstance(meta, tuple | list):
            return None
        shape, total = shape_for(meta, 1), self.steps.added(node)
        image = self.trace.image
        if node.target in ADDS:
            fixed = [p for p in range(2) if node.args[p] not in image]
            total = sum(self.sign(node, p) * self._number(node.args[p]) for p in fixed)
            total = total if fixed else None
        elif node.target in JOINS and any(a not in image for a in node.args[0]):
            sizes = [shape_for(a.meta["val"], 1) for a in node.args[0]]
            pieces = [
                self.like.new_zeros(n) if a in image else self._number(a).expand(n)
                for a, n in zip(node.args[0], sizes)
            ]
            total = node.target(pieces, *node.args[1:])
        return None if total is None else torch.as_tensor(total).expand(shape)


def _several(node: fx.Node) -> bool:
    return isinstance(node.meta["val"], tuple | list)


def _scaled(reader: Reader, factor: Tensor) -> Reader:
    """The reader of x, given that of x times a constant of the same shape."""
    factors = factor.flatten()[reader.where]  # [slot, row, feature]
    if torch.equal(factors[:, :1].expand_as(factors), factors):
        return replace(reader, gain=factors[:, 0, :, None] * reader.gain)
    if torch.equal(factors[..., :1].expand_as(factors), factors):
        return replace(reader, weight=reader.weight.then(lambda w: w * factors[..., 0]))
    raise Unreadable("a factor that varies over rows and features")


def reading(frozen) -> Reading:
    """The readers of a frozen graph's values, as far back from the output as they go."""
    rules, output = Rules(frozen.trace), frozen.output
    sources = {s.node: s for s in frozen.sources}
    embed = output.meta["val"].shape[-1]
    like = next(frozen.trace.module.parameters())
    one = Weight(lambda held: torch.ones(1, 1, 1, dtype=like.dtype, device=like.device))
    eye = torch.eye(embed, dtype=like.dtype, device=like.device)[None]
    found: dict[fx.Node, list[Reader]] = {output: [Reader(torch.arange(embed)[None, None], eye, one)]}
    shut: set[fx.Node] = set()  # read by an operation that no reader passes
    done = Reading({}, shut, {}, {})
    for node in reversed(frozen.order):
        inputs = frozen.inputs.get(node, [])
        readers = found.pop(node, [])
        if node in shut or sum(len(r.gain) for r in readers) > MOST_SLOTS:
            shut.update(inputs)
            continue
        if not readers:  # nothing of it is read
            if node in sources:
                done.parts[node] = []
            continue
        done.readers[node] = readers
        added = None if node in sources else rules.constant(node)
        if added is not None:
            done.constants[node] = [(r.weight, _constant(r, added.to(like))) for r in readers]
        if node in sources:
            done.parts.update(_by_part(sources[node], readers))
            continue
        try:
            pieces = [piece for r in readers for piece in rules.before(node, inputs, r)]
        except Unreadable:
            shut.update(inputs)
            continue
        for source, reader in pieces:
            if reader is not None:
                found.setdefault(source, []).append(reader)
    return done


def _constant(reader: Reader, value: Tensor) -> Tensor:
    """What a constant writes, [slot, row (1 if the same for all), embed]."""
    values = value.flatten()[reader.where]  # [slot, row, feature]
    if torch.equal(values[:, :1].expand_as(values), values):
        values = values[:, :1]
    return values @ reader.gain


def _by_part(source, readers: list[Reader]) -> dict[fx.Node, list[tuple[Reader, Tensor]]]:
    """A source's readers and gains by part; nothing where a slot reads heads in another order than others."""
    if source.kind != "head":
        return {source.node: [(r, r.gain.flatten(0, 1)[None]) for r in readers]}
    attention, shape = source.attention, shape_for(source.node.meta["val"], 1)
    places = torch.arange(torch.Size(shape).numel()).reshape(shape)
    apart = attention.apart(places)
    head = torch.arange(attention.heads).reshape(-1, *[1] * (apart.ndim - 1 - attention.head_axis))
    owner = torch.empty(places.numel(), dtype=torch.long)
    owner[apart.flatten()] = head.expand(apart.shape).flatten()
    found = []
    for reader in readers:
        heads = owner.to(reader.where.device)[reader.where]
        counts = heads[0, 0].bincount(minlength=attention.heads)
        if not torch.equal(heads[:1, :1].expand_as(heads), heads) or (counts != counts[0]).any():
            return {}
        if (heads[0, 0].diff() < 0).any():
            order = torch.argsort(heads[0, 0], stable=True)
            reader = replace(reader, where=reader.where[:, :, order], gain=reader.gain[:, order])
        by_head = reader.gain.unflatten(1, (attention.heads, -1)).transpose(0, 1).flatten(1, 2)
        found.append((reader, by_head.contiguous()))
    return {source.node: found}
