"""A declared panel in JupyterLab: hover, click, keys, two views, files, a page loaded again, a dead kernel.

The panel is `tests/unit/toy_panel.py`: what is true of it is the base's doing, and true of every panel. Its
figures stand in cells of their own too, and axe-core looks at all of it.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser import lab
from tests.browser.test_chart_and_upload import SAVE, change_theme
from tests.browser.test_start_notebook import caption, says, wait_for
from tests.unit.toy_panel import MODEL, Toy

ENDED = "The kernel of this panel has ended: run its cell again."
CELLS = (
    """from dataclasses import replace
from tests.unit.toy_panel import MODEL, Toy
panel = Toy(MODEL)
heat, grid, bars = (replace(f, says=f"The {n} is here.") for n, f in panel.shown.figures.items())
panel""",
    "panel",
    "bars",
    "grid",
    "heat",
)
RINGS = "g => g._fullData[0].marker.line.width"
RESTART = "async () => await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
# JupyterLab gives no picture of a cell a name, whatever its metadata say: the words stand beneath it.
# nbconvert calls each "No description has been provided for this image".
UNNAMED = ["image-alt"]


@pytest.fixture(scope="module")
def start_page(opened):
    """The notebook with the panel in two cells and three figures, run; the page's errors; its file."""
    found = opened(lab.of_cells(*CELLS), 1400)
    chart(found[0], 1).locator(".main-svg").first.wait_for(timeout=60_000)
    return found


@pytest.fixture(scope="module")
def page(start_page):
    return start_page[0]


def panel(page, number: int = 0):
    """The panel as the first or second cell shows it."""
    return page.locator(".loupe").nth(number)


def chart(page, number: int = 0):
    return panel(page, number).locator(".loupe-plotly")


def grid(page, number: int = 0):
    return panel(page, number).locator(".loupe-of-grid canvas")


def menu(page, label: str, number: int = 0):
    return panel(page, number).get_by_label(label, exact=True)


def restore(page, state: str) -> None:
    menu(page, "state").fill(state)
    menu(page, "state").press("Enter")


def middle_of_bar(page, number: int) -> tuple[float, float]:
    box = chart(page).locator(".point path").nth(number).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 4  # beside the whisker


def click_bar(page, number: int, name: str) -> None:
    """As a hand does: first the pointer is there, and what is under it is said."""
    page.mouse.move(*middle_of_bar(page, number))
    chart(page).locator(".hovertext").filter(has_text=name).first.wait_for()
    page.mouse.down()
    page.mouse.up()


def faults(page, *places: str) -> list[str]:
    """Faults that axe-core calls serious or critical, each by its name and what is wrong there."""
    found = Axe().run(page, context={"include": [[place] for place in places]} if places else None)
    assert found.response["passes"]
    grave = [fault for fault in found.response["violations"] if fault["impact"] in ("serious", "critical")]
    return [f"{fault['id']}: {node['html'][:200]}" for fault in grave for node in fault["nodes"]]


def test_a_bar_under_the_pointer_says_its_name_value_and_interval(page):
    panel(page).scroll_into_view_if_needed()
    page.mouse.move(*middle_of_bar(page, 1))
    label = chart(page).locator(".hovertext").first
    label.wait_for()
    assert "a dog" in label.text_content() and "−1.13 [−2.03, −0.23]" in label.text_content()


def test_a_click_on_a_bar_chooses_and_the_menu_beside_does_by_keys(page):
    click_bar(page, 2, "a hat")
    wait_for(lambda: caption(page) == "L0.H0 writes +2.21 for ‘a hat’.", seconds=10)
    wait_for(lambda: menu(page, "text").input_value() == "a hat")
    menu(page, "text").press("ArrowUp")
    wait_for(lambda: caption(page) == "L0.H0 writes −1.13 for ‘a dog’.", seconds=10)
    menu(page, "text").press("ArrowDown")
    wait_for(lambda: caption(page) == "L0.H0 writes +2.21 for ‘a hat’.", seconds=10)


def test_arrow_keys_in_the_grid_choose_a_head(page):
    grid(page).focus()
    for key, head in (("ArrowDown", "L1.H0"), ("ArrowRight", "L1.H1"), ("ArrowUp", "L0.H1")):
        page.keyboard.press(key)
        wait_for(lambda head=head: caption(page).startswith(f"{head} writes"), seconds=10)


def test_a_slider_has_a_name_and_takes_keys(page):
    slider = panel(page).get_by_role("slider", name="draws")
    slider.press("ArrowRight")
    wait_for(lambda: "draws=101" in menu(page, "state").input_value(), seconds=10)
    slider.press("ArrowLeft")
    wait_for(lambda: "draws" not in menu(page, "state").input_value(), seconds=10)


def test_plain_keys_in_a_panel_leave_the_notebook_alone(page):
    menu(page, "picture").focus()
    for key in "abdd":
        page.keyboard.press(key)
    assert page.locator(".jp-Notebook .jp-Cell").count() == len(CELLS)
    menu(page, "picture").select_option("red")


