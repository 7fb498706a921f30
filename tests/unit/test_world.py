"""The world: values, seeds, labels, pixels, words, errors."""

import doctest
import hashlib
import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import kit.world
from kit.errors import KitError
from kit.workshop.cards.world import tables
from kit.world import VALUES, atlas, draw, gallery
from kit.world.elsewhere import elsewhere
from kit.world.phrases import order_texts
from kit.world.printed import with_words, word_boxes
from kit.world.sample import SIDE, UNIT, Plan
from kit.world.values import CATEGORY, HELD_OUT, SEEN

GOLDEN = Path(__file__).parent / "test_world_golden.png"
LABELS = "192d551cfe478feb"


def _same(a, b):
    return (
        torch.equal(a.images, b.images)
        and torch.equal(a.masks, b.masks)
        and all(torch.equal(a.codes[k], b.codes[k]) for k in a.codes)
        and a.captions == b.captions
    )


@pytest.fixture(scope="module")
def mixed():
    return draw(300, 5, "mixed", mix="web", artists="all")


def test_labels_are_the_same_to_the_bit_on_every_machine(mixed):
    table = torch.stack([mixed.codes[k] for k in sorted(mixed.codes)]).numpy()
    assert hashlib.sha256(table.tobytes()).hexdigest()[:16] == LABELS


def test_pixels_are_those_of_the_golden_picture(mixed):
    golden = np.asarray(Image.open(GOLDEN).convert("RGB")).astype(int)
    drawn = mixed.images[:12].permute(2, 0, 3, 1).reshape(64, -1, 3).numpy().astype(int)
    gap = np.abs(drawn - golden)
    # another machine may round its bank of backgrounds otherwise by one step
    assert gap.max() <= 2
    assert (gap > 1).mean() < 1e-3


@pytest.mark.parametrize("low, high", [(0, 300), (40, 41), (250, 262), (299, 300)])
def test_a_scene_depends_on_its_number_alone(mixed, low, high):
    part = draw(high - low, 5, "mixed", mix="web", artists="all", start=low)
    assert _same(part, mixed[low:high])


def test_pixels_do_not_depend_on_threads(mixed):
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        assert _same(draw(60, 5, "mixed", mix="web", artists="all"), mixed[:60])
    finally:
        torch.set_num_threads(before)


def test_another_seed_gives_other_scenes():
    a, b = draw(200, 1).codes["concept"], draw(200, 2).codes["concept"]
    assert (a == b).float().mean() < 0.1


def test_one_attribute_more_changes_no_other():
    plain, dressed = draw(64, 3, colours=0.0, textures=0.0), draw(64, 3, colours=1.0, textures=1.0)
    for name in ("concept", "artist", "background", "size", "position"):
        assert torch.equal(plain.codes[name], dressed.codes[name]), name
    assert torch.equal(plain.masks, dressed.masks)
    assert (plain.codes["colour"] == 0).all()
    assert (dressed.codes["colour"] > 0).all()
    assert (dressed.codes["texture"] > 0).all()


def test_there_are_enough_concepts_and_each_has_a_drawing_by_the_held_out_artist():
    has = atlas.available()
    assert len(VALUES["concept"]) >= 120
    assert has[VALUES["artist"].index(HELD_OUT[0])].all()
    assert (has[: len(SEEN)].sum(0) >= 3).all()
    assert set(VALUES["word"]) <= set(VALUES["concept"])


@pytest.mark.parametrize("artists, names", [("seen", SEEN), ("held_out", HELD_OUT), ("all", SEEN + HELD_OUT)])
def test_artists_are_those_that_were_asked_for(artists, names):
    scenes = draw(300, 4, "pair", artists=artists)
    assert set(scenes.labels.artist) | set(scenes.labels.artist_2) == set(names)


def test_no_drawing_is_used_that_is_missing():
    has = atlas.available()
    codes = draw(600, 6, artists="all").codes
    assert has[codes["artist"], codes["concept"]].all()


