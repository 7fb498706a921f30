"""A person's path through notebook 00 in JupyterLab: pick, see, type, upload, switch off, err, go on."""

import io
import json
import time

import nbformat
import pytest
from PIL import Image

from tests.browser import lab

NAME, PANEL = "00_start_here.ipynb", ".loupe"


@pytest.fixture(scope="module")
def start_page(opened):
    """Notebook 00, run to its end; and the page's errors."""
    return opened(nbformat.read(lab.NOTEBOOKS / NAME, as_version=4))


@pytest.fixture
def page(start_page):
    """The page with the panel as it was when the notebook had run."""
    page = start_page[0]
    lab.ask(page, "first_state = globals().get('first_state', str(panel.selection))")
    lab.ask(page, "panel.choose(**panel.parsed(first_state))")
    wait_for(lambda: caption(page) == lab.ask(page, "print(panel.caption)"))
    return page


def wait_for(true, seconds=60.0):
    """Wait until something holds; gives the seconds that it took."""
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < seconds, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - begin


def caption(page) -> str:
    return page.locator(f"{PANEL} .loupe-caption").first.inner_text()


def says(page) -> str:
    return page.locator(f"{PANEL} .loupe-say").first.text_content()


def canvases(page):
    """The map over the picture, and the grid."""
    both = page.locator(f"{PANEL} .loupe-heat canvas")
    return both.nth(0), both.nth(1)


def picture_of(canvas) -> str:
    return canvas.evaluate("c => c.toDataURL()")


def bars(page) -> list[str]:
    return page.locator(f"{PANEL} .loupe-bar-value").all_inner_texts()


def cell_of(page, name: str) -> int:
    return int(lab.ask(page, f"print(panel.found.grid.labels.index({name!r}))"))


def fill(page, label: str, text: str) -> None:
    field = page.locator(PANEL).get_by_label(label, exact=True)
    field.fill(text)
    field.press("Enter")


def press(page, name: str) -> None:
    page.locator(PANEL).get_by_role("button", name=name, exact=True).click()


def test_the_guide_sets_the_panel_by_mouse_and_by_keys(page):
    guide = page.locator(f"{PANEL} .loupe-guide")
    stops, sentence = guide.get_by_role("button"), page.locator(f"{PANEL} .loupe-guide + .loupe-note")
    assert guide.get_attribute("role") == "group" and guide.get_attribute("aria-label") == "guided start"
    assert stops.count() == 6 and sentence.get_attribute("aria-live") == "polite"
    heat, _ = canvases(page)
    for number in range(6):
        before, opened = sentence.inner_text(), picture_of(heat)
        if number % 2:
            stops.nth(number).press("Enter")
        else:
            stops.nth(number).click()
        wait_for(lambda before=before: sentence.inner_text() != before)
        wait_for(lambda opened=opened, number=number: number == 4 or picture_of(heat) != opened)
        assert sentence.inner_text() == lab.ask(page, f"print(panel.guide.sentences[{number}])")
        assert caption(page) == lab.ask(page, "print(panel.caption)") and not says(page)
        pressed = [stop.get_attribute("aria-pressed") for stop in stops.all()]
        assert pressed == ["true" if n == number else "false" for n in range(6)]
    lab.ask(page, "panel.choose(selector='L1.H0')")
    wait_for(lambda: "New here?" in sentence.inner_text())
    assert "true" not in [stop.get_attribute("aria-pressed") for stop in stops.all()]


def test_toggles_say_what_is_pressed(page):
    toggles = page.locator(f"{PANEL} .widget-toggle-buttons").first
    assert (toggles.get_attribute("role"), toggles.get_attribute("aria-label")) == ("group", "effect")
    total = toggles.get_by_role("button", name="total")
    assert total.get_attribute("aria-pressed") == "false"
    press(page, "total")
    wait_for(lambda: total.get_attribute("aria-pressed") == "true")


def test_a_click_on_a_head_changes_map_and_caption(page):
    heat, grid = canvases(page)
    before = picture_of(heat)
    lab.click_cell(page, grid, cell_of(page, "L3.H1"))
    wait_for(lambda: caption(page).startswith("L3.H1"))
    wait_for(lambda: picture_of(heat) != before)
    assert caption(page) == lab.ask(page, "print(panel.caption)")
    assert "L3.H1" in grid.get_attribute("aria-label") or "L3.H1" in heat.get_attribute("aria-label")


