"""Masks that a map suggests, held against true ones: pixel accuracy, mIoU, mAP. No model, no plotting.

Two classes: the object, and the rest. Sums are kept for each image, so that images may have any size, come in
any batches, and be drawn again for intervals.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.errors import KitError
from kit.measures.changes import resampled
from kit.measures.intervals import Interval
from kit.measures.maps import average_precision

COUNTS = ("object_both", "object_either", "rest_both", "rest_either", "pixels")
FIGURES = ("pixel accuracy", "mIoU", "mAP")
TAILS = (0.025, 0.975)


@dataclass
class Segmentation:
    """How well masks fit, image by image; the figures are of all images together.

    - *pixel accuracy*: pixels of the right class, of all pixels of all images;
    - *mIoU*: for each of the two classes the pixels that mask and truth share, over those that either has,
      both summed over all images before they are divided; mean of the two;
    - *mAP*: average precision of each image, mean over images. An image's two channels, the map for the
      object and one minus the map for the rest, are put behind each other, each pixel with both.

    Attributes:
        counts: pixels of each image, int64 [image, count], in the order of `COUNTS`: in the object by mask
            and by truth, by either; in the rest by both, by either; all.
        precision: average precision of each image, float64 [image].

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, as its released code measures ImageNet-Segmentation.

    Example:
        >>> found, true = torch.tensor([[[True, True], [False, False]]]), torch.tensor([[[True, False]] * 2])
        >>> fits = Segmentation().add(found.float(), found, true)
        >>> {name: round(value, 2) for name, value in fits.figures().items()}
        {'pixel accuracy': 0.5, 'mIoU': 0.33, 'mAP': 0.5}
    """

    counts: np.ndarray = field(default_factory=lambda: np.zeros((0, len(COUNTS)), dtype=np.int64))
    precision: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.counts)

    def add(self, heat: Tensor, found: Tensor, true: Tensor) -> "Segmentation":
        """Count more images, of one size in each call.

        Args:
            heat: map of each image, 0-1, [batch, row, col].
            found: which pixels it calls the object, bool [batch, row, col].
            true: which ones are, bool [batch, row, col].

        Returns:
            Itself.

        Raises:
            KitError: shapes that differ, a map outside 0-1 or not finite, masks that are not bool.
        """
        expect_shape(heat, "batch row col", "heat")
        for name, mask in (("found", found), ("true", true)):
            expect_shape(mask, "batch row col", name, batch=len(heat), row=heat.shape[1], col=heat.shape[2])
            if mask.dtype != torch.bool:
                raise KitError(f"the mask {name} should be of bool, but is of {mask.dtype}; write mask > 0.")
        if not (torch.isfinite(heat).all() and heat.min() >= 0 and heat.max() <= 1):
            raise KitError("a map has values outside 0-1; bring it there with kit.maps.spread first.")
        found, true, heat = found.flatten(1), true.flatten(1), heat.flatten(1).double()  # [batch, pixel]
        both, either = (found & true).sum(1), (found | true).sum(1)
        pixels = torch.full_like(both, found.shape[1])
        rows = torch.stack([both, either, pixels - either, pixels - both, pixels], 1)  # [batch, count]
        channels = torch.cat([heat, 1 - heat], 1), torch.cat([true, ~true], 1).double()
        self.counts = np.concatenate([self.counts, rows.cpu().numpy()])
        self.precision = np.concatenate([self.precision, average_precision(*channels).cpu().numpy()])
        return self

    def figures(self) -> dict[str, float]:
        """Pixel accuracy, mIoU and mAP over all images.

        Raises:
            KitError: no image was counted.
        """
        if not len(self):
            raise KitError("no image was counted; add some first.")
        found = _figures(self.counts.sum(0)[None], self.precision.mean()[None])
        return dict(zip(FIGURES, found[0].tolist()))

    def drawn(self, seed: int) -> np.ndarray:
        """The same figures on sets of images drawn again, [draw, figure]: sums are made anew each time."""
        sums = resampled(len(self), seed).sums(np.column_stack([self.counts, self.precision]))
        return _figures(sums[:, :-1], sums[:, -1] / len(self))

    def intervals(self, seed: int) -> dict[str, Interval]:
        """Each figure with its 95 % interval over images."""
        low, high = np.nanquantile(self.drawn(seed), TAILS, axis=0)
        return {n: Interval(v, *map(float, ends)) for (n, v), *ends in zip(self.figures().items(), low, high)}

    def ahead_of(self, other: "Segmentation", seed: int) -> dict[str, Interval]:
        """Each figure minus that of other masks of the same images, paired by image.

        Raises:
            KitError: another number of images.
        """
        if len(self) != len(other):
            raise KitError(
                f"{len(self)} images cannot be paired with {len(other)}; use the same ones for both."
            )
        low, high = np.nanquantile(self.drawn(seed) - other.drawn(seed), TAILS, axis=0)
        gaps = {name: value - other.figures()[name] for name, value in self.figures().items()}
        return {n: Interval(v, *map(float, ends)) for (n, v), *ends in zip(gaps.items(), low, high)}

    @classmethod
    def mean_of(cls, some: list["Segmentation"]) -> "Segmentation":
        """Several ways to find masks of the same images as one: counts summed, precisions averaged.

        Example:
            >>> one = Segmentation(np.array([[1, 2, 3, 4, 5]]), np.array([0.5]))
            >>> Segmentation.mean_of([one, one]).figures() == one.figures()
            True
        """
        return cls(sum(each.counts for each in some), sum(each.precision for each in some) / len(some))

    def iou(self) -> np.ndarray:
        """IoU of the object in each image, [image]; nan where neither mask nor truth has a pixel of it."""
        return _ratio(self.counts[:, 0], self.counts[:, 1])


def _figures(counts: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """[draw, figure] from sums [draw, count] and mean precisions [draw]."""
    both, either, rest_both, rest_either, pixels = counts.astype(np.float64).T
    ious = np.stack([_ratio(both, either), _ratio(rest_both, rest_either)])  # a class that is nowhere: nan
    return np.stack([(both + rest_both) / pixels, np.nanmean(ious, axis=0), precision], axis=1)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def segmentation_table(results: dict[str, Segmentation], seed: int) -> pd.DataFrame:
    """Figures of several ways to find masks on the same images, and the mIoU of the first minus each.

    Args:
        results: name -> its masks' counts; the first is what the others are compared with.
        seed: of the images drawn again.

    Returns:
        One row for each way: the three figures; `mIoU_low`, `mIoU_high`; `ahead`, `ahead_low`, `ahead_high`:
        how far the first lies ahead of it in mIoU, paired by image. Shares, 0-1.

    Raises:
        KitError: no results, or results of different numbers of images.
    """
    if not results:
        raise KitError("no results were given; count at least one way to find masks.")
    first, rows = next(iter(results.values())), {}
    for name, one in results.items():
        miou, ahead = one.intervals(seed)["mIoU"], first.ahead_of(one, seed)["mIoU"]
        rows[name] = {**one.figures(), "mIoU_low": miou.low, "mIoU_high": miou.high}
        rows[name] |= {"ahead": ahead.value, "ahead_low": ahead.low, "ahead_high": ahead.high}
    return pd.DataFrame(rows).T
