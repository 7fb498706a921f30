"""Notebook 14's panel, without a browser: what it shows follows from its state; one upload, one run."""

import io
import re

import numpy as np
import pytest
from PIL import Image

import kit
from kit.errors import KitError
from kit.figures.strip import small
from kit.panels import Retrieval
from kit.panels import retrieval as module
from kit.panels.declared import UPLOADS
from kit.panels.retrieval import OVERLAP, SIDE
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


KINDS = ("head", "random head", "layer", "full model")


def near(panel, kind: str = "head"):
    """Rows of the table of the nearest images in one space."""
    table = panel.table()
    rows = table[(table["view"] == "nearest") & (table["space"] == kind)]
    return rows.astype({"image": int}).reset_index(drop=True)


def sent(panel, name: str) -> str:
    """What the browser is sent of a figure that is a piece of the page."""
    return panel.views[name].widget.value


def test_the_rows_are_those_of_the_gallery(panel, store):
    gallery = Gallery(store)
    for kind in KINDS:
        rows = near(panel, kind)
        numbers, values = gallery.nearest(gallery.query(1), rows["part"][0], 8)
        assert list(rows["image"]) == numbers.tolist() and list(rows["value"]) == pytest.approx(
            values.tolist()
        )
    parts = [near(panel, kind)["part"][0] for kind in KINDS]
    assert [parts[0], *parts[2:]] == ["L5.H0", "L5", "full model"]
    assert parts[1].startswith("L5.H") and parts[1] != "L5.H0"
    assert [panel.shown.figures[kind].title.split(":")[0] for kind in KINDS] == [
        "L5.H0", f"{parts[1]}, another head", "L5, the layer", "full model"
    ]  # fmt: skip


def test_the_pictures_are_those_of_the_rows(panel, scenes):
    for kind in KINDS:
        pictures, numbers = panel.shown.figures[kind].pictures, list(near(panel, kind)["image"])
        assert pictures == tuple(small(scenes.images[n], SIDE) for n in numbers)
        assert sent(panel, kind).count("<img") == 8
    assert panel.shown.figures["asked"].pictures == (small(scenes.images[1]),)
    assert panel.shown.figures["asked"].labels[0] in sent(panel, "asked")


def test_the_query_is_not_among_its_nearest(panel):
    for number in range(6):
        panel.choose(query=f"image {number}")
        assert all(number not in set(near(panel, kind)["image"]) for kind in KINDS)


@pytest.mark.parametrize("how", ["raw", "product"])
def test_another_comparison_has_rankings_of_its_own(panel, store, how):
    panel.choose(how=how)
    values = Gallery(store).nearest(Gallery(store).query(1), "L5.H0", 8, how)[1]
    assert list(near(panel)["value"]) == pytest.approx(values.tolist())


def test_marks_are_true(panel, scenes):
    grounds = scenes.labels["background"]
    for kind in KINDS:
        strip, rows = panel.shown.figures[kind], near(panel, kind)
        hits = [grounds[n] == grounds[1] for n in rows["image"]]
        assert list(strip.framed) == hits and sent(panel, kind).count("loupe-hit") == sum(hits)
        assert strip.title.endswith(f": {sum(hits)} of 8 share its background")
        assert re.findall(r'alt="(.*?)"', sent(panel, kind)) == list(strip.tips)
        for n, row in rows.iterrows():
            shared = row["shares"].split("; ")
            first = "✓ background" if hits[n] else shared[0]
            assert strip.labels[n].startswith(first) and len(strip.labels[n].split(", ")) == len(shared)
            assert strip.tips[n].startswith(f"image {row['image']}, {row['value']:+.2f}, shares {shared[0]}")
    hits = sum(panel.shown.figures["head"].framed)
    assert panel.caption.startswith(f"Of the 8 images nearest to image 1, {hits} in L5.H0 and ")


def test_what_no_attribute_is_asked_of_is_marked_as_the_full_model_has_it(panel):
    panel.choose(attribute=OVERLAP)
    full = set(near(panel, "full model")["image"])
    strip = panel.shown.figures["layer"]
    assert list(strip.framed) == [n in full for n in near(panel, "layer")["image"]]
    assert strip.title == f"L5, the layer: {sum(strip.framed)} of 8 also near by the full model"
    assert f"{sum(panel.shown.figures['head'].framed)} of the 8 images nearest to image 1 in" in panel.caption


