"""Pairs of scenes that differ in one factor, and what is judged by them."""

import numpy as np
import pandas as pd
import pytest
import torch

from kit.errors import KitError
from kit.measures import pair_effects
from kit.world import VALUES, atlas, draw, pairs
from kit.world.pairs import ALSO
from kit.world.printed import word_of
from kit.world.sample import TABLE

WITH = {  # labels that change with a factor, and whether all pairs do
    "category": {"category", "concept", "fit"},
    "background": {"background", "fit"},
    "word": {"word", "word_left", "word_width"},
}
SAME_PLACE = ("colour", "texture", "background")
FACTORS = list(ALSO)


@pytest.fixture(scope="module")
def drawn():
    return {name: pairs(name, 300, seed=4) for name in FACTORS}


def _differ(two):
    one, other = two.first.labels, two.second.labels
    equal = (one == other) | (one.isna() & other.isna())
    return {name for name in one if not equal[name].all()}, equal


@pytest.mark.parametrize("name", FACTORS)
def test_labels_differ_in_the_factor_and_in_nothing_else(drawn, name):
    differ, equal = _differ(drawn[name])
    assert differ == WITH.get(name, {name})
    assert not equal[name].any()
    assert torch.equal(drawn[name].first.index, drawn[name].second.index)


@pytest.mark.parametrize("name", ["background", "position", "size", "concept", "category"])
def test_the_first_scene_is_the_one_that_is_drawn_and_the_second_the_changed_one(drawn, name):
    plain = draw(20, seed=4, kind="single").labels
    pd.testing.assert_frame_equal(drawn[name][:20].first.labels, plain)
    assert (drawn[name][:20].second.labels[name] != plain[name]).all()


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("name", FACTORS)
def test_pixels_differ_in_every_pair_and_only_within_the_support(drawn, name, scale):
    two = drawn[name][:60].at(scale)
    changed = (two.first.images != two.second.images).any(1)
    assert changed.flatten(1).any(1).all()
    assert not (changed & ~two.support).any()
    assert two.support.float().mean() < (0.99 if name == "background" else 0.6)


@pytest.mark.parametrize("name", SAME_PLACE)
def test_colour_texture_and_background_leave_geometry_and_masks_to_the_bit(drawn, name):
    two = drawn[name]
    assert torch.equal(two.first.masks, two.second.masks)
    for what in ("there", "x", "y", "side", "angle", "flip"):
        assert torch.equal(getattr(two.first.layout, what), getattr(two.second.layout, what)), what


def test_soft_edges_outside_the_masks_change_too(drawn):
    two = drawn["colour"]
    changed = (two.first.images != two.second.images).any(1)
    assert (changed & ~two.first.masks.any(1)).any()  # a support of masks alone would be wrong


@pytest.mark.parametrize("name", ["position", "size", "concept", "artist", "word"])
def test_the_ground_is_the_same_wherever_no_object_stands(drawn, name):
    two = drawn[name]
    bare = ~two.support[:, None].expand_as(two.first.images)
    assert torch.equal(two.first.images[bare], two.second.images[bare])
    assert bare.float().mean() > 0.3


def test_only_size_keeps_the_turn_but_not_the_centre(drawn):
    one, other = drawn["size"].first.layout, drawn["size"].second.layout
    assert torch.equal(one.angle, other.angle) and torch.equal(one.flip, other.flip)
    assert not torch.equal(one.x, other.x)


def test_objects_that_stay_when_the_count_changes_stay_where_they_are(drawn):
    one, other = drawn["count"].first.layout, drawn["count"].second.layout
    both = one.there & other.there
    for what in ("x", "y", "side", "angle", "flip"):
        assert torch.equal(getattr(one, what)[both], getattr(other, what)[both]), what
    assert both.any(1).all() and (one.there != other.there).any(1).all()