PRESENT = {  # labels that a scene of each kind has, besides kind and background
    "single": {"concept", "category", "artist", "colour", "texture", "size", "position", "count"},
    "count": {"concept", "category", "artist", "colour", "texture", "count"},
    "pair": {f"{a}{s}" for a in ("concept", "category", "artist", "colour", "texture") for s in ("", "_2")}
    | {"relation"},
    "word": {"word"},
}
PRESENT["single_word"] = PRESENT["single"] | {"word"}


@pytest.mark.parametrize("kind", PRESENT)
def test_labels_are_complete_for_each_kind(kind):
    scenes = draw(40, 8, kind)
    has = {k for k, v in scenes.codes.items() if (v >= 0).all()}
    none = {k for k, v in scenes.codes.items() if (v < 0).all()}
    assert has == PRESENT[kind] | {"kind", "background"}
    assert has | none == set(scenes.codes)
    labels = scenes.labels
    assert set(labels.columns[labels.notna().all()]) >= has
    assert list(labels.index) == list(range(40))
    if "concept" in has:
        assert [CATEGORY[c] for c in labels.concept] == list(labels.category)


@pytest.mark.parametrize(
    "kind, objects", [("single", 1), ("pair", 2), ("count", 4), ("mixed", 4), ("word", 1)]
)
def test_masks_hold_every_object(kind, objects):
    scenes = draw(60, 9, kind)
    assert scenes.masks.shape == (60, objects, 64, 64)
    seen = scenes.masks.sum((2, 3)) > 12
    codes = scenes.codes
    number = torch.where(codes["concept_2"] >= 0, 2, codes["count"] + 1)
    assert torch.equal(seen.sum(1), number)
    assert (scenes.masks.sum(1) <= 1).all(), "masks overlap"


def test_objects_that_touch_share_no_pixel_of_their_masks():
    scenes = draw(1, 5, "count", start=40)  # two of its objects overlap: about one scene in a hundred is so
    assert (scenes.masks.sum(1) <= 1).all(), "the covered object keeps its pixels"


@pytest.mark.parametrize("size", VALUES["size"])
def test_drawings_have_the_size_that_the_label_says(size):
    scenes = draw(120, 10, sizes=(size,), colours=0.0)
    assert set(scenes.labels["size"]) == {size}
    low, high = SIDE[VALUES["size"].index(size)]
    assert low * UNIT <= int(scenes.layout.side[:, 0].min())
    assert int(scenes.layout.side[:, 0].max()) <= high * UNIT
    mask = scenes.masks[:, 0]
    long = torch.maximum(mask.any(1).sum(1), mask.any(2).sum(1)).float()
    assert low * 0.8 < long.median() < high * 1.25


def test_positions_and_relations_are_where_the_labels_say():
    grid = torch.arange(64) + 0.5
    single, pair = draw(200, 11, sizes=("small", "medium")), draw(200, 12, "pair")

    def centre(mask):
        total = mask.sum((-1, -2))
        return (mask.sum(-2) * grid).sum(-1) / total - 32, (mask.sum(-1) * grid).sum(-1) / total - 32

    x, y = centre(single.masks[:, 0].float())
    checks = {
        "left": x < -6,
        "right": x > 6,
        "top": y < -6,
        "bottom": y > 6,
        "center": x.abs() + y.abs() < 12,
    }
    for name, holds in checks.items():
        assert holds[torch.tensor((single.labels.position == name).to_numpy())].all(), name
    x, y = centre(pair.masks.float())
    dx, dy = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    checks = {"left of": dx > 12, "right of": dx < -12, "above": dy > 12, "below": dy < -12}
    for name, holds in checks.items():
        assert holds[torch.tensor((pair.labels.relation == name).to_numpy())].all(), name


def test_another_colour_changes_pixels_of_the_object_alone():
    plain, dyed = draw(80, 13, colours=0.0, textures=0.0), draw(80, 13, colours=1.0, textures=0.0)
    changed = (plain.images != dyed.images).any(1, keepdim=True)
    near = torch.nn.functional.max_pool2d(plain.masks.float(), 5, 1, 2) > 0
    # glass and shadows are half transparent: in the picture, not in the mask
    assert (changed & ~near).sum() < 0.01 * changed.sum()
    share = (changed & plain.masks).sum((1, 2, 3)) / plain.masks.sum((1, 2, 3))
    assert share.median() > 0.95


