"""Maps, masks, strips and tables lie where the numbers say, in pixels, in the SVG and on a page."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.errors import KitError
from kit.figures import Grid, Maps, Scatter, Strip, Table, look
from kit.figures.maps import MISSED, RIGHT, WRONG, masked, painted
from tests.unit.drawn import HALF, Drawn, pairs
from tests.unit.figure_samples import NAN, index, made, square


@pytest.fixture
def drawn(tmp_path):
    return lambda figure: Drawn(figure, tmp_path)


def test_tiles_of_a_map_are_painted_where_they_stand():
    heat = np.array([[1.0, 0.0, -1.0], [0.0, 0.5, 0.0]])
    tile = np.asarray(painted(Image.new("RGB", (60, 40), (128, 128, 128)), heat, 1.0), dtype=int)
    assert tile.shape == (171, 256, 3)
    at = {(r, c): tile[(2 * r + 1) * 171 // 4, (2 * c + 1) * 256 // 6] for r in range(2) for c in range(3)}
    warm = {where: int(rgb[0]) - int(rgb[2]) for where, rgb in at.items()}
    assert warm[0, 0] > warm[1, 1] > 20 and warm[0, 2] < -100
    assert all(warm[where] == 0 for where in ((0, 1), (1, 0), (1, 2)))
    edges = np.flatnonzero(np.diff((tile[20, :, 0] - tile[20, :, 2]) > 60))
    assert abs(edges - 256 / 3).max() < 1.5
    rising = [painted(square(), np.array([[v]]), 1.0).getpixel((200, 200)) for v in (0.1, 0.4, 0.7, 1.0)]
    assert np.all(np.diff([r - b for r, _, b in rising]) > 0)
    assert painted(square(), np.array([[5.0]]), 1.0).getpixel((200, 200)) == rising[-1]
    shares = painted(square(), np.array([[1.0]]), 1.0, signed=False).getpixel((200, 200))
    assert shares[0] < shares[2] and shares[0] < shares[1]


def test_a_map_of_nothing_leaves_the_picture():
    image = square()
    assert (
        painted(image, np.full((2, 2), NAN), 1.0).tobytes()
        == image.resize((256, 256), Image.Resampling.BICUBIC).tobytes()
    )


def test_maps_lie_side_by_side_with_their_names(drawn):
    values = np.zeros((2, 2, 3))
    values[0, 1, 2], values[1, 0, 0] = 1.0, -1.0
    svg = drawn(Maps(values, [square()], "share", ["first", "second"], masks=np.ones((2, 4, 4), bool)))
    first, second = (float(t.get("x")) for t in svg.root.iter() if t.text in ("first", "second"))
    assert first < second and {"share", "−1.00", "+1.00"} <= set(svg.words())
    assert svg.names("map-") == ["map-0", "map-1"]


def test_each_map_lies_over_its_picture(drawn):
    pictures = [square(), square(0, 0, 250)]
    svg = drawn(Maps(np.full((2, 2, 2), NAN), pictures, "share", ["first", "second"]))
    for k, image in enumerate(pictures):
        (held,) = (e for e in svg.root.iter() if e.tag.endswith("}image") and e.get("id") == f"map-{k}")
        pixels = next(v for n, v in held.attrib.items() if n.endswith("href")).partition(",")[2]
        tile = Image.open(BytesIO(b64decode(pixels))).convert("RGB")
        if held.get("transform", "").startswith("scale(1 -1)"):  # it is stored from below
            tile = tile.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        wide, high = tile.size
        assert tile.getpixel((wide // 4, high // 4)) == image.getpixel((4, 4)), "upper left"
        others = ((3 * wide // 4, high // 4), (wide // 4, 3 * high // 4))
        assert {tile.getpixel(at) for at in others} == {(120, 120, 120)}


def test_the_outline_of_a_mask_lies_on_the_mask(drawn):
    mask = np.zeros((1, 8, 8), bool)
    mask[0, 1:3, 5:8] = True
    svg = drawn(Maps(np.zeros((1, 2, 2)), [square()], "share", masks=mask))
    left, right, top, bottom = svg.box("patch_2")
    lines = [
        e
        for e in svg.root.iter()
        if e.tag.endswith("path") and "fill: none; stroke: #000000" in (e.get("style") or "")
    ]
    held = (pairs(lines[0].get("d")) - [left, top]) / [(right - left) / 8, (bottom - top) / 8]
    assert np.abs(held.min(0) - [5, 1]).max() < 0.1 and np.abs(held.max(0) - [8, 3]).max() < 0.1


def test_right_wrong_and_missed_pixels_have_their_colours():
    found, true = np.zeros((2, 8, 8), bool)
    found[0:4, 0:4] = found[4:8, 0:4] = True
    true[0:4, 0:8] = True
    tile = np.asarray(masked(Image.new("RGB", (8, 8), (128, 128, 128)), found, true), dtype=float)
    tile = tile.reshape(8, 32, 8, 32, 3)
    mean = {
        n: tile[r, 8:24, c, 8:24].mean((0, 1))
        for n, r, c in (("right", 1, 2), ("wrong", 6, 2), ("missed", 1, 5), ("rest", 6, 6))
    }
    for name, ink in (("right", RIGHT), ("wrong", WRONG), ("missed", MISSED)):
        tint = mean[name] - mean["rest"]
        alike = [tint @ (i - mean["rest"]) / np.linalg.norm(i - mean["rest"]) for i in (RIGHT, WRONG, MISSED)]
        assert (RIGHT, WRONG, MISSED)[int(np.argmax(alike))] == ink and max(alike) > 10
    assert np.ptp(mean["rest"]) == 0
    assert tile[1, 8:24, 2, 8:24].std((0, 1)).max() == 0 < tile[6, 8:24, 2, 8:24].std((0, 1)).max()
    assert (tile[3, 31] == 0).all() and not (tile[4, 0] == 0).any(), "the outline lies inside the true mask"


def test_a_strip_keeps_its_order_and_its_headings(drawn):
    figure = made("strip")
    svg = drawn(figure)
    place = {t.text: float(t.get("x")) for t in svg.root.iter() if t.tag.endswith("}text")}
    assert place["one"] < place["two"] < place["three"]
    assert abs(place["near"] - place["one"]) < HALF and abs(place["far"] - place["three"]) < HALF
    assert svg.words().count("near") == 1 and "found" in svg.words()
    page = figure.html()
    marks = ("near", "one", "loupe-hit", "two", "far", "three", "found")
    assert [page.find(f">{m}<") if m != "loupe-hit" else page.find(m) for m in marks] == sorted(
        page.find(f">{m}<") if m != "loupe-hit" else page.find(m) for m in marks
    )
    assert page.count("loupe-hit") == 1 and page.count("<span>near") == 1
    framed = [n for n in (1, 2, 3) if "stroke: #d55e00" in svg.inside(f"axes_{n}").lower()]
    assert framed == [2] and 'id="picture-1"' in svg.inside("axes_2")


def test_tips_say_what_pictures_are_where_there_are_some():
    page = Strip([square()] * 2, ["one", ""], tips=["image <1>", ""], title="Near").html()
    assert page.count(' title="image &lt;1&gt;"') == 1 == page.count(' alt="image &lt;1&gt;"')
    assert page.count("title=") == 1 and ' alt="Near"' in page and "<figcaption>one<" in page
    assert ' alt="one"' in Strip([square()], ["one"]).html()
    with pytest.raises(KitError, match="1 tips for 2 pictures"):
        Strip([square()] * 2, tips=["one"])


def test_a_heading_returns_when_it_changes_back():
    figure = Strip([square()] * 3, heads=["a", "b", "a"])
    assert figure.html().count("<span>a</span>") == 2 and figure.html().count("<span>b</span>") == 1


def test_rows_of_a_table_keep_their_order(drawn):
    figure = made("table")
    svg = drawn(figure)
    assert [[svg.text(f"cell-{n}-{c}") for c in range(3)] for n in range(2)] == [
        ["a cat", "25 %", "concept"], ["red", "50 %", "colour"],
    ]  # fmt: skip
    y = [
        float(svg.by_name[f"cell-{n}-0"].find("{http://www.w3.org/2000/svg}text").get("y")) for n in range(2)
    ]
    assert y[0] < y[1]
    widths = [np.diff(svg.box(f"bar-{n}")[:2])[0] for n in range(2)]
    np.testing.assert_allclose(widths, [0.25 * 0.7 * 72, 0.5 * 0.7 * 72], atol=0.01)
    bold = [t.text for t in svg.root.iter() if "font-weight: 700" in (t.get("style") or "")]
    assert bold == ["red", "50 %", "colour"]
    page = figure.html()
    assert page.index("a cat") < page.index(">red<") and page.count("aria-current") == 1
    assert page.index("aria-current") > page.index("a cat") and 'style="width:11px"' in page
    assert f'style="background:{look.PROPERTIES["colour"]}"></i>colour' in page


def test_numbers_of_a_table_have_a_real_minus_and_words_for_truth():
    frame = pd.DataFrame({"n": [-1234, 5], "x": [-0.5, NAN], "is": [True, False], "t": ["-1", ""]})
    assert Table(frame).cells() == [["−1,234", "−0.500", "True", "-1"], ["5", "–", "False", ""]]
    assert Table(frame, percent=["x"]).cells()[0][1] == "−50 %"


def test_a_map_without_a_shared_scale_uses_the_largest():
    assert (
        Maps([[[0.25, -0.5]]], [square()], "u").limit
        == 0.5
        == Grid(index(1, 1), [0.25, -0.5, 0.1], "u").limit
    )
    assert Scatter([1], [2], ["a"], "x", "y").alt == "y: a 2.00."


def test_each_map_can_have_a_scale_of_its_own_kind():
    heats = [np.full((1, 2), np.nan), [[0.25, 0.75]], [[0.5, -0.5]]]
    picture = Image.new("RGB", (16, 8), "green")
    drawn = Maps(heats, [picture], "share", ["all", "mine", "apart"], signed=(True, False, True))
    assert drawn.only(1).signed is False and drawn.only(1).limit == drawn.limit == 0.75
    assert drawn.only(2).signed is True and drawn.only(0).title == "all"
    assert (
        "mine, 1 by 2 tokens, largest at r0c1: 0.750; apart, 1 by 2 tokens, largest at r0c0: +0.500"
        in drawn.alt
    )
    axes = drawn.still().axes
    bars = [
        each
        for each in axes
        if [t.get_text() for t in each.get_xticklabels()][-1:] in (["+0.750"], ["0.750"])
    ]
    assert [len(each.get_xticks()) for each in bars] == [2, 3]  # one from 0, one around 0
    with pytest.raises(KitError, match="2 signs for 3 maps"):
        Maps(heats, [picture], "share", signed=(True, False))
