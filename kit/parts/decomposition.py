"""The representation as a table of parts: `decompose`, `scores`, `pattern`."""

from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd
import psutil
import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.errors import KitError, nearest
from kit.models.model import Model
from kit.parts.checked import checked_run, compared_graph
from kit.parts.frozen import parts_index
from kit.parts.hook_points import AttentionCall, HookPoints
from kit.parts.paper import paper_maps, paper_vectors
from kit.parts.runs import Run, forward
from kit.parts.selector import select

SPLITS = ("layer", "head", "token")


@dataclass(frozen=True)
class Parts:
    """Vectors that sum to the representation.

    Attributes:
        values: [batch, part, embed]; for `by="token"` [batch, part, token, embed], heads alone.
        index: one row for each part: name, kind (embed, head, attn, mlp, branch, bias), layer, head.
        total: sum of all parts of the tower, whatever was selected, [batch, embed].
    """

    values: Tensor
    index: pd.DataFrame
    total: Tensor
    _run: Run = field(repr=False)

    @cached_property
    def error(self) -> Tensor:
        """Distance of `total` from the library's own output, relative to its length, [batch].

        The library's module runs once more, untouched, when this is first read.
        """
        truth = self._run.model.encode_image(self._run.pixels)
        return (self.total - truth).norm(dim=-1) / truth.norm(dim=-1)

    def __getitem__(self, name: str) -> Tensor:
        """One part by its name, [batch, embed] ([batch, token, embed] for `by="token"`)."""
        names = list(self.index["name"])
        if name not in names:
            raise KitError(
                f'no part "{name}" here; parts are {names[0]} … {names[-1]}.{nearest(name, names)}'
            )
        return self.values[:, names.index(name)]

    def select(self, selector: str) -> "Parts":
        """The same decomposition with some of the parts, see `kit.parts.selector.select`."""
        rows = select(self.index, selector)
        index = self.index.iloc[rows].reset_index(drop=True)
        return Parts(self.values[:, rows], index, self.total, self._run)


def decompose(
    model: Model, pixels: Tensor, by: str = "head", selector: str | None = None, convention: str = "exact"
) -> Parts:
    """An image representation as an exact sum of named parts.

    With attention patterns and norm statistics held at the image's own values, everything between
    a part and the representation is linear, so the parts sum to the library's output up to
    rounding. Every constant is a part of its own; no part is made by subtraction.

    Args:
        model: from `kit.load`.
        pixels: [batch, 3, height, width], from `model.preprocess`.
        by: `"head"`; `"layer"` sums the heads of a layer to `L3.attn`; `"token"` splits each
            selected head by source token.
        selector: the parts wanted; None is all (for `by="token"`, all heads).
        convention: `"exact"`, or `"paper"`: the bookkeeping of constants of the paper's code (see
            `kit.parts.paper`), for towers that pool the class token.

    Returns:
        `Parts`; `parts.total` and `parts.error` always speak of the whole sum.

    Raises:
        KitError: pixels do not fit, an unknown split or part, a tower that cannot be taken apart,
            or token vectors that would not fit in memory (with the estimate).

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, direct effects; Balasubramanian et al. 2024, arXiv
        2406.01583, for towers in general. Differs from both in keeping constants apart and in
        centring each part by its own mean.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> pixels = model.preprocess(kit.world.gallery().images[:2])
        >>> parts = kit.decompose(model, pixels)
        >>> bool((parts.error < 1e-5).all()), parts["L5.H3"].shape
        (True, torch.Size([2, 128]))
    """
    if by not in SPLITS:
        raise KitError(f'no split by "{by}"; there are {", ".join(SPLITS)}.')
    _check_convention(convention, model)
    if selector is not None:  # an unknown part is said before the tower runs
        wanted = parts_index(model)
        select(_layer_index(wanted) if by == "layer" else wanted, selector)
    run = checked_run(model, pixels, tokens=by == "token")
    index, everything = run.index, run.vectors()
    total = everything.sum(1)
    if convention == "paper":
        index, everything = paper_vectors(run)
    if by == "token":
        rows = [r for r in select(index, selector or "all") if index["kind"][r] == "head"]
        _check_memory(run, len(rows))
        axes = torch.eye(everything.shape[-1])
        values = paper_maps(run, axes, selector) if convention == "paper" else run.token_vectors(selector)
        return Parts(values, index.iloc[rows].reset_index(drop=True), total, run)
    if by == "layer":
        everything = _layer_sums(index, everything)
        index = _layer_index(index)
    parts = Parts(everything, index, total, run)
    return parts if selector is None else parts.select(selector)


