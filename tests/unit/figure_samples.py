"""One figure of each kind, and of each field another value."""

import numpy as np
import pandas as pd
from PIL import Image

from kit.figures import Bars, Curves, Grid, Maps, Scatter, Strip, Table

NAN = float("nan")


def index(layers: int = 2, heads: int = 3) -> pd.DataFrame:
    """Parts of a model: heads and MLP of each layer, and the embedding."""
    rows = [(f"L{n}.H{h}", "head", n, h) for n in range(layers) for h in range(heads)]
    rows += [(f"L{n}.MLP", "mlp", n, None) for n in range(layers)] + [("embed", "embed", None, None)]
    return pd.DataFrame(rows, columns=["name", "kind", "layer", "head"])


def square(*corner: int, size: int = 32) -> Image.Image:
    """A grey picture whose upper left corner has another colour."""
    image = Image.new("RGB", (size, size), (120, 120, 120))
    image.paste(corner or (200, 40, 40), (0, 0, size // 2, size // 2))
    return image


def samples() -> dict:
    """Kind, and what a figure of that kind is made from; made anew at each call."""
    words = {"title": "Heads", "says": "The first is largest."}
    values = np.array([0.25, -0.5, 0.125, 0.0625, 0.75, NAN, -0.25, 0.375, 1.0])
    return {
        "grid": (
            Grid,
            {"index": index(), "values": values, "unit": "share", "picked": ["L0.H1"], "off": ["L1.H1"]}
            | words,
        ),
        "maps": (
            Maps,
            {"values": np.array([[[0.1, -0.4, 0.2], [0.3, 0.0, 0.8]]]), "pictures": [square()]}
            | {"unit": "share", "names": ["a cat"]} | words,
        ),
        "bars": (
            Bars,
            {"labels": ["colour", "size", "count"]}
            | {"values": np.array([[0.5, 0.25], [-0.375, NAN], [1.0, 0.75]])}
            | {"unit": "accuracy", "kinds": ["kept", "cut"], "picked": "size", "levels": {"chance": 0.125}}
            | {"low": np.array([[0.375, 0.2], [-0.5, NAN], [NAN, 0.7]])}
            | {"high": np.array([[0.75, 0.4], [-0.3, NAN], [NAN, 0.85]])} | words,
        ),
        "curves": (
            Curves,
            {"x": [1, 2, 4, 8]}
            | {"ys": {"kept": np.array([0.5, 0.75, NAN, 0.25]), "cut": np.array([0.1, 0.2, 0.3, 0.4])}}
            | {"across": "heads", "up": "accuracy", "picked": "2", "levels": {"chance": 0.125}}
            | {"low": {"kept": np.array([0.4, 0.7, NAN, NAN])}}
            | {"high": {"kept": np.array([0.55, 0.9, NAN, NAN])}} | words,
        ),
        "scatter": (
            Scatter,
            {"x": np.array([0.1, 0.9, 0.4]), "y": np.array([0.5, 0.25, -0.5])}
            | {"names": ["L0.H0", "L0.H1", "L0.MLP"]}
            | {"across": "attention", "up": "map", "kinds": ["head", "head", "mlp"], "picked": "L0.H1"}
            | {"low": np.array([0.3, NAN, -0.6]), "high": np.array([0.6, NAN, -0.3])} | words,
        ),
        "strip": (
            Strip,
            {"pictures": [square(), square(0, 90, 0), square(0, 0, 90)], "labels": ["one", "two", "three"]}
            | {"heads": ["near", "near", "far"], "framed": [False, True, False]}
            | {"key": [("full", "#009e73", "found")]} | words,
        ),
        "table": (
            Table,
            {"frame": pd.DataFrame({"text": ["a cat", "red"], "share": [0.25, 0.5]})
             .assign(kind=["concept", "colour"])}
            | {"bar": "share", "percent": ["share"], "chip": "kind", "picked": "red"} | words,
        ),
    }  # fmt: skip


def made(kind: str, **other):
    """The sample of a kind, with other values for some fields."""
    build, given = samples()[kind]
    return build(**given | other)


OTHER = {
    "title": "Others", "says": "The last is largest.", "unit": "score", "limit": 2.0, "signed": False,
    "labels": ["colour", "size", "number"], "kinds": ["kept", "out"], "levels": {"chance": 0.25},
    "limits": (-1.0, 2.0), "picked": "", "log": True, "across": "layers", "up": "share", "diagonal": True,
    "names": ["a dog"], "large": True, "bar": "", "chip": "", "percent": (), "words": ["colour"] * 9,
    "marks": ["0.5"] * 9, "off": (), "key": (),
    "tips": ["first", "second", "third"], "small": True, "unknown": ["count"],
}  # fmt: skip
"""Another value for each field; those that need another for each kind stand in `CHANGES`."""

CHANGES = {
    "grid": {
        "index": index().assign(name=[f"P{n}" for n in range(9)]),
        "values": np.arange(9.0),
        "picked": (),
    },
    "maps": {
        "values": np.zeros((1, 2, 3)),
        "pictures": [square(1, 2, 3)],
        "masks": np.ones((1, 8, 8), bool),
        "picked": ["r0c1"],
    },
    "bars": {"values": np.ones((3, 2)), "low": np.zeros((3, 2)), "high": np.full((3, 2), 2.0)},
    "curves": {
        "x": [1, 2, 4, 9],
        "ys": {"kept": np.ones(4), "out": np.ones(4)},
        "low": {"kept": np.zeros(4)},
        "high": {"kept": np.full(4, 2.0)},
    },
    "scatter": {
        "x": np.zeros(3),
        "y": np.ones(3),
        "names": ["L0.H0", "L0.H1", "L1.MLP"],
        "kinds": ["head", "mlp", "mlp"],
        "low": np.zeros(3),
        "high": np.ones(3),
    },
    "strip": {
        "pictures": [square()] * 3,
        "labels": ["one", "two", "four"],
        "heads": ["near", "far", "far"],
        "framed": [True] * 3,
    },
    "table": {
        "digits": 1,
        "frame": pd.DataFrame({"text": ["a cat", "red"], "share": [0.25, 0.75], "kind": ["concept", ""]}),
    },
}
KINDS = tuple(CHANGES)
LIVE = ("grid", "bars", "curves", "scatter")
