"""Reading a recorded graph: shapes, module paths, and values that are known beforehand."""

import torch
from torch import fx

aten = torch.ops.aten
SDPA = aten.scaled_dot_product_attention.default
# batch size of the example that is recorded: any number above 1 that is not 1 or 2
EXAMPLE_BATCH = 3

# operations that put numbers elsewhere and change none of them
MOVES = {
    aten.view.default,
    aten.reshape.default,
    aten._unsafe_view.default,
    aten.flatten.using_ints,
    aten.unflatten.int,
    aten.unsqueeze.default,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.contiguous.default,
    aten.clone.default,
    aten.permute.default,
    aten.transpose.int,
    aten.t.default,
    aten.movedim.int,
}


def shape_of(node: fx.Node) -> list[int]:
    """Shape of a node's value for the recorded example; the batch is `EXAMPLE_BATCH`."""
    return [s.node.hint if isinstance(s, torch.SymInt) else s for s in node.meta["val"].shape]


def shape_for(value: torch.Tensor, batch: int) -> list[int]:
    """Shape of a recorded value for `batch` images."""
    return [s.node.hint // EXAMPLE_BATCH * batch if isinstance(s, torch.SymInt) else s for s in value.shape]


def module_path(node: fx.Node) -> str:
    """Path of the module whose forward made the node; the tower itself is the empty path."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values() if path and not path.startswith("_empty")]
    return paths[-1].removeprefix("model.") if paths else ""


def number(value: object, batch: int = EXAMPLE_BATCH) -> object:
    """An argument of a node with every size that follows the batch worked out for `batch` images."""
    if isinstance(value, list | tuple):
        return type(value)(number(v, batch) for v in value)
    if not isinstance(value, fx.Node):
        return value
    size = value.meta["val"]
    if not isinstance(size, torch.SymInt):
        return size
    return size.node.hint // EXAMPLE_BATCH * batch


def image_dependent(graph: fx.Graph) -> set[fx.Node]:
    """Nodes whose value depends on the pixels; sizes and the type of the input do not count."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        is_size = isinstance(node.meta.get("val"), torch.SymInt)
        read = node.args[:1] if node.target is aten.type_as.default else node.all_input_nodes
        if node.op == "placeholder" or (not is_size and any(a in found for a in read)):
            found.add(node)
    return found


def numbers(kwargs: dict[str, object]) -> dict[str, object]:
    """`number` of every keyword argument."""
    return {name: number(value) for name, value in kwargs.items()}
