"""The record of a tower as plain data: operations by name, literals and shapes, and no weights.

`torch.export` takes seconds to record a tower; its record, written as JSON, is read back in a tenth of a
second or less. The graph that is read back reads the module's own parameters and buffers by name, as the
original does. A record lies in a file that anything may have written, so nothing of it is believed:
names are looked up in closed lists, and a record that names anything else, that refers to what comes
later or that is of a size that no tower has is not used.
"""

import json
import math
import operator
import re

import torch
from torch import Tensor, fx, nn

from kit.models.nodes import EXAMPLE_BATCH, PerImage, Value
from kit.models.operations import NAMES, OPERATIONS

FORMAT = 1
MOST_NODES = 20_000
MOST_NUMBERS = 2**31  # of one value for the recorded example
MOST_INTEGER = 2**63 - 1  # the end of a slice without an end
SMALL = 4096  # numbers of a constant that the tower's own code makes
WORD = re.compile(r"[A-Za-z_,.> -]{0,64}")  # modes and equations
DOTTED = re.compile(r"\w+(\.\w+)*", re.ASCII)
KINDS = {  # of literals that JSON does not have
    kind: {str(v).removeprefix("torch."): v for v in vars(torch).values() if isinstance(v, of)}
    for kind, of in [("dtype", torch.dtype), ("layout", torch.layout), ("format", torch.memory_format)]
}


class Unknown(ValueError):
    """Something that has no place in a record."""


def written(module: fx.GraphModule, tower: nn.Module, device: torch.device) -> bytes | None:
    """A recorded tower as JSON; None where it holds what a record cannot say.

    Args:
        module: the recorded graph, as `kit.models.trace` makes it.
        tower: the module that was recorded.
        device: where it lies.
    """
    try:
        return json.dumps(_Writer(module, tower, device).record(), separators=(",", ":")).encode()
    except (Unknown, LookupError):
        return None


def rebuilt(data: bytes, tower: nn.Module, device: torch.device) -> fx.GraphModule:
    """The graph that a record tells of, over the parameters and buffers of `tower`.

    Raises:
        Exception: of any kind; this is no record, or none of this tower.
    """
    return _Reader(tower, device).module(json.loads(data))


def own_tensors(tower: nn.Module) -> dict[str, Tensor]:
    """Parameters, buffers and plain tensors of a module tree, by every name that they have."""
    plain = {
        f"{path}.{name}" if path else name: value
        for path, module in tower.named_modules(remove_duplicate=False)
        for name, value in vars(module).items()
        if isinstance(value, Tensor)
    }
    named = [*tower.named_parameters(remove_duplicate=False), *tower.named_buffers(remove_duplicate=False)]
    return plain | dict(named)


def _paths(tower: nn.Module) -> set[str]:
    """Paths of modules as nodes name them, without the `model.` in front."""
    return {path.removeprefix("model.") for path, _ in tower.named_modules(remove_duplicate=False)}


def _need(condition: object, what: object) -> None:
    if not condition:
        raise Unknown(str(what))


class _Writer:
    """Says a graph in plain data; values and module paths, which occur often, are said once."""

    def __init__(self, module: fx.GraphModule, tower: nn.Module, device: torch.device):
        self.module, self.device = module, device
        self.own, self.paths = own_tensors(tower), _paths(tower)
        self.places: dict[fx.Node, int] = {}
        self.values: dict[str, int] = {}
        self.modules: dict[str, int] = {}
        self.constants: dict[str, dict] = {}

    def record(self) -> dict:
        *nodes, output = self.module.graph.nodes
        said = []
        for place, node in enumerate(nodes):
            said.append(self._node(node))
            self.places[node] = place
        _need(output.op == "output" and len(output.args) == 1, output.op)
        return {
            "format": FORMAT,
            "values": [json.loads(value) for value in self.values],
            "modules": list(self.modules),
            "constants": self.constants,
            "nodes": said,
            "output": self.places[output.args[0]],
        }

    def _node(self, node: fx.Node) -> object:
        """Name of a tensor; or [value, module] of the pixels; or [value, module, operation, args, kwargs]."""
        if node.op == "get_attr":
            tensor = operator.attrgetter(node.target)(self.module)
            if self.own.get(node.target) is not tensor:
                self.constants[node.target] = self._constant(node.target, tensor)
            return node.target
        value, path = json.dumps(_said(node.meta["val"])), node.meta["module"]
        _need(path in self.paths, path)
        about = [self.values.setdefault(value, len(self.values))]
        about.append(self.modules.setdefault(path, len(self.modules)))
        if node.op == "placeholder":
            return about
        _need(node.op == "call_function", node.op)
        args = [self._argument(a) for a in node.args]
        return [*about, NAMES[node.target], args, {k: self._argument(v) for k, v in node.kwargs.items()}]

    def _constant(self, name: str, tensor: Tensor) -> dict:
        """A tensor that the tower's own code made, such as `torch.tensor([0.5, 2.0])` in its forward."""
        _need(isinstance(tensor, Tensor), name)  # a graph within the graph, of a block under autocast
        _need(name not in self.own and tensor.numel() <= SMALL and tensor.device == self.device, name)
        _need(not tensor.is_complex(), name)
        numbers = tensor.detach().flatten().tolist()
        return {"dtype": _name("dtype", tensor.dtype), "shape": list(tensor.shape), "numbers": numbers}

    def _argument(self, value: object) -> object:
        """An argument; what JSON does not have is said as an object of one entry."""
        if isinstance(value, fx.Node):
            return {"node": self.places[value]}
        if isinstance(value, list | tuple):
            said = [self._argument(v) for v in value]
            return {"tuple": said} if isinstance(value, tuple) else said
        if isinstance(value, slice):
            return {"slice": [self._argument(v) for v in (value.start, value.stop, value.step)]}
        if isinstance(value, torch.device):
            _need(value == self.device, value)
            return {"device": "own"}
        if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
            kind = next(kind for kind, names in KINDS.items() if value in names.values())
            return {kind: _name(kind, value)}
        return _plain(value)


