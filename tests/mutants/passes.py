"""Sabotages of the pass over images, of means and of stores."""

from tests.mutants import Mutant

TESTS = "tests/exact/test_passes.py"
LOST, BAD, DAMAGED = (
    f"tests/unit/test_{name}.py" for name in ("nothing_lost", "bad_pictures", "damaged_stores")
)

MUTANTS = [
    Mutant(
        "a pass that goes on does again what was done",
        "kit/data/passes.py",
        "if number not in all_done.done][",
        "if number not in set()][",
        (f"{TESTS}::test_a_pass_goes_over_what_no_process_has_done",),
    ),
    Mutant(
        "every process takes the first one's batches",
        "kit/data/passes.py",
        "rank::processes",
        "0::processes",
        (f"{TESTS}::test_processes_take_whole_batches",),
    ),
    Mutant(
        "a batch counts as done with the next one",
        "kit/data/passes.py",
        "own.done[number] = keeper.add(",
        "own.done[number] = own.done[number + 1] = keeper.add(",
        (f"{TESTS}::test_a_pass_goes_over_what_no_process_has_done",),
    ),
    Mutant(
        "means of two batches are joined with the wrong weight",
        "kit/parts/means.py",
        "share = other.count / count",
        "share = self.count / count",
        (f"{TESTS}::test_means_do_not_depend_on_the_batch",),
    ),
    Mutant(
        "a file of another pass is taken",
        "kit/parts/files.py",
        "if found.get(key) != value:",
        "if found.get(key) is None:",
        (f"{TESTS}::test_a_path_of_another_pass_is_refused[moments]",),
    ),
    Mutant(
        "the digest of an array is made and not compared",
        "kit/parts/arrays.py",
        "if joined_digest(blocks) != digest:",
        "if not blocks:",
        (f"{DAMAGED}::test_a_damaged_file_is_named_or_makes_no_difference[store]",),
    ),
    Mutant(
        "digests of tensors are made and not compared",
        "kit/parts/files.py",
        "whole = digests == {",
        "whole = digests.keys() == {",
        (f"{DAMAGED}::test_tensors_that_were_changed_are_refused[zeros-moments]",),
    ),
    Mutant(
        "facts that were changed are taken",
        "kit/parts/headers.py",
        'return facts.pop("digest", None) == _digest(facts)',
        'return facts.pop("digest", None) is not None',
        (f"{DAMAGED}::test_a_damaged_file_is_named_or_makes_no_difference[store]",),
    ),
    Mutant(
        "only errors of the file system are those of one picture",
        "kit/data/reading.py",
        "except Exception as error:",
        "except OSError as error:",
        (f"{BAD}::test_any_error_of_one_picture_lists_it[SyntaxError-read]",),
    ),
    Mutant(
        "every reader of Pillow opens what people give",
        "kit/models/images.py",
        "Image.open(io.BytesIO(content), formats=FORMATS)",
        "Image.open(io.BytesIO(content))",
        (f"{BAD}::test_only_the_formats_that_people_mean_are_opened",),
    ),
    Mutant(
        "a missing value and an empty text are one",
        "kit/parts/labels.py",
        'MISSING = "\\\\N"',
        'MISSING = ""',
        (f"{LOST}::test_every_kind_of_column_comes_back",),
    ),
    Mutant(
        "a file gets its name before it is on the disk",
        "kit/writing.py",
        "os.fsync(file.fileno())",
        "pass",
        (f"{LOST}::test_files_are_written_whole_or_not_at_all",),
    ),
    Mutant(
        "scores of a store are not divided by the length",
        "kit/parts/stores.py",
        "return found / self._norm(rows)[:, None, None]",
        "return found",
        (f"{TESTS}::test_scores_of_a_store_sum_to_the_cosines",),
    ),
    Mutant(
        "images of a store are counted with those that could not be read",
        "kit/parts/stores.py",
        "rows = self.rows[self.picked(images)]",
        "rows = self.picked(images)",
        (f"{TESTS}::test_scores_of_a_store_sum_to_the_cosines",),
    ),
    Mutant(
        "an edit of a store adds what it should take out",
        "kit/edits/answers.py",
        "return replaced(cosines, parts)\n",
        "return replaced(cosines, -parts)\n",
        (f"{TESTS}::test_a_store_ablates_as_ablate_does",),
    ),
    Mutant(
        "moments of a store are of lengths",
        "kit/parts/stores.py",
        "within]).double() / norm[some, None, None]",
        "within]).double()",
        (f"{TESTS}::test_moments_of_a_store_are_those_of_a_pass",),
    ),
    Mutant(
        "images may count twice",
        "kit/parts/moments.py",
        "if twice := set(self.data) & set(other.data):",
        "if twice := set():",
        (f"{TESTS}::test_moments_of_a_store_are_those_of_a_pass",),
    ),
    Mutant(
        "values are never let go in the estimate of memory",
        "kit/models/memory.py",
        "alive -= sum(",
        "alive -= 0 * sum(",
        (f"{TESTS}::test_the_estimate_of_memory_counts_what_is_alive",),
    ),
]
