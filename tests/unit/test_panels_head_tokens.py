"""Notebook 16's panel, without a browser: what it shows follows from its state; no click runs a tower."""

import numpy as np
import pytest
import torch

import kit
from kit.errors import KitError
from kit.panels import HeadTokens, head_tokens, prompt_directions
from kit.projections import Bank, own_texts
from tests.unit.panel_doubles import picture_bytes

TEXTS = ("a cat", "a dog", "a red thing", "a thing on grass")


@pytest.fixture(scope="module")
def bank(stickers):
    return Bank.stickers(stickers)


@pytest.fixture(scope="module")
def spans(stickers, bank):
    moments = kit.collect(stickers, kit.world.draw(60, 3), "moments", "60 scenes", selector="L*.H*")
    return kit.textspan(moments, bank, texts=1)


@pytest.fixture
def panel(stickers, spans, bank):
    made = HeadTokens(stickers, texts=TEXTS, spans=spans, bank=bank)
    yield made
    assert made.last_error is None
    made.close()


@pytest.fixture(scope="module")
def held(stickers):
    return kit.run(stickers, stickers.preprocess(kit.world.gallery().images[16:17]))


@pytest.fixture(scope="module")
def maps(stickers, held):
    """[head, token, text] of scene 16."""
    return held.maps(prompt_directions(stickers.encode_text(TEXTS), "contrast"))[0].numpy()


def canvas(panel, name):
    """The canvas of a figure; of several maps, those that are seen, the picture first."""
    view = panel.views[name]
    if not hasattr(view, "tiles"):
        return view.widget
    seen = zip(view.tiles, view.widget.children)
    return [tile.widget for tile, box in seen if box.layout.display != "none"]


def pick(panel, *heads):
    """Pick heads in the grid, as a click does, and a click with shift."""
    canvas(panel, "grid").picked = [canvas(panel, "grid").labels.index(head) for head in heads]


def held_beside(panel):
    return panel.controls["hold"].button_style == "info"


def test_a_head_shows_its_map_and_a_shift_click_another_beside_it(panel, maps):
    panel.choose(image="scene 16")
    pick(panel, "L5.H0")
    assert panel.selection.selector == "L5.H0" and len(canvas(panel, "maps")) == 2
    pick(panel, "L5.H0", "L2.H3")
    assert panel.selection.selector == "L5.H0, L2.H3"
    first, second = (maps[k, 1:, 0].reshape(8, 8) for k in (30, 15))
    picture, *drawn = canvas(panel, "maps")
    assert np.isnan(picture.numbers).all() and picture.picture == drawn[0].picture
    assert len(drawn) == 3 and len({heat.vmax for heat in drawn}) == 1
    for heat, expected in zip(drawn, (first, second, first - second)):
        assert np.allclose(heat.numbers, expected, atol=1e-6)
        assert heat.vmax >= np.abs(expected).max()


def test_a_held_head_stays_while_others_are_clicked(panel):
    pick(panel, "L5.H0")
    panel.controls["hold"].click()
    assert held_beside(panel) and len(canvas(panel, "maps")) == 2
    pick(panel, "L3.H1")
    pick(panel, "L4.H4")
    assert panel.selection.selector == "L4.H4, L5.H0"
    panel.controls["hold"].click()
    assert panel.selection.selector == "L4.H4" and len(canvas(panel, "maps")) == 2
    panel.choose(selector="L4.H4, L5.H0")
    assert held_beside(panel)
    pick(panel, "L4.H4")  # shift-click on the second takes it away
    assert panel.selection.selector == "L4.H4" and not held_beside(panel)


