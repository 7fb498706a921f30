"""Galleries: images of a store compared in the space of one head, of a layer, or of the whole model.

A head writes y @ gain, so the inner product of what it wrote for two images is y @ (gain @ gain.T) @ y':
all comparisons run in its few coordinates, and what every head adds to every image is never spread out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kit.data.sets import Picks
from kit.errors import KitError, nearest
from kit.models.model import Model
from kit.parts.checked import checked_run
from kit.parts.files import check_weights
from kit.parts.moments import rows_of
from kit.parts.stores import Store

FULL = "full model"
HOWS = ("product", "raw", "centred")
AT_ONCE = 1 << 20  # numbers of the store that are worked on at a time: few enough for a processor's cache
KEPT = 1 << 23  # numbers of the vectors that are kept
SAME = 1e-5  # relative distance of two representations of one picture: rounding of another batch size
LAYER_KINDS = ("head", "mlp", "branch")


@dataclass(frozen=True)
class Query:
    """One image that others are compared with.

    Attributes:
        vectors: what it has in each space over the length of its representation, [space, embed].
        number: its own number in the gallery; None where it is not one of its images.
    """

    vectors: Tensor
    number: int | None = None


class Gallery:
    """The images of a store, to be ranked by how alike they are to one of them or to another picture.

    A space is what one head wrote, what a layer wrote (those of its heads and its MLP that the store keeps),
    or the whole representation; all over the length of the representation, as scores are. Two images are
    compared by

    - `"product"`: the inner product, as the released notebook does. A part with a large mean then ranks
      the same images first for every query.
    - `"raw"`: the cosine. A shift alone does no harm, but what a head says by how *strongly* it writes
      along its own mean is lost.
    - `"centred"`: the cosine after the gallery's mean was taken away.

    Args:
        store: of heads in coordinates, `kit.collect(..., keep="store")`.

    Attributes:
        store: the same.
        heads: rows of its index that are heads: name, kind, layer, head.
        spaces: names: heads, layers ("L5"), `"full model"`.
        means: of what is compared, over the gallery: [space, embed].

    Raises:
        KitError: the store keeps no head in coordinates.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, figure 4, and its released notebook `nns.ipynb`, which
        ranks by the inner product and caches nothing. The cosines are ours.

    Example:
        >>> import kit
        >>> model, scenes = kit.load("stickers-l8"), kit.world.draw(6, seed=1)
        >>> gallery = Gallery(kit.collect(model, scenes, "store", "six scenes", selector="L*"))
        >>> numbers, values = gallery.nearest(gallery.query(2), "L5.H0", k=3)
        >>> 2 in numbers.tolist(), len(numbers)
        (False, 3)
    """

    def __init__(self, store: Store):
        if not store.facts["heads"]:
            raise KitError(
                f"the store of {store.model} keeps no head in coordinates, in which images are compared; "
                'collect one with selector="L*".'
            )
        self.store, index = store, store.index
        self.heads = rows_of(index, list(store.facts["heads"]))
        layers = sorted({int(layer) for layer in self.heads["layer"]})
        self.spaces = [*self.heads["name"], *(f"L{layer}" for layer in layers), FULL]
        self._layer = np.array([layers.index(int(layer)) for layer in self.heads["layer"]])
        self._rest = [  # parts of these layers that are kept as vectors: place among them, layer
            (place, layers.index(int(index["layer"][part])))
            for place, part in enumerate(store.facts["others"])
            if index["kind"][part] in LAYER_KINDS and index["layer"][part] in layers
        ]
        self._layers = len(layers)
        self._gain = store.gain.float()  # [head, coordinate, embed]
        self._gram = self._gain @ self._gain.mT
        self._means = self._mean_of_arrays()
        self.means = self._spread(*(each[None] for each in self._means))[0]  # [space, embed]
        self._lengths: dict[bool, Tensor] = {}
        self._kept: dict[tuple, Tensor] = {}  # vectors of spaces, for the next question about them

    def __len__(self) -> int:
        return len(self.store)

    def __repr__(self) -> str:
        return f'<Gallery "{self.store.name}": {len(self):,} images, {len(self.spaces)} spaces>'

    # --- queries

    def query(self, number: int) -> Query:
        """An image of the gallery, by its number.

        Raises:
            KitError: no such image.
        """
        if not 0 <= number < len(self):
            raise KitError(f"no image {number}: the gallery has {len(self):,}, counted from 0.")
        return Query(self._spread(*next(self._chunks(slice(number, number + 1))))[0], number)

    def ask(self, model: Model, pixels: Tensor) -> Query:
        """Any picture as a query: one run of the image tower.

        A picture that is in the gallery is found there, so that it is not its own nearest.

        Args:
            model: that the store is of.
            pixels: [1, 3, height, width], from `model.preprocess`.

        Raises:
            KitError: another model or other weights; more than one picture.
        """
        check_weights(model, self.store, "parts of a store")
        if len(pixels) != 1:
            raise KitError(f"{len(pixels)} pictures were given as one query; give one.")
        run = checked_run(model, pixels, tokens=False)
        names, norm = list(run.index["name"]), run.norm[:, None, None]
        written = run.vectors() / norm  # [1, part, embed]
        heads = written[:, [names.index(name) for name in self.heads["name"]]]
        kept = [self.store.index["name"][part] for part in self.store.facts["others"]]
        rest = written[:, [names.index(kept[place]) for place, _ in self._rest]]
        full = run.representation / norm[:, 0]
        vectors = self._together(heads.cpu(), rest.cpu(), full.cpu())[0]
        return Query(vectors, self._same_as(vectors[-1]))

    def _same_as(self, full: Tensor) -> int | None:
        """The image of the gallery whose representation this is; None where there is none."""
        found = [(whole - full).norm(dim=-1) for _, _, whole in self._chunks(heads=False)]
        distance, number = torch.cat(found).min(0)
        return int(number) if distance < SAME else None

    # --- rankings

    def scores(self, query: Query, how: str = "centred") -> Tensor:
        """How alike every image is to the query in every space, [image, space].

        Args:
            query: from `query` or `ask`.
            how: `"product"`, `"raw"` or `"centred"`.

        Raises:
            KitError: another way to compare.
        """
        centred = _known(how) == "centred"
        asked = query.vectors - self.means if centred else query.vectors
        own = asked[: len(self.heads)]
        of_layer = asked[len(self.heads) : -1]
        weights = torch.stack([own, of_layer[self._layer]], -1)  # [head, embed, 2]
        weights = self._gain @ weights  # [head, coordinate, 2]
        found = []
        for heads, rest, full in self._chunks(centred=centred):
            each = (heads.transpose(0, 1) @ weights).transpose(0, 1)  # [image, head, 2]
            layers = each.new_zeros(len(each), self._layers)
            layers.index_add_(1, torch.from_numpy(self._layer), each[..., 1])
            for place, (_, layer) in enumerate(self._rest):
                layers[:, layer] += rest[:, place] @ of_layer[layer]
            found.append(torch.cat([each[..., 0], layers, (full @ asked[-1])[:, None]], 1))
        found = torch.cat(found)
        if how == "product":
            return found
        return found / (self.lengths(centred) * asked.norm(dim=-1)).clamp_min(torch.finfo(found.dtype).tiny)

    def nearest(self, query: Query, space: str, k: int = 10, how: str = "centred") -> tuple[Tensor, Tensor]:
        """Numbers of the images that are most alike to the query in one space, and how alike they are.

        An image is never its own neighbour; of equal ones the first comes first.

        Args:
            query: from `query` or `ask`.
            space: one of `spaces`.
            k: how many.
            how: `"product"`, `"raw"` or `"centred"`.

        Returns:
            Two tensors [k].

        Raises:
            KitError: another space or way to compare, more images than there are.
        """
        return self.best(self.scores(query, how), query, space, k)

    def best(self, scores: Tensor, query: Query, space: str, k: int) -> tuple[Tensor, Tensor]:
        """`nearest` from scores that are known already."""
        self._enough(k, len(self))
        values = scores[:, self.place(space)].clone()
        if query.number is not None:
            values[query.number] = -torch.inf
        order = values.argsort(descending=True, stable=True)[:k]
        return order, values[order]

    def neighbours(self, space: str, k: int = 10, how: str = "centred", among=None, queries=None) -> Tensor:
        """For many images of the gallery at once their nearest others, best first, [query, k].

        Args:
            space: one of `spaces`.
            k: how many.
            how: `"product"`, `"raw"` or `"centred"`.
            among: numbers of the images that are ranked; None = all.
            queries: numbers of the images whose neighbours are asked; None = those that are ranked.

        Raises:
            KitError: another space or way to compare, more images than there are.
        """
        among = torch.arange(len(self)) if among is None else torch.as_tensor(among)
        queries = among if queries is None else torch.as_tensor(queries)
        self._enough(k, len(among))
        vectors = self.vectors(space, how)
        ranked, found = vectors[among], []
        for some in queries.split(max(1, (1 << 22) // len(among))):
            alike = vectors[some] @ ranked.T  # [query, image]
            alike[some[:, None] == among[None]] = -torch.inf
            found.append(among[alike.topk(k, dim=1).indices])
        return torch.cat(found)

    def vectors(self, space: str, how: str = "raw") -> Tensor:
        """The images in one space, such that inner products are what is compared, [image, dim].

        Heads keep their few dimensions: coordinates times the square root of their Gram matrix.

        Args:
            space: one of `spaces`.
            how: `"product"`, `"raw"` (unit length) or `"centred"` (unit length about the mean).
        """
        key = self.place(space), _known(how)
        if key not in self._kept:
            found = self._written(key[0], how == "centred")
            while self._kept and sum(v.numel() for v in self._kept.values()) + found.numel() > KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = found if how == "product" else torch.nn.functional.normalize(found, dim=1)
        return self._kept[key]

    def _written(self, place: int, centred: bool) -> Tensor:
        """The images in the space at one place, its own arrays alone read, [image, dim]."""
        arrays, rows, found = self.store.arrays, self.store.rows, []
        layer = place - len(self.heads)
        mine = [place] if layer < 0 else np.flatnonzero(self._layer == layer).tolist()
        others = [(p, at) for p, (at, its) in enumerate(self._rest) if its == layer]
        means = self._means
        for some in np.array_split(rows, max(1, len(rows) // 4096)):
            norm = torch.from_numpy(arrays["scalars"][some, 0])[:, None]
            if layer == self._layers:
                one = torch.from_numpy(arrays["embedding"][some]) / norm
                found.append(one - means[2] if centred else one)
                continue
            heads = torch.from_numpy(arrays["heads"][some[:, None], mine]) / norm[:, None]
            heads = heads - means[0][mine] if centred else heads
            if layer < 0:
                found.append(heads[:, 0] @ _root(self._gram[place]))
                continue
            one = heads.flatten(1) @ self._gain[mine].flatten(0, 1)
            for p, at in others:
                rest = torch.from_numpy(arrays["others"][some, at]) / norm
                one = one + (rest - means[1][p] if centred else rest)
            found.append(one)
        return torch.cat(found)

    def lengths(self, centred: bool) -> Tensor:
        """Length of every image in every space, about the mean or not; worked out once, [image, space]."""
        if centred not in self._lengths:
            found = []
            for chunk in self._chunks(centred=centred):
                heads = chunk[0].transpose(0, 1)  # [head, image, coordinate]
                own = ((heads @ self._gram) * heads).sum(-1).clamp_min(0).sqrt().T
                found.append(torch.cat([own, self._together_wide(*chunk).norm(dim=-1)], 1))
            self._lengths[centred] = torch.cat(found)
        return self._lengths[centred]

    def mean_over_spread(self) -> Tensor:
        """Length of each head's mean over the standard deviation about it, [head]."""
        heads = slice(0, len(self.heads))
        return self.means[heads].norm(dim=1) / self.lengths(True)[:, heads].square().mean(0).sqrt()

    def place(self, space: str) -> int:
        """The place of a space among `spaces`.

        Raises:
            KitError: it is not there.
        """
        if space not in self.spaces:
            raise KitError(
                f'no space "{space}"; there are the {len(self.heads)} heads, the layers and "{FULL}".'
                f"{nearest(space, self.spaces)}"
            )
        return self.spaces.index(space)

    def _enough(self, k: int, images: int) -> None:
        if not 1 <= k < images:
            raise KitError(f"{k} nearest of {images:,} images cannot be shown; ask for 1 to {images - 1:,}.")

    # --- what the store holds

    def _chunks(
        self, images: Picks | None = None, centred: bool = False, heads: bool = True
    ) -> Iterator[tuple]:
        """Coordinates of heads, vectors of the rest, whole representations, all over its length, in turn."""
        arrays = self.store.arrays
        rows = self.store.rows if images is None else self.store.rows[images]
        step = max(1, AT_ONCE // self._gain[..., 0].numel())
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            norm = torch.from_numpy(arrays["scalars"][some, 0])[:, None, None]
            written = torch.from_numpy(arrays["heads"][some]) / norm if heads else norm
            places = [place for place, _ in self._rest]
            rest = written.new_zeros(len(some), 0, self._gain.shape[-1])
            if places and heads:
                rest = torch.from_numpy(arrays["others"][some][:, places]) / norm
            full = torch.from_numpy(arrays["embedding"][some]) / norm[:, 0]
            if centred:
                written, rest, full = (x - mean for x, mean in zip((written, rest, full), self._means))
            yield written, rest, full

    def _mean_of_arrays(self) -> tuple[Tensor, Tensor, Tensor]:
        """Means of what `_chunks` gives."""
        sums = None
        for chunk in self._chunks():
            more = [each.double().sum(0) for each in chunk]
            sums = more if sums is None else [a + b for a, b in zip(sums, more)]
        return tuple((each / len(self)).float() for each in sums)

    def _spread(self, heads: Tensor, rest: Tensor, full: Tensor) -> Tensor:
        """All spaces of a few images, [image, space, embed]."""
        return self._together((heads[:, :, None] @ self._gain)[:, :, 0], rest, full)

    def _together(self, heads: Tensor, rest: Tensor, full: Tensor) -> Tensor:
        """Heads [image, head, embed], what else layers hold, and the whole, as [image, space, embed]."""
        layers = heads.new_zeros(len(heads), self._layers, heads.shape[-1])
        layers.index_add_(1, torch.from_numpy(self._layer), heads)
        for place, (_, layer) in enumerate(self._rest):
            layers[:, layer] += rest[:, place]
        return torch.cat([heads, layers, full[:, None]], 1)

    def _together_wide(self, heads: Tensor, rest: Tensor, full: Tensor) -> Tensor:
        """Layers and the whole, [image, layer + 1, embed], from coordinates: no head is spread out."""
        found = []
        for layer in range(self._layers):
            mine = np.flatnonzero(self._layer == layer)
            one = heads[:, mine].flatten(1) @ self._gain[mine].flatten(0, 1)
            found.append(one + sum(rest[:, p] for p, (_, its) in enumerate(self._rest) if its == layer))
        return torch.stack([*found, full], 1)


def _known(how: str) -> str:
    if how not in HOWS:
        raise KitError(f'no way "{how}" to compare; there are {", ".join(HOWS)}.{nearest(how, HOWS)}')
    return how


def _root(gram: Tensor) -> Tensor:
    """R with R @ R.T the Gram matrix, so that y @ R keeps inner products, [coordinate, dim]."""
    values, axes = torch.linalg.eigh(gram.double())
    return (axes * values.clamp_min(0).sqrt()).float()
