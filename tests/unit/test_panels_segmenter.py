"""The panel of notebook 15: what it shows is what the methods give, and no tower runs on a click."""

import numpy as np
import pytest
import torch
from PIL import Image

import kit
from kit.figures.maps import KEY, MISSED, RIGHT, WRONG, masked
from kit.maps import METHODS, seen_mask, segment, spread
from kit.maps.classes import maps_of_classes
from kit.measures import Segmentation
from kit.models.directions import Directions
from kit.panels import Segmenter

SOME = ["token heatmap", "rollout", "GradCAM of heads"]


@pytest.fixture(scope="module")
def scenes():
    return kit.world.gallery()[[0, 16]]  # a cat; a cat left of a dog


@pytest.fixture(scope="module")
def directions(stickers):
    names = list(kit.world.VALUES["concept"])
    return Directions(names, stickers.encode_text(kit.world.prompts("concept")))


@pytest.fixture(scope="module")
def made(stickers, scenes, directions):
    overall = segment(stickers, kit.world.draw(6, 3), directions, methods=SOME)
    panel = Segmenter(stickers, scenes, directions, overall=overall)
    yield panel
    assert panel.last_error is None
    panel.close()


@pytest.fixture
def panel(made):
    made.choose(image="scene 0", text="cat", method="token heatmap")
    return made


def fits(panel) -> dict[str, float]:
    """IoU of each method in the picture that is shown."""
    return panel.table().set_index("method")["IoU"].to_dict()


def test_map_mask_and_iou_are_those_of_the_method(panel, stickers, scenes, directions):
    for text, objects in (("dog", [1]), ("cat", [0])):
        panel.choose(image="scene 16", text=text, method="GradCAM of heads")
        own = directions.vectors[directions.names.index(text)] - directions.vectors.mean(0)
        maps = METHODS["GradCAM of heads"](stickers, stickers.preprocess(scenes.images[1:]), own[None])
        heat, found = spread(maps, (64, 64))
        true = seen_mask(stickers, scenes.masks[1, objects].any(0))[None]
        shown, mask = panel.shown.figures["map"], panel.shown.figures["mask"]
        assert np.allclose(shown.values[0], maps[0], atol=1e-6)
        assert np.allclose(panel.views["map"].widget.numbers, maps[0], atol=1e-6)
        assert fits(panel)["GradCAM of heads"] == pytest.approx(
            Segmentation().add(heat, found, true).iou()[0], abs=1e-3
        )
        assert np.array_equal(shown.masks[0], true[0])
        image = stickers.viewed(scenes.images)[1]
        assert shown.pictures == (image,) and mask.key == KEY and mask.large
        assert mask.pictures == (masked(image, found[0].numpy(), true[0].numpy()),)
        share, iou = f"{found[0].float().mean():.0%}", f"{fits(panel)['GradCAM of heads']:.2f}"
        assert f"GradCAM of heads, asked for ‘{text}’: {share} of the picture" in panel.caption
        assert f"IoU {iou} with the {text}. Best of 3 methods here: " in panel.caption
        best = max(fits(panel), key=fits(panel).get)
        assert f"here: {best}, {fits(panel)[best]:.2f}." in panel.caption


def test_a_class_is_set_apart_from_all_classes_whichever_are_asked(stickers, scenes, directions):
    pixels, methods = stickers.preprocess(scenes.images[:2]), ["token heatmap"]
    every, _ = maps_of_classes(stickers, pixels, directions, list(directions.names), methods)
    for names in (directions.names[:1], directions.names[1:3]):
        some, _ = maps_of_classes(stickers, pixels, directions, list(names), methods)
        assert all(torch.allclose(some[key], every[key], atol=1e-6) for key in some) and some


def test_many_maps_are_made_few_at_a_time(stickers, scenes, directions, monkeypatch):
    """Relevance keeps every value of a pass: a panel of all its maps at once would take gigabytes."""
    asked, real = [], METHODS["rollout"]
    monkeypatch.setitem(METHODS, "rollout", lambda m, p, d: asked.append(len(p)) or real(m, p, d))
    pixels, names = stickers.preprocess(scenes.images).repeat(3, 1, 1, 1), list(directions.names[:3])
    found, _ = maps_of_classes(stickers, pixels, directions, names, ["rollout"])
    assert sum(asked) == 18 and max(asked) <= 8
    for name, direction in zip(names, directions.vectors - directions.vectors.mean(0)):
        alone = real(stickers, pixels, direction.expand(6, -1))
        assert torch.allclose(found[name, "rollout"], alone, atol=1e-6)


