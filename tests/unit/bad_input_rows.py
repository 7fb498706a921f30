"""Rows of the bad-input table: the call, and the exact message that it must give.

A row is appended with `Row("what", call, message)`. `call` gets an `At` (models and files to
misuse), `message` may name `{files}`, the folder of the files. Messages are compared whole; one that
ends in "..." is compared up to there. Where the call needs a model in a bad state, `prepare`
makes one, and "state before" is taken after it.
"""
# ruff: noqa: E501 - messages stand as they are read

import io
import json
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from kit.data import read_folder
from kit.models import Model, directions, load, read_image
from kit.models.images import FORMATS
from tests.unit import tiny_models as tiny


@dataclass
class At:
    """What rows may use.

    Attributes:
        model: a tiny CLIP with a text tower and a closed vocabulary.
        vision: a tiny image tower without texts.
        classifier: a tiny timm model with three named classes.
        files: folder of bad files, see `write_files`.
        pixels: good pixels for all three.
    """

    model: Model
    vision: Model
    classifier: Model
    files: Path
    pixels: torch.Tensor


@dataclass(frozen=True)
class Row:
    """One bad input. `prepare` brings a copy of the models into a bad state first."""

    what: str
    call: Callable[[At], object]
    message: str
    prepare: Callable[[At], None] | None = None


def make(files: Path) -> At:
    """Models and files for one test run; rows must leave them as they are."""
    folder = tiny.write_folder(files / "tiny-l2")
    at = At(
        model=load(folder),
        vision=load("vision", "random", config=tiny.config(text=False)),
        classifier=load(
            tiny.TIMM,
            "random",
            config={**tiny.TIMM_CONFIG, "num_classes": 3, "class_names": ["ant", "bee", "cat"]},
        ),
        files=files,
        pixels=tiny.pixels(),
    )
    at.model.name = "tiny-l2"
    write_files(files, at.vision)
    return at


class Evil:
    """What a pickle with code would run."""

    def __reduce__(self):
        return (print, ("a weights file ran code",))


def write_files(files: Path, vision: Model) -> None:
    """Images and weights that cannot be used, each for one reason."""
    state = vision.tower.state_dict()
    (files / "empty.png").write_bytes(b"")
    (files / "empty.pt").write_bytes(b"")
    (files / "hello.png").write_text("hello, I am text")
    (files / "hello.pt").write_text("hello, I am text")
    (files / "hello.safetensors").write_text("hello, I am text")
    (files / "none").mkdir()
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole, "PNG")
    (files / "half.png").write_bytes(whole.getvalue()[:5000])
    Image.new("1", (20_000, 6_000)).save(files / "huge.png")
    Image.new("1", (300, 2)).save(files / "thin.png")
    Image.new("F", (4, 2)).save(files / "float.tif")
    torch.save({"weights": Evil()}, files / "code.pt")
    (files / "code.pkl").write_bytes(pickle.dumps(Evil(), protocol=2))
    torch.save(state | {"proj": torch.full_like(state["proj"], float("nan"))}, files / "nan.pt")
    torch.save(state | {"proj": torch.zeros(32, 25)}, files / "wide.pt")
    torch.save({k: v for k, v in state.items() if k != "ln_post.bias"}, files / "missing.pt")
    torch.save(state | {"extra.weight": torch.zeros(1)}, files / "extra.pt")
    torch.save({"fc.weight": torch.zeros(3), "fc.bias": torch.zeros(1)}, files / "other.pt")
    torch.save({"epoch": 3}, files / "nothing.pt")
    torch.save([1, 2], files / "list.pt")
    save_file({"a": torch.zeros(4)}, files / "short.safetensors")
    content = (files / "short.safetensors").read_bytes()
    (files / "short.safetensors").write_bytes(content[:-8])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and OpenAI's files are what it made
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), files / "jit.pt")
    (files / "bare").mkdir()
    (files / "bare" / "readme.json").write_text(json.dumps({}))
    save_file({"a": torch.zeros(1)}, files / "bare" / "a.safetensors")


