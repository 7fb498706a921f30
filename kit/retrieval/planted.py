"""A store with one head replaced by a known one whose mean lies far from zero: what retrieval must stand."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.errors import KitError
from kit.models.model import Model
from kit.parts.galleries import HOWS
from kit.parts.stores import Store
from kit.retrieval.tables import retrieval_table

LONGER, NOISE = 30.0, 0.2  # the mean, and all of the noise, beside what tells one value from another
KINDS = ("shifted", "strength")


def planted(store: Store, head: str, values, kind: str, seed: int = 0) -> Store:
    """The same store with a known head in the place of one of its own.

    - `"shifted"`: a direction of its own for each value, noise, and a vector thirty times longer that is
      the same for all images. By the inner product the same images come first for every query; a cosine
      stands it.
    - `"strength"`: the long vector and noise, all of it half as strong again for the second of two values.
      What it says, it says along its own mean, so that the cosine is blind to it; about the mean it is plain.

    Args:
        store: of heads in coordinates.
        head: whose coordinates are replaced.
        values: of an attribute, one for each image; two different ones for `"strength"`.
        kind: `"shifted"` or `"strength"`.
        seed: of directions and noise.

    Returns:
        A store on the same folder with that head's numbers in memory; layers are changed with it, the whole
        representation is not.

    Raises:
        KitError: another kind or head; values of other images, or too many different ones.

    Source:
        Ours; made for `kit.parts.galleries.Gallery`.
    """
    places = [i for i, part in enumerate(store.facts["heads"]) if store.index["name"][part] == head]
    codes, names = pd.factorize(pd.Series(values))
    if not places or kind not in KINDS or len(codes) != len(store):
        raise KitError(
            f"a head of the store, one of {', '.join(KINDS)}, and {len(store):,} values are wanted; asked "
            f'were "{head}", "{kind}", {len(codes):,} values.'
        )
    if kind == "strength" and len(names) != 2:
        raise KitError(f"a strength tells two values apart, but there are {len(names)}.")
    said = _said(codes, len(names), store.arrays["heads"].shape[2], kind, seed)
    heads = np.array(store.arrays["heads"])
    written = said @ _to_coordinates(store.gain[places[0]]) * store.norm[:, None]
    heads[store.rows, places[0]] = written.numpy()
    return replace(store, arrays={**store.arrays, "heads": heads})


def compare_planted(model: Model, store: Store, head: str, values: Mapping[str, pd.Series]) -> pd.DataFrame:
    """How well each comparison finds what a planted head knows.

    Args:
        model: that the store is of.
        store, head: as of `planted`.
        values: kind of planted head -> values, one for each image.

    Returns:
        One row for each kind and way to compare: `chance`, and `value`, `low`, `high` of the precision.

    Example:
        >>> import kit
        >>> model, scenes = kit.load("stickers-l8"), kit.world.draw(80, seed=1)
        >>> store = kit.collect(model, scenes, "store", "80 scenes", selector="L*")
        >>> found = compare_planted(model, store, "L5.H0", {"shifted": scenes.labels["background"]})
        >>> bool(found["value"]["shifted", "centred"] > found["value"]["shifted", "product"])
        True
    """
    rows = {}
    for kind, each in values.items():
        held, labels = planted(store, head, each, kind), pd.DataFrame({"x": np.asarray(each)})
        for how in HOWS:
            table = retrieval_table(model, held, labels, {"x": head}, how).set_index("space")
            rows[kind, how] = table.loc["head", ["chance", "value", "low", "high"]].astype(float)
    return pd.DataFrame(rows).T


def _said(codes: np.ndarray, values: int, width: int, kind: str, seed: int) -> Tensor:
    """What the head writes for each image, in coordinates of equal length, [image, coordinate]."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda n: torch.randn(n, width, generator=generator) / width**0.5  # noqa: E731
    own, mean, noise = (torch.nn.functional.normalize(draw(n), dim=1) for n in (values, 1, len(codes)))
    if kind == "shifted":
        return own[codes] + LONGER * mean + NOISE * noise
    return (mean + NOISE / 4 * noise) * (1 + torch.from_numpy(codes)[:, None] / 2)


def _to_coordinates(gain: Tensor) -> Tensor:
    """A matrix after which lengths in the embedding are lengths before it, [coordinate, coordinate]."""
    values, axes = torch.linalg.eigh((gain @ gain.T).double())
    kept = values > 1e-9 * values.max()
    return (axes[:, kept] / values[kept].sqrt() @ axes[:, kept].T).float()