def scores(
    model: Model,
    pixels: Tensor,
    directions: Tensor | list[str],
    by: str = "head",
    normalize: bool = True,
    selector: str | None = None,
    convention: str = "exact",
) -> Tensor:
    """How much each part adds to the similarity of an image with each direction.

    Args:
        model: from `kit.load`.
        pixels: [batch, 3, height, width].
        directions: [text, embed], unit rows; or texts, for a model that can encode them.
        by: `"head"`, or `"token"`: every head split by the token whose value it read.
        normalize: divide by the length of the representation, so that scores of all parts sum to
            the cosine.
        selector: the parts wanted; None is all (for `by="token"`, all heads).
        convention: as for `decompose`.

    Returns:
        [batch, part, text], or [batch, part, token, text].

    Raises:
        KitError: as `decompose`; directions of another width.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> pixels = model.preprocess(kit.world.gallery().images[:1])
        >>> scores(model, pixels, ["a cat", "a dog"]).shape[-1]
        2
    """
    _check_convention(convention, model)
    if by not in ("head", "token"):
        raise KitError(f'no scores by "{by}"; there are head and token.')
    if not isinstance(directions, Tensor):
        directions = model.encode_text(directions)
    expect_shape(directions, "text embed", "directions", embed=model.embed_dim)
    if selector is not None:
        select(parts_index(model), selector)
    run = checked_run(model, pixels, tokens=by == "token")
    if convention == "paper":
        values = _paper_scores(run, directions, by, selector)
        return values / run.norm.reshape(-1, *[1] * (values.ndim - 1)) if normalize else values
    return (run.maps if by == "token" else run.scores)(directions, normalize=normalize, selector=selector)


def _paper_scores(run: Run, directions: Tensor, by: str, selector: str | None) -> Tensor:
    """Scores in the paper's convention, not divided by the length."""
    if by == "token":
        return paper_maps(run, directions, selector)
    index, vectors = paper_vectors(run)
    rows = list(range(len(index))) if selector is None else select(index, selector)
    return vectors[:, rows] @ directions.to(vectors).T


def _check_convention(convention: str, model: Model) -> None:
    if convention not in ("exact", "paper"):
        raise KitError(f'no convention "{convention}"; there are exact and paper.')
    if convention == "paper" and model.runs_itself:
        raise KitError(f'parts of "{model.name}" are mapped ones; convention="paper" is of a tower as it is.')


def pattern(model: Model, pixels: Tensor, layer: int) -> Tensor:
    """Attention weights of one layer after the softmax: what the fused kernel used but never shows.

    Args:
        model: from `kit.load`.
        pixels: [batch, 3, height, width].
        layer: number of the layer, from 0.

    Returns:
        [batch, head, query, key]; over keys it sums to 1.

    Raises:
        KitError: pixels do not fit, or no such layer.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> pixels = model.preprocess(kit.world.gallery().images[:1])
        >>> pattern(model, pixels, 5).shape
        torch.Size([1, 6, 65, 65])
    """
    model.check_pixels(pixels)
    frozen = compared_graph(model, pixels)
    count = frozen.trace.layers
    if not isinstance(layer, int) or not 0 <= layer < count:
        raise KitError(f'layer {layer} does not exist: "{model.name}" has {count} layers (0–{count - 1}).')
    watch = _Watch(layer)
    forward(model, frozen, pixels, watch)
    return watch.call.pattern()


class _Watch(HookPoints):
    def __init__(self, layer: int):
        self.layer = layer

    def attention(self, layer: int, call: AttentionCall, out: Tensor) -> Tensor:
        if layer == self.layer:
            self.call = call
        return out


def _layer_index(index: pd.DataFrame) -> pd.DataFrame:
    """The index with one row `L3.attn` in the place of the heads of each layer."""
    kept = index[(index["kind"] != "head") | (index["head"] == 0)].reset_index(drop=True)
    heads = kept["kind"] == "head"
    kept.loc[heads, "name"] = [f"L{layer}.attn" for layer in kept["layer"][heads]]
    kept.loc[heads, "kind"] = "attn"
    kept.loc[heads, "head"] = pd.NA
    return kept


def _layer_sums(index: pd.DataFrame, values: Tensor) -> Tensor:
    """Vectors [batch, part, embed] with the heads of each layer summed, in the order of `_layer_index`."""
    starts = ((index["kind"] != "head") | (index["head"] == 0)).to_numpy()
    group = torch.tensor(starts.cumsum() - 1, device=values.device)  # which row each part goes to
    sums = values.new_zeros(len(values), int(starts.sum()), values.shape[-1])
    return sums.index_add(1, group, values)


def _check_memory(run: Run, heads: int) -> None:
    tokens = run.prefix + run.grid[0] * run.grid[1]
    embed = run.representation.shape[1]
    need = 2 * len(run.pixels) * heads * tokens * embed * run.representation.element_size()
    free = psutil.virtual_memory().available
    if need > 0.8 * free:
        raise KitError(
            f"token vectors of {heads} heads and {len(run.pixels)} images need {need / 2**30:.1f} GiB, "
            f"and {free / 2**30:.1f} GiB are free; select fewer heads, or ask for "
            'kit.scores(..., by="token"), which never builds them.'
        )
