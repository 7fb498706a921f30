"""A question put to a model, and how its answers change when parts are replaced: all from stored scores."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.data.sets import as_set
from kit.edits.ablation import ablate
from kit.errors import KitError
from kit.parts.checked import checked_run
from kit.parts.files import check_weights
from kit.parts.frozen import frozen_graph
from kit.parts.means import Means, load_means
from kit.parts.selector import select
from kit.parts.stores import Store

SOME = 64  # images at once


@dataclass(frozen=True)
class Answers:
    """What a model answers to "which of these classes?" on a set of images, and why, part by part.

    The answer is the class of the best text. Scores are linear, so parts are replaced by their means in
    arithmetic (the direct effect): no tower runs again.

    Attributes:
        name: the set of images, in words.
        model: label of the model.
        classes: names of the classes, in the order of `labels.y`.
        index: one row for each part that can be replaced (constants cannot): name, kind, layer, head.
        labels: one row for each image, with `y`; `place` and `group` where they are known.
        scores: of each part for each text, [image, part, text].
        whole: cosines with the texts, constants included, [image, text].
        owner: class of each text, [text].
        means: scores of the parts' means over the reference set, [part, text].
        means_id: name of that set.
        sizes: root mean square of the length of what each part writes about its mean over the images, over
            the length of the representation, [part].
        directions: of the texts, [text, embed].
    """

    name: str
    model: str
    classes: list[str]
    index: pd.DataFrame = field(repr=False)
    labels: pd.DataFrame = field(repr=False)
    scores: Tensor = field(repr=False)
    whole: Tensor = field(repr=False)
    owner: Tensor = field(repr=False)
    means: Tensor = field(repr=False)
    means_id: str
    sizes: Tensor = field(repr=False)
    directions: Tensor = field(repr=False)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def y(self) -> Tensor:
        """The true class of each image, int64 [image]."""
        return torch.tensor(self.labels["y"].to_numpy(), dtype=torch.int64)

    def parts_of(self, selector: str) -> list[int]:
        """Rows of the index that a selector names."""
        return select(self.index, selector)

    def after(self, off: str | list[int] = "none", stretch=None) -> Tensor:
        """Cosines with the texts after parts were replaced by their means, [image, text].

        Args:
            off: the parts, a selector or rows of the index.
            stretch: factors of what is taken away, one for each part; None is one.
        """
        rows = self.parts_of(off) if isinstance(off, str) else list(off)
        if not rows:
            return self.whole
        away = self.scores[:, rows] - self.means[rows]  # [image, part, text]
        if stretch is None:
            return self.whole - away.sum(1)
        return self.whole - torch.einsum("npt,p->nt", away, torch.as_tensor(stretch).to(away))

    def right(self, off: str | list[int] = "none", stretch=None) -> np.ndarray:
        """Whether each image is answered right after an edit, bool [image]; see `after`.

        A tie between classes counts against the image.
        """
        return self.judged(self.after(off, stretch))

    def steps(self, order: list[str]) -> list[np.ndarray]:
        """Whether each image is answered right with none, the first, the first two … of some parts off."""
        return [self.right(", ".join(order[:k]) or "none") for k in range(len(order) + 1)]

    def judged(self, cosines: Tensor) -> np.ndarray:
        """Whether cosines with the texts, [image, text], give the right answers, bool [image]."""
        best = torch.stack([cosines[:, self.owner == c].amax(1) for c in range(len(self.classes))], 1)
        own = best.gather(1, self.y[:, None])  # [image, 1]
        return ((best >= own).sum(1) == 1).numpy()

    def differences(self) -> Tensor:
        """For each part, mean score of the last class's texts minus that of the first's, [image, part].

        Raises:
            KitError: not two classes.
        """
        if len(self.classes) != 2:
            raise KitError(
                f"a difference is one of two classes, but there are {len(self.classes)}: "
                f"{', '.join(self.classes)}; ask about two of them."
            )
        one, other = (self.scores[:, :, self.owner == c].mean(2) for c in (1, 0))
        return one - other

    def with_own_means(self, some=None) -> "Answers":
        """The same with means over the very images that are judged, as the released script takes them.

        Every image then knows a little of all others: a convention to compare with, not one to report.

        Args:
            some: which of the images the means are over, bool [image]; None is all.

        Raises:
            KitError: no image is picked.
        """
        picked = np.ones(len(self), dtype=bool) if some is None else np.array(some, dtype=bool)
        if picked.shape != (len(self),) or not picked.any():
            raise KitError(f"{picked.sum()} images were picked of {len(self)}; pick at least one of these.")
        which = "the very images" if some is None else f"{int(picked.sum())} of the very images"
        means = self.scores[torch.tensor(picked)].mean(0)
        return replace(self, means=means, means_id=f"{which}: {self.name}")


def ask_classes(
    model, images, texts: dict, name: str, means: Means | None = None, batch: int = SOME, y: str = "y"
) -> Answers:
    """What a model answers on a set of images, with the share of every part.

    Args:
        model: from `kit.load`.
        images: a set whose labels have the class as `y`, or a `Store` of one (which costs no pass).
        texts: class -> its texts, in the order of `y`; or their directions, [text, embed].
        name: the set in words.
        means: what stands in place of a part; None takes those that a shipped model comes with.
        batch: images at once.
        y: the column that numbers the classes.

    Returns:
        `Answers`.

    Raises:
        KitError: no such column, a class that is no number of a class, no means, means or a store of
            another model.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, section on spurious cues. Differs in that means come from
        a named reference set and never silently from the images that are judged.

    Example:
        >>> import kit
        >>> model, images = kit.load("stickers-l8"), kit.data.animals(4, seed=0)
        >>> answers = ask_classes(model, images, kit.data.animal_texts(), "four animals")
        >>> answers.right().shape, bool((answers.right("none") == answers.right()).all())
        ((4,), True)
    """
    store = images if isinstance(images, Store) else None
    images = as_set(images) if store is None else images
    labels = images.labels.reset_index(drop=True)
    _check_classes(labels, texts, y)
    means = load_means(model) if means is None else means
    check_weights(model, means, "means")
    if store is not None:
        check_weights(model, store, "parts of a store")
    directions = torch.cat([_directions(model, t) for t in texts.values()])  # [text, embed]
    owner = torch.cat([torch.full((len(t),), c) for c, t in enumerate(texts.values())])
    passed = _of_store(store, directions, batch) if store else _of_model(model, images, directions, batch)
    index, scores, whole, sizes = _gathered(passed)
    return Answers(
        name=name,
        model=model.label,
        classes=list(texts),
        index=index,
        labels=labels.assign(y=labels[y]),
        scores=scores,
        whole=whole,
        owner=owner,
        means=_means_of(model, means, index) @ directions.T,
        means_id=means.id,
        sizes=sizes,
        directions=directions,
    )


def total_right(model, images, answers: Answers, selector: str, means: Means | None = None) -> np.ndarray:
    """Whether each image is answered right where later layers read the replaced parts, bool [image].

    Args:
        model: that gave the answers.
        images: the same set.
        answers: what it answered.
        selector: the parts that are replaced by their means.
        means: of the total effect; None takes those that a shipped model comes with.
    """
    images, found = as_set(images), []
    for low in range(0, len(images), SOME):
        pixels = model.preprocess([images[n] for n in range(low, min(low + SOME, len(images)))])
        done = ablate(model, pixels, selector, effect="total", means=means)
        cosines = done.embedding @ answers.directions.T / done.before.norm(dim=-1, keepdim=True)
        found.append(cosines.detach())
    return answers.judged(torch.cat(found))


def _check_classes(labels: pd.DataFrame, texts: dict, y: str) -> None:
    if y not in labels:
        known = ", ".join(map(str, labels.columns)) or "no column"
        raise KitError(f'the labels have no column "{y}" to number the classes; they have {known}.')
    if len(texts) < 2:
        raise KitError(f"a question has two classes or more, not {len(texts)}; give each class its texts.")
    wrong = labels[y][~labels[y].isin(range(len(texts)))]
    if len(wrong):
        raise KitError(
            f'"{y}" of image {wrong.index[0]} is {wrong.iloc[0]}, but classes are numbered 0 to '
            f"{len(texts) - 1}: {', '.join(texts)}; name a class for each, or leave these images out."
        )


def _directions(model, texts) -> Tensor:
    """Unit directions of one class, [text, embed]."""
    if isinstance(texts, Tensor):
        expect_shape(texts, "text embed", "directions of a class", embed=model.embed_dim)
        return torch.nn.functional.normalize(texts.float(), dim=-1)
    return model.encode_text(list(texts)).detach().float().cpu()


def _means_of(model, means: Means, index: pd.DataFrame) -> Tensor:
    """The means of these parts, [part, embed]."""
    names = list(frozen_graph(model).index["name"])
    return means.parts[[names.index(part) for part in index["name"]]].float()


def _of_model(model, images, directions: Tensor, batch: int) -> Iterator[tuple]:
    """Index, scores, cosines and vectors of the parts over the length, batch by batch."""
    for low in range(0, len(images), batch):
        pixels = model.preprocess([images[n] for n in range(low, min(low + batch, len(images)))])
        run = checked_run(model, pixels)
        kept = [n for n, kind in enumerate(run.index["kind"]) if kind != "bias"]
        vectors = (run.vectors() / run.norm[:, None, None]).detach().cpu()  # [image, part, embed]
        cosines = vectors.sum(1) @ directions.T
        index = run.index.iloc[kept].reset_index(drop=True)
        yield index, vectors[:, kept] @ directions.T, cosines, vectors[:, kept]


def _of_store(store: Store, directions: Tensor, batch: int) -> Iterator[tuple]:
    """The same from a store."""
    kept = [n for n, kind in enumerate(store.index["kind"]) if kind != "bias"]
    index = store.index.iloc[kept].reset_index(drop=True)
    names = ", ".join(index["name"])
    for low in range(0, len(store), batch):
        some = slice(low, low + batch)
        vectors = store.vectors(some, names)
        yield index, vectors @ directions.T, store.cosines(directions, some), vectors


def _gathered(passed: Iterator[tuple]) -> tuple[pd.DataFrame, Tensor, Tensor, Tensor]:
    """Index, scores, cosines of all batches, and the size of each part about its mean."""
    scores, whole, count, total, squares = [], [], 0, 0.0, 0.0
    for index, some, cosines, vectors in passed:  # noqa: B007 - the index is that of the last batch
        scores.append(some)
        whole.append(cosines)
        count += len(vectors)
        total = total + vectors.double().sum(0)  # [part, embed]
        squares = squares + vectors.double().square().sum((0, 2))  # [part]
    variance = squares / count - (total / count).square().sum(1)
    return index, torch.cat(scores), torch.cat(whole), variance.clamp(min=0).sqrt().float()
