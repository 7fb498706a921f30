"""The same run with parts replaced, and what its answers become."""

from kit.edits.ablation import Ablation, ablate
from kit.edits.answers import Answers, ask, total_right
from kit.edits.cues import by_reading, cue_effects, matched_draws, ranked
from kit.edits.published import waterbirds_heads, waterbirds_published

__all__ = [
    "Ablation",
    "Answers",
    "ablate",
    "ask",
    "by_reading",
    "cue_effects",
    "matched_draws",
    "ranked",
    "total_right",
    "waterbirds_heads",
    "waterbirds_published",
]
