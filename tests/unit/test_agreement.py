"""Agreement of labels with the truth, and what chance gives."""

import numpy as np
import pytest

from kit.errors import KitError
from kit.measures import agreement, agreement_table


def test_counts_and_interval():
    found = agreement(["a", "b", "c", "c"], ["a", "b", "a", "c"], seed=0)
    assert found.right.tolist() == [True, True, False, True]
    assert found.share.value == 0.75 and found.share.low <= 0.75 <= found.share.high


def test_other_labels_that_are_right():
    also = {"arrangement": ("position", "relation")}
    found = agreement(["position", "size", "relation"], ["arrangement", "arrangement", "size"], 0, also=also)
    assert found.right.tolist() == [True, False, False]


def test_chance_keeps_both_lists_and_breaks_the_pairs():
    true = ["a"] * 8 + ["b"] * 8
    found = agreement(true, true, seed=0)
    assert abs(found.chance.value - 0.5) < 0.02  # half of the labels are "a", and so are half of the truths
    assert found.chance.high < 1 and found.p < 0.01


def test_labels_in_another_order_are_within_chance():
    true = list("abcd") * 10
    said = [true[i] for i in np.random.default_rng(3).permutation(len(true))]
    found = agreement(said, true, seed=0)
    assert found.chance.low <= found.share.value <= found.chance.high and found.p > 0.05


def test_one_label_for_all_is_never_better_than_chance():
    found = agreement(["a"] * 12, ["a"] * 9 + ["b"] * 3, seed=0)
    assert found.share.value == found.chance.value == 0.75 and found.p == 1


@pytest.mark.parametrize(("said", "true"), [([], []), (["a"], ["a", "b"])])
def test_lists_that_do_not_fit(said, true):
    with pytest.raises(KitError, match="give one for each, and at least one"):
        agreement(said, true, seed=0)


def test_each_group_is_asked_apart_in_the_order_in_which_it_comes():
    said, true, groups = ["b", "a", "a", "c"], ["b", "a", "b", "a"], ["two", "one", "two", "one"]
    table = agreement_table(said, true, groups, seed=0)
    assert list(table.index) == ["two", "one"] and table["labels"].tolist() == [2, 2]
    alone = agreement(["b", "a"], ["b", "b"], seed=0)
    assert table.loc["two"].tolist() == [2, alone.share.told(), alone.chance.told()]
