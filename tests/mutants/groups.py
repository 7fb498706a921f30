"""Mutants of cues, answers and groups: kit/edits, kit/measures/groups.py, kit/panels/groups.py."""

from tests.mutants import Mutant

ANSWERS, CUES = "kit/edits/answers.py", "kit/edits/cues.py"
MEASURES, CASES = "kit/measures/groups.py", "kit/panels/groups.py"
EXACT, TRUTH = "tests/exact/test_groups.py", "tests/truth/test_cue.py"
PANEL = "tests/unit/test_panels_groups.py"

MUTANTS = [
    Mutant(
        "a switched-off part leaves nothing behind instead of its mean",
        ANSWERS,
        "return replaced(cosines, parts, own.sum(0) @ self.directions.T)",
        "return replaced(cosines, parts, 0 * own.sum(0) @ self.directions.T)",
        (f"{EXACT}::test_answers_after_an_edit_are_those_of_a_slow_loop[L5.H0, L5.H5]",),
    ),
    Mutant(
        "means are silently those of the images that are judged",
        ANSWERS,
        "everything, truth, means, model.label)",
        "everything, truth, Means.of(store), model.label)",
        (f"{EXACT}::test_d17_means_are_of_the_reference_set_unless_the_very_images_are_asked_for",),
    ),
    Mutant(
        "the answer is the class of the mean text, not of the best",
        ANSWERS,
        "cosines[:, self.owner == number].amax(1)",
        "cosines[:, self.owner == number].mean(1)",
        (f"{EXACT}::test_answers_after_an_edit_are_those_of_a_slow_loop[none]",),
    ),
    Mutant(
        "a tie counts as right",
        ANSWERS,
        "return hits(self.best(cosines), self.truth).numpy()",
        "return (self.best(cosines).argmax(1) == self.truth).numpy()",
        (f"{EXACT}::test_a_tie_between_classes_is_no_answer",),
    ),
    Mutant(
        "a total effect is not asked for",
        ANSWERS,
        'done = ablate(model, pixels, selector, effect="total", means=means)',
        'done = ablate(model, pixels, selector, effect="direct", means=means)',
        (f"{EXACT}::test_answers_of_a_total_effect_are_those_of_a_slow_loop",),
    ),
    Mutant(
        "the cue is counted between images of different classes",
        CUES,
        "cue = (means[0, 1] - means[0, 0] + means[1, 1] - means[1, 0]) / 2",
        "cue = means[1, 1] - means[0, 0]",
        (f"{TRUTH}::test_the_head_that_carries_the_cue_is_found_alone",),
    ),
    Mutant(
        "heads are ranked without a look at chance",
        CUES,
        'effects["significant"] & (effects["score"] > 0)',
        '(effects["score"] > 0)',
        (f"{TRUTH}::test_shuffled_places_find_nothing",),
    ),
    Mutant(
        "what a head carries of the class costs nothing",
        CUES,
        '"score": cue - own}',
        '"score": cue}',
        (f"{TRUTH}::test_the_head_that_carries_the_cue_is_found_alone",),
    ),
    Mutant(
        "random heads are drawn without a look at layer and size",
        CUES,
        "[: max(near, len(rows))] for row in rows]",
        "[::-1] for row in rows]",
        (f"{TRUTH}::test_draws_match_layers_and_sizes",),
    ),
    Mutant(
        "random sets hold chosen heads",
        CUES,
        "pool = [n for n in heads if n not in rows]",
        "pool = list(heads)",
        (f"{EXACT}::test_draws_hold_other_heads_each_once[chosen0]",),
    ),
    Mutant(
        "the worst group is the best",
        MEASURES,
        "np.nanmin(means, axis=1, keepdims=True)",
        "np.nanmax(means, axis=1, keepdims=True)",
        (f"{EXACT}::test_figures_of_groups_are_those_of_a_slow_loop",),
    ),
    Mutant(
        "the average by shares forgets the shares",
        MEASURES,
        "np.nansum(means * self.shares, axis=1) / there",
        "np.nanmean(means, axis=1)",
        (f"{EXACT}::test_figures_of_groups_are_those_of_a_slow_loop",),
    ),
    Mutant(
        "changes are not paired over images",
        MEASURES,
        "np.nanquantile(drawn - self.drawn(before), TAILS, axis=0)",
        "np.nanquantile(drawn - self.drawn(before)[::-1], TAILS, axis=0)",
        (f"{EXACT}::test_changes_are_paired",),
    ),
    Mutant(
        "the head of two lists of the paper counts twice",
        "kit/edits/published.py",
        'found.setdefault(f"L{layer}.H{head}", []).append(role)',
        'found[f"L{layer}.H{head}" + " " * (f"L{layer}.H{head}" in found)] = [role]',
        (f"{EXACT}::test_d11_heads_of_the_papers_lists_count_once_and_groups_are_computed",),
    ),
    Mutant(
        "the panel shows the groups before as those after",
        CASES,
        "self.bootstrap.table(self.answers.right(rows), self.whole)",
        "self.bootstrap.table(self.whole, self.whole)",
        (f"{PANEL}::test_figures_are_those_of_the_answers_by_hand",),
    ),
    Mutant(
        "the panel takes states of other images",
        "kit/panels/fields.py",
        "if value not in options:",
        "if False:",
        (f"{PANEL}::test_what_cannot_be_is_a_sentence_and_all_stays",),
    ),
]
