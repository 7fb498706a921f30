"""The pass that writes a store: each batch to its rows, and a header that says when all are there."""

import os
import shutil
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kit.data.locks import is_held
from kit.data.passes import Batch, Progress, agreed, alone, batches, go_over, rows_of_batch
from kit.data.reading import replaced
from kit.data.sets import ImageSet
from kit.errors import KitError, shown
from kit.parts.arrays import Writer, create_array, file_of, joined_digest
from kit.parts.checked import checked_run
from kit.parts.class_token import KEY, check_cls, cls_coordinates
from kit.parts.files import check_same, state_file, state_files
from kit.parts.frozen import frozen_graph
from kit.parts.headers import read_facts, write_facts
from kit.parts.labels import files_text, kinds_of, table_text, text_digest
from kit.parts.moments import CONVENTION, chosen_rows, coordinates, gain_of
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
from kit.writing import checked_path, clear_unfinished, sync_folder, write_file

STATE = "rows"  # kind of the file that says which rows are written
AGAIN = "delete it, and make the same call again"


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
    selector, folder = "all, !bias" if selector is None else selector, checked_path(folder)
    keeper = _StoreKeeper(model, images, name, batch, selector, folder, tokens)
    if agreed(keeper.is_done()):
        store = opened_store(model, folder)
        check_pictures(store, images)
        return store
    with alone(folder / LOCK, f'the store "{shown(folder)}"', keeper.look):
        try:
            go_over(model, images, batch, keeper, "store", workers)
        finally:
            keeper.close()
    return opened_store(model, folder)


