"""A chart and an upload in JupyterLab: hover, click, theme, one bundle, reload; files that are too large."""

import json
import time

import numpy as np
import pytest
from PIL import Image

from tests.browser import lab
from tests.browser.test_start_notebook import wait_for

BUNDLE = 1_000_000  # bytes: no other message of these panels is as large
CELLS = (
    """import io, json, ipywidgets
from PIL import Image
from kit.panels.chart import ChartPanel
from kit.panels.panel import StyledSentence
from kit.panels.upload import UploadButton
picked, files, refused = [], [], []
def bars(*values):
    names = [f"L0.H{i}" for i in range(len(values))]
    data = [{"type": "bar", "x": names, "y": values, "customdata": [[name] for name in names]}]
    axes = {"xaxis": {"title": {"text": "head"}}, "yaxis": {"title": {"text": "share"}}}
    return json.dumps({"data": data, "layout": {"height": 240, "margin": {"t": 20, "r": 10}, **axes}})
def still():
    held = io.BytesIO()
    Image.new("RGB", (600, 240), (240, 240, 240)).save(held, "PNG")
    return held.getvalue()
def panel(*widgets):
    box = ipywidgets.VBox([StyledSentence(), *widgets])
    box.add_class("loupe")
    return box""",
    """first = ChartPanel(still=still())
first.show(bars(1, 2), "not yet loaded")
first.show(bars(0.5, 0.25, -0.125), "three heads")
first.on_picked(picked.append)
one = panel(first)
one""",
    """second = ChartPanel()
second.show(bars(0.75, 0.5), "two heads")
second.on_picked(picked.append)
upload = UploadButton(label="upload pictures")
upload.on_file(lambda *file: files.append(file))
upload.on_refused(refused.append)
box = panel(second, upload)
box""",
)
SAVE = "async () => await window.jupyterapp.commands.execute('docmanager:save')"
CLEAR = "() => window.jupyterapp.shell.currentWidget.content.widgets[1].model.outputs.clear()"
THEME = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
COLOURS = """() => [...document.querySelectorAll(".loupe-plotly")].map((root) => {
  const of = (name, what) => getComputedStyle(root.querySelector(name))[what];
  return [of(".ytick text", "fill"), of(".ygrid", "stroke"), of(".main-svg", "background-color")];
})"""


@pytest.fixture(scope="module")
def start_page(browser, jupyter):
    """The notebook with two charts and an upload, run; the page's errors are in the second place."""
    file = jupyter.put("charts", lab.of_cells(*CELLS))
    page, sizes = browser.new_page(viewport={"width": 1280, "height": 1400}), []
    page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: sizes.append(len(frame))))
    complaints = jupyter.open(page, file)
    lab.run_all(page)
    page.locator(".loupe-plotly .main-svg").nth(3).wait_for(timeout=60_000)  # two a chart
    yield page, complaints, sizes
    page.close()


@pytest.fixture(scope="module")
def page(start_page):
    return start_page[0]


def chart(page, words: str):
    return page.get_by_role("img", name=words, exact=True)


def middle_of_bar(page, words: str, number: int) -> tuple[float, float]:
    box = chart(page, words).locator(".point path").nth(number).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def values(page, words: str) -> list[float]:
    ground = chart(page, words).locator(".loupe-plotly-ground")
    return ground.evaluate("g => g._fullData[0].y")


def picked(page) -> list[str]:
    return json.loads(lab.ask(page, "print(json.dumps(picked))"))


def files(page) -> list:
    """Name, note, sides and kind of each file that has come; 0, 0 where it is no picture."""
    code = """def seen(content):
    try:
        image = Image.open(io.BytesIO(content))
        return [*image.size, image.format]
    except OSError:
        return [0, 0, ""]
print(json.dumps([[name, note, *seen(content)] for content, name, note in files]))"""
    return json.loads(lab.ask(page, code))


def choose(page, *paths) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="upload pictures").click()
    chooser.value.set_files([str(path) for path in paths])


def write_png(path, size, colour):
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(path)
    return path


def change_theme(page, name: str) -> None:
    page.evaluate(THEME, name)
    page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)
    page.locator("#jupyterlab-splash").wait_for(state="detached")  # JupyterLab errs where two overlap


def test_two_charts_have_come_with_one_bundle(start_page):
    sizes = start_page[2]
    assert len([size for size in sizes if size > BUNDLE]) == 1
    assert max(sizes) < 2_000_000


