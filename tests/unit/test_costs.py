"""What replacing parts costs: accuracies with intervals, along the layers, part by part, and in words."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import kit
from kit.edits import (
    Means,
    ask,
    by_layer,
    compare_edits,
    compare_means,
    compare_questions,
    costs,
    crossing,
    effects_by_layer,
    layer_costs,
    other_names,
    place_of,
    questions,
    shuffled_crossings,
    total_right,
)
from kit.edits.by_layer import BACK, FORWARD
from kit.edits.costs import says
from kit.errors import KitError
from kit.measures import answer_changes, bootstrap_interval, changes, hits
from kit.measures.answers import Changed
from tests.unit.stored_scores import made_up


@pytest.fixture(scope="module")
def store(stickers):
    return kit.collect(stickers, kit.world.draw(60, 9), "store", "60 scenes", selector="all", tokens="cls")


@pytest.fixture(scope="module")
def means(store):
    return Means.of(store, slice(0, 30), "thirty scenes")


@pytest.fixture(scope="module")
def concept(stickers, store):
    return ask(stickers, store, "concept")


def test_there_are_three_ways_through_the_layers(concept):
    found = by_layer(concept)
    assert all(next(iter(each)) == "none" and len(each) == 7 for each in found.values()) and len(found) == 3
    with pytest.raises(KitError, match='no way "layers 0 to m" through the layers; there are layers 0 to k'):
        by_layer(concept, ways=("layers 0 to m",))


def test_costs_are_accuracies_with_intervals_by_bootstrap(stickers, store, means, concept):
    asked = [concept, ask(stickers, store, "colour")]
    for found, question in zip(costs(asked, "L*.MLP", means, "L*.H*", seed=3), asked):
        for row, cosines in zip(found, (question.after(), question.after("L*.MLP", means, "L*.H*"))):
            wanted = bootstrap_interval(hits(cosines, question.truth).double(), seed=3)
            assert np.allclose(row, wanted, atol=1e-6)


def test_costs_along_the_layers_leave_out_nothing_replaced(concept, means):
    found = layer_costs(concept, means, (FORWARD, BACK))
    assert list(found) == [FORWARD, BACK] and {each.shape for each in found.values()} == {(6, 3)}
    assert found[FORWARD][5, 0] == found[BACK][0, 0] == concept.right("L*.attn", means=means).mean()
    assert found[BACK][5, 0] == concept.right("L5.attn", means=means).mean()


def test_each_part_alone(concept, means):
    alone, names = concept.alone(means), list(concept.index["name"])
    assert alone.shape == (50, 60)
    for part in ("L5.MLP", "L2.H3"):
        assert (alone[names.index(part)] == concept.right(part, means=means)).all()
    assert (alone != concept.right()).any()


def test_the_place_is_that_of_the_parts_however_they_are_written(concept):
    place = {s: place_of(concept.index, s) for s in ("L0-3.attn", "L2-5.attn", "L5.H*", "L0.attn, L1.H*")}
    assert list(place.values()) == [(FORWARD, 3), (BACK, 2), (BACK, 5), (FORWARD, 1)]
    for other in ("none", "L1-3.attn", "L0-3.attn, embed", "L*.MLP", "all"):
        assert place_of(concept.index, other) is None
    with pytest.raises(KitError, match="layer 9 does not exist"):
        place_of(concept.index, "L9.attn")


def test_every_attribute_that_all_images_have_is_a_question(stickers, store):
    names = [each.name for each in questions(stickers, store)]
    assert names == ["concept", "colour", "background", "position", "size", "texture"]
    bare = kit.collect(stickers, kit.world.draw(4, 1).images, "store", "four", selector="all")
    with pytest.raises(KitError, match='the images of "four" have no labels of the stickers world'):
        questions(stickers, bare)
    with pytest.raises(KitError, match='have no label "concept"; they have'):
        ask(stickers, bare, "concept")


def test_chance_and_changes_are_of_the_classes(concept, means):
    assert concept.chance == 1 / len(concept.classes)
    found = concept.changes("L5.MLP", means)
    wanted = answer_changes(concept.after(), concept.after("L5.MLP", means), concept.truth)
    assert found.order == wanted.order and found.counts == wanted.counts and found.order


def test_texts_of_one_class_speak_with_one_voice():
    """The best text of a class answers for it; the order of texts is not that of classes."""
    index = pd.DataFrame({"name": ["L0.H0"], "kind": ["head"], "layer": [0], "head": [0]})
    scores = torch.tensor([[[0.1, 0.3, 0.2]], [[0.4, 0.1, 0.2]]])
    answers = made_up("two", "double", ["a", "b"], index, pd.DataFrame({"y": [1, 0]}), scores)
    many = replace(answers, directions=torch.eye(3), owner=torch.tensor([1, 0, 1]))
    assert many.best(scores[:, 0]).tolist() == [pytest.approx([0.3, 0.2]), pytest.approx([0.1, 0.4])]
    swapped = replace(answers, owner=torch.tensor([1, 0]))
    assert swapped.best(scores[:, 0, :2])[0].tolist() == pytest.approx([0.3, 0.1])


def test_a_few_changes_are_of_each_kind_once_before_any_twice():
    said, now = torch.tensor([0, 0, 0, 1, 2]), torch.tensor([1, 1, 1, 0, 2])
    right = torch.zeros(5, dtype=torch.bool)
    found = Changed(said == 0, right, right, said, now, [2, 0, 1, 3])
    assert found.some() == [2, 3, 0] and found.some(9) == [2, 3, 0, 1] and found.some(1) == [2]
    assert found.counts == (3, 0, 0) and found.says() == "3 became wrong, 0 right"
    assert found._replace(order=[]).says() == ""
    assert found._replace(other=said == 1).says() == "3 became wrong, 0 right, 1 wrong before and after"


@pytest.mark.parametrize(
    "selector, cls, wanted",
    [
        ("L*.MLP", None, "With 6 of 50 parts (L*.MLP) replaced by means over thirty scenes, ‘concept’ goes "),
        (
            "L*.MLP",
            "L*.H*",
            "With 6 of 50 parts (L*.MLP) and what heads read at the class token ",
        ),
        (
            "none",
            "L*.H*",
            "With what heads read at the class token replaced by means over thirty scenes, ",
        ),
        ("none", None, "Nothing is replaced: ‘concept’ is answered rightly on 75.0 %."),
        (
            "L0.H0, L0.H1, L0.H2, L0.H3, L0.H4, L0.H5, L1.H0, L1.H1",
            None,
            "With 8 of 50 parts (L0.H0, L0.H1, L0.H2, L0.H3, L0.H4, L0.H5 and 2 more) replaced by means",
        ),
    ],
)
def test_the_finding_in_words(concept, means, selector, cls, wanted):
    changed = concept.changes("L5.MLP", means)
    said = says(concept, selector, means, cls, (0.75, 0.5), changed)
    assert said.startswith(wanted)
    lost, won, _ = changed.counts
    ends = f"from 75.0 % to 50.0 % (−25.0 points): {lost} answers became wrong, {won} right."
    assert said.endswith(ends) or said == wanted
    assert "replaced by zero" in says(concept, "L5.H0", None, None, (0.75, 0.5), changed)


def test_edits_questions_and_means_are_compared_by_paired_changes(stickers, store, means, concept):
    background = ask(stickers, store, "background")
    edits = {"nothing": "none", "heads": "L5.attn", "tokens": ("L5.MLP", "L*.H*")}
    right = [concept.right(), concept.right("L5.attn", means=means)]
    right.append(concept.judged(concept.after("L5.MLP", means, "L*.H*")))
    found = compare_edits(concept, edits, means, seed=2)
    assert found.equals(changes(dict(zip(edits, right)), seed=2))
    each = compare_questions([concept, background], "L5.attn", "L5.MLP", means, seed=2)
    assert list(each.index) == ["concept", "background"]
    pair = {
        "other": background.right("L5.MLP", means=means),
        "this": background.right("L5.attn", means=means),
    }
    assert each.loc["background"].equals(changes(pair, seed=2).loc["this"].rename("background"))
    sets = compare_means(background, "L5.attn", {"means": means, "zero": None}, seed=2)
    pair = {"means": background.right("L5.attn", means=means), "zero": background.right("L5.attn")}
    assert sets.equals(changes(pair, seed=2)) and sets["change"].iloc[1] != 0


def test_effects_by_layer_are_those_of_one_ablation_each(stickers):
    scenes = kit.world.draw(12, 9)
    asked = ask(stickers, kit.collect(stickers, scenes, "store", "twelve", selector="all"), "background")
    run, means = kit.run(stickers, stickers.preprocess(scenes.images)), Means.shipped(stickers)
    found = effects_by_layer(stickers, run, asked, "attn")
    assert list(found) == ["direct", "total"] and list(found["total"]) == [f"L{n}" for n in range(6)]
    for layer in ("L0", "L5"):
        selector = f"{layer}.attn"
        assert (found["total"][layer] == total_right(stickers, scenes, asked, selector, means)).all()
        assert (found["direct"][layer] == asked.right(selector, means=means)).all()
    with pytest.raises(KitError, match="a run of 12 images, but 5 are asked; run these"):
        effects_by_layer(stickers, run, asked.first(5), "attn")


def test_the_first_images_are_asked_the_same(concept):
    few = concept.first(7)
    assert len(few) == 7 and torch.equal(few.after("L5.MLP"), concept.after("L5.MLP")[:7])


def two_heads(shares):
    """Two questions of which each head carries one; and the shares of the heads."""
    index = pd.DataFrame({"name": ["L0.H0", "L0.H1"], "kind": "head", "layer": 0, "head": [0, 1]})
    right, wrong = torch.tensor([0.0, 0.2]), torch.tensor([0.1, 0.0])
    rest = pd.DataFrame({"y": [1] * 4})
    one = torch.stack([right, wrong]).expand(4, 2, 2)  # [image, part, text]
    other = torch.stack([wrong, right]).expand(4, 2, 2)
    asked = {
        name: made_up(name, "double", ["a", "b"], index, rest, scores.contiguous())
        for name, scores in (("one", one), ("other", other))
    }
    return asked, pd.DataFrame(shares, index=index["name"], columns=["one", "other"])


def test_roles_cross_where_each_question_loses_with_its_own_heads():
    asked, shares = two_heads([[0.9, 0.1], [0.1, 0.9]])
    assert (
        crossing(asked, shares, 1) == 1.0 and crossing(asked, shares[::-1].set_axis(shares.index), 1) == -1.0
    )
    found = shuffled_crossings(asked, shares, 1, draws=40)
    assert set(found) == {1.0, -1.0} and (found == shuffled_crossings(asked, shares, 1, draws=40)).all()
    with pytest.raises(KitError, match="roles of two questions cross, but there are 1; give two"):
        crossing({"one": asked["one"]}, shares, 1)


def test_roles_shuffled_within_layers_stay_there(monkeypatch):
    from kit.edits import controls

    names = ["L0.H0", "L0.H1", "L0.H2", "L1.H0", "L1.H1"]
    shares, seen = pd.DataFrame({"one": range(5)}, index=names), []
    monkeypatch.setattr(
        controls, "crossing", lambda asked, shares, *_: seen.append(list(shares.index)) or 0.0
    )
    shuffled_crossings({}, shares, 1, within_layers=True, draws=20)
    layers = [name[:2] for name in names]
    assert all([name[:2] for name in each] == layers and sorted(each) == names for each in seen)
    assert len(set(map(tuple, seen))) > 3
    shuffled_crossings({}, shares, 1, draws=20)
    assert any([name[:2] for name in each] != layers for each in seen[20:])


def test_other_names_are_as_good_where_names_mean_nothing(concept, means):
    found = other_names(concept, {"nothing": "none", "everything": "all"}, means)
    assert found["nothing"] == 0.0 and found["everything"] > 0.05
    assert other_names(concept, {"nothing": "none"}, means, draws=3).index.tolist() == ["nothing"]


def test_other_names_that_are_just_as_accurate_count():
    scores = torch.tensor([1.0, 0.0]).expand(4, 1, 2).contiguous()  # every image is said to be the first
    index = pd.DataFrame({"name": ["L0.MLP"], "kind": "mlp", "layer": 0, "head": [pd.NA]})
    question = made_up("one", "double", ["a", "b"], index, pd.DataFrame({"y": [0, 0, 1, 1]}), scores)
    assert other_names(question, {"nothing": "none"}).tolist() == [1.0]
