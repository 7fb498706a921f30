"""Planted worlds of notebooks 21 and 22, rank correlations, and layers that go."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr

import kit
from kit.edits import lost_by_layer
from kit.errors import KitError
from kit.measures import rank_agreement
from kit.projections import WORLDS, fit, noise_and_carrier, planted_parts, recovered


def test_worlds_are_made_as_they_say():
    planted = planted_parts(6, 2, seed=3)
    ranks = [int(torch.linalg.matrix_rank(p)) for p in planted.parts.unbind(1)]
    assert ranks == [6] * 6
    together = torch.linalg.matrix_rank(planted.parts.flatten(1))
    assert int(together) == 2 + 6 * 4  # two factors shared, four of its own for each
    lengths = planted.parts.norm(dim=2), planted.truth.norm(dim=2)
    assert torch.allclose(*lengths)  # each part is turned, and no more
    alike = planted_parts(6, 2, one_turn=True, seed=3)
    turn = torch.linalg.lstsq(alike.parts.flatten(0, 1), alike.truth.flatten(0, 1)).solution
    assert torch.allclose(alike.parts @ turn, alike.truth, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_error_is_of_parts_that_were_not_fitted(seed):
    found = recovered("ridge", planted_parts(*WORLDS["D: eight shared factors"], seed=seed))
    assert found.sum_error < 1e-4 < 0.5 < found.error
    squares = (found.part_errors.square() * found.truth.square().sum((0, 2))).sum()
    assert abs(squares / found.truth.square().sum() - found.error**2) < 1e-9
    assert len(found.mapped) == planted_parts(4, 0).fitted


def test_one_factor_stands_for_all_parts():
    planted = planted_parts(8, 8)
    found, count = recovered("marginal", planted), planted.fitted
    raw = fit("marginal", planted.parts[:count], planted.truth[:count].sum(1)).parts(planted.parts[count:])
    factors = found.mapped.norm(dim=(0, 2)) / raw.norm(dim=(0, 2))
    assert (factors / factors[0] - 1).abs().max() < 1e-9
    assert abs(((found.mapped - found.truth) * found.mapped).sum() / found.mapped.square().sum()) < 1e-9


def test_more_shared_factors_more_error_and_never_in_the_sum():
    found = [recovered("ridge", planted_parts(8, shared)) for shared in (0, 2, 4, 8)]
    errors = [f.error for f in found]
    assert errors == sorted(errors) and errors[0] < 0.01 and errors[-1] > 0.5
    assert max(f.sum_error for f in found) < 1e-4


@pytest.mark.parametrize("numbers, words", [((17, 0), "17"), ((4, 5), "5 shared"), ((0, 0), "rank")])
def test_a_world_that_cannot_be_is_said(numbers, words):
    with pytest.raises(KitError, match=words):
        planted_parts(*numbers)


@pytest.mark.parametrize("seed", range(3))
def test_each_score_has_what_fools_it(seed):
    small, large = (noise_and_carrier(size, seed)[0] for size in (0.3, 3))
    assert small["R"] < 0.5 < 0.8 < large["R"] and max(abs(n["without itself"]) for n in (small, large)) < 0.1
    carrier = noise_and_carrier(1, seed)[1]
    assert carrier["R"] > 0.9 and carrier["share"] > 0.8 and abs(carrier["without itself"]) < 0.1


def test_rank_agreement_is_spearmans_and_its_interval_that_of_a_bootstrap():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 6, 40), rng.normal(size=40)  # with ties
    found = rank_agreement(one, other + one, seed=1)
    assert abs(found.value - spearmanr(one, other + one).statistic) < 1e-12
    assert found.low < found.value < found.high and rank_agreement(one, other, seed=1).low < 0
    assert rank_agreement(one, np.ones(40), seed=1).value == 0
    assert rank_agreement(one, one + 0.0, seed=1) == (1, 1, 1)
    for wrong in ([1, 2], [1, np.nan, 3], [[1, 2, 3]]):
        with pytest.raises(KitError, match="finite numbers"):
            rank_agreement(wrong, wrong, seed=0)


@pytest.fixture(scope="module")
def store():
    """A store of 80 images whose label stands in the last layer's heads alone."""
    model = kit.load("stickers-deit")
    held = kit.collect(model, kit.world.draw(80, seed=1), "store", "80 scenes")
    parts = torch.from_numpy(np.random.default_rng(0).normal(size=(80, 31, 128)).astype(np.float32)) * 0.01
    codes = (np.arange(80) // 2 % 5).clip(max=3)  # the last label is twice as frequent
    last = held.index["name"].str.match(r"L5\.H").to_numpy(dtype=bool)
    for code in range(4):
        parts[torch.from_numpy(np.outer(codes == code, last)), code] += 1
    held.labels["planted"] = codes
    whole = parts.sum(1)
    arrays = {
        "others": parts.numpy(),
        "embedding": whole.numpy(),
        "scalars": torch.stack([whole.norm(dim=1), whole[:, 0]], 1).numpy(),
    }
    facts = held.facts | {"heads": [], "others": list(range(31))}
    return kit.parts.Store(
        **{**vars(held), "arrays": arrays, "facts": facts, "gain": None, "rows": np.arange(80)}
    )


def test_layers_that_go_take_what_they_alone_hold(store):
    found = lost_by_layer(store, "planted", seed=0)
    assert (
        len(found["last first"]) == len(found["random"]) == 6 + 1 + 1
    )  # none, six layers, and what is first
    assert found["last first"][0] == found["random"][0] == 1
    assert (found["last first"][1:] < 0.7).all()
    assert found["random"][1] > 0.9  # a few parts at random leave some of the last heads
    left = found["last first"][-1], found["random"][-1]  # the most frequent label is all that is left
    assert np.allclose(left, 0.4, rtol=0, atol=1e-9)
    again = lost_by_layer(store, "planted", seed=0)
    assert (again["random"] == found["random"]).all()


def test_a_part_between_layers_goes_with_the_layer_before_it(store):
    index = store.index.copy()
    index.loc[index["name"] == "L5.H1", "layer"] = pd.NA
    between = kit.parts.Store(**{**vars(store), "index": index})
    found, wanted = (lost_by_layer(s, "planted", seed=0, draws=1)["last first"] for s in (between, store))
    assert (found == wanted).all()


def test_labels_that_are_not_there_are_said(store):
    with pytest.raises(KitError, match='no label "kolour"'):
        lost_by_layer(store, "kolour", seed=0)
    few = store.labels.assign(planted=[0.0] * 5 + [None] * 75)
    with pytest.raises(KitError, match="5 images"):
        lost_by_layer(kit.parts.Store(**{**vars(store), "labels": few}), "planted", seed=0)