def test_a_mark_under_the_pointer_says_its_value(page):
    page.mouse.move(*middle_of_bar(page, "three heads", 1))
    label = chart(page, "three heads").locator(".hovertext")
    label.first.wait_for()
    assert "0.25" in label.first.text_content()


def test_a_click_on_a_mark_reports_its_name_each_time(page):
    names = ["L0.H2", "L0.H2", "L0.H0"]
    for number, bar in enumerate((2, 2, 0)):
        time.sleep(0.5)  # two clicks within 300 ms are a double click
        page.mouse.click(*middle_of_bar(page, "three heads", bar))
        wait_for(lambda so_far=names[: number + 1]: picked(page) == so_far, seconds=20)


def test_a_new_figure_is_drawn_and_said(page):
    lab.ask(page, "second.show(bars(0.125, 0.5, 0.25), 'other heads')")
    wait_for(lambda: chart(page, "other heads").count() == 1)
    wait_for(lambda: values(page, "other heads") == [0.125, 0.5, 0.25])


def test_a_chart_is_as_wide_as_its_panel(page):
    page.set_viewport_size({"width": 900, "height": 1400})
    root = chart(page, "other heads")
    wait_for(lambda: root.locator(".main-svg").first.bounding_box()["width"] == root.bounding_box()["width"])
    assert root.bounding_box()["width"] < 600
    page.set_viewport_size({"width": 1280, "height": 1400})
    wait_for(lambda: root.locator(".main-svg").first.bounding_box()["width"] > 600)


def test_the_colours_are_those_of_the_theme(page):
    light = ["rgb(0, 0, 0)", "rgb(224, 224, 224)", "rgba(0, 0, 0, 0)"]
    dark = ["rgb(255, 255, 255)", "rgb(66, 66, 66)", "rgba(0, 0, 0, 0)"]
    for _ in range(4):  # charts are hidden for a frame at some changes, not at all
        wait_for(lambda: page.evaluate(COLOURS) == [light] * 2, seconds=10)
        change_theme(page, "JupyterLab Dark")
        wait_for(lambda: page.evaluate(COLOURS) == [dark] * 2, seconds=10)
        change_theme(page, "JupyterLab Light")


def test_what_is_too_large_is_shrunk_and_every_file_of_several_comes(page, tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4000, 6000, 3), dtype=np.uint8))
    noise.save(tmp_path / "large.jpg", quality=70)
    assert 10e6 < (tmp_path / "large.jpg").stat().st_size < 20e6
    turned = Image.Exif()
    turned[0x0112] = 6  # lies on its side
    Image.new("RGB", (1200, 600)).save(tmp_path / "turned.jpg", exif=turned)
    clear = write_png(tmp_path / "clear.png", (2000, 500), (200, 0, 0, 100))
    small = write_png(tmp_path / "small.png", (30, 20), (200, 0, 0))
    lab.ask(page, "files.clear()")
    choose(page, tmp_path / "large.jpg", tmp_path / "turned.jpg", clear, small)
    wait_for(lambda: len(files(page)) == 4)
    assert files(page) == [
        ["large.jpg", "shrunk to 1,024 × 683 in the browser", 1024, 683, "JPEG"],
        ["turned.jpg", "shrunk to 512 × 1,024 in the browser", 512, 1024, "JPEG"],
        ["clear.png", "shrunk to 1,024 × 256 in the browser", 1024, 256, "PNG"],
        ["small.png", "", 30, 20, "PNG"],
    ]
    assert lab.ask(page, "print(files[-1][0].hex())") == small.read_bytes().hex()
    assert lab.ask(page, "print(Image.open(io.BytesIO(files[2][0])).getpixel((9, 9))[3])") == "100"
    assert int(lab.ask(page, "print(len(files[0][0]))")) < 2e6


def test_a_shrunk_picture_is_a_mean_not_a_choice_of_pixels(page):
    """Noise of a spread of 49 has one of 7.6 when Pillow's Lanczos filter makes it as small."""
    code = "import numpy as np; print(np.asarray(Image.open(io.BytesIO(files[0][0])).convert('L')).std())"
    assert float(lab.ask(page, code)) < 12


