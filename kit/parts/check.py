"""The self-check: is this tower's sum of parts its representation, and is all attention in it?"""

from collections import Counter
from dataclasses import dataclass

import torch

from kit.errors import KitError
from kit.parts.frozen import FrozenGraph

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
    """The self-check of a model: made at its first use, kept until its weights change.

    Two pictures of noise pass through the library's own module and through the parts.

    Args:
        model: from `kit.load`.

    Returns:
        `Check`.

    Raises:
        KitError: the sum misses the representation by more than rounding (float64 1e-10; float32
            1e-5, or three times the model's own distance between float32 and float64). That is an
            error of ours, never an approximation to live with.

    Example:
        >>> import kit
        >>> check(kit.load("stickers-l8")).verdict
        'exact'
    """
    from kit.parts.runs import Run  # a run asks for the check of its graph

    noise = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, *model.image_size, generator=noise).to(model.device, model.dtype)
    return Run.of(model, pixels).frozen.check


def checked(model, frozen: FrozenGraph, total: torch.Tensor, pixels: torch.Tensor) -> Check:
    """Compare a sum of parts with the library's own output for the same pixels."""
    with torch.no_grad():
        truth = model.tower(pixels)
        error = _distance(total, truth)
        tolerance = TOLERANCE[model.dtype]
        if error > tolerance and model.dtype == torch.float32:
            finer = model.double()
            exact = finer.tower(pixels.to(finer.device).double())
            tolerance = max(tolerance, 3 * _distance(truth.to(exact), exact))
    if not error <= tolerance:
        raise KitError(
            f'the parts of "{model.name}" miss its representation by {error:.0e} of its length, allowed '
            f"{tolerance:.0e}; this is a defect of the kit for this model, please report its name."
        )
    layers = frozen.trace.layers
    verdict = "exact" if frozen.reached == layers else "partial"
    kinds = dict(Counter(frozen.index["kind"]))
    return Check(verdict, error, tolerance, frozen.reached, layers, kinds, frozen.hiding())


def _distance(value: torch.Tensor, truth: torch.Tensor) -> float:
    return float(((value - truth).norm(dim=-1) / truth.norm(dim=-1)).max())
