"""Directions of texts that are kept on the disk, so that a sweep which was killed encodes none twice."""

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from kit.models.model import Model, hash_weights
from kit.writing import make_folder, write_file

SOME = 64  # texts whose directions share a file


class Texts:
    """The text tower of a model with a memory in a folder. Banks and class vectors take it for the model.

    Args:
        model: one that encodes texts.
        folder: where directions are kept, by a digest of weights, texts and templates.

    Attributes:
        hash: of all weights of the model, text tower included.
    """

    def __init__(self, model: Model, folder: Path):
        self.model, self.folder = model, folder
        self.name, self.known_words, self.weights_hash = model.name, model.known_words, model.weights_hash
        self.embed_dim = model.embed_dim
        self.hash = hash_weights(model.text_tower.module)

    def encode_text(self, texts, templates=None) -> Tensor:
        """Unit directions, [text, embed], float32 on the CPU; see `Model.encode_text`."""
        texts = list(texts)
        chunks = [texts[start : start + SOME] for start in range(0, len(texts), SOME)]
        silent = "TQDM_DISABLE" in os.environ
        many = len(texts) * len(templates or [1])
        bar = tqdm(chunks, desc=f"{many:,} texts", unit="chunk", delay=2, leave=False, disable=silent)
        return torch.cat([self._kept(chunk, templates) for chunk in bar])

    def missing(self, texts: list[str], templates=None) -> int:
        """How many filled texts are still to be encoded."""
        chunks = [texts[start : start + SOME] for start in range(0, len(texts), SOME)]
        new = [chunk for chunk in chunks if not self._file(chunk, templates).is_file()]
        return sum(map(len, new)) * len(templates or [1])

    def _file(self, texts: list[str], templates) -> Path:
        words = "\0".join([self.hash, *texts, "\1", *(templates or [])])
        return self.folder / f"{hashlib.sha256(words.encode()).hexdigest()[:32]}.npy"

    def _kept(self, texts: list[str], templates) -> Tensor:
        path = self._file(texts, templates)
        if (found := self._read(path, len(texts))) is not None:
            return found
        vectors = self.model.encode_text(texts, templates).float().cpu()
        make_folder(self.folder)
        write_file(path, lambda file: np.save(file, vectors.numpy()))
        return vectors

    def _read(self, path: Path, count: int) -> Tensor | None:
        """Directions that were kept; None where there are none, or none of unit length."""
        try:
            found = torch.from_numpy(np.load(path, allow_pickle=False))
        except Exception:  # damage raises errors of many kinds, and the texts are encoded anew
            return None
        whole = found.dtype == torch.float32 and found.shape == (count, self.embed_dim)
        return found if whole and ((found.norm(dim=1) - 1).abs() < 1e-4).all() else None
