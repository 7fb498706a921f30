"""What holds of every panel: its state, what cannot be, what is saved, what is left when it is closed."""

import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from ipywidgets.widgets import widget
from PIL import Image

import kit
from kit.panels.chart import _plotly
from tests.golden.record import restore, string, typed
from tests.golden.states import _NET, PANELS, STATES, aligned, model, segmented
from tests.wire import messages

LIMIT = 60_000  # bytes of a click
WRONG = {
    "Explorer": ("stickers-l8|scene 0|L9.H9|a cat;a dog", "layer 9 does not exist"),
    "HeadTokens": ("stickers-l8|scene 0|L4.MLP|a cat", "L4.MLP is no head; name one head, or two"),
    "Spans": ("stickers-l8|grammar|5|released|all images|L5.H0|", 'no bank "grammar" here; there are '),
    "Segmenter": ("stickers-l8|scene 0|blorb|rollout", 'no class "blorb" here; there are '),
    "Groups": (f"{STATES['Groups'][1]}|off=L7.H0", "layer 7 does not exist"),
    "Retrieval": ("stickers-l8|image 1|L9.H0|centred|colour|0", 'no head "L9.H0"'),
    "Ablations": ("stickers-l8|100 held-out scenes|L9.H0|colour|replace=mean", "layer 9 does not exist"),
    "AnyModel": (f"{_NET}|scene 0|L1.H0|its own directions", "Nearest: its own direction"),
    "Ranking": ("stickers-deit|colour|R|L9.H0|", 'no part "L9.H0"'),
    "PlantedMaps": (
        "planted parts|as the numbers say|4|8|each part its own|ridge|1|part 0",
        "shares at most all of these",
    ),
}
# a head, a prompt that was encoded, a switch: arithmetic on what is kept (design §7)
CLICKS = {
    "Explorer": [{"selector": "L2.H1"}, {"text": 1}, {"off": "L0.H0"}, {"tokens": "r1c1"}],
    "HeadTokens": [
        {"selector": "L2.H1, L3.H3"}, {"tokens": "r1c1, cls"}, {"text": 1}, {"shows": "attention"},
        {"shows": "own text"}, {"layer": 1}, {"film": "each layer"}, {"directions": "raw"}, {"tokens": ""},
    ],
    "Spans": [{"part": "L2.H1"}, {"texts": 7}, {"images": "size: large"}, {"bank": "random directions"}],
    "Segmenter": [{"method": "rollout"}, {"image": "scene 2"}, {"text": "elephant"}],
    "Groups": [{"off": "L2.H1"}, {"off": "none"}],
    "Retrieval": [{"part": "L2.H1"}, {"how": "raw"}, {"query": "image 9"}, {"attribute": "size"}],
    "Ablations": [
        {"selector": "L2.H1"}, {"texts": "size"}, {"replace": "zero"},
        {"image": "scenes on water", "replace": "mean"},
    ],
    "AnyModel": [{"selector": "L2.H1"}, {"tokens": "r1c1"}, {"texts": "a random direction"}],
    "Ranking": [{"part": "L2.H1"}, {"score": "share"}, {"feature": "size"}, {"feature": "concept"}],
    "PlantedMaps": [{"part": "part 3"}, {"shared": 2}, {"world": "B: narrow parts"}, {"kind": "marginal"}],
}  # fmt: skip


@pytest.fixture(scope="module", params=PANELS)
def made(request):
    panel = PANELS[request.param](STATES[request.param][0])
    yield panel
    assert panel.last_error is None
    panel.close()


@pytest.fixture
def panel(made):
    """Each panel, in the first of its states."""
    restore(made, STATES[name_of(made)][0])
    return made


def name_of(panel) -> str:
    return type(panel).__name__


def shown(panel) -> tuple:
    """All that a state is seen by."""
    return json.dumps(panel.state), string(panel), panel.caption, panel.finding(), panel.table().to_csv()


def test_all_panels_are_here():
    assert WRONG.keys() == CLICKS.keys() == PANELS.keys() == {*kit.panels.__all__} & PANELS.keys()


def test_a_state_is_plain_data_and_its_string_brings_it_back(panel):
    first, (other, third) = shown(panel), STATES[name_of(panel)][1:3]
    seen = {first}
    for state in (other, third):
        restore(panel, state)
        seen.add(shown(panel))
    assert len(seen) == 3
    restore(panel, first[1])
    assert shown(panel) == first


