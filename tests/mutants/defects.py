"""Mutants that bring defects of the released code back."""

from tests.mutants import Mutant

TESTS = "tests/exact/test_released_defects.py::"

MUTANTS = [
    Mutant(
        "D9: the spread is the mean square less the square of the mean",
        "kit/parts/runs.py",
        "rows.var(-1, unbiased=False)",
        "(rows.square().mean(-1) - rows.mean(-1).square())",
        (f"{TESTS}test_d9_a_stream_far_from_zero_keeps_its_spread[1000.0]",),
    ),
    Mutant(
        "D13: texts are encoded in whatever precision surrounds the call",
        "kit/models/model.py",
        "        if torch.is_autocast_enabled(self.device.type):",
        "        if False:",
        (f"{TESTS}test_d13_texts_are_unit_and_single_precision_or_refused",),
    ),
]
