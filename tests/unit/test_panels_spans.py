"""Notebook 12's panel, without a browser: what it shows follows from its state, and no tower runs."""

import re

import pandas as pd
import pytest
import torch

import kit
from kit.errors import KitError
from kit.figures import Strip, number
from kit.panels import Spans
from kit.projections import Bank
from kit.projections.banks import OWN

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


def seen(panel, column: str = "text") -> list:
    """A column of the table of the head that is looked at."""
    return list(panel.shown.figures["listed"].frame[column])


def test_it_opens_on_the_head_of_which_one_text_explains_most(panel, store, grammar):
    assert panel.selection.part == kit.textspan(store.moments(), grammar, 1).summary()["share"].idxmax()
    assert panel.caption.startswith("5 texts of “stickers grammar” explain ")


def test_own_texts_and_the_state_are_always_there(panel):
    for _ in range(2):
        assert panel.controls["own"].layout.display is None and panel.line.layout.display is None
        assert panel.line.value == panel.string
        panel.choose(own="a cat; a dog")
    assert panel.selection.bank == OWN  # words that are typed are asked for


def test_the_texts_are_those_of_the_kit(panel, store, grammar):
    table = kit.textspan(store.moments(), grammar, 5).table
    kept = ["part", "rank", "text", "share"]
    pd.testing.assert_frame_equal(panel.shown.table[kept], table[kept], rtol=1e-6)
    mine = table[table["part"] == panel.selection.part]
    assert seen(panel) == list(mine["text"]) and seen(panel, "rank") == [1, 2, 3, 4, 5]
    assert seen(panel, "share of variance") == pytest.approx(list(mine["share"]), rel=1e-6)
    assert all(text in panel.views["listed"].widget.value for text in mine["text"])
    shares = table.groupby("part", sort=False)["share"].sum()
    assert panel.shown.figures["heads"].values == pytest.approx(shares.to_numpy())


@pytest.mark.parametrize("texts", [1, 4, 7, 32])
def test_fewer_texts_are_the_first_of_more(panel, store, grammar, texts):
    panel.choose(texts=20)
    panel.choose(texts=texts)
    expected = kit.textspan(store.moments(), grammar, texts).table
    assert list(panel.shown.table["text"]) == list(expected["text"])


def test_a_subset_has_texts_of_its_own(panel, store, grammar, scenes):
    panel.choose(images="size: large")
    large = (scenes.labels["size"] == "large").to_numpy()
    expected = kit.textspan(store.moments(large), grammar, 5).table
    assert list(panel.shown.table["text"]) == list(expected["text"])
    assert f"over {large.sum()} images" in panel.caption


def test_own_texts_are_encoded_once(panel, stickers):
    before = dict(stickers.passes)
    panel.choose(bank=OWN, own="a cat; a red thing")
    once = dict(stickers.passes)
    panel.choose(texts=2)
    assert dict(stickers.passes) == once and once.get("image") == before.get("image")


def test_right_and_wrong_are_told_by_the_roles(panel, stickers):
    table = kit.roles(stickers)
    table = table[table["significant"] & (table["kind"] == "head")]
    heads, told = panel.shown.figures["heads"], panel.shown.table.set_index("part")
    for name, says, mark in zip(heads.index["name"], heads.words, heads.marks):
        mine = table[table["part"] == name]
        assert says == told.loc[[name], "property"].iloc[0]
        if mine.empty:
            assert mark == "" and set(told.loc[[name], "true_role"]) == {""}
            continue
        truth = mine.loc[mine["share"].idxmax(), "attribute"]
        assert set(told.loc[[name], "true_role"]) == {truth}
        same = says == truth or (truth == "arrangement" and says in ("relation", "position"))
        assert mark == ("✓" if same else f"✗ {truth}")
    right, count = (sum(m[:1] in of for m in heads.marks if m) for of in ("✓", "✓✗"))
    assert f"tell the true role of {right} of {count} heads " in panel.caption and 0 < right < count


def test_the_pictures_are_those_with_most_and_least(panel, store, grammar, scenes):
    direction = grammar.vectors[grammar.texts.index(seen(panel)[0])][None]
    score = store.scores(direction, selector=panel.selection.part)[:, 0, 0]
    order, ends = score.argsort(descending=True), panel.shown.figures["ends"]
    most, least = order[:4].tolist(), order[-4:].tolist()
    assert ends.pictures == Strip([scenes.images[i] for i in most + least]).pictures
    assert ends.labels == tuple(number(score[i], digits=3, sign=True) for i in most + least)
    assert ends.heads[:4] == (f"it adds most to ‘{seen(panel)[0]}’",) * 4 and ends.heads[4:] == ("least",) * 4
    assert panel.views["ends"].widget.value.count("<img") == 8


