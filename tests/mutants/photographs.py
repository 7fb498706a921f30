"""Sabotages of the bank for photographs."""

from tests.mutants import Mutant

TESTS = "tests/unit/test_photographs.py"
LISTS, BANKS = "kit/projections/photographs.py", "kit/projections/banks.py"

MUTANTS = [
    Mutant(
        "a word may tell two properties",
        LISTS,
        "found.setdefault(word, name) != name:",
        "found.setdefault(word, name) is None:",
        (f"{TESTS}::test_lists_whose_words_tell_two_properties_are_refused",),
    ),
    Mutant(
        "a text may tell more than its property",
        LISTS,
        "if told != {name}:",
        "if name not in told:",
        (f"{TESTS}::test_a_text_that_tells_two_properties_is_refused",),
    ),
    Mutant(
        "a word is found inside other words",
        LISTS,
        "return {words[word] for word in _words(text) if word in words}",
        "return {words[word] for word in words if word in text.lower()}",
        (f"{TESTS}::test_tags_are_of_whole_words",),
    ),
    Mutant(
        "texts of the bank get the tags of others",
        BANKS,
        '"photographs", [t.property for t in texts])',
        '"photographs", [t.property for t in texts[::-1]])',
        (
            f"{TESTS}::test_the_bank_is_tagged_and_of_its_model",
            f"{TESTS}::test_a_head_that_writes_a_property_is_told_by_its_tag_and_not_by_shuffled_ones",
        ),
    ),
    Mutant(
        "a centred bank keeps its common axis",
        BANKS,
        "vectors = normalize(self.vectors - self.vectors.mean(0), dim=1)",
        "vectors = normalize(self.vectors, dim=1)",
        (f"{TESTS}::test_a_centred_bank_has_unit_rows_and_no_common_axis",),
    ),
    Mutant(
        "spread is of the whole bank",
        BANKS,
        "float((own - own.mean(0)).norm(dim=1).mean())",
        "float((own - self.vectors.mean(0)).norm(dim=1).mean())",
        (f"{TESTS}::test_spread_finds_the_property_that_was_made_wide",),
    ),
]
