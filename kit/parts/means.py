"""Means of parts over a named reference set: what mean ablation puts in a part's place."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from kit.data.sets import Picks
from kit.errors import KitError
from kit.models.model import Model
from kit.models.names import SHIPPED
from kit.parts.accumulate import SumKeeper
from kit.parts.checked import checked_run
from kit.parts.files import check_weights, damaged_file, load_collected, save_collected
from kit.parts.frozen import frozen_graph
from kit.parts.hook_points import AttentionCall, HookPoints
from kit.parts.one_pass import Request
from kit.parts.stores import Store
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
            `"embed"` the value, [token, dim]. Empty for means over a store.
        preprocessing: how images became pixels; "" where that was not written down.
        data: digests of the sets of images.
        names: of the parts.
        cls: of what each head read at the class token, as `parts`, [head, embed]; None where nobody kept it.
        heads: names of these heads.
    """

    name: str
    model: str
    weights_hash: str
    count: int
    parts: Tensor
    outputs: dict[str, Tensor]
    preprocessing: str = ""
    data: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    cls: Tensor | None = None
    heads: tuple[str, ...] = ()

    @classmethod
    def shipped(cls, model: Model, means: "Means | None" = None) -> "Means":
        """Means that a model comes with, or these where they are of this very model."""
        means = load_means(model) if means is None else means
        check_weights(model, means, "means")
        return means

    @classmethod
    def of(cls, store: Store, images: Picks | None = None, name: str | None = None) -> "Means":
        """Means over a store, or over the picked of its images.

        Args:
            store: of the reference set, made with `tokens="cls"` where the class token is asked for.
            images: numbers, a slice, or a boolean array; None is all.
            name: of the set; None is the store's own.

        Raises:
            KitError: no image is picked.
        """
        read, heads = None, ()
        if "cls" in store.arrays:
            view = store.read_at_cls()
            read, heads = view.means(images).float(), tuple(view.index["name"])
        return cls(
            name=name or store.name,
            model=store.model,
            weights_hash=store.weights_hash,
            count=len(store.picked(images)),
            parts=store.means(images).float(),
            outputs={},
            preprocessing=store.facts["preprocessing"],
            data=tuple(store.facts["data"]),
            names=tuple(store.index["name"]),
            cls=read,
            heads=heads,
        )

    def of_parts(self, names: list[str]) -> Tensor:
        """Means of these parts, [part, embed]."""
        return self.parts[_places(self.names, names, self.name, "parts")]

    def of_heads(self, names: list[str]) -> Tensor:
        """Means of what these heads read at the class token, [head, embed]."""
        if self.cls is None:
            raise KitError(
                f'the reference set "{self.name}" has no means of what heads read at the class token; '
                'collect it with kit.collect(..., keep="store", tokens="cls"), and use Means.of(store).'
            )
        return self.cls[_places(self.heads, names, self.name, "heads")]

    @property
    def facts(self) -> dict:
        """What two passes over the same images have in common."""
        kept = ("model", "weights_hash", "preprocessing")
        return {key: getattr(self, key) for key in kept} | {"data": list(self.data)}

    def joined(self, other: "Means") -> "Means":
        """The means over the images of both, of the same parts and set."""
        count = self.count + other.count
        share = other.count / count
        outputs = {key: value.lerp(other.outputs[key], share) for key, value in self.outputs.items()}
        parts = self.parts.lerp(other.parts, share)
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
        facts = self.facts | {"name": self.name, "count": self.count, "parts": list(self.names)} | more
        save_collected(path, "means", facts, {k: v.to(dtype or v.dtype) for k, v in self.tensors.items()})

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What was summed up, by the names that a file has for it."""
        return {"parts": self.parts, **{f"outputs.{k}": v for k, v in self.outputs.items()}}


def load_means(model: Model, path: str | Path | None = None) -> Means:
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
    names = facts.get("parts") or list(frozen_graph(model).index["name"])  # which older files leave out
    parts = tensors.get("parts", torch.zeros(0))
    if list(parts.shape) != [len(names), model.embed_dim]:
        raise damaged_file(
            Path(path), f"means of parts are {list(parts.shape)}, not [{len(names)}, {model.embed_dim}]"
        )
    means = replace(means, names=tuple(names))
    return means.filled(facts["count"], {key: value.float() for key, value in tensors.items()})


class MeansKeeper(SumKeeper):
    """Adds up means of every part."""

    kind = "means"

    def __init__(self, request: Request):
        if request.selector is not None:
            raise KitError('means are kept of every part; leave selector out, or ask for keep="moments".')
        model, data = request.model, (request.images.digest,)
        about, names = (
            (request.name, model.name, model.weights_hash),
            tuple(frozen_graph(model).index["name"]),
        )
        super().__init__(request, Means(*about, 0, torch.zeros(0), {}, model.preprocessing, data, names))

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


def _places(known: tuple[str, ...], names: list[str], what: str, kind: str) -> list[int]:
    if missing := [name for name in names if name not in known]:
        raise KitError(
            f'the reference set "{what}" has no means of {missing[0]}; it has {len(known)} {kind}, '
            "so collect it with the selector of the store that is edited."
        )
    return [known.index(name) for name in names]


def replaced(whole: Tensor, parts: Tensor | float, means: Tensor | float = 0.0) -> Tensor:
    """A whole after some of its parts were replaced: their sum is taken out, that of means put in.

    This is the direct effect: patterns, norm statistics and the length of the representation stay as they
    were. Vectors, or their inner products with directions.

    Args:
        whole: [image, embed or text].
        parts: sum of the parts that are replaced, alike.
        means: sum of what stands in their place; 0 is nothing.
    """
    return whole - parts + means


def batch_dim(source) -> int:
    """The dimension of a source's value that counts images."""
    return source.readout.dims.index((BATCH,)) if source.readout else 0


def by_image(value: Tensor, dim: int, batch: int) -> Tensor:
    """A source's value with one row for each image; windows, where there are, follow as a dimension."""
    value = value.movedim(dim, 0)
    return value if len(value) == batch else value.unflatten(0, (batch, -1))
