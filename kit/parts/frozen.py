"""The frozen graph: where the parts of a representation begin, and how each one is read.

The walk goes back from the representation through operations that are linear once attention
patterns and norm statistics are held at the image's own values. It stops

- at the output of every attention layer: one part for each head,
- at the output of every branch that hides behind one non-linear operation: an MLP,
- at the stream that enters the first attention block: `embed`.

The representation is affine in these values, so the parts sum to it exactly. Constants (biases,
the shift of a norm) are met on the way and kept under their own names.
"""

from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor, fx

from kit.errors import KitError
from kit.models.model import stamp_of
from kit.models.trace import SDPA, Trace, aten, module_path, trace_of
from kit.parts.readout import BATCH, NotPositionWise, Readout, merge
from kit.parts.rules import RULES, has_rule

KINDS = ("embed", "head", "mlp", "branch", "bias")


@dataclass(frozen=True)
class Source:
    """A place where parts begin.

    Attributes:
        node: its operation in the graph.
        name: `"embed"`, `"L3"` (attention: its heads are the parts), `"L3.MLP"`, or a module path.
        kind: `"embed"`, `"head"`, `"mlp"` or `"branch"`.
        layer: number of the attention layer it belongs to; None for `embed` and loose branches.
        readout: how the representation reads it.
        gain: matrix of the readout, [slot, head (1 if none), feature, embed].
    """

    node: fx.Node
    name: str
    kind: str
    layer: int | None
    readout: Readout
    gain: Tensor


@dataclass(frozen=True)
class Constant:
    """Additive constants of one name: [slot, row (1 if the same for all), embed] for each place."""

    name: str
    layer: int | None
    places: list[tuple[Readout, Tensor]] = field(default_factory=list)


class FrozenGraph:
    """Sources, constants and frozen statistics of one tower, for its present weights.

    Attributes:
        trace: the recorded tower.
        sources: where parts begin, in forward order.
        constants: the named constants, in forward order.
        norms: layer norms on the way, with the readout of their input.
        after_norm: matrix of the readout behind each of these norms (first slot), [dim, embed].
        pools: attention poolings on the way.
        index: one row for each part: name, kind, layer, head.
        parts_of, parts_of_constants: rows of `index` that each source, each constant, fills.
        check: the self-check, once the first run has made it.
        reached: number of attention layers that became parts; `trace.layers` is all of them.
    """

    def __init__(self, name: str, trace: Trace, start: tuple[fx.Node, Readout] | None = None):
        self.name, self.trace = name, trace
        self.norms: dict[fx.Node, Readout] = {}
        self.after_norm: dict[fx.Node, Tensor] = {}
        self.pools: list[fx.Node] = []
        self._layers = {a.node: i for i, a in enumerate(trace.layer_calls)}
        self._behind = _behind(trace)
        self._constants: dict[str, Constant] = {}
        self.sources = self._named(self._walk(*(start or _representation(trace))))
        self.constants = sorted(
            self._constants.values(), key=lambda c: len(self._layers) if c.layer is None else c.layer
        )
        self.index = self._index()
        place = {name: i for i, name in enumerate(self.index["name"])}
        self.parts_of = [[place[n] for n in _part_names(s)] for s in self.sources]
        self.parts_of_constants = [place[c.name] for c in self.constants]
        self.check = None  # filled by the first run, see kit.parts.check
        self.reached = sum(s.kind == "head" for s in self.sources)

    def _walk(self, output: fx.Node, readout: Readout) -> dict[fx.Node, Readout]:
        """The nodes where parts begin, with their readouts."""
        graph = self.trace.module.graph
        if len(self._behind[output]) == 1:
            (only,) = self._behind[output]
            raise KitError(
                f'"{self.name}" is refused: its representation comes straight out of '
                f'"{only.target}" in module "{module_path(only)}", so there is one part and no sum; '
                "decompose the input of that module instead."
            )
        attended = _attended(self.trace)
        waiting: dict[fx.Node, Readout] = {output: readout}
        found: dict[fx.Node, Readout] = {}
        for node in reversed(list(graph.nodes)):
            if node not in waiting:
                continue
            readout = waiting.pop(node)
            alone = len(self._behind[node]) == 1 and not self._behind[node] & self._layers.keys()
            if node not in attended or node in self._layers or alone:
                found[node] = readout
            else:
                self._carry(node, readout, waiting)
        return found

    def _carry(self, node: fx.Node, readout: Readout, waiting: dict[fx.Node, Readout]) -> None:
        """Take a readout through one linear operation, to its inputs."""
        try:
            for source, found in RULES[node.target](self.trace, node, readout, self._constant):
                waiting[source] = merge(waiting[source], found) if source in waiting else found
                if node.target is aten.layer_norm.default:
                    self.norms[node] = found
                    self.after_norm[node] = readout.matrix()[0]
        except NotPositionWise as error:
            raise KitError(
                f'"{self.name}" has {error} in module "{module_path(node)}"; the engine takes apart '
                "towers whose tokens meet only in attention and in one final pooling."
            ) from error
        if node.target is SDPA:
            self.pools.append(node)

    def _named(self, found: dict[fx.Node, Readout]) -> list[Source]:
        """Sources in forward order. The first branch behind a layer is its MLP."""
        sources, layer, free = [], None, False
        for node in self.trace.module.graph.nodes:
            if node in self._layers:
                layer, free = self._layers[node], node in found
            free = free and node not in self.pools
            if node not in found:
                continue
            readout, heads = found[node], 1
            (behind,) = self._behind[node] if len(self._behind[node]) == 1 else (None,)
            if node in self._layers:
                name, kind, at, heads = f"L{layer}", "head", layer, self.trace.heads[layer]
            elif layer is None:
                name, kind, at = "embed", "embed", None
            elif free:
                name, kind, at, free = f"L{layer}.MLP", "mlp", layer, False
            else:
                path = module_path(behind)
                name, kind, at = path.rpartition(".")[0] or path, "branch", None
            gain = readout.matrix().unflatten(1, (heads, -1)).contiguous()
            sources.append(Source(node, name, kind, at, readout, gain))
        return sources

    def _constant(self, node: fx.Node, value: Tensor | float, readout: Readout) -> None:
        """Keep a constant that `node` adds, under the name of the layer that alone lies behind it."""
        behind = [self._layers.get(n) for n in self._behind[node]]
        layer = behind[0] if len(behind) == 1 else None
        name = "final.bias" if layer is None else f"L{layer}.attn.bias"
        value = torch.as_tensor(value, dtype=readout.gain.dtype, device=readout.gain.device)
        sizes = [torch.Size([readout.size(a) for a in dim]).numel() for dim in readout.dims]
        rows = readout.bring(value.expand(sizes))[0]  # [row, feature]
        if (rows == rows[:1]).all():
            rows = rows[:1]
        written = torch.einsum("rf,pfe->pre", rows, readout.matrix())
        self._constants.setdefault(name, Constant(name, layer)).places.append((readout, written))

    def _index(self) -> pd.DataFrame:
        rows: list[tuple[str, str, int | None, int | None]] = []
        biases = {c.layer: (c.name, "bias", c.layer, None) for c in self.constants}
        for source in self.sources:
            if source.kind == "head":
                names = _part_names(source)
                rows += [(name, "head", source.layer, head) for head, name in enumerate(names)]
                if source.layer in biases:
                    rows.append(biases.pop(source.layer))
            else:
                rows.append((source.name, source.kind, source.layer, None))
        rows += biases.values()
        index = pd.DataFrame(rows, columns=["name", "kind", "layer", "head"])
        return index.astype({"layer": "Int64", "head": "Int64"})


