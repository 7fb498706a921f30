"""Checkpoints as trainers, libraries and hubs write them: the very weights, with a note, or a sentence.

A row is a file or folder, what loads it, and what must come of it: `Right`, where every tensor equals that of
the library's own module, or the regular expression of the `KitError`. No row runs any code of its file.
"""
# ruff: noqa: E501 - a row is read as one line

import argparse
import collections
import datetime
import json
import os
import pathlib
import random
import re
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import kit
from kit.errors import KitError
from kit.models.build import build_open_clip, seeded
from tests.unit import tiny_models as tiny
from tests.unit.test_load_files import transformers_state
from tests.unit.weight_files import clip, half, small

State = dict[str, Tensor]
REG = "timm/vit_small_patch14_reg4_dinov2"
REG_CONFIG = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
SWIN = "timm/swin_tiny_patch4_window7_224"
SWIN_CONFIG = {"img_size": 64, "embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "window_size": 4}
DEIT3 = "timm/deit3_small_patch16_224"
DEIT3_CONFIG = {**tiny.TIMM_CONFIG}


# the models


@cache
def made(name: str = tiny.TIMM, classes: int = 0, seed: int = 1, **settings) -> nn.Module:
    """A tiny model of timm with weights of its own."""
    config = {tiny.TIMM: tiny.TIMM_CONFIG, REG: REG_CONFIG, SWIN: SWIN_CONFIG, DEIT3: DEIT3_CONFIG}[name]
    with seeded(seed):
        model = timm.create_model(
            name.removeprefix("timm/"), **{**config, "num_classes": classes, **settings}
        )
        return tiny.filled(model, seed)


def vit(seed: int = 1, **settings) -> State:
    return dict(made(seed=seed, **settings).state_dict())


def under(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def renamed(state: State, *pairs: tuple[str, str]) -> State:
    """Names with regular expressions replaced, one after the other."""
    for old, new in pairs:
        state = {re.sub(old, new, name): value for name, value in state.items()}
    return state


def as_a_tag(name: str, state: State, settings: dict, classes: int = 0) -> Callable[[], State]:
    """What timm itself makes of a state that is published under a tag."""

    def theirs() -> State:
        # no name of a file is looked for where a state is given; its head has as many classes as the model
        overlay = {"state_dict": dict(state), "num_classes": classes, "url": "", "hf_hub_id": None}
        model = timm.create_model(
            name.removeprefix("timm/"),
            pretrained=True,
            pretrained_cfg_overlay=overlay,
            num_classes=classes,
            **settings,
        )
        return model.state_dict()

    return theirs


def as_open_clip_loads(state: State, config: dict) -> Callable[[], State]:
    """What open_clip's own loader makes of a state that is published under a tag."""

    def theirs() -> State:
        module = build_open_clip(config, vision_only=False)
        state_file = Path(os.environ["PYTEST_CHECKPOINT"])
        torch.save(state, state_file)
        open_clip.factory.load_checkpoint(module, str(state_file))
        return module.state_dict()

    return theirs


# what loads them


@dataclass(frozen=True)
class Right:
    state: Callable[[], State] = vit
    note: str = ""


@dataclass(frozen=True)
class Row:
    what: str
    content: Callable[[], object]
    expected: Right | str
    name: str = tiny.TIMM
    options: dict = field(default_factory=lambda: {"config": dict(tiny.TIMM_CONFIG)})
    file: str = "checkpoint.pth"
    write: Callable[[object, Path], None] = torch.save

    def load(self, folder: Path):
        self.write(self.content(), folder / self.file)
        options = {
            **self.options,
            **({"config": dict(self.options["config"])} if "config" in self.options else {}),
        }
        return kit.load(self.name, folder / self.file, **options)


def keyed(key: str, **options) -> dict:
    return {"config": dict(tiny.TIMM_CONFIG), **options, "key": key}


def clip_row(what: str, content: Callable[[], object], expected: Right | str, **options) -> Row:
    config = options.pop("config", small())
    return Row(what, content, expected, "mine", {"config": config, **options})


# the files


def dino() -> dict:
    """As DINO's trainer writes it: student in DDP and teacher, each a backbone and a head."""
    head = {"head.mlp.0.weight": torch.ones(8, 32), "head.last_layer.weight_v": torch.ones(4, 8)}
    student, teacher = under("backbone.", vit(2)) | head, under("backbone.", vit()) | head
    return {
        "student": under("module.", student),
        "teacher": teacher,
        "optimizer": optimizer(),
        "epoch": 100,
        "args": argparse.Namespace(lr=1),
    }


def optimizer() -> dict:
    steps = {
        n: {"step": torch.tensor(3.0), "exp_avg": torch.ones(4), "exp_avg_sq": torch.ones(4)}
        for n in range(3)
    }
    return {"state": steps, "param_groups": [{"lr": 0.1, "params": [0, 1, 2]}]}


def moco() -> dict:
    """As MoCo v3 writes it: two encoders whose heads are small networks."""
    head = {"head.0.weight": torch.ones(8, 32), "head.1.running_mean": torch.ones(8)}
    both = under("base_encoder.", vit() | head) | under("momentum_encoder.", vit(2) | head)
    return {
        "epoch": 3,
        "arch": "vit_small",
        "state_dict": under("module.", both | {"predictor.0.weight": torch.ones(8, 8)}),
    }


def mae() -> State:
    """As MAE's pretraining writes it."""
    decoder = {
        "decoder_embed.weight": torch.ones(16, 32),
        "decoder_pos_embed": torch.ones(1, 17, 16),
        "decoder_blocks.0.norm1.weight": torch.ones(16),
    }
    return {"mask_token": torch.ones(1, 1, 16), **vit(), **decoder, "decoder_pred.bias": torch.ones(192)}


def registers() -> State:
    """The tiny DINOv2 with registers as it was published: positions have a row for the class token."""
    state = dict(made(REG).state_dict())
    first = torch.full((1, 1, 32), 0.25)
    state["pos_embed"] = torch.cat([first, state["pos_embed"]], 1)
    state["cls_token"] = state["cls_token"] - 0.25
    return {"mask_token": torch.ones(1, 32), "register_tokens": state.pop("reg_token"), **state}


def registers_as_timm_has_them() -> State:
    state = dict(made(REG).state_dict())
    return state | {"cls_token": state["cls_token"] - 0.25 + 0.25}


def ijepa() -> dict:
    """As I-JEPA writes it: encoder, predictor and target, each in DDP."""
    predictor = under("module.predictor_", renamed(vit(), ("cls_token", "mask_token")))
    return {
        "encoder": under("module.", vit(2)),
        "predictor": predictor,
        "target_encoder": under("module.", vit()),
        "epoch": 1,
    }


def wrapped_blocks(*wrappers: str) -> State:
    """Wrappers around each block and around the whole, as FSDP and checkpointing leave their names."""
    inner = "".join(f"{w}." for w in wrappers)
    return under(f"{wrappers[0]}.", renamed(vit(), (r"^(blocks\.\d+)\.", rf"\1.{inner}")))


def peft(adapters: bool = True) -> State:
    """A model in PEFT: LoRA beside each projection of queries, keys and values."""
    state = under("base_model.model.", vit())
    if not adapters:
        return state
    state = renamed(state, (r"attn\.qkv\.(weight|bias)", r"attn.qkv.base_layer.\1"))
    return state | {"base_model.model.blocks.0.attn.qkv.lora_A.default.weight": torch.ones(4, 32)}


def beside(**more) -> Callable[[], dict]:
    return lambda: {
        "model": vit(),
        "optimizer": optimizer(),
        **{k: v() if isinstance(v, Callable) else v for k, v in more.items()},
    }


def factory_dict() -> dict:
    made = collections.defaultdict(list)
    made["loss"].append(0.5)
    return made


def as_defaultdict(state: State) -> dict:
    made = collections.defaultdict(dict)
    made.update(state)
    return made


def attribute_dict() -> dict:
    """Hyperparameters of Lightning, whose package is not here: a dict of a class of its own."""
    module = types.ModuleType("lightning_fabric.utilities.data")
    kind = type("AttributeDict", (dict,), {"__module__": module.__name__})
    module.AttributeDict = kind
    for name in ("lightning_fabric", "lightning_fabric.utilities"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules[module.__name__] = module
    return kind(lr=0.1, batch=3)


class Runs:
    """What a hostile file holds: a call of any function when it is read by pickle."""

    def __init__(self, function: Callable, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def canary() -> str:
    return f"touch {os.environ['PYTEST_CANARY']}"


def hostile(function: Callable, *args) -> Callable[[], dict]:
    return lambda: {"model": vit(), "args": Runs(function, *(a() if callable(a) else a for a in args))}


def nested_laughs() -> dict:
    """A small file whose tree has 2**60 leaves."""
    tree: dict = {"epoch": 1}
    for _ in range(60):
        tree = {"a": tree, "b": tree}
    return {"model": vit(), "logs": tree}


def cut(content: object, file: Path) -> None:
    torch.save(content, file)
    file.write_bytes(half(file.read_bytes()))


def cut_safetensors(content: object, file: Path) -> None:
    save_file(content, file)
    file.write_bytes(half(file.read_bytes()))


def old_format(content: object, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


def protocol_4(content: object, file: Path) -> None:
    torch.save(content, file, pickle_protocol=4)


NOT_RUN = r"holds more than tensors, and Loupe runs no code from a weights file; .*It asks for "
TWO = rf'holds 2 sets of weights that fit "{tiny.TIMM}": '
LARGE = {**tiny.TIMM_CONFIG, "img_size": 48}
EMA = {"state_dict": lambda: vit(), "state_dict_ema": lambda: vit(2)}

PREFIXES = [
    Row("plain", vit, Right()),
    Row("backbone.", lambda: under("backbone.", vit()) | {"head.mlp.0.weight": torch.ones(8, 32)}, Right(note=r'^Weights taken from "backbone" of checkpoint\.pth; it also holds "head"\.$')),
    Row("encoder. beside a decoder", lambda: under("encoder.", vit()) | under("decoder.", {"proj.weight": torch.ones(2, 2)}), Right(note=r'taken from "encoder" .* also holds "decoder"')),
    Row("DINO, its teacher", dino, Right(note=r'"teacher\.backbone" of .* also holds "student", "teacher\.head", "optimizer"'), options=keyed("teacher")),
    Row("DINO, its teacher by the whole path", dino, Right(note=r'"teacher\.backbone"'), options=keyed("teacher.backbone")),
    Row("DINO, its student", dino, Right(lambda: vit(2), r'"student\.module\.backbone"'), options=keyed("student")),
    Row("DINO, its student without the wrapper's name", dino, Right(lambda: vit(2), r'"student\.module\.backbone"'), options=keyed("student.backbone")),
    Row("two encoders, one by the end of its path", lambda: {"state_dict": under("encoder.q.", vit(2)) | under("encoder.k.", vit())}, Right(note=r'"state_dict\.encoder\.k" of'), options=keyed("encoder.k")),
    Row("MoCo v3", moco, Right(note=r'"state_dict\.module\.base_encoder" of'), options=keyed("base_encoder")),
    Row("MoCo v3, the head is left out and said", moco, Right(note=r"^Left out of checkpoint\.pth, since this model has no place for it: 2 entries \(head\.0\.weight, head\.1\.running_mean\)"), options=keyed("base_encoder")),
    Row("I-JEPA, the target", ijepa, Right(note=r'"target_encoder\.module" of .* also holds "encoder", "predictor"'), options=keyed("target_encoder")),
    Row("Lightning, with its loss", lambda: {"state_dict": under("model.", vit()) | {"loss.weight": torch.ones(3)}, "hyper_parameters": attribute_dict(), "global_step": 5}, Right(note=r'"state_dict\.model" of .* also holds "state_dict\.loss"')),
    Row("averaged, with its counter", lambda: under("module.", vit()) | {"n_averaged": torch.tensor(9)}, Right(note=r'"module" of .* also holds "n_averaged"')),
    Row("DDP in torch.compile", lambda: under("_orig_mod.module.", vit()), Right(note='^"_orig_mod" taken out of the names')),
    Row("FSDP around each block", lambda: wrapped_blocks("_fsdp_wrapped_module"), Right(note='"_fsdp_wrapped_module" taken out')),
    Row("FSDP and checkpointing around each block", lambda: wrapped_blocks("_fsdp_wrapped_module", "_checkpoint_wrapped_module"), Right(note='"_fsdp_wrapped_module" and "_checkpoint_wrapped_module" taken out')),
    Row("PEFT, merged", lambda: peft(adapters=False), Right(note=r'"base_model\.model"')),
    Row("a list of models with one of them", lambda: {"models": [vit()], "config": {"lr": 1}}, Right(note=r'"models\.0"')),
    Row("sub-modules as dicts", lambda: {"patch_embed": {"proj": {k[17:]: v for k, v in vit().items() if k.startswith("patch_embed.proj.")}}, **{k: v for k, v in vit().items() if not k.startswith("patch_embed.")}}, Right()),
    Row("student and teacher of other widths: one fits", lambda: {"student": vit(), "teacher": vit(embed_dim=48)}, Right(note='"student" of .* also holds "teacher"')),
    Row("averaged weights that are equal to the plain ones", lambda: {"state_dict": vit(), "state_dict_ema": {k: v.clone() for k, v in vit().items()}}, Right(note='"state_dict" of')),
    Row("timm's trainer, the average", lambda: {k: v() for k, v in EMA.items()}, Right(lambda: vit(2), '"state_dict_ema" of'), options=keyed("state_dict_ema")),
    Row("timm's trainer, the plain ones", lambda: {k: v() for k, v in EMA.items()}, Right(note='"state_dict" of'), options=keyed("state_dict")),
    Row("plain names beside a dict of averages", lambda: {**vit(), "ema": vit(2)}, Right(), options=keyed("")),
    Row("plain names beside an optimizer", lambda: {**vit(), "optimizer": optimizer()}, Right(note='^Weights taken from the outermost names of checkpoint.pth; it also holds "optimizer"')),
    clip_row("a CLIP in dicts of its parts", lambda: {"visual": clip().visual.state_dict(), **{k: v for k, v in clip().state_dict().items() if not k.startswith("visual.")}}, Right(lambda: clip().state_dict())),
    Row("a head of 3 classes under a prefix", lambda: {"net": under("backbone.", dict(made(classes=3).state_dict()))}, Right(lambda: dict(made(classes=3).state_dict()), r'"net\.backbone"')),
    Row("a prefix that is a name of the model", lambda: under("blocks.", vit()), Right(note='"blocks" of')),
    clip_row("open_clip's trainer", lambda: {"epoch": 3, "name": "run", "state_dict": under("module.", clip().state_dict()), "optimizer": optimizer(), "scaler": {"scale": 65536.0}}, Right(lambda: clip().state_dict(), r'"state_dict\.module" of .* also holds "optimizer"')),
    clip_row("visual._orig_mod.", lambda: renamed(clip().state_dict(), (r"^visual\.", "visual._orig_mod.")), Right(lambda: clip().state_dict(), '"_orig_mod" taken out')),
    clip_row("a CLIP in a module of one's own", lambda: under("clip.", clip().state_dict()) | {"fc.weight": torch.ones(3, 24)}, Right(lambda: clip().state_dict(), '"clip" of .* also holds "fc"')),
    clip_row("the image tower in a module of one's own", lambda: under("net.visual.", clip().visual.state_dict()) | {"net.fc.weight": torch.ones(3, 24)}, Right(lambda: clip().visual.state_dict(), r'"net" of|1 entry \(fc\.weight\)')),
    clip_row("a CLIP of transformers in a module of one's own", lambda: {"state_dict": under("model.clip.", transformers_state(clip()))}, Right(lambda: clip().state_dict(), r'"state_dict\.model\.clip" of')),
    clip_row("two CLIPs, one by key", lambda: {"model": clip().state_dict(), "ema": {k: v + 1 for k, v in clip().state_dict().items()}}, Right(lambda: {k: v + 1 for k, v in clip().state_dict().items()}, '"ema" of'), key="ema"),
]  # fmt: skip

TRAINERS = [
    Row("Namespace", beside(args=lambda: argparse.Namespace(lr=1, output=Path("runs"))), Right(note='"model" of .* also holds "optimizer"')),
    Row("numpy scalars and arrays", beside(best=lambda: np.float64(0.7), n=lambda: np.int64(3), curve=lambda: np.arange(3), names=lambda: np.array(["a", None], dtype=object), kind=lambda: np.dtype("f4")), Right()),
    Row("states of random numbers", beside(rng=lambda: {"numpy": np.random.get_state(), "python": random.getstate(), "torch": torch.get_rng_state()}), Right()),
    Row("paths", beside(out=lambda: pathlib.PurePosixPath("runs/a"), win=lambda: pathlib.PureWindowsPath("C:/a"), own=lambda: Path("a")), Right()),
    Row("defaultdict, OrderedDict, Counter, deque", beside(log=factory_dict, o=lambda: collections.OrderedDict(a=1), c=lambda: collections.Counter("aab"), q=lambda: collections.deque([1, 2], 4)), Right()),
    Row("dates, types, devices", beside(now=lambda: datetime.datetime.now(datetime.UTC), took=lambda: datetime.timedelta(3), kind=torch.float16, device=lambda: torch.device("cuda:0"), version=torch.__version__, free=lambda: types.SimpleNamespace(a=1)), Right()),
    Row("weights in a defaultdict", lambda: {"state_dict": as_defaultdict(vit())}, Right()),
    Row("the older format of torch, with a Namespace", beside(args=argparse.Namespace(lr=1)), Right(), write=old_format),
    Row("one dict in two places", lambda: (lambda state: {"state_dict": state, "model": state})(vit()), Right(note='"model" of'), options=keyed("model")),
    Row("a tree of 2**60 leaves", nested_laughs, Right(note='"model" of')),
    Row("a Namespace among the weights", lambda: {**vit(), "args": argparse.Namespace(lr=1)}, Right(note=r"1 entry \(args\)")),
    Row("a .bin", vit, Right(), file="pytorch_model.bin"),
    Row("safetensors under another ending", vit, Right(), file="model.bin", write=save_file),
]  # fmt: skip

LAYOUTS = [
    Row("MAE, pretraining", lambda: {"model": mae()}, Right(note=r"5 entries \(mask_token, decoder_embed\.weight, decoder_pos_embed, \.\.\.\)")),
    Row("MAE, at another size", lambda: {"model": mae()}, Right(as_a_tag(tiny.TIMM, vit(), LARGE), r'"pos_embed" of checkpoint\.pth was turned from \[1, 17, 32\] into \[1, 37, 32\], as timm does'), options={"config": LARGE}),
    Row("DINOv2, mask_token", lambda: {"mask_token": torch.ones(1, 32), **vit()}, Right(note=r"1 entry \(mask_token\)")),
    Row("DINOv2 with registers, as published", registers, Right(registers_as_timm_has_them, r"another layout, converted|has another layout; it was converted"), REG, {"config": REG_CONFIG}),
    Row("DINOv2 with registers, under teacher.backbone., at another size", lambda: {"teacher": under("backbone.", registers())}, Right(as_a_tag(REG, registers(), {**REG_CONFIG, "img_size": 48}), r'"teacher\.backbone" of'), REG, {"config": {**REG_CONFIG, "img_size": 48}}),
    Row("another image size", vit, Right(as_a_tag(tiny.TIMM, vit(), LARGE), r"turned from \[1, 17, 32\] into \[1, 37, 32\]"), options={"config": LARGE}),
    Row("another image size, not square", vit, Right(as_a_tag(tiny.TIMM, vit(), {**LARGE, "img_size": (32, 48)}), r"into \[1, 25, 32\]"), options={"config": {**LARGE, "img_size": (32, 48)}}),
    Row("another image size, under a prefix, with a head", lambda: {"model": dict(made(classes=3).state_dict())}, Right(lambda: as_a_tag(tiny.TIMM, vit(classes=3), LARGE, 3)(), r"into \[1, 37, 32\]"), options={"config": LARGE}),
    Row("half precision at another size", lambda: {k: v.half() for k, v in vit().items()}, Right(lambda: as_a_tag(tiny.TIMM, {k: v.half() for k, v in vit().items()}, LARGE)(), "Stored as float16"), options={"config": LARGE}),
    Row("Swin, at another size and window", lambda: dict(made(SWIN).state_dict()), Right(as_a_tag(SWIN, made(SWIN).state_dict(), {**SWIN_CONFIG, "img_size": 128, "window_size": 8}), "relative_position_bias_table. of"), SWIN, {"config": {**SWIN_CONFIG, "img_size": 128, "window_size": 8}}),
    Row("Swin, the original layout", lambda: {"model": renamed(made(SWIN).state_dict(), (r"layers\.1\.downsample", "layers.0.downsample"))}, Right(lambda: made(SWIN).state_dict(), "layout"), SWIN, {"config": SWIN_CONFIG}),
    Row("DeiT III, the original names", lambda: {"model": renamed(made(DEIT3).state_dict(), (r"ls(\d)\.gamma", r"gamma_\1"))}, Right(lambda: made(DEIT3).state_dict(), "layout"), DEIT3, {"config": DEIT3_CONFIG}),
    clip_row("CLIP at another size", lambda: clip().state_dict(), Right(as_open_clip_loads(clip().state_dict(), {**small(), "vision_cfg": {**small()["vision_cfg"], "image_size": 48}}), r'"visual\.positional_embedding" of checkpoint\.pth was turned from \[17, 32\] into \[37, 32\], as open_clip does'), config={**small(), "vision_cfg": {**small()["vision_cfg"], "image_size": 48}}),
    clip_row("two CLIPs of transformers, one by key", lambda: {"state_dict": {"model": transformers_state(clip()), "ema": {k: v + 1 for k, v in transformers_state(clip()).items()}}}, Right(lambda: {k: v + 1 for k, v in clip().state_dict().items()}, r'"state_dict\.ema" of'), key="ema"),
    clip_row("a CLIP of transformers at another size", lambda: transformers_state(clip()), Right(as_open_clip_loads(clip().state_dict(), {**small(), "vision_cfg": {**small()["vision_cfg"], "image_size": 48}}), "layout of transformers"), config={**small(), "vision_cfg": {**small()["vision_cfg"], "image_size": 48}}),
]  # fmt: skip

REFUSED = [
    Row("DINO without a key", dino, TWO + r'"student\.module\.backbone", "teacher\.backbone"; say which one is meant: key="teacher\.backbone"'),
    Row("MoCo v3 without a key", moco, TWO + r'"state_dict\.module\.base_encoder", "state_dict\.module\.momentum_encoder"'),
    Row("timm's trainer without a key", lambda: {k: v() for k, v in EMA.items()}, TWO + '"state_dict", "state_dict_ema"'),
    Row("other sizes, student and teacher", lambda: {"student": vit(), "teacher": vit(2)}, TWO + '"student", "teacher"', options={"config": LARGE}),
    Row("a key that is not there", dino, r'holds no "ema"; its tensors lie under "student\.module", "teacher\.backbone"', options=keyed("ema")),
    Row("a key of two", dino, TWO, options=keyed("backbone")),
    Row("a key under which nothing fits", dino, r"is a file for another architecture|does not fit", options=keyed("optimizer")),
    Row("a key where no file was named", vit, "key= should be a name", options=keyed(3)),
    Row("PEFT, not merged", peft, r"holds adapters that are not merged .*base_layer\.weight.*merge_and_unload\(\)"),
    Row("PEFT, adapters alone", lambda: {"base_model.model.blocks.0.attn.qkv.lora_A.weight": torch.ones(4, 32)}, "holds adapters that are not merged"),
    Row("os.system", hostile(os.system, canary), NOT_RUN + r"(posix|nt)\.system"),
    Row("os.system in place of the weights", lambda: Runs(os.system, canary()), NOT_RUN),
    Row("eval", hostile(eval, lambda: f"__import__('os').system({canary()!r})"), NOT_RUN + "eval"),
    Row("a class by getattr", hostile(getattr, "a", "upper"), NOT_RUN + "getattr"),
    Row("a whole module", lambda: nn.Linear(2, 3), NOT_RUN + r"torch\.nn\.modules\.linear\.Linear"),
    Row("os.system, in the older format of torch", hostile(os.system, canary), NOT_RUN, write=old_format),
    Row("arguments alone", lambda: argparse.Namespace(model=vit()), "holds arguments of a trainer, but no weights by name"),
    Row("numpy arrays in place of weights", lambda: {k: v.numpy() for k, v in vit().items()}, "holds a dict of cls_token, .* but no weights by name"),
    Row("an optimizer alone", lambda: {"optimizer": optimizer()}, "for another architecture"),
    Row("half a .pth", beside(args=argparse.Namespace(lr=1)), '"checkpoint.pth" is incomplete.*copy or download it again', write=cut),
    Row("half a safetensors", vit, '"half.safetensors" is incomplete: .* bytes belong to it', file="half.safetensors", write=cut_safetensors),
    Row("another pickle protocol", vit, r"was written with another pickle protocol.*torch\.save\(model\.state_dict", write=protocol_4),
    Row("another size of patches", lambda: vit(patch_size=16), r"patch_embed\.proj\.weight is \[32, 3, 16, 16\] in the file"),
    Row("another depth", lambda: vit(depth=3), r"tensors of the file have no place \(blocks\.2\."),
    Row("a shallower model", lambda: vit(depth=1), r"tensors are missing \(blocks\.1\."),
    Row("another width", lambda: vit(embed_dim=48), "is .*48.* in the file"),
    Row("registers for a model without them", registers, r"5 tensors of the file have no place \(register_tokens, "),
    Row("two tensors of one name", lambda: {**vit(), "_orig_mod.cls_token": torch.ones(1)}, 'holds two tensors of the name "cls_token"'),
    clip_row("CLIP, another size that is no square", lambda: clip().state_dict() | {"visual.positional_embedding": torch.ones(16, 32)}, r"positional_embedding is \[16, 32\] in the file"),
    clip_row("two CLIPs without a key", lambda: {"model": clip().state_dict(), "ema": {k: v + 1 for k, v in clip().state_dict().items()}}, 'holds 2 sets of weights that fit "mine": "model", "ema"'),
]  # fmt: skip


def parts(content: State, file: Path) -> None:
    """A file that was cut in three, as the hub cuts large ones."""
    for n in range(3):
        part = {name: value for k, (name, value) in enumerate(content.items()) if k % 3 == n}
        save_file(part, file.parent / file.name.replace("-00001-", f"-{n + 1:05d}-"))


def two_of_three(content: State, file: Path) -> None:
    parts(content, file)
    (file.parent / file.name.replace("-00001-", "-00003-")).unlink()


@dataclass(frozen=True)
class Folder:
    """A folder as the hub has it, without a vocabulary of its own."""

    what: str
    file: str
    write: Callable[[State, Path], None]
    expected: Right | str
    state: Callable[[], State] = lambda: tiny.clip().state_dict()
    options: dict = field(default_factory=dict)

    def load(self, folder: Path):
        place = folder / "CLIP-tiny"
        place.mkdir()
        settings = {"model_cfg": tiny.config(), "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
        (place / "open_clip_config.json").write_text(json.dumps(settings))
        self.write(self.state(), place / self.file)
        model = kit.load(place, **self.options)
        assert model.encode_text("a dog").shape == (1, 24)
        return model


def nothing(content: State, file: Path) -> None:
    file.write_bytes(b"PK")


HUB = Right(lambda: tiny.clip().state_dict())
CUT = "open_clip_model-00001-of-00003.safetensors"
FOLDERS = [
    Folder("a folder of the hub, safetensors", "open_clip_model.safetensors", save_file, HUB),
    Folder("a folder of the hub, .bin", "open_clip_pytorch_model.bin", torch.save, HUB),
    Folder("a folder of the hub, a file in three parts", CUT, parts, HUB),
    Folder("a folder of the hub, one part of three missing", CUT, two_of_three, r"is incomplete: 1 of its 3 parts are not in the folder \(\S+-00003-of-00003\.safetensors\); copy"),
    Folder("a folder of the hub, a trainer's file", "epoch_3.pt", lambda s, f: torch.save({"state_dict": under("module.", s), "args": argparse.Namespace()}, f), HUB),
    Folder("a folder of the hub, two sets of weights", "epoch_3.pt", lambda s, f: torch.save({"model": s, "ema": vit()}, f), HUB),
    Folder("a folder of the hub, two sets of weights that fit", "epoch_3.pt", lambda s, f: torch.save({"model": s, "ema": {k: v + 1 for k, v in s.items()}}, f), "holds 2 sets of weights that fit"),
    Folder("a folder of the hub, one of two sets by key", "epoch_3.pt", lambda s, f: torch.save({"model": s, "ema": {k: v + 1 for k, v in s.items()}}, f), HUB, options={"key": "model"}),
    Folder("a folder of the hub, half a file", "open_clip_model.safetensors", cut_safetensors, '"open_clip_model.safetensors" is incomplete'),
    Folder("a folder of the hub, a download that did not end", "open_clip_model.safetensors.incomplete", nothing, "is incomplete: the download of open_clip_model.safetensors.incomplete did not end; copy"),
]  # fmt: skip

ROWS = [*PREFIXES, *TRAINERS, *LAYOUTS, *REFUSED, *FOLDERS]


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A folder for the row's files; fails where anything of them was run."""
    monkeypatch.setenv("PYTEST_CANARY", str(tmp_path / "canary"))
    monkeypatch.setenv("PYTEST_CHECKPOINT", str(tmp_path / "theirs.pt"))
    modules = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if name.startswith("lightning"):
            del sys.modules[name]
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_a_checkpoint_is_right_or_refused(row, watched):
    if isinstance(row.expected, str):
        with pytest.raises(KitError, match=row.expected) as caught:
            row.load(watched)
        assert len(str(caught.value)) < 900 and "\n" not in str(caught.value)
        return
    model, right = row.load(watched), row.expected.state()
    own = model.library_model.state_dict()
    assert {k for k in own if "attn_mask" not in k} == {k for k in right if "attn_mask" not in k}
    assert not [
        name
        for name, value in right.items()
        if not torch.equal(own[name], value.float() if value.is_floating_point() else value)
    ]
    assert any(re.search(row.expected.note, note) for note in ["", *model.notes]), model.notes


def test_the_canary_sings_where_a_file_is_run(watched):
    """The control: read by pickle alone, the row's file does run its call."""
    row = next(row for row in REFUSED if row.what == "os.system")
    torch.save(row.content(), watched / "a.pth")
    torch.load(watched / "a.pth", weights_only=False)
    assert (watched / "canary").exists()
    (watched / "canary").unlink()


@pytest.mark.parametrize(
    ("name", "pretrained", "sentence"),
    [
        ("ViT-B-16", "gone/file.pt", 'there is no weights file "gone/file.pt"'),
        ("ViT-B-16", "file.safetensors", 'there is no weights file "file.safetensors"'),
        ("nobody-knows-this", "gone/file.pt", 'there is no weights file "gone/file.pt"'),
        ("ViT-B-16", ".", r'pretrained="\." is a folder'),
        ("weights/CLIP-tiny", None, 'there is no model and no folder "weights/CLIP-tiny"'),
        (__file__, None, "is a file, and a weights file is given with its architecture"),
    ],
)
def test_a_missing_file_is_said_before_anything_else(name, pretrained, sentence):
    with pytest.raises(KitError, match=f'^{sentence}|^"[^"]*" {sentence}'):
        kit.load(name, pretrained)


def test_a_key_needs_a_file():
    with pytest.raises(KitError, match="key= chooses among the weights of a file"):
        kit.load(tiny.TIMM, "random", config=tiny.TIMM_CONFIG, key="teacher")


def test_there_are_enough_rows_and_they_differ():
    assert len({row.what for row in ROWS}) == len(ROWS) >= 80
