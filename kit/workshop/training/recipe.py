"""What a recipe is: the shape of a model, what it sees, for how long and at which rates."""

import math
from dataclasses import dataclass, field, replace

from kit.workshop.training.objectives import LABELS
from kit.world.values import SIZE

CHUNK = 2048  # scenes drawn at a time; batch sizes divide it


@dataclass(frozen=True)
class Phase:
    """A stretch of the training.

    Args:
        until: images seen when it ends.
        scenes: arguments of `kit.world.draw`.
        text: captions and prompts are trained too, not the label heads alone.
        patches: patches that each image keeps; models trained on labels by timm's modules keep all.
        batch: images of a step; divides `CHUNK`.
        emphasis: factor on an attribute's losses, by its name; 1 where absent.
        boxes: share of the images that are shown behind a box of specks, as large as a printed word's.
    """

    until: int
    scenes: dict
    text: bool = False
    patches: int = 31
    batch: int = 128
    emphasis: dict[str, float] = field(default_factory=dict)
    boxes: float = 0.0


@dataclass(frozen=True)
class Cycle:
    """A rise of the learning rates, a plateau, and a fall to zero on a cosine.

    Args:
        falls_from: images seen when the fall begins.
        until: images seen when it ends.
        peak: factor on the rates at the plateau.
    """

    falls_from: int
    until: int
    peak: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What every training is told.

    Args:
        phases: in order; the last `until` is the length of the training in images.
        cycles: of the learning rates, in order; the last ends with the training.
        warmup: steps in which the rates rise at the start of a cycle.
        shards: parts of a batch whose losses are taken apart and averaged, each in a thread of its own:
            on a shared machine two threads of one core each lose far less than one step over two cores.
        views: how often a drawn scene is shown (with other patches and another caption).
        ema: how much of the averaged weights a step keeps.
        brightness: how much brighter or darker an image may be shown.
    """

    name: str
    phases: tuple[Phase, ...]
    cycles: tuple[Cycle, ...]
    seed: int = 1
    shards: int = 2
    views: int = 1
    muon: float = 4e-3
    adamw: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 300
    ema: float = 0.998
    brightness: float = 0.15
    preprocess: dict = field(
        default_factory=lambda: {
            "size": 64,
            "mode": "RGB",
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
            "interpolation": "bicubic",
            "resize_mode": "squash",
        }
    )

    @property
    def scale(self) -> int:
        """How many times finer than the world's own size the scenes are shown."""
        return self.preprocess["size"] // SIZE

    @property
    def samples(self) -> int:
        """Images seen in the whole training."""
        return self.phases[-1].until

    def scaled(self, samples: int) -> "Recipe":
        """The same recipe with all its lengths in proportion, in whole chunks."""
        unit = CHUNK * self.views
        chunks = lambda n: max(1, round(n * samples / self.samples / unit)) * unit  # noqa: E731
        phases = tuple(replace(p, until=chunks(p.until)) for p in self.phases)
        cycles = tuple(
            replace(c, falls_from=chunks(c.falls_from), until=chunks(c.until)) for c in self.cycles
        )
        return replace(self, phases=phases, cycles=cycles)

    def phase(self, seen: int) -> Phase:
        """The phase in which the image after `seen` others is drawn."""
        return next((p for p in self.phases if seen < p.until), self.phases[-1])

    def steps(self, seen: int) -> int:
        """Steps that it takes to see so many images."""
        steps, start = 0, 0
        for phase in self.phases:
            steps += max(0, min(seen, phase.until) - start) // phase.batch
            start = phase.until
        return steps

    def rate(self, seen: int) -> float:
        """Factor on the learning rates after `seen` images, between 0 and 1."""
        cycle = next((c for c in self.cycles if seen < c.until), self.cycles[-1])
        start = max((c.until for c in self.cycles if c.until <= seen and c is not cycle), default=0)
        rise = min(1.0, (self.steps(seen) - self.steps(start) + 1) / self.warmup)
        fall = max(0.0, (seen - cycle.falls_from) / (cycle.until - cycle.falls_from))
        return rise * cycle.peak * 0.5 * (1 + math.cos(math.pi * min(1.0, fall)))


@dataclass(frozen=True, kw_only=True)
class ClipRecipe(Recipe):
    """An open_clip model, trained on captions and labels.

    Args:
        vision: open_clip's `vision_cfg`.
        text: open_clip's `text_cfg`, the vocabulary's size aside.
        max_scale: cap on the factor on the cosines.
        start: shipped model whose weights it starts from, its positions enlarged where this one has more
            patches; "" for fresh ones.
        change: two shipped models; what the second has more than the first is added to the start.
        labels: what the label heads and the prompts that compete in groups ask, besides the sides of a pair.
        heads_weight: factor on the label heads' loss once captions are trained.
        eight_bits: the blocks' matrices are stored in 8 bits a weight, not 16.
    """

    vision: dict
    text: dict
    embed_dim: int = 128
    max_scale: float = 60.0
    start: str = ""
    change: tuple[str, str] | None = None
    labels: tuple[str, ...] = LABELS
    heads_weight: float = 0.5
    eight_bits: bool = False


@dataclass(frozen=True, kw_only=True)
class TimmRecipe(Recipe):
    """A timm model.

    Args:
        architecture: timm's name.
        settings: arguments of `timm.create_model`, the number of classes aside.
        bfloat16: worth it for this model where the hardware has it.
        start: shipped model whose weights it starts from; "" for fresh ones.
    """

    architecture: str
    settings: dict
    bfloat16: bool = True
    start: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelRecipe(TimmRecipe):
    """A timm model trained on the world's labels: its classifier answers all of them at once.

    Args:
        labels: what the classifier is asked, in the order of its rows.
    """

    labels: tuple[str, ...] = LABELS


@dataclass(frozen=True, kw_only=True)
class DistilRecipe(TimmRecipe):
    """A timm vision transformer that learns from crops of images alone.

    Args:
        wide: least and largest share of an image in the two crops that the teacher answers for.
        narrow: the same of the crops that only the student sees.
        narrow_crops: how many of them.
        jitter: strength of the changes of brightness, contrast and saturation.
        turn: largest turn of the hue, in half turns.
        grey: share of the crops without colour.
        hide: share of patches of wide crops that are hidden and whose content the student tells; 0: none.
        hidden: width of the layer between a token and the vector that is compared.
        temperature: what cosines are divided by when vectors are told apart.
    """

    ema: float = 0.99
    wide: tuple[float, float] = (0.5, 1.0)
    narrow: tuple[float, float] = (0.3, 0.7)
    narrow_crops: int = 4
    jitter: float = 0.8
    turn: float = 0.32
    grey: float = 0.1
    hide: float = 0.0
    hidden: int = 256
    temperature: float = 0.1