def test_arrow_keys_do_the_same(page):
    heat, grid = canvases(page)
    lab.click_cell(page, grid, cell_of(page, "L3.H1"))
    wait_for(lambda: caption(page).startswith("L3.H1"))
    before = picture_of(heat)
    for key, name in (
        ("ArrowRight", "L3.H2"),
        ("ArrowDown", "L4.H2"),
        ("ArrowLeft", "L4.H1"),
        ("ArrowUp", "L3.H1"),
    ):
        grid.press(key)
        wait_for(lambda name=name: caption(page).startswith(name))
    wait_for(lambda: picture_of(heat) == before)
    grid.press("ArrowRight")
    wait_for(lambda: caption(page).startswith("L3.H2"))
    grid.press("ArrowRight")
    grid.press(" ")  # takes the cell away again: nothing is selected
    wait_for(lambda: caption(page).startswith("Nothing is selected"))


def test_shift_click_takes_several(page):
    _, grid = canvases(page)
    lab.click_cell(page, grid, cell_of(page, "L3.H1"))
    lab.click_cell(page, grid, cell_of(page, "L5.MLP"), modifiers=("Shift",))
    wait_for(lambda: caption(page).startswith("L3.H1 and L5.MLP"))


def test_positive_cells_are_redder_than_blue_and_negative_bluer_than_red(page):
    heat, grid = canvases(page)
    limit = float(lab.ask(page, "print(panel.found.cell_limit)"))
    values = json.loads(
        lab.ask(
            page,
            "import json; print(json.dumps(panel.views['grid'].widget.numbers.reshape(-1).tolist()))",
        )
    )
    clear = [i for i, value in enumerate(values) if value == value and abs(value) > 0.05 * limit]
    assert len(clear) > 5
    for i in clear:
        red, _, blue = lab.pixel(grid, i)
        assert (red > blue) == (values[i] > 0), (i, values[i], red, blue)
    outlined = picture_of(heat)
    press(page, "outline")  # its line runs through cells
    wait_for(lambda: picture_of(heat) != outlined)
    top = json.loads(lab.ask(page, "print(panel.found.heat.reshape(-1).tolist())"))
    strong = [i for i, value in enumerate(top) if abs(value) > 0.1 * max(map(abs, top))]
    for i in strong:
        red, _, blue = lab.pixel(heat, i)
        assert (red > blue) == (top[i] > 0), (i, top[i], red, blue)
    press(page, "outline")


def test_a_prompt_typed_changes_the_bars(page):
    before = bars(page)
    fill(page, "prompts", "a cat; a boat; a dog")
    wait_for(lambda: bars(page) != before)
    assert page.locator(f"{PANEL} .loupe-prompt-name").all_inner_texts() == ["a cat", "a boat", "a dog"]
    numbers = json.loads(lab.ask(page, "print(panel.found.bars.reshape(-1).tolist())"))
    shown = [float(text.replace("−", "-")) for text in bars(page) if text != "cosine"]
    assert shown == pytest.approx(numbers, abs=6e-4)


def test_a_prompt_is_chosen_by_click_and_by_arrow(page):
    prompts = page.locator(f"{PANEL} .loupe-prompt")
    prompts.nth(1).click()
    wait_for(lambda: lab.ask(page, "print(panel.selection.text)") == "1")
    prompts.nth(1).press("ArrowUp")
    wait_for(lambda: lab.ask(page, "print(panel.selection.text)") == "0")


def test_a_word_never_seen_is_named(page):
    fill(page, "prompts", "a catt; a dog")
    note = page.locator(f"{PANEL} .loupe-note", has_text="never saw")
    note.first.wait_for()
    assert '"catt"' in note.first.inner_text() and "Nearest: cat" in note.first.inner_text()


