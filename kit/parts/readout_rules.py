"""One rule for each operation that a readout can be carried through, from output to input.

A rule gets the operation's node and the readout at its output. It returns the readouts at its
image-dependent inputs and hands every constant that the operation adds to `const`. All rules are
identities once attention patterns and norm statistics are frozen; an operation without a rule is
where a part begins (see `kit.parts.frozen`), or sends a tower on the general route. `kit.parts.linear`
says where operations stand.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, fx

from kit.models.nodes import SDPA, aten, ops, shape_of
from kit.models.trace import Trace
from kit.parts.token_readout import BATCH, TOKEN, Frozen, NotPositionWise, Readout

Const = Callable[[fx.Node, object, Readout], None]
Found = Iterator[tuple[fx.Node, Readout]]


def _reshape(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    yield node.args[0], out.regroup(shape_of(node.args[0]))


def _same(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    if shape_of(node) != shape_of(node.args[0]):
        raise NotPositionWise("an expansion")
    yield node.args[0], out


def _permute(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    dims: list = [None] * len(out.dims)
    for place, source in enumerate(node.args[1]):
        dims[source % len(dims)] = out.dims[place]
    yield node.args[0], replace(out, dims=tuple(dims))


def _transpose(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    dims = list(out.dims)
    a, b = node.args[1:3]
    dims[a], dims[b] = dims[b], dims[a]
    yield node.args[0], replace(out, dims=tuple(dims))


def _select(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    source, dim, index = node.args
    yield source, _inserted(out, shape_of(source), dim, index)


def _getitem(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    unbind, index = node.args
    dim = unbind.args[1] if len(unbind.args) > 1 else 0
    yield unbind.args[0], _inserted(out, shape_of(unbind.args[0]), dim, index)


def _inserted(out: Readout, shape: list[int], dim: int, index: int) -> Readout:
    """The readout before position `index` of dimension `dim` was picked out.

    The first pick is the token that pools; a pick behind a pooling is a feature (keys, values).
    """
    dim, size = dim % len(shape), shape[dim]
    if size == 1:
        return replace(out, dims=(*out.dims[:dim], (), *out.dims[dim:]))
    if out.rows is None:
        dims = (*out.dims[:dim], (TOKEN,), *out.dims[dim:])
        return replace(out, dims=dims, rows=(index % size,), tokens=size)
    gain = out.gain.new_zeros(*out.gain.shape[:-1], size, out.gain.shape[-1])
    gain[..., index % size, :] = out.gain
    new = (out.gain.ndim - 2,)
    return replace(out, dims=(*out.dims[:dim], new, *out.dims[dim:]), gain=gain)


def _slice(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    source, dim, start = (*node.args, 0)[:3]
    step = node.args[4] if len(node.args) > 4 else 1
    shape = shape_of(source)
    dim, start = dim % len(shape), start % shape[dim] if start else 0
    if step != 1:
        raise NotPositionWise("a slice with a step")
    if out.dims[dim] == (TOKEN,):
        rows = tuple(r + start for r in out.rows)
        yield source, replace(out, rows=rows, tokens=shape[dim])
    elif out.dims[dim] == () and out.rows is None:
        dims = (*out.dims[:dim], (TOKEN,), *out.dims[dim + 1 :])
        yield source, replace(out, dims=dims, rows=(start,), tokens=shape[dim])
    else:
        raise NotPositionWise("a slice of features")


def _cat(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    pieces, dim = (*node.args, 0)[:2]
    if out.dims[dim % len(out.dims)] != (TOKEN,):
        raise NotPositionWise("a concatenation of features")
    start = 0
    for piece in pieces:
        size = shape_of(piece)[dim]
        places = [i for i, r in enumerate(out.rows) if start <= r < start + size]
        if places:
            here = _some_rows(out, places, start, size, dim)
            if piece in trace.image:
                yield piece, here
            else:
                const(node, trace.constant(piece), here)
        start += size


def _some_rows(out: Readout, places: list[int], start: int, size: int, dim: int) -> Readout:
    weight = lambda frozen: out.weight(frozen)[:, :, places]  # noqa: E731
    rows = tuple(out.rows[i] - start for i in places)
    if size > 1:
        return replace(out, rows=rows, tokens=size, weight=weight)
    dims = tuple(() if d == (TOKEN,) else d for d in out.dims)
    return replace(out, dims=dims, rows=None, tokens=1, weight=weight)


def _mean(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    source, dims = node.args[:2]
    dims = [dims] if isinstance(dims, int) else dims
    keep = node.args[2] if len(node.args) > 2 else False
    if len(dims) != 1 or out.rows is not None:
        raise NotPositionWise("a mean over more than the tokens")
    shape = shape_of(source)
    dim = dims[0] % len(shape)
    n = shape[dim]
    around = (out.dims[:dim], out.dims[dim + 1 if keep else dim :])
    layout = (*around[0], (TOKEN,), *around[1])

    def weight(frozen: Frozen) -> Tensor:
        return out.weight(frozen).expand(-1, -1, n) / n

    yield source, replace(out, dims=layout, rows=tuple(range(n)), tokens=n, weight=weight)


def _linear(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    if len(node.args) > 2 and node.args[2] is not None:
        const(node, trace.constant(node.args[2]), out)
    yield node.args[0], _through_matrix(out, trace.constant(node.args[1]).T)


def _matmul(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    yield node.args[0], _through_matrix(out, trace.constant(node.args[1]))


def _through_matrix(out: Readout, matrix: Tensor) -> Readout:
    """Readout of x, given the readout of x @ matrix; matrix is [in, out]."""
    _features_last(out)
    gain = torch.einsum("io,poe->pie", matrix, out.matrix())
    return out.with_matrix(gain, (*out.dims[:-1], (0,)))


def _features_last(out: Readout) -> None:
    held = [a for a in out.dims[-1] if isinstance(a, int)]
    sizes = [out.gain.shape[1 + a] for a in range(out.gain.ndim - 2) if a not in held]
    if len(held) != len(out.dims[-1]) or any(s > 1 for s in sizes):
        raise NotPositionWise("features lie in more than the last dimension")


def _layer_norm(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    """y = gamma (x - mean(x)) / sigma + beta, sigma frozen; centring is linear and stays with x."""
    source, normalised = node.args[:2]
    gamma, beta = (*node.args[2:4], None, None)[:2]
    _features_last(out)
    if len(normalised) != 1:
        raise NotPositionWise("a norm over more than the features")
    if beta is not None:
        const(node, trace.constant(beta), out)
    gain = out.matrix()  # [slot, dim, embed]
    if gamma is not None:
        gain = trace.constant(gamma)[:, None] * gain
    gain = gain - gain.mean(dim=1, keepdim=True)
    inner = out.weight
    weight = lambda frozen: inner(frozen) * frozen[node][:, None]  # noqa: E731
    yield source, out.with_matrix(gain, (*out.dims[:-1], (0,)), weight=weight)


def _add(trace: Trace, node: fx.Node, out: Readout, const: Const, sign: float = 1.0) -> Found:
    for place, operand in enumerate(node.args[:2]):
        gain = out.gain * sign if place == 1 and sign != 1 else out.gain
        here = replace(out, gain=gain) if gain is not out.gain else out
        if operand not in trace.image:
            const(node, trace.constant(operand), here)
        elif shape_of(operand) == shape_of(node):
            yield operand, here
        else:
            raise NotPositionWise("an addition that repeats its operand")


def _sub(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    yield from _add(trace, node, out, const, sign=-1.0)


def _scale(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    """Product with (or quotient by) a constant that varies over the features alone."""
    source, factor = node.args[:2]
    if source not in trace.image:
        source, factor = factor, source
    factor = trace.constant(factor)
    if node.target is aten.div.Tensor:
        factor = 1 / factor
    if isinstance(factor, Tensor) and factor.numel() > 1:
        _features_last(out)
        if factor.numel() != factor.shape[-1]:
            raise NotPositionWise("a factor that varies over the tokens")
        gain = factor.reshape(-1, 1) * out.matrix()
        yield source, out.with_matrix(gain, (*out.dims[:-1], (0,)))
    else:
        yield source, replace(out, gain=out.gain * factor)


def _pool(trace: Trace, node: fx.Node, out: Readout, const: Const) -> Found:
    """Attention whose query does not depend on the image: its pattern pools, one slot a head."""
    value = node.args[2]
    heads, queries, keys = *shape_of(node)[1:3], shape_of(value)[2]
    if out.gain.shape[0] != 1 or (queries > 1 and out.rows is None):
        raise NotPositionWise("one attention pooling behind another")
    tail = out.matrix()[0].unflatten(0, (heads, -1))  # [head, head_dim, embed]
    width = tail.shape[1]
    wide = tail.new_zeros(heads, heads, width, width)  # [slot, head, head_dim, head_dim]
    wide[range(heads), range(heads)] = torch.eye(width).to(tail)
    rows = list(out.rows) if out.rows is not None else [0]
    inner = out.weight

    def weight(frozen: Frozen) -> Tensor:
        pattern = frozen[node][:, :, rows]  # [batch, head, query, key]
        return torch.einsum("bq,bhqk->bhk", inner(frozen)[:, 0].expand(len(pattern), -1), pattern)

    dims = ((BATCH,), (0,) if heads > 1 else (), (TOKEN,), (1,))
    yield value, Readout(dims, wide, tuple(range(keys)), keys, weight, tail)


RULES: dict[object, Callable[..., Found]] = {
    operation: rule
    for rule, names in (
        (_reshape, "view.default reshape.default _unsafe_view.default flatten.using_ints unflatten.int"),
        (_reshape, "unsqueeze.default squeeze.dim squeeze.dims"),
        (_same, "contiguous.default clone.default expand.default"),
        (_permute, "permute.default"),
        (_transpose, "transpose.int"),
        (_select, "select.int"),
        (_slice, "slice.Tensor"),
        (_cat, "cat.default"),
        (_mean, "mean.dim"),
        (_linear, "linear.default"),
        (_matmul, "matmul.default"),
        (_layer_norm, "layer_norm.default"),
        (_add, "add.Tensor"),
        (_sub, "sub.Tensor"),
        (_scale, "mul.Tensor div.Tensor"),
    )
    for operation in ops(names)
} | {operator.getitem: _getitem, SDPA: _pool}


def has_rule(trace: Trace, node: fx.Node) -> bool:
    """Whether the node is linear in its image-dependent inputs and a rule says how."""
    if node.target not in RULES:
        return False
    if node.target in (aten.mul.Tensor, aten.matmul.default, aten.linear.default, aten.div.Tensor):
        factors = [place for place, a in enumerate(node.args) if a in trace.image]
        return factors == [0] or (factors == [1] and node.target is aten.mul.Tensor)
    if node.target is SDPA:
        return node.args[0] not in trace.image
    if node.target is operator.getitem:
        return node.args[0].target is aten.unbind.int
    return True
