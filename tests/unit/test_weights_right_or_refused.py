"""Weights files, model folders and settings of every kind: the plain library's result, or a sentence.

A row is what is given, and what must come of it: `Right`, where the representation equals to the bit that of
the library's own module with the same weights, or the regular expression of the `KitError`.
"""
# ruff: noqa: E501 - a row is read as one line

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save, save_file
from timm.data import create_transform
from torch import Tensor, nn
from torch.nn.functional import normalize

import kit
from kit.errors import KitError
from kit.models.checkpoint import needed
from kit.models.weights import fit, read_weights
from tests.unit import tiny_models as tiny
from tests.unit.weight_files import (
    EIGHT,
    FLOATS,
    NORM,
    OWN,
    PICTURE,
    PLACES,
    SQUASHED,
    TIMM_CFG,
    WHOLE,
    PreLogits,
    archive,
    as_type,
    by_eight,
    bytes_file,
    bytes_path,
    cfg,
    circle,
    clip,
    clip_file,
    clip_tower,
    dangling,
    efficient,
    efficient_file,
    flipped,
    folder_of_clip,
    half,
    half_by_default,
    hf_file,
    in_folder,
    in_timm_folder,
    inside,
    loaded_with,
    local,
    one,
    only,
    other_file,
    packed,
    per_channel,
    pipe,
    put,
    quantised,
    random_clip,
    random_tower,
    raw,
    small,
    tag_file,
    text_of,
    timm_tag_file,
    transform,
    unreadable,
    vit,
    vit_file,
    wide_circle,
    without,
    without_checksums,
    written,
)

# what must come of it


@dataclass(frozen=True)
class Right:
    """The library's own tower with the same weights; a regular expression of a note; the library's transform."""

    tower: Callable[[], nn.Module] = clip_tower
    note: str = ""
    transform: Callable | None = None


@dataclass(frozen=True)
class Row:
    what: str
    call: Callable[[Path], object]
    expected: Right | str


def as_stored(dtype: str) -> Right:
    """The very values that the file holds, in float32."""
    kind = getattr(torch, dtype)
    return Right(
        lambda: clip_tower(lambda state: {k: v.to(kind).float() for k, v in state.items()}),
        rf"^Stored as {dtype}, computed in float32\." + (" An 8-bit float" if kind.itemsize == 1 else ""),
    )


def float_row(dtype: str, name: str) -> Row:
    write = save_file if name.endswith("safetensors") else torch.save
    return Row(f"{dtype}, {name[5:]}", clip_file(as_type(dtype), name, write=write), as_stored(dtype))


def whole_row(dtype: str, name: str) -> Row:
    write = save_file if name.endswith("safetensors") else torch.save
    sentence = rf"numbers of another kind: .* is {dtype} in the file, float32 in the model.*dequantise"
    return Row(
        f"{dtype} in place of floats, {name[5:]}", clip_file(as_type(dtype), name, write=write), sentence
    )


FINITE = r"holds NaN or infinite values in 1 of \d+ tensors: "
PLAIN = r"cannot be computed with: the tensor \"visual.proj\" is "

TYPES = [
    *[float_row(dtype, f"mine.{end}") for dtype in (*FLOATS, *EIGHT) for end in ("safetensors", "pt")],
    *[whole_row(dtype, "mine.safetensors") for dtype in (*WHOLE, "bool", "complex64")],
    *[whole_row(dtype, "mine.pt") for dtype in ("int8", "uint8", "bool", "complex32", "complex128")],
    Row("int8, one matrix alone", clip_file(as_type("int8", "visual.proj")), r"1 of \d+ .*visual\.proj is int8"),
    Row("int8, one bias alone", clip_file(as_type("int8", "visual.ln_post.b")), r"visual\.ln_post\.bias is int8"),
    Row("int8, the image tower alone", clip_file(as_type("int8", "visual.")), r"visual\.\S+ is int8 in the file"),
    Row("int8, the text tower alone", clip_file(as_type("int8", "transformer.")), r"transformer\.\S+ is int8"),
    Row(
        "int8, the text tower, which is not asked for",
        clip_file(as_type("int8", "transformer."), text=False),
        Right(note=r"Left out of mine\.pt.*: \d+ entries \(positional_embedding, text_projection, logit_scale, \.\.\.\)"),
    ),
    Row("int8, the temperature alone", clip_file(as_type("int8", "logit_scale")), "logit_scale is int8"),
    Row(
        "int8 with scales beside it, as of bitsandbytes",
        clip_file(lambda s: as_type("int8", "visual.proj")(s) | {"visual.proj.SCB": torch.ones(32)}),
        r"visual\.proj is int8 in the file.*dequantise",
    ),
    Row("quint8", clip_file(put(visual__proj=quantised(torch.quint8))), PLAIN + "of the type quint8; dequantise"),
    Row("qint32", clip_file(put(visual__proj=quantised(torch.qint32))), PLAIN + "of the type qint32; dequantise"),
    Row("qint8, a scale for each channel", clip_file(put(visual__proj=per_channel)), PLAIN + "of the type qint8"),
    Row("bits8", clip_file(put(visual__proj=by_eight(torch.bits8))), PLAIN + "of the type bits8; dequantise"),
    Row("two 4-bit floats in a byte", raw(packed("F4", 2)), PLAIN + "of the type float4_e2m1fn_x2; dequantise"),
    Row("6-bit floats", raw(packed("F6_E2M3", 3)), "of a type that torch does not have .F6_E2M3."),
    Row(
        "several types in one file",
        clip_file(lambda s: as_type("bfloat16", "visual.t")(as_type("float16", "visual.c")(s))),
        Right(
            lambda: clip_tower(lambda s: as_type("bfloat16", "visual.t")(as_type("float16", "visual.c")(s))),
            r"^Stored as bfloat16, float16, computed in float32\.$",
        ),
    ),
    Row(
        "8-bit floats with a scale beside them",
        clip_file(lambda s: as_type("float8_e4m3fn", "visual.proj")(s) | {"visual.proj_scale": torch.ones(1)}),
        r"1 tensors of the file have no place \(visual\.proj_scale\)",
    ),
]  # fmt: skip

