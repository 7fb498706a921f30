"""What all figures share: equality, a still picture in three formats, and how a cell displays them."""

from __future__ import annotations

import hashlib
import html
import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from kit.errors import KitError
from kit.figures.look import PAPER, SCREEN
from kit.numbers import number
from kit.writing import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Still

LONG = 20  # rows of a table that is folded on a page
UNSAID = ("Date", "Creator", "Format", "Type")  # of an SVG
FORMATS = (".png", ".svg", ".pdf")
CUT = 0.3  # inches of a still in which its title stands
DPI, FINE = 100, 2  # of the size that a still is shown in; and how many times finer it is drawn
SMALLEST = 7.5  # points of a heading
LARGEST = 60_000  # bytes of a PNG in a cell
STILLS = "KIT_STILLS"  # set where notebooks are run to be committed: figures that live carry a still as well
PLOTLY = "application/vnd.plotly.v1+json"
SETTINGS = {"svg.hashsalt": "loupe", "svg.fonttype": "none", "pdf.fonttype": 42, "hatch.linewidth": 0.6}


@dataclass(frozen=True, eq=False, kw_only=True)
class Figure:
    """A result as one value. Subclasses hold arrays; none computes.

    Attributes:
        title: what is shown.
        says: the finding in a sentence; the caption.
    """

    title: str = ""
    says: str = ""

    @property
    def alt(self) -> str:
        """What the picture shows, in words."""
        return " ".join(f"{part.rstrip('.')}." for part in (self.title, self._seen(), self.says) if part)

    def rows(self) -> pd.DataFrame:
        """The numbers, one row for each thing that is drawn."""
        raise NotImplementedError

    def _seen(self) -> str:
        raise NotImplementedError

    def _size(self) -> tuple[float, float]:
        """Width and height of the still, in inches of `DPI` pixels."""
        raise NotImplementedError

    def _draw(self, sheet, look: dict) -> None:
        """Draw on a matplotlib figure of `_size()`, in the colours of `look`."""
        raise NotImplementedError

    @cached_property
    def digest(self) -> str:
        """A name of all that the figure holds: equal figures have equal digests."""
        hashed = hashlib.blake2b(type(self).__name__.encode(), digest_size=16)
        for each in fields(self):
            _feed(hashed, getattr(self, each.name))
        return hashed.hexdigest()

    def __eq__(self, other) -> bool:
        return type(other) is type(self) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def still(self, paper: bool = False) -> Still:
        """The still picture as a matplotlib figure.

        Args:
            paper: black on white, for a file; else on a transparent ground, in a grey that reads on white
                and on dark.
        """
        return together([[self]], paper=paper)

    def png(self, paper: bool = False, fine: int = FINE) -> bytes:
        """The still picture as PNG.

        Args:
            paper: as of `still`.
            fine: pixels drawn for each pixel shown.
        """
        return written(self.still(paper), ".png", LARGEST, fine)

    def save(self, path: str | Path) -> Path:
        """Write the still picture, black on white, first under a temporary name.

        Raises:
            KitError: the path ends in none of `.png`, `.svg`, `.pdf`, or cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() not in FORMATS:
            known = ", ".join(FORMATS)
            raise KitError(f'no picture "{path.name}" can be saved; end the name in one of {known}.')
        write_file(path, written(self.still(paper=True), path.suffix.lower()))
        return path

    def svg(self) -> str:
        """The still for a page of HTML: in the page's own ink, under `alt`, and without the title."""
        page, (wide, high) = written(replace(self, title="").still(), ".svg").decode(), self._size()
        page = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.digest[:6]}-", page[page.index("<defs") :])
        box = f"0 {72 * CUT:g} {72 * wide:g} {72 * (high - CUT):g}"
        look = f'style="width:100%;max-width:{DPI * wide:.0f}px;height:auto"'
        head = f'<svg role="img" aria-label="{html.escape(self.alt)}" viewBox="{box}" {look}>'
        return head + page.replace(SCREEN["ink"], "currentColor")

    def section(self) -> str:
        """The figure on a page of HTML: title, picture, sentence, and its numbers folded."""
        title, says = (html.escape(words) for words in (self.title, self.says))
        picture, folded = (self.html() if hasattr(self, "html") else self.svg()), ""
        if not hasattr(self, "html"):
            folded = self.rows().to_html(index=False, border=0, float_format=number, na_rep="–")
        elif len(self.rows()) > LONG:
            picture, folded = "", picture
        page = f"<h3>{title}</h3>" if title else ""
        page += f"<figure>{picture}<figcaption>{says}</figcaption></figure>"
        return page + (f"<details><summary>The numbers</summary>{folded}</details>" if folded else "")

    def outputs(self) -> list[tuple[dict, dict]]:
        """What a cell displays: the picture, then its sentence and its words; data and metadata of each.

        JupyterLab and nbconvert read no `alt` in the metadata, so the words stand beneath, folded. Where a
        figure lives, plotly's renderer shows the still pixel by pixel until it comes alive.
        """
        data, metadata = {"text/plain": self.title or type(self).__name__}, {}
        lives = hasattr(self, "plotly")
        if lives:
            data[PLOTLY] = json.loads(self.plotly().to_json())
        if not lives or os.environ.get(STILLS):
            data["image/png"] = self.png(fine=1 if lives else FINE)
            wide, high = (round(side * DPI) for side in self._size())
            metadata["image/png"] = {"alt": self.alt, "width": wide, "height": high}
        says, alt = html.escape(self.says), html.escape(self.alt)
        caption = f'<p class="loupe-caption">{says}</p>' if says else ""
        caption += f"<details><summary>The picture in words</summary><p>{alt}</p></details>"
        return [(data, metadata), ({"text/html": caption, "text/plain": self.says or self.alt}, {})]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        for data, metadata in self.outputs():
            display(data, metadata=metadata, raw=True)


