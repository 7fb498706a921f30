"""Mutants of what is trusted: records, hooks, weights files, sets of images, stores, and verdicts on maps."""

from tests.mutants import Mutant

STAMP, HOOKS, TRACE, MODEL = (f"kit/models/{name}.py" for name in ("stamp", "hooks", "trace", "model"))
CHECK, FROZEN, GENERAL = "kit/parts/check.py", "kit/parts/frozen.py", "kit/parts/run_general.py"
EDITS, SPLITS, SILENT = "kit/edits/ablation.py", "kit/parts/splits.py", "kit/parts/silent.py"
WEIGHTS, VALUES, TRANSFORMS = "kit/models/weights.py", "kit/models/values.py", "kit/models/transforms.py"
FOLDERS, OPEN_CLIP, TIMM = "kit/models/folders.py", "kit/models/load_open_clip.py", "kit/models/load_timm.py"
LOCKS, PASSES = "kit/data/locks.py", "kit/data/passes.py"
IMAGES, WRITING = "kit/models/images.py", "kit/writing.py"
FILES, SUMS = "kit/parts/files.py", "kit/parts/accumulate.py"
STORE_FILES, STORE_PASS = "kit/parts/store_files.py", "kit/parts/store_pass.py"
DIGEST, KEPT = "kit/models/digest.py", "kit/models/kept.py"
RECORDS, CACHE = "kit/models/records.py", "kit/cache.py"
CHANGED = "tests/exact/test_changed_towers.py"
CHECKPOINT = "kit/models/checkpoint.py"
GIVEN = "tests/unit/test_weights_right_or_refused.py::test_what_is_given_is_right_or_refused"
LOST = "tests/unit/test_nothing_lost.py"
SPLIT = "tests/exact/test_splits.py"
SILENCE = "tests/exact/test_silent.py"

