"""Maps of parts in a file: what they map, into which space, and how well they did on other pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import normalize

from kit.errors import KitError
from kit.models.model import Model
from kit.models.names import SHIPPED
from kit.parts.files import check_weights, load_collected, save_collected
from kit.parts.stores import Store
from kit.projections.aligners import Aligner

if TYPE_CHECKING:
    from kit.projections.aligned import Aligned

KIND = "aligner"


def shipped_file(name: str, kind: str) -> Path:
    """Where the maps of a shipped tower lie."""
    return SHIPPED / name / f"aligner-{kind}.safetensors"


def thinned(aligner: Aligner, parts: Tensor, left_out: float) -> tuple[Tensor, Tensor, list[int]]:
    """The maps as products of two narrow matrices, of as many directions as mapped parts fill.

    Args:
        aligner: the maps.
        parts: what they were fitted on, [image, part, dim].
        left_out: share of a part's mapped variance that may go.

    Returns:
        `inside` [all ranks, dim], `outside` [all ranks, embed] and the rank of each part: the map of a part
        is the sum of outer products of its rows.
    """
    inside, outside, ranks = [], [], []
    for own, weight in zip((parts - parts.mean(0)).unbind(1), aligner.weights):
        mapped = (own @ weight).double()
        values, axes = torch.linalg.eigh(mapped.T @ mapped)
        left = values.clamp(min=0).cumsum(0) / values.clamp(min=0).sum().clamp(min=1e-300)
        axes = axes[:, left > left_out].to(weight)  # [embed, rank]
        inside.append((weight @ axes).T)
        outside.append(axes.T)
        ranks.append(axes.shape[1])
    return torch.cat(inside), torch.cat(outside), ranks


def inputs_of(store: Store, kind: str) -> Tensor:
    """What maps of a kind are fitted on, [image, part, dim]: the parts, or for one shared map their sum."""
    if kind != "shared":
        return store.vectors()
    return normalize(torch.from_numpy(store.arrays["embedding"][store.rows]), dim=-1)[:, None]


def _products(inside: Tensor, outside: Tensor, ranks: list[int]) -> Tensor:
    """Matrices [part, dim, embed] from their narrow factors."""
    return torch.stack([one.T @ other for one, other in zip(inside.split(ranks), outside.split(ranks))])


def save_aligner(path: Path | str, tower: Aligned, store: Store, left_out: float = 1e-4, **facts) -> None:
    """Write an aligned tower's maps, in half precision, with the hashes of the weights that they belong to.

    Args:
        path: the file.
        tower: from `kit.align`.
        store: what the maps were fitted on; it says which directions are worth keeping.
        left_out: share of each part's mapped variance that the file may leave out, to be smaller.
        facts: what else the file says: `name` of the pictures, `command`, `held_out`.

    Raises:
        KitError: something else lies there; it cannot be written.
    """
    aligner, parts = tower.aligner, inputs_of(store, tower.aligner.kind)
    inside, outside, ranks = thinned(aligner, parts, left_out)
    left = aligner.weights - _products(inside, outside, ranks)
    bias = aligner.bias + torch.einsum("pd,pde->e", parts.mean(0), left)  # the mean stays what it was
    said = {
        "name": store.name, "count": len(store), "kind": aligner.kind, "parts": list(tower.names),
        "ranks": ranks, "model": tower.base.name, "weights_hash": tower.base.weights_hash,
        "clip": tower.clip.name, "clip_hash": tower.clip.weights_hash,
    }  # fmt: skip
    tensors = {"inside": inside.half(), "outside": outside.half(), "bias": bias.float()}
    save_collected(path, KIND, said | facts, tensors)


def facts_of(path: Path) -> dict:
    """What a file of maps says of itself.

    Raises:
        KitError: as `kit.parts.files.load_collected`.
    """
    return load_collected(path, KIND)[0]


def read_aligner(model: Model, path: Path | str) -> tuple[Aligner, tuple[str, ...], str, str]:
    """Maps from a file.

    Returns:
        The maps in float32, names of the parts, and name and weights hash of the CLIP.

    Raises:
        KitError: no file of maps, one that is damaged, or maps of other weights than the model's.
    """
    facts, tensors = load_collected(path, KIND)
    found = _Said(facts["model"], facts["weights_hash"])
    check_weights(model, found, "maps")
    inside, outside = (tensors[key].float().split(facts["ranks"]) for key in ("inside", "outside"))
    weights = torch.stack([one.T @ other for one, other in zip(inside, outside)])
    return (
        Aligner(facts["kind"], weights, tensors["bias"]),
        tuple(facts["parts"]),
        facts["clip"],
        facts["clip_hash"],
    )


class _Said:
    """Whose a file is, as `check_weights` asks."""

    def __init__(self, model: str, weights_hash: str):
        self.model, self.weights_hash = model, weights_hash


def shipped_aligner(model: Model, kind: str) -> Path:
    """The file of a shipped tower's maps of a kind.

    Raises:
        KitError: a tower without, or a kind that does not ship.
    """
    path = shipped_file(model.name, kind)
    if model.pretrained is None and path.is_file():
        return path
    there = sorted(p.stem.removeprefix("aligner-") for p in path.parent.glob("aligner-*.safetensors"))
    if model.pretrained is None and there:
        raise KitError(
            f'"{model.name}" comes with maps "{", ".join(there)}", not "{kind}"; fit it: '
            f'kit.align("{model.name}", clip, images, kind="{kind}").'
        )
    names = sorted(p.parent.name for p in SHIPPED.glob("*/aligner-*.safetensors"))
    raise KitError(
        f'"{model.name}" comes with no maps; fit them with a CLIP and pictures, '
        f"kit.align(model, clip, images). Maps ship for {', '.join(names)}."
    )
