"""Subsets of images by their labels."""

import numpy as np
import pandas as pd
import pytest

from kit.data.subsets import EVERY, FEWEST, MOST_VALUES, subsets


def test_subsets_leave_out_numbers_and_what_is_too_small():
    labels = pd.DataFrame(
        {
            "size": ["small"] * 30 + ["large"] * 30,
            "area": np.linspace(0, 1, 60),
            "artist": ["a"] * 59 + ["b"],
            "name": [str(i) for i in range(60)],
        }
    )
    found = subsets(labels)
    assert list(found) == [EVERY, "size: large", "size: small", "artist: a"] and found[EVERY] is None
    assert found["size: small"].tolist() == [True] * 30 + [False] * 30
    assert found["artist: a"].sum() == 59


@pytest.mark.parametrize("count, there", [(FEWEST, True), (FEWEST - 1, False)])
def test_a_subset_holds_enough_images(count, there):
    found = subsets(pd.DataFrame({"y": ["a"] * count + ["b"] * 40}))
    assert ("y: a" in found) == there and "y: b" in found


@pytest.mark.parametrize("values, there", [(MOST_VALUES, True), (MOST_VALUES + 1, False)])
def test_a_label_with_many_values_makes_none(values, there):
    found = subsets(pd.DataFrame({"y": list(range(values)) * FEWEST}))
    assert (len(found) > 1) == there


def test_what_nobody_knows_is_in_no_subset():
    found = subsets(pd.DataFrame({"y": ["a"] * 20 + ["b"] * 20 + [None] * 5}))
    assert {name: inside.sum() for name, inside in found.items() if name != EVERY} == {"y: a": 20, "y: b": 20}


def test_images_without_labels_have_one_subset():
    assert subsets(pd.DataFrame(index=range(50))) == {EVERY: None}
