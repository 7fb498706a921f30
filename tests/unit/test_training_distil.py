"""Self-distillation: what it sees, what it cannot do, its state on disk and what it exports."""

import math
from dataclasses import replace

import pytest
import timm
import torch

import kit
import kit.world as world
from kit.errors import KitError
from kit.models.build import seeded
from kit.workshop.training import crops, distil, stream
from kit.workshop.training.distil import DistilTraining, contrast, crop_loss
from kit.workshop.training.export import export_timm
from kit.workshop.training.progress import DistilProgress
from kit.workshop.training.recipe import Cycle, Phase
from kit.workshop.training.recipes import RECIPES, SINGLE
from kit.workshop.training.timm_model import take_over

CHUNK = 64  # scenes drawn at a time here
NAMES = ("stickers-dino", "stickers-dinov2")


def tiny(name):
    """The shipped recipe of a member, small and short."""
    shape = {"patch_size": 16, "embed_dim": 32, "depth": 2, "num_heads": 2}
    return replace(
        RECIPES[name],
        settings=RECIPES[name].settings | shape,
        start="",
        phases=(Phase(CHUNK, SINGLE, batch=4, patches=9), Phase(20 * CHUNK, SINGLE, batch=8)),
        cycles=(Cycle(CHUNK, 20 * CHUNK),),
        warmup=4,
        hidden=32,
    )


