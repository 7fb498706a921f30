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
from functools import cached_property

import pandas as pd
import torch
from torch import Tensor, fx
from torch.nn import functional as F

from kit.errors import Refused
from kit.models.attention import PRODUCTS, Attention
from kit.models.model import Model
from kit.models.nodes import aten, module_path
from kit.models.trace import Record, Trace, record_of
from kit.parts.linear import ADDS, BATCH_NORMS, JOINS, NORMS, SCALES, Steps, linear_inputs
from kit.parts.reader_rules import Reading, reading
from kit.parts.readout_rules import RULES, has_rule
from kit.parts.silent import reached
from kit.parts.token_readout import BATCH, NotPositionWise, Readout, Weight, merge

PROBES = 16  # directions along which each run's sum of parts is held against its representation
KINDS = ("embed", "head", "mlp", "branch", "bias")


@dataclass(frozen=True)
class Source:
    """A place where parts begin.

    Attributes:
        node: its operation in the graph.
        name: `"embed"`, `"L3"` (attention: its heads are the parts), `"L3.MLP"`, or a module path.
        kind: `"embed"`, `"head"`, `"mlp"` or `"branch"`.
        layer: number of the attention layer it belongs to; None for `embed` and loose branches.
        attention: what is known of the attention, for heads.
        readout: how the representation reads it; None on the general route.
        gain: matrix of the readout, [slot, head (1 if none), feature, embed or feature of a pooling head];
            None likewise.
        tail: where an attention pools, what takes its heads' features on, [slot, feature, embed].
    """

    node: fx.Node
    name: str
    kind: str
    layer: int | None
    attention: Attention | None
    readout: Readout | None
    gain: Tensor | None
    tail: Tensor | None = None

    @property
    def whole(self) -> Tensor:
        """Matrix of the readout up to the representation, [slot, head (1 if none), feature, embed]."""
        return self.gain if self.tail is None else self.gain @ self.tail[:, None]

    def along(self, directions: Tensor) -> Tensor:
        """How directions [text, embed] read what is written, [slot, head (1 if none), feature, text]."""
        return self.gain @ (directions.T if self.tail is None else self.tail[:, None] @ directions.T)

    @property
    def heads(self) -> int:
        """Number of parts that begin here."""
        return self.attention.heads if self.attention else 1


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
        output: the node of the representation.
        inputs: for each node that a part passes, the inputs in which it is linear.
        order: these nodes and the sources, in forward order.
        sources: where parts begin, in forward order.
        plain: tokens meet in attention and in one final pooling alone, so that sources and constants
            have readouts; otherwise the general route takes the parts through the graph.
        constants: the named constants, in forward order.
        norms: norms on the way, each with the readout of its input (None on the general route).
        after_norm: matrix of the readout behind each layer norm (first slot), [dim, embed].
        pools, gates, batch_norms: poolings, held factors and batch norms on the way.
        projections: linear maps that read the heads of one layer, with the features of each head.
        index: one row for each part: name, kind, layer, head.
        parts_of, parts_of_constants: rows of `index` that each source, each constant, fills.
        check: the self-check, once the first run has made it.
    """

    def __init__(
        self,
        name: str,
        trace: Trace,
        start: tuple[fx.Node, Readout] | None = None,
        plain: bool = True,
    ):
        self.name, self.trace = name, trace
        self.norms: dict[fx.Node, Readout | None] = {}
        self.after_norm: dict[fx.Node, Tensor] = {}
        self._layers = {a.node: i for i, a in enumerate(trace.layer_calls)}
        self._linear, self._behind = linear_parts(trace)
        self._constants: dict[str, Constant] = {}
        self.output, readout = start or _representation(trace)
        found = self._walk()
        self.pools = [a.node for a in trace.attentions if a.node in self.inputs]
        readouts = self._sink(readout, found) if plain else None
        self.plain = readouts is not None
        self.sources = self._named(found, readouts or {})
        if not self.plain:
            self._forget_readouts()
        self.by_name = {s.name: s for s in self.sources}
        self.constants = sorted(
            self._constants.values(), key=lambda c: len(self._layers) if c.layer is None else c.layer
        )
        self.index = self._index()
        self._place = {name: i for i, name in enumerate(self.index["name"])}
        self.parts_of = [[self._place[n] for n in _part_names(s)] for s in self.sources]
        self.parts_of_constants = [self._place[c.name] for c in self.constants]
        self.check = None  # filled by the first run, see kit.parts.check

    def _walk(self) -> set[fx.Node]:
        """The nodes where parts begin; fills `inputs` and `order`."""
        only = next(iter(self._behind[self.output]))
        if len(self._behind[self.output]) == 1 and only not in self._layers:
            raise Refused(
                f'"{self.name}" is refused: its representation comes straight out of '
                f'"{only.target}" in module "{module_path(only)}", so there is one part and no sum; '
                "decompose the input of that module instead."
            )
        waiting, found = {self.output}, set()
        self.inputs: dict[fx.Node, list[fx.Node]] = {}
        for node in reversed(list(self.trace.module.graph.nodes)):
            if node not in waiting:
                continue
            if node in self._layers or (
                len(self._behind[node]) == 1 and not self._behind[node] & self._layers.keys()
            ):
                found.add(node)
            else:
                self.inputs[node] = self._linear[node]
                waiting.update(self._linear[node])
        self.order = [n for n in self.trace.module.graph.nodes if n in self.inputs or n in found]
        return found

    def _sink(self, readout: Readout, found: set[fx.Node]) -> dict[fx.Node, Readout] | None:
        """The readout of every source, by rules from the output back; None where a rule is missing."""
        waiting: dict[fx.Node, Readout] = {self.output: readout}
        try:
            for node in reversed(self.order):
                if node in found:
                    continue
                readout = waiting.pop(node, None)
                if readout is None:
                    continue  # of a concatenation, what is not read
                if not has_rule(self.trace, node):
                    return None
                for source, below in RULES[node.target](self.trace, node, readout, self._constant):
                    waiting[source] = merge(waiting[source], below) if source in waiting else below
                    if node.target is aten.layer_norm.default:
                        self.norms[node] = below
                        self.after_norm[node] = readout.whole()[0]
        except NotPositionWise:
            return None
        calls = [a for a in self.trace.layer_calls if a.node in found]
        if len({a.value.meta["val"].shape[-2] for a in calls}) > 1 or any(a.lone for a in calls):
            return None  # maps lie on one grid, and heads are a dimension
        return waiting if found <= waiting.keys() else None

    def _forget_readouts(self) -> None:
        """What the general route needs to know of the way, in forward order."""
        self.norms = {n: None for n in self.order if n.target in NORMS and n in self.inputs}
        self.batch_norms = [n for n in self.order if n.target in BATCH_NORMS and n in self.inputs]
        self.gates, self.projections = [], {}
        for node, sources in self.inputs.items():
            if node.target in SCALES | PRODUCTS and node not in self.pools:
                others = [a for a in node.all_input_nodes if a in self.trace.image and a not in sources]
                self.gates += [a for a in others if a not in self.gates]
        for source in self.sources:
            if source.kind == "head" and source.attention.projection:
                node, features = source.attention.projection
                self.projections[node] = features
        self._constants = {}
        steps = Steps(self.trace.constant, {}, 1)
        for node in self.order:
            if node in self.inputs and (_adds_constant(node, self.trace.image) or steps.adds(node)):
                name, layer = self._constant_name(node)
                self._constants.setdefault(name, Constant(name, layer))

    @cached_property
    def probes(self) -> Tensor:
        """Unit directions along which every run of a plain tower is summed, [probe, embed]."""
        size, noise = self.output.meta["val"].shape[-1], torch.Generator().manual_seed(0)
        like = self.sources[0].gain
        return F.normalize(torch.randn(PROBES, size, generator=noise), dim=-1).to(like)

    @cached_property
    def probe_gains(self) -> list[Tensor]:
        """How a plain tower's probes read what each source writes, [slot, head, feature, probe]."""
        return [s.along(self.probes) for s in self.sources]

    @cached_property
    def probed_constants(self) -> list[tuple[Weight, Tensor]]:
        """All constants of a plain tower along its probes; what is read with the same weights is added up."""
        sums: dict[tuple, Tensor] = {}
        for constant in self.constants:
            for readout, written in constant.places:
                key, probed = (readout.weight, written.shape), written @ self.probes.T
                sums[key] = sums[key] + probed if key in sums else probed
        return [(weight, written) for (weight, _), written in sums.items()]

    @cached_property
    def reading(self) -> Reading:
        """How the representation reads the values of a tower on the general route."""
        with torch.no_grad():
            return reading(self)

    @cached_property
    def read(self) -> list[Source]:
        """The sources that the representation reads somewhere: the parts of the others are zero."""
        if self.plain:
            return self.sources
        known = {
            s.node: bool(self.reading.parts[s.node]) for s in self.sources if s.node in self.reading.parts
        }
        if len(known) < len(self.sources):  # some are read in ways that no reader says
            known = reached(self) | known
        return [s for s in self.sources if known[s.node]]

    @property
    def reached(self) -> int:
        """Number of attention layers that became parts which can be other than zero."""
        return sum(s.kind == "head" for s in self.read)

    @property
    def silent(self) -> list[int]:
        """Attention layers whose parts are zero whatever the weights are: the representation reads none."""
        read = {s.name for s in self.read}
        return [s.layer for s in self.sources if s.kind == "head" and s.name not in read]

    def hiding(self, silent: bool = False) -> dict[str, str]:
        """The parts that hold whole attention layers, each with the operation that no part can pass.

        Args:
            silent: count the silent layers among those that are held.
        """
        reached = {s.node for s in self.read}
        hidden = self._layers.keys() - {s.node for s in (self.read if silent else self.sources)}
        names = {s.node: s.name for s in self.sources}
        before: dict[fx.Node, set[fx.Node]] = {}  # hidden layers that reach a node past no source
        found = {}
        for node in self.trace.module.graph.nodes:
            before[node] = set().union({node} & hidden, *(before[a] for a in node.all_input_nodes))
            if node in reached:
                if before[node]:
                    (wall,) = self._behind[node]
                    found[names[node]] = f"{wall.target} in {module_path(wall) or 'the tower'}"
                before[node] = set()
        return found

    def part_of_constant(self, node: fx.Node) -> int:
        """Row of `index` of the constant that `node` adds."""
        return self._place[self._constant_name(node)[0]]

    def _named(self, found: set[fx.Node], readouts: dict[fx.Node, Readout]) -> list[Source]:
        """Sources in forward order. The first branch behind a layer is its MLP."""
        sources, layer, free = [], None, False
        attention = {a.node: a for a in self.trace.attentions}
        for node in self.trace.module.graph.nodes:
            if node in self._layers:
                layer, free = self._layers[node], node in found
            free = free and node not in self.pools
            if node not in found:
                continue
            (behind,) = self._behind[node] if len(self._behind[node]) == 1 else (None,)
            if node in self._layers:
                name, kind, at = f"L{layer}", "head", layer
            elif not sources:
                name, kind, at = "embed", "embed", None
            elif free:
                name, kind, at, free = f"L{layer}.MLP", "mlp", layer, False
            else:
                path = module_path(behind)
                name, kind, at = path.rpartition(".")[0] or path, "branch", None
                same = sum(s.kind == "branch" and s.name.partition("#")[0] == name for s in sources)
                name = f"{name}#{same + 1}" if same else name
            call, readout = attention.get(node), readouts.get(node)
            heads = call.heads if call else 1
            gain = readout.matrix().unflatten(1, (heads, -1)).contiguous() if readout else None
            tail = readout.tail if readout else None
            sources.append(Source(node, name, kind, at, call, readout, gain, tail))
        return sources

    def _constant(self, node: fx.Node, value: Tensor | float, readout: Readout) -> None:
        """Keep a constant that `node` adds, under the name of the layer that alone lies behind it."""
        name, layer = self._constant_name(node)
        value = torch.as_tensor(value, dtype=readout.gain.dtype, device=readout.gain.device)
        sizes = [torch.Size([readout.size(a) for a in dim]).numel() for dim in readout.dims]
        rows = readout.bring(value.expand(sizes))[0]  # [row, feature]
        if (rows == rows[:1]).all():
            rows = rows[:1]
        written = torch.einsum("rf,pfe->pre", rows, readout.matrix())
        written = written if readout.tail is None else written @ readout.tail
        self._constants.setdefault(name, Constant(name, layer)).places.append((readout, written))

    def _constant_name(self, node: fx.Node) -> tuple[str, int | None]:
        """Name of the constants that `node` adds: of the layer that alone lies behind it, or final."""
        behind = [self._layers.get(n) for n in self._behind[node]]
        layer = behind[0] if len(behind) == 1 else None
        return ("final.bias" if layer is None else f"L{layer}.attn.bias"), layer

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


