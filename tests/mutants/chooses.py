"""Mutants of what chooses: means, images, rows, parts, ties, sets, routes, records, keepers, halves, signs.

No test is named yet: each has the area where one should notice it.
"""

from tests.mutants import Mutant

ANSWERS, ABLATION, CUES = (f"kit/edits/{name}.py" for name in ("answers", "ablation", "cues"))
PASSES, REGISTRY = "kit/data/passes.py", "kit/data/registry.py"
SETS, IMAGENET = "kit/data/sets.py", "kit/data/imagenet.py"
FAULTS, COLLECT = "kit/parts/faults.py", "kit/parts/collect.py"
MEANS, MOMENTS = "kit/parts/means.py", "kit/parts/moments.py"
TABLES, RECONSTRUCT = "kit/retrieval/tables.py", "kit/projections/reconstruct.py"
CLASSES, STAMP = "kit/maps/classes.py", "kit/models/stamp.py"

MUTANTS = [
    # which means stand in a part's place
    Mutant(
        "means of what picked images read at the class token are those of the whole store",
        MEANS,
        'read, heads = view.means(images).float(), tuple(view.index["name"])',
        'read, heads = view.means().float(), tuple(view.index["name"])',
        ("tests/exact/test_stored_ablation.py::test_a_part_replaced_by_its_own_value_stays",),
    ),
    Mutant(
        "a total effect with zeros puts the means in place where means were given too",
        ABLATION,
        'hook_points = _Replace(run, chosen, means if replace == "mean" else None)',
        "hook_points = _Replace(run, chosen, means)",
        ("tests/exact/test_edits.py::test_zero_is_zero_where_means_are_at_hand_too[total]",),
    ),
    Mutant(
        "parts that are ablated beside a reconstruction get the mean of the asked images, not of the store",
        RECONSTRUCT,
        "means = store.means(selector=ablated).sum(0)",
        "means = store.means(images, ablated).sum(0)",
        (
            "tests/exact/test_reconstruct.py::test_parts_ablated_beside_it_are_means_over_the_store_whichever_images_are_asked",
        ),
    ),
    # which images and rows
    Mutant(
        "own means of a question put to some images of a store are over the store's first ones",
        ANSWERS,
        'means = Means.of(self.store, self.images.numpy()[picked], f"{which}: {self.name}")',
        'means = Means.of(self.store, np.flatnonzero(picked), f"{which}: {self.name}")',
        ("tests/exact/test_stored_ablation.py::test_own_means_are_over_the_images_that_are_asked",),
    ),
    Mutant(
        "attributes that equally many images have are asked of the images of the first of them",
        TABLES,
        "having.setdefault((values >= 0).tobytes(), []).append(name)",
        "having.setdefault((values >= 0).sum(), []).append(name)",
        ("tests/truth/test_retrieval.py::test_precision_by_attribute_asks_each_of_the_images_that_have_it",),
    ),
    Mutant(
        "a pass that goes on with fewer processes counts again what the others had done",
        PASSES,
        "range(batches(images, batch)) if number not in all_done.done]",
        "range(batches(images, batch)) if number not in own.done]",
        ("tests/exact/test_passes.py::test_a_pass_goes_over_what_no_process_has_done",),
    ),
    # which data set, and what it is taken for
    Mutant(
        "of every split that the experiments ask for the default one is read",
        REGISTRY,
        "images = one.reader(where, split) if one.splits else one.reader(where)",
        "images = one.reader(where)",
        ("tests/exact/test_sweep.py::test_every_stage_with_data_is_done_and_the_rest_is_said",),
    ),
    Mutant(
        "training images in class folders pass for validation images",
        IMAGENET,
        'if other.fullmatch(name.rpartition("/")[2])), None)',
        "if other.fullmatch(name)), None)",
        ("tests/unit/test_papers.py::test_training_images_are_read_from_class_folders",),
    ),
    Mutant(
        "one file that cannot be read ends the pass where some of the images are in memory",
        SETS,
        "isinstance(self.images, list | tuple) and any(map(_is_path, self.images))",
        "isinstance(self.images, list | tuple) and all(map(_is_path, self.images))",
        ("tests/unit/test_bad_pictures.py::test_a_list_of_paths_and_pictures_goes_past_a_bad_file",),
    ),
    Mutant(
        "a merge keeps but the first set of the other moments, so the rest of them may count twice",
        MOMENTS,
        "data=(*self.data, *other.data))",
        "data=(*self.data, *other.data[:1]))",
        ("tests/exact/test_moments.py::test_d10_labelled_subsets_in_any_order_make_the_whole",),
    ),
    # which keeper, and which record
    Mutant(
        "means that are asked for the class token are collected without it and without a word",
        COLLECT,
        'if tokens is not None and (tokens != "cls" or keep != "store"):',
        'if tokens is not None and (tokens != "cls" and keep != "store"):',
        (
            "tests/exact/test_stored_ablation.py::test_tokens_are_kept_of_the_class_token_by_stores_alone[means-cls]",
        ),
    ),
    Mutant(
        "of a tower with hooks later runs are not asked whether their parts sum to the whole",
        FAULTS,
        "error = max(error, distance(run.representation, truth))",
        "error = distance(run.representation, truth)",
        (
            "tests/exact/test_changed_towers.py::TestHooks::test_a_write_past_the_counter_is_seen_beside_a_hook",
        ),
    ),
    Mutant(
        "weights that were written past torch count as the same while their first values are",
        STAMP,
        "t.detach().flatten()[:: max(1, t.numel() // size)].float()",
        "t.detach().flatten()[:size].float()",
        ("tests/unit/test_load_model.py::test_the_hash_sees_a_row_that_was_written_past_torchs_counter[-1]",),
    ),
    # which half, and which head is strongest
    Mutant(
        "the best head of an attribute is chosen on the half on which it is measured",
        TABLES,
        "head = best_head(gallery, codes, half, how, k)",
        "head = best_head(gallery, codes, chosen, how, k)",
        ("tests/truth/test_retrieval.py::test_the_head_is_chosen_on_one_half_and_measured_on_the_other",),
    ),
    Mutant(
        "the head of a role is the one with the largest share, whatever else it writes more of",
        TABLES,
        'own = strongest.loc[strongest.groupby("attribute")["share"].idxmax()]',
        'own = table.loc[table.groupby("attribute")["share"].idxmax()]',
        ("tests/truth/test_retrieval.py::test_roles_name_a_head_only_where_it_is_its_strongest_attribute",),
    ),
    Mutant(
        "heads that carry more of the class than of the cue are removed too",
        CUES,
        'effects["significant"] & (effects["score"] > 0)]',
        'effects["significant"] & (effects["cue"] > 0)]',
        ("tests/truth/test_cue.py::test_the_head_that_carries_the_cue_is_found_alone",),
    ),
    # which sign, which ties, which texts of a class
    Mutant(
        "the smaller a head is, the more it counts as alike to a chosen one",
        CUES,
        "away = {n: abs(np.log(max(sizes[n], 1e-30) / max(sizes[row], 1e-30))) for n in pool}",
        "away = {n: np.log(max(sizes[n], 1e-30) / max(sizes[row], 1e-30)) for n in pool}",
        ("tests/truth/test_cue.py::test_draws_match_layers_and_sizes",),
    ),
    Mutant(
        "a tie between classes goes to the first of them",
        ANSWERS,
        "return hits(self.best(cosines), self.truth).numpy()",
        "return (self.best(cosines).argmax(1) == self.truth).numpy()",
        ("tests/exact/test_groups.py::test_a_tie_between_classes_is_no_answer",),
    ),
    Mutant(
        "the difference of two classes is that of each part's best texts, not of their means",
        ANSWERS,
        "self.scores[:, :, self.owner == number].mean(2) for number in (1, 0))",
        "self.scores[:, :, self.owner == number].amax(2) for number in (1, 0))",
        ("tests/exact/test_groups.py::test_differences_are_those_of_the_mean_texts",),
    ),
    Mutant(
        "a class's direction is set apart from the classes that are asked for, not from all",
        CLASSES,
        "(directions.vectors[rows] - directions.vectors.mean(0))",
        "(directions.vectors[rows] - directions.vectors[rows].mean(0))",
        (
            "tests/unit/test_panels_segmenter.py::test_a_class_is_set_apart_from_all_classes_whichever_are_asked",
        ),
    ),
]
