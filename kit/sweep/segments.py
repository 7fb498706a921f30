"""Notebook 15 on real data: ImageNet-Segmentation by token heatmaps and other methods (table 4)."""

import hashlib
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kit.data.sets import ImageSet
from kit.figures import Figure
from kit.maps import METHODS, segment
from kit.measures import Segmentation, segmentation_table
from kit.sweep.settings import kit_version, rows
from kit.sweep.shown import bars, table
from kit.sweep.work import Work
from kit.writing import make_folder, write_file

BLOCK = 128  # images whose counts are saved together


def run(work: Work) -> dict:
    """Pixel accuracy, mIoU and mAP of every method, the answered class being one of ImageNet's.

    Counts are saved block by block, so that a kill costs one block at most.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, table 4; true masks go through the crop of the pictures.
    """
    images, vectors = work.sets["segmentation"], work.classifier
    place = work.store_folder("segmentation")
    folder = place.with_name(f"{place.name}-masks")
    results = {name: Segmentation() for name in METHODS}
    skipped, asked = 0, hashlib.sha256(vectors.numpy().tobytes() + kit_version().encode()).hexdigest()[:8]
    for start in tqdm(range(0, len(images), BLOCK), desc="masks", unit="block", delay=2, leave=False):
        held = _block(work, images, vectors, folder / f"{asked}-{start}.npz", start)
        skipped += int(held["skipped"])
        for number, name in enumerate(METHODS):
            one = results[name]
            one.counts = np.concatenate([one.counts, held[f"counts {number}"]])
            one.precision = np.concatenate([one.precision, held[f"precision {number}"]])
    return {
        "images": len(images) - skipped,
        "skipped": skipped,
        "candidates": len(vectors),
        "protocol": "aligned",
        "table": rows(segmentation_table(results, work.settings.seed)),
    }


def _block(work: Work, images: ImageSet, vectors, path: Path, start: int) -> dict[str, np.ndarray]:
    """Counts of some images, made or read."""
    held = _read(path)
    if held is None:
        some = images.take(np.arange(start, min(start + BLOCK, len(images))))
        found = segment(work.model, some, vectors, batch=min(16, work.settings.batch))
        held = {"skipped": np.array(len(found.skipped))}
        for number, one in enumerate(found.results.values()):
            held |= {f"counts {number}": one.counts, f"precision {number}": one.precision}
        make_folder(path.parent)
        write_file(path, lambda file: np.savez(file, **held))
    return held


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """Counts that were kept; None where there are none that can be read. The archive has a sum of each."""
    try:
        with np.load(path, allow_pickle=False) as held:
            return dict(held)
    except Exception:  # a file that was damaged raises errors of many kinds, and its counts are made anew
        return None


def show(result: dict) -> list[Figure]:
    """Figures of each method on the same images."""
    ends = ("mIoU", "mIoU_low", "mIoU_high")
    columns = {
        "method": "name",
        "pixel accuracy, %": ("pixel accuracy",),
        "mIoU, %": ends,
        "mAP, %": ("mAP",),
    }
    columns["token heatmap ahead in mIoU, points"] = ("ahead", "ahead_low", "ahead_high")
    says = (
        f"{result['images']:,} images ({result['skipped']} could not be read), {result['candidates']:,} "
        "classes to answer; every map goes the same way to a mask, and true masks through the same crop."
    )
    methods = {row["name"]: row for row in result["table"]}
    return [
        bars(methods, "mIoU, %", ends, title="mIoU by method", says=says),
        table(methods.values(), columns, "Table 4"),
    ]
