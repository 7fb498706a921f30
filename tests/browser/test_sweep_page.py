"""The page of a sweep in a browser: nothing is fetched, nothing is cut, and axe-core finds no grave fault."""

import pytest

from kit.sweep import Settings, sweep
from tests.browser.test_declared_panel import faults
from tests.exact.sweep_doubles import planted, write_imagenet, write_waterbirds


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of a sweep over tiny folders, all of whose stages but the masks are done."""
    root = tmp_path_factory.mktemp("sweep")
    imagenet, waterbirds = write_imagenet(root / "imagenet"), write_waterbirds(root / "birds")
    settings = Settings(candidates="present", last=1, draws=10, batch=8)
    found = sweep(planted(root, waterbirds), root / "out", imagenet, waterbirds, settings=settings)
    assert not found.failed
    return root / "out" / "report.html"


@pytest.mark.parametrize("scheme", ("light", "dark"))
def test_the_page_of_a_sweep_is_right_in_both_themes(browser, report, scheme):
    page, asked = browser.new_page(viewport={"width": 1280, "height": 720}, color_scheme=scheme), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    for summary in page.locator("summary").all():
        assert not summary.locator("..").locator("table").is_visible()
        summary.press("Enter")
        assert summary.locator("..").locator("table").is_visible()
    ink = page.locator("h1").evaluate("e => getComputedStyle(e).color")
    drawn = page.locator("svg")
    assert drawn.count() >= 8
    for still in drawn.all():
        told = still.locator("text").first
        assert told.evaluate("e => getComputedStyle(e).fill") == ink
        frame = still.bounding_box()
        for words in still.locator("text").all():
            box = words.bounding_box()
            assert box["x"] >= frame["x"] - 1, words.text_content()
            assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1, words.text_content()
    for wide in (1280, 768):
        page.set_viewport_size({"width": wide, "height": 720})
        assert page.evaluate("document.documentElement.scrollWidth") <= wide
        assert faults(page) == []
    page.close()
