"""Notebook 16's panel, without a browser: what it shows follows from its state; no click runs a tower."""

import numpy as np
import pytest
import torch

import kit
from kit.errors import KitError
from kit.panels import HeadTokens, prompt_directions
from kit.panels.token_looks import TokenState, heads_of
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


def place(panel, head):
    return panel.look.found[0].grid.labels.index(head)


def test_a_head_shows_its_map_and_a_shift_click_another_beside_it(panel, maps):
    panel.choose(image="scene 16")
    panel.c.grid.picked = [place(panel, "L5.H0")]
    assert panel.selection.selector == "L5.H0" and panel.look.difference is None
    panel.c.grid.picked = [place(panel, "L5.H0"), place(panel, "L2.H3")]
    assert panel.selection.selector == "L5.H0, L2.H3"
    first, second = (maps[k, 1:, 0].reshape(8, 8) for k in (30, 15))
    for heat, expected in zip(panel.c.maps, (first, second, first - second)):
        assert np.allclose(heat.numbers, expected, atol=1e-6)
        assert heat.vmax == panel.look.limit >= np.abs(expected).max()


def test_a_held_head_stays_while_others_are_clicked(panel):
    panel.c.grid.picked = [place(panel, "L5.H0")]
    panel.c.beside.value = True
    panel.c.grid.picked = [place(panel, "L3.H1")]
    panel.c.grid.picked = [place(panel, "L4.H4")]
    assert panel.selection.selector == "L4.H4, L5.H0"
    panel.c.beside.value = False
    assert panel.selection.selector == "L4.H4" and panel.c.columns[1].layout.display == "none"
    panel.choose(selector="L4.H4, L5.H0")
    assert panel.c.beside.value
    panel.c.grid.picked = [place(panel, "L4.H4")]  # shift-click on the second takes it away
    assert panel.selection.selector == "L4.H4" and not panel.c.beside.value


def test_a_token_says_who_reads_it_for_which_prompt(panel, maps):
    panel.choose(image="scene 16", selector="L2.H3")
    panel.c.maps[0].picked = [26]
    assert panel.selection.tokens == "r3c2"
    reads = maps[:, 27]  # [head, text]; the class token comes first
    order = np.argsort(-np.abs(reads).max(1))[:10]
    names = [f"L{k // 6}.H{k % 6}" for k in order]
    assert panel.look.readers == names == panel.c.readers.col_names
    assert np.allclose(panel.look.reads, reads[order].T, atol=1e-6)
    assert np.allclose(panel.look.bars, np.stack([reads.sum(0), reads[15]], 1), atol=1e-6)
    cells = panel.c.grid.numbers
    assert np.allclose(cells[:6, :6], reads[:, 0].reshape(6, 6), atol=1e-6)
    assert np.isnan(cells[:, 6:]).all()  # an MLP is not split by token
    panel.c.class_token.value = True
    assert panel.selection.tokens == "cls, r3c2" and panel.c.maps[0].picked == [26]
    assert np.allclose(panel.look.bars[:, 0], maps[:, [0, 27]].sum((0, 1)), atol=1e-6)


def test_a_cell_of_the_readers_is_a_head_and_a_prompt(panel):
    panel.choose(tokens="r3c2")
    head = panel.look.readers[3]
    panel.c.readers.picked = [2 * 10 + 3]
    assert (panel.selection.selector, panel.selection.text) == (head, 2)


def test_without_tokens_readers_are_of_the_whole_picture(panel, held, maps):
    panel.choose(image="scene 16")
    whole = maps.sum(1)
    assert np.allclose(panel.look.bars[:, 0], whole.sum(0), atol=1e-5)
    assert (
        panel.look.readers[0] == f"L{np.abs(whole).max(1).argmax() // 6}.H{np.abs(whole).max(1).argmax() % 6}"
    )


