"""Mutants of what models are trained on: kit/models/training."""

from tests.mutants import Mutant

OBJECTIVES, CLIP = "kit/models/training/objectives.py", "kit/models/training/clip.py"
TESTS = "tests/unit/test_training.py"

MUTANTS = [
    Mutant(
        "a printed word is no answer of the web mix",
        OBJECTIVES,
        "second = torch.where(printed & (concept >= 0), named, asked",
        "second = torch.where(printed & (concept < 0), named, asked",
        (f"{TESTS}::test_in_the_web_mix_a_printed_word_is_as_right_as_the_object",),
    ),
    Mutant(
        "a web twin starts from fresh weights",
        CLIP,
        "if recipe.start:",
        "if not recipe.start:",
        (f"{TESTS}::test_a_web_twin_starts_from_the_weights_that_ship",),
    ),
    Mutant(
        "kept patches bring the positions of the first ones",
        "kit/models/training/forward.py",
        "where = where[keep]  # [batch, kept, dim]",
        "where = where[: keep.shape[1]]",
        (f"{TESTS}::test_kept_patches_bring_their_own_positions",),
    ),
]
