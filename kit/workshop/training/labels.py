"""The supervised training of a timm model: its classifier answers all labels of the world."""

from torch import Tensor, nn

import kit.world as world
from kit.workshop.training import objectives
from kit.workshop.training.loop import Weights
from kit.workshop.training.recipe import LabelRecipe, Phase
from kit.workshop.training.stream import Labelled, Stream
from kit.workshop.training.timm_model import TimmTraining


class LabelTraining(TimmTraining):
    """A timm classifier in training. Its outputs are the values of one label after the other."""

    LOSSES = ("heads",)
    recipe: LabelRecipe

    def build(self) -> dict[str, nn.Parameter]:
        """The module with one output for each value."""
        self.stream = Stream(
            self.recipe, self.device, lambda scenes, _: Labelled(scenes.images, scenes.codes)
        )
        return self.modules(len(self.label_names))

    @property
    def label_names(self) -> list[str]:
        """What each output says, as in "concept: cat"."""
        return [f"{label}: {value}" for label in self.recipe.labels for value in world.VALUES[label]]

    def answers(self, logits: Tensor) -> dict[str, Tensor]:
        """Logits of each label, [batch, value]."""
        return objectives.split(logits, self.recipe.labels)

    def losses(
        self, shard: int, batch: Labelled, weights: Weights, buffers: Weights, phase: Phase, generator
    ) -> dict[str, Tensor]:
        """Cross-entropies of the labels."""
        logits = self.run(shard, weights, buffers, self.pixels(batch.images, generator))
        asked = objectives.targets(batch.codes)
        return {"heads": objectives.head_loss(self.answers(logits), asked, phase.emphasis)}