def frozen_graph(model) -> FrozenGraph:
    """The frozen graph of a model's tower; made anew when the weights have changed.

    A change is noticed by the version counters of the parameters, which every in-place operation
    of torch moves on (but not writes through `.data`).

    Raises:
        KitError: the tower is in train mode or of a kind that cannot be taken apart; the module
            that stands in the way is named.
    """
    key = (id(model.tower), stamp_of(model.tower))
    trace = trace_of(model)
    cached = getattr(model, "_frozen", None)
    if cached is None or cached[0] != key:
        with torch.no_grad():
            cached = (key, FrozenGraph(model.name, trace))
        model._frozen = cached
    return cached[1]


def _part_names(source: Source) -> list[str]:
    if source.kind != "head":
        return [source.name]
    return [f"{source.name}.H{head}" for head in range(source.gain.shape[1])]


def _representation(trace: Trace) -> tuple[fx.Node, Readout]:
    """The output of the tower, which the representation reads as it is."""
    output = next(n for n in trace.module.graph.nodes if n.op == "output").args[0]
    weight = next(trace.module.parameters())
    embed = output.meta["val"].shape[-1]
    gain = torch.eye(embed, dtype=weight.dtype, device=weight.device)[None]  # [slot, embed, embed]
    one = torch.ones(1, 1, 1, dtype=weight.dtype, device=weight.device)
    return output, Readout(((BATCH,), (0,)), gain, None, 1, lambda frozen: one)


def _behind(trace: Trace) -> dict[fx.Node, set[fx.Node]]:
    """For each image-dependent node, the sources that it is a linear function of."""
    layers = {a.node for a in trace.layer_calls}
    behind: dict[fx.Node, set[fx.Node]] = {}
    for node in trace.module.graph.nodes:
        if node not in trace.image:
            continue
        if node in layers or not (has_rule(trace, node) or node.target is aten.unbind.int):
            behind[node] = {node}
        else:
            # of a frozen pooling only the values are linear, not the keys
            inputs = [node.args[2]] if node.target is SDPA else node.all_input_nodes
            behind[node] = set().union(*(behind[a] for a in inputs if a in behind))
    return behind


def _attended(trace: Trace) -> set[fx.Node]:
    """Nodes that some attention layer lies before."""
    layers = {a.node for a in trace.layer_calls}
    found: set[fx.Node] = set()
    for node in trace.module.graph.nodes:
        if node in layers or any(a in found for a in node.all_input_nodes):
            found.add(node)
    return found
