"""Where each head of a model reads what it writes along a direction, over many images."""

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from kit.axes import expect_shape
from kit.errors import KitError
from kit.models.images import AnyImages
from kit.models.model import Model
from kit.parts import run
from kit.parts.part_scores import attention_row

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


def head_maps(
    model: Model, images: AnyImages, directions: Tensor | dict, batch: int = BATCH
) -> HeadMaps | dict:
    """What each head adds from each token to a direction that may differ from image to image.

    map_i = ⟨c_i, t⟩: c_i is what the head reads from token i and writes, over the length of the whole
    representation. Over the tokens it sums to the head's score, over the heads to the token's.

    Args:
        model: one whose representation reads one row of attention in each layer.
        images: as for `Model.preprocess`, such as `scenes.images`.
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
        >>> maps = head_maps(model, scenes.images, model.encode_text(["a cat", "a whale"]))
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
