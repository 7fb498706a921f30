"""Attention layers that write nothing to the representation themselves, as in towers that read one token.

CaiT's patches meet in two dozen layers, and then one class token reads them: the representation is that
token, so nothing that those layers write stands in it. Their parts are zero, and that is the whole truth
where later attention alone reads them. Where a branch reads them too, that branch hides them.
"""

import operator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn

from kit.models.nodes import shape_for
from kit.models.trace import Trace
from kit.parts.linear import ADDS, JOINS, Steps, inverse_spread

if TYPE_CHECKING:
    from kit.parts.frozen import FrozenGraph


def reached(frozen: "FrozenGraph") -> dict[fx.Node, bool]:
    """Whether the representation reads anything of a source, for every source of a general route.

    One picture's frozen graph, forwards and backwards, with random positive numbers in the place of every
    parameter, norm, gate and pattern: a derivative that is zero then is zero for want of a path.
    """
    trace = _Noise(frozen.trace)
    held = {n: inverse_spread(n, trace.number(n.args[0])) for n in frozen.norms}
    held |= {n: trace.number(n) for n in frozen.gates}
    held |= {
        n: trace.noise([*shape_for(n.meta["val"], 1)[:-1], n.args[2].meta["val"].shape[-2]])
        for n in frozen.pools
    }
    steps = Steps(trace.constant, held, 1)
    leaves = {s.node: trace.number(s.node).requires_grad_() for s in frozen.sources}
    with torch.enable_grad():
        values: dict[fx.Node, Tensor | tuple] = dict(leaves)
        for node in frozen.order:
            if node not in leaves:
                values[node] = _forward(node, frozen.inputs[node], values, steps)
        seen = values[frozen.output]
        found = torch.autograd.grad(seen, list(leaves.values()), trace.noise(seen.shape), allow_unused=True)
    return {node: grad is not None and bool(grad.any()) for node, grad in zip(leaves, found)}


def _forward(node: fx.Node, inputs: list[fx.Node], values: dict, steps: Steps) -> Tensor | tuple:
    """A node's value from those of its inputs, without constants."""
    if node.target in ADDS:
        return sum(values[a].expand(shape_for(node.meta["val"], 1)) for a in inputs)
    if node.target in JOINS:
        like = values[inputs[0]]
        pieces = [
            values[a] if a in values else like.new_zeros(shape_for(a.meta["val"], 1)) for a in node.args[0]
        ]
        return node.target(pieces, *node.args[1:])
    return steps.step(node, inputs[0], values[inputs[0]], 1)


class _Noise(Trace):
    """A trace whose parameters, and whatever else is asked for by shape, are random and positive."""

    def __init__(self, trace: Trace):
        self.module, self.image = trace.module, trace.image
        self._generator = torch.Generator().manual_seed(0)
        self._like = next(trace.module.parameters())

    def noise(self, shape) -> Tensor:
        """Random numbers between a half and three halves."""
        return (torch.rand(list(shape), generator=self._generator) + 0.5).to(self._like)

    def number(self, node: fx.Node) -> Tensor:
        """In the place of a node's value, for one picture."""
        return self.noise(shape_for(node.meta["val"], 1))

    def constant(self, node: object) -> object:
        value = super().constant(node)
        if isinstance(node, fx.Node) and node.op == "get_attr":
            own = operator.attrgetter(node.target)(self.module)
            return self.noise(own.shape) if isinstance(own, nn.Parameter) else value
        return value