def test_the_chart_is_the_precision_of_the_four_spaces(panel):
    chart, table = panel.shown.figures["precision"], panel.table()
    table = table[table["view"] == "precision"].set_index(["space", "attribute"])
    assert chart.kinds == KINDS and chart.labels == tuple(panel.gallery.labels)
    for kind, series in zip(KINDS, chart.series):
        for name, ends in (("value", series.values), ("low", series.low), ("high", series.high)):
            assert list(ends) == list(table.loc[kind, name])
    assert chart.levels["chance"] == list(table.loc["head", "chance"])
    assert chart.picked == "background"
    panel.choose(attribute=OVERLAP)
    assert panel.shown.figures["precision"].picked == ""


def test_the_grid_says_what_it_shows(panel, scenes):
    grid, asked = panel.shown.figures["heads"], panel.gallery.query(1)
    assert grid.title == "Which head: share with its background, minus chance" and grid.signed
    assert grid.values == pytest.approx(panel.gallery.gain(asked, "background", 8))
    assert grid.picked == ("L5.H0",) and grid.limit == 1
    panel.choose(attribute=OVERLAP)
    grid = panel.shown.figures["heads"]
    assert grid.title == "Which head: share also near by the full model" and not grid.signed
    assert grid.values == pytest.approx(panel.gallery.overlap(asked, 8))
    natural = np.flatnonzero(scenes.labels["colour"] == "natural")[0]
    panel.choose(query=f"image {natural}", attribute="colour")
    grid = panel.shown.figures["heads"]
    assert grid.title == "Which head: the query has no colour" and np.isnan(grid.values).all()
    assert not any(panel.shown.figures["head"].framed)


def test_an_upload_runs_the_tower_once(panel, stickers):
    before = stickers.passes.total()
    panel.choose(other=3, attribute=OVERLAP)
    assert stickers.passes.total() == before and panel.message == ""
    panel.upload(picture_bytes(), "mine.png")
    once = stickers.passes.total()
    assert once > before and panel.selection.query.startswith("upload ")
    assert panel.truth.text == "The query is mine.png, 20 × 10 pixels."
    assert "mine.png, 20 × 10 pixels" in sent(panel, "asked")
    assert not panel.shown.figures["heads"].signed  # nobody knows its attributes
    asked = panel.selection.query
    panel.choose(part="L4.H4")
    panel.choose(query="image 2")
    assert panel.truth.text == ""
    panel.choose(query=asked)
    panel.upload(picture_bytes(), "again.png")
    assert stickers.passes.total() == once and panel.message == "" and panel.selection.query == asked
    assert panel.truth.text == "The query is again.png, 20 × 10 pixels."


def test_an_upload_is_called_by_its_file_and_the_nearest_say_what_it_is_like(panel):
    panel.choose(attribute="background", part="L5.H0")
    panel.upload(picture_bytes(), "mine.png")
    strip, rows = panel.shown.figures["head"], near(panel)
    grounds = panel.gallery.labels["background"].iloc[rows["image"]].tolist()
    most = max(grounds, key=grounds.count)
    assert list(strip.framed) == [ground == most for ground in grounds]
    assert strip.title == f"L5.H0: {grounds.count(most)} of 8 have the background {most}"
    assert panel.caption.startswith(f"Of the 8 images nearest to ‘mine.png’, {grounds.count(most)} in L5.H0 ")
    assert f"have the background {most}. Over many" in panel.caption and panel.shown.figures["heads"].signed


def test_what_the_browser_did_to_an_upload_is_said(panel):
    button = panel.controls["file"]
    message = {"id": "1", "name": "mine.png", "shrunk": [20, 10]}
    button._heard(button, message, [picture_bytes()])
    assert panel.truth.text == ("The query is mine.png, 20 × 10 pixels, shrunk to 20 × 10 in the browser.")


def test_an_uploaded_picture_of_the_gallery_is_left_out(panel, scenes):
    held = io.BytesIO()
    Image.fromarray(scenes.images[7].permute(1, 2, 0).numpy()).save(held, "PNG")
    panel.upload(held.getvalue(), "seven.png")
    assert "it is image 7, and left out" in panel.truth.text + sent(panel, "asked")
    assert all(7 not in set(near(panel, kind)["image"]) for kind in KINDS)
    assert panel.shown.figures["heads"].signed  # what is known of image 7 is known of it
    panel.controls["following"].click()
    assert panel.selection.query == "image 8"


