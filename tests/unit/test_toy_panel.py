"""A panel of some fifty lines has all that the others have: its base brings it."""

import io
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import kit
from tests.unit import toy_panel
from tests.unit.toy_panel import INDEX, MODEL, TEXTS, Toy
from tests.wire import messages

LINES = 60


@pytest.fixture
def panel():
    made = Toy(MODEL)
    yield made
    assert made.last_error is None
    made.close()


def click_bar(panel, name: str) -> None:
    """What the browser's message of a click on a bar does in the kernel."""
    content = {"method": "custom", "content": {"picked": name}}
    panel.views["bars"].widget._handle_msg({"content": {"data": content}, "buffers": []})


def pick(panel, *names: str) -> None:
    """What the browser sends when cells of the grid are picked."""
    canvas = panel.views["heads"].widget
    canvas.set_state({"picked": [canvas.labels.index(name) for name in names]})


def test_a_whole_panel_is_short():
    assert len(Path(toy_panel.__file__).read_text("utf-8").splitlines()) <= LINES


def test_the_state_string_brings_the_panel_back(panel):
    panel.choose(scene="blue", text="a hat", part="L1.H2", draws=200, name="Ada | 50 %=ü")
    state, caption = panel.string, panel.caption
    again = Toy(MODEL, state)
    assert again.string == state and again.caption == caption == "Ada | 50 %=ü writes +6.61 for ‘a hat’."
    panel.choose(scene="red", name="")
    panel.line.value = state
    assert (panel.string, panel.caption, panel.message) == (state, caption, "")
    again.close()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"text": "a cta"}, 'no text "a cta" here; there are a cat, a dog, a hat. Nearest: a'),
        ({"part": "L7.H0"}, 'no head "L7.H0" here; there are L0.H0, L0.H1, L0.H2, L1.H0, L1.H1, L1.H2.'),
        ({"draws": 9}, "draws 9 cannot be; give a whole number from 10 to 500."),
        ({"name": "nobody"}, '"nobody" is no name here; write another, or none.'),
        ({"scne": "red"}, 'no field "scne"; there are scene, text, draws, name, part. Nearest: scene'),
    ],
)
def test_what_cannot_be_is_a_sentence_and_all_stays(panel, fields, sentence):
    before, caption = panel.string, panel.caption
    panel.choose(**fields)
    assert panel.message.startswith(sentence) and (panel.string, panel.caption) == (before, caption)
    assert panel.line.value == before and panel.controls["draws"].value == 100
    panel.choose(text="a dog")
    assert panel.message == ""


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("toy|red", 'is not a state: 2 fields; write "model|scene|text|part'),
        ("other|red|a cat|L0.H0", 'this panel has the model "toy"'),
        ("toy|green|a cat|L0.H0", 'no picture "green" here; there are red, blue.'),
        ("toy|red|a cat|L0.H0|drwas=9", '"drwas=9" is no field of this state'),
    ],
)
def test_a_state_that_cannot_be_is_a_sentence(panel, state, sentence):
    before = panel.string
    panel.line.value = state
    assert sentence in panel.message and panel.string == panel.line.value == before
    with pytest.raises(kit.KitError):
        Toy(MODEL, state)


def test_all_files_are_saved_and_say_the_same(panel, tmp_path):
    panel.choose(text="a dog", part="L1.H0")
    for ending in ("csv", "png", "html", "py"):
        panel.save(tmp_path / f"toy.{ending}")
    table = pd.read_csv(tmp_path / "toy.csv", comment="#")
    assert set(table["figure"]) == {"map", "heads", "bars"}
    assert list(table.loc[table["figure"] == "bars", "label"]) == TEXTS
    assert list(table.loc[table["picked"].eq(True) & table["part"].notna(), "part"]) == ["L1.H0"]
    image = Image.open(tmp_path / "toy.png")
    assert image.width > 300 and "model toy" in image.info["Source"]
    page = (tmp_path / "toy.html").read_text("utf-8")
    assert panel.caption in page and page.startswith("<!doctype html>")
    held: dict = {"Toy": Toy, "model": MODEL}
    exec((tmp_path / "toy.py").read_text("utf-8").replace("np.random", "all = np.random"), held)
    bars = panel.shown.figures["bars"].values[:, 0]
    assert held["all"][3] == pytest.approx(bars)
    with pytest.raises(kit.KitError, match="can be saved; name a file"):
        panel.save(tmp_path / "toy.docx")


def test_a_click_on_a_bar_chooses_as_the_menu_does(panel):
    click_bar(panel, "a hat")
    assert panel.state["text"] == panel.controls["text"].value == "a hat" and "‘a hat’" in panel.caption
    clicked = panel.shown.figures
    panel.choose(text="a cat")
    panel.controls["text"].value = "a hat"
    assert panel.shown.figures == clicked
    click_bar(panel, "a horse")
    assert 'no text "a horse" here' in panel.message and panel.state["text"] == "a hat"


def test_a_click_in_the_grid_chooses_a_head(panel):
    canvas = panel.views["heads"].widget
    pick(panel, "L1.H1")
    assert panel.state["part"] == "L1.H1" and panel.caption.startswith("L1.H1 writes")
    assert panel.shown.figures["map"].title.endswith("what L1.H1 reads")
    pick(panel, "L1.H1", "L0.H2")  # shift and click: the head that came last
    assert panel.state["part"] == "L0.H2" and canvas.picked == [canvas.labels.index("L0.H2")]
    pick(panel)
    assert panel.state["part"] == "L0.H2" and canvas.picked == [canvas.labels.index("L0.H2")]


def test_every_figure_says_in_words_what_it_shows(panel):
    panel.choose(part="L0.H2", text="a dog")
    for name, view in panel.views.items():
        assert view.widget.alt == panel.shown.figures[name].alt
    assert panel.views["map"].widget.alt.startswith("Where: what L0.H2 reads. share: 4 by 4 tokens, largest")
    assert all(part in panel.views["heads"].widget.alt for part in INDEX["name"])


def test_its_still_and_its_line_of_text_stand_beside_the_live_panel(panel):
    bundle, _ = panel._repr_mimebundle_()
    assert bundle["text/plain"] == f"toy, red: {panel.caption}"
    assert Image.open(io.BytesIO(bundle["image/png"])).width > 300


def test_what_did_not_change_is_not_sent(panel):
    figures = panel.shown.figures
    with messages() as sent:
        panel.choose(name="Ada")
    assert all(panel.shown.figures[name] == figures[name] for name in figures)
    assert sum(sent) < 4_000
    with messages() as sent:
        panel.choose(name="Ada")
    assert sum(sent) < 2_000
