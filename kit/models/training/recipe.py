"""The recipes: one entry for each model that is trained here."""

import math
from dataclasses import dataclass, field, replace

from kit.models.training.objectives import LABELS

CHUNK = 2048  # scenes drawn at a time; batch sizes divide it

PLAIN = {"kind": "single", "bias": 0.9, "colours": 0.0, "textures": 0.0, "sizes": ("medium", "large")}
EASY = {"kind": "single", "bias": 0.9, "colours": 0.33, "textures": 0.3, "sizes": ("medium", "large")}
CLEAN = {"kind": "mixed", "mix": "clean", "bias": 0.9, "colours": 0.33, "textures": 0.3, "words": 0.0}
HARD = CLEAN | {"colours": 0.5, "bias": 0.95}
WEB = {"kind": "mixed", "mix": "web", "bias": 0.97, "colours": 0.4, "textures": 0.3, "words": 0.0}


@dataclass(frozen=True)
class Phase:
    """A stretch of the training.

    Args:
        until: images seen when it ends.
        scenes: arguments of `kit.world.draw`.
        text: captions and prompts are trained too, not the label heads alone.
        patches: patches that each image keeps.
        batch: images of a step; divides `CHUNK`.
        emphasis: factor on an attribute's losses, by its name; 1 where absent.
    """

    until: int
    scenes: dict
    text: bool = False
    patches: int = 31
    batch: int = 128
    emphasis: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Cycle:
    """A rise of the learning rates, a plateau, and a fall to zero on a cosine.

    Args:
        falls_from: images seen when the fall begins.
        until: images seen when it ends.
    """

    falls_from: int
    until: int


@dataclass(frozen=True)
class Recipe:
    """All that makes a model: shape, scenes, lengths, rates.

    Args:
        vision: open_clip's `vision_cfg`.
        text: open_clip's `text_cfg`, the vocabulary's size aside.
        phases: in order; the last `until` is the length of the training in images.
        cycles: of the learning rates, in order; the last ends with the training.
        warmup: steps in which the rates rise at the start of a cycle.
        shards: parts of a batch whose losses are taken apart and averaged, each in a thread of its own:
            on a shared machine two threads of one core each lose far less than one step over two cores.
        views: how often a drawn scene is shown (with other patches and another caption).
        start: shipped model whose weights it starts from; "" for fresh ones.
        labels: what the label heads and the prompts that compete in groups ask, besides the sides of a pair.
    """

    name: str
    vision: dict
    text: dict
    phases: tuple[Phase, ...]
    cycles: tuple[Cycle, ...]
    embed_dim: int = 128
    seed: int = 1
    shards: int = 2
    views: int = 1
    muon: float = 4e-3
    adamw: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 300
    ema: float = 0.998
    max_scale: float = 60.0
    start: str = ""
    labels: tuple[str, ...] = LABELS
    heads_weight: float = 0.5
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
    def samples(self) -> int:
        """Images seen in the whole training."""
        return self.phases[-1].until

    def scaled(self, samples: int) -> "Recipe":
        """The same recipe with all its lengths in proportion, in whole chunks."""
        unit = CHUNK * self.views
        chunks = lambda n: max(1, round(n * samples / self.samples / unit)) * unit  # noqa: E731
        phases = tuple(replace(p, until=chunks(p.until)) for p in self.phases)
        cycles = tuple(Cycle(chunks(c.falls_from), chunks(c.until)) for c in self.cycles)
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
        return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, fall)))


LARGE = {"image_size": 64, "layers": 6, "width": 192, "head_width": 32, "patch_size": 8}
SMALL = LARGE | {"width": 128}
READS = {"context_length": 24, "width": 128, "heads": 4, "layers": 3}
READS_LITTLE = READS | {"width": 96, "layers": 2}


def _clean(name: str, vision: dict, text: dict) -> Recipe:
    """Labels first, then captions, in two cycles: the second one on harder scenes."""
    patches = (vision["image_size"] // vision["patch_size"]) ** 2
    some = min(31, patches)
    phases = (
        Phase(40 * CHUNK, PLAIN, patches=some),
        Phase(80 * CHUNK, EASY, patches=some),
        Phase(140 * CHUNK, CLEAN, patches=some),
        Phase(264 * CHUNK, CLEAN, text=True, patches=some),
        Phase(274 * CHUNK, CLEAN, text=True, patches=patches),
        Phase(370 * CHUNK, HARD, text=True, patches=some, batch=256, emphasis={"count": 3.0}),
        Phase(420 * CHUNK, HARD, text=True, patches=patches, batch=256, emphasis={"count": 3.0}),
    )
    cycles = (Cycle(180 * CHUNK, 274 * CHUNK), Cycle(320 * CHUNK, 420 * CHUNK))
    return Recipe(name, vision, text, phases, cycles)


def _web(twin: Recipe) -> Recipe:
    """One cycle on the web mix, from the weights of the clean twin: only the data differ."""
    patches = twin.phases[-1].patches
    phases = (
        Phase(110 * CHUNK, WEB, text=True, patches=min(31, patches), batch=256),
        Phase(160 * CHUNK, WEB, text=True, patches=patches, batch=256),
    )
    return replace(
        twin,
        name=f"{twin.name}-web",
        phases=phases,
        cycles=(Cycle(60 * CHUNK, 160 * CHUNK),),
        start=twin.name,
        labels=(*LABELS, "word"),
    )


_CLEAN = [
    _clean("stickers-l8", LARGE, READS),
    _clean("stickers-s8", SMALL, READS_LITTLE),
    _clean("stickers-s16", SMALL | {"patch_size": 16}, READS_LITTLE),
]
RECIPES = {r.name: r for r in [*_CLEAN, *map(_web, _CLEAN)]}
