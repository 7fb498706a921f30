"""Shipped CLIPs know what is in a scene; with random weights or shuffled labels they do not."""

import json

import pytest
import torch

import kit.world as world
from kit.measures import accuracy
from kit.models.names import SHIPPED, shipped_names
from kit.workshop.cards.bars import asked_by, training_of
from kit.workshop.cards.members import Clip, weights_of
from kit.workshop.training.tokenizer import learn_merges, vocabulary_size

SEED = 64_001  # no seed of the training, of its looks, or of the card
CHANCE = 1 / len(world.VALUES["concept"])
CLIPS = [name for name in shipped_names() if asked_by(name) == "prompts"]
PLAIN = next(name for name in CLIPS if training_of(name) == "captions")


@pytest.fixture(scope="module", params=CLIPS)
def shipped(request):
    return Clip(SHIPPED / request.param)


@pytest.fixture(scope="module")
def scenes():
    """500 unbiased scenes of one object, as they come: recoloured, textured, of all sizes."""
    return world.draw(500, SEED)


@pytest.fixture(scope="module")
def images(shipped, scenes):
    return shipped.seen(scenes)


@pytest.fixture(scope="module")
def card(shipped):
    return json.loads((shipped.folder / "card.json").read_text(encoding="utf-8"))


def answered(model, images, scenes, attribute):
    scores = images @ model.texts(world.prompts(attribute)).T
    return accuracy(scores, scenes.codes[attribute])


def test_shipped_model_answers(shipped, images, scenes, card):
    """The figures of the card are those that these scenes give, within what 500 images can tell."""
    told = {(r["what"], r["artists"]): r["value"] for r in card["measured"]}
    for what, attribute in (("concept, full", "concept"), ("background", "background"), ("size", "size")):
        found = answered(shipped, images, scenes, attribute)
        assert found == pytest.approx(told[what, "seen"], abs=0.07)
        assert found > 5 / len(world.prompts(attribute)) or attribute == "size"


def test_models_are_offered_where_prompts_are_asked_if_they_read_them():
    assert shipped_names(texts=True) == CLIPS and set(CLIPS) < set(shipped_names())


def test_shuffled_labels_are_at_chance(shipped, images, scenes):
    scores = images @ shipped.texts(world.prompts("concept")).T
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    assert accuracy(scores, scenes.codes["concept"][order]) < 5 * CHANCE


def test_random_weights_are_at_chance(scenes):
    model = Clip(SHIPPED / PLAIN, trained=False)
    some = scenes[:250]
    vectors = model.seen(some)
    assert answered(model, vectors, some, "concept") < 5 * CHANCE
    assert answered(model, vectors, some, "background") < 3 / 12


def test_vocabulary_is_that_of_the_world(shipped):
    assert shipped.tokenizer.vocab_size == vocabulary_size(learn_merges(world.words()))
    assert shipped.tokenizer.eot_token_id == shipped.tokenizer.vocab_size - 1


def test_card_is_of_these_weights(shipped, card):
    assert card["parameters"] == sum(p.numel() for p in shipped.module.parameters())
    assert card["bytes"] == weights_of(shipped.folder).stat().st_size <= 8_000_000