def test_what_is_no_picture_is_answered_and_the_next_file_comes(page, tmp_path):
    for name, size in (("garbage.jpg", 12_000_000), ("short.jpg", 100)):
        (tmp_path / name).write_bytes(b"\x01" * size)
    small = write_png(tmp_path / "small.png", (30, 20), (0, 200, 0))
    lab.ask(page, "files.clear()")
    choose(page, tmp_path / "garbage.jpg", tmp_path / "short.jpg", small)
    wait_for(lambda: [name for name, *_ in files(page)] == ["short.jpg", "small.png"])
    assert lab.ask(page, "print(files[0][0] == b'\\x01' * 100)") == "True"
    assert lab.ask(page, "print(*refused)") == (
        '"garbage.jpg" (12 MB) is no picture that this browser can read, and a file that it cannot shrink '
        "may have at most 8 MB; save it as JPEG or PNG and upload that."
    )


@pytest.mark.parametrize("key", ["Enter", " "])
def test_the_button_works_by_keys(page, tmp_path, key):
    small = write_png(tmp_path / "keys.png", (3, 2), (0, 200, 0))
    lab.ask(page, "files.clear()")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="upload pictures").press(key)
    chooser.value.set_files(str(small))
    wait_for(lambda: [name for name, *_ in files(page)] == ["keys.png"])


def test_what_is_going_on_stands_beside_the_button(page):
    note = page.locator(".loupe-upload [aria-live=polite]")
    wait_for(lambda: note.text_content() == "")
    lab.ask(page, "upload.busy = 'computing…'")
    wait_for(lambda: note.text_content() == "computing…")
    lab.ask(page, "upload.busy = ''")
    wait_for(lambda: note.text_content() == "")


def test_the_first_panel_is_closed_and_others_live(page):
    lab.ask(page, "for widget in (*one.children, one): widget.close()")
    wait_for(lambda: chart(page, "three heads").count() == 0)
    lab.ask(page, "second.show(bars(0.25, 0.125), 'alive')")
    wait_for(lambda: chart(page, "alive").count() == 1 and values(page, "alive") == [0.25, 0.125])
    lab.ask(page, "third = ChartPanel(); third.show(bars(0.5), 'a third'); box.children += (third,)")
    chart(page, "a third").locator(".main-svg").first.wait_for()
    assert values(page, "a third") == [0.5]


def test_where_plotly_cannot_load_the_still_stays_with_a_sentence(page):
    page.evaluate("""() => {
      globalThis.kept = globalThis.loupePlotly;
      globalThis.loupePlotly = Promise.reject(new Error("no room"));
      globalThis.loupePlotly.catch(() => {});
    }""")
    lab.ask(page, "fourth = ChartPanel(still=still()); fourth.show(bars(0.5), 'a still')")
    lab.ask(page, "box.children += (fourth,)")
    page.get_by_role("alert").filter(has_text="could not be loaded (no room)").wait_for()
    assert chart(page, "a still").locator("img").bounding_box()["width"] == 600
    page.evaluate("() => { globalThis.loupePlotly = globalThis.kept; }")


def test_a_figure_that_cannot_be_drawn_is_said_and_the_next_one_is_drawn(page):
    lab.ask(page, "third.show('{', 'broken')")
    alert = page.get_by_role("alert").filter(has_text="could not be drawn")
    alert.wait_for()
    lab.ask(page, "third.show(bars(0.75), 'whole')")
    wait_for(lambda: chart(page, "whole").count() == 1 and values(page, "whole") == [0.75])
    wait_for(lambda: alert.count() == 0)


def test_a_page_that_is_loaded_again_has_its_charts(start_page):
    page, _, sizes = start_page
    page.evaluate(CLEAR)  # JupyterLab complains of an output whose panel was closed
    page.evaluate(SAVE)
    sizes.clear()
    page.reload()
    page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
    page.evaluate(lab.READY)
    chart(page, "alive").locator(".main-svg").first.wait_for(timeout=60_000)
    assert len([size for size in sizes if size > BUNDLE]) == 1
    lab.ask(page, "picked.clear()")
    page.mouse.click(*middle_of_bar(page, "alive", 1))
    wait_for(lambda: picked(page) == ["L0.H1"])
    lab.ask(page, "second.show(bars(0.5, 0.75), 'again')")
    wait_for(lambda: values(page, "again") == [0.5, 0.75])


def test_no_console_error(start_page):
    assert start_page[1] == []
