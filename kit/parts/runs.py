"""One pass of an image tower, and everything that can be asked of it without another pass.

A run keeps, for each image, what every source writes once the pooling is applied: for a head its
`head_dim` numbers, for an MLP `dim` numbers. Multiplied by the fixed gains of the frozen graph they
are the parts; multiplied by gain · direction they are scores. With `tokens=True` it also keeps one
pattern row and the values of each head, which give the source-token maps.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.errors import KitError
from kit.models.hooks import version_of
from kit.models.model import Model
from kit.parts.frozen import Constant, FrozenGraph, Source, frozen_graph
from kit.parts.hook_points import AttentionCall, HookPoints, hooked
from kit.parts.selector import select
from kit.parts.splits import refusals
from kit.parts.token_readout import Weight


class Run:
    """Activations of one batch, enough for parts, scores and maps.

    Attributes:
        model: the model that ran.
        pixels: [batch, 3, height, width].
        representation: the tower's output, [batch, embed].
        norm: its length, [batch].
        frozen: the frozen graph that it was read with.
        index: one row for each part: name, kind, layer, head.
        rows: the value of each source at the rows that are read, [batch, row, head, feature].
        frozen_values: norm statistics and pooling patterns of this run.
    """

    def __init__(
        self,
        model: Model,
        pixels: Tensor,
        tokens: bool = False,
        watch: HookPoints | None = None,
        frozen: FrozenGraph | None = None,
    ):
        self.model, self.pixels, self.tokens, self.watch = model, pixels, tokens, watch
        self.frozen = frozen_graph(model) if frozen is None else frozen
        self.index = self.frozen.index
        self._pass(watch)
        self.norm = self.representation.norm(dim=-1)

    def gap(self) -> float:
        """Largest distance of the sum of all parts from the representation, relative to its length.

        Sums along some fixed directions estimate it; where that is no clear yes, all of it is summed.
        """
        probes, own = self.frozen.probes, self.representation
        rest = -(own @ probes.T)  # [batch, probe]
        for source, gain in zip(self.frozen.sources, self.frozen.probe_gains):
            rest += self._written[source.name].flatten(1) @ gain.flatten(0, 2)
        for weight, written in self.frozen.probed_constants:
            rest += self._weighed(weight, written)
        # a gap's mean square along random unit directions is its own, divided by the width
        estimate = float((rest.norm(dim=-1) * (own.shape[1] / len(probes)) ** 0.5 / self.norm).max())
        if estimate <= self.frozen.check.tolerance / 4:
            return estimate
        return distance(self.vectors().sum(1), own)

    def _pass(self, watch: HookPoints | None) -> None:
        """Run the tower and keep what the parts are made of."""
        recorder = _Recorder(self.frozen, self.tokens, watch or HookPoints())
        variant = "read" if watch is None else "whole"
        self.representation = forward(self.model, self.frozen, self.pixels, recorder, variant)
        self._attention, self.rows = recorder.attentions, recorder.rows
        self.freeze(recorder.frozen)

    def freeze(self, values: dict[object, Tensor]) -> None:
        """Hold norm statistics and pooling patterns at these values, and read the sources with them."""
        self.frozen_values = values
        weights: dict[Weight, Tensor] = {}  # all sources of a plain stream share one weight
        for readout in self._readouts():
            if readout.weight not in weights:
                weights[readout.weight] = readout.weight(values)
        self._weights = weights
        self._written = {
            s.name: torch.einsum("bpr,brhf->bphf", self._weight(s), self.rows[s.name])
            for s in self.frozen.sources
        }  # [batch, slot, head (1 if none), feature]

    @property
    def prefix(self) -> int:
        """Number of tokens before the patches: class token and registers."""
        return self.model.prefix_tokens

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.model.grid

    def written(self, source: Source) -> Tensor:
        """What a source writes at the tokens that are read, weighed; `source.whole` makes it parts.

        Returns:
            [batch, slot, head (1 if none), feature].
        """
        return self._written[source.name]

    def vectors(self, selector: str | None = None) -> Tensor:
        """What each part adds to the representation, [batch, part, embed]."""
        return self._filled(self._chosen(selector), None)

    def scores(self, directions: Tensor, normalize: bool = True, selector: str | None = None) -> Tensor:
        """Inner product of each part with each direction; by default divided by the length of the
        whole representation, so that over all parts it sums to the cosine with a unit direction.

        Args:
            directions: [text, embed].

        Returns:
            [batch, part, text].
        """
        directions = self._directions(directions)
        values = self._filled(self._chosen(selector), directions)
        return values / self.norm[:, None, None] if normalize else values

    def token_vectors(self, selector: str | None = None) -> Tensor:
        """What each selected head adds from each source token, [batch, part, token, embed]."""
        axes = torch.eye(self.representation.shape[1])
        return self.maps(axes, selector, normalize=False)

    def maps(
        self, directions: Tensor, selector: str | None = None, normalize: bool = True, by: str = "source"
    ) -> Tensor:
        """Score of each selected head, split over tokens: prefix tokens, then patches row by row.

        Args:
            directions: [text, embed].
            selector: parts; those that are not heads are left out. None is every head.
            by: `"source"`, the token whose value was read, or `"position"`, the token of the stream
                that the pooling averages (towers that pool more than one token).

        Returns:
            [batch, head part, token, text]; over tokens it sums to the head's score.

        Raises:
            KitError: a layer whose maps were found not to sum to the scores of its heads.
        """
        directions = self._directions(directions)
        self._check_split(selector, by)
        values = self.split(directions, selector, by)
        return values / self.norm[:, None, None, None] if normalize else values

    def split(self, directions: Tensor, selector: str | None, by: str) -> Tensor:
        """What `maps` gives, not divided by the length and not held against what the check found."""
        if by == "position":
            return self._positions(directions, selector)
        if by == "source":
            return self._sources(directions, selector)
        raise KitError(f'no token split by "{by}"; there are by="source" and by="position".')

    @property
    def has_positions(self) -> bool:
        """Whether the representation reads several tokens of a layer, so that there are maps by position."""
        heads = (s.readout for s in self.frozen.sources if s.kind == "head")
        return any(readout.rows is not None and len(readout.rows) > 1 for readout in heads)

    def refused(self, by: str = "source") -> dict[int, str]:
        """Layers whose maps do not sum to the scores of their heads, each with the sentence that says so."""
        return refusals(self, by)

    def _check_split(self, selector: str | None, by: str) -> None:
        """Raise where the maps of a selected layer are refused."""
        if refused := self.refused(by):
            for source, _ in self._head_groups(selector):
                if source.layer in refused:
                    raise KitError(refused[source.layer])

    def own_maps(self, directions: Tensor, selector: str | None = None) -> Tensor:
        """Score of the selected heads together, split over source tokens, each image for its own direction.

        Args:
            directions: one for each image, [batch, embed].
            selector: as for `maps`.

        Returns:
            [batch, token], not divided by the length of the representation.
        """
        directions = self._directions(directions)
        expect_shape(directions, "batch embed", "directions", batch=len(self.pixels))
        self._check_split(selector, "source")
        tokens = self.prefix + self.grid[0] * self.grid[1]
        total = self.representation.new_zeros(len(self.pixels), tokens)
        for source, heads in self._head_groups(selector):
            share = _picked(self.pattern_shares(source.layer), 2, heads)  # [batch, slot, head, token]
            value = _picked(self._attention[source.layer][1], 1, heads)  # [batch, head, token, head_dim]
            gain = _some(source, heads).along(directions).permute(3, 0, 1, 2)  # [batch, slot, head, ...]
            total += torch.einsum("bphj,bphj->bj", share, torch.einsum("bhjf,bphf->bphj", value, gain))
        return total

    def pattern_shares(self, layer: int) -> Tensor:
        """How much the representation's slots read each token, [batch, slot, head, source token]."""
        if not self.tokens:
            raise KitError("this run kept no tokens; make it with kit.parts.run(model, pixels, tokens=True).")
        if (source := self.frozen.by_name.get(f"L{layer}")) is None:
            known = ", ".join(s.name for s in self.frozen.sources if s.kind == "head")
            raise KitError(
                f'no heads of layer {layer}: those of "{self.model.name}" are in {known or "none"}.'
            )
        self._check_split(source.name, "source")
        pattern, _ = self._attention[layer]
        weight = self._weight(source)
        return torch.einsum("bpr,bhrj->bphj", weight.expand(len(pattern), -1, -1), pattern)

    def values_of(self, layer: int, head: int) -> Tensor:
        """The value of one head at every source token, [batch, token, head_dim]."""
        return self._attention[layer][1][:, head]

    def values_at(self, layer: int, token: int) -> Tensor:
        """The value of each head at one source token, [batch, head, head_dim]."""
        return self._attention[layer][1][:, :, token]

    def _sources(self, directions: Tensor, selector: str | None) -> Tensor:
        pieces: list[Tensor] = []
        for source, heads in self._head_groups(selector):
            share = _picked(self.pattern_shares(source.layer), 2, heads)  # [batch, slot, head, token]
            value = _picked(self._attention[source.layer][1], 1, heads)  # [batch, head, token, head_dim]
            gain = _some(source, heads).along(directions)  # [slot, head, head_dim, text]
            pieces.append(sum(share[:, p, ..., None] * (value @ along) for p, along in enumerate(gain)))
        return self._joined(pieces, directions)

    def _positions(self, directions: Tensor, selector: str | None) -> Tensor:
        pieces = []
        for source, heads in self._head_groups(selector):
            if source.readout.rows is None or len(source.readout.rows) == 1:
                raise KitError(
                    f'"{self.model.name}" pools one token, so a map by position has one cell; '
                    'use by="source".'
                )
            rows = _picked(self.rows[source.name], 2, heads)  # [batch, row, head, head_dim]
            gain = _some(source, heads).along(directions)
            piece = torch.einsum("bpr,brhf,phft->bhrt", self._weight(source), rows, gain)
            whole = piece.new_zeros(*piece.shape[:2], source.readout.tokens, piece.shape[-1])
            whole[:, :, list(source.readout.rows)] = piece
            pieces.append(whole)
        return self._joined(pieces, directions)

    def _joined(self, pieces: list[Tensor], directions: Tensor) -> Tensor:
        if pieces:
            return torch.cat(pieces, 1)
        tokens = self.prefix + self.grid[0] * self.grid[1]
        return self.representation.new_zeros(len(self.pixels), 0, tokens, len(directions))

    def _head_groups(self, selector: str | None) -> Iterator[tuple[Source, list[int]]]:
        """The sources that are attention, each with its selected heads."""
        chosen = set(self._chosen(selector))
        for source, parts in zip(self.frozen.sources, self.frozen.parts_of):
            heads = [head for head, part in enumerate(parts) if part in chosen]
            if source.kind == "head" and heads:
                yield source, heads

    def _filled(self, chosen: list[int], directions: Tensor | None) -> Tensor:
        """Vectors of the chosen parts, or their inner products with directions."""
        width = self.representation.shape[1] if directions is None else len(directions)
        values = self.representation.new_zeros(len(self.pixels), len(chosen), width)
        place = {part: i for i, part in enumerate(chosen)}
        for source, parts in zip(self.frozen.sources, self.frozen.parts_of):
            heads = [h for h, part in enumerate(parts) if part in place]
            if not heads:
                continue
            some = _some(source, heads)
            gain = some.gain if directions is None else some.along(directions)
            written = _picked(self._written[source.name], 2, heads)  # [batch, slot, head, feature]
            piece = written.permute(2, 1, 0, 3) @ gain.transpose(0, 1)  # [head, slot, batch, ...]
            if directions is None and source.tail is not None:
                piece = piece @ source.tail
            at = place[parts[heads[0]]]
            values[:, at : at + len(heads)] = piece.sum(1).transpose(0, 1)
        for constant, part in zip(self.frozen.constants, self.frozen.parts_of_constants):
            if part in place:
                values[:, place[part]] = self._constant(constant, directions)
        return values

    def _constant(self, constant: Constant, directions: Tensor | None) -> Tensor:
        total: Tensor | float = 0.0
        for readout, written in constant.places:
            total = total + self._weighed(
                readout.weight, written if directions is None else written @ directions.T
            )
        return total

    def _weighed(self, weight: Weight, written: Tensor) -> Tensor:
        """A constant [slot, row (1 if one for all), embed or text] as this run reads it, [batch, ...]."""
        weights = self._weights[weight]
        weights = weights.sum(-1, keepdim=True) if written.shape[1] == 1 else weights
        return torch.einsum("bpr,pre->be", weights, written)

    def _weight(self, source: Source) -> Tensor:
        return self._weights[source.readout.weight]

    def _readouts(self) -> Iterator:
        yield from (s.readout for s in self.frozen.sources)
        yield from (readout for c in self.frozen.constants for readout, _ in c.places)

    def _chosen(self, selector: str | None) -> list[int]:
        return list(range(len(self.index))) if selector is None else select(self.index, selector)

    def _directions(self, directions: Tensor) -> Tensor:
        if not isinstance(directions, Tensor):
            raise KitError(f"directions should be a tensor [text, embed], not {type(directions).__name__}.")
        expect_shape(directions, "text embed", "directions", embed=self.representation.shape[1])
        with torch.inference_mode(False):
            directions = directions.clone() if version_of(directions) is None else directions
            return directions.to(self.representation)


