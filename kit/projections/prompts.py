"""Directions that scores are taken against: of prompts, and of a picture's own representation."""

from collections.abc import Callable, Iterable
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import normalize

from kit.errors import KitError, nearest
from kit.models.model import Model

OWN, APART, CHANCE = "its own direction", "what sets it apart", "a random direction"
DIRECTIONS = (OWN, APART, CHANCE)
AT_ONCE = 64  # images that are held at once
# What each is before it is made unit, in lines of Python; `images` are those that it is set apart from.
LINES = {
    OWN: "run.representation",
    APART: "run.representation - model.encode_image(model.preprocess(images)).mean(0)",
    CHANCE: "torch.randn(1, model.embed_dim, generator=torch.Generator().manual_seed(0))",
}


def prompt_directions(vectors: Tensor, how: str) -> Tensor:
    """Unit directions of prompts, [text, embed], from their unit vectors.

    `"contrast"`: each prompt minus the mean of the others, made unit again. Texts all lie in one cone,
    and what they share says nothing about a picture. One prompt alone stays as it is.

    Example:
        >>> prompt_directions(torch.eye(2), "contrast")
        tensor([[ 0.7071, -0.7071],
                [-0.7071,  0.7071]])
    """
    n = len(vectors)
    if how != "contrast" or n < 2:
        return vectors
    others = (vectors.sum(0, keepdim=True) - vectors) / (n - 1)  # [text, embed]
    return normalize(vectors - others, dim=-1)


def apart(vectors: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """For each image the unit direction of one text minus another, [image, embed]: one thing, not the other.

    Args:
        vectors: unit vectors of texts, [text, embed].
        one, other: numbers of an image's texts, int [image]; where they are the same, the direction is zero.

    Example:
        >>> apart(torch.eye(2), torch.tensor([0]), torch.tensor([1]))
        tensor([[ 0.7071, -0.7071]])
    """
    return normalize(vectors[one] - vectors[other], dim=-1, eps=1e-6)


def picture_direction(representation: Tensor, name: str, mean: Callable[[], Tensor]) -> Tensor:
    """Unit direction of a picture without any text, [1, embed].

    Args:
        representation: of the picture, [1, embed].
        name: of `DIRECTIONS`: that of the representation itself, of what is left of it without the mean of
            other pictures, or a random one, the same each time.
        mean: gives the mean representation of the other pictures, [embed]; called where it is needed.

    Raises:
        KitError: another name.

    Example:
        >>> picture_direction(torch.tensor([[3.0, 4.0]]), APART, lambda: torch.tensor([3.0, 0.0]))
        tensor([[0., 1.]])
    """
    if name not in DIRECTIONS:
        known = ", ".join(DIRECTIONS)
        raise KitError(f'no direction "{name}" here; there are {known}.{nearest(name, DIRECTIONS)}')
    z = representation
    if name == CHANCE:
        z = torch.randn(z.shape, generator=torch.Generator().manual_seed(0)).to(z)
    if name == APART:
        z = z - mean()
    return normalize(z, dim=-1)


def mean_representation(model: Model, images: Iterable) -> Tensor:
    """The mean representation of some images, [embed], from which one of them is set apart.

    Args:
        model: from `kit.load`.
        images: as `preprocess` reads them; at most 64 are held at once.

    Raises:
        KitError: fewer than two images.
    """
    found, images = [], iter(images)
    while some := list(islice(images, AT_ONCE)):
        found.append(model.encode_image(model.preprocess(some)))
    if sum(map(len, found)) < 2:
        raise KitError(f'"{APART}" compares pictures, and there is one; give at least two.')
    return torch.cat(found).mean(0)
