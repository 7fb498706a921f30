"""Mutants of the panels: kit/panels."""

from tests.mutants import Mutant

PANELS, MAPS = "kit/panels", "kit/maps"
STATE, CASES = "tests/unit/test_panels_selection.py", "tests/unit/test_panels_encoded.py"
WIRE = "tests/unit/test_panels_wire.py"
FINDINGS, EXPLORER = "tests/unit/test_panels_findings.py", "tests/unit/test_panels_explorer.py"

MUTANTS = [
    Mutant(
        "prompts of a state string are taken with their escapes",
        f"{PANELS}/fields.py",
        'return [unquote(part) for part in text.split(";")]',
        'return text.split(";")',
        (f"{STATE}::test_a_state_comes_back_from_its_string",),
    ),
    Mutant(
        "an empty prompt is taken",
        f"{MAPS}/selection.py",
        "if not texts or not all(texts):",
        "if not texts:",
        (f"{STATE}::test_a_refused_value_leaves_all_as_it_was",),
    ),
    Mutant(
        "fewer prompts leave the chosen one out of range",
        f"{PANELS}/explorer.py",
        'return {**fields, "text": max(0, min(self.selection.text, len(fields["texts"]) - 1))}',
        "return fields",
        (f"{STATE}::test_fewer_prompts_keep_the_chosen_one_in_range",),
    ),
    Mutant(
        "the run of another model is shown: a stale cache",
        f"{PANELS}/encoded.py",
        "(name, image),",
        "image,",
        (f"{CASES}::test_each_model_runs_once_on_each_picture",),
    ),
    Mutant(
        "the prompt is ignored: scores of the prompts before are shown",
        f"{PANELS}/encoded.py",
        "key = state.model, picture_of(state), state.texts, state.text, state.directions",
        "key = state.model, picture_of(state), state.text, state.directions",
        (f"{CASES}::test_another_prompt_gives_other_scores",),
    ),
    Mutant(
        "the map is transposed",
        f"{MAPS}/findings.py",
        "heat=heat[n:].reshape(run.grid)",
        "heat=heat[n:].reshape(run.grid).T",
        (f"{CASES}::test_the_map_is_in_rows_and_columns_and_without_the_class_token",),
    ),
    Mutant(
        "the class token is kept in the map, the last patch dropped",
        f"{MAPS}/findings.py",
        "heat=heat[n:].reshape(run.grid)",
        "heat=heat[: len(heat) - n].reshape(run.grid)",
        (f"{CASES}::test_the_map_is_in_rows_and_columns_and_without_the_class_token",),
    ),
    Mutant(
        "the map is of all heads, whichever is picked",
        f"{MAPS}/findings.py",
        "scores.maps[chosen].sum(0)",
        "scores.maps.sum(0)",
        (f"{FINDINGS}::test_map_and_prefix_add_up_to_the_score",),
    ),
    Mutant(
        "the bar of the selection switched off has the wrong sign",
        f"{MAPS}/findings.py",
        "replaced(whole, mine, instead)",
        "replaced(whole, instead, mine)",
        (f"{FINDINGS}::test_bars_off_and_only_are_the_sums_by_hand",),
    ),
    Mutant(
        "the direction is the prompt plus the mean of the others",
        "kit/projections/prompts.py",
        "normalize(vectors - others, dim=-1)",
        "normalize(vectors + others, dim=-1)",
        (f"{FINDINGS}::test_contrast_is_the_prompt_minus_the_mean_of_the_others",),
    ),
    Mutant(
        "a picked token is counted column by column",
        f"{MAPS}/selection.py",
        "prefix + row * shape[1] + col",
        "prefix + col * shape[0] + row",
        (f"{FINDINGS}::test_picked_tokens_split_the_heads_only",),
    ),
    Mutant(
        "the grid shows each layer one row too high",
        "kit/parts/layout.py",
        "parts[layers.index(int(part.layer)), columns.index(name)] = row",
        "parts[layers.index(int(part.layer)) - 1, columns.index(name)] = row",
        (f"{FINDINGS}::test_every_part_has_one_cell_and_wide_cells_do_not_overlap",),
    ),
    Mutant(
        "a refused change is not undone",
        f"{PANELS}/panel.py",
        "        self._undo()\n        self._say.text = said\n",
        "        self._say.text = said\n",
        (f"{EXPLORER}::test_a_bad_value_set_from_code_is_undone_too",),
    ),
    Mutant(
        "an error of ours is swallowed",
        f"{PANELS}/panel.py",
        "self.last_error, trouble = error,",
        "trouble =",
        (f"{EXPLORER}::test_another_error_is_kept_and_shown",),
    ),
    Mutant(
        "nothing is kept: a tower runs at every click",
        f"{PANELS}/latest.py",
        "if key not in self:",
        "if True:",
        (f"{WIRE}::test_a_change_is_small_on_the_wire_and_calls_no_tower",),
    ),
    Mutant(
        "a total effect does not wait for the next change",
        f"{PANELS}/explorer.py",
        'return state.effect == "total" and self.runs(state)',
        "return False",
        (f"{EXPLORER}::test_a_burst_of_changes_runs_the_last_total_effect_only",),
    ),
    Mutant(
        "a map of many heads runs over its colour scale",
        f"{MAPS}/findings.py",
        "if heads > 1 else limit",
        "if heads > 99 else limit",
        (f"{FINDINGS}::test_the_sum_of_several_heads_does_not_run_over_the_scale",),
    ),
    Mutant(
        "what lies on the dog is said of the cat",
        f"{MAPS}/words.py",
        "zip(on, picture.things)",
        "zip(on[::-1], picture.things)",
        (f"{FINDINGS}::test_two_objects_are_told_apart_in_the_caption",),
    ),
    Mutant(
        "closing a panel leaves its layouts and styles",
        f"{PANELS}/panel.py",
        "for key in each.keys if not",
        'for key in ("children",) if key in each.keys and not',
        (
            "tests/unit/test_every_panel.py::test_a_string_makes_an_equal_panel_that_leaves_no_widget_behind[Spans]",
        ),
    ),
]
