"""The self-check: is this tower's sum of parts its representation, and is all attention in it?"""

import warnings
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from kit.errors import KitError
from kit.models.hooks import library_forward, only
from kit.models.stamp import Stamp
from kit.models.trace import hooks_of
from kit.parts.frozen import FrozenGraph, frozen_graph

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


@dataclass(frozen=True)
class Check:
    """What the self-check of a tower found.

    Attributes:
        verdict: `"exact"`: every attention layer became parts. `"partial"`: the sum is exact too,
            but some attention layers are hidden inside other parts.
        error: largest relative distance of the sum from the library's own output.
        tolerance: what was allowed.
        reached, layers: attention layers that became parts, and all.
        kinds: how many parts of each kind there are.
        hiding: the parts that hold the other attention layers, each with the operation on the way that
            no part can pass; empty where the verdict is exact.
    """

    verdict: str
    error: float
    tolerance: float
    reached: int
    layers: int
    kinds: dict[str, int]
    hiding: dict[str, str]

    def __str__(self) -> str:
        walls = "; ".join(f"{part}, behind {operation}" for part, operation in self.hiding.items())
        hidden = f", the others lie inside {walls}" if walls else ""
        return (
            f"{self.verdict}: the parts sum to the representation within {self.error:.0e}; "
            f"{self.reached} of {self.layers} attention layers are parts{hidden}"
        )


def check(model) -> Check:
    """The self-check of a model, made anew at every call.

    Two pictures of noise pass through the library's own module and through the parts. Forward hooks that
    are set on the tower see these pictures too.

    Args:
        model: from `kit.load`.

    Returns:
        `Check`.

    Raises:
        KitError: the sum misses the representation by more than rounding (float64 1e-10; float32
            1e-5, or three times the model's own distance between float32 and float64), also by a
            record of the tower that has just been made. Never an approximation to live with.

    Example:
        >>> import kit
        >>> check(kit.load("stickers-l8")).verdict
        'exact'
    """
    from kit.parts.runs import Run  # whose runs are checked here

    model.check_ready()
    frozen_graph(model).check = None
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, *model.image_size, generator=noise).to(model.device, model.dtype)
    return Run.of(model, pixels).frozen.check


def with_hooks(model, pixels: Tensor) -> tuple[Tensor | None, frozenset | None]:
    """The library's own representation, and the hooks that edit it; of a tower without hooks nothing.

    Said once for each model, since it doubles the price of every run.
    """
    hooks = hooks_of(model)
    if not hooks:
        return None, None
    if not model.__dict__.get("_hooks_said"):
        model._hooks_said = True
        warnings.warn(
            f'"{model.name}" has forward hooks, so each run is compared with the library\'s own forward '
            "on the same pictures, at twice the time; remove hooks that are no longer needed.",
            stacklevel=4,
        )
    return library_forward(model, hooks, pixels)


def fault_of(run, truth: Tensor | None) -> str:
    """What is wrong with a run, a sentence; empty where its parts sum to what the library gives.

    The first run of a frozen graph is held against the library's own forward, and makes its check. Later
    runs are held against their own representation, which the recorded graph computes from the weights as
    they are now, and with hooks against the library too.

    Args:
        run: its `total` is the sum of its parts.
        truth: the library's own representation of the same pixels, where the tower has hooks.

    Raises:
        KitError: the representation itself is not finite, or of another width than it was.
    """
    model, frozen = run.model, run.frozen
    _check_representation(run)
    total = run.total()
    if frozen.check is None:
        hooked = truth is not None
        if not hooked:
            with torch.no_grad():
                truth = model.tower(run.pixels)
            model._record.stamp.settle()  # what a forward writes into its modules is no setting of theirs
        total = run.vectors().sum(1) if total is None else total
        error = _distance(total, truth)
        allowed = _allowed(model, run.pixels, error)
        if not error <= allowed:
            return _missed(model, run.pixels, error, allowed, hooked)
        frozen.check = _check_of(frozen, error, allowed)
        return ""
    own = run.representation
    error = 0.0 if total is None else _distance(total, own)
    return fault_along(run, error if truth is None else max(error, _distance(own, truth)), truth is not None)


def fault_along(run, error: float, hooked: bool = False) -> str:
    """The sentence of a sum that misses its whole by more than rounding explains; else empty."""
    allowed = run.frozen.check.tolerance
    if error > allowed:
        allowed = max(allowed, _allowed(run.model, run.pixels, error))
    return "" if error <= allowed else _missed(run.model, run.pixels, error, allowed, hooked)


def _check_representation(run) -> None:
    """Raise where the tower's own output is nothing that parts could sum to."""
    model, own = run.model, run.representation
    if own.shape[1] != model.embed_dim:
        raise KitError(
            f'"{model.name}" gives vectors of {own.shape[1]} numbers now, it gave {model.embed_dim} when it '
            "was loaded; load it anew, with its new output."
        )
    bad = (~torch.isfinite(own).all(1)).nonzero().flatten().tolist()
    if bad:
        raise KitError(
            f'the representation of image {bad[0]} by "{model.name}" itself is not finite; look at its '
            f"pixels ({_span(run.pixels[bad[0]])}) and at the weights of the model."
        )


def _span(pixels: Tensor) -> str:
    return f"from {float(pixels.min()):.3g} to {float(pixels.max()):.3g}"


def _check_of(frozen: FrozenGraph, error: float, tolerance: float) -> Check:
    layers = frozen.trace.layers
    verdict = "exact" if frozen.reached == layers else "partial"
    kinds = dict(Counter(frozen.index["kind"]))
    return Check(verdict, error, tolerance, frozen.reached, layers, kinds, frozen.hiding())


def _allowed(model, pixels: Tensor, error: float) -> float:
    """The distance that rounding explains; worked out in float64 only where the usual one is passed."""
    allowed = TOLERANCE[model.dtype]
    if error <= allowed or model.dtype != torch.float32:
        return allowed
    finer = model.double()
    outputs = []
    for tower, own in ((model.tower, pixels), (finer.tower, pixels.to(finer.device).double())):
        with only(Stamp(tower).hooks, frozenset()), torch.no_grad():
            outputs.append(tower(own))
    return max(allowed, 3 * _distance(outputs[0].to(outputs[1]), outputs[1]))


def _missed(model, pixels: Tensor, error: float, allowed: float, hooked: bool) -> str:
    """The sentence of a sum that misses, or of a tower that does not stand still."""
    start = (
        f'the parts of "{model.name}" miss its representation by {error:.0e} of its length, allowed '
        f"{allowed:.0e}"
    )
    if hooked:
        return (
            f"{start}: its forward hooks do something that a record of it does not hold, such as a change "
            "through .data, or another one at every call; remove them, or let them return what they change."
        )
    with torch.no_grad():
        again = _distance(model.tower(pixels), model.tower(pixels))
    if again > allowed:
        return (
            f'"{model.name}" gives another representation of the same pictures at every call ({again:.0e} of '
            "its length apart), so no parts sum to it; look for a random or counting step in its forward."
        )
    return f"{start}; this is a defect of the kit for this model, please report its name."


def _distance(value: Tensor, truth: Tensor) -> float:
    """Largest distance of a batch, in lengths of the truth; of a truth of length zero the distance itself."""
    length = truth.norm(dim=-1)
    return float(((value - truth).norm(dim=-1) / length.where(length > 0, torch.ones_like(length))).max())
