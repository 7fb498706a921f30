"""Roles of `stickers-l8`: heads carry what is in a scene, wrong labels nothing; the file says so again."""

import pytest
import torch

import kit
import kit.world as world
from kit.measures import family_bound, variance_share
from kit.workshop.cards.roles import SCENES, SEED, answers, asked, written

OTHER_SEED = 64_011  # no seed of training, card, means or roles
EFFORT = {"permutations": 100, "draws": 2}


@pytest.fixture(scope="module")
def scenes():
    return world.draw(500, OTHER_SEED)


@pytest.fixture(scope="module")
def outputs(stickers, scenes):
    return written(stickers, scenes)


def significant(outputs, codes, within=None):
    found = variance_share(outputs, codes, within, seed=1, **EFFORT)
    return found.share > family_bound(found.null)


@pytest.mark.parametrize("attribute", ["category", "background", "position", "size"])
def test_heads_carry_what_is_true_and_not_wrong_labels(outputs, scenes, attribute):
    values, index = outputs
    heads, codes = torch.tensor(list(index["kind"] == "head")), scenes.codes[attribute]
    assert significant(values, codes)[heads].any()
    shuffled = codes[torch.randperm(len(codes), generator=torch.Generator().manual_seed(3))]
    for wrong in (codes.flip(0), shuffled):
        assert significant(values, wrong).sum() <= 1  # of all parts; one is 5 % of times


def test_a_head_of_backgrounds_is_one_on_other_scenes_too(outputs, scenes):
    """Scenes that took no part in the claim: the same head, as strongly."""
    rows = kit.roles("stickers-l8").query("attribute == 'background' and kind == 'head'")
    claim = rows.nlargest(1, "share").iloc[0]
    values, index = outputs
    place = list(index["name"]).index(claim["part"])
    again = variance_share(values[:, [place]], scenes.codes["background"], seed=1, **EFFORT).share.item()
    assert again == pytest.approx(claim["share"], abs=0.05)


def test_training_gives_heads_the_category(load, outputs, scenes):
    """Random weights pass on some of the picture, but no head of theirs tells categories as well."""
    twin, index = written(load("stickers-l8", "random"), scenes)
    heads = torch.tensor(list(index["kind"] == "head"))
    best = [
        variance_share(values[:, heads], scenes.codes["category"], seed=1, **EFFORT).share.max()
        for values in (outputs[0], twin)
    ]
    assert best[0] > 2 * best[1]


def test_no_part_tells_which_of_two_concepts_comes_first():
    """The world's own control: such scenes look alike on average."""
    rows = kit.roles("stickers-l8").query("attribute == 'relation'")
    assert len(rows) and not rows["significant"].any()


def test_every_attribute_is_asked_of_scenes_where_nothing_else_tells_it():
    codes = world.draw(600, OTHER_SEED, kind="single_word").codes
    word = asked("single_word", codes)["word"]
    named = [world.VALUES["word"][w] for w in codes["word"].tolist()]
    shown = [world.VALUES["concept"][c] for c in codes["concept"].tolist()]
    assert word.scenes.tolist() == [w != c for w, c in zip(named, shown)]
    single = asked("single", world.draw(600, OTHER_SEED).codes)
    assert (single["colour"].codes[single["colour"].scenes] > 0).all()
    assert single["texture"].scenes.equal(single["colour"].scenes)
    assert 0 < single["artist"].scenes.sum() < 600


def test_the_file_is_what_its_seeds_give(stickers):
    """Count scenes again: the same scenes, folds and shares, to the rounding of other machines' pixels."""
    number, seed = SCENES["count"]
    scenes = world.draw(number, seed, kind="count")
    outputs, index = written(stickers, scenes)
    [(_, _, shares)] = answers(outputs, asked("count", scenes.codes), permutations=2, draws=2)
    rows = kit.roles(stickers).query("attribute == 'count'")
    assert rows["part"].tolist() == index["name"].tolist()
    assert rows["share"].tolist() == pytest.approx(shares.share.tolist(), abs=1e-3)
    assert SEED not in {seed for _, seed in SCENES.values()}
