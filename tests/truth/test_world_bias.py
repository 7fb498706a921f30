"""Attributes are independent unless a bias was planted; the planted one is found; shuffled it is not."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency

from kit.world import VALUES
from kit.world.chance import Chance
from kit.world.sample import Recipe, labels

N = 40_000


def _codes(bias, kind="single"):
    recipe = Recipe(kind, bias, "seen", 0.5, 0.3, VALUES["size"], 0.0, "clean")
    return labels(Chance(31, torch.arange(N)), recipe)


def _p(a, b):
    """How likely so much dependence is by chance."""
    keep = (a >= 0) & (b >= 0)
    table = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(table, (a[keep].numpy(), b[keep].numpy()), 1)
    return chi2_contingency(table[table.sum(1) > 0][:, table.sum(0) > 0]).pvalue


@pytest.fixture(scope="module")
def unbiased():
    return _codes(0.0)


NAMES = ("category", "artist", "colour", "texture", "background", "size", "position")
# an artist who lacks some drawings is rarer among those categories: no fault of the streams
PAIRS = [p for p in itertools.combinations(NAMES, 2) if p != ("category", "artist")]


@pytest.mark.parametrize("a, b", PAIRS)
def test_streams_are_independent(unbiased, a, b):
    assert _p(unbiased[a], unbiased[b]) > 1e-4


def test_objects_of_a_pair_are_independent():
    codes = _codes(0.0, "pair")
    for name in ("category", "colour", "texture"):
        assert _p(codes[name], codes[f"{name}_2"]) > 1e-4, name
    assert _p(codes["relation"], codes["category"]) > 1e-4


@pytest.mark.parametrize("name", ["background", "size", "position", "concept"])
def test_values_are_uniform(unbiased, name):
    counts = torch.bincount(unbiased[name])
    assert len(counts) == len(VALUES[name])
    expected = N / len(counts)
    spread = ((counts - expected) ** 2 / expected).sum() / (len(counts) - 1)
    assert spread < 2.5


@pytest.mark.parametrize("bias", [0.5, 0.9, 1.0])
def test_a_planted_bias_is_found_at_its_strength(bias):
    codes = _codes(bias)
    assert _p(codes["category"], codes["background"]) < 1e-100
    names = VALUES["background"]
    homes = {"water animal": ("sea", "lake"), "land animal": ("grass", "sand", "forest", "road")}
    for lives, home in homes.items():
        here = codes["background"][codes["category"] == VALUES["category"].index(lives)]
        share = torch.isin(here, torch.tensor([names.index(b) for b in home])).float().mean()
        by_chance = len(home) / len(names)
        assert abs(float(share) - (bias + (1 - bias) * by_chance)) < 0.03, lives
    tools = codes["background"][codes["category"] == VALUES["category"].index("tool")]
    assert torch.bincount(tools, minlength=len(names)).float().std() < 40


def test_a_shuffled_bias_is_not_found():
    codes = _codes(0.9)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    assert _p(codes["category"], codes["background"][order]) > 1e-4