def test_recoloured_objects_have_their_colour():
    scenes = draw(400, 14, colours=1.0, textures=0.0, sizes=("medium", "large"))
    from kit.world.values import RGB

    goal = torch.tensor([[0, 0, 0], *RGB.values()])[scenes.codes["colour"]].float()
    inside = scenes.masks[:, 0].flatten(1)
    pixels = scenes.images.flatten(2).float()
    middle = torch.stack([p[:, m].median(1).values for p, m in zip(pixels, inside)])
    gap = torch.cdist(middle[:, None], torch.tensor([list(c) for c in RGB.values()])[None].float())[:, 0]
    assert (gap.argmin(1) + 1 == scenes.codes["colour"]).float().mean() > 0.95
    assert (middle - goal).abs().mean() < 20


def test_words_can_be_read_inside_their_box():
    scenes = draw(200, 15, "single_word")
    sheet, widths = atlas.words()
    labels = scenes.labels
    for i in range(len(scenes)):
        left, top = int(labels.word_left.iloc[i]), int(labels.word_top.iloc[i])
        width, height = int(labels.word_width.iloc[i]), int(labels.word_height.iloc[i])
        assert left >= 0 and top >= 0 and left + width <= 64 and top + height <= 64
        crop = scenes.images[i, 0, top : top + height, left : left + width].float()
        gaps = (crop - sheet[:, 0, :, :width].float()).abs().mean((1, 2)) + 999 * (widths != width)
        assert int(gaps.argmin()) == int(scenes.codes["word"][i])
        assert not scenes.masks[i, 0, top : top + height, left : left + width].any()


def test_scenes_can_be_picked(mixed):
    pairs = mixed[mixed.labels.kind == "pair"]
    assert set(pairs.labels.kind) == {"pair"}
    assert len(mixed[mixed.codes["kind"] == 0]) == (mixed.labels.kind == "single").sum()
    assert len(mixed[7]) == 1
    assert _same(mixed[[3, 9]], mixed[torch.tensor([3, 9])])
    assert isinstance(mixed.layout, Plan)
    assert repr(mixed[:4]) == "Scenes(4 of 64 x 64 px, seed 5)"


def test_the_gallery_is_fixed_and_by_seen_artists():
    first = gallery()
    assert len(first) == 24
    assert gallery() is first
    assert set(first.labels.kind) == set(VALUES["kind"])
    assert set(first.labels.artist.dropna()) <= set(SEEN)
    assert {"own", "conflicting"} <= set(first.labels.fit.dropna())
    assert kit.world.truth(first.mentions, first).diagonal().all()


def test_finer_scenes_look_like_the_scenes():
    scenes = gallery()
    fine = scenes.finer(4)
    assert fine.shape == (24, 3, 256, 256)
    small = torch.nn.functional.avg_pool2d(fine.float(), 4)
    assert (small - scenes.images.float()).abs().mean() < 6


def test_scenes_at_a_scale_are_the_same_scenes(mixed):
    fine = mixed.at(2)
    assert fine.images.shape[2:] == (128, 128) and fine.scale == 2 and mixed.at(1) is mixed
    assert fine.captions == mixed.captions
    assert all(torch.equal(fine.codes[n], mixed.codes[n]) for n in mixed.codes)
    small = torch.nn.functional.avg_pool2d(fine.images.float(), 2)
    assert (small - mixed.images.float()).abs().mean() < 5
    share = torch.nn.functional.avg_pool2d(fine.masks.float(), 2)
    assert ((share - mixed.masks.float()).abs() > 0.5).float().mean() < 0.002  # edges alone
    back = fine.at(1)
    assert torch.equal(back.images, mixed.images) and torch.equal(back.masks, mixed.masks)