def test_a_token_says_who_reads_it_for_which_prompt(panel, maps):
    panel.choose(image="scene 16", selector="L2.H3")
    canvas(panel, "maps")[1].picked = [26]
    assert panel.selection.tokens == "r3c2"
    reads = maps[:, 27]  # [head, text]; the class token comes first
    order = np.argsort(-np.abs(reads).max(1))[:10]
    readers, bars = canvas(panel, "readers"), panel.shown.figures["bars"]
    assert readers.col_names == [f"L{k // 6}.H{k % 6}" for k in order]
    assert np.allclose(readers.numbers, reads[order].T, atol=1e-6)
    assert np.allclose(bars.values, np.stack([reads.sum(0), reads[15]], 1), atol=1e-6)
    cells = canvas(panel, "grid").numbers
    assert np.allclose(cells[:6, :6], reads[:, 0].reshape(6, 6), atol=1e-6)
    assert np.isnan(cells[:, 6:]).all()  # an MLP is not split by token
    panel.controls["class_token"].click()
    assert panel.selection.tokens == "cls, r3c2"
    assert all(heat.picked == [26] for heat in (*canvas(panel, "maps"), canvas(panel, "frames")))
    both = maps[:, [0, 27]].sum((0, 1))
    assert np.allclose(panel.shown.figures["bars"].values[:, 0], both, atol=1e-6)
    canvas(panel, "maps")[0].picked = [30]  # in the picture too; the class token stays
    assert panel.selection.tokens == "cls, r3c6"
    panel.controls["all_tokens"].click()
    assert panel.selection.tokens == ""
    canvas(panel, "frames").picked = [5]
    assert panel.selection.tokens == "r0c5"


def test_a_cell_of_the_readers_is_a_head_and_a_prompt(panel):
    panel.choose(tokens="r3c2")
    head = canvas(panel, "readers").col_names[3]
    canvas(panel, "readers").picked = [2 * 10 + 3]
    assert (panel.selection.selector, panel.selection.text) == (head, 2)
    panel.choose(selector=f"{head}, L0.H0")
    canvas(panel, "readers").picked = [10 + canvas(panel, "readers").col_names.index(head)]
    assert (panel.selection.selector, panel.selection.text) == (f"{head}, L0.H0", 1)  # the held one stays


def test_without_tokens_readers_are_of_the_whole_picture(panel, held, maps):
    panel.choose(image="scene 16")
    whole = maps.sum(1)
    assert np.allclose(panel.shown.figures["bars"].values[:, 0], whole.sum(0), atol=1e-5)
    first = np.abs(whole).max(1).argmax()
    assert canvas(panel, "readers").col_names[0] == f"L{first // 6}.H{first % 6}"


@pytest.mark.parametrize("film", ["each layer", "so far"])
def test_the_film_adds_up_layer_by_layer(panel, maps, film):
    panel.choose(image="scene 16", film=film)
    by_layer = maps[:, 1:, 0].reshape(6, 6, 8, 8).sum(1)
    expected = by_layer.cumsum(0) if film == "so far" else by_layer
    limits = set()
    for layer in range(6):
        panel.controls["layer"].value = layer
        assert np.allclose(canvas(panel, "frames").numbers, expected[layer], atol=1e-6)
        assert f"Layer {layer} of 0–5" in panel.told["frames"].text
        limits.add(canvas(panel, "frames").vmax)
    assert len(limits) == 1 and limits.pop() >= np.abs(expected).max()
    assert panel.link.source[0].interval == 700 and panel.link.target[0] is panel.controls["layer"]


def test_attention_is_a_share_and_does_not_hear_the_prompt(panel, held):
    panel.choose(image="scene 16", selector="L4.H3", shows="attention")
    row = kit.pattern(panel.model, held.pixels, 4)[0, 3, 0].numpy()  # of the class token
    heat = canvas(panel, "maps")[1]
    assert np.allclose(heat.numbers.ravel(), row[1:], atol=1e-6)
    before = heat.z
    panel.choose(text=2)
    assert heat.z == before and heat.unit == "share of its attention" and not heat.signed
    panel.choose(selector="L4.H3, L5.H0")
    assert [each.signed for each in canvas(panel, "maps")[1:]] == [False, False, True]  # what they differ by
    panel.choose(shows="prompt")
    assert heat.signed


