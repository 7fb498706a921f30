"""One JupyterLab and one Chromium for all tests of the browser; a screenshot of every failure."""

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
def shared_lab(tmp_path_factory):
    """The one JupyterLab of a worker."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    with lab.server(folder, folder / "notebooks", env={"PYTHONPATH": str(ROOT)}) as address:
        yield lab.Jupyter(address, folder)


@pytest.fixture(scope="module")
def jupyter(shared_lab):
    """The JupyterLab of a worker; behind each file its kernels end and the settings are as before."""
    yield shared_lab
    shared_lab.clear()


@pytest.fixture(scope="module")
def opened(request, browser, jupyter):
    """`opened(notebook, height)`: the notebook run, its panel in view; page, the page's errors, its file."""
    pages = []

    def run(notebook, height=1000):
        file = jupyter.put(request.module.__name__, notebook)
        pages.append(page := browser.new_page(viewport={"width": 1280, "height": height}))
        complaints = jupyter.open(page, file)
        lab.run_all(page)
        page.locator(".loupe").first.wait_for(timeout=240_000)
        page.locator(".loupe").first.scroll_into_view_if_needed()
        return page, complaints, file

    yield run
    for page in pages:
        page.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep a picture of the page where a test failed: much can be seen only there."""
    report = yield
    if report.failed and "start_page" in item.funcargs:
        SHOTS.mkdir(parents=True, exist_ok=True)
        item.funcargs["start_page"][0].screenshot(path=str(SHOTS / f"{item.name}.png"))
    return report