class _Reader:
    """Makes a graph of plain data, and believes nothing."""

    def __init__(self, tower: nn.Module, device: torch.device):
        self.device = device
        self.tensors, self.paths = own_tensors(tower), _paths(tower)
        self.nodes: list[fx.Node] = []

    def module(self, record: dict) -> fx.GraphModule:
        _need(record["format"] == FORMAT and len(record["nodes"]) <= MOST_NODES, "format")
        self.values = [_read_value(value) for value in record["values"]]
        _need(self.paths.issuperset(record["modules"]), "modules")
        self.modules = record["modules"]
        for name, constant in record["constants"].items():
            _need(DOTTED.fullmatch(name) and name not in self.tensors, name)
            self.tensors[name] = self._constant(**constant)
        graph = fx.Graph()
        for said in record["nodes"]:
            self.nodes.append(self._node(graph, said))
        graph.output(self._node_at(record["output"]))
        graph.output_node().meta = {"val": None, "module": ""}
        _need(sum(n.op == "placeholder" for n in self.nodes) == 1, "pixels")
        used = {n.target: self.tensors[n.target] for n in self.nodes if n.op == "get_attr"}
        return fx.GraphModule(used, graph)

    def _node(self, graph: fx.Graph, said: object) -> fx.Node:
        if type(said) is str:
            tensor = self.tensors[said]
            node = graph.get_attr(said)
            node.meta = {"val": Value(tuple(tensor.shape), tensor.dtype), "module": ""}
            return node
        value, path, *call = said
        if call:
            name, args, kwargs = call
            operation = OPERATIONS[name]
            names = {a.name for a in operation._schema.arguments} if hasattr(operation, "_schema") else set()
            _need(names.issuperset(kwargs), name)
            args = tuple(self._argument(a) for a in args)
            # the one operation here that may write: to running statistics, in train mode
            _need(name != "batch_norm.default" or args[5] is False, name)
            node = graph.call_function(operation, args, {k: self._argument(v) for k, v in kwargs.items()})
        else:
            node = graph.placeholder("pixels")
        node.meta = {"val": _at(self.values, value), "module": _at(self.modules, path)}
        return node

    def _node_at(self, place: object) -> fx.Node:
        return _at(self.nodes, place)

    def _constant(self, dtype: str, shape: list, numbers: list) -> Tensor:
        _need(len(numbers) <= SMALL and all(type(n) in (bool, int, float) for n in numbers), "constant")
        made = torch.tensor(numbers, dtype=KINDS["dtype"][dtype], device=self.device)
        return made.reshape([_integer(size) for size in shape])

    def _argument(self, said: object) -> object:
        if isinstance(said, list):
            return [self._argument(v) for v in said]
        if not isinstance(said, dict):
            return _plain(said)
        ((kind, of),) = said.items()
        if kind == "node":
            return self._node_at(of)
        if kind == "tuple":
            return tuple(self._argument(v) for v in of)
        if kind == "slice":
            return slice(*[None if v is None else _integer(v, negative=True) for v in of])
        if kind == "device":
            _need(of == "own", of)
            return self.device
        return KINDS[kind][of]


def _name(kind: str, value: object) -> str:
    return str(value).removeprefix("torch.")


def _plain(value: object) -> object:
    """A literal that JSON has."""
    if type(value) is int:
        return _integer(value, negative=True)
    known = value is None or type(value) in (bool, float)
    _need(known or (type(value) is str and WORD.fullmatch(value)), type(value))
    return value


def _integer(value: object, negative: bool = False) -> int:
    _need(type(value) is int and abs(value) <= MOST_INTEGER and (negative or value >= 0), value)
    return value


def _at(things: list, place: object):
    return things[_integer(place)]


def _said(value: object) -> object:
    """What is known of a node's value; [n] is n for each image."""
    if isinstance(value, Value):
        return {"dtype": _name("dtype", value.dtype), "shape": [_said(size) for size in value.shape]}
    if isinstance(value, PerImage):
        _need(value % EXAMPLE_BATCH == 0, value)
        return [value // EXAMPLE_BATCH]
    if isinstance(value, tuple):
        return {"several": [_said(v) for v in value]}
    return value if value is None else _integer(value)


def _read_value(said: object, deep: bool = True) -> object:
    """What `_said` said."""
    if isinstance(said, list):
        (count,) = said
        return PerImage(EXAMPLE_BATCH * _integer(count))
    if not isinstance(said, dict):
        return said if said is None else _integer(said)
    if deep and "several" in said:
        return tuple(_read_value(v, deep=False) for v in said["several"])
    shape = tuple(_read_value(size, deep=False) for size in said["shape"])
    _need(all(isinstance(size, int) for size in shape) and math.prod(shape) <= MOST_NUMBERS, "shape")
    return Value(shape, KINDS["dtype"][said["dtype"]])
