"""A digest of what a recording of a module depends on: its classes, their code, attributes and shapes.

The values of weights are no part of it: a recorded graph reads the module's own. Two modules with one
digest are recorded alike, in this process or in another. Where something cannot be told in a way that
another process would understand, there is no digest.
"""

import enum
import functools
import hashlib
import types
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

LARGEST = 2**20  # numbers of a plain tensor among the attributes; larger ones are not looked at
_OWN = frozenset(vars(nn.Module()))  # what every module has
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_SIMPLE = (
    bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.layout, torch.memory_format,
)  # fmt: skip
_CONTAINERS = (list, tuple, dict, set, frozenset)


class Untold(Exception):
    """Something that another process could not compare."""


def digest_of(module: nn.Module) -> str | None:
    """sha256 over the structure of a module tree; None where it has hooks, or holds what cannot be told.

    Example:
        >>> digest_of(nn.Linear(2, 3)) == digest_of(nn.Linear(2, 3)) != digest_of(nn.Linear(2, 4))
        True
    """
    try:
        digest = hashlib.sha256()
        for line in _Outline(module).lines():
            digest.update(line.encode("utf-8", "surrogatepass") + b"\n")
    except (Untold, RecursionError, ValueError):  # ValueError: a variable of a closure that was never set
        return None
    return digest.hexdigest()


class _Outline:
    """Lines that say what a module tree is; whatever was met before is named by where it was met."""

    def __init__(self, module: nn.Module):
        self.root = module
        self.met: dict[int, str] = {}
        self.kept: list[object] = []  # so that no identity is used twice
        self.classes: dict[type, str] = {}
        for path, child in module.named_modules():
            self.met[id(child)] = f"module {path}"
        for path, value in [*module.named_parameters(), *module.named_buffers()]:
            self.met[id(value)] = f"tensor {path}"

    def lines(self) -> Iterator[str]:
        if any(getattr(nn.modules.module, f"_global{name}") for name in _HOOKS):
            raise Untold("hooks of all modules")
        for path, module in self.root.named_modules(remove_duplicate=False):
            if self.met[id(module)] != f"module {path}":
                yield f"{path} is {self.met[id(module)]}"
                continue
            yield path
            yield from self._module(module)

    def _module(self, module: nn.Module) -> Iterator[str]:
        if any(getattr(module, name, None) for name in _HOOKS):
            raise Untold("hooks")
        yield self._class(type(module))
        yield f"training {module.training}"
        for kind in ("_parameters", "_buffers"):
            for name, value in getattr(module, kind).items():
                what = None if value is None else f"{value.dtype} {list(value.shape)} {self.met[id(value)]}"
                yield f"{kind} {name} {what}"
        yield f"children {list(module._modules)}"
        for name, value in vars(module).items():
            if name not in _OWN:
                yield f"{name} {self.told(value)}"

    def told(self, value: object) -> str:
        """A value in words that are the same in every process."""
        if value is None or value is Ellipsis or type(value) in _SIMPLE:
            return repr(value)
        if id(value) in self.met:
            return self.met[id(value)]
        if isinstance(value, Tensor | np.ndarray):
            return _numbers(value)
        if isinstance(value, type):
            return self._class(value)
        if not isinstance(value, _CONTAINERS):
            self.met[id(value)] = f"met {len(self.met)}"
            self.kept.append(value)
        return self._function(value) or self._object(value)

    def _function(self, value: object) -> str:
        """A function of any kind in words; empty for what is none."""
        if isinstance(value, types.FunctionType):
            bound = [self.told(cell.cell_contents) for cell in value.__closure__ or ()]
            given = self.told([value.__defaults__, value.__kwdefaults__])
            return f"{value.__module__}.{value.__qualname__} {_code(value.__code__)} {bound} {given}"
        if isinstance(value, types.MethodType):
            return f"{self.told(value.__func__)} of {self.told(value.__self__)}"
        if isinstance(value, functools.partial):
            return f"partial {self.told([value.func, value.args, value.keywords])}"
        if isinstance(value, types.BuiltinFunctionType) and isinstance(
            value.__self__, types.ModuleType | types.NoneType | type
        ):
            return f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
            return f"{value}"
        return ""

    def _object(self, value: object) -> str:
        kind = self._class(type(value))
        if isinstance(value, dict):
            return f"{kind}{{{', '.join(f'{self.told(k)}: {self.told(v)}' for k, v in value.items())}}}"
        if isinstance(value, set | frozenset):
            return f"{kind}{sorted(map(self.told, value))}"
        if isinstance(value, list | tuple):
            return f"{kind}[{', '.join(map(self.told, value))}]"
        if isinstance(value, enum.Enum):
            return f"{kind} {value.name}"
        if isinstance(value, np.generic):
            return f"{kind} {value.tobytes().hex()}"
        if isinstance(value, types.ModuleType):
            return f"module {value.__name__}"
        if isinstance(value, nn.Module):  # one that no parent registered
            for name, held in [*value.named_parameters(), *value.named_buffers()]:
                self.met.setdefault(id(held), f"tensor {name} of another module")
            return " ".join([kind, *self._module(value), *map(self.told, value.children())])
        plain = type(value).__reduce_ex__ is object.__reduce_ex__ and not hasattr(type(value), "__slots__")
        if plain and hasattr(value, "__dict__"):
            return f"{kind}({self.told(vars(value))})"
        raise Untold(kind)

    def _class(self, kind: type) -> str:
        """Name of a class and a digest of the code of its methods, inherited ones included.

        The code tells apart classes of one name, such as two versions of a notebook's cell, and shows a
        method that was put in another's place.
        """
        if kind not in self.classes:
            codes = []
            for base in kind.__mro__:
                if base in (nn.Module, object) or base.__module__ == "builtins":
                    continue
                items = list(vars(base).items())
                codes += [f"{name} {_code(f.__code__)}" for name, value in items for f in _functions(value)]
            digest = hashlib.sha256(repr(codes).encode()).hexdigest()
            self.classes[kind] = f"{kind.__module__}.{kind.__qualname__} {digest}"
        return self.classes[kind]


