"""A person's path through notebook 14 in JupyterLab: pick a head, another query, compare raw, upload, err."""

import io

import pytest
from PIL import Image

from tests.browser import lab
from tests.browser.test_heads_notebook import choose
from tests.browser.test_start_notebook import caption, fill, says, wait_for

NAME = "14_retrieval_by_head.ipynb"


@pytest.fixture(scope="module")
def start_page(opened):
    """The cells of notebook 14 that its panel needs, run; and the page's errors."""
    notebook = lab.cut(
        NAME,
        ("import kit\n", "gallery = LabelledGallery(store)", "kit.panels.Retrieval("),
        fewer=(("draw(1000", "draw(150"),),
    )
    return opened(notebook, height=1200)


@pytest.fixture(scope="module")
def page(start_page):
    return start_page[0]


KINDS = ("head", "random head", "layer", "full model")


def near(page, kind: str):
    """The nearest pictures in one space, with their heading."""
    return page.locator(".loupe .loupe-of-strip").nth(1 + KINDS.index(kind))


def test_a_click_on_a_head_shows_its_nearest_pictures(page):
    runs = lab.ask(page, "print(model.passes.total())")
    cell = int(lab.ask(page, "print(panel.views['heads'].widget.labels.index('L5.H0'))"))
    lab.click_cell(page, page.locator(".loupe-heat canvas").first, cell)
    wait_for(lambda: "in L5.H0" in caption(page))
    wait_for(lambda: near(page, "head").inner_text().startswith("L5.H0: "))
    for kind in KINDS:
        assert near(page, kind).locator("img").count() == 8
    tip = near(page, "layer").locator("figure").first.get_attribute("title")
    assert tip == lab.ask(page, "print(panel.shown.figures['layer'].tips[0])")
    assert lab.ask(page, "print(model.passes.total())") == runs


def test_marks_follow_the_attribute(page):
    choose(page, "mark", "background")
    wait_for(lambda: "have its background" in caption(page))
    expected = int(lab.ask(page, "print(sum(panel.shown.figures['head'].framed))"))
    assert expected > 0
    wait_for(lambda: near(page, "head").locator(".loupe-hit").count() == expected)
    wait_for(lambda: "share with its background, minus chance" in page.locator(".loupe-of-grid").inner_text())


def test_controls_and_pictures_fit_a_small_screen(page):
    controls = page.locator(".loupe .loupe-row").first.bounding_box()
    for kind in KINDS:
        box = near(page, kind).bounding_box()
        assert box["y"] + box["height"] - controls["y"] < 720 - 122  # what JupyterLab leaves of 720
        tiles = [tile.bounding_box() for tile in near(page, kind).locator("img").all()]
        assert len({tile["y"] for tile in tiles}) == 1 and min(tile["width"] for tile in tiles) > 40


def test_another_query_and_another_comparison(page):
    page.get_by_role("button", name="next image").click()
    wait_for(lambda: "nearest to image 2," in caption(page))
    choose(page, "comparison", "inner product")
    wait_for(lambda: lab.ask(page, "print(panel.selection.how)") == "product")
    choose(page, "comparison", "centred cosine")
    fill(page, "query", "17")
    wait_for(lambda: "nearest to image 17," in caption(page))
    before = near(page, "random head").inner_text()
    page.get_by_role("button", name="another random head").click()
    wait_for(lambda: near(page, "random head").inner_text() != before)


def test_an_upload_is_a_query(page):
    held = io.BytesIO()
    Image.new("RGB", (80, 60), (30, 120, 220)).save(held, "PNG")
    file = {"name": "blue.png", "mimeType": "image/png", "buffer": held.getvalue()}
    with page.expect_file_chooser() as chooser:
        page.locator(".loupe .loupe-upload button").click()
    chooser.value.set_files(file)
    wait_for(lambda: "nearest to ‘blue.png’" in caption(page))
    said = page.locator(".loupe .loupe-truth").first
    wait_for(lambda: said.inner_text() == "The query is blue.png, 80 × 60 pixels.")
    wait_for(lambda: "blue.png" in page.locator(".loupe .loupe-of-strip").first.inner_text())


def test_a_bad_state_becomes_a_sentence_and_the_last_one_stays(page):
    before = caption(page)
    fill(page, "state", "nonsense")
    wait_for(lambda: "is not a state" in says(page))
    assert caption(page) == before


def test_no_console_error(start_page):
    assert start_page[1] == []
