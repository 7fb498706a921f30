"""Notebook 14's panel, without a browser: what it shows follows from its state; one upload, one run."""

import io

import numpy as np
import pandas as pd
import pytest
from kit.panels.nearest_images import DEPTH, OVERLAP, RetrievalState, attributes_of
from PIL import Image

import kit
from kit.errors import KitError
from kit.measures import precision_at_k
from kit.panels import Retrieval
from kit.retrieval import Gallery
from tests.unit.panel_doubles import picture_bytes

COUNT = 90


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(COUNT, 14_021, kind="single")


@pytest.fixture(scope="module")
def store(stickers, scenes):
    return kit.collect(stickers, scenes, "store", "90 scenes", selector="L*")


@pytest.fixture(scope="module")
def made(stickers, scenes, store):
    panel = Retrieval(stickers, scenes, store)
    yield panel
    assert panel.last_error is None
    panel.close()


@pytest.fixture
def panel(made):
    made.choose(query="image 1", part="L5.H0", how="centred", attribute="background", other=0)
    return made


def test_the_rows_are_those_of_the_gallery(panel, store):
    gallery = Gallery(store)
    for row in panel.found.rows:
        numbers, values = gallery.nearest(gallery.query(1), row.part, 8)
        assert row.numbers == numbers.tolist() and row.values == pytest.approx(values.tolist())
    kinds = [(row.space, row.part) for row in panel.found.rows]
    assert kinds[0] == ("head", "L5.H0") and kinds[2:] == [("layer", "L5"), ("full model", "full model")]
    assert kinds[1][1].startswith("L5.H") and kinds[1][1] != "L5.H0"


def test_the_query_is_not_among_its_nearest(panel):
    for number in range(6):
        panel.choose(query=f"image {number}")
        assert all(number not in row.numbers for row in panel.found.rows)


def test_what_nobody_knows_is_not_shared(panel, scenes):
    natural = np.flatnonzero(scenes.labels["colour"] == "natural")
    panel.choose(query=f"image {natural[0]}")
    near = [n for row in panel.found.rows for n in row.numbers]
    assert set(near) & set(natural.tolist())
    assert not any("colour" in shared for row in panel.found.rows for shared in row.shared)


@pytest.mark.parametrize("how", ["raw", "product"])
def test_another_comparison_has_rankings_of_its_own(panel, store, how):
    panel.choose(how=how)
    values = Gallery(store).nearest(Gallery(store).query(1), "L5.H0", 8, how)[1]
    assert panel.found.rows[0].values == pytest.approx(values.tolist())


def test_marks_are_true(panel, scenes):
    labels = scenes.labels
    for row in panel.found.rows:
        for number, shared in zip(row.numbers, row.shared):
            for name in panel.cases.labels:
                mine = [panel.cases.labels[name].iloc[i] for i in (1, number)]
                assert (name in shared) == (pd.notna(mine[0]) and mine[0] == mine[1])
    hits = [labels["background"][n] == labels["background"][1] for n in panel.found.rows[0].numbers]
    assert panel.strips[0].value.count("loupe-hit") == sum(hits)
    assert panel.caption.startswith(f"Of the 8 images nearest to image 1, {sum(hits)} in L5.H0 and ")


def test_precision_is_that_of_all_queries_with_a_value(panel, store):
    table = panel.found.precision.set_index(["space", "attribute"])
    for name in ("background", "colour"):
        labels = panel.cases.labels[name]
        some = np.flatnonzero(labels.notna())
        near = Gallery(store).neighbours("L5.H0", DEPTH, among=some)
        expected = precision_at_k(near, pd.factorize(labels)[0], some).mean()
        assert table.loc[("head", name), "value"] == pytest.approx(expected)


def test_the_grid_is_the_gain_over_chance_of_this_query(panel, scenes):
    grounds = scenes.labels["background"]
    share = ((grounds == grounds[1]).sum() - 1) / (COUNT - 1)
    place = panel.cases.gallery.place("L5.H0")
    hits = [grounds[n] == grounds[1] for n in panel.found.rows[0].numbers]
    assert panel.found.cells[place] == pytest.approx(np.mean(hits) - share, abs=1e-6)