def test_a_bank_without_properties_has_no_truth_to_agree_with(panel):
    assert "✗" in "".join(panel.shown.figures["heads"].marks)
    panel.choose(bank="random directions")
    heads, table = panel.shown.figures["heads"], panel.shown.table
    assert "true role" not in panel.caption + heads.title and set(heads.marks) == {""}
    assert list(heads.words) == list(table.loc[table["rank"] == 1, "text"])
    assert "tells" not in panel.shown.figures["listed"].frame


def test_own_texts_are_read_and_unknown_words_named(panel):
    panel.controls["own"].value = "a cat; a blorb"
    assert panel.selection.bank == OWN and "blorb" in panel.note.text
    assert set(seen(panel)) <= {"a cat", "a blorb"}
    panel.choose(bank="stickers grammar")
    assert panel.note.text == ""


def test_one_text_is_told_as_one(panel):
    panel.choose(own="a cat; a cat")
    assert (
        panel.caption.startswith("1 text of “own texts” explains ")
        and "The text is ‘a cat’." in panel.caption
    )


def test_a_head_that_varies_along_no_text_is_said_and_has_no_pictures(panel, store, grammar):
    head = store.moments(None, "L5.H0")
    beside = torch.linalg.svd(head.gain[0].double()).Vh[-1:].float()  # what the head cannot write
    panel.banks["random directions"] = Bank(["nothing"], beside, name="random directions")
    panel.choose(bank="random directions", part="L5.H0")
    assert panel.caption == f"L5.H0 varies along none of these texts over {COUNT} images."
    assert panel.shown.figures["ends"].pictures == () and panel.shown.figures["listed"].frame.empty
    assert panel.png()[:4] == b"\x89PNG" and panel.message == ""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"texts": 0}, "texts a head 0 cannot be; give a whole number from 1 to 32."),
        ({"texts": 99}, "texts a head 99 cannot be"),
        ({"texts": "many"}, "texts a head many cannot be"),
        ({"bank": "stikers grammar"}, 'no bank "stikers grammar" here; there are stickers grammar, '),
        ({"images": "size: lrge"}, 'no images "size: lrge" here'),
        ({"part": "L9.H0"}, 'no head "L9.H0" here; there are 36, from L0.H0.'),
        ({"bank": OWN, "own": " ; "}, "there are no own texts yet"),
        ({"score": "best"}, 'no score "best"'),
    ],
)
def test_what_cannot_be_is_a_sentence_and_the_last_state_stays(panel, fields, message):
    before, caption = panel.state, panel.caption
    panel.choose(**fields)
    assert message in panel.message and panel.state == before and panel.caption == caption
    assert panel.controls["texts"].value == before["texts"] and panel.last_error is None
    panel.choose(texts=6)
    assert panel.message == ""


MANY = "stickers-l8|stickers grammar|many|released|all images|L5.H0|"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("x|y", "is not a state"),
        (MANY, "texts a head many cannot be"),
        (MANY.replace("stickers-l8", "a"), 'this panel has the model "stickers-l8", and the state is of "a"'),
    ],
)
def test_a_bad_state_string(panel, stickers, scenes, store, state, message):
    with pytest.raises(KitError, match=re.escape(message)):
        Spans(stickers, scenes, store, list(panel.banks.values()), state=state)
    before = panel.state
    panel.line.value = state
    assert message in panel.message and panel.state == before and panel.line.value == panel.string


def test_clicks_pick_heads(panel):
    grid = panel.views["heads"].widget
    cell = grid.labels.index("L4.H4")
    grid.picked = [cell]
    assert panel.selection.part == "L4.H4" and panel.shown.figures["heads"].picked == ("L4.H4",)
    assert "L4.H4" in panel.shown.figures["listed"].title
    grid.picked = []
    assert grid.picked == [cell]  # one head is always looked at


def test_texts_cannot_carry_markup(panel):
    panel.choose(bank=OWN, own="<b>a cat</b>; a dog")
    page = panel.views["listed"].widget.value
    assert "<b>a cat" not in page and "&lt;b&gt;a cat" in page


def test_other_images_than_those_of_the_store(stickers, store):
    with pytest.raises(KitError, match="the store is not of these 5 images"):
        Spans(stickers, kit.world.draw(5, 1), store)


def test_a_store_without_heads(stickers, scenes):
    store = kit.collect(stickers, scenes.images[:8], "store", "eight", selector="L*.MLP")
    with pytest.raises(KitError, match="keeps no heads"):
        Spans(stickers, scenes.images[:8], store)
