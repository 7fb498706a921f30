"""Heads × tokens: sums, batches, a model whose map is known in closed form, and a planted token."""

import pytest
import torch

import kit
from kit.errors import KitError
from kit.measures import token_shares
from kit.projections import head_maps

TINY = {"width": 16, "layers": 1, "head_width": 16, "patch_size": 8, "image_size": 32}


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(5, 16, kind="pair")


@pytest.fixture(scope="module")
def directions(stickers):
    return stickers.encode_text(["a cat", "a dog", "a red thing", "a cat", "a thing on grass"])


def test_over_tokens_the_score_and_over_heads_the_token(stickers, scenes, directions):
    maps = head_maps(stickers, scenes.images, directions, batch=2)
    pixels, own = stickers.preprocess(scenes.images), torch.arange(5)
    scores = kit.scores(stickers, pixels, directions)[own, :, own]
    heads = maps.heads["name"].tolist()
    every = kit.decompose(stickers, pixels).index["name"].tolist()
    assert (maps.values.sum(2) - scores[:, [every.index(h) for h in heads]]).abs().max() < 1e-5
    tokens = kit.scores(stickers, pixels, directions, by="token")[own, :, :, own]
    assert (maps.values.sum(1) - tokens.sum(1)).abs().max() < 1e-5
    assert (maps.attention.sum(2) - 1).abs().max() < 1e-5 and maps.attention.min() >= 0


def test_attention_is_the_class_token_s_row(stickers, scenes, directions):
    maps = head_maps(stickers, scenes.images, directions)
    row = kit.pattern(stickers, stickers.preprocess(scenes.images), 3)[:, 2, 0]
    assert torch.allclose(maps.attention[:, maps.number("L3.H2")], row, atol=1e-6)


def test_several_directions_cost_one_pass_and_batches_change_nothing(stickers, scenes, directions):
    before = stickers.passes["image"]
    both = head_maps(stickers, scenes.images, {"here": directions, "there": directions.flip(0)})
    assert stickers.passes["image"] == before + 1
    for name, some in (("here", directions), ("there", directions.flip(0))):
        alone = head_maps(stickers, scenes.images, some, batch=3)
        assert torch.allclose(both[name].values, alone.values, atol=1e-6)


def hand_set():
    """One layer, one head, no positions, no MLP: only a lit patch of a black picture is not zero."""
    model = kit.load(
        "ViT-B-32", "random", config={"embed_dim": 8, "vision_cfg": TINY, "text_cfg": None}
    ).double()
    with torch.no_grad():
        model.tower.class_embedding.zero_()
        model.tower.positional_embedding.zero_()
        for parameter in model.tower.transformer.resblocks[0].mlp.c_proj.parameters():
            parameter.zero_()
    return model


def test_a_hand_set_model_is_its_closed_form():
    model = hand_set()
    pixels = torch.rand(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    direction = torch.eye(8, dtype=torch.float64)[2:3]
    found = kit.run(model, pixels).maps(direction)[:, 0, :, 0]
    tower = model.tower
    block = tower.transformer.resblocks[0]
    norm = torch.nn.functional.layer_norm
    patches = torch.nn.functional.conv2d(pixels, tower.conv1.weight, stride=8).flatten(2).mT  # [b, patch, 16]
    stream = torch.cat([torch.zeros_like(patches[:, :1]), patches], 1)
    stream = norm(stream, (16,), tower.ln_pre.weight, tower.ln_pre.bias)
    query, key, value = (
        norm(stream, (16,), block.ln_1.weight, block.ln_1.bias) @ block.attn.in_proj_weight.mT
        + block.attn.in_proj_bias
    ).chunk(3, -1)
    looks = (query[:, :1] @ key.mT / 4).softmax(-1)[:, 0]  # [b, token]
    written = value @ block.attn.out_proj.weight.mT  # [b, token, 16]
    last = stream[:, 0] + (looks[..., None] * written).sum(1) + block.attn.out_proj.bias
    sigma = (last.var(-1, unbiased=False) + 1e-5).sqrt()
    centred = written - written.mean(-1, keepdim=True)
    pushed = centred * tower.ln_post.weight @ tower.proj[:, 2] / sigma[:, None]
    expected = looks * pushed / model.encode_image(pixels).norm(dim=1)[:, None]
    assert (found - expected).abs().max() < 1e-10


@pytest.mark.parametrize("token", range(16))
def test_the_lit_patch_alone_carries_the_score(hand, token):
    pixels = torch.zeros(1, 3, 32, 32, dtype=torch.float64)
    row, col = divmod(token, 4)
    pixels[:, :, 8 * row : 8 * row + 8, 8 * col : 8 * col + 8] = 1.0
    found = kit.run(hand, pixels).maps(torch.eye(8, dtype=torch.float64))[0, 0]  # [token, text]
    assert found[1 + token].abs().min() > 0
    found[1 + token] = 0
    assert found.abs().max() < 1e-12


@pytest.fixture(scope="module")
def hand():
    return hand_set()


def test_what_does_not_fit(stickers, scenes, directions, load):
    with pytest.raises(KitError, match="directions"):
        head_maps(stickers, scenes.images, directions[:2])
    with pytest.raises(KitError, match=r'no head "L9[.]H0"; there are 36, from L0[.]H0 to L5[.]H5'):
        head_maps(stickers, scenes.images[:1], directions[:1]).number("L9.H0")
    with pytest.raises(KitError, match="32 × 32 pixels do not fall apart into 5 × 5 tokens"):
        token_shares(torch.zeros(1, 1, 32, 32, dtype=torch.bool), (5, 5))


def test_shares_are_counted_pixel_by_pixel(scenes):
    shares = token_shares(scenes.masks, (8, 8))
    assert shares.shape == (5, 2, 64)
    assert torch.allclose(shares.sum(2) * 64, scenes.masks.float().sum((2, 3)))
    assert shares[3, 1, 8 * 2 + 5] == scenes.masks[3, 1, 16:24, 40:48].float().mean()
