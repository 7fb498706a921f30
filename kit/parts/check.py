"""The self-check: is this tower's sum of parts its representation, and is all attention in it?"""

import warnings
from collections import Counter
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from kit.errors import KitError
from kit.models.hooks import Hooks, library_forward, only
from kit.models.stamp import Stamp
from kit.parts.frozen import frozen_graph
from kit.parts.silent import read_by_attention_alone
from kit.parts.splits import split_errors, wrong

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


@dataclass(frozen=True)
class Check:
    """What the self-check of a tower found.

    Attributes:
        verdict: `"exact"`: every attention layer that writes to the representation became parts.
            `"partial"`: the sum is exact too, but some attention layers are hidden inside other parts.
            `"no attention"`: the sum is exact, of whole branches, for there is no attention layer.
        error: largest relative distance of the sum from the library's own output.
        tolerance: what was allowed.
        reached, layers: attention layers that became parts which can be other than zero, and all.
        kinds: how many parts of each kind there are.
        hiding: the parts that hold the other attention layers, each with the operation on the way that
            no part can pass; empty where the verdict is exact.
        silent: attention layers whose parts are zero whatever the weights are, since the representation
            reads nothing that they write. Where the verdict is exact, later attention alone reads it.
        tokens: largest distance of a layer's token maps from the scores of its heads, relative to the
            maps; None until a first run kept tokens.
        wrong_splits: layers whose maps are further away than allowed, with the distance, by source and
            by position; their maps are refused.
    """

    verdict: str
    error: float
    tolerance: float
    reached: int
    layers: int
    kinds: dict[str, int]
    hiding: dict[str, str]
    silent: tuple[int, ...] = ()
    tokens: float | None = None
    wrong_splits: dict[str, dict[int, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        told = f"{self.verdict}: the parts sum to the representation within {self.error:.0e}; "
        if not self.layers:
            return f"{told}there is no attention layer, and the parts are whole branches"
        told += f"{self.reached} of {self.layers} attention layers are parts"
        walls = "; ".join(f"{part}, behind {operation}" for part, operation in self.hiding.items())
        others = "what is no part lies" if self.silent else "the others lie"
        told += f", {self.about_silent}" if self.silent else ""
        told += f", {others} inside {walls}" if walls else ""
        return told + (f"; {self.about_tokens}" if self.wrong_splits else "")

    @property
    def about_silent(self) -> str:
        """A clause on the layers whose parts are zero; empty where there is none."""
        if not self.silent:
            return ""
        names = f"{len(self.silent)} ({_spans(self.silent)})"
        one = len(self.silent) == 1
        told = f"{names} {'writes' if one else 'write'} nothing to it {'itself' if one else 'themselves'}"
        told += f" ({'its' if one else 'their'} parts are zero)"
        alone = f": later attention alone reads {'it' if one else 'them'}"
        return told + (alone if self.verdict == "exact" else "")

    @property
    def about_tokens(self) -> str:
        """A clause on the layers whose maps are refused; empty where all are right."""
        layers = sorted({layer for own in self.wrong_splits.values() for layer in own})
        return f"token maps of {_spans(layers)} do not sum to their heads and are refused" if layers else ""

    def with_tokens(self, errors: dict[str, dict[int, float]]) -> "Check":
        """The same with what was found of the maps, as `kit.parts.splits.split_errors` gives it."""
        largest = max((e for own in errors.values() for e in own.values()), default=0.0)
        return replace(self, tokens=largest, wrong_splits=wrong(errors, self.tolerance))


def check(model) -> Check:
    """The self-check of a model, made anew at every call.

    Two pictures of noise pass through the library's own module and through the parts, and the token maps
    of every layer are summed and held against the scores of its heads. Forward hooks that are set on the
    tower see these pictures too.

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
    return Run.of(model, pixels, tokens=True).frozen.check


def with_hooks(model, hooks: list[Hooks], pixels: Tensor) -> tuple[Tensor, frozenset]:
    """The library's own representation, and the hooks that edit it.

    Said once for each model, since it doubles the price of every run.
    """
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
        run: its `gap` says how far the sum of its parts is from its representation.
        truth: the library's own representation of the same pixels, where the tower has hooks.

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
        _check_tokens(run)
        return ""
    _check_tokens(run)
    error = run.gap()
    if truth is not None:
        error = max(error, distance(run.representation, truth))
    return fault_along(run, error, truth is not None)


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


def _check_tokens(run) -> None:
    """Hold token maps against their heads, the first time that a run of a frozen graph keeps tokens.

    Where they are further apart than the sum may be, a copy in float64 says whether that is rounding.
    """
    if not run.tokens or run.frozen.check.tokens is not None:
        return
    found = run.frozen.check.with_tokens(split_errors(run))
    if found.wrong_splits and run.model.dtype == torch.float32:
        finer = run.model.double()
        finely = type(run).of(finer, run.pixels.to(finer.device).double(), tokens=True).frozen.check
        found = replace(found, wrong_splits=finely.wrong_splits)
    run.frozen.check = found


def _check_of(run, error: float, tolerance: float) -> Check:
    frozen = run.frozen
    kinds, silent = dict(Counter(frozen.index["kind"])), tuple(frozen.silent)
    apart = bool(silent) and read_by_attention_alone(frozen, run.pixels[:1])
    layers, accounted = frozen.trace.layers, frozen.reached + (len(silent) if apart else 0)
    verdict = "exact" if frozen.reached and accounted == layers else "partial"
    hiding = frozen.hiding(silent=not apart)
    return Check(
        verdict if layers else "no attention", error, tolerance, frozen.reached, layers, kinds, hiding, silent
    )


def _spans(numbers) -> str:
    """Layers by name, neighbours as a range.

    Example:
        >>> _spans([0, 1, 2, 5])
        'L0–L2, L5'
    """
    ends: list[list[int]] = []
    for number in numbers:
        if ends and ends[-1][1] == number - 1:
            ends[-1][1] = number
        else:
            ends.append([number, number])
    return ", ".join(f"L{a}" if a == b else f"L{a}–L{b}" for a, b in ends)


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
    return max(allowed, 3 * distance(outputs[0].to(outputs[1]), outputs[1]))


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
        again = distance(model.tower(pixels), model.tower(pixels))
    if again > allowed:
        return (
            f'"{model.name}" gives another representation of the same pictures at every call ({again:.0e} of '
            "its length apart), so no parts sum to it; look for a random or counting step in its forward."
        )
    return f"{start}; this is a defect of the kit for this model, please report its name."


def distance(value: Tensor, truth: Tensor) -> float:
    """Largest distance of a batch, in lengths of the truth; of a truth of length zero the distance itself."""
    length = truth.norm(dim=-1)
    return float(((value - truth).norm(dim=-1) / length.where(length > 0, torch.ones_like(length))).max())
