"""Token maps are held against the scores of their heads; where they miss them, a layer's are refused."""

from unittest import mock

import pytest
import torch
from torch import nn

import kit
from kit.errors import KitError
from kit.maps import METHODS
from kit.parts import runs, splits
from kit.parts.checked import checked_run
from kit.parts.frozen import frozen_graph
from kit.parts.hook_points import WrittenOut
from kit.parts.replay import Leaves
from tests.exact.families import EXACT, family
from tests.exact.test_refusals import DIM, HEADS, Tower, made_up
from tests.exact.towers import perturbed, pixels_for, unit_directions

DOUBLE = 1e-10
PLAIN, GENERAL = "timm/vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"
WRONG = 1  # the layer whose pattern is read wrongly


def wrong_rows(self, layer, call, out, record=runs._Recorder.attention):
    """A plain run that takes a pattern for 2 % more than it is."""
    out = record(self, layer, call, out)
    if layer == WRONG and self.tokens:
        pattern, value = self.attentions[layer]
        self.attentions[layer] = 1.02 * pattern, value
    return out


def wrong_calls(self, layer, call, out, record=Leaves.attention):
    """The same of a run on the general route."""
    out = record(self, layer, call, out)
    if layer == WRONG and self.tokens:
        self.calls[layer] = WrittenOut(1.02 * call.pattern(), call.value)
    return out


@pytest.fixture(params=["plain", "general"])
def model(request, monkeypatch):
    """A tower whose maps of layer 1 are wrong, on each route; its heads are right."""
    monkeypatch.setattr(runs._Recorder, "attention", wrong_rows)
    monkeypatch.setattr(Leaves, "attention", wrong_calls)
    made = perturbed(PLAIN).double() if request.param == "plain" else family(GENERAL, EXACT[GENERAL])
    assert frozen_graph(made).plain == (request.param == "plain")
    return made


def sentence(model):
    path = frozen_graph(model).by_name["L1"].attention.path
    return (
        f'maps of L1 of "{model.name}" by source token are refused: they sum to something else than the '
        f"scores of its heads, 2e-02 of their size apart (allowed 1e-10), so the attention in "
        f'"{path}" is more than its pattern times its values; its heads are exact as wholes: take '
        'by="head", or a selector without L1.'
    )


def test_maps_that_miss_their_heads_are_refused_by_the_name_of_the_layer(model):
    pixels, directions = pixels_for(model), unit_directions(model)
    run = kit.run(model, pixels)
    asked = {
        "maps": lambda: run.maps(directions),
        "maps of some heads": lambda: run.maps(directions, "L0.H0, L1.H0"),
        "own maps": lambda: run.own_maps(directions[:2]),
        "vectors": run.token_vectors,
        "scores": lambda: kit.scores(model, pixels, directions, by="token"),
        "parts": lambda: kit.decompose(model, pixels, by="token"),
        "token heatmap": lambda: METHODS["token heatmap"](model, pixels, directions[:2]),
    }
    if run.frozen.plain:
        asked["shares of a pattern"] = lambda: run.pattern_shares(1)
    for what, call in asked.items():
        with pytest.raises(KitError) as caught:
            call()
        assert str(caught.value) == sentence(model), what


def test_heads_layers_and_other_maps_of_such_a_tower_are_right(model):
    pixels, directions = pixels_for(model), unit_directions(model)
    run = kit.run(model, pixels)
    heads = (run.index["kind"] == "head").to_numpy()
    others = run.index["name"][heads & (run.index["layer"] != WRONG).to_numpy()]
    names, scores = ", ".join(others), kit.scores(model, pixels, directions)
    maps = kit.scores(model, pixels, directions, by="token", selector=names)
    assert (maps.sum(2) - scores[:, others.index]).abs().max() <= DOUBLE
    assert kit.decompose(model, pixels, by="layer").error.max() <= DOUBLE
    if run.has_positions:  # made of the outputs, not of the patterns
        assert (run.maps(directions, by="position").sum(2) - scores[:, heads]).abs().max() <= DOUBLE
    if run.frozen.plain:
        assert run.pattern_shares(0).shape[0] == len(pixels)


def test_the_check_says_so(model):
    check = kit.check(model)
    assert 0.015 < check.tokens < 0.025 and set(check.wrong_splits) == {"source"}
    assert set(check.wrong_splits["source"]) == {WRONG} and check.verdict == "exact"
    assert str(check).endswith("; token maps of L1 do not sum to their heads and are refused")


def test_maps_are_held_against_heads_once_and_not_by_runs_without_tokens():
    model = perturbed(PLAIN)
    with mock.patch("kit.parts.faults.split_errors", wraps=splits.split_errors) as asked:
        checked_run(model, pixels_for(model))
        assert not asked.called and frozen_graph(model).check.tokens is None
        for _ in range(2):
            kit.run(model, pixels_for(model))
        assert asked.call_count == 1 and frozen_graph(model).check.tokens <= 1e-5
        with torch.no_grad():
            model.tower.model.blocks[0].attn.proj.weight.mul_(2)
        kit.run(model, pixels_for(model))
        assert asked.call_count == 2


