"""The same scenes with another printed word, or with none."""

import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.errors import KitError
from kit.world.chance import Chance
from kit.world.sample import KIND, TABLE, arrange
from kit.world.scenes import Scenes, painted
from kit.world.values import VALUES


def with_words(scenes: Scenes, words: Tensor) -> Scenes:
    """Scenes of one object painted again with other printed words.

    Everything else stays: what a scene draws for its word comes from streams of their own. Pictures
    differ inside the word boxes alone, so what a model answers can be compared scene by scene.

    Args:
        scenes: of kind "single" or "single_word".
        words: code of the word that each scene shall carry, -1 for none, int [batch].

    Returns:
        `Scenes` with the same numbers and seed.

    Raises:
        KitError: scenes of another kind, or a code that is no word.

    Example:
        >>> from kit.world import draw
        >>> plain = draw(2, seed=0)
        >>> with_words(plain, torch.tensor([0, -1])).labels.word.fillna("none").tolist()
        ['cat', 'none']
    """
    expect_shape(words, "batch", "words", batch=len(scenes))
    kinds = set(scenes.labels["kind"])
    if not kinds <= {"single", "single_word"}:
        wrong = ", ".join(sorted(kinds - {"single", "single_word"}))
        raise KitError(f"words are printed beside one object, but scenes of kind {wrong} are among these.")
    if len(words) and not -1 <= int(words.min()) <= int(words.max()) < len(VALUES["word"]):
        span = f"{int(words.min())} to {int(words.max())}"
        raise KitError(f"words go from {span}; there are {len(VALUES['word'])} words, and -1 is none.")
    kind = torch.where(words >= 0, KIND["single_word"], KIND["single"])
    layout = arrange(Chance(scenes.seed, scenes.index), scenes.codes | {"word": words, "kind": kind})
    return painted(layout, scenes.index, scenes.seed, scenes.mix, scenes.masks.shape[1], scenes.scale)


def word_boxes(scenes: Scenes) -> Tensor:
    """The boxes of the printed words as masks, bool [batch, 1, height, width]; empty where there is none.

    Example:
        >>> from kit.world import draw
        >>> word_boxes(draw(2, seed=0, kind="single_word")).flatten(1).any(1).tolist()
        [True, True]
    """
    boxes = torch.zeros(len(scenes), 1, *scenes.images.shape[-2:], dtype=torch.bool)
    sides = scenes.labels[["word_left", "word_top", "word_width", "word_height"]]
    printed = sides.notna().all(axis=1).to_numpy().nonzero()[0]
    for scene, (left, top, width, height) in zip(printed, sides.iloc[printed].astype(int).to_numpy()):
        boxes[scene, :, top : top + height, left : left + width] = True
    return boxes


def word_of(concept: Tensor) -> Tensor:
    """Code of the word that names each concept, -1 where no word does; int64 [batch].

    Example:
        >>> word_of(torch.tensor([VALUES["concept"].index("cat"), VALUES["concept"].index("crown")]))
        tensor([ 0, -1])
    """
    table = torch.full((len(VALUES["concept"]) + 1,), -1)  # the last row answers -1
    table[TABLE["word"]] = torch.arange(len(VALUES["word"]))
    return table.to(concept.device)[concept]
