"""Moments of parts over a set of images: all that TextSpan, means and variances need to know of them.

A head writes y @ gain, its few coordinates y times a matrix that is fixed by the weights. So count, mean
and covariance of y say everything of second order about what it adds to the representation, in a state
whose size depends on the head alone, not on the images.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import pad

from kit.errors import KitError
from kit.models.model import Model
from kit.parts.accumulate import SumKeeper
from kit.parts.checked import checked_run
from kit.parts.files import check_weights, damaged_file, load_collected, save_collected, short
from kit.parts.frozen import FrozenGraph, frozen_graph
from kit.parts.one_pass import Request
from kit.parts.paper import paper_vectors
from kit.parts.runs import Run
from kit.parts.selector import select

CONVENTION = "exact parts over the length of the representation"
PAPER = "parts as the paper's code books them, over the length of the representation, rounded to float32"
CONVENTIONS = {"exact": CONVENTION, "paper": PAPER}
FACTS = ("name", "model", "weights_hash", "count", "convention", "preprocessing")


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
        preprocessing: how images became pixels.
        data: digests of the sets of images.
        root: of the paper's convention, a triangle R with R'R the sum of the squares about zero, float64
            [part, row, embed]; None in the exact one. It tells directions along which a part is but the
            rounding of float32, which squares have lost.
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
    preprocessing: str = ""
    data: tuple[str, ...] = ()
    root: Tensor | None = None

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
        rows = chosen_rows(self.index, selector)
        names = ("mean", "covariance", "gain", "root")
        kept = {name: None if (held := getattr(self, name)) is None else held[rows] for name in names}
        return replace(self, index=rows_of(self.index, rows), **kept)

    def merge(self, other: "Moments") -> "Moments":
        """The moments over the images of both, as if they had been collected in one pass.

        Raises:
            KitError: moments of another model, other weights, other parts, other pixels or another
                convention; a set of images that is in both.

        Source:
            Chan, Golub and LeVeque 1979, Updating formulae and a pairwise algorithm for computing
            sample variances, with sums divided by the counts.
        """
        for what in ("model", "weights_hash", "preprocessing", "convention", "parts"):
            mine, its = getattr(self, what), getattr(other, what)
            if mine != its:
                raise KitError(
                    f"moments merge where {what.replace('_', ' ')} is the same, but one has {short(mine)} "
                    f"and the other {short(its)}; collect both alike."
                )
        if twice := set(self.data) & set(other.data):
            raise KitError(
                f'the images of the set {min(twice)[:8]} ("{other.name}") are in both moments and would '
                "count twice; merge moments of different images."
            )
        name = self.name if other.name == self.name else f"{self.name} + {other.name}"
        return replace(self.joined(other), name=name, data=(*self.data, *other.data))

    def joined(self, other: "Moments") -> "Moments":
        """Both together, of the same parts and set; see `merge`."""
        count = self.count + other.count
        share, gap = other.count / count, other.mean - self.mean
        if self.root is not None:
            root = torch.linalg.qr(torch.cat([self.root, other.root], 1)).R
            return self.filled(count, {"mean": self.mean + share * gap, "root": root})
        between = share * (1 - share) * gap[:, :, None] * gap[:, None]
        covariance = (1 - share) * self.covariance + share * other.covariance + between
        return replace(self, count=count, mean=self.mean + share * gap, covariance=covariance)

    def save(self, path: str | Path, **more) -> None:
        """Write a safetensors file, first under a temporary name. The gain stays with the model.

        Args:
            path: the file.
            **more: further facts to write into it.
        """
        facts = self.facts | {"name": self.name, "count": self.count} | more
        save_collected(path, "moments", facts, self.tensors)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What was summed up, by the names that a file has for it."""
        squares = {"covariance": self.covariance} if self.root is None else {"root": self.root}
        return {"mean": self.mean, **squares}

    @property
    def facts(self) -> dict:
        """What two passes over the same images have in common."""
        kept = ("model", "weights_hash", "preprocessing", "convention", "parts")
        return {key: getattr(self, key) for key in kept} | {"data": list(self.data)}

    def over(self, values: Tensor) -> "Moments":
        """The same facts with the moments of values, float64 [part, image, coordinate]."""
        mean, count = values.mean(1), values.shape[1]
        if self.root is not None:
            return self.filled(count, {"mean": mean, "root": torch.linalg.qr(values).R})
        centred = values - mean[:, None]
        return replace(self, count=count, mean=mean, covariance=centred.mT @ centred / count)

    def filled(self, count: int, tensors: dict[str, Tensor]) -> "Moments":
        """The same facts with another count and other sums."""
        if self.root is not None:
            root, mean = tensors["root"], tensors["mean"]
            squares = root.mT @ root / count - mean[:, :, None] * mean[:, None]
            return replace(self, count=count, covariance=squares, **tensors)
        return replace(self, count=count, **tensors)


