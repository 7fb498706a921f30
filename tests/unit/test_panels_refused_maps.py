"""Panels of a tower whose maps of one layer, or of all, are refused: the sentence, and all else alive."""

import copy

import numpy as np
import pytest
import torch

import kit
from kit.models.directions import Directions
from kit.panels import AnyModel, Explorer, HeadTokens, Segmenter
from kit.parts.runs import _Recorder
from tests.unit import tiny_models as tiny

TEXTS = ("a cat", "a dog", "a red thing")
SAID = (
    "source token are refused: they sum to something else than the scores of its heads, 2e-02 of their size"
)


def wrong_rows(self, layer, call, out, record=_Recorder.attention):
    """Takes patterns of the layers that the model's name ends in for 2 % more than they are."""
    out = record(self, layer, call, out)
    if self.tokens and str(layer) in self.graph.name.partition("wrong in ")[2]:
        pattern, value = self.attentions[layer]
        self.attentions[layer] = 1.02 * pattern, value
    return out


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return kit.load(tiny.write_folder(tmp_path_factory.mktemp("model") / "tiny"))


@pytest.fixture
def one(whole, monkeypatch):
    """The same model, whose maps of layer 1 are wrong."""
    return wrong(whole, "1", monkeypatch)


@pytest.fixture
def every(whole, monkeypatch):
    return wrong(whole, "0, 1", monkeypatch)


def wrong(whole, layers, monkeypatch):
    monkeypatch.setattr(_Recorder, "attention", wrong_rows)
    model = copy.copy(whole)
    model.name = f"wrong in {layers}"
    return model


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(2, seed=0)


def fine(panel):
    """Nothing went wrong, and all of it can be drawn, told and saved."""
    assert panel.last_error is None
    assert panel.png()[:4] == b"\x89PNG" and panel.finding() and len(panel.table())


def test_the_explorer_draws_parts_and_bars_and_says_why_there_is_no_map(one, whole, scenes):
    panel, other = (Explorer(m, scenes, TEXTS) for m in (one, whole))
    for selector in ("L1.H0", "L1.H*", "L0.H1, L1.H1", "L1"):
        panel.choose(selector=selector), other.choose(selector=selector)
        assert np.isnan(panel.found.heat).all() and SAID in panel.caption and "L1" in panel.caption
        np.testing.assert_array_equal(panel.found.cells, other.found.cells)
        np.testing.assert_array_equal(panel.found.bars, other.found.bars)
        fine(panel)
    panel.choose(selector="L0.H1"), other.choose(selector="L0.H1")
    np.testing.assert_array_equal(panel.found.heat, other.found.heat)
    assert panel.caption == other.caption and SAID not in panel.caption
    panel.choose(tokens="r0c0"), other.choose(tokens="r0c0")
    names = panel.found.names
    assert np.isnan(panel.found.cells[names.index("L1.H0")])
    assert panel.found.cells[names.index("L0.H0")] == other.found.cells[names.index("L0.H0")]
    panel.choose(selector="L1.H0")
    assert SAID in panel.caption and "nan" not in panel.caption
    fine(panel)


def test_tokens_cannot_be_picked_where_all_maps_are_refused(every, scenes):
    panel = Explorer(every, scenes, TEXTS)
    assert SAID in panel.caption and "So are those of 1 more layers." in panel.caption
    panel.choose(tokens="r0c0")
    assert SAID in panel.message and panel.state["tokens"] == ""
    fine(panel)
    held = HeadTokens(every, scenes, TEXTS)
    assert SAID in held.caption
    held.choose(tokens="r0c0")
    assert SAID in held.message and held.state["tokens"] == ""
    fine(held)


def test_heads_and_tokens_show_the_other_heads(one, whole, scenes):
    panel, other = (HeadTokens(m, scenes, TEXTS) for m in (one, whole))
    figures = lambda: (panel.shown.figures, other.shown.figures)  # noqa: E731
    for each in (panel, other):
        each.choose(selector="L1.H0", layer=1, film="each layer")
    assert np.isnan(panel.shown.figures["maps"].values).all() and SAID in panel.caption
    mine, its = figures()
    assert np.isnan(mine["frames"].values).all() and "nan" not in mine["frames"].says
    np.testing.assert_allclose(mine["bars"].values, its["bars"].values, atol=1e-6)
    for each in (panel, other):
        each.choose(layer=0)
    mine, its = figures()
    np.testing.assert_array_equal(mine["frames"].values, its["frames"].values)
    fine(panel)
    panel.choose(shows="attention")
    assert SAID in panel.message and panel.state["shows"] == "prompt"
    panel.choose(selector="L0.H0, L1.H0")
    assert SAID in panel.shown.figures["maps"].says
    for each in (panel, other):
        each.choose(selector="L0.H1", tokens="r1c1")
    mine, its = figures()
    np.testing.assert_array_equal(mine["maps"].values, its["maps"].values)
    assert all(reader.startswith("L0.") for reader in mine["readers"].layout.col_names)
    assert "all heads that have maps add" in mine["readers"].says
    fine(panel)


def test_towers_show_verdict_parts_and_the_sentence(one, scenes):
    panel = AnyModel(one, scenes)
    panel.choose(selector="L1.H1")
    assert "; token maps of L1 do not sum to their heads and are refused." in panel.note.text
    assert np.isnan(panel.views["map"].widget.numbers).all() and SAID in panel.caption
    fine(panel)


def test_the_segmenter_shows_the_other_methods(one, scenes):
    things = sorted({t for column in ("concept", "concept_2") for t in scenes.labels[column].dropna()})
    vectors = torch.nn.functional.normalize(
        torch.randn(len(things), one.embed_dim, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    panel = Segmenter(one, scenes, Directions(things, vectors))
    assert panel.state["method"] == "raw attention" and "token heatmap" not in list(panel.table()["method"])
    assert "Without token heatmap" in panel.caption and SAID in panel.caption
    before = panel.caption
    panel.choose(method="token heatmap")
    assert SAID in panel.message and panel.caption == before
    panel.choose(method="rollout")
    assert panel.message == "" and panel.caption.startswith("rollout")
    fine(panel)
