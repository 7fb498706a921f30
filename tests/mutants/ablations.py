"""Mutants of ablations of stored sums, of their intervals, and of notebook 11's panel."""

from tests.mutants import Mutant

ANSWERS, MEANS = "kit/edits/answers.py", "kit/parts/means.py"
CHANGES, CLS = "kit/measures/changes.py", "kit/parts/class_token.py"
COSTS, PANEL = "kit/edits/costs.py", "kit/panels/ablations.py"
EXACT, UNIT, TRUTH = (
    "tests/exact/test_stored_ablation.py",
    "tests/unit/test_panels_ablations.py",
    "tests/truth/test_mean_ablation.py",
)
BY_ITSELF = "tests/unit/test_costs.py"

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
        "means stand in for zero",
        PANEL,
        'return self.references[s.image] if s.replace == "mean" else None',
        "return self.references.get(s.image)",
        (f"{UNIT}::test_bars_are_the_accuracies_of_the_kit[zero-L*.MLP]",),
    ),
    Mutant(
        "the means that answers came with stand in for zero",
        PANEL,
        "dataclasses.replace(each, means=None)",
        "dataclasses.replace(each)",
        (f"{UNIT}::test_zero_is_zero_for_answers_that_have_means",),
    ),
    Mutant(
        "the cells of the last reference set stay",
        PANEL,
        "(s.texts, means and means.name)",
        "(s.texts, None)",
        (f"{UNIT}::test_cells_and_curves_are_of_the_set_that_is_chosen",),
    ),
    Mutant(
        "the ring is on the layer although the class token is replaced too",
        PANEL,
        "(not s.tokens and place_of(index, s.selector))",
        "place_of(index, s.selector)",
        (f"{UNIT}::test_the_ring_lies_where_the_state_is[L0-3.attn-L3-; ringed: now, layers 0 to 3]",),
    ),
    Mutant(
        "pictures are counted among the asked, not among the store's",
        PANEL,
        "self.pictures[self.store.rows[asked.images[i]]]",
        "self.pictures[i]",
        (f"{UNIT}::test_pictures_of_a_question_of_some_images_are_theirs",),
    ),
    Mutant(
        "a curve begins where nothing is replaced",
        COSTS,
        "np.stack(list(each.values())[1:], 1)",
        "np.stack(list(each.values())[:-1], 1)",
        (f"{BY_ITSELF}::test_costs_along_the_layers_leave_out_nothing_replaced",),
    ),
    Mutant(
        "nothing lies at the first layer",
        "kit/edits/by_layer.py",
        "if rows and rows == select(index, other):",
        "if set(rows) <= set(select(index, other)):",
        (f"{BY_ITSELF}::test_the_place_is_that_of_the_parts_however_they_are_written",),
    ),
    Mutant(
        "the pictures shown are all of one change",
        "kit/measures/answers.py",
        "return [i for turn in zip_longest(*kinds.values()) for i in turn if i is not None][:most]",
        "return self.order[:most]",
        (f"{BY_ITSELF}::test_a_few_changes_are_of_each_kind_once_before_any_twice",),
    ),
    Mutant(
        "texts in another order than their classes answer for them",
        ANSWERS,
        "if self.owner.tolist() == list(classes):",
        "if len(self.owner) == len(classes):",
        (f"{BY_ITSELF}::test_texts_of_one_class_speak_with_one_voice",),
    ),
    Mutant(
        "any heads cost what those of a role cost",
        ANSWERS,
        "rows = self.parts_of(off) if isinstance(off, str) else list(off)",
        'rows = self.parts_of(off if off == "none" else "L3.H*") if isinstance(off, str) else list(off)',
        (f"{TRUTH}::test_heads_that_carry_a_property_cost_it_and_not_the_other",),
    ),
]
