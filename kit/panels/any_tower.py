"""Any image tower by name, untrained and at a small input: how it is built, judged, and looked at."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from kit.errors import KitError, Refused, nearest
from kit.models import Model, available, load
from kit.models.build import build_open_clip, free_memory
from kit.models.load_timm import make_timm
from kit.models.names import shipped_names, unknown_name
from kit.panels.encoded import Encoded
from kit.panels.findings import Finding
from kit.panels.selection import Selection
from kit.panels.truth import Picture
from kit.parts import Check, check

OWN, APART, CHANCE = "its own direction", "what sets it apart", "a random direction"
DIRECTIONS = (OWN, APART, CHANCE)
SMALL = (112, 128, 160, 192)  # sides in pixels that are tried where half of the tower's own does not fit
COPIES = 3  # of the weights: the model, its copy while the sum is checked, what a pass keeps
NAMED = 3  # hidden layers that a sentence names


@dataclass(frozen=True)
class Examined:
    """What became of one name.

    Attributes:
        name: what was examined.
        verdict: "exact", "partial", "no attention", "refused" (proved by the engine) or "failed" (an error
            of ours).
        says: the verdict in words.
        check: the self-check; None where there is no sum.
        heads: number of heads that are parts.
    """

    name: str
    verdict: str
    says: str
    check: Check | None = None
    heads: int = 0

    def __str__(self) -> str:
        return self.says


def examine(model: Model | str) -> Examined:
    """The verdict on a tower; a refusal is a result here, not an error.

    Args:
        model: from `kit.load`; a name stands for `untrained(name)`.

    Raises:
        KitError: an unknown name, or too little memory.

    Example:
        >>> examine("stickers-l8").verdict
        'exact'
    """
    model = untrained(model) if isinstance(model, str) else model
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch.export, about its own future
            found = check(model)
    except Refused as refusal:
        return Examined(model.name, "refused", str(refusal))
    except KitError as error:
        return Examined(model.name, "failed", str(error))
    return Examined(model.name, found.verdict, verdict(model, found), found, found.kinds.get("head", 0))


def verdict(model: Model, found: Check) -> str:
    """The self-check of a model in words."""
    size = " × ".join(map(str, model.image_size))
    parts, heads = sum(found.kinds.values()), found.kinds.get("head", 0)
    told = f"{model.label} at {size} pixels: {found.verdict}. {parts} parts sum to the library's own output"
    told += f" within {found.error:.0e} of its length"
    if not found.layers:
        return f"{told}. There is no attention in it; its parts are whole branches."
    told += f"; {found.reached} of {found.layers} attention layers are parts, {heads} heads in all"
    told = "; ".join(filter(None, [told, found.about_silent, found.about_tokens])) + "."
    if found.verdict == "exact":
        return told
    others = "What is no part lies" if found.silent else "The other layers lie"
    walls = [f"{part} (behind {wall})" for part, wall in found.hiding.items()]
    more = f" and {len(walls) - NAMED} more parts" if len(walls) > NAMED else ""
    return f"{told} {others} inside {', '.join(walls[:NAMED])}{more}."


def untrained(name: str, config: dict | None = None, say: Callable[[str], None] = lambda text: None) -> Model:
    """The tower of a name with random weights, at a small input; a shipped model as it is.

    Half of the side that the tower was made for, or the nearest that it takes: a small picture is
    taken apart in a fraction of the time, by the same operations. Squares are not cropped. Norms,
    biases, scales and running statistics are moved away from the values that a fresh network has (a
    LayerScale of 1e-5 hides every head, and a bias of zero every mistake in a bias).

    Args:
        name: shipped, of open_clip, or of timm (`"timm/…"`).
        config: settings as for `kit.load`, instead of the small input.
        say: told what is being done, in a few words.

    Raises:
        KitError: an unknown name, or too little memory, with the estimate.

    Example:
        >>> untrained("timm/vit_tiny_patch16_224").image_size
        (112, 112)
    """
    if name in shipped_names():
        return load(name)
    of_timm = name.startswith("timm/")
    if config is None:
        config, count = _timm_settings(name) if of_timm else _open_clip_settings(name)
        needed, free = COPIES * 4 * count, free_memory()
        if needed > free:
            raise KitError(
                f'"{name}" has {count:,} weights; to take it apart needs about {needed / 2**30:.1f} GiB, and '
                f"{free / 2**30:.1f} GiB are free. Choose a smaller one of its family."
            )
        say(f"building {name}: {count / 1e6:.1f} million weights…")
    model = load(name, "random", config=config, preprocess={"crop_pct": 1.0} if of_timm else None)
    _unsettle(model.tower)
    return model


def _unsettle(module: nn.Module) -> None:
    """Move norms, biases, scales and running statistics away from their neutral values."""
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise).to(parameter))
        for key, buffer in module.named_buffers():
            if key.endswith("running_mean"):
                buffer.add_(0.1 * torch.randn(buffer.shape, generator=noise).to(buffer))
            if key.endswith("running_var"):
                buffer.mul_(0.5 + torch.rand(buffer.shape, generator=noise).to(buffer))


def _timm_settings(name: str) -> tuple[dict | None, int]:
    """Settings for a small input, and the number of weights."""
    import timm

    architecture = name.removeprefix("timm/")
    if not timm.is_model(architecture):
        raise unknown_name(name)
    module = make_timm(name, architecture, {}, meta=True)
    count = sum(p.numel() for p in module.parameters())
    height, width = module.pretrained_cfg["input_size"][1:]
    first = (getattr(module, "feature_info", None) or [{"reduction": 1}])[0]["reduction"]
    for side in (height // 2, *SMALL):
        if height == width > side and side % first == 0 and _takes(name, architecture, side):
            return {"img_size": side}, count
    return None, count


def _takes(name: str, architecture: str, side: int) -> bool:
    """Whether a timm network can be built for this side and passes it; nothing is computed."""
    try:
        module = make_timm(name, architecture, {"img_size": side}, meta=True).eval()
        with torch.no_grad():
            module(torch.zeros(2, 3, side, side, device="meta"))
    except Exception:  # whatever a library says of a size that does not fit
        return False
    return True


def _open_clip_settings(name: str) -> tuple[dict, int]:
    """The same for the image tower of an open_clip name; its text tower is not built."""
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None:
        raise unknown_name(name)
    with torch.device("meta"):
        count = sum(p.numel() for p in build_open_clip(config, vision_only=True).parameters())
    patch, side = config["vision_cfg"].get("patch_size"), config["vision_cfg"].get("image_size", 224)
    small = bool(patch) and isinstance(side, int) and 8 * patch < side
    return {"text_cfg": None} | ({"vision_cfg": {"image_size": 8 * patch}} if small else {}), count


class AnyTower(Encoded):
    """AnyModel by name, one at a time, and the pictures that they look at.

    Args:
        model: the model to begin with, or a name.
        images: as for `Encoded`.
    """

    def __init__(self, model: Model | str, images=None):
        self.say: Callable[[str], None] = lambda text: None
        first = untrained(model) if isinstance(model, str) else model
        super().__init__(first, images)
        self.models = {first.name: first}
        self.given = {} if isinstance(model, str) else {first.name: first}
        self.reference = list(self.pictures)  # an upload does not change what others are compared with
        self._shown = first
        self._gallery_means: dict[str, Tensor] = {}
        self._masks: dict[tuple[str, str], np.ndarray] = {}

    @property
    def model_names(self) -> list[str]:
        """Every name that can be typed."""
        return list(dict.fromkeys([*self.given, *available()["name"]]))

    def model(self, name: str) -> Model:
        """The model of this name, built where it is not at hand."""
        if name not in self.models:
            self.models[name] = self.given.get(name) or untrained(name, say=self.say)
        self._shown = self.models[name]
        return self._shown

    def keep_only(self, name: str) -> None:
        """Let go of every tower but this one, and of what it computed."""
        self.models = {name: self.models[name]}
        for cache in (self._runs, self._scores, self._masks):
            for key in [key for key in cache if key[0] != name]:
                del cache[key]
        self._gallery_means = {n: mean for n, mean in self._gallery_means.items() if n == name}

    def picture(self, name: str) -> Picture:
        """The picture of this name, its masks cropped and resized as the tower on the screen sees it."""
        picture, model = super().picture(name), self._shown
        if picture.masks is None:
            return picture
        if (model.name, name) not in self._masks:
            sheets = [Image.fromarray(m.astype(np.uint8) * 255).convert("RGB") for m in picture.masks]
            seen = np.stack([np.asarray(s)[..., 0] > 127 for s in model.viewed(sheets)])
            self._masks[model.name, name] = seen
        return replace(picture, masks=self._masks[model.name, name])

    def verdict(self, state: Selection) -> str:
        """How the tower of a state came apart, in words."""
        return verdict(self.model(state.model), self._run(state.model, state.image).frozen.check)

    def find(self, state: Selection) -> Finding:
        """The finding of a state; the tower runs only for what was not asked before."""
        found = super().find(state)
        held = self._run(state.model, state.image)
        if held.frozen.plain and held.prefix == 1:
            return found
        said = found.caption.replace("the class token", "tokens without a place")
        return replace(found, caption=said)

    def loudest(self, state: Selection) -> str:
        """The head that adds most in a state, whatever is selected; without heads the part that does."""
        asked = Selection(model=state.model, image=state.image, texts=state.texts)
        found = self.find(asked)
        heads = [i for i, kind in enumerate(found.kinds) if kind == "head"]
        return found.names[max(heads or range(len(found.names)), key=lambda i: found.cells[i])]

    def _run(self, name: str, image: str):
        """The one pass of a picture through a tower; the first one checks the sum."""
        if (name, image) not in self._runs:
            self.model(name)
            self.say(f"recording the operations of {name}, checking the sum…")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return super()._run(name, image)

    def _dirs(self, state: Selection) -> Tensor:
        """The unit direction that the parts are scored by, [1, embed]."""
        (name,) = state.texts if len(state.texts) == 1 else ("",)
        if name not in DIRECTIONS:
            known = ", ".join(DIRECTIONS)
            raise KitError(f'no direction "{name}" here; there are {known}.{nearest(name, DIRECTIONS)}')
        z = self._run(state.model, state.image).representation  # [1, embed]
        if name == CHANCE:
            z = torch.randn(z.shape, generator=torch.Generator().manual_seed(0)).to(z)
        if name == APART:
            z = z - self._mean(state.model)
        return torch.nn.functional.normalize(z, dim=-1)

    def _mean(self, name: str) -> Tensor:
        """The mean representation of the reference pictures, [embed]."""
        if len(self.reference) < 2:
            raise KitError(f'"{APART}" compares pictures, and there is one; give at least two.')
        if name not in self._gallery_means:
            self.say(f"passing the {len(self.reference)} pictures…")
            model = self.model(name)
            pixels = model.preprocess([self.pictures[p].image for p in self.reference])
            self._gallery_means[name] = model.encode_image(pixels).mean(0)
        return self._gallery_means[name]
