"""Notebook 12's panel, without a browser: what it shows follows from its state, and no tower runs."""

import numpy as np
import pandas as pd
import pytest
import torch
from kit.panels.head_words import EVERY, OWN, HeadWords, SpanState, subsets

import kit
from kit.errors import KitError
from kit.panels import Spans
from kit.projections import Bank

COUNT = 120


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(COUNT, 6, kind="single")


@pytest.fixture(scope="module")
def store(stickers, scenes):
    return kit.collect(stickers, scenes, "store", "120 scenes", selector="L*.H*")


@pytest.fixture(scope="module")
def grammar(stickers):
    return Bank.stickers(stickers)


@pytest.fixture
def panel(stickers, scenes, store, grammar):
    made = Spans(stickers, scenes, store, [grammar, Bank.random(stickers, 50)])
    yield made
    made.close()


def test_it_opens_on_the_head_of_which_one_text_explains_most(panel):
    one = panel.cases.find(panel.selection.changed(texts=1))
    assert panel.selection.part == panel.cases.index["name"][int(one.shares.argmax())]
    assert panel.caption.startswith("5 texts of “stickers grammar” explain ")


def test_the_state_is_shown_whether_or_not_own_texts_are_asked(panel):
    assert panel.own.layout.display == "none" and panel.line.layout.display is None
    panel.choose(bank=OWN, own="a cat; a dog")
    assert panel.own.layout.display == "" and panel.line.layout.display is None


def test_the_texts_are_those_of_the_kit(panel, store, grammar):
    table = kit.textspan(store.moments(), grammar, 5).table
    kept = ["part", "rank", "text", "share"]
    pd.testing.assert_frame_equal(panel.found.table[kept], table[kept], rtol=1e-6)
    mine = table[table["part"] == panel.selection.part]
    assert list(panel.found.listed["text"]) == list(mine["text"])
    assert all(text in panel.list.value for text in mine["text"])


@pytest.mark.parametrize("texts", [1, 4, 7, 32])
def test_fewer_texts_are_the_first_of_more(panel, store, grammar, texts):
    panel.choose(texts=20)
    panel.choose(texts=texts)
    expected = kit.textspan(store.moments(), grammar, texts).table
    assert list(panel.found.table["text"]) == list(expected["text"])


def test_a_subset_has_texts_of_its_own(panel, store, grammar, scenes):
    panel.choose(images="size: large")
    large = (scenes.labels["size"] == "large").to_numpy()
    expected = kit.textspan(store.moments(large), grammar, 5).table
    assert list(panel.found.table["text"]) == list(expected["text"])
    assert f"over {large.sum()} images" in panel.caption


def test_no_tower_runs_on_any_change(panel, stickers, monkeypatch):
    before = dict(stickers.passes)
    panel.choose(texts=9)
    panel.choose(bank="random directions")
    panel.choose(images="size: large", part="L2.H1", score="variance")
    assert dict(stickers.passes) == before
    panel.choose(bank=OWN, own="a cat; a red thing")
    once = dict(stickers.passes)
    panel.choose(texts=2)
    assert dict(stickers.passes) == once and once.get("image") == before.get("image")


def test_right_and_wrong_are_told_by_the_roles(panel, stickers):
    table = kit.roles(stickers)
    table = table[table["significant"] & (table["kind"] == "head")]
    for name, says, truth, right in zip(
        panel.cases.index["name"], panel.found.says, panel.found.truth, panel.found.right
    ):
        mine = table[table["part"] == name]
        if mine.empty:
            assert truth == "" and right is None
            continue
        assert truth == mine.loc[mine["share"].idxmax(), "attribute"]
        same = says == truth or (truth == "arrangement" and says in ("relation", "position"))
        assert right == same
    assert panel.found.agrees.right.sum() == sum(r is True for r in panel.found.right)


def test_the_pictures_are_those_with_most_and_least(panel, store, grammar):
    first = panel.found.listed["text"].iloc[0]
    direction = grammar.vectors[grammar.texts.index(first)][None]
    score = store.scores(direction, selector=panel.selection.part)[:, 0, 0]
    assert panel.found.values[0] == pytest.approx(float(score.max()))
    assert panel.found.extremes[0] == int(score.argmax()) and panel.found.extremes[-1] == int(score.argmin())
    assert panel.ends.value.count("<img") == 8


