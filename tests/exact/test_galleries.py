"""Rankings from a store: equal to the slow way, without the image itself, without a run of the tower."""

import numpy as np
import pytest
import torch

import kit
from kit.errors import KitError
from kit.parts import galleries
from kit.parts.galleries import FULL, HOWS, Gallery

COUNT = 40


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(COUNT, 14_001, kind="single")


@pytest.fixture(scope="module")
def store(stickers, scenes):
    return kit.collect(stickers, scenes, "store", "40 scenes", selector="L*")


@pytest.fixture(scope="module")
def gallery(store):
    return Gallery(store)


def slowly(store, space: str) -> torch.Tensor:
    """What every image has in a space, spread out, float64 [image, embed]."""
    if space == FULL:
        return torch.from_numpy(np.array(store.arrays["embedding"])).double() / store.norm[:, None]
    selector = space if "." in space else f"{space}.H*, {space}.MLP"
    return store.vectors(selector=selector).double().sum(1)


def compared(vectors: torch.Tensor, how: str) -> torch.Tensor:
    """Every image with every other one, [image, image]."""
    vectors = vectors - vectors.mean(0) if how == "centred" else vectors
    vectors = vectors if how == "product" else torch.nn.functional.normalize(vectors, dim=1)
    return vectors @ vectors.T


@pytest.mark.parametrize("how", HOWS)
def test_scores_of_all_spaces_equal_the_slow_way(store, gallery, how):
    found = torch.stack([gallery.scores(gallery.query(i), how) for i in range(5)])  # [query, image, space]
    for place, space in enumerate(gallery.spaces):
        expected = compared(slowly(store, space), how)[:5]
        # float32 store; 4e-7 of the largest was seen
        assert (found[..., place] - expected).abs().max() < 1e-5 * expected.abs().max(), space
        vectors = gallery.vectors(space, how).double()
        assert (vectors[:5] @ vectors.T - expected).abs().max() < 1e-5 * expected.abs().max(), space


def test_spaces_are_heads_layers_and_the_whole(gallery, stickers):
    layers = [f"L{layer}" for layer in range(stickers.layers)]
    assert gallery.spaces[-7:] == [*layers, FULL] and len(gallery.spaces) == 36 + 6 + 1


def test_chunks_change_nothing(store, gallery, monkeypatch):
    whole = gallery.scores(gallery.query(3), "centred")
    monkeypatch.setattr(galleries, "AT_ONCE", 36 * 32 * 7)
    again = Gallery(store)
    assert len(list(again._chunks())) == 6
    torch.testing.assert_close(again.scores(again.query(3), "centred"), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("space", ["L5.H0", "L2", FULL])
def test_the_image_itself_is_left_out(gallery, space):
    for number in (0, 17, COUNT - 1):
        numbers, values = gallery.nearest(gallery.query(number), space, COUNT - 1)
        assert sorted([*numbers.tolist(), number]) == list(range(COUNT))
        assert (values.diff() <= 0).all()
    every = gallery.neighbours(space, 5)
    assert not (every == torch.arange(COUNT)[:, None]).any()
    assert every[17].tolist() == gallery.nearest(gallery.query(17), space, 5)[0].tolist()


def test_neighbours_among_some_images_are_those_of_these_alone(gallery):
    some = np.array([3, 8, 9, 20, 31])
    found = gallery.neighbours("L5.H0", 2, among=some)
    for query, numbers in zip(some, found.tolist()):
        order = gallery.nearest(gallery.query(int(query)), "L5.H0", COUNT - 1)[0].tolist()
        assert numbers == [n for n in order if n in some][:2]


def test_a_picture_of_the_gallery_is_found_there_and_is_not_its_own_nearest(gallery, stickers, scenes):
    asked = gallery.ask(stickers, stickers.preprocess(scenes.images[11:12]))
    assert asked.number == 11
    torch.testing.assert_close(asked.vectors, gallery.query(11).vectors, rtol=1e-4, atol=1e-6)
    assert 11 not in gallery.nearest(asked, "L5.H0", COUNT - 1)[0]


def test_another_picture_is_ranked_by_what_it_writes(gallery, stickers, store):
    other = kit.world.draw(1, 14_002).images
    asked = gallery.ask(stickers, stickers.preprocess(other))
    assert asked.number is None and len(gallery.nearest(asked, FULL, COUNT - 1)[0]) == COUNT - 1
    parts = kit.decompose(stickers, stickers.preprocess(other))
    mine = parts["L5.H0"][0].double() / parts.total[0].norm()
    expected = compared(torch.cat([slowly(store, "L5.H0"), mine[None]]), "raw")[-1, :-1]
    found = gallery.scores(asked, "raw")[:, gallery.place("L5.H0")]
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


def test_d5_and_d15_a_query_of_the_gallery_runs_no_tower_and_holds_no_copy_of_the_store(store, stickers):
    before = stickers.passes.total()
    made = Gallery(store)
    for number, how in enumerate(HOWS):
        made.nearest(made.query(number), "L5.H0", 5, how)
    assert stickers.passes.total() == before
    assert isinstance(made.store.arrays["heads"], np.memmap)
    held = [value for value in vars(made).values() if isinstance(value, torch.Tensor)]
    assert all(value.numel() < made.store.arrays["heads"].size for value in held if value.shape[0] == COUNT)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda g: g.query(COUNT), f"no image {COUNT}: the gallery has {COUNT}"),
        (lambda g: g.nearest(g.query(0), "L9.H0"), 'no space "L9.H0"; there are the 36 heads'),
        (lambda g: g.nearest(g.query(0), FULL, COUNT), f"{COUNT} nearest of {COUNT} images cannot be shown"),
        (lambda g: g.nearest(g.query(0), FULL, 3, "cosine"), 'no way "cosine" to compare'),
        (lambda g: g.neighbours(FULL, 3, among=[1, 2]), "3 nearest of 2 images"),
    ],
)
def test_bad_input(gallery, ask, message):
    with pytest.raises(KitError, match=message):
        ask(gallery)


def test_other_weights_and_several_pictures_are_refused(gallery, stickers, scenes, load):
    with pytest.raises(KitError, match="these parts of a store are of"):
        gallery.ask(load("stickers-s8"), stickers.preprocess(scenes.images[:1]))
    with pytest.raises(KitError, match="2 pictures were given as one query"):
        gallery.ask(stickers, stickers.preprocess(scenes.images[:2]))


def test_a_store_without_heads_is_refused(stickers, scenes):
    few = kit.collect(stickers, scenes.images[:4], "store", "4 scenes", selector="L5.MLP")
    with pytest.raises(KitError, match="keeps no head in coordinates"):
        Gallery(few)


def test_the_mean_of_a_head_over_its_spread(store, gallery):
    vectors = slowly(store, "L5.H0")
    spread = (vectors - vectors.mean(0)).square().sum(1).mean().sqrt()
    wanted = vectors.mean(0).norm() / spread
    assert torch.isclose(gallery.mean_over_spread()[gallery.place("L5.H0")], wanted.float(), rtol=1e-4)
