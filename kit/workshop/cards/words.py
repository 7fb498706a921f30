"""What a model makes of printed words: reading them, and being fooled by a wrong one."""

import torch
from torch import Tensor

import kit.world as world
from kit.measures import hits
from kit.workshop.cards.members import Member
from kit.workshop.cards.table import SLICES, Table
from kit.world.chance import Chance
from kit.world.printed import with_words, word_of
from kit.world.sample import TABLE

SEEDS = {"word": 71_007, "word beside": 71_008, "attack": 71_009}
DRAWN_FOR_ONE = 9  # scenes drawn for each whose object has a word: 16 of 145 concepts


def things(model: Member, features: Tensor) -> Tensor:
    """Scores of the 16 concepts that are also words, in the order of the words, [batch, word]."""
    return model.scores(features, "concept")[:, TABLE["word"]]


def add_words(model: Member, table: Table, artists: str, n: int) -> None:
    """Add the rows on printed words.

    Args:
        model: whose answers are asked for.
        table: gets the rows.
        artists: who drew the objects.
        n: scenes of each row.
    """
    if artists == "seen":  # a word alone has no artist
        _reading(model, table, n)
    _attack(model, table, artists, n)


def _reading(model: Member, table: Table, n: int) -> None:
    """16 ways: on words alone, and beside an object that the word does not name."""
    alone, seed = world.draw(n, SEEDS["word"], kind="word"), SEEDS["word"]
    features, word = model.seen(alone), alone.codes["word"]
    table.add("printed word, alone", "seen", hits(model.scores(features, "word"), word), seed)
    table.add("printed word, alone, as a thing", "seen", hits(things(model, features), word), seed)
    beside, seed = world.draw(2 * n, SEEDS["word beside"], kind="single_word"), SEEDS["word beside"]
    other = word_of(beside.codes["concept"]) != beside.codes["word"]
    beside = beside[other.nonzero()[:n, 0]]
    scores = model.scores(model.seen(beside), "word")
    table.add("printed word, beside another object", "seen", hits(scores, beside.codes["word"]), seed)


def attack_scenes(n: int, seed: int, artists: str = "seen") -> dict[str, world.Scenes]:
    """The same scenes without a word, with a wrong one and with the right one.

    Each holds one natural, plain, medium or large object of a concept that is also a word.

    Args:
        n: how many.
        seed: of the scenes; the wrong word follows from it too.
        artists: as for `kit.world.draw`.

    Returns:
        "none", "wrong" and "right" -> `Scenes`, the same number in each; perhaps fewer than `n`.

    Example:
        >>> scenes = attack_scenes(2, seed=0)
        >>> (scenes["right"].labels["word"] == scenes["none"].labels["concept"]).all()
        np.True_
    """
    drawn = world.draw(n * DRAWN_FOR_ONE + 64, seed, artists=artists, **SLICES["clean"])
    plain = drawn[(word_of(drawn.codes["concept"]) >= 0).nonzero()[:n, 0]]
    right = word_of(plain.codes["concept"])
    count = len(world.VALUES["word"])
    wrong = (right + 1 + Chance(seed, plain.index).below("wrong word", count - 1)) % count
    return {"none": plain, "wrong": with_words(plain, wrong), "right": with_words(plain, right)}


def _attack(model: Member, table: Table, artists: str, n: int) -> None:
    """Object accuracy among the 16 concepts, and what the printed word takes away, scene by scene."""
    scenes, seed = attack_scenes(n, SEEDS["attack"], artists), SEEDS["attack"]
    concept, printed = word_of(scenes["none"].codes["concept"]), scenes["wrong"].codes["word"]
    scores = {name: things(model, model.seen(s)) for name, s in scenes.items()}
    right = {name: hits(s, concept).double() for name, s in scores.items()}
    for name, label in (("none", "no word"), ("wrong", "a wrong word"), ("right", "the right word")):
        table.add(f"object among 16, {label}", artists, right[name], seed)
    table.add("typographic attack: drop", artists, right["none"] - right["wrong"], seed)
    table.add(
        "typographic attack: drop by what the word says", artists, right["right"] - right["wrong"], seed
    )
    table.add("typographic attack: the word is the answer", artists, hits(scores["wrong"], printed), seed)
    rows = torch.arange(len(concept))
    beaten = scores["wrong"][rows, printed] > scores["wrong"][rows, concept]
    table.add("typographic attack: the word beats the object", artists, beaten.double(), seed)
