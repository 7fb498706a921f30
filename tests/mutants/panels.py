"""Mutants of the panels: kit/panels."""

from tests.mutants import Mutant

SELECTION = "kit/panels/selection.py"
STATE = "tests/unit/test_panels_selection.py"

MUTANTS = [
    Mutant(
        "a state string is taken as it stands, with its escapes",
        SELECTION,
        "values[name] = unquote(value)",
        "values[name] = value",
        (f"{STATE}::test_a_state_comes_back_from_its_string",),
    ),
    Mutant(
        "an empty prompt is taken",
        SELECTION,
        "if not texts or not all(texts):",
        "if not texts:",
        (f"{STATE}::test_a_refused_value_leaves_all_as_it_was",),
    ),
    Mutant(
        "fewer prompts leave the chosen one out of range",
        SELECTION,
        "self.text = min(self.text, len(self.texts) - 1)",
        "pass",
        (f"{STATE}::test_fewer_prompts_keep_the_chosen_one_in_range",),
    ),
]
