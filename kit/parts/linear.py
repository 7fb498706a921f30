"""Which operations are linear once patterns, norm statistics and gates are frozen, and how they act.

`linear_inputs` says through which inputs a part may travel; `step` takes values of many parts through one
operation at once, without the constants that it adds; `constant` is what it adds. Everything else about an
operation (its module, its model) is unknown here.

A new operation needs an entry here, and is exact with it. Two more tables make it fast, from the output
back: `readout_rules` for streams that are read token by token, `reader_rules` for the others; what has no
rule there is run through the graph by `step` (`replay`). `kit.models.operations` lists what a kept record
may name, whatever it does.
"""

import operator
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from kit.models.attention import PRODUCTS, SOFTMAX
from kit.models.nodes import MOVES, SDPA, Value, aten, number, numbers, ops

ADDS = {aten.add.Tensor, aten.sub.Tensor}
SCALES = {aten.mul.Tensor, aten.div.Tensor}
CONVOLUTIONS = {aten.conv1d.default, aten.conv2d.default, aten.conv2d.padding}
BATCH_NORMS = {aten.batch_norm.default, aten._native_batch_norm_legit_no_training.default}
NORMS = {aten.layer_norm.default, aten.group_norm.default, aten.rms_norm.default}
JOINS = {aten.cat.default, aten.stack.default}
# linear in the first argument, and zero where that is zero
PLAIN = {operator.getitem, *MOVES} | ops(
    "expand.default select.int slice.Tensor narrow.default unbind.int chunk.default split.Tensor "
    "split.sizes split_with_sizes.default roll.default flip.default repeat.default "
    "repeat_interleave.self_int neg.default mean.dim sum.dim_IntList avg_pool2d.default "
    "adaptive_avg_pool2d.default adaptive_avg_pool1d.default upsample_nearest2d.vec "
    "upsample_nearest2d.default upsample_bilinear2d.vec upsample_bilinear2d.default "
    "upsample_bicubic2d.vec upsample_bicubic2d.default pixel_unshuffle.default pixel_shuffle.default "
    "im2col.default col2im.default index.Tensor index_select.default to.dtype"
)
# of these, sums and averages of several numbers
SUMS = ops("mean.dim sum.dim_IntList avg_pool2d.default adaptive_avg_pool2d.default")
# and what resizes, folds or changes sign
REWEIGHS = ops(
    "neg.default adaptive_avg_pool1d.default upsample_bilinear2d.vec upsample_bilinear2d.default "
    "upsample_bicubic2d.vec upsample_bicubic2d.default col2im.default"
)
GATHERS = PLAIN - SUMS - REWEIGHS  # each number of the output is one of the input
PADS = {aten.pad.default, aten.constant_pad_nd.default}
# values between bounds, or inverse lengths: factors that are held at the image's own value
GATES = SOFTMAX | ops(
    "sigmoid.default hardsigmoid.default rsqrt.default sqrt.default reciprocal.default "
    "linalg_vector_norm.default"
)
ELEMENTWISE = MOVES | ADDS | SCALES | {aten.expand.default, aten.clamp_min.default, aten.clamp.default}


def linear_inputs(node: fx.Node, image: set[fx.Node], layers: set[fx.Node]) -> list[fx.Node]:
    """The inputs in which a node's value is linear; empty for an operation that a part cannot pass.

    Args:
        node: of the tower's graph.
        image: nodes that depend on the pixels.
        layers: the nodes of attention layers.
    """
    target, moving = node.target, [a for a in node.all_input_nodes if a in image]
    if target in PLAIN | NORMS | BATCH_NORMS or (target in PADS and _pads_constant(node)):
        return moving if moving == [node.args[0]] else []
    if target in ADDS | JOINS:
        return moving
    if target in CONVOLUTIONS | {aten.linear.default}:
        return moving if moving == [node.args[0]] else []
    if target is SDPA:
        return [node.args[2]] if node.args[0] not in image else []
    if target in SCALES | PRODUCTS and len(node.args) > 1:
        return _factors(node, moving, image, layers)
    return []


def _pads_constant(node: fx.Node) -> bool:
    """Does a padding put zeros around (not a reflection, nor another number)?"""
    rest = [a for a in node.args[2:] if a != "constant"]
    return all(isinstance(a, int | float | None) and not a for a in rest)


