"""A whole sweep on a tiny CLIP and tiny folders: its figures are those of direct calls, and it resumes."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

import kit
from kit.cli import main
from kit.data import WATERBIRDS_SIZES, class_vectors, imagenet_classes, read_imagenet, read_waterbirds
from kit.edits import Asked, Reference, ask_classes, cue_effects, ranked
from kit.errors import KitError
from kit.measures import GroupBootstrap, changes, hits
from kit.parts import Run, load_store
from kit.projections import Bank, reconstructed_cosines
from kit.sweep import Settings, measured, read_report, stages, sweep
from kit.sweep.ablation import CROSSED, OWN
from kit.sweep.work import halves
from tests.unit import tiny_models
from tests.unit.test_papers import birds, picture, wnid, write

CLASSES = (0, 65, 281, 999)
CONFIG = {
    "embed_dim": 24,
    "vision_cfg": dict(tiny_models.VISION),
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
SETTINGS = Settings(candidates="present", last=1, draws=10, batch=8)


def load_tiny(folder, seed: int = 1):
    """A tiny CLIP with the vocabulary of every CLIP, from a file of weights."""
    file = folder / "tiny.safetensors"
    state = tiny_models.clip(CONFIG, seed).state_dict()
    save_file({name: value.contiguous() for name, value in state.items()}, file)
    return kit.load("ViT-B-16", str(file), config=CONFIG, like="laion2b_s34b_b88k", device="cpu")


def write_imagenet(folder):
    for place, y in enumerate(CLASSES):
        for number in range(6):
            write(
                folder / "val" / wnid(y) / f"ILSVRC2012_val_{100 * number + place:08d}.JPEG",
                60 * place,
                number,
            )
    return folder


def write_waterbirds(folder):
    """Both splits that are read; the hue tells the bird, and in part the place."""
    rows = []
    for split, count in ((1, 5), (2, 6)):
        for y, place in ((0, 0), (0, 1), (1, 0), (1, 1)):
            for number in range(count):
                rows.append((f"{y + 87:03d}.Bird/Bird_{split}{y}{place}{number}.jpg", y, split, place))
                write(folder / rows[-1][0], 120 * y + 40 * place, 10 * split + number)
    birds(folder, rows)
    return folder


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """The model and the two folders."""
    root = tmp_path_factory.mktemp("sets")
    return load_tiny(root), write_imagenet(root / "imagenet"), write_waterbirds(root / "birds"), root


@pytest.fixture(scope="module")
def done(given):
    """A sweep that nothing interrupted, and the lines that it said."""
    model, imagenet, waterbirds, root = given
    said = []
    found = sweep(model, root / "out", imagenet, waterbirds, settings=SETTINGS, say=said.append)
    return found, said


def test_x(done):
    print(json.dumps(done[0].report, indent=1)[:6000])
    print(done[1])
    assert not done[0].failed
