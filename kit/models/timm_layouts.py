"""Weights in the layout of the original training code, brought into timm's as timm does it for its tags."""

import threading
from collections.abc import Callable
from functools import cache

from torch import Tensor, nn

from kit.models.values import some

# what only the training of masked models reads: the token in place of a patch, and MAE's decoder
TRAINING = ("mask_token", "decoder")
_LOCK = threading.Lock()


def timm_convert(make: Callable[[], nn.Module], model: nn.Module) -> Callable:
    """What `read_weights` takes as `convert` for a timm model.

    Positions are resized, and names brought into timm's layout, by the filter of the architecture itself.
    Nothing else changes its shape: a patch embedding of another size is another model.

    Args:
        make: builds the model as a tag's, with `pretrained=True`.
        model: the model that is filled, on the meta device.
    """

    found = cache(lambda: tag_filter(make))

    def convert(state: dict[str, Tensor], file: str) -> tuple[dict[str, Tensor], list[str]] | None:
        apply = found()
        if apply is None:
            return None
        try:
            try:
                made = apply(dict(state), model)
            except TypeError:  # older ones take the state alone
                made = apply(dict(state))
        except Exception:  # a layout that it was not written for
            return None
        resized = [n for n, v in made.items() if n in state and v.shape != state[n].shape]
        if any(made[n].numel() != state[n].numel() and "pos" not in n for n in resized):
            return None
        return made, _said(state, made, resized, file)

    return convert


def _said(state: dict, made: dict, resized: list[str], file: str) -> list[str]:
    notes = [
        f'"{name}" of {file} was turned from {list(state[name].shape)} into {list(made[name].shape)}, as '
        "timm does for its tags."
        for name in resized
        if made[name].numel() != state[name].numel()
    ]
    renamed = [name for name in made if name not in state]
    if renamed:
        notes.append(
            f"{file} has another layout; it was converted as timm does for its tags ({some(renamed)})."
        )
    return notes


def tag_filter(make: Callable[[], nn.Module]) -> Callable | None:
    """The function by which timm brings a published file into the layout of an architecture.

    timm hands it to its loader alone, so the loader is replaced for the length of one build without values,
    in this thread.
    """
    from timm.models import _builder

    seen, here, loader = [], threading.get_ident(), _builder.load_pretrained

    def note(*args, **options):
        if threading.get_ident() != here:
            return loader(*args, **options)
        return seen.append(options.get("filter_fn"))

    with _LOCK:
        _builder.load_pretrained = note
        try:
            make()
        finally:
            _builder.load_pretrained = loader
    return next(iter(seen), None)


def behind(state: dict[str, Tensor], names: set[str], classifiers: tuple[str, ...]) -> list[str]:
    """Names of a state that no representation depends on and that the model has not.

    They are a head that is no linear classifier (DINO's, MoCo's), and what only training reads.
    """
    heads = tuple(f"{name}." for name in classifiers if f"{name}.weight" not in state)
    return [name for name in state if name not in names and name.startswith((*heads, *TRAINING))]
