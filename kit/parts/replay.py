"""The general route: towers in which tokens also meet in windows, mergings, convolutions and gates.

The plain route (`kit.parts.token_readout`) knows a tower's representation as weights over tokens and one
matrix. In a hierarchy that is so from the output back to some operation (`kit.parts.reader_rules`); before
it, the frozen graph itself is run: backwards, one direction at a time, for scores; forwards, all parts
side by side, for vectors. Both use the operations of `kit.parts.linear`, so that a new kind of model
needs a new operation there and nothing here.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, fx

from kit.models.nodes import aten, shape_for
from kit.parts.hook_points import AttentionCall, HookPoints
from kit.parts.linear import ADDS, JOINS, Steps, inverse_spread


@dataclass
class Bundle:
    """Values of several parts at one place of the graph.

    Attributes:
        parts: their numbers in the index.
        value: [part * batch, ...]; [batch, ...] while the heads of a layer still lie in one value.
        together: that they do.
    """

    parts: list[int]
    value: Tensor | tuple
    together: bool = False

    @property
    def count(self) -> int:
        """How often the batch is repeated."""
        return 1 if self.together else len(self.parts)


class Leaves(HookPoints):
    """Cuts a pass at every source, and holds norm statistics, gates and pooling patterns still.

    Attributes:
        values: value of each source, a leaf of the graph of gradients, by name.
        calls: the attention of each layer, kept only for source tokens.
        held: inverse spreads of norms, gates and patterns, by node.
    """

    def __init__(self, frozen, steps: Steps, tokens: bool, edit: HookPoints):
        self.frozen, self.steps, self.tokens, self.edit = frozen, steps, tokens, edit
        self.values: dict[str, Tensor] = {}
        self.calls: dict[int, AttentionCall] = {}
        self.held: dict[fx.Node, Tensor] = steps.held

    def attention(self, layer: int, call, out: Tensor) -> Tensor:
        """Make what heads give a leaf, where it is a part; with tokens keep the call."""
        out = self.edit.attention(layer, call, out)
        if f"L{layer}" not in self.frozen.by_name:
            return out
        if self.tokens:
            self.calls[layer] = call
        return self._leaf(f"L{layer}", out)

    def value(self, name: str, out: Tensor) -> Tensor:
        """Make the value of a part a leaf."""
        return self._leaf(name, self.edit.value(name, out))

    def _leaf(self, name: str, out: Tensor) -> Tensor:
        self.values[name] = out.detach().requires_grad_(torch.is_grad_enabled())
        return self.values[name]

    def norm(self, norm: int, value: Tensor, out: Tensor) -> Tensor:
        """Hold the norm's spread at the image's own, so that what is left of it is linear."""
        node = list(self.frozen.norms)[norm]
        self.held[node] = inverse_spread(node, value.detach())
        if not torch.is_grad_enabled():
            return out
        added = self.steps.added(node)
        frozen = self.steps.step(node, node.args[0], value, 1)
        return frozen if added is None else frozen + added

    def pooling(self, pool: int, call, out: Tensor) -> Tensor:
        """Hold the pooling's pattern at the image's own."""
        node = self.frozen.pools[pool]
        self.held[node] = call.pattern().detach()
        return self.held[node] @ call.value

    def gate(self, gate: int, value: Tensor) -> Tensor:
        """A factor that is held at the image's own value."""
        node = self.frozen.gates[gate]
        self.held[node] = value.detach()
        return self.held[node]

    def batch_norm(self, norm: int, value: Tensor) -> Tensor:
        """A batch norm, written out.

        torch's own is wrong backwards on the CPU for one image with channels-last gradients.
        """
        node = self.frozen.batch_norms[norm]
        gain, shift = self.steps.batch_norm(node)
        shape = [-1, *[1] * (value.ndim - 2)]
        out = value * gain.reshape(shape) + shift.reshape(shape)
        return out if node.target is aten.batch_norm.default else (out,)


