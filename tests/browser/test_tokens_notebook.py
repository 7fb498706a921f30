"""A person's path through notebook 16 in JupyterLab: a token, a head, two heads, the film, an error."""

import pytest

from tests.browser import lab
from tests.browser.test_start_notebook import fill, says, wait_for

NAME = "16_heads_and_tokens.ipynb"
PANEL = (
    'panel = kit.panels.HeadTokens(model, state=f"{model.label}|scene 16|L2.H3|a cat;a dog;a thing on grass")'
)


@pytest.fixture(scope="module")
def start_page(opened):
    """Notebook 16's first cells and its panel, without texts of its own; and the page's errors."""
    notebook = lab.cut(
        NAME, ("import kit\n", "model, reader = kit.load(", "kit.panels.HeadTokens(model, spans")
    )
    notebook.cells[-1].source = f"{PANEL}\npanel"
    found = opened(notebook, height=1900)
    found[0].locator(".loupe-bar-value").first.wait_for()
    return found


@pytest.fixture(scope="module")
def page(start_page):
    return start_page[0]


def canvas(page, begins: str):
    return page.locator(f'.loupe-heat canvas[aria-label^="{begins}"]').first


def text(page) -> str:
    return page.locator(".loupe").inner_text()


def test_a_click_on_the_picture_says_who_reads_the_token(page):
    lab.click_cell(page, canvas(page, "scene 16. "), 7 * 16 + 4)
    wait_for(lambda: "From r7c4 all heads add" in text(page))
    assert lab.ask(page, "print(panel.selection.tokens)") == "r7c4"
    readers = canvas(page, "Who reads it, for which prompt: the strongest readers of r7c4")
    assert lab.pixel(readers, 0) != [247, 247, 247]


def test_a_shift_click_holds_two_heads_side_by_side(page):
    cell = int(lab.ask(page, "print(panel.views['grid'].widget.labels.index('L5.H0'))"))
    lab.click_cell(page, canvas(page, "Which heads"), cell, ("Shift",))
    wait_for(lambda: "L2.H3 minus L5.H0: largest" in text(page))
    canvas(page, "L2.H3 − L5.H0").wait_for(state="visible")


def test_picture_map_grid_and_readers_stand_on_one_screen(page):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.locator(".loupe-caption").first.evaluate("e => e.scrollIntoView({ block: 'start' })")
    seen = ("scene 16. ", "L2.H3. ", "Which heads", "Who reads it")
    ends = [(box["y"], box["y"] + box["height"]) for box in (canvas(page, n).bounding_box() for n in seen)]
    page.set_viewport_size({"width": 1280, "height": 1900})
    assert min(top for top, _ in ends) > 0 and max(end for _, end in ends) < 720


def test_the_picture_has_its_colours(page):
    red, green, blue = lab.pixel(canvas(page, "scene 16. "), 0)  # grass
    assert green > red + 20 and green > blue + 20


def test_arrow_keys_move_to_another_head(page):
    canvas(page, "Which heads").press("ArrowRight")
    wait_for(lambda: "L2.H3 minus" not in text(page))


def test_the_film_steps_by_keyboard_and_plays(page):
    handle = page.locator(".loupe .widget-slider .noUi-handle")
    handle.press("ArrowRight")
    wait_for(lambda: "Layer 1 of 0–5" in text(page))
    page.locator(".loupe .jupyter-widget-play button, .loupe .widget-play button").first.click()
    wait_for(lambda: "Layer 5 of 0–5" in text(page))


def test_a_bad_state_becomes_a_sentence_and_no_tower_has_run(page):
    before = lab.ask(page, "print(panel.string)")
    fill(page, "state", "stickers-l8-128|scene 16|L4.MLP|a cat")
    wait_for(lambda: "L4.MLP is no head" in says(page))
    assert lab.ask(page, "print(panel.string)") == before
    assert lab.ask(page, "print(model.passes['image'], panel.last_error)") == "1 None"


def test_no_console_error(start_page):
    assert start_page[1] == []