def test_concepts_stay_in_their_category_or_leave_it_and_their_artist_drew_them(drawn):
    table = torch.tensor(TABLE["category"])
    for name, same in (("concept", True), ("category", False), ("artist", True)):
        one, other = drawn[name].first.codes, drawn[name].second.codes
        assert ((table[one["concept"]] == table[other["concept"]]) == same).all(), name
        assert torch.equal(table[other["concept"]], other["category"])
        assert atlas.available()[other["artist"], other["concept"]].all()
    assert torch.equal(drawn["category"].first.codes["artist"], drawn["category"].second.codes["artist"])


def test_no_word_names_the_object(drawn):
    for scenes in (drawn["word"].first, drawn["word"].second):
        assert (scenes.codes["word"] >= 0).all()
        assert (scenes.codes["word"] != word_of(scenes.codes["concept"])).all()


@pytest.mark.parametrize(
    "name, low, count", [("colour", 1, 10), ("texture", 0, 4), ("background", 0, 12), ("position", 0, 5)]
)
def test_every_value_changes_into_every_other_as_often(name, low, count):
    two = pairs(name, 6000, seed=9)
    steps = (two.second.codes[name] - two.first.codes[name]) % count
    for codes, values in ((two.first.codes[name] - low, count), (steps - 1, count - 1)):
        seen = torch.bincount(codes, minlength=values).numpy()
        assert len(seen) == values
        expected = 6000 / values
        assert np.abs(seen - expected).max() < 4.5 * np.sqrt(expected)


def test_the_held_out_artist_draws_pairs_too():
    two = pairs("concept", 40, seed=2, artists="held_out")
    assert set(two.first.labels["artist"]) == {"fluent-emoji-flat"} == set(two.second.labels["artist"])


@pytest.mark.parametrize("name", [name for name in FACTORS if name != "count"])
def test_a_pair_depends_on_its_number_alone(drawn, name):
    part = pairs(name, 7, seed=4, start=21)
    assert torch.equal(part.first.images, drawn[name].first.images[21:28])
    assert torch.equal(part.second.images, drawn[name].second.images[21:28])


def test_more_pairs_of_a_count_begin_with_the_same(drawn):
    few = pairs("count", 5, seed=4)
    assert torch.equal(few.second.images, drawn["count"].second.images[:5])
    assert not torch.equal(pairs("count", 5, seed=5).first.images, few.first.images)


@pytest.mark.parametrize(
    "given, words",
    [
        ({"attribute": "color"}, 'no factor "color".*Nearest: colour'),
        ({"attribute": "artist", "artists": "held_out"}, "one artist alone"),
        ({"attribute": "colour", "n": 0}, "positive number"),
        ({"attribute": "colour", "artists": "nobody"}, "unknown artists"),
    ],
)
def test_what_cannot_be_drawn_is_said(given, words):
    with pytest.raises(KitError, match=words):
        pairs(**{"n": 4, "seed": 0} | given)


def _one_hot(scenes, name):
    return torch.nn.functional.one_hot(scenes.codes[name].clamp(min=0), len(VALUES[name])).double()


def _outputs(drawn, unit, factors=("colour", "texture", "background", "position", "size")):
    return {name: (unit(drawn[name].first), unit(drawn[name].second)) for name in factors}


@pytest.mark.parametrize("name", ["colour", "background", "position", "size"])
def test_a_unit_that_knows_one_factor_has_a_selectivity_of_one(drawn, name):
    effects = pair_effects(_outputs(drawn, lambda scenes: _one_hot(scenes, name)[:, None]), seed=0)
    assert effects.selectivity(name).iloc[0].tolist() == [1.0, 1.0, 1.0]
    others = [n for n in effects.factors if n != name]
    assert all(effects.selectivity(n)["value"][0] == -1 for n in others)


