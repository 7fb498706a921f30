"""A run of a tower that goes the general route."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.errors import KitError
from kit.models.hooks import version_of
from kit.parts.faults import fault_along
from kit.parts.frozen import Source, forget
from kit.parts.hook_points import HookPoints
from kit.parts.linear import Steps
from kit.parts.replay import Leaves, Replay
from kit.parts.runs import Run, distance, forward
from kit.parts.token_places import Layout, coordinates, layout


class GeneralRun(Run):
    """A run whose parts go through the frozen graph itself; what it gives is what `Run` gives.

    Layers of a hierarchy have grids of their own. Maps are drawn on the finest: a coarse token's number is
    shared out evenly over its cells, so that sums stay. Tokens without a place (class token, padding, and
    all of a head that mixes channels) stand before the cells, as one.
    """

    def _pass(self, watch: HookPoints | None) -> None:
        self._vectors = self._gradient_key = self._gradient_of = None
        steps = Steps(self.frozen.trace.constant, {}, len(self.pixels))
        self._reading = self.frozen.reading
        self._all_read = not any(s.node in self._reading.shut for s in self.frozen.sources)
        if not self._all_read and any(version_of(p) is None for p in self.model.tower.parameters()):
            raise KitError(
                f'weights of "{self.model.name}" were made under torch.inference_mode(), where torch keeps '
                "no account of derivatives, which this tower's scores need; load or copy them outside of it."
            )
        self._leaves = Leaves(self.frozen, steps, self.tokens, watch or HookPoints())
        with torch.set_grad_enabled(not self._all_read):  # what is read needs no gradients
            out = forward(self.model, self.frozen, self.pixels, self._leaves, "general")
        self._out, self.representation = out, out.detach()

    @property
    def frozen_values(self) -> dict:
        """Norm statistics, gates and pooling patterns of this run, by node."""
        return self._leaves.held

    @torch.no_grad()
    def gap(self) -> float:
        """As for any run; of sources that are not all read part by part it shows when they are asked for."""
        return distance(self._read(None).sum(1), self.representation) if self._parts_are_read else 0.0

    @property
    def _parts_are_read(self) -> bool:
        """Whether every source is read part by part, by gains that were worked out beforehand."""
        return all(s.node in self._reading.parts for s in self.frozen.sources)

    @torch.no_grad()
    def vectors(self, selector: str | None = None) -> Tensor:
        if self._vectors is None:
            axes = torch.eye(self.representation.shape[1]).to(self.representation)
            self._vectors = self._in_step(self._all_vectors, axes)
        return self._vectors[:, self._chosen(selector)]

    def _all_vectors(self) -> Tensor:
        values = self._read(None)
        if not self._parts_are_read:
            leaves = self._leaves
            values += Replay(self.frozen, leaves.steps, leaves.values, self._reading).vectors()
        return values

    def _in_step(self, work: Callable[[], Tensor], directions: Tensor) -> Tensor:
        """What `work` gives, [batch, part, text]; by a new record, once, where it does not sum to the whole.

        Only of sources that are not all read part by part: the others were summed when the run was made.
        """
        for _attempt in ("as kept", "anew"):
            values = work()
            if self._parts_are_read or self.frozen.check is None:
                return values
            gap = values.detach().sum(1) - self.representation @ directions.T
            lengths = self.norm[:, None] * directions.norm(dim=-1)
            gap = float((gap / lengths.where(lengths > 0, torch.ones_like(lengths))).abs().max())
            fault = fault_along(self, gap)
            if not fault:
                return values
            forget(self.model)
            fresh = GeneralRun(self.model, self.pixels, self.tokens)
            fresh.frozen.check = self.frozen.check
            self.__dict__ = fresh.__dict__
        raise KitError(fault)

    def _read(self, directions: Tensor | None) -> Tensor:
        """What the sources and constants that have readers write, [batch, part, embed or text]."""
        held, batch = self._leaves.held, len(self.pixels)
        width = self.representation.shape[1] if directions is None else len(directions)
        values = self.representation.new_zeros(batch, len(self.index), width)
        for source, parts in zip(self.frozen.sources, self.frozen.parts_of):
            for reader, gain in self._reading.parts.get(source.node, ()):
                gain = gain if directions is None else gain @ directions.T
                written = reader.written(self._leaves.values[source.name].detach(), 1, batch, held)[0]
                apart = written.unflatten(2, (len(parts), -1)).permute(2, 0, 1, 3).flatten(2)
                values[:, parts] += (apart @ gain).transpose(0, 1)  # [batch, head, ...]
        for node, constants in self._reading.constants.items():
            for weight, written in constants:
                weights = weight(held)
                weights = weights.sum(-1, keepdim=True) if written.shape[1] == 1 else weights
                written = written if directions is None else written @ directions.T
                part = self.frozen.part_of_constant(node)
                values[:, part] += torch.einsum("bsk,ske->be", weights, written)
        return values

    @cached_property
    def _constants(self) -> Tensor:
        """What the constants write, [batch, part, embed]; zero for the other parts."""
        with torch.no_grad():
            return Replay(self.frozen, self._leaves.steps, None).vectors()

    def scores(self, directions: Tensor, normalize: bool = True, selector: str | None = None) -> Tensor:
        directions = self._directions(directions)
        values = self._in_step(lambda: self._all_scores(directions), directions)
        values = values[:, self._chosen(selector)]
        return values / self.norm[:, None, None] if normalize else values

    def _all_scores(self, directions: Tensor) -> Tensor:
        if self._parts_are_read:
            return self._read(directions)
        values = self._constants @ directions.T  # [batch, part, text]
        for source, parts in zip(self.frozen.sources, self.frozen.parts_of):
            gradients = self._gradients(directions)[source.name]  # [text, ...]
            products = [self._by_head(source, g * self._leaves.values[source.name]) for g in gradients]
            values[:, parts] = torch.stack(products, -1)
        return values

    def _gradients(self, directions: Tensor) -> dict[str, Tensor]:
        """Derivative of the representation along each direction, by every source, [text, ...]."""
        key = directions.data_ptr(), directions._version, tuple(directions.shape)
        if self._gradient_key != key or self._gradient_of is not directions:
            self._gradient_key, self._gradient_of = key, directions
            self._gradient = self._spread(directions) if self._all_read else self._derived(directions)
        return self._gradient

    def _derived(self, directions: Tensor) -> dict[str, Tensor]:
        """Gradients by one pass back through the frozen graph for each direction."""
        names = list(self._leaves.values)
        leaves = [self._leaves.values[n] for n in names]
        with torch.inference_mode(False):
            found = [
                torch.autograd.grad(
                    self._out,
                    leaves,
                    d.expand(len(self.pixels), -1),
                    retain_graph=True,
                    materialize_grads=True,
                )
                for d in directions
            ]
        return {n: torch.stack(g) for n, g in zip(names, zip(*found))}

    def _spread(self, directions: Tensor) -> dict[str, Tensor]:
        """Gradients from the readers: what reads a place, put back at that place."""
        batch, found = len(self.pixels), {}
        for source in self.frozen.sources:
            value = self._leaves.values[source.name]
            gradient = value.new_zeros(len(directions), batch, value.numel() // batch)
            for reader in self._reading.readers.get(source.node, ()):
                weight = reader.weight(self._leaves.held).expand(batch, -1, -1)
                gain = reader.gain @ directions.T  # [slot, feature, text]
                read = torch.einsum("bsk,sft->tbskf", weight, gain).flatten(2)
                gradient.index_add_(2, reader.where.flatten(), read)
            found[source.name] = gradient.reshape(len(directions), *value.shape)
        return found

    def _by_head(self, source: Source, products: Tensor) -> Tensor:
        """Sums of a source's numbers, [batch, head (1 if none)]."""
        if source.kind != "head":
            return products.reshape(len(self.pixels), 1, -1).sum(-1)
        heads = source.attention.apart(products).movedim(source.attention.head_axis, 1)
        return heads.flatten(2).sum(-1).unflatten(0, (len(self.pixels), -1)).sum(1)

    has_positions = True

    def pattern_shares(self, layer: int) -> Tensor:
        """Refused: the representation reads no one row of a layer's attention."""
        raise KitError(
            f'"{self.model.name}" has no one row of attention for a picture; run.maps(directions) gives its '
            "maps without attention."
        )

    def values_at(self, layer: int, token: int) -> Tensor:
        """Refused: tokens of one layer are not those of another."""
        raise KitError(
            f'"{self.model.name}" has other tokens in each layer, so values have no number for all of them; '
            "run.maps(directions) lays them all on one grid."
        )

    @property
    def prefix(self) -> int:
        """1 if some token has no place in the picture, else 0."""
        located = all(s.attention.mixes_tokens for s in self._head_sources())
        layouts = [o for by in self._layouts.values() for o in by.values()]
        return int(not located or any((o.cells < 0).any() for o in layouts))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the finest layer."""
        grids = [o.grid for layouts in self._layouts.values() for o in layouts.values()]
        return (max(g[0] for g in grids), max(g[1] for g in grids)) if grids else self.model.grid

    def _head_sources(self) -> list[Source]:
        return [s for s in self.frozen.sources if s.kind == "head"]

    @property
    def _layouts(self) -> dict[str, dict[str, Layout]]:
        """Layout of each layer that mixes tokens, of what it reads and of what it writes."""
        if not hasattr(self.frozen, "layouts"):
            sources = [s for s in self._head_sources() if s.attention.mixes_tokens]
            wanted = {s.attention.value for s in sources} | {s.node for s in sources}
            places = coordinates(self.frozen.trace, wanted) if sources else {}
            self.frozen.layouts = {
                "source": {s.name: layout(places[s.attention.value], s.attention) for s in sources},
                "position": {s.name: layout(places[s.node], s.attention) for s in sources},
            }
        return self.frozen.layouts

    def own_maps(self, directions: Tensor, selector: str | None = None) -> Tensor:
        maps = self.maps(directions, selector, normalize=False).sum(1)  # [batch, token, text]
        expect_shape(directions, "batch embed", "directions", batch=len(self.pixels))
        return maps.diagonal(dim1=0, dim2=2).T

    def _sources(self, directions: Tensor, selector: str | None) -> Tensor:
        if not self.tokens:
            raise KitError("this run kept no tokens; make it with kit.parts.run(model, pixels, tokens=True).")
        return self._on_grid(directions, selector, "source")

    def _positions(self, directions: Tensor, selector: str | None) -> Tensor:
        return self._on_grid(directions, selector, "position")

    def _on_grid(self, directions: Tensor, selector: str | None, by: str) -> Tensor:
        """Scores of the selected heads by cell, not normalised: [batch, head part, token, text]."""
        pieces = []
        for source, heads in self._head_groups(selector):
            gradient = self._gradients(directions)[source.name]  # [text, ...]
            tokens = torch.stack([self._by_token(source, g, by) for g in gradient], -1)
            pieces.append(self._placed(source, tokens[:, heads], by))
        return self._joined(pieces, directions)

    def _by_token(self, source: Source, gradient: Tensor, by: str) -> Tensor:
        """A source's numbers times their gradient, [batch, head, token]; windows lie before their tokens."""
        attention = source.attention
        if by == "source" and attention.mixes_tokens:
            call = self._leaves.calls[source.layer]
            pattern, value = attention.apart(call.pattern()), attention.apart(call.value)
            product = (pattern.transpose(-1, -2) @ attention.apart(gradient)) * value
        else:
            product = attention.apart(gradient * self._leaves.values[source.name])
        heads = product.sum(-1).movedim(attention.head_axis, 1)  # [batch * window, head, ..., token]
        heads = heads.unflatten(0, (len(self.pixels), -1)).movedim(1, 2)  # [batch, head, window, ..., token]
        return heads.flatten(2)

    def _placed(self, source: Source, tokens: Tensor, by: str) -> Tensor:
        """Numbers of a layer's tokens, [batch, head, token, text], on the grid of all layers."""
        rows, cols = self.grid
        out = tokens.new_zeros(*tokens.shape[:2], self.prefix + rows * cols, tokens.shape[-1])
        own = self._layouts[by].get(source.name)
        if own is None or not len(own.rows):
            out[:, :, 0] = tokens.sum(2)
            return out
        cells = own.cells.to(tokens.device)
        sums = tokens.new_zeros(*tokens.shape[:2], len(own.rows) * len(own.cols) + 1, tokens.shape[-1])
        sums.index_add_(2, cells.where(cells >= 0, torch.tensor(sums.shape[2] - 1)), tokens)
        to, share = own.spread((rows, cols))
        out[:, :, self.prefix :] = sums[:, :, to] * share.to(tokens)[:, None]
        if self.prefix:
            out[:, :, 0] = sums[:, :, -1]
        return out
