"""Records of towers that are kept between runs: under which name, and whether one is still true."""

import hashlib
import json
import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor, fx, nn
from tqdm import tqdm

from kit import cache as files
from kit.models.digest import digest_of
from kit.models.nodes import Value, shape_for, size_for
from kit.models.records import rebuilt, written

# what decides how a tower is recorded and how that is said
CODE = ("trace.py", "attention.py", "nodes.py", "digest.py", "records.py", "operations.py")
LIBRARIES = ("torch", "torchvision", "timm", "open_clip", "transformers")
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}  # as of the self-check of parts
SLOW = 2.0  # seconds after which a recording says that it is going on


class Kept:
    """The place of one tower's record.

    Attributes:
        name: of the file; None where nothing of this tower can be kept: there is no folder, or the tower
            has hooks or attributes that another process could not compare.
    """

    def __init__(self, tower: nn.Module, size: tuple[int, int], like: Tensor):
        self.tower, self.size, self.like = tower, size, like
        structure = digest_of(tower) if files.folder() is not None else None
        self.name = None
        if structure is not None:
            about = [structure, list(size), str(like.dtype), like.device.type, _surroundings()]
            self.name = f"record-{hashlib.sha256(json.dumps(about).encode()).hexdigest()}.json"

    @property
    def later(self) -> str:
        """What comes of a recording, to be said while it is made."""
        return f" once; later runs read it from {files.folder()}" if self.name else ""

    def read(self) -> fx.GraphModule | None:
        """The graph of a kept record; None where there is none that is whole and true."""
        data = files.read(self.name) if self.name is not None else None
        if data is None:
            return None
        digest, _, record = data.partition(b"\n")
        if digest != self._digest(record):
            return None
        try:
            with torch.inference_mode(False), torch.no_grad():
                module = rebuilt(record, self.tower, self.like.device)
                return module if self._is_true(module) else None
        except Exception:  # the file may hold anything; whatever is wrong with it, the record is made anew
            return None

    def write(self, module: fx.GraphModule) -> None:
        """Keep a recorded graph, if it can be kept."""
        record = written(module, self.tower, self.like.device) if self.name is not None else None
        if record is not None:
            files.write(self.name, self._digest(record) + b"\n" + record)

    def _digest(self, record: bytes) -> bytes:
        """What tells a whole record, in its own file, from a damaged one."""
        return hashlib.sha256(self.name.encode() + record).hexdigest().encode()

    def _is_true(self, module: fx.GraphModule) -> bool:
        """Does a graph give what the tower itself gives, and is every value in it as was foretold?"""
        noise = torch.randn(1, 3, *self.size, generator=torch.Generator().manual_seed(0))
        pixels = noise.to(self.like)
        found, truth = _Foretold(module).run(pixels), self.tower(pixels)
        error = float((found - truth).norm() / truth.norm())
        return error <= TOLERANCE.get(self.like.dtype, 0.0)


class _Foretold(fx.Interpreter):
    """Runs a graph for one image and holds every value against what its record says of it."""

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        _expect(value, n.meta["val"])
        return value


def _expect(value: object, told: object) -> None:
    if isinstance(told, Value):
        if list(value.shape) != shape_for(told, 1) or value.dtype != told.dtype:
            raise ValueError(f"a value is of another shape or type than {told}")
    elif isinstance(told, tuple):
        for v, t in zip(value, told, strict=True):
            _expect(v, t)
    elif told is not None and value != size_for(told, 1):
        raise ValueError(f"a size is {value}, not {told}")


@cache
def _surroundings() -> list[str]:
    """Versions and code on which a record depends, apart from the tower."""
    try:
        kit = version("loupe")
    except PackageNotFoundError:  # the folder of a clone, not installed
        kit = ""
    found = [getattr(sys.modules.get(name), "__version__", "") for name in LIBRARIES]
    code = hashlib.sha256(b"".join((Path(__file__).parent / name).read_bytes() for name in CODE))
    return [platform.python_version(), kit, *found, code.hexdigest()]


@contextmanager
def said_if_slow(what: str) -> Iterator[None]:
    """Say `what` in a line on stderr, above any bar, if a block takes more than two seconds."""

    def say() -> None:
        if "TQDM_DISABLE" not in os.environ:
            tqdm.write(what, file=sys.stderr)

    timer = threading.Timer(SLOW, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
