"""Notebook 11's panel without a browser: what it shows follows from its state, and no tower runs."""

import io
import re
import time

import numpy as np
import pytest
import torch
from kit.panels.ablated_accuracy import BACK, FORWARD, AblatedAccuracy, Choice, table
from PIL import Image

import kit
from kit.edits import Means, ask, by_layer
from kit.errors import KitError
from kit.measures import bootstrap_interval, hits
from kit.panels import Ablations, charts
from kit.panels.selection import Selection

COUNT = 120


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(COUNT, 9)


@pytest.fixture(scope="module")
def store(stickers, scenes):
    return kit.collect(stickers, scenes, "store", "120 scenes", selector="all", tokens="cls")


@pytest.fixture(scope="module")
def references(stickers, store):
    return [Means.of(store, slice(0, 60), "sixty scenes"), Means.shipped(stickers)]


@pytest.fixture
def panel(stickers, scenes, store, references):
    made = Ablations(stickers, scenes, store, references)
    yield made
    assert made.last_error is None
    made.close()


def shown(panel):
    widgets = (panel.bars, panel.curve, panel.changed)
    return panel.state, panel.caption, panel.string, [w.value for w in widgets]


def test_there_are_three_ways_through_the_layers(stickers, store):
    found = by_layer(ask(stickers, store, "concept"))
    assert all(next(iter(each)) == "none" and len(each) == 7 for each in found.values()) and len(found) == 3
    with pytest.raises(KitError, match='no way "layers 0 to k" through the layers; there are layers 0 to l'):
        by_layer(ask(stickers, store, "concept"), ways=("layers 0 to k",))


def test_it_opens_with_all_mlps_replaced(panel):
    assert panel.state["selector"] == "L*.MLP" and panel.mlps.value and not panel.attention.value
    assert panel.caption.startswith(
        "With 6 of 50 parts (L*.MLP) replaced by means over sixty scenes, ‘concept’"
    )
    assert panel.finding().startswith("stickers-l8, 120 images: With 6 of 50 parts")


@pytest.mark.parametrize("selector", ["none", "L*.MLP", "L0-3.attn", "L5.H0, L3.MLP"])
@pytest.mark.parametrize("replace", ["mean", "zero"])
def test_bars_are_the_accuracies_of_the_kit(panel, stickers, store, references, selector, replace):
    panel.choose(selector=selector, replace=replace)
    for row in panel.found.rows:
        question = ask(stickers, store, row.name)
        after = question.after(selector, references[0] if replace == "mean" else None)
        wanted = bootstrap_interval(hits(after, question.truth).double(), seed=0)
        assert np.allclose(row.after, wanted, atol=1e-6)
        assert row.chance == 1 / len(question.classes)
    assert table(panel.found).loc["concept", "after"] == panel.found.rows[0].after.value


def test_the_curve_is_cumulative_and_its_complement(panel, stickers, store, references):
    panel.choose(texts=("background",), selector="L0-3.attn")
    question = ask(stickers, store, "background")
    for way, parts in ((FORWARD, "L0-{}.attn"), (BACK, "L{}-5.attn")):
        for layer, found in enumerate(panel.found.curve[way]):
            right = hits(question.after(parts.format(layer), references[0]), question.truth)
            assert found.value == pytest.approx(float(right.double().mean()))


@pytest.mark.parametrize(
    "selector, point",
    [("L0-3.attn", (0, 3)), ("L2-5.attn", (1, 2)), ("L1-3.attn", None), ("L0-3.attn, embed", None)],
)
def test_the_point_lies_where_the_state_is(panel, selector, point):
    panel.choose(selector=selector)
    assert panel.found.point == point


def test_controls_make_the_state_and_show_it(panel):
    panel.mlps.value = False
    panel.attention.value = True
    panel.layers.value = (3, 5)
    panel.others.value = "L2.MLP , L2.H0"
    panel.embed.value = panel.cls.value = True
    assert panel.state["selector"] == "embed, L3-5.attn, L2.MLP, L2.H0" and panel.state["tokens"] == "cls"
    panel.choose(selector="L*.MLP, L1-2.attn", tokens="")
    assert (panel.mlps.value, panel.embed.value, panel.cls.value) == (True, False, False)
    assert (panel.layers.value, panel.others.value) == ((1, 2), "")
    panel.question.value = "colour"
    assert panel.state["texts"] == ("colour",) and "‘colour’" in panel.caption


@pytest.mark.parametrize(
    "selector", ["none", "L*.MLP", "embed, L0-2.attn", "L*.MLP, embed, L3-5.attn, L5.H0", "all, !L5.H0"]
)
def test_a_choice_reads_and_writes_the_same_selector(selector):
    assert Choice.read(selector).selector == selector