MUTANTS = [
    # which record of a tower is trusted
    Mutant(
        "a value in a dictionary of a module may change after the recording",
        STAMP,
        "return tuple((key, held(v)) for key, v in value.items())",
        "return tuple(value)",
        (f"{CHANGED}::test_a_stamp_holds_while_values_are_the_same_and_leaves_out_what_a_forward_writes",),
    ),
    Mutant(
        "hooks that only look are gone after the recording",
        HOOKS,
        "if n not in there or n in after})",
        "if n in after})",
        (f"{CHANGED}::TestHooks::test_a_hook_that_looks_sees_each_batch_once_and_numbers_only",),
    ),
    Mutant(
        "the record of a tower stands for the one that took its place",
        TRACE,
        "return kept if kept is not None and kept.tower is model.tower and kept.stamp.holds() else None",
        "return kept if kept is not None and kept.stamp.holds() else None",
        (f"{CHANGED}::test_a_tower_that_took_the_place_of_another_has_a_record_of_its_own",),
    ),
    Mutant(
        "texts are kept although a hook on the text tower may do something else now",
        MODEL,
        "if not same or stamp.hooks:",
        "if not same:",
        (f"{CHANGED}::test_texts_are_encoded_again_once_their_tower_is_another",),
    ),
    Mutant(
        "what rounding explains is measured with the user's hooks on",
        "kit/parts/faults.py",
        "with only(Stamp(tower).hooks, frozenset()), torch.no_grad():",
        "with torch.no_grad():",
        (f"{CHANGED}::test_what_rounding_explains_is_asked_without_the_hooks",),
    ),
    Mutant(
        "the self-check answers with the one that is kept",
        "kit/parts/checked.py",
        "frozen_graph(model).check = None",
        "frozen_graph(model)",
        (f"{CHANGED}::test_the_check_asks_anew",),
    ),
    Mutant(
        "maps of directions that were written in place are those of the old ones",
        GENERAL,
        "key = directions.data_ptr(), directions._version, tuple(directions.shape)",
        "key = directions.data_ptr(), tuple(directions.shape)",
        (f"{CHANGED}::test_directions_that_are_written_in_place_are_new_ones[taken through the graph]",),
    ),
    Mutant(
        "a run from before a change of the weights is ablated with the new ones",
        EDITS,
        "if isinstance(pixels, Run) and pixels.frozen is not frozen_graph(model):",
        "if isinstance(pixels, Run) and pixels.frozen.trace is not frozen_graph(model).trace:",
        (f"{CHANGED}::test_a_run_of_before_a_change_is_no_run_of_the_model[<lambda>]",),
    ),
    # which weights and which settings are taken
    Mutant(
        "of several sets of weights in one file the first is taken",
        CHECKPOINT,
        "if all(_equal(fitting[first], fitting[other]) for other in found[1:]):",
        "if True:",
        (f"{GIVEN}[student, teacher and averaged weights]",),
    ),
    Mutant(
        "values that are finite in the file's type alone are let through",
        VALUES,
        "kind = value.dtype if types is None else types[name]",
        "kind = value.dtype",
        (f"{GIVEN}[float64 beyond float32]",),
    ),
    Mutant(
        "a setting of images that is 0 is not taken",
        TRANSFORMS,
        "return {key: value for key, value in (preprocess or {}).items() if value is not None}",
        "return {key: value for key, value in (preprocess or {}).items() if value}",
        (f"{GIVEN}[preprocess= with a mean of 0]",),
    ),
    Mutant(
        "of several weights files in a folder the first by name is taken",
        FOLDERS,
        "(list(whole.values()) if len(whole) == 1 else [])",
        "list(whole.values())",
        (f"{GIVEN}[a folder with two weights files of other names]",),
    ),
    Mutant(
        "a file whose activation is in doubt gets that of the first tag",
        OPEN_CLIP,
        'for key in ("quick_gelu", *RECIPE)',
        "for key in RECIPE",
        ("tests/unit/test_load.py::test_a_local_file_in_doubt_needs_like",),
    ),
    Mutant(
        "fewer class names than outputs are taken for the first ones",
        TIMM,
        "if labels is not None and (head is None or len(labels) != len(head)):",
        "if labels is not None and (head is None or len(labels) > len(head)):",
        (f"{GIVEN}[labels of other classes]",),
    ),
    # which file is ours, which image is the one that was read, which rows are made again
    Mutant(
        "any JSON at the place of a lock is written over",
        LOCKS,
        "if not BEGIN.startswith(begin):",
        "if not BEGIN.startswith(begin[:1]):",
        (f"{LOST}::test_a_lock_is_gone_with_its_process_and_is_told_from_other_files",),
    ),
    Mutant(
        "a pass goes over what another process of an earlier one has done",
        PASSES,
        "if number not in all_done.done][",
        "if number not in own.done][",
        ("tests/exact/test_passes.py::test_a_pass_goes_over_what_no_process_has_done",),
    ),
    Mutant(
        "a picture that was written over with its old time of change is untouched",
        IMAGES,
        'facts = f"{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns} {about.st_ino}"',
        'facts = f"{about.st_size} {about.st_mtime_ns} {about.st_ino}"',
        (f"{LOST}::test_a_pass_that_goes_on_mixes_no_old_and_new_pictures[store]",),
    ),
    Mutant(
        "clearing up takes what another pass is writing in the same folder",
        WRITING,
        "if name.startswith(_mark(path)) and is_unfinished(name):",
        "if is_unfinished(name):",
        (f"{LOST}::test_clearing_up_takes_what_was_left_of_one_file_alone",),
    ),
    Mutant(
        "a file that does not say what it is of is of this pass",
        FILES,
        "if found.get(key) != value:",
        "if found.get(key, value) != value:",
        (f"{LOST}::test_a_fact_that_is_missing_is_another_one",),
    ),
    Mutant(
        "a table of the user's with the name of ours is written over",
        STORE_FILES,
        "not (name.startswith(LOCK) or is_unfinished(name))",
        "not (name.startswith(LOCK) or name in (LABELS, FILES) or is_unfinished(name))",
        (f"{LOST}::test_what_lies_there_and_is_not_ours_is_refused_and_kept[store-put-said0]",),
    ),
    Mutant(
        "a store that goes on keeps rows of pictures that were replaced",
        STORE_PASS,
        "if not whole or replaced(self.images, seen):",
        "if not whole:",
        (f"{LOST}::test_a_pass_that_goes_on_mixes_no_old_and_new_pictures[store]",),
    ),
    Mutant(
        "sums go on with batches of another size",
        SUMS,
        'check_same(self.kind, file, facts, self.empty.facts | ({"batch": self.batch} if state else {}))',
        "check_same(self.kind, file, facts, self.empty.facts)",
        (f"{LOST}::test_sums_that_go_on_with_other_batches_are_refused[moments]",),
    ),
    # which layers count as reached, and which maps are refused
    Mutant(
        "where there are maps by position, those by source are not held against their heads",
        SPLITS,
        "splits = SPLITS if run.has_positions else SPLITS[:1]",
        "splits = SPLITS[1:] if run.has_positions else SPLITS[:1]",
        (f"{SPLIT}::test_maps_that_miss_their_heads_are_refused_by_the_name_of_the_layer[general]",),
    ),
    Mutant(
        "whatever reads silent layers passes for attention",
        "kit/parts/faults.py",
        "self.kept[layer] = torch.zeros_like(out) if layer in self.silent else out",
        "self.kept[layer] = out",
        (f"{SILENCE}::test_a_silent_layer_inside_a_branch_is_hidden",),
    ),
    Mutant(
        "maps are allowed the largest error that they have",
        CHECK,
        "wrong_splits=wrong(errors, self.tolerance))",
        "wrong_splits=wrong(errors, max(largest, self.tolerance)))",
        (f"{SPLIT}::test_maps_that_miss_their_heads_are_refused_by_the_name_of_the_layer[plain]",),
    ),
    Mutant(
        "layers whose parts are zero count as reached",
        FROZEN,
        'return sum(s.kind == "head" for s in self.read)',
        'return sum(s.kind == "head" for s in self.sources)',
        (f"{SILENCE}::test_a_layer_that_later_attention_alone_reads_is_no_part_and_nothing_hidden",),
    ),
    Mutant(
        "the branch that hides silent layers is not named",
        FROZEN,
        "hidden = self._layers.keys() - {s.node for s in (self.read if silent else self.sources)}",
        "hidden = self._layers.keys() - {s.node for s in self.sources}",
        (f"{SILENCE}::test_a_silent_layer_inside_a_branch_is_hidden",),
    ),
    # which kept record is read
    Mutant(
        "towers that differ in a private attribute share a record",
        DIGEST,
        "if name not in _OWN:",
        'if name not in _OWN and not name.startswith("_"):',
        ("tests/unit/test_digest.py::test_a_digest_says_what_shapes_a_recording",),
    ),
    Mutant(
        "a record outlives the kit and the libraries that made it",
        KEPT,
        "about = [structure, list(size), str(like.dtype), like.device.type, _surroundings()]",
        "about = [structure, list(size), str(like.dtype), like.device.type]",
        ("tests/unit/test_records.py::test_other_versions_and_other_code_make_a_record_anew",),
    ),
    Mutant(
        "a record is tried on a black picture",
        KEPT,
        "noise = torch.randn(1, 3, *self.size, generator=torch.Generator().manual_seed(0))",
        "noise = torch.zeros(1, 3, *self.size)",
        ("tests/unit/test_records.py::test_a_lie_that_a_black_picture_would_not_show_is_seen[abs]",),
    ),
    Mutant(
        "a tower that is read back has all its operations in one module",
        RECORDS,
        '"module": _at(self.modules, path)}',
        '"module": _at(self.modules, 0)}',
        ("tests/unit/test_records.py::test_a_kept_record_is_the_graph_that_was_recorded[stickers-l8]",),
    ),
    Mutant(
        "clearing takes files of the user's whose names begin like ours",
        CACHE,
        "return OURS.fullmatch(name) is not None",
        "return OURS.match(name) is not None",
        ("tests/unit/test_cache.py::test_the_command_says_what_is_kept_and_removes_it_alone",),
    ),
]
