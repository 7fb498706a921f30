"""AnyModel that give no one representation of a picture: one sentence at every door."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

import kit
from kit.errors import KitError, Refused
from kit.models.output import expect_representation
from kit.models.trace import trace_of
from kit.panels import AnyModel, Explorer, HeadTokens, examine
from tests.unit import tiny_models as tiny

POOL = (
    "wrap it in a module that pools them to [batch, embed]. A tower of timm pools with "
    'config={"global_pool": "avg"}.'
)
ONE = "wrap it in a module that returns one of them, [batch, embed]."
# what a tower makes of its representation, and what is said of it
GIVEN = {
    "tokens": (lambda z: z[:, None], f"tokens [batch, 1, 4] and no one representation of a picture; {POOL}"),
    "feature map": (
        lambda z: z[..., None, None],
        f"a feature map [batch, 4, 1, 1] and no one representation of a picture; {POOL}",
    ),
    "a number": (lambda z: z.sum(1), f"a tensor [batch] and no one representation of a picture; {POOL}"),
    "tuple": (lambda z: (z, z), f"a tuple of 2 and no one representation of a picture; {ONE}"),
    "tuple of one": (lambda z: (z,), f"a tuple of 1 and no one representation of a picture; {ONE}"),
    "list": (lambda z: [z, z[:, None]], f"a list of 2 and no one representation of a picture; {ONE}"),
    "dict": (lambda z: {"a": z, "b": z}, f"a dict of a, b and no one representation of a picture; {ONE}"),
    "with nothing": (lambda z: (z, None), f"a tuple of 2 and no one representation of a picture; {ONE}"),
}


class Head(nn.Module):
    """A tower that ends in a function."""

    def __init__(self, end):
        super().__init__()
        self.linear, self.end = nn.Linear(3, 4), end

    def forward(self, pixels):
        return self.end(self.linear(pixels.mean((2, 3))))


@pytest.mark.parametrize("what", GIVEN)
def test_what_a_tower_gives_is_said_when_it_is_recorded_and_when_it_runs(what):
    end, said = GIVEN[what]
    tower = Head(end).eval().requires_grad_(False)
    model = SimpleNamespace(name="mine", tower=tower, image_size=(8, 8), check_ready=lambda: None)
    for call in (
        lambda: trace_of(model),
        lambda: expect_representation("mine", tower(torch.zeros(2, 3, 8, 8))),
    ):
        with pytest.raises(Refused) as caught:
            call()
        assert str(caught.value) == f'"mine" is refused: it gives {said}'


def test_one_representation_passes():
    tower = Head(lambda z: z).eval().requires_grad_(False)
    model = SimpleNamespace(name="mine", tower=tower, image_size=(8, 8), check_ready=lambda: None)
    assert trace_of(model).layers == 0
    assert expect_representation("mine", tower(torch.zeros(2, 3, 8, 8))).shape == (2, 4)


@pytest.fixture(scope="module")
def unpooled():
    return kit.load(tiny.TIMM, "random", config={**tiny.TIMM_CONFIG, "global_pool": ""})


DOORS = {
    "decompose": lambda model: kit.decompose(model, tiny.pixels()),
    "scores": lambda model: kit.scores(model, tiny.pixels(), torch.eye(32)[:1], by="token"),
    "run": lambda model: kit.run(model, tiny.pixels()),
    "pattern": lambda model: kit.pattern(model, tiny.pixels(), 0),
    "check": kit.check,
    "layers": lambda model: model.layers,
    "encode_image": lambda model: model.encode_image(tiny.pixels()),
    "collect": lambda model: kit.collect(model, tiny.pixels(), name="x"),
    "Explorer": Explorer,
    "HeadTokens": HeadTokens,
    "AnyModel": AnyModel,
}


@pytest.mark.parametrize("door", DOORS)
def test_tokens_without_pooling_give_their_sentence_at_every_door(door, unpooled):
    with pytest.raises(KitError) as caught:
        DOORS[door](unpooled)
    assert "is refused: it gives tokens [batch, 17, 32] and no one representation" in str(caught.value)


def test_the_verdict_on_such_a_tower_is_refused(unpooled):
    found = examine(unpooled)
    assert found.verdict == "refused" and "it gives tokens [batch, 17, 32]" in found.says
