"""Intervals and accuracies, on distributions whose truth is planted."""

import numpy as np
import pandas as pd
import pytest
import torch

from kit.errors import KitError
from kit.measures import accuracy, beside_random, bootstrap_gap, bootstrap_interval, confusions, hits


def covers(interval, truth):
    return interval.low <= truth <= interval.high


def test_interval_holds_the_planted_share_95_times_in_100():
    rng = np.random.default_rng(0)
    samples = rng.random((300, 200)) < 0.8
    held = np.mean([covers(bootstrap_interval(s, seed=i, draws=400), 0.8) for i, s in enumerate(samples)])
    assert 0.91 <= held <= 0.98


@pytest.mark.parametrize("images", [400, 1600])
def test_interval_of_a_normal_sample_is_the_textbooks(images):
    sample = np.random.default_rng(1).normal(size=images)
    found = bootstrap_interval(sample, seed=0)
    width = 2 * 1.96 * sample.std() / images**0.5
    assert found.high - found.low == pytest.approx(width, rel=0.08)  # 2,000 draws move the ends by 3 %
    assert (found.high + found.low) / 2 == pytest.approx(found.value, abs=0.1 * width)


def test_interval_follows_its_seed_alone():
    values = np.random.default_rng(2).random(50)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_constant_values_leave_no_room():
    assert bootstrap_interval([1.0] * 20, seed=0) == (1.0, 1.0, 1.0)


def test_groups_count_alike_however_rare():
    values = np.r_[np.ones(90), np.zeros(10)]
    groups = np.r_[np.zeros(90), np.ones(10)]
    assert bootstrap_interval(values, seed=0).value == pytest.approx(0.9)
    found = bootstrap_interval(values, seed=0, groups=groups)
    assert found.value == found.low == found.high == 0.5  # each group is constant


def test_gap_between_two_sets_covers_the_planted_one():
    rng = np.random.default_rng(5)
    pairs = [(rng.random(150) < 0.9, rng.random(100) < 0.6) for _ in range(200)]
    held = np.mean([covers(bootstrap_gap(a, b, seed=i, draws=400), 0.3) for i, (a, b) in enumerate(pairs)])
    assert 0.9 <= held <= 0.99


def test_gap_has_the_sign_of_the_first():
    assert bootstrap_gap([1, 1, 1], [0, 0], seed=0).value == 1


@pytest.mark.parametrize(
    ("values", "groups", "message"),
    [
        ([], None, r"at least one value, but the shape is \(0,\)"),
        ([[1.0]], None, r"the shape is \(1, 1\)"),
        ([1.0, float("nan")], None, "not finite; leave these images out"),
        ([1.0, 2.0], [0], r"2 values but groups of shape \(1,\)"),
    ],
)
def test_bad_values_are_named(values, groups, message):
    with pytest.raises(KitError, match=message):
        bootstrap_interval(values, seed=0, groups=groups)


def test_hits_count_the_right_text_among_the_best():
    scores = torch.tensor([[0.3, 0.2, 0.1], [0.3, 0.2, 0.1], [0.3, 0.2, 0.1]])
    labels = torch.tensor([0, 1, 2])
    assert hits(scores, labels).tolist() == [True, False, False]
    assert hits(scores, labels, top=2).tolist() == [True, True, False]
    assert accuracy(scores, labels, top=2) == pytest.approx(2 / 3)


def test_equal_scores_are_no_answer():
    assert not hits(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])).any()


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (torch.zeros(2, 3), torch.tensor([0, 3]), "labels go from 0 to 3, but there are 3 texts"),
        (torch.zeros(2, 3), torch.tensor([-1, 0]), "labels go from -1 to 0"),
        (torch.zeros(2, 3), torch.tensor([0]), r"labels should be \[batch=2\], but the shape is \[1\]"),
        (torch.full((1, 3), float("nan")), torch.tensor([0]), "scores hold values that are not finite"),
    ],
)
def test_bad_scores_are_named(scores, labels, message):
    with pytest.raises(KitError, match=message):
        hits(scores, labels)


def test_confusions_are_sorted_and_shared():
    scores = torch.eye(3)[[1, 1, 0, 2, 2, 1]]
    labels = torch.tensor([0, 0, 0, 1, 2, 1])
    table = confusions(scores, labels, ["cat", "dog", "cow"])
    assert table.values.tolist() == [["cat", "dog", 2, pytest.approx(2 / 3)], ["dog", "cow", 1, 0.5]]


def test_chosen_numbers_stand_beside_as_many_drawn_at_random():
    values = pd.Series(np.arange(40.0), index=[f"L0.H{n}" for n in range(40)])
    found = beside_random(values, ["L0.H38", "L0.H39"], seed=0)
    assert found["chosen"] == 2 and found["theirs"] == 38.5
    assert found["random"] == pytest.approx(19.5, abs=0.6)
    assert found["theirs"] > found["95 % of random"] > 30 > beside_random(values, values.index, 0).iloc[3]
    assert found.equals(beside_random(values, ["L0.H38", "L0.H39"], seed=0))
