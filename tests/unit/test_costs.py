"""What replacing parts costs: accuracies with intervals, along the layers, part by part, and in words."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import kit
from kit.edits import Means, ask, by_layer, costs, layer_costs, place_of, questions
from kit.edits.by_layer import BACK, FORWARD
from kit.edits.costs import says
from kit.errors import KitError
from kit.measures import answer_changes, bootstrap_interval, hits
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
    with pytest.raises(KitError, match='no way "layers 0 to k" through the layers; there are layers 0 to l'):
        by_layer(concept, ways=("layers 0 to k",))


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
