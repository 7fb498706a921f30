"""A loaded model: two towers, how to feed them, and what it is."""

import copy
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

from kit.axes import expect_shape
from kit.errors import KitError, nearest
from kit.models.images import AnyImages, read_image, single_images
from kit.models.output import expect_representation
from kit.models.stamp import Stamp, sample_of, weights_of
from kit.models.text import TextTower
from kit.world.scenes import Scenes

NO_TEXT = (
    'class names, (names, array), "self", another image\'s embedding or principal components '
    "(kit.models.directions), or an aligner into a CLIP's space"
)


@dataclass(eq=False, repr=False)
class Model:
    """A vision transformer that is ready to be taken apart. Made by `kit.load`.

    The library's modules are kept as they are: `tower` is open_clip's own `visual`,
    or timm's own forward behind a thin module, so whatever is said about parts can
    be held against the untouched library.

    Attributes:
        name: what was asked of `kit.load`.
        pretrained: tag, file or "random"; None for a shipped model.
        source: "open_clip" or "timm".
        library_model: the library's whole module.
        tower: pixels [batch, 3, height, width] -> representation [batch, embed].
        transform: the library's own transform, PIL image -> tensor [3, height, width].
        text_tower: encodes texts; None where there is none.
        no_text_reason: why texts cannot be encoded here, a sentence.
        trained: False for random weights.
        notes: what a reader of a result should know, sentences.
        embed_dim: width of the representation.
        image_size: (height, width) in pixels that the tower reads.
        grid: (rows, cols) of patches.
        prefix_tokens: class, register and distillation tokens before the patches.
        class_names: names of the head's outputs, or None.
        class_head: rows of the head [class, embed], or None.
        passes: how often each tower ran, `{"image": n, "text": n}`.
    """

    name: str
    pretrained: str | None
    source: str
    library_model: nn.Module
    tower: nn.Module
    transform: Callable
    embed_dim: int
    image_size: tuple[int, int]
    grid: tuple[int, int]
    prefix_tokens: int
    text_tower: TextTower | None = None
    no_text_reason: str = ""
    trained: bool = True
    notes: list[str] = field(default_factory=list)
    class_names: list[str] | None = None
    class_head: Tensor | None = None
    passes: Counter = field(default_factory=Counter, init=False)
    _text_cache: dict = field(default_factory=dict, init=False)
    _text_stamp: tuple = field(default=(), init=False)
    _hash: tuple = field(default=(), init=False)

    @property
    def runs_itself(self) -> bool:
        """Whether its representation is no one forward pass of `tower`, so that it makes its runs itself."""
        return False

    def __getstate__(self) -> dict:
        """A copy makes its own record, frozen graph and texts: they belong to the modules of the original."""
        kept = {k: v for k, v in self.__dict__.items() if k not in ("_record", "_frozen")}
        return kept | {"_text_cache": {}, "_text_stamp": ()}

    def __repr__(self) -> str:
        size, grid = " x ".join(map(str, self.image_size)), " x ".join(map(str, self.grid))
        texts = "with text tower" if self.has_text else "no text tower"
        return f"<{self.label}: {self.source}, {size} px, grid {grid}, embed {self.embed_dim}, {texts}>"

    @property
    def label(self) -> str:
        """The name as results show it; random weights are marked as untrained."""
        return self.name if self.trained else f"{self.name} (random weights, untrained)"

    @property
    def line(self) -> str:
        """The Python that loads it again."""
        tag = "" if self.pretrained is None else f", {self.pretrained!r}"
        return f"kit.load({self.name!r}{tag})"

    @property
    def has_text(self) -> bool:
        """Whether there is a text tower, so that `encode_text` works."""
        return self.text_tower is not None

    @property
    def device(self) -> torch.device:
        """Where the image tower's weights lie."""
        return next(self.tower.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type that the image tower computes in."""
        return next(self.tower.parameters()).dtype

    @property
    def layers(self) -> int:
        """Number of attention modules, in forward order over the whole tower."""
        from kit.models.trace import trace_of

        return len(trace_of(self).heads)

    @property
    def heads(self) -> tuple[int, ...]:
        """Number of heads of each layer."""
        from kit.models.trace import trace_of

        return trace_of(self).heads

    @property
    def weights_hash(self) -> str:
        """sha256 over the image tower's values as float32, names sorted.

        The same for a half-precision file and its float32 copy, and for `double()`.
        Computed at first use, and again after the weights were changed in place.
        """
        tensors = list(self.tower.state_dict().values())
        stamp = (weights_of(self.tower.parameters()), sample_of(tensors))
        if not self._hash or self._hash[0] != stamp:
            self._hash = (stamp, hash_weights(self.tower))
        return self._hash[1]

    def preprocess(self, images: AnyImages | Scenes) -> Tensor:
        """Pixels as the tower reads them, by the library's own transform.

        Transparent pixels are laid on white; see `kit.models.images.read_image` for
        what else is accepted.

        Args:
            images: one of path, bytes, `PIL.Image`, `uint8` array [row, col, 3], `uint8` tensor
                [3, row, col]; a list of them; a `uint8` tensor [batch, 3, row, col]; or a set, ours or
                torchvision's, whose pixels are all held at once. Scenes of `kit.world` are painted at the
                model's own size; `scenes.images` stay as they are.

        Returns:
            Pixels [batch, 3, height, width] of the model's type on its device.

        Raises:
            KitError: an image cannot be read, or the list is empty.

        Example:
            >>> import kit
            >>> model = kit.load("timm/vit_tiny_patch16_224", "random", config={"depth": 1})
            >>> model.preprocess(Image.new("L", (300, 200))).shape
            torch.Size([1, 3, 224, 224])
        """
        pixels = torch.stack([self.transform(image) for image in self._read(images)])
        return pixels.to(self.device, self.dtype)  # [batch, 3, height, width]

    @property
    def preprocessing(self) -> str:
        """The transform in words: what moments and stores say of how images became pixels."""
        return re.sub(r" at 0x[0-9a-f]+", "", re.sub(r"\s+", " ", str(self.transform)))

    def _read(self, images: AnyImages | Scenes) -> list[Image.Image]:
        return read_images(images.sized_for(self).images if isinstance(images, Scenes) else images)

    def viewed(self, images: AnyImages | Scenes) -> list[Image.Image]:
        """What the tower sees of each image: cropped, resized, colours put back.

        Args:
            images: as for `preprocess`.

        Returns:
            One `PIL.Image` of the tower's size for each image.
        """
        mean, std = self._mean_and_std()
        pictures = []
        for image in self._read(images):
            pixels = self.transform(image) * std + mean  # [3, height, width], 0 to 1
            values = (255 * pixels.clamp(0, 1)).round().to(torch.uint8)
            pictures.append(Image.fromarray(values.permute(1, 2, 0).contiguous().numpy()))
        return pictures

    def _mean_and_std(self) -> tuple[Tensor, Tensor]:
        for step in getattr(self.transform, "transforms", []):
            if hasattr(step, "mean") and hasattr(step, "std"):
                mean, std = torch.as_tensor(step.mean), torch.as_tensor(step.std)
                return mean.reshape(-1, 1, 1).float(), std.reshape(-1, 1, 1).float()
        raise KitError(
            f'the transform of "{self.name}" has no Normalize step, so what the model saw cannot be shown; '
            "give preprocess= a torchvision Compose that has one."
        )

    @torch.no_grad()
    def encode_image(self, pixels: Tensor) -> Tensor:
        """The library's own representation of each image, not normalised, without gradients.

        Args:
            pixels: [batch, 3, height, width], as `preprocess` gives.

        Returns:
            Representations [batch, embed], of any length.

        Raises:
            KitError: another shape or type, values that are not finite, a tower in train
                mode or in half precision, or one that gives no one representation.

        Example:
            >>> import kit
            >>> model = kit.load("timm/vit_tiny_patch16_224", "random", config={"depth": 1})
            >>> model.encode_image(model.preprocess(Image.new("L", (300, 200)))).shape
            torch.Size([1, 192])
        """
        self.check_pixels(pixels)
        self.passes["image"] += 1
        return expect_representation(self.name, self.tower(pixels.to(self.device)))  # [batch, embed]

    def check_pixels(self, pixels: Tensor, recorded: bool = False) -> None:
        """Raise unless the tower can be run on these pixels. Every pass goes through here.

        Args:
            pixels: [batch, 3, height, width].
            recorded: there is a record of the tower that is true, so that it was ready and still is.
        """
        self._check_no_autocast() if recorded else self.check_ready()
        if not isinstance(pixels, Tensor):
            raise KitError(
                "pixels should be a tensor [batch, 3, height, width], not of the type "
                f"{type(pixels).__name__}; call model.preprocess(images) first."
            )
        height, width = self.image_size
        expect_shape(pixels, "batch channel height width", "pixels", channel=3, height=height, width=width)
        if pixels.shape[0] == 0:
            raise KitError("pixels hold no image: the shape is [0, 3, height, width]; give at least one.")
        if pixels.dtype != self.dtype:
            raise KitError(
                f'pixels are {pixels.dtype}, but "{self.name}" computes in {self.dtype}; '
                "call model.preprocess(images), or pixels.to(model.dtype) if they are preprocessed already."
            )
        # the sum costs a tenth of the look at every value, and is finite only if they all are
        if not torch.isfinite(pixels.sum()) and not torch.isfinite(pixels).all():
            raise KitError("pixels hold NaN or infinite values; look at the image they came from.")

    def _check_no_autocast(self) -> None:
        """Raise inside `torch.autocast`, which computes in half precision whatever the weights are."""
        if torch.is_autocast_enabled(self.device.type):
            raise KitError(
                f'"{self.name}" is asked inside torch.autocast, which computes in half precision, too coarse '
                "for an exact sum of parts; call it outside that block."
            )

    def check_ready(self) -> None:
        """Raise unless the tower is in eval mode and computes in float32 or float64."""
        self._check_no_autocast()
        if any(module.training for module in self.tower.modules()):
            raise KitError(
                f'"{self.name}" is in train mode, where dropout and batch statistics change the result; '
                "call model.tower.eval() first."
            )
        if self.dtype not in (torch.float32, torch.float64):
            raise KitError(
                f'"{self.name}" computes in {self.dtype}, too coarse for an exact sum of parts; '
                "call model.tower.float(). Files in half precision are loaded as float32."
            )
        other = next((n for n, p in self.tower.named_parameters() if p.dtype != self.dtype), None)
        if other is not None:
            raise KitError(
                f'"{self.name}" computes in {self.dtype}, but its "{other}" is '
                f"{self.tower.get_parameter(other).dtype}; bring all to one type, with model.tower.float()."
            )

    @torch.no_grad()
    def encode_text(self, texts, templates: list[str] | None = None) -> Tensor:
        """Unit-length direction of each text.

        Every filled text is encoded once and kept, until the text tower's weights change.

        Args:
            texts: a text or a list of texts.
            templates: patterns that hold "{}", such as "a photo of a {}". A text's direction is
                then the mean of the unit vectors of its filled templates, made unit again.

        Returns:
            Directions [text, embed], each of length 1.

        Raises:
            KitError: no text tower; an empty or overlong text; a template without "{}".

        Source:
            Prompt ensembles: Radford et al. 2021, arXiv 2103.00020, section 3.1.4.

        Example:
            >>> import kit
            >>> small = {"vision_cfg": {"layers": 1}, "text_cfg": {"layers": 1}}
            >>> model = kit.load("ViT-B-32", "random", config=small)
            >>> model.encode_text(["a dog", "a cat"], ["a photo of {}"]).norm(dim=-1).round(decimals=4)
            tensor([1., 1.])
        """
        tower = self._text()
        self._check_no_autocast()
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            raise KitError('no text was given; give at least one, such as ["a dog"].')
        filled = [fill(template, texts) for template in (["{}"] if templates is None else templates)]
        if not filled:
            raise KitError('templates is an empty list; give at least one, such as ["a photo of a {}"].')
        tower.check([text for row in filled for text in row], self.name)
        self._encode_missing({text: None for row in filled for text in row})
        vectors = torch.stack([torch.stack([self._text_cache[t] for t in row]) for row in filled])
        mean = vectors.mean(0)  # [text, embed]
        return vectors[0] if templates is None else normalize(mean, dim=-1)

    def _text(self) -> TextTower:
        if self.text_tower is None:
            raise KitError(self.no_text_reason or f'"{self.name}" has no text tower; use {NO_TEXT}.')
        return self.text_tower

    def _encode_missing(self, texts) -> None:
        self._forget_stale_texts()
        missing = [text for text in texts if text not in self._text_cache]
        for start in range(0, len(missing), 256):  # 256 texts at once keep ViT-L-14 below 1 GiB
            chunk = missing[start : start + 256]
            self.passes["text"] += 1
            vectors = normalize(self.text_tower.encode(chunk), dim=-1)  # [text, embed]
            self._text_cache.update(zip(chunk, vectors, strict=True))

    def _forget_stale_texts(self) -> None:
        """Drop the kept vectors once the text tower is another; with hooks set it may be at every call."""
        module, values = self.text_tower.module, sample_of(self.text_tower.module.parameters())
        stamp, weights, before = self._text_stamp or (None, None, None)
        same = stamp is not None and stamp.holds() and stamp.weights is weights and values == before
        if not same or stamp.hooks:
            stamp = Stamp(module)
            self._text_cache, self._text_stamp = {}, (stamp, stamp.weights, values)

    @property
    def known_words(self) -> tuple[str, ...]:
        """Words of a shipped model's closed vocabulary, sorted; empty where the vocabulary is open."""
        return self.text_tower.words if self.text_tower is not None else ()

    def unknown_words(self, text: str) -> list[str]:
        """Words of `text` that the shipped vocabulary never saw, in order, each once.

        Models with an open vocabulary (all but the shipped ones) give an empty list: what
        they were shown is not known.
        """
        known = set(self.known_words)
        return [word for word in TextTower.split(text) if word not in known] if known else []

    def unknown_note(self, text: str) -> str:
        """A sentence on the unseen words of `text` with the nearest known ones, or ""."""
        notes = []
        for word in self.unknown_words(text):
            notes.append(
                f'"{word}" is a word that {self.name} never saw.{nearest(word, self.known_words, 1)}'
            )
        return " ".join(notes)

    def double(self) -> "Model":
        """A deep copy that computes in float64; on MPS, which has no float64, it lies on the CPU."""
        memo: dict = {}
        names = ("library_model", "tower", "text_tower")
        with torch.inference_mode(False):
            copies = {name: copy.deepcopy(getattr(self, name), memo) for name in names}
        device = "cpu" if self.device.type == "mps" else self.device
        with torch.inference_mode(False):
            for module in (copies["library_model"], copies["tower"]):
                module.to(device).double()
        head = None if self.class_head is None else self.class_head.to(device).double()
        return replace(self, **copies, class_head=head, notes=[*self.notes])


def read_images(images: AnyImages) -> list[Image.Image]:
    """A list of RGB pictures from one image, or several; see `kit.models.images.single_images`."""
    images = single_images(images)
    if len(images) == 0:
        raise KitError("no image was given: the list is empty; give at least one.")
    pictures = []
    for number in range(len(images)):
        try:
            pictures.append(read_image(images[number]))
        except KitError as error:
            raise error if len(images) == 1 else KitError(f"image {number}: {error}") from None
    return pictures


def fill(template: str, texts: list[str]) -> list[str]:
    """Each text put into the template's "{}"."""
    if not isinstance(template, str) or "{}" not in template:
        raise KitError(f'the template {template!r} has no "{{}}" for the text; write "a photo of a {{}}".')
    return [template.replace("{}", text) if isinstance(text, str) else text for text in texts]


def hash_weights(module: nn.Module) -> str:
    """sha256 over names, shapes and float32 values, in the order of the sorted names."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name}{list(value.shape)}".encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
