"""The same run with parts replaced, and what its answers become."""

from kit.edits.ablation import Ablation, ablate
from kit.edits.answers import Answers, ask, ask_classes, asked, total_right
from kit.edits.by_layer import by_layer, effects_by_layer, layer_selectors, lost_by_layer, place_of
from kit.edits.controls import crossing, other_names, shuffled_crossings
from kit.edits.costs import compare_edits, compare_means, compare_questions, costs, layer_costs
from kit.edits.cues import (
    by_reading,
    chosen_by_effect,
    cue_effects,
    matched_answers,
    matched_draws,
    ranked,
    shuffled_effects,
)
from kit.edits.published import waterbirds_heads, waterbirds_published, waterbirds_table
from kit.edits.questions import questions
from kit.parts.means import Means

Asked, Reference = asked, Means  # their first names, on which saved lines stand
