"""Masks of photographs: `python -m tests.bench.real_segmentation` writes docs/real_segmentation.md.

Needs the folder that `KIT_REAL_WEIGHTS` names. A real ImageNet tower, bridged into a real CLIP's text space,
masks of coco128; every method of `kit.maps`, the aligned and the released protocol, random weights.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from kit.maps import METHODS, Segmented, segment, spread
from kit.measures import Segmentation
from kit.models.directions import Directions
from tests.bench.real_data import folder, mask_pairs, open_clip_layout, rows, text_directions
from tests.bench.real_maps import table

PAGE = Path(__file__).parents[2] / "docs" / "real_segmentation.md"
SEEDS = (0, 1)
FIGURES = ("pixel accuracy", "mIoU", "mAP")
INTRODUCTION = """# Masks of photographs, from a classifier

Made by `KIT_REAL_WEIGHTS=… python -m tests.bench.real_segmentation`. It holds figures, no photographs, and
none of them is a result of a paper: the tower is a ViT-Ti/16 trained on 200 classes of ImageNet, in
open_clip's layout, with a projection that was fitted into a real CLIP's text space; masks are those of
coco128.

Every photograph is asked for each class that covers at least 2 % of what the tower sees; the mask is that
of the class, the direction the mean of its names' text directions minus the mean of all COCO classes that
have names. All methods get the same direction and the same way from map to mask (`kit.maps.spread`).
Intervals: 95 %, over pairs of a photograph and a class, drawn again with seed 0; *ahead* is the mIoU of
token heatmaps minus that of the row, paired.
"""


@dataclass
class Asked:
    """Pairs of a photograph and a class, as `segment` takes them.

    Attributes:
        images: paths, one for each pair.
        masks: of the class, bool [row, col] at the photograph's size.
        classes: row of the class's direction.
    """

    images: list[Path]
    masks: list[np.ndarray]
    classes: list[int]


def asked(directions: Directions) -> Asked:
    """The pairs of `mask_pairs` with whole masks."""
    pairs = mask_pairs()
    lines = (folder() / "photos/coco128/classes.txt").read_text().splitlines()
    numbers = {words: int(number) for number, words in (line.split(maxsplit=1) for line in lines)}
    files = {row["image"]: row["mask"] for row in rows("photos/coco128/labels.csv")}
    found = Asked([], [], [])
    for photo, name in zip(pairs.photo.tolist(), pairs.name):
        path = pairs.paths[photo]
        mask = np.array(Image.open(folder() / "photos/coco128/masks" / files[path.name]))
        found.images.append(path)
        found.masks.append(mask == numbers[name])
        found.classes.append(directions.names.index(name))
    return found


def measured(model, directions: Directions, pairs: Asked, **more) -> Segmented:
    """All pairs through some methods."""
    return segment(model, pairs.images, directions, pairs.masks, classes=pairs.classes, **more)


def cells(found: pd.DataFrame) -> list[list[str]]:
    """The table of methods as it is read."""
    lines = []
    for name, row in found.iterrows():
        miou = f"{row['mIoU']:.3f} [{row['mIoU_low']:.3f}, {row['mIoU_high']:.3f}]"
        ahead = f"{row['ahead']:+.3f} [{row['ahead_low']:+.3f}, {row['ahead_high']:+.3f}]"
        lines.append([name, f"{row['pixel accuracy']:.3f}", miou, f"{row['mAP']:.3f}", ahead])
    return lines


def blob(model, pixels: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """A bump in the middle that looks at nothing."""
    at = torch.exp(-(torch.linspace(-2, 2, model.grid[0]) ** 2) / 2)
    return torch.outer(at, at).expand(len(pixels), -1, -1)


def chance(name: str, towers: list, directions: Directions, pairs: Asked) -> list[str]:
    """Token heatmaps of some towers, pooled, beside the same held against the next photograph's mask."""
    own, other = [], []
    for tower in towers:
        found = measured(tower, directions, pairs, methods=["token heatmap"], keep_maps=True)
        heat, mask = spread(found.maps["token heatmap"], tower.image_size)
        own.append(Segmentation().add(heat, mask, found.seen))
        other.append(Segmentation().add(heat, mask, found.seen.roll(1, 0)))
    mine, theirs = (
        Segmentation(sum(f.counts for f in some), sum(f.precision for f in some) / len(some))
        for some in (own, other)
    )
    gaps = mine.ahead_of(theirs, 0)
    return [name, *(f"{mine.figures()[f]:.3f}" for f in FIGURES), str(gaps["mIoU"]), str(gaps["mAP"])]


def verdict(found: pd.DataFrame) -> str:
    """Against whom token heatmaps are ahead or behind, in words."""
    ahead = found.index[found["ahead_low"] > 0].tolist()
    behind = found.index[found["ahead_high"] < 0].tolist()
    level = [n for n in found.index[1:] if n not in ahead + behind]
    said = {"ahead of": ahead, "behind": behind, "not told apart from": level}
    return "; ".join(f"{words} {', '.join(names) or 'none'}" for words, names in said.items())


def page() -> str:
    """The document."""
    model = open_clip_layout()
    directions = text_directions(model)
    pairs = asked(directions)
    methods = {**METHODS, "a blob in the middle": blob}
    found = measured(model, directions, pairs, methods=methods)
    aligned = found.table(0)
    released = measured(model, directions, pairs, methods=["token heatmap", "rollout"], protocol="released")
    random = [open_clip_layout("random", seed) for seed in SEEDS]
    controls = [
        chance(name, some, directions, pairs)
        for name, some in (("the tower", [model]), ("random weights", random))
    ]
    sizes = [Image.open(path).size for path in pairs.images]
    oblong = sum(width != height for width, height in sizes)
    head = ["method", *FIGURES, "token heatmap ahead by, mIoU"]
    return f"""{INTRODUCTION}
{len(pairs.images)} pairs of {len(set(pairs.images))} photographs, {oblong} pairs of oblong ones.

## Aligned: the mask follows the picture

Token heatmaps are, in mIoU with intervals apart: {verdict(aligned)}.

{table(head, cells(aligned))}
{" ".join(found.notes)}

## Released: the mask is squashed

The same maps, held against masks that were squashed to a square while the photograph was cropped.

{table(head, cells(released.table(0)))}
## Control

Token heatmaps, pooled over random towers of seeds {", ".join(map(str, SEEDS))}; the last two columns are
figures minus the same figures against the next pair's mask, which is chance.

{table(["tower", *FIGURES, "mIoU over chance", "mAP over chance"], controls)}"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
