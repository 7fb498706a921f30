"""A person's path through notebook 12 in JupyterLab: pick a head, ask for more texts, another bank, err."""

import pytest

from tests.browser import lab
from tests.browser.test_start_notebook import caption, fill, picture_of, says, wait_for

NAME = "12_what_each_head_says.ipynb"
WORDS = "h = panel.shown.figures['heads']; print(h.words, h.marks)"


@pytest.fixture(scope="module")
def start_page(opened):
    """The cells of notebook 12 that its panel needs, run; and the page's errors."""
    notebook = lab.cut(
        NAME,
        ("import kit", "store = kit.collect(model", "kit.panels.Spans("),
        fewer=(("draw(1000", "draw(150"),),
    )
    return opened(notebook)


@pytest.fixture(scope="module")
def page(start_page):
    return start_page[0]


def choose(page, label: str, value: str) -> None:
    page.locator(".loupe").get_by_label(label, exact=True).select_option(label=value)


def test_a_click_on_a_head_lists_its_texts(page):
    grid = page.locator(".loupe-heat canvas").first
    cell = int(lab.ask(page, "print(panel.views['heads'].widget.labels.index('L5.H0'))"))
    before = picture_of(grid)
    lab.click_cell(page, grid, cell)
    wait_for(lambda: "L5.H0" in caption(page))
    first = lab.ask(page, "print(panel.shown.figures['listed'].frame['text'].iloc[0])")
    wait_for(lambda: first in page.locator(".loupe-table").inner_text())
    assert page.locator(".loupe-table").get_attribute("aria-label").startswith("Which texts: those of L5.H0")
    assert page.locator(".loupe-table tbody tr").count() == 5
    assert page.locator(".loupe-strip img").count() == 8
    assert picture_of(grid) != before  # the head is framed


def test_arrow_keys_do_the_same(page):
    page.locator(".loupe-heat canvas").first.press("ArrowRight")
    page.locator(".loupe-heat canvas").first.press("Enter")
    wait_for(lambda: "L5.H1" in caption(page))


def test_another_subset_and_bank_redraw_all_heads(page):
    grid = page.locator(".loupe-heat canvas").first
    before, words = picture_of(grid), lab.ask(page, WORDS)
    choose(page, "images", "size: large")
    wait_for(lambda: picture_of(grid) != before)
    assert lab.ask(page, WORDS) != words and "✓" in lab.ask(page, WORDS)
    before = picture_of(grid)
    choose(page, "bank", "random directions")
    wait_for(lambda: "random directions" in caption(page))
    wait_for(lambda: picture_of(grid) != before)
    assert "✓" not in lab.ask(page, WORDS) and "✓" not in grid.get_attribute("aria-label")
    choose(page, "bank", "stickers grammar")
    wait_for(lambda: "stickers grammar" in caption(page))


def test_own_texts_are_listed_and_unknown_words_named(page):
    choose(page, "bank", "own texts")  # of which there are none yet
    wait_for(lambda: "there are no own texts yet" in says(page))
    fill(page, "own texts", "a cat; a blorb")
    wait_for(lambda: "own texts" in caption(page))
    wait_for(lambda: "blorb" in page.locator(".loupe-note:visible").inner_text())
    wait_for(lambda: says(page) == "")


def test_a_bad_state_becomes_a_sentence_and_the_last_one_stays(page):
    before = caption(page)
    fill(page, "state", "nonsense")
    wait_for(lambda: "is not a state" in says(page))
    assert caption(page) == before


def test_no_console_error(start_page):
    assert start_page[1] == []