def test_the_effect_of_a_known_factor_is_its_share_of_the_variance():
    two, values = pairs("background", 4000, seed=1), 12
    both = [
        torch.stack([_one_hot(s, "background"), 0 * _one_hot(s, "background")], 1)
        for s in (two.first, two.second)
    ]
    # noise stays as it is within a pair
    noise = torch.randn(4000, 12, generator=torch.Generator().manual_seed(0)).double() / 12**0.5
    mixed = [
        each + torch.stack([torch.zeros_like(noise), noise], 1) for each in both
    ]  # noise stays in a pair
    effects = pair_effects({"background": tuple(mixed), "itself": tuple(mixed)}, seed=0)
    assert effects.values[0, 0] == pytest.approx(values / (values - 1), abs=0.01)
    assert effects.values[0, 1] == 0  # what does not change with the factor has no effect


def test_half_of_the_variance_is_half_of_the_effect():
    n, rng = 5000, torch.Generator().manual_seed(3)
    keeps, first, second = (torch.randn(n, 1, generator=rng).double() for _ in range(3))
    effects = pair_effects({"own": (keeps + first, keeps + second), "other": (keeps, keeps)}, seed=0)
    assert effects.values[0, 0] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("seed", range(6))
def test_a_shuffled_unit_has_a_selectivity_of_zero_within_its_interval(drawn, seed):
    rng, outputs = torch.Generator().manual_seed(seed), {}
    for name, (one, other) in _outputs(drawn, lambda s: _one_hot(s, "colour")[:, None]).items():
        order = torch.randperm(2 * len(one), generator=rng)
        mixed = torch.cat([one, other])[order]
        outputs[name] = mixed[: len(one)], mixed[len(one) :]
    found = pair_effects(outputs, seed=seed)
    for name in found.factors:
        value, low, high = found.selectivity(name).iloc[0]
        assert low - 0.02 <= 0 <= high + 0.02 and abs(value) < 0.12, name


def test_a_shift_and_a_scale_change_no_effect(drawn):
    plain = pair_effects(_outputs(drawn, lambda s: s.images.double().mean((2, 3))), seed=0)
    moved = pair_effects(_outputs(drawn, lambda s: 1e6 + 3 * s.images.double().mean((2, 3))), seed=0)
    np.testing.assert_allclose(plain.values, moved.values, rtol=1e-6)
    np.testing.assert_allclose(plain.table()["low"], moved.table()["low"], rtol=1e-6)


def test_the_table_has_a_row_for_each_factor_and_unit(drawn):
    table = pair_effects(_outputs(drawn, lambda s: s.images.double().mean((2, 3))), seed=0).table()
    assert list(table) == [
        "factor", "unit", "effect", "low", "high", "selectivity", "selectivity_low", "selectivity_high",
    ]  # fmt: skip
    assert len(table) == 15
    assert (table["low"] <= table["effect"]).all() and (table["effect"] <= table["high"]).all()
    assert table.set_index(["factor", "unit"]).loc["background", "effect"].min() > 0.8


@pytest.mark.parametrize(
    "outputs, words",
    [
        ({"one": (torch.ones(4, 1), torch.ones(4, 1))}, "held against none"),
        ({n: (torch.ones(4, 1), torch.ones(5, 1)) for n in "ab"}, "give two of"),
        ({n: (torch.ones(4, k + 1), torch.ones(4, k + 1)) for k, n in enumerate("ab")}, "the same for all"),
        ({n: (torch.full((4, 1), torch.nan), torch.ones(4, 1)) for n in "ab"}, "not finite"),
    ],
)
def test_outputs_that_are_no_pairs_are_refused(outputs, words):
    with pytest.raises(KitError, match=words):
        pair_effects(outputs, seed=0)


def test_an_unknown_factor_is_answered_with_the_nearest():
    both = torch.arange(4.0)[:, None], torch.arange(4.0).flip(0)[:, None]
    with pytest.raises(KitError, match=r'no factor "colr".*Nearest: colour'):
        pair_effects({"colour": both, "size": both}, seed=0).selectivity("colr")
