"""What a sweep will take of disk, memory and time: said before anything heavy starts."""

import time
from dataclasses import dataclass

import torch

from kit.models.memory import pass_memory
from kit.parts.checked import checked_run
from kit.parts.frozen import frozen_graph
from kit.sweep.ablation import AT_ONCE
from kit.sweep.stages import STAGES, made
from kit.sweep.work import Work

NUMBER = 4  # bytes of a float32
RESAMPLED = 2000 * 8  # bytes that intervals take of each image
FEW = 16  # texts, and images, that are timed
METHODS = 25  # passes that all methods together take of a picture with a mask, roughly


@dataclass(frozen=True)
class Estimate:
    """What is still to be done.

    Attributes:
        images: set -> images whose pass has not ended.
        disk: bytes of the stores of these.
        memory: bytes beside the weights, at the most.
        seconds: of the passes.
        texts: prompts to encode.
        text_seconds: of these.
    """

    images: dict[str, int]
    disk: int
    memory: int
    seconds: float
    texts: int
    text_seconds: float

    def lines(self) -> list[str]:
        """It in words, a line each."""
        if not self.images and not self.texts:
            return ["Every pass has been made and every text encoded; what is left is arithmetic."]
        sets = ", ".join(f"{count:,} of {name}" for name, count in self.images.items()) or "none"
        return [
            f"Images to pass: {sets}; about {_span(self.seconds)}, by one timed batch.",
            f"Prompts to encode: {self.texts:,}; about {_span(self.text_seconds)}, by one timed batch.",
            f"Disk: about {self.disk / 2**30:,.2f} GiB of stores. Memory beside the weights: about "
            f"{self.memory / 2**30:,.2f} GiB.",
        ]


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def store_bytes(work: Work, name: str) -> int:
    """Bytes that each image of a set takes in its store."""
    index, width = frozen_graph(work.model).index, work.model.embed_dim
    heads = sum(s.gain.shape[1] * s.gain.shape[2] for s in _head_sources(work))
    others = int((~index["kind"].isin(["head", "bias"])).sum()) + 1  # the representation is one more
    return NUMBER * (heads * (2 if work.tokens(name) else 1) + others * width + 2) + 32


def _stored(work: Work, name: str) -> bool:
    """Whether images of a set go into a store; those with masks go through the methods instead."""
    return not hasattr(work.sets[name], "mask")


def _head_sources(work: Work):
    """The sources of heads, whose gains are [slot, head, coordinate, embed]."""
    return [s for s in frozen_graph(work.model).sources if s.kind == "head"]


def estimate(work: Work) -> Estimate:
    """What the stages that are not made yet will take; times a batch of images and one of texts."""
    todo = [s for s in STAGES if s.needs in work.folders and made(s, work) is None]
    sets = dict.fromkeys(name for stage in todo for name in stage.uses if name in work.sets)
    left = {name: len(work.sets[name]) for name in sets if not work.has_store(name)}
    disk = sum(count * store_bytes(work, name) for name, count in left.items() if _stored(work, name))
    texts = work.bank_texts() if todo else 0
    count = max((len(work.sets[name]) for name in sets), default=0)
    widest = len(work.classes) if "imagenet" in sets else 2
    arithmetic = NUMBER * (
        AT_ONCE * (int((frozen_graph(work.model).index["kind"] == "head").sum()) + 8) * work.model.embed_dim
        + 3 * AT_ONCE * widest
    )
    memory = max(pass_memory(work.model, work.settings.batch), arithmetic + count * RESAMPLED) if todo else 0
    seconds = sum(
        n * _image_seconds(work, name) * (1 if _stored(work, name) else METHODS) for name, n in left.items()
    )
    return Estimate(left, disk, memory, seconds, texts, texts * _text_seconds(work) if texts else 0.0)


def _image_seconds(work: Work, name: str) -> float:
    """Seconds that an image takes, read and passed."""
    images, some = work.sets[name], []
    numbers = range(min(len(images), work.settings.batch, FEW))
    with torch.no_grad():
        checked_run(
            work.model,
            torch.zeros(1, 3, *work.model.image_size, dtype=work.model.dtype).to(work.model.device),
        )
        start = time.monotonic()
        for number in numbers:
            try:
                some.append(images[number])
            except ValueError:  # a damaged file, which the pass will list
                continue
        if some:
            checked_run(work.model, work.model.preprocess(some), tokens=work.tokens(name) is not None)
    return (time.monotonic() - start) / max(1, len(some))


def _text_seconds(work: Work) -> float:
    """Seconds that a prompt takes."""
    prompts = [f"a photo of {number} things" for number in range(FEW)]
    work.model.text_tower.encode(prompts[:1])  # the first call builds the tokenizer
    start = time.monotonic()
    with torch.no_grad():
        work.model.text_tower.encode(prompts)
    return (time.monotonic() - start) / FEW