def _factors(node: fx.Node, moving: list[fx.Node], image, layers) -> list[fx.Node]:
    """The one factor of a product that a part may pass, the other being constant or held."""
    if node.args[0] is node.args[1]:
        return []
    if len(moving) < 2:
        numerator = node.target is not aten.div.Tensor or moving == [node.args[0]]
        return moving if numerator else []
    first, second = node.args[:2]
    if node.target is aten.div.Tensor:
        return [first]
    if node.target in PRODUCTS:
        # of a query times a context that attention made, the query is held
        reads = [a for a in (first, second) if _descend(a, MOVES, image) in layers]
        return reads if len(reads) == 1 else []
    gated = [a for a, b in ((first, second), (second, first)) if _is_gate(b, a, image)]
    return gated if len(gated) == 1 else []


def _is_gate(node: fx.Node, other: fx.Node, image: set[fx.Node]) -> bool:
    """Is `node` a gate, and not one that `other` opens for itself, number by number (as in SiLU)?"""
    root = _descend(node, MOVES | {aten.mul.Tensor, aten.add.Tensor, aten.expand.default}, image)
    if root.target not in GATES:
        return False
    source = _descend(root.args[0], ELEMENTWISE, image)
    return _descend(other, ELEMENTWISE, image) is not source or root.target in (
        SOFTMAX | {aten.linalg_vector_norm.default}
    )


def _descend(node: fx.Node, through: set, image: set[fx.Node]) -> fx.Node:
    """Back through operations of one image-dependent input."""
    while node.target in through:
        moving = [a for a in node.all_input_nodes if a in image]
        if len(moving) != 1:
            break
        node = moving[0]
    return node


