"""Weights files and model folders of every kind, and what loads them, for `test_weights_right_or_refused`."""

import copy
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import kit
from kit.models import fetch, load_timm
from kit.models.build import build_open_clip, seeded
from tests.unit import tiny_models as tiny
from tests.unit.test_load_files import transformers_state

NOISE = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
PICTURE = Image.fromarray(NOISE)
EFFICIENT = "efficientformer_l1"  # batch norms, and a table of places as whole numbers
EFFICIENT_CONFIG = {"depths": (1, 1, 1, 1), "embed_dims": (8, 16, 24, 32), "num_vit": 1, "num_classes": 0}
PLACES = "stages.3.blocks.1.token_mixer.attention_bias_idxs"
NORM = "stem.norm1."
FLOATS = ("float64", "float16", "bfloat16")
EIGHT = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")
WHOLE = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")

State = dict[str, Tensor]


# the models, with weights that nobody else has


def small(text: bool = True) -> dict:
    """The tiny CLIP with few tokens."""
    full = tiny.config(text)
    return {**full, "text_cfg": {**full["text_cfg"], "vocab_size": 64}} if text else full


@cache
def source() -> nn.Module:
    return tiny.clip(small())


def clip() -> nn.Module:
    return copy.deepcopy(source())


def clip_tower(change: Callable[[State], State] | None = None) -> nn.Module:
    module = clip()
    if change:
        module.load_state_dict(change(module.state_dict()))
    return module.visual


def vit(classes: int = 3) -> nn.Module:
    with seeded(0):
        return tiny.filled(
            timm.create_model("vit_tiny_patch16_224", **{**tiny.TIMM_CONFIG, "num_classes": classes})
        )


