"""Pictures, passes and sentences for the tests on what must not be lost."""

import io
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image

import kit
from kit.errors import KitError
from kit.parts import load_means, load_moments, load_store
from tests.unit.tiny_models import write_folder

KEPT = ("store", "moments", "means")
READ = {"store": load_store, "moments": load_moments, "means": load_means}
BATCH = 3


@cache
def tiny_clip():
    """One small model for every file of tests of this process, as its first run takes a second."""
    with TemporaryDirectory() as folder:
        return kit.load(str(write_folder(Path(folder) / "tiny")))


def picture(seed: int, size=(20, 24)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def numbers(kept) -> dict:
    if hasattr(kept, "arrays"):
        return {key: array.tobytes() for key, array in kept.arrays.items()} | {"files": kept.files}
    return {key: value.double().numpy().tobytes() for key, value in kept.tensors.items()}


@contextmanager
def says(*parts: str):
    """The block ends in a sentence that holds these words, on one line."""
    with pytest.raises(KitError) as caught:
        yield
    said = str(caught.value)
    assert "\n" not in said and said.endswith(".") and all(part in said for part in parts), said


def encoded(kind: str, image: Image.Image | None = None, **options) -> bytes:
    """A picture as a file."""
    held = io.BytesIO()
    (image or picture(0)).save(held, kind, **options)
    return held.getvalue()


def stop_after(monkeypatch, count: int) -> None:
    """Interrupt the next passes after so many images."""
    real, seen = kit.data.ImageFolder.read, []

    def read(images, number):
        seen.append(number)
        if len(seen) > count:
            raise KeyboardInterrupt
        return real(images, number)

    monkeypatch.setattr(kit.data.ImageFolder, "read", read)