VALUES = [
    Row("NaN in a weight", clip_file(put(visual__proj=one(float("nan")))), FINITE + r"visual\.proj \(float32, 1 of 768 values\); .*diverged"),
    Row("NaN in the text tower", clip_file(put(text_projection=one(float("nan")))), FINITE + "text_projection"),
    Row("NaN as the temperature", clip_file(put(logit_scale=lambda old: old * float("nan"))), FINITE + "logit_scale"),
    Row("NaN in 8-bit floats", clip_file(lambda s: as_type("float8_e4m3fn")(put(visual__proj=one(float("nan")))(s))), FINITE + "visual.proj"),
    Row(
        "float16 that overflowed",
        clip_file(lambda s: as_type("float16")(put(visual__proj=one(7e4))(s))),
        FINITE + r"visual\.proj \(float16, 1 of 768 values\); they were too large .* save them as float32 or bfloat16",
    ),
    Row(
        "float64 beyond float32",
        clip_file(lambda s: put(visual__proj=lambda old: one(1e39)(old.double()))(s)),
        FINITE + r"visual\.proj \(float64, 1 of 768 values\); they are too large for float32",
    ),
    Row("subnormal numbers", clip_file(put(visual__proj=one(1e-40))), Right(lambda: clip_tower(put(visual__proj=one(1e-40))))),
    Row(
        "float64 below float32",
        clip_file(lambda s: put(visual__proj=lambda old: one(1e-60)(old.double()))(s)),
        Right(lambda: clip_tower(put(visual__proj=one(0.0)))),
    ),
    Row("NaN in a running mean", efficient_file(put(**{NORM + "running_mean": one(float("nan"))})), FINITE + r"stem\.norm1\.running_mean"),
    Row("int8 running variance", efficient_file(put(**{NORM + "running_var": lambda old: old.to(torch.int8)})), r"stem\.norm1\.running_var is int8 in the file"),
    Row("NaN in a tensor that has no place", clip_file(lambda s: only("visual.")(s) | {"fc.weight": torch.full((2,), float("nan"))}), Right(note="Left out")),
    Row("minus infinity in a text mask", clip_file(lambda s: s | {"attn_mask": torch.full((8, 8), float("-inf"))}), Right(note=r"Left out of .* 1 entry \(attn_mask\)")),
    Row(
        "a matrix of zeros",
        clip_file(put(visual__proj=torch.zeros_like)),
        Right(lambda: clip_tower(put(visual__proj=torch.zeros_like)), r"All values are 0 in 1 of \d+ tensors of mine.pt \(visual\.proj\)"),
    ),
]  # fmt: skip

LAYOUTS = [
    Row("sparse, coordinates", clip_file(put(visual__proj=Tensor.to_sparse)), PLAIN + r"of the layout sparse_coo; .*to_dense\(\)"),
    Row("sparse, rows", clip_file(put(visual__proj=Tensor.to_sparse_csr)), PLAIN + "of the layout sparse_csr"),
    Row("sparse, in the text tower", clip_file(put(text_projection=Tensor.to_sparse)), '"text_projection" is of the layout sparse_coo'),
    Row("nested", clip_file(put(visual__proj=lambda old: torch.nested.nested_tensor([old, old[:3]]))), PLAIN + "of the layout nested"),
    Row("on the meta device", clip_file(put(visual__proj=lambda old: old.to("meta"))), PLAIN + "without values, on the device meta"),
    Row("all on the meta device", clip_file(lambda s: {k: v.to("meta") for k, v in s.items()}), r"without values, .* \(and \d+ more"),
    Row("[0]-shaped, one", clip_file(put(visual__proj=lambda old: old.new_empty(0))), r"1 of \d+ tensors hold no values \(visual\.proj is \[0\]\).*gather"),
    Row("[0]-shaped, all, as DeepSpeed saves parts", clip_file(lambda s: {k: v.new_empty(0) for k, v in s.items()}), "tensors hold no values .*gather"),
    Row("a scalar for a vector", clip_file(put(visual__class_embedding=lambda old: old[0])), r"visual\.class_embedding is \[\] in the file, \[32\]"),
    Row("another shape", clip_file(put(visual__proj=lambda old: old[:, :23])), r"visual\.proj is \[32, 23\] in the file, \[32, 24\] in the model"),
    Row("a matrix turned over", clip_file(put(visual__proj=lambda old: old.T)), r"visual\.proj is \[24, 32\] in the file"),
    Row("one axis more", clip_file(put(visual__proj=lambda old: old[None])), r"visual\.proj is \[1, 32, 24\] in the file"),
    Row("temperature as a vector of one", clip_file(put(logit_scale=lambda old: old[None])), Right()),
    Row("temperature as a vector of three", clip_file(put(logit_scale=lambda old: old.expand(3))), r"logit_scale is \[3\] in the file, \[\]"),
    Row("strides that run the other way", clip_file(put(visual__proj=lambda old: old.T.contiguous().T)), Right()),
    Row("every other column of a larger tensor", clip_file(put(visual__proj=lambda old: old.repeat_interleave(2, 1)[:, ::2])), Right()),
    Row(
        "one number for all, expanded",
        clip_file(put(visual__proj=lambda old: torch.tensor(0.5).expand(32, 24))),
        Right(lambda: clip_tower(put(visual__proj=lambda old: torch.full((32, 24), 0.5)))),
    ),
    Row(
        "views of one storage",
        clip_file(lambda s: s | dict(zip(("visual.ln_pre.weight", "visual.ln_pre.bias"), torch.arange(64.0).view(2, 32), strict=True))),
        Right(lambda: clip_tower(put(visual__ln_pre__weight=lambda _: torch.arange(32.0), visual__ln_pre__bias=lambda _: torch.arange(32.0, 64)))),
    ),
    Row("parameters that need gradients", clip_file(lambda s: {k: nn.Parameter(v) for k, v in s.items()}), Right()),
]  # fmt: skip

