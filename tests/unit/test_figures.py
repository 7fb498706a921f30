"""Numbers, equality, rows and words of figures."""

import json
import math
from dataclasses import fields
from html import escape

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from kit.errors import KitError
from kit.figures import (
    Bars,
    Curves,
    Grid,
    Maps,
    Scatter,
    Strip,
    Table,
    cells,
    figure,
    interval,
    nice,
    number,
    together,
)
from kit.numbers import array
from tests.unit.figure_samples import CHANGES, KINDS, NAN, OTHER, index, made, samples, square

CASES = [
    ((0.0,), {}, "0.00"),
    ((-0.0,), {}, "0.00"),
    ((-0.0, 0.5), {"sign": True}, "+0.000"),
    ((-0.0, 0.5), {"sign": True, "short": True}, ".000"),
    ((-0.00049, 0.5), {}, "0.000"),
    ((-0.0005001, 0.5), {}, "−0.001"),
    ((0.0312, 0.5), {"sign": True}, "+0.031"),
    ((-0.25,), {"short": True}, "−.250"),
    ((0.25, 1.0), {"short": True, "sign": True}, "+.25"),
    ((1.0, 1.0), {"short": True}, "1.00"),
    ((10.5, 10.5), {"short": True}, "10.5"),
    ((1e-9,), {}, "0.000000"),
    ((0.000012,), {}, "0.000012"),
    ((123.4,), {}, "123"),
    ((-1234567.8,), {}, "−1,234,568"),
    ((9.99,), {}, "9.99"),
    ((0.1,), {}, "0.100"),
    ((5, 0.0), {}, "5.00"),
    ((0.5,), {"digits": 0}, "0"),
    ((-0.4,), {"digits": 0}, "0"),
    ((1.5, 1000.0), {"digits": 1}, "1.5"),
    ((NAN, 1.0), {"sign": True}, "–"),
    ((math.inf,), {}, "∞"),
    ((-math.inf,), {}, "−∞"),
    ((0.5, math.inf), {}, "0.50"),
    ((np.float32(0.5), -2.0), {}, "0.50"),
]


@pytest.mark.parametrize(("given", "options", "told"), CASES)
def test_a_number_is_written_in_one_way(given, options, told):
    assert number(*given, **options) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((0.25, 0.5, 1.0), "[0.25, 0.50]"),
        ((-0.5, 0.25), "[−0.500, 0.250]"),
        ((NAN, 0.5), ""),
        ((0.5, NAN), ""),
        ((0.5, math.inf), ""),
        ((0.0, 0.0), "[0.00, 0.00]"),
        ((-3.0, 1.0), "[−3.00, 1.00]"),
    ],
)
def test_an_interval_needs_both_ends(given, told):
    assert interval(*given) == told


def test_nice_is_the_next_end_of_a_scale():
    ends = {1.0: 1.0, 1.2: 1.5, 2.0: 2.0, 2.1: 3.0, 7.0: 8.0, 8.1: 10.0, 0.031: 0.04, 430.0: 500.0}
    assert {v: round(nice(v), 12) for v in ends} == ends
    assert [nice(v) for v in (0.0, -1.0, NAN, math.inf)] == [1.0] * 4
    for value in 10 ** np.random.default_rng(0).uniform(-6, 6, 200):
        assert value * 0.999 <= nice(value) <= 2 * value


def test_an_array_is_a_copy_of_the_shape_that_was_asked():
    with pytest.raises(KitError, match=r"the values should have the shape \[2, any\], but have \[3\]"):
        array([1, 2, 3], [2, None], "the values")
    with pytest.raises(KitError, match=r"\[2\], but have \[3\]"):
        array(torch.ones(3), [2], "x")
    source = torch.tensor([1.0, 2.0], requires_grad=True)
    held = array(source, [None], "x")
    with torch.no_grad():
        source += 1
    assert held.tolist() == [1.0, 2.0] and held.dtype == np.float64
    assert array(torch.ones(2, dtype=torch.bfloat16), [2], "x").tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 5


