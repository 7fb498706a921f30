"""Means of parts over a named reference set: what mean ablation puts in a part's place."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from kit.errors import KitError
from kit.models.names import SHIPPED
from kit.parts.files import check_weights, load_collected, save_collected
from kit.parts.readout import BATCH
from kit.parts.runs import Run, forward
from kit.parts.taps import AttentionCall, Taps

MEANS_FILE = "means.safetensors"


@dataclass(frozen=True)
class Means:
    """Means of one model over one reference set.

    Attributes:
        name: the reference set, in words.
        model: name of the model.
        weights_hash: of the model's image tower.
        count: number of images.
        parts: mean of part / length of the representation, [part, embed].
        outputs: what a total effect puts in place: for a layer `"L3"` the heads' outputs before the
            output projection, [head, token, head_dim], windows first where there are; for `"L3.MLP"`,
            `"embed"` the value, [token, dim].
    """

    name: str
    model: str
    weights_hash: str
    count: int
    parts: Tensor
    outputs: dict[str, Tensor]

    @property
    def id(self) -> str:
        """Name of the set and a digest of the numbers, for captions and results."""
        digest = hashlib.sha256(self.parts.float().numpy().tobytes()).hexdigest()[:8]
        return f"{self.name} [{digest}]"

    def save(self, path: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write a safetensors file, first under a temporary name; `dtype` is that of the numbers."""
        facts = {"name": self.name, "model": self.model, "count": self.count}
        facts["weights_hash"] = self.weights_hash
        tensors = {"parts": self.parts, **{f"outputs.{k}": v for k, v in self.outputs.items()}}
        save_collected(path, "means", facts, {k: v.to(dtype) for k, v in tensors.items()})


def load_means(model, path: str | Path | None = None) -> Means:
    """Means from a file, or those that a shipped model comes with.

    Args:
        model: the model that they are for.
        path: a file written by `Means.save`; None is the shipped file.

    Returns:
        `Means`, float32 on the CPU.

    Raises:
        KitError: no such file, not a file of means, or means of another model or other weights.
    """
    if path is None:
        # a shipped model has a name, a folder of one's own is named by its path
        path = (SHIPPED / model.name) / MEANS_FILE
        if model.pretrained is not None or not path.exists():
            raise KitError(
                f'"{model.name}" has no means yet, so replace="mean" is off; collect them with '
                'means = kit.collect(model, images, keep="means", name="my images"), or use replace="zero".'
            )
    facts, tensors = load_collected(path, "means")
    tensors = {key: value.float() for key, value in tensors.items()}
    outputs = {k.removeprefix("outputs."): v for k, v in tensors.items() if k.startswith("outputs.")}
    means = Means(
        facts["name"], facts["model"], facts["weights_hash"], facts["count"], tensors["parts"], outputs
    )
    check_weights(model, means, "means")
    return means


def collect_means(model, images, name: str, batch: int) -> Means:
    """Means of every part over images, which `model.preprocess` reads, in one pass."""
    frozen = Run.of(model, model.preprocess(images[:1])).frozen
    sums = _Sums(frozen)
    parts: Tensor | float = 0.0
    for start in tqdm(range(0, len(images), batch), desc="means", unit="batch", delay=2):
        pixels = model.preprocess(images[start : start + batch])
        run = Run.of(model, pixels)
        parts = parts + (run.vectors() / run.norm[:, None, None]).sum(0).double().cpu()
        sums.batch = len(pixels)
        forward(model, frozen, pixels, sums)
    count = len(images)
    outputs = {k: (v / count).float() for k, v in sums.totals.items()}
    return Means(name, model.name, model.weights_hash, count, (parts / count).float(), outputs)


class _Sums(Taps):
    """Adds up what sources write at every token, over images."""

    def __init__(self, frozen):
        self.totals: dict[str, Tensor] = {}
        self.batch = 0
        self._batch_dim = {s.name: batch_dim(s) for s in frozen.sources}

    def attention(self, layer: int, call: AttentionCall, out: Tensor) -> Tensor:
        return self.value(f"L{layer}", out)

    def value(self, name: str, out: Tensor) -> Tensor:
        if name in self._batch_dim:
            sums = by_image(out, self._batch_dim[name], self.batch).sum(0)
            self.totals[name] = self.totals.get(name, 0) + sums.double().cpu()
        return out


def batch_dim(source) -> int:
    """The dimension of a source's value that counts images."""
    return source.readout.dims.index((BATCH,)) if source.readout else 0


def by_image(value: Tensor, dim: int, batch: int) -> Tensor:
    """A source's value with one row for each image; windows, where there are, follow as a dimension."""
    value = value.movedim(dim, 0)
    return value if len(value) == batch else value.unflatten(0, (batch, -1))
