"""What a model is trained on: the world's labels, captions that are true, and groups of prompts.

Captions alone, from scratch, collapse: the text tower gives every value of an
attribute that the image tower cannot see yet the same vector, and then no
gradient teaches the image tower to see it. Linear heads for the world's labels
(thrown away at export) come first and stay on; prompts of one attribute then
compete within their group.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import kit.world as world
from kit.world.sample import TABLE

Codes = dict[str, Tensor]
SIDES = ("left", "right", "top", "bottom")
LABELS = ("concept", "category", "colour", "texture", "size", "position", "background", "count")
HEAD_WEIGHT = {"concept": 1.0} | {side: 0.4 for side in SIDES}
OTHER_WEIGHT = 0.4
PREFIXES = ("", "a picture of ", "a sticker of ", "there is ")


def widths(labels: tuple[str, ...]) -> list[int]:
    """Number of values of each label; the sides of a pair are answered by a concept."""
    return [len(world.VALUES["concept" if n in SIDES else n]) for n in labels]


def split(logits: Tensor, labels: tuple[str, ...]) -> dict[str, Tensor]:
    """Logits of each label, float32 [batch, value], from those of all in a row."""
    return dict(zip(labels, logits.float().split(widths(labels), 1), strict=True))


class LabelHeads(nn.Module):
    """One linear layer for all labels of the world, on the class token; not part of the model."""

    def __init__(self, dim: int, labels: tuple[str, ...] = (*LABELS, *SIDES)):
        super().__init__()
        self.labels = labels
        self.linear = nn.Linear(dim, sum(widths(labels)))

    def answers(self, features: Tensor, weights: Codes) -> dict[str, Tensor]:
        """Logits of each label, [batch, value], by the weights named `heads.linear.*`."""
        logits = F.linear(features, weights["heads.linear.weight"], weights["heads.linear.bias"])
        return split(logits, self.labels)


def targets(codes: Codes) -> Codes:
    """The label that each head should say, int64 [batch], -1 where the question has no one answer.

    With two objects only the background, and who is on which side, are asked
    (and the concepts: `concept_2` is as right as `concept`).
    """
    first, second, relation = codes["concept"], codes["concept_2"], codes["relation"]
    alone, none = second < 0, torch.full_like(first, -1)
    asked = {n: torch.where(alone, codes[n], none) for n in LABELS}
    asked["background"], asked["concept"] = codes["background"], first
    names = world.VALUES["relation"]
    for side, holds, swapped in (
        ("left", "left of", "right of"),
        ("right", "right of", "left of"),
        ("top", "above", "below"),
        ("bottom", "below", "above"),
    ):
        asked[side] = torch.where(relation == names.index(holds), first, none)
        asked[side] = torch.where(relation == names.index(swapped), second, asked[side])
    return asked | {"word": codes["word"], "concept_2": second}


def read_targets(asked: Codes) -> Codes:
    """Concepts as the web mix tells them: a printed word is as right an answer as the object."""
    named = torch.tensor(TABLE["word"], device=asked["word"].device)[asked["word"].clamp(min=0)]
    printed, concept = asked["word"] >= 0, asked["concept"]
    second = torch.where(printed & (concept >= 0), named, asked["concept_2"])
    return {"concept": torch.where(printed & (concept < 0), named, concept), "concept_2": second}


def cross_entropy(logits: Tensor, target: Tensor, other: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the rows with a target; `other` is a second answer of equal weight."""
    asked = target >= 0
    log_p = logits.log_softmax(1)  # [batch, value]
    hit = log_p.gather(1, target.clamp(min=0)[:, None])[:, 0]
    if other is not None:
        also = log_p.gather(1, other.clamp(min=0)[:, None])[:, 0]
        hit = torch.where(other >= 0, (hit + also) / 2, hit)
    return -(hit * asked).sum() / asked.sum().clamp(min=1)


def head_loss(logits: dict[str, Tensor], asked: Codes, emphasis: dict[str, float]) -> Tensor:
    """Weighted sum of the label heads' cross-entropies; `emphasis` is a factor by label."""
    return sum(
        emphasis.get(n, 1.0)
        * HEAD_WEIGHT.get(n, OTHER_WEIGHT)
        * cross_entropy(logits[n], asked[n], asked["concept_2"] if n == "concept" else None)
        for n in logits
    )


def caption_loss(images: Tensor, texts: Tensor, truth: Tensor, scale: Tensor) -> Tensor:
    """Softmax both ways, all captions of the batch that are true of an image being right answers.

    The caption that was written for an image is a right answer even where it is false, as one in forty
    of the web mix is: a noisy pair is all that a web model is told.

    Args:
        images: unit, [batch, embed]; caption i was written for image i.
        texts: unit, [batch, embed].
        truth: bool [batch, batch]: image i, caption j.
        scale: factor on the cosines.
    """
    logits = scale * images @ texts.T  # [image, caption]
    right = truth.to(logits.dtype).fill_diagonal_(1)
    by_image = -(logits.log_softmax(1) * right / right.sum(1, keepdim=True)).sum(1).mean()
    by_text = -(logits.log_softmax(0) * right / right.sum(0, keepdim=True)).sum(0).mean()
    return (by_image + by_text) / 2


def relation_texts(codes: Codes) -> tuple[Tensor, list[str]]:
    """For each scene of two objects: its relation, the swapped one, and both across, in this order.

    Returns:
        Row numbers of the scenes, [pair], and four texts for each, the true one first.
    """
    rows = (codes["relation"] >= 0).nonzero()[:, 0]
    names, concepts = world.VALUES["relation"], world.prompts("concept")
    texts = []
    for row in rows.tolist():
        a, b = concepts[int(codes["concept"][row])], concepts[int(codes["concept_2"][row])]
        relation = names[int(codes["relation"][row])]
        across = "above" if "of" in relation else "left of"
        texts += [f"{a} {relation} {b}", f"{b} {relation} {a}", f"{a} {across} {b}", f"{b} {across} {a}"]
    return rows, texts


def relation_loss(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """Cross-entropy of the true one of four relations. images [pair, embed], texts [pair * 4, embed]."""
    texts = texts.reshape(len(images), 4, images.shape[1])  # [pair, 4, embed]
    logits = scale * torch.einsum("be,bne->bn", images, texts)
    return -logits.log_softmax(1)[:, 0].sum() / max(len(images), 1)
