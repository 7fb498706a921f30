"""Heads × tokens: sums, batches, a model whose map is known in closed form, and a planted token."""

import pandas as pd
import pytest
import torch

import kit
from kit.errors import KitError
from kit.measures import bootstrap_interval, mass_elsewhere, token_shares
from kit.projections import (
    HeadMaps,
    apart,
    head_maps,
    lit_patches,
    maps_of_labels,
    maps_on_regions,
    prompt_directions,
    written_at_gaze,
)

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


# What maps say of regions and of attention: numbers small enough to count


def counted(values, attention=None):
    """Maps of two images and two heads over two by two patches, without prefix."""
    values = torch.tensor(values, dtype=torch.float32)
    heads = pd.DataFrame({"name": ["L0.H0", "L0.H1"]})
    attention = torch.full_like(values, 0.25) if attention is None else torch.tensor(attention)
    return HeadMaps(values, attention, heads, 0, (2, 2))


ONE = [[[3.0, 1, 0, 0], [0, 0, 0, 2]], [[0, 0, 1, 1], [1, 0, 0, -4]]]
LOOKS = [[[0.7, 0.1, 0.1, 0.1], [0.7, 0.1, 0.1, 0.1]], [[0.1, 0.1, 0.1, 0.7], [0.1, 0.1, 0.1, 0.7]]]
LEFT = torch.tensor([[1.0, 0, 1, 0], [0.0, 1, 0, 1]])  # left half, then the right one


def test_a_head_by_name_and_what_it_adds_where_it_looks():
    maps = counted(ONE, LOOKS)
    assert maps.of("L0.H1").tolist() == [[0, 0, 0, 2], [1, 0, 0, -4]]
    assert maps.heat("L0.H0", 0).tolist() == [[3, 1], [0, 0]]
    assert maps.gaze("L0.H0", 1).tolist() == torch.tensor(LOOKS[1][0]).view(2, 2).tolist()
    assert maps.at_gaze("L0.H0").tolist() == [3, 1] and maps.at_gaze("L0.H1").tolist() == [0, -4]
    assert maps.silent().tolist() == [[False, True], [False, False]]
    assert maps.silent(1.01).all()


def test_the_mass_of_every_head_on_a_region_and_on_those_of_others():
    maps = counted(ONE)
    assert maps.mass(LEFT).tolist() == [[0.75, 0.0], [0.5, 0.0]]
    assert mass_elsewhere(maps.of("L0.H0"), LEFT, [1]).tolist() == [0.25, 0.5]
    table = maps_on_regions({"side": maps}, {"side": LEFT}, {"side": "L0.H0"})
    others = mass_elsewhere(maps.of("L0.H0"), LEFT)
    row = table.loc["side"]
    assert [row["head"], row["share"], row["area"], row["others"]] == ["L0.H0", 0.625, 0.5, others.mean()]
    assert row["gain"] == bootstrap_interval(maps.mass(LEFT)[:, 0] - others, 0)


def test_heads_that_push_are_read_by_the_sign_of_what_they_add():
    table = counted(ONE).pushing({"left": LEFT}, most=1, least=1)
    assert table["adds"].to_dict() == {"L0.H0": 3.0, "L0.H1": -0.5}
    assert [each.value for each in table["left"]] == [0.625, 0.5]  # the second by its negative part


def test_what_is_written_where_a_head_looks_is_held_against_its_strongest_patch(stickers, scenes, directions):
    maps, number = head_maps(stickers, scenes.images, directions), 7
    found = written_at_gaze(stickers, scenes.images[:3], maps)
    held = kit.run(stickers, stickers.preprocess(scenes.images[:3]))
    written = held.token_vectors("L*.H*")[2, number, held.prefix :].norm(dim=-1)
    looked, strongest = maps.looks[2, number].argmax(), maps.patches[2, number].abs().argmax()
    assert found.shape == (3, 36) and torch.isclose(found[2, number], written[looked] / written[strongest])


def test_the_lit_patch_is_found_in_every_picture():
    model, pixels = lit_patches()
    found = kit.run(model, pixels).maps(torch.eye(8)[:1])[:, 0, :, 0].abs()  # [picture, token]
    assert (found.argmax(1) == torch.arange(1, 17)).all()
    assert (found.sum(1) - found.amax(1) <= 1e-6 * found.max()).all()


def test_one_text_minus_another_for_each_image():
    vectors = torch.eye(3)
    found = apart(vectors, torch.tensor([0, 1]), torch.tensor([2, 1]))
    assert torch.allclose(found, torch.tensor([[0.5**0.5, 0, -(0.5**0.5)], [0, 0, 0]]))


def test_each_scene_is_asked_for_its_own_value(stickers, scenes):
    found = maps_of_labels(stickers, scenes, ["background"])["background"]
    every = prompt_directions(stickers.encode_text(kit.world.prompts("background")), "contrast")
    wanted = head_maps(stickers, scenes.images, every[scenes.codes["background"]])
    assert torch.equal(found.values, wanted.values)
