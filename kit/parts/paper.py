"""The constants of a decomposition, booked as the first paper's released code books them.

Before the final norm the stream is a sum of S = 1 + 2 · layers components u: `embed`, and attention
and MLP of each layer. With μ the mean of the whole stream and σ its spread, the released code gives
each component an equal share of the norm's centring and of its shift, whatever u's own mean is:

    Pᵀ(γ ⊙ (u − μ/S)) / σ + Pᵀβ / S

and a layer's H heads get equal shares of the layer's output bias, of μ/S and of β/S. The sum is the
same. But a head now carries terms that it did not write: its outputs leave the span of its weights.
"""

from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

from kit.errors import KitError
from kit.parts.frozen import FrozenGraph
from kit.parts.runs import Run


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
    graph = run.frozen
    reads_one = graph.plain and all(len(s.readout.rows or (0,)) == 1 for s in graph.sources)
    if len(graph.norms) != 1 or graph.pools or not reads_one:
        raise KitError(
            f'convention="paper" is for towers that pool the class token behind one final norm; '
            f'"{run.model.name}" is not one of them.'
        )
    ((norm, readout),) = graph.norms.items()
    stream, biases = _stream_parts(run, norm, readout)  # [batch, part, dim], layer -> [dim]
    index = run.index[run.index["kind"] != "bias"].reset_index(drop=True)
    share = _shares(index).to(stream)  # [part]
    total = stream.sum(1) + sum(biases.values())  # [batch, dim]
    heads = (index["kind"] == "head").to_numpy()
    for layer, bias in biases.items():
        own = heads & (index["layer"] == layer).fillna(False).to_numpy()
        stream[:, own] += bias / own.sum()
    mean = total.mean(-1)[:, None] * share  # [batch, part]: the share of μ
    spread = readout.weight(run.frozen_values)[:, 0]  # 1/σ, [batch, row=1]
    gamma = graph.trace.constant(norm.args[2]) if len(norm.args) > 2 else 1.0
    project = graph.after_norm[norm]  # P, [dim, embed]
    values = (gamma * (stream - mean[..., None])) @ project * spread[:, :, None]
    constant = run.vectors("final.bias") if "final.bias" in set(run.index["name"]) else 0.0
    return index, values + share[:, None] * constant


def _stream_parts(run: Run, norm, readout) -> tuple[Tensor, dict[int, Tensor]]:
    """What each part writes to the stream before the final norm, and the output biases."""
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
    return torch.cat(pieces, 1), biases


def _shares(index: pd.DataFrame) -> Tensor:
    """The fraction of the constants that each part gets; they sum to 1."""
    is_head = index["kind"] == "head"
    components = (~is_head).sum() + index["layer"][is_head].nunique()
    sizes = index.groupby("layer")["head"].count()  # heads of each layer
    shares = [1 / sizes[p.layer] if p.kind == "head" else 1.0 for p in index.itertuples()]
    return torch.tensor(shares, dtype=torch.float64) / components
