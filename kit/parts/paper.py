"""The constants of a decomposition, booked as the first paper's code books them.

There are S = 1 + 2 · layers components: `embed`, and an attention and an MLP for each layer. The
final norm's centring and shift are cut into S equal shares; the share of an attention layer, and its
output bias, are cut once more into equal shares for its heads. The sum is the same. A head then
carries terms that it did not write, so its outputs no longer lie in the span of its own weights.
"""

import torch
from torch import Tensor

from kit.errors import KitError
from kit.parts.readout import BATCH
from kit.parts.run import Run


def paper_vectors(run: Run, vectors: Tensor) -> Tensor:
    """Parts in the paper's convention; the constant parts become zero.

    With u a component before the final norm and c their sum, the released code gives u the vector
    Pᵀ(γ ⊙ (u − mean(c)/S))/σ + Pᵀβ/S, where our own gives Pᵀ(γ ⊙ (u − mean(u)))/σ. The difference
    is Pᵀγ/σ times (mean(u) − mean(c)/S), plus the share of the shift.

    Args:
        run: of a tower that pools the class token and ends in norm and projection.
        vectors: all parts in the exact convention, [batch, part, embed].

    Returns:
        [batch, part, embed], same order, same sum.

    Raises:
        KitError: the tower pools otherwise, or ends in another way.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, released code; `convention="exact"` is what the
        formulas of the paper say.
    """
    graph, index = run.frozen, run.index
    if len(graph.norms) != 1 or graph.pools or any(len(s.readout.rows or ()) != 1 for s in graph.sources):
        raise KitError(
            f'convention="paper" is of towers that pool the class token behind one final norm; '
            f'"{run.model.name}" is not one of them.'
        )
    return vectors + _moved(run, vectors, index)


def _moved(run: Run, vectors: Tensor, index) -> Tensor:
    """What the convention adds to each part, [batch, part, embed]; over parts it sums to zero."""
    shift = Tensor.new_zeros(vectors, vectors.shape)
    shares = _shares(index)  # [part]: which fraction of a whole component each part is, over S
    means, gamma = _stream_means(run)
    share = shares.to(vectors)[None, :, None]
    names = list(index["name"])
    total = means.sum(1, keepdim=True)  # mean(c), [batch, 1]
    shift += (means - total * share[..., 0])[..., None] * gamma
    constant = vectors[:, names.index("final.bias")] if "final.bias" in names else 0
    shift += share * (constant[:, None] if isinstance(constant, Tensor) else 0)
    for part in index.itertuples():
        if part.kind == "bias":
            whole = vectors[:, part.Index] + means[:, part.Index, None] * gamma[:, 0]
            if part.name != "final.bias":
                heads = index.index[(index["kind"] == "head") & (index["layer"] == part.layer)]
                shift[:, list(heads)] += whole[:, None] / len(heads)
            shift[:, part.Index] = -vectors[:, part.Index]
    return shift


def _shares(index) -> Tensor:
    components = index["kind"].isin(["embed", "mlp", "branch"]).sum() + index["layer"][
        index["kind"] == "head"
    ].nunique()
    shares = torch.zeros(len(index), dtype=torch.float64)
    for place, part in enumerate(index.itertuples(index=False)):
        if part.kind == "head":
            heads = ((index["kind"] == "head") & (index["layer"] == part.layer)).sum()
            shares[place] = 1 / (components * heads)
        elif part.kind != "bias":
            shares[place] = 1 / components
    return shares


def _stream_means(run: Run) -> tuple[Tensor, Tensor]:
    raise NotImplementedError


__all__ = ["BATCH", "paper_vectors"]
