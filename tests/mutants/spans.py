"""Mutants of what each head says: agreement with the truth, reconstructed answers, the panel."""

from tests.mutants import Mutant

AGREEMENT, RESPAN = "kit/measures/agreement.py", "kit/projections/reconstruct.py"
PANEL, BASE = "kit/panels/spans.py", "kit/panels/declared.py"

MUTANTS = [
    Mutant(
        "chance is what the labels themselves reach",
        AGREEMENT,
        "fits[rows, rng.permutation(codes)].mean()",
        "fits[rows, codes].mean()",
        ("tests/unit/test_agreement.py::test_chance_keeps_both_lists_and_breaks_the_pairs",),
    ),
    Mutant(
        "other right labels are forgotten",
        AGREEMENT,
        "s == t or s in also.get(t, ())",
        "s == t",
        ("tests/unit/test_agreement.py::test_other_labels_that_are_right",),
    ),
    Mutant(
        "a reconstruction forgets the mean of what is lost",
        RESPAN,
        "images, names).sum(1), means), 0",
        "images, names).sum(1)), 0",
        ("tests/exact/test_reconstruct.py::test_it_equals_reconstructing_every_vector",),
    ),
    Mutant(
        "texts keep what they do not span, too",
        RESPAN,
        "along = store.scores(spans.directions, images, names)",
        "along = 0 * store.scores(spans.directions, images, names)",
        ("tests/exact/test_reconstruct.py::test_it_equals_reconstructing_every_vector",),
    ),
    Mutant(
        "a head may be ablated and reconstructed",
        RESPAN,
        "    if twice:",
        "    if False:",
        ("tests/exact/test_reconstruct.py::test_a_head_cannot_be_both",),
    ),
    Mutant(
        "a subset of images has the texts of all",
        PANEL,
        "self.subsets[images]",
        "None",
        ("tests/unit/test_panels_spans.py::test_a_subset_has_texts_of_its_own",),
    ),
    Mutant(
        "a bank's findings are shown for the next one",
        PANEL,
        "key = bank.name, tuple(bank.texts), images, score, most",
        "key = images, score, most",
        ("tests/unit/test_panels_spans.py::test_a_bank_without_properties_has_no_truth_to_agree_with",),
    ),
    Mutant(
        "a shorter list keeps the length of the longer",
        PANEL,
        "textspan(moments, bank, most, score)).first(texts)",
        "textspan(moments, bank, most, score))",
        ("tests/unit/test_panels_spans.py::test_fewer_texts_are_the_first_of_more[7]",),
    ),
    Mutant(
        "the truth is the attribute that explains least",
        "kit/parts/roles.py",
        'rows.groupby("part")["share"].idxmax()',
        'rows.groupby("part")["share"].idxmin()',
        ("tests/unit/test_panels_spans.py::test_right_and_wrong_are_told_by_the_roles",),
    ),
    Mutant(
        "pictures of another set stand beside the heads",
        "kit/parts/stored.py",
        'if [shown.digest] != store.facts["data"]:',
        "if False:",
        (
            "tests/unit/test_panels_spans.py::test_other_images_than_those_of_the_store",
            "tests/unit/test_panels_retrieval.py::test_other_images_than_those_of_the_store",
        ),
    ),
    Mutant(
        "a wrong wish loses the last state",
        BASE,
        "        self._set(self._good)\n",
        "        pass\n",
        ("tests/unit/test_panels_spans.py::test_what_cannot_be_is_a_sentence_and_the_last_state_stays",),
    ),
    Mutant(
        "what somebody types twice is two texts",
        "kit/projections/banks.py",
        'list(dict.fromkeys(text for each in words if (text := " ".join(each.split()))))',
        '[text for each in words if (text := " ".join(each.split()))]',
        ("tests/unit/test_banks.py::test_own_texts_are_cleaned_and_kept_once",),
    ),
    Mutant(
        "a part's share is that of its first text",
        "kit/projections/textspan.py",
        'self.table.groupby("part")["share"].sum()',
        'self.table.groupby("part")["share"].first()',
        ("tests/unit/test_banks.py::test_a_summary_is_that_of_a_loop",),
    ),
    Mutant(
        "a role that nobody knows is missed by a head",
        "kit/measures/agreement.py",
        "if said and role else None",
        "if said else None",
        ("tests/unit/test_roles.py::test_a_property_fits_a_role_or_not_or_nobody_knows",),
    ),
    Mutant(
        "a single image is a subset",
        "kit/data/subsets.py",
        "if FEWEST <= inside.sum() < len(labels):",
        "if 0 < inside.sum() < len(labels):",
        ("tests/unit/test_subsets.py::test_a_subset_holds_enough_images",),
    ),
]
