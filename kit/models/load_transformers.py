"""Models of transformers: which of their tensors is the representation, and what feeds them."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from kit.errors import KitError
from kit.models.fetch import cached_file
from kit.models.model import NO_TEXT, Model
from kit.models.module_facts import passed, places, size_made, sized
from kit.models.output import expect_representation
from kit.models.processors import Processed, expect_processor, is_processor
from kit.models.text import TextTower
from kit.models.walk import Call, Walk, grid_of

WRITTEN_OUT = (None, "eager", "sdpa")  # attention that can be recorded
CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "spiece.model")


def wrap(name, pretrained, model: nn.Module, settings: dict, preprocess, notes: list[str], **more) -> Model:
    """A `Model` around a module of transformers, which is left as it is.

    Args:
        name: what was asked.
        pretrained: as in `Model`.
        model: a `PreTrainedModel` in eval mode.
        settings: see `kit.models.live.load_live`.
        preprocess: a processor, a transform, settings over those of the model's own processor, or None.
        notes: what is known already.
        more: `source`, a folder or repository with processor and tokenizer; None asks the module.

    Raises:
        KitError: fused attention; no pictures are read; no one representation; what cannot be read.
    """
    expect_recordable(name, model)
    source = more.get("source") or model.config.name_or_path
    processor, tokenizer = _beside(source, preprocess, settings)
    own = size_of(model.config)
    if processor is not None:
        transform = Processed(processor, {} if callable(preprocess) else preprocess or {}, name)
        size = settings.get("image_size") or size_made(transform, name, "the processor")
        size = (size, size) if isinstance(size, int) else tuple(size)
    else:
        size, transform = sized(name, preprocess, settings, own)
    reading = Reading(name, model, size)
    text, reason = _text_of(name, model, tokenizer)
    return Model(
        name=name,
        pretrained=pretrained,
        source="transformers",
        library_model=model,
        tower=reading.tower,
        transform=transform,
        embed_dim=reading.width,
        image_size=size,
        text_tower=text,
        no_text_reason=reason,
        trained=pretrained != "random",
        notes=[*notes, *reading.notes],
        class_names=settings.get("class_names") or reading.class_names,
        class_head=reading.class_head,
        **places(name, settings, grid_of(reading.seen, size)),
    )


def expect_recordable(name: str, model: nn.Module) -> None:
    """Raise where no pictures are read, or attention is computed by a kernel that cannot be recorded."""
    reads = (
        hasattr(model, "get_image_features") or "pixel_values" in inspect.signature(model.forward).parameters
    )
    if not reads:
        raise KitError(f"{name} reads {model.main_input_name}, not pictures as pixel_values.")
    for part in model.modules():
        kernel = getattr(getattr(part, "config", None), "_attn_implementation", None)
        if kernel not in WRITTEN_OUT:
            raise KitError(
                f'{name} computes attention by "{kernel}", a kernel that shows no patterns and cannot be '
                'recorded; load it with attn_implementation="sdpa", or call '
                'model.set_attn_implementation("sdpa").'
            )


class Reading:
    """Which tensor of a model is its representation, found in one pass without values.

    An image tower beside a text tower gives what the two share (`get_image_features`); a classifier what its
    last linear layer reads, whose rows are directions; any other what it calls its pooled output, unless that
    passes an activation, as the poolers of ViT and DeiT do, which most files never trained: then, and without
    a pooled output, it is the class token behind the last norm.

    Attributes:
        tower: pixels [batch, 3, height, width] -> representation [batch, embed].
        seen: the pass.
        width: of the representation.
        class_names, class_head: of a classifier, else None.
        notes: sentences on what was taken.
    """

    def __init__(self, name: str, model: nn.Module, size: tuple[int, int]):
        self.class_names = self.class_head = None
        self.notes: list[str] = []
        if hasattr(model, "get_image_features"):
            read = ImageFeatures()
            self.seen = passed(name, model, read, size)
            self.tower = Beside(model, {call.path.partition(".")[0] for call in self.seen.calls} - {""})
        else:
            model, read = self._of_pictures(name, model, size)
            self.tower = Tower(model, read)
        shown = self._shown(read, model)
        self.width = expect_representation(name, shown).shape[1]

    def _of_pictures(self, name: str, model: nn.Module, size: tuple[int, int]):
        """The module that reads pictures alone, and what is read from it."""
        whole = Everything()
        self.seen = passed(name, model, whole, size)
        heads = _heads(self.seen, name, model, size)
        if heads:
            count = len(heads)
            rows = [head.weight.detach() for head in heads]
            self.class_head = rows[0] if count == 1 else torch.cat([row / count for row in rows], 1)
            labels = getattr(model.config, "id2label", None) or {}
            self.class_names = [str(labels.get(n, n)) for n in range(len(self.class_head))]
            if count > 1:
                self.notes.append(
                    f"The classifier is the mean of {count} linear layers; the representation is what they "
                    "read, one after the other."
                )
            return model, ClassifierInput(heads)
        if _field(self.seen.out, "last_hidden_state") is None and model.base_model is not model:
            self.notes.append(f"The representation is that of {type(model.base_model).__name__}, inside.")
            model = model.base_model
            self.seen = passed(name, model, whole, size)
        field, note = _pooled(name, model, self.seen)
        self.notes += [note] if note else []
        return model, Output(field)

    def _shown(self, read, model: nn.Module) -> Tensor:
        """The representation of the pass, without values."""
        if not isinstance(read, ClassifierInput):
            return read.of(self.seen.out)
        given = [next(c.given for c in self.seen.calls[::-1] if c.module is head) for head in read.heads]
        return read.of([torch.empty(shape, device="meta") for shape in given])


class Tower(nn.Module):
    """A model of transformers up to its representation."""

    def __init__(self, model: nn.Module, read):
        super().__init__()
        self.model = model
        self.read = read
        self.training = model.training

    def forward(self, pixels: Tensor) -> Tensor:
        """The representation, [batch, embed]."""
        return self.read.of(self.read(self.model, pixels))  # [batch, embed]


class Beside(Tower):
    """The image tower of a model that has a text tower too; of its parts those that pictures pass.

    The whole model lies in it, so that a part that is put in another's place is seen; the parts that read
    texts are left out of what it says of itself.
    """

    def __init__(self, model: nn.Module, parts: set[str]):
        super().__init__(model, ImageFeatures())
        self.parts = tuple(sorted(parts))

    def named_modules(self, memo=None, prefix: str = "", remove_duplicate: bool = True):
        """The modules that pictures pass, with their paths."""
        for path, module in super().named_modules(memo, prefix, remove_duplicate):
            if self._is_passed(path.removeprefix(prefix).lstrip(".")):
                yield path, module

    def state_dict(self, *args, **options) -> dict[str, Tensor]:
        """The weights that pictures pass; all of them where a module around this one asks."""
        found = super().state_dict(*args, **options)
        if args or options.get("destination") is not None:  # asked for by a module around it
            return found
        return {name: value for name, value in found.items() if self._is_passed(name)}

    def _is_passed(self, path: str) -> bool:
        within = path.split(".")[1:2]
        return not within or within[0] in self.parts


class ImageFeatures:
    """What image and text share."""

    def __call__(self, model: nn.Module, pixels: Tensor) -> object:
        return model.get_image_features(pixel_values=pixels)

    def of(self, out: object) -> Tensor:
        """The features in what the model gave, [batch, embed]."""
        return out if isinstance(out, Tensor) else out.pooler_output


class Everything:
    """All that a model gives for pictures; none of them masked."""

    def __call__(self, model: nn.Module, pixels: Tensor) -> object:
        masks = _masking(model)
        noise = {} if masks is None else {"noise": _in_order(masks, pixels)}
        with nullcontext() if masks is None else _unmasked(model):
            return model(pixel_values=pixels, **noise)


class Output(Everything):
    """One tensor of the output by its name; of tokens the first."""

    def __init__(self, field: str):
        self.field = field

    def of(self, out: object) -> Tensor:
        """The tensor of this name, [batch, embed]; of tokens the first."""
        value = getattr(out, self.field)
        if self.field == "last_hidden_state":
            return value[:, 0]
        return value.flatten(1) if value.ndim == 4 and value.shape[2:] == (1, 1) else value


class ClassifierInput(Everything):
    """What the linear layers of a classifier read, one after the other."""

    def __init__(self, heads: list[nn.Module]):
        self.heads = heads

    def __call__(self, model: nn.Module, pixels: Tensor) -> list[Tensor]:
        seen: list[Tensor] = []
        hooks = [h.register_forward_pre_hook(lambda part, args: seen.append(args[0])) for h in self.heads]
        try:
            super().__call__(model, pixels)
        finally:
            for hook in hooks:
                hook.remove()
        if len(seen) != len(self.heads):
            raise KitError(
                f"the classifier of {type(model).__name__} is another than when it was loaded; load the "
                "module anew, with its new classes."
            )
        return seen

    def of(self, seen: list[Tensor]) -> Tensor:
        """What the layers read, side by side, [batch, embed]."""
        seen = [value.flatten(1) for value in seen]  # of one token too
        return seen[0] if len(seen) == 1 else torch.cat(seen, -1)


def _heads(seen: Walk, name: str, model: nn.Module, size: tuple[int, int]) -> list[nn.Module]:
    """The linear layers that write the logits: one, or several whose mean they are; none without logits."""
    logits = _field(seen.out, "logits")
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        return []
    fitting = [c for c in seen.calls if isinstance(c.module, nn.Linear) and _is_like(c.out, logits)]
    last = [c.module for c in fitting if c.out is logits]
    if last:
        return last
    if fitting:
        real = passed(name, model, Everything(), size, values=True)
        outs = [c.out.flatten(0, -2) for c in real.calls if c.module in [f.module for f in fitting]]
        if torch.allclose(torch.stack(outs).mean(0), real.out.logits, atol=1e-5):
            return [c.module for c in fitting]
    raise KitError(
        f"the logits of {name} come from no linear layer, so that no one tensor is its representation; wrap "
        "it in a module that returns the one that you mean, [batch, embed]."
    )


def _is_like(out: object, logits: Tensor) -> bool:
    """Whether an output may be the logits, or those of one token [batch, 1, class]."""
    return isinstance(out, Tensor) and out.ndim > 1 and out.flatten(0, -2).shape == logits.shape


def _field(out: object, name: str) -> object:
    return getattr(out, name, None)


def _pooled(name: str, model: nn.Module, seen: Walk) -> tuple[str, str]:
    """The field of the output that is the representation, and the note on it."""
    if isinstance(_field(seen.out, "image_embeds"), Tensor):
        return "image_embeds", ""
    pooled, tokens = _field(seen.out, "pooler_output"), _field(seen.out, "last_hidden_state")
    bent = isinstance(pooled, Tensor) and _is_activation(seen.calls, pooled)
    if isinstance(pooled, Tensor) and not bent:
        return "pooler_output", ""
    known = any(path.rpartition(".")[2] in CLASS_TOKENS for path, _ in model.named_parameters())
    if isinstance(tokens, Tensor) and tokens.ndim == 3 and known:
        return "last_hidden_state", (
            "The representation is the class token behind the last norm"
            + (
                ", not the pooled output: that passes an activation, and most files never trained it."
                if bent
                else "."
            )
        )
    given = (
        f"tokens {['batch', *tokens.shape[1:]]}" if isinstance(tokens, Tensor) else type(seen.out).__name__
    )
    raise KitError(
        f"{name} gives {given} and no one representation of a picture; wrap it in a module that pools them "
        "to [batch, embed], or load the model with its classifier."
    )


def _is_activation(calls: list[Call], pooled: Tensor) -> bool:
    """Whether the module that made the pooled output is an activation."""
    made = next((c.module for c in calls if c.out is pooled), None)
    home = type(made).__module__
    return home in ("torch.nn.modules.activation", "transformers.activations")


def _masking(model: nn.Module) -> nn.Module | None:
    """The part of a masked autoencoder that cuts patches and leaves most of them out."""
    if not hasattr(model.config, "mask_ratio"):
        return None
    found = next((part for part in model.modules() if hasattr(part, "random_masking")), None)
    if found is None or not getattr(found, "is_mae", True):
        return None
    if not hasattr(found, "patch_embeddings"):
        raise KitError(
            f"{type(model).__name__} leaves patches out at random; load it without its decoder, such as "
            f"{type(model.base_model).__name__}."
        )
    return found


def _in_order(masks: nn.Module, pixels: Tensor) -> Tensor:
    """Noise in the order of the patches, so that they stay where they are."""
    count = masks.patch_embeddings.num_patches
    return torch.arange(count, dtype=pixels.dtype, device=pixels.device).expand(pixels.shape[0], count)


@contextmanager
def _unmasked(model: nn.Module) -> Iterator[None]:
    """A context in which no patch is left out."""
    configs = {id(part.config): part.config for part in model.modules() if hasattr(part, "config")}
    before = [(config, config.mask_ratio) for config in configs.values() if hasattr(config, "mask_ratio")]
    try:
        for config, _ in before:
            config.mask_ratio = 0.0
        yield
    finally:
        for config, ratio in before:
            config.mask_ratio = ratio


def size_of(config) -> tuple[int, int] | None:
    """The size of pictures that a configuration names."""
    for own in (config, getattr(config, "vision_config", None)):
        size = getattr(own, "image_size", None)
        if isinstance(size, int):
            return size, size
        if isinstance(size, list | tuple) and len(size) == 2:
            return tuple(size)
    return None


def _beside(source: str, preprocess, settings: dict) -> tuple[object, object]:
    """The processor of pictures and the tokenizer: as given, else from where the model came."""
    tokenizer = settings.get("tokenizer")
    if is_processor(preprocess):
        return expect_processor(preprocess), tokenizer or getattr(preprocess, "tokenizer", None)
    processor = None
    if not callable(preprocess) and _lies_in(source, PROCESSOR_FILES):
        processor = _from(source, "AutoImageProcessor")
    if tokenizer is None and _lies_in(source, TOKENIZER_FILES):
        tokenizer = _from(source, "AutoTokenizer")
    return processor, tokenizer


def _lies_in(source: str, files: tuple[str, ...]) -> bool:
    if not source:
        return False
    if Path(source).is_dir():
        return any((Path(source) / file).is_file() for file in files)
    try:
        return cached_file(source, files) is not None
    except ValueError:  # no name that the hub could have
        return False


def _from(source: str, kind: str):
    """A processor or tokenizer from files on this machine; no code that lies beside them is run."""
    import transformers

    try:
        return getattr(transformers, kind).from_pretrained(
            source, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever a damaged file makes of the library
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        what = "processor of pictures" if kind == "AutoImageProcessor" else "tokenizer"
        raise KitError(
            f'the {what} in "{source}" cannot be read ({first}); take its files anew, or give one: '
            + ("preprocess=." if "Image" in kind else 'config={"tokenizer": ...}.')
        ) from None


class TransformersTexts(TextTower):
    """The text half of a model of transformers with its tokenizer."""

    @property
    def context_length(self) -> int:
        """Most tokens of a text, start and end included."""
        return self.module.config.text_config.max_position_embeddings

    def encode(self, texts: list[str]) -> Tensor:
        """Text features of the library's own tower, not normalised [text, embed]."""
        tokens = self.tokenizer(
            texts, padding="max_length", max_length=self.context_length, return_tensors="pt"
        )  # every text as long as in training
        device = next(self.module.parameters()).device
        given = {name: tokens[name].to(device) for name in self.tokenizer.model_input_names if name in tokens}
        out = self.module.get_text_features(**given)
        return out if isinstance(out, Tensor) else out.pooler_output

    def count_tokens(self, text: str) -> int:
        """Tokens of a text with start and end."""
        return len(self.tokenizer(text)["input_ids"])


def _text_of(name: str, model: nn.Module, tokenizer) -> tuple[TextTower | None, str]:
    """The text tower, or None and why there is none."""
    if not hasattr(model, "get_text_features"):
        return None, f'"{name}" has no text tower; use {NO_TEXT}.'
    if tokenizer is None:
        return None, (
            f'"{name}" has a text tower, but its tokenizer is not here; give config={{"tokenizer": ...}}, or '
            "preprocess= the model's own processor, which holds both."
        )
    return TransformersTexts(model, lambda: tokenizer), ""
