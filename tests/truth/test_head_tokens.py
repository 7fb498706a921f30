"""The head of a role reads the region of its attribute, and with other regions nothing is left of it."""

import pytest
import torch

import kit
from kit.measures import bootstrap_interval, mass_inside, token_shares
from kit.panels import prompt_directions
from kit.projections import head_maps

N, SEED = 80, 16_001


@pytest.fixture(scope="module")
def words():
    return kit.world.draw(N, SEED, kind="single_word")


@pytest.fixture(scope="module")
def on_word(words):
    labels = words.labels[["word_left", "word_top", "word_width", "word_height"]].astype(int)
    box = torch.zeros(N, 1, 64, 64, dtype=torch.bool)
    for picture, (left, top, width, height) in zip(box, labels.to_numpy()):
        picture[:, top : top + height, left : left + width] = True
    return token_shares(box, (8, 8))[:, 0]


def of_role(model, attribute):
    roles = kit.roles(model).query("kind == 'head' and attribute == @attribute")
    return roles.loc[roles["share"].idxmax(), "part"]


def test_the_head_of_the_printed_word_reads_its_box(load, words, on_word):
    model = load("stickers-l8-web")
    asked = prompt_directions(model.encode_text(kit.world.prompts("word")), "contrast")
    maps = head_maps(model, words.images, asked[words.codes["word"]])
    mine = maps.patches[:, maps.number(of_role(model, "word"))]
    own, other = (mass_inside(mine, on_word.roll(k, 0)) for k in range(2))
    print("on the box", bootstrap_interval(own, 0), "others", bootstrap_interval(other, 0))
    assert bootstrap_interval(own, seed=0).low > 0.9
    assert bootstrap_interval(own - other, seed=0).low > 0.4
    heads = torch.stack([mass_inside(each, on_word).mean() for each in maps.patches.unbind(1)])
    assert heads.median() < 0.5 and own.mean() >= heads.max() - 0.01  # other heads do not


def test_the_head_of_the_background_reads_nothing_of_the_object(stickers):
    scenes = kit.world.draw(N, SEED)
    asked = prompt_directions(stickers.encode_text(kit.world.prompts("background")), "contrast")
    maps = head_maps(stickers, scenes.images, asked[scenes.codes["background"]])
    mine = maps.patches[:, maps.number(of_role(stickers, "background"))]
    ground = 1 - token_shares(scenes.masks, stickers.grid)[:, 0]
    own, other = (mass_inside(mine, ground.roll(k, 0)) for k in range(2))
    assert own.mean() > 0.98
    assert bootstrap_interval(own - other, seed=0).low > 0.05
