"""What leaves a panel: numbers, picture, page and lines say what the panel shows, and where it comes from."""

import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import kit
from kit.errors import KitError
from kit.panels import Ablations, AnyModel, Explorer, Spans
from kit.panels.saving import BUTTONS, file_name
from tests.unit.test_every_panel import Page

COUNT = 60


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(COUNT, 14)


@pytest.fixture(scope="module")
def store(stickers, scenes):
    return kit.collect(stickers, scenes, "store", "60 scenes", selector="all", tokens="cls")


@pytest.fixture(scope="module")
def panels(stickers, scenes, store):
    made = {
        "Explorer": Explorer(stickers, texts=["a cat", "a dog"]),
        "AnyModel": AnyModel(stickers),
        "Spans": Spans(stickers, scenes, store),
        "Ablations": Ablations(stickers, scenes, store, [kit.edits.Means.shipped(stickers)]),
    }
    yield made
    for panel in made.values():
        assert panel.last_error is None
        panel.close()


def test_a_prompt_is_no_markup_on_a_page(panels, tmp_path):
    panel = panels["Explorer"]
    panel.controls["texts"].value = "<script>alert(1)</script>; a dog"
    page = Page(panel.save(tmp_path / "a.html").read_text(encoding="utf-8"))
    panel.controls["texts"].value = "a cat; a dog"
    assert "script" not in page.tags and "<script>alert(1)</script>" in " ".join(page.words)


def values_of(lines: str) -> dict:
    held: dict = {}
    exec(compile(lines, "lines", "exec"), held)
    return held


def test_the_lines_of_notebook_00_compute_its_numbers(panels):
    panel = panels["Explorer"]
    found = values_of(panel.code())
    table = panel.table()
    parts = table[table["view"] == "part"]["value"].to_numpy(float)
    assert np.allclose(found["scores"][0, :, 0], parts, atol=1e-6)
    cells = table[(table["view"] == "token") & table["name"].str.startswith("r")]["value"].to_numpy(float)
    assert np.allclose(found["heat"][0, :, 1:, 0].sum(0), cells, atol=1e-6)


def test_the_lines_of_notebook_20_compute_its_numbers(panels):
    panel = panels["AnyModel"]
    for direction in kit.projections.prompts.DIRECTIONS:
        panel.choose(texts=direction)
        table = panel.table()
        parts = table[table["view"] == "part"]["value"].to_numpy(float)
        assert np.allclose(values_of(panel.code())["scores"][0, :, 0], parts, atol=1e-5)


def test_the_lines_of_notebook_12_compute_its_texts(panels, scenes):
    panel = panels["Spans"]
    panel.choose(images="size: large")
    lines = re.sub(r"images = \.\.\..*", "images = scenes", panel.code()).splitlines()
    *lines, last, again = lines
    assert again == f"kit.panels.Spans(model, images, store, state={panel.string!r})"
    held = {"scenes": scenes}
    exec("\n".join([*lines, f"table = {last}"]), held)
    expected = panel.table()
    panel.choose(images="all images")
    assert list(held["table"]["text"]) == list(expected["text"])
    assert np.allclose(held["table"]["share"], expected["share"])


def test_the_lines_of_notebook_11_compute_its_accuracy(panels, scenes, stickers):
    panel = panels["Ablations"]
    lines = re.sub(r"images = \.\.\..*", "images = scenes", panel.code())
    lines = re.sub(r"reference = \.\.\..*", "reference = kit.edits.Means.shipped(model)", lines)
    held = {"scenes": scenes}
    *lines, last, again = lines.splitlines()
    assert again == f"kit.panels.Ablations(model, images, store, [reference], state={panel.string!r})"
    exec("\n".join([*lines, f"found = {last}"]), held)
    table = panel.table()
    rows = (table["question"] == panel.selection.texts) & (table["condition"] == "replaced")
    after = table[rows]["accuracy"].iloc[0]
    assert float(held["found"]) == pytest.approx(after, abs=1e-9)


def test_lines_name_the_pictures_that_the_panel_was_given(stickers, scenes):
    panel = Explorer(stickers, scenes[:3], texts=["a cat", "a dog"])
    assert "gallery" not in panel.code() and "images[0]" in panel.code()
    assert "seed 14;" in panel.provenance()
    panel.close()


def test_a_button_hands_out_a_file(panels, monkeypatch):
    panel, sent = panels["Explorer"], []
    monkeypatch.setattr(panel._saver, "send", lambda message, buffers=None: sent.append((message, buffers)))
    for kind, *_ in BUTTONS:
        panel._saver._handle_custom_msg({"save": kind}, [])
    names = [message.get("name", "") for message, _ in sent]
    assert [n.rpartition(".")[2] for n in names] == ["csv", "png", "html", ""]
    assert names[0].startswith("explorer-stickers-l8-scene-0-L")
    assert Image.open(io.BytesIO(sent[1][1][0])).format == "PNG"
    assert sent[3][0]["copy"] == panel.code() == panel._lines.text
    panel.choose(text=1)
    assert panel._lines.text == ""  # lines of what is no longer shown


def test_an_unknown_button_is_a_sentence(panels):
    panel = panels["Explorer"]
    panel._saver._handle_custom_msg({"save": ".exe"}, [])
    assert panel.message.startswith('no ".exe" can be saved; name a file that ends with one of .csv, .png')
    panel.choose(text=0)
    assert panel.message == ""


def test_what_cannot_be_written_is_said(panels, tmp_path):
    with pytest.raises(KitError, match=r"cannot be written .*name another place"):
        panels["Explorer"].save(tmp_path / "nowhere" / "a.csv")
    with pytest.raises(KitError, match=r'no "\.pdf" can be saved'):
        panels["Explorer"].save(tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_file_name_holds_no_path(panels):
    state = {"model": "timm/../x", "image": "../../etc", "selector": "L5.H0, L5.H1" * 30}
    name = file_name(SimpleNamespace(state=state), ".csv")
    assert "/" not in name and len(name) <= 84 and name.startswith("simplenamespace-timm-..-x-etc-L5.H0")


def test_the_parts_table_sums_to_the_bar(panels):
    table = panels["Explorer"].table()
    whole = table[(table["view"] == "bar") & (table["measure"] == "whole")]["value"].iloc[0]
    assert table[table["view"] == "part"]["value"].sum() == pytest.approx(whole, abs=1e-5)
