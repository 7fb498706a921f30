"""What interventions change, with paired intervals that are those of the bootstrap one by one."""

import numpy as np
import pytest

from kit.errors import KitError
from kit.measures import Resampled, bootstrap_gap, bootstrap_interval, changes, in_percent

RNG = np.random.default_rng(0)
BEFORE = RNG.random(80) < 0.8
AFTER = BEFORE & (RNG.random(80) < 0.7)


def test_shared_draws_give_the_intervals_of_single_ones():
    kept = Resampled(80, seed=3)
    for values in (BEFORE, AFTER, RNG.random(80)):
        assert np.allclose(kept.interval(values), bootstrap_interval(values, seed=3), atol=1e-6)


def test_changes_are_paired_and_against_the_first():
    table = changes({"before": BEFORE, "after": AFTER, "again": BEFORE}, seed=3)
    paired = bootstrap_interval(AFTER.astype(float) - BEFORE, seed=3)
    assert np.allclose(
        table.loc["after", ["change", "change_low", "change_high"]].astype(float), paired, atol=1e-6
    )
    assert table.loc["again", ["change", "change_low", "change_high"]].tolist() == [0.0, 0.0, 0.0]
    assert table["value"].tolist() == [BEFORE.mean(), AFTER.mean(), BEFORE.mean()]
    apart = bootstrap_gap(AFTER, BEFORE, seed=3)  # as if the images were others
    assert paired.high - paired.low < apart.high - apart.low


def test_words_in_per_cent_have_no_negative_zero():
    table = changes({"one": [1.0, 0.0], "other": [1.0, 0.0]}, seed=0)
    table.loc["other", "change"] = -1e-6
    assert in_percent(table).loc["other", "change, points"] == "+0.0 [+0.0, +0.0]"
    table.loc["other", ["change", "change_low"]] = -0.251, -1.0
    assert in_percent(table).loc["other"].tolist() == ["50.0 [0.0, 100.0]", "−25.1 [−100.0, +0.0]"]


def test_what_does_not_fit_is_said():
    with pytest.raises(KitError, match='"after" has 2 images, but "before" has 80; give every condition'):
        changes({"before": BEFORE, "after": [1.0, 0.0]}, seed=0)
    with pytest.raises(KitError, match="no condition was given"):
        changes({}, seed=0)
    with pytest.raises(KitError, match="2 values, but 80 images were drawn again"):
        Resampled(80, seed=0).interval([1.0, 0.0])
    with pytest.raises(KitError, match="no image to draw again"):
        Resampled(0, seed=0)
