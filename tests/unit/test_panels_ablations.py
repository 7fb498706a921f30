"""Notebook 11's panel without a browser: what it shows follows from its state, and no tower runs."""

import io
import json
import time

import numpy as np
import pytest
import torch
from PIL import Image

import kit
from kit.edits import Means, ask
from kit.errors import KitError
from kit.figures import Strip
from kit.measures import bootstrap_interval, hits
from kit.panels import Ablations
from tests.wire import messages

COUNT = 120
FORWARD, BACK = "layers 0 to k", "layers k to the last"


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(COUNT, 9)


@pytest.fixture(scope="module")
def store(stickers, scenes):
    return kit.collect(stickers, scenes, "store", "120 scenes", selector="all", tokens="cls")


@pytest.fixture(scope="module")
def references(stickers, store):
    return [Means.of(store, slice(0, 60), "sixty scenes"), Means.shipped(stickers)]


@pytest.fixture(scope="module")
def one(stickers, scenes, store, references):
    made = Ablations(stickers, scenes, store, references)
    yield made
    assert made.last_error is None
    made.close()


@pytest.fixture
def panel(one):
    """The panel as it opens."""
    one.choose(image="sixty scenes", selector="L*.MLP", texts="concept", tokens="", replace="mean")
    return one


def shown(panel) -> tuple:
    views = panel.views.values()
    return panel.state, panel.caption, panel.string, panel.line.value, [view.figure for view in views]


def figure(panel, name: str):
    return panel.shown.figures[name]


def canvas(panel):
    return panel.views["grid"].widget


def test_it_opens_with_all_mlps_replaced(stickers, scenes, store, references):
    panel = Ablations(stickers, scenes, store, references)
    assert panel.string == "stickers-l8|sixty scenes|L*.MLP|concept|replace=mean"
    assert panel.controls["all MLPs"].button_style == "info"
    assert panel.caption.startswith(
        "With 6 of 50 parts (L*.MLP) replaced by means over sixty scenes, ‘concept’"
    )
    assert panel.finding().startswith("stickers-l8, 120 images: With 6 of 50 parts")
    panel.close()


@pytest.mark.parametrize("selector", ["none", "L*.MLP", "L0-3.attn", "L5.H0, L3.MLP"])
@pytest.mark.parametrize("replace", ["mean", "zero"])
def test_bars_are_the_accuracies_of_the_kit(panel, stickers, store, references, selector, replace):
    panel.choose(selector=selector, replace=replace)
    bars = figure(panel, "bars")
    assert bars.picked == "concept" and bars.kinds == ("as it is", "replaced")
    for n, name in enumerate(bars.labels):
        question = ask(stickers, store, name)
        for k, parts in enumerate(("none", selector)):
            after = question.after(parts, references[0] if replace == "mean" else None)
            wanted = bootstrap_interval(hits(after, question.truth).double(), seed=0)
            assert np.allclose((bars.values[n, k], bars.low[n, k], bars.high[n, k]), wanted, atol=1e-6)
        assert bars.levels["chance"][n] == 1 / len(question.classes)


def test_the_curve_is_cumulative_and_its_complement(panel, stickers, store, references):
    panel.choose(texts="background", selector="L0-3.attn")
    question, curve = ask(stickers, store, "background"), figure(panel, "curve")
    for way, parts in ((FORWARD, "L0-{}.attn"), (BACK, "L{}-5.attn")):
        for layer, found in enumerate(curve.ys[way]):
            right = hits(question.after(parts.format(layer), references[0]), question.truth)
            assert found == pytest.approx(float(right.double().mean()))
            assert curve.low[way][layer] <= found <= curve.high[way][layer]
    before = hits(question.after(), question.truth).double().mean()
    assert curve.levels == {"as it is": pytest.approx(float(before)), "chance": 1 / len(question.classes)}


