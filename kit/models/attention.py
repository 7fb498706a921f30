"""Finding attention in a recorded tower: where it is, what are its heads, and whether it mixes tokens."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx

from kit.models.nodes import MOVES, SDPA, aten, module_path, number, numbers, ops, shape_of

SOFTMAX = {aten.softmax.int, aten._softmax.default}
PRODUCTS = {aten.matmul.default, aten.bmm.default}
# what leaves every number of an attention's output in its place
IN_PLACE_OF = ops("add.Tensor sub.Tensor mul.Tensor div.Tensor layer_norm.default rms_norm.default")
# what may lie between a softmax and the product with the values (talking heads, gated mixtures, masks)
ON_PATTERNS = MOVES | ops(
    "linear.default add.Tensor sub.Tensor mul.Tensor div.Tensor sum.dim_IntList expand.default "
    "slice.Tensor to.dtype"
)


@dataclass(frozen=True)
class Attention:
    """One attention in the tower, fused or written out.

    Attributes:
        node: the call, or the product of pattern and values, in the graph.
        path: path of the module that made it, such as `"transformer.resblocks.3.attn"`.
        heads: number of heads; 1 where the graph does not tell them apart.
        head_axis: dimension that counts heads, once `apart` has made them a dimension.
        folded: heads are the inner part of the batch dimension.
        lone: the graph does not tell heads apart, so they are one, of a dimension that `apart` adds.
        pooling: the query does not depend on the image (attention pooling); not a layer.
        mixes_tokens: the pattern says which tokens are read; otherwise it mixes channels.
        pattern: the node of the pattern; None where it is fused.
        value: the node of the values that the pattern reads.
        projection: the linear map that alone reads the heads, and for each head the features that are
            its own; None where other operations come first.
    """

    node: fx.Node
    path: str
    heads: int
    head_axis: int
    folded: bool
    lone: bool
    pooling: bool
    mixes_tokens: bool
    pattern: fx.Node | None
    value: fx.Node
    projection: tuple[fx.Node, list[torch.Tensor]] | None

    def apart(self, value: torch.Tensor) -> torch.Tensor:
        """A value of this attention (output, pattern or values) with its heads as dimension `head_axis`."""
        if self.folded:
            return value.unflatten(0, (-1, self.heads))
        return value.unsqueeze(1) if self.lone else value


def attentions(graph: fx.Graph, image: set[fx.Node]) -> list[Attention]:
    """Every attention of a graph, in forward order."""
    patterns: set[fx.Node] = set()
    found = []
    for node in graph.nodes:
        if node not in image:
            continue
        if node.target is SDPA:
            found.append(_attention(node, None, node.args[2], node.args[0] not in image, last=True))
        elif node.target in PRODUCTS and all(a in image for a in node.args[:2]):
            reads = [a in patterns for a in node.args[:2]]
            if reads[0] != reads[1]:
                pattern, value = node.args[:2] if reads[0] else node.args[1::-1]
                pooling = _query_is_constant(pattern, image)
                found.append(_attention(node, pattern, value, pooling, last=reads[0]))
        elif node.target in SOFTMAX or (
            node.target in ON_PATTERNS and any(a in patterns for a in node.all_input_nodes)
        ):
            patterns.add(node)
    return found


def _attention(node: fx.Node, pattern, value, pooling: bool, last: bool) -> Attention:
    """The attention at `node`; `last`: its pattern stands on the left, values' features come last."""
    shape = shape_of(node)
    end, features, whole = _projected(node)
    axis = next((a for a in range(1, len(shape) - 2) if _counts(features(a), shape[a])), None)
    folded = int(features(0).unique().numel()) if axis is None and len(shape) == 3 else 1
    heads = folded if axis is None else shape[axis]
    inside = [a for a in range(1, len(shape)) if a != axis and features(a).unique().numel() > 1]
    tokens = last and (not inside or inside[-1] == len(shape) - 1)
    projection = None
    if heads > 1 and whole and end.target is aten.linear.default:
        of_heads = features(0 if axis is None else axis)  # row 0: the first image's heads
        projection = end, [(of_heads == head).nonzero()[:, 0] for head in range(heads)]
    path = module_path(node)
    lone = axis is None and folded == 1
    return Attention(
        node, path, heads, axis or 1, folded > 1, lone, pooling, tokens, pattern, value, projection
    )


def _counts(ids: torch.Tensor, size: int) -> bool:
    """Do all numbers below `size` occur equally often among the features?"""
    counts = torch.bincount(ids.long(), minlength=size)
    return len(counts) == size and bool((counts == counts[0]).all())


def _projected(node: fx.Node):
    """The operation that reads an attention's output as features, and which place each feature comes from.

    Returns:
        That operation; a function of an axis of the attention's output that gives, for each feature,
        its place on the axis; and whether the output went there and nowhere else.
    """
    chain, here, alone = [], node, True
    while len(here.users) == 1:
        reader = next(iter(here.users))
        if reader.target in PRODUCTS and reader.args[1] is not here:
            break
        if reader.target not in MOVES | IN_PLACE_OF | PRODUCTS:
            break
        here = reader
        alone = alone and here.target in MOVES
        chain.append(here)
    end = next(iter(here.users))
    channel = 1 if end.target in (aten.conv2d.default, aten.col2im.default) else -1

    def features(axis: int) -> torch.Tensor:
        shape = shape_of(node)
        ids = torch.arange(shape[axis], dtype=torch.float32)
        ids = ids.reshape([-1 if a == axis else 1 for a in range(len(shape))]).expand(shape)
        for step in chain:
            if step.target in IN_PLACE_OF:
                continue
            if step.target in PRODUCTS:  # a query times a context: its columns stay
                ids = ids[..., :1, :].expand(shape_of(step))
                continue
            ids = step.target(ids.contiguous(), *number(step.args[1:]), **numbers(step.kwargs))
        first = ids.movedim(channel, -1).flatten(0, -2)[0]
        return first.round()

    return end, features, alone and len(here.users) == 1


def _query_is_constant(pattern: fx.Node, image: set[fx.Node]) -> bool:
    """Does the pattern come from scores whose query does not depend on the image?"""
    for node in _back(pattern):
        if node.target in PRODUCTS:
            query = node.args[0]
            return query not in image
    return False


def _back(node: fx.Node) -> Iterator[fx.Node]:
    """The node and what it is made of, up to the first products."""
    waiting = [node]
    while waiting:
        here = waiting.pop()
        yield here
        if here.target not in PRODUCTS and (here.target in ON_PATTERNS or here.target in SOFTMAX):
            waiting += here.all_input_nodes
