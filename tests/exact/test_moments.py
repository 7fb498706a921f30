"""Moments against the vectors of `kit.decompose`, merged, saved, refused."""

from dataclasses import replace

import pytest
import torch

import kit
from kit.errors import KitError
from kit.parts import collect, load_moments
from tests.unit.tiny_models import write_folder

TOWERS = {
    "attention pooling": (
        "timm/vit_base_patch16_siglip_224",
        {"depth": 2, "embed_dim": 24, "num_heads": 2, "img_size": 32},
    ),
    "general route": (
        "timm/swin_tiny_patch4_window7_224",
        {"embed_dim": 16, "depths": (1, 1), "num_heads": (2, 2), "img_size": 56},
    ),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return kit.load(str(write_folder(tmp_path_factory.mktemp("tiny") / "tiny"))).double()


@pytest.fixture(scope="module")
def moments(tiny):
    return collect(tiny, pictures(), "moments", "seven pictures", batch=3)


def pictures(count: int = 7, size=(32, 32)) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, *size), generator=torch.Generator().manual_seed(0)).byte()


def check(model, moments, images) -> None:
    """Mean and covariance in the embedding are those of the parts over the length of the whole."""
    parts = kit.decompose(model, model.preprocess(images))
    values = (parts.values / parts.total.norm(dim=1)[:, None, None])[:, parts.index["kind"] == "head"]
    centred = (values - values.mean(0)).transpose(0, 1)
    covariance = centred.mT @ centred / len(images)
    assert moments.count == len(images)
    assert (moments.embed_mean() - values.mean(0)).norm() < 1e-10 * values.mean(0).norm()
    assert (moments.embed_covariance() - covariance).norm() < 1e-10 * covariance.norm()


def test_moments_are_those_of_the_parts(tiny, moments):
    check(tiny, moments, pictures())
    assert moments.gain.shape == (4, 16, 24)


def test_moments_of_the_shipped_model_are_those_of_its_parts(stickers):
    model, scenes = stickers.double(), kit.world.draw(12, seed=3)
    check(model, collect(model, scenes, "moments", "scenes", batch=5), scenes.images)


@pytest.mark.parametrize("kind", TOWERS)
def test_moments_of_other_towers_are_those_of_their_parts(kind):
    name, config = TOWERS[kind]
    model = kit.load(name, "random", config=config).double()
    images = pictures(5, model.image_size)
    found = collect(model, images, "moments", "noise", batch=2)
    check(model, found, images)
    assert (found.gain is None) == (kind == "general route")


def test_parts_that_are_wider_than_the_embedding_are_kept_in_it(tiny):
    found = collect(tiny, pictures(), "moments", "seven pictures", selector="L1.H0, L1.MLP")
    assert found.gain is None and found.mean.shape == (2, 24)
    heads = collect(tiny, pictures(), "moments", "seven pictures", selector="L1.H0")
    assert torch.allclose(found.select("L1.H0").embed_covariance(), heads.embed_covariance(), atol=1e-15)


def test_means_and_moments_agree(tiny, moments):
    means = collect(tiny, pictures(), name="seven pictures")
    heads = list(kit.run(tiny, tiny.preprocess(pictures(1))).index["kind"] == "head")
    assert torch.allclose(moments.embed_mean(), means.parts[heads].double(), atol=1e-7)


def test_the_state_does_not_grow_with_the_images(tiny, moments):
    few = collect(tiny, pictures(2), "moments", "two pictures")
    assert few.covariance.shape == moments.covariance.shape and few.mean.shape == moments.mean.shape


def test_d10_labelled_subsets_in_any_order_make_the_whole(tiny, moments):
    """The released code reads labels off an image's place in the set, so a subset has wrong ones."""
    labels, order = torch.tensor([2, 0, 1, 0, 2, 0, 1]), torch.tensor([4, 1, 6, 0, 3, 5, 2])
    for where in (torch.arange(7), order):
        images, codes = pictures()[where], labels[where]
        by_label = [collect(tiny, images[codes == c], "moments", f"label {c}") for c in range(3)]
        check(tiny, by_label[0], pictures()[labels == 0])
        merged = by_label[2].merge(by_label[0]).merge(by_label[1])
        assert merged.name == "label 2 + label 0 + label 1" and merged.count == 7
        right = by_label[2].merge(by_label[0].merge(by_label[1]))
        assert merged.data == right.data == tuple(by_label[label].data[0] for label in (2, 0, 1))
        assert torch.allclose(merged.mean, moments.mean, rtol=1e-12, atol=1e-16)
        assert (merged.covariance - moments.covariance).norm() < 1e-12 * moments.covariance.norm()


def test_moments_come_back_from_a_file_and_know_their_model(tiny, moments, tmp_path):
    moments.save(tmp_path / "m.safetensors")
    back = load_moments(tiny, tmp_path / "m.safetensors")
    assert back.index.equals(moments.index) and back.name == moments.name and back.count == 7
    assert torch.equal(back.covariance, moments.covariance) and torch.equal(back.gain, moments.gain)
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]
    other = kit.load(str(write_folder(tmp_path / "other", seed=2)))
    wanted = f"weights {tiny.weights_hash[:8]}.*weights {other.weights_hash[:8]}"
    with pytest.raises(KitError, match=wanted):
        load_moments(other, tmp_path / "m.safetensors")
    collect(tiny, pictures(), name="x").save(tmp_path / "means.safetensors")
    with pytest.raises(KitError, match=r'"means[.]safetensors" is not a file of moments'):
        load_moments(tiny, tmp_path / "means.safetensors")
    replace(moments, convention="paper").save(tmp_path / "p.safetensors")
    with pytest.raises(KitError, match='holds moments of "paper", but this kit reads those of "exact parts'):
        load_moments(tiny, tmp_path / "p.safetensors")


def test_what_does_not_belong_together_does_not_merge(moments):
    for field, value in {"model": "other", "weights_hash": "0" * 64, "convention": "paper"}.items():
        with pytest.raises(KitError, match=f"{field.replace('_', ' ')} is the same.*{value[:9]}"):
            moments.merge(replace(moments, **{field: value}))
    with pytest.raises(KitError, match="parts is the same"):
        moments.merge(moments.select("L1.H*"))


def test_what_cannot_be_collected(tiny):
    with pytest.raises(KitError, match="the set is empty"):
        collect(tiny, [], "moments", "nothing")
    with pytest.raises(KitError, match='"none" chooses no part'):
        collect(tiny, pictures(2), "moments", "two", selector="none")
    with pytest.raises(KitError, match="means are kept of every part"):
        collect(tiny, pictures(2), "means", "two", selector="L0.H0")