class PreLogits(nn.Module):
    """timm's own way to the input of a classifier."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model.forward_head(self.model.forward_features(pixels), pre_logits=True)


def efficient(change: Callable[[State], State] | None = None) -> nn.Module:
    with seeded(0):
        module = tiny.filled(timm.create_model(EFFICIENT, **EFFICIENT_CONFIG))
        for name, value in module.named_buffers():
            if name.endswith("running_mean"):
                value.normal_()
    if change:
        module.load_state_dict(change(module.state_dict()))
    return module


# the files


def as_type(dtype: str, only: str = "") -> Callable[[State], State]:
    """The tensors whose names begin with `only`, in another type, as a script makes it of each of them."""

    def changed(state: State) -> State:
        kind = getattr(torch, dtype)
        scale = 1 if kind.is_floating_point or kind.is_complex else 100
        return {k: (v * scale).to(kind) if k.startswith(only) else v for k, v in state.items()}

    return changed


def put(**tensors) -> Callable[[State], State]:
    """Tensors over those of the state, each made from its old value; `__` stands for a dot."""

    def changed(state: State) -> State:
        new = {name.replace("__", "."): made for name, made in tensors.items()}
        return state | {name: made(state.get(name)) for name, made in new.items()}

    return changed


def without(*names: str) -> Callable[[State], State]:
    return lambda state: {k: v for k, v in state.items() if not k.startswith(names)}


def only(*names: str) -> Callable[[State], State]:
    return lambda state: {k: v for k, v in state.items() if k.startswith(names)}


def one(value: float) -> Callable[[Tensor], Tensor]:
    """The tensor with one value replaced."""
    return lambda old: old.index_fill(0, torch.tensor([0]), value) if old.ndim == 1 else _first(old, value)


def _first(old: Tensor, value: float) -> Tensor:
    new = old.clone()
    new.view(-1)[0] = value
    return new


def tag_file(change: Callable[[State], State] | None = None) -> Callable[[Path], object]:
    """Load a published tag of open_clip whose file lies in the local cache."""

    def call(folder: Path):
        state = clip().state_dict()
        save_file(change(state) if change else state, folder / "open_clip_model.safetensors")
        entry = {**open_clip.get_pretrained_cfg("ViT-B-32", "laion2b_s34b_b79k"), "hf_hub": "nobody/nothing/"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-tiny-test", small())
            patch.setitem(open_clip.pretrained._PRETRAINED, "ViT-tiny-test", {"laion": entry})
            patch.setattr(fetch, "cached_file", lambda *_: str(folder / "open_clip_model.safetensors"))
            return kit.load("ViT-tiny-test", "laion")

    return call


def timm_tag_file(change: Callable[[State], State] | None = None) -> Callable[[Path], object]:
    """Load a published tag of timm whose file lies in the local cache."""

    def call(folder: Path):
        state = vit(1000).state_dict()
        save_file(change(state) if change else state, folder / "model.safetensors")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(load_timm, "cached_file", lambda *_: str(folder / "model.safetensors"))
            return kit.load(f"{tiny.TIMM}.augreg_in21k_ft_in1k", config=dict(tiny.TIMM_CONFIG))

    return call


def clip_file(
    change=None, name="mine.pt", text=True, state=None, write=torch.save
) -> Callable[[Path], object]:
    """Write a changed state of the tiny CLIP, and load it."""

    def call(folder: Path):
        made = (state or (lambda: clip().state_dict()))()
        write(change(made) if change else made, folder / name)
        return kit.load("mine", folder / name, config=small(text))

    return call


def timm_file(
    source: Callable[[], nn.Module], name: str, config: dict, change=None
) -> Callable[[Path], object]:
    def call(folder: Path):
        state = source().state_dict()
        torch.save(change(state) if change else state, folder / "mine.pth")
        return kit.load(name, folder / "mine.pth", config=config)

    return call


def vit_file(change=None) -> Callable[[Path], object]:
    return timm_file(vit, tiny.TIMM, tiny.TIMM_CONFIG, change)


def efficient_file(change=None) -> Callable[[Path], object]:
    return timm_file(efficient, f"timm/{EFFICIENT}", {**EFFICIENT_CONFIG}, change)


def hf_file(change=None) -> Callable[[Path], object]:
    return clip_file(change, state=lambda: transformers_state(clip()))


def bytes_file(change: Callable[[bytes], bytes], name="mine.pt", **how) -> Callable[[Path], object]:
    """Write a good file, change its bytes, and load it."""

    def write(state: State, path: Path) -> None:
        if path.suffix == ".safetensors":
            save_file(state, path)
        else:
            torch.save(state, path, **how)
        path.write_bytes(change(path.read_bytes()))

    return clip_file(name=name, write=write)


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """One bit of the last block of weights is another."""
    found = content.index(clip().state_dict()["visual.proj"].numpy().tobytes()[:64])
    return content[:found] + bytes([content[found] ^ 64]) + content[found + 1 :]


def without_checksums(state: State, path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, path)
    finally:
        torch.serialization.set_crc32_options(True)


def raw(content: bytes, name: str = "mine.pt") -> Callable[[Path], object]:
    def call(folder: Path):
        (folder / name).write_bytes(content)
        return kit.load("mine", folder / name, config=small())

    return call


def archive(**files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name.replace("__", "/"), content)
    return made.getvalue()


def packed(dtype: str, size: int) -> bytes:
    """A safetensors file of one tensor of a type that torch does not write."""
    header = json.dumps({"visual.proj": {"dtype": dtype, "shape": [4], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


def circle(state: State) -> dict:
    held: dict = {"epoch": 3}
    held["state_dict"] = held
    return held


def wide_circle(state: State) -> dict:
    inner: dict = {}
    outer = {"model": inner, "epoch": 3, "lr": 1}
    inner["net"] = outer
    return outer


# the folders


def cfg(**settings) -> dict:
    return {"mean": [0.1, 0.2, 0.3], "std": [0.9, 0.8, 0.7], "interpolation": "bilinear", **settings}


def folder_of_clip(
    folder: Path, settings: dict, file="open_clip_model.safetensors", shipped=False, state=None
) -> Path:
    """A folder as the hub has it, or as those that ship."""
    place = folder / "tiny-clip"
    if shipped:
        tiny.write_folder(place)
        config = json.loads((place / "open_clip_config.json").read_text())
        settings = {"model_cfg": config["model_cfg"], **settings}
    else:
        place.mkdir()
        settings = {"model_cfg": small(), **settings}
        (save_file if file.endswith("safetensors") else torch.save)(
            state or clip().state_dict(), place / file
        )
    (place / "open_clip_config.json").write_text(json.dumps(settings))
    return place


def in_folder(
    settings, how: Callable[[Path], object] = kit.load, prepare=None, **made
) -> Callable[[Path], object]:
    def call(folder: Path):
        place = folder_of_clip(folder, settings, **made)
        if prepare:
            prepare(place)
        return how(place)

    return call


def local(place: Path, **options):
    return kit.load(f"local-dir:{place}", place / "open_clip_model.safetensors", **options)


def other_file(place: Path):
    """The folder with a file that lies elsewhere."""
    torch.save(clip().state_dict(), place.parent / "other.pt")
    return kit.load(place, place.parent / "other.pt")


def in_timm_folder(settings: dict, how=kit.load, file="model.safetensors") -> Callable[[Path], object]:
    def call(folder: Path):
        place = folder / "tiny-vit"
        place.mkdir()
        base = {
            "architecture": "vit_tiny_patch16_224",
            "num_classes": 3,
            "model_args": tiny.TIMM_CONFIG,
            "pretrained_cfg": TIMM_CFG,
        }
        (place / "config.json").write_text(json.dumps({**base, **settings}))
        (save_file if file.endswith("safetensors") else torch.save)(vit().state_dict(), place / file)
        return how(place)

    return call


TIMM_CFG = {
    "mean": [0.1, 0.2, 0.3], "std": [0.9, 0.8, 0.7], "input_size": [3, 32, 32], "crop_pct": 1.0,
    "interpolation": "bilinear", "classifier": "head", "first_conv": "patch_embed.proj",
}  # fmt: skip


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda place: (place / name).write_bytes(content)


def text_of(how: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: how(folder).encode_text("a dog")


def transform(**settings) -> Callable:
    return image_transform_v2(PreprocessCfg(**{"size": (32, 32), **settings}), is_train=False)


OWN = transform(mean=(0.1, 0.2, 0.3), std=(0.9, 0.8, 0.7), interpolation="bilinear", resize_mode="squash")
SQUASHED = {"preprocess_cfg": cfg(resize_mode="squash", size=32)}


# single tensors, and files of an odd kind


def quantised(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda old: torch.quantize_per_tensor(old, 0.1, 0, dtype)


def per_channel(old: Tensor) -> Tensor:
    return torch.quantize_per_channel(old, torch.ones(len(old)), torch.zeros(len(old)), 0, torch.qint8)


def by_eight(kind: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda old: torch.zeros(old.shape, dtype=torch.uint8).view(kind)


def pipe(folder: Path):
    os.mkfifo(folder / "mine.pt")
    return kit.load("mine", folder / "mine.pt", config=small())


def unreadable(folder: Path):
    torch.save(clip().state_dict(), folder / "mine.pt")
    opened = Path.open

    def refusing(path: Path, *how, **more):
        if path.name == "mine.pt":
            raise PermissionError(13, "Permission denied")
        return opened(path, *how, **more)

    with pytest.MonkeyPatch.context() as patch:  # the user who runs tests may read everything
        patch.setattr(Path, "open", refusing)
        return kit.load("mine", folder / "mine.pt", config=small())


def dangling(folder: Path):
    (folder / "mine.pt").symlink_to(folder / "gone.pt")
    return kit.load("mine", folder / "mine.pt", config=small())


def bytes_path(folder: Path):
    torch.save(clip().state_dict(), folder / "mine.pt")
    return kit.load("mine", os.fsencode(folder / "mine.pt"), config=small())


def loaded_with(module: nn.Module, state: State) -> nn.Module:
    module.load_state_dict(state)
    return module


def inside(context: Callable, call: Callable[[Path], object]) -> Callable[[Path], object]:
    """Load in some state of torch, and take the model apart out of it."""

    def loaded(folder: Path):
        with context():
            model = call(folder)
        parts = kit.decompose(model, tiny.pixels())
        assert parts.error.max() < 1e-5
        return model

    return loaded


@contextmanager
def half_by_default():
    """The state of torch in which new tensors are of half precision."""
    torch.set_default_dtype(torch.float16)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def random_clip(_: Path):
    return kit.load("mine", "random", config=small(), seed=3)


def random_tower() -> nn.Module:
    with seeded(3):
        return build_open_clip(small(), vision_only=False).eval().requires_grad_(False).visual
