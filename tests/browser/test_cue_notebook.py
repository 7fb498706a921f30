"""A person's path through notebook 13 in JupyterLab: click heads off and on, press buttons, err, go on."""

import time

import pytest

from tests.browser import lab
from tests.browser.test_start_notebook import caption, fill, picture_of, press, says, wait_for

NAME = "13_removing_a_spurious_cue.ipynb"
# the panel's cell and those that it needs
WANTED = (
    "import kit", "kit.data.animals(700", "tuning = ask_classes(", "shares = ", "reading = ", "effects = ",
    "chosen = ", "choices = ", "kit.panels.Groups(",
)  # fmt: skip


@pytest.fixture(scope="module")
def start_page(opened):
    """Notebook 13, opened and run as far as its panel needs; and the page's errors."""
    notebook = lab.cut(NAME, WANTED)
    return opened(notebook)


@pytest.fixture
def page(start_page):
    """The page with every part on."""
    page = start_page[0]
    press(page, "all on")
    wait_for(lambda: caption(page).startswith("Every part on"))
    return page


def grid(page):
    return page.locator(".loupe .loupe-heat canvas").first


def cell_of(page, name: str) -> int:
    return int(lab.ask(page, f"print(panel.views['grid'].widget.labels.index({name!r}))"))


def worst(page) -> str:
    """What is said of the groups, to who does not see the bars."""
    return page.locator(".loupe .loupe-plotly[role=img]").get_attribute("aria-label")


def test_a_click_switches_a_head_off_and_another_on(page, record_property):
    before, bars, passes = picture_of(grid(page)), worst(page), "print(dict(model.passes))"
    ran = lab.ask(page, passes)
    begin = time.monotonic()
    lab.click_cell(page, grid(page), cell_of(page, "L5.H0"))
    wait_for(lambda: caption(page).startswith("L5.H0 off"))
    record_property("seconds_of_a_click_seen", round(time.monotonic() - begin, 3))
    wait_for(lambda: worst(page) != bars and picture_of(grid(page)) != before)
    assert caption(page) == lab.ask(page, "print(panel.caption)")
    assert "switched off: L5.H0" in grid(page).get_attribute("aria-label")
    lab.click_cell(page, grid(page), cell_of(page, "L1.H2"))
    wait_for(lambda: caption(page).startswith("L1.H2 and L5.H0 off"))
    lab.click_cell(page, grid(page), cell_of(page, "L5.H0"))
    wait_for(lambda: caption(page).startswith("L1.H2 off"))
    assert lab.ask(page, passes) == ran


def test_arrow_keys_move_and_space_switches(page):
    lab.click_cell(page, grid(page), cell_of(page, "L4.H1"))
    wait_for(lambda: caption(page).startswith("L4.H1 off"))
    grid(page).press("ArrowDown")
    grid(page).press("ArrowLeft")
    assert caption(page).startswith("L4.H1 off")
    grid(page).press(" ")
    wait_for(lambda: caption(page).startswith("L4.H1 and L5.H0 off"))
    grid(page).press(" ")
    wait_for(lambda: caption(page).startswith("L4.H1 off"))


def test_buttons_choose_heads(page):
    press(page, "chosen automatically")
    wait_for(lambda: " off: worst group" in caption(page))
    chosen = caption(page)
    assert lab.ask(page, "print(panel.state['off'] == panel.named(', '.join(chosen)))") == "True"
    press(page, "random like these")
    wait_for(lambda: caption(page) != chosen and not caption(page).startswith("Every"))
    press(page, "chosen by reading")
    wait_for(
        lambda: lab.ask(page, "print(panel.state['off'] == panel.choices['chosen by reading'])") == "True"
    )


def test_bad_input_is_a_sentence_and_the_last_good_state_stays(page):
    shown = caption(page)
    fill(page, "state", "stickers-l8|scene 1|none|a;b")
    wait_for(lambda: 'has the model "stickers-l8-web"' in says(page))
    press(page, "random like these")
    wait_for(lambda: "every part is on" in says(page))
    assert caption(page) == shown and lab.ask(page, "print(panel.last_error)") == "None"
    lab.click_cell(page, grid(page), cell_of(page, "L5.H5"))
    wait_for(lambda: caption(page).startswith("L5.H5 off") and not says(page))


def test_a_state_string_brings_the_same_panel_back(page):
    lab.click_cell(page, grid(page), cell_of(page, "L5.H5"))
    wait_for(lambda: caption(page).startswith("L5.H5 off"))
    shown, field = caption(page), page.locator(".loupe").get_by_label("state", exact=True)
    wait_for(lambda: "off=L5.H5" in field.input_value())
    state = field.input_value()
    press(page, "all on")
    wait_for(lambda: caption(page) != shown and field.input_value() != state)
    fill(page, "state", state)
    wait_for(lambda: caption(page) == shown)


def test_the_page_had_no_errors(start_page):
    assert start_page[1] == []