def test_word_boxes_are_told_in_pixels_of_the_images():
    plain = draw(20, 4).at(2)
    printed = with_words(plain, torch.arange(20) % 16)
    assert printed.scale == 2 and elsewhere(plain).scale == 2
    changed = (printed.images != plain.images).any(1)
    box = printed.labels[["word_left", "word_top", "word_width", "word_height"]].to_numpy(int)
    for where, (left, top, width, height) in zip(changed, box, strict=True):
        rows, columns = where.nonzero().unbind(1)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (
            *(top, top + height - 1),
            *(left, left + width - 1),
        )


def test_the_card_is_up_to_date():
    card = Path(__file__).parents[2] / "data_cards"
    assert tables() in (card / "stickers.md").read_text(encoding="utf-8"), (
        "run python -m kit.workshop.cards.world"
    )
    assert sum(p.stat().st_size for p in (card / "pictures").glob("stickers_*")) <= 300_000


BAD = [
    (
        {"kind": "singel"},
        "unknown kind 'singel': there are single, count, pair, word, single_word, mixed. "
        "Nearest: single, single_word.",
    ),
    ({"artists": "seem"}, "unknown artists 'seem': there are seen, held_out, all. Nearest: seen."),
    ({"mix": "klean"}, "unknown mix 'klean': there are clean, web. Nearest: clean."),
    ({"sizes": ("huge",)}, "unknown size 'huge': there are small, medium, large."),
    (
        {"sizes": ()},
        "sizes is empty: name some of small, medium, large, or leave it out for all.",
    ),
    ({"n": 0}, "n should be a positive number of scenes, but is 0."),
    ({"n": -3}, "n should be a positive number of scenes, but is -3."),
    ({"n": 2.5}, "n should be a positive number of scenes, but is 2.5."),
    ({"seed": -1}, "seed should be a whole number from 0 to 2**40 - 1, but is -1."),
    ({"start": 1.0}, "start should be a whole number from 0 to 2**40 - 1, but is 1.0."),
    ({"bias": 1.5}, "bias is a share and should lie in 0-1, but is 1.5."),
    ({"colours": -0.1}, "colours is a share and should lie in 0-1, but is -0.1."),
    ({"textures": "some"}, "textures is a share and should lie in 0-1, but is 'some'."),
    ({"words": 2}, "words is a share and should lie in 0-1, but is 2."),
]


@pytest.mark.parametrize("wrong, message", BAD)
def test_bad_arguments_are_answered(wrong, message):
    with pytest.raises(KitError) as error:
        draw(**({"n": 1, "seed": 0} | wrong))
    assert str(error.value) == message


def test_bad_requests_to_scenes_are_answered():
    scenes = draw(1, 0)
    with pytest.raises(KitError, match=r"^scale should be a whole number from 1 to 8, but is 9\.$"):
        scenes.finer(9)
    with pytest.raises(KitError, match=r"^65 scenes are too many to draw finer at once: pick 64 or fewer\.$"):
        draw(65, 0).finer()


@pytest.mark.parametrize("name", [m.name for m in pkgutil.iter_modules(kit.world.__path__)])
def test_examples_run(name):
    module = importlib.import_module(f"kit.world.{name}")
    assert doctest.testmod(module).failed == 0


def test_boxes_of_words_are_where_the_labels_say():
    scenes = draw(6, seed=4, kind="single_word")
    boxes = word_boxes(scenes)
    assert boxes.shape == (6, 1, 64, 64) and boxes.dtype == torch.bool
    for box, (_, label) in zip(boxes[:, 0], scenes.labels.iterrows()):
        left, top, wide, high = (int(label[f"word_{side}"]) for side in ("left", "top", "width", "height"))
        assert box.sum() == wide * high and box[top : top + high, left : left + wide].all()
    assert not word_boxes(draw(3, seed=4)).any()


def test_the_order_of_two_objects_is_told_rightly_and_exchanged():
    pairs = draw(8, seed=3, kind="pair")
    true, swapped = order_texts(pairs.labels)
    for told, other, (_, label) in zip(true, swapped, pairs.labels.iterrows()):
        first, second = told.split(f" {label['relation']} ")
        assert label["concept"].split()[-1] in first and label["concept_2"].split()[-1] in second
        assert other == f"{second} {label['relation']} {first}"
