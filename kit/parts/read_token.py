"""Only the tokens that are read: the last layer's queries, output projection and MLP for one token.

A tower with class-token pooling reads one token at its end, and everything behind the last keys and
values is computed token by token. There the graph can go on with that token alone: the same sums in
the same order for a twelfth less work in a tower of twelve layers. The rewriting pulls the pooling's
`select` forwards in time, from the output through one operation after another to the queries.
"""

from dataclasses import dataclass

from torch import fx

from kit.models.nodes import SDPA, aten, ops, shape_of

ELEMENTWISE = ops(
    "add.Tensor sub.Tensor mul.Tensor div.Tensor gelu.default relu.default silu.default sigmoid.default "
    "tanh.default clone.default contiguous.default"
)
REGROUPED = {aten.reshape.default, aten.view.default, aten.flatten.using_ints}


@dataclass(frozen=True)
class Rows:
    """Places `start` to `stop` of one dimension of a value; no more of it is read."""

    dim: int
    start: int
    stop: int


def read_one_token(graph: fx.Graph) -> None:
    """Compute in `graph` only the rows of a token dimension that are read, as far back as that goes.

    Args:
        graph: of a recorded tower; changed in place.
    """
    wanted: dict[fx.Node, Rows] = {}
    for node in reversed(graph.nodes):
        asked = {_asked(user, node, wanted) for user in node.users}
        if len(asked) == 1 and None not in asked and node.op == "call_function":
            (rows,) = asked
            if _before(node, rows) is not None:
                wanted[node] = rows
    for node in [n for n in graph.nodes if n in wanted]:
        for source, rows in _before(node, wanted[node]).items():
            if source not in wanted:
                with graph.inserting_before(node):
                    cut = graph.call_function(aten.slice.Tensor, (source, rows.dim, rows.start, rows.stop))
                cut.meta = dict(source.meta)
                node.replace_input_with(source, cut)
        if node.target in (aten.reshape.default, aten.view.default):
            sizes = list(node.args[1])
            sizes[wanted[node].dim] = wanted[node].stop - wanted[node].start
            node.update_arg(1, sizes)
        for user in list(node.users):
            if user not in wanted:  # the pooling itself
                user.update_arg(2, user.args[2] % shape_of(node)[wanted[node].dim] - wanted[node].start)


def _asked(user: fx.Node, node: fx.Node, wanted: dict[fx.Node, Rows]) -> Rows | None:
    """The rows of `node` that `user` reads; None for all of them."""
    if user in wanted:
        return _before(user, wanted[user]).get(node)
    if user.target is aten.select.int and len(shape_of(node)) > 2:
        dim, size = user.args[1] % len(shape_of(node)), shape_of(node)[user.args[1]]
        index = user.args[2] % size
        return Rows(dim, index, index + 1) if dim > 0 and size > 1 else None
    return None


def _before(node: fx.Node, rows: Rows) -> dict[fx.Node, Rows] | None:
    """For each input that has the dimension of `rows`, the rows that those of `node` are made of.

    None where an operation mixes rows, or is not known here.
    """
    target, shape = node.target, shape_of(node)
    if target in ELEMENTWISE:
        behind = [(a, rows.dim - len(shape) + len(shape_of(a))) for a in node.all_input_nodes]
        return {a: Rows(dim, rows.start, rows.stop) for a, dim in behind if dim >= 0 and shape_of(a)[dim] > 1}
    source = node.args[0]
    if target is aten.layer_norm.default:
        return {source: rows} if rows.dim < len(shape) - len(node.args[1]) else None
    if target is aten.linear.default:
        return {source: rows} if rows.dim < len(shape) - 1 else None
    if target is aten.transpose.int:
        swap = [d % len(shape) for d in node.args[1:3]]
        dim = swap[1 - swap.index(rows.dim)] if rows.dim in swap else rows.dim
        return {source: Rows(dim, rows.start, rows.stop)}
    if target in REGROUPED:
        upto = rows.dim + 1
        kept = shape[:upto] == shape_of(source)[:upto]
        literal = target is aten.flatten.using_ints or isinstance(node.args[1][rows.dim], int)
        return {source: rows} if kept and literal else None
    if target is SDPA:
        masked = len(node.args) > 3 or node.kwargs.get("attn_mask") is not None
        return {source: rows} if rows.dim == 2 and not masked else None
    return None
