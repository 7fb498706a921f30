"""The constants of a decomposition, booked as the first paper's released code books them.

Before the final norm the stream is a sum of S = 1 + 2 · layers components u: `embed`, and attention
and MLP of each layer. With μ the mean of the whole stream and σ its spread, the released code gives
each component an equal share of the norm's centring and of its shift, whatever u's own mean is:

    Pᵀ(γ ⊙ (u − μ/S)) / σ + Pᵀβ / S

and a layer's H heads get equal shares of the layer's output bias, of μ/S and of β/S, as do the tokens that
a head reads of what the head gets. The sum is the same. But a head now carries terms that it did not write:
its outputs leave the span of its weights.
"""

from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor

from kit.errors import KitError
from kit.parts.frozen import FrozenGraph
from kit.parts.runs import Run
from kit.parts.selector import select


def paper_vectors(run: Run) -> tuple[pd.DataFrame, Tensor]:
    """Heads, MLPs and `embed` in the paper's convention; no constants are left.

    Args:
        run: of a tower that pools the class token and then has one norm and one projection.

    Returns:
        index: name, kind, layer, head of each part.
        values: [batch, part, embed]; the sum is that of the exact convention.

    Raises:
        KitError: the tower pools otherwise, or ends in another way.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, released code.
    """
    books = _books(run)
    return books.index, books.spread[:, None] * (books.stream @ books.project) + books.constants()


def paper_maps(run: Run, directions: Tensor, selector: str | None = None) -> Tensor:
    """What each selected head adds to directions from each token, in the paper's convention.

    Every token of a head gets the same share of the head's constants: one number, added to a whole map.

    Args:
        run: as for `paper_vectors`, with tokens kept.
        directions: [text, embed].
        selector: parts; those that are not heads are left out. None is every head.

    Returns:
        [batch, head part, token, text], prefix tokens first, not divided by the length of the representation;
        over tokens it sums to the head's vector of `paper_vectors` times the directions.

    Raises:
        KitError: as `paper_vectors`.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, released code, with tokens.
    """
    books = _books(run)
    directions = directions.to(books.project)
    rows = range(len(books.index)) if selector is None else select(books.index, selector)
    constants = books.constants() @ directions.T  # [batch, part, text]
    along = {s.layer: s.whole[0] @ (books.project @ directions.T) for s in books.sources if s.kind == "head"}
    maps = []
    for row in rows:
        if books.index["kind"][row] == "head":
            layer, head = int(books.index["layer"][row]), int(books.index["head"][row])
            share = run.pattern_shares(layer)[:, 0, head]  # [batch, token], over σ
            read = run.values_of(layer, head) @ along[layer][head]  # [batch, token, text]
            maps.append(share[..., None] * read + (constants[:, row] / share.shape[1])[:, None])
    tokens = run.prefix + run.grid[0] * run.grid[1]
    empty = constants.new_zeros(len(run.pixels), 0, tokens, len(directions))
    return torch.stack(maps, 1) if maps else empty


@dataclass
class _Books:
    """A run's stream before the final norm, and what the norm makes of it.

    Attributes:
        index: the parts.
        sources: of the stream.
        stream: what each part writes to it, [batch, part, dim].
        bias: each part's share of its layer's output bias, [part, dim].
        project: γ and P, [dim, embed].
        spread: 1/σ, [batch, 1].
        shift: Pᵀβ, [batch or 1, embed].
        share: of μ and β, [part].
    """

    index: pd.DataFrame
    sources: list
    stream: Tensor
    bias: Tensor
    project: Tensor
    spread: Tensor
    shift: Tensor
    share: Tensor

    def constants(self) -> Tensor:
        """What each part gets of bias, μ and β, as the representation has it, [batch, part, embed]."""
        mean = (self.stream.sum(1) + self.bias.sum(0)).mean(-1)[:, None] * self.share  # [batch, part]
        own = (self.bias - mean[..., None]) @ self.project
        return self.spread[:, :, None] * own + self.share[:, None] * self.shift[:, None]


def _books(run: Run) -> _Books:
    graph = run.frozen
    reads_one = graph.plain and all(len(s.readout.rows or (0,)) == 1 for s in graph.sources)
    if len(graph.norms) != 1 or graph.pools or not reads_one:
        raise KitError(
            f'convention="paper" is for towers that pool the class token behind one final norm; '
            f'"{run.model.name}" is not one of them.'
        )
    ((norm, readout),) = graph.norms.items()
    index = run.index[run.index["kind"] != "bias"].reset_index(drop=True)
    sources, stream, biases = _stream_parts(run, norm, readout)
    bias, heads = stream.new_zeros(stream.shape[1:]), (index["kind"] == "head").to_numpy()
    for layer, whole in biases.items():
        own = heads & (index["layer"] == layer).fillna(False).to_numpy()
        bias[own] += whole / own.sum()
    gamma = graph.trace.constant(norm.args[2]) if len(norm.args) > 2 else stream.new_ones(stream.shape[-1])
    shift = (
        run.vectors("final.bias")[:, 0] if "final.bias" in set(run.index["name"]) else stream.new_zeros(1, 1)
    )
    return _Books(
        index, sources, stream, bias, gamma[:, None] * graph.after_norm[norm],
        readout.weight(run.frozen_values)[:, 0], shift, _shares(index).to(stream),
    )  # fmt: skip


def _stream_parts(run: Run, norm, readout) -> tuple[list, Tensor, dict[int, Tensor]]:
    """The sources of the stream before the final norm, what each part writes to it, the output biases."""
    dim = readout.gain.shape[1]
    like = readout.gain
    one = torch.ones(1, 1, 1, dtype=like.dtype, device=like.device)
    eye = torch.eye(dim, dtype=like.dtype, device=like.device)[None]
    whole = replace(readout, gain=eye, weight=lambda frozen: one)
    stream = FrozenGraph(run.model.name, run.frozen.trace, start=(norm.args[0], whole))
    pieces = [
        torch.einsum("brhf,hfe->bhe", run.rows[s.name], s.whole[0]).expand(len(run.pixels), -1, -1)
        for s in stream.sources
    ]
    biases = {c.layer: sum(written.sum((0, 1)) for _, written in c.places) for c in stream.constants}
    return stream.sources, torch.cat(pieces, 1), biases


def _shares(index: pd.DataFrame) -> Tensor:
    """The fraction of the constants that each part gets; they sum to 1."""
    is_head = index["kind"] == "head"
    components = (~is_head).sum() + index["layer"][is_head].nunique()
    sizes = index.groupby("layer")["head"].count()  # heads of each layer
    shares = [1 / sizes[p.layer] if p.kind == "head" else 1.0 for p in index.itertuples()]
    return torch.tensor(shares, dtype=torch.float64) / components
