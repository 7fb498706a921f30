"""Means of parts over a named reference set: what mean ablation puts in a part's place."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from kit.errors import KitError
from kit.models.names import SHIPPED
from kit.parts.accumulate import SumKeeper
from kit.parts.checked import checked_run
from kit.parts.files import check_weights, damaged_file, load_collected, save_collected
from kit.parts.hook_points import AttentionCall, HookPoints
from kit.parts.one_pass import Request
from kit.parts.token_readout import BATCH

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
        preprocessing: how images became pixels; "" where that was not written down.
        data: digests of the sets of images.
    """

    name: str
    model: str
    weights_hash: str
    count: int
    parts: Tensor
    outputs: dict[str, Tensor]
    preprocessing: str = ""
    data: tuple[str, ...] = ()

    @property
    def facts(self) -> dict:
        """What two passes over the same images have in common."""
        kept = ("model", "weights_hash", "preprocessing")
        return {key: getattr(self, key) for key in kept} | {"data": list(self.data)}

    def joined(self, other: "Means") -> "Means":
        """The means over the images of both, of the same parts and set."""
        count = self.count + other.count
        share = other.count / count
        outputs = {key: value + share * (other.outputs[key] - value) for key, value in self.outputs.items()}
        parts = self.parts + share * (other.parts - self.parts)
        return replace(self, count=count, parts=parts, outputs=outputs)

    def filled(self, count: int, tensors: dict[str, Tensor]) -> "Means":
        """The same facts with another count and other means."""
        outputs = {k.removeprefix("outputs."): v for k, v in tensors.items() if k.startswith("outputs.")}
        return replace(self, count=count, parts=tensors["parts"], outputs=outputs)

    @property
    def id(self) -> str:
        """Name of the set and a digest of the numbers, for captions and results."""
        digest = hashlib.sha256(self.parts.float().numpy().tobytes()).hexdigest()[:8]
        return f"{self.name} [{digest}]"

    def save(self, path: str | Path, dtype: torch.dtype | None = None, **more) -> None:
        """Write a safetensors file, first under a temporary name.

        Args:
            path: the file.
            dtype: of the numbers; None is the one they have.
            **more: further facts to write into it.
        """
        facts = self.facts | {"name": self.name, "count": self.count} | more
        save_collected(path, "means", facts, {k: v.to(dtype or v.dtype) for k, v in self.tensors.items()})

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What was summed up, by the names that a file has for it."""
        return {"parts": self.parts, **{f"outputs.{k}": v for k, v in self.outputs.items()}}


def load_means(model, path: str | Path | None = None) -> Means:
    """Means from a file, or those that a shipped model comes with.

    Args:
        model: the model that they are for.
        path: a file written by `Means.save`; None is the shipped file.

    Returns:
        `Means`, float32 on the CPU.

    Raises:
        KitError: no such file, not a file of means, one that is damaged, or means of another model or other
            weights.
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
    kept = {key: facts[key] for key in ("name", "model", "weights_hash")}
    pixels, data = facts.get("preprocessing", ""), tuple(facts.get("data", ()))
    means = Means(**kept, count=0, parts=torch.zeros(0), outputs={}, preprocessing=pixels, data=data)
    check_weights(model, means, "means")
    parts = tensors.get("parts", torch.zeros(0))
    if parts.ndim != 2 or parts.shape[1] != model.embed_dim:
        raise damaged_file(
            Path(path), f"means of parts are {list(parts.shape)}, not [part, {model.embed_dim}]"
        )
    return means.filled(facts["count"], {key: value.float() for key, value in tensors.items()})


class MeansKeeper(SumKeeper):
    """Adds up means of every part."""

    kind = "means"

    def __init__(self, request: Request):
        if request.selector is not None:
            raise KitError('means are kept of every part; leave selector out, or ask for keep="moments".')
        model, data = request.model, (request.images.digest,)
        about = (request.name, model.name, model.weights_hash)
        super().__init__(request, Means(*about, 0, torch.zeros(0), {}, model.preprocessing, data))

    def of_batch(self, pixels: Tensor) -> Means:
        """The means of one batch, in float64."""
        run = checked_run(self.model, pixels, watch=lambda frozen: _Sums(frozen, len(pixels)))
        parts = (run.vectors() / run.norm[:, None, None]).double().mean(0).cpu()
        outputs = {key: value / len(pixels) for key, value in run.watch.totals.items()}
        return replace(self.empty, count=len(pixels), parts=parts, outputs=outputs)

    def result(self) -> Means:
        """The means in float32."""
        means = super().result()
        return means.filled(means.count, {key: value.float() for key, value in means.tensors.items()})


class _Sums(HookPoints):
    """Adds up what sources write at every token, over images."""

    def __init__(self, frozen, batch: int):
        self.totals: dict[str, Tensor] = {}
        self.batch = batch
        self._batch_dim = {s.name: batch_dim(s) for s in frozen.sources}

    def attention(self, layer: int, call: AttentionCall, out: Tensor) -> Tensor:
        return self.value(f"L{layer}", out)

    def value(self, name: str, out: Tensor) -> Tensor:
        if name in self._batch_dim:
            sums = by_image(out.detach(), self._batch_dim[name], self.batch).sum(0)
            self.totals[name] = self.totals.get(name, 0) + sums.double().cpu()
        return out


def batch_dim(source) -> int:
    """The dimension of a source's value that counts images."""
    return source.readout.dims.index((BATCH,)) if source.readout else 0


def by_image(value: Tensor, dim: int, batch: int) -> Tensor:
    """A source's value with one row for each image; windows, where there are, follow as a dimension."""
    value = value.movedim(dim, 0)
    return value if len(value) == batch else value.unflatten(0, (batch, -1))