PLACES_IN = r"attention_bias_idxs"
COUNTS = [
    Row("whole numbers where the model counts", efficient_file(), Right(lambda: PreLogits(efficient()))),
    Row("places as int32", efficient_file(put(**{PLACES: Tensor.int})), Right(lambda: PreLogits(efficient()))),
    Row("places as float16", efficient_file(put(**{PLACES: Tensor.half})), PLACES_IN + " is float16 in the file, int64 in the model; save it as int64"),
    Row("places as bool", efficient_file(put(**{PLACES: Tensor.bool})), PLACES_IN + " is bool in the file, int64"),
    Row("a place beyond the table", efficient_file(put(**{PLACES: one(49)})), r"1 of 2,401 numbers outside 0 to 48 in .*attention_bias_idxs"),
    Row("a place before the table", efficient_file(put(**{PLACES: one(-1)})), r"1 of 2,401 numbers outside 0 to 48"),
    Row("a place beyond int64", efficient_file(put(**{PLACES: lambda old: one(-1)(old).view(torch.uint64)})), "1 of 2,401 numbers outside"),
    Row("counters of batch norms in float16", efficient_file(lambda s: {k: v.half() if "tracked" in k else v for k, v in s.items()}), Right(lambda: PreLogits(efficient()))),
    Row("counters of batch norms that overflowed", efficient_file(put(**{NORM + "num_batches_tracked": lambda old: (old + 10**6).half()})), Right(lambda: PreLogits(efficient()))),
    Row("no counters of batch norms, as older files", efficient_file(lambda s: {k: v for k, v in s.items() if "tracked" not in k}), Right(lambda: PreLogits(efficient()))),
    Row("float16 with batch norms", efficient_file(lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()}),
        Right(lambda: PreLogits(efficient(lambda s: {k: v.half().float() if v.is_floating_point() else v for k, v in s.items()})), "Stored as float16")),
    Row("all in float16, whole numbers too", efficient_file(lambda s: {k: v.half() for k, v in s.items()}), PLACES_IN + " is float16 in the file, int64"),
    Row("position ids, in a file of a model that has none", clip_file(lambda s: s | {"visual.position_ids": torch.arange(17)}), Right(note=r"Left out of .*visual\.position_ids")),
]  # fmt: skip

HEADS = [
    Row("a head of classes", vit_file(), Right(lambda: PreLogits(vit()))),
    Row("int8 head of classes", vit_file(put(head__weight=lambda old: old.to(torch.int8))), r"head\.weight is int8 in the file"),
    Row("NaN in the head of classes", vit_file(put(head__bias=one(float("nan")))), FINITE + r"head\.bias"),
    Row("a scalar as head of classes", vit_file(put(head__weight=lambda old: old[0, 0])), "have no place|is \\[\\] in the file"),
    Row("a head of no classes", vit_file(put(head__weight=lambda old: old[:0])), "have no place"),
    Row("a sparse head of classes", vit_file(put(head__weight=Tensor.to_sparse)), '"head.weight" is of the layout sparse_coo'),
    Row("a bias of other classes", vit_file(put(head__bias=lambda old: old[:2])), r"head\.bias is \[2\] in the file, \[3\] in the model"),
    Row("int8 in a timm file", vit_file(as_type("int8", "blocks.")), r"blocks\.\S+ is int8 in the file"),
    Row("8-bit floats in a timm file", vit_file(as_type("float8_e5m2")), Right(
        lambda: PreLogits(loaded_with(vit(), {k: v.to(torch.float8_e5m2).float() for k, v in vit().state_dict().items()})), "An 8-bit float")),
]  # fmt: skip


