"""Waterbirds, read from the folder that its archive unpacks to. Nothing is fetched, nothing is opened."""

from pathlib import Path

import pandas as pd

from kit.data.classes import readable
from kit.data.images import checked_folder
from kit.data.listing import Listing
from kit.data.sets import PaperSet
from kit.data.tables import check_files, inside, linked, short, table_rows
from kit.errors import KitError, nearest

WATERBIRDS_SPLITS = ("train", "val", "test")  # in metadata.csv 0, 1, 2
WATERBIRDS_COLUMNS = ("img_filename", "y", "split", "place", "place_filename")
WATERBIRDS_FOLDERS = ("", "waterbird_complete95_forest2water2", "waterbirds_v1.0")
BIRDS, PLACES = ("landbird", "waterbird"), ("land", "water")  # y, place
GROUPS = tuple(f"{bird} on {place}" for bird in BIRDS for place in PLACES)
WATERBIRDS_SIZES = {
    "train": dict(zip(GROUPS, (3498, 184, 56, 1057))),
    "val": dict(zip(GROUPS, (467, 466, 133, 133))),
    "test": dict(zip(GROUPS, (2255, 2255, 642, 642))),
}


def read_waterbirds(folder, split: str = "test") -> PaperSet:
    """Waterbirds: birds cut out and pasted on land or water, with labels of both.

    The folder is the one with `metadata.csv` (columns `img_filename, y, split, place, place_filename`), or
    the one above it. `WATERBIRDS_SIZES` has the published size of each group; those of the training split,
    3498, 184, 56 and 1057, are also the weights of the average that other works print beside the worst group.

    Args:
        folder: where it lies.
        split: `"train"`, `"val"` or `"test"`.

    Returns:
        A `PaperSet` in the order of the table, with the labels `y` (0 landbird, 1 waterbird), `class_name`,
        `place` (0 land, 1 water), `group` (such as "landbird on water"), `species`, and `scene`, the kind of
        background. `notes` say whether the sizes of the groups are the published ones.

    Raises:
        KitError: no such folder or split, no table, a table that is not as published, a path in it that
            leaves the folder, a file that it names and that is not there.

    Source:
        Sagawa et al. 2020, arXiv 1911.08731, section 4.
    """
    folder = checked_folder(folder)
    if split not in WATERBIRDS_SPLITS:
        raise KitError(
            f'Waterbirds has no split "{split}"; there are {", ".join(WATERBIRDS_SPLITS)}.'
            f"{nearest(split, WATERBIRDS_SPLITS)}"
        )
    places = (folder / place for place in WATERBIRDS_FOLDERS)
    root = next((place for place in places if (place / "metadata.csv").is_file()), None)
    if root is None:
        raise KitError(
            f'there is no metadata.csv in "{folder}"; name the folder that the published archive unpacks to, '
            "waterbird_complete95_forest2water2."
        )
    table = root / "metadata.csv"
    number = WATERBIRDS_SPLITS.index(split)
    birds = [_bird(*numbered) for numbered in table_rows(table, WATERBIRDS_COLUMNS)]
    birds = [bird for bird in birds if bird["split"] == number]
    if not birds:
        raise KitError(f'"{table}" has no image of the split "{split}"; take the published file.')
    names = [inside(bird["img_filename"], table, bird["line"]) for bird in birds]
    check_files(root, names, table)
    labels = pd.DataFrame(
        {
            "y": [bird["y"] for bird in birds],
            "class_name": [BIRDS[bird["y"]] for bird in birds],
            "place": [bird["place"] for bird in birds],
            "group": [f"{BIRDS[bird['y']]} on {PLACES[bird['place']]}" for bird in birds],
            "species": [readable(name.partition("/")[0]) for name in names],
            "scene": [readable(Path(bird["place_filename"]).parent.name) for bird in birds],
        }
    )
    listing = Listing(names, linked=linked(root, names))
    notes = [_sizes_note(labels, split), *listing.notes]
    return PaperSet(root, names, labels, name=f"Waterbirds {split}", notes=notes)


def _bird(line: int, row: dict) -> dict:
    """A line of the table, with its number, and its numbers as such."""
    for column, allowed in (("y", "01"), ("split", "012"), ("place", "01")):
        if len(row[column]) != 1 or row[column] not in allowed:
            raise KitError(
                f'line {line} of metadata.csv has {column} "{short(row[column])}"; it should be one of '
                f"{', '.join(allowed)}: take the published file."
            )
    return row | {key: int(row[key]) for key in ("y", "split", "place")} | {"line": line}


def _sizes_note(labels: pd.DataFrame, split: str) -> str:
    """Whether the groups have their published sizes."""
    published = WATERBIRDS_SIZES[split]
    counts = labels.group.value_counts()
    here = {group: int(counts.get(group, 0)) for group in GROUPS}
    sizes = ", ".join(f"{size:,} {group}" for group, size in here.items())
    if here == published:
        return f"All {len(labels):,} images, groups of the published sizes: {sizes}."
    wanted = ", ".join(f"{size:,}" for size in published.values())
    return f"Not the published set, whose groups are {wanted}: here are {sizes}."
