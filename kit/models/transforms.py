"""Settings of a library's own transform, looked at before pictures pass through it."""

import math
from collections.abc import Callable
from numbers import Real

import torch
from PIL import Image

from kit.errors import KitError


def checked_transform(make: Callable, settings: dict, name: str):
    """The transform that `make` builds from settings, tried once on a small picture.

    One number for mean or std stands for all three channels, also 0, which open_clip would take for none.

    Args:
        make: settings -> transform from PIL image to tensor [3, height, width].
        settings: mean, std, interpolation and so on, as the library calls them.
        name: how messages call the model.

    Raises:
        KitError: a mean or std that is no number for each channel, a std that is not above 0, or whatever
            the library does not take.
    """
    settings = {**settings, **{key: _channels(key, settings[key], name) for key in ("mean", "std")}}
    try:
        transform = make(settings)
        pixels = transform(Image.new("RGB", (8, 8)))
    except Exception as error:  # the libraries check by assertion, by type and by missing branch
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise KitError(
            f'images for "{name}" cannot be prepared with {_shown(settings)}: {first}; '
            "correct these settings, or give preprocess= those that hold."
        ) from None
    if not torch.isfinite(pixels).all():
        raise KitError(
            f'images for "{name}" become NaN or infinite with {_shown(settings)}; correct these settings.'
        )
    return transform


def expect_preprocess(preprocess) -> None:
    """Raise unless `preprocess=` is a dict of settings, something to call, or None."""
    if preprocess is not None and not isinstance(preprocess, dict) and not callable(preprocess):
        raise KitError(
            f"preprocess= should be a dict such as {{'mean': 0.5, 'std': 0.5}} or a transform from PIL image "
            f"to tensor, not of the type {type(preprocess).__name__}."
        )


def given(preprocess: dict | None) -> dict:
    """The settings that the caller gave; None leaves one as it is."""
    return {key: value for key, value in (preprocess or {}).items() if value is not None}


def _channels(key: str, value, name: str):
    """A mean or std with a number for each channel; of the type that was given where it is one."""
    value = value.tolist() if hasattr(value, "tolist") else value
    values = (value,) * 3 if isinstance(value, Real) else value
    numbers = isinstance(values, list | tuple) and all(
        isinstance(v, Real) and math.isfinite(v) for v in values
    )
    if not numbers or len(values) not in (1, 3) or (key == "std" and min(values) <= 0):
        above = " above 0" if key == "std" else ""
        raise KitError(
            f'the {key} for images of "{name}" is {value!r}; it should be three numbers{above}, such as '
            "(0.5, 0.5, 0.5), in the settings of the model or in preprocess=."
        )
    return values


def _shown(settings: dict) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in settings.items())
