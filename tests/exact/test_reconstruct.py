"""Cosines of a model whose heads write what their texts span, against the long way round."""

import numpy as np
import pytest
import torch

import kit
from kit.edits import Means
from kit.errors import KitError
from kit.measures import hits
from kit.projections import Bank, reconstructed, reconstructed_by, reconstructed_cosines

COUNT = 48


@pytest.fixture(scope="module")
def store(stickers):
    return kit.collect(stickers, kit.world.draw(COUNT, 5, kind="single"), "store", "48 scenes")


@pytest.fixture(scope="module")
def moments(store):
    return store.moments()


@pytest.fixture(scope="module")
def bank(stickers):
    return Bank.stickers(stickers)


@pytest.fixture(scope="module")
def asked(stickers):
    return stickers.encode_text(["a cat", "a red thing", "a thing on grass"])


def test_it_equals_reconstructing_every_vector(store, moments, bank, asked):
    spans = kit.textspan(moments, bank, 3)
    vectors = store.vectors(selector="L*.H*").double()
    change = (spans.reconstruct(vectors) - vectors).sum(1) @ asked.double().T
    slow = store.cosines(asked).double() + change
    assert torch.allclose(reconstructed_cosines(store, spans, asked).double(), slow, atol=1e-5)
    assert change.abs().max() > 0.01  # three texts lose something, so the comparison can fail


def test_texts_that_span_the_heads_lose_nothing(store, moments, stickers, asked):
    every = Bank.random(stickers, 400)
    spans = kit.textspan(moments, every, 32)
    found = reconstructed_cosines(store, spans, asked)
    assert torch.allclose(found, store.cosines(asked), atol=1e-5)


def test_some_heads_and_some_images(store, bank, asked):
    some = np.arange(0, COUNT, 3)
    spans = kit.textspan(store.moments(selector="L5.H*"), bank, 2)
    whole, part = (reconstructed_cosines(store, spans, asked, rows) for rows in (None, some))
    assert torch.allclose(whole[some], part, atol=1e-6)


def test_by_number_of_texts_it_is_the_same_and_no_text_leaves_the_means(store, moments, bank, stickers):
    scenes, asked = store.labels, stickers.encode_text(kit.world.prompts("concept"))
    truth = torch.tensor([kit.world.VALUES["concept"].index(name) for name in scenes["concept"]])
    spans = kit.textspan(moments, bank, 4)
    found = reconstructed(store, spans, asked, truth, [0, 1, 4])
    for count in (1, 4):
        assert torch.equal(found[count], hits(reconstructed_cosines(store, spans.first(count), asked), truth))
    without = kit.edits.asked(store, asked, truth, kit.world.VALUES["concept"]).after(
        "L*.H*", Means.of(store)
    )
    assert torch.equal(found[0], hits(without, truth))
    assert not torch.equal(found[0], found[4])


def test_banks_are_asked_one_after_the_other(store, moments, bank, stickers, asked):
    truth, banks = torch.arange(COUNT) % 3, {"grammar": bank, "random": Bank.random(stickers, 30)}
    found = reconstructed_by(store, moments, banks, asked, truth, [1, 3])
    for name, own in banks.items():
        one = reconstructed(store, kit.textspan(moments, own, texts=3), asked, truth, [1, 3])
        assert torch.equal(found[name], torch.stack([one[1], one[3]], 1))


def test_parts_ablated_beside_it_are_means(store, bank, asked):
    spans = kit.textspan(store.moments(selector="L5.H*"), bank, 2)
    found = reconstructed_cosines(store, spans, asked, ablated="L0-4.H*")
    spanned = reconstructed_cosines(store, spans, asked)
    question = kit.edits.asked(store, asked, np.zeros(COUNT), [*range(len(asked))])
    ablated = question.after("L0-4.H*", kit.edits.Means.of(store))
    assert torch.allclose(found - ablated, spanned - store.cosines(asked), atol=1e-5)


def test_parts_ablated_beside_it_are_means_over_the_store_whichever_images_are_asked(store, bank, asked):
    some = np.arange(0, COUNT, 5)
    spans = kit.textspan(store.moments(selector="L5.H*"), bank, 2)
    whole, part = (
        reconstructed_cosines(store, spans, asked, rows, ablated="L0-4.H*") for rows in (None, some)
    )
    assert torch.allclose(whole[some], part, atol=1e-6)


def test_a_head_cannot_be_both(store, bank, asked):
    spans = kit.textspan(store.moments(selector="L5.H*"), bank, 2)
    with pytest.raises(KitError, match=r'"L5.H0" is to be ablated and reconstructed'):
        reconstructed_cosines(store, spans, asked, ablated="L5")


def test_directions_of_another_width(store, bank):
    spans = kit.textspan(store.moments(selector="L5.H*"), bank, 2)
    with pytest.raises(KitError, match="directions"):
        reconstructed_cosines(store, spans, torch.ones(2, 7))


def test_a_store_without_a_path_lies_in_a_passing_folder(store, monkeypatch, stickers):
    assert store.folder.is_dir() and "loupe-" in str(store.folder)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(KitError, match="WORLD_SIZE is 2, but the processes do not find each other"):
        kit.collect(stickers, kit.world.draw(4, 5), "store", "four")