@pytest.mark.parametrize("name", ["background", "concept"])  # all, and some, are right to begin with
def test_answers_that_changed_are_counted_and_shown(panel, stickers, store, references, name):
    panel.choose(selector="L3-5.attn", texts=(name,))
    question, found = ask(stickers, store, name), panel.found
    before, after = (question.after(s, references[0]).argmax(1) for s in ("none", "L3-5.attn"))
    truth = question.truth
    assert found.lost == int(((before == truth) & (after != truth)).sum())
    assert found.won == int(((before != truth) & (after == truth)).sum())
    assert len(found.changed) == 3
    for each in found.changed:
        i = (question.images == each.number).nonzero()[0, 0]
        words = [question.classes[int(a[i])] for a in (before, after, truth)]
        assert words == [each.before, each.after, each.truth] and each.before != each.after
        assert store.labels[name].iloc[each.number] == each.truth
    assert panel.changed.value.count("<figure>") == 3 and "→" in panel.changed.value
    panel.choose(selector="none")
    assert panel.found.changed == [] and panel.changed_head.text == "No answer changed."
    assert panel.caption.startswith("Nothing is replaced")


def test_pictures_are_those_of_the_store(panel, scenes):
    picture = np.asarray(panel.cases.picture(7)).transpose(2, 0, 1)
    assert np.array_equal(picture, scenes.images[7].numpy())
    assert scenes.labels["concept"].iloc[7] in panel.cases.truth(7)


def test_what_cannot_be_is_a_sentence_and_the_last_state_stays(panel):
    before = shown(panel)
    for fields, said in (
        ({"selector": "L9.H0"}, "layer 9 does not exist"),
        ({"image": "sixty scene"}, 'no reference set "sixty scene" here; there are "sixty scenes"'),
        ({"texts": ("colours",)}, 'no question "colours" here; there are concept, colour'),
        ({"tokens": "r0c0"}, 'only the class token can be replaced here ("cls"), not "r0c0"'),
        ({"model": "stickers-s16"}, 'this panel holds stored parts of "stickers-l8", not of "stickers-s16"'),
        (
            {"image": "2,000 unbiased scenes (world 1, seed 77001)", "tokens": "cls"},
            "has no means of what heads",
        ),
    ):
        panel.choose(**fields)
        assert said in panel.message and shown(panel) == before
    assert panel.line.value == panel.string


def test_a_click_runs_no_tower_and_is_quick(panel, stickers):
    passes, times = dict(stickers.passes), []
    for selector in ("L0-3.attn", "L*.MLP, L5.attn", "all", "none", "L2.H0"):
        start = time.process_time()
        panel.choose(selector=selector)
        times.append(time.process_time() - start)
    panel.choose(texts=("size",), replace="zero")
    assert dict(stickers.passes) == passes
    assert sorted(times)[2] < 0.2


def test_charts_have_words_for_those_who_do_not_see_them(panel):
    panel.choose(selector="L3-5.attn", texts=("background",))
    for widget in (panel.bars, panel.curve):
        label = re.search('aria-label="([^"]+)"', widget.value).group(1)
        assert "background" in label and re.search(r"\d+", label)
    assert re.search('<img src="data:image/png;base64,[^"]+" alt="[^"]+"', panel.changed.value)
    image = Image.open(io.BytesIO(panel.png()))
    assert image.width > 900


def test_svg_escapes_and_stays_small(panel):
    sheet = charts.Svg(10, 10, "a < b")
    assert "a &lt; b" in sheet.html('"') and "&quot;" in sheet.html('"')
    assert len(panel.bars.value) + len(panel.curve.value) < 40_000


def test_means_are_off_where_nobody_collected_any(stickers, scenes, store):
    cases = AblatedAccuracy(stickers, scenes, store, references=[])
    state = cases.first()
    assert state.replace == "zero" and cases.find(state).rows
    state.change(replace="mean")
    with pytest.raises(KitError, match='no reference set was given, so "mean" is off'):
        cases.find(state)


def test_questions_of_ones_own_need_no_labels_of_the_world(stickers, scenes, store, references):
    directions = torch.eye(stickers.embed_dim)[:2]
    asked = [kit.edits.asked(store, directions, np.arange(COUNT) % 2, ["even", "odd"], "parity")]
    cases = AblatedAccuracy(stickers, scenes, store, references, asked)
    found = cases.find(
        Selection(model="stickers-l8", image="sixty scenes", texts=("parity",), replace="mean")
    )
    assert [row.name for row in found.rows] == ["parity"]


def test_images_that_are_not_the_stores_are_refused(stickers, scenes, store, references):
    with pytest.raises(KitError, match="3 images, but the store is of 120; give those that it was"):
        AblatedAccuracy(stickers, scenes[:3], store, references)
    bare = kit.collect(stickers, scenes.images[:4], "store", "four", selector="all")
    with pytest.raises(KitError, match='the images of "four" have no labels of the stickers world'):
        AblatedAccuracy(stickers, scenes[:4], bare, references)
    with pytest.raises(KitError, match='have no label "concept"; they have'):
        ask(stickers, bare, "concept")
