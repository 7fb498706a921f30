"""Sabotages of the pass over images, of means and of stores."""

from tests.mutants import Mutant

TESTS = "tests/exact/test_passes.py"

MUTANTS = [
    Mutant(
        "a pass that goes on does again what was done",
        "kit/data/passes.py",
        "if number not in all_done.done][rank::processes]",
        "if number not in set()][rank::processes]",
        (f"{TESTS}::test_a_pass_that_stopped_goes_on[moments]",),
    ),
    Mutant(
        "every process takes the first one's batches",
        "kit/data/passes.py",
        "if number not in all_done.done][rank::processes]",
        "if number not in all_done.done][0::processes]",
        (f"{TESTS}::test_processes_take_whole_batches",),
    ),
    Mutant(
        "a batch counts as done with the next one",
        "kit/data/passes.py",
        "own.done.add(number)",
        "own.done.update((number, number + 1))",
        (f"{TESTS}::test_a_pass_that_stopped_goes_on[store]",),
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
        "if found[key] != value:",
        "if found[key] is None:",
        (f"{TESTS}::test_a_path_of_another_pass_is_refused[moments]",),
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
        "rows = self.rows[images]",
        "rows = np.arange(99)[images]",
        (f"{TESTS}::test_scores_of_a_store_sum_to_the_cosines",),
    ),
    Mutant(
        "an edit of a store adds what it should take out",
        "kit/parts/stores.py",
        "found -= self.scores(directions, images, selector).sum(1)",
        "found += self.scores(directions, images, selector).sum(1)",
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