def test_the_latest_uploads_are_kept(panel):
    names = []
    for shade in (*range(UPLOADS), 0, UPLOADS):  # the first is given twice, so the second goes
        held = io.BytesIO()
        Image.new("RGB", (8, 8), (20 * shade, 0, 0)).save(held, "PNG")
        panel.upload(held.getvalue(), f"{shade}.png")
        names.append(panel.selection.query)
    assert list(panel.uploads) == [*names[2:UPLOADS], *names[-2:]] and names[0] == names[-2]
    before = panel.state
    panel.choose(query=names[1])
    assert "or upload a picture again" in panel.message and panel.state == before
    panel.choose(query=names[0])
    assert panel.message == "" and panel.selection.query == names[0]


def test_buttons_and_words_choose_the_query(panel):
    panel.controls["following"].click()
    assert panel.selection.query == "image 2"
    panel.choose(query=f"image {COUNT - 1}")
    panel.controls["following"].click()
    assert panel.selection.query == "image 0"
    panel.controls["query"].value = " 17 "
    assert panel.selection.query == "image 17" == panel.controls["query"].value
    panel.choose(query="upload no")
    panel.controls["another"].click()
    assert panel.selection.other == 1 and panel.string.endswith("|1")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"part": "L9.H0"}, 'no head "L9.H0" here; there are 36, from L0.H0.'),
        ({"query": "image 90"}, "no image 90: the gallery has 90"),
        ({"query": "upload 00"}, "or upload a picture again"),
        ({"attribute": "colours"}, 'no mark "colours" here; there are '),
        ({"how": "cosine"}, 'no comparison "cosine" here; there are '),
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


def test_which_other_head_is_a_number(stickers, scenes, store):
    with pytest.raises(KitError, match="random head many cannot be"):
        Retrieval(stickers, scenes, store, state="stickers-l8|image 1|L5.H0|raw|colour|many")


def test_a_state_of_another_attribute_that_a_folder_may_have(stickers, scenes, store):
    labels = kit.world.attributes(scenes.labels).rename(columns={"background": "ground | sky"})
    panel = Retrieval(stickers, scenes, store, labels)
    panel.choose(attribute="ground | sky")
    again = Retrieval(stickers, scenes, store, labels, state=panel.string)
    assert again.state == panel.state and len(panel.string.split("|")) == 6
    again.close(), panel.close()


def test_it_opens_on_the_head_that_finds_an_attribute_of_the_first_image_best(stickers, scenes, store):
    panel = Retrieval(stickers, scenes, store)
    best = panel.gallery.best_found(panel.gallery.query(0), 8)
    assert (panel.selection.attribute, panel.selection.part) == best and panel.selection.query == "image 0"
    panel.close()


def test_a_large_gallery_says_that_it_computes(panel, monkeypatch):
    assert not panel.slow(panel.selection)
    monkeypatch.setattr(module, "LARGE", COUNT - 1)
    assert panel.slow(panel.selection)


def test_other_images_than_those_of_the_store(stickers, store):
    with pytest.raises(KitError, match="the store is not of these 20 images"):
        Retrieval(stickers, kit.world.draw(20, 1), store)


def test_a_random_head_is_another_one_of_the_layer_each_time(panel):
    seen = []
    for number in range(5):
        panel.choose(other=number)
        seen.append(near(panel, "random head")["part"][0])
    assert sorted([*seen, "L5.H0"]) == [f"L5.H{h}" for h in range(6)]


def test_numbers_picture_and_lines_leave_the_panel(panel, stickers, scenes, tmp_path):
    table = panel.table()
    assert len(table) == 4 * 8 + 4 * len(panel.gallery.precision("L5.H0"))
    lines = panel.code().replace("images = ...", "images = scenes")
    held = {"scenes": scenes}
    exec(compile(lines, "lines", "exec"), held)
    assert {s: n.tolist() for s, (n, _) in held["near"].items()} == {
        near(panel, kind)["part"][0]: list(near(panel, kind)["image"]) for kind in KINDS
    }
    assert Image.open(panel.save(tmp_path / "a.png")).width > 1000
    assert stickers.weights_hash[:12] in panel.provenance() and "seed 14021" in panel.provenance()
    assert panel.finding() in panel.save(tmp_path / "a.html").read_text(encoding="utf-8")


def test_images_without_labels_are_compared_with_the_full_model(stickers, scenes):
    bare = kit.collect(stickers, scenes.images[:20], "store", "20 pictures", selector="L5")
    panel = Retrieval(stickers, scenes.images[:20], bare)
    assert panel.selection.attribute == OVERLAP and "also nearest by the full model, of 20" in panel.caption
    chart = panel.shown.figures["precision"]
    assert chart.labels == () and set(panel.table()["view"]) == {"nearest"} and panel.png()
    assert panel.shown.figures["asked"].labels == ("",)
    panel.close()