def test_a_picture_is_uploaded(page):
    held = io.BytesIO()
    Image.new("RGB", (90, 60), (30, 120, 220)).save(held, "PNG")
    with page.expect_file_chooser() as chooser:
        page.locator(f"{PANEL} .loupe-upload button").click()
    chooser.value.set_files({"name": "blue.png", "mimeType": "image/png", "buffer": held.getvalue()})
    truth = page.locator(f"{PANEL} .loupe-truth")
    wait_for(lambda: "blue.png, 90 × 60 pixels" in truth.inner_text())
    assert lab.ask(page, "print(panel.selection.image)").startswith("upload ")


def test_a_word_is_printed_and_the_model_that_reads_is_fooled(page):
    fill(page, "state", f"{lab.ask(page, 'print(reader)')}|scene 0|L*.H*|a cat;a banana")
    wait_for(lambda: "a banana" in page.locator(f"{PANEL} .loupe-prompt-name").all_inner_texts())
    whole = "print(*(round(float(bar), 3) for bar in panel.found.bars[:, 0]))"
    cat, banana = map(float, lab.ask(page, whole).split())
    assert cat > banana
    heat, _ = canvases(page)
    before = picture_of(heat)
    page.locator(PANEL).get_by_label("print", exact=True).select_option(label="banana")
    wait_for(lambda: "with ‘banana’ printed into it" in page.locator(f"{PANEL} .loupe-truth").inner_text())
    wait_for(lambda: picture_of(heat) != before)
    cat, banana = map(float, lab.ask(page, whole).split())
    assert banana > cat


def test_switching_off_moves_the_bars_and_back(page):
    before = bars(page)
    press(page, "switch off")
    wait_for(lambda: bars(page) != before)
    assert page.locator(f"{PANEL} .loupe-bar-mark").count() == len(
        json.loads(lab.ask(page, "print(list(range(len(panel.selection.texts))))"))
    )
    press(page, "all on")
    wait_for(lambda: bars(page) == before)


def test_a_total_effect_is_computed_and_nothing_stays_locked(page, record_property):
    before = bars(page)
    begin = time.monotonic()
    press(page, "total")
    wait_for(lambda: bars(page) != before)
    record_property("seconds_of_a_total_effect_seen", round(time.monotonic() - begin, 3))
    wait_for(lambda: not page.locator(PANEL).get_by_label("prompts", exact=True).is_disabled())


def test_bad_input_is_a_sentence_and_the_last_good_state_stays(page):
    caption_before, bars_before = caption(page), bars(page)
    fill(page, "state", "stickers-l8|scene 0|L77.H1|a cat")
    wait_for(lambda: "layer 77 does not exist" in says(page))
    assert (caption(page), bars(page)) == (caption_before, bars_before)
    fill(page, "prompts", ";")
    wait_for(lambda: "a prompt is empty" in says(page))
    assert (caption(page), bars(page)) == (caption_before, bars_before)
    assert lab.ask(page, "print(panel.last_error)") == "None"
    _, grid = canvases(page)
    lab.click_cell(page, grid, cell_of(page, "L2.H2"))
    wait_for(lambda: caption(page).startswith("L2.H2") and not says(page))


def test_what_is_shown_is_saved_by_a_button(page, tmp_path):
    for kind, begins in (("CSV", b"# model stickers-l8"), ("PNG", b"\x89PNG"), ("HTML", b"<!doctype html>")):
        with page.expect_download() as download:
            press(page, kind)
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.suffix == f".{kind.lower()}" and path.read_bytes().startswith(begins)
    press(page, "copy as code")
    listing = page.locator(f"{PANEL} pre.loupe-code", has_text="import kit")
    listing.wait_for()
    assert listing.inner_text().strip() == lab.ask(page, "print(panel.code())").strip()


def test_a_state_string_brings_the_same_panel_back(page):
    _, grid = canvases(page)
    shown = caption(page)
    field = page.locator(PANEL).get_by_label("state", exact=True)
    state = field.input_value()
    lab.click_cell(page, grid, cell_of(page, "L0.H0"))
    wait_for(lambda: caption(page).startswith("L0.H0") and "L0.H0" in field.input_value())
    fill(page, "state", state)
    wait_for(lambda: caption(page) == shown)


def test_the_page_had_no_errors(start_page):
    assert start_page[1] == []