def test_a_string_makes_an_equal_panel_that_leaves_no_widget_behind(panel):
    restore(panel, STATES[name_of(panel)][1])
    _plotly()  # what all charts share outlives them
    before = set(widget._instances)
    again = PANELS[name_of(panel)](string(panel))
    assert shown(again) == shown(panel) and len(widget._instances) > len(before) + 20
    again.close()
    left = [type(each).__name__ for key, each in widget._instances.items() if key not in before]
    assert left == []
    again.close()  # twice is no error


@pytest.mark.parametrize("wrong", ["nonsense", "its own"])
def test_what_cannot_be_is_a_sentence_and_all_stays(panel, wrong):
    before = shown(panel)
    state, message = ("nonsense", "is not a state") if wrong == "nonsense" else WRONG[name_of(panel)]
    typed(panel, state)
    assert message in panel.message and shown(panel) == before and panel.last_error is None
    restore(panel, STATES[name_of(panel)][1])
    assert panel.message == "" and shown(panel) != before


def test_a_bad_beginning_is_an_error(panel):
    with pytest.raises(kit.KitError, match="is not a state"):
        PANELS[name_of(panel)]("nonsense")


def names_in(panel) -> dict:
    """What the names in copied lines stand for: what the panel was given."""
    held = {**vars(panel), "kit": kit, "images": getattr(panel, "images", getattr(panel, "pictures", None))}
    if isinstance(panel, kit.panels.Retrieval):
        held["store"] = panel.gallery.store
    if isinstance(panel, kit.panels.Ranking):
        held["towers"] = [tower for tower in panel.given.values() if tower]
    if isinstance(panel, kit.panels.Ablations):
        held["reference"] = panel.references.get(panel.selection.image)
    if isinstance(panel, kit.panels.Segmenter):
        held |= {"scenes": kit.world.gallery()[[0, 9, 16, 18]], "directions": segmented()[0]}
    return held


def test_copied_lines_end_with_the_panel_as_it_stands(panel):
    restore(panel, STATES[name_of(panel)][1])
    if name_of(panel) == "HeadTokens":
        panel.choose(shows="attention")  # texts of their own cannot be written as lines
    again = eval(panel.code().splitlines()[-1], names_in(panel))
    assert type(again) is type(panel) and again.state == panel.state
    assert again.caption.split(":")[0] == panel.caption.split(":")[0]
    again.close()


def passes(panel) -> list[dict]:
    models = [
        model(),
        model("stickers-l8-web"),
        *getattr(getattr(panel, "cases", None), "models", {}).values(),
        *([panel.model] if hasattr(panel, "model") else []),
        *[tower.base for tower in aligned()],
    ]
    return [dict(each.passes) for each in models if hasattr(each, "passes")]


def test_a_click_runs_no_tower_and_sends_little(panel):
    before, seen = passes(panel), {shown(panel)}
    for fields in CLICKS[name_of(panel)]:
        with messages() as sent:
            panel.choose(**fields)
        assert panel.message == "" and sum(sent) < LIMIT, (fields, panel.message, sum(sent))
        seen.add(shown(panel))
    assert len(seen) == 1 + len(CLICKS[name_of(panel)])  # every click shows something else
    assert passes(panel) == before


def test_a_saved_notebook_shows_picture_and_sentence(panel):
    data, _ = panel._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG") and "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == panel.finding() and "\n" not in panel.finding()
    assert panel.caption in panel.finding() and panel.finding().startswith(panel.state["model"])


def test_numbers_picture_and_lines_are_saved_with_where_they_come_from(panel, tmp_path):
    table = pd.read_csv(panel.save(tmp_path / "a.csv"), comment="#")
    expected = panel.table().reset_index(drop=True)
    assert list(table) == list(expected) and len(table) == len(expected) > 5
    for column in expected.select_dtypes("number"):
        assert np.allclose(table[column], expected[column].astype(float), equal_nan=True)
    lines = panel.save(tmp_path / "a.py").read_text(encoding="utf-8")
    compile(lines, "lines", "exec")
    first = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()[0]
    assert first == lines.splitlines()[0] == f"# {panel.provenance()}"
    assert f"model {panel.state['model']}" in first and ", weights " in first
    picture = Image.open(panel.save(tmp_path / "a.png"))
    assert picture.width > 300 and picture.text["Source"] == panel.provenance()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.png", "a.py"]  # nothing temporary


class Page(HTMLParser):
    """The words, the tags and the addresses of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.addresses, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


def test_a_page_needs_nothing_but_itself(panel, tmp_path):
    page = Page(panel.save(tmp_path / "a.html").read_text(encoding="utf-8"))
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert "script" not in page.tags and page.tags.count("img") == 1
    words = " ".join(page.words)
    assert panel.finding() in words and panel.provenance() in words and panel.code() in words
    assert page.tags.count("tr") == len(panel.table()) + 1