def test_an_upload_runs_the_tower_once(panel, stickers):
    before = stickers.passes.total()
    panel.choose(other=3, attribute=OVERLAP)
    assert stickers.passes.total() == before and panel.message == ""
    panel.upload(picture_bytes(), "mine.png")
    once = stickers.passes.total()
    assert once > before and panel.selection.query.startswith("upload ")
    assert "nobody" not in panel.caption and "mine.png, 20 × 10 pixels" in panel.face.value
    asked = panel.selection.query
    panel.choose(part="L4.H4")
    panel.choose(query="image 2")
    panel.choose(query=asked)
    assert stickers.passes.total() == once and panel.message == ""


def test_an_uploaded_picture_of_the_gallery_is_left_out(panel, scenes):
    held = io.BytesIO()
    Image.fromarray(scenes.images[7].permute(1, 2, 0).numpy()).save(held, "PNG")
    panel.upload(held.getvalue(), "seven.png")
    assert "it is image 7, and left out" in panel.face.value
    assert all(7 not in row.numbers for row in panel.found.rows)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"part": "L9.H0"}, 'no head "L9.H0" in the store'),
        ({"query": "image 90"}, "no image 90: the gallery has 90"),
        ({"query": "upload 00"}, "or upload a picture again"),
        ({"attribute": "colours"}, 'no attribute "colours"'),
        ({"how": "cosine"}, 'no way "cosine" to compare'),
    ],
)
def test_what_cannot_be_is_a_sentence_and_the_last_state_stays(panel, fields, message):
    before, caption = panel.state, panel.caption
    panel.choose(**fields)
    assert message in panel.message and panel.state == before and panel.caption == caption
    panel.choose(part="L5.H1")
    assert panel.message == ""


def test_what_is_no_picture_is_a_sentence(panel):
    before = panel.state
    panel.upload(b"no picture", "x.png")
    assert panel.message and panel.state == before


def test_which_other_head_is_a_number():
    with pytest.raises(KitError, match="is not a state"):
        RetrievalState.parse("a|b|c|raw|e|many")


def test_other_images_than_those_of_the_store(stickers, store):
    with pytest.raises(KitError, match="the store is not of these 20 images"):
        Retrieval(stickers, kit.world.draw(20, 1), store)


def test_a_random_head_is_another_one_of_the_layer_each_time(panel):
    seen = []
    for number in range(5):
        panel.choose(other=number)
        seen.append(panel.found.rows[1].part)
    assert sorted([*seen, "L5.H0"]) == [f"L5.H{h}" for h in range(6)]


def test_numbers_picture_and_lines_leave_the_panel(panel, stickers, scenes, tmp_path):
    table = panel.table()
    assert len(table) == 4 * 8 + len(panel.found.precision)
    lines = panel.code().replace("images = ...", "images = scenes")
    held = {"scenes": scenes}
    exec(compile(lines, "lines", "exec"), held)
    assert {s: n.tolist() for s, (n, _) in held["near"].items()} == {
        row.part: row.numbers for row in panel.found.rows
    }
    assert Image.open(panel.save(tmp_path / "a.png")).width > 1000
    assert stickers.weights_hash[:12] in panel.provenance() and "seed 14021" in panel.provenance()
    assert panel.finding() in panel.save(tmp_path / "a.html").read_text(encoding="utf-8")


def test_images_without_labels_are_compared_with_the_full_model(stickers, scenes):
    bare = kit.collect(stickers, scenes.images[:20], "store", "20 pictures", selector="L5")
    panel = Retrieval(stickers, scenes.images[:20], bare)
    assert panel.selection.attribute == OVERLAP and "also nearest by the full model, of 20" in panel.caption
    assert panel.found.precision.empty and panel.png()
    panel.close()


def test_labels_of_a_folder_that_repeat_are_asked():
    labels = pd.DataFrame({"folder": ["a", "b"] * 3, "file": list("uvwxyz"), "area": np.arange(6) / 7})
    assert list(attributes_of(labels)) == ["folder"]
