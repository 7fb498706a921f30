"""Mutants of the sweep: whose means, what is done, what is chosen on which images, what is shown and read."""

from tests.mutants import Mutant

TESTS = "tests/exact/test_sweep.py"
ABLATION, STAGES, WORK = "kit/sweep/ablation.py", "kit/sweep/stages.py", "kit/sweep/work.py"

MUTANTS = [
    Mutant(
        "a sweep answers an image with means of its own half",
        ABLATION,
        "[pieces.means(half != h) for h in (0, 1)]",
        "[pieces.means(half == h) for h in (0, 1)]",
        (f"{TESTS}::test_ablation_is_that_of_direct_calls",),
    ),
    Mutant(
        "a sweep replaces the last layers one too late",
        ABLATION,
        '"layers l to last", attention[n:])',
        '"layers l to last", attention[n + 1 :])',
        (f"{TESTS}::test_ablation_is_that_of_direct_calls",),
    ),
    Mutant(
        "a longer list of texts forgets the shorter one",
        "kit/projections/reconstruct.py",
        "        done = count\n",
        "        done = count if done else 0\n",
        (f"{TESTS}::test_texts_in_place_of_heads_are_those_of_direct_calls",),
    ),
    Mutant(
        "other weights keep the results of the old ones",
        STAGES,
        '        "weights": work.model.weights_hash,\n        "all weights": work.texts.hash,\n',
        "",
        (f"{TESTS}::test_changed_weights_and_changed_data_are_noticed",),
    ),
    Mutant(
        "a stage is made again though it is done",
        STAGES,
        "    if (earlier := made(stage, work)) is not None:",
        "    if (earlier := made(stage, work)) is None and False:",
        (f"{TESTS}::test_a_sweep_that_was_killed_goes_on_and_reports_the_same",),
    ),
    Mutant(
        "heads are chosen with the places of the birds swapped",
        "kit/edits/cues.py",
        """labels["y"], labels["place"], tuning.index)""",
        """labels["y"], 1 - labels["place"], tuning.index)""",
        (f"{TESTS}::test_the_head_that_carries_the_cue_comes_out",),
    ),
    Mutant(
        "a report of another schema is read",
        "kit/sweep/reading.py",
        'found.get("schema") != SCHEMA',
        "False",
        (f"{TESTS}::test_a_report_of_somebody_is_not_trusted",),
    ),
    Mutant(
        "the page shows the means of the very images as those of the other half",
        ABLATION,
        "for whose in (CROSSED, OWN))\n    both",
        "for whose in (OWN, CROSSED))\n    both",
        (f"{TESTS}::test_figures_of_stages_show_the_numbers_of_the_report",),
    ),
    Mutant(
        "the page shows the average where the worst group is named",
        "kit/sweep/cues.py",
        'next(row for row in own if row["name"] == WORST)',
        'next(row for row in own if row["name"] == "average")',
        (f"{TESTS}::test_the_head_that_carries_the_cue_comes_out",),
    ),
    Mutant(
        "intervals are left out of the page's curves",
        "kit/sweep/shown.py",
        "return Curves([str(place) for place in places], value, across, up, low, high, **more)",
        "return Curves([str(place) for place in places], value, across, up, **more)",
        (f"{TESTS}::test_figures_of_stages_show_the_numbers_of_the_report",),
    ),
    Mutant(
        "each picture of a report has a colour scale of its own",
        "kit/sweep/tokens.py",
        "named, limit=limit,",
        "named, limit=None,",
        (f"{TESTS}::test_token_maps_add_up_to_what_heads_write",),
    ),
    Mutant(
        "pictures of one page share the names of their parts",
        "kit/figures/figure.py",
        r'rf"\g<1>{self.digest[:6]}-"',
        r'rf"\g<1>"',
        (f"{TESTS}::test_the_page_holds_every_figure_with_its_words_and_nothing_of_elsewhere",),
    ),
]
