"""Moments of parts over a set of images: all that TextSpan, means and variances need to know of them.

A head writes y @ gain, its few coordinates y times a matrix that is fixed by the weights. So count, mean
and covariance of y say everything of second order about what it adds to the representation, in a state
whose size depends on the head alone, not on the images.
"""

from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import pad
from tqdm.auto import tqdm

from kit.errors import KitError
from kit.parts.files import check_weights, load_collected, save_collected
from kit.parts.frozen import FrozenGraph, frozen_graph
from kit.parts.runs import Run
from kit.parts.selector import select

CONVENTION = "exact parts over the length of the representation"


@dataclass(frozen=True)
class Moments:
    """Count, mean and covariance of the coordinates of some parts, over one set of images.

    Coordinates are divided by the length of the representation, as scores are. Those of a head are its
    `head_dim` numbers (of all slots, where attention pools); parts with fewer of them than others are
    filled up with zeros. Where a part has more coordinates than the embedding, or no fixed gain (a tower
    of the general route), the coordinates of all parts are their embedding vectors, and `gain` is None.

    Attributes:
        name: the set of images, in words.
        model: name of the model.
        weights_hash: of the model's image tower.
        count: number of images.
        index: one row for each part: name, kind, layer, head.
        mean: float64 [part, coordinate].
        covariance: mean of the squares about the mean (divided by the count), float64
            [part, coordinate, coordinate].
        gain: [part, coordinate, embed], or None for the identity.
        convention: what was summed up.
    """

    name: str
    model: str
    weights_hash: str
    count: int
    index: pd.DataFrame
    mean: Tensor
    covariance: Tensor
    gain: Tensor | None
    convention: str = CONVENTION

    @property
    def parts(self) -> list[str]:
        """Names of the parts."""
        return list(self.index["name"])

    def embed_mean(self) -> Tensor:
        """Mean of what each part adds, over the length of the representation, float64 [part, embed]."""
        return self.mean if self.gain is None else (self.mean[:, None] @ self.gain.double())[:, 0]

    def embed_covariance(self) -> Tensor:
        """Covariance (divided by the count) of the same, float64 [part, embed, embed]."""
        if self.gain is None:
            return self.covariance
        gain = self.gain.double()
        return gain.mT @ self.covariance @ gain

    def select(self, selector: str) -> "Moments":
        """The moments of some of the parts, see `kit.parts.selector.select`."""
        rows = _chosen(self.index, selector)
        gain = None if self.gain is None else self.gain[rows]
        mean, covariance = self.mean[rows], self.covariance[rows]
        return replace(self, index=_rows(self.index, rows), mean=mean, covariance=covariance, gain=gain)

    def merge(self, other: "Moments") -> "Moments":
        """The moments over the images of both, as if they had been collected in one pass.

        Raises:
            KitError: moments of another model, other weights, other parts or another convention.

        Source:
            Chan, Golub and LeVeque 1979, Updating formulae and a pairwise algorithm for computing
            sample variances, with sums divided by the counts.
        """
        self._check_same(other)
        count = self.count + other.count
        share, gap = other.count / count, other.mean - self.mean
        between = share * (1 - share) * gap[:, :, None] * gap[:, None]
        return replace(
            self,
            name=self.name if other.name == self.name else f"{self.name} + {other.name}",
            count=count,
            mean=self.mean + share * gap,
            covariance=(1 - share) * self.covariance + share * other.covariance + between,
        )

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, first under a temporary name. The gain stays with the model."""
        kept = ("name", "model", "weights_hash", "count", "parts", "convention")
        facts = {key: getattr(self, key) for key in kept}
        save_collected(path, "moments", facts, {"mean": self.mean, "covariance": self.covariance})

    def _check_same(self, other: "Moments") -> None:
        for what in ("model", "weights_hash", "convention", "parts"):
            mine, its = getattr(self, what), getattr(other, what)
            if mine != its:
                raise KitError(
                    f"moments merge where {what.replace('_', ' ')} is the same, but one has {_short(mine)} "
                    f"and the other {_short(its)}; collect both alike."
                )


def load_moments(model, path: str | Path) -> Moments:
    """Moments from a file.

    Args:
        model: the model that they are of.
        path: a file written by `Moments.save`.

    Returns:
        `Moments`.

    Raises:
        KitError: no such file, not a file of moments, or moments of another model, other weights or
            another convention.

    Example:
        >>> import kit
        >>> from tempfile import TemporaryDirectory
        >>> model = kit.load("stickers-l8")
        >>> moments = kit.collect(model, kit.world.draw(4, seed=1), "moments", "four scenes")
        >>> with TemporaryDirectory() as folder:
        ...     moments.save(f"{folder}/four.safetensors")
        ...     load_moments(model, f"{folder}/four.safetensors").mean.shape
        torch.Size([36, 32])
    """
    facts, tensors = load_collected(path, "moments")
    frozen = frozen_graph(model)
    if facts["convention"] != CONVENTION:
        raise KitError(
            f'"{Path(path).name}" holds moments of "{facts["convention"]}", but this kit reads those of '
            f'"{CONVENTION}"; collect them again with kit.collect.'
        )
    names = facts.pop("parts")
    moments = Moments(**facts, **tensors, index=frozen.index, gain=None)
    check_weights(model, moments, "moments")
    rows = [moments.parts.index(name) for name in names]
    return replace(moments, index=_rows(frozen.index, rows), gain=_gain(frozen, rows))


def collect_moments(model, images, name: str, batch: int, selector: str) -> Moments:
    """Moments of the selected parts over images, which `model.preprocess` reads, in one pass."""
    frozen = frozen_graph(model)
    rows = _chosen(frozen.index, selector)
    facts = {"name": name, "model": model.name, "weights_hash": model.weights_hash}
    facts |= {"index": _rows(frozen.index, rows), "gain": _gain(frozen, rows)}
    starts = tqdm(range(0, len(images), batch), desc="moments", unit="batch", delay=2)
    runs = (Run.of(model, model.preprocess(images[start : start + batch])) for start in starts)
    return reduce(Moments.merge, (_of_run(run, rows, facts) for run in runs))


def _of_run(run: Run, rows: list[int], facts: dict) -> Moments:
    """The moments of one batch."""
    values = _coordinates(run, rows, facts["gain"]) / run.norm[:, None, None]
    values = values.double().cpu().transpose(0, 1)  # [part, batch, coordinate]
    mean, count = values.mean(1), values.shape[1]
    centred = values - mean[:, None]
    return Moments(**facts, count=count, mean=mean, covariance=centred.mT @ centred / count)


def _coordinates(run: Run, rows: list[int], gain: Tensor | None) -> Tensor:
    """Coordinates of the parts, not yet divided, [batch, part, coordinate]."""
    if gain is None:
        return run.vectors()[:, rows]
    begins = _beginnings(run.frozen)
    pieces = [run.written(begins[r][0])[:, :, begins[r][1]].flatten(1) for r in rows]
    return torch.stack([pad(piece, (0, gain.shape[1] - piece.shape[1])) for piece in pieces], 1)


def _gain(frozen: FrozenGraph, rows: list[int]) -> Tensor | None:
    """The matrices that take coordinates to the representation, [part, coordinate, embed].

    None where a part has no such matrix, or one with more rows than columns.
    """
    begins = _beginnings(frozen)
    if not frozen.plain or not begins.keys() >= set(rows):
        return None
    gains = [begins[r][0].gain[:, begins[r][1]].flatten(0, 1) for r in rows]  # [coordinate, embed]
    most = max(len(gain) for gain in gains)
    if most > gains[0].shape[1]:
        return None
    return torch.stack([pad(gain, (0, 0, 0, most - len(gain))) for gain in gains]).cpu()


def _beginnings(frozen: FrozenGraph) -> dict[int, tuple]:
    """The source and the head in which each part begins, constants apart."""
    pairs = zip(frozen.sources, frozen.parts_of)
    return {part: (source, head) for source, parts in pairs for head, part in enumerate(parts)}


def _chosen(index: pd.DataFrame, selector: str) -> list[int]:
    rows = select(index, selector)
    if not rows:
        raise KitError(f'"{selector}" chooses no part; there are {len(index)}, see the index.')
    return rows


def _rows(index: pd.DataFrame, rows: list[int]) -> pd.DataFrame:
    return index.iloc[rows].reset_index(drop=True)


def _short(value: object) -> str:
    text = f'"{value}"'
    return text if len(text) < 100 else f"{text[:60]} … {text[-30:]}"
