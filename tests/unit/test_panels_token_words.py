"""What the panel of heads and tokens says of readers."""

from types import SimpleNamespace

import numpy as np
import pytest

from kit.panels.token_words import _readers

LOST = [
    [-0.5, 0.1],
    [0.5 - 1e-7, -0.1],
]  # what the first prompt loses, the second gains, but for the last bit


@pytest.mark.parametrize("reads", [LOST, LOST[::-1]])
def test_of_two_prompts_that_gain_and_lose_the_same_the_one_that_gains_is_named(reads):
    reads = np.array(reads)
    look = SimpleNamespace(reads=reads, readers=["L0.H0", "L0.H1"], bars=reads.sum(1, keepdims=True))
    state = SimpleNamespace(tokens="", texts=["a cat", "a dog"], text=0)
    gains = state.texts[int(reads[:, 0].argmax())]
    assert f"Strongest reader for any prompt: L0.H0, +0.5000 to ‘{gains}’." in _readers(look, state, "a cat")
