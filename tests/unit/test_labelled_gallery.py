"""A gallery whose images have attributes: what neighbours share, and how well each space finds it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import kit
from kit.errors import KitError
from kit.measures import precision_at_k
from kit.retrieval import Gallery, LabelledGallery, attributes_of
from kit.retrieval.labelled import DEPTH

COUNT = 90
HEAD = "L5.H0"


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(COUNT, 14_021, kind="single")


@pytest.fixture(scope="module")
def store(stickers, scenes):
    return kit.collect(stickers, scenes, "store", "90 scenes", selector="L*")


@pytest.fixture(scope="module")
def gallery(store):
    return LabelledGallery(store)


def test_the_nearest_are_those_of_a_plain_gallery_whatever_was_asked_before(gallery, store):
    plain = Gallery(store)
    for number, how in ((1, "centred"), (1, "raw"), (2, "raw"), (2, "product"), (1, "centred")):
        near = gallery.near(gallery.query(number), HEAD, 8, how)
        numbers, values = plain.nearest(plain.query(number), HEAD, 8, how)
        assert near.numbers == numbers.tolist() and near.values == pytest.approx(values.tolist())
        assert number not in near.numbers


def test_scores_of_a_query_are_found_once_for_all_spaces(gallery, monkeypatch):
    found, asked = [], gallery.query(5)
    monkeypatch.setattr(gallery, "scores", lambda *of: found.append(of) or Gallery.scores(gallery, *of))
    gallery.compare(asked, HEAD, "background", 8)
    gallery.compare(asked, "L4.H1", "colour", 8)
    assert len(found) == 1


def test_what_is_shared_is_true(gallery):
    for number in (1, 4):
        near = gallery.near(gallery.query(number), HEAD, 8)
        for n, shared in zip(near.numbers, near.shared):
            for name, column in gallery.labels.items():
                mine, its = column.iloc[number], column.iloc[n]
                assert (name in shared) == (pd.notna(mine) and mine == its)


def test_what_nobody_knows_is_not_shared(gallery, scenes):
    natural = np.flatnonzero(scenes.labels["colour"] == "natural")
    found = gallery.compare(gallery.query(int(natural[0])), "L2.H3", "colour", 8)
    assert {n for near in found.near.values() for n in near.numbers} & set(natural.tolist())
    assert not any("colour" in shared for near in found.near.values() for shared in near.shared)
    assert np.isnan(found.shares).all() and not any(found.hits("head"))


def test_the_gain_is_the_share_of_the_nearest_less_that_of_all_others(gallery, scenes):
    grounds, asked = scenes.labels["background"], gallery.query(1)
    chance = ((grounds == grounds[1]).sum() - 1) / (COUNT - 1)
    gain = gallery.gain(asked, "background", 8)
    for head in (HEAD, "L2.H3"):
        hits = [grounds[n] == grounds[1] for n in gallery.near(asked, head, 8).numbers]
        assert gain[gallery.place(head)] == pytest.approx(np.mean(hits) - chance)


def test_the_overlap_is_the_share_of_the_nearest_that_the_full_model_has_too(gallery):
    asked = gallery.query(1)
    overlap, full = gallery.overlap(asked, 8), gallery.near(asked, "full model", 8).numbers
    for head in (HEAD, "L0.H4"):
        near = gallery.near(asked, head, 8).numbers
        assert overlap[gallery.place(head)] == len(set(near) & set(full)) / 8


def test_precision_is_that_of_all_images_with_a_value_and_is_kept(gallery, store):
    table = gallery.precision(HEAD)
    for name in ("background", "colour"):
        some = np.flatnonzero(gallery.labels[name].notna())
        near = Gallery(store).neighbours(HEAD, DEPTH, among=some)
        expected = precision_at_k(near, pd.factorize(gallery.labels[name])[0], some).mean()
        assert table.set_index("attribute").loc[name, "value"] == pytest.approx(expected)
    assert gallery.precision(HEAD) is table and gallery.precision(HEAD, "raw") is not table


def test_a_random_head_is_another_one_of_the_layer_each_time(gallery):
    seen = [gallery.beside(HEAD, draw)["random head"] for draw in range(6)]
    assert sorted([*seen[:5], HEAD]) == [f"L5.H{head}" for head in range(6)] and seen[5] == seen[0]
    spaces = gallery.beside(HEAD)
    assert list(spaces) == ["head", "random head", "layer", "full model"]
    assert (spaces["head"], spaces["layer"], spaces["full model"]) == (HEAD, "L5", "full model")


def test_an_attribute_is_marked_or_what_the_full_model_has_near_too(gallery):
    found = gallery.compare(gallery.query(1), HEAD, "background", 8)
    assert found.hits("layer") == ["background" in shared for shared in found.near["layer"].shared]
    assert found.shares == pytest.approx(gallery.gain(gallery.query(1), "background", 8))
    assert found.unit == "share with its background, minus chance"
    found = gallery.compare(gallery.query(1), HEAD, "no attribute", 8)
    full = found.near["full model"].numbers
    assert found.hits("head") == [n in full for n in found.near["head"].numbers]
    assert found.hits("full model") == [True] * 8 and found.attribute == ""
    assert found.shares == pytest.approx(gallery.overlap(gallery.query(1), 8))
    assert found.unit == "share also near by the full model"


def test_of_a_query_that_nobody_labelled_the_heads_nearest_say_which_value_is_marked(gallery):
    grounds = gallery.labels["background"]
    outside = (replace(gallery.query(n), number=None) for n in range(COUNT))  # each is its own nearest
    asked = next(  # one whose nearest have several backgrounds, of which one leads
        q for q in outside if grounds.iloc[gallery.near(q, HEAD, 8).numbers].value_counts().nunique() > 1
    )
    found = gallery.compare(asked, HEAD, "background", 8)
    nearest = grounds.iloc[found.near["head"].numbers].tolist()
    assert found.value == max(nearest, key=nearest.count) != min(nearest, key=nearest.count)
    for kind, near in found.near.items():
        own = grounds.iloc[near.numbers]
        assert found.hits(kind) == (own == found.value).tolist()
        assert near.told() == [
            f"image {n}, {v:+.2f}, {g}" for n, v, g in zip(near.numbers, near.values, own, strict=True)
        ]
        hits = sum(found.hits(kind))
        assert found.heading(kind).endswith(f": {hits} of 8 have the background {found.value}")
    marked = [word.removeprefix("✓ ") for word in found.words("layer") if word.startswith("✓")]
    assert marked == [found.value] * sum(found.hits("layer"))
    head, full = (sum(found.hits(kind)) for kind in ("head", "full model"))
    assert found.says("‘a.png’", "background").startswith(
        f"Of the 8 images nearest to ‘a.png’, {head} in L5.H0 and {full} by the full model have the "
        f"background {found.value}. Over many queries: "
    )
    share = found.shares[gallery.place(HEAD)]
    assert share == pytest.approx(head / 8 - (grounds == found.value).mean())
    assert found.unit == f"share with the background {found.value}, minus chance"


def test_where_nobody_knows_the_nearest_either_those_of_the_full_model_are_marked(store, scenes):
    labels = pd.DataFrame({"seen": [None] * (COUNT - 2) + ["a", "a"]})
    bare = LabelledGallery(store, labels)
    asked = replace(bare.query(1), number=None)
    near = {kind: bare.near(asked, space, 1).numbers[0] for kind, space in bare.beside(HEAD).items()}
    assert max(near.values()) < COUNT - 2
    found = bare.compare(asked, HEAD, "seen", 1)
    assert (found.attribute, found.value) == ("", "") and found.unit == "share also near by the full model"
    assert found.says("this", "").startswith("1 of the 1 images nearest to this in L5.H0 are also nearest")


def test_the_sentence_counts_what_is_marked(gallery):
    found = gallery.compare(gallery.query(1), HEAD, "background", 8)
    told, (head, full) = (
        found.says("this", "background"),
        (sum(found.hits(k)) for k in ("head", "full model")),
    )
    assert told.startswith(f"Of the 8 images nearest to this, {head} in L5.H0 and {full} by the full model ")
    row = found.precision["head"].set_index("attribute").loc["background"]
    assert f" {row['value']:.2f} [{row['low']:.2f}, {row['high']:.2f}] in L5.H0, " in told
    assert told.endswith(f"chance {row['chance']:.2f}.")
    found = gallery.compare(gallery.query(1), HEAD, "", 8)
    both = sum(found.hits("head"))
    assert found.says("this", "") == (
        f"{both} of the 8 images nearest to this in L5.H0 are also nearest by the full model, of {COUNT}."
    )


def test_the_table_holds_the_nearest_and_the_precision_of_all_spaces(gallery):
    found = gallery.compare(gallery.query(1), HEAD, "background", 8)
    table = found.table()
    near = table[(table["view"] == "nearest") & (table["space"] == "layer")]
    assert list(near["image"]) == found.near["layer"].numbers and list(near["rank"]) == list(range(1, 9))
    assert list(near["shares"]) == ["; ".join(shared) for shared in found.near["layer"].shared]
    mine = table[(table["view"] == "precision") & (table["space"] == "layer")]
    assert list(mine["value"]) == list(gallery.precision("L5")["value"])
    assert len(table) == 4 * 8 + 4 * len(gallery.precision("L5"))


def test_the_best_found_attribute_of_a_query(gallery):
    asked = gallery.query(1)
    gains = {name: gallery.gain(asked, name, 8) for name in gallery.labels}
    name, head = gallery.best_found(asked, 8)
    assert gains[name][gallery.place(head)] == max(np.nanmax(each, initial=-1) for each in gains.values())


def test_images_in_words(gallery):
    near = gallery.near(gallery.query(1), HEAD, 2)._replace(shared=[["size", "colour"], []])
    assert near.words("colour") == ["colour, size", ""] and near.words() == ["size, colour", ""]
    assert near.told()[1] == f"image {near.numbers[1]}, {near.values[1]:+.2f}, shares nothing that is asked"


@pytest.mark.parametrize(
    ("count", "labels", "message"),
    [
        (10, None, "a gallery of 10 images is too small; give more than 10."),
        (11, pd.DataFrame({"a": [1, 2]}), "2 rows of labels, but 11 images; give each one."),
    ],
)
def test_too_few_images_and_labels_of_others(stickers, scenes, count, labels, message):
    store = kit.collect(stickers, scenes.images[:count], "store", f"{count} pictures", selector="L5")
    with pytest.raises(KitError, match=message):
        LabelledGallery(store, labels)


def test_labels_that_repeat_are_asked_and_of_scenes_their_attributes(scenes):
    labels = pd.DataFrame({"folder": ["a", "b"] * 3, "file": list("uvwxyz"), "area": np.arange(6) / 7})
    assert list(attributes_of(labels)) == ["folder"]
    assert attributes_of(scenes.labels).equals(kit.world.attributes(scenes.labels))