def _numbers(value: Tensor | np.ndarray) -> str:
    """Type, shape and values of an array that is no registered weight."""
    if isinstance(value, Tensor):
        if value.is_meta or value.layout is not torch.strided or value.numel() > LARGEST:
            raise Untold("a tensor")
        head, value = f"{value.dtype} {list(value.shape)}", value.detach().cpu().contiguous().reshape(-1)
        return f"{head} {hashlib.sha256(value.view(torch.uint8).numpy().tobytes()).hexdigest()}"
    if value.dtype.hasobject or value.size > LARGEST:
        raise Untold("an array")
    return f"{value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value)).hexdigest()}"


def _functions(value: object) -> list[types.FunctionType]:
    """The functions behind an attribute of a class."""
    if isinstance(value, property):
        found = [value.fget, value.fset]
    elif isinstance(value, functools.cached_property):
        found = [value.func]
    else:
        found = [getattr(value, "__func__", value)]
    found += [f.__wrapped__ for f in found if hasattr(f, "__wrapped__")]
    return [f for f in found if isinstance(f, types.FunctionType)]


def _code(code: types.CodeType) -> str:
    """What a function does, without where it stands in its file."""
    return hashlib.sha256(repr(_steps(code)).encode("utf-8", "surrogatepass")).hexdigest()


def _steps(code: types.CodeType) -> list:
    constants = []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            constants.append(_steps(constant))
        elif isinstance(constant, frozenset):
            constants.append(sorted(map(repr, constant)))
        else:
            constants.append(repr(constant))
    return [code.co_code, code.co_names, code.co_freevars, constants]
