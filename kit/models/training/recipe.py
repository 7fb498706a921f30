"""The recipes: one entry for each model that is trained here."""

from dataclasses import dataclass, field, replace

CHUNK = 2048  # scenes drawn at a time; batch sizes divide it

PLAIN = {"kind": "single", "bias": 0.9, "colours": 0.0, "textures": 0.0, "sizes": ("medium", "large")}
EASY = {"kind": "single", "bias": 0.9, "colours": 0.33, "textures": 0.3, "sizes": ("medium", "large")}
CLEAN = {"kind": "mixed", "mix": "clean", "bias": 0.9, "colours": 0.33, "textures": 0.3, "words": 0.0}


@dataclass(frozen=True)
class Phase:
    """A stretch of the training.

    Args:
        until: images seen when it ends.
        scenes: arguments of `kit.world.draw`.
        text: captions and prompts are trained too, not the label heads alone.
        patches: patches that each image keeps.
    """

    until: int
    scenes: dict
    text: bool = False
    patches: int = 31


@dataclass(frozen=True)
class Recipe:
    """All that makes a model: shape, scenes, lengths, rates.

    Args:
        vision: open_clip's `vision_cfg`.
        text: open_clip's `text_cfg`, the vocabulary's size aside.
        phases: in order; the last `until` is the length of the training in images.
        decay_from: images seen when the rates begin to fall, on a cosine, to zero.
        shards: parts of a batch whose losses are taken apart and averaged, each in a thread of its own:
            on a shared machine two threads of one core each lose far less than one step over two cores.
        views: how often a drawn scene is shown (with other patches and another caption).
    """

    name: str
    vision: dict
    text: dict
    phases: tuple[Phase, ...]
    decay_from: int
    embed_dim: int = 128
    seed: int = 1
    batch: int = 128
    shards: int = 2
    views: int = 1
    muon: float = 4e-3
    adamw: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 300
    ema: float = 0.998
    max_scale: float = 60.0
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
        return replace(self, phases=phases, decay_from=chunks(self.decay_from))

    def phase(self, seen: int) -> Phase:
        """The phase in which the image after `seen` others is drawn."""
        return next((p for p in self.phases if seen < p.until), self.phases[-1])


RECIPES = {
    r.name: r
    for r in [
        Recipe(
            "stickers-l8",
            vision={"image_size": 64, "layers": 6, "width": 192, "head_width": 32, "patch_size": 8},
            text={"context_length": 24, "width": 128, "heads": 4, "layers": 3},
            phases=(
                Phase(40 * CHUNK, PLAIN),
                Phase(80 * CHUNK, EASY),
                Phase(140 * CHUNK, CLEAN),
                Phase(264 * CHUNK, CLEAN, text=True),
                Phase(274 * CHUNK, CLEAN, text=True, patches=64),
            ),
            decay_from=180 * CHUNK,
        )
    ]
}
