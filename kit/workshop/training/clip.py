"""The training of an open_clip model: labels first, then captions and prompts."""

import math

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

import kit.world as world
from kit.models.build import seeded
from kit.models.names import SHIPPED
from kit.workshop.training import forward, objectives
from kit.workshop.training.loop import Training, Weights
from kit.workshop.training.recipe import ClipRecipe, Phase
from kit.workshop.training.stream import Captioned, Stream
from kit.workshop.training.tokenizer import WordTokenizer, learn_merges, vocabulary_size, write_vocabulary


def build(recipe: ClipRecipe, vocabulary: int, seed: int) -> nn.Module:
    """The recipe's open_clip model. Fresh weights have positions three times as large."""
    from open_clip.model import CLIP

    with seeded(seed):
        text = dict(recipe.text, vocab_size=vocabulary)
        clip = CLIP(embed_dim=recipe.embed_dim, vision_cfg=dict(recipe.vision), text_cfg=text)
    if recipe.start:
        clip.load_state_dict(started(recipe, clip.visual.grid_size))
        return clip
    with torch.no_grad():
        clip.visual.positional_embedding.mul_(3)
    return clip


def started(recipe: ClipRecipe, grid: tuple[int, int]) -> Weights:
    """The weights that a recipe starts from, for a grid of so many rows and columns, in float32."""
    first, *others = [
        enlarged(load_file(SHIPPED / name / "open_clip_model.safetensors"), grid)
        for name in (recipe.start, *(recipe.change or ()))
    ]
    if not others:
        return first
    before, after = others
    return {n: w + after[n] - before[n] for n, w in first.items()}


def enlarged(weights: Weights, grid: tuple[int, int]) -> Weights:
    """Weights of an open_clip model in float32, its patches' positions spread over another grid.

    Args:
        weights: by name; the grid of their own is a square.
        grid: rows and columns.
    """
    weights = {n: w.float() for n, w in weights.items()}
    first, places = weights["visual.positional_embedding"].tensor_split([1])  # [1, dim], [patch, dim]
    side = math.isqrt(len(places))
    if (side, side) != tuple(grid):
        field = places.T.reshape(1, -1, side, side)  # [1, dim, row, col]
        places = F.interpolate(field, grid, mode="bicubic", align_corners=False).flatten(2)[0].T
        weights["visual.positional_embedding"] = torch.cat([first, places])
    return weights


class ClipTraining(Training):
    """A CLIP in training; its vocabulary lies beside the checkpoint."""

    LOSSES = ("heads", "captions", "concepts", "groups", "relations")
    PRECISE = ("logit_scale",)
    recipe: ClipRecipe

    def build(self) -> dict[str, nn.Parameter]:
        """The model and the label heads."""
        recipe, path = self.recipe, self.folder / "bpe.txt.gz"
        merges = learn_merges(world.words())
        write_vocabulary(path, merges)
        self.tokenizer = WordTokenizer(path, recipe.text["context_length"])
        self.clip = build(recipe, vocabulary_size(merges), recipe.seed).to(self.device)
        with seeded(recipe.seed):
            labels = (*recipe.labels, *objectives.SIDES)
            self.heads = objectives.LabelHeads(recipe.vision["width"], labels).to(self.device)
        self.stream = Stream(recipe, self.device, self._captioned)
        self.groups = {a: self._group(a) for a in recipe.labels}
        heads = {f"heads.{n}": p for n, p in self.heads.named_parameters()}
        return dict(self.clip.named_parameters()) | heads

    def _captioned(self, scenes: world.Scenes, number: int) -> Captioned:
        captions, mentions = world.captions_for(scenes, number)
        tokens = self.tokenizer(captions).to(self.device)
        return Captioned(scenes.images, scenes.codes, tokens, mentions, scenes.mix)

    def _group(self, attribute: str) -> Tensor:
        """Tokens of an attribute's prompts with each prefix, [prefix, prompt, context]."""
        prompts = world.prompts(attribute)
        return torch.stack([self.tokenizer([p + t for t in prompts]) for p in objectives.PREFIXES]).to(
            self.device
        )

    @torch.no_grad()
    def after_step(self) -> None:
        """Cap the factor on the cosines."""
        self.clip.logit_scale.clamp_(max=math.log(self.recipe.max_scale))

    def losses(
        self, shard: int, batch: Captioned, weights: Weights, buffers: Weights, phase: Phase, generator
    ) -> dict[str, Tensor]:
        """Label heads, and once the phase says so captions and prompts."""
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

    def _text_losses(self, weights, images: Tensor, batch: Captioned, asked, emphasis, generator) -> Weights:
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
