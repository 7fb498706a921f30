"""What a store is on the disk: names, types and the header of its files, and how a store is read back."""

import csv
import hashlib
import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from kit.data.reading import NO_BYTES, file_sha256, file_stamp, replaced
from kit.data.sets import ImageSet
from kit.errors import KitError, shown
from kit.models.model import Model
from kit.parts.arrays import check_array, file_of, open_array
from kit.parts.files import check_weights
from kit.parts.frozen import frozen_graph
from kit.parts.headers import read_facts, write_facts
from kit.parts.labels import FILES_KINDS, read_table
from kit.parts.moments import gain_of, rows_of
from kit.parts.stores import Store
from kit.writing import is_unfinished

KIND = "store"
HEADER, LABELS, FILES, LOCK = "header.json", "labels.csv", "files.csv", "pass.lock"
BYTES = {"sha256": 32, "stamps": 16}  # arrays of bytes; the others are float32
ANEW = "delete the folder and collect again, or name another folder"


def read_header(folder: Path) -> dict | None:
    """What a store says of itself; None where there is none."""
    file = folder / HEADER
    if not os.path.lexists(file):
        return None
    facts = read_facts(file, KIND, "the header of a store", "name another folder")
    if not isinstance(facts.get("complete"), bool):
        raise KitError(f'"{shown(file)}" does not say whether its pass has ended; {ANEW}.')
    return facts


def write_header(folder: Path, facts: dict) -> None:
    """Write what a store says of itself."""
    write_facts(folder / HEADER, KIND, facts)


def check_folder(folder: Path) -> None:
    """Raise where a folder that has no header of ours holds anything, which would be written over."""
    if read_header(folder) is not None:
        return
    try:
        held = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        said = f'no store can be made at "{shown(folder)}" ({error.strerror}); name a new folder.'
        raise KitError(said) from error
    if held := [name for name in held if not (name.startswith(LOCK) or is_unfinished(name))]:
        raise KitError(
            f'the folder "{shown(folder)}" is not empty and holds no store: there is "{shown(held[0])}"'
            f"{f' and {len(held) - 1:,} more' if len(held) > 1 else ''}; name a new folder, so that nothing "
            "of yours is written over."
        )


def type_of(key: str) -> np.dtype:
    """The type of an array's numbers."""
    return np.dtype(np.uint8 if key in BYTES else np.float32)


def array_bytes(shapes: dict[str, tuple[int, ...]]) -> int:
    """Size of arrays."""
    return sum(math.prod(shape) * type_of(key).itemsize for key, shape in shapes.items())


def load_store(model: Model, folder: str | Path) -> Store:
    """A store from its folder, as it was written.

    The arrays are mapped, not read into memory; but each is read once to compare its digest, about a second
    for each GB, unless this process did so before and the file was not touched since. Where the folder of the
    pictures is there, those that were touched since the pass are compared too.

    Args:
        model: the model that it is of.
        folder: what a pass with `keep="store"` wrote.

    Raises:
        KitError: no store there, one whose pass has not ended, one of another model or other weights, one
            that is damaged, or one of pictures that have been replaced since.
    """
    store = opened_store(model, folder)
    check_pictures(store, _Pictures(store))
    return store


def opened_store(model: Model, folder: str | Path) -> Store:
    """A store whose files are all as they were written; see `load_store`, which looks at its pictures too."""
    folder = Path(folder)
    header = read_header(folder)
    if header is None:
        raise KitError(f'no store at "{shown(folder)}"; make one with kit.collect(..., keep="store").')
    if not header["complete"]:
        raise KitError(
            f'the pass into the store "{shown(folder)}" has not ended; the same call of kit.collect goes on '
            "with it."
        )
    try:
        about = SimpleNamespace(model=header["model"], weights_hash=str(header["weights_hash"]))
        check_weights(model, about, "parts of a store")
        return _of_header(model, folder, header)
    except KitError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        said = f'"{shown(folder / HEADER)}" lacks what a store says of itself ({error!r}); {ANEW}.'
        raise KitError(said) from error


