"""Rows of the bad-input table for parts, edits and means."""
# ruff: noqa: E501 - messages stand as they are read

import torch

import kit
from kit.edits import ablate
from kit.parts import collect, load_means
from tests.unit.bad_input_rows import At, Row


def decompose(**arguments):
    return lambda at: kit.decompose(at.model, at.pixels, **arguments)


def edit(selector="L1.H0", **arguments):
    return lambda at: ablate(at.model, at.pixels, selector, **arguments)


def train_mode(at: At) -> None:
    at.model.tower.train()


def half(at: At) -> None:
    at.model.tower.half()


ENGINE = [
    Row("unknown split", decompose(by="heads"), 'no split by "heads"; there are layer, head, token.'),
    Row(
        "unknown convention",
        decompose(convention="papers"),
        'no convention "papers"; there are exact and paper.',
    ),
    Row(
        "empty selector",
        decompose(selector=""),
        'the selector is empty; write "none" for no part, "all" for every part.',
    ),
    Row("reversed selector", decompose(selector="L1-0"), 'the range in "L1-0" is reversed; write L0-1.'),
    Row("unknown layer", decompose(selector="L2.H0"), "layer 2 does not exist: there are 2 layers (0–1)."),
    Row(
        "unknown head", decompose(selector="L1.H2"), "head 2 of layer 1 does not exist: it has 2 heads (0–1)."
    ),
    Row(
        "unknown part",
        decompose(selector="L1.mlp"),
        '"L1.mlp" asks for "mlp"; a layer has H0, H1-3, H*, attn, MLP and attn.bias.',
    ),
    Row(
        "heads of whole layers",
        decompose(selector="L1.H0", by="layer"),
        '"L1.H0" asks for heads, but these parts are whole layers; use by="head".',
    ),
    Row(
        "paper's convention of another pooling",
        lambda at: kit.decompose(at.classifier, at.pixels, convention="paper", selector="L9"),
        "layer 9 does not exist: there are 2 layers (0–1).",
    ),
    Row(
        "pattern of no layer",
        lambda at: kit.pattern(at.model, at.pixels, 2),
        'layer 2 does not exist: "tiny-l2" has 2 layers (0–1).',
    ),
    Row(
        "scores by something else",
        lambda at: kit.scores(at.model, at.pixels, ["a cat"], by="layer"),
        'no scores by "layer"; there are head and token.',
    ),
    Row(
        "scores for directions of another width",
        lambda at: kit.scores(at.model, at.pixels, torch.zeros(2, 5)),
        "directions should be [text, embed=24], but the shape is [2, 5].",
    ),
    Row(
        "scores for texts without a text tower",
        lambda at: kit.scores(at.vision, at.pixels, ["a cat"]),
        '"vision" has no text tower...',
    ),
    Row(
        "decomposing in train mode",
        decompose(),
        '"tiny-l2" is in train mode, where dropout and batch statistics change the result; call model.tower.eval() first.',
        prepare=train_mode,
    ),
    Row(
        "decomposing in half precision",
        decompose(),
        '"tiny-l2" computes in torch.float16, too coarse for an exact sum of parts; call model.tower.float(). '
        "Files in half precision are loaded as float32.",
        prepare=half,
    ),
    Row("unknown effect", edit(effect="indirect"), 'no effect "indirect"; there are direct and total.'),
    Row(
        "unknown replacement",
        edit(replace="noise"),
        'no replacement "noise"; there are mean, zero, or an array [part, embed].',
    ),
    Row(
        "mean without a reference set",
        edit(),
        '"tiny-l2" has no means yet, so replace="mean" is off; collect them with means = kit.collect(model, images, '
        'keep="means", name="my images"), or use replace="zero".',
    ),
    Row(
        "array of another size",
        edit(replace=torch.zeros(2, 24)),
        "the replacement should be [part=1, embed=24], but the shape is [2, 24].",
    ),
    Row(
        "array in a total effect",
        edit(replace=torch.zeros(1, 24), effect="total"),
        'an array replaces parts in the sum alone; use effect="direct", or mean or zero.',
    ),
    Row(
        "constant in a total effect",
        edit("L1", replace="zero", effect="total"),
        '"L1.attn.bias" is a constant, which no later layer reads as such; use effect="direct", or take constants '
        'out of the selector with "!bias".',
    ),
    Row(
        "no file of means",
        lambda at: load_means(at.model, "missing.safetensors"),
        'no file of means at "missing.safetensors"; collect them with kit.collect and save them.',
    ),
    Row(
        "a text file as means",
        lambda at: load_means(at.model, at.files / "hello.safetensors"),
        '"hello.safetensors" is not a file of means, or its beginning is damaged; write one with '
        "Means.save, or collect them again with kit.collect.",
    ),
    Row(
        "weights as means",
        lambda at: load_means(at.model, at.files / "tiny-l2" / "open_clip_model.safetensors"),
        '"open_clip_model.safetensors" is not a file of means, or its beginning is damaged; write one with '
        "Means.save, or collect them again with kit.collect.",
    ),
    Row(
        "reference set without a name",
        lambda at: collect(at.model, at.pixels),
        'a reference set needs a name, such as name="2,000 photographs of birds".',
    ),
    Row(
        "unknown thing to collect",
        lambda at: collect(at.model, at.pixels, keep="mean", name="x"),
        'no keep="mean"; there are keep="means", keep="moments", keep="store". Nearest: means, moments.',
    ),
]
