"""Mutants of the roles: kit/measures/roles.py, kit/parts/roles.py and kit/workshop/cards/roles.py."""

from tests.mutants import Mutant

MEASURE, READER, CARD = "kit/measures/roles.py", "kit/parts/roles.py", "kit/workshop/cards/roles.py"
UNIT, TRUTH = "tests/unit/test_roles.py", "tests/truth/test_roles.py"

MUTANTS: list[Mutant] = [
    Mutant(
        "roles: means of all scenes, the held-out ones too",
        MEASURE,
        "others, left = sums.sum(0) - sums, counts.sum(0) - counts",
        "others, left = sums.sum(0) + 0 * sums, counts.sum(0) + 0 * counts",
        (f"{UNIT}::test_noise_of_the_means_adds_nothing", f"{UNIT}::test_four_scenes_by_hand"),
    ),
    Mutant(
        "roles: the finer groups take what the wider ones explain",
        MEASURE,
        "effect = _means(others, left) - wide",
        "effect = _means(others, left) - mean",
        (f"{UNIT}::test_without_noise_groups_explain_everything_and_nested_shares_have_a_closed_form",),
    ),
    Mutant(
        "roles: labels are shuffled out of their category",
        MEASURE,
        "stratum = self.fold * (int(self.wider.max()) + 1) + self.wider[self.group]",
        "stratum = self.fold",
        (f"{UNIT}::test_what_the_category_says_does_not_hide_the_concept",),
    ),
    Mutant(
        "roles: nothing is shuffled",
        MEASURE,
        "= self.group[order]",
        "= self.group[stratum.argsort(stable=True)]",
        (f"{UNIT}::test_the_part_that_was_planted_is_found_and_no_other",),
    ),
    Mutant(
        "roles: total variance is not about the mean",
        MEASURE,
        "number * mean[:, 0] ** 2 - 2 * inside * mean[:, 0]",
        "0 * mean[:, 0]",
        (f"{UNIT}::test_four_scenes_by_hand",),
    ),
    Mutant(
        "roles: copies of a scene are dealt to other folds",
        MEASURE,
        "cell = self.fold[rows] * groups + group",
        "cell = self.fold * groups + group",
        (f"{UNIT}::test_the_interval_is_as_wide_as_other_scenes_would_have_it",),
    ),
    Mutant(
        "roles: each share has its own bound",
        MEASURE,
        "most = ((null - centre) / spread).amax(1)",
        "most = ((null - centre) / spread).mean(1)",
        (f"{UNIT}::test_of_many_noises_none_is_called_a_role",),
    ),
    Mutant(
        "roles of other weights are read",
        READER,
        'if found["weights_hash"] != model.weights_hash:',
        "if False:",
        (f"{UNIT}::test_other_weights_have_other_roles",),
    ),
    Mutant(
        "roles of the shipped weights are read for random ones",
        READER,
        "if model.pretrained is not None or not path.is_file():",
        "if not path.is_file():",
        (f"{UNIT}::test_models_without_roles_say_what_to_do",),
    ),
    Mutant(
        "roles: words that name their object count as read",
        CARD,
        'concepts[codes["word"]] != codes["concept"]',
        'concepts[codes["word"]] >= 0',
        (f"{TRUTH}::test_every_attribute_is_asked_of_scenes_where_nothing_else_tells_it",),
    ),
    Mutant(
        "roles: parts are not divided by the length of the whole",
        CARD,
        "result.vectors()[:, varies] / result.norm[:, None, None]",
        "result.vectors()[:, varies]",
        (f"{TRUTH}::test_the_file_is_what_its_seeds_give",),
    ),
]
