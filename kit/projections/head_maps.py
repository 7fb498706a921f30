"""Where each head of a model reads what it writes along a direction, over many images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from kit.axes import expect_shape
from kit.errors import KitError
from kit.measures import bootstrap_interval, mass_elsewhere, mass_inside
from kit.models.images import AnyImages
from kit.models.model import Model
from kit.parts import run
from kit.parts.part_scores import attention_row
from kit.projections.prompts import prompt_directions
from kit.world import Scenes, prompts

BATCH = 50


@dataclass(frozen=True)
class HeadMaps:
    """Maps of all heads over a set of images.

    Attributes:
        values: what each head adds from each token to the image's direction, a share of the cosine,
            [image, head, token]; prefix tokens first, then patches row by row.
        attention: how much of what a head reads it reads at each token, whatever it writes, over tokens 1,
            [image, head, token].
        heads: one row for each head, as in `Parts.index`.
        prefix: number of tokens before the patches.
        grid: rows and columns of patches.
    """

    values: Tensor
    attention: Tensor
    heads: pd.DataFrame
    prefix: int
    grid: tuple[int, int]

    @property
    def patches(self) -> Tensor:
        """The values without the prefix tokens, [image, head, patch]."""
        return self.values[:, :, self.prefix :]

    @property
    def looks(self) -> Tensor:
        """The attention without the prefix tokens, [image, head, patch]."""
        return self.attention[:, :, self.prefix :]

    def number(self, name: str) -> int:
        """The place of a head on the second axis.

        Raises:
            KitError: no such head.
        """
        names = self.heads["name"].tolist()
        if name not in names:
            raise KitError(f'no head "{name}"; there are {len(names)}, from {names[0]} to {names[-1]}.')
        return names.index(name)

    def of(self, head: str) -> Tensor:
        """The map of one head, [image, patch]."""
        return self.patches[:, self.number(head)]

    def heat(self, head: str, image: int) -> Tensor:
        """The map of one head on one image, [row, col]."""
        return self.of(head)[image].unflatten(0, self.grid)

    def gaze(self, head: str, image: int) -> Tensor:
        """The attention of one head on one image, [row, col]."""
        return self.looks[image, self.number(head)].unflatten(0, self.grid)

    def mass(self, inside: Tensor) -> Tensor:
        """Share of each head's map that lies on an object, [image, head]; see `kit.measures.mass_inside`."""
        return torch.stack([mass_inside(each, inside) for each in self.patches.unbind(1)], 1)

    def at_gaze(self, head: str) -> Tensor:
        """What a head adds at the patch that it looks at most, [image]."""
        most = self.looks[:, self.number(head)].argmax(1, keepdim=True)
        return self.of(head).gather(1, most)[:, 0]

    def silent(self, share: float = 0.1) -> Tensor:
        """Whether a head adds next to nothing at the patch that it looks at most, bool [image, head].

        Args:
            share: of what it adds at its strongest patch, below which that is next to nothing.
        """
        sizes, most = self.patches.abs(), self.looks.argmax(-1, keepdim=True)
        return sizes.gather(2, most)[..., 0] < share * sizes.amax(-1)

    def pushing(
        self, regions: Mapping[str, Tensor], most: int = 4, least: int = 3, seed: int = 0
    ) -> pd.DataFrame:
        """The heads that add most to the direction and those that add least, and where they do so.

        Args:
            regions: name -> share of each token's pixels that lie on it, [image, token].
            most, least: how many heads of each end.
            seed: of the bootstrap over images.

        Returns:
            One row for each head: `adds`, the mean of its score; for each region the share of its map that
            lies there, an `Interval`. Of a head that takes away that is its negative part.
        """
        adds = self.values.sum(2).mean(0)  # [head]
        order = adds.argsort(descending=True, stable=True).tolist()
        rows = {}
        for k in [*order[:most], *order[: -least - 1 : -1]]:
            name = self.heads["name"][k]
            mine = self.of(name) * (1 if adds[k] > 0 else -1)
            shares = {
                what: bootstrap_interval(mass_inside(mine, each), seed) for what, each in regions.items()
            }
            rows[name] = {"adds": float(adds[k]), **shares}
        return pd.DataFrame.from_dict(rows, orient="index")


def maps_of_labels(model: Model, scenes: Scenes, attributes: Sequence[str]) -> dict[str, HeadMaps]:
    """Maps of each scene for its own value of some attributes: its prompt, minus the mean of the others'.

    Args:
        model: as of `head_maps`, with a text tower.
        scenes: of the world, in which each has a value of every attribute.
        attributes: names, such as `"colour"`.

    Example:
        >>> import kit
        >>> scenes = kit.world.draw(2, seed=1)
        >>> list(maps_of_labels(kit.load("stickers-l8"), scenes, ["background"]))
        ['background']
    """
    told = {name: prompt_directions(model.encode_text(prompts(name)), "contrast") for name in attributes}
    return head_maps(model, scenes, {name: each[scenes.codes[name]] for name, each in told.items()})


