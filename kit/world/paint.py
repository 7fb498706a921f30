"""Turns plans into pixels and masks, in batches of tensors."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from kit.world import atlas, backgrounds
from kit.world.chance import Chance
from kit.world.sample import ANGLES, SLOTS, UNIT, Plan
from kit.world.values import RGB, SIZE, VALUES

# (largest side in px, sprite resolution, window): a drawing is kept at some sizes, and painted in a window
# just large enough for it when turned, because most objects are small
SCALES = ((23, 24, 32), (31, 32, 40), (SIZE, 48, SIZE))
KEPT = (24, 32, 48, atlas.CELL)  # sizes of drawings
FEW = 64  # objects whose whole drawings are made when asked for, which is faster than making all of them
TURN = 0.22  # largest rotation, rad
FADE = 0.6  # how far a texture's marks go towards black or white


def _planes(stickers: Tensor, pixels: int) -> tuple[Tensor, Tensor]:
    """Drawings at one size, uint8 [sticker, plane, pixels, pixels], and which are light, bool [sticker].

    Planes: red, green, blue, each times alpha; alpha; alpha times the weights of the dark and the light end
    of a colour's ramp. With these a recoloured drawing is a weighted sum of planes.
    """
    small = F.avg_pool2d(stickers.float() / 255, atlas.CELL // pixels)
    alpha = small[:, 3]
    luma = (small[:, 0] * 0.299 + small[:, 1] * 0.587 + small[:, 2] * 0.114) / alpha.clamp(min=1e-3)
    solid = torch.where(alpha > 0.5, luma, float("nan")).flatten(1)
    levels = solid.nanquantile(torch.tensor([0.08, 0.5, 0.92]), 1).nan_to_num(0.5)
    low, middle, high = levels[:, :, None, None]
    # the middle of the ramp is where most of the drawing is, so that most of it has the colour itself
    reach = torch.where(luma < middle, middle - low, high - middle).clamp(min=0.15)
    t = ((luma - middle) / reach / 2 + 0.5).clamp(0, 1)
    dark, bright = alpha * (1 - 2 * t).relu(), alpha * (2 * t - 1).relu()
    planes = torch.cat([small, dark[:, None], bright[:, None]], 1)
    return (planes * 255).round().to(torch.uint8), solid.nanmean(1).nan_to_num(0.5) > 0.5


@cache
def _sprites(device: torch.device, pixels: int) -> tuple[Tensor, Tensor]:
    """All drawings at one size, [artist, concept, plane, pixels, pixels], and which are light."""
    shape = atlas.available().shape
    planes, light = _planes(atlas.stickers().flatten(0, 1), pixels)
    return planes.unflatten(0, shape).to(device), light.view(shape).to(device)


@cache
def _ramps(device: torch.device) -> tuple[Tensor, Tensor]:
    """Dark end, middle and light end of each colour, [colour, 3 stops, 3], 0-255; and which are light."""
    rows = [[[0.0] * 3] * 3]  # natural: unused
    for name in VALUES["colour"][1:]:
        c = torch.tensor(RGB[name]) / 255
        low = {"black": 0.3, "white": 0.68}.get(name, 0.38) * c
        high = (2.4 * c).clamp(max=1) if name == "black" else c + 0.62 * (1 - c)
        rows.append(torch.stack([low, c, high]).mul(255).tolist())
    ramps = torch.tensor(rows)
    luma = ramps[:, 1] @ torch.tensor([0.299, 0.587, 0.114])
    return ramps.to(device), (luma > 110).to(device)


@cache
def _patterns(device: torch.device, scale: int) -> Tensor:
    """Where the marks of each texture are, float [texture, SIZE * scale, SIZE * scale]: plain, striped, …"""
    place = (torch.arange(SIZE * scale) + 0.5) / scale - 0.5
    row, col = torch.meshgrid(place, place, indexing="ij")
    stripes = (row + col + 0.5) % 6 < 3
    dots = ((row + 0.5) % 6 - 3) ** 2 + ((col + 0.5) % 6 - 3) ** 2 < 3.2
    checks = ((row + 0.5) // 4 + (col + 0.5) // 4) % 2 == 0
    return torch.stack([torch.zeros_like(checks), stripes, dots, checks]).float().to(device)


@cache
def _turns(device: torch.device) -> Tensor:
    """Cosine and sine of each rotation, [angle, 2]; a table, so that no device computes its own."""
    steps = [TURN * (2 * k / (ANGLES - 1) - 1) for k in range(ANGLES)]
    return torch.tensor([[math.cos(a), math.sin(a)] for a in steps]).to(device)


def _windows(canvas: Tensor, size: int) -> Tensor:
    """Every window of a canvas [n, plane, SIZE, SIZE] as a view, [n, top, left, plane, size, size]."""
    return canvas.unfold(2, size, 1).unfold(3, size, 1).permute(0, 2, 3, 1, 4, 5)


def _dressed(codes: dict[str, Tensor], suffix: str, scene: Tensor, pixels: int) -> Tensor:
    """Drawings in their colour, [object, 4, pixels, pixels]: colour times alpha 0-255, alpha 0-1."""
    device = scene.device
    colour, artist, concept = (codes[name + suffix][scene] for name in ("colour", "artist", "concept"))
    if pixels == atlas.CELL and len(scene) <= FEW:
        planes = _planes(atlas.stickers()[artist.cpu(), concept.cpu()], pixels)[0].to(device).float()
    else:
        planes = _sprites(device, pixels)[0][artist, concept].float()
    drawing = planes[:, :4]
    which = colour.nonzero()[:, 0]
    if len(which):
        low, middle, high = _ramps(device)[0][colour[which]].div(255).unbind(1)  # [object, 3]
        alpha, dark, bright = planes[which, 3:].split(1, 1)
        low, middle, high = (c[:, :, None, None] for c in (low, middle, high))
        drawing[which, :3] = alpha * middle + dark * (low - middle) + bright * (high - middle)
    drawing[:, 3] /= 255
    return drawing


def _textured(
    ink: Tensor, codes: dict, suffix: str, scene: Tensor, top: Tensor, left: Tensor, scale: int
) -> None:
    """Lay the marks of textures over painted windows [object, 4, window, window], in place."""
    device, window = scene.device, ink.shape[-1] // scale
    texture = codes["texture" + suffix][scene]
    which = (texture > 0).nonzero()[:, 0]
    if not len(which):
        return
    some = scene[which]
    colour = codes["colour" + suffix][some]
    artist, concept = codes["artist" + suffix][some], codes["concept" + suffix][some]
    natural = _sprites(device, 24)[1][artist, concept]
    light = torch.where(colour > 0, _ramps(device)[1][colour], natural)
    patterns = _windows(_patterns(device, scale)[:, None], window * scale)
    marks = patterns[texture[which], top[which] * scale, left[which] * scale] * FADE
    goal = torch.where(light, 0.0, 255.0)[:, None, None, None]
    part = ink[which]
    part[:, :3] += marks * (goal * part[:, 3:] - part[:, :3])
    ink[which] = part


def _warped(
    plan: Plan,
    scene: Tensor,
    slot: int,
    drawing: Tensor,
    top: Tensor,
    left: Tensor,
    window: int,
    scale: int,
) -> Tensor:
    """Drawings turned, flipped and scaled into their windows, [object, 4, window * scale, window * scale]."""
    place = (torch.arange(window * scale, device=scene.device) + 0.5) / scale
    dx = left[:, None] + place - plan.x[scene, slot, None] / UNIT  # [object, window]
    dy = top[:, None] + place - plan.y[scene, slot, None] / UNIT
    cos, sin = _turns(scene.device)[plan.angle[scene, slot]].unbind(-1)
    stretch = 2 * UNIT / plan.side[scene, slot].float()
    mirror = torch.where(plan.flip[scene, slot], -stretch, stretch)
    gx = (cos * mirror)[:, None, None] * dx[:, None, :] + (sin * mirror)[:, None, None] * dy[:, :, None]
    gy = (cos * stretch)[:, None, None] * dy[:, :, None] - (sin * stretch)[:, None, None] * dx[:, None, :]
    return F.grid_sample(drawing, torch.stack([gx, gy], -1), align_corners=False)


def _paste(plan: Plan, canvas: Tensor, masks: Tensor, slot: int, scale: int, edge: float) -> None:
    """Paint the objects of one slot over canvas [n, 3, row, col], and set their masks."""
    codes = plan.codes
    side = plan.side[:, slot]
    smallest = 0
    for largest, pixels, window in SCALES:
        pixels = next((p for p in KEPT if p >= pixels * scale), atlas.CELL)
        fits = (side > smallest * UNIT) & (side <= largest * UNIT)
        smallest = largest
        for suffix in ("", "_2") if slot == 1 else ("",):
            second = codes["concept_2"] >= 0
            chosen = plan.there[:, slot] & fits & (second if suffix else ~second | (slot == 0))
            scene = chosen.nonzero()[:, 0]
            if not len(scene):
                continue
            top, left = (
                (v[scene, slot] // UNIT - window // 2).clamp(0, SIZE - window) for v in (plan.y, plan.x)
            )
            ink = _warped(plan, scene, slot, _dressed(codes, suffix, scene, pixels), top, left, window, scale)
            _textured(ink, codes, suffix, scene, top, left, scale)
            at = scene, top * scale, left * scale
            below = _windows(canvas, window * scale)
            below[at] = below[at] * (1 - ink[:, 3:]) + ink[:, :3]
            _windows(masks[:, slot : slot + 1], window * scale)[at] = ink[:, 3:] > edge


def _grounds(chance: Chance, background: Tensor) -> Tensor:
    """Crops of the background bank with their own light, [n, 3, SIZE, SIZE]."""
    device = background.device
    wide = _bank(device)
    picture = chance.below("crop", backgrounds.PICTURES)
    span = backgrounds.WIDE - SIZE + 1
    top, left = chance.below("crop-y", span), chance.below("crop-x", span)
    crops = wide.unfold(3, SIZE, 1).unfold(4, SIZE, 1).permute(0, 1, 3, 4, 2, 5, 6)
    light = 870 + chance.below("light", 261)
    tint = torch.stack([970 + chance.below(f"tint-{c}", 61) for c in range(3)], 1)
    gain = (light[:, None] * tint).float() / 1_000_000
    return crops[background, picture, top, left].float() * gain[:, :, None, None]


@cache
def _bank(device: torch.device) -> Tensor:
    return backgrounds.bank().to(device)


@cache
def _grain(device: torch.device) -> Tensor:
    return backgrounds.grain()[:, None].to(device)


@cache
def _word_planes(device: torch.device, scale: int) -> Tensor:
    """Ink and box of each word in the middle of a plane twice the canvas, uint8 [word, 2, row, col]."""
    size, (sheet, widths) = SIZE * scale, atlas.words()
    planes = torch.zeros(len(sheet), 2, 2 * size, 2 * size, dtype=torch.uint8)
    if scale == 1:
        planes[:, :, size : size + atlas.WORD_HEIGHT, size : size + atlas.WORD_WIDTH] = sheet
        return planes.to(device)
    fine = zip(*atlas.words(fine=True), widths.tolist(), strict=True)
    for plane, (drawn, wide, width) in zip(planes, fine, strict=True):
        height, width = atlas.WORD_HEIGHT * scale, width * scale
        ink = drawn[:1, :, : int(wide)][None].float()
        ink = F.interpolate(ink, (height, width), mode="bilinear", antialias=True).round().clamp(0, 255)
        plane[0, size : size + height, size : size + width] = ink[0, 0]
        plane[1, size : size + height, size : size + width] = 255
    return planes.to(device)


def _print_words(plan: Plan, canvas: Tensor, masks: Tensor, scale: int) -> None:
    """Paint the word boxes, over everything."""
    scene = (plan.codes["word"] >= 0).nonzero()[:, 0]
    if not len(scene):
        return
    top, left = ((SIZE - v[scene]) * scale for v in (plan.word_y, plan.word_x))
    planes = _windows(_word_planes(scene.device, scale), SIZE * scale)[plan.codes["word"][scene], top, left]
    ink, box = planes[:, :1].float(), planes[:, 1:] > 0
    canvas[scene] = torch.where(box, ink, canvas[scene])
    masks[scene] = masks[scene] & ~box


def paint(plan: Plan, chance: Chance, scale: int = 1, edge: float = 0.5) -> tuple[Tensor, Tensor]:
    """Pictures, uint8 [n, 3, row, col], and what is seen of each object, bool [n, slot, row, col].

    A mask holds the pixels that an object covers by more than `edge`, 0-1.

    With a `scale` above 1 there are so many times SIZE rows and columns: drawings and words come from the
    atlas at their full resolution, backgrounds are enlarged, and there is no grain.
    """
    canvas = _grounds(chance, plan.codes["background"])
    if scale > 1:
        canvas = F.interpolate(canvas, scale_factor=scale, mode="bicubic")
    masks = torch.zeros(len(canvas), SLOTS, *canvas.shape[2:], dtype=torch.bool, device=canvas.device)
    for slot in range(SLOTS):
        _paste(plan, canvas, masks, slot, scale, edge)
    covered = masks[:, SLOTS - 1]
    for slot in range(SLOTS - 2, -1, -1):
        masks[:, slot] &= ~covered
        covered = covered | masks[:, slot]
    _print_words(plan, canvas, masks, scale)
    if scale == 1:
        span = backgrounds.WIDE - SIZE + 1
        which = chance.below("grain", backgrounds.PICTURES)
        top, left = chance.below("grain-y", span), chance.below("grain-x", span)
        canvas += _windows(_grain(canvas.device), SIZE)[which, top, left]
    return canvas.round_().clamp_(0, 255).to(torch.uint8), masks