def test_a_bank_without_properties_has_no_truth_to_agree_with(panel):
    panel.choose(bank="random directions")
    assert panel.found.agrees is None and set(panel.found.says) == {""} and "✗" not in panel.map.value


def test_own_texts_are_read_and_unknown_words_named(panel):
    panel.own.value = "a cat; a blorb"
    assert panel.selection.bank == OWN and "blorb" in panel.unseen.text
    assert set(panel.found.listed["text"]) <= {"a cat", "a blorb"}
    panel.choose(bank="stickers grammar")
    assert panel.unseen.text == ""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"texts": 0}, "0 texts for each head cannot be listed; ask for 1 to 32."),
        ({"texts": 99}, "99 texts for each head"),
        ({"bank": "stikers grammar"}, 'no bank "stikers grammar"'),
        ({"images": "size: lrge"}, 'no images "size: lrge"'),
        ({"part": "L9.H0"}, 'no head "L9.H0" in the store'),
        ({"bank": OWN, "own": " ; "}, "there are no own texts yet"),
        ({"score": "best"}, 'no score "best"'),
    ],
)
def test_what_cannot_be_is_a_sentence_and_the_last_state_stays(panel, fields, message):
    before, caption = panel.state, panel.caption
    panel.choose(**fields)
    assert message in panel.message and panel.state == before and panel.caption == caption
    assert panel.texts.value == before["texts"] and panel.last_error is None
    panel.choose(texts=6)
    assert panel.message == ""


def test_a_state_string_brings_everything_back(panel, stickers, scenes, store):
    panel.choose(texts=3, images="size: large", part="L3.H2", score="variance", own="a cat; a dog")
    again = Spans(stickers, scenes, store, panel.cases.banks, state=str(panel.selection))
    assert again.state == panel.state and again.caption == panel.caption
    again.close()


@pytest.mark.parametrize(("state", "message"), [("x|y", "is not a state"), ("a|b|many|c|d|e|", "many texts")])
def test_a_bad_state_string(panel, state, message):
    with pytest.raises(KitError, match=message):
        SpanState.parse(state)
    before = panel.state
    panel.line.value = state
    assert message in panel.message and panel.state == before and panel.line.value == str(panel.selection)


def test_clicks_pick_heads(panel):
    cell = panel.found.grid.labels.index("L4.H4")
    panel.grid.picked = [cell]
    assert panel.selection.part == "L4.H4" and 'title="L4.H4: ' in panel.map.value
    panel.grid.picked = []
    assert panel.grid.picked == [cell]  # one head is always looked at


def test_a_saved_notebook_shows_picture_and_sentence(panel):
    bundle, _ = panel._repr_mimebundle_()
    assert bundle["image/png"].startswith(b"\x89PNG") and panel.caption in bundle["text/plain"]


def test_texts_cannot_carry_markup(panel):
    panel.choose(bank=OWN, own="<b>a cat</b>; a dog")
    assert "<b>a cat" not in panel.list.value and "&lt;b&gt;a cat" in panel.list.value


def test_other_images_than_those_of_the_store(stickers, store):
    with pytest.raises(KitError, match="the store is not of these 5 images"):
        Spans(stickers, kit.world.draw(5, 1), store)


def test_a_store_without_heads(stickers, scenes):
    store = kit.collect(stickers, scenes.images[:8], "store", "eight", selector="L*.MLP")
    with pytest.raises(KitError, match="keeps no heads"):
        HeadWords(stickers, store)


def test_subsets_leave_out_numbers_and_what_is_too_small():
    labels = pd.DataFrame(
        {
            "size": ["small"] * 30 + ["large"] * 30,
            "area": np.linspace(0, 1, 60),
            "artist": ["a"] * 59 + ["b"],
            "name": [str(i) for i in range(60)],
        }
    )
    assert list(subsets(labels)) == [EVERY, "size: large", "size: small", "artist: a"]
    assert torch.from_numpy(subsets(labels)["size: small"]).sum() == 30