@pytest.mark.parametrize("film", ["each layer", "so far"])
def test_the_film_adds_up_layer_by_layer(panel, maps, film):
    panel.choose(image="scene 16", film=film)
    by_layer = maps[:, 1:, 0].reshape(6, 6, 8, 8).sum(1)
    expected = by_layer.cumsum(0) if film == "so far" else by_layer
    limits = set()
    for layer in range(6):
        panel.c.layer.value = layer
        assert np.allclose(panel.c.film.numbers, expected[layer], atol=1e-6)
        assert f"Layer {layer} of 0–5" in panel.c.film_said.text
        limits.add(panel.c.film.vmax)
    assert len(limits) == 1 and limits.pop() >= np.abs(expected).max()
    found = panel.look.film
    whole = found.before + found.heads.sum() + found.rest.sum() + found.after
    assert whole == pytest.approx(panel.look.found[0].bars[0, 0], abs=1e-5)


def test_attention_is_a_share_and_does_not_hear_the_prompt(panel, held):
    panel.choose(image="scene 16", selector="L4.H3", shows="attention")
    row = kit.pattern(panel.cases.model("stickers-l8"), held.pixels, 4)[0, 3, 0].numpy()  # of the class token
    assert np.allclose(panel.c.maps[0].numbers.ravel(), row[1:], atol=1e-6)
    assert panel.look.gaze[0].sum() == pytest.approx(1.0, abs=1e-5)
    before = panel.c.maps[0].z
    panel.choose(text=2)
    assert panel.c.maps[0].z == before and "share of its attention" in panel.c.maps[0].unit


def test_own_texts_are_those_of_each_head(panel, held, spans, bank):
    panel.choose(image="scene 16", selector="L5.H0, L2.H3", shows="own text", directions="raw")
    firsts = spans.table.set_index("part")["text"]
    for head, values in zip(panel.look.heads, panel.look.maps):
        direction = bank.vectors[bank.texts.index(firsts[head])][None]
        assert np.allclose(values.ravel(), held.maps(direction, head)[0, 0, 1:, 0].numpy(), atol=1e-6)
        assert firsts[head] in panel.caption
    centred = torch.nn.functional.normalize(bank.vectors - bank.vectors.mean(0), dim=1)
    panel.choose(directions="contrast")
    direction = centred[bank.texts.index(firsts["L5.H0"])][None]
    assert np.allclose(panel.look.maps[0].ravel(), held.maps(direction, "L5.H0")[0, 0, 1:, 0], atol=1e-6)


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
        ({"layer": 6}, "no layer 6: the film has 6, counted from 0."),
        ({"layer": "two"}, "layer should be a number, but is 'two'."),
        ({"shows": "gradient"}, 'shows "gradient" is none of prompt, own text, attention.'),
        ({"off": "L5.H0"}, 'a selection has no field "off"'),
        ({"image": "scene 99"}, 'no picture "scene 99"'),
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
    ("more", "message"), [("layer=x", "should be the number of a layer"), ("off=L1", "no field")]
)
def test_a_bad_field_of_a_state_string(more, message):
    with pytest.raises(KitError, match=message):
        TokenState.parse(f"stickers-l8|scene 0|L5.H3|a cat|{more}")


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
    assert panel.selection.image.startswith("upload ") and "nobody told its truth" in panel.c.truth.text
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


def test_heads_keep_the_order_in_which_they_are_written(held):
    assert heads_of(held.index, "L5.H0, L2.H3") == ["L5.H0", "L2.H3"]
    assert heads_of(held.index, "L2.H3, L2.H3") == ["L2.H3"]


def test_a_tower_without_texts_asks_the_bank(load):
    model = load("timm/vit_tiny_patch16_224", "random", config={"depth": 2, "img_size": 64})
    words = Bank(["up", "down"], torch.eye(model.embed_dim)[:2], name="axes")
    made = HeadTokens(model, kit.world.gallery()[:1], ["up", "down"], bank=words)
    held = made.cases._run(model.label, "scene 0")
    direction = prompt_directions(words.vectors, "contrast")[:1]
    assert np.allclose(made.look.bars[0, 0], held.maps(direction).sum(), atol=1e-5)
    made.choose(texts=["up", "left"])
    assert 'the bank "axes" has no "left"' in made.message and made.selection.texts == ("up", "down")
    made.close()


def test_own_prompts_have_maps_of_their_own(panel):
    before = panel.look.bars[:, 0].copy()
    panel.c.prompts.value = "a whale; a boat; a snow; a tree"
    assert panel.selection.texts == ("a whale", "a boat", "a snow", "a tree")
    assert not np.allclose(panel.look.bars[:, 0], before)
