"""One training: its weights, its optimisers, one step after the other, and its state on disk."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor, nn

from kit.errors import KitError
from kit.workshop.training import forward
from kit.workshop.training.muon import Muon
from kit.workshop.training.recipe import Phase, Recipe
from kit.workshop.training.stream import Pictures, Stream
from kit.writing import write_file

Weights = dict[str, Tensor]
APART = ("embed", "token", "bias", "mask")  # in the name of arrays that are no matrices: they do not decay
KEPT_WHOLE = ("patch_embed",)  # but these are


def boxed(pixels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Lay a light box of dark specks over a share of the images: something to look past, nothing to read.

    Args:
        pixels: 0-1, [batch, channel, row, col]; not changed.
        share: of the images that get a box, 0-1.
        generator: of the boxes.

    Returns:
        [batch, channel, row, col].
    """
    n, _, rows, cols = pixels.shape
    random = lambda *shape: torch.rand(*shape, generator=generator, device=pixels.device)  # noqa: E731
    chosen, top, left, tall, wide, light, dense = random(7, n, 1, 1)
    tall, wide = rows * (0.2 + 0.15 * tall), cols * (0.3 + 0.5 * wide)
    down, right = torch.arange(rows)[:, None].to(pixels), torch.arange(cols)[None].to(pixels)
    top, left = top * (rows - tall), left * (cols - wide)
    inside = (down >= top) & (down < top + tall) & (right >= left) & (right < left + wide)
    specks = random(n, rows, cols) < 0.5 * dense
    box = (0.6 + 0.4 * light) * (1 - 0.9 * specks.to(pixels))
    return torch.where((inside & (chosen < share))[:, None], box[:, None], pixels)


