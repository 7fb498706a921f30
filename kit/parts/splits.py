"""Are the token maps of a tower true: do they sum to their heads' scores, layer by layer?

A map says which token brought how much of a head's score. That holds where the head's output is its
pattern times its values; a tower whose attention does more, or lays its tokens out in a way that is
read wrongly here, has heads that are exact and maps that are not. So they are held against each other.
"""

import torch
from torch import Tensor

DIRECTIONS = 2  # random ones: a map that is wrong sums to the right score along hardly any of them
SPLITS = ("source", "position")


def split_errors(run) -> dict[str, dict[int, float]]:
    """How far the maps of each layer are from summing to the scores of its heads.

    Args:
        run: one that kept tokens.

    Returns:
        For each split that the tower offers and each layer whose heads are parts, the largest distance
        over images, heads and directions, relative to the numbers of that layer's largest map.
    """
    noise = torch.Generator().manual_seed(0)
    directions = torch.randn(DIRECTIONS, run.representation.shape[1], generator=noise, dtype=torch.float64)
    directions = torch.nn.functional.normalize(directions, dim=-1).to(run.representation)
    scores = run.scores(directions, normalize=False)  # [batch, part, text]
    splits = SPLITS if run.has_positions else SPLITS[:1]
    return {by: _errors(run, run.split(directions, None, by), scores) for by in splits}


def _errors(run, maps: Tensor, scores: Tensor) -> dict[int, float]:
    found, start = {}, 0
    for source, parts in zip(run.frozen.sources, run.frozen.parts_of):
        if source.kind == "head":
            own, start = maps[:, start : start + len(parts)], start + len(parts)  # [batch, head, token, text]
            size = torch.maximum(own.abs().sum(2), scores[:, parts].abs()).max()
            miss = (own.sum(2) - scores[:, parts]).abs().max()
            found[source.layer] = (miss / size if size > 0 else miss).item()
    return found


def wrong(errors: dict[str, dict[int, float]], tolerance: float) -> dict[str, dict[int, float]]:
    """The layers of each split whose maps do not sum to their heads, with their errors."""
    missed = {by: {n: e for n, e in own.items() if not e <= tolerance} for by, own in errors.items()}
    return {by: own for by, own in missed.items() if own}


def refusals(run, by: str) -> dict[int, str]:
    """The layers whose maps of a split are refused, each with the sentence that says so."""
    check, said = run.frozen.check, {}
    for layer, error in (check.wrong_splits.get(by, {}) if check else {}).items():
        path = run.frozen.by_name[f"L{layer}"].attention.path or "the tower"
        said[layer] = (
            f'maps of L{layer} of "{run.model.name}" by {by} token are refused: they sum to something else '
            f"than the scores of its heads, {error:.0e} of their size apart (allowed {check.tolerance:.0e}), "
            f'so the attention in "{path}" is more than its pattern times its values; its heads are exact as '
            f'wholes: take by="head", or a selector without L{layer}.'
        )
    return said
