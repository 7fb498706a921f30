"""A person's path through notebook 11's panel: tick, slide, ask, pick a set, err, restore."""

import pytest

from tests.browser import lab
from tests.browser.test_start_notebook import caption, fill, press, says, wait_for

NAME = "11_mean_ablation.ipynb"
WANTED = (
    "import kit",
    "store = kit.collect(",
    "means = Means.of(held)",
    "shipped = asked",
    "half, last =",
    "noisy = kit.collect(",
    "sets = {each.name",
    "kit.panels.Ablations(",
)


@pytest.fixture(scope="module")
def start_page(browser, tmp_path_factory):
    """The cells that the panel needs, on fewer scenes; the others run under nbval."""
    notebook = lab.cut(NAME, WANTED, fewer=(("draw(1000,", "draw(160,"), ("draw(300,", "draw(100,")))
    with lab.opened(browser, tmp_path_factory.mktemp("lab11"), notebook) as found:
        yield found


@pytest.fixture(scope="module")
def page(start_page):
    return start_page[0]


def charts(page) -> list[str]:
    """Both charts as they are in the page."""
    return page.locator(".loupe .loupe-chart svg").evaluate_all("all => all.map((one) => one.outerHTML)")


def label(page, number: int) -> str:
    return page.locator(".loupe .loupe-chart svg").nth(number).get_attribute("aria-label")


def passes(page) -> str:
    return lab.ask(page, "print(dict(model.passes))")


def tick(page, name: str) -> None:
    page.locator(".loupe").get_by_label(name, exact=True).click()


def test_a_tick_and_a_slide_change_caption_charts_and_pictures_and_run_no_tower(page):
    before, ran = charts(page), passes(page)
    assert "(L3-5.attn)" in caption(page) and page.locator(".loupe-changed img").count() == 3
    tick(page, "all MLPs")
    wait_for(lambda: "(L*.MLP, L3-5.attn)" in caption(page) and charts(page) != before)
    first = page.locator(".loupe .noUi-handle").first
    first.focus()
    first.press("ArrowLeft")
    wait_for(lambda: "(L*.MLP, L2-5.attn)" in caption(page))
    assert caption(page) == lab.ask(page, "print(panel.caption)")
    assert passes(page) == ran


def test_another_question_and_another_set_are_a_click_each(page):
    page.locator(".loupe").get_by_label("asked", exact=True).select_option("position")
    wait_for(lambda: "‘position’" in caption(page) and "position" in label(page, 1))
    page.locator(".loupe").get_by_label("mean over", exact=True).select_option("128 pictures of noise")
    wait_for(lambda: "means over 128 pictures of noise" in caption(page))
    press(page, "zero")
    wait_for(lambda: "replaced by zero" in caption(page))
    press(page, "mean")
    wait_for(lambda: "means over 128 pictures of noise" in caption(page))


def test_a_wrong_part_is_a_sentence_and_the_last_state_stays(page):
    shown = caption(page), charts(page)
    fill(page, "more parts", "L9.H0")
    wait_for(lambda: "layer 9 does not exist" in says(page))
    assert (caption(page), charts(page)) == shown
    assert lab.ask(page, "print(panel.last_error)") == "None"


def test_a_state_string_brings_the_same_panel_back(page):
    field, shown = page.locator(".loupe").get_by_label("state", exact=True), caption(page)
    state = field.input_value()
    tick(page, "attention of layers")
    wait_for(lambda: caption(page) != shown and field.input_value() != state)
    fill(page, "state", state)
    wait_for(lambda: caption(page) == shown)


def test_the_panel_is_styled_without_a_canvas_in_it(page):
    """The style of all panels once came with the canvas alone."""
    size = page.locator(".loupe .loupe-caption").first.evaluate("one => getComputedStyle(one).fontSize")
    tops = page.locator(".loupe-changed figure").evaluate_all(
        "all => all.map((one) => Math.round(one.getBoundingClientRect().top))"
    )
    assert size == "17px" and len(set(tops)) < len(tops)  # pictures side by side


def test_nothing_lies_outside_the_panel_at_any_width(page):
    for width in (1280, 900):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(300)
        inside = page.locator(".loupe").first.evaluate(
            "box => [...box.querySelectorAll('svg, img, input')].every(one => "
            "one.getBoundingClientRect().right <= box.getBoundingClientRect().right + 2)"
        )
        assert inside
    page.set_viewport_size({"width": 1280, "height": 1000})


def test_the_page_had_no_errors(start_page):
    assert start_page[1] == []