def test_the_attention_of_two_heads_has_one_scale_wide_enough_for_both(panel):
    for selector in ("L4.H3, L5.H0", "L5.H0, L4.H3"):
        panel.choose(image="scene 16", selector=selector, shows="attention")
        drawn = canvas(panel, "maps")[1:]
        assert len({heat.vmax for heat in drawn}) == 1
        assert drawn[0].vmax >= max(np.abs(heat.numbers).max() for heat in drawn)


def test_own_texts_are_those_of_each_head(panel, held, spans, bank):
    panel.choose(image="scene 16", selector="L5.H0, L2.H3", shows="own text", directions="raw")
    firsts = spans.table.set_index("part")["text"]
    for head, heat in zip(("L5.H0", "L2.H3"), canvas(panel, "maps")[1:]):
        direction = bank.vectors[bank.texts.index(firsts[head])][None]
        expected = held.maps(direction, head)[0, 0, 1:, 0].numpy()
        assert np.allclose(heat.numbers.ravel(), expected, atol=1e-6)
        assert firsts[head] in panel.caption
    centred = torch.nn.functional.normalize(bank.vectors - bank.vectors.mean(0), dim=1)
    panel.choose(directions="contrast")
    direction = centred[bank.texts.index(firsts["L5.H0"])][None]
    shown = canvas(panel, "maps")[1].numbers.ravel()
    assert np.allclose(shown, held.maps(direction, "L5.H0")[0, 0, 1:, 0], atol=1e-6)


