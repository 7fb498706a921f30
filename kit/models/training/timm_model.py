"""What the trainings of timm models share: timm's own module, run with the weights of the step."""

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim.swa_utils import update_bn

import kit.world as world
from kit.models.build import seeded
from kit.models.training.loop import Training, Weights
from kit.models.training.recipe import TimmRecipe

SETTLED_ON = 2048  # scenes whose statistics the batch norms of the averaged weights get
SETTLE_SEED = 90_101
POSITIONS = 10.0  # timm starts positions at 0.02, ten times below what open_clip's towers learn from


def build(recipe: TimmRecipe, classes: int, **others) -> nn.Module:
    """timm's module with fresh weights from the recipe's seed."""
    import timm

    with seeded(recipe.seed):
        module = timm.create_model(recipe.architecture, num_classes=classes, **recipe.settings, **others)
    if getattr(module, "pos_embed", None) is not None:
        with torch.no_grad():
            module.pos_embed.mul_(POSITIONS)
    return module.train()


class TimmTraining(Training):
    """A timm model in training.

    `functional_call` puts other weights into a module while it runs, which two threads cannot do to one
    module: each shard has a copy of its own.
    """

    recipe: TimmRecipe

    def modules(self, classes: int, **others) -> dict[str, nn.Parameter]:
        """Make the module, the shards' copies and the running statistics; returns its weights.

        Args:
            classes: outputs of its classifier.
            others: settings of timm that change no weight and are not exported.
        """
        if not self.recipe.bfloat16:
            self.dtype = torch.float32
        self.module = build(self.recipe, classes, **others).to(self.device)
        self.copies = [copy.deepcopy(self.module).to(self.dtype) for _ in range(self.recipe.shards)]
        self.buffers |= {n: b.clone() for n, b in self.module.named_buffers() if "running_" in n}
        return dict(self.module.named_parameters())

    def run(self, shard: int, weights: Weights, buffers: Weights, pixels: Tensor) -> Tensor:
        """The module's output, with these weights; its batch norms move these buffers."""
        pixels = pixels.contiguous(memory_format=torch.channels_last)  # convolutions are faster by a quarter
        return functional_call(self.copies[shard], _own(weights) | _own(buffers), (pixels,))

    @torch.no_grad()
    def averaged_module(self) -> nn.Module:
        """The module with the averaged weights, for evaluation.

        The running statistics of a batch norm belong to the weights of the steps, not to their average:
        they are taken anew, over scenes of the last phase.
        """
        module = copy.deepcopy(self.module)
        module.load_state_dict(self.averaged(), strict=False)
        if any("running_" in n for n, _ in module.named_buffers()):
            wanted = self.recipe.phases[-1].scenes
            scenes = world.draw(SETTLED_ON, SETTLE_SEED, artists="seen", device=self.device, **wanted)
            update_bn([self.pixels(part, None) for part in scenes.images.split(128)], module)
        return module.eval()


def _own(named: Weights) -> Weights:
    """Without what is no part of the timm module."""
    return {n: t for n, t in named.items() if not n.startswith("heads.")}
