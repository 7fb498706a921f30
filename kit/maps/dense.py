"""Maps from patch tokens as if each were an image: cosine of its embedding with the direction."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear, normalize

from kit.errors import KitError
from kit.maps.passes import Seen, look, patches, plain_graph
from kit.models.model import Model
from kit.models.nodes import aten
from kit.parts.frozen import FrozenGraph
from kit.parts.hook_points import AttentionCall


def patch_cosine(model: Model, pixels: Tensor, directions: Tensor) -> Tensor:
    """Cosine of each final patch token with the direction, put through the last norm and the projection.

    Args:
        model: from `kit.load`; a tower with the same tokens in every layer and one last norm before it pools.
        pixels: [batch, 3, height, width].
        directions: one for each image, [batch, embed].

    Returns:
        [batch, row, col].

    Raises:
        KitError: a tower of another kind.
    """
    what = "the cosine of patch tokens"
    frozen, norm = _last_norm(model, pixels, what)
    seen = look(model, pixels, what)
    return _cosines(model, frozen.after_norm[norm], seen.norms[0], directions, what)


def value_only(model: Model, pixels: Tensor, directions: Tensor) -> Tensor:
    """The same with a last layer in which each token reads its own value alone; residual and MLP stay.

    Args, returns, raises: as `patch_cosine`.

    Source:
        Zhou et al. 2022, Extract Free Dense Labels from CLIP (MaskCLIP), arXiv 2112.01071.
    """
    what = "the value-only last layer"
    frozen, norm = _last_norm(model, pixels, what)
    seen = look(model, pixels, what, change=lambda call: call.value)
    return _cosines(model, frozen.after_norm[norm], seen.norms[0], directions, what)


def clearclip(model: Model, pixels: Tensor, directions: Tensor) -> Tensor:
    """The same from the last layer's heads alone, without residual and MLP, queries attending to queries.

    Args, returns, raises: as `patch_cosine`; also raises where the last layer's heads are read by anything
        but one linear map whose output is added to the stream.

    Source:
        Lan et al. 2024, ClearCLIP, arXiv 2407.12442. "Like": the last block of the tower as it is here.
    """
    what = "the ClearCLIP-like last block"
    frozen, norm = _last_norm(model, pixels, what)
    write = _projection(model, frozen, what)
    seen: Seen = look(model, pixels, what, change=_self_self)
    out = write(seen.heads[-1].transpose(1, 2).flatten(2))  # [batch, token, dim]
    constant = [frozen.trace.constant(a) for a in norm.args[2:4]]
    tokens = layer_norm(out, out.shape[-1:], *constant, norm.args[4] if len(norm.args) > 4 else 1e-5)
    return _cosines(model, frozen.after_norm[norm], tokens, directions, what)


def _self_self(call: AttentionCall) -> Tensor:
    """Heads whose queries attend to queries."""
    return replace(call, key=call.query).pattern() @ call.value


def _last_norm(model: Model, pixels: Tensor, what: str) -> tuple[FrozenGraph, torch.fx.Node]:
    """The layer norm between the stream and the projection, which sees every token."""
    frozen = plain_graph(model, pixels, what)
    norms = [n for n in frozen.norms if n.target is aten.layer_norm.default]
    if len(norms) != 1 or len(frozen.norms) != 1 or norms[0].meta["val"].ndim != 3:
        raise KitError(
            f'{what} needs one last norm that sees every token, and "{model.name}" has {len(frozen.norms)} '
            "norms behind its last block, or pools before; take another method."
        )
    return frozen, norms[0]


def _projection(model: Model, frozen: FrozenGraph, what: str) -> Callable[[Tensor], Tensor]:
    """What writes the last layer's heads to the stream."""
    attention = frozen.trace.layer_calls[-1]
    node, features = attention.projection or (None, [])
    in_order = node is not None and torch.equal(torch.cat(features), torch.arange(sum(map(len, features))))
    if not in_order or [user.target for user in node.users] != [aten.add.Tensor]:
        raise KitError(
            f'{what} needs heads that one linear map adds to the stream; "{attention.path}" of '
            f'"{model.name}" is not so: take another method.'
        )
    weight, *bias = (frozen.trace.constant(a) for a in node.args[1:3])
    return lambda heads: linear(heads, weight, *bias)


def _cosines(model: Model, matrix: Tensor, tokens: Tensor, directions: Tensor, what: str) -> Tensor:
    """Cosine of each patch with its image's direction; `matrix` [dim, embed] projects what the norm gives."""
    expected = model.prefix_tokens + model.grid[0] * model.grid[1]
    if tokens.shape[1] != expected:
        raise KitError(f'{what} found {tokens.shape[1]} tokens in "{model.name}", not {expected}.')
    embedded = normalize(tokens @ matrix, dim=-1)  # [batch, token, embed]
    return patches(model, torch.einsum("bte,be->bt", embedded, normalize(directions, dim=-1)))
