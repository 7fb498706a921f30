"""Names of a `transformers` CLIP, written in open_clip's layout."""

import re

import torch
from torch import Tensor

from kit.errors import KitError
from kit.models.values import expect_finite, kind_of, some, type_of

# transformers -> open_clip, for both towers; {n} is the number of a block
_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_VISION = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm": "visual.ln_pre",  # spelled so in transformers
    "vision_model.post_layernorm": "visual.ln_post",
}
_TEXT = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
}
_PROJECTIONS = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}
_LAYER = re.compile(r"(vision|text)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_ATTENTION = re.compile(r"(vision|text)_model\.encoder\.layers\.\d+\.self_attn\.")


def from_transformers(state: dict[str, Tensor], file: str) -> tuple[dict[str, Tensor], list[str]]:
    """The same weights under open_clip's names; other layouts are given back untouched.

    Attention holds q, k and v one after the other in open_clip, and the two final
    projections are matrices that multiply from the right, so they are transposed.

    Args:
        state: tensors by name, of CLIPModel or CLIPVisionModelWithProjection.
        file: how messages call it.

    Returns:
        Tensors by open_clip name, and a note when something was converted.

    Raises:
        KitError: a SigLIP of `transformers`; a name that a CLIP does not have; queries, keys and values
            that do not belong together; tensors that are not finite floats.
    """
    if not any(name.startswith("vision_model.") for name in state):
        return state, []
    if "vision_model.embeddings.class_embedding" not in state:
        raise KitError(
            f'"{file}" is a vision model of transformers without a class embedding, such as SigLIP; only '
            "the layout of CLIP is converted. Load it with its open_clip or timm file."
        )
    # before three tensors become one: messages name what is in the file
    wrong = [f"{name} is {type_of(value)}" for name, value in state.items() if kind_of(value) != "float"]
    if wrong:
        raise KitError(
            f'"{file}" does not hold the weights of a model: {len(wrong)} of {len(state)} tensors are no '
            f"floats: {some(wrong)}; save them as float32, float16 or bfloat16, and dequantise a quantised "
            "model first."
        )
    expect_finite(state, file)
    result, rest = {}, dict(state)
    for start in sorted({m.group(0) for m in map(_ATTENTION.match, state) if m}):
        for kind in ("weight", "bias"):
            name = _block_name(f"{start}out_proj.{kind}").replace("out_proj.", "in_proj_")
            result[name] = _joined([f"{start}{letter}_proj.{kind}" for letter in "qkv"], rest, file)
    for name, value in rest.items():
        if name in _PROJECTIONS:
            result[_PROJECTIONS[name]] = value.T.contiguous() if value.ndim == 2 else value
        else:
            result[_plain_name(name, file)] = value
    return result, [f"{file} has the layout of transformers; it was converted to open_clip's."]


def _joined(names: list[str], state: dict[str, Tensor], file: str) -> Tensor:
    """Queries, keys and values one after the other; they are taken out of `state`."""
    missing = [name for name in names if name not in state]
    if missing:
        raise KitError(
            f'"{file}" lacks {some(missing)} beside the other projections of that layer; save the whole '
            "state_dict() of the model."
        )
    values = [state.pop(name) for name in names]
    if len({value.shape for value in values}) > 1 or values[0].ndim == 0:
        shapes = [f"{name} is {list(value.shape)}" for name, value in zip(names, values, strict=True)]
        raise KitError(
            f'"{file}" holds queries, keys and values of different shapes: {some(shapes, "; ")}; take the '
            "file that the training wrote."
        )
    return torch.cat(values)


def _block_name(name: str) -> str:
    tower, number, part, kind = _LAYER.fullmatch(name).groups()
    start = "visual." if tower == "vision" else ""
    return f"{start}transformer.resblocks.{number}.{_BLOCK.get(part, part)}.{kind}"


def _plain_name(name: str, file: str) -> str:
    table = _VISION | _TEXT
    module, _, kind = name.rpartition(".")
    if name == "logit_scale" or name in table:
        return table.get(name, name)
    if module in table:
        return f"{table[module]}.{kind}"
    if _LAYER.fullmatch(name):
        return _block_name(name)
    raise KitError(f'"{file}" has the tensor "{name}", which a CLIP of transformers does not have.')
