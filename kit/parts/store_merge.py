"""Several stores as one."""

import itertools
import os
import secrets
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from kit.errors import KitError, shown
from kit.models.model import Model
from kit.parts.arrays import Writer, create_array, file_of, joined_digest
from kit.parts.files import check_same, check_weights
from kit.parts.labels import files_text, kinds_of, table_text, text_digest
from kit.parts.store_files import ANEW, FILES, LABELS, load_store, roots_of, type_of, write_header
from kit.parts.stores import Store
from kit.writing import checked_path, make_folder, sync_folder, write_file

KEPT = ("weights_hash", "preprocessing", "convention", "parts", "heads", "others", "tokens")


def merge_stores(model: Model, stores: list[Store], folder: str | Path) -> Store:
    """One store of the images of several, in a folder of its own.

    Args:
        model: the model that they are of.
        stores: of different images.
        folder: where the new one goes.

    Raises:
        KitError: no store, stores of other parts, pixels or weights; a set of images that is in two of them;
            a folder that is there already.
    """
    folder = checked_path(folder)
    if not stores:
        raise KitError("no store was given to merge; give at least one.")
    if os.path.lexists(folder):
        raise KitError(f'"{shown(folder)}" is there already; name a new folder for the merged store.')
    data = [digest for store in stores for digest in store.facts["data"]]
    if len(set(data)) < len(data):
        raise KitError("one set of images is in two of the stores; merge stores of different images.")
    for store in stores:
        check_weights(model, store, "parts of a store")
        check_same("a store", store.folder, *({k: s.facts[k] for k in KEPT} for s in (store, stores[0])))
    make_folder(folder.parent)
    made = folder.with_name(f".loupe-{secrets.token_hex(6)}.tmp")  # it gets its name when it is whole
    try:
        made.mkdir()
        _write(made, stores, data)
        os.rename(made, folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise KitError(f'"{shown(folder)}" cannot be made ({error.strerror}); name another place.') from error
    finally:
        shutil.rmtree(made, ignore_errors=True)  # there where something went wrong
    return load_store(model, folder)


def _write(folder: Path, stores: list[Store], data: list[str]) -> None:
    """The files of a merged store."""
    first, count = stores[0], sum(map(len, stores))
    batch, digests = first.facts["batch"], {}
    shapes = {key: (count, *shape[1:]) for key, shape in first.facts["arrays"].items()}
    for key, shape in shapes.items():
        create_array(file_of(folder, key), shape, type_of(key))
        writer = Writer(file_of(folder, key), shape, type_of(key), ANEW)
        places = [(store, row) for store in stores for row in store.rows]
        blocks = []
        for start in range(0, count, batch):
            some = itertools.groupby(places[start : start + batch], key=lambda place: id(place[0]))
            rows = [list(of_one) for _, of_one in some]
            held = [_array(each[0][0], key)[[row for _, row in each]] for each in rows]
            blocks.append(writer.put(start, np.concatenate(held)))
        writer.flush()
        writer.close()
        digests[key] = joined_digest(blocks)
    files = files_text([name for store in stores for name in store.files], {})
    labels = pd.concat([store.labels for store in stores], ignore_index=True)
    texts = {FILES: files, LABELS: table_text(labels)}
    for name, text in texts.items():
        write_file(folder / name, text)
        digests[name] = text_digest(text)
    write_header(
        folder,
        first.facts
        | {
            "name": " + ".join(dict.fromkeys(store.name for store in stores))[:200],
            "data": data,
            "labels": digests[LABELS],
            "kinds": kinds_of(labels),
            "arrays": {key: list(shape) for key, shape in shapes.items()},
            "roots": [[root, len(list(rows))] for root, rows in itertools.groupby(_roots(stores))],
            "sha256": digests,
        },
    )


def _array(store: Store, key: str) -> np.ndarray:
    return store.stamps if key == "stamps" else store.arrays[key]


def _roots(stores: list[Store]) -> list[str | None]:
    """Folder of each image's file."""
    found = []
    for store in stores:
        roots = roots_of(store.facts)
        found += [roots[row] for row in store.rows]
    return found