def vision_file(name: str) -> Callable[[At], object]:
    """Load one of the bad weights files as the tiny image tower."""
    return lambda at: load("vision", at.files / name, config=tiny.config(text=False))


def image(name: str) -> Callable[[At], object]:
    return lambda at: at.model.preprocess(at.files / name)


NAMES = [
    Row(
        "unknown model",
        lambda at: load("ViT-B32", "random"),
        "there is no model \"ViT-B32\"; kit.available() lists the shipped ones, open_clip's and timm's. "
        "Nearest: ViT-B-32, ViT-S-32, ViT-M-32.",
    ),
    Row(
        "unknown timm model",
        lambda at: load("timm/vit_tiny_patch16_22", "random"),
        'there is no model "timm/vit_tiny_patch16_22"; kit.available() lists the shipped ones, open_clip\'s '
        "and timm's. Nearest: timm/vit_tiny_patch16_224, ...",
    ),
    Row(
        "timm model without its prefix",
        lambda at: load("deit_small_patch16_224", "random"),
        'there is no model "deit_small_patch16_224"; kit.available() lists the shipped ones, open_clip\'s and '
        'timm\'s. timm models are written "timm/deit_small_patch16_224".',
    ),
    Row(
        "empty name",
        lambda at: load(""),
        "a model name was asked of ''; give a name such as \"stickers-l8\".",
    ),
    Row(
        "no pretrained",
        lambda at: load("ViT-L-14"),
        '"ViT-L-14" needs pretrained=: one of its tags (openai, laion400m_e31, laion400m_e32, '
        "laion2b_s32b_b82k, datacomp_xl_s13b_b90k, commonpool_xl_clip_s13b_b90k, "
        "commonpool_xl_laion_s13b_b90k, commonpool_xl_s13b_b90k, metaclip_400m, metaclip_fullcc, dfn2b, "
        'dfn2b_s39b), a local file, or "random" for untrained weights.',
    ),
    Row(
        "unknown tag",
        lambda at: load("ViT-L-14-336", "openia"),
        '"ViT-L-14-336" has no tag "openia"; its tags: openai. A local file is given by its path. Nearest: openai.',
    ),
    Row(
        "unknown timm tag",
        lambda at: load("timm/deit_small_patch16_224", "fb_in22k"),
        '"timm/deit_small_patch16_224" has no tag "fb_in22k"; its tags: fb_in1k. '
        "A local file is given by its path. Nearest: fb_in1k.",
    ),
    Row(
        "no network for a tag",
        lambda at: load("ViT-B-32", "openai"),
        'no checkpoint "ViT-B-32/openai" on this machine, and it could not be fetched (no network?); '
        'load a file with load("ViT-B-32", pretrained="path/to/file", like="openai")...',
    ),
    Row(
        "no network for a timm tag",
        lambda at: load("timm/deit_small_patch16_224.fb_in1k"),
        'no checkpoint "timm/deit_small_patch16_224/fb_in1k" on this machine, and it could not be fetched (no '
        'network?); load a file with load("timm/deit_small_patch16_224", pretrained="path/to/file", '
        'like="fb_in1k")...',
    ),
    Row(
        "like with a tag",
        lambda at: load("ViT-L-14", "openai", like="dfn2b"),
        'like= is for local files; the tag "openai" has its own settings.',
    ),
    Row(
        "config of a model that brings its own",
        lambda at: load(at.files / "tiny-l2", config={}),
        '"{files}/tiny-l2" brings its own configuration; leave out config= and like=.',
    ),
    Row(
        "config without widths",
        lambda at: load("mine", "random", config={"text_cfg": {}}),
        'the config of "mine" lacks embed_dim and vision_cfg; it should look like '
        "open_clip.get_model_config('ViT-B-32').",
    ),
    Row(
        "unknown setting of a config",
        lambda at: load("mine", "random", config={"embed_dim": 8, "vision_cfg": {"depth": 3}}),
        "open_clip cannot build this config: CLIPVisionCfg.__init__() got an unexpected keyword argument 'depth'...",
    ),
    Row(
        "unknown argument of a timm model",
        lambda at: load(tiny.TIMM, "random", config={"deep": 3}),
        'timm cannot build "timm/vit_tiny_patch16_224" with config...',
    ),
    Row(
        "unknown setting of preprocess",
        lambda at: load(at.files / "tiny-l2", preprocess={"means": 0.5}),
        'preprocess= has no setting "means"; there are size, mode, mean, std, interpolation, resize_mode, '
        "fill_color. Nearest: mean.",
    ),
    Row(
        "unknown device",
        lambda at: load(at.files / "tiny-l2", device="gpu"),
        'there is no device "gpu"; use "cpu", "cuda" or "mps".',
    ),
    Row(
        "device that is not there",
        lambda at: load(at.files / "tiny-l2", device="mps"),
        'the device "mps" is not on this machine; there is...',
    ),
    Row(
        "folder without a model",
        lambda at: load(at.files / "none"),
        'the folder "{files}/none" holds no model: neither open_clip_config.json nor config.json is in it. A '
        'weights file is given with its architecture: load("ViT-B-32", pretrained="path/to/file").',
    ),
    Row(
        "class names of another number",
        lambda at: load(tiny.TIMM, "random", config={**tiny.TIMM_CONFIG, "class_names": ["ant"]}),
        '1 class names were given, but the head of "timm/vit_tiny_patch16_224" has 1000 outputs.',
    ),
]

