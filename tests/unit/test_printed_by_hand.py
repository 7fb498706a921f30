"""A word printed into a picture by hand: what it hides, what the panel says of it, and whom it fools."""

import numpy as np
import pytest
from PIL import Image

import kit
from kit.errors import KitError
from kit.panels import Explorer
from kit.world import VALUES, print_word
from tests.unit.panel_doubles import picture_bytes

CAT = "scene 0"  # of the gallery: a red cat


@pytest.fixture(scope="module")
def panel():
    made = Explorer("stickers-l8-web", texts=["a cat", "a banana"])
    made.choose(image=CAT, selector="L*.H*")
    yield made
    assert made.last_error is None
    made.close()


def bars(panel) -> list[float]:
    """How much the whole model has for each prompt."""
    return panel.found.bars[:, 0].tolist()


def test_a_word_looks_as_in_a_scene_and_changes_nothing_beside_its_box():
    scenes = kit.world.gallery()[[22, 23]].at(2)
    boxes = kit.world.word_boxes(scenes)[:, 0].numpy()
    for scene, word, box in zip(scenes.images.numpy(), scenes.labels["word"], boxes):
        image, mine = print_word(Image.new("RGB", (128, 128), (9, 120, 40)), word)
        (top, left), (bottom, right) = (np.argwhere(mine).min(0), np.argwhere(mine).max(0) + 1)
        assert mine.sum() == box.sum() == (bottom - top) * (right - left)
        drawn = np.asarray(image)
        gap = np.abs(drawn[mine].astype(int) - scene.transpose(1, 2, 0)[box].astype(int)).mean()
        assert gap < 12 and (drawn[~mine] == (9, 120, 40)).all()


def test_a_word_lies_at_the_edge_that_was_asked_for():
    below, above = (print_word(Image.new("RGB", (96, 64)), "cat", up)[1] for up in (False, True))
    assert below[:40].sum() == above[24:].sum() == 0 and (below == above[::-1]).all()
    assert below.any(0).nonzero()[0].mean() == pytest.approx(47.5, abs=1)  # in the middle


def test_another_word_is_refused():
    with pytest.raises(KitError, match=r'the word "bananna" cannot be printed.*Nearest: banana'):
        print_word(Image.new("RGB", (64, 64)), "bananna")


def test_the_model_that_reads_is_fooled_and_its_twin_is_not(panel):
    plain = bars(panel)
    assert plain[0] > plain[1]
    panel.choose(word="banana")
    assert bars(panel)[1] > bars(panel)[0] + 0.2
    assert "with ‘banana’ printed into it" in panel.truth.text
    panel.choose(model="stickers-l8")
    assert bars(panel)[0] > bars(panel)[1]
    panel.choose(model="stickers-l8-web", word="")
    assert bars(panel) == plain


def test_the_outline_leaves_out_what_the_word_hides(panel):
    panel.choose(word="banana")
    picture = panel.cases.sized(panel.selection)
    whole = panel.picture(CAT).masks
    assert (picture.masks <= whole).all() and 0 < picture.masks.sum() < whole.sum()
    _, box = print_word(panel.picture(CAT).image, "banana", above=True)
    assert (picture.masks == (whole & ~box)).all()
    panel.choose(word="")


def test_a_state_keeps_its_word_and_copied_code_prints_it(panel):
    panel.choose(word="guitar", selector="L5.H2")
    state, heat = panel.string, panel.shown.figures["map"].values[0]
    assert "|word=guitar" in state
    names: dict = {"kit": kit, "model": panel.cases.model("stickers-l8-web")}
    exec(panel.lines(), names)
    mine = names["heat"][0, 0, names["run"].prefix :, 0].reshape(heat.shape)
    assert np.allclose(mine, heat, atol=1e-6)
    panel.choose(word="")
    assert "word" not in panel.string
    panel.choose(**panel.parsed(state))
    assert np.allclose(panel.shown.figures["map"].values[0], heat, atol=1e-6)
    panel.choose(word="")


def test_an_upload_takes_a_word_too(panel):
    panel.upload(picture_bytes((200, 120)), "mine.png")
    panel.choose(texts=("a cat", "a banana"), word="")
    plain = bars(panel)
    panel.choose(word="banana")
    assert bars(panel)[1] > plain[1] + 0.1
    assert "mine.png" in panel.truth.text and "‘banana’" in panel.truth.text
    panel.choose(image=CAT, word="")


def test_every_word_can_be_chosen(panel):
    assert [name for _, name in panel.options("word")] == ["", *VALUES["word"]]
    panel.choose(word="zebra")
    assert 'no print "zebra" here' in panel.message
