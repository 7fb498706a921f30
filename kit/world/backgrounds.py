"""Procedural backgrounds: a small bank of pictures for each kind, made once from noise of a fixed seed."""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from kit.world.chance import Chance
from kit.world.values import VALUES

WIDE = 128  # pictures of the bank, pixels on a side; scenes show crops
PICTURES = 16  # for each kind


class _Brush:
    """Noise fields for the pictures of one kind; each call is a new field."""

    def __init__(self, name: str):
        self.name, self.calls = name, 0
        self.row, self.col = torch.meshgrid(torch.arange(WIDE) * 1.0, torch.arange(WIDE) * 1.0, indexing="ij")

    def white(self, rows: int = WIDE, cols: int = WIDE) -> Tensor:
        """Independent values in [0, 1), [picture, rows, cols]."""
        self.calls += 1
        chance = Chance(self.calls, torch.arange(PICTURES * rows * cols))
        return (chance.below(self.name, 1 << 20).float() / (1 << 20)).view(PICTURES, rows, cols)

    def smooth(self, rows: int, cols: int | None = None) -> Tensor:
        """Values in about [0, 1) that change over 1/rows of the height, [picture, WIDE, WIDE]."""
        field = self.white(rows + 3, (cols or rows) + 3)[:, None]
        scale = (WIDE * (rows + 3) // rows, WIDE * ((cols or rows) + 3) // (cols or rows))
        return F.interpolate(field, scale, mode="bicubic")[:, 0, -WIDE:, -WIDE:]

    def cloudy(self, coarse: int, octaves: int = 4, stretch: int = 1) -> Tensor:
        """A sum of ever finer fields, scaled to about [0, 1]."""
        total = sum(self.smooth(coarse << k, max(2, (coarse << k) // stretch)) / 2**k for k in range(octaves))
        low, high = total.amin((1, 2), True), total.amax((1, 2), True)
        return (total - low) / (high - low)

    def one(self) -> Tensor:
        """One value in [0, 1) for each picture, [picture, 1, 1]."""
        return self.white(1, 1)


def _blend(low: tuple, high: tuple, t: Tensor) -> Tensor:
    """From one colour to another, t in [0, 1], [picture, 3, WIDE, WIDE]."""
    a, b = (torch.tensor(c).view(3, 1, 1) for c in (low, high))
    return a + (b - a) * t.clamp(0, 1)[:, None]


def _over(base: Tensor, colour: tuple, alpha: Tensor) -> Tensor:
    alpha = alpha.clamp(0, 1)[:, None]
    return base * (1 - alpha) + torch.tensor(colour).view(3, 1, 1) * alpha


def _sea(b: _Brush) -> Tensor:
    warp = b.cloudy(3, 3) * 16 + b.smooth(16) * 2.5
    wave = 0.5 + 0.5 * torch.sin(b.row * 0.62 + warp)
    return _over(
        _blend((16.0, 66, 138), (44.0, 116, 188), wave * 0.8 + b.cloudy(8) * 0.3),
        (150.0, 200, 232),
        (wave**8) * b.smooth(10, 6) * 0.45,
    )


def _lake(b: _Brush) -> Tensor:
    ridge = 1 - (b.cloudy(5, 3) - 0.5).abs() * 9
    fine = 1 - (b.cloudy(9, 2) - 0.5).abs() * 11
    base = _blend((24.0, 122, 138), (58.0, 168, 178), b.cloudy(4))
    return _over(_over(base, (196.0, 238, 236), ridge * 0.55), (170.0, 226, 228), fine * 0.3)


def _grass(b: _Brush) -> Tensor:
    blades = b.smooth(32, 64) * 0.55 + b.smooth(16, 60) * 0.3 + b.white() * 0.2
    tone = _blend((34.0, 104, 22), (130.0, 196, 66), blades * 1.3 - 0.12)
    return _over(tone, (24.0, 92, 30), (b.cloudy(4) - 0.45) * 0.7)


def _sand(b: _Brush) -> Tensor:
    ripple = 0.5 + 0.5 * torch.sin(b.row * 0.42 + b.col * 0.12 + b.cloudy(3, 2) * 13)
    tone = ripple * 0.35 + b.cloudy(6) * 0.35 + b.white() * 0.3
    return _blend((204.0, 168, 112), (244.0, 222, 172), tone)


def _forest(b: _Brush) -> Tensor:
    leaves = b.cloudy(8, 4) * 0.7 + b.white() * 0.25
    tone = _blend((6.0, 30, 14), (38.0, 92, 38), leaves)
    place = b.smooth(3, 9) * 0 + b.smooth(2, 12)
    trunk = ((place - 0.62) * 14).clamp(0, 1)
    bark = 0.4 + 0.6 * b.smooth(24, 64)
    brown = _blend((34.0, 20, 10), (92.0, 60, 36), bark)
    return tone * (1 - trunk[:, None]) + brown * trunk[:, None]


def _road(b: _Brush) -> Tensor:
    tone = _blend((66.0, 68, 74), (112.0, 114, 120), b.white() * 0.5 + b.cloudy(8) * 0.5)
    row, col = b.row + (b.one() * 32).floor(), b.col + (b.one() * 24).floor()
    dash = ((row % 32 < 2.5) & (col % 24 < 14)).float()
    return _over(tone, (236.0, 232, 208), dash * 0.9)


def _snow(b: _Brush) -> Tensor:
    tone = _blend((206.0, 220, 238), (250.0, 252, 255), b.cloudy(3, 3) * 1.1)
    glint = ((b.white() - 0.986) * 200).clamp(0, 1)
    return _over(tone, (150.0, 178, 222), glint * 0.7)


def _sky(b: _Brush) -> Tensor:
    base = _blend((84.0, 152, 228), (176.0, 214, 248), b.row.expand(PICTURES, -1, -1) / WIDE)
    return _over(base, (252.0, 252, 254), (b.cloudy(4, 4) - 0.5) * 3.2)


def _night(b: _Brush) -> Tensor:
    base = _blend((6.0, 6, 24), (34.0, 26, 70), b.cloudy(2, 3))
    spark = b.white()
    wide = F.max_pool2d((spark > 0.9985).float(), 2, 1)
    wide = F.pad(wide, (1, 0, 1, 0))
    return _over(
        _over(base, (196.0, 200, 230), ((spark - 0.992) * 300).clamp(0, 0.75)), (255.0, 250, 226), wide * 0.9
    )


def _brick(b: _Brush) -> Tensor:
    row, col = b.row + (b.one() * 20).floor(), b.col + (b.one() * 20).floor()
    layer = (row / 10).floor()
    shifted = col + (layer % 2) * 10
    mortar = ((row % 10 < 1.5) | (shifted % 20 < 1.5)).float()
    number = (layer * 7 + (shifted / 20).floor() * 13) % 11 / 11  # each brick has its tone
    tone = number * 0.55 + b.cloudy(16, 3) * 0.35 + b.white() * 0.15
    return _over(_blend((138.0, 54, 42), (198.0, 100, 78), tone), (206.0, 192, 178), mortar)


def _wood(b: _Brush) -> Tensor:
    row = b.row + (b.one() * 26).floor()
    plank = (row / 26).floor()
    grain = 0.5 + 0.5 * torch.sin(b.row * 0.75 + b.cloudy(3, 3, 2) * 18 + plank * 2.1)
    tone = grain * 0.5 + b.smooth(64, 6) * 0.35 + (plank * 5 % 3) * 0.1
    return _over(
        _blend((124.0, 78, 38), (196.0, 142, 86), tone), (76.0, 44, 20), (row % 26 < 1.2).float() * 0.8
    )


def _paper(b: _Brush) -> Tensor:
    tone = _blend((236.0, 234, 224), (252.0, 251, 246), b.cloudy(8, 3) * 0.7 + b.white() * 0.3)
    row, col = b.row + (b.one() * 12).floor(), b.col + (b.one() * 12).floor()
    return _over(tone, (176.0, 194, 214), ((row % 12 < 1) | (col % 12 < 1)).float() * 0.7)


_PAINTERS: dict[str, Callable[[_Brush], Tensor]] = {
    painter.__name__[1:]: painter
    for painter in (_sea, _lake, _grass, _sand, _forest, _road, _snow, _sky, _night, _brick, _wood, _paper)
}


@cache
def bank() -> Tensor:
    """All pictures, uint8 [background, picture, 3, WIDE, WIDE]."""
    pages = [_PAINTERS[name](_Brush(name)) for name in VALUES["background"]]
    return torch.stack([p.round().clamp(0, 255).to(torch.uint8) for p in pages])


@cache
def grain() -> Tensor:
    """Fine noise laid over every scene, -3 to 3, float32 [picture, WIDE, WIDE]."""
    brush = _Brush("grain")
    return ((brush.white() + brush.white() + brush.white()) * 2 - 3).contiguous()