@pytest.mark.parametrize(
    "selector, picked, said",
    [
        ("L0-3.attn", "L3", "; ringed: now, layers 0 to 3"),
        ("L2-5.attn", "L2", "; ringed: now, layers 2 to the last"),
        ("L5.attn", "L5", "; ringed: now, layers 5 to the last"),
        ("L1-3.attn", "", "replaced"),
        ("L0-3.attn, embed", "", "replaced"),
    ],
)
def test_the_ring_lies_where_the_state_is(panel, selector, picked, said):
    panel.choose(selector=selector)
    curve = figure(panel, "curve")
    assert curve.picked == picked and curve.title.endswith(said)
    panel.choose(tokens="cls")
    assert figure(panel, "curve").picked == ""


def test_cells_are_what_each_part_alone_costs(panel, stickers, store, references):
    panel.choose(texts="background")
    labels, numbers = canvas(panel).labels, canvas(panel).numbers.ravel()
    question = ask(stickers, store, "background")
    for part in ("L5.H0", "L5.MLP", "embed"):
        cost = question.right(part, means=references[0]).mean() - question.right().mean()
        assert numbers[labels.index(part)] == pytest.approx(cost, abs=1e-6)
    assert {labels[n] for n in canvas(panel).off} == {f"L{n}.MLP" for n in range(6)}
    assert canvas(panel).off == canvas(panel).picked and canvas(panel).switches


def test_clicks_write_names_and_a_selector_that_is_written_stays(panel):
    panel.controls["selector"].value = "L4-5.MLP ,L2.H0"
    assert panel.state["selector"] == panel.controls["selector"].value == "L4-5.MLP, L2.H0"
    assert "3 of 50 parts (L4-5.MLP, L2.H0)" in panel.caption
    canvas(panel).picked = [*canvas(panel).picked, canvas(panel).labels.index("final.bias")]
    assert panel.state["selector"].split(", ")[-1] == "final.bias"
    assert "4 of 50 parts (L2.H0, L4.MLP, L5.MLP, final.bias)" in panel.caption
    canvas(panel).picked = []
    assert panel.state["selector"] == "none" and panel.caption.startswith("Nothing is replaced")
    panel.choose(selector="all, !L5.H0")
    assert panel.controls["selector"].value == "all, !L5.H0" and len(canvas(panel).off) == 49


def test_every_part_can_be_clicked(panel):
    panel.choose(selector="all")
    assert len(canvas(panel).picked) == len(panel.store.index) == 50


def test_buttons_are_the_claims_of_the_paper(panel):
    panel.choose(tokens="cls")
    for name, selector in {
        "late attention (last four layers)": "L2-5.attn",
        "early attention": "L0-1.attn",
        "nothing": "none",
        "all MLPs": "L*.MLP",
    }.items():
        panel.controls[name].click()
        assert (panel.state["selector"], panel.state["tokens"]) == (selector, "")
        marked = [n for n in panel.buttons if panel.controls[n].button_style]
        assert marked == [name]


def test_controls_make_the_state_and_show_it(panel):
    panel.controls["tokens"].value = "cls"
    assert panel.state["tokens"] == "cls" and "what heads read at the class token" in panel.caption
    panel.choose(selector="L*.MLP, L1-2.attn", tokens="")
    assert (panel.controls["tokens"].value, panel.controls["selector"].value) == ("", "L*.MLP, L1-2.attn")
    panel.controls["texts"].value = "colour"
    assert panel.state["texts"] == "colour" and "‘colour’" in panel.caption
    panel.views["bars"]._told(["size"])  # a click on a bar
    assert panel.controls["texts"].value == "size" and "‘size’" in panel.caption
    panel.choose(texts=("colour",))  # as states were once written
    assert panel.state["texts"] == "colour"


def test_a_set_that_is_chosen_is_used_and_means_need_one(panel):
    panel.controls["replace"].value = "zero"
    assert "replaced by zero" in panel.caption and panel.state["image"] == "sixty scenes"
    panel.controls["image"].value = "2,000 unbiased scenes (world 1, seed 77001)"
    assert panel.state["replace"] == "mean" and "means over 2,000 unbiased scenes" in panel.caption
    panel.controls["image"].value = "none"
    assert panel.state["replace"] == "zero"
    panel.controls["replace"].value = "mean"
    assert panel.state["image"] == "sixty scenes" and panel.message == ""