def maps_on_regions(
    found: Mapping[str, HeadMaps], regions: Mapping[str, Tensor], heads: Mapping[str, str], seed: int = 0
) -> pd.DataFrame:
    """How much of a head's map lies on the right region, and on the regions of ten other images.

    Args:
        found: attribute -> maps for its true value.
        regions: attribute -> share of each token's pixels that lie on the region, [image, token].
        heads: attribute -> the head that is asked.
        seed: of the bootstrap over images.

    Returns:
        One row for each attribute: `head`; `share` of its map on the region; `area` of the region, which is
        what a map gets that knows nothing; `others`, its share on the regions of other images; `gain`, the
        share minus that, an `Interval`, paired by image.

    Example:
        >>> head = pd.DataFrame({"name": ["L0.H0"]})
        >>> maps = HeadMaps(torch.eye(4)[:, None], torch.ones(4, 1, 4), head, 0, (2, 2))
        >>> maps_on_regions({"lit": maps}, {"lit": torch.eye(4)}, {"lit": "L0.H0"})["share"].tolist()
        [1.0]
    """
    rows = {}
    for attribute, region in regions.items():
        mine = found[attribute].of(heads[attribute])
        own, other = mass_inside(mine, region), mass_elsewhere(mine, region)
        means = {"share": own, "area": region, "others": other}
        row = {"head": heads[attribute]} | {name: float(each.mean()) for name, each in means.items()}
        rows[attribute] = row | {"gain": bootstrap_interval(own - other, seed)}
    return pd.DataFrame.from_dict(rows, orient="index")


def written_at_gaze(model: Model, images: AnyImages, maps: HeadMaps) -> Tensor:
    """How long the vector is that a head writes at the patch that it looks at most, [image, head].

    Over the length of what it writes at the strongest patch of its map: near zero, it writes nothing there;
    about one, it writes what the direction of the map does not ask for.

    Args:
        model: of the maps.
        images: the first of those that were mapped.
        maps: from `head_maps`.
    """
    held = run(model, model.preprocess(images))
    written = held.token_vectors("L*.H*")[:, :, held.prefix :].norm(dim=-1)  # [image, head, patch]
    most, strongest = maps.looks.argmax(-1, keepdim=True), maps.patches.abs().argmax(-1, keepdim=True)
    return (written.gather(2, most[: len(written)]) / written.gather(2, strongest[: len(written)]))[..., 0]


def head_maps(
    model: Model, images: AnyImages, directions: Tensor | dict, batch: int = BATCH
) -> HeadMaps | dict:
    """What each head adds from each token to a direction that may differ from image to image.

    map_i = ⟨c_i, t⟩: c_i is what the head reads from token i and writes, over the length of the whole
    representation. Over the tokens it sums to the head's score, over the heads to the token's.

    Args:
        model: one whose representation reads one row of attention in each layer.
        images: as for `Model.preprocess`, such as scenes of `kit.world`.
        directions: the direction of each image, unit length, [image, embed]; or several by name, which
            cost one pass all the same.
        batch: images that pass at a time.

    Returns:
        `HeadMaps`; where there are several directions, one for each name.

    Raises:
        KitError: another number of directions than images, or a tower without such a row.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, the joint decomposition into heads and tokens (figure 6).

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> scenes = kit.world.gallery()[:2]
        >>> maps = head_maps(model, scenes, model.encode_text(["a cat", "a whale"]))
        >>> maps.values.shape
        torch.Size([2, 36, 65])
    """
    named = directions if isinstance(directions, dict) else {"": directions}
    for vectors in named.values():
        expect_shape(vectors, "image embed", "directions", image=len(images), embed=model.embed_dim)
    values: dict[str, list[Tensor]] = {name: [] for name in named}
    attention = []
    for start in tqdm(range(0, len(images), batch), desc="maps", unit="batch", delay=2):
        some = slice(start, start + batch)
        held = run(model, model.preprocess(images[some]))
        if not held.frozen.plain:
            raise KitError(
                f'"{model.label}" has no one row of attention for a picture; run.maps(directions) gives its '
                "maps without attention."
            )
        for name, vectors in named.items():
            asked, own = vectors[some].unique(dim=0, return_inverse=True)
            maps = held.maps(asked)  # [batch, head, token, text]
            values[name].append(maps[torch.arange(len(own)), :, :, own])
        attention.append(torch.cat([attention_row(held, layer) for layer in range(model.layers)], 1))
    heads = held.index[held.index["kind"] == "head"].reset_index(drop=True)
    looks = torch.cat(attention)
    found = {
        name: HeadMaps(torch.cat(each), looks, heads, held.prefix, held.grid) for name, each in values.items()
    }
    return found if isinstance(directions, dict) else found[""]