class Steps:
    """Takes values of parts through the operations of one graph.

    Values hold parts in front of the batch, [part * batch, ...]: the recorded graph takes any batch
    size, so one call serves all parts. What is held of an image is repeated for every part.

    Args:
        constant: gives the value of a node that does not depend on the image.
        held: what is held of a run: norms' inverse spread, gates, patterns, by node.
        batch: number of images.
    """

    def __init__(self, constant: Callable[[object], object], held: dict[fx.Node, Tensor], batch: int):
        self.constant, self.held, self.batch = constant, held, batch

    def step(self, node: fx.Node, source: fx.Node, value, count: int):
        """Value of `node`, less its constants, for values of its linear input `source`.

        Args:
            node: an operation that is linear in `source`.
            source: the input.
            value: of `source`, [count * batch, ...].
            count: number of parts.
        """
        target, args = node.target, node.args
        if target is aten.linear.default:
            return F.linear(value, self.constant(args[1]))
        if target in CONVOLUTIONS:
            rest = [self.constant(a) for a in args[3:]]
            return target(value, self.constant(args[1]), None, *rest)
        if target in BATCH_NORMS:
            gain = self.batch_norm(node)[0].to(value)
            out = value * gain.reshape(-1, *[1] * (value.ndim - 2))
            return (out,) if target is not aten.batch_norm.default else out
        if target in NORMS:
            return self._norm(node, value, count)
        if target in SCALES | PRODUCTS:
            return self._product(node, source, value, count)
        if target is SDPA:
            return self._spread(lambda held, v: held @ v, self.held[node], value, count)
        if target is aten.repeat_interleave.self_int or target is operator.getitem:
            return target(value, *args[1:], **node.kwargs)
        if target in PADS:
            return F.pad(value, args[1])
        rest = [self._argument(a, count) for a in args[1:]]
        target = aten.reshape.default if target is aten.view.default else target
        return target(value, *rest, **numbers(node.kwargs))

    def _argument(self, argument: object, count: int):
        if isinstance(argument, list | tuple):
            return [self._argument(a, count) for a in argument]
        if isinstance(argument, fx.Node) and isinstance(argument.meta.get("val"), Value):
            return self.constant(argument)
        return number(argument, count * self.batch)

    def _spread(self, function, held: Tensor, value: Tensor, count: int) -> Tensor:
        """`function(held, value)` with what is held of the images repeated for every part."""
        if count == 1:
            return function(held, value)
        return function(held[None], value.unflatten(0, (count, -1))).flatten(0, 1)

    def _norm(self, node: fx.Node, value: Tensor, count: int) -> Tensor:
        spread = self.held[node]
        gain = self._norm_weight(node)
        if node.target is aten.group_norm.default:
            apart = value.unflatten(1, (node.args[1], -1))
            value = (apart - apart.mean(dim=list(range(2, apart.ndim)), keepdim=True)).flatten(1, 2)
            gain = None if gain is None else gain.reshape(-1, *[1] * (value.ndim - 2))
        elif node.target is aten.layer_norm.default:
            value = value - value.mean(dim=list(range(-len(node.args[1]), 0)), keepdim=True)
        out = self._spread(operator.mul, spread, value, count)
        return out if gain is None else out * gain

    def _norm_weight(self, node: fx.Node) -> Tensor | None:
        return self.constant(node.args[2]) if len(node.args) > 2 and node.args[2] is not None else None

    def _product(self, node: fx.Node, source: fx.Node, value: Tensor, count: int) -> Tensor:
        first, second = node.args[:2]
        other = second if first is source else first
        if node.target is aten.div.Tensor:
            apply = lambda factor, v: v / factor  # noqa: E731
        elif node.target in PRODUCTS:
            apply = (lambda f, v: v @ f) if first is source else (lambda f, v: f @ v)
        else:
            apply = operator.mul
        if other in self.held:
            return self._spread(apply, self.held[other], value, count)
        return apply(self.constant(other), value)

    def batch_norm(self, node: fx.Node) -> tuple[Tensor, Tensor]:
        """Gain and shift of a batch norm in eval mode, each [channel]."""
        weight, bias, mean, var = (None if a is None else self.constant(a) for a in node.args[1:5])
        eps = node.args[7] if node.target is aten.batch_norm.default else node.args[6]
        gain = (var + eps).rsqrt() * (1.0 if weight is None else weight)
        return gain, (0.0 if bias is None else bias) - mean * gain

    def adds(self, node: fx.Node) -> bool:
        """Does an operation add a constant of its own?"""
        return self.added(node) is not None

    def added(self, node: fx.Node) -> Tensor | None:
        """The constant that an operation adds, of a shape that broadcasts to its value; None for none."""
        target, args = node.target, node.args
        if target is aten.linear.default:
            return self.constant(args[2]) if len(args) > 2 and args[2] is not None else None
        if target in CONVOLUTIONS:
            bias = self.constant(args[2]) if len(args) > 2 and args[2] is not None else None
            return None if bias is None else bias.reshape(-1, *[1] * (len(node.meta["val"].shape) - 2))
        if target in BATCH_NORMS:
            shape = node.meta["val"].shape if target is aten.batch_norm.default else node.meta["val"][0].shape
            return self.batch_norm(node)[1].reshape(-1, *[1] * (len(shape) - 2))
        if target in NORMS - {aten.rms_norm.default} and len(args) > 3 and args[3] is not None:
            bias = self.constant(args[3])
            if target is aten.group_norm.default:
                return bias.reshape(-1, *[1] * (len(node.meta["val"].shape) - 2))
            return bias
        return None


def inverse_spread(node: fx.Node, value: Tensor) -> Tensor:
    """1 / sigma of a norm's input, broadcasting to it."""
    if node.target is aten.layer_norm.default:
        dims, eps = list(range(-len(node.args[1]), 0)), (*node.args, 1e-5)[4] if len(node.args) > 4 else 1e-5
        return (value.var(dims, unbiased=False, keepdim=True) + eps).rsqrt()
    if node.target is aten.group_norm.default:
        groups, eps = node.args[1], node.args[4] if len(node.args) > 4 else 1e-5
        apart = value.unflatten(1, (groups, -1))
        dims = list(range(2, apart.ndim))
        spread = (apart.var(dims, unbiased=False, keepdim=True) + eps).rsqrt()
        return spread.expand(*apart.shape[:3], *spread.shape[3:]).flatten(1, 2)
    eps = node.args[3] if len(node.args) > 3 and node.args[3] is not None else torch.finfo(value.dtype).eps
    return (value.square().mean(list(range(-len(node.args[1]), 0)), keepdim=True) + eps).rsqrt()