def forward(
    model: Model, frozen: FrozenGraph, pixels: Tensor, hook_points: HookPoints, variant: str = "whole"
) -> Tensor:
    """One counted pass of the tower, [batch, embed]; `variant` as in `hooked`.

    Gradients are recorded only where the caller has turned them on and the variant has a use for them.
    """
    model.passes["image"] += 1
    with torch.set_grad_enabled(variant == "general" and torch.is_grad_enabled()):
        return hooked(frozen, variant)(pixels, hook_points)


def _some(source: Source, heads: list[int]) -> Source:
    """A source with some of its heads."""
    return replace(source, gain=_picked(source.gain, 1, heads))


def _picked(tensor: Tensor, dim: int, places: list[int]) -> Tensor:
    """Some places of a dimension; all of them, or neighbours, cost no copy."""
    first, last = places[0], places[-1]
    if places == list(range(first, last + 1)):
        return tensor.narrow(dim, first, len(places))
    return tensor.index_select(dim, torch.tensor(places, device=tensor.device))


def distance(value: Tensor, truth: Tensor) -> float:
    """Largest distance of a batch, in lengths of the truth; of a truth of length zero the distance itself."""
    length = truth.norm(dim=-1)
    return float(((value - truth).norm(dim=-1) / length.where(length > 0, torch.ones_like(length))).max())