@pytest.fixture(autouse=True, scope="module")
def small():
    """One thread, as the promise of equal losses is for one a shard; few scenes at a time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "CHUNK", CHUNK)
        patch.setattr(DistilProgress, "FITTED", 256)
        yield
    torch.set_num_threads(threads)


def steps(folder, name, n):
    """A training after n steps, and their losses."""
    training = DistilTraining(tiny(name), folder)
    return training, [training.step() for _ in range(n)]


@pytest.mark.parametrize("name", NAMES)
def test_resumed_training_repeats_the_losses_to_the_bit(name, tmp_path):
    unbroken, _ = steps(tmp_path, name, 12)
    unbroken.save(tmp_path / "checkpoint.pt")
    expected = [unbroken.step() for _ in range(50)]
    resumed = DistilTraining(tiny(name), tmp_path)
    resumed.load(tmp_path / "checkpoint.pt")
    assert [resumed.step() for _ in range(50)] == expected
    assert all(torch.equal(unbroken.ema[n], resumed.ema[n]) for n in unbroken.ema)


def test_losses_never_read_labels(tmp_path, monkeypatch):
    """The painter needs to know what to paint; labels that change after it painted change nothing."""
    _, plain = steps(tmp_path, "stickers-dinov2", 6)
    paint = distil.two_looks

    def scrambled(scenes):
        images = paint(scenes)
        generator = torch.Generator().manual_seed(1)
        for code in scenes.codes.values():
            code.copy_(code[torch.randperm(len(code), generator=generator)])
        return images

    monkeypatch.setattr(distil, "two_looks", scrambled)
    training, losses = steps(tmp_path, "stickers-dinov2", 6)
    assert losses == plain
    assert list(vars(training.stream.at(0))) == ["images"]


def test_an_object_is_carried_before_another_background():
    scenes = world.draw(12, seed=1, sizes=("large",))
    other = world.elsewhere(scenes)
    for name in ("concept", "artist", "colour", "texture", "category"):
        assert torch.equal(other.codes[name], scenes.codes[name])
    for name in ("background", "position", "size"):
        assert torch.equal(other.codes[name], scenes.codes[name].roll(1))
    objects = (scenes.masks[:, :1].roll(1, 0) | other.masks[:, :1]).float()  # before and after
    objects = torch.nn.functional.max_pool2d(objects, 3, 1, 1) > 0  # with their soft edges, not all shadows
    change = (other.images.int() - scenes.images.roll(1, 0).int()).abs()
    assert (change * ~objects > 0).float().mean() < 0.01 and (change * objects).flatten(1).any(1).all()
    with pytest.raises(KitError, match="two or more scenes"):
        world.elsewhere(world.draw(4, seed=1, kind="pair"))
    with pytest.raises(KitError, match="two or more scenes"):
        world.elsewhere(scenes[:1])


def test_the_two_looks_are_of_one_drawing_in_two_dresses():
    scenes = world.draw(12, seed=1)
    looks, other = distil.two_looks(scenes), world.elsewhere(scenes, redressed=True)
    assert torch.equal(looks[:, 0], scenes.images) and torch.equal(looks[:, 1], other.images)
    for name in ("concept", "artist", "category"):
        assert torch.equal(other.codes[name], scenes.codes[name])
    for name in ("colour", "texture", "background", "position", "size"):
        assert torch.equal(other.codes[name], scenes.codes[name].roll(1))
    plain = world.draw(12, seed=1, colours=0.0, textures=0.0)
    assert torch.equal(world.elsewhere(plain, redressed=True).images, world.elsewhere(plain).images)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_export_loads_through_timm_and_the_kit_and_is_exact(name, tmp_path):
    training, _ = steps(tmp_path, name, 3)
    export_timm(training, tmp_path / "model")
    module = training.averaged_module()
    for p in module.parameters():
        p.copy_(p.half())
    pixels = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(5))
    theirs = timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True).eval()
    assert torch.equal(theirs(pixels), module(pixels))
    model = kit.load(tmp_path / "model")
    assert torch.equal(model.library_model(pixels), module(pixels))
    assert model.class_names is None
    assert kit.decompose(model, pixels).error.max() < 1e-5


def test_the_second_kind_has_registers_and_layer_scale(tmp_path):
    module = DistilTraining(tiny("stickers-dinov2"), tmp_path).module
    assert module.num_prefix_tokens == 5 and hasattr(module.blocks[0].ls1, "gamma")


@torch.no_grad()
def test_weights_taken_over_compute_the_same_but_for_the_registers():
    shape = {"img_size": 64, "patch_size": 16, "embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 0}
    second = {"model_name": "vit_small_patch14_reg4_dinov2", "init_values": 0.1, **shape}
    with seeded(1):
        plain = timm.create_model("vit_small_patch8_224", **shape).eval()
        plain.cls_token.normal_(std=0.5)
        plain.pos_embed.normal_(std=0.5)
        without, whole = timm.create_model(**second, reg_tokens=0).eval(), timm.create_model(**second)
    pixels = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(7))
    before = without(pixels)
    take_over(without, plain.state_dict())
    assert torch.allclose(without(pixels), plain(pixels), atol=1e-5)
    assert not torch.allclose(before, plain(pixels), atol=1e-2)
    registers = whole.reg_token.clone()
    take_over(whole, plain.state_dict())
    assert torch.equal(whole.reg_token, registers)
    assert torch.equal(whole.blocks[1].mlp.fc2.weight, plain.blocks[1].mlp.fc2.weight)
    deeper = timm.create_model(**second | {"depth": 3})
    with pytest.raises(KitError, match=r"differ in blocks\.2\."):
        take_over(deeper, plain.state_dict())


def test_the_teacher_is_moved_by_averaging_alone(tmp_path):
    """The optimisers hold no weight of the teacher, and no gradient reaches it."""
    training, _ = steps(tmp_path, "stickers-dinov2", 1)
    moved = {id(p) for o in training.optimisers for group in o.param_groups for p in group["params"]}
    assert moved == {id(p) for p in training.named.values()}
    for p in training.ema.values():
        p.requires_grad_()
    leaves = {n: p.detach().to(training.dtype).requires_grad_() for n, p in training.named.items()}
    batch, generator = training.stream.at(0), torch.Generator().manual_seed(1)
    losses = training.losses(0, batch, leaves, {}, training.recipe.phases[0], generator)
    sum(losses.values()).backward()
    assert all(p.grad is None for p in training.ema.values())
    assert sum(p.grad is not None for p in leaves.values()) == len(leaves)


def test_a_vector_is_told_from_those_of_others():
    apart, alike = torch.eye(6), torch.full((6, 6), 6**-0.5)
    told = math.log(1 + 5 * math.exp(-1 / 0.1))
    assert contrast(apart, apart, 0.1) == pytest.approx(told, abs=1e-6)
    assert contrast(apart, apart.roll(1, 0), 0.1) == pytest.approx(told + 10, rel=1e-5)  # another's key
    assert contrast(alike, alike, 0.1) == pytest.approx(math.log(6), rel=1e-5)  # a collapse tells nothing


def test_a_crop_is_not_its_own_answer():
    """Two wide crops and one narrow: the pairs of a crop with itself do not count."""
    keys = torch.stack([torch.eye(4), torch.eye(4).roll(1, 0)])  # [wide, batch, dim]
    said = keys[[1, 0, 0]]  # each wide crop says what the other's key is; the narrow one, the first's alone
    told = math.log(1 + 3 * math.exp(-1 / 0.1))
    assert crop_loss(keys, said, 0.1) == pytest.approx(told + 10 / 4, rel=1e-4)


def test_the_whole_image_is_a_crop_and_may_be_mirrored():
    images = world.draw(12, seed=1).images.float() / 255
    whole = crops.crop(images, 64, (4.0, 4.0), torch.Generator().manual_seed(3))
    same = (whole - images).abs().amax((1, 2, 3)) < 1e-4
    mirrored = (whole - images.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    assert same.any() and mirrored.any() and (same | mirrored).all()


def test_colours_change_by_the_strength():
    images = world.draw(6, seed=1).images.float() / 255
    generator = torch.Generator().manual_seed(3)
    assert torch.allclose(crops.recolour(images, 0.0, 0.0, 0.0, generator), images, atol=1e-5)
    grey = crops.recolour(images, 0.0, 0.0, 1.0, generator)
    flat = grey - grey.mean((2, 3), keepdim=True)
    assert torch.allclose(flat, flat[:, :1].expand_as(flat), atol=1e-5)
    assert (crops.recolour(images, 1.0, 0.0, 0.0, generator) - images).abs().mean() > 0.03
    turned = crops.recolour(images, 0.0, 1.0, 0.0, generator)
    assert (turned - images).abs().mean() > 0.03
    assert torch.allclose(turned.mean(1), images.mean(1), atol=1e-5)  # hue turns about the grey axis


def test_hidden_patches_are_zero_and_the_others_untouched():
    images = torch.rand(5, 3, 64, 64) + 1
    shown, hidden = crops.mask(images, 16, 0.3, torch.Generator().manual_seed(4))
    assert hidden.shape == (5, 16) and (hidden.sum(1) == 5).all()
    for image in range(5):
        for patch in range(16):
            row, col = 16 * (patch // 4), 16 * (patch % 4)
            box = (image, slice(None), slice(row, row + 16), slice(col, col + 16))
            assert torch.equal(shown[box], torch.zeros(3, 16, 16) if hidden[image, patch] else images[box])


@torch.no_grad()
def test_patches_that_are_not_kept_are_not_seen(tmp_path):
    training = DistilTraining(tiny("stickers-dinov2"), tmp_path)
    weights = dict(training.named)
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(6))
    kept = torch.tensor([[0, 3, 9], [1, 2, 15], [4, 5, 6]])
    other = torch.randn_like(images)
    for image, patches in enumerate(kept.tolist()):
        for patch in patches:
            row, col = 16 * (patch // 4), 16 * (patch % 4)
            other[image, :, row : row + 16, col : col + 16] = images[image, :, row : row + 16, col : col + 16]
    seen = training._seen(0, weights, images, kept)
    assert seen.shape == (3, 5 + 3, 32)
    assert torch.allclose(seen, training._seen(0, weights, other, kept), atol=1e-5)
    whole = training.run(0, weights, {}, images)
    every = training._seen(0, weights, images, torch.arange(16).expand(3, -1))
    assert torch.allclose(every, whole, atol=1e-5) and not torch.allclose(whole[:, 0], seen[:, 0], atol=1e-2)


def test_a_look_probes_the_representation(tmp_path):
    training = DistilTraining(tiny("stickers-dino"), tmp_path)
    progress = DistilProgress(training, scenes=64)
    found = progress.look()
    assert set(found) == set(progress.FIELDS)
