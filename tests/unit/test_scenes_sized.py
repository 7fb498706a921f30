"""Scenes are painted at the size of the model that they are given to, wherever the kit takes both."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import kit
from kit.data.sets import as_set
from kit.maps import segment
from kit.maps.pictures import scene_pictures
from kit.models.directions import Directions
from kit.panels import AnyModel, Explorer, HeadTokens, Retrieval, Segmenter

PAIR = 16  # of the gallery: a cat left of a dog


@pytest.fixture(scope="module")
def fine():
    return kit.load("stickers-l8-128")


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(6, seed=9, kind="pair")


def pixels_of(image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def test_a_scene_has_the_largest_whole_multiple_of_64_pixels_that_fits(scenes):
    sides = {(32, 32): 64, (64, 64): 64, (112, 112): 64, (128, 128): 128, (256, 128): 128, (224, 224): 192}
    for size, side in (sides | {(4096, 4096): 512}).items():
        assert scenes[:1].sized_for(SimpleNamespace(image_size=size)).images.shape[2:] == (side, side)


def test_a_model_of_64_pixels_sees_the_same_bits_as_ever(stickers, scenes):
    assert scenes.sized_for(stickers) is scenes
    asked = stickers.preprocess(scenes.images)
    for given in (scenes, scenes.at(2), scenes.at(4)):
        assert torch.equal(stickers.preprocess(given), asked)
    assert as_set(scenes, stickers).digest == as_set(scenes.images).digest
    picture = scene_pictures(scenes)[0]
    assert picture.sized_for(stickers) is picture


def test_a_model_of_128_pixels_sees_scenes_that_were_painted_so(fine, scenes):
    asked = fine.preprocess(scenes.at(2).images)
    for given in (scenes, scenes.at(2), scenes.at(4)):
        assert torch.equal(fine.preprocess(given), asked)
    assert (fine.preprocess(scenes.images) - asked).abs().max() > 0.5  # enlarged pixels are another picture
    assert torch.equal(pixels_of(fine.viewed(scenes)[2]), scenes.at(2).images[2])


def test_a_pass_goes_over_the_painted_scenes(fine, scenes):
    of = {"keep": "moments", "name": "six scenes", "selector": "L5.H0"}
    mine, painted = (kit.collect(fine, given, **of) for given in (scenes, scenes.at(2)))
    assert mine.facts["data"] == painted.facts["data"] == [as_set(scenes.at(2)).digest]
    assert torch.equal(mine.mean, painted.mean)
    enlarged = kit.collect(fine, scenes.images, **of)
    assert (mine.mean - enlarged.mean).abs().max() > 1e-4


def test_masks_lie_on_the_picture_that_the_model_sees(fine, scenes):
    for number, picture in enumerate(scene_pictures(scenes)):
        seen, painted = picture.sized_for(fine).seen_by(fine), scenes.at(2)
        shown = painted.masks[number, :2].numpy()
        assert (seen.masks == shown).all() and seen.things == picture.things
        assert torch.equal(pixels_of(seen.image), painted.images[number])
        share = kit.measures.token_shares(painted.masks[number : number + 1, :2], fine.grid)[0]
        wanted = (share.unflatten(-1, fine.grid) >= 0.25).numpy()
        # the coarse mask enlarged would put an edge up to a pixel off: here none is
        assert (seen.tokens_on(fine.grid) == wanted).mean() > 0.995


def test_each_model_of_a_panel_gets_the_picture_at_its_own_size(fine):
    panel = Explorer(fine, texts=["a cat", "a dog"])
    panel.choose(image=f"scene {PAIR}", selector="L*.H*")
    gallery, heat = kit.world.gallery(), panel.shown.figures["map"]
    assert torch.equal(pixels_of(heat.pictures[0]), gallery.at(2).images[PAIR])
    assert heat.masks.shape[1:] == (128, 128) and heat.values.shape[1:] == (16, 16)
    vectors = kit.panels.prompt_directions(fine.encode_text(["a cat", "a dog"]), "contrast")
    run = kit.run(fine, fine.preprocess(gallery.at(2).images[PAIR : PAIR + 1]))
    wanted = run.maps(vectors[:1]).sum(1)[0, run.prefix :, 0].reshape(run.grid)
    assert np.allclose(heat.values[0], wanted, atol=1e-6)
    assert "128 × 128" in panel.shown.figures["face"].labels[0]
    panel.choose(model="stickers-l8")
    coarse = panel.shown.figures["map"]
    assert torch.equal(pixels_of(coarse.pictures[0]), gallery.images[PAIR])
    assert coarse.masks.shape[1:] == (64, 64) and coarse.values.shape[1:] == (8, 8)
    panel.close()


def test_code_that_is_copied_gives_the_model_what_the_panel_gave_it(fine):
    panel = Explorer(fine, texts=["a cat", "a dog"])
    panel.choose(image=f"scene {PAIR}", selector="L5.H0")
    names: dict = {"kit": kit, "model": fine}
    exec(panel.lines(), names)
    held = names["heat"][0, 0, names["run"].prefix :, 0].reshape(16, 16)
    assert np.allclose(panel.shown.figures["map"].values[0], held, atol=1e-6)
    panel.close()


@pytest.mark.parametrize("made", [HeadTokens, AnyModel])
def test_other_panels_show_what_the_model_is_given(fine, made):
    panel = made(fine)
    panel.choose(image=f"scene {PAIR}")
    picture = panel.shown.figures["maps" if made is HeadTokens else "map"].pictures[0]
    assert torch.equal(pixels_of(picture), kit.world.gallery().at(2).images[PAIR])
    panel.close()


def test_maps_and_masks_of_a_segmenter_are_of_the_painted_scenes(fine, scenes):
    names = list(kit.world.VALUES["concept"])
    directions = Directions(names, fine.encode_text(kit.world.prompts("concept")))
    mine, painted = (segment(fine, s, directions, methods=["token heatmap"]) for s in (scenes, scenes.at(2)))
    assert mine.table().equals(painted.table())
    panels = [Segmenter(fine, s[:2], directions, ["cat"]) for s in (scenes, scenes.at(2))]
    for panel in panels:
        heat = panel.shown.figures["map"]
        assert torch.equal(pixels_of(heat.pictures[0]), scenes.at(2).images[0])
    assert panels[0].table().equals(panels[1].table())
    for panel in panels:
        panel.close()


def test_a_panel_on_a_store_knows_the_scenes_again(fine, scenes):
    scenes = kit.world.draw(12, seed=9)
    store = kit.collect(fine, scenes, "store", "twelve scenes", selector="L5")
    for given in (scenes, scenes.at(2)):
        panel = Retrieval(fine, given, store)
        assert panel.last_error is None
        panel.close()
    with pytest.raises(kit.errors.KitError, match="the store is not of these 12 images"):
        Retrieval(fine, scenes.images, store)
