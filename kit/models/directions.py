"""Directions to score parts against, with and without a text tower."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from kit.axes import expect_shape
from kit.errors import KitError, nearest
from kit.models.model import Model


@dataclass(frozen=True)
class Directions:
    """Named unit vectors in the space of the representation.

    Attributes:
        names: one for each row.
        vectors: [text, embed], each of length 1.
    """

    names: list[str]
    vectors: Tensor

    def __len__(self) -> int:
        return len(self.names)


def directions(model: Model, spec, *, pixels=None, templates=None, count: int = 4) -> Directions:
    """Unit directions from texts, class names, vectors, images or the images' own variation.

    Args:
        model: the model whose space is meant.
        spec: one of
            a text or list of texts: encoded by the text tower; on a model without one, names of its classes:
                the head's row minus the mean row of all classes, which is what tells a class from the others
                (of the classes of its own attribute, where names are like "colour: red");
            "classes": all classes;
            (names, array [text, embed]): made unit;
            "self": each image of `pixels` gives its own direction z/|z|;
            "image": the same under another name, for scoring other images against these;
            "components": principal components of the representations of `pixels`, each signed so that
                its largest entry is positive.
        pixels: for "self", "image" and "components": preprocessed images [batch, 3, height, width].
        templates: for texts, see `Model.encode_text`.
        count: for "components": how many.

    Returns:
        `Directions`; rows of `vectors` have length 1.

    Raises:
        KitError: texts without a text tower and no class names; an unknown class; an array of another
            width, with zeros or NaN; no `pixels` where they are needed.

    Example:
        >>> import kit
        >>> model = kit.load("timm/vit_tiny_patch16_224", "random", config={"depth": 1})
        >>> directions(model, (["first", "second"], 3 * torch.eye(192)[:2])).vectors[:, :3]
        tensor([[1., 0., 0.],
                [0., 1., 0.]])
    """
    if isinstance(spec, tuple) and len(spec) == 2 and not isinstance(spec[1], str):
        return _from_array(model, *spec)
    if spec == "classes":
        return _from_classes(model, model.class_names)
    if isinstance(spec, str) and spec in ("self", "image"):
        return _from_images(model, _needed(pixels, spec), spec)
    if isinstance(spec, str) and spec == "components":
        return _components(model, _needed(pixels, spec), count)
    texts = [spec] if isinstance(spec, str) else list(spec)
    if not model.has_text and model.class_names is not None:
        return _from_classes(model, texts)
    return Directions(texts, model.encode_text(texts, templates))


def _needed(pixels, spec: str) -> Tensor:
    if pixels is None:
        raise KitError(f'directions "{spec}" come from images; give pixels=model.preprocess(images).')
    return pixels


def _from_array(model: Model, names, array) -> Directions:
    names = [str(name) for name in names]
    vectors = torch.as_tensor(np.asarray(array) if not isinstance(array, Tensor) else array)
    vectors = vectors.to(model.device, model.dtype)
    expect_shape(vectors, "text embed", "directions", text=len(names), embed=model.embed_dim)
    lengths = vectors.norm(dim=-1)  # [text]
    bad = [name for name, length in zip(names, lengths, strict=True) if not (0 < length < float("inf"))]
    if bad:
        raise KitError(f'the direction "{bad[0]}" has no length: its values are all zero, NaN or infinite.')
    return Directions(names, normalize(vectors, dim=-1))


def _from_classes(model: Model, names) -> Directions:
    if model.class_names is None or model.class_head is None:
        raise KitError(
            f'"{model.name}" has no class names; name the outputs of its head with '
            'load(..., config={"class_names": [...]}), or give directions as (names, array).'
        )
    places = {name: number for number, name in enumerate(model.class_names)}
    unknown = [name for name in names if name not in places]
    if unknown:
        raise KitError(
            f'"{model.name}" has no class "{unknown[0]}" among its {len(places)}, and no text tower for '
            f"other texts; see model.class_names.{nearest(unknown[0], places)}"
        )
    head = model.class_head  # [class, embed]
    means = _means(model.class_names, head)
    rows = torch.stack([head[places[name]] - means[places[name]] for name in names])
    return Directions(list(names), normalize(rows, dim=-1))


def _means(names: list[str], head: Tensor) -> list[Tensor]:
    """Mean row of each class's attribute, or of all classes where not every name is like "colour: red"."""
    attributes = [name.rpartition(": ")[0] for name in names]
    if not all(attributes):
        return [head.mean(0)] * len(names)
    members = {a: [row for row, b in enumerate(attributes) if a == b] for a in set(attributes)}
    means = {a: head[rows].mean(0) for a, rows in members.items()}
    return [means[a] for a in attributes]


def _from_images(model: Model, pixels: Tensor, what: str) -> Directions:
    vectors = normalize(model.encode_image(pixels), dim=-1)  # [batch, embed]
    return Directions([f"{what} {number}" for number in range(len(vectors))], vectors)


def _components(model: Model, pixels: Tensor, count: int) -> Directions:
    most = min(len(pixels) - 1, model.embed_dim)
    if not 1 <= count <= most:
        raise KitError(
            f"{count} principal components were asked of {len(pixels)} images, which have "
            f"{max(most, 0)}; give more images or a smaller count."
        )
    representations = model.encode_image(pixels).double()  # [batch, embed]
    centred = representations - representations.mean(0)
    vectors = torch.linalg.svd(centred, full_matrices=False).Vh[:count]  # [text, embed]
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    vectors = vectors * largest.sign()
    return Directions([f"component {number}" for number in range(count)], vectors.to(model.dtype))
