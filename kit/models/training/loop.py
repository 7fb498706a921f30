"""One training: its model, its optimisers, one step after the other, and its state on disk."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

import kit.world as world
from kit.errors import KitError
from kit.models.names import SHIPPED
from kit.models.tokenizer import WordTokenizer, learn_merges, vocabulary_size, write_vocabulary
from kit.models.training import forward, objectives
from kit.models.training.recipe import Phase, Recipe
from kit.models.training.stream import Batch, Stream


def build(recipe: Recipe, vocabulary: int, seed: int) -> nn.Module:
    """The recipe's open_clip model. Fresh weights have positions three times as large."""
    from open_clip.model import CLIP

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text = dict(recipe.text, vocab_size=vocabulary)
        clip = CLIP(embed_dim=recipe.embed_dim, vision_cfg=dict(recipe.vision), text_cfg=text)
    if recipe.start:
        clip.load_state_dict(load_file(SHIPPED / recipe.start / "open_clip_model.safetensors"))
        return clip
    with torch.no_grad():
        clip.visual.positional_embedding.mul_(3)
    return clip


class Training:
    """A model being trained. Every random choice of a step follows from the seed and the step's number.

    Args:
        recipe: what to train.
        folder: where the vocabulary and the checkpoint lie; made if absent.
        device: where scenes are drawn and the model is trained.
        dtype: of the forward pass; the device's fast one if None.
    """

    def __init__(self, recipe: Recipe, folder: Path, device: str = "cpu", dtype: torch.dtype | None = None):
        self.recipe, self.folder, self.device = recipe, Path(folder), device
        self.dtype = dtype or forward.compute_dtype(device)
        self.folder.mkdir(parents=True, exist_ok=True)
        merges = learn_merges(world.words())
        write_vocabulary(self.folder / "bpe.txt.gz", merges)
        self.tokenizer = WordTokenizer(self.folder / "bpe.txt.gz", recipe.text["context_length"])
        self.clip = build(recipe, vocabulary_size(merges), recipe.seed).to(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.heads = objectives.LabelHeads(
                recipe.vision["width"], (*recipe.labels, *objectives.SIDES)
            ).to(device)
        self.stream = Stream(recipe, self.tokenizer, device)
        self.named = dict(self.clip.named_parameters()) | {
            f"heads.{n}": p for n, p in self.heads.named_parameters()
        }
        self.ema = {n: p.detach().clone() for n, p in self.named.items()}
        self.optimisers = self._optimisers()
        self.groups = {a: self._group(a) for a in recipe.labels}
        self.seen, self.seconds = 0, 0.0
        self.threads = ThreadPoolExecutor(recipe.shards)

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        """Muon for the blocks' matrices, AdamW for the rest; its embeddings and vectors do not decay."""
        r = self.recipe
        blocks = [n for n, p in self.named.items() if "resblocks" in n and p.ndim == 2]
        matrices = [
            n for n, p in self.named.items() if p.ndim > 1 and n not in blocks and "embedding" not in n
        ]
        rest = [n for n in self.named if n not in blocks and n not in matrices]
        pick = lambda names: [self.named[n] for n in names]  # noqa: E731
        muons = [  # several, so that threads share the work
            torch.optim.Muon(
                pick(blocks[i :: r.shards]),
                lr=r.muon,
                weight_decay=r.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
            for i in range(r.shards)
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

    def _group(self, attribute: str) -> Tensor:
        """Tokens of an attribute's prompts with each prefix, [prefix, prompt, context]."""
        prompts = world.prompts(attribute)
        return torch.stack([self.tokenizer([p + t for t in prompts]) for p in objectives.PREFIXES]).to(
            self.device
        )

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
        parts = [p.result() for p in parts]
        for i, p in enumerate(self.named.values()):
            found = [g[i].to(p.dtype) for g, _ in parts if g[i] is not None]
            p.grad = torch.stack(found).sum(0).div_(r.shards) if found else None
        nn.utils.clip_grad_norm_(self.named.values(), 1.0)
        rate = r.rate(self.seen)
        for optimiser in self.optimisers:
            base = r.muon if isinstance(optimiser, torch.optim.Muon) else r.adamw
            for group in optimiser.param_groups:
                group["lr"] = base * rate
        list(self.threads.map(lambda optimiser: optimiser.step(), self.optimisers))
        self._after_step()
        self.seen += phase.batch
        values = {n: sum(v.get(n, 0.0) for _, v in parts) / r.shards for n in parts[0][1]}
        return values | {"loss": sum(values.values())}

    def _type_of(self, name: str) -> torch.dtype:
        return torch.float32 if name == "logit_scale" else self.dtype

    @torch.no_grad()
    def _after_step(self) -> None:
        self.clip.logit_scale.clamp_(max=math.log(self.recipe.max_scale))
        decay = min(self.recipe.ema, (1 + self.step_number) / (10 + self.step_number))
        torch._foreach_lerp_(list(self.ema.values()), [p.detach() for p in self.named.values()], 1 - decay)

    def _gradients(self, shard: int, batch: Batch, leaves: forward.Weights, phase: Phase):
        """Gradients by weight (None where unused) and losses of one shard of the batch."""
        number = (self.recipe.seed * 1_000_003 + self.step_number) * self.recipe.shards + shard
        generator = torch.Generator(self.device).manual_seed(number)
        losses = self._losses(batch, leaves, phase, generator)
        grads = torch.autograd.grad(sum(losses.values()), list(leaves.values()), allow_unused=True)
        return grads, {n: v.item() for n, v in losses.items()}

    def _losses(self, batch: Batch, weights: forward.Weights, phase: Phase, generator) -> dict[str, Tensor]:
        pixels = self.pixels(batch.images, generator)
        rows, cols = self.clip.visual.grid_size
        keep = forward.choose_patches(len(pixels), rows * cols, phase.patches, generator)
        features = forward.image_features(self.clip, weights, pixels, keep)  # [batch, dim]
        asked = objectives.targets(batch.codes)
        heads = objectives.head_loss(self.heads.answers(features, weights), asked, phase.emphasis)
        if not phase.text:
            return {"heads": heads}
        images = F.normalize((features @ weights["visual.proj"]).float(), dim=-1)  # [batch, embed]
        losses = self._text_losses(weights, images, batch, asked, phase.emphasis, generator)
        return losses | {"heads": heads * self.recipe.heads_weight}

    def _text_losses(self, weights, images, batch: Batch, asked, emphasis, generator) -> dict[str, Tensor]:
        """Captions, and in turn the concepts' prompts, or those of the other attributes and relations."""
        scale = weights["logit_scale"].exp()
        captions = self._texts(weights, batch.tokens)
        losses = {"captions": objectives.caption_loss(images, captions, batch.truth, scale)}
        prefix = int(torch.randint(len(objectives.PREFIXES), (), generator=generator, device=self.device))
        if self.step_number % 2 == 0:
            prompts = self._texts(weights, self.groups["concept"][prefix])
            right = objectives.read_targets(asked) if batch.mix == "web" else asked
            loss = objectives.cross_entropy(scale * images @ prompts.T, right["concept"], right["concept_2"])
            return losses | {"concepts": 2 * loss}
        rows, relations = objectives.relation_texts(batch.codes)
        names = self.recipe.labels[1:]  # the concept has its own steps
        groups = [self.groups[name][prefix] for name in names]
        tokens = [*groups, self.tokenizer(relations).to(self.device)] if relations else groups
        vectors = self._texts(weights, torch.cat(tokens)).split([len(t) for t in tokens])
        logits = [scale * images @ prompts.T for prompts in vectors[: len(groups)]]
        named = zip(names, logits, strict=True)
        losses["groups"] = 0.5 * sum(
            emphasis.get(name, 1.0) * objectives.cross_entropy(logit, asked[name]) for name, logit in named
        )
        if relations:
            losses["relations"] = 2 * objectives.relation_loss(images[rows], vectors[-1], scale)
        return losses

    def _texts(self, weights: forward.Weights, tokens: Tensor) -> Tensor:
        return F.normalize(forward.text_features(self.clip, weights, tokens).float(), dim=-1)

    def pixels(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Normalised pixels; with a generator, each image a little brighter or darker."""
        mean, std = self.recipe.preprocess["mean"][0], self.recipe.preprocess["std"][0]
        pixels = images.to(torch.float32) / 255
        if generator is not None:
            gain = torch.rand(len(images), 1, 1, 1, generator=generator, device=pixels.device)
            pixels = pixels * (1 + self.recipe.brightness * (2 * gain - 1))
        return ((pixels - mean) / std).to(self.dtype)

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights of the model, label heads left out: what is evaluated and exported."""
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
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, path)

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
        self.seen, self.seconds = state["seen"], state["seconds"]