@pytest.mark.parametrize("name", ["background", "concept"])  # all, and some, are right to begin with
def test_answers_that_changed_are_counted_and_shown(panel, stickers, store, references, scenes, name):
    panel.choose(selector="L3-5.attn", texts=name)
    question, strip = ask(stickers, store, name), figure(panel, "changed")
    before, after = (question.after(s, references[0]).argmax(1) for s in ("none", "L3-5.attn"))
    truth = question.truth
    lost = int(((before == truth) & (after != truth)).sum())
    won = int(((before != truth) & (after == truth)).sum())
    assert f"{lost} became wrong, {won} right" in strip.title
    assert f"{lost} answers became wrong, {won} right." in panel.caption
    assert len(strip.pictures) == 3
    some = question.changes("L3-5.attn", references[0]).some()
    for i, label in zip(some, strip.labels, strict=True):
        was, new, true = (question.classes[int(a[i])] for a in (before, after, truth))
        assert label == f"{was} → {new}; truth: {true}" and was != new
        assert store.labels[name].iloc[int(question.images[i])] == true
    assert strip.pictures == Strip([scenes.images[int(question.images[i])] for i in some]).pictures
    panel.choose(selector="none")
    assert figure(panel, "changed").title == "Answers that changed: none"
    assert figure(panel, "changed").pictures == () and panel.caption.startswith("Nothing is replaced")


def test_cells_and_curves_are_of_the_set_that_is_chosen(panel, stickers, store, references):
    panel.choose(texts="background")
    before = canvas(panel).numbers.copy(), figure(panel, "curve").ys[FORWARD]
    panel.choose(replace="zero")
    after = canvas(panel).numbers, figure(panel, "curve").ys[FORWARD]
    assert not any(np.array_equal(*pair, equal_nan=True) for pair in zip(before, after))
    alone = ask(stickers, store, "background").alone().mean(1)
    assert np.nanmin(after[0]) == pytest.approx(alone.min() - figure(panel, "curve").levels["as it is"])


def test_pictures_of_a_question_of_some_images_are_theirs(panel, stickers, store, references, scenes):
    panel.choose(texts="colour", selector="all")  # asked of recoloured things alone
    question = ask(stickers, store, "colour")
    some = [int(question.images[i]) for i in question.changes("all", references[0]).some()]
    assert len(question) < COUNT and some
    assert figure(panel, "changed").pictures == Strip([scenes.images[i] for i in some]).pictures


def test_what_cannot_be_is_a_sentence_and_the_last_state_stays(panel):
    before = shown(panel)
    for fields, said in (
        ({"selector": "L9.H0"}, "layer 9 does not exist"),
        ({"image": "sixty scene"}, 'no reference set "sixty scene" here; there are sixty scenes'),
        ({"texts": "colours"}, 'no question "colours" here; there are concept, colour'),
        ({"texts": ("a", "b")}, 'no question "a b" here'),
        ({"tokens": "r0c0"}, 'only the class token can be replaced here ("cls"), not "r0c0"'),
        ({"image": "none", "replace": "mean"}, '"mean" is off for "stickers-l8"; choose one of sixty scenes'),
        (
            {"image": "2,000 unbiased scenes (world 1, seed 77001)", "tokens": "cls"},
            "has no means of what heads",
        ),
    ):
        panel.choose(**fields)
        assert said in panel.message and shown(panel) == before
    panel.line.value = "stickers-s16|sixty scenes|L*.MLP|concept"
    assert 'has the model "stickers-l8", and the state is of "stickers-s16"' in panel.message
    assert shown(panel) == before