ODD = {
    "fc.weight": torch.ones(2, 3),
    "fc.bias": torch.ones(2),
    "aux.weight": torch.ones(1),
    "aux.bias": torch.ones(1),
}
NAMES = [
    Row("an image tower, and a layer that has no place", clip_file(lambda s: only("visual.")(s) | {"fc.weight": torch.ones(3)}), Right(note=r"^Left out of mine\.pt, since this model has no place for it: 1 entry \(fc\.weight\)\.$")),
    Row("an image tower, and many that have no place", clip_file(lambda s: only("visual.")(s) | ODD), Right(note=r"4 entries \(fc\.weight, fc\.bias, aux\.weight, \.\.\.\)")),
    Row("a whole model, and a layer that has no place", clip_file(lambda s: s | {"fc.weight": torch.ones(3)}), r"1 tensors of the file have no place \(fc\.weight\)"),
    Row("what is no tensor, among the weights", clip_file(lambda s: s | {"epoch": 3, "name": "run 7"}), Right(note=r"2 entries \(epoch, name\)")),
    Row("a bias of logits, which this model has not", clip_file(lambda s: s | {"logit_bias": torch.ones(())}), Right(note=r"1 entry \(logit_bias\)")),
    Row("student, teacher and averaged weights", clip_file(lambda s: {"student": s, "teacher": {k: v + 1 for k, v in s.items()}, "ema": {"a": 1}}), 'holds 2 sets of weights that fit "mine": "student", "teacher"; say which one is meant: key="teacher"'),
    Row("the text tower twice", clip_file(lambda s: s | {"text.text_projection": torch.zeros(16, 24)}), 'holds the text tower of "mine" twice'),
    Row("a dict that contains itself", clip_file(circle), "holds a dict of epoch, state_dict, but no weights by name"),
    Row("two dicts that contain each other", clip_file(wide_circle), "holds a dict of .*, but no weights by name"),
    Row("an empty dict", clip_file(lambda s: {}), "holds an empty dict, but no weights by name"),
    Row("an empty safetensors file", raw(save({}), "mine.safetensors"), "holds an empty dict, but no weights"),
    Row("one tensor and no dict", clip_file(lambda s: torch.ones(3)), "holds a Tensor, but no weights by name"),
]  # fmt: skip

TRANSFORMERS = "vision_model.encoder.layers.0.self_attn."
HF = [
    Row("transformers, int8 keys beside float queries", hf_file(as_type("int8", TRANSFORMERS + "k_proj.w")), r"are no floats: \S+0\.self_attn\.k_proj\.weight is int8; .*dequantise"),
    Row("transformers, keys of another shape", hf_file(put(**{TRANSFORMERS + "k_proj.weight": lambda old: old[:, :31]})), r"k_proj\.weight is \[32, 31\]"),
    Row("transformers, without keys", hf_file(without(TRANSFORMERS + "k_proj.weight")), r"lacks \S+0\.self_attn\.k_proj\.weight beside"),
    Row("transformers, NaN in the queries", hf_file(put(**{TRANSFORMERS + "q_proj.weight": one(float("nan"))})), FINITE + r"\S+0\.self_attn\.q_proj\.weight"),
    Row("transformers, sparse values", hf_file(put(**{TRANSFORMERS + "v_proj.weight": Tensor.to_sparse})), r'self_attn\.v_proj\.weight" is of the layout sparse_coo'),
    Row("transformers, a projection of another shape", hf_file(put(**{"visual_projection.weight": lambda old: old[0]})), r"visual\.proj is \[32\] in the file"),
    Row("transformers, 8-bit floats", hf_file(as_type("float8_e4m3fn")), Right(as_stored("float8_e4m3fn").tower, "An 8-bit float")),
    Row("transformers, a name of another model", hf_file(lambda s: s | {"vision_model.self_attn.q_proj.weight": torch.ones(2)}), 'has the tensor "vision_model.self_attn.q_proj.weight"'),
]  # fmt: skip

MISSING = 'there is no weights file "'