def frozen_graph(model: Model, editing: frozenset | None = None, kept: Record | None = None) -> FrozenGraph:
    """The frozen graph of a model's tower; made anew when the tower or its weights have changed.

    A change is noticed by the identity of modules, hooks and attributes and by the version counters of
    the tensors (`kit.models.stamp`). Writes through `.data` go past these counters; every run notices
    them, since its parts no longer sum to its representation (`kit.parts.check`).

    Args:
        model: from `kit.load`.
        editing, kept: as for `kit.models.trace.record_of`.

    Raises:
        KitError: the tower is in train mode or of a kind that cannot be taken apart; the module
            that stands in the way is named.
    """
    with torch.inference_mode(False):
        record = record_of(model, editing, kept)
        known, weights, frozen = getattr(model, "_frozen", None) or (None, None, None)
        if known is not record or weights is not record.stamp.weights:
            with torch.no_grad():
                frozen = FrozenGraph(model.name, record.trace)
            model._frozen = (record, record.stamp.weights, frozen)
        return frozen


def parts_index(model: Model) -> pd.DataFrame:
    """One row for each part of a model, before any pass: name, kind, layer, head."""
    return model.index if getattr(model, "runs_itself", False) else frozen_graph(model).index


def forget(model: Model) -> None:
    """Drop what is known of a tower, so that the next call takes it apart anew."""
    for name in ("_record", "_frozen"):
        model.__dict__.pop(name, None)
    model._hash = ()


