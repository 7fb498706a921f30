"""Precision at k and its chance, on rankings that are written out."""

import numpy as np
import pytest
from torchmetrics.functional.retrieval import retrieval_precision

from kit.errors import KitError
from kit.measures import chance_precision, precision_at_k, shuffled_precision

CODES = np.array([0, 0, 1, 1, 1])


def test_it_counts_the_query_s_own_value():
    neighbours = [[1, 2], [2, 3], [3, 4], [0, 1], [2, 0]]
    assert precision_at_k(neighbours, CODES).tolist() == [0.5, 0.0, 1.0, 0.0, 0.5]
    assert precision_at_k(neighbours[2:4], CODES, [2, 3]).tolist() == [1.0, 0.0]


def test_several_attributes_are_asked_of_one_ranking():
    neighbours, both = [[1, 2], [2, 3], [3, 4], [0, 1], [2, 0]], np.stack([CODES, CODES[::-1]], 1)
    alone = [precision_at_k(neighbours, codes) for codes in both.T]
    assert precision_at_k(neighbours, both).T.tolist() == [each.tolist() for each in alone]


def test_it_is_torchmetrics_figure():
    import torch

    rng = np.random.default_rng(0)
    codes, scores = rng.integers(4, size=30), rng.normal(size=(30, 30))
    np.fill_diagonal(scores, -np.inf)
    found = precision_at_k(np.argsort(-scores, axis=1)[:, :7], codes)
    for query in range(30):
        others = np.arange(30) != query
        preds = torch.from_numpy(scores[query, others])
        target = torch.from_numpy(codes[others] == codes[query])
        assert found[query] == pytest.approx(float(retrieval_precision(preds, target, top_k=7)))


def test_chance_is_the_mean_over_all_rankings():
    rng, drawn = np.random.default_rng(0), []
    for _ in range(3000):
        order = np.stack([rng.permutation([i for i in range(5) if i != q])[:2] for q in range(5)])
        drawn.append(precision_at_k(order, CODES))
    # 3000 draws of a share: a standard error below 0.01
    assert np.abs(np.mean(drawn, axis=0) - chance_precision(CODES)).max() < 0.03
    assert chance_precision(CODES).mean() == pytest.approx(0.4)


def test_shuffled_values_break_what_a_ranking_knows():
    codes = np.repeat(np.arange(4), 25)
    same = np.stack([np.delete(np.flatnonzero(codes == codes[q]), q % 25)[:10] for q in range(100)])
    assert precision_at_k(same, codes).mean() == 1.0
    found = shuffled_precision(same, codes, seed=0)
    assert abs(found.mean() - chance_precision(codes).mean()) < 0.01 and found.max() < 0.5


@pytest.mark.parametrize(
    ("neighbours", "message"),
    [
        ([[1, 2]], "should be .query, k. of 5 queries"),
        ([[1], [0], [0], [0], [5]], "beyond the 5 that have a value"),
        ([[1], [0], [2], [0], [0]], "among its own neighbours"),
    ],
)
def test_bad_rankings(neighbours, message):
    with pytest.raises(KitError, match=message):
        precision_at_k(neighbours, CODES)
