"""Bars, whiskers, points, cells and tiles stand where the numbers say, in plotly's data and in the SVG."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.figures import Bars, Curves, Grid, Maps, Scatter, Strip, Table, look
from kit.figures.maps import MISSED, RIGHT, WRONG, masked, painted
from tests.unit.drawn import HALF, Drawn, close, colour, pairs
from tests.unit.figure_samples import NAN, index, made, samples, square


@pytest.fixture
def drawn(tmp_path):
    return lambda figure: Drawn(figure, tmp_path)


def given(kind):
    return samples()[kind][1]


# Bars


def test_bars_begin_at_zero_and_end_at_their_values(drawn):
    figure, values = made("bars"), given("bars")["values"]
    svg = drawn(figure)
    for k, i in np.argwhere(np.isfinite(values.T)):
        left, right, *_ = svg.box(f"bar-{k}-{i}")
        assert close([left, right], svg.at("x", sorted([0, values[i, k]]))), (k, i)
    assert len(svg.names("bar-")) == values.size
    assert len(np.unique(svg.points("bar-1-1"), axis=0)) == 1, "a bar without a number has a size"
    lengths = {n: np.diff(svg.box(n)[:2])[0] for n in svg.names("bar-")}
    assert max(lengths, key=lengths.get) == "bar-0-2"


def test_bars_stand_in_order_at_their_labels(drawn):
    svg = drawn(made("bars"))
    middles = {n: np.mean(svg.box(n)[2:]) for n in svg.names("bar-") if n != "bar-1-1"}
    assert sorted(middles, key=middles.get) == ["bar-0-0", "bar-1-0", "bar-0-1", "bar-0-2", "bar-1-2"]
    labels = svg.labels("y")
    assert list(labels) == ["colour", "size", "count"]
    for i, label in enumerate(labels):
        near = min(labels, key=lambda other: abs(labels[other] - middles[f"bar-0-{i}"]))
        assert near == label
    tall = [np.diff(svg.box(n)[2:])[0] for n in middles]
    assert np.ptp(tall) < 0.01 and tall[0] > 5
    tops = sorted(svg.box(n)[2:] for n in middles)
    assert all(bottom <= top for (_, bottom), (top, _) in pairwise(tops)), "bars overlap"


def test_whiskers_end_at_low_and_high(drawn):
    figure, held = made("bars"), given("bars")
    svg, known = drawn(figure), np.argwhere(np.isfinite(held["low"].T))
    assert svg.names("whisker-") == [f"whisker-{k}-{i}" for k, i in known]
    for k, i in known:
        ends = svg.at("x", [held["low"][i, k], held["high"][i, k]])
        assert close(svg.points(f"whisker-{k}-{i}")[:, 0], ends)
        assert close(svg.marks(f"whisker-{k}-{i}")[:, 0], ends)
        assert close(svg.points(f"whisker-{k}-{i}")[:, 1], [np.mean(svg.box(f"bar-{k}-{i}")[2:])] * 2)


def test_numbers_stand_beyond_their_bars_and_whiskers(drawn):
    svg, values = drawn(made("bars")), given("bars")["values"]
    told = {n: svg.text(n) for n in svg.names("number-")}
    assert told == {
        "number-0-0": "0.50", "number-0-1": "−0.38", "number-0-2": "1.00",
        "number-1-0": "0.25", "number-1-1": "–", "number-1-2": "0.75",
    }  # fmt: skip
    for name, end in (("number-0-0", 0.75), ("number-0-1", -0.5), ("number-0-2", 1.0), ("number-1-2", 0.85)):
        k, i = map(int, name.split("-")[1:])
        place = svg.by_name[name].find("{http://www.w3.org/2000/svg}text")
        beyond = float(place.get("x")) - svg.at("x", end)
        assert close(beyond, 4 if values[i, k] > 0 else -4), name
        assert f"text-anchor: {'start' if values[i, k] > 0 else 'end'}" in place.get("style")


def test_levels_and_the_picked_label_are_drawn(drawn):
    svg = drawn(made("bars", levels={"chance": 0.125, "each": [0.1, 0.2, 0.3]}))
    assert close(svg.points("level-0-0")[:, 0], svg.at("x", [0.125] * 2))
    assert np.ptp(svg.points("level-0-0")[:, 1]) > 60
    for n, value in enumerate([0.1, 0.2, 0.3]):
        assert close(svg.points(f"level-1-{n}")[:, 0], svg.at("x", [value] * 2))
        low, high = np.sort(svg.points(f"level-1-{n}")[:, 1])
        assert low < np.mean(svg.box(f"bar-0-{n}")[2:]) < high
    assert {"chance", "each", "kept", "cut"} <= set(svg.words())
    bold = [t.text for t in svg.root.iter() if "font-weight: 700" in (t.get("style") or "")]
    assert bold == ["size"]


def test_bars_of_plotly_hold_the_numbers():
    held, made_ = given("bars"), made("bars", limits=(-1, 2)).plotly()
    assert [t.name for t in made_.data] == held["kinds"]
    for k, trace in enumerate(made_.data):
        np.testing.assert_array_equal(trace.x, held["values"][:, k])
        assert list(trace.y) == list(trace.customdata) == held["labels"]
        assert trace.type == "bar" and trace.orientation == "h" and trace.base is None
        np.testing.assert_allclose(trace.x + trace.error_x.array, held["high"][:, k])
        np.testing.assert_allclose(trace.x - trace.error_x.arrayminus, held["low"][:, k])
        assert not trace.error_x.symmetric and trace.error_x.type == "data"
        assert trace.marker.color == look.SERIES[k] and trace.marker.pattern.shape == look.PATTERNS[k]
        np.testing.assert_array_equal(trace.marker.line.width, [0, 3, 0])
    assert made_.data[0].hovertext[0] == "colour<br>0.50 [0.38, 0.75]"
    assert made_.layout.yaxis.autorange == "reversed" and tuple(made_.layout.xaxis.range) == (-1, 2)
    assert made_.layout.xaxis.title.text == "accuracy" and made_.layout.title.text == "Heads"
    (line,) = made_.layout.shapes
    assert (line.x0, line.x1, line.y0, line.y1, line.yref) == (0.125, 0.125, 0, 1, "paper")
    assert line.label.text == "chance"


def test_levels_of_each_bar_lie_at_their_labels_in_plotly():
    figure = Bars(["a", "b"], [1, 2], "u", levels={"each": (0.5, 1.5)}).plotly()
    lines = [(s.x0, s.x1, s.y0, s.y1) for s in figure.layout.shapes]
    assert lines == [(0.5, 0.5, -0.5, 0.5), (1.5, 1.5, 0.5, 1.5)]


# Curves and points


def test_curves_run_through_their_numbers(drawn):
    svg, held = drawn(made("curves")), given("curves")
    for k, values in enumerate(held["ys"].values()):
        known = np.isfinite(values)
        places = np.column_stack([svg.at("x", held["x"]), svg.at("y", values)])[known]
        assert close(svg.marks(f"curve-{k}"), places)
        pieces = [p for p in svg.parts(f"curve-{k}") if len(p) > 1]
        assert close(pieces[0][[0, -1]], places[[0, 1 if k == 0 else -1]])
    assert len(svg.names("curve-")) == 2
    assert svg.style("curve-0")["stroke"] == look.SERIES[0].lower()
    assert svg.style("curve-1")["stroke"] == look.SERIES[1].lower()


def test_whiskers_of_curves_end_at_low_and_high(drawn):
    svg, held = drawn(made("curves")), given("curves")
    assert svg.names("whisker-") == ["whisker-0-0", "whisker-0-1"]
    for i in (0, 1):
        ends = svg.at("y", [held["low"]["kept"][i], held["high"]["kept"][i]])
        assert close(svg.points(f"whisker-0-{i}"), np.column_stack([[svg.at("x", held["x"][i])] * 2, ends]))
        assert close(svg.marks(f"whisker-0-{i}")[:, 1], ends)
    assert close(svg.points("level-0-0")[:, 1], svg.at("y", [0.125] * 2))


def test_what_is_picked_is_ringed(drawn):
    svg = drawn(made("curves", ys={"kept": [0.5, 0.75, 0.1, 0.25]}, low={}, high={}))
    assert close(svg.marks("picked"), [[svg.at("x", 2), svg.at("y", 0.75)]])
    svg = drawn(made("scatter"))
    assert close(svg.marks("picked"), [[svg.at("x", 0.9), svg.at("y", 0.25)]])
    assert svg.words().count("L0.H1") == 1


def test_words_on_an_axis_stand_one_step_apart(drawn):
    svg = drawn(Curves(["none", "one", "two"], {"a": [3.0, 1.0, 2.0]}, "cut", "share"))
    labels, marks = svg.labels("x"), svg.marks("curve-0")
    assert list(labels) == ["none", "one", "two"] and close(list(labels.values()), marks[:, 0])
    assert close(marks[:, 1], svg.at("y", [3, 1, 2]))


def test_a_logarithmic_axis_is_one_in_both(drawn):
    figure = Curves([1, 2, 3], {"a": [0.01, 0.1, 1.0]}, "steps", "loss", log=True, limits=(0.001, 10))
    svg = drawn(figure)
    _, _, top, bottom = svg.box("patch_2")
    shares = (bottom - svg.marks("curve-0")[:, 1]) / (bottom - top)
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.75], atol=0.005)
    axis = figure.plotly().layout.yaxis
    assert axis.type == "log"
    np.testing.assert_allclose(axis.range, [-3, 1])  # plotly wants powers of ten there


def test_curves_of_plotly_hold_the_numbers():
    held, figure = given("curves"), made("curves").plotly()
    assert [t.name for t in figure.data] == list(held["ys"])
    for k, (trace, values) in enumerate(zip(figure.data, held["ys"].values())):
        np.testing.assert_array_equal(trace.x, held["x"])
        np.testing.assert_array_equal(trace.y, values)
        assert list(trace.customdata) == ["1", "2", "4", "8"] and trace.mode == "lines+markers"
        assert trace.marker.color == look.SERIES[k] and trace.line.dash == look.DASHES[k]
    ends = figure.data[0].error_y
    np.testing.assert_allclose(ends.array[:2], [0.05, 0.15])
    np.testing.assert_allclose(ends.arrayminus[:2], [0.1, 0.05])
    assert np.isnan(ends.array[2:]).all() and figure.data[1].error_y.array is None
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("heads", "accuracy")


def test_an_interval_with_one_end_is_drawn_in_neither(drawn):
    figure = Bars(["a", "b"], [0.5, 0.6], "u", low=[0.4, NAN], high=[0.7, 0.9])
    assert drawn(figure).names("whisker-") == ["whisker-0-0"]
    ends = figure.plotly().data[0].error_x
    assert np.isnan(ends.array[1]) and np.isnan(ends.arrayminus[1])
    assert "[" not in figure.plotly().data[0].hovertext[1]


def test_points_stand_at_their_numbers(drawn):
    svg, held = drawn(made("scatter")), given("scatter")
    for name, i in (("point-0-0", 0), ("point-0-1", 1), ("point-1-0", 2)):
        assert close(svg.marks(name), [[svg.at("x", held["x"][i]), svg.at("y", held["y"][i])]])
    assert svg.names("whisker-") == ["whisker-0-0", "whisker-1-0"]
    for name, i in (("whisker-0-0", 0), ("whisker-1-0", 2)):
        ends = svg.at("y", [held["low"][i], held["high"][i]])
        assert close(svg.points(name), np.column_stack([[svg.at("x", held["x"][i])] * 2, ends]))
    assert {"head", "mlp", "attention", "map"} <= set(svg.words())


def test_points_of_plotly_hold_the_numbers():
    figure = made("scatter", diagonal=True).plotly()
    heads, mlps = figure.data
    assert (heads.name, mlps.name, heads.mode) == ("head", "mlp", "markers")
    assert (list(heads.x), list(heads.y)) == ([0.1, 0.9], [0.5, 0.25])
    assert (list(mlps.x), list(mlps.y), list(mlps.customdata)) == ([0.4], [-0.5], ["L0.MLP"])
    assert heads.marker.symbol != mlps.marker.symbol and heads.marker.color != mlps.marker.color
    np.testing.assert_array_equal(heads.marker.line.width, [0, 3])
    np.testing.assert_allclose(mlps.error_y.array, 0.2)
    np.testing.assert_allclose(mlps.error_y.arrayminus, 0.1)
    (line,) = figure.layout.shapes
    assert (line.x0, line.y0, line.x1, line.y1) == (-0.5, -0.5, 0.9, 0.9)


# Grids


def test_cells_stand_at_their_layer_and_head_in_their_colour(drawn):
    figure = made("grid")
    svg, (rows, cols) = drawn(figure), (drawn(figure).labels("y"), drawn(figure).labels("x"))
    names, values = figure.index["name"], figure.values
    assert svg.names("cell-") and set(svg.names("cell-")) == {f"cell-{n}" for n in names}
    fills = look.colours(values, figure.limit)
    for name, fill, value in zip(names, fills, values):
        left, right, top, bottom = svg.box(f"cell-{name}")
        if "." in name:
            layer, head = name.split(".")
            assert close((left + right) / 2, cols[head]) and top < rows[layer] < bottom
        else:
            assert top > max(rows["L0"], rows["L1"])
        assert svg.style(f"cell-{name}")["fill"] == ("none" if np.isnan(value) else colour(fill))
    assert rows["L0"] < rows["L1"] and cols["H0"] < cols["H1"] < cols["H2"] < cols["MLP"]


def test_numbers_hatches_and_frames_lie_on_their_cells(drawn):
    svg = drawn(made("grid"))
    told = {n.removeprefix("number-"): svg.text(n) for n in svg.names("number-")}
    assert told == {
        "L0.H0": "+.25", "L0.H1": "−.50", "L0.H2": "+.12", "L0.MLP": "−.25",
        "L1.H0": "+.06", "L1.H1": "", "L1.MLP": "+.38", "embed": "embed\n+1.00",
    }  # fmt: skip
    halo = svg.by_name["number-L1.H1"]  # with a halo, letters are paths
    assert len(list(halo.iter("{http://www.w3.org/2000/svg}path"))) == 2
    for mark, name in (("picked", "L0.H1"), ("off", "L1.H1")):
        assert svg.names(f"{mark}-") == [f"{mark}-{name}"]
        assert close(svg.box(f"{mark}-{name}"), svg.box(f"cell-{name}"))
    order = list(svg.by_name)
    assert order.index("cell-L1.H1") < order.index("off-L1.H1") < order.index("number-L1.H1")
    assert svg.style("off-L1.H1")["fill"].startswith("url(#")
    assert svg.style("picked-L0.H1")["stroke"] == look.ACCENT
    for name in ("L0.H0", "embed"):
        left, right, *_ = svg.box(f"cell-{name}")
        place = svg.by_name[f"number-{name}"].find(".//{http://www.w3.org/2000/svg}text")
        assert left < float(place.get("x") or (left + right) / 2) < right


def test_words_take_the_place_of_numbers(drawn):
    words, marks = [f"word {n}" for n in range(9)], [f"0.{n}" for n in range(9)]
    svg = drawn(made("grid", words=words, marks=marks))
    for n, name in enumerate(index()["name"]):
        if name != "L1.H1":  # its letters have a halo, and are paths
            assert svg.text(f"number-{name}") == f"word {n}\n0.{n}"


def test_the_grid_of_plotly_holds_the_numbers():
    figure = made("grid")
    (trace,), axes = figure.plotly().data, figure.plotly().layout
    where = {name: at for at, name in np.ndenumerate(trace.customdata) if name}
    assert len(where) == 9 and np.isnan(np.asarray(trace.z)[trace.customdata == ""]).all()
    for name, value in zip(figure.index["name"], figure.values):
        row, col = where[name]
        np.testing.assert_allclose(trace.z[row][col], value, rtol=1e-6)
        assert (
            name in trace.text[row][col]
            and figure.told(figure.index["name"].tolist().index(name)) in trace.text[row][col]
        )
        if "." in name:
            assert (axes.yaxis.ticktext[row], axes.xaxis.ticktext[col]) == tuple(name.split("."))
    assert axes.yaxis.autorange == "reversed" and axes.xaxis.side == "top"
    assert (trace.zmin, trace.zmax) == (-1, 1) and trace.colorbar.title.text == "share"
    assert [trace.colorscale[0][1], trace.colorscale[-1][1]] == ["rgb(33, 102, 172)", "rgb(178, 24, 43)"]
    shares = made("grid", signed=False, values=np.arange(9) / 9, limit=2.0).plotly().data[0]
    assert (shares.zmin, shares.zmax) == (0, 2) and shares.colorscale[-1][1] == "rgb(1, 102, 94)"


def test_plotly_marks_what_is_picked_and_off():
    figure = made("grid")
    (trace,), shapes = figure.plotly().data, figure.plotly().layout.shapes
    where = {name: at for at, name in np.ndenumerate(trace.customdata) if name}
    told = {name: trace.text[row][col] for name, (row, col) in where.items()}
    boxes = {s.name: ((s.y0 + s.y1) / 2, (s.x0 + s.x1) / 2) for s in shapes}
    assert boxes == {"picked-L0.H1": where["L0.H1"], "off-L1.H1": where["L1.H1"]}
    assert [name for name, words in told.items() if "switched off" in words] == ["L1.H1"]


@pytest.mark.parametrize("signed", [True, False])
def test_colours_go_from_end_to_end(signed):
    found = look.colours(np.array([-2, -1, 0, 0.5, 1, 2, NAN]), 1.0, signed).astype(int)
    assert found[5].tolist() == found[4].tolist() and found[6].tolist() == found[2].tolist()
    assert found[1].tolist() == ([33, 102, 172] if signed else [247] * 3) and found[2].tolist() == [247] * 3
    assert found[4].tolist() == ([178, 24, 43] if signed else [1, 102, 94])
    scale = [tuple(map(int, rgb[4:-1].split(","))) for _, rgb in look.plotly_scale(signed)]
    ramp = np.linspace(-1 if signed else 0, 1, 5)
    assert [tuple(c) for c in look.colours(ramp, 1.0, signed).tolist()] == scale


# Maps, masks, strips, tables


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
    frames = [e.get("id") for e in svg.root.iter() if "#d55e00" in (e.get("style") or "").lower()]
    assert len([e for e in svg.root.iter() if "stroke: #d55e00" in (e.get("style") or "").lower()]) == 4, (
        frames
    )


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