class _StoreKeeper:
    """Writes each batch to its rows; the header says so when all are there."""

    def __init__(self, model, images, name: str, batch: int, selector: str, folder: Path, tokens: str | None):
        if tokens is not None:
            check_cls(model)
        frozen = frozen_graph(model)
        self.model, self.images, self.folder, self.batch = model, images, folder, batch
        parts = chosen_rows(frozen.index, selector)
        heads = [p for p, part in enumerate(parts) if frozen.index["kind"][part] == "head"]
        gain = gain_of(frozen, [parts[p] for p in heads]) if heads else None
        heads = [] if gain is None else heads
        others = [p for p in range(len(parts)) if p not in set(heads)]
        self.rows = {"heads": [parts[p] for p in heads], "others": [parts[p] for p in others]}
        self.gain, self.tokens = gain, tokens if heads else None
        self.labels = table_text(images.labels)
        self.facts = {
            "model": model.name,
            "weights_hash": model.weights_hash,
            "preprocessing": model.preprocessing,
            "convention": CONVENTION,
            "data": [images.digest],
            "labels": text_digest(self.labels),
            "parts": list(frozen.index["name"][parts]),
            "batch": batch,
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
            "name": name,
            "heads": heads,
            "others": others,
            "arrays": {key: list(shape) for key, shape in self.shapes.items()},
            "kinds": kinds_of(images.labels),
            "roots": [[root, len(images)]],
        }
        self.writers: dict[str, Writer] = {}

    def look(self) -> dict | None:
        """The header that is there; an error where the folder holds another store, or what is not ours."""
        check_folder(self.folder)
        header = read_header(self.folder)
        if header is not None:
            check_same("a store", self.folder, header, self.facts)
        return header

    def is_done(self) -> bool:
        """Whether the pass has ended, and left nothing to tidy up."""
        header = self.look()
        if header is None or not header["complete"] or state_files(self.folder / "pass"):
            return False
        is_held(self.folder / LOCK)
        return True

    def prepare(self) -> None:
        header = self.look()
        if header is not None and header["complete"]:
            return
        self._clear()
        if header is None:
            self._check_disk()
            write_header(self.folder, self.header | {"complete": False})
        for key, shape in self.shapes.items():
            create_array(file_of(self.folder, key), shape, type_of(key))
        write_file(self.folder / LABELS, self.labels)
        self.begin()
        for file in state_files(self.folder / "pass"):
            self._drop_what_changed(file)

    def _clear(self) -> None:
        """Remove files that were being written when an earlier pass was killed."""
        for name in (HEADER, LABELS, FILES, "pass.part-0"):
            clear_unfinished(self.folder / name)
        for file in state_files(self.folder / "pass"):
            clear_unfinished(file)

    def _check_disk(self) -> None:
        needed, free = array_bytes(self.shapes), shutil.disk_usage(self.folder).free
        if needed > free:
            raise KitError(
                f"the store of {len(self.images):,} images takes {needed / 2**30:.1f} GiB, but "
                f'{free / 2**30:.1f} GiB are free at "{self.folder}"; keep fewer parts, such as '
                'selector="L-4:.H*", or name another place.'
            )

    def _drop_what_changed(self, file: Path) -> None:
        """Take batches out of a state whose rows are not as they were written, or whose files are others."""
        state, before = _read_state(file), _read_state(file)
        sha256, stamps = self.writers["sha256"].array, self.writers["stamps"].array
        for number, digests in list(state.done.items()):
            rows = rows_of_batch(self.images, self.batch, number)
            whole = all(w.digest(rows[0], rows[-1] + 1) == digests[key] for key, w in self.writers.items())
            seen = [(row, sha256[row].tobytes(), stamps[row].tobytes()) for row in rows]
            if not whole or replaced(self.images, seen):
                del state.done[number]
                state.damaged = {row: why for row, why in state.damaged.items() if row not in rows}
        if state != before:
            _write_state(file, state)

    def open(self, rank: int) -> tuple[Progress, Progress]:
        self.state = state_file(self.folder / "pass", rank)
        if read_header(self.folder)["complete"]:  # another pass made it while this one began
            return Progress(), Progress({key: {} for key in range(batches(self.images, self.batch))})
        states = {file: _read_state(file) for file in state_files(self.folder / "pass")}
        return states.get(self.state, Progress()), reduce(Progress.__or__, states.values(), Progress())

    def begin(self) -> None:
        for key, shape in self.shapes.items():
            if key not in self.writers:
                self.writers[key] = Writer(file_of(self.folder, key), shape, type_of(key), AGAIN)

    def close(self) -> None:
        """Let the files go."""
        for writer in self.writers.values():
            writer.close()

    def add(self, batch: Batch) -> dict:
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
        if self.rows["heads"]:
            values["heads"] = coordinates(run, self.rows["heads"], self.gain)
        if self.tokens:
            values[KEY] = cls_coordinates(run, self.rows["heads"], self.gain)
        if self.rows["others"]:
            values["others"] = coordinates(run, self.rows["others"], None)
        return values

    def save(self, progress: Progress) -> None:
        if not progress.done:
            return
        for writer in self.writers.values():
            writer.flush()
        _write_state(self.state, progress)

    def finish(self) -> None:
        files = state_files(self.folder / "pass")
        if not read_header(self.folder)["complete"]:
            every = reduce(Progress.__or__, map(_read_state, files), Progress())
            self._complete(every)
        for file in files:
            file.unlink()
        sync_folder(self.folder)

    def _complete(self, every: Progress) -> None:
        """Write the list of files and the header of a store whose rows are all there."""
        if len(every.damaged) == len(self.images):
            raise KitError(
                f"none of the {len(self.images)} images could be read. The first one: {every.damaged[0]}"
            )
        seen = [every.done.get(number) for number in range(batches(self.images, self.batch))]
        if None in seen:
            raise KitError(
                f'{seen.count(None)} batches of the pass into "{shown(self.folder)}" are missing; make the '
                "same call again: it goes on."
            )
        files = files_text(self.images.names, every.damaged)
        write_file(self.folder / FILES, files)
        digests = {key: joined_digest([each[key] for each in seen]) for key in self.shapes}
        digests |= {FILES: text_digest(files), LABELS: text_digest(self.labels)}
        write_header(self.folder, self.header | {"complete": True, "sha256": digests})


def _write_state(file: Path, state: Progress) -> None:
    damaged = {str(number): why for number, why in state.damaged.items()}
    write_facts(file, STATE, {"done": {str(n): seen for n, seen in state.done.items()}, "damaged": damaged})


def _read_state(file: Path) -> Progress:
    facts = read_facts(file, STATE, "the state of a pass", AGAIN)
    done = {int(number): seen for number, seen in facts["done"].items()}
    return Progress(done, {int(number): why for number, why in facts["damaged"].items()})


def _inverse_sigma(run: Run) -> Tensor:
    """1/σ of the last norm, [image]; NaN where there is none, or one for each token."""
    found = [value for node, value in run.frozen_values.items() if node in run.frozen.norms]
    one = len(found) == 1 and found[0][0].numel() == 1
    return found[0].reshape(-1) if one else torch.full_like(run.norm, torch.nan)