def test_a_click_runs_no_tower_is_small_and_quick(panel, stickers):
    passes, times = dict(stickers.passes), []
    for selector in ("L0-3.attn", "L*.MLP, L5.attn", "all", "none", "L2.H0"):
        start = time.process_time()
        with messages() as sent:
            panel.choose(selector=selector)
        times.append(time.process_time() - start)
        assert 0 < sum(sent) < 60_000
    panel.choose(texts="size", replace="zero")
    assert dict(stickers.passes) == passes
    assert sorted(times)[2] < 0.2


def test_figures_have_words_for_those_who_do_not_see_them(panel):
    panel.choose(selector="L3-5.attn", texts="background")
    assert "switched off: L3.H0" in canvas(panel).alt
    assert "background" in panel.views["bars"].widget.alt and "chance" in panel.views["bars"].widget.alt
    assert "layers 0 to k L0" in panel.views["curve"].widget.alt
    drawn = json.loads(panel.views["curve"].widget.figure)
    assert len(drawn["data"]) == 2 and {"as it is", "chance"} == {
        shape["label"]["text"] for shape in drawn["layout"]["shapes"]
    }
    assert all(
        label.split(";")[0] in panel.views["changed"].widget.value
        for label in figure(panel, "changed").labels
    )
    assert Image.open(io.BytesIO(panel.png())).width > 900


def test_means_are_off_where_nobody_collected_any(stickers, scenes, store):
    panel = Ablations(stickers, scenes, store, references=[])
    assert panel.state["replace"] == "zero" and panel.string == "stickers-l8|none|L*.MLP|concept"
    panel.choose(replace="mean")
    assert 'no reference set was given, so "mean" is off' in panel.message
    assert panel.state["replace"] == "zero"
    panel.close()


def test_the_class_token_can_be_asked_for_where_the_store_keeps_it(stickers, scenes, references):
    store = kit.collect(stickers, scenes, "store", "120 scenes", selector="all")
    panel = Ablations(stickers, scenes, store, references)
    assert "tokens" not in panel.rows[2] and "tokens='cls'" not in panel.code()
    panel.choose(tokens="cls")
    assert 'tokens="cls"' in panel.message and panel.state["tokens"] == ""
    panel.close()


def test_questions_of_ones_own_need_no_labels_of_the_world(stickers, scenes, store, references):
    directions = torch.eye(stickers.embed_dim)[:2]
    asked = kit.edits.asked(store, directions, np.arange(COUNT) % 2, ["even", "odd"], "parity")
    state = "stickers-l8|sixty scenes|none|parity"
    panel = Ablations(stickers, scenes, store, references, [asked], state=state)
    assert figure(panel, "bars").labels == ("parity",)
    panel.close()


def test_zero_is_zero_for_answers_that_have_means(stickers, scenes, store, references):
    texts = {name: [f"a {name}"] for name in ("cat", "dog")}
    store = kit.collect(stickers, scenes, "store", "120 scenes", selector="all")
    store.labels["y"] = np.arange(COUNT) % 2
    asked = kit.edits.ask_classes(stickers, store, texts, "pets", references[1])
    panel = Ablations(stickers, scenes, store, references, [asked], "stickers-l8|none|L*.MLP|pets")
    after = asked.whole - asked.scores[:, asked.parts_of("L*.MLP")].sum(1)
    assert torch.allclose(panel.asked["pets"].after("L*.MLP"), after, atol=1e-5)
    assert not torch.allclose(asked.after("L*.MLP"), after, atol=1e-3)  # these have means
    right = hits(after, asked.truth).double().mean()
    assert figure(panel, "bars").values[0, 1] == pytest.approx(float(right))
    panel.close()


def test_images_that_are_not_the_stores_are_refused(stickers, scenes, store, references):
    with pytest.raises(KitError, match="the store is not of these 3 images"):
        Ablations(stickers, scenes[:3], store, references)
    bare = kit.collect(stickers, scenes.images[:4], "store", "four", selector="all")
    with pytest.raises(KitError, match='the images of "four" have no labels of the stickers world'):
        Ablations(stickers, scenes.images[:4], bare, references)
