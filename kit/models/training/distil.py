"""Self-distillation of a timm model: it learns to say of a crop what its own average says of another.

No label is seen: the stream hands over images and nothing else.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kit.models.build import seeded
from kit.models.training import crops
from kit.models.training.loop import Weights
from kit.models.training.recipe import DistilRecipe, Phase
from kit.models.training.stream import Pictures, Stream
from kit.models.training.timm_model import TimmTraining
from kit.world import Scenes, elsewhere

SIZE, SMALL = 64, 32  # pixels of wide and narrow crops


class Prototypes(nn.Module):
    """From a token to logits over prototypes; thrown away at export."""

    def __init__(self, dim: int, hidden: int, prototypes: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim // 2))
        self.prototypes = nn.Parameter(torch.randn(prototypes, dim // 2))

    @staticmethod
    def answers(tokens: Tensor, weights: Weights) -> Tensor:
        """Cosines of tokens with the prototypes, float32 [..., prototype], by the weights `heads.*`."""
        w = {n.removeprefix("heads."): p for n, p in weights.items() if n.startswith("heads.")}
        hidden = F.gelu(F.linear(tokens, w["mlp.0.weight"], w["mlp.0.bias"]))
        projected = F.normalize(F.linear(hidden, w["mlp.2.weight"], w["mlp.2.bias"]), dim=-1)
        return (projected @ F.normalize(w["prototypes"], dim=-1).T).float()


class DistilTraining(TimmTraining):
    """A timm vision transformer and its teacher, which is the average of its weights.

    The teacher's answers are sharpened, so that not all prototypes answer for each image, and balanced over
    the batch, so that no prototype answers for all of them: without that, twelve prototypes soon answered
    for the twelve kinds of background, and then fewer. Mending the mean answer alone (DINO's own centre)
    did not hold them apart in a training as short as these.
    """

    LOSSES = ("crops", "spread", "patches")
    recipe: DistilRecipe

    def build(self) -> dict[str, nn.Parameter]:
        """The module without a classifier, running at both sizes of crops, and the prototypes."""
        r = self.recipe
        self.stream = Stream(r, self.device, lambda scenes, number: Pictures(two_looks(scenes)))
        named = self.modules(0, dynamic_img_size=True)
        for module in self.copies:
            module.forward = module.forward_features  # all tokens
        with seeded(r.seed):
            self.heads = Prototypes(self.module.num_features, r.hidden, r.prototypes).to(self.device)
        return named | {f"heads.{n}": p for n, p in self.heads.named_parameters()}

    def losses(
        self, shard: int, batch: Pictures, weights: Weights, buffers: Weights, phase: Phase, generator
    ) -> dict[str, Tensor]:
        """Cross-entropies of the student's answers with the teacher's: crops, and hidden patches.

        `batch` holds two looks at each object (`two_looks`); one wide crop is of the one, one of the other.
        """
        r, looks = self.recipe, batch.images.unbind(1)
        wide = torch.cat([self._view(look, SIZE, r.wide, generator) for look in looks])
        narrow = [self._view(looks[n % 2], SMALL, r.narrow, generator) for n in range(r.narrow_crops)]
        narrow = torch.cat(narrow)
        with torch.no_grad():
            teacher = {n: p.to(self.dtype) for n, p in self.ema.items()}
            taught = self.run(shard, teacher, {}, wide)  # [2 * batch, token, dim]
            targets = self._targets(taught[:, 0], teacher)
        shown, hidden = crops.mask(wide, r.settings["patch_size"], r.hide, generator)
        tokens = self.run(shard, weights, {}, shown)
        small = self.run(shard, weights, {}, narrow)
        said = self._said(torch.cat([tokens[:, 0], small[:, 0]]), weights)
        losses = {
            "crops": crop_loss(targets.unflatten(0, (2, -1)), said.unflatten(0, (2 + r.narrow_crops, -1)))
        }
        losses["spread"] = r.spread * spread_loss(tokens[:, 0].unflatten(0, (2, -1)))
        if r.hide:
            first = self.module.num_prefix_tokens
            patches = lambda t: t[:, first:][hidden]  # noqa: E731  [hidden, dim]
            with torch.no_grad():
                targets = self._targets(patches(taught), teacher)
            losses["patches"] = -(targets * self._said(patches(tokens), weights)).sum(-1).mean()
        return losses

    def _view(self, images: Tensor, size: int, scale: tuple[float, float], generator) -> Tensor:
        """One crop of each image with changed colours, normalised, [batch, 3, size, size]."""
        r = self.recipe
        view = crops.crop(images.float() / 255, size, scale, generator)
        view = crops.recolour(crops.blur(view, generator), r.jitter, r.turn, r.grey, generator)
        mean, std = r.preprocess["mean"][0], r.preprocess["std"][0]
        return ((view.clamp(0, 1) - mean) / std).to(self.dtype)

    def _targets(self, tokens: Tensor, teacher: Weights) -> Tensor:
        """The teacher's balanced and sharpened answers."""
        return balanced(Prototypes.answers(tokens, teacher) / self.recipe.sharp)

    def _said(self, tokens: Tensor, weights: Weights) -> Tensor:
        return (Prototypes.answers(tokens, weights) / self.recipe.soft).log_softmax(-1)


def two_looks(scenes: Scenes) -> Tensor:
    """Each object before two backgrounds, uint8 [batch, 2, 3, height, width].

    Two crops of one picture share its background, which is easier to tell than the object is: a model that
    sees no more than them learns backgrounds.
    """
    return torch.stack([scenes.images, elsewhere(scenes).images], 1)


def balanced(logits: Tensor, rounds: int = 3) -> Tensor:
    """Distributions near the softmax of each row of which every prototype gets an equal share.

    Sinkhorn and Knopp's iteration, [batch, prototype].
    """
    p = (logits - logits.max()).exp()
    for _ in range(rounds):
        p = p / p.sum(0)
        p = p / p.sum(1, keepdim=True)
    return p


def crop_loss(targets: Tensor, said: Tensor) -> Tensor:
    """Mean cross-entropy over all pairs of a wide crop of the teacher and another crop of the student.

    Args:
        targets: the teacher's answers, [wide, batch, prototype].
        said: logarithms of the student's answers, wide crops first, [crop, batch, prototype].
    """
    pairs = -torch.einsum("tbk,sbk->ts", targets, said) / said.shape[1]
    others = ~torch.eye(len(said), dtype=torch.bool, device=said.device)[: len(targets)]
    return pairs[others].mean()


def spread_loss(features: Tensor) -> Tensor:
    """Mean of minus the logarithm of each vector's distance to its nearest other: small where all lie apart.

    Kozachenko and Leonenko's estimate of entropy, without its constants, of unit vectors; DINOv2's "KoLeo".

    Args:
        features: views of a batch, each looked at alone, [view, batch, dim].
    """
    unit = F.normalize(features.float(), dim=-1)
    with torch.no_grad():
        alike = unit @ unit.mT
        alike.diagonal(dim1=1, dim2=2).fill_(-2.0)
        nearest = alike.argmax(-1, keepdim=True).expand_as(unit)  # [view, batch, dim]
    distance = (unit - unit.gather(1, nearest)).norm(dim=-1)
    return -(distance + 1e-4).log().mean()
