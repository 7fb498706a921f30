"""One JupyterLab and one Chromium for all tests of the browser; a screenshot of every failure."""

import shutil
from pathlib import Path

import pytest

from tests.browser import lab

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "runs" / "screenshots"


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    path = lab.chromium()
    if path is None:
        pytest.skip("no Chromium on this machine: install Debian's package `chromium`, or Chrome")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as pw:
        started = pw.chromium.launch(executable_path=path, headless=True)
        yield started
        started.close()


@pytest.fixture(scope="session")
def start_page(browser, tmp_path_factory):
    """Notebook 00, opened in JupyterLab and run to its end; with the list of the page's errors."""
    folder = tmp_path_factory.mktemp("lab")
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    shutil.copy(ROOT / "notebooks" / "00_start_here.ipynb", notebooks)
    with lab.server(folder, notebooks) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        complaints = lab.open_notebook(page, address, "00_start_here.ipynb")
        try:
            lab.run_all(page)
            yield page, complaints
        finally:
            page.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep a picture of the page where a test failed: much can be seen only there."""
    report = yield
    if report.failed and "start_page" in item.funcargs:
        SHOTS.mkdir(parents=True, exist_ok=True)
        item.funcargs["start_page"][0].screenshot(path=str(SHOTS / f"{item.name}.png"))
    return report