WEIGHTS = [
    Row(
        "no such weights file",
        vision_file("nam.pt"),
        'there is no weights file "{files}/nam.pt". Nearest: nan.pt...',
    ),
    Row(
        "folder as weights",
        vision_file("bare"),
        'pretrained="{files}/bare" is a folder: it holds a.safetensors; name one of them.',
    ),
    Row(
        "empty weights file",
        vision_file("empty.pt"),
        '"empty.pt" is empty (0 bytes); copy or download it again.',
    ),
    Row(
        "text file as weights",
        vision_file("hello.pt"),
        '"hello.pt" is not a weights file: it begins with "hello, I am text"; '
        "give a .safetensors file or one that torch.save wrote.",
    ),
    Row(
        "text file called safetensors",
        vision_file("hello.safetensors"),
        '"hello.safetensors" is not a weights file: it begins with "hello, I am text"; '
        "give a .safetensors file or one that torch.save wrote.",
    ),
    Row(
        "cut safetensors",
        vision_file("short.safetensors"),
        '"short.safetensors" is incomplete: 80 bytes belong to it by its own header, 72 are there; '
        "copy or download it again.",
    ),
    Row(
        "pickle with code in torch's archive",
        vision_file("code.pt"),
        '"code.pt" holds more than tensors, and Loupe runs no code from a weights file; where you trust it, '
        'save its weights alone: torch.save(model.state_dict(), "weights.pt"). It asks for print.',
    ),
    Row(
        "bare pickle with code",
        vision_file("code.pkl"),
        '"code.pkl" holds more than tensors, and Loupe runs no code from a weights file; where you trust it, '
        'save its weights alone: torch.save(model.state_dict(), "weights.pt"). It asks for print.',
    ),
    Row(
        "TorchScript archive",
        vision_file("jit.pt"),
        '"jit.pt" is a TorchScript archive, a program and not only weights, and Loupe runs no code from a '
        "weights file; where you trust it, convert it once: "
        'torch.save(torch.jit.load("jit.pt", map_location="cpu").state_dict(), "weights.pt").',
    ),
    Row(
        "dict without weights",
        vision_file("nothing.pt"),
        '"nothing.pt" holds a dict of epoch, but no weights by name; '
        "save them with torch.save(model.state_dict(), ...).",
    ),
    Row(
        "list as weights",
        vision_file("list.pt"),
        '"list.pt" holds a list, but no weights by name; save them with torch.save(model.state_dict(), ...).',
    ),
    Row(
        "NaN weights",
        vision_file("nan.pt"),
        '"nan.pt" holds NaN or infinite values in 1 of 32 tensors: proj (float32, 768 of 768 values); '
        "the training that wrote it has diverged, take an earlier checkpoint.",
    ),
    Row(
        "weights of another shape",
        vision_file("wide.pt"),
        '"wide.pt" does not fit "vision": 1 of 32 tensors have another shape: proj is [32, 25] in the file, '
        "[32, 24] in the model; load it under the architecture that it was trained with, or give config=.",
    ),
    Row(
        "missing tensor",
        vision_file("missing.pt"),
        '"missing.pt" does not fit "vision": 1 of 32 tensors are missing (ln_post.bias); save the whole '
        "state_dict() of this architecture, or load the file under the one that it was trained with.",
    ),
    Row(
        "tensor without a place",
        vision_file("extra.pt"),
        '"extra.pt" does not fit "vision": 1 tensors of the file have no place (extra.weight); save the whole '
        "state_dict() of this architecture, or load the file under the one that it was trained with.",
    ),
    Row(
        "file for another architecture",
        vision_file("other.pt"),
        '"other.pt" is a file for another architecture than "vision": of 32 tensors that the model has, 0 are '
        "in the file (model: class_embedding, positional_embedding, proj, ...; file: fc.weight, fc.bias); load "
        "it under the architecture that it was trained with.",
    ),
    Row(
        "timm file for open_clip's name",
        lambda at: load(tiny.TIMM, at.files / "wide.pt", config=tiny.TIMM_CONFIG),
        '"wide.pt" is a file for another architecture than "timm/vit_tiny_patch16_224"...',
    ),
]

