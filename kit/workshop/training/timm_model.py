"""What the trainings of timm models share: timm's own module, run with the weights of the step."""

import copy

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim.swa_utils import update_bn

import kit.world as world
from kit.errors import KitError
from kit.models.build import seeded
from kit.models.names import SHIPPED
from kit.workshop.training.loop import Training, Weights
from kit.workshop.training.recipe import TimmRecipe

SETTLED_ON = 2048  # scenes whose statistics the batch norms of the averaged weights get
SETTLE_SEED = 90_101
POSITIONS = 10.0  # timm starts positions at 0.02, ten times below what open_clip's towers learn from


def build(recipe: TimmRecipe, classes: int, **others) -> nn.Module:
    """timm's module with fresh weights from the recipe's seed."""
    import timm

    with seeded(recipe.seed):
        module = timm.create_model(recipe.architecture, num_classes=classes, **recipe.settings, **others)
    if recipe.start:
        take_over(module, load_file(SHIPPED / recipe.start / "model.safetensors"))
    elif getattr(module, "pos_embed", None) is not None:
        with torch.no_grad():
            module.pos_embed.mul_(POSITIONS)
    return module.train()


@torch.no_grad()
def take_over(module: nn.Module, weights: Weights) -> None:
    """Give a vision transformer with registers and layer scales the weights of one that has neither.

    The layer scales become one, and the class token takes along its position, which the second kind does
    not have: but for what the registers say, both compute the same.

    Args:
        module: timm's, its registers fresh.
        weights: of a plain one of the same width and depth.
    """
    weights = {n: w.float() for n, w in weights.items()}
    first, weights["pos_embed"] = weights["pos_embed"].tensor_split([1], 1)
    weights["cls_token"] = weights["cls_token"] + first
    missing, unknown = module.load_state_dict(weights, strict=False)
    for name in missing:
        if name.endswith(".gamma"):
            module.get_parameter(name).fill_(1.0)
        elif name != "reg_token":
            unknown.append(name)
    if unknown:
        raise KitError(f"the two transformers differ in {', '.join(unknown)}; name another one in `start`.")


class Keep(nn.Module):
    """Some patches of each image, `rows` [batch, kept] or None for all; a vision transformer's `patch_drop`.

    timm's own chooses at random from the process's one generator, which is not told what a step drew.
    """

    rows: Tensor | None = None

    def __init__(self, prefix: int):
        super().__init__()
        self.prefix = prefix  # tokens before the patches

    def forward(self, tokens: Tensor) -> Tensor:
        """[batch, token, dim] -> [batch, prefix + kept, dim]."""
        if self.rows is None:
            return tokens
        first, patches = tokens[:, : self.prefix], tokens[:, self.prefix :]
        return torch.cat([first, pick(patches, self.rows)], 1)


def pick(tokens: Tensor, rows: Tensor) -> Tensor:
    """Some tokens of each image, [batch, token, dim] and [batch, kept] -> [batch, kept, dim]."""
    return tokens.gather(1, rows[..., None].expand(-1, -1, tokens.shape[-1]))


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
