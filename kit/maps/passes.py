"""What maps of other methods read off a tower: attention calls, their gradients, the last norm's tokens."""

from collections.abc import Callable

import torch
from torch import Tensor

from kit.errors import KitError
from kit.models.model import Model
from kit.parts.checked import compared_graph
from kit.parts.frozen import FrozenGraph, frozen_graph
from kit.parts.hook_points import AttentionCall, HookPoints, hooked
from kit.parts.runs import forward

Change = Callable[[AttentionCall], Tensor]


class Seen(HookPoints):
    """Attention calls and the last norm of one pass.

    Args:
        change: what the last layer's heads give instead of their output, from their queries, keys and values.
        layers: number of layers.

    Attributes:
        calls: one for each layer.
        heads: output of each layer's heads, [batch, head, token, head_dim].
        norms: output of each norm between the parts and the representation.
    """

    def __init__(self, layers: int, change: Change | None = None):
        self.layers, self.change = layers, change
        self.calls: list[AttentionCall] = []
        self.heads: list[Tensor] = []
        self.norms: list[Tensor] = []

    def attention(self, layer: int, call: AttentionCall, out: Tensor) -> Tensor:
        """Keep the call and what its heads give; the last layer's are changed first, where asked."""
        if self.change is not None and layer == self.layers - 1:
            out = self.change(call)
        self.calls.append(call)
        self.heads.append(out)
        return out

    def norm(self, norm: int, value: Tensor, out: Tensor) -> Tensor:
        """Keep what the norm gives."""
        self.norms.append(out)
        return out


class _Patterns(HookPoints):
    """Writes attention out, so that gradients reach its patterns."""

    def __init__(self):
        self.patterns: list[Tensor] = []

    def attention(self, layer: int, call: AttentionCall, out: Tensor) -> Tensor:
        self.patterns.append(call.pattern())
        return self.patterns[-1] @ call.value


def plain_graph(model: Model, pixels: Tensor, what: str) -> FrozenGraph:
    """The frozen graph of a tower whose tokens are the same in every layer, for a pass over `pixels`.

    Raises:
        KitError: a hierarchy, windows, or attention that is computed step by step.
    """
    frozen = compared_graph(model, pixels)
    folded = any(a.pattern is not None for a in frozen.trace.layer_calls)
    if not frozen.plain or folded:
        raise KitError(
            f'{what} needs a tower with the same tokens in every layer, and "{model.name}" is none; the '
            'method "token heatmap" reads it all the same.'
        )
    return frozen


def look(model: Model, pixels: Tensor, what: str, change: Change | None = None) -> Seen:
    """One pass of a plain tower with its attention calls kept.

    Args:
        model: from `kit.load`.
        pixels: [batch, 3, height, width].
        what: the method that asks, for messages.
        change: see `Seen`.
    """
    model.check_pixels(pixels)
    frozen = plain_graph(model, pixels, what)
    seen = Seen(frozen.trace.layers, change)
    forward(model, frozen, pixels, seen)
    return seen


def rows_read(model: Model, layer: int) -> list[int]:
    """Tokens of a layer's output that the representation reads by itself: the class token, or all pooled."""
    frozen = frozen_graph(model)
    source = next(s for s in frozen.sources if s.kind == "head" and s.layer == layer)
    return list(range(source.readout.tokens)) if source.readout.rows is None else list(source.readout.rows)


def patches(model: Model, tokens: Tensor) -> Tensor:
    """Tokens [batch, token] without class and register tokens, on the grid, [batch, row, col]."""
    return tokens[:, model.prefix_tokens :].unflatten(1, model.grid)


def pattern_gradients(
    model: Model, pixels: Tensor, directions: Tensor, what: str
) -> tuple[list[Tensor], list[Tensor]]:
    """Attention patterns, and how the cosine of each image with its direction changes with them.

    The derivative is the tower's own, through everything that comes after: later patterns and norms move.

    Args:
        directions: one for each image, [batch, embed].

    Returns:
        Patterns and derivatives of each layer, [batch, head, query, key].
    """
    model.check_pixels(pixels)
    frozen, hook_points = plain_graph(model, pixels, what), _Patterns()
    model.passes["image"] += 1
    with torch.enable_grad():
        found = hooked(frozen)(pixels.detach().clone().requires_grad_(), hook_points)  # [batch, embed]
        score = torch.nn.functional.cosine_similarity(found, directions, dim=-1)
        gradients = torch.autograd.grad(score.sum(), hook_points.patterns)
    return [p.detach() for p in hook_points.patterns], list(gradients)