def test_both_views_stay_in_step(page):
    menu(page, "text", 1).select_option("a cat")
    for number in (0, 1):
        said = panel(page, number).locator(".loupe-caption")
        wait_for(lambda said=said: said.inner_text() == "L0.H1 writes −3.66 for ‘a cat’.", seconds=10)
        wait_for(lambda number=number: menu(page, "text", number).input_value() == "a cat")
        ground = chart(page, number).locator(".loupe-plotly-ground")
        wait_for(lambda ground=ground: list(ground.evaluate(RINGS)) == [3, 0, 0], seconds=10)


def test_the_state_field_brings_a_state_back(page):
    before, said = menu(page, "state").input_value(), caption(page)
    restore(page, "toy|blue|a hat|L1.H2|name=Ada")
    wait_for(lambda: caption(page) == "Ada writes +6.61 for ‘a hat’.", seconds=10)
    wait_for(lambda: [menu(page, name).input_value() for name in ("picture", "name")] == ["blue", "Ada"])
    restore(page, "toy|green|a hat|L1.H2")
    wait_for(lambda: 'no picture "green" here; there are red, blue.' in says(page), seconds=10)
    assert caption(page) == "Ada writes +6.61 for ‘a hat’."
    restore(page, before)
    wait_for(lambda: caption(page) == said and says(page) == "", seconds=10)


def test_the_numbers_are_downloaded(page):
    with page.expect_download() as download:
        panel(page).get_by_role("button", name="CSV").click()
    text = Path(download.value.path()).read_text("utf-8")
    assert (
        text.startswith("# model toy")
        and "a dog" in text
        and download.value.suggested_filename[-4:] == ".csv"
    )


def test_a_figure_in_a_cell_shows_its_picture_its_sentence_and_its_words(page):
    for cell, name in ((2, "bars"), (3, "heads"), (4, "map")):
        outputs = page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-OutputArea-output")
        picture = outputs.nth(0).locator(".main-svg, img").first
        assert picture.bounding_box()["width"] > 300
        assert outputs.nth(1).locator(".loupe-caption").inner_text() == f"The {name} is here."
        words = outputs.nth(1).locator("details")
        assert not words.locator("p").is_visible()
        words.locator("summary").press("Enter")
        assert "share: " in words.locator("p").inner_text()


def test_axe_finds_no_grave_fault_in_light_and_dark(page):
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        change_theme(page, theme)
        assert faults(page, ".loupe") == []
        within = faults(page, ".jp-OutputArea-output")
        assert [fault.split(":")[0] for fault in within] == UNNAMED and "<img src" in within[0]


def test_axe_finds_no_grave_fault_in_a_saved_page(browser, tmp_path):
    toy, saved = Toy(MODEL), browser.new_page()
    toy.save(tmp_path / "toy.html")
    toy.close()
    for scheme in ("light", "dark"):
        saved.emulate_media(color_scheme=scheme)
        saved.goto((tmp_path / "toy.html").as_uri())
        assert faults(saved) == []
    saved.close()


def test_a_page_of_nbconvert_shows_stills_sentences_and_words_without_a_network(
    start_page, browser, tmp_path
):
    page, _, file = start_page
    page.evaluate(SAVE)
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", "--output-dir", tmp_path, file]
    subprocess.run(command, check=True, capture_output=True)
    context = browser.new_context(offline=True)
    made = context.new_page()
    made.goto((tmp_path / "panel.html").as_uri())
    images = made.locator(".jp-OutputArea-output img")
    assert images.count() == 5
    assert all(images.nth(i).evaluate("i => i.naturalWidth") > 300 for i in range(5))
    text = made.locator("body").inner_text()
    assert all(f"The {name} is here." in text for name in ("bars", "heads", "map"))
    made.locator("summary").first.click()
    assert "share: a cat −1.15" in made.locator("body").inner_text()
    assert faults(made, ".jp-OutputArea-output") == []
    context.close()


def test_a_page_loaded_again_has_its_panel_which_works(start_page):
    page, before = start_page[0], caption(start_page[0])
    page.evaluate(SAVE)
    page.reload()
    page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
    page.evaluate(lab.READY)
    chart(page, 1).locator(".main-svg").first.wait_for(timeout=60_000)
    assert caption(page) == before
    click_bar(page, 2, "a hat")
    wait_for(lambda: "‘a hat’" in caption(page), seconds=10)
    labels = lab.ask(page, "print(*panel.views['heads'].widget.labels, sep=',')").split(",")
    lab.click_cell(page, grid(page), labels.index("L1.H2"))
    wait_for(lambda: caption(page).startswith("L1.H2 writes"), seconds=10)
    wait_for(lambda: panel(page, 1).locator(".loupe-caption").inner_text().startswith("L1.H2 writes"))
    assert faults(page, ".loupe") == []


def test_no_console_error(start_page):
    assert start_page[1] == []


def test_a_panel_whose_kernel_was_restarted_says_so_once(page):
    page.evaluate(RESTART)
    for number in (0, 1):
        wait_for(lambda number=number: ENDED in panel(page, number).inner_text(), seconds=20)
        assert panel(page, number).inner_text().count(ENDED) == 1
        assert panel(page, number).inner_text().lower().count("kernel") == 1
