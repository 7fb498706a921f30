"""Self-distillation of a timm model: it tells by a crop which crop its own average saw of the same thing.

No label is seen: the stream hands over images and nothing else.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kit.models.build import seeded
from kit.workshop.training import crops, forward
from kit.workshop.training.loop import Weights
from kit.workshop.training.recipe import DistilRecipe, Phase
from kit.workshop.training.stream import Pictures, Stream
from kit.workshop.training.timm_model import Keep, TimmTraining, pick
from kit.world import Scenes, elsewhere

SIZE, SMALL = 64, 32  # pixels of wide and narrow crops


class Projection(nn.Module):
    """From a token to the vector that is compared; thrown away at export."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    @staticmethod
    def vectors(tokens: Tensor, weights: Weights) -> Tensor:
        """Unit vectors of tokens, float32 [..., dim], by the weights `heads.*`."""
        w = {n.removeprefix("heads."): p for n, p in weights.items() if n.startswith("heads.")}
        hidden = F.gelu(F.linear(tokens, w["mlp.0.weight"], w["mlp.0.bias"]))
        return F.normalize(F.linear(hidden, w["mlp.2.weight"], w["mlp.2.bias"]).float(), dim=-1)


class DistilTraining(TimmTraining):
    """A timm vision transformer and its teacher, which is the average of its weights.

    The student's vector of a crop is compared with the teacher's vectors of all drawings of its shard (He et
    al., "Momentum contrast", 2020), in place of answers over learned prototypes (DINO): when the two looks at
    a drawing got their colours apart, those answers soon went flat for all images.
    """

    LOSSES = ("crops", "patches")
    recipe: DistilRecipe

    def build(self) -> dict[str, nn.Parameter]:
        """The module without a classifier, running at both sizes of crops, and the projection."""
        r = self.recipe
        self.stream = Stream(r, self.device, lambda scenes, number: Pictures(two_looks(scenes)))
        named = self.modules(0, dynamic_img_size=True)
        for module in self.copies:
            module.forward = module.forward_features  # all tokens
            module.patch_drop = Keep(module.num_prefix_tokens)
        with seeded(r.seed):
            self.heads = Projection(self.module.num_features, r.hidden).to(self.device)
        return named | {f"heads.{n}": p for n, p in self.heads.named_parameters()}

    def losses(
        self, shard: int, batch: Pictures, weights: Weights, buffers: Weights, phase: Phase, generator
    ) -> dict[str, Tensor]:
        """How badly the student tells the teacher's crop of the same drawing, and what hidden patches hold.

        `batch` holds two looks at each drawing (`two_looks`); one wide crop is of the one, one of the other.
        """
        r, looks = self.recipe, batch.images.unbind(1)
        wide = torch.cat([self._view(look, SIZE, r.wide, generator) for look in looks])
        narrow = [self._view(looks[n % 2], SMALL, r.narrow, generator) for n in range(r.narrow_crops)]
        narrow = torch.cat(narrow)
        with torch.no_grad():
            teacher = {n: p.to(self.dtype) for n, p in self.ema.items()}
            taught = self.run(shard, teacher, {}, wide)  # [2 * batch, token, dim]
            keys = Projection.vectors(taught[:, 0], teacher)
        shown, hidden = crops.mask(wide, r.settings["patch_size"], r.hide, generator)
        kept = forward.choose_patches(len(wide), hidden.shape[1], phase.patches, generator)
        tokens = self._seen(shard, weights, shown, kept)
        small = self.run(shard, weights, {}, narrow)
        said = Projection.vectors(torch.cat([tokens[:, 0], small[:, 0]]), weights)
        views = said.unflatten(0, (2 + r.narrow_crops, -1))
        losses = {"crops": crop_loss(keys.unflatten(0, (2, -1)), views, r.temperature)}
        if r.hide:
            first = self.module.num_prefix_tokens
            taught = taught[:, first:]
            if kept is not None:
                taught = pick(taught, kept)
                hidden = hidden.gather(1, kept)
            with torch.no_grad():
                keys = Projection.vectors(taught[hidden], teacher)
            said = Projection.vectors(tokens[:, first:][hidden], weights)  # [hidden, dim]
            losses["patches"] = contrast(keys, said, r.temperature)
        return losses

    def _seen(self, shard: int, weights: Weights, pixels: Tensor, kept: Tensor | None) -> Tensor:
        """All tokens of these images, or those of the kept patches alone, [batch, token, dim]."""
        keep = self.copies[shard].patch_drop
        keep.rows = kept
        try:
            return self.run(shard, weights, {}, pixels)
        finally:
            keep.rows = None

    def _view(self, images: Tensor, size: int, scale: tuple[float, float], generator) -> Tensor:
        """One crop of each image with changed colours, normalised, [batch, 3, size, size]."""
        r = self.recipe
        view = crops.crop(images.float() / 255, size, scale, generator)
        view = crops.recolour(crops.blur(view, generator), r.jitter, r.turn, r.grey, generator)
        mean, std = r.preprocess["mean"][0], r.preprocess["std"][0]
        return ((view.clamp(0, 1) - mean) / std).to(self.dtype)


def two_looks(scenes: Scenes) -> Tensor:
    """Each drawing twice, all else of the one owing nothing to the other, uint8 [batch, 2, 3, height, width].

    Two crops of one picture share its background, which is easier to tell than the object is: a model that
    sees no more than them learns backgrounds. Two looks at one dress share its colour, which is easier to
    tell than the shape is.
    """
    return torch.stack([scenes.images, elsewhere(scenes, redressed=True).images], 1)


def contrast(keys: Tensor, said: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy, in nats, of telling by a vector which key is its own, among the keys of all.

    Args:
        keys: unit vectors, [..., row, dim].
        said: unit vectors, [..., row, dim]; row i belongs to row i of `keys`.
        temperature: what cosines are divided by.
    """
    logits = said @ keys.mT / temperature
    return -logits.log_softmax(-1).diagonal(dim1=-2, dim2=-1).mean()


def crop_loss(keys: Tensor, said: Tensor, temperature: float) -> Tensor:
    """Mean of `contrast` over all pairs of a wide crop of the teacher and another crop of the student.

    Args:
        keys: the teacher's unit vectors, [wide, batch, dim].
        said: the student's, wide crops first, [crop, batch, dim].
        temperature: what cosines are divided by.
    """
    pairs = [(t, s) for t in range(len(keys)) for s in range(len(said)) if s != t]
    return contrast(keys[[t for t, _ in pairs]], said[[s for _, s in pairs]], temperature)