def test_a_picture_runs_the_tower_once(panel, stickers):
    panel.choose(image="scene 3")
    before = dict(stickers.passes)
    panel.choose(image="scene 4")
    panel.choose(image="scene 3")
    assert stickers.passes["image"] == before["image"] + 1  # of the new picture, once


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"selector": "L4.MLP"}, "L4.MLP is no head; name one head, or two"),
        ({"selector": "L4.H*"}, "6 parts are selected; name one head, or two"),
        ({"selector": "none"}, "0 parts are selected"),
        ({"tokens": "r9c9"}, 'no token "r9c9"'),
        ({"layer": 6}, "layer 6 cannot be; give a whole number from 0 to 5."),
        ({"layer": "two"}, "layer two cannot be; give a whole number from 0 to 5."),
        ({"shows": "gradient"}, 'no maps of "gradient" here; there are prompt, own text, attention.'),
        ({"off": "L5.H0"}, 'no field "off"'),
        ({"image": "scene 99"}, 'no picture "scene 99"'),
        ({"text": 4}, "no prompt 4: there are 4, counted from 0."),
        ({"texts": []}, "a prompt is empty"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_the_last_state_stays(panel, fields, message):
    before, caption = panel.state, panel.caption
    panel.choose(**fields)
    assert message in panel.message and panel.state == before and panel.caption == caption
    panel.choose(layer=1)
    assert panel.message == ""


@pytest.mark.parametrize(
    ("more", "message"), [("layer=x", "layer x cannot be"), ("off=L1", '"off=L1" is no field of this state')]
)
def test_a_bad_field_of_a_state_string(stickers, more, message):
    with pytest.raises(KitError, match=message):
        HeadTokens(stickers, state=f"stickers-l8|scene 0|L5.H3|a cat|{more}")


def test_of_fewer_prompts_the_last_is_asked_for(panel):
    panel.choose(text=3)
    panel.choose(texts=["a cat", "a dog"])
    assert panel.selection.text == 1 and panel.message == ""


def test_lines_give_the_numbers_of_the_table(panel, maps):
    panel.choose(image="scene 16", selector="L5.H0, L2.H3", text=2)
    found: dict = {}
    exec(panel.code(), found)
    table = panel.table()
    for name, head in (("first", "L5.H0"), ("second", "L2.H3")):
        mine = table[(table["view"] == "map") & (table["name"] == head)]
        assert np.allclose(mine["value"].iloc[1:], found[name].flatten(), atol=1e-6)
    assert set(table["view"]) == {"map", "reader", "film"}


def test_an_upload_is_looked_at_and_a_broken_one_is_a_sentence(panel, stickers):
    panel.upload(picture_bytes(), "red.png")
    assert panel.selection.image.startswith("upload ") and panel.truth.text.startswith("red.png, ")
    assert stickers.weights_hash[:12] in panel.provenance()
    panel.upload(b"no picture", "x.png")
    assert panel.message and panel.selection.image.startswith("upload ")


def test_own_texts_need_their_bank(stickers, spans, bank):
    with pytest.raises(KitError, match="need the bank that they were picked from"):
        own_texts(stickers, spans, None)
    other = Bank(bank.texts, bank.vectors, name="grammar", weights_hash="0" * 64)
    with pytest.raises(KitError, match="was encoded by weights 00000000"):
        own_texts(stickers, spans, other)
    with pytest.raises(KitError, match='is no text of the bank "two"'):
        own_texts(stickers, spans, Bank(["a cat", "x"], bank.vectors[:2], name="two"))


def test_a_tower_without_texts_asks_the_bank(load):
    model = load("timm/vit_tiny_patch16_224", "random", config={"depth": 2, "img_size": 64})
    words = Bank(["up", "down"], torch.eye(model.embed_dim)[:2], name="axes")
    made = HeadTokens(model, kit.world.gallery()[:1], ["up", "down"], bank=words)
    held = made.run("scene 0")
    direction = prompt_directions(words.vectors, "contrast")[:1]
    assert np.allclose(made.shown.figures["bars"].values[0, 0], held.maps(direction).sum(), atol=1e-5)
    made.choose(texts=["up", "left"])
    assert 'the bank "axes" has no "left"' in made.message and made.selection.texts == ("up", "down")
    made.close()


def test_own_prompts_have_maps_of_their_own(panel):
    before = panel.shown.figures["bars"].values[:, 0]
    panel.controls["texts"].value = "a whale; a boat; a snow; a tree"
    assert panel.selection.texts == ("a whale", "a boat", "a snow", "a tree")
    assert not np.allclose(panel.shown.figures["bars"].values[:, 0], before)


def test_a_prompt_is_chosen_among_the_bars(panel):
    panel.views["bars"].widget.text = 2
    assert panel.selection.text == 2 and "‘a red thing’" in panel.caption


def test_what_answers_a_click_is_said_below_the_figure(panel):
    panel.choose(image="scene 16", selector="L2.H3, L5.H0", tokens="r3c2")
    assert panel.told["readers"].text.startswith("From r3c2 all heads add ")
    assert panel.told["readers"].text in panel.finding() and panel.told["readers"].live
    assert "L2.H3 looks most at " in panel.told["maps"].text
    assert "L2.H3 minus L5.H0: largest at " in panel.told["maps"].text


def test_no_hand_changes_anything_while_a_picture_is_encoded(panel, monkeypatch):
    locked, encode = [], head_tokens.run
    controls = [*panel.controls.values(), panel.line]

    def looked(*given, **more):
        locked.append(all(each.disabled for each in controls) and panel._busy.text == "computing…")
        return encode(*given, **more)

    monkeypatch.setattr(head_tokens, "run", looked)
    assert any(type(each).__name__ == "Play" for each in controls)
    panel.choose(image="scene 7")
    assert locked == [True] and panel.state["image"] == "scene 7" and panel._busy.text == ""
    assert not panel.controls["play"].disabled and not canvas(panel, "grid").busy
    panel.choose(text=2, selector="L3.H1")  # nothing runs, nothing is locked
    panel.choose(image="scene 0")
    assert locked == [True]
