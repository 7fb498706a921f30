"""What the engine will not take apart, and what it takes apart in part: small towers made for it."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from kit.errors import KitError
from kit.models.trace import trace_of
from kit.parts.checked import checked_run
from kit.parts.faults import fault_of
from kit.parts.frozen import FrozenGraph
from kit.parts.replay import Replay
from tests.exact.towers import perturbed, pixels_for

DIM, HEADS, TOKENS = 8, 2, 17


class Attention(nn.Module):
    """Plain attention over all tokens."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM, DIM)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(self.joined(nn.functional.scaled_dot_product_attention(q, k, v)))

    def joined(self, heads):
        """Features of one head behind another, [batch, token, dim]."""
        return heads.transpose(1, 2).flatten(2)


class Interleaved(Attention):
    """Feature by feature those of all heads, as NesT has them."""

    def joined(self, heads):
        return heads.permute(0, 2, 3, 1).flatten(2)


class Tower(nn.Module):
    """Two blocks; what happens to a branch, to the stream and at the end can be set."""

    def __init__(self, branch=None, stream=None, end=None, attention=Attention):
        super().__init__()
        self.patch, self.cls = nn.Conv2d(3, DIM, 2, 2), nn.Parameter(torch.randn(1, 1, DIM))
        self.attn, self.norms = (
            nn.ModuleList([attention(), attention()]),
            nn.ModuleList([nn.LayerNorm(DIM)] * 3),
        )
        self.branch, self.stream, self.end = (m or nn.Identity() for m in (branch, stream, end))

    def forward(self, pixels):
        x = self.patch(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1)
        x = x + self.branch(self.attn[0](self.norms[0](x)))
        x = self.stream(x)
        x = x + self.attn[1](self.norms[1](x))
        return self.end(self.norms[2](x)[:, 0])