class Apart(nn.Module):
    """Attention over all tokens whose heads the graph does not tell apart: one is read at a time."""

    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(DIM, 3 * DIM), nn.Linear(DIM // HEADS, DIM)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(nn.functional.scaled_dot_product_attention(q, k, v).sum(1))


class Flags(Apart):
    """Attention that is told to look back alone, and whose heads share keys and values."""

    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(DIM, DIM)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        k, v = k[:, :1], v[:, :1]
        out = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.7, enable_gqa=True)
        return self.proj(out.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("attention", [Apart, Flags])
def test_attention_of_other_kinds_is_split_by_token_rightly(attention):
    tower = Tower()
    tower.attn[1] = attention()
    model = made_up(tower)
    assert kit.check(model).tokens <= DOUBLE and kit.check(model).verdict == "exact"
    run, directions = kit.run(model, pixels_for(model)), unit_directions(model)
    heads = (run.index["kind"] == "head").to_numpy()
    scores = run.scores(directions)[:, heads]
    assert (run.maps(directions).sum(2) - scores).abs().max() <= DOUBLE
    assert (run.token_vectors().sum(2) - run.vectors()[:, heads]).abs().max() <= DOUBLE


DIFFERENTIAL = "vit_dlittle_patch16_reg1_gap_256"


def test_each_map_of_differential_attention_is_a_layer_with_heads():
    model = family(DIFFERENTIAL, EXACT[DIFFERENTIAL])
    pixels, directions = pixels_for(model), unit_directions(model)
    parts = kit.decompose(model, pixels, by="token")
    whole = kit.decompose(model, pixels)
    heads = (whole.index["kind"] == "head").to_numpy()
    assert model.layers == 4 and heads.sum() == 8 and kit.check(model).verdict == "exact"
    assert (parts.values.sum(2) - whole.values[:, heads]).abs().max() <= DOUBLE
    maps = kit.scores(model, pixels, directions, by="token")
    assert (maps.sum(2) - kit.scores(model, pixels, directions)[:, heads]).abs().max() <= DOUBLE


def test_differential_attention_by_hand():
    """Both maps of the last block, head by head, in plain loops: read, norms held, projected, pooled."""
    model = family(DIFFERENTIAL, EXACT[DIFFERENTIAL])
    pixels, seen = pixels_for(model), {}
    block, norm = model.tower.model.blocks[-1], model.tower.model.fc_norm
    attn = block.attn
    hooks = [
        m.register_forward_pre_hook(lambda m, args, key=key: seen.setdefault(key, args[0]))
        for key, m in (("x", attn), ("pooled", norm))
    ]
    model.encode_image(pixels)
    for hook in hooks:
        hook.remove()
    spread = (seen["pooled"].var(-1, unbiased=False, keepdim=True) + norm.eps).rsqrt()
    size, width = 2 * attn.head_dim, attn.head_dim  # of a head's values, of one map's queries
    q, k, v = attn.qkv(seen["x"]).chunk(3, dim=2)
    factor, expected = float(attn._compute_lambda()), {}
    for head in range(attn.num_heads):
        values, read = v[..., head * size : (head + 1) * size], []
        for number, sign in ((0, 1.0), (1, -factor)):
            place = slice((2 * head + number) * width, (2 * head + number + 1) * width)
            pattern = (q[..., place] @ k[..., place].transpose(1, 2) * attn.scale).softmax(-1)
            read.append(sign * (pattern @ values))
        scale = ((read[0] + read[1]).square().mean(-1, keepdim=True) + attn.sub_norm.eps).rsqrt()
        for number, out in enumerate(read):
            out = out * scale * attn.sub_norm.weight * (1 - attn.lambda_init)
            out = out @ attn.proj.weight[:, head * size : (head + 1) * size].T * block.ls1.gamma
            pooled = out[:, 1:].mean(1)  # a register stands first
            centred = pooled - pooled.mean(-1, keepdim=True)
            expected[f"L{2 + number}.H{head}"] = centred * spread * norm.weight
    parts = kit.decompose(model, pixels)
    for name, vector in expected.items():
        assert (parts[name] - vector).abs().max() <= DOUBLE, name
        assert vector.abs().max() > 1e-3, name


def test_a_hierarchy_has_no_row_of_attention_for_a_picture():
    model = family(GENERAL, EXACT[GENERAL])
    run = kit.run(model, pixels_for(model))
    with pytest.raises(KitError, match="has no one row of attention for a picture"):
        run.pattern_shares(0)
    with pytest.raises(KitError, match="has other tokens in each layer"):
        run.values_at(0, 0)
    plain = perturbed(PLAIN)
    with pytest.raises(KitError, match=r"no heads of layer 99: those of .* are in L0, L1"):
        kit.run(plain, pixels_for(plain)).pattern_shares(99)