IMAGES = [
    Row(
        "empty image",
        image("empty.png"),
        '"empty.png" is empty (0 bytes); choose an image file such as PNG or JPEG.',
    ),
    Row(
        "text as image",
        image("hello.png"),
        '"hello.png" is not an image in a format that is read: it begins with "hello, I am text"; '
        "choose a PNG, JPEG, GIF, BMP, TIFF or WebP file.",
    ),
    Row(
        "broken image",
        image("half.png"),
        '"half.png" is damaged: Pillow stopped with "image file is truncated"; save it again.',
    ),
    Row(
        "huge image",
        image("huge.png"),
        '"huge.png" is 20000 x 6000 pixels; the limit is 100,000,000 pixels: make it smaller first.',
    ),
    Row(
        "thin image",
        image("thin.png"),
        '"thin.png" is 300 x 2 pixels; the long side may be at most 100 times the short one: crop it first.',
    ),
    Row(
        "floating-point image",
        image("float.tif"),
        '"float.tif" holds floating-point pixels; give 8 or 16 bit values, such as a PNG.',
    ),
    Row("no such image", image("hal.png"), 'there is no image file "{files}/hal.png". Nearest: half.png...'),
    Row(
        "folder as image",
        image("none"),
        '"{files}/none" is a folder, not an image; read its images with kit.data.read_folder.',
    ),
    Row(
        "no image at all",
        lambda at: at.model.preprocess([]),
        "no image was given: the list is empty; give at least one.",
    ),
    Row(
        "one bad image of several",
        lambda at: at.model.preprocess([Image.new("L", (2, 2)), at.files / "empty.png"]),
        'image 1: "empty.png" is empty (0 bytes); choose an image file such as PNG or JPEG.',
    ),
    Row(
        "number as image",
        lambda at: read_image(7),
        "an image cannot be read from the type int; give a path, bytes, a PIL image, a uint8 array [row, col, 3] or a uint8 "
        "tensor [3, row, col].",
    ),
    Row(
        "array of fractions",
        lambda at: read_image(np.zeros((2, 2, 3))),
        "an image array should hold uint8 values, 0 to 255, but the type is float64; "
        "for values from 0 to 1 use (255 * array).round().astype('uint8').",
    ),
    Row(
        "array with channels first",
        lambda at: read_image(np.zeros((3, 8, 8), np.uint8)),
        "an image array should be [row, col] or [row, col, 1|3|4]; the shape is [3, 8, 8].",
    ),
    Row(
        "array without pixels",
        lambda at: read_image(np.zeros((0, 4, 3), np.uint8)),
        "the array is [0, 4, 3]; an image needs at least one pixel.",
    ),
    Row(
        "tensor of floats",
        lambda at: at.model.preprocess(at.pixels[0]),
        "an image tensor should hold uint8 values, 0 to 255, but the type is torch.float32; "
        "pixels that are preprocessed already go to encode_image as they are.",
    ),
    Row(
        "folder of no images",
        lambda at: read_folder(at.files / "none"),
        'the folder "{files}/none" holds no image in a format that is read: '
        + ", ".join(FORMATS)
        + ". It is empty. Name another folder, or save its images anew.",
    ),
    Row(
        "no such folder",
        lambda at: read_folder(at.files / "non"),
        'there is no folder "{files}/non". Nearest: none.',
    ),
    Row(
        "file as folder",
        lambda at: read_folder(at.files / "half.png"),
        '"{files}/half.png" is a file, not a folder; read one image with kit.models.read_image.',
    ),
]

