"""The pass that writes a store: each batch to its rows, and a header that says when all are there."""

import os
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kit.data.passes import Batch, Progress
from kit.data.reading import replaced
from kit.errors import KitError, shown
from kit.parts.arrays import Writer, create_array, file_of, joined_digest
from kit.parts.checked import checked_run
from kit.parts.class_token import KEY, check_cls, cls_coordinates
from kit.parts.files import check_same
from kit.parts.frozen import frozen_graph
from kit.parts.headers import read_facts, write_facts
from kit.parts.labels import files_text, kinds_of, table_text, text_digest
from kit.parts.moments import CONVENTION, chosen_rows, coordinates, gain_of
from kit.parts.one_pass import PassKeeper, Request
from kit.parts.runs import Run
from kit.parts.store_files import (
    FILES,
    HEADER,
    LABELS,
    LOCK,
    array_bytes,
    check_folder,
    check_pictures,
    opened_store,
    read_header,
    type_of,
    write_header,
)
from kit.parts.stores import Store
from kit.writing import sync_folder, write_file

STATE = "rows"  # kind of the file that says which rows are written
AGAIN = "delete it, and make the same call again"


class StoreKeeper(PassKeeper):
    """Writes each batch to its rows; the header says so when all are there."""

    kind = "store"

    def __init__(self, request: Request):
        model, images, folder = request.model, request.images, request.path
        super().__init__(request, folder / LOCK, folder / "pass")
        self.what, self.listed = f'the store "{shown(folder)}"', folder / FILES
        self.files = (folder / HEADER, folder / LABELS, self.listed)
        if request.tokens is not None:
            check_cls(model)
        frozen = frozen_graph(model)
        parts = chosen_rows(frozen.index, "all, !bias" if request.selector is None else request.selector)
        heads = [p for p, part in enumerate(parts) if frozen.index["kind"][part] == "head"]
        gain = gain_of(frozen, [parts[p] for p in heads]) if heads else None
        heads = [] if gain is None else heads
        others = [p for p in range(len(parts)) if p not in set(heads)]
        self.parts = {"heads": [parts[p] for p in heads], "others": [parts[p] for p in others]}
        self.gain, self.tokens = gain, request.tokens if heads else None
        self.labels = table_text(images.labels)
        self.facts = {
            "model": model.name,
            "weights_hash": model.weights_hash,
            "preprocessing": model.preprocessing,
            "convention": CONVENTION,
            "data": [images.digest],
            "labels": text_digest(self.labels),
            "parts": list(frozen.index["name"][parts]),
            "batch": request.batch,
            "tokens": self.tokens,
        }
        widths = {"embedding": (model.embed_dim,), "scalars": (2,), "sha256": (32,), "stamps": (16,)}
        if heads:
            widths["heads"] = (len(heads), gain.shape[1])
        if self.tokens:
            widths[KEY] = widths["heads"]
        if others:
            widths["others"] = (len(others), model.embed_dim)
        self.shapes = {key: (len(images), *width) for key, width in widths.items()}
        root = None if images.root is None else os.path.abspath(images.root)
        self.header = self.facts | {
            "name": request.name,
            "heads": heads,
            "others": others,
            "arrays": {key: list(shape) for key, shape in self.shapes.items()},
            "kinds": kinds_of(images.labels),
            "roots": [[root, len(images)]],
        }
        self.writers: dict[str, Writer] = {}

    def look(self) -> None:
        """Raise where the folder holds another store, or what is not ours."""
        check_folder(self.path)
        header = read_header(self.path)
        if header is not None:
            check_same("a store", self.path, header, self.facts)

    def is_whole(self) -> bool:
        """Whether the header says that all rows are there."""
        header = read_header(self.path)
        return header is not None and header["complete"]

    def make(self) -> None:
        """Make header, arrays and labels."""
        if read_header(self.path) is None:
            self._check_disk()
            write_header(self.path, self.header | {"complete": False})
        for key, shape in self.shapes.items():
            create_array(file_of(self.path, key), shape, type_of(key))
        write_file(self.path / LABELS, self.labels)
        self.begin()

    def _check_disk(self) -> None:
        needed, free = array_bytes(self.shapes), shutil.disk_usage(self.path).free
        if needed > free:
            raise KitError(
                f"the store of {len(self.images):,} images takes {needed / 2**30:.1f} GiB, but "
                f'{free / 2**30:.1f} GiB are free at "{self.path}"; keep fewer parts, such as '
                'selector="L-4:.H*", or name another place.'
            )

    def forget_replaced(self, file: Path) -> None:
        """Take batches out of a state whose rows are not as they were written, or whose files are others."""
        _, progress = self.read(file)
        count = len(progress.done)
        sha256, stamps = self.writers["sha256"].array, self.writers["stamps"].array
        for number, digests in list(progress.done.items()):
            rows = self.rows(number)
            whole = all(w.digest(rows[0], rows[-1] + 1) == digests[key] for key, w in self.writers.items())
            seen = [(row, sha256[row].tobytes(), stamps[row].tobytes()) for row in rows]
            if not whole or replaced(self.images, seen):
                del progress.done[number]
                progress.damaged = {row: why for row, why in progress.damaged.items() if row not in rows}
        if len(progress.done) < count:
            self.write(file, progress)

    def begin(self) -> None:
        """Open the arrays."""
        for key, shape in self.shapes.items():
            if key not in self.writers:
                self.writers[key] = Writer(file_of(self.path, key), shape, type_of(key), AGAIN)

    def close(self) -> None:
        """Let the arrays go."""
        for writer in self.writers.values():
            writer.close()

    def add(self, batch: Batch) -> dict:
        """Write the rows of a batch, and give the digests of its blocks."""
        values = {"sha256": np.frombuffer(b"".join(batch.sha256), np.uint8).reshape(-1, 32)}
        values["stamps"] = np.frombuffer(b"".join(batch.stamps), np.uint8).reshape(-1, 16)
        made = self._values(batch.pixels) if batch.pixels is not None else {}
        for key in self.shapes.keys() - values.keys():
            values[key] = np.zeros((len(batch.rows), *self.shapes[key][1:]), np.float32)
            if made:
                values[key][batch.good] = made[key].cpu().numpy()
        odd = ~np.isfinite(np.concatenate([values["embedding"], values["scalars"][:, :1]], 1)).all(1)
        if odd.any():
            name = self.images.names[batch.rows[int(odd.argmax())]]
            raise KitError(
                f'the model gives numbers that are not finite for "{shown(name)}"; load it in float32, or '
                "leave the image out."
            )
        return {key: writer.put(batch.rows[0], values[key]) for key, writer in self.writers.items()}

    def _values(self, pixels: Tensor) -> dict[str, Tensor]:
        """The rows of some images, by array."""
        run = checked_run(self.model, pixels, tokens=self.tokens is not None)
        spread = _inverse_sigma(run)
        values = {"embedding": run.representation, "scalars": torch.stack([run.norm, spread], 1)}
        if self.parts["heads"]:
            values["heads"] = coordinates(run, self.parts["heads"], self.gain)
        if self.tokens:
            values[KEY] = cls_coordinates(run, self.parts["heads"], self.gain)
        if self.parts["others"]:
            values["others"] = coordinates(run, self.parts["others"], None)
        return values

    def read(self, file: Path) -> tuple[None, Progress]:
        """What a state says is done: the rows lie in the arrays."""
        return None, Progress.of(read_facts(file, STATE, "the state of a pass", AGAIN))

    def write(self, file: Path, progress: Progress) -> None:
        """Bring the arrays to the disk, then write a state."""
        for writer in self.writers.values():
            writer.flush()
        write_facts(file, STATE, progress.plain())

    def finish(self) -> None:
        """See to it that the header is on the disk too."""
        super().finish()
        sync_folder(self.path)

    def complete(self, results: list, done: list[dict], damaged: dict[int, str]) -> None:
        """Write the list of files and the header of a store whose rows are all there."""
        if len(damaged) == len(self.images):
            raise self.none_read(damaged[0])
        files = files_text(self.images.names, damaged)
        write_file(self.listed, files)
        digests = {key: joined_digest([each[key] for each in done]) for key in self.shapes}
        digests |= {FILES: text_digest(files), LABELS: text_digest(self.labels)}
        write_header(self.path, self.header | {"complete": True, "sha256": digests})

    def result(self) -> Store:
        """The store, of the pictures that are there."""
        store = opened_store(self.model, self.path)
        if not self.writers:  # an earlier pass made it
            check_pictures(store, self.images)
        return store


def _inverse_sigma(run: Run) -> Tensor:
    """1/σ of the last norm, [image]; NaN where there is none, or one for each token."""
    spreads = [value for node, value in run.frozen_values.items() if node in run.frozen.norms]
    one = len(spreads) == 1 and spreads[0][0].numel() == 1
    return spreads[0].reshape(-1) if one else torch.full_like(run.norm, torch.nan)
