"""A tiny tower taken apart by explicit loops, one number at a time, against both the kit and the library."""

import math

import pytest
import torch

import kit
from tests.unit.tiny_models import write_folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return kit.load(str(write_folder(tmp_path_factory.mktemp("tiny") / "tiny"))).double()


def test_loops_equal_the_kit_and_the_library(tiny):
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(3)).double()
    written, tokens = _by_loops(tiny.tower, pixels)
    parts = kit.decompose(tiny, pixels)
    assert sorted(written) == sorted(parts.index["name"])
    for name, vector in written.items():
        assert torch.allclose(parts[name][0], vector, rtol=0, atol=1e-12), name
    total = sum(written.values())
    assert torch.allclose(total, tiny.tower(pixels)[0], rtol=0, atol=1e-12)
    by_token = kit.decompose(tiny, pixels, by="token")
    for name, rows in tokens.items():
        assert torch.allclose(by_token[name][0], rows, rtol=0, atol=1e-12), name


def _by_loops(visual, pixels):
    """Parts of open_clip's vision transformer for one image: name -> [embed], and heads -> [token, embed]."""
    patches = visual.conv1(pixels)[0].flatten(1).T  # [patch, dim]
    stream = torch.cat([visual.class_embedding[None], patches]) + visual.positional_embedding
    stream = visual.ln_pre(stream)  # [token, dim]
    wrote = {"embed": stream[0]}
    wrote_tokens = {}
    for layer, block in enumerate(visual.transformer.resblocks):
        heads = block.attn.num_heads
        out = torch.zeros_like(stream)
        normed = block.ln_1(stream)
        query, key, value = (normed @ block.attn.in_proj_weight.T + block.attn.in_proj_bias).chunk(3, dim=-1)
        width = stream.shape[1] // heads
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            rows = []
            for reader in range(len(stream)):
                scores = [
                    float(query[reader, own] @ key[j, own]) / math.sqrt(width) for j in range(len(stream))
                ]
                top = max(scores)
                weights = [math.exp(s - top) for s in scores]
                pieces = [
                    w / sum(weights) * (block.attn.out_proj.weight[:, own] @ value[j, own])
                    for j, w in enumerate(weights)
                ]
                if reader == 0:
                    rows = pieces
                out[reader] += sum(pieces)
            wrote_tokens[f"L{layer}.H{head}"] = torch.stack(rows)
            wrote[f"L{layer}.H{head}"] = sum(rows)
        wrote[f"L{layer}.attn.bias"] = block.attn.out_proj.bias
        stream = stream + out + block.attn.out_proj.bias
        mlp = block.mlp(block.ln_2(stream))
        wrote[f"L{layer}.MLP"] = mlp[0]
        stream = stream + mlp
    norm, last = visual.ln_post, stream[0]
    sigma = math.sqrt(float(((last - last.mean()) ** 2).mean()) + norm.eps)

    def read(u):
        return ((u - u.mean()) / sigma * norm.weight) @ visual.proj

    vectors = {name: read(u) for name, u in wrote.items()}
    vectors["final.bias"] = norm.bias @ visual.proj
    rows = {name: torch.stack([read(u) for u in us]) for name, us in wrote_tokens.items()}
    return {k: v.detach() for k, v in vectors.items()}, {k: v.detach() for k, v in rows.items()}
