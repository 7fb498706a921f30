"""A run with parts replaced: in the sum alone, or in the tower before later layers read them."""

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.data.sets import Images
from kit.errors import KitError
from kit.models.model import Model
from kit.parts.checked import checked_run
from kit.parts.collect import as_means
from kit.parts.files import check_weights
from kit.parts.frozen import frozen_graph, parts_index
from kit.parts.hook_points import AttentionCall, HookPoints
from kit.parts.means import Means, batch_dim, by_image, load_means, replaced
from kit.parts.runs import Run, forward
from kit.parts.selector import select


@dataclass(frozen=True)
class Ablation:
    """A representation after some of its parts were replaced.

    Attributes:
        embedding: the representation after, [batch, embed].
        before: the representation as it was, [batch, embed].
        effect: `"direct"` or `"total"`.
        means_id: the reference set of the replacement; `"zero"` or `"array"` where there is none.
    """

    embedding: Tensor
    before: Tensor
    effect: str
    means_id: str

    def scores(self, directions: Tensor) -> Tensor:
        """Change of the score for each direction, [batch, text]; the length is that from before.

        Args:
            directions: [text, embed], unit rows.
        """
        length = self.before.norm(dim=-1, keepdim=True)
        return (self.embedding - self.before) @ directions.to(self.before).T / length


def ablate(
    model: Model,
    pixels: Tensor | Run,
    selector: str,
    replace: str | Tensor = "mean",
    effect: str = "direct",
    means: Means | Images | None = None,
) -> Ablation:
    """A representation with the selected parts replaced.

    The direct effect replaces the part in the sum, with attention patterns, norm statistics and
    the length of the representation frozen. The total effect replaces a head's output before its
    output projection, and an MLP's output, at every token; later layers then run again.

    Args:
        model: from `kit.load`.
        pixels: [batch, 3, height, width], or a `Run` of them, which saves its pass.
        selector: the parts, such as `"L4-5.H*, L3.MLP"`.
        replace: `"mean"` over a reference set, `"zero"`, or, for direct effects, the vectors to put
            in place, [part, embed] in the order of the index.
        effect: `"direct"` (no further pass) or `"total"` (one).
        means: from `kit.collect`; None takes those that a shipped model comes with; a set of images is gone
            over at each call, so collect its means once for several.

    Returns:
        `Ablation`.

    Raises:
        KitError: an unknown part, replacement or effect; no means, or means of another model;
            constants, or an array, in a total effect.

    Source:
        Mean ablation: Gandelsman et al. 2023, arXiv 2310.05916, section 3. Differs in naming the
        reference set, which is never the images at hand.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> pixels = model.preprocess(kit.world.gallery().images[:1])
        >>> same = ablate(model, pixels, "none", replace="zero")
        >>> bool((same.embedding == same.before).all())
        True
    """
    if effect not in ("direct", "total"):
        raise KitError(f'no effect "{effect}"; there are direct and total.')
    if isinstance(replace, str) and replace not in ("mean", "zero"):
        raise KitError(f'no replacement "{replace}"; there are mean, zero, or an array [part, embed].')
    if not isinstance(pixels, Run):
        model.check_pixels(pixels)
    chosen = select(parts_index(model), selector)
    means_id = "zero"
    if isinstance(replace, Tensor):
        means_id, size = "array", {"part": len(chosen), "embed": model.embed_dim}
        expect_shape(replace, "part embed", "the replacement", **size)
    elif replace == "mean":
        means = load_means(model) if means is None else as_means(model, means)
        check_weights(model, means, "means")
        means_id = means.id
    if effect == "total":
        _check_total(frozen_graph(model).index.iloc[chosen], replace)
    if isinstance(pixels, Run) and pixels.frozen is not frozen_graph(model):
        raise KitError(
            f'"{model.name}" was changed after this run of it, so the run no longer says what it does; '
            "make it anew with kit.parts.run(model, pixels)."
        )
    run = pixels if isinstance(pixels, Run) else checked_run(model, pixels)
    before = run.representation
    if effect == "direct":
        parts = run.vectors(selector).sum(1)
        embedding = replaced(before, parts, _in_place(run, chosen, replace, means))
    else:
        hook_points = _Replace(run, chosen, means if replace == "mean" else None)
        embedding = forward(model, run.frozen, run.pixels, hook_points) if chosen else before
    return Ablation(embedding, before, effect, means_id)


def _in_place(run: Run, chosen: list[int], replace, means: Means | None) -> Tensor | float:
    """The sum of what stands in the place of the chosen parts, [batch or 1, embed]; 0 for nothing."""
    if isinstance(replace, Tensor):
        return replace.to(run.representation).sum(0)
    if replace == "mean" and chosen:
        parts = means.of_parts(list(run.index["name"].iloc[chosen]))
        return parts.to(run.representation).sum(0) * run.norm[:, None]
    return 0.0


def _check_total(parts: pd.DataFrame, replace: str | Tensor) -> None:
    if isinstance(replace, Tensor):
        raise KitError('an array replaces parts in the sum alone; use effect="direct", or mean or zero.')
    constants = list(parts["name"][parts["kind"] == "bias"])
    if constants:
        raise KitError(
            f'"{constants[0]}" is a constant, which no later layer reads as such; '
            'use effect="direct", or take constants out of the selector with "!bias".'
        )


class _Replace(HookPoints):
    """Puts means, or zeros, in the place of sources while the tower runs."""

    def __init__(self, run: Run, chosen: list[int], means: Means | None):
        self._means = means
        self._heads: dict[int, list[int]] = {}
        self._values: set[str] = set()
        self._batch, self._sources = len(run.pixels), run.frozen.by_name
        for part in run.index.iloc[chosen].itertuples(index=False):
            if part.kind == "head":
                self._heads.setdefault(int(part.layer), []).append(int(part.head))
            else:
                self._values.add(part.name)

    def attention(self, layer: int, call: AttentionCall, out: Tensor) -> Tensor:
        heads = self._heads.get(layer)
        if heads is None:
            return out
        attention, out = self._sources[f"L{layer}"].attention, out.clone()
        new = attention.apart(self._new(f"L{layer}", out)).movedim(attention.head_axis, 0)
        attention.apart(out).movedim(attention.head_axis, 0)[heads] = new[heads]  # a view of `out`
        return out

    def value(self, name: str, out: Tensor) -> Tensor:
        if name not in self._values:
            return out
        return self._new(name, out)

    def _new(self, name: str, out: Tensor) -> Tensor:
        """What is put in the place of a source's value."""
        if self._means is None:
            return torch.zeros_like(out)
        dim = batch_dim(self._sources[name])
        like = by_image(out, dim, self._batch)
        new = self._means.outputs[name].to(out).expand_as(like).clone()
        return new.reshape(out.movedim(dim, 0).shape).movedim(0, dim)
