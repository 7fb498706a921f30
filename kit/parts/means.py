"""Means of parts over a named reference set: what mean ablation puts in a part's place."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm.auto import tqdm

from kit.errors import KitError
from kit.models.names import SHIPPED
from kit.parts.readout import BATCH
from kit.parts.runs import Run, forward
from kit.parts.taps import AttentionCall, Taps

FORMAT = "loupe-means-1"
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
        path = Path(path)
        facts = {"format": FORMAT, "name": self.name, "model": self.model, "count": self.count}
        facts["weights_hash"] = self.weights_hash
        tensors = {"parts": self.parts, **{f"outputs.{k}": v for k, v in self.outputs.items()}}
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        stored = {k: v.to(dtype).contiguous() for k, v in tensors.items()}
        save_file(stored, temporary, metadata={"means": json.dumps(facts)})
        os.replace(temporary, path)


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
    path = Path(path)
    if not path.is_file():
        raise KitError(f'no file of means at "{path}"; collect them with kit.collect and save them.')
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get("means", "{}"))
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise KitError(f'"{path.name}" is not a file of means; write one with Means.save.') from error
    if facts.get("format") != FORMAT:
        raise KitError(f'"{path.name}" is not a file of means; write one with Means.save.')
    outputs = {k.removeprefix("outputs."): v for k, v in tensors.items() if k.startswith("outputs.")}
    means = Means(
        facts["name"], facts["model"], facts["weights_hash"], facts["count"], tensors["parts"], outputs
    )
    check_means(model, means)
    return means


def check_means(model, means: Means) -> None:
    """Raise unless the means are of this model with these weights."""
    if means.weights_hash != model.weights_hash:
        raise KitError(
            f'these means are of "{means.model}" with weights {means.weights_hash[:8]}, but the model is '
            f'"{model.name}" with weights {model.weights_hash[:8]}; collect them again with kit.collect.'
        )


def collect(model, images, keep: str = "means", name: str | None = None, batch: int = 64) -> Means:
    """Means of every part over a set of images, in one pass.

    Args:
        model: from `kit.load`.
        images: anything that `model.preprocess` reads, or scenes of `kit.world`.
        keep: what to keep; `"means"`.
        name: the reference set in words; captions and results show it.
        batch: images at once.

    Returns:
        `Means`.

    Raises:
        KitError: no name, no image, an image that cannot be read.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> collect(model, kit.world.draw(8, seed=1), name="eight scenes").count
        8
    """
    if keep != "means":
        raise KitError(f'no keep="{keep}"; there is keep="means".')
    if not name:
        raise KitError('a reference set needs a name, such as name="2,000 photographs of birds".')
    images = getattr(images, "images", images)
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