PIXELS = [
    Row(
        "pixels of another size",
        lambda at: at.model.encode_image(torch.zeros(1, 3, 16, 32)),
        "pixels should be [batch, channel=3, height=32, width=32], but the shape is [1, 3, 16, 32].",
    ),
    Row(
        "pixels without a batch",
        lambda at: at.model.encode_image(at.pixels[0]),
        "pixels should be [batch, channel=3, height=32, width=32], but the shape is [3, 32, 32].",
    ),
    Row(
        "no pixels",
        lambda at: at.model.encode_image(at.pixels[:0]),
        "pixels hold no image: the shape is [0, 3, height, width]; give at least one.",
    ),
    Row(
        "picture instead of pixels",
        lambda at: at.model.encode_image(Image.new("L", (2, 2))),
        "pixels should be a tensor [batch, 3, height, width], not of the type Image; call model.preprocess(images) first.",
    ),
    Row(
        "bytes instead of pixels",
        lambda at: at.model.encode_image(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)),
        'pixels are torch.uint8, but "tiny-l2" computes in torch.float32; call model.preprocess(images), or '
        "pixels.to(model.dtype) if they are preprocessed already.",
    ),
    Row(
        "half-precision pixels",
        lambda at: at.model.encode_image(at.pixels.half()),
        'pixels are torch.float16, but "tiny-l2" computes in torch.float32; call model.preprocess(images), or '
        "pixels.to(model.dtype) if they are preprocessed already.",
    ),
    Row(
        "NaN pixels",
        lambda at: at.model.encode_image(at.pixels.clone().index_fill_(0, torch.tensor([1]), float("nan"))),
        "pixels hold NaN or infinite values; look at the image they came from.",
    ),
    Row(
        "train mode",
        lambda at: at.model.encode_image(at.pixels),
        '"tiny-l2" is in train mode, where dropout and batch statistics change the result; '
        "call model.tower.eval() first.",
        prepare=lambda at: at.model.tower.train(),
    ),
    Row(
        "one block in train mode",
        lambda at: at.model.encode_image(at.pixels),
        '"tiny-l2" is in train mode, where dropout and batch statistics change the result; '
        "call model.tower.eval() first.",
        prepare=lambda at: at.model.tower.transformer.resblocks[1].train(),
    ),
    Row(
        "half precision",
        lambda at: at.model.encode_image(at.pixels.half()),
        '"tiny-l2" computes in torch.float16, too coarse for an exact sum of parts; '
        "call model.tower.float(). Files in half precision are loaded as float32.",
        prepare=lambda at: at.model.tower.half(),
    ),
]

