"""Passes that compute behind the last keys only the tokens that are read."""

import copy

import pytest
import torch
from torch import nn

import kit
from kit.models.nodes import SDPA, aten, module_path
from kit.models.trace import Trace, _export
from kit.parts.hook_points import HookPoints, hooked
from kit.parts.read_token import read_one_token


class Sizes(HookPoints):
    """Notes the number of tokens of every MLP's output and of every layer's queries."""

    def __init__(self):
        self.seen: dict[str, int] = {}

    def attention(self, layer, call, out):
        self.seen[f"L{layer}"] = call.query.shape[2]
        return out

    def value(self, name, out):
        self.seen[name] = out.shape[1]
        return out


class Tower(nn.Module):
    """Two blocks of timm over 16 patches; `pool` says what is read of them."""

    def __init__(self, pool):
        from timm.models.vision_transformer import Block

        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.blocks = nn.Sequential(Block(32, 2, init_values=0.5), Block(32, 2, init_values=0.5))
        self.norm, self.head, self.pool = nn.LayerNorm(32), nn.Linear(32, 8), pool

    def forward(self, pixels):
        return self.head(self.pool(self.norm(self.blocks(self.patches(pixels).flatten(2).transpose(1, 2)))))


def narrowed(pool):
    """A tower's trace, a narrowed copy of its graph, both outputs in float64."""
    torch.manual_seed(0)
    tower = Tower(pool).double().eval()
    pixels = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    module = _export("a tower", tower, (32, 32), pixels)
    graph = copy.deepcopy(module.graph)
    read_one_token(graph)
    with torch.no_grad():
        return Trace(module), graph, tower(pixels), torch.fx.GraphModule(module, graph)(pixels)


@pytest.mark.parametrize("token", [0, 5, -1])
def test_a_narrowed_tower_says_the_same_of_any_token(token):
    _, graph, library, found = narrowed(lambda x: x[:, token])
    assert torch.allclose(found, library, atol=1e-12)
    cuts = [n for n in graph.nodes if n.target is aten.slice.Tensor]
    start = token % 16
    assert {n.args[1:] for n in cuts} == {(2, start, start + 1), (1, start, start + 1)}  # queries, stream


@pytest.mark.parametrize("pool", [lambda x: x.mean(1), lambda x: x[:, 0] + x[:, 1]])
def test_a_tower_that_reads_more_tokens_is_left_alone(pool):
    trace, graph, library, found = narrowed(pool)
    assert torch.allclose(found, library, atol=1e-12)
    assert [n.target for n in graph.nodes] == [n.target for n in trace.module.graph.nodes]


def test_only_the_last_layer_is_narrowed():
    model = kit.load("stickers-l8")
    pixels = model.preprocess(kit.world.gallery().images[:2])
    frozen, last = kit.run(model, pixels).frozen, len(model.heads) - 1
    whole, few = Sizes(), Sizes()
    with torch.no_grad():
        assert torch.allclose(hooked(frozen)(pixels, whole), hooked(frozen, "read")(pixels, few), atol=1e-5)
    assert set(whole.seen.values()) == {65}
    assert {name for name, size in few.seen.items() if size == 1} == {f"L{last}", f"L{last}.MLP"}


def test_plain_attention_is_recorded_batch_first():
    """The library's recordable path puts tokens first, which costs half as much again."""
    config = {"vision_cfg": {"layers": 1}, "text_cfg": None}
    model = kit.load("ViT-B-32", "random", config=config)
    graph = kit.run(model, torch.zeros(1, 3, 224, 224)).frozen.trace.module.graph
    inside = {n.target for n in graph.nodes if module_path(n).endswith(".attn")}
    assert SDPA in inside and aten.contiguous.default not in inside


def test_other_uses_of_the_attention_module_are_recorded_as_the_library_writes_them():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.mask = nn.Buffer(torch.full((4, 4), -torch.inf).triu(1).double())
            self.attn = nn.MultiheadAttention(48, 4, batch_first=True).double()

        def forward(self, pixels):
            x = pixels.flatten(2).flatten(1).unflatten(1, (4, 48))
            return self.attn(x, x, x, need_weights=False, attn_mask=self.mask)[0][:, 1]

    tower = Odd().eval()
    pixels = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(_export("odd", tower, (8, 8), pixels)(pixels), tower(pixels), atol=1e-12)
