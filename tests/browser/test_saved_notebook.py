"""A notebook that was run and saved, opened again: with its kernel a live panel, without it the still."""

import nbformat
import pytest

from kit.lab.contents import VIEW
from tests.browser import lab
from tests.browser.test_start_notebook import caption, wait_for

FOLDER = "my notebooks"
CELLS = (
    'import kit\n\nmodel = kit.load("stickers-s8")',
    'panel = kit.panels.Explorer(model, texts=["a cat", "a dog"])\npanel',
)
DEAD = "Error displaying widget"
SHUT_DOWN = "async () => await window.jupyterapp.shell.currentWidget.sessionContext.shutdown()"
SAVE = "() => void window.jupyterapp.shell.currentWidget.context.save()"


@pytest.fixture(scope="module")
def saved(browser, jupyter):
    """The saved file, and what opens a page on it and closes the one before."""
    file = jupyter.put(FOLDER, lab.of_cells(*CELLS))
    pages = []

    def opened():
        while pages:
            pages.pop().close()
        pages.append(browser.new_page(viewport={"width": 1280, "height": 1000}))
        pages[0].complaints = jupyter.open(pages[0], file)
        return pages[0]

    page = opened()
    lab.run_all(page)
    page.locator(".loupe").wait_for(timeout=240_000)
    page.evaluate(SAVE)
    wait_for(lambda: VIEW in (text := file.read_text("utf-8")) and text.endswith("}\n"))
    yield file, opened
    pages.pop().close()


def bundle(file) -> dict:
    """What the file holds of the panel."""
    return next(o.data for o in nbformat.read(file, 4).cells[-1].outputs if "data" in o)


def test_with_its_kernel_the_panel_is_there_and_works(saved):
    file, opened = saved
    assert {VIEW, "image/png", "text/plain"} <= set(bundle(file))
    page = opened()
    page.locator(".loupe").wait_for()
    before = caption(page)
    lab.click_cell(page, page.locator(".loupe-heat canvas").nth(1), 3)
    wait_for(lambda: caption(page) != before)
    assert page.complaints == []


def test_without_it_the_still_is_seen_and_the_file_holds_both(saved):
    file, opened = saved
    page, before = opened(), file.read_bytes()
    page.evaluate(SHUT_DOWN)
    for _ in range(2):  # the second page finds the kernel that the first one started, which has run nothing
        page = opened()
        still = page.locator(".jp-OutputArea-output img")
        still.wait_for()
        wait_for(lambda still=still: still.evaluate("i => i.naturalWidth") > 300 and still.is_visible())
        assert DEAD not in page.locator(".jp-Notebook").inner_text() and not page.locator(".loupe").count()
    assert page.complaints == []
    assert file.read_bytes() == before and {VIEW, "image/png"} <= set(bundle(file))


def test_running_the_cells_again_brings_the_panel_back(saved):
    file, opened = saved
    page = opened()
    lab.run_all(page)
    page.locator(".loupe").wait_for(timeout=240_000)
    before = file.stat().st_mtime_ns
    page.evaluate(SAVE)  # a file that somebody else wrote would be asked about, and not be written
    # the server empties the file before it writes it, so a new time alone does not say that it is whole
    wait_for(lambda: file.stat().st_mtime_ns > before and file.read_text("utf-8").endswith("}\n"))
    assert {VIEW, "image/png"} <= set(bundle(file))