def _part_names(source: Source) -> list[str]:
    if source.kind != "head":
        return [source.name]
    return [f"{source.name}.H{head}" for head in range(source.heads)]


def _representation(trace: Trace) -> tuple[fx.Node, Readout]:
    """The output of the tower, which the representation reads as it is."""
    output = next(n for n in trace.module.graph.nodes if n.op == "output").args[0]
    weight = next(trace.module.parameters())
    embed = output.meta["val"].shape[-1]
    gain = torch.eye(embed, dtype=weight.dtype, device=weight.device)[None]  # [slot, embed, embed]
    one = torch.ones(1, 1, 1, dtype=weight.dtype, device=weight.device)
    return output, Readout(((BATCH,), (0,)), gain, None, 1, lambda frozen: one)


def linear_parts(trace: Trace) -> tuple[dict[fx.Node, list[fx.Node]], dict[fx.Node, set[fx.Node]]]:
    """For each image-dependent node the inputs in which it is linear, and the sources behind it.

    A source is an attention layer, or an operation that no part can pass.
    """
    layers = {a.node for a in trace.layer_calls}
    inputs: dict[fx.Node, list[fx.Node]] = {}
    behind: dict[fx.Node, set[fx.Node]] = {}
    for node in trace.module.graph.nodes:
        if node not in trace.image:
            continue
        inputs[node] = [] if node in layers else linear_inputs(node, trace.image, layers)
        behind[node] = set().union(*(behind[a] for a in inputs[node])) if inputs[node] else {node}
    return inputs, behind


def _adds_constant(node: fx.Node, image: set[fx.Node]) -> bool:
    """Does a sum or a concatenation hold an operand that does not depend on the image?"""
    if node.target in ADDS:
        return any(a not in image for a in node.args[:2])
    return node.target in JOINS and any(a not in image for a in node.args[0])
