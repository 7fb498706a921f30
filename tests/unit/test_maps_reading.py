"""What one picture's heads add from each token: sums, readers, film, and what is said of them."""

import numpy as np
import pytest

import kit
from kit.errors import KitError
from kit.maps.reading import Readers, Reading, heads_of, token_name
from kit.projections import prompt_directions

TEXTS = ("a cat", "a dog", "a red thing", "a thing on grass")
LOST = [
    [-0.5, 0.1],
    [0.5 - 1e-7, -0.1],
]  # what the first prompt loses, the second gains, but for the last bit


@pytest.fixture(scope="module")
def held(stickers):
    return kit.run(stickers, stickers.preprocess(kit.world.gallery().images[16:17]))


@pytest.fixture(scope="module")
def reading(stickers, held):
    return Reading(held, prompt_directions(stickers.encode_text(TEXTS), "contrast"), TEXTS)


@pytest.mark.parametrize("film", ["each layer", "so far"])
def test_the_film_adds_up_layer_by_layer(reading, film):
    by_layer = reading.maps[:, 1:, 0].reshape(6, 6, 8, 8).sum(1)
    found, expected = reading.film(0), by_layer.cumsum(0) if film == "so far" else by_layer
    assert np.allclose(found.frames[film], expected, atol=1e-6)
    assert found.limits[film] >= np.abs(expected).max()
    assert found.whole == pytest.approx(reading.whole[0], abs=1e-5)
    assert f"+{found.whole:.3f} of +{found.whole:.3f}." in found.says(5)  # after the last layer


def test_readers_of_a_token_and_of_the_whole_picture(reading):
    one, whole = reading.readers([27], ["L2.H3"]), reading.readers([], ["L2.H3"])
    assert np.allclose(one.cells[0][reading.rows], reading.maps[:, 27, 0], atol=1e-6)
    assert np.isnan(one.cells[0]).sum() == len(reading.parts) - 36  # other parts are not split by token
    assert np.allclose(whole.cells, reading.parts.T)
    assert np.allclose(one.bars[:, 1], reading.maps[15, 27], atol=1e-6)
    assert len(one.names) == 10 and (np.diff(np.abs(one.reads).max(0)) <= 0).all()
    assert list(one.table("r3c2")["value"]) == one.reads.ravel().tolist()


def test_a_gaze_is_a_share(reading):
    gaze = reading.gaze("L4.H3")
    assert gaze.sum() == pytest.approx(1.0, abs=1e-5) and gaze.min() >= 0
    assert f"{gaze.max():.0%} of its attention" in reading.says_gaze("L4.H3", 0)


def test_the_loudest_head_is_a_head(reading):
    assert reading.loudest(3) == reading.heads[int(reading.parts[reading.rows, 3].argmax())]


def test_heads_keep_the_order_in_which_they_are_written(held):
    assert heads_of(held.index, "L5.H0, L2.H3") == ["L5.H0", "L2.H3"]
    assert heads_of(held.index, "L2.H3, L2.H3") == ["L2.H3"]
    with pytest.raises(KitError, match="is no head; name one head, or two"):
        heads_of(held.index, "L4.MLP")


@pytest.mark.parametrize("reads", [LOST, LOST[::-1]])
def test_of_two_prompts_that_gain_and_lose_the_same_the_one_that_gains_is_named(reads):
    reads, texts = np.array(reads), ["a cat", "a dog"]
    bars = reads.sum(1, keepdims=True)
    readers = Readers(texts, ["L0.H0", "L0.H1"], reads, 0.5, bars, reads, [0.5, 0.5], "all heads")
    gains = texts[int(reads[:, 0].argmax())]
    said = readers.says("the whole picture", 0)
    assert f"Strongest reader for any prompt: L0.H0, +0.5000 to ‘{gains}’." in said


def test_tokens_are_called_by_what_they_are():
    names = [token_name(number, 5, (2, 2)) for number in (0, 1, 4, 5, 8)]
    assert names == ["the class token", "register 0", "register 3", "r0c0", "r1c1"]
