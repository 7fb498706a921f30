"""Reading a recorded graph: shapes, module paths, and values that are known beforehand."""

from dataclasses import dataclass
from operator import attrgetter

import torch
from torch import fx

aten = torch.ops.aten
SDPA = aten.scaled_dot_product_attention.default
# batch size of the example that is recorded: any number above 1 that is not 1 or 2
EXAMPLE_BATCH = 3


def ops(names: str) -> set:
    """Operations of aten by name, such as "view.default"; an unknown name is an error at import."""
    return {attrgetter(name)(aten) for name in names.split()}


# operations that put numbers elsewhere and change none of them
MOVES = ops(
    "view.default reshape.default _unsafe_view.default flatten.using_ints unflatten.int unsqueeze.default "
    "squeeze.default squeeze.dim squeeze.dims contiguous.default clone.default permute.default "
    "transpose.int t.default movedim.int"
)


class PerImage(int):
    """A size that follows the batch: its number for the recorded example."""


@dataclass(frozen=True)
class Value:
    """What is known of a tensor before it is computed.

    Attributes:
        shape: for the recorded example; sizes that follow the batch are `PerImage`.
        dtype: its type.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)


def known(value: object) -> object:
    """A recorded value as plain data: `Value` for a tensor, a number for a size, a tuple for several."""
    if isinstance(value, torch.Tensor):
        return Value(tuple(known(size) for size in value.shape), value.dtype)
    if isinstance(value, torch.SymInt):
        return PerImage(value.node.hint)
    return tuple(known(v) for v in value) if isinstance(value, list | tuple) else value


def path_in(stack: dict) -> str:
    """Path of the innermost module of a recorded stack of calls; the tower itself is the empty path."""
    paths = [path for path, _ in stack.values() if path and not path.startswith("_empty")]
    return paths[-1].removeprefix("model.") if paths else ""


def shape_of(node: fx.Node) -> list[int]:
    """Shape of a node's value for the recorded example; the batch is `EXAMPLE_BATCH`."""
    return [int(size) for size in node.meta["val"].shape]


def shape_for(value: Value, batch: int) -> list[int]:
    """Shape of a recorded value for `batch` images."""
    return [size_for(size, batch) for size in value.shape]


def size_for(size: object, batch: int) -> object:
    """A recorded size for `batch` images; what does not follow the batch stays as it is."""
    return size // EXAMPLE_BATCH * batch if isinstance(size, PerImage) else size


def module_path(node: fx.Node) -> str:
    """Path of the module whose forward made the node; the tower itself is the empty path."""
    return node.meta.get("module", "")


def number(value: object, batch: int = EXAMPLE_BATCH) -> object:
    """An argument of a node with every size that follows the batch worked out for `batch` images."""
    if isinstance(value, list | tuple):
        return type(value)(number(v, batch) for v in value)
    return size_for(value.meta["val"], batch) if isinstance(value, fx.Node) else value


def image_dependent(graph: fx.Graph) -> set[fx.Node]:
    """Nodes whose value depends on the pixels; sizes and the type of the input do not count."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        is_size = isinstance(node.meta.get("val"), PerImage)
        read = node.args[:1] if node.target is aten.type_as.default else node.all_input_nodes
        if node.op == "placeholder" or (not is_size and any(a in found for a in read)):
            found.add(node)
    return found


def numbers(kwargs: dict[str, object]) -> dict[str, object]:
    """`number` of every keyword argument."""
    return {name: number(value) for name, value in kwargs.items()}