def _of_header(model: Model, folder: Path, header: dict) -> Store:
    shapes, digests = {key: tuple(shape) for key, shape in header["arrays"].items()}, header["sha256"]
    count, name = len(roots_of(header)), header["name"]
    if not isinstance(name, str) or not name.isprintable():
        raise ValueError("its name is no line of words")
    files = _table(folder / FILES, digests[FILES], FILES_KINDS, count)
    labels = _table(folder / LABELS, digests[LABELS], header["kinds"], count)
    arrays = {key: open_array(file_of(folder, key), shapes[key], type_of(key), ANEW) for key in shapes}
    for key, array in arrays.items():
        check_array(file_of(folder, key), array, header["batch"], digests[key], ANEW)
    read = (files["damaged"] == "").to_numpy()
    frozen = frozen_graph(model)
    known = {name: row for row, name in enumerate(frozen.index["name"])}
    parts = [known[name] for name in header["parts"]]
    return Store(
        folder=folder,
        name=name,
        model=header["model"],
        weights_hash=header["weights_hash"],
        index=rows_of(frozen.index, parts),
        labels=labels[read].reset_index(drop=True),
        files=list(files["name"][read]),
        damaged=dict(zip(files["name"][~read], files["damaged"][~read])),
        facts=header,
        arrays={key: array for key, array in arrays.items() if key != "stamps"},
        rows=np.flatnonzero(read),
        gain=gain_of(frozen, [parts[place] for place in header["heads"]]) if header["heads"] else None,
        stamps=arrays["stamps"],
    )


def _table(path: Path, digest: str, kinds: list, rows: int) -> pd.DataFrame:
    """A table beside the arrays, as it was written."""
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise KitError(
                f'"{shown(path)}" is not as it was written, so rows could be of other images; {ANEW}.'
            )
        return read_table(content.decode("utf-8", "surrogatepass"), kinds, rows)
    except OSError as error:
        raise KitError(f'"{shown(path)}" cannot be read ({error.strerror}); {ANEW}.') from error
    except (ValueError, csv.Error) as error:
        if isinstance(error, KitError):
            raise
        raise KitError(f'"{shown(path)}" is damaged ({shown(error)}); {ANEW}.') from error


def roots_of(header: dict) -> list[str | None]:
    """For each row of the arrays the folder that its file's name lies below; None where there is no file."""
    counts, count = [rows for _, rows in header["roots"]], header["arrays"]["embedding"][0]
    known = all(root is None or isinstance(root, str) for root, _ in header["roots"])
    if not known or not all(isinstance(rows, int) and 0 <= rows <= count for rows in counts):
        raise ValueError("its folders of pictures are none")
    if sum(counts) != count:
        raise ValueError(f"its folders hold {sum(counts)} of {count} rows")
    return [root for root, rows in header["roots"] for _ in range(rows)]


class _Pictures:
    """The files of a store's images, where its header says that they lie."""

    def __init__(self, store: Store):
        roots = roots_of(store.facts)
        self.paths = {int(row): Path(roots[row], n) for row, n in zip(store.rows, store.files) if roots[row]}

    def content(self, row: int) -> bytes:
        return file_sha256(self.paths[row])

    def stamp(self, row: int) -> bytes | None:
        return file_stamp(self.paths[row]) if row in self.paths else None


def check_pictures(store: Store, images: ImageSet) -> None:
    """Raise where a file that is there is another picture than the one in the store.

    Args:
        store: whose rows are compared.
        images: knows `stamp` and `content` of a row's file.
    """
    sha256, stamps = store.arrays["sha256"], store.stamps
    seen = ((int(row), sha256[row].tobytes(), stamps[row].tobytes()) for row in store.rows)
    odd = [
        row for row in replaced(images, seen) if images.content(row) != NO_BYTES
    ]  # one that is gone is no other
    if odd:
        name = store.files[int(np.searchsorted(store.rows, odd[0]))]
        more = f" and {len(odd) - 1:,} more pictures" if len(odd) > 1 else ""
        raise KitError(
            f'"{shown(name)}"{more} changed since the store "{shown(store.folder)}" was made of them: a file '
            f"of the same name holds another picture (sha256 differs); put the old ones back, or {ANEW}."
        )
