"""The pass that writes a store: each batch to its rows, and a header that says when all are there."""

import json
import math
import shutil
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kit.data.passes import Progress, go_over
from kit.data.sets import ImageSet
from kit.errors import KitError
from kit.parts.class_token import KEY, check_cls, cls_coordinates
from kit.parts.files import check_same, replace_file, state_file, state_files
from kit.parts.frozen import frozen_graph
from kit.parts.moments import CONVENTION, chosen_rows, coordinates, gain_of
from kit.parts.runs import Run
from kit.parts.stores import (
    FILES,
    FORMAT,
    HEADER,
    LABELS,
    Store,
    create_array,
    load_store,
    read_header,
    type_of,
)


def collect_store(
    model,
    images: ImageSet,
    name: str,
    batch: int,
    selector: str | None,
    folder: Path,
    workers: int,
    tokens: str | None = None,
) -> Store:
    """The parts of every image of a set, in one pass; see `kit.parts.collect`."""
    selector = "all, !bias" if selector is None else selector
    keeper = _StoreKeeper(model, images, name, batch, selector, folder, tokens)
    header = read_header(folder)
    if header is not None:
        check_same("a store", folder, {key: header.get(key) for key in keeper.facts}, keeper.facts)
    if header is None or not header["complete"]:
        go_over(model, images, batch, keeper, "store", workers)
    return load_store(model, folder)


class _StoreKeeper:
    """Writes each batch to its rows; the header says so when all are there."""

    def __init__(self, model, images, name: str, batch: int, selector: str, folder: Path, tokens: str | None):
        if tokens is not None:
            check_cls(model)
        frozen = frozen_graph(model)
        self.model, self.images, self.folder = model, images, folder
        parts = chosen_rows(frozen.index, selector)
        heads = [p for p, part in enumerate(parts) if frozen.index["kind"][part] == "head"]
        gain = gain_of(frozen, [parts[p] for p in heads]) if heads else None
        heads = [] if gain is None else heads
        others = [p for p in range(len(parts)) if p not in set(heads)]
        self.rows = {"heads": [parts[p] for p in heads], "others": [parts[p] for p in others]}
        self.gain, self.tokens = gain, tokens if heads else None
        self.facts = {
            "format": FORMAT,
            "model": model.name,
            "weights_hash": model.weights_hash,
            "preprocessing": model.preprocessing,
            "convention": CONVENTION,
            "data": [images.digest],
            "parts": list(frozen.index["name"][parts]),
            "batch": batch,
            "tokens": self.tokens,
        }
        widths = {"embedding": (model.embed_dim,), "scalars": (2,), "sha256": (32,)}
        if heads:
            widths["heads"] = (len(heads), gain.shape[1])
        if self.tokens:
            widths[KEY] = widths["heads"]
        if others:
            widths["others"] = (len(others), model.embed_dim)
        self.shapes = {key: (len(images), *width) for key, width in widths.items()}
        self.header = self.facts | {"name": name, "heads": heads, "others": others, "arrays": list(widths)}

    @property
    def bytes(self) -> int:
        """Size of the arrays."""
        return sum(math.prod(shape) * type_of(key).itemsize for key, shape in self.shapes.items())

    def open(self, rank: int) -> tuple[Progress, Progress]:
        self.state = state_file(self.folder / "pass", rank)
        if rank == 0 and read_header(self.folder) is None:
            self._create()
        states = {file: _read_state(file) for file in state_files(self.folder / "pass")}
        return states.get(self.state, Progress()), reduce(Progress.__or__, states.values(), Progress())

    def _create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if self.bytes > free:
            raise KitError(
                f"the store of {len(self.images):,} images takes {self.bytes / 2**30:.1f} GiB, but "
                f'{free / 2**30:.1f} GiB are free at "{self.folder}"; keep fewer parts, such as '
                'selector="L-4:.H*", or name another place.'
            )
        for key, shape in self.shapes.items():
            create_array(self.folder, key, shape, type_of(key)).flush()
        replace_file(self.folder / LABELS, self.images.labels.to_csv())
        replace_file(self.folder / HEADER, json.dumps(self.header | {"complete": False}))

    def begin(self) -> None:
        self.arrays = {key: np.load(self.folder / f"{key}.npy", mmap_mode="r+") for key in self.shapes}

    def add(self, rows: list[int], pixels: Tensor) -> None:
        run = Run.of(self.model, pixels, tokens=self.tokens is not None)
        spread = _inverse_sigma(run)
        values = {
            "embedding": run.representation,
            "scalars": torch.stack([run.norm, spread], 1),
            "sha256": [np.frombuffer(self.images.content(row), np.uint8) for row in rows],
        }
        if self.rows["heads"]:
            values["heads"] = coordinates(run, self.rows["heads"], self.gain)
        if self.tokens:
            values[KEY] = cls_coordinates(run, self.rows["heads"], self.gain)
        if self.rows["others"]:
            values["others"] = coordinates(run, self.rows["others"], None)
        for key, value in values.items():
            self.arrays[key][rows] = value.cpu().numpy() if isinstance(value, Tensor) else value

    def save(self, progress: Progress) -> None:
        for array in self.arrays.values():
            array.flush()
        damaged = {str(number): why for number, why in progress.damaged.items()}
        replace_file(self.state, json.dumps({"done": sorted(progress.done), "damaged": damaged}))

    def finish(self) -> None:
        files = state_files(self.folder / "pass")
        damaged = reduce(Progress.__or__, map(_read_state, files)).damaged
        if len(damaged) == len(self.images):
            raise KitError(
                f"none of the {len(self.images)} images could be read. The first one: {damaged[0]}"
            )
        table = pd.DataFrame({"name": self.images.names})
        table["damaged"] = [damaged.get(number, "") for number in range(len(table))]
        replace_file(self.folder / FILES, table.to_csv(index=False))
        replace_file(self.folder / HEADER, json.dumps(self.header | {"complete": True}))
        for file in files:
            file.unlink()


def _read_state(file: Path) -> Progress:
    state = json.loads(file.read_text(encoding="utf-8"))
    return Progress(set(state["done"]), {int(number): why for number, why in state["damaged"].items()})


def _inverse_sigma(run: Run) -> Tensor:
    """1/σ of the last norm, [image]; NaN where there is none, or one for each token."""
    found = [value for node, value in run.frozen_values.items() if node in run.frozen.norms]
    one = len(found) == 1 and found[0][0].numel() == 1
    return found[0].reshape(-1) if one else torch.full_like(run.norm, torch.nan)