def together(rows: Sequence[Sequence[Figure]], title: str = "", says: str = "", paper: bool = False) -> Still:
    """Figures in rows as one still picture, as a matplotlib figure.

    Args:
        rows: figures side by side, row by row.
        title: written above, and `says` below.
        paper: see `Figure.still`.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure as Still

    look, gap = PAPER if paper else SCREEN, 0.25
    sizes = [[f._size() for f in row] for row in rows]
    wide = max(sum(w for w, _ in row) + gap * (len(row) - 1) for row in sizes)
    title, says = _wrapped(title, wide, 11), _wrapped(says, wide, 10)
    top = 0.16 + 0.2 * (title.count("\n") + 1) if title else 0.0
    bottom = 0.1 + 0.2 * (says.count("\n") + 1) if says else 0.0
    high = sum(max(h for _, h in row) for row in sizes) + top + bottom
    with mpl.rc_context(SETTINGS):
        sheet = Still(figsize=(wide, high), facecolor=look["ground"])
        y = 1 - top / high
        for row, each in zip(rows, sizes):
            x = 0.0
            for figure, (w, h) in zip(row, each):
                part = _Part(sheet, (x / wide, y - h / high), (w, h))
                if figure.title:
                    heading, size = _fitted(figure.title, w)
                    part.text(0.08, 0.06, heading, size=size, color=look["ink"], va="top")
                figure._draw(part, look)
                x += w + gap
            y -= max(h for _, h in each) / high
        if title:
            sheet.text(0.08 / wide, 1 - 0.06 / high, title, size=11, color=look["ink"], va="top")
        if says:
            sheet.text(0.08 / wide, 0.05 / high, says, size=10, color=look["ink"], va="bottom")
    return sheet


class _Part:
    """A rectangle of a sheet whose places are inches from its upper left corner."""

    def __init__(self, sheet, corner: tuple[float, float], size: tuple[float, float]):
        self.sheet, self.corner, self.size = sheet, corner, size

    def axes(self, left: float, top: float, wide: float, high: float, **options):
        """Axes without frame or ticks, at a place of the part."""
        whole = self.sheet.get_size_inches()
        x = self.corner[0] + left / whole[0]
        y = self.corner[1] + (self.size[1] - top - high) / whole[1]
        made = self.sheet.add_axes((x, y, wide / whole[0], high / whole[1]), facecolor="none", **options)
        made.spines[:].set_visible(False)
        made.tick_params(length=0)
        return made

    def text(self, x: float, y: float, words: str, **options) -> None:
        """Words at a place of the part."""
        whole = self.sheet.get_size_inches()
        at = self.corner[0] + x / whole[0], self.corner[1] + (self.size[1] - y) / whole[1]
        self.sheet.text(*at, plain(words), **options)


def plain(words: object) -> str:
    """Words in which matplotlib reads no formula."""
    return str(words).replace("$", r"\$")


def marked(words: object) -> str:
    """Words in which plotly reads no markup."""
    return html.escape(str(words), quote=False)


def plotly_figure(traces: list[dict], title: str, layout: dict):
    """A plotly figure without a template: small, on a transparent ground, in the grey that reads on both."""
    import plotly.graph_objects as go

    clear = "rgba(0,0,0,0)"
    axis = {"gridcolor": "rgba(128,128,128,.3)", "zerolinecolor": "rgba(128,128,128,.8)", "automargin": True}
    base = {
        "template": "none",
        "title": {"text": marked(title), "font": {"size": 14}, "x": 0, "xref": "paper"}
        | {"y": 1, "yanchor": "top", "pad": {"t": 10}},
        "font": {"color": SCREEN["ink"], "size": 12},
        "paper_bgcolor": clear,
        "plot_bgcolor": clear,
        "margin": {"l": 8, "r": 8, "t": (64 if layout.get("showlegend") else 40) if title else 12, "b": 8},
        "legend": {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0},
        "xaxis": axis | layout.pop("xaxis", {}),
        "yaxis": axis | layout.pop("yaxis", {}),
    }
    made = go.Figure({"data": traces, "layout": base | layout}, skip_invalid=False)
    made.layout.template = None
    return made


def written(still: Still, suffix: str, largest: int | None = None, fine: int = FINE) -> bytes:
    """A still in a format of `FORMATS`.

    Args:
        still: a matplotlib figure.
        suffix: of the format.
        largest: bytes of a PNG, which is made smaller and then of fewer colours until it fits; None = any.
        fine: pixels of a PNG drawn for each pixel shown.
    """
    import matplotlib as mpl

    held, dates = io.BytesIO(), {".svg": dict.fromkeys(UNSAID), ".pdf": {"CreationDate": None}}
    with mpl.rc_context(SETTINGS):
        still.savefig(held, format=suffix[1:], dpi=fine * DPI, metadata=dates.get(suffix))
    if suffix != ".png" or largest is None:
        return held.getvalue()
    whole, way = Image.open(held).convert("RGBA"), Image.Quantize.FASTOCTREE
    if whole.getextrema()[3][0] == 255:  # it keeps white white, and knows no transparency
        whole, way = whole.convert("RGB"), Image.Quantize.MEDIANCUT
    for share, colours in ((1, 256), (0.75, 256), (0.5, 256), (0.5, 64), (0.4, 32), (0.3, 16)):
        size, small = [round(share * side) for side in whole.size], io.BytesIO()
        image = whole if share == 1 else whole.resize(size, Image.Resampling.LANCZOS)
        image.quantize(colours, way).save(small, "PNG", optimize=True)
        if small.tell() <= largest:
            break
    return small.getvalue()


def _fitted(title: str, wide: float) -> tuple[str, float]:
    """A heading that is so many inches wide, smaller where it is long, and then cut; and its size."""
    most = int(130 * wide / SMALLEST)
    title = title if len(title) <= most else f"{title[: most - 1]}…"
    return title, min(10.5, 130 * wide / max(1, len(title)))


def _wrapped(text: str, wide: float, size: float) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(plain(text), max(20, int(wide * 130 / size))))


def _feed(hashed, value) -> None:
    """Add a value of a figure to its digest."""
    if isinstance(value, np.ndarray):
        hashed.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Image.Image):
        hashed.update(f"{value.mode}{value.size}".encode() + value.tobytes())
    elif isinstance(value, pd.DataFrame):
        hashed.update(f"{value.dtypes.tolist()}{value.to_csv()}".encode())
    elif isinstance(value, dict):
        _feed(hashed, [x for pair in value.items() for x in pair])
    elif isinstance(value, (list, tuple)):
        hashed.update(f"[{len(value)}".encode())
        for each in value:
            _feed(hashed, each)
    else:
        hashed.update(repr(value.item() if isinstance(value, np.generic) else value).encode())
    hashed.update(b";")
