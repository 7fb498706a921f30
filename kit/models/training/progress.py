"""A quick look at a model in training: accuracies on a few hundred unbiased scenes."""

import torch
import torch.nn.functional as F
from torch import Tensor

import kit.world as world
from kit.models.training import forward, objectives
from kit.models.training.loop import Training

SEED = 90_001  # of the scenes looked at; the card's evaluation uses others
CHECKED = ("concept", "colour", "texture", "size", "position", "background")


class Progress:
    """Accuracies of a training's averaged weights on fixed unbiased scenes.

    Until captions are trained the label heads answer, then the prompts do.

    Args:
        training: what to look at.
        scenes: number of single-object scenes of each group of artists.
    """

    def __init__(self, training: Training, scenes: int = 512):
        self.training = training

        def draw(kind: str, artists: str, n: int) -> world.Scenes:
            return world.draw(n, SEED, kind=kind, artists=artists, device=training.device)

        self.singles = {a: draw("single", a, scenes) for a in ("seen", "held_out")}
        self.words = draw("word", "seen", scenes // 2)
        self.counts, self.pairs = draw("count", "seen", scenes // 2), draw("pair", "seen", scenes // 2)

    @torch.no_grad()
    def look(self, text: bool) -> dict[str, float]:
        """Shares of right answers by name: concept on three slices, attributes, count, relation order."""
        t = self.training
        weights = {n: p.to(t.dtype) for n, p in t.ema.items()}
        found = {}
        for artists, scenes in self.singles.items():
            features = self._features(weights, scenes.images)
            hits = {n: self._hits(weights, features, scenes.codes[n], n, text) for n in CHECKED}
            natural = scenes.codes["colour"] == world.VALUES["colour"].index("natural")
            plain = scenes.codes["texture"] == world.VALUES["texture"].index("plain")
            small = scenes.codes["size"] == world.VALUES["size"].index("small")
            short = "s" if artists == "seen" else "h"
            found[f"{short}_full"] = hits["concept"].mean()
            found[f"{short}_natural"] = hits["concept"][natural].mean()
            found[f"{short}_clean"] = hits["concept"][natural & plain & ~small].mean()
            for name in CHECKED[1:]:
                found[f"{short}_{name}"] = hits[name].mean()
        features = self._features(weights, self.counts.images)
        found["count"] = self._hits(weights, features, self.counts.codes["count"], "count", text).mean()
        if text:
            found["relation"] = self._relation(weights)
            features = self._features(weights, self.words.images)
            found["word"] = self._hits(weights, features, self.words.codes["word"], "word", text).mean()
        return {n: round(float(v), 4) for n, v in found.items()}

    def _features(self, weights: forward.Weights, images: Tensor) -> Tensor:
        t = self.training
        pixels = t.pixels(images.to(t.device), None)
        return torch.cat([forward.image_features(t.clip, weights, p, None) for p in pixels.split(128)])

    def _texts(self, weights: forward.Weights, texts: list[str]) -> Tensor:
        t = self.training
        vectors = forward.text_features(t.clip, weights, t.tokenizer(texts).to(t.device))
        return F.normalize(vectors.float(), dim=-1)

    def _images(self, weights: forward.Weights, features: Tensor) -> Tensor:
        return F.normalize((features @ weights["visual.proj"]).float(), dim=-1)

    def _hits(self, weights, features: Tensor, codes: Tensor, attribute: str, text: bool) -> Tensor:
        """1.0 where the attribute is answered rightly, [scene]."""
        if text:
            prompts = self._texts(weights, world.prompts(attribute))
            said = (self._images(weights, features) @ prompts.T).argmax(1)
        else:
            said = self.training.heads.answers(features, weights)[attribute].argmax(1)
        return (said == codes).float().cpu()

    def _relation(self, weights: forward.Weights) -> float:
        """Share of pairs whose relation scores above the same with the objects swapped."""
        rows, texts = objectives.relation_texts(self.pairs.codes)
        vectors = self._texts(weights, texts).unflatten(0, (-1, 4))  # [pair, 4, embed]
        images = self._images(weights, self._features(weights, self.pairs.images[rows]))  # [pair, embed]
        scores = torch.einsum("be,bne->bn", images, vectors)
        return (scores[:, 0] > scores[:, 1]).float().mean()
