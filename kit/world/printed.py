"""The same scenes with another printed word, or with none."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from kit.axes import expect_shape
from kit.errors import KitError, nearest
from kit.world import atlas
from kit.world.chance import Chance
from kit.world.sample import KIND, TABLE, arrange
from kit.world.scenes import Scenes, painted
from kit.world.values import SIZE, VALUES

EDGE = 2  # of 64 pixels: how far a printed word stays from the edge of a picture


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


def print_word(image: Image.Image, word: str, above: bool = False) -> tuple[Image.Image, np.ndarray]:
    """Any picture with a word of the world printed into it, as large as in a scene.

    Args:
        image: RGB, such as `model.viewed` gives: the box is measured against its shorter side.
        word: one of `VALUES["word"]`.
        above: print it at the upper edge, in place of the lower.

    Returns:
        The picture, and where the box of the word lies, bool [height, width].

    Raises:
        KitError: another word.

    Example:
        >>> image, box = print_word(Image.new("RGB", (64, 64), "red"), "cat")
        >>> image.getpixel((0, 0)), bool(box[55, 32]), bool(box[5, 32])
        ((255, 0, 0), True, False)
    """
    if word not in VALUES["word"]:
        known = VALUES["word"]
        told = f'the word "{word}" cannot be printed; there are {", ".join(known)}.'
        raise KitError(told + nearest(word, known))
    number, scale = VALUES["word"].index(word), min(image.size) / SIZE
    (sheets, wide), width = atlas.words(fine=True), int(atlas.words()[1][number])
    ink = Image.fromarray(sheets[number, 0, :, : int(wide[number])].numpy())
    ink = ink.resize((round(width * scale), round(atlas.WORD_HEIGHT * scale)), Image.Resampling.BILINEAR)
    left, edge = (image.width - ink.width) // 2, round(EDGE * scale)
    top = edge if above else image.height - ink.height - edge
    printed, box = image.convert("RGB"), np.zeros((image.height, image.width), dtype=bool)
    printed.paste(ink.convert("RGB"), (left, top))
    box[top : top + ink.height, left : left + ink.width] = True
    return printed, box


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
