"""A person's path through notebook 11's panel: press, click, type, ask, pick a set, err, restore."""

import pytest

from tests.browser import lab
from tests.browser.test_start_notebook import caption, fill, picture_of, press, says, wait_for

NAME = "11_mean_ablation.ipynb"
WANTED = (
    "import kit",
    "store = kit.collect(",
    "noisy = kit.collect(",
    "sets = {each.name",
    "kit.panels.Ablations(",
)


WITHIN = """box => [...box.querySelectorAll('svg.main-svg, img, input, canvas')].every(
  one => one.getBoundingClientRect().right <= box.getBoundingClientRect().right + 2)"""
HIGH = """box => box.querySelector('.loupe-of-bars .main-svg').getBoundingClientRect().bottom
  - box.getBoundingClientRect().top"""


@pytest.fixture(scope="module")
def start_page(opened):
    """The cells that the panel needs, on fewer scenes; the others run under nbval."""
    notebook = lab.cut(NAME, WANTED, fewer=(("draw(1000,", "draw(160,"), ("draw(300,", "draw(100,")))
    return opened(notebook)


@pytest.fixture
def page(start_page):
    """The page with the last three layers' attention replaced, asked for the background."""
    page = start_page[0]
    lab.ask(page, "panel.choose(selector='L3-5.attn', texts='background', image=means.name, tokens='')")
    wait_for(lambda: "(L3-5.attn) replaced by means over 300 held-out" in caption(page) and not says(page))
    return page


def grid(page):
    return page.locator(".loupe .loupe-heat canvas").first


def label(page, number: int) -> str:
    """What is said of a chart to who does not see it: of the bars (0), of the curves (1)."""
    return page.locator(".loupe .loupe-plotly[role=img]").nth(number).get_attribute("aria-label")


def pictures(page):
    return page.locator(".loupe .loupe-strip img")


def choose(page, name: str, value: str) -> None:
    page.locator(".loupe").get_by_label(name, exact=True).select_option(value)


def cell(page, name: str) -> int:
    return int(lab.ask(page, f"print(panel.views['grid'].widget.labels.index({name!r}))"))


def test_a_button_changes_caption_figures_and_pictures_and_runs_no_tower(page):
    ran, before = lab.ask(page, "print(dict(model.passes))"), (label(page, 0), picture_of(grid(page)))
    assert pictures(page).count() == 3
    press(page, "all MLPs")
    wait_for(lambda: "(L*.MLP)" in caption(page) and label(page, 0) != before[0])
    wait_for(lambda: picture_of(grid(page)) != before[1])
    assert "switched off: L0.MLP" in grid(page).get_attribute("aria-label")
    press(page, "early attention")
    wait_for(lambda: "(L0-1.attn)" in caption(page))
    wait_for(lambda: "layers 0 to 1" in page.locator(".loupe").inner_text())
    press(page, "late attention (last four layers)")
    wait_for(lambda: "(L2-5.attn)" in caption(page))
    assert caption(page) == lab.ask(page, "print(panel.caption)")
    press(page, "nothing")
    wait_for(lambda: caption(page).startswith("Nothing is replaced"))
    wait_for(lambda: pictures(page).count() == 0)
    assert lab.ask(page, "print(dict(model.passes))") == ran


def test_a_click_in_the_grid_gives_a_part_back_and_replaces_another(page):
    lab.click_cell(page, grid(page), cell(page, "L5.H0"))
    wait_for(lambda: "With 17 of 50 parts (L3.H0, L3.H1" in caption(page))
    press(page, "nothing")
    wait_for(lambda: caption(page).startswith("Nothing"))
    lab.click_cell(page, grid(page), cell(page, "L5.H0"))
    wait_for(lambda: "With 1 of 50 parts (L5.H0)" in caption(page))
    grid(page).press("ArrowUp")
    grid(page).press(" ")
    wait_for(lambda: "With 2 of 50 parts (L5.H0, L4.H0)" in caption(page))
    assert page.locator(".loupe").get_by_label("parts", exact=True).input_value() == "L5.H0, L4.H0"


def test_another_question_and_another_set_are_a_click_each(page):
    choose(page, "question", "position")
    wait_for(lambda: "‘position’" in caption(page))
    wait_for(lambda: "‘position’" in label(page, 1))
    choose(page, "reference set", "128 pictures of noise")
    wait_for(lambda: "means over 128 pictures of noise" in caption(page))
    press(page, "zero")
    wait_for(lambda: "replaced by zero" in caption(page))
    press(page, "mean")
    wait_for(lambda: "means over 128 pictures of noise" in caption(page))
    page.locator(".loupe .loupe-of-bars .nsewdrag").first.click(position={"x": 60, "y": 12})
    wait_for(lambda: "‘concept’" in caption(page))  # the first bar


def test_the_class_token_is_replaced_by_a_button(page):
    press(page, "replaced")
    wait_for(lambda: "and what heads read at the class token replaced by" in caption(page))
    press(page, "kept")
    wait_for(lambda: "what heads read" not in caption(page))


def test_a_wrong_part_is_a_sentence_and_the_last_state_stays(page):
    shown = caption(page), label(page, 0), label(page, 1)
    fill(page, "parts", "L9.H0")
    wait_for(lambda: "layer 9 does not exist" in says(page))
    assert (caption(page), label(page, 0), label(page, 1)) == shown
    assert page.locator(".loupe").get_by_label("parts", exact=True).input_value() == "L3-5.attn"
    assert lab.ask(page, "print(panel.last_error)") == "None"
    fill(page, "parts", "L5.attn, L3.MLP")
    wait_for(lambda: "With 7 of 50 parts (L5.attn, L3.MLP)" in caption(page) and not says(page))


def test_a_state_string_brings_the_same_panel_back(page):
    field, shown = page.locator(".loupe").get_by_label("state", exact=True), caption(page)
    wait_for(lambda: "L3-5.attn" in field.input_value())
    state = field.input_value()
    press(page, "all MLPs")
    wait_for(lambda: caption(page) != shown and field.input_value() != state)
    fill(page, "state", state)
    wait_for(lambda: caption(page) == shown)


def test_pictures_are_small_and_stand_above_their_words(page):
    """The style of all panels once came with the canvas alone."""
    size = page.locator(".loupe .loupe-caption").first.evaluate("one => getComputedStyle(one).fontSize")
    wide = pictures(page).evaluate_all(
        "all => all.map((one) => Math.round(one.getBoundingClientRect().width))"
    )
    assert size == "17px" and wide == [64] * 3
    said = page.locator(".loupe .loupe-strip figcaption").first.inner_text()
    assert " → " in said and "; truth: " in said


def test_nothing_lies_outside_the_panel_and_what_a_control_changes_is_in_view(page):
    for width in (1280, 900):
        page.set_viewport_size({"width": width, "height": 720})
        box = page.locator(".loupe").first
        wait_for(lambda box=box: box.evaluate(WITHIN), seconds=10)
        assert width == 900 or box.evaluate(HIGH) < 600  # of 720, less JupyterLab's own bars
    page.set_viewport_size({"width": 1280, "height": 1000})


def test_the_page_had_no_errors(start_page):
    assert start_page[1] == []
