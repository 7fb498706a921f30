"""A model, images that can be shown, and what its parts wrote for them: what is given, and what is made."""

import pytest

import kit
from kit.parts import stored as module
from kit.parts.stored import stored


def test_what_is_given_stays_and_a_name_is_loaded(stickers):
    scenes = kit.world.draw(4, 3, kind="single")
    store = kit.collect(stickers, scenes, "store", "4 scenes", selector="L5.H0")
    model, images, held, seed = stored("stickers-l8", scenes, store, "L*.H*", 9)
    assert model.name == "stickers-l8" and held is store and seed == 3 and len(images) == 4
    with pytest.raises(kit.KitError, match="the store is not of these 3 images"):
        stored(stickers, scenes[:3], store, "L*.H*", 9)


def test_what_is_not_given_is_drawn_and_collected(stickers, monkeypatch):
    monkeypatch.setattr(module, "SCENES", 3)
    _, images, store, seed = stored(stickers, None, None, "L5.H0", 9)
    assert seed == 9 and store.name == "3 images" and store.index["name"].tolist() == ["L5.H0"]
    assert [images.digest] == store.facts["data"]
