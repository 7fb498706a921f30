"""Mutants of moments, banks and TextSpan: kit/parts/moments.py, kit/projections."""

from tests.mutants import Mutant

MOMENTS, SPAN, BANKS = "kit/parts/moments.py", "kit/projections/textspan.py", "kit/projections/banks.py"
KEPT, PICKED = "tests/exact/test_moments.py", "tests/exact/test_textspan.py"

MUTANTS = [
    Mutant(
        "moments merge as if both sets had the same mean",
        MOMENTS,
        "between = share * (1 - share) *",
        "between = 0 * share * (1 - share) *",
        (f"{KEPT}::test_d10_labelled_subsets_in_any_order_make_the_whole",),
    ),
    Mutant(
        "moments are not divided by the length of the whole",
        MOMENTS,
        "coordinates(run, self.parts, self.empty.gain) / run.norm[:, None, None]",
        "coordinates(run, self.parts, self.empty.gain)",
        (f"{KEPT}::test_moments_are_those_of_the_parts",),
    ),
    Mutant(
        "moments of another model merge",
        MOMENTS,
        "        if mine != its:",
        "        if mine != its and False:",
        (f"{KEPT}::test_what_does_not_belong_together_does_not_merge",),
    ),
    Mutant(
        "of an attention pooling only one slot is kept",
        MOMENTS,
        "run.written(begins[r][0])[:, :, begins[r][1]].flatten(1)",
        "run.written(begins[r][0])[:, 0, begins[r][1]]",
        (f"{KEPT}::test_moments_of_other_towers_are_those_of_their_parts[attention pooling]",),
    ),
    Mutant(
        "textspan: directions of rounding count as the head's",
        SPAN,
        "NO_DIRECTION = 1e-10",
        "NO_DIRECTION = 0",
        (f"{PICKED}::test_d2_picks_survive_noise_of_rounding",),
    ),
    Mutant(
        "textspan: texts are not deflated",
        SPAN,
        "self.spread += a * (a * gained[:, None] - 2 * b)",
        "self.spread += 0 * a * (a * gained[:, None] - 2 * b)",
        (f"{PICKED}::test_picks_are_those_of_the_slow_form",),
    ),
    Mutant(
        "textspan: what is left of the head is taken for all of it",
        SPAN,
        "along = _without(unit * self.variances, directions)",
        "along = unit * self.variances",
        (f"{PICKED}::test_picks_are_those_of_the_slow_form",),
    ),
    Mutant(
        "textspan: used up texts stay in the race",
        SPAN,
        "self.free &= self.lengths > COLLINEAR * self.first",
        "self.free &= self.first > COLLINEAR",
        (f"{PICKED}::test_a_text_that_is_collinear_in_the_span_is_never_picked[variance]",),
    ),
    Mutant(
        "textspan: a part that is used up goes on",
        SPAN,
        "going &= best.isfinite() & (gained > self.least)",
        "going &= gained == gained",
        (f"{PICKED}::test_parts_that_are_used_up_do_not_stop_the_others",),
    ),
    Mutant(
        "textspan: the rank keeps the smallest directions",
        SPAN,
        "leading[:, :-rank] = False",
        "leading[:, rank:] = False",
        (f"{PICKED}::test_picks_are_those_of_the_slow_form",),
    ),
    Mutant(
        "textspan: every image is rebuilt as the mean",
        SPAN,
        "(centred @ self.directions.mT @ self.directions)",
        "(0 * centred @ self.directions.mT @ self.directions)",
        (f"{PICKED}::test_d1_every_reconstructed_image_is_its_own",),
    ),
    Mutant(
        "textspan: copies run against their original",
        BANKS,
        "original = first.setdefault(vector.tobytes(), number)",
        "original = first.setdefault(number, number)",
        (f"{PICKED}::test_exact_copies_are_aliases_of_the_first",),
    ),
    Mutant(
        "textspan: texts of another model are taken",
        SPAN,
        "bank.expect_weights(moments.model, moments.weights_hash)",
        "pass",
        (f"{PICKED}::test_what_cannot_be_spanned",),
    ),
]
