"""Pictures in a row."""

import base64
import html
import io
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd
from PIL import Image

from kit.errors import KitError
from kit.figures.figure import Figure
from kit.figures.maps import picture

FINE, COARSE = 90, 60  # quality of pictures that are shown large, and of tiles, of which many travel
TILE, THUMB = 0.9, 256  # inches of a tile in a still; pixels of the longer side that travel
LETTERS, FEW = 13, 3  # letters of an inch; tiles that the label of one of few pictures can take


@dataclass(frozen=True, eq=False)
class Strip(Figure):
    """Pictures side by side, each with words beneath it; a heading wherever it changes.

    Attributes:
        pictures: PIL, or uint8 [3, height, width].
        labels: beneath each picture.
        heads: heading that each picture stands under; () = none.
        framed: whether each picture is framed; () = none is.
        tips: what each picture is, told beside the mouse and to who does not see it; () = its label.
        key: a legend: (pattern of the style sheet, colour, words).
        large: whether pictures are shown large.

    Raises:
        KitError: labels, headings, frames or tips of another count than pictures.

    Example:
        >>> Strip([Image.new("RGB", (4, 4))], ["scene 3"], title="Nearest").alt
        'Nearest. 1 pictures: scene 3.'
    """

    pictures: tuple
    labels: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    framed: tuple[bool, ...] = ()
    key: tuple[tuple[str, str, str], ...] = ()
    large: bool = False
    tips: tuple[str, ...] = ()

    def __post_init__(self):
        put, count = object.__setattr__, len(self.pictures)
        put(self, "pictures", tuple(small(p) for p in self.pictures))
        for what in ("labels", "heads", "framed", "tips", "key"):
            put(self, what, tuple(getattr(self, what)))
            if what != "key" and len(getattr(self, what)) not in (0, count):
                raise KitError(f"{len(getattr(self, what))} {what} for {count} pictures; give one for each.")

    def rows(self) -> pd.DataFrame:
        """`head`, `label`, and whether it is framed, for each picture."""
        blank = [""] * len(self.pictures)
        return pd.DataFrame(
            {"head": self.heads or blank, "label": self.labels or blank, "framed": self.framed or False},
            index=range(len(self.pictures)),
        )

    def _seen(self) -> str:
        told = [f"{head}: {label}" if new else label for new, head, label in self._titled()]
        return f"{len(self.pictures)} pictures: {'; '.join(filter(None, told))}"

    def _titled(self) -> list[tuple[bool, str, str]]:
        blank = ("",) * len(self.pictures)
        heads, labels = self.heads or blank, self.labels or blank
        return [(bool(h) and h != before, h, label) for h, before, label in zip(heads, ("", *heads), labels)]

    def html(self) -> str:
        """The pictures for a page."""
        groups, blank = [], ("",) * len(self.pictures)
        each = zip(self.pictures, self._titled(), self.framed or blank, self.tips or blank)
        for image, (new, head, label), frame, tip in each:
            if new or not groups:
                groups.append([f"<span>{html.escape(head)}</span>" if head else ""])
            look, words = ' class="loupe-hit"' if frame else "", html.escape(label)
            look += f' title="{html.escape(tip)}"' if tip else ""
            below = f"<figcaption>{words}</figcaption>" if label else ""
            alt = html.escape(tip) or words or html.escape(self.title) or "picture"
            address = data_url(image, FINE if self.large else COARSE)
            groups[-1].append(f'<figure{look}><img src="{address}" alt="{alt}">{below}</figure>')
        pieces = [f"<div>{head}<div>{''.join(tiles)}</div></div>" for head, *tiles in groups]
        keys = "".join(
            f'<span><i class="loupe-{p}"></i>{html.escape(words)}</span>' for p, _, words in self.key
        )
        key = f'<div class="loupe-key">{keys}</div>' if keys else ""
        return f'<div class="loupe-strip{" loupe-large" if self.large else ""}">{"".join(pieces)}</div>{key}'

    @property
    def _top(self) -> float:
        return 0.36 if self.title else 0.04

    @property
    def _tile(self) -> float:
        return 2.56 if self.large else TILE

    @property
    def _step(self) -> float:
        """Inches from a picture to the next: few pictures leave room for their labels."""
        most = (FEW if len(self.pictures) <= 4 else 1) * self._tile
        return max(self._tile, min(most, max(map(len, self.labels), default=0) / LETTERS)) + 0.08

    def _size(self) -> tuple[float, float]:
        below = 0.22 * bool(self.labels) + 0.24 * bool(self.heads) + 0.2 * len(self.key)
        return max(2.6, 0.1 + len(self.pictures) * self._step), self._top + self._tile + below + 0.1

    def _draw(self, sheet, look: dict) -> None:
        top, step = self._top + 0.24 * bool(self.heads), self._step
        starts = [*(k for k, (new, _, _) in enumerate(self._titled()) if new), len(self.pictures)]
        for k, (image, (new, head, label)) in enumerate(zip(self.pictures, self._titled())):
            left = 0.08 + k * step
            axes = sheet.axes(left, top, self._tile, self._tile, xticks=[], yticks=[])
            axes.imshow(image, gid=f"picture-{k}")
            if self.framed and self.framed[k]:
                axes.spines[:].set(visible=True, color="#D55E00", linewidth=2.5)
            if new:
                run = starts[starts.index(k) + 1] - k  # pictures that it stands above
                sheet.text(
                    left, self._top + 0.02, _cut(head, run * step), size=8.5, color=look["faint"], va="top"
                )
            sheet.text(left, top + self._tile + 0.04, _cut(label, step), size=8, color=look["ink"], va="top")
        for n, (_, colour, words) in enumerate(self.key):
            y = top + self._tile + 0.08 + 0.22 * bool(self.labels) + 0.2 * n
            sheet.text(0.08, y, "■", size=9, color=colour, va="top")
            sheet.text(0.24, y, words, size=8.5, color=look["faint"], va="top")


def small(image, side: int = THUMB) -> Image.Image:
    """A copy of a picture whose longer side has at most so many pixels."""
    made = picture(image)
    made.thumbnail((side, side), Image.Resampling.LANCZOS)
    return made


def _cut(words: str, wide: float) -> str:
    """What fits into so many inches."""
    most = int(LETTERS * wide)
    return words if len(words) <= most else words[: most - 1] + "…"


def data_url(image: Image.Image, quality: int = FINE) -> str:
    """A picture as an address that holds it, in WebP."""
    return _address(image.convert("RGB").tobytes(), image.size, quality)


@lru_cache(128)
def _address(pixels: bytes, size: tuple[int, int], quality: int) -> str:
    """The pictures of a click come again at the next one, in other frames."""
    held = io.BytesIO()
    Image.frombytes("RGB", size, pixels).save(held, "WEBP", quality=quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(held.getvalue()).decode()}"
