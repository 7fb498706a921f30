"""Edits of a sum that was stored: what a set of images answers with any parts replaced, and no pass.

A cosine is the sum of the scores of parts, so replacing parts takes their stored scores out and puts
those of a reference set in. This is the direct effect of `kit.ablate`, for a whole set of images at once.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.errors import KitError
from kit.parts.files import check_weights
from kit.parts.frozen import frozen_graph
from kit.parts.means import Means, load_means
from kit.parts.selector import select
from kit.parts.stores import Store
from kit.world import VALUES, prompts

HELD = 1 << 28  # bytes of scores that are held in memory; more are read from the store when asked for


@dataclass(frozen=True)
class Reference:
    """What mean ablation puts in the place of parts, and over which set it was averaged.

    Attributes:
        name: the set of images, in words.
        names: of the parts.
        parts: mean of part / length of the representation, [part, embed].
        cls: the same of what each head read at the class token, [head, embed]; None where nobody kept it.
        heads: names of these heads.
        model: name of the model.
        weights_hash: of its image tower.
    """

    name: str
    names: list[str]
    parts: Tensor
    cls: Tensor | None
    heads: list[str]
    model: str
    weights_hash: str

    @classmethod
    def shipped(cls, model, means: Means | None = None) -> "Reference":
        """Means that a model comes with, or those from `kit.collect(model, images, keep="means")`."""
        means = load_means(model) if means is None else means
        check_weights(model, means, "means")
        names = list(frozen_graph(model).index["name"])
        return cls(means.name, names, means.parts, None, [], means.model, means.weights_hash)

    @classmethod
    def of(cls, store: Store, images=None, name: str | None = None) -> "Reference":
        """Means over a store, or over the picked of its images.

        Args:
            store: of the reference set, made with `tokens="cls"` where the class token is asked for.
            images: numbers, a slice, or a boolean array; None is all.
            name: of the set; None is the store's own.
        """
        parts, own, heads = store.means(images), None, []
        if "cls" in store.arrays:
            view = store.read_at_cls()
            own, heads = view.means(images).float(), list(view.index["name"])
        names = list(store.index["name"])
        return cls(name or store.name, names, parts.float(), own, heads, store.model, store.weights_hash)

    def of_parts(self, names: list[str]) -> Tensor:
        """Means of these parts, [part, embed]."""
        return self.parts[_places(self.names, names, self.name, "parts")]

    def of_heads(self, names: list[str]) -> Tensor:
        """Means of what these heads read at the class token, [head, embed]."""
        if self.cls is None:
            raise KitError(
                f'the reference set "{self.name}" has no means of what heads read at the class token; '
                'collect it with kit.collect(..., keep="store", tokens="cls"), and use Reference.of(store).'
            )
        return self.cls[_places(self.heads, names, self.name, "heads")]


def _places(known: list[str], names: list[str], what: str, kind: str) -> list[int]:
    missing = [name for name in names if name not in known]
    if missing:
        raise KitError(
            f'the reference set "{what}" has no means of {missing[0]}; it has {len(known)} {kind}, '
            "so collect it with the selector of the store that is edited."
        )
    return [known.index(name) for name in names]


class Asked:
    """One question put to every image of a store: cosines with each answer, whatever parts are replaced.

    Attributes:
        name: of the question.
        answers: what can be answered, in words.
        truth: number of the right answer, int64 [image].
        images: which images of the store are asked, int64 [image].

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
        ...     before, after = concept.after(), concept.after("L*.MLP", Reference.shipped(model))
        >>> after.shape == before.shape, bool((before == concept.after("none")).all())
        (True, True)
    """

    def __init__(self, store: Store, directions: Tensor, truth, answers: list[str], name: str = "answer"):
        truth = torch.tensor(np.asarray(truth))
        expect_shape(directions, "text embed", "directions", embed=store.arrays["embedding"].shape[1])
        expect_shape(truth, "image", "the right answers", image=len(store))
        if len(answers) != len(directions) or int(truth.max()) >= len(directions):
            raise KitError(
                f"{len(answers)} names and right answers up to {int(truth.max())} for {len(directions)} "
                "directions; give each answer one name and one direction."
            )
        self.images = (truth >= 0).nonzero()[:, 0]
        if len(self.images) == 0:
            raise KitError(f'no image of "{store.name}" has a right answer to "{name}"; ask something else.')
        self.store, self.directions, self.answers, self.name = store, directions.float(), list(answers), name
        self.truth = truth[self.images]
        self._picked = self.images.numpy()
        self._whole = store.cosines(self.directions, self._picked)
        self._held = {view: self._scores(view) for view in self._views() if self._fits(view)}

    def after(
        self, selector: str = "none", reference: Reference | None = None, cls: str | None = None
    ) -> Tensor:
        """Cosines after parts were replaced in the sum, [image, text].

        Patterns, norm statistics and the length of the representation stay as they were.

        Args:
            selector: of the parts that are replaced.
            reference: what stands in their place; None is zero.
            cls: of the heads of which what they read at the class token is replaced; None is of none. A head
                that is replaced as a whole is not counted twice.

        Raises:
            KitError: an unknown part; a reference set of another model, or without these parts.
        """
        if reference is not None:
            check_weights(self.store, reference, "means of a reference set")
        chosen = select(self.store.index, selector)
        found = self._replaced(self._whole, "parts", chosen, reference)
        if cls is None:
            return found
        view = self._view("cls")
        replaced = set(self.store.index["name"].iloc[chosen])
        heads = [h for h in select(view.index, cls) if view.index["name"][h] not in replaced]
        return self._replaced(found, "cls", heads, reference)

    def _replaced(self, found: Tensor, view: str, chosen: list[int], reference: Reference | None) -> Tensor:
        """Cosines with further parts taken out, and their means put in."""
        if not chosen:
            return found
        found = found - self._sum(view, chosen)
        if reference is None:
            return found
        names = list(self._view(view).index["name"].iloc[chosen])
        means = reference.of_parts(names) if view == "parts" else reference.of_heads(names)
        return found + means.sum(0) @ self.directions.T

    def _sum(self, view: str, chosen: list[int]) -> Tensor:
        """Summed scores of some parts, [image, text]."""
        if view in self._held:
            held = self._held[view]
            return _added(held, chosen)
        store, found = self._view(view), []
        names = ", ".join(store.index["name"].iloc[chosen])
        for some in np.array_split(self._picked, max(1, self._bytes(view) // HELD + 1)):
            if len(some):
                found.append(store.scores(self.directions, some, names).sum(1))
        return torch.cat(found)

    def _view(self, view: str) -> Store:
        return self.store if view == "parts" else self.store.read_at_cls()

    def _views(self) -> list[str]:
        return ["parts", "cls"] if "cls" in self.store.arrays else ["parts"]

    def _bytes(self, view: str) -> int:
        return 4 * len(self.images) * len(self._view(view).index) * len(self.directions)

    def _fits(self, view: str) -> bool:
        return self._bytes(view) <= HELD

    def _scores(self, view: str) -> Tensor:
        """Scores of every part, [part, image, text]."""
        return self._view(view).scores(self.directions, self._picked).transpose(0, 1).contiguous()


def _added(held: Tensor, chosen: list[int]) -> Tensor:
    """The sum of some rows, without a copy of them."""
    total = held[chosen[0]].clone()
    for row in chosen[1:]:
        total += held[row]
    return total


def ask(model, store: Store, attribute: str) -> Asked:
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
    return Asked(store, model.encode_text(texts[first:]), truth, answers[first:], attribute)
