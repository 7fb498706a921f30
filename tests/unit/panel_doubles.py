"""A model, its run and its edits with arrays from a seed: what panels need, in milliseconds."""

import io
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from PIL import Image

from kit.parts.selector import select

LAYERS, HEADS, EMBED, GRID = 2, 3, 16, (4, 4)


def index() -> pd.DataFrame:
    """Parts in the order of the engine: embed, then each layer, then the last constant."""
    rows = [("embed", "embed", None, None)]
    for layer in range(LAYERS):
        rows += [(f"L{layer}.H{head}", "head", layer, head) for head in range(HEADS)]
        rows += [(f"L{layer}.attn.bias", "bias", layer, None), (f"L{layer}.MLP", "mlp", layer, None)]
    rows += [("final.bias", "bias", None, None)]
    return pd.DataFrame(rows, columns=["name", "kind", "layer", "head"]).astype(
        {"layer": "Int64", "head": "Int64"}
    )


class Run:
    """`kit.parts.run` of one picture, with random parts; the class token is token 0."""

    def __init__(self, model, pixels, tokens=True):
        model.passes["image"] += 1
        self.pixels, self.index, self.prefix, self.grid = pixels, index(), 1, GRID
        generator = torch.Generator().manual_seed(int(pixels.sum()) % 1000)
        n = len(self.index)
        self.heads = [i for i, kind in enumerate(self.index.kind) if kind == "head"]
        shape = (1, len(self.heads), 1 + GRID[0] * GRID[1], EMBED)
        self.by_token = torch.randn(shape, generator=generator)  # [batch, head, token, embed]
        self.parts = torch.randn(1, n, EMBED, generator=generator)  # [batch, part, embed]
        self.parts[:, self.heads] = self.by_token.sum(2)
        self.representation = self.parts.sum(1)
        self.norm = self.representation.norm(dim=-1)

    def scores(self, dirs):
        return self.parts @ dirs.T / self.norm[:, None, None]

    def maps(self, dirs, selector=None):
        rows = self.heads if selector is None else select(self.index, selector)
        places = [self.heads.index(row) for row in rows]
        return self.by_token[:, places] @ dirs.T / self.norm[:, None, None, None]

    def refused(self, by="source"):
        return {}


class Model:
    """What panels ask of a model."""

    def __init__(self, name="double", trained=True):
        self.name = self.label = name
        self.pretrained, self.weights_hash = "random", "0" * 64
        self.trained, self.image_size, self.passes = trained, (32, 32), Counter()
        self._texts = {}

    def preprocess(self, images):
        arrays = [np.asarray(image.resize((32, 32)), dtype=np.float32) for image in images]
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)

    def viewed(self, images):
        return [image.resize((32, 32)) for image in images]

    def encode_text(self, texts):
        for text in texts:
            if text not in self._texts:
                self.passes["text"] += 1
                seed = torch.Generator().manual_seed(sum(map(ord, text)))
                self._texts[text] = torch.nn.functional.normalize(torch.randn(EMBED, generator=seed), dim=0)
        return torch.stack([self._texts[text] for text in texts])

    def unknown_note(self, text):
        return f'"zebra" is a word that {self.name} never saw. Nearest: bear.' if "zebra" in text else ""


def ablate(model, run, selector, replace="mean", effect="direct", means=None):
    """A total effect that differs from the direct one: what is left shrinks by a tenth."""
    model.passes["image"] += 1
    rows = select(run.index, selector)
    return SimpleNamespace(embedding=0.9 * (run.representation - run.parts[:, rows].sum(1)))


def means() -> SimpleNamespace:
    """Mean parts of a reference set."""
    values = torch.randn(len(index()), EMBED, generator=torch.Generator().manual_seed(5)) / 20
    return SimpleNamespace(name="2,000 double scenes", parts=values)


class Scenes:
    """Pictures with truth, as `kit.world` gives them: a red cat in the upper left quarter."""

    def __init__(self, n=3):
        seed = torch.Generator().manual_seed(1)
        self.images = torch.randint(0, 256, (n, 3, 32, 32), generator=seed).to(torch.uint8)
        self.masks = torch.zeros(n, 4, 32, 32, dtype=torch.bool)
        self.masks[:, 0, :16, :16] = True
        facts = {"kind": "single", "concept": "cat", "colour": "red", "background": "grass", "artist": "noto"}
        self.labels, self.index = pd.DataFrame([facts] * n), range(n)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, which):
        return self

    def sized_for(self, model):
        return self

    def finer(self):
        return self.images.repeat_interleave(2, 2).repeat_interleave(2, 3)


class Loop:
    """An event loop whose time comes when a test says so."""

    def __init__(self):
        self.waiting = []

    def call_later(self, seconds, function, *given):
        handle = SimpleNamespace(run=lambda: function(*given), cancel=lambda: self.waiting.remove(handle))
        self.waiting.append(handle)
        return handle

    def run(self):
        while self.waiting:
            self.waiting.pop(0).run()


def picture_bytes(size=(20, 10), kind="PNG") -> bytes:
    """An encoded picture."""
    held = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(held, kind)
    return held.getvalue()
