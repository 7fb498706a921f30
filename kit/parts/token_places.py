"""Where in the picture the tokens of a layer lie, read from the graph itself.

The coordinates of the pixels travel through the recorded graph in the place of values: windows, shifts,
rolls and paddings move them as they move tokens, a convolution or a merging averages them, a linear map
leaves them. What is left at the values of an attention says where each source token is, whatever the
architecture calls it. A token without a place (class token, register, padding) has NaN.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from kit.models.attention import PRODUCTS, Attention
from kit.models.nodes import SDPA, aten, shape_for
from kit.models.trace import Trace
from kit.parts.linear import CONVOLUTIONS, JOINS, PADS, PLAIN, Steps

Coordinates = tuple  # (y, x), each of the shape of the value, batch 1; of several values tuples of them


@dataclass(frozen=True)
class Layout:
    """The tokens of one layer on its grid.

    Attributes:
        cells: for each token (windows first, then tokens in them) its cell, row by row; -1 without one.
        rows, cols: vertical and horizontal centres of the cells, as shares of the picture.
    """

    cells: Tensor
    rows: Tensor
    cols: Tensor

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.rows), len(self.cols)

    def spread(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The layer's cell that each cell of a finer `grid` lies in, and the share of it that it holds.

        Returns:
            Cell numbers int64 [rows * cols], shares float64 [rows * cols].
        """
        near = [
            ((torch.arange(n) + 0.5) / n)[:, None].sub(own).abs().argmin(1)
            for n, own in zip(grid, (self.rows, self.cols))
        ]
        cells = (near[0][:, None] * len(self.cols) + near[1]).flatten()
        return cells, 1 / torch.bincount(cells, minlength=len(self.rows) * len(self.cols)).double()[cells]


def layout(coordinates: Coordinates, attention: Attention) -> Layout:
    """The layout of an attention's source tokens (coordinates of its values) or positions (of its output)."""
    y, x = (_of_tokens(c, attention) for c in coordinates)
    lost = y.isnan() | x.isnan()
    steps = [(c * 1e4).round() for c in (y, x)]
    axes = [s[~lost].unique() for s in steps]
    found = [torch.searchsorted(a, s.nan_to_num()) for a, s in zip(axes, steps)]
    cells = found[0] * len(axes[1]) + found[1]
    return Layout(cells.masked_fill(lost, -1), axes[0] / 1e4, axes[1] / 1e4)


def _of_tokens(places: Tensor, attention: Attention) -> Tensor:
    """One number for each token of a value [..., token, feature], heads being alike: [token]."""
    return attention.apart(places).select(attention.head_axis, 0).mean(-1).flatten()


def coordinates(trace: Trace, wanted: set[fx.Node]) -> dict[fx.Node, Coordinates]:
    """Coordinates of the values of the wanted nodes, as shares of the picture's height and width."""
    channels = {a.node for a in trace.attentions if not a.mixes_tokens}
    found: dict[fx.Node, Coordinates] = {}
    last = {a: n for n in trace.module.graph.nodes for a in n.all_input_nodes}
    for node in trace.module.graph.nodes:
        if node not in trace.image or node.op == "output":
            continue
        found[node] = _pixels(node) if node.op == "placeholder" else _placed(trace, node, found, channels)
        for used in node.all_input_nodes:
            if last[used] is node and used not in wanted:
                found.pop(used, None)
        if wanted <= found.keys():
            break
    return {node: found[node] for node in wanted}


def _pixels(node: fx.Node) -> Coordinates:
    shape = shape_for(node.meta["val"], 1)
    height, width = shape[-2:]
    rows = ((torch.arange(height) + 0.5) / height)[:, None]
    cols = (torch.arange(width) + 0.5) / width
    return rows.expand(shape), cols.expand(shape)


def _placed(trace: Trace, node: fx.Node, found: dict, channels: set[fx.Node]) -> Coordinates:
    """Coordinates of a node's value from those of its inputs."""
    target, value = node.target, node.meta["val"]
    several = isinstance(value, tuple | list)
    shape = None if several else shape_for(value, 1)
    moving = [a for a in node.all_input_nodes if a in trace.image]
    source = moving[0]

    def each(function) -> Coordinates:
        return tuple(function(c) for c in found[source])

    nowhere = None if several else (torch.full(shape, torch.nan),) * 2
    if target in PADS:
        return each(lambda c: F.pad(c, node.args[1], value=torch.nan))
    if target is aten.col2im.default:
        rows, cols = (((torch.arange(n) + 0.5) / n) for n in shape[-2:])
        return rows[:, None].expand(shape), cols.expand(shape)
    if target in PLAIN:
        steps = Steps(trace.constant, {}, 1)
        return each(lambda c: steps.step(node, source, c, 1))
    if target in CONVOLUTIONS | {aten.max_pool2d.default} and len(shape) == 4:
        return each(lambda c: _resized(c, shape))
    if target is aten.amax.default:  # a pooling written out: where its winner came from is not known
        return each(lambda c: c.mean(*node.args[1:]))
    if target in JOINS:
        dim = node.args[1] if len(node.args) > 1 else 0
        pieces = [
            found.get(a) or (torch.full(shape_for(a.meta["val"], 1), torch.nan),) * 2 for a in node.args[0]
        ]
        return tuple(target([p[i] for p in pieces], dim) for i in range(2))
    if target is SDPA or target in PRODUCTS:
        left, right = node.args[0], node.args[2 if target is SDPA else 1]
        along_right = node in channels or left not in trace.image
        here = found.get(right if along_right else left)
        if here is None:
            return nowhere
        return tuple(c.mean(-2 if along_right else -1, keepdim=True).expand(shape) for c in here)
    if target is aten.linear.default:
        return each(lambda c: c.mean(-1, keepdim=True).expand(shape))
    if several:
        return each(lambda c: (c,) * len(value))
    same = [found[a] for a in moving if a in found and list(found[a][0].shape) == shape]
    if not same:
        return nowhere
    return tuple(
        torch.where(same[0][i].isnan(), same[-1][i], same[0][i]) if len(same) > 1 else same[0][i]
        for i in range(2)
    )


def _resized(places: Tensor, shape: list[int]) -> Tensor:
    """Coordinates behind a convolution: those of its input without padding, averaged to the new size."""
    plane = places.mean(1, keepdim=True)  # [1, 1, row, col]
    known = ~plane[0, 0].isnan()
    if not known.any():
        return plane.new_full(shape, torch.nan)
    plane = plane[:, :, known.any(1)][:, :, :, known.any(0)]
    return F.adaptive_avg_pool2d(plane, shape[2:]).expand(shape)
