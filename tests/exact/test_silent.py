"""AnyModel in which attention writes nothing itself, and towers without any: no verdict says too much."""

import pytest
import torch
from torch import nn

import kit
from kit.parts.faults import read_by_attention_alone
from kit.parts.frozen import frozen_graph
from tests.exact.families import EXACT, NO_ATTENTION, PARTIAL, family
from tests.exact.test_refusals import DIM, Attention, Tower, made_up
from tests.exact.towers import pixels_for


class Late(nn.Module):
    """Patches meet in a first layer; a class token joins them for a second one, and is the representation."""

    def __init__(self, branch=None):
        super().__init__()
        self.patch, self.cls = nn.Conv2d(3, DIM, 2, 2), nn.Parameter(torch.randn(1, 1, DIM))
        self.attn = nn.ModuleList([Attention(), Attention()])
        self.norms = nn.ModuleList([nn.LayerNorm(DIM) for _ in range(3)])
        self.branch = branch

    def forward(self, pixels):
        x = self.patch(pixels).flatten(2).transpose(1, 2)
        x = x + self.attn[0](self.norms[0](x))
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1)
        x = x + self.attn[1](self.norms[1](x))
        token = self.norms[2](x)[:, 0]
        return token if self.branch is None else token + self.branch(x[:, 1:])


class Largest(nn.Module):
    """The largest of all patches, which no part can pass."""

    def forward(self, x):
        return x.amax(1)


def check_of(tower):
    model = made_up(tower)
    return kit.check(model), model


def test_a_layer_that_later_attention_alone_reads_is_no_part_and_nothing_hidden():
    check, model = check_of(Late())
    assert (check.verdict, check.reached, check.layers, check.silent) == ("exact", 1, 2, (0,))
    assert str(check).endswith(
        "1 of 2 attention layers are parts, 1 (L0) writes nothing to it itself (its parts are zero): "
        "later attention alone reads it"
    )
    assert read_by_attention_alone(frozen_graph(model), pixels_for(model, 1))


def test_a_silent_layer_inside_a_branch_is_hidden():
    check, model = check_of(Late(Largest()))
    assert (check.verdict, check.reached, check.silent) == ("partial", 1, (0,))
    assert not read_by_attention_alone(frozen_graph(model), pixels_for(model, 1))
    walls = ", ".join(check.hiding.values())
    assert "aten.amax.default" in walls and "what is no part lies inside" in str(check)


def test_a_layer_whose_weights_are_zero_is_no_silent_one():
    tower = Tower()
    with torch.no_grad():
        for parameter in tower.attn[0].proj.parameters():
            parameter.zero_()
    check, model = check_of(tower)
    assert (check.verdict, check.reached, check.silent) == ("exact", 2, ())
    pixels = pixels_for(model, 1)
    assert not kit.decompose(model, pixels, selector="L0.H*").values.any()


def test_cait_says_which_layers_write_nothing():
    check = kit.check(family("cait_xxs24_224", EXACT["cait_xxs24_224"]))
    assert (check.verdict, check.reached, check.layers, check.silent) == ("exact", 2, 4, (0, 1))
    assert str(check).endswith(
        "; 2 of 4 attention layers are parts, 2 (L0–L1) write nothing to it themselves (their parts are "
        "zero): later attention alone reads them"
    )


def test_crossvit_hides_all_of_its_attention():
    model = family("crossvit_tiny_240", PARTIAL["crossvit_tiny_240"])
    check = kit.check(model)
    assert (check.verdict, check.reached, check.layers) == ("partial", 0, 8)
    assert list(check.hiding) == ["blocks.1.revert_projs.0", "blocks.1.revert_projs.1"]
    assert "0 of 8 attention layers are parts, 4 (L0–L1, L4–L5) write nothing to it themselves" in str(check)
    parts = kit.decompose(model, pixels_for(model), selector="L*.H*")
    assert len(parts.index) == 12 and not parts.values.any()


@pytest.mark.parametrize("name", NO_ATTENTION)
def test_a_tower_without_attention_is_not_called_exact(name):
    model = family(name, NO_ATTENTION[name])
    check = kit.check(model)
    assert (check.verdict, check.reached, check.layers) == ("no attention", 0, 0)
    assert check.error <= 1e-10 and check.tokens == 0
    assert str(check).startswith("no attention: the parts sum to the representation within ")
    assert str(check).endswith("; there is no attention layer, and the parts are whole branches")
    assert kit.decompose(model, pixels_for(model)).error.max() <= 1e-10