TEXTS = [
    Row(
        "empty prompt",
        lambda at: at.model.encode_text(""),
        'the prompt is empty; write at least one word, such as "a dog".',
    ),
    Row(
        "blank prompt in a list",
        lambda at: at.model.encode_text(["a dog", " \n"]),
        'the prompt is empty; write at least one word, such as "a dog".',
    ),
    Row(
        "no prompt",
        lambda at: at.model.encode_text([]),
        'no text was given; give at least one, such as ["a dog"].',
    ),
    Row(
        "overlong prompt",
        lambda at: at.model.encode_text("a red dog, a red cat, a zebra"),
        'the prompt "a red dog, a red cat, a zebra" has 12 tokens, but "tiny-l2" reads at most 8, '
        "start and end included; shorten it.",
    ),
    Row(
        "overlong non-Latin prompt",
        lambda at: at.model.encode_text("собака"),
        'the prompt "собака" has 14 tokens, but "tiny-l2" reads at most 8, start and end included; shorten it.',
    ),
    Row(
        "number as prompt",
        lambda at: at.model.encode_text([3]),
        'a text should be a string such as "a dog", not of the type int.',
    ),
    Row(
        "template without a place",
        lambda at: at.model.encode_text("dog", ["a photo"]),
        'the template \'a photo\' has no "{{}}" for the text; write "a photo of a {{}}".',
    ),
    Row(
        "no template",
        lambda at: at.model.encode_text("dog", []),
        'templates is an empty list; give at least one, such as ["a photo of a {{}}"].',
    ),
    Row(
        "text without a text tower",
        lambda at: at.vision.encode_text("a dog"),
        '"vision" has no text tower; use class names, (names, array), "self", another image\'s embedding or '
        "principal components (kit.models.directions), or an aligner into a CLIP's space.",
    ),
    Row(
        "text for a classifier",
        lambda at: at.classifier.encode_text("a dog"),
        '"timm/vit_tiny_patch16_224" has no text tower; use class names, (names, array), "self", another '
        "image's embedding or principal components (kit.models.directions), or an aligner into a CLIP's space.",
    ),
]

DIRECTIONS = [
    Row(
        "unknown class",
        lambda at: directions(at.classifier, ["bees"]),
        '"timm/vit_tiny_patch16_224" has no class "bees" among its 3, and no text tower for other texts; see '
        "model.class_names. Nearest: bee.",
    ),
    Row(
        "classes of a model without names",
        lambda at: directions(at.vision, "classes"),
        '"vision" has no class names; name the outputs of its head with load(..., config={{"class_names": [...]}}), '
        "or give directions as (names, array).",
    ),
    Row(
        "directions of another width",
        lambda at: directions(at.vision, (["x"], np.ones((1, 5)))),
        "directions should be [text=1, embed=24], but the shape is [1, 5].",
    ),
    Row(
        "direction of no length",
        lambda at: directions(at.vision, (["x", "y"], np.eye(24)[:2] * [[1], [0]])),
        'the direction "y" has no length: its values are all zero, NaN or infinite.',
    ),
    Row(
        "self without images",
        lambda at: directions(at.vision, "self"),
        'directions "self" come from images; give pixels=model.preprocess(images).',
    ),
    Row(
        "more components than images",
        lambda at: directions(at.vision, "components", pixels=at.pixels, count=3),
        "3 principal components were asked of 2 images, which have 1; give more images or a smaller count.",
    ),
]

ROWS = [*NAMES, *WEIGHTS, *IMAGES, *PIXELS, *TEXTS, *DIRECTIONS]
