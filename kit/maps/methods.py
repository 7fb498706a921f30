"""The methods by name: each gives a map of patches for one direction of each image."""

from collections.abc import Callable

from torch import Tensor

from kit.errors import KitError, nearest
from kit.maps.attention import gradcam, raw_attention, rollout
from kit.maps.dense import clearclip, patch_cosine, value_only
from kit.maps.relevance import partial_lrp, transformer_attribution
from kit.models.model import Model
from kit.parts.checked import run

Method = Callable[[object, Tensor, Tensor], Tensor]
OURS = "token heatmap"


def token_heatmap(model: Model, pixels: Tensor, directions: Tensor) -> Tensor:
    """What all heads add to the score from each patch: the part of the exact sum that has a place.

    Args:
        model: from `kit.load`; any tower that comes apart.
        pixels: [batch, 3, height, width].
        directions: one for each image, [batch, embed].

    Returns:
        [batch, row, col], not divided by the length of the representation.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, section 5. Constants stay parts of their own here; the
        released code shares them out over the tokens, which adds one number to a whole map.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> pixels = model.preprocess(kit.world.gallery().images[:1])
        >>> token_heatmap(model, pixels, model.encode_text("a cat")).shape
        torch.Size([1, 8, 8])
    """
    taken = run(model, pixels, tokens=True)
    return taken.own_maps(directions)[:, taken.prefix :].unflatten(1, taken.grid)


METHODS: dict[str, Method] = {
    OURS: token_heatmap,
    "raw attention": raw_attention,
    "rollout": rollout,
    "GradCAM of heads": gradcam,
    "partial LRP": partial_lrp,
    "transformer attribution": transformer_attribution,
    "patch cosine": patch_cosine,
    "value-only last layer": value_only,
    "ClearCLIP-like": clearclip,
}
BLIND = ("raw attention", "rollout")  # their map is the same for every direction
RENAMED = {"GradCAM": "GradCAM of heads"}  # as code and state strings had them


def chosen_methods(methods) -> dict[str, Method]:
    """Methods by name: those of `METHODS` that are named, all for None, or functions of one's own in a dict.

    Raises:
        KitError: an unknown name, or none.
    """
    if methods is None:
        return dict(METHODS)
    if isinstance(methods, dict):
        return dict(methods)
    methods = [RENAMED.get(name, name) for name in methods]
    for name in methods:
        if name not in METHODS:
            raise KitError(f'no method "{name}"; there are {", ".join(METHODS)}.{nearest(name, METHODS)}')
    if not methods:
        raise KitError(f"no method was named; there are {', '.join(METHODS)}.")
    return {name: METHODS[name] for name in methods}
