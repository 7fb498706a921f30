"""A person's path through notebook 15 in JupyterLab: another method, another picture, another class, err."""

import time

import pytest

from tests.browser import lab
from tests.browser.test_start_notebook import caption, fill, picture_of, says, wait_for

NAME = "15_a_segmenter_from_a_classifier.ipynb"
WANTED = (
    "import kit", "directions = Directions(", "scenes = kit.world.draw(", "kit.panels.Segmenter(",
)  # fmt: skip


@pytest.fixture(scope="module")
def start_page(opened):
    """The cells of notebook 15 that its panel needs, on few scenes; and the page's errors."""
    notebook = lab.cut(NAME, WANTED, fewer=(("draw(120", "draw(12"),))
    return opened(notebook)


@pytest.fixture(scope="module")
def page(start_page):
    return start_page[0]


def choose(page, label: str, value: str) -> None:
    page.locator(".loupe").get_by_label(label, exact=True).select_option(label=value)


def test_another_method_redraws_map_and_mask_and_no_tower_runs(page, record_property):
    heat, mask = page.locator(".loupe-heat canvas").first, page.locator(".loupe-strip img")
    before, source = picture_of(heat), mask.get_attribute("src")
    ran = lab.ask(page, "print(dict(model.passes))")
    begin = time.monotonic()
    choose(page, "method", "rollout")
    wait_for(lambda: caption(page).startswith("rollout, asked for"))
    wait_for(lambda: mask.get_attribute("src") != source)
    record_property("seconds_of_a_click_seen", round(time.monotonic() - begin, 3))
    wait_for(lambda: picture_of(heat) != before)
    wait_for(lambda: page.locator(".loupe-table tr.loupe-this td").first.inner_text() == "rollout")
    assert page.locator(".loupe-key span").count() == 3 and mask.bounding_box()["width"] > 170
    assert lab.ask(page, "print(dict(model.passes))") == ran


def test_another_picture_is_asked_for_its_own_object(page):
    choose(page, "picture", "scene 16: cat and dog")
    wait_for(lambda: "asked for ‘cat’" in caption(page))
    choose(page, "class", "dog")
    wait_for(lambda: "asked for ‘dog’" in caption(page) and "with the dog" in caption(page))
    state = page.locator(".loupe").get_by_label("state", exact=True)
    wait_for(lambda: "scene 16|dog|rollout" in state.input_value())


def test_a_bad_state_becomes_a_sentence_and_the_last_one_stays(page):
    before = caption(page)
    fill(page, "state", "stickers-l8-128|scene 0|blorb|rollout")
    wait_for(lambda: 'no class "blorb" here' in says(page))
    assert caption(page) == before and lab.ask(page, "print(panel.last_error)") == "None"


def test_no_console_error(start_page):
    assert start_page[1] == []
