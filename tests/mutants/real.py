"""Mutants of the measures that hold maps against masks: kit/measures/maps.py."""

from tests.mutants import Mutant

MAPS, TESTS = "kit/measures/maps.py", "tests/unit/test_measures_maps.py"

MUTANTS = [
    Mutant(
        "tokens of equal value come in the order of the file",
        MAPS,
        "(precision.gather(1, end) * found)",
        "(precision * found)",
        (f"{TESTS}::test_average_precision_is_scikit_learns_over_all_pixels",),
    ),
    Mutant(
        "average precision takes the lowest values first",
        MAPS,
        "maps.sort(dim=1, descending=True)",
        "maps.sort(dim=1, descending=False)",
        (f"{TESTS}::test_the_mask_as_a_map_is_right_and_its_complement_wrong",),
    ),
    Mutant(
        "a score against the object counts as mass on it",
        MAPS,
        "mass = maps.clamp(min=0)",
        "mass = maps.abs()",
        (f"{TESTS}::test_negative_values_are_no_mass",),
    ),
    Mutant(
        "the pointing game takes the lowest token",
        MAPS,
        "(maps == maps.amax(1, keepdim=True))",
        "(maps == maps.amin(1, keepdim=True))",
        (f"{TESTS}::test_the_mask_as_a_map_is_right_and_its_complement_wrong",),
    ),
]