class _Recorder(HookPoints):
    """Keeps the rows that are read of every source, and the frozen statistics; who watches comes first."""

    def __init__(self, graph: FrozenGraph, tokens: bool, watch: HookPoints):
        self.graph, self.tokens, self.watch = graph, tokens, watch
        self.rows: dict[str, Tensor] = {}  # name -> [batch, row, head, feature]
        self.frozen: dict[object, Tensor] = {}
        self.attentions: dict[int, tuple[Tensor, Tensor]] = {}  # layer -> pattern rows, values
        self._sources = {s.name: s for s in graph.sources}
        self._norms = list(graph.norms.items())

    def attention(self, layer: int, call: AttentionCall, out: Tensor) -> Tensor:
        out = self.watch.attention(layer, call, out)
        source = self._sources.get(f"L{layer}")
        if source is not None:
            self._keep(source, out)
            if self.tokens:
                # a copy, so that the packed queries and keys need not stay
                self.attentions[layer] = call.pattern(source.readout.rows), call.value.contiguous()
        return out

    def value(self, name: str, out: Tensor) -> Tensor:
        out = self.watch.value(name, out)
        self._keep(self._sources[name], out)
        return out

    def norm(self, norm: int, value: Tensor, out: Tensor) -> Tensor:
        node, readout = self._norms[norm]
        eps = node.args[4] if len(node.args) > 4 else 1e-5
        rows = readout.bring(value)  # [batch, row, dim]
        self.frozen[node] = (rows.var(-1, unbiased=False) + eps).rsqrt()
        return self.watch.norm(norm, value, out)

    def pooling(self, pool: int, call: AttentionCall, out: Tensor) -> Tensor:
        self.frozen[self.graph.pools[pool]] = call.pattern()
        return self.watch.pooling(pool, call, out)

    def _keep(self, source: Source, out: Tensor) -> None:
        rows = source.readout.bring(out)
        if rows.shape[1] < source.readout.tokens:
            rows = rows.clone()  # let go of the rest
        self.rows[source.name] = rows.unflatten(2, (source.gain.shape[1], -1))