def load_moments(model: Model, path: str | Path) -> Moments:
    """Moments from a file.

    Args:
        model: the model that they are of.
        path: a file written by `Moments.save`.

    Returns:
        `Moments`.

    Raises:
        KitError: no such file, not a file of moments, one that is damaged, or moments of another model, other
            weights or another convention.

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
    try:
        names, kept, none = facts["parts"], {key: facts[key] for key in FACTS}, torch.zeros(0)
        empty = Moments(
            **kept, data=tuple(facts["data"]), index=pd.DataFrame(), mean=none, covariance=none, gain=None,
            root=none if facts["convention"] == PAPER else None,
        )  # fmt: skip
        moments = empty.filled(facts["count"], tensors)
    except (KeyError, TypeError, RuntimeError, IndexError) as error:
        raise damaged_file(Path(path), f"{type(error).__name__}: {error}") from error
    check_weights(model, moments, "moments")
    if moments.convention not in CONVENTIONS.values():
        raise KitError(
            f'"{Path(path).name}" holds moments of "{moments.convention}", but this kit reads those of '
            f'"{CONVENTION}" and of "{PAPER}"; collect them again with kit.collect.'
        )
    frozen = frozen_graph(model)
    known = {name: row for row, name in enumerate(frozen.index["name"])}
    if not names or set(names) - known.keys():
        raise damaged_file(Path(path), "it names parts that the model does not have")
    rows = [known[name] for name in names]
    gain = None if moments.root is not None else gain_of(frozen, rows)
    width = model.embed_dim if gain is None else gain.shape[1]
    shapes = [tuple(moments.mean.shape), tuple(moments.covariance.shape)]
    if shapes != [(len(rows), width), (len(rows), width, width)] or moments.mean.dtype != torch.float64:
        raise damaged_file(Path(path), f"mean and covariance of {len(rows)} parts are {shapes}")
    return replace(moments, index=rows_of(frozen.index, rows), gain=gain)


class MomentsKeeper(SumKeeper):
    """Adds up moments of the selected parts; of all heads where none are selected."""

    kind = "moments"

    def __init__(self, request: Request):
        model, frozen, paper = request.model, frozen_graph(request.model), request.convention == "paper"
        self.parts = chosen_rows(frozen.index, "L*.H*" if request.selector is None else request.selector)
        if paper and (constants := [r for r in self.parts if frozen.index["kind"][r] == "bias"]):
            raise KitError(
                f'"{frozen.index["name"][constants[0]]}" is no part in the paper\'s convention, where heads, '
                'MLPs and embed share the constants; take constants out of the selector with "!bias".'
            )
        empty = Moments(
            name=request.name,
            model=model.name,
            weights_hash=model.weights_hash,
            count=0,
            index=rows_of(frozen.index, self.parts),
            mean=torch.zeros(0),
            covariance=torch.zeros(0),
            gain=None if paper else gain_of(frozen, self.parts),
            convention=CONVENTIONS[request.convention],
            root=torch.zeros(0) if paper else None,
            preprocessing=model.preprocessing,
            data=(request.images.digest,),
        )
        super().__init__(request, empty)

    def of_batch(self, pixels: Tensor) -> Moments:
        """The moments of one batch."""
        run = checked_run(self.model, pixels)
        if self.empty.root is not None:
            index, values = paper_vectors(run)
            rows = [list(index["name"]).index(name) for name in self.empty.parts]
            values = (values[:, rows] / run.norm[:, None, None]).float()  # as the released code's files
            return self.empty.over(values.double().cpu().transpose(0, 1))
        values = coordinates(run, self.parts, self.empty.gain) / run.norm[:, None, None]
        return self.empty.over(values.double().cpu().transpose(0, 1))


def coordinates(run: Run, rows: list[int], gain: Tensor | None) -> Tensor:
    """Coordinates of the parts, not yet divided, [batch, part, coordinate]."""
    if gain is None:
        return run.vectors()[:, rows]
    begins = _beginnings(run.frozen)
    pieces = [run.written(begins[r][0])[:, :, begins[r][1]].flatten(1) for r in rows]
    return torch.stack([pad(piece, (0, gain.shape[1] - piece.shape[1])) for piece in pieces], 1)


def gain_of(frozen: FrozenGraph, rows: list[int]) -> Tensor | None:
    """The matrices that take coordinates to the representation, [part, coordinate, embed].

    None where a part has no such matrix, or one with more rows than columns.
    """
    begins = _beginnings(frozen)
    if not frozen.plain or not begins.keys() >= set(rows):
        return None
    gains = [begins[r][0].whole[:, begins[r][1]].flatten(0, 1) for r in rows]  # [coordinate, embed]
    most = max(len(gain) for gain in gains)
    if most > gains[0].shape[1]:
        return None
    return torch.stack([pad(gain, (0, 0, 0, most - len(gain))) for gain in gains]).cpu()


def _beginnings(frozen: FrozenGraph) -> dict[int, tuple]:
    """The source and the head in which each part begins, constants apart."""
    pairs = zip(frozen.sources, frozen.parts_of)
    return {part: (source, head) for source, parts in pairs for head, part in enumerate(parts)}


def chosen_rows(index: pd.DataFrame, selector: str) -> list[int]:
    """Rows of the index that a selector chooses, at least one."""
    rows = select(index, selector)
    if not rows:
        raise KitError(f'"{selector}" chooses no part; there are {len(index)}, see the index.')
    return rows


def rows_of(index: pd.DataFrame, rows: list[int]) -> pd.DataFrame:
    """These rows of the index, numbered anew."""
    return index.iloc[rows].reset_index(drop=True)
