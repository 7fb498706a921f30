"""How much memory a pass of a tower takes, read from its recorded graph."""

from typing import TYPE_CHECKING

import torch
from torch import fx

from kit.errors import KitError
from kit.models.build import free_memory
from kit.models.nodes import MOVES, Value, shape_for
from kit.models.trace import trace_of

if TYPE_CHECKING:
    from kit.models.model import Model


def pass_memory(model: "Model", batch: int) -> int:
    """Bytes that the values of one forward pass take at most, weights aside.

    Walks the recorded graph in order and counts what is alive: a value lives from the operation that
    makes it to the last one that reads it, or a view of it. What kernels take inside is not known.

    Args:
        model: from `kit.load`.
        batch: images at once.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> pass_memory(model, 64) // pass_memory(model, 32)
        2
    """
    nodes = list(trace_of(model).module.graph.nodes)
    owner: dict[fx.Node, fx.Node] = {}
    last: dict[fx.Node, int] = {}
    for at, node in enumerate(nodes):
        owner[node] = owner[node.all_input_nodes[0]] if node.target in MOVES else node
        for read in node.all_input_nodes:
            last[owner[read]] = at
    ends: dict[int, list[fx.Node]] = {}
    for node, at in last.items():
        ends.setdefault(at, []).append(node)
    alive = most = 0
    for at, node in enumerate(nodes):
        alive += _bytes(node, batch) if owner[node] is node else 0
        most = max(most, alive)
        alive -= sum(_bytes(dead, batch) for dead in ends.get(at, ()))
    return most


def check_pass(model: "Model", batch: int) -> int:
    """The estimate of `pass_memory`, or an error where so much is not free.

    Raises:
        KitError: names the estimate, what is free, and the largest batch that fits.
    """
    needed = pass_memory(model, batch)
    free = torch.cuda.mem_get_info(model.device)[0] if model.device.type == "cuda" else free_memory()
    if needed > free:
        fits = max(1, int(batch * free / needed))
        raise KitError(
            f'{batch} images at once through "{model.name}" need about {needed / 2**30:.1f} GiB, but '
            f"{free / 2**30:.1f} GiB are free; pass batch={fits} or less."
        )
    return needed


def _bytes(node: fx.Node, batch: int) -> int:
    """Size of the value that an operation makes; parameters and numbers take none."""
    values = node.meta.get("val")
    values = values if isinstance(values, tuple | list) else [values]
    if node.op == "get_attr":
        return 0
    tensors = [v for v in values if isinstance(v, Value)]
    return sum(torch.Size(shape_for(v, batch)).numel() * v.dtype.itemsize for v in tensors)