def _spoil(value) -> None:
    """Change a source in its place."""
    if isinstance(value, np.ndarray):
        value += 1
    elif isinstance(value, pd.DataFrame):
        value.iloc[0, 0] = "spoilt"
    elif isinstance(value, Image.Image):
        value.paste((1, 2, 3), (0, 0, *value.size))
    elif isinstance(value, dict):
        for each in value.values():
            _spoil(each)
        value["chance"] = np.ones(4)
    elif isinstance(value, list):
        for each in value:
            _spoil(each)
        value[:] = [*value[::-1], "spoilt"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_does_not_change_when_its_source_does(kind):
    build, given = samples()[kind]
    made_, other = build(**given), build(**samples()[kind][1])
    for value in given.values():
        _spoil(value)
    assert made_ == other and made_.alt == other.alt
    pd.testing.assert_frame_equal(made_.rows(), other.rows())


# Equality


@pytest.mark.parametrize("kind", KINDS)
def test_equal_content_is_equal_and_every_field_counts(kind):
    figure_ = made(kind)
    assert figure_ == made(kind) and hash(figure_) == hash(made(kind)) and figure_.digest == made(kind).digest
    seen = {figure_.digest}
    for each in fields(figure_):
        change = {each.name: CHANGES[kind].get(each.name, OTHER.get(each.name))}
        if kind == "curves" and each.name in ("ys", "low", "high"):
            change |= {n: {} for n in ("low", "high") if n != each.name} if each.name == "ys" else {}
        change |= {"picked": (), "off": ()} if each.name == "index" else {}
        if each.name in ("names", "labels") and kind in ("scatter", "bars"):
            change |= {"picked": figure_.picked}
        assert change[each.name] is not None, f"no other value for {kind}.{each.name}"
        other = made(kind, **change)
        assert other != figure_ and other.digest not in seen, each.name
        seen.add(other.digest)


def test_figures_of_two_kinds_are_not_equal():
    assert len({made(kind).digest for kind in KINDS}) == len(KINDS)
    one = {"title": "t", "says": "s"}
    assert Strip([], **one) != Table(pd.DataFrame(), **one)
    assert Bars(["a"], [1], "u") != "Bars"

    class More(Bars):
        """Another class of the same fields."""

    assert More(["a"], [1], "u") != Bars(["a"], [1], "u")


def test_the_same_numbers_in_another_dress_are_equal():
    plain = Bars(["a", "b"], [0.5, 1.0], "u", levels={"chance": 0.5}, limits=(0.0, 1.0))
    dressed = Bars(
        ("a", "b"),
        torch.tensor([0.5, 1.0]),
        "u",
        levels={"chance": np.float64(0.5)},
        limits=[np.float64(0), np.float64(1)],
    )
    assert plain == dressed
    frames = [pd.DataFrame({"n": n}) for n in ([1000], ["1000"])]
    assert Table(frames[0]).cells() != Table(frames[1]).cells() and Table(frames[0]) != Table(frames[1])
    assert Bars(["a", "b"], [1, 2], "u", levels={"x": [1, 2], "y": 3}) != Bars(
        ["a", "b"], [1, 2], "u", levels={"x": [1], "y": 3}
    )


# Rows and words


def test_rows_hold_every_number_once():
    given = samples()["bars"][1]
    rows = made("bars").rows()
    assert list(rows.columns) == ["series", "label", "accuracy", "low", "high"]
    assert rows.groupby(["series", "label"]).size().eq(1).all() and len(rows) == 6
    for k, kind in enumerate(given["kinds"]):
        for i, label in enumerate(given["labels"]):
            row = rows[(rows.series == kind) & (rows.label == label)].iloc[0]
            wanted = [given[n][i, k] for n in ("values", "low", "high")]
            np.testing.assert_array_equal(row[["accuracy", "low", "high"]].astype(float), wanted)
    rows = made("curves").rows()
    assert (
        rows.heads.tolist() == ["1", "2", "4", "8"] * 2 and rows.series.tolist() == ["kept"] * 4 + ["cut"] * 4
    )
    np.testing.assert_array_equal(rows.accuracy, [0.5, 0.75, NAN, 0.25, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(rows.low, [0.4, 0.7] + [NAN] * 6)
    rows = made("scatter", kinds=["head", "mlp", "head"]).rows().set_index("name")
    assert rows.attention.to_dict() == {"L0.H0": 0.1, "L0.H1": 0.9, "L0.MLP": 0.4}
    assert rows["map"].to_dict() == {"L0.H0": 0.5, "L0.H1": 0.25, "L0.MLP": -0.5}
    assert rows.series.to_dict() == {"L0.H0": "head", "L0.H1": "mlp", "L0.MLP": "head"}


def test_rows_of_points_keep_both_numbers_where_the_axes_have_one_name():
    rows = Scatter([0.1, 0.2], [0.5, 0.6], ["a", "b"], "share", "share").rows()
    assert list(rows) == ["series", "name", "share, up", "low", "high", "share, across"]
    assert rows["share, across"].tolist() == [0.1, 0.2] and rows["share, up"].tolist() == [0.5, 0.6]
    assert list(Scatter([0.1], [0.5], ["a"], "x", "y").rows()) == ["series", "name", "y", "low", "high", "x"]


def test_rows_of_grids_maps_strips_and_tables():
    rows = made("grid", words=list("abcdefghi"), marks=list("ihgfedcba")).rows().set_index("part")
    assert rows.share.to_dict() | {"L1.H2": 0} == dict(
        zip(index()["name"], [0.25, -0.5, 0.125, 0.0625, 0.75, 0, -0.25, 0.375, 1.0])
    )
    assert rows.word["L0.H1"] == "b" and rows.mark["L0.H1"] == "h"
    assert rows.index[rows.picked].tolist() == ["L0.H1"] and rows.index[rows.off].tolist() == ["L1.H1"]
    rows = made("maps").rows().set_index("token")
    assert rows.share.to_dict() == {
        "r0c0": 0.1,
        "r0c1": -0.4,
        "r0c2": 0.2,
        "r1c0": 0.3,
        "r1c1": 0.0,
        "r1c2": 0.8,
    }
    assert set(rows["map"]) == {"a cat"}
    rows = made("strip").rows()
    assert rows.to_numpy().tolist() == [
        ["near", "one", False],
        ["near", "two", True],
        ["far", "three", False],
    ]
    pd.testing.assert_frame_equal(made("table").rows(), samples()["table"][1]["frame"])


ALT = {
    "grid": "share: L0.H0 +0.25; L0.H1 −0.50; L0.H2 +0.12; L1.H0 +0.06; L1.H1 +0.75; L1.H2 –; L0.MLP −0.25; "
    "L1.MLP +0.38; embed +1.00; switched off: L1.H1.",
    "maps": "share: a cat, 2 by 3 tokens, largest at r1c2: +0.800.",
    "bars": "accuracy: kept colour 0.50 [0.38, 0.75]; kept size −0.38 [−0.50, −0.30]; kept count 1.00; "
    "cut colour 0.25 [0.20, 0.40]; cut size –; cut count 0.75 [0.70, 0.85]; chance 0.125.",
    "curves": "accuracy: kept 1 0.500 [0.400, 0.550]; kept 2 0.750 [0.700, 0.900]; kept 4 –; kept 8 0.250; "
    "cut 1 0.100; cut 2 0.200; cut 4 0.300; cut 8 0.400; chance 0.125.",
    "scatter": "map: head L0.H0 0.500 [0.300, 0.600]; head L0.H1 0.250; mlp L0.MLP −0.500 [−0.600, −0.300].",
    "strip": "3 pictures: near: one; two; far: three.",
    "table": "a cat 25 % concept; red 50 % colour.",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_alternative_text_names_title_numbers_and_finding(kind):
    assert made(kind).alt == f"Heads. {ALT[kind]} The first is largest."
    assert made(kind, title="", says="").alt == ALT[kind]


def test_the_alternative_text_of_maps_says_which_is_the_picture_alone():
    values = np.stack([np.full((2, 2), NAN), [[0.0, 0.1], [-0.9, NAN]]])
    assert Maps(values, [square()], "share", ["a", "b"]).alt == (
        "share: a, the picture alone; b, 2 by 2 tokens, largest at r1c0: −0.900."
    )


MARKUP = "<b>x</b>&y"


def test_names_carry_no_markup():
    frame = pd.DataFrame({MARKUP: [MARKUP]})
    pages = [Table(frame, title=MARKUP, chip=MARKUP, picked=MARKUP).html()]
    pages += [Strip([square()], [MARKUP], [MARKUP], key=[("full", "red", MARKUP)]).html()]
    for page in pages:
        assert "<b>x" not in page and escape(MARKUP) in page
    names = index(1, 1).assign(name=[MARKUP, "b", "c"])
    live = [
        Bars([MARKUP], [[1, 2]], MARKUP, kinds=(MARKUP, "k"), levels={MARKUP: 1}, title=MARKUP),
        Curves([MARKUP], {MARKUP: [1]}, MARKUP, MARKUP, levels={MARKUP: 1}, title=MARKUP),
        Scatter([1], [1], [MARKUP], MARKUP, MARKUP, [MARKUP], title=MARKUP),
        Grid(names, [1, 2, 3], MARKUP, words=[MARKUP] * 3, marks=[MARKUP] * 3, title=MARKUP),
    ]
    for each in live:
        held = json.loads(each.plotly().to_json())
        for trace in held["data"]:
            for name in ("customdata", "x", "y"):  # what a click gives, and places of words: never shown
                trace.pop(name, None)
        for axis in ("xaxis", "yaxis"):
            held["layout"][axis].pop("tickvals", None)
        assert "<b>x" not in json.dumps(held), type(each)
        assert "&lt;b&gt;x&lt;/b&gt;&amp;y" in json.dumps(held)


SUM = r"$\bad_{1$"


@pytest.mark.parametrize(
    "made_",
    [
        lambda: Bars(
            [SUM, "b"], [[1, 2]] * 2, SUM, (SUM, "k"), levels={SUM: 1}, title=SUM, says=SUM, picked=SUM
        ),
        lambda: Curves([SUM, "b"], {SUM: [1, 2]}, SUM, SUM, levels={SUM: 1}, picked=SUM, title=SUM),
        lambda: Scatter([1], [2], [SUM], SUM, SUM, [SUM], picked=SUM),
        lambda: Grid(
            index(1, 1).assign(name=["a", "b", SUM]), [1, 2, 3], SUM, words=[SUM] * 3, marks=[SUM] * 3
        ),
        lambda: Maps(np.ones((1, 2, 2)), [square()], SUM, [SUM], title=SUM),
        lambda: Strip([square()], [SUM], [SUM], key=[("full", "#009e73", SUM)]),
        lambda: Table(pd.DataFrame({SUM: [SUM]}), title=SUM),
    ],
)
def test_a_dollar_begins_no_formula(made_, tmp_path):
    sheet = together([[made_()]], title=SUM, says=SUM)
    page = figure.written(sheet, ".svg").decode()
    assert page.count(SUM) >= 4 and r"\$" not in page.replace(r"_{1$", "")


def test_cells_of_pairs_are_called_after_both_and_stand_in_their_row_and_column():
    made_ = cells(["a cat", "a dog"], ["L0.H0", "L1.H2", "L3.H1"], np.arange(6).reshape(2, 3), "score")
    places = made_.layout
    assert (places.row_names, places.col_names) == (["a cat", "a dog"], ["L0.H0", "L1.H2", "L3.H1"])
    assert places.labels[4] == "a dog · L1.H2"
    assert places.spread(made_.values).reshape(places.rows, places.cols).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert made_.rows()["score"].tolist() == list(range(6))