class MixTokens(nn.Module):
    """A linear map over the tokens."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(TOKENS, TOKENS))

    def forward(self, x):
        return (x.transpose(1, 2) @ self.weight).transpose(1, 2)


def graph(**changes):
    torch.manual_seed(0)
    tower = Tower(**changes).eval().requires_grad_(False)
    model = SimpleNamespace(name="made up", tower=tower, image_size=(8, 8), check_ready=lambda: None)
    return FrozenGraph("made up", trace_of(model))


def made_up(tower: nn.Module) -> SimpleNamespace:
    """What the engine asks of a model, around a tower of 8 x 8 pixels, in float64."""
    model = SimpleNamespace(
        name="made up",
        tower=tower.double().eval().requires_grad_(False),
        image_size=(8, 8),
        grid=(4, 4),
        prefix_tokens=1,
        embed_dim=DIM,
        dtype=torch.float64,
        device=torch.device("cpu"),
        passes={"image": 0},
    )
    model.check_ready, model.check_pixels = lambda: None, lambda pixels, recorded: None
    model.encode_image = lambda pixels: model.tower(pixels)
    return model


def test_a_plain_tower_is_all_reached():
    frozen = graph()
    assert frozen.reached == frozen.trace.layers == 2
    assert list(frozen.index["name"][:4]) == ["embed", "L0.H0", "L0.H1", "L0.attn.bias"]


def test_a_final_activation_is_refused_by_name():
    with pytest.raises(KitError) as error:
        graph(end=nn.ReLU())
    assert str(error.value) == (
        '"made up" is refused: its representation comes straight out of "aten.relu.default" in module '
        '"end", so there is one part and no sum; decompose the input of that module instead.'
    )


def test_an_activation_on_the_stream_hides_what_lies_before_it():
    frozen = graph(stream=nn.ReLU())
    assert (frozen.reached, frozen.trace.layers) == (1, 2)
    assert "L0.H0" not in set(frozen.index["name"])


def test_attention_inside_a_branch_is_counted_as_hidden():
    frozen = graph(branch=nn.GELU())
    assert (frozen.reached, frozen.trace.layers) == (1, 2)
    assert list(frozen.index["kind"]).count("branch") == 1


def test_a_stream_that_mixes_tokens_goes_the_general_route():
    frozen = graph(stream=MixTokens())
    assert not frozen.plain and frozen.reached == 2
    assert graph().plain


@pytest.mark.parametrize("mixed", [False, True])
def test_heads_that_lie_interleaved_are_each_their_own(mixed):
    """Each head, token by token and feature by feature, through the frozen rest of the tower."""
    torch.manual_seed(0)
    tower = Tower(stream=MixTokens() if mixed else None, attention=Interleaved)
    model = made_up(tower)
    pixels, norm = pixels_for(model), tower.norms[0]  # one for all places
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    run = checked_run(model, pixels)
    vectors, names = run.vectors(), list(run.index["name"])
    assert run.frozen.plain != mixed and torch.allclose(vectors.sum(1), tower(pixels), atol=1e-12)
    stream = torch.cat([tower.cls.expand(len(pixels), -1, -1), tower.patch(pixels).flatten(2).mT], 1)
    inputs = [norm(stream)]
    stream = tower.stream(stream + tower.attn[0](inputs[0]))
    inputs.append(norm(stream))
    last = (stream + tower.attn[1](inputs[1]))[:, 0]
    scale = norm.weight * (last.var(-1, unbiased=False, keepdim=True) + norm.eps).rsqrt()  # [batch, dim]
    for layer, attention in enumerate(tower.attn):
        reads = tower.stream.weight[:, 0] if mixed and layer == 0 else torch.eye(TOKENS).double()[0]
        query, key, value = attention.qkv(inputs[layer]).unflatten(-1, (3, HEADS, -1)).unbind(2)
        for head in range(HEADS):
            pattern = (query[:, :, head] @ key[:, :, head].mT / (DIM / HEADS) ** 0.5).softmax(-1)
            out = pattern @ value[:, :, head]  # [batch, token, feature]
            written = torch.zeros(len(pixels), DIM, dtype=torch.float64)
            for token in range(TOKENS):
                for feature in range(DIM // HEADS):
                    column = attention.proj.weight[:, feature * HEADS + head]
                    written += reads[token] * out[:, token, feature, None] * column
            written = (written - written.mean(-1, keepdim=True)) * scale
            assert torch.allclose(vectors[:, names.index(f"L{layer}.H{head}")], written, atol=1e-12)


def test_a_difference_on_the_stream_keeps_its_sign():
    class Minus(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix, self.shift = MixTokens(), nn.Parameter(torch.ones(DIM))

        def forward(self, x):
            return (x - self.mix(x)) - self.shift

    torch.manual_seed(0)
    model = made_up(Tower(stream=Minus()))
    run = checked_run(model, pixels_for(model))  # the self-check holds the sum against the tower
    assert run.frozen.check.verdict == "exact" and run.frozen.reading.readers
    pushed = Replay(run.frozen, run._leaves.steps, run._leaves.values).vectors()
    assert torch.allclose(pushed, run.vectors(), atol=1e-12)


def test_a_square_is_not_taken_for_a_product_with_a_constant():
    class Square(nn.Module):
        def forward(self, x):
            return x * x

    assert graph(stream=Square()).reached == 1


def test_a_wrong_sum_is_a_fault():
    model = perturbed("timm/vit_tiny_patch16_224")
    run = checked_run(model, pixels_for(model))
    assert run.frozen.check.verdict == "exact" and fault_of(run, None, checked_run) == ""
    vectors = run.vectors()
    run._written = {name: 1.01 * written for name, written in run._written.items()}
    run.vectors = lambda: 1.01 * vectors
    said = 'the parts of "timm/vit_tiny_patch16_224" miss its representation by 1e-02 of its length, allowed '
    assert fault_of(run, None, checked_run).startswith(said)
    run.frozen.check = None  # as in a first run, which is held against the library's own forward
    assert fault_of(run, None, checked_run).startswith(said)