FILES = [
    Row("half a .pt", bytes_file(half), '"mine.pt" is incomplete.*copy or download it again'),
    Row("half a .pt, the rest zeros", bytes_file(lambda b: half(b) + bytes(len(b) - len(half(b)))), '"mine.pt" is incomplete or damaged'),
    Row("a .pt without its last byte", bytes_file(lambda b: b[:-1]), '"mine.pt" is incomplete'),
    Row("half a .pt of the older kind", bytes_file(half, _use_new_zipfile_serialization=False), '"mine.pt" is incomplete'),
    Row("the first bytes of a .pt of the older kind", bytes_file(lambda b: b[:20], _use_new_zipfile_serialization=False), '"mine.pt" is incomplete'),
    Row("half a .safetensors", bytes_file(half, "mine.safetensors"), r'"mine\.safetensors" is incomplete: [\d,]+ bytes belong to it .* copy or download'),
    Row("a .safetensors cut in its header", bytes_file(lambda b: b[:500], "mine.safetensors"), "is incomplete: .* 500 are there"),
    Row("a byte too many in a .safetensors", bytes_file(lambda b: b + b"x", "mine.safetensors"), "is damaged"),
    Row("junk in the header of a .safetensors", bytes_file(lambda b: b[:9] + b"?" + b[10:], "mine.safetensors"), "is damaged"),
    Row("a flipped bit in a .pt", bytes_file(flipped), r'"mine\.pt" is damaged \(mine/data/\d+ does not match its checksum\)'),
    Row("a .pt without checksums", clip_file(write=without_checksums), Right()),
    Row("a .pt of the older kind", clip_file(write=lambda s, p: torch.save(s, p, _use_new_zipfile_serialization=False)), Right()),
    Row("junk in the pickle of a torch zip", raw(archive(**{"a__data.pkl": b"\x80\x02junk", "a__version": b"3"})), "is damaged"),
    Row("no pickle in a torch zip", raw(archive(**{"a__data__0": bytes(16)})), "a zip archive, but not one of torch.save: it holds a/data/0"),
    Row("a .npz", raw(archive(**{"arr_0.npy": b"x"}), "mine.npz"), "a zip archive, but not one of torch.save"),
    Row("an opcode that no weights have", raw(b"\x80\x02Y."), "is damaged, or was written with another pickle protocol"),
    Row("a pointer of Git LFS", raw(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"), "only points to a file of Git LFS.*git lfs pull"),
    Row("safetensors under the name of a .pt", clip_file(name="mine.pt", write=save_file), Right()),
    Row("a torch file under the name of a .safetensors", clip_file(name="mine.safetensors"), Right()),
    Row("a named pipe", pipe, "is no ordinary file"),
    Row("a file that may not be read", unreadable, r'"mine\.pt" cannot be read \(Permission denied\)'),
    Row("a link to a file that is gone", dangling, MISSING + ".*link to a file that is gone"),
    Row("no file, and tags in doubt", lambda folder: kit.load("ViT-L-14", folder / "no.pt"), MISSING),
    Row("no file, and an unknown model", lambda folder: kit.load("ViT-X-14", folder / "no.pt"), MISSING),
    Row("no file, and a wrong config", lambda folder: kit.load("mine", folder / "no.pt", config={"embed_dim": 3}), MISSING),
    Row("no file, and an unknown timm model", lambda folder: kit.load("timm/vit_x", folder / "no.pt"), MISSING),
    Row("no file for a folder", in_folder({}, lambda place: kit.load(place, place / "no.pt")), MISSING),
    Row("a path that is too long", lambda folder: kit.load("mine", "x/" * 3000, config=small()), MISSING),
    Row("a number as file", lambda folder: kit.load("mine", 3, config=small()), "pretrained= should be a tag, .* not 3"),
    Row("a path in bytes", lambda folder: bytes_path(folder), Right()),
]  # fmt: skip


CACHED = [
    Row("the file of a tag", tag_file(), Right()),
    Row("the file of a tag, int8", tag_file(as_type("int8", "visual.proj")), r"visual\.proj is int8 in the file.*dequantise"),
    Row("the file of a tag, NaN", tag_file(put(visual__proj=one(float("nan")))), r"holds NaN or infinite values: visual\.proj"),
    Row("the file of a tag, a shape of another model", tag_file(put(visual__proj=lambda old: old[:3])), "cannot be loaded: .*remove it and load again"),
    Row("the file of a tag, half of it", tag_file(lambda s: only("visual.")(s)), "cannot be loaded: .*remove it and load again"),
    Row("the file of a timm tag", timm_tag_file(), Right(lambda: PreLogits(vit(1000)))),
    Row("the file of a timm tag, uint8", timm_tag_file(as_type("uint8", "blocks.")), r"blocks\.\S+ is uint8 in the file.*dequantise"),
    Row("the file of a timm tag, NaN", timm_tag_file(put(norm__bias=one(float("nan")))), FINITE + r"norm\.bias"),
    Row("the file of a timm tag, without a layer", timm_tag_file(without("norm.")), "cannot be loaded: .*remove it and load again"),
]  # fmt: skip

PREPARED = [
    Row("local-dir: with a file", in_folder(SQUASHED, local), Right(transform=OWN)),
    Row("local-dir: alone", in_folder(SQUASHED, lambda place: kit.load(f"local-dir:{place}")), Right(transform=OWN)),
    Row("a folder as the hub has it", in_folder(SQUASHED), Right(transform=OWN)),
    Row("a folder as the hub has it, .bin", in_folder(SQUASHED, file="open_clip_pytorch_model.bin"), Right(transform=OWN)),
    Row("a folder with one weights file of another name", in_folder(SQUASHED, file="mine.pt"), Right(transform=OWN)),
    Row("a folder with a file from elsewhere", in_folder(SQUASHED, other_file), Right(transform=OWN)),
    Row("local-dir: with like=", in_folder(SQUASHED, lambda p: local(p, like="ViT-L-14/laion2b_s32b_b82k")), Right(transform=transform(mean=(0.5,) * 3, std=(0.5,) * 3))),
    Row("local-dir: with config=", in_folder(SQUASHED, lambda p: local(p, config={"quick_gelu": False})), Right(transform=OWN)),
    Row(
        "local-dir: with preprocess=, which wins",
        in_folder(SQUASHED, lambda p: local(p, preprocess={"mean": (0.0, 0.0, 0.5), "resize_mode": "longest"})),
        Right(transform=transform(mean=(0.0, 0.0, 0.5), std=(0.9, 0.8, 0.7), interpolation="bilinear", resize_mode="longest")),
    ),
    Row("preprocess= of None in one setting", in_folder(SQUASHED, lambda p: local(p, preprocess={"mean": None})), Right(transform=OWN)),
    Row("a mean of 0 as one number", in_folder({"preprocess_cfg": {"mean": 0, "std": 1}}, local), Right(transform=transform(mean=(0.0,) * 3, std=(1.0,) * 3))),
    Row("preprocess= with a mean of 0", in_folder(SQUASHED, lambda p: local(p, preprocess={"mean": 0, "std": 1})), Right(transform=transform(mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bilinear", resize_mode="squash"))),
    Row("preprocess= with a tensor as mean", in_folder(SQUASHED, lambda p: local(p, preprocess={"mean": torch.tensor([0.5, 0.5, 0.5])})), Right(transform=transform(mean=(0.5,) * 3, std=(0.9, 0.8, 0.7), interpolation="bilinear", resize_mode="squash"))),
    Row("some settings of images alone", in_folder({"preprocess_cfg": {"std": [0.9] * 3}}, local), Right(transform=transform(std=(0.9,) * 3))),
    Row("no settings of images", in_folder({}, local), Right(note="does not say how images are prepared", transform=transform())),
    Row("images of another size than the tower", in_folder({"preprocess_cfg": cfg(size=64)}, local), Right(note="say 64 px; the tower reads 32", transform=transform(mean=(0.1, 0.2, 0.3), std=(0.9, 0.8, 0.7), interpolation="bilinear"))),
    Row("a setting of images that open_clip has not", in_folder({"preprocess_cfg": cfg(resize_mode="squash", crop=0.9)}), Right(note="no setting crop of images", transform=OWN)),
    Row("a file of a folder under a name of one's own", in_folder(SQUASHED, lambda p: kit.load("mine", p / "open_clip_model.safetensors", config=small())), Right(note=r"open_clip_config\.json beside the file was not read; load\(", transform=transform())),
    Row("a timm folder", in_timm_folder({"pretrained_cfg": TIMM_CFG}), Right(lambda: PreLogits(vit()), transform=create_transform((3, 32, 32), mean=(0.1, 0.2, 0.3), std=(0.9, 0.8, 0.7), crop_pct=1.0, interpolation="bilinear"))),
    Row("a timm folder, .bin", in_timm_folder({"pretrained_cfg": TIMM_CFG}, file="pytorch_model.bin"), Right(lambda: PreLogits(vit()), transform=create_transform((3, 32, 32), mean=(0.1, 0.2, 0.3), std=(0.9, 0.8, 0.7), crop_pct=1.0, interpolation="bilinear"))),
    Row("a timm folder with a file", in_timm_folder({"pretrained_cfg": TIMM_CFG}, lambda p: kit.load(f"local-dir:{p}", p / "model.safetensors")), Right(lambda: PreLogits(vit()), transform=create_transform((3, 32, 32), mean=(0.1, 0.2, 0.3), std=(0.9, 0.8, 0.7), crop_pct=1.0, interpolation="bilinear"))),
    Row("a timm folder with preprocess=, which wins", in_timm_folder({"pretrained_cfg": TIMM_CFG}, lambda p: kit.load(p, preprocess={"mean": (0.5,) * 3})), Right(lambda: PreLogits(vit()), transform=create_transform((3, 32, 32), mean=(0.5,) * 3, std=(0.9, 0.8, 0.7), crop_pct=1.0, interpolation="bilinear"))),
    Row("a timm file of a folder under its name", in_timm_folder({"pretrained_cfg": TIMM_CFG}, lambda p: kit.load(tiny.TIMM, p / "model.safetensors", config=tiny.TIMM_CONFIG)), Right(lambda: PreLogits(vit()), note=r"config\.json beside the file was not read")),
]  # fmt: skip

CHANNELS = "should be three numbers"
SMALL_VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": 32,
}
FOLDERS = [
    Row("a folder with like=", in_folder(SQUASHED, lambda p: kit.load(p, like="ViT-B-32/openai")), "brings its own configuration; leave out config= and like="),
    Row("local-dir: of a timm folder with like=", in_timm_folder({}, lambda p: kit.load(f"local-dir:{p}", like="mae")), "leave out config= and like="),
    Row("local-dir: with an unknown like=", in_folder(SQUASHED, lambda p: local(p, like="openai")), 'has no tag "openai"'),
    Row("local-dir: of no folder", lambda folder: kit.load(f"local-dir:{folder / 'no'}"), "there is no folder"),
    Row("local-dir: of an empty folder", lambda folder: kit.load(f"local-dir:{folder}"), "holds no model: neither open_clip_config.json nor"),
    Row("hf-hub:", lambda folder: kit.load("hf-hub:someone/something"), "lies on the hub, and only tags are fetched"),
    Row("{} as open_clip_config.json", in_folder({}, prepare=written("open_clip_config.json", b"{}")), "lacks embed_dim and vision_cfg"),
    Row("junk as open_clip_config.json", in_folder({}, prepare=written("open_clip_config.json", b"{'a")), "is no JSON"),
    Row("half of open_clip_config.json", in_folder({}, prepare=written("open_clip_config.json", b'{"model_cfg": {"embed')), "is no JSON"),
    Row("bytes that are no text as open_clip_config.json", in_folder({}, prepare=written("open_clip_config.json", b"\xff\xfe{\x00")), "is no JSON"),
    Row("a list as open_clip_config.json", in_folder({}, prepare=written("open_clip_config.json", b"[1]")), "holds a list and no settings by name"),
    Row("JSON within JSON without end", in_folder({}, prepare=written("open_clip_config.json", b"[" * 100000)), "is no JSON"),
    Row("a list as model_cfg", in_folder({"model_cfg": [1]}), "the model_cfg of .* is a list and no settings"),
    Row("a word as vision_cfg", in_folder({"model_cfg": {**small(), "vision_cfg": "big"}}), "the vision_cfg of a config should be a dict"),
    Row("a word as text_cfg", in_folder({"model_cfg": {**small(), "text_cfg": "big"}}), "the text_cfg of a config should be a dict"),
    Row("a patch of no size", in_folder({"model_cfg": {**small(), "vision_cfg": {**tiny.VISION, "patch_size": 0}}}), "open_clip cannot build this config"),
    Row("a word as width", in_folder({"model_cfg": {**small(), "embed_dim": "wide"}}), "open_clip cannot build this config"),
    Row("a list as preprocess_cfg", in_folder({"preprocess_cfg": [0.5]}), "the preprocess_cfg of .* is a list"),
    Row("a mean of two channels", in_folder({"preprocess_cfg": cfg(mean=[0.5, 0.5])}), "the mean .*" + CHANNELS),
    Row("a mean in words", in_folder({"preprocess_cfg": cfg(mean="imagenet")}), "the mean .*" + CHANNELS),
    Row("a mean that is NaN", in_folder({"preprocess_cfg": cfg(mean=[float("nan")] * 3)}), "the mean .*" + CHANNELS),
    Row("a std of 0", in_folder({"preprocess_cfg": cfg(std=[0.5, 0, 0.5])}), "the std .*" + CHANNELS + " above 0"),
    Row("an unknown interpolation", in_folder({"preprocess_cfg": cfg(interpolation="sharp")}), "cannot be prepared with .*interpolation='sharp'"),
    Row("an unknown way to resize", in_folder({"preprocess_cfg": cfg(resize_mode="fold")}), "cannot be prepared with .*resize_mode='fold'"),
    Row("preprocess= in one word", in_folder(SQUASHED, lambda p: local(p, preprocess="squash")), "preprocess= should be a dict"),
    Row("preprocess= with a std of 0", in_folder(SQUASHED, lambda p: local(p, preprocess={"std": 0})), "the std .*" + CHANNELS + " above 0"),
    Row("config= in one word", lambda folder: kit.load("mine", "random", config="small"), "config= should be a dict"),
    Row("a folder without weights", in_folder({}, prepare=lambda p: (p / "open_clip_model.safetensors").unlink()), "holds no weights file"),
    Row("a folder with two weights files of other names", in_folder({}, prepare=lambda p: [save_file({"a": torch.ones(1)}, p / n) for n in ("a.pt", "b.pt")], file="c.pt"), r"holds a\.pt, b\.pt, c\.pt, but none of"),
    Row("half the weights of a folder", in_folder({}, prepare=lambda p: (p / "open_clip_model.safetensors").write_bytes(half((p / "open_clip_model.safetensors").read_bytes()))), "is incomplete"),
    Row("int8 weights of a folder", in_folder({}, prepare=lambda p: save_file(as_type("int8")(clip().state_dict()), p / "open_clip_model.safetensors")), "is int8 in the file"),
    Row("junk as vocabulary", in_folder({}, shipped=True, prepare=written("bpe.txt.gz", b"junk")), "is no vocabulary packed by gzip"),
    Row("half a vocabulary", in_folder({}, shipped=True, prepare=lambda p: (p / "bpe.txt.gz").write_bytes(half((p / "bpe.txt.gz").read_bytes()))), "is no vocabulary packed by gzip"),
    Row("junk as vocabulary, its words beside it", text_of(in_folder({}, shipped=True, prepare=lambda p: [written("bpe.txt.gz", b"junk")(p), written("words.json", b'["dog"]')(p)])), "the vocabulary of .* cannot be read"),
    Row("the vocabulary of another model", text_of(in_folder({}, prepare=lambda p: tiny.write_vocabulary(p / "bpe.txt.gz", tiny.learn_merges(("ab", "abc"))))), r"reads 64 tokens, but bpe\.txt\.gz of this folder has 5"),
    Row("a vocabulary that is gone", text_of(in_folder({}, shipped=True, prepare=lambda p: (p / "bpe.txt.gz").unlink())), "but open_clip's own vocabulary has 49,408"),
    Row("{} as words.json", in_folder({}, shipped=True, prepare=written("words.json", b"{}")), "should be a list of words"),
    Row("junk as words.json", in_folder({}, shipped=True, prepare=written("words.json", b"dog, cat")), "is no JSON"),
    Row("numbers as words.json", in_folder({}, shipped=True, prepare=written("words.json", b"[1, 2]")), "should be a list of words"),
    Row("null as vision_cfg", in_folder({"model_cfg": {**small(), "vision_cfg": None}}), "the vision_cfg of a config should be a dict"),
    Row("{} as config.json", in_timm_folder({"architecture": None}), 'names no architecture of timm: "architecture" is None'),
    Row("a folder of transformers", in_timm_folder({"architecture": None, "model_type": "vit", "architectures": ["ViTForImageClassification"], **SMALL_VIT}), r"tensors are missing \(classifier\.bias"),
    Row("an unknown architecture of timm", in_timm_folder({"architecture": "vit_tiny_patch16_22"}), "names no architecture of timm"),
    Row("an unknown argument of a timm model", in_timm_folder({"model_args": {"deep": 3}}), "timm cannot build"),
    Row("a list as pretrained_cfg", in_timm_folder({"pretrained_cfg": [1]}), "the pretrained_cfg of .* is a list"),
    Row("a timm mean in words", in_timm_folder({"pretrained_cfg": {**TIMM_CFG, "mean": "imagenet"}}), "the mean .*" + CHANNELS),
    Row("a timm crop of no size", in_timm_folder({"pretrained_cfg": {**TIMM_CFG, "crop_pct": 0}}), "cannot be prepared with|crop_pct"),
    Row("labels of classes by number", in_timm_folder({"label_names": {"0": "ant"}}), "label_names of .* should be a list of names"),
    Row("labels of other classes", in_timm_folder({"label_names": ["ant"]}), "1 class names were given, but the head"),
]  # fmt: skip


WITHIN = [
    Row("random weights under inference_mode", inside(torch.inference_mode, random_clip), Right(random_tower)),
    Row("a file under inference_mode", inside(torch.inference_mode, clip_file()), Right()),
    Row("a folder under inference_mode", inside(torch.inference_mode, in_folder(SQUASHED)), Right()),
    Row("a timm file under inference_mode", inside(torch.inference_mode, vit_file()), Right(lambda: PreLogits(vit()))),
    Row("a file that was saved under inference_mode", clip_file(write=torch.inference_mode()(torch.save)), Right()),
    Row("a file under no_grad", inside(torch.no_grad, clip_file()), Right()),
    Row("a file where float16 is the default type", inside(half_by_default, clip_file()), "default type is float16"),
    Row("a file where meta is the default device", inside(lambda: torch.device("meta"), random_clip), Right(random_tower)),
]  # fmt: skip

ROWS = [
    *TYPES,
    *VALUES,
    *LAYOUTS,
    *COUNTS,
    *HEADS,
    *NAMES,
    *HF,
    *FILES,
    *CACHED,
    *PREPARED,
    *FOLDERS,
    *WITHIN,
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_what_is_given_is_right_or_refused(row, tmp_path):
    if isinstance(row.expected, str):
        with pytest.raises(KitError, match=row.expected) as caught:
            row.call(tmp_path)
        assert len(str(caught.value)) < 900 and "\n" not in str(caught.value)
        return
    model, right = row.call(tmp_path), row.expected
    tower, pixels = right.tower().eval(), tiny.pixels(size=model.image_size[0])
    if right.transform:
        pixels = right.transform(PICTURE)[None]
        assert torch.equal(model.preprocess(PICTURE), pixels)
    with torch.no_grad():
        assert torch.equal(model.encode_image(pixels), tower(pixels))
    assert any(re.search(right.note, note) for note in ["", *model.notes])
    assert model.dtype == torch.float32 and not any(p.is_inference() for p in model.tower.parameters())


def test_a_folder_is_what_open_clips_own_loader_makes_of_it(tmp_path):
    place = folder_of_clip(tmp_path, {"model_cfg": tiny.config(), **SQUASHED}, state=tiny.clip().state_dict())
    theirs, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{place}")
    theirs = theirs.eval().requires_grad_(False)  # with gradients, attention takes another path: 1e-7 apart
    tokens = open_clip.get_tokenizer(f"local-dir:{place}")(["a dog", "a red cat"], context_length=8)
    model = kit.load(place)
    pixels = prepare(PICTURE)[None]
    with torch.no_grad():
        assert torch.equal(model.preprocess(PICTURE), pixels)
        assert torch.equal(model.encode_image(pixels), theirs.visual(pixels))
        assert torch.equal(
            model.encode_text(["a dog", "a red cat"]), normalize(theirs.encode_text(tokens), dim=-1)
        )


def test_position_ids_stay_as_the_architecture_has_them(tmp_path):
    """A text tower that saves its places: a file with them, and one without, as newer versions write it."""
    for kept in (["weight", "position_ids"], ["weight"]):
        source, module = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        for one_of_them in (source, module):
            one_of_them.register_buffer("position_ids", torch.arange(4))
        torch.save({name: source.state_dict()[name] for name in kept}, tmp_path / "text.pt")
        state, _ = read_weights(tmp_path / "text.pt", needed(module), "mine", lambda *_: None)
        assert fit(module, state, "text.pt", "mine") == []
        assert torch.equal(module.weight, source.weight) and torch.equal(module.position_ids, torch.arange(4))


def test_the_table_has_a_row_for_each_kind_and_its_rows_differ():
    assert len({row.what for row in ROWS}) == len(ROWS) > 150
