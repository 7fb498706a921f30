"""Digests of module trees: what shapes a recording changes them, and nothing else does."""

import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

import kit
from kit.models.digest import digest_of
from tests.unit.tiny_models import TIMM, TIMM_CONFIG

ROOT = Path(__file__).parents[2]


class Block(nn.Module):
    """Something of everything that a module can hold."""

    def __init__(self, width=4, act=nn.functional.gelu):
        super().__init__()
        self.linear, self.norm = nn.Linear(3, width), nn.LayerNorm(width)
        self.tied = self.linear.weight
        self.register_buffer("table", torch.arange(width))
        self.act, self.size, self.loose = act, (width, {"a": 1.5}), torch.zeros(2)
        self.twice = functools.partial(torch.mul, 2)
        self.hidden, self._gain = [self.norm], 1.0

    def forward(self, x):
        return self.act(self.norm(self.linear(x)))


def changed(how) -> str | None:
    block = Block()
    how(block)
    return digest_of(block)


def _other_forward(self, x):
    return self.norm(self.linear(x))


DIFFERENT = {
    "a number": lambda b: setattr(b, "size", (4, {"a": 2.5})),
    "a private number": lambda b: setattr(b, "_gain", 2.0),
    "a new attribute": lambda b: setattr(b, "scale", None),
    "a function": lambda b: setattr(b, "act", nn.functional.relu),
    "a closure": lambda b: setattr(b, "act", (lambda k: lambda x: x * k)(3)),
    "an argument of a partial": lambda b: setattr(b, "twice", functools.partial(torch.mul, 3)),
    "a shape": lambda b: setattr(b, "linear", nn.Linear(3, 5)),
    "a type": lambda b: b.double(),
    "no bias": lambda b: setattr(b, "linear", nn.Linear(3, 4, bias=False)),
    "an untied weight": lambda b: setattr(b, "tied", nn.Parameter(b.tied.clone())),
    "numbers that are no buffer": lambda b: b.loose.add_(1),
    "another class": lambda b: setattr(b, "norm", nn.Identity()),
    "another child": lambda b: b.add_module("extra", nn.Identity()),
    "train mode": lambda b: b.norm.eval(),
    "a method of its own": lambda b: setattr(b, "forward", _other_forward.__get__(b)),
    "what a list holds": lambda b: b.hidden.append(b.linear),
}


def test_a_digest_says_what_shapes_a_recording():
    plain = digest_of(Block())
    assert plain is not None and plain == changed(lambda b: b.linear.weight.data.add_(1))
    found = {what: changed(how) for what, how in DIFFERENT.items()}
    assert None not in found.values()
    assert len({plain, *found.values()}) == 1 + len(DIFFERENT)


def test_a_digest_sees_a_method_that_was_put_in_another_ones_place(monkeypatch):
    plain = digest_of(Block())
    monkeypatch.setattr(Block, "forward", _other_forward)
    assert digest_of(Block()) not in (plain, None)
    monkeypatch.undo()
    monkeypatch.setattr(nn.LayerNorm, "forward", lambda self, x: x)
    assert digest_of(Block()) not in (plain, None)


HOOKS = {
    "a hook": lambda b: b.norm.register_forward_hook(lambda *_: None),
    "a hook before": lambda b: b.register_forward_pre_hook(lambda *_: None),
    "a hook of gradients": lambda b: b.register_full_backward_hook(lambda *_: None),
    "a lock": lambda b: setattr(b, "lock", threading.Lock()),
    "a generator": lambda b: setattr(b, "next", iter([1])),
    "a circle": lambda b: b.hidden.append(b.hidden),
}


@pytest.mark.parametrize("what", HOOKS)
def test_what_cannot_be_told_is_not_kept(what):
    assert changed(HOOKS[what]) is None


def test_a_hook_of_all_modules_is_not_kept():
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert digest_of(Block()) is None
    finally:
        handle.remove()


def test_a_class_of_the_users_own_is_told_apart_by_its_code():
    def made(body):
        space = {"nn": nn, "__name__": "__main__"}
        exec(f"class Mine(nn.Module):\n    def forward(self, x):\n        return {body}", space)
        return digest_of(space["Mine"]())

    assert made("x * 2") == made("x * 2") and len({made("x * 2"), made("x * 3"), made("x + 2")}) == 3


def test_a_digest_is_the_same_in_every_process():
    code = (
        "import kit; from kit.models.digest import digest_of; "
        f"print(digest_of(kit.load({TIMM!r}, 'random', config={TIMM_CONFIG!r}).tower))"
    )
    seed = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=seed)
    assert done.stdout.strip() == digest_of(kit.load(TIMM, "random", config=TIMM_CONFIG).tower), done.stderr
