"""A person's path through notebook 12 in JupyterLab: pick a head, ask for more texts, another bank, err."""

import pytest

from tests.browser import lab
from tests.browser.test_start_notebook import caption, fill, says, wait_for

NAME = "12_what_each_head_says.ipynb"


@pytest.fixture(scope="module")
def start_page(browser, tmp_path_factory):
    """The cells of notebook 12 that its panel needs, run; and the page's errors."""
    notebook = lab.cut(
        NAME,
        ("import kit", "store = kit.collect(model", "kit.panels.Spans("),
        fewer=(("draw(1000", "draw(150"),),
    )
    with lab.opened(browser, tmp_path_factory.mktemp("lab12"), notebook) as found:
        yield found


@pytest.fixture(scope="module")
def page(start_page):
    return start_page[0]


def choose(page, label: str, value: str) -> None:
    page.locator(".loupe").get_by_label(label, exact=True).select_option(label=value)


def test_a_click_on_a_head_lists_its_texts(page):
    grid = page.locator(".loupe-heat canvas").first
    cell = int(lab.ask(page, "print(panel.found.grid.labels.index('L5.H0'))"))
    lab.click_cell(page, grid, cell)
    wait_for(lambda: "L5.H0" in caption(page))
    first = lab.ask(page, "print(panel.found.listed['text'].iloc[0])")
    assert first in page.locator(".loupe-texts").inner_text()
    assert page.locator(".loupe-this").get_attribute("title").startswith("L5.H0")
    assert page.locator(".loupe-strip img").count() == 8


def test_arrow_keys_do_the_same(page):
    page.locator(".loupe-heat canvas").first.press("ArrowRight")
    page.locator(".loupe-heat canvas").first.press("Enter")
    wait_for(lambda: "L5.H1" in caption(page))


def test_another_subset_and_bank_redraw_all_heads(page):
    before = page.locator(".loupe-heads").inner_text()
    choose(page, "images", "size: large")
    wait_for(lambda: page.locator(".loupe-heads").inner_text() != before)
    choose(page, "bank", "random directions")
    wait_for(lambda: "random directions" in caption(page))
    assert "✓" not in page.locator(".loupe-heads").inner_text()
    choose(page, "bank", "stickers grammar")
    wait_for(lambda: "stickers grammar" in caption(page))


def test_own_texts_are_listed_and_unknown_words_named(page):
    choose(page, "bank", "own texts")
    fill(page, "own texts", "a cat; a blorb")
    wait_for(lambda: "own texts" in caption(page))
    assert "blorb" in page.locator(".loupe-note").first.inner_text()


def test_a_bad_state_becomes_a_sentence_and_the_last_one_stays(page):
    before = caption(page)
    fill(page, "state", "nonsense")
    wait_for(lambda: "is not a state" in says(page))
    assert caption(page) == before


def test_no_console_error(start_page):
    assert start_page[1] == []
