"""Maps of tokens over pictures, masks beside the true ones: the only pixels that the kit draws itself."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from PIL import Image

from kit.errors import KitError
from kit.figures import look as looks
from kit.figures.figure import Figure
from kit.figures.grid import bar_width, colour_bar
from kit.numbers import array, largest, number

SIDE = 256
# a pattern tells them apart too: full, stripes, dots
RIGHT, WRONG, MISSED = (0, 158, 115), (230, 159, 0), (204, 121, 167)
KEY = (
    ("right", "#009e73", "found, and the object"),
    ("wrong", "#e69f00", "found, not the object (stripes)"),
    ("missed", "#cc79a7", "the object, not found (dots)"),
)


@dataclass(frozen=True, eq=False)
class Maps(Figure):
    """Maps over their pictures, side by side on one scale.

    Attributes:
        values: [map, row, col]; NaN = the picture alone.
        pictures: one for each map, or one for all: PIL, or uint8 [3, height, width].
        unit: what the numbers are.
        names: of the maps.
        masks: true masks, bool [map, height, width], whose outlines are drawn; None = none are.
        limit: as of `Grid`.
        signed: as of `Grid`; or for each map, such as two shares and what they differ by.
        picked: tokens that are framed, such as `"r3c5"` (panels).

    Raises:
        KitError: pictures or masks of another count than there are maps.

    Example:
        >>> Maps([[[0.1, -0.4]]], [Image.new("RGB", (8, 4))], "share of a cosine", ["a cat"]).alt
        'share of a cosine: a cat, 1 by 2 tokens, largest at r0c1: −0.400.'
    """

    values: np.ndarray
    pictures: tuple
    unit: str
    names: tuple[str, ...] = ()
    masks: np.ndarray | None = None
    limit: float | None = None
    signed: bool | tuple[bool, ...] = True
    picked: tuple[str, ...] = ()

    def __post_init__(self):
        put = object.__setattr__
        put(self, "values", array(self.values, [None, None, None], f"maps ({self.unit})"))
        count = len(self.values)
        shown = tuple(picture(p) for p in self.pictures)
        put(self, "pictures", shown * count if len(shown) == 1 else shown)
        put(self, "names", tuple(self.names) or ("",) * count)
        put(self, "picked", tuple(self.picked))
        put(self, "limit", float(self.limit or largest(self.values) or 1.0))
        if self.masks is not None:
            held = self.masks.numpy() if hasattr(self.masks, "numpy") else self.masks
            put(self, "masks", np.array(held, dtype=bool))
        for what in ("pictures", "names", "masks", "signs"):
            if (held := getattr(self, what)) is not None and len(held) != count:
                raise KitError(f"{len(held)} {what} for {count} maps; give one for each.")

    @property
    def signs(self) -> tuple[bool, ...]:
        """Whether each map is signed, [map]."""
        return tuple(self.signed) if np.ndim(self.signed) else (self.signed,) * len(self.values)

    def only(self, k: int) -> "Maps":
        """One of the maps, under its name, on the same scale."""
        masks = None if self.masks is None else self.masks[k : k + 1]
        return replace(
            self, values=self.values[k : k + 1], pictures=self.pictures[k : k + 1], names=(), masks=masks,
            signed=self.signs[k], title=self.names[k],
        )  # fmt: skip

    def rows(self) -> pd.DataFrame:
        """`map`, `token`, and the number under the name of its unit."""
        count, rows, cols = self.values.shape
        tokens = [f"r{r}c{c}" for r in range(rows) for c in range(cols)]
        names = np.repeat(self.names, rows * cols)
        return pd.DataFrame({"map": names, "token": tokens * count, self.unit: self.values.reshape(-1)})

    def _seen(self) -> str:
        told = []
        for name, heat, sign in zip(self.names, self.values, self.signs):
            said = f"{name}, " if name else ""
            if np.isnan(heat).all():
                told.append(f"{said}the picture alone")
                continue
            row, col = np.unravel_index(int(np.nanargmax(np.abs(heat))), heat.shape)
            top = number(heat[row, col], self.limit, sign=sign)
            told.append(f"{said}{heat.shape[0]} by {heat.shape[1]} tokens, largest at r{row}c{col}: {top}")
        return f"{self.unit}: {'; '.join(told)}"

    def _size(self) -> tuple[float, float]:
        wide = max(0.1 + len(self.values) * (self._side + 0.14), 0.42 + bar_width(self.unit))
        return max(4.2, wide), 0.6 + self._tall + 0.5 * len(self._scales)

    @property
    def _scales(self) -> list[bool]:
        """Whether each scale that is drawn is signed."""
        known = np.isfinite(self.values).any((1, 2))
        return list(dict.fromkeys(s for s, k in zip(self.signs, known) if k)) or [True]

    @property
    def _side(self) -> float:
        return min(2.6, 7.6 / len(self.values) - 0.14)

    @property
    def _tall(self) -> float:
        return self._side * self.values.shape[1] / self.values.shape[2]

    def _draw(self, sheet, look: dict) -> None:
        top = 0.32 + (0.24 if any(self.names) else 0.0)
        for k, name in enumerate(self.names):
            left = 0.08 + k * (self._side + 0.14)
            axes = sheet.axes(left, top, self._side, self._tall, xticks=[], yticks=[])
            drawn = painted(self.pictures[k], self.values[k], self.limit, self.signs[k])
            wide, high = drawn.size
            axes.imshow(drawn, extent=(0, wide, high, 0), aspect="auto", gid=f"map-{k}")
            if self.masks is not None and self.masks[k].any():
                outline(axes, self.masks[k], (wide, high))
            if name:
                sheet.text(left, 0.36, name, size=8.5, color=look["faint"], va="top")
        if np.isfinite(self.values).any():
            for k, sign in enumerate(self._scales):
                where = 0.32, top + self._tall + 0.1 + 0.45 * k
                colour_bar(sheet, look, where, self.limit, self.unit, sign)


def picture(pixels) -> Image.Image:
    """A PIL image of one, or of uint8 pixels [3, height, width]."""
    if isinstance(pixels, Image.Image):
        return pixels.convert("RGB")
    return Image.fromarray(np.ascontiguousarray(np.asarray(pixels, dtype=np.uint8).transpose(1, 2, 0)))


def painted(image: Image.Image, heat: np.ndarray, limit: float, signed: bool = True) -> Image.Image:
    """A paled picture under its map: colour is the sign of a number, strength its size.

    Args:
        image: any size; drawn with a longer side of 256.
        heat: [row, col]; all NaN = the picture as it is.
        limit, signed: as of `look.colours`.
    """
    scale = SIDE / max(image.size)
    size = round(image.width * scale), round(image.height * scale)
    if np.isnan(heat).all():
        return image.resize(size, Image.Resampling.BICUBIC)
    grey = np.asarray(image.convert("L").resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
    heat = np.nan_to_num(heat)
    rows, cols = heat.shape
    cells = heat[np.ix_(np.arange(size[1]) * rows // size[1], np.arange(size[0]) * cols // size[0])]
    alpha = 0.85 * np.minimum(1, np.abs(cells) / limit)[..., None] ** 0.75
    ink = looks.colours(np.sign(cells) * 0.85, 1.0, signed)
    return Image.fromarray(
        ((82 + 0.66 * grey[..., None]) * (1 - alpha) + ink * alpha).round().astype(np.uint8)
    )


def outline(axes, mask: np.ndarray, size: tuple[int, int]) -> None:
    """The edge of a mask on a drawn picture, dark on light, so that it shows on any ground."""
    framed = np.pad(mask, 1).astype(float)
    across = (np.arange(framed.shape[1]) - 0.5) * size[0] / mask.shape[1]
    down = (np.arange(framed.shape[0]) - 0.5) * size[1] / mask.shape[0]
    for ink, width in (("white", 2.4), ("black", 1.0)):
        axes.contour(across, down, framed, levels=[0.5], colors=ink, linewidths=width)
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0))


def masked(image: Image.Image, found: np.ndarray, true: np.ndarray, side: int = SIDE) -> Image.Image:
    """A paled picture under a mask, with the outline of the true one: right, wrong and missed pixels.

    Args:
        image: as the model saw it.
        found, true: bool [height, width].
        side: pixels of the longer side drawn.
    """
    scale = max(1, side // max(found.shape))
    size = found.shape[1] * scale, found.shape[0] * scale
    grey = np.asarray(image.convert("L").resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
    sheet = np.repeat((110 + 0.5 * grey)[..., None], 3, axis=-1)
    found, true = (np.kron(m, np.ones((scale, scale), dtype=bool)) for m in (found, true))
    rows, cols = np.indices(grey.shape)
    kinds = (
        (found & true, RIGHT, True),
        (found & ~true, WRONG, (rows + cols) % 8 < 4),
        (true & ~found, MISSED, (rows % 6 < 3) & (cols % 6 < 3)),
    )
    for mask, ink, pattern in kinds:
        for where, share in ((mask, 0.25), (mask & pattern, 0.6)):
            sheet[where] = (1 - share) * sheet[where] + share * np.array(ink)
    inner = np.pad(true, 3, mode="edge")  # the outline lies inside, so that masks of one pixel keep theirs
    for wide, ink in ((3, 255), (1, 0)):
        eroded = np.ones_like(true)
        for dy, dx in ((wide, 0), (-wide, 0), (0, wide), (0, -wide)):
            eroded &= inner[3 + dy : 3 + dy + size[1], 3 + dx : 3 + dx + size[0]]
        sheet[true & ~eroded] = ink
    return Image.fromarray(sheet.round().clip(0, 255).astype(np.uint8))
