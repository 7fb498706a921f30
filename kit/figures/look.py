"""Colours, marks and patterns: safe for colour-blind eyes, and never the only carrier of what they say."""

import numpy as np

PAPER = {"ink": "#000000", "faint": "#555555", "line": "#cccccc", "ground": "#ffffff"}
# reads on white and dark
SCREEN = {"ink": "#7a7a7a", "faint": "#7a7a7a", "line": "#8080804d", "ground": "none"}
ACCENT = "#1976d2"
# Okabe and Ito's, blue first; a hatch and a mark of its own stand beside each
SERIES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#7F7F7F")
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oooo", "----")
PATTERNS = ("", "/", ".", "x", "\\", "+", "|", "-")  # plotly's names for the same
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid", "dash", "dot")
STYLES = ("-", "--", ":", "-.", (0, (8, 3)), "-", "--", ":")
_SIGNED = ((33, 102, 172), (146, 197, 222), (247, 247, 247), (244, 165, 130), (178, 24, 43))
_SHARES = ((247, 247, 247), (199, 234, 229), (128, 205, 193), (53, 151, 143), (1, 102, 94))
PROPERTIES = {
    "concept": "#0072B2", "category": "#56B4E9", "colour": "#D55E00", "texture": "#CC79A7", "word": "#7F7F7F",
    "background": "#009E73", "position": "#E69F00", "size": "#F0E442", "count": "#8C564B",
    "relation": "#B8860B",
}  # fmt: skip


def colours(values: np.ndarray, limit: float, signed: bool = True) -> np.ndarray:
    """Colours of numbers, uint8 [..., 3].

    Args:
        values: any shape; NaN counts as zero.
        limit: what the end of the scale stands for.
        signed: blue to white to red between -limit and limit; else white to teal between 0 and limit.

    Example:
        >>> colours(np.array([0.0, 1.0]), 1.0).tolist(), colours(np.array([1.0]), 1.0, signed=False).tolist()
        ([[247, 247, 247], [178, 24, 43]], [[1, 102, 94]])
    """
    low, stops = (-1, np.array(_SIGNED, float)) if signed else (0, np.array(_SHARES, float))
    share = np.clip(np.nan_to_num(values) / limit, low, 1)
    at = (share - low) / (1 - low) * 4
    return np.stack([np.interp(at, range(5), stops[:, c]) for c in range(3)], -1).round().astype(np.uint8)


def plotly_scale(signed: bool) -> list:
    """The same colours for plotly."""
    return [[k / 4, f"rgb{rgb}"] for k, rgb in enumerate(_SIGNED if signed else _SHARES)]


def colour_of(name: str) -> str:
    """The colour of a property; the same name has the same one everywhere."""
    return PROPERTIES.get(name, SERIES[sum(map(ord, name)) % len(SERIES)])


def reads_on(rgb: np.ndarray) -> str:
    """The ink that reads on a colour."""
    return "#1b1b1b" if np.dot((0.299, 0.587, 0.114), rgb) > 140 else "#f5f5f5"
