"""One pass of a tower with a hand on every place where parts begin.

The hooked graph is the recorded tower with a second argument, an object of class `HookPoints`. The graph
shows it every attention output, branch output and norm on its way, and goes on with what it gets
back. Everything that the kit reads from, or changes in, a tower happens here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from kit.models.attention import Attention
from kit.parts.frozen import FrozenGraph
from kit.parts.read_token import read_one_token


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


def attention_call(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, *, scale: float | None = None, enable_gqa: bool = False,
) -> AttentionCall:  # fmt: skip
    """The call that `scaled_dot_product_attention` gets with these arguments, said without flags."""
    if is_causal:
        attn_mask = query.new_ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
    if enable_gqa:  # several heads of queries share keys and values
        key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
    return AttentionCall(query, key, value, attn_mask, scale)


class HookPoints:
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


@dataclass(frozen=True)
class WrittenOut:
    """Inputs of an attention that the model computes step by step.

    Attributes:
        weights: attention weights after the softmax and whatever mixes them, [..., query, key].
        value: [..., token, head_dim].
    """

    weights: Tensor
    value: Tensor

    def pattern(self, rows: tuple[int, ...] | None = None) -> Tensor:
        """Attention weights; `rows`: some queries alone."""
        return self.weights if rows is None else self.weights[..., list(rows), :]


def hooked(frozen: FrozenGraph, variant: str = "whole") -> Callable[[Tensor, HookPoints], Tensor]:
    """The tower as a function of pixels and hook points, made once for each trace.

    Args:
        frozen: the tower.
        variant: `"whole"`; `"read"`: values behind the last keys and values hold the tokens alone that
            are read (see `kit.parts.read_token`), which is faster; `"general"`: gradients of the
            representation reach the sources along the frozen graph and nothing else.

    Returns:
        pixels [batch, 3, height, width], hook_points -> representation [batch, embed].
    """
    made = frozen.trace.__dict__.setdefault("hooked", {})
    if variant not in made:
        made[variant] = _insert(frozen, variant)
    return made[variant]


def _insert(frozen: FrozenGraph, variant: str) -> fx.GraphModule:
    trace = frozen.trace
    graph, twin = fx.Graph(), {}
    graph.graph_copy(trace.module.graph, twin)
    if variant == "read":
        read_one_token(graph)
    with graph.inserting_after(next(n for n in graph.nodes if n.op == "placeholder")):
        hook_points = graph.placeholder("hook_points")

    def tap(node: fx.Node, method: str, *args: object) -> None:
        with graph.inserting_after(node):
            call = graph.call_method(method, (hook_points, *args, node))
        node.replace_all_uses_with(call, delete_user_cb=lambda user: user is not call)

    if variant == "general":
        _hold(frozen, graph, twin, hook_points)
    attention = {a.node: a for a in trace.attentions}
    pooling = {n: i for i, n in enumerate(frozen.pools)}
    layers = {a.node: i for i, a in enumerate(trace.layer_calls)}
    for node in [*layers, *pooling]:
        here = twin[node]
        with graph.inserting_before(here):
            call = _call(graph, here, attention[node], twin)
        tap(here, *(("attention", layers[node]) if node in layers else ("pooling", pooling[node])), call)
    for source in frozen.sources:
        if source.kind != "head":
            tap(twin[source.node], "value", source.name)
    for place, node in enumerate(frozen.norms):
        tap(twin[node], "norm", place, twin[node].args[0])
    # a hook point hands out what the graph goes on with, so the output must be read after all of them
    last = next(n for n in trace.module.graph.nodes if n.op == "output").args[0]
    users = [u for u in twin[last].users if u.op == "call_method"]
    graph.output(users[-1] if users else twin[last])
    return fx.GraphModule(trace.module, graph)


def _call(graph: fx.Graph, here: fx.Node, attention: Attention, twin: dict[fx.Node, fx.Node]) -> fx.Node:
    """The inputs of an attention, as an object that says its pattern."""
    if attention.pattern is not None:
        return graph.call_function(WrittenOut, (twin[attention.pattern], twin[attention.value]))
    return graph.call_function(attention_call, here.args, here.kwargs)


def _hold(frozen: FrozenGraph, graph: fx.Graph, twin: dict[fx.Node, fx.Node], hook_points: fx.Node) -> None:
    """Let gradients pass the frozen graph alone: whatever reads a value beside it reads a copy without."""
    for place, gate in enumerate(frozen.gates):
        with graph.inserting_after(twin[gate]):
            held = graph.call_method("gate", (hook_points, place, twin[gate]))
        for user in gate.users:
            if user in frozen.inputs and gate not in frozen.inputs[user]:
                twin[user].replace_input_with(twin[gate], held)
    for node in frozen.order:
        several = isinstance(node.meta["val"], tuple | list)
        for user in list(node.users):
            if user.op == "output" or node in frozen.inputs.get(user, ()):
                continue
            end = twin[user] if several else twin[node]  # of several values one is picked first
            with graph.inserting_after(end):
                apart = graph.call_method("detach", (end,))
            for reader in list(end.users):
                if reader is not apart and (several or reader is twin[user]):
                    reader.replace_input_with(end, apart)
    for place, node in enumerate(frozen.batch_norms):
        here = twin[node]
        with graph.inserting_after(here):
            call = graph.call_method("batch_norm", (hook_points, place, here.args[0]))
        here.replace_all_uses_with(call)
        graph.erase_node(here)
        twin[node] = call
