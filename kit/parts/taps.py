"""One pass of a tower with a hand on every place where parts begin.

The tapped graph is the recorded tower with a second argument, an object of class `Taps`. The graph
shows it every attention output, branch output and norm on its way, and goes on with what it gets
back. Everything that the kit reads from, or changes in, a tower happens here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from kit.parts.frozen import FrozenGraph
from kit.parts.narrow import narrow


@dataclass(frozen=True)
class AttentionCall:
    """Inputs of one attention call.

    Attributes:
        query, key, value: [batch, head, token, head_dim].
        mask: additive or boolean mask, or None.
        scale: factor of the scores; None is 1/sqrt(head_dim).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None = None
    scale: float | None = None

    def pattern(self, rows: tuple[int, ...] | None = None) -> Tensor:
        """Attention weights after the softmax, [batch, head, query, key]; `rows`: some queries alone."""
        query, mask = self.query, self.mask
        if rows is not None and len(rows) < query.shape[2]:
            some = slice(rows[0], rows[0] + 1) if len(rows) == 1 else list(rows)
            query = query[:, :, some]
            mask = mask[..., some, :] if mask is not None and mask.shape[-2] > 1 else mask
        scale = query.shape[-1] ** -0.5 if self.scale is None else self.scale
        scores = (query * scale) @ self.key.transpose(-1, -2)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        return scores.softmax(-1)


class Taps:
    """Looks at nothing and changes nothing; the base of what reads and edits a run."""

    def attention(self, layer: int, call: AttentionCall, out: Tensor) -> Tensor:
        """Head outputs before the output projection, [batch, head, token, head_dim]."""
        return out

    def pooling(self, pool: int, call: AttentionCall, out: Tensor) -> Tensor:
        """Output of an attention pooling, [batch, head, query, head_dim]."""
        return out

    def value(self, name: str, out: Tensor) -> Tensor:
        """Value of `embed`, an MLP or a branch, as it lies in the graph."""
        return out

    def norm(self, norm: int, value: Tensor, out: Tensor) -> Tensor:
        """Input and output of a norm between the parts and the representation."""
        return out


def tapped(frozen: FrozenGraph, only_read: bool = False) -> Callable[[Tensor, Taps], Tensor]:
    """The tower as a function of pixels and taps, made once for each trace.

    Args:
        frozen: the tower.
        only_read: values behind the last keys and values hold the tokens alone that are read (see
            `kit.parts.narrow`), which is faster; otherwise every tap sees every token.

    Returns:
        pixels [batch, 3, height, width], taps -> representation [batch, embed].
    """
    made = frozen.trace.__dict__.setdefault("tapped", {})
    if only_read not in made:
        made[only_read] = _insert(frozen, only_read)
    return made[only_read]


def _insert(frozen: FrozenGraph, only_read: bool) -> fx.GraphModule:
    trace = frozen.trace
    graph, twin = fx.Graph(), {}
    output = graph.graph_copy(trace.module.graph, twin)
    if only_read:
        narrow(graph)
    with graph.inserting_after(next(n for n in graph.nodes if n.op == "placeholder")):
        taps = graph.placeholder("taps")

    def tap(node: fx.Node, method: str, *args: object) -> None:
        with graph.inserting_after(node):
            call = graph.call_method(method, (taps, *args, node))
        node.replace_all_uses_with(call, delete_user_cb=lambda user: user is not call)

    pooling = {n: i for i, n in enumerate(frozen.pools)}
    layers = {a.node: i for i, a in enumerate(trace.layer_calls)}
    for node in [*layers, *pooling]:
        here = twin[node]
        with graph.inserting_before(here):
            mask = here.args[3] if len(here.args) > 3 else here.kwargs.get("attn_mask")
            args = (*here.args[:3], mask, here.kwargs.get("scale"))
            call = graph.call_function(AttentionCall, args)
        tap(here, *(("attention", layers[node]) if node in layers else ("pooling", pooling[node])), call)
    for source in frozen.sources:
        if source.kind != "head":
            tap(twin[source.node], "value", source.name)
    for place, node in enumerate(frozen.norms):
        tap(twin[node], "norm", place, twin[node].args[0])
    # a tap hands out what the graph goes on with, so the output must be read after all taps
    last = next(n for n in trace.module.graph.nodes if n.op == "output").args[0]
    users = [u for u in twin[last].users if u.op == "call_method"]
    graph.output(users[-1] if users else output)
    return fx.GraphModule(trace.module, graph)
