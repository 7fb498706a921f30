"""Ablations against the library's own modules, changed by hand, and means files."""

import pytest
import torch

import kit
from kit.edits import ablate
from kit.errors import KitError
from kit.parts import collect, load_means
from tests.unit.tiny_models import pixels, write_folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return kit.load(str(write_folder(tmp_path_factory.mktemp("tiny") / "tiny")))


@pytest.fixture(scope="module")
def pictures():
    return torch.randint(0, 256, (5, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.fixture(scope="module")
def means(tiny, pictures):
    return collect(tiny, pictures, name="five pictures", batch=2)


@pytest.mark.parametrize("effect", ["direct", "total"])
def test_ablating_nothing_changes_no_bit(tiny, means, effect):
    same = ablate(tiny, pixels(), "none", effect=effect, means=means)
    assert torch.equal(same.embedding, same.before)
    # the library's fused attention in eval mode rounds differently from the recorded operations
    assert torch.allclose(same.before, tiny.encode_image(pixels()), atol=1e-5)


def test_direct_effect_is_the_part_taken_out_of_the_sum(tiny):
    run = kit.run(tiny, pixels())
    out = ablate(tiny, run, "L1.H0, L0.MLP", replace="zero")
    kept = run.vectors("!L1.H0, !L0.MLP").sum(1)
    assert torch.allclose(out.embedding, kept, atol=1e-5)


def test_direct_effect_of_means_is_their_score_less_the_parts(tiny, means):
    run = kit.run(tiny, pixels())
    directions = torch.nn.functional.normalize(torch.randn(3, tiny.embed_dim), dim=-1)
    out = ablate(tiny, run, "L1.H1", means=means)
    row = list(run.index["name"]).index("L1.H1")
    expected = directions @ means.parts[row] - run.scores(directions)[:, row]
    assert torch.allclose(out.scores(directions), expected, atol=1e-6)
    assert out.means_id.startswith("five pictures [")


def test_direct_effect_takes_an_array(tiny):
    run = kit.run(tiny, pixels())
    out = ablate(tiny, run, "L1.H0", replace=run.vectors("L1.H1")[0])
    assert out.means_id == "array"
    with pytest.raises(KitError, match="the replacement should be"):
        ablate(tiny, run, "L1.H0", replace=torch.zeros(2, tiny.embed_dim))


@pytest.mark.parametrize("layer, head", [(0, 0), (0, 1), (1, 1)])
def test_total_effect_of_zero_equals_a_tower_without_that_slice(tiny, layer, head):
    """A head's output set to zero at every token is its slice of the output projection set to zero."""
    model = tiny.double()
    where = pixels().double()
    out = ablate(model, where, f"L{layer}.H{head}", replace="zero", effect="total")
    weight = model.tower.transformer.resblocks[layer].attn.out_proj.weight
    width = weight.shape[1] // 2
    with torch.no_grad():
        weight[:, head * width : (head + 1) * width] = 0
    assert torch.allclose(out.embedding, model.tower(where), atol=1e-12)


def test_total_effect_of_an_mlp_equals_a_tower_without_it(tiny):
    model = tiny.double()
    out = ablate(model, pixels().double(), "L0.MLP", replace="zero", effect="total")
    with torch.no_grad():
        for parameter in model.tower.transformer.resblocks[0].mlp.c_proj.parameters():
            parameter.zero_()
    assert torch.allclose(out.embedding, model.tower(pixels().double()), atol=1e-12)


@pytest.mark.parametrize("effect", ["direct", "total"])
def test_zero_is_zero_where_means_are_at_hand_too(tiny, means, effect):
    plain, given = (
        ablate(tiny, pixels(), "L0.H1, L0.MLP", replace="zero", effect=effect, means=own)
        for own in (None, means)
    )
    assert torch.equal(plain.embedding, given.embedding) and given.means_id == "zero"


def test_total_effect_of_means_puts_in_the_mean_output_of_every_token(tiny, pictures, means):
    seen = {}

    def note(module, inputs, output):
        seen.setdefault("mlp", []).append(output)

    hook = tiny.tower.transformer.resblocks[0].mlp.register_forward_hook(note)
    tiny.encode_image(tiny.preprocess(pictures))
    hook.remove()
    mean = seen["mlp"][0].mean(0)
    assert torch.allclose(means.outputs["L0.MLP"], mean, atol=1e-5)

    def put(module, inputs, output):
        return mean.expand_as(output)

    hook = tiny.tower.transformer.resblocks[0].mlp.register_forward_hook(put)
    expected = tiny.encode_image(pixels())
    hook.remove()
    out = ablate(tiny, pixels(), "L0.MLP", effect="total", means=means)
    assert torch.allclose(out.embedding, expected, atol=1e-5)


def test_in_the_last_layer_a_frozen_total_effect_is_the_direct_one(tiny):
    """Behind the last MLP nothing but the final norm reads the stream; only its spread may differ."""
    run = kit.run(tiny, pixels())
    total = ablate(tiny, run, "L1.MLP", replace="zero", effect="total").embedding
    direct = ablate(tiny, run, "L1.MLP", replace="zero").embedding
    constant = run.vectors("final.bias")[:, 0]
    unit = [torch.nn.functional.normalize(e - constant, dim=-1) for e in (total, direct)]
    assert torch.allclose(*unit, atol=1e-4)
    assert not torch.allclose(total, direct, atol=1e-4)


def test_a_total_effect_costs_one_pass_and_a_direct_one_none(tiny, means):
    run = kit.run(tiny, pixels())
    before = tiny.passes["image"]
    ablate(tiny, run, "L1.H0", means=means)
    assert tiny.passes["image"] == before
    ablate(tiny, run, "L1.H0", effect="total", means=means)
    assert tiny.passes["image"] == before + 1


def test_means_are_those_of_the_parts(tiny, pictures, means):
    run = kit.run(tiny, tiny.preprocess(pictures))
    expected = (run.vectors() / run.norm[:, None, None]).mean(0)
    assert torch.allclose(means.parts, expected, atol=1e-6)
    assert means.count == 5


def test_means_come_back_from_a_file_and_know_their_model(tiny, means, tmp_path):
    path = tmp_path / "means.safetensors"
    means.save(path)
    again = load_means(tiny, path)
    assert again.id == means.id and torch.equal(again.parts, means.parts)
    assert not list(tmp_path.glob("*.tmp"))
    other = kit.load(str(write_folder(tmp_path / "other", seed=2)))
    with pytest.raises(KitError, match=r'these means are of ".*" with weights [0-9a-f]{8}, but the model is'):
        load_means(other, path)
