"""Mutants of what leaves a panel."""

from tests.mutants import Mutant

SAVING, TOWERS = "kit/panels/saving.py", "kit/panels/any_model.py"
TESTS, EVERY = "tests/unit/test_panels_saving.py", "tests/unit/test_every_panel.py"

MUTANTS = [
    Mutant(
        "a prompt is markup on a saved page",
        SAVING,
        "<pre>{html.escape(panel.code())}</pre>",
        "<pre>{panel.code()}</pre>",
        (f"{TESTS}::test_a_prompt_is_no_markup_on_a_page",),
    ),
    Mutant(
        "saved numbers do not say where they come from",
        SAVING,
        'f"# {panel.provenance()}\\n{panel.table()',
        'f"# \\n{panel.table()',
        (f"{EVERY}::test_numbers_picture_and_lines_are_saved_with_where_they_come_from[Spans]",),
    ),
    Mutant(
        "lines are of the gallery, whatever pictures the panel has",
        "kit/maps/pictures.py",
        'code = "kit.world.gallery()" if images is None else "images"',
        'code = "kit.world.gallery()"',
        (f"{TESTS}::test_lines_name_the_pictures_that_the_panel_was_given",),
    ),
    Mutant(
        "lines that were copied stay beside another state",
        "kit/panels/panel.py",
        "self._say.text = self._trouble.text = self._lines.text = ",
        "self._say.text = self._trouble.text = ",
        (f"{TESTS}::test_a_button_hands_out_a_file",),
    ),
]
