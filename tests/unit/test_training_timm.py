"""The trainings of timm models: supervised, their state on disk and what they export."""

import copy
from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import load_file

import kit
import kit.world as world
from kit.workshop.cards import members
from kit.workshop.cards.bars import bars_of
from kit.workshop.cards.evaluate import evaluate
from kit.workshop.training import objectives, stream, timm_model
from kit.workshop.training.export import export_timm
from kit.workshop.training.labels import LabelTraining
from kit.workshop.training.recipe import Cycle, Phase
from kit.workshop.training.recipes import CLEAN, HARD, RECIPES

CHUNK = 128  # scenes drawn at a time here
SHAPES = {
    "stickers-deit": {"patch_size": 16, "embed_dim": 32, "depth": 2, "num_heads": 2},
    "stickers-swin": {"window_size": 4, "embed_dim": 16, "depths": (1, 2), "num_heads": (1, 2)},
    "stickers-maxvit": {"stem_width": 8, "embed_dim": (32, 32), "depths": (1, 1)},
}


def tiny(name):
    """The shipped recipe of a member, small and short."""
    recipe = RECIPES[name]
    phases = (Phase(CHUNK, CLEAN, batch=8), Phase(4 * CHUNK, HARD, batch=16))
    return replace(
        recipe,
        settings=recipe.settings | SHAPES[name],
        phases=phases,
        cycles=(Cycle(CHUNK, 4 * CHUNK),),
        warmup=4,
    )


@pytest.fixture(autouse=True, scope="module")
def small():
    """One thread, as the promise of equal losses is for one a shard; few scenes at a time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "CHUNK", CHUNK)
        patch.setattr(timm_model, "SETTLED_ON", 256)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=SHAPES)
def trained(request, tmp_path_factory):
    """A training after some steps, and the folder of its export."""
    folder = tmp_path_factory.mktemp(request.param)
    training = LabelTraining(tiny(request.param), folder)
    for _ in range(6):
        training.step()
    training.ema = {n: p.detach().clone() for n, p in training.named.items()}  # far from the fresh ones
    export_timm(training, folder / "model")
    return training, folder / "model"


def pixels(n=5):
    return torch.randn(n, 3, 64, 64, generator=torch.Generator().manual_seed(5))


def halved(training):
    """The averaged module as it ships: its weights went through float16."""
    module = training.averaged_module()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(p.half())
    return module


@pytest.mark.parametrize("name", SHAPES)
def test_resumed_training_repeats_the_losses_to_the_bit(name, tmp_path):
    unbroken = LabelTraining(tiny(name), tmp_path)
    unbroken.seen = CHUNK - 14 * 8  # so that the 50 cross into the second chunk and its larger batches
    for _ in range(4):
        unbroken.step()
    unbroken.save(tmp_path / "checkpoint.pt")
    expected = [unbroken.step() for _ in range(50)]
    resumed = LabelTraining(tiny(name), tmp_path)
    resumed.load(tmp_path / "checkpoint.pt")
    assert [resumed.step() for _ in range(50)] == expected
    for mine, theirs in ((unbroken.ema, resumed.ema), (unbroken.buffers, resumed.buffers)):
        assert all(torch.equal(mine[n], theirs[n]) for n in mine)


@torch.no_grad()
def test_export_loads_through_timm_and_the_kit(trained):
    training, folder = trained
    expected = halved(training)(pixels())
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert torch.equal(theirs(pixels()), expected)
    model = kit.load(folder)
    assert torch.equal(model.library_model(pixels()), expected)
    assert model.class_names == training.label_names


@torch.no_grad()
def test_the_kit_prepares_images_as_the_training_did(trained):
    training, folder = trained
    images = world.draw(2, seed=1).images
    error = kit.load(folder).preprocess(images) - training.pixels(images, None).float()
    assert error.abs().max() < 2e-2  # bfloat16


def test_export_is_exact_under_the_engine(trained):
    model = kit.load(trained[1])
    assert kit.decompose(model, pixels(2)).error.max() < 1e-5


def test_weights_ship_in_half_precision_and_statistics_whole(trained):
    stored = load_file(trained[1] / "model.safetensors")
    kept = {n for n, w in stored.items() if w.dtype != torch.float16}
    assert all("running_" in n or "num_batches" in n for n in kept)
    assert bool(kept) == ("maxvit" in trained[0].recipe.name)


@torch.no_grad()
def test_batch_norms_of_the_averaged_weights_fit_the_scenes(tmp_path):
    """In training mode a batch norm takes the batch's own statistics: on many scenes both agree."""
    training = LabelTraining(tiny("stickers-maxvit"), tmp_path)
    scenes = world.draw(256, 7, artists="seen", **HARD)
    shown = training.pixels(scenes.images, None)

    def gap(module):
        evaluated, batch = module.eval()(shown), copy.deepcopy(module).train()(shown)
        return float((evaluated - batch).norm() / batch.norm())

    assert gap(training.averaged_module()) < 0.2 < gap(training.module)


def test_outputs_are_the_values_of_the_labels_in_order():
    training_names = LabelTraining.label_names.fget(type("", (), {"recipe": RECIPES["stickers-deit"]}))
    assert len(training_names) == sum(len(world.VALUES[n]) for n in objectives.LABELS)
    logits = torch.arange(len(training_names))[None].float()
    answers = objectives.split(logits, objectives.LABELS)
    place = training_names.index("colour: red")
    assert int(answers["colour"][0, world.VALUES["colour"].index("red")]) == place


def test_an_exported_member_is_asked_by_probes(trained, monkeypatch):
    """Hardly trained, it gets every row of a card, and its probes know no concepts."""
    monkeypatch.setattr(members, "FITTED", 320)
    monkeypatch.setattr(members, "PENALTIES", (1e-2,))
    monkeypatch.setattr(members, "COMPONENTS", 32)
    _, folder = trained
    rows = {(r["what"], r["artists"]): r["value"] for r in evaluate(folder, scenes=32)["measured"]}
    assert bars_of("stickers-deit").keys() <= rows.keys() and ("relation", "held_out") in rows
    gain = rows["concept, full", "seen"] - rows["concept, full: random weights", "seen"]
    assert rows["concept, full: minus random weights", "seen"] == pytest.approx(gain, abs=1e-3)
    assert rows["concept, full", "seen"] < 0.3
