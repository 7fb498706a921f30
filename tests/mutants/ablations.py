"""Mutants of ablations of stored sums, of their intervals, and of notebook 11's panel."""

from tests.mutants import Mutant

ANSWERS, MEANS = "kit/edits/answers.py", "kit/parts/means.py"
CHANGES, CLS = "kit/measures/changes.py", "kit/parts/class_token.py"
CASES, PANEL = "kit/panels/ablated_accuracy.py", "kit/panels/ablations.py"
EXACT, UNIT, TRUTH = (
    "tests/exact/test_stored_ablation.py",
    "tests/unit/test_panels_ablations.py",
    "tests/truth/test_mean_ablation.py",
)

MUTANTS = [
    Mutant(
        "parts are replaced by nothing where means were asked for",
        ANSWERS,
        "return replaced(cosines, parts, own.sum(0) @ self.directions.T)",
        "return replaced(cosines, parts)",
        (f"{EXACT}::test_everything_replaced_is_one_answer_for_all",),
    ),
    Mutant(
        "a head replaced as a whole loses its share of the class token twice",
        ANSWERS,
        'if index["name"][head] not in gone]',
        "if True]",
        (f"{EXACT}::test_a_head_that_is_replaced_is_not_replaced_twice_at_the_class_token",),
    ),
    Mutant(
        "means are taken by place, not by name",
        MEANS,
        "    return [known.index(name) for name in names]",
        "    return list(range(len(names)))",
        (f"{EXACT}::test_a_part_replaced_by_its_own_value_stays",),
    ),
    Mutant(
        "means of any model will do",
        ANSWERS,
        'check_weights(self.store, means, "means of a reference set")',
        "pass",
        (f"{EXACT}::test_what_does_not_fit_is_said",),
    ),
    Mutant(
        "right answers are counted out from the first image",
        ANSWERS,
        "return self.store.cosines(self.directions, self.images.numpy())",
        "return self.store.cosines(self.directions, np.arange(len(self.images)))",
        (f"{EXACT}::test_d10_labels_and_answers_stay_together_past_damage_and_order",),
    ),
    Mutant(
        "the means are always those of the images at hand",
        MEANS,
        "parts=store.means(images).float(),",
        "parts=store.means().float(),",
        (f"{EXACT}::test_d17_the_reference_set_is_named_and_is_an_argument",),
    ),
    Mutant(
        "what a head reads at a patch stands for the class token",
        CLS,
        "[:, :, head, 0], run.values_at(layer, 0)",
        "[:, :, head, 1], run.values_at(layer, 1)",
        (f"{EXACT}::test_the_class_tokens_share_is_what_each_head_reads_there",),
    ),
    Mutant(
        "changes are against the condition itself",
        CHANGES,
        "draws.interval(values - first)",
        "draws.interval(values - values)",
        ("tests/unit/test_changes.py::test_changes_are_paired_and_against_the_first",),
    ),
    Mutant(
        "the curve is of single layers",
        "kit/edits/by_layer.py",
        'f"L0-{n}.attn"',
        'f"L{n}-{n}.attn"',
        (f"{UNIT}::test_the_curve_is_cumulative_and_its_complement",),
    ),
    Mutant(
        "answers that were always wrong count as lost",
        "kit/measures/answers.py",
        "lost, won = was & ~still",
        "lost, won = ~still",
        (f"{UNIT}::test_answers_that_changed_are_counted_and_shown[concept]",),
    ),
    Mutant(
        "a wrong state is kept on the screen's controls",
        "kit/panels/state_panel.py",
        "            self.selection.change(**self._good)",
        "            pass",
        (f"{UNIT}::test_what_cannot_be_is_a_sentence_and_the_last_state_stays",),
    ),
    Mutant(
        "any heads cost what those of a role cost",
        ANSWERS,
        "rows = self.parts_of(off) if isinstance(off, str) else list(off)",
        'rows = self.parts_of(off if off == "none" else "L3.H*") if isinstance(off, str) else list(off)',
        (f"{TRUTH}::test_heads_that_carry_a_property_cost_it_and_not_the_other",),
    ),
]
