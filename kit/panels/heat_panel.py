"""The two drawings of every panel: signed cells on a canvas, and bars. They hold numbers, nothing more."""

import io
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from PIL import Image

from kit.numbers import number

_HERE = Path(__file__).parent
_BIGGEST = 640  # pixels of the longer side of a picture that is sent to the browser


class HeatPanel(anywidget.AnyWidget):
    """Signed numbers on one canvas: tokens over a picture, or a grid of parts.

    Red is positive, blue negative, white (dark grey in a dark theme) zero; both ends of the scale are
    `vmax`, so that drawings with the same `vmax` can be compared. Cells are picked by click,
    shift-click, arrow keys and space; hatched cells are switched off; a cell whose number is NaN is
    drawn as an empty frame. The picture is sent once, and a new set of numbers is 4 bytes a cell.

    Traits:
        z: float32 numbers, row by row, as bytes (`set_numbers` takes an array).
        labels: what each cell is called, `""` where there is none.
        texts, ends: the numbers, and the ends of the scale, as they are written; made of `z` and `vmax`.
        words, marks, edges: of each cell: a word in place of its number, a word below, a colour at its edge.
        signed: False for what cannot be negative: one colour from 0.
        picked, off: numbers of cells.
        switches: a click adds a cell to the picked ones or takes it away, arrow keys only move.
        alt: the drawing in words, for a reader who does not see it.

    Example:
        >>> panel = HeatPanel()
        >>> panel.set_numbers(np.array([[0.1, -0.2]]))
        >>> panel.numbers
        array([[ 0.1, -0.2]], dtype=float32)
    """

    _esm = _HERE / "heat_panel.js"
    _css = _HERE / "panel.css"

    kind = traitlets.Enum(("map", "grid"), default_value="map").tag(sync=True)
    z = traitlets.Bytes(b"").tag(sync=True)
    rows = traitlets.Int(0).tag(sync=True)
    cols = traitlets.Int(0).tag(sync=True)
    vmax = traitlets.Float(1.0).tag(sync=True)
    signed = traitlets.Bool(True).tag(sync=True)
    texts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    ends = traitlets.List(traitlets.Unicode()).tag(sync=True)
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    marks = traitlets.List(traitlets.Unicode()).tag(sync=True)
    edges = traitlets.List(traitlets.Unicode()).tag(sync=True)
    picture = traitlets.Bytes(b"").tag(sync=True)
    mask = traitlets.Bytes(b"").tag(sync=True)
    mask_shape = traitlets.List([0, 0]).tag(sync=True)
    outline = traitlets.Bool(False).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    spans = traitlets.List(traitlets.Int()).tag(sync=True)
    row_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    col_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    picked = traitlets.List(traitlets.Int()).tag(sync=True)
    off = traitlets.List(traitlets.Int()).tag(sync=True)
    tall = traitlets.Int(330).tag(sync=True)
    unit = traitlets.Unicode("").tag(sync=True)
    missing = traitlets.Unicode("not split by token").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    switches = traitlets.Bool(False).tag(sync=True)

    @traitlets.observe("z", "vmax", "signed")
    def _write_numbers(self, _=None) -> None:
        limit, sign = self.vmax, self.signed
        self.texts = [number(v, limit, sign=sign, short=True) for v in np.frombuffer(self.z, np.float32)]
        self.ends = [number(-limit, limit) if sign else "0", number(limit, limit, sign=sign)]

    @property
    def numbers(self) -> np.ndarray:
        """The numbers as drawn, float32 [rows, cols]."""
        return np.frombuffer(self.z, dtype=np.float32).reshape(self.rows, self.cols)

    def set_numbers(self, values: np.ndarray) -> None:
        """Draw these numbers, [rows, cols]; cells are called `r0c0` … where the size is new."""
        values = np.ascontiguousarray(values, dtype=np.float32)
        with self.hold_trait_notifications():
            if (self.rows, self.cols) != values.shape:
                self.rows, self.cols = values.shape
                self.labels = [f"r{r}c{c}" for r in range(self.rows) for c in range(self.cols)]
            self.z = values.tobytes()

    def set_picture(self, image: Image.Image, mask: np.ndarray | None = None) -> None:
        """Lay the numbers over this picture, and outline the mask on it, bool [height, width]."""
        mask = np.zeros((0, 0), dtype=bool) if mask is None else mask
        self.picture, self.outline = png_bytes(image, _BIGGEST), mask.size > 0
        self.mask, self.mask_shape = mask.astype(np.uint8).tobytes(), list(mask.shape)


class BarPanel(anywidget.AnyWidget):
    """A group of bars for each prompt, zero in the middle; a click or the arrow keys choose the prompt.

    Traits:
        texts, text: the prompts, and the number of the chosen one.
        kinds: what each bar of a group is, `{"name": …, "look": "whole" | "rest" | "only"}`.
        values: float32 [text, kind] as bytes; NaN is drawn as no bar.
        unknown: those of the prompts that have words which the model never saw; they are marked.
        marks: for each prompt where the first bar would be with every part on; empty = not drawn.

    Example:
        >>> bars = BarPanel(texts=["a cat"])
        >>> bars.set_values(np.array([[0.3, 0.2, 0.1]]))
    """

    _esm = _HERE / "bar_panel.js"

    texts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    text = traitlets.Int(0).tag(sync=True)
    unknown = traitlets.List(traitlets.Unicode()).tag(sync=True)
    kinds = traitlets.List(traitlets.Dict()).tag(sync=True)
    values = traitlets.Bytes(b"").tag(sync=True)
    limit = traitlets.Float(1.0).tag(sync=True)
    marks = traitlets.List(traitlets.Float()).tag(sync=True)
    unit = traitlets.Unicode("cosine").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)

    def set_values(self, values: np.ndarray) -> None:
        """Draw these values, [text, kind]."""
        self.values = np.ascontiguousarray(values, dtype=np.float32).tobytes()


def png_bytes(image: Image.Image, biggest: int | None = None) -> bytes:
    """A picture as PNG, its longer side made at most `biggest` pixels."""
    if biggest and max(image.size) > biggest:
        image = image.copy()
        image.thumbnail((biggest, biggest), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    image.save(held, "PNG", optimize=True)
    return held.getvalue()
