"""Limits of declared panels: what they leave behind, what uploads hold, interrupts, states that take long."""

import asyncio
import gc
import signal
import threading
import time
from _thread import interrupt_main

import psutil
import pytest
from ipywidgets.widgets import widget

from kit.panels.fields import Upload
from tests.unit.toy_panel import MODEL, TEXTS, Toy

PANELS, UPLOADS, MEGABYTE = 100, 200, 1_000_000
STEP = 0.01  # seconds


@pytest.fixture(autouse=True)
def as_in_a_kernel():
    """Other tests of the same worker leave interrupts unheard."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


class Uploads(Toy):
    """The toy panel with an upload, which is its name from then on."""

    picture = Upload()
    rows = (*Toy.rows, "picture")

    def uploaded(self, content: bytes, name: str, note: str) -> dict:
        self.keep_upload(name, content)
        return {"name": name}


class Slow(Toy):
    """The toy panel, whose texts take long; it counts what is computed."""

    def __init__(self, seconds: float = 0.0):
        self.computed, self.seconds, self.steps = [], 0.0, 0
        super().__init__(MODEL)
        self.computed, self.seconds = [], seconds

    @property
    def cut_short(self) -> bool:
        """Whether something began and did not come to its end."""
        return 0 < self.steps < round(self.seconds / STEP)

    def slow(self, state) -> bool:
        return True

    def show(self, state):
        self.computed.append(state.text)
        for _ in range(round(self.seconds / STEP)):  # an interrupt comes between two steps
            time.sleep(STEP)
            self.steps += 1
        return super().show(state)


def upload(panel, number: int, size: int = 10) -> None:
    """What the browser's message with a file does in the kernel."""
    content = {"method": "custom", "content": {"id": str(number), "name": f"{number}.jpg"}}
    buffer = memoryview(bytes([number % 256]) * size)
    panel.controls["picture"]._handle_msg({"content": {"data": content}, "buffers": [buffer]})


def test_a_hundred_panels_leave_no_widget_behind():
    Toy(MODEL).close()  # what all charts share is there from here on
    before = len(widget._instances)
    for _ in range(PANELS):
        panel = Toy(MODEL)
        panel.choose(text="a hat", part="L1.H1")
        assert len(widget._instances) > before
        panel.close()
    assert len(widget._instances) == before


def test_two_hundred_uploads_take_no_more_memory_than_the_last_eight():
    panel, process = Uploads(MODEL), psutil.Process()
    upload(panel, 0, MEGABYTE)
    gc.collect()
    before = process.memory_info().rss
    for number in range(UPLOADS):
        upload(panel, number, MEGABYTE)
    gc.collect()
    assert process.memory_info().rss - before <= 50 * MEGABYTE
    assert list(panel.uploads) == [f"{number}.jpg" for number in range(UPLOADS - 8, UPLOADS)]
    assert panel.state["name"] == f"{UPLOADS - 1}.jpg" and panel.last_error is None
    panel.close()


def test_an_upload_that_comes_again_counts_as_the_latest_and_the_shown_one_stays():
    panel = Uploads(MODEL)
    for number in (*range(8), 0, 8):
        upload(panel, number)
    assert list(panel.uploads) == ["2.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg", "7.jpg", "0.jpg", "8.jpg"]
    panel.choose(name="2.jpg")
    for number in (9, 10):
        panel.keep_upload(f"{number}.jpg", b"")
    assert list(panel.uploads) == ["2.jpg", "5.jpg", "6.jpg", "7.jpg", "0.jpg", "8.jpg", "9.jpg", "10.jpg"]
    panel.close()


def test_an_interrupt_leaves_the_last_good_state_and_says_so():
    panel = Slow(seconds=8.0)
    before, caption, figures = panel.string, panel.caption, panel.shown.figures
    threading.Timer(0.3, interrupt_main).start()
    panel.choose(text="a hat")
    assert panel.cut_short
    assert panel.message == "interrupted; what was there before stays."
    assert (panel.string, panel.caption, panel.shown.figures) == (before, caption, figures)
    assert panel.controls["text"].value == "a cat" and panel.last_error is None
    panel.seconds = 0
    panel.choose(text="a dog")
    assert panel.state["text"] == "a dog" and panel.message == ""
    panel.close()


def test_a_slow_state_whose_time_has_come_hears_of_an_interrupt_though_the_kernel_does_not():
    """ipykernel ignores the signal wherever it handles no message."""

    async def later():
        panel.choose(text="a hat")
        await asyncio.sleep(0.06)

    panel = Slow(seconds=8.0)
    held = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        threading.Timer(0.5, interrupt_main).start()
        asyncio.run(later())
        assert panel.cut_short and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, held)
    assert panel.message == "interrupted; what was there before stays." and panel.state["text"] == "a cat"
    assert panel._busy.text == ""
    panel.close()


@pytest.mark.parametrize("texts", [["a hat"], ["a dog", "a hat", "a dog", "a hat"]])
def test_of_quick_changes_only_the_last_is_computed_and_it_is_said_at_once(texts):
    async def quickly():
        for text in texts:
            panel.controls["text"].value = text
            assert panel._busy.text == "computing…" and panel.computed == []
        await asyncio.sleep(0.3)

    panel = Slow()
    rows = [child for child in panel.box.children if panel.controls["name"] in getattr(child, "children", ())]
    assert panel._busy in rows[0].children  # beside the controls
    asyncio.run(quickly())
    assert panel.computed == texts[-1:] and panel.state["text"] == texts[-1] in panel.caption
    assert panel._busy.text == "" and panel.controls["text"].value == texts[-1] and panel.message == ""
    panel.close()


def test_a_closed_panel_computes_nothing_later():
    async def closed():
        panel.choose(text=TEXTS[1])
        panel.close()
        await asyncio.sleep(0.2)

    panel = Slow()
    asyncio.run(closed())
    assert panel.computed == []
