"""On scenes with one object the heatmaps find it better than attention does; random weights do not."""

import pytest
import torch

import kit
from kit.maps import segment, spread
from kit.measures import Segmentation

METHODS = ["token heatmap", "raw attention", "rollout", "GradCAM of heads"]


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(100, 85_001, kind="single")


@pytest.fixture(scope="module")
def names(stickers):
    return stickers.encode_text(kit.world.prompts("concept"))


def on_masks(found, masks):
    heat, mask = spread(found.maps["token heatmap"], (64, 64))
    return Segmentation().add(heat, mask, masks)


@pytest.fixture(scope="module")
def found(stickers, scenes, names):
    return segment(stickers, scenes, names, methods=METHODS, batch=50, keep_maps=True)


def test_heatmaps_are_ahead_of_attention_rollout_and_gradcam(found):
    table = found.table(seed=0)
    assert (table.loc[METHODS[1:], "ahead_low"] > 0.05).all()


def test_heatmaps_fit_their_own_object_and_no_other(found, scenes):
    masks = scenes.masks.any(1)
    own, other = on_masks(found, masks), on_masks(found, masks.roll(1, 0))
    assert own.ahead_of(other, 0)["mIoU"].low > 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_random_weights_find_no_object(scenes, names, seed):
    model = kit.load("stickers-l8", "random", seed=seed)
    found = segment(model, scenes, names, methods=["token heatmap"], batch=50, keep_maps=True)
    masks = scenes.masks.any(1)
    assert on_masks(found, masks).ahead_of(on_masks(found, masks.roll(1, 0)), 0)["mIoU"].low < 0


def test_directions_of_another_class_lose(stickers, scenes, names, found):
    other = (found.classes + 40) % len(names)
    wrong = segment(stickers, scenes, names, methods=["token heatmap"], classes=other, batch=50)
    gap = found.results["token heatmap"].ahead_of(wrong.results["token heatmap"], 0)["mIoU"]
    assert gap.low > 0
    assert torch.equal(found.classes, segment(stickers, scenes, names, methods=["rollout"]).classes)
