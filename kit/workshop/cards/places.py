"""Whether token heatmaps of a model lie on the things that they are asked for."""

from pathlib import Path

import torch
from torch import Tensor

import kit.world as world
from kit.maps import segment
from kit.measures import bootstrap_interval
from kit.models import load
from kit.models.model import Model
from kit.parts import run
from kit.workshop.cards.table import BOOTSTRAP_SEED, Table
from kit.world.values import SIZE

SEEDS = {"heatmaps": 71_010, "pointing": 71_011}
METHODS = ("token heatmap", "raw attention", "rollout", "GradCAM of heads", "transformer attribution")
COVERED = 0.25  # a token lies on an object that covers a quarter of its patch
BATCH = 50


def add_places(folder: Path, trained: bool, table: Table, n: int) -> None:
    """Add the rows on masks and on pointing.

    Args:
        folder: the shipped model.
        trained: False measures random weights.
        table: gets the rows.
        n: scenes with one object, and scenes with two.
    """
    model = load(str(folder), None if trained else "random")
    scale = model.image_size[0] // SIZE
    _masks(model, table, world.draw(n, SEEDS["heatmaps"]).at(scale))
    _pointing(model, table, world.draw(n, SEEDS["pointing"], kind="pair").at(scale))


def _masks(model: Model, table: Table, scenes: world.Scenes) -> None:
    """How well masks of the model's own answer fit the object, beside other methods."""
    names = model.encode_text(world.prompts("concept"))
    results = segment(model, scenes, names, methods=METHODS, batch=BATCH).results
    ours, seed = results[METHODS[0]], SEEDS["heatmaps"]
    figures = ours.intervals(BOOTSTRAP_SEED)
    for what in ("mIoU", "mAP"):
        table.put(f"token heatmaps: {what}", "seen", figures[what], len(ours), seed)
    for name in METHODS[1:]:
        gap = ours.ahead_of(results[name], BOOTSTRAP_SEED)["mIoU"]
        table.put(f"token heatmaps: mIoU minus that of {name}", "seen", gap, len(ours), seed)


def _pointing(model: Model, table: Table, pairs: world.Scenes) -> None:
    """Does the largest token of the map of one object minus the other lie on the one?"""
    on, top = on_objects(model, pairs), difference_maps(model, pairs).argmax(1)
    n = torch.arange(len(pairs))
    gap = on[n, 0, top].double() - on[n, 1, top].double()
    what = "token heatmaps: largest on the named object minus on the other"
    table.put(what, "seen", bootstrap_interval(gap, BOOTSTRAP_SEED), len(pairs), SEEDS["pointing"])


def on_objects(model: Model, scenes: world.Scenes) -> Tensor:
    """Which patches lie on which object, bool [scene, object, patch]."""
    (rows, cols), (high, wide) = model.grid, scenes.masks.shape[2:]
    patches = scenes.masks.float().unflatten(3, (cols, wide // cols)).unflatten(2, (rows, high // rows))
    return (patches.mean((3, 5)) >= COVERED).flatten(2)


def difference_maps(model: Model, pairs: world.Scenes) -> Tensor:
    """The map of the first object's prompt minus the second's, all heads together, [scene, patch]."""
    prompts = model.encode_text(world.prompts("concept"))  # [text, embed]
    maps = []
    for start in range(0, len(pairs), BATCH):
        some = pairs[start : start + BATCH]
        result = run(model, model.preprocess(some.images))
        every = result.maps(prompts).sum(1)[:, result.prefix :]  # [scene, patch, text]
        n = torch.arange(len(every))
        maps.append(every[n, :, some.codes["concept"]] - every[n, :, some.codes["concept_2"]])
    return torch.cat(maps)
