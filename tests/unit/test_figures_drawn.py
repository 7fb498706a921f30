"""Bars, whiskers, points and cells stand where the numbers say, in plotly's data and in the SVG."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from kit.figures import Bars, Curves, Maps, cells, look
from tests.unit.drawn import Drawn, close, colour
from tests.unit.figure_samples import NAN, index, made, samples


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


def test_a_label_that_the_model_never_saw_has_a_question_mark(drawn):
    figure = replace(made("bars"), unknown=["size"])
    assert list(drawn(figure).labels("y")) == ["colour", "? size", "count"]
    assert figure.alt.endswith("; with a word that the model never saw: size. The first is largest.")


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
    assert line.name == "chance" and line.showlegend and made_.layout.showlegend and line.label.text is None


def test_levels_of_each_bar_lie_at_their_labels_in_plotly():
    figure = Bars(["a", "b"], [1, 2], "u", levels={"each": (0.5, 1.5)}).plotly()
    lines = [(s.x0, s.x1, s.y0, s.y1) for s in figure.layout.shapes]
    assert lines == [(0.5, 0.5, -0.5, 0.5), (1.5, 1.5, 0.5, 1.5)]
    assert [(s.name, s.showlegend, s.label.text) for s in figure.layout.shapes] == [
        ("each", True, None),
        (None, None, None),
    ]  # in the legend, where words lie flat, and once
    assert figure.layout.showlegend and not figure.data[0].showlegend


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
    inks = {"L0.H0": "#1b1b1b", "L1.MLP": "#1b1b1b", "embed": "#f5f5f5"}  # dark on pale, pale on dark
    assert all(f"fill: {ink}" in svg.inside(f"number-{name}") for name, ink in inks.items())
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
        told = partial(figure.told, figure.index["name"].tolist().index(name))
        assert name in trace.hovertext[row][col] and told() in trace.hovertext[row][col]
        written = "" if np.isnan(value) else told(short=True)
        assert trace.text[row][col] == written and trace.texttemplate == "%{text}"
        assert name in axes.yaxis.ticktext[row] or "." in name
        if name.startswith("L") and "." in name:
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
    told = {name: trace.hovertext[row][col] for name, (row, col) in where.items()}
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


@pytest.mark.parametrize("columns", [1, 3, 4])
def test_a_long_unit_lies_within_a_narrow_picture(columns):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    unit = "change of the accuracy on scenes with one object, in points"
    heads = cells(["a"], [f"L0.H{i}" for i in range(columns)], np.ones((1, columns)), unit)
    narrow = Maps([np.ones((2, 2))], [Image.new("RGB", (8, 8))], unit)
    for figure in (heads, narrow):
        still = figure.still()
        FigureCanvasAgg(still).draw()
        (words,) = [text for text in still.texts if text.get_text() == unit]
        assert words.get_window_extent().x1 < still.bbox.x1
