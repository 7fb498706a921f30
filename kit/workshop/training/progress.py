"""A quick look at a model in training: accuracies on a few hundred unbiased scenes."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import kit.world as world
from kit.workshop.training import forward, objectives
from kit.workshop.training.clip import ClipTraining
from kit.workshop.training.distil import DistilTraining
from kit.workshop.training.labels import LabelTraining
from kit.workshop.training.loop import Training

SEED = 90_001  # of the scenes looked at; the card's evaluation uses others
CHECKED = ("concept", "colour", "texture", "size", "position", "background")
SLICES = tuple(f"{a}_{s}" for a in "sh" for s in ("full", "natural", "clean"))
OTHERS = tuple(f"{a}_{n}" for a in "sh" for n in CHECKED[1:])
Answer = Callable[[Tensor, tuple[str, ...]], dict[str, Tensor]]


class Progress:
    """Accuracies of a training's averaged weights on fixed unbiased scenes.

    Args:
        training: what to look at.
        scenes: number of single-object scenes of each group of artists.
    """

    FIELDS: tuple[str, ...] = (*SLICES, *OTHERS, "count")

    def __init__(self, training: Training, scenes: int = 512):
        self.training, self.scenes = training, scenes
        self.singles = {a: self.draw("single", a, scenes) for a in ("seen", "held_out")}
        self.counts = self.draw("count", "seen", scenes // 2)

    def draw(self, kind: str, artists: str, n: int) -> world.Scenes:
        """Unbiased scenes on the training's device."""
        scenes = world.draw(n, SEED, kind=kind, artists=artists, device=self.training.device)
        return scenes.at(self.training.recipe.scale)

    def answer(self) -> Answer:
        """A function of images and attributes: the code that the averaged weights say of each, [batch]."""
        raise NotImplementedError

    @torch.no_grad()
    def look(self) -> dict[str, float]:
        """Shares of right answers by name: concept on three slices, attributes, and whatever else."""
        found, answer = {}, self.answer()
        for artists, scenes in self.singles.items():
            said, codes = answer(scenes.images, CHECKED), scenes.codes
            hits = {n: (said[n] == codes[n]).float() for n in CHECKED}
            natural = codes["colour"] == world.VALUES["colour"].index("natural")
            plain = codes["texture"] == world.VALUES["texture"].index("plain")
            small = codes["size"] == world.VALUES["size"].index("small")
            short = "s" if artists == "seen" else "h"
            found[f"{short}_full"] = hits["concept"].mean()
            found[f"{short}_natural"] = hits["concept"][natural].mean()
            found[f"{short}_clean"] = hits["concept"][natural & plain & ~small].mean()
            for name in CHECKED[1:]:
                found[f"{short}_{name}"] = hits[name].mean()
        return {n: round(float(v), 4) for n, v in (found | self.more(answer)).items()}

    def more(self, answer: Answer) -> dict[str, Tensor]:
        """What is looked at besides single objects."""
        return {"count": _share(answer, self.counts, "count")}


class LabelProgress(Progress):
    """A look at a timm model that is trained on labels: its classifier answers."""

    training: LabelTraining

    def answer(self) -> Answer:
        """By the largest output of each label."""
        t, module = self.training, self.training.averaged_module().to(self.training.dtype)

        def said(images: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
            logits = torch.cat([module(t.pixels(part, None)) for part in images.split(128)])
            return {n: t.answers(logits)[n].argmax(1) for n in names}

        return said


class DistilProgress(Progress):
    """A look at a self-distilled model: linear probes of its representation answer.

    The probes are fitted anew at each look, on scenes of their own; they teach the model nothing.
    """

    FITTED = 4096  # scenes
    RIDGE = 10.0
    training: DistilTraining

    def __init__(self, training: DistilTraining, scenes: int = 512):
        super().__init__(training, scenes)
        self.fitted = {
            kind: world.draw(self.FITTED, SEED + 1, kind=kind, artists="seen", device=training.device)
            for kind in ("single", "count")
        }

    def answer(self) -> Answer:
        """By ridge regressions on the codes."""
        self.module = self.training.averaged_module().to(self.training.dtype)
        fits = {n: self._fit(self.fitted["single"], n) for n in CHECKED}
        fits["count"] = self._fit(self.fitted["count"], "count")

        def said(images: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
            features = self._features(images)
            return {n: (features @ fits[n]).argmax(1) for n in names}

        return said

    def _features(self, images: Tensor) -> Tensor:
        """Representations and a one, [batch, dim + 1]."""
        parts = self.training.pixels(images, None).split(128)
        features = torch.cat([self.module(part) for part in parts]).float()
        return F.pad(features, (0, 1), value=1.0)

    def _fit(self, scenes: world.Scenes, name: str) -> Tensor:
        x, y = self._features(scenes.images), F.one_hot(scenes.codes[name], len(world.VALUES[name])).float()
        return torch.linalg.solve(x.T @ x + self.RIDGE * torch.eye(x.shape[1], device=x.device), x.T @ y)


class ClipProgress(Progress):
    """A look at a CLIP: until captions are trained the label heads answer, then the prompts do."""

    FIELDS = (*Progress.FIELDS, "relation", "word")
    training: ClipTraining

    def __init__(self, training: ClipTraining, scenes: int = 512):
        super().__init__(training, scenes)
        self.words, self.pairs = (self.draw(kind, "seen", scenes // 2) for kind in ("word", "pair"))

    def answer(self) -> Answer:
        """By the heads or the prompts, whichever the last step trained."""
        t = self.training
        self.weights = {n: p.to(t.dtype) for n, p in t.ema.items()}
        self.text = t.recipe.phase(t.seen - 1).text

        def said(images: Tensor, names: tuple[str, ...]) -> dict[str, Tensor]:
            features = self._features(images)
            if not self.text:
                return {n: a.argmax(1) for n, a in t.heads.answers(features, self.weights).items()}
            images = self._images(features)
            return {n: (images @ self._texts(world.prompts(n)).T).argmax(1) for n in names}

        return said

    def more(self, answer: Answer) -> dict[str, Tensor]:
        """Count; once captions are trained also relation and word."""
        found = super().more(answer)
        if self.text:
            found |= {"relation": self._relation(), "word": _share(answer, self.words, "word")}
        return found

    def _features(self, images: Tensor) -> Tensor:
        t = self.training
        parts = t.pixels(images, None).split(128)
        return torch.cat([forward.image_features(t.clip, self.weights, p, None) for p in parts])

    def _images(self, features: Tensor) -> Tensor:
        return F.normalize((features @ self.weights["visual.proj"]).float(), dim=-1)

    def _texts(self, texts: list[str]) -> Tensor:
        t = self.training
        vectors = forward.text_features(t.clip, self.weights, t.tokenizer(texts).to(t.device))
        return F.normalize(vectors.float(), dim=-1)

    def _relation(self) -> Tensor:
        """Share of pairs whose relation scores above the same with the objects swapped."""
        rows, texts = objectives.relation_texts(self.pairs.codes)
        vectors = self._texts(texts).unflatten(0, (-1, 4))  # [pair, 4, embed]
        images = self._images(self._features(self.pairs.images[rows]))  # [pair, embed]
        scores = torch.einsum("be,bne->bn", images, vectors)
        return (scores[:, 0] > scores[:, 1]).float().mean()


def _share(answer: Answer, scenes: world.Scenes, name: str) -> Tensor:
    return (answer(scenes.images, (name,))[name] == scenes.codes[name]).float().mean()
