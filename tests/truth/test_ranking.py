"""Scores of parts for a feature: planted carriers, noise, order of texts."""

import doctest

import pytest
import torch
from torch.nn.functional import normalize

import kit.projections.ranking as ranking
from kit.errors import KitError
from kit.projections.ranking import rank_parts

IMAGES, EMBED = 4000, 24


def _noise(chance, *shape):
    return torch.randn(*shape, generator=chance, dtype=torch.float64)


def _cone(chance, texts=5):
    """Unit directions that lie in a cone, as texts do."""
    return normalize(3 * _noise(chance, 1, EMBED) + _noise(chance, texts, EMBED), dim=-1)


def _planted(seed=0, noise=1.0):
    """Part 0 and 1 carry what the texts differ by, 2 works against it, 3 is noise there, 4 lies outside."""
    chance = torch.Generator().manual_seed(seed)
    texts = _cone(chance)
    axes = ranking.feature_axes(texts)
    factor = _noise(chance, IMAGES, axes.shape[1])
    outside = torch.linalg.qr(torch.cat([axes, _noise(chance, EMBED, 6)], 1))[0][:, axes.shape[1] :]
    parts = [
        (factor + 0.1 * _noise(chance, *factor.shape)) @ axes.T,
        0.5 * factor @ axes.T,
        -0.4 * factor @ axes.T,
        noise * _noise(chance, *factor.shape) @ axes.T,
        3 * _noise(chance, IMAGES, 6) @ outside.T,
    ]
    return torch.stack(parts, 1), texts


@pytest.mark.parametrize("seed", range(3))
def test_carriers_oppose_and_bystanders_are_told_apart(seed):
    found = rank_parts(*_planted(seed, noise=0.1))
    assert (found["R"][[0, 1]] > 0.95).all() and found["R"][2] < -0.95
    assert abs(found["R"][4]) < 0.05 and abs(found["share"][4]) < 0.01
    assert found["share"][0] > found["share"][1] > 0.3 and found["share"][2] < -0.2
    assert found["size"].idxmax() == 4  # size alone names the one that has nothing to do with it


def test_shares_sum_to_one_and_no_score_but_the_papers_depends_on_the_order_of_texts():
    parts, texts = _planted()
    one, other = rank_parts(parts, texts), rank_parts(parts, texts.flip(0))
    assert abs(one["share"].sum() - 1) < 1e-6
    for name in ("R", "share", "without itself", "size"):
        assert (one[name] - other[name]).abs().max() < 1e-6, name
    assert (one["CompAttribute"] - other["CompAttribute"]).abs().max() > 1e-3


def test_any_basis_of_the_same_texts_gives_the_same():
    parts, texts = _planted()
    mixed = torch.linalg.qr(_noise(torch.Generator().manual_seed(5), 5, 5))[0]
    spread = texts - texts.mean(0)
    other = rank_parts(parts, texts.mean(0) + mixed @ spread + 0 * texts)
    # differences of the mixed texts span the same space as long as their mean stays inside it
    assert (rank_parts(parts, texts)["R"] - other["R"]).abs().max() < 0.2


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_a_part_of_noise_scores_by_its_size_unless_it_is_left_out_of_the_sum(noise):
    found = rank_parts(*_planted(noise=noise))
    assert abs(found["without itself"][3]) < 0.05
    assert found["R"][3] > 0.15  # the score holds the part itself
    if noise == 3.0:
        assert found["R"][3] > 0.9


def test_a_sole_carrier_has_a_high_R_and_nothing_without_itself():
    chance = torch.Generator().manual_seed(2)
    texts = _cone(chance)
    axes = ranking.feature_axes(texts)
    carrier = _noise(chance, IMAGES, axes.shape[1]) @ axes.T
    others = 0.2 * _noise(chance, IMAGES, 3, axes.shape[1]) @ axes.T
    found = rank_parts(torch.cat([carrier[:, None], others], 1), texts)
    assert found["R"][0] > 0.9 and abs(found["without itself"][0]) < 0.05


def test_the_mean_of_texts_is_no_axis_of_the_feature():
    parts, texts = _planted()
    cone = normalize(texts.mean(0), dim=-1)
    loud = (
        5
        * _noise(torch.Generator().manual_seed(3), IMAGES, 1)
        * (cone - ranking.feature_axes(texts) @ (ranking.feature_axes(texts).T @ cone))
    )
    found = rank_parts(torch.cat([parts, loud[:, None]], 1), texts)
    assert abs(found["share"][5]) < 0.01 and abs(found["R"][5]) < 0.06
    assert found["CompAttribute"][5] > 0.15  # the paper's axes begin with the cone itself


def test_the_papers_score_is_the_mean_correlation_along_axes_in_order():
    parts, texts = _planted()
    axes, sums = [], parts.sum(1)
    for text in texts:  # Gram-Schmidt, as QR does
        rest = text - sum((text @ a) * a for a in axes)
        axes.append(rest / rest.norm())
    slow = [
        torch.stack([torch.corrcoef(torch.stack([parts[:, p] @ a, sums @ a]))[0, 1] for a in axes]).mean()
        for p in range(parts.shape[1])
    ]
    found = rank_parts(parts, texts)["CompAttribute"]
    assert (torch.tensor(found.to_numpy()) - torch.stack(slow)).abs().max() < 1e-9


def test_large_banks_are_read_by_their_largest_axes():
    chance = torch.Generator().manual_seed(4)
    parts, texts = _planted()
    axes = ranking.feature_axes(texts)
    bank = texts.mean(0) + _noise(chance, 200, axes.shape[1]) @ axes.T + 0.05 * _noise(chance, 200, EMBED)
    everything, top = rank_parts(parts, bank), rank_parts(parts, bank, axes=axes.shape[1])
    assert abs(top["R"][4]) < 0.1 < 0.5 < everything["R"][4]


@pytest.mark.parametrize(
    "change, words",
    [
        ({"directions": torch.eye(3)[:1]}, "two texts or more"),
        ({"directions": torch.eye(4)}, r"directions should be \[text, embed=3\]"),
        ({"axes": 0}, "1 or more"),
        ({"names": ["a"]}, "1 names for 2 parts"),
        ({"parts": torch.zeros(5, 2, 3)}, "does not vary"),
    ],
)
def test_what_cannot_be_ranked_is_said(change, words):
    chance = torch.Generator().manual_seed(0)
    given = {"parts": torch.randn(5, 2, 3, generator=chance), "directions": torch.eye(3)} | change
    with pytest.raises(KitError, match=words):
        rank_parts(**given)


def test_examples_run():
    assert doctest.testmod(ranking).failed == 0