class Replay:
    """Takes every part, and every constant, forwards through the frozen graph.

    Args:
        frozen: the frozen graph.
        steps: its operations with what is held of one run.
        values: value of each source by name; None for the constants alone.
        reading: where values have readers that cost little they are read and go no further; sources that
            are read by part, and the constants of such places, are left out. None: all go to the output.
    """

    def __init__(self, frozen, steps: Steps, values: dict[str, Tensor] | None, reading=None):
        self.frozen, self.steps, self.values, self.reading = frozen, steps, values, reading
        self.places: dict[fx.Node, list[Bundle]] = {}
        self._sources = {s.node: i for i, s in enumerate(frozen.sources)}

    def vectors(self) -> Tensor:
        """[batch, part, embed], the parts in the order of the index; zero for parts without a value."""
        left = Counter(source for sources in self.frozen.inputs.values() for source in sources)
        width, batch = self.frozen.output.meta["val"].shape[-1], self.steps.batch
        like = next(self.frozen.trace.module.parameters())
        total = like.new_zeros(batch, len(self.frozen.index), width)
        for node in self.frozen.order:
            bundles = self._source(node) if node in self._sources else self._carried(node)
            if self._is_read(node):
                bundles = [b for b in bundles if not self._read(node, b, total)]
            self.places[node] = bundles
            for source in self.frozen.inputs.get(node, ()):
                left[source] -= 1
                if not left[source]:
                    del self.places[source]
        return total

    def _is_read(self, node: fx.Node) -> bool:
        """Whether values are read here: at the end, or where that costs no more than a step forward.

        Behind overlapping convolutions a reader looks at each place many times over.
        """
        if self.reading is None or node is self.frozen.output:
            return node is self.frozen.output
        readers = self.reading.readers.get(node)
        size = prod(shape_for(node.meta["val"], 1)) if readers else 0
        return bool(readers) and sum(r.where.numel() for r in readers) <= 2 * size

    def _read(self, node: fx.Node, bundle: Bundle, total: Tensor) -> bool:
        """Add what the representation reads of a bundle; heads that still lie together are not read."""
        if bundle.together:
            return False
        if self.reading is None:
            pieces = bundle.value.unflatten(0, (-1, self.steps.batch))  # [part, batch, embed]
        else:
            readers, held = self.reading.readers[node], self.steps.held
            pieces = sum(r.vectors(bundle.value, bundle.count, self.steps.batch, held) for r in readers)
        total.index_add_(1, torch.tensor(bundle.parts, device=total.device), pieces.transpose(0, 1))
        return True

    def _source(self, node: fx.Node) -> list[Bundle]:
        """The parts that begin at a source; heads stay together until their projection tells them apart."""
        if self.values is None or (self.reading is not None and node in self.reading.parts):
            return []
        number_ = self._sources[node]
        source, parts = self.frozen.sources[number_], self.frozen.parts_of[number_]
        value = self.values[source.name].detach()
        if len(parts) == 1 or source.attention.projection:
            return [Bundle(parts, value, together=len(parts) > 1)]
        apart = source.attention.apart(value)
        axis = source.attention.head_axis
        wide = apart.new_zeros(len(parts), *apart.shape)
        for head in range(len(parts)):
            wide[head].select(axis, head).copy_(apart.select(axis, head))
        return [Bundle(parts, wide.flatten(0, 1).reshape(-1, *value.shape[1:]))]

    def _carried(self, node: fx.Node) -> list[Bundle]:
        sources = self.frozen.inputs[node]
        known = self.reading is not None and node in self.reading.readers  # its constants were read
        if node.target in ADDS:
            found = [b for place in range(2) for b in self._operand(node, place, known)]
        elif node.target in JOINS:
            found = self._joined(node, known)
        else:
            found = [self._through(node, sources[0], b) for b in self._merged(sources[0])]
        added = self.steps.added(node)
        if added is not None and not known:
            found = [*found, self._constant(node, added)]
        return found

    def _through(self, node: fx.Node, source: fx.Node, bundle: Bundle) -> Bundle:
        if bundle.together and node in self.frozen.projections:
            weight = self.steps.constant(node.args[1])  # [out, in]
            heads = self.frozen.projections[node]  # features of each head
            return Bundle(bundle.parts, torch.cat([bundle.value[..., h] @ weight[:, h].T for h in heads]))
        value = self.steps.step(node, source, bundle.value, bundle.count)
        return Bundle(bundle.parts, value, bundle.together)

    def _merged(self, node: fx.Node) -> list[Bundle]:
        """The bundles at a node as one, if they are of one shape."""
        bundles = self.places.get(node, [])
        if len(bundles) < 2 or isinstance(bundles[0].value, tuple | list):
            return bundles
        parts = [p for b in bundles for p in b.parts]
        value = torch.cat([b.value for b in bundles])
        if len(set(parts)) < len(parts):
            names = sorted(set(parts))
            rows = torch.tensor([names.index(p) for p in parts], device=value.device)
            apart = value.unflatten(0, (len(parts), -1))
            value = apart.new_zeros(len(names), *apart.shape[1:]).index_add(0, rows, apart).flatten(0, 1)
            parts = names
        self.places[node] = [Bundle(parts, value)]
        return self.places[node]

    def _operand(self, node: fx.Node, place: int, known: bool) -> Iterator[Bundle]:
        """What one operand of a sum brings, of the shape of the sum."""
        operand, sign = node.args[place], 1.0
        if place == 1:
            sign = node.kwargs.get("alpha", 1) * (-1.0 if node.target is aten.sub.Tensor else 1.0)
        if operand in self.frozen.inputs[node]:
            for bundle in self.places.get(operand, []):
                value = bundle.value if sign == 1 else bundle.value * sign
                shape = shape_for(node.meta["val"], bundle.count * self.steps.batch)
                yield Bundle(bundle.parts, value.expand(shape))
        elif not known:
            value = torch.as_tensor(self.steps.constant(operand))
            yield self._constant(node, value * sign)

    def _constant(self, node: fx.Node, value: Tensor) -> Bundle:
        meta = node.meta["val"]
        shape = shape_for(meta[0] if isinstance(meta, tuple | list) else meta, self.steps.batch)
        like = next(self.frozen.trace.module.parameters())
        value = value.to(like).expand(shape)
        wrapped = (value,) if isinstance(meta, tuple | list) else value
        return Bundle([self.frozen.part_of_constant(node)], wrapped)

    def _joined(self, node: fx.Node, known: bool) -> list[Bundle]:
        """Concatenation: each operand's parts, with zeros where the other operands stand."""
        pieces, dim = (*node.args, 0)[:2]
        operands: list[Bundle | None] = []
        for piece in pieces:
            if piece in self.frozen.inputs[node]:
                merged = self._merged(piece)
                operands.append(merged[0] if merged else None)
            elif known:
                operands.append(None)
            else:
                shape = shape_for(piece.meta["val"], self.steps.batch)
                value = torch.as_tensor(self.steps.constant(piece)).expand(shape)
                operands.append(Bundle([self.frozen.part_of_constant(node)], value))
        parts = sorted({p for b in operands if b is not None for p in b.parts})
        if not parts:
            return []
        like = next(b.value for b in operands if b is not None)
        rows = []
        for piece, bundle in zip(pieces, operands):
            shape = shape_for(piece.meta["val"], self.steps.batch)
            wide = like.new_zeros(len(parts), *shape)
            if bundle is not None:
                places = [parts.index(p) for p in bundle.parts]
                wide[places] = bundle.value.unflatten(0, (len(bundle.parts), -1))
            rows.append(wide.flatten(0, 1))
        return [Bundle(parts, node.target(rows, dim % len(shape_for(pieces[0].meta["val"], 1))))]