def test_a_picture_from_the_menu_is_asked_for_its_own_object(panel):
    panel.choose(text="dog")
    assert "with what is there, the cat. Best" in panel.caption
    panel.controls["image"].value = "scene 16"
    assert panel.controls["text"].value == "cat" and panel.state["image"] == "scene 16"


def test_a_picture_has_its_own_number_and_older_states_count_from_0(panel):
    assert [name for _, name in panel.controls["image"].options] == ["scene 0", "scene 16"]
    panel.choose(image="scene 16", text="dog")
    after = panel.string, panel.shown
    panel.choose(image="scene 0")
    panel._restore("stickers-l8|scene 1|dog|token heatmap")
    assert (panel.string, panel.caption) == (after[0], after[1].caption) and "scene 16" in panel.finding()


def test_what_cannot_be_is_a_sentence_and_all_stays(panel):
    before = panel.string
    for fields, message in (
        ({"text": "blorb"}, 'no class "blorb" here'),
        ({"image": "scene 9"}, 'no picture "scene 9" here; there are scene 0, scene 16.'),
        ({"method": "rolout"}, 'no method "rolout" here'),
    ):
        panel.choose(**fields)
        assert message in panel.message and panel.string == before
    assert panel.line.value == before


def test_d16_the_scale_is_that_of_the_map_that_is_shown(panel):
    for method in SOME:
        panel.choose(method=method)
        heat = panel.views["map"].widget
        assert heat.vmax == pytest.approx(np.abs(heat.numbers).max()) and heat.vmax > 0
        assert panel.shown.figures["map"].limit == heat.vmax and heat.outline


def test_the_drawing_tells_right_wrong_and_missed_pixels_apart():
    found, true = np.zeros((2, 64, 64), dtype=bool)
    found[:, :32], true[:32] = True, True
    drawn = np.asarray(masked(Image.new("RGB", (64, 64), "white"), found, true, side=64)).astype(int)
    corners = {RIGHT: drawn[4:28, 4:28], WRONG: drawn[36:60, 4:28], MISSED: drawn[4:28, 36:60]}
    for ink, corner in corners.items():
        near = {other: np.abs(corner - np.array(other)).sum(-1).min() for other in corners}
        assert min(near, key=near.get) == ink
    assert np.ptp(corners[RIGHT][..., 2]) == 0 < np.ptp(corners[WRONG][..., 2])  # full, and stripes


def test_the_table_holds_every_method_here_and_over_all_images(panel):
    panel.choose(image="scene 16", text="dog", method="rollout")
    table, seen = panel.table().set_index("method"), panel.shown.figures["methods"]
    over = panel.overall.table()
    assert (
        list(table.index) == SOME and set(table["class"]) == {"dog"} and set(table["image"]) == {"scene 16"}
    )
    assert list(table["mIoU"]) == list(over.loc[SOME, "mIoU"])
    assert list(seen.frame["IoU here"]) == list(table["IoU"]) and seen.picked == "rollout"
    assert list(seen.frame["mIoU"]) == list(table["mIoU"]) and "over 6 images" in seen.title


def test_the_lines_compute_the_iou_that_is_shown(panel, scenes, directions):
    for text, method in (("dog", "rollout"), ("cat", "GradCAM of heads")):
        panel.choose(image="scene 16", text=text, method=method)
        printed: list = []
        names = {"scenes": scenes, "directions": directions, "print": printed.append}
        exec(panel.code(), names)
        assert printed[0][0] == pytest.approx(fits(panel)[method], abs=1e-3)
        assert "stickers-l8" in panel.provenance() and f"class {text}" in panel.provenance()


def test_a_panel_that_cannot_be_made_is_named(stickers, scenes, directions):
    with pytest.raises(kit.KitError, match='the class "blorb" has no direction among the'):
        Segmenter(stickers, scenes, directions, ["blorb"])
    with pytest.raises(kit.KitError, match="13 pictures cannot be prepared"):
        Segmenter(stickers, kit.world.draw(13, 0), directions)


def test_maps_that_are_nothing_have_a_scale_too(stickers, scenes, directions):
    nothing = Directions(directions.names, torch.ones_like(directions.vectors))
    panel = Segmenter(stickers, scenes[:1], nothing)
    assert panel.views["map"].widget.vmax > 0 and fits(panel)["token heatmap"] == 0
    panel.close()
