"""The door to every pass: a run by the route that suits the tower, held against what the library gives."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from kit.errors import KitError
from kit.models.hooks import Hooks, library_forward, version_of
from kit.models.model import Model
from kit.models.trace import hooks_of, kept_record
from kit.parts.check import Check
from kit.parts.faults import fault_of
from kit.parts.frozen import FrozenGraph, forget, frozen_graph
from kit.parts.hook_points import HookPoints
from kit.parts.run_general import GeneralRun
from kit.parts.runs import Run


def checked_run(
    model: Model,
    pixels: Tensor,
    tokens: bool = False,
    watch: Callable[[FrozenGraph], HookPoints] | None = None,
) -> Run:
    """A run by the route that suits the tower, whose parts sum to its representation.

    Where they do not, the record of the tower is made anew, once: somebody may have written to its
    weights in a way that leaves no trace but in the numbers.

    Args:
        model: from `kit.load`.
        pixels: [batch, 3, height, width].
        tokens: as for `run`.
        watch: makes what looks at every source as it writes, and changes nothing.

    Raises:
        KitError: the parts miss the representation also then, or the tower's forward hooks do
            something else at each call.
    """
    if getattr(model, "runs_itself", False) and watch is None:
        return model.own_run(pixels, tokens)
    kept = kept_record(model)
    model.check_pixels(pixels, recorded=kept is not None)
    with torch.inference_mode(False):
        pixels = pixels.clone() if version_of(pixels) is None else pixels
        truth, editing = None, None
        if hooks := hooks_of(model, kept):
            truth, editing = with_hooks(model, hooks, pixels)
            kept = None  # a hook may have changed its tower meanwhile
        for _attempt in ("as kept", "anew"):
            frozen = frozen_graph(model, editing, kept)
            kind = Run if frozen.plain else GeneralRun
            result = kind(model, pixels, tokens, watch and watch(frozen), frozen)
            fault = fault_of(result, truth, checked_run)
            if not fault:
                return result
            forget(model)
            kept = None
        raise KitError(fault)


def run(model: Model, pixels: Tensor, tokens: bool = True) -> Run:
    """Pass images through a model once and keep what its parts need.

    Args:
        model: from `kit.load`.
        pixels: [batch, 3, height, width], from `model.preprocess`.
        tokens: also keep what source-token maps need: for each layer and image a pattern row and
            the values.

    Returns:
        A `Run`; everything that it gives costs no further pass.

    Raises:
        KitError: pixels or model do not fit; see `Model.check_pixels`.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> result = run(model, model.preprocess(kit.world.gallery().images[:1]))
        >>> result.vectors().sum(1).allclose(result.representation, atol=1e-4)
        True
    """
    return checked_run(model, pixels, tokens)


def check(model: Model) -> Check:
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
    model.check_ready()
    frozen_graph(model).check = None
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, *model.image_size, generator=noise).to(model.device, model.dtype)
    return checked_run(model, pixels, tokens=True).frozen.check


def compared_graph(model: Model, pixels: Tensor) -> FrozenGraph:
    """The frozen graph for a pass of one's own; of a tower with forward hooks compared on these pixels."""
    return checked_run(model, pixels).frozen if hooks_of(model) else frozen_graph(model)


def with_hooks(model: Model, hooks: list[Hooks], pixels: Tensor) -> tuple[Tensor, frozenset]:
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
