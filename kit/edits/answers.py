"""What a model answers on a set of images, and what becomes of it when parts are replaced: all from a store.

A cosine is the sum of the scores of parts, so replacing parts takes their stored scores out and puts those
of a reference set in. This is the direct effect of `kit.ablate`, for a whole set of images at once.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.data.sets import Images, as_set
from kit.edits.ablation import ablate
from kit.errors import KitError
from kit.measures.answers import Changed, answer_changes, hits
from kit.models.model import Model
from kit.parts.collect import as_means, collect
from kit.parts.files import check_weights
from kit.parts.means import Means, load_means, replaced
from kit.parts.selector import select
from kit.parts.stores import Store
from kit.world import VALUES, prompts

SOME = 64  # images at once
HELD = 1 << 28  # bytes of scores that are held in memory; more are read from the store when asked for


@dataclass(frozen=True)
class Answers:
    """One question put to the images of a store: cosines with each text, whatever parts are replaced.

    The answer is the class of the best text.

    Attributes:
        store: of the images.
        name: of the set or of the question, in words.
        classes: what can be answered.
        directions: unit rows, [text, embed].
        owner: class of each text, [text].
        images: which images of the store are asked, int64 [image].
        truth: number of the right class of each, int64 [image].
        means: what stands in place of a part that is replaced; None is zero.
        model: label of the model.
    """

    store: Store = field(repr=False)
    name: str
    classes: list[str]
    directions: Tensor = field(repr=False)
    owner: Tensor = field(repr=False)
    images: Tensor = field(repr=False)
    truth: Tensor = field(repr=False)
    means: Means | None = field(default=None, repr=False)
    model: str = ""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def index(self) -> pd.DataFrame:
        """One row for each part that can be replaced: name, kind, layer, head."""
        return self.store.index

    @cached_property
    def labels(self) -> pd.DataFrame:
        """One row for each image that is asked."""
        return self.store.labels.iloc[self.images.numpy()].reset_index(drop=True)

    @cached_property
    def whole(self) -> Tensor:
        """Cosines with the texts, constants included, [image, text]."""
        return self.store.cosines(self.directions, self.images.numpy())

    @property
    def scores(self) -> Tensor:
        """Score of each part for each text, [image, part, text]."""
        return self._scores("parts").transpose(0, 1)

    @cached_property
    def mean_scores(self) -> Tensor:
        """Scores of the parts' means over the reference set, [part, text].

        Raises:
            KitError: no means.
        """
        if self.means is None:
            raise KitError(f'"{self.name}" was asked without means; give them, or replace parts by zero.')
        return self.means.of_parts(list(self.index["name"])) @ self.directions.T

    @property
    def means_id(self) -> str:
        """What stands in place of a part, for captions; with a digest where it was collected beforehand.

        The last digits of means that are worked out here differ from machine to machine.
        """
        if self.means is None:
            return "zero"
        return self.means.id if self.means.outputs else self.means.name

    @cached_property
    def sizes(self) -> Tensor:
        """Root mean square, over the images, of the length of what a part writes about its mean, [part].

        Over the length of the representation.
        """
        total, squares = 0.0, 0.0
        for some in np.array_split(self.images.numpy(), -(-len(self) // SOME)):
            vectors = self.store.vectors(some).double()  # [image, part, embed]
            total, squares = total + vectors.sum(0), squares + vectors.square().sum((0, 2))
        variance = squares / len(self) - (total / len(self)).square().sum(1)
        return variance.clamp(min=0).sqrt().float()

    def parts_of(self, selector: str) -> list[int]:
        """Rows of the index that a selector names."""
        return select(self.index, selector)

    def after(
        self,
        off: str | list[int] = "none",
        means: Means | None = None,
        cls: str | None = None,
        stretch=None,
    ) -> Tensor:
        """Cosines with the texts after parts were replaced in the sum, [image, text].

        Patterns, norm statistics and the length of the representation stay as they were.

        Args:
            off: the parts, a selector or rows of the index.
            means: what stands in their place; None takes the means that the answers have, or else zero.
            cls: of the heads of which what they read at the class token is replaced; None is of none. A head
                that is replaced as a whole is not counted twice.
            stretch: factors of what is taken away, one for each part; None is one.

        Raises:
            KitError: an unknown part; means of another model, or without these parts.
        """
        means = self.means if means is None else means
        if means is not None:
            check_weights(self.store, means, "means of a reference set")
        rows = self.parts_of(off) if isinstance(off, str) else list(off)
        cosines = self._replaced(self.whole, "parts", rows, means, stretch)
        if cls is None:
            return cosines
        index, gone = self._view("cls").index, set(self.index["name"].iloc[rows])
        heads = [head for head in select(index, cls) if index["name"][head] not in gone]
        return self._replaced(cosines, "cls", heads, means)

    def right(self, off: str | list[int] = "none", stretch=None, means: Means | None = None) -> np.ndarray:
        """Whether each image is answered right after an edit, bool [image]; see `after`."""
        return self.judged(self.after(off, means, stretch=stretch))

    def steps(self, order: list[str]) -> list[np.ndarray]:
        """Whether each image is answered right with none, the first, the first two … of some parts off."""
        rows, found = [], [self.right([])]
        for selector in order:
            rows += [row for row in self.parts_of(selector) if row not in rows]
            found.append(self.right(rows))
        return found

    def lost(self, orders: dict[str, list[str]]) -> dict[str, np.ndarray]:
        """Accuracy with none, the first, the first two … parts replaced, for each of some orders of parts."""
        return {
            name: np.array([right.mean() for right in self.steps(order)]) for name, order in orders.items()
        }

    def alone(self, means: Means | None = None) -> np.ndarray:
        """Whether each image is answered right with one part replaced, each in turn, bool [part, image]."""
        return np.stack([self.right([row], means=means) for row in range(len(self.index))])

    def changes(self, off: str | list[int], means: Means | None = None, cls: str | None = None) -> Changed:
        """Which answers replacing parts changes; see `after`."""
        after = self.after(off, means, cls)
        return answer_changes(self.best(self.whole), self.best(after), self.truth)

    @property
    def chance(self) -> float:
        """Accuracy of who guesses."""
        return 1 / len(self.classes)

    def best(self, cosines: Tensor) -> Tensor:
        """Cosine of the best text of each class, [image, class]."""
        classes = range(len(self.classes))
        if self.owner.tolist() == list(classes):  # one text each, as most questions have
            return cosines
        return torch.stack([cosines[:, self.owner == number].amax(1) for number in classes], 1)

    def judged(self, cosines: Tensor) -> np.ndarray:
        """Whether cosines with the texts, [image, text], give the right answers, bool [image].

        A tie between classes counts against the image.
        """
        return hits(self.best(cosines), self.truth).numpy()

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
        one, other = (self.scores[:, :, self.owner == number].mean(2) for number in (1, 0))
        return one - other

    def first(self, count: int) -> "Answers":
        """The same question, put to the first of its images."""
        return replace(self, images=self.images[:count], truth=self.truth[:count])

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
        means = Means.of(self.store, self.images.numpy()[picked], f"{which}: {self.name}")
        return replace(self, means=means)

    def _replaced(self, cosines: Tensor, view: str, rows: list[int], means, stretch=None) -> Tensor:
        """Cosines with further parts taken out, and their means put in."""
        if not rows:
            return cosines
        factors = None if stretch is None else torch.as_tensor(stretch).to(cosines)
        parts = self._sum(view, rows, factors)
        if means is None:
            return replaced(cosines, parts)
        names = list(self._view(view).index["name"].iloc[rows])
        own = means.of_parts(names) if view == "parts" else means.of_heads(names)
        own = own if factors is None else own * factors[:, None]
        return replaced(cosines, parts, own.sum(0) @ self.directions.T)

    def _sum(self, view: str, rows: list[int], factors: Tensor | None) -> Tensor:
        """Summed scores of some parts, times their factors, [image, text]."""
        if self._fits(view):
            scores = self._scores(view)
            total = scores[rows[0]].clone() if factors is None else factors[0] * scores[rows[0]]
            for place, row in enumerate(rows[1:], 1):
                total += scores[row] if factors is None else factors[place] * scores[row]
            return total
        order = np.argsort(rows, kind="stable")  # in which a store gives parts, however they are named
        names = ", ".join(self._view(view).index["name"].iloc[np.asarray(rows)[order]])
        blocks = np.array_split(self.images.numpy(), self._bytes(view) // HELD + 1)
        factors = torch.ones(len(rows)) if factors is None else factors[order]
        read = (self._view(view).scores(self.directions, some, names) for some in blocks if len(some))
        return torch.cat([torch.einsum("npt,p->nt", scores, factors.to(scores)) for scores in read])

    def _view(self, view: str) -> Store:
        return self.store if view == "parts" else self.store.read_at_cls()

    def _bytes(self, view: str) -> int:
        return 4 * len(self) * len(self._view(view).index) * len(self.directions)

    def _fits(self, view: str) -> bool:
        return self._bytes(view) <= HELD

    def _scores(self, view: str) -> Tensor:
        """Scores of every part, [part, image, text]; read once."""
        read = self.__dict__.setdefault("_read", {})
        if view not in read:
            scores = self._view(view).scores(self.directions, self.images.numpy())
            read[view] = scores.transpose(0, 1).contiguous()
        return read[view]


def asked(store: Store, directions: Tensor, truth, answers: list[str], name: str = "answer") -> Answers:
    """One question put to the images of a store, one direction for each answer; parts are replaced by zero.

    Args:
        store: of the images.
        directions: one unit row for each answer, [text, embed].
        truth: number of the right answer of every image of the store; below 0 where it is not asked.
        answers: what the answers are called.
        name: of the question.

    Raises:
        KitError: shapes that do not fit; no image with a right answer.

    Example:
        >>> import kit
        >>> from tempfile import TemporaryDirectory
        >>> model, scenes = kit.load("stickers-l8"), kit.world.draw(6, seed=1)
        >>> with TemporaryDirectory() as folder:
        ...     store = kit.collect(model, scenes, keep="store", name="six scenes", path=f"{folder}/six")
        ...     concept = ask(model, store, "concept")
        ...     before, after = concept.after(), concept.after("L*.MLP", Means.shipped(model))
        >>> after.shape == before.shape, bool((before == concept.after("none")).all())
        (True, True)
    """
    truth = torch.tensor(np.asarray(truth))
    expect_shape(directions, "text embed", "directions", embed=store.arrays["embedding"].shape[1])
    expect_shape(truth, "image", "the right answers", image=len(store))
    if len(answers) != len(directions) or int(truth.max()) >= len(directions):
        raise KitError(
            f"{len(answers)} names and right answers up to {int(truth.max())} for {len(directions)} "
            "directions; give each answer one name and one direction."
        )
    images = (truth >= 0).nonzero()[:, 0]
    if len(images) == 0:
        raise KitError(f'no image of "{store.name}" has a right answer to "{name}"; ask something else.')
    owner = torch.arange(len(directions))
    return Answers(store, name, list(answers), directions.float(), owner, images, truth[images])


def ask(model: Model, store: Store, attribute: str) -> Answers:
    """What the scenes of a store show, asked by the world's own prompts; the truth is the store's labels.

    Of the colour only recoloured things are asked: their own colours have no name.

    Args:
        model: with a text tower.
        store: of scenes of the world.
        attribute: of `kit.world.prompts`.

    Raises:
        KitError: no prompts for the attribute, or no such label in the store.
    """
    texts, answers = prompts(attribute), list(VALUES[attribute])
    if attribute not in store.labels:
        known = ", ".join(store.labels.columns)
        raise KitError(f'the images of "{store.name}" have no label "{attribute}"; they have {known}.')
    first = int(attribute == "colour")
    codes = store.labels[attribute].map({value: code - first for code, value in enumerate(answers)})
    truth = codes.fillna(-1).astype("int64").to_numpy()
    return asked(store, model.encode_text(texts[first:]), truth, answers[first:], attribute)


def ask_classes(
    model: Model,
    images: Images | Store,
    texts: dict,
    name: str,
    means: Means | None = None,
    batch: int = SOME,
    y: str = "y",
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
    stored = isinstance(images, Store)
    labels = (images if stored else as_set(images)).labels
    _check_classes(labels.reset_index(drop=True), texts, y)
    means = load_means(model) if means is None else as_means(model, means)
    check_weights(model, means, "means")
    if stored:
        check_weights(model, images, "parts of a store")
    store = images if stored else collect(model, images, "store", name, batch)
    directions = [_directions(model, of_class) for of_class in texts.values()]  # of each [text, embed]
    owner = torch.cat([torch.full((len(of_class),), c) for c, of_class in enumerate(directions)])
    truth = torch.tensor(store.labels[y].to_numpy(), dtype=torch.int64)
    everything = torch.arange(len(store))
    directions = torch.cat(directions)
    return Answers(store, name, list(texts), directions, owner, everything, truth, means, model.label)


def total_right(
    model: Model, images: Images, answers: Answers, selector: str, means: Means | None = None
) -> np.ndarray:
    """Whether each image is answered right where later layers read the replaced parts, bool [image].

    Args:
        model: that gave the answers.
        images: the same set.
        answers: what it answered.
        selector: the parts that are replaced by their means.
        means: of the total effect; None takes those that a shipped model comes with.
    """
    images, cosines = as_set(images, model), []
    for low in range(0, len(images), SOME):
        pixels = model.preprocess([images[n] for n in range(low, min(low + SOME, len(images)))])
        done = ablate(model, pixels, selector, effect="total", means=means)
        products = done.embedding @ answers.directions.T
        cosines.append((products / done.before.norm(dim=-1, keepdim=True)).detach())
    return answers.judged(torch.cat(cosines))


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


def _directions(model: Model, texts) -> Tensor:
    """Unit directions of one class, [text, embed]."""
    if isinstance(texts, Tensor):
        expect_shape(texts, "text embed", "directions of a class", embed=model.embed_dim)
        return torch.nn.functional.normalize(texts.float(), dim=-1)
    return model.encode_text(list(texts)).detach().float().cpu()
