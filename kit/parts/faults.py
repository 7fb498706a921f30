"""What is wrong with a run: whether its parts sum to what the library gives, and its maps to their heads."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, fx

from kit.errors import KitError
from kit.models.hooks import only
from kit.models.model import Model
from kit.models.nodes import aten
from kit.models.stamp import Stamp
from kit.parts.check import TOLERANCE, Check
from kit.parts.frozen import FrozenGraph
from kit.parts.hook_points import HookPoints, hooked
from kit.parts.runs import Run, distance
from kit.parts.splits import split_errors


def fault_of(run: Run, truth: Tensor | None, anew: Callable[..., Run]) -> str:
    """What is wrong with a run, a sentence; empty where its parts sum to what the library gives.

    The first run of a frozen graph is held against the library's own forward, and makes its check. Later
    runs are held against their own representation, which the recorded graph computes from the weights as
    they are now, and with hooks against the library too.

    Args:
        run: its `gap` says how far the sum of its parts is from its representation.
        truth: the library's own representation of the same pixels, where the tower has hooks.
        anew: makes a checked run of a copy in float64, where that has to decide.

    Raises:
        KitError: the representation itself is not finite, or of another width than it was.
    """
    model, frozen = run.model, run.frozen
    _check_representation(run)
    if frozen.check is None:
        hooked = truth is not None
        if not hooked:
            with torch.no_grad():
                truth = model.tower(run.pixels)
            model._record.stamp.settle()  # what a forward writes into its modules is no setting of theirs
        error = distance(run.vectors().sum(1), truth)
        allowed = _allowed(model, run.pixels, error)
        if not error <= allowed:
            return _missed(model, run.pixels, error, allowed, hooked)
        frozen.check = _check_of(run, error, allowed)
        _check_tokens(run, anew)
        return ""
    _check_tokens(run, anew)
    error = run.gap()
    if truth is not None:
        error = max(error, distance(run.representation, truth))
    return fault_along(run, error, truth is not None)


def fault_along(run: Run, error: float, hooked: bool = False) -> str:
    """The sentence of a sum that misses its whole by more than rounding explains; else empty."""
    allowed = run.frozen.check.tolerance
    if error > allowed:
        allowed = max(allowed, _allowed(run.model, run.pixels, error))
    return "" if error <= allowed else _missed(run.model, run.pixels, error, allowed, hooked)


def _check_representation(run: Run) -> None:
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


def _check_tokens(run: Run, anew: Callable[..., Run]) -> None:
    """Hold token maps against their heads, the first time that a run of a frozen graph keeps tokens.

    Where they are further apart than the sum may be, a copy in float64 says whether that is rounding.
    """
    if not run.tokens or run.frozen.check.tokens is not None:
        return
    found = run.frozen.check.with_tokens(split_errors(run))
    if found.wrong_splits and run.model.dtype == torch.float32:
        finer = run.model.double()
        finely = anew(finer, run.pixels.to(finer.device).double(), tokens=True).frozen.check
        found = replace(found, wrong_splits=finely.wrong_splits)
    run.frozen.check = found


def _check_of(run: Run, error: float, tolerance: float) -> Check:
    frozen = run.frozen
    kinds, silent = dict(Counter(frozen.index["kind"])), tuple(frozen.silent)
    apart = bool(silent) and read_by_attention_alone(frozen, run.pixels[:1])
    layers, accounted = frozen.trace.layers, frozen.reached + (len(silent) if apart else 0)
    verdict = "exact" if frozen.reached and accounted == layers else "partial"
    hiding = frozen.hiding(silent=not apart)
    return Check(
        verdict if layers else "no attention", error, tolerance, frozen.reached, layers, kinds, hiding, silent
    )


def _allowed(model: Model, pixels: Tensor, error: float) -> float:
    """The distance that rounding explains; worked out only where the usual one is passed.

    It is three times what the tower's own rounding changes: of one in float32 all of it, of one in float64
    that of the steps which its library computes in float32 whatever the model is in.
    """
    allowed = TOLERANCE[model.dtype]
    if error <= allowed:
        return allowed
    if model.dtype == torch.float64:
        return max(allowed, 3 * _float32_rounding(model, pixels))
    finer = model.double()
    outputs = []
    for tower, own in ((model.tower, pixels), (finer.tower, pixels.to(finer.device).double())):
        with only(Stamp(tower).hooks, frozenset()), torch.no_grad():
            outputs.append(tower(own))
    return max(allowed, 3 * distance(outputs[0].to(outputs[1]), outputs[1]))


def _float32_rounding(model: Model, pixels: Tensor) -> float:
    """What steps in float32 change of a representation in float64; chance is the same with and without."""
    graph, outputs = model._record.trace.module, []
    for run in (graph, _Unrounded(graph).run):
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            outputs.append(run(pixels))
    return distance(*outputs)


class _Unrounded(fx.Interpreter):
    """Runs a graph that was recorded in float64 without the steps that round to float32."""

    def call_function(self, target, args: tuple, kwargs: dict) -> object:
        if target is aten.to.dtype and args[1] == torch.float32 and args[0].is_floating_point():
            return args[0]
        return super().call_function(target, args, kwargs)


def _missed(model: Model, pixels: Tensor, error: float, allowed: float, hooked: bool) -> str:
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
        again = distance(model.tower(pixels), model.tower(pixels))
    if again > allowed:
        return (
            f'"{model.name}" gives another representation of the same pictures at every call ({again:.0e} of '
            "its length apart), so no parts sum to it; look for a random or counting step in its forward."
        )
    return f"{start}; this is a defect of the kit for this model, please report its name."


def read_by_attention_alone(frozen: FrozenGraph, pixels: Tensor) -> bool:
    """Whether silent layers act through other attention layers and through nothing else.

    They are silenced while the outputs of all other attention layers are held: a representation that
    moves is reached by another way, through a branch, a gate or the spread of a norm.

    Args:
        frozen: the tower, with silent layers.
        pixels: [batch, 3, height, width].
    """
    hook_points = _Silenced(set(frozen.silent))
    with torch.no_grad():
        before, after = (hooked(frozen)(pixels, hook_points) for _ in range(2))
    return torch.equal(before, after)


class _Silenced(HookPoints):
    """Keeps what attention layers write in a first pass and gives it again in a second, silent ones zero."""

    def __init__(self, silent: set[int]):
        self.silent = silent
        self.kept: dict[int, Tensor] = {}

    def attention(self, layer: int, call, out: Tensor) -> Tensor:
        if layer not in self.kept:
            self.kept[layer] = torch.zeros_like(out) if layer in self.silent else out
            return out
        return self.kept[layer]