class Training:
    """A model being trained. Every random choice of a step follows from the seed and the step's number.

    What differs between kinds of training: `build`, `losses`, and `after_step`.

    Args:
        recipe: what to train.
        folder: where the checkpoint lies; made if absent.
        device: where scenes are drawn and the model is trained.
        dtype: of the forward pass; the device's fast one if None.

    Attributes:
        named: the weights that are trained. Those named "heads.*" are no part of the model.
        ema: their average over the steps.
        buffers: what a step moves without a gradient. Each shard moves a copy, the mean of the copies stays.
    """

    LOSSES: tuple[str, ...] = ()  # names of the losses, in the order of the log
    PRECISE: tuple[str, ...] = ()  # weights that stay float32 in the forward pass

    def __init__(self, recipe: Recipe, folder: Path, device: str = "cpu", dtype: torch.dtype | None = None):
        self.recipe, self.folder, self.device = recipe, Path(folder), device
        self.dtype = dtype or forward.compute_dtype(device)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stream: Stream
        self.buffers: Weights = {}
        self.named: dict[str, nn.Parameter] = self.build()
        self.ema = {n: p.detach().clone() for n, p in self.named.items()}
        self.optimisers = self._optimisers()
        self.seen, self.seconds = 0, 0.0
        self.threads = ThreadPoolExecutor(recipe.shards)

    def build(self) -> dict[str, nn.Parameter]:
        """Make the modules, the stream and the buffers; returns the weights to train, by name."""
        raise NotImplementedError

    def losses(
        self, shard: int, batch: Pictures, weights: Weights, buffers: Weights, phase: Phase, generator
    ) -> dict[str, Tensor]:
        """Losses by name of one shard of the batch; their sum is what falls."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Whatever follows a step of the optimisers."""

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        """Muon for the blocks' matrices, AdamW for the rest; its embeddings and vectors do not decay."""
        r = self.recipe
        blocks = [n for n, p in self.named.items() if "blocks." in n and p.ndim == 2 and not _apart(n)]
        matrices = [n for n, p in self.named.items() if p.ndim > 1 and n not in blocks and not _apart(n)]
        rest = [n for n in self.named if n not in blocks and n not in matrices]
        pick = lambda names: [self.named[n] for n in names]  # noqa: E731
        muons = [  # several, so that threads share the work
            Muon(pick(blocks[i :: r.shards]), r.muon, r.weight_decay) for i in range(r.shards)
        ]
        adamw = torch.optim.AdamW(
            [
                {"params": pick(matrices), "weight_decay": r.weight_decay},
                {"params": pick(rest), "weight_decay": 0.0},
            ],
            lr=r.adamw,
            betas=(0.9, 0.98),
            fused=True,
        )
        return [*muons, adamw]

    @property
    def step_number(self) -> int:
        """Steps made."""
        return self.recipe.steps(self.seen)

    def step(self) -> dict[str, float]:
        """Train on the next batch; returns the losses by name, "loss" being their sum."""
        r = self.recipe
        phase, batch = r.phase(self.seen), self.stream.at(self.seen)
        leaves = {n: p.detach().to(self._type_of(n)).requires_grad_() for n, p in self.named.items()}
        parts = [
            self.threads.submit(self._gradients, i, batch.rows(rows), leaves, phase)
            for i, rows in enumerate(torch.arange(phase.batch).chunk(r.shards))
        ]
        grads, losses, moved = zip(*(p.result() for p in parts), strict=True)
        for i, p in enumerate(self.named.values()):
            found = [g[i].to(p.dtype) for g in grads if g[i] is not None]
            p.grad = torch.stack(found).sum(0).div_(r.shards) if found else None
        nn.utils.clip_grad_norm_(self.named.values(), 1.0)
        self._move(moved)
        self.seen += phase.batch
        values = {n: sum(v.get(n, 0.0) for v in losses) / r.shards for n in losses[0]}
        return values | {"loss": sum(values.values())}

    def _type_of(self, name: str) -> torch.dtype:
        return torch.float32 if name in self.PRECISE else self.dtype

    def _gradients(self, shard: int, batch: Pictures, leaves: Weights, phase: Phase):
        """Gradients by weight (None where unused), losses and moved buffers of one shard of the batch."""
        number = (self.recipe.seed * 1_000_003 + self.step_number) * self.recipe.shards + shard
        generator = torch.Generator(self.device).manual_seed(number)
        buffers = {n: b.clone() for n, b in self.buffers.items()}
        losses = self.losses(shard, batch, leaves, buffers, phase, generator)
        grads = torch.autograd.grad(sum(losses.values()), list(leaves.values()), allow_unused=True)
        return grads, {n: v.item() for n, v in losses.items()}, buffers

    @torch.no_grad()
    def _move(self, buffers: tuple[Weights, ...]) -> None:
        """One step of the optimisers, of the average and of the buffers."""
        r, rate = self.recipe, self.recipe.rate(self.seen)
        for optimiser in self.optimisers:
            base = r.muon if isinstance(optimiser, Muon) else r.adamw
            for group in optimiser.param_groups:
                group["lr"] = base * rate
        list(self.threads.map(lambda optimiser: optimiser.step(), self.optimisers))
        self.after_step()
        decay = min(r.ema, (1 + self.step_number) / (10 + self.step_number))
        torch._foreach_lerp_(list(self.ema.values()), [p.detach() for p in self.named.values()], 1 - decay)
        for n in self.buffers:
            self.buffers[n] = torch.stack([b[n] for b in buffers]).mean(0)

    def pixels(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Normalised pixels; with a generator, each image a little brighter or darker, some behind a box."""
        mean, std = self.recipe.preprocess["mean"][0], self.recipe.preprocess["std"][0]
        pixels = images.to(torch.float32) / 255
        boxes = self.recipe.phase(self.seen).boxes
        if generator is not None and boxes > 0:
            pixels = boxed(pixels, boxes, generator)
        if generator is not None:
            gain = torch.rand(len(images), 1, 1, 1, generator=generator, device=pixels.device)
            pixels = pixels * (1 + self.recipe.brightness * (2 * gain - 1))
        return ((pixels - mean) / std).to(self.dtype)

    def averaged(self) -> Weights:
        """The averaged weights of the model, heads left out: what is evaluated and exported."""
        return {n: p for n, p in self.ema.items() if not n.startswith("heads.")}

    def save(self, path: Path) -> None:
        """Write the whole state; a kill at any moment leaves the old file or the new one."""
        state = {
            "name": self.recipe.name,
            "seen": self.seen,
            "seconds": self.seconds,
            "weights": {n: p.detach() for n, p in self.named.items()},
            "ema": self.ema,
            "optimisers": [o.state_dict() for o in self.optimisers],
            "buffers": self.buffers,
        }
        write_file(path, lambda file: torch.save(state, file))

    def load(self, path: Path) -> None:
        """Go on from a file of `save`.

        Raises:
            KitError: the file is of another model.
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        shapes = {n: tuple(p.shape) for n, p in self.named.items()}
        found = {n: tuple(p.shape) for n, p in state["weights"].items()}
        if state["name"] != self.recipe.name or shapes != found:
            raise KitError(
                f'{path} holds a training of "{state["name"]}" with other shapes or another name, '
                f'not of "{self.recipe.name}"; name another folder with --folder.'
            )
        with torch.no_grad():
            for n, p in self.named.items():
                p.copy_(state["weights"][n])
                self.ema[n].copy_(state["ema"][n])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.buffers = {n: state["buffers"][n] for n in self.buffers}
        self.seen, self.seconds = state["seen"], state["seconds"]


def _apart(name: str) -> bool:
    return any(a in name for a in APART) and not any(k in name for k in KEPT_WHOLE)
