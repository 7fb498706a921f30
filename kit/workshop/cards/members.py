"""Trained models as their own libraries load them, and what they answer about a scene."""

import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import kit.world as world
from kit.errors import KitError
from kit.models.build import seeded
from kit.models.names import folder_kind
from kit.world.values import SIZE

BATCH = 64
FITTED, FIT_SEED = 8192, 71_101  # scenes that a probe learns from
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # inverse, tried on a fifth of these scenes
STEPS = 300  # of L-BFGS
NEVER = -1e9  # score of a value that a probe was never shown
WIDEST, COMPONENTS = 1024, 512  # wider features are first cut to principal components
KIND_OF = {"count": "count", "relation": "pair", "word": "word"}  # of scenes; others are told of one object


class Member:
    """A model of the family: features of images, and a score for each value of an attribute.

    Attributes:
        scale: how many times finer than the world's own size the images that it takes are.
    """

    scale = 1

    def seen(self, scenes: world.Scenes) -> Tensor:
        """Representations of scenes, painted at the model's size, [batch, dim]."""
        return self.features(scenes.at(self.scale).images)

    def features(self, images: Tensor) -> Tensor:
        """Representations of uint8 images, [batch, dim]."""
        raise NotImplementedError

    def scores(self, features: Tensor, attribute: str) -> Tensor:
        """One score for each value of the attribute, [batch, value]; the largest is the answer."""
        raise NotImplementedError


class Clip(Member):
    """A shipped CLIP, loaded as open_clip's documentation says; it answers by cosine with prompts.

    Args:
        folder: with `open_clip_config.json`, weights and vocabulary.
        trained: False keeps random weights in place of the folder's: the control.
    """

    def __init__(self, folder: Path, trained: bool = True):
        import open_clip

        self.folder = _checked(folder)
        where = f"local-dir:{self.folder}"
        with seeded(0):
            clip, _, self.transform = open_clip.create_model_and_transforms(where, load_weights=trained)
        self.module = clip.eval()
        self.tokenizer = open_clip.get_tokenizer(where, bpe_path=str(self.folder / "bpe.txt.gz"))
        self.tower = self.module.visual
        self.scale = self.tower.image_size[0] // SIZE
        self.mean, self.std = (_colour(v) for v in (self.tower.image_mean, self.tower.image_std))

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Unit vectors of uint8 images of the model's own size, [batch, embed]."""
        batches = images.split(BATCH)
        found = [self.module.encode_image((part / 255 - self.mean) / self.std) for part in batches]
        return F.normalize(torch.cat(found), dim=-1)

    @torch.no_grad()
    def texts(self, texts: list[str]) -> Tensor:
        """Unit vectors of texts, [text, embed]."""
        return F.normalize(self.module.encode_text(self.tokenizer(texts)), dim=-1)

    def scores(self, features: Tensor, attribute: str) -> Tensor:
        """Cosines with the attribute's prompts, [batch, value]."""
        return features @ self.texts(world.prompts(attribute)).T


class Probed(Member):
    """A model without texts, which answers by a linear probe: logistic regression on its features.

    A probe learns from unbiased scenes of seen artists, of a seed of its own; the penalty is chosen on a
    fifth of them that is held back, and then all are used.
    """

    def __init__(self):
        self._probes: dict[str, object] = {}
        self._seen: dict[str, tuple[Tensor, dict[str, Tensor]]] = {}

    def scores(self, features: Tensor, attribute: str) -> Tensor:
        """Log-probabilities of the attribute's probe, [batch, value]; it is fitted when first asked for."""
        if attribute not in self._probes:
            self._probes[attribute] = fit_probe(*self._scenes(attribute))
        probe = self._probes[attribute]
        found = torch.full((len(features), len(world.VALUES[attribute])), NEVER)
        logits = torch.from_numpy(probe.decision_function(features.numpy()))
        if logits.ndim == 1:  # of two values, the second one's
            logits = torch.stack([torch.zeros_like(logits), logits], 1)
        # scikit-learn's own logarithm is infinite where a probability is too small to be written
        found[:, torch.as_tensor(probe.classes_)] = logits.log_softmax(1).float()
        return found

    def _scenes(self, attribute: str) -> tuple[Tensor, Tensor]:
        kind = KIND_OF.get(attribute, "single")
        if kind not in self._seen:
            scenes = world.draw(FITTED, FIT_SEED, kind=kind)
            self._seen[kind] = (self.seen(scenes), scenes.codes)
        features, codes = self._seen[kind]
        return features, codes[attribute]


class Timm(Probed):
    """A shipped timm model, loaded as timm's documentation says.

    Args:
        folder: with `config.json` and weights.
        trained: False keeps random weights in place of the folder's: the control.
    """

    def __init__(self, folder: Path, trained: bool = True):
        import timm

        super().__init__()
        self.folder = _checked(folder)
        with seeded(0):
            self.module = timm.create_model(f"local-dir:{self.folder}", pretrained=trained).eval()
        config = self.module.pretrained_cfg
        self.mean, self.std = _colour(config["mean"]), _colour(config["std"])
        self.tower = self.module

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """What the classifier reads (timm's pre-logits), [batch, dim]."""
        found = []
        for part in images.split(BATCH):
            stream = self.module.forward_features((part / 255 - self.mean) / self.std)
            found.append(self.module.forward_head(stream, pre_logits=True))
        return torch.cat(found)


class Pixels(Probed):
    """No model at all: the pixels themselves."""

    def features(self, images: Tensor) -> Tensor:
        """Pixels in 0-1, [batch, channel * row * column]."""
        return images.flatten(1) / 255


def member(folder: Path, trained: bool = True) -> Clip | Timm:
    """The model of a folder, by the library whose layout it has.

    Raises:
        KitError: no model there.
    """
    return (Timm if folder_kind(Path(folder)) == "timm" else Clip)(folder, trained)


def fit_probe(features: Tensor, codes: Tensor):
    """Multinomial logistic regression on standardised features, its penalty chosen on a held-back fifth.

    Args:
        features: [batch, dim]; of more than `WIDEST` dimensions the first principal components are taken.
        codes: value of each scene, int [batch].

    Returns:
        The fitted scikit-learn pipeline.
    """
    x, y = features.numpy(), codes.numpy()
    kept = len(x) * 4 // 5
    best = max(PENALTIES, key=lambda c: _fitted(x[:kept], y[:kept], c).score(x[kept:], y[kept:]))
    return _fitted(x, y, best)


def _fitted(x: np.ndarray, y: np.ndarray, penalty: float):
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    cut = [PCA(min(COMPONENTS, len(x) // 2), random_state=0)] if x.shape[1] > WIDEST else []
    probe = make_pipeline(StandardScaler(), *cut, LogisticRegression(C=penalty, max_iter=STEPS))
    with warnings.catch_warnings():  # a weak penalty may need more steps than it is worth
        warnings.simplefilter("ignore")
        return probe.fit(x, y)


def weights_of(folder: Path) -> Path:
    """The weights file of a folder, by the library whose layout it has."""
    return folder / ("model.safetensors" if folder_kind(folder) == "timm" else "open_clip_model.safetensors")


def _checked(folder: Path) -> Path:
    folder = Path(folder).absolute()  # open_clip takes a relative one from the working directory
    if not weights_of(folder).exists():
        raise KitError(f"no model in {folder}; make one: python -m kit.workshop.training.train NAME.")
    return folder


def _colour(values) -> Tensor:
    return torch.tensor(values).view(3, 1, 1)
