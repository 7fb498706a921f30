"""What the stages of a sweep share: the model, the sets of images, their stores, and directions of texts."""

import hashlib
import json
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kit.data import class_templates, class_vectors, imagenet_classes, readable
from kit.data.registry import of_papers
from kit.data.sets import ImageSet
from kit.data.waterbirds import BIRDS
from kit.errors import KitError
from kit.models.model import Model
from kit.parts import Store, collect, load_store
from kit.parts.class_token import check_cls
from kit.parts.frozen import frozen_graph
from kit.projections import Bank
from kit.sweep.settings import Settings
from kit.sweep.texts import Texts


class Work:
    """One sweep of a model.

    Args:
        model: with heads and a text tower.
        out: folder of everything that is written.
        folders: paper's set of `kit.data.registry` -> where it lies, None where it was not given.
        settings: see `Settings`.

    Attributes:
        sets: name of a set and split -> its images.

    Raises:
        KitError: no set was given, a folder that is not that set, a model without texts or heads.
    """

    def __init__(self, model: Model, out: Path, folders: dict, settings: Settings):
        self.model, self.out, self.settings = model, Path(out), settings
        self.folders = {name: where for name, where in folders.items() if where is not None}
        if not self.folders:
            raise KitError(
                "no data set was given, so there is nothing to measure; name the folder of at least one, "
                "such as --imagenet data/ILSVRC2012."
            )
        if settings.words is not None and not settings.words.is_file():
            raise KitError(f'no text file at "{settings.words}"; name a file with one text on each line.')
        model.encode_text(["a"])  # says why where there is no text tower
        frozen = frozen_graph(model)
        if not (frozen.plain and (frozen.index["kind"] == "head").any()):
            raise KitError(
                f'"{model.name}" has no attention heads that write into one stream of tokens, and the sweep '
                "is about these; take a plain vision transformer, such as ViT-B-16."
            )
        pairs = (pair for kind, where in self.folders.items() for pair in of_papers(kind, where))
        self.sets = {name: self._some(images) for name, images in pairs}
        self.texts = Texts(model, self.out / "texts")

    def _some(self, images: ImageSet):
        """The images, or as many of them as are asked for, spread evenly."""
        limit = self.settings.limit
        if limit is None or limit >= len(images):
            return images
        return images.take(np.linspace(0, len(images) - 1, limit).round().astype(int))

    @property
    def cls(self) -> str | None:
        """What a store of ImageNet keeps of heads beside parts: what they read at the class token."""
        try:
            check_cls(self.model)
        except KitError:
            return None
        return "cls"

    def tokens(self, name: str) -> str | None:
        """What the store of a set keeps beside parts."""
        return self.cls if name == "imagenet" else None

    def store_folder(self, name: str) -> Path:
        """Where the store of a set lies: weights, pixels and images of another kind have another folder."""
        facts = [self.model.weights_hash, self.model.preprocessing, self.sets[name].digest]
        digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:8]
        return self.out / "stores" / f"{name.replace(' ', '-')}-{digest}"

    def has_store(self, name: str) -> bool:
        """Whether the pass over a set has ended."""
        header = self.store_folder(name) / "header.json"
        try:
            return bool(json.loads(header.read_text(encoding="utf-8"))["complete"])
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def store(self, name: str) -> Store:
        """The parts of a set's images; the pass is made, or gone on with, where it has not ended."""
        if name not in self._stores:
            folder, settings = self.store_folder(name), self.settings
            if self.has_store(name):  # by whatever batch
                self._stores[name] = load_store(self.model, folder)
            else:
                self._stores[name] = collect(
                    self.model, self.sets[name], "store", self.sets[name].name, settings.batch,
                    path=folder, workers=settings.workers, tokens=self.tokens(name),
                )  # fmt: skip
        return self._stores[name]

    @cached_property
    def _stores(self) -> dict[str, Store]:
        return {}

    @cached_property
    def classes(self) -> list[int]:
        """Classes of ImageNet that can be answered; all where no folder tells which are present."""
        every = list(range(len(imagenet_classes())))
        if self.settings.candidates == "all" or "imagenet" not in self.sets:
            return every
        return sorted(set(self.sets["imagenet"].labels["y"].tolist()))

    @cached_property
    def classifier(self) -> Tensor:
        """Directions of these classes by the 80 templates, [text, embed]."""
        return class_vectors(self.texts, imagenet_classes()["class_name"].iloc[self.classes])

    @cached_property
    def truth(self) -> Tensor:
        """Number of the right answer of each image of ImageNet's store, int64 [image]."""
        place = {y: number for number, y in enumerate(self.classes)}
        return torch.tensor([place[int(y)] for y in self.store("imagenet").labels["y"]])

    @cached_property
    def birds(self) -> dict[str, Tensor]:
        """Directions of Waterbirds' classes by the 80 templates, [1, embed] each."""
        vectors = class_vectors(self.texts, BIRDS)
        return dict(zip(BIRDS, vectors.split(1)))

    @cached_property
    def banks(self) -> dict[str, Bank]:
        """The lists of texts that heads are spanned with, and as many random directions as the first has."""
        bank = Bank.photographs(self.texts)
        found = {"photographs, centred": bank.centred(), "photographs": bank}
        if self.settings.words is not None:
            found["own texts"] = Bank.file(self.texts, self.settings.words)
        return found | {"random directions": Bank.random(self.texts, len(bank.texts), self.settings.seed)}

    def bank_texts(self) -> int:
        """Texts that are still to be encoded for all stages."""
        from kit.projections.photographs import tagged_texts

        templates, todo = list(class_templates()), 0
        if "imagenet" in self.folders or "segmentation" in self.folders:
            names = [readable(n) for n in imagenet_classes()["class_name"].iloc[self.classes]]
            todo += self.texts.missing(names, templates)
        if "imagenet" in self.folders:
            todo += self.texts.missing([each.text for each in tagged_texts()])
        if "waterbirds" in self.folders:
            todo += self.texts.missing(list(BIRDS), templates)
        return todo


def halves(count: int, seed: int) -> np.ndarray:
    """Images dealt to two halves of equal size, 0 or 1 [image].

    Raises:
        KitError: fewer than four images.
    """
    if count < 4:
        raise KitError(f"{count} images are too few to average over one half and answer the other; give 4.")
    return np.random.default_rng(seed).permutation(count) % 2
