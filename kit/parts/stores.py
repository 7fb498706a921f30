"""Stores: for each image of a set what its parts are made of, in a folder of memory-mapped arrays.

A head's output is kept as its few coordinates, so a store is as small as the model allows, and whatever
is asked of it (scores, edits of the sum, means, moments of a subset) costs no pass of the model.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.data.sets import Picks, numbers_of
from kit.errors import KitError
from kit.parts.class_token import only_cls
from kit.parts.moments import Moments, rows_of
from kit.parts.selector import select

AT_ONCE = 1 << 24  # numbers that are worked on at a time


@dataclass(frozen=True)
class Store:
    """The parts of every image of a set.

    Everything that it gives is divided by the length of the image's representation, as scores are.
    `images` in its methods picks images: numbers, a slice, or a boolean array; None is all.

    Attributes:
        folder: where it lies.
        name: the set of images, in words.
        model: name of the model.
        weights_hash: of the model's image tower.
        index: one row for each part that is kept: name, kind, layer, head.
        labels: one row for each image that could be read.
        files: names of these images.
        damaged: name of an image -> why it could not be read.
        facts: what else the pass knows of itself.
        arrays: `heads` [image, part, coordinate], `others` [image, part, embed], `embedding`
            [image, embed], `scalars` [image, 2]: length of the representation, and 1/σ of the last norm
            (NaN where there is not one for each image), `sha256` [image, 32] of files or values, and where
            it was asked for `cls`, as `heads`, of what heads read at the class token. Nothing in them is
            divided; rows of images that could not be read are zero.
        rows: rows of the arrays that hold an image.
        gain: of the parts in `heads`, [part, coordinate, embed].
        stamps: by which the files of images are known as untouched, [image, 16].
    """

    folder: Path
    name: str
    model: str
    weights_hash: str
    index: pd.DataFrame
    labels: pd.DataFrame
    files: list[str]
    damaged: dict[str, str]
    facts: dict = field(repr=False)
    arrays: dict[str, np.ndarray] = field(repr=False)
    rows: np.ndarray = field(repr=False)
    gain: Tensor | None = field(repr=False)
    stamps: np.ndarray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Number of images that could be read."""
        return len(self.rows)

    def __repr__(self) -> str:
        return f'<Store "{self.name}": {len(self)} images, {len(self.index)} parts of {self.model}>'

    @property
    def norm(self) -> Tensor:
        """Length of each image's representation, [image]."""
        return torch.from_numpy(self.arrays["scalars"][self.rows, 0])

    def cosines(self, directions: Tensor, images: Picks | None = None) -> Tensor:
        """Cosine of each image's representation with each direction, [image, text].

        Args:
            directions: unit rows, [text, embed].
            images: which images.
        """
        rows = self._rows(images)
        whole = torch.from_numpy(self.arrays["embedding"][rows])
        return whole @ directions.to(whole).T / self._norm(rows)[:, None]

    def scores(self, directions: Tensor, images: Picks | None = None, selector: str | None = None) -> Tensor:
        """Score of each part for each direction, [image, part, text].

        Args:
            directions: [text, embed], or for each of the parts its own, [part, text, embed].
            images: which images.
            selector: which of the parts; None is all that are kept.
        """
        chosen = self._chosen(selector)
        own = directions if directions.ndim == 3 else directions.expand(len(chosen), -1, -1)
        embed = self.arrays["embedding"].shape[1]
        expect_shape(own, "part text embed", "directions", part=len(chosen), embed=embed)
        rows = self._rows(images)
        found = torch.empty(len(rows), len(chosen), own.shape[1])
        for array, places, within, gain in self._pieces(chosen):
            turned = own[places].to(found).mT  # [part, embed, text]
            turned = turned if gain is None else gain.to(found) @ turned  # [part, coordinate, text]
            for some in self._chunks(rows, array, within):
                values = torch.from_numpy(array[rows[some]][:, within])  # [image, part, coordinate]
                found[some, places] = torch.einsum("bpc,pct->bpt", values, turned)
        return found / self._norm(rows)[:, None, None]

    def vectors(self, images: Picks | None = None, selector: str | None = None) -> Tensor:
        """What each part adds, [image, part, embed].

        Args:
            images: which images.
            selector: which of the parts; None is all that are kept.
        """
        return self.scores(torch.eye(self.arrays["embedding"].shape[1]), images, selector)

    def means(self, images: Picks | None = None, selector: str | None = None) -> Tensor:
        """Mean of each part over images, float64 [part, embed].

        Args:
            images: which images.
            selector: which of the parts; None is all that are kept.
        """
        chosen, rows = self._chosen(selector), self._rows(images)
        norm = self._norm(rows).double()
        found = torch.empty(len(chosen), self.arrays["embedding"].shape[1], dtype=torch.float64)
        for array, places, within, gain in self._pieces(chosen):
            total = 0.0
            for some in self._chunks(rows, array, within):
                values = torch.from_numpy(array[rows[some]][:, within]).double()
                total = total + (values / norm[some, None, None]).sum(0)
            total = total / len(rows)  # [part, coordinate]
            found[places] = total if gain is None else (total[:, None] @ gain.double())[:, 0]
        return found

    def read_at_cls(self) -> "Store":
        """The heads of this store, each with what it read at the class token alone.

        Raises:
            KitError: the store was collected without `tokens="cls"`.
        """
        return only_cls(self)

    def moments(self, images: Picks | None = None, selector: str | None = None) -> Moments:
        """Moments of the heads over images, as `kit.collect(..., keep="moments")` gives them.

        Args:
            images: which images.
            selector: which of the heads; None is all that are kept.

        Raises:
            KitError: the selector names other parts than heads; the store keeps no coordinates of heads.
        """
        chosen, rows = self._chosen("L*.H*" if selector is None else selector), self._rows(images)
        pieces = list(self._pieces(chosen))
        if len(pieces) != 1:
            raise KitError("moments of a store are those of heads, or of other parts, not of both at once.")
        array, _, within, gain = pieces[0]
        norm = self._norm(rows).double()
        found = None
        empty = Moments(
            name=self.name,
            model=self.model,
            weights_hash=self.weights_hash,
            count=0,
            index=rows_of(self.index, chosen),
            mean=torch.zeros(0),
            covariance=torch.zeros(0),
            gain=gain,
            preprocessing=self.facts["preprocessing"],
            data=(self._digest(rows),),
        )
        for some in self._chunks(rows, array, within):
            values = torch.from_numpy(array[rows[some]][:, within]).double() / norm[some, None, None]
            new = empty.over(values.transpose(0, 1))
            found = new if found is None else found.joined(new)
        return found

    def _digest(self, rows: np.ndarray) -> str:
        """Digest of the set, or of the subset."""
        whole = self.facts["data"][0]
        every = len(rows) == len(self.rows) and (rows == self.rows).all()
        return whole if every else hashlib.sha256(whole.encode() + rows.tobytes()).hexdigest()

    def _chosen(self, selector: str | None) -> list[int]:
        return list(range(len(self.index))) if selector is None else select(self.index, selector)

    def picked(self, images: Picks | None = None) -> np.ndarray:
        """Numbers of the picked images, [image]; None is all."""
        return numbers_of(slice(None) if images is None else images, len(self))

    def _rows(self, images: Picks | None) -> np.ndarray:
        """Rows of the arrays of the picked images."""
        rows = self.rows[self.picked(images)]
        if len(rows) == 0:
            raise KitError(f"no image was picked of the {len(self)} in the store; pick at least one.")
        return rows

    def _norm(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self.arrays["scalars"][rows, 0])

    def _pieces(self, chosen: list[int]) -> Iterator[tuple[np.ndarray, list[int], list[int], Tensor | None]]:
        """For each array: it, places among the chosen, places within it, and the gain of these."""
        for key in ("heads", "others"):
            owned = list(self.facts[key])
            places = [place for place, part in enumerate(chosen) if part in owned]
            if places:
                within = [owned.index(chosen[place]) for place in places]
                yield self.arrays[key], places, within, self.gain[within] if key == "heads" else None

    def _chunks(self, rows: np.ndarray, array: np.ndarray, within: list[int]) -> Iterator[slice]:
        step = max(1, AT_ONCE // (len(within) * array.shape[2]))
        yield from (slice(start, start + step) for start in range(0, len(rows), step))
