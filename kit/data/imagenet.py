"""ImageNet, read from folders as people have them. Nothing is fetched, nothing is opened.

Labels come from the folder or the table that belongs to each file, never from the place of an image in a
list, so that a subset or another order keeps them right.
"""

import re
from pathlib import Path

import pandas as pd

from kit.data.classes import imagenet_classes
from kit.data.images import checked_folder
from kit.data.listing import Listing, list_images
from kit.data.sets import PaperSet
from kit.data.tables import file_text, short, table_rows
from kit.errors import KitError, nearest, shown

WNID = re.compile(r"n\d{8}")
SYNSET_IN_NAME = re.compile(r"(?:^|_)(n\d{8})(?=[_.])")
TRAINING_FILE = re.compile(r"n\d{8}_\d+\.jpe?g", re.IGNORECASE)
VALIDATION_FILE = re.compile(r"ILSVRC2012_val_(\d{8})(?:_n\d{8})?\.jpe?g", re.IGNORECASE)
IMAGENET_SPLITS = ("train", "val")
IMAGENET_SIZES = {"train": 1_281_167, "val": 50_000}
SOLUTION, TRUTH, META = "LOC_val_solution.csv", "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
TABLE_PLACES = ("", "ILSVRC2012_devkit_t12/data", "ILSVRC2012_devkit_t12", "devkit/data", "data")


def read_imagenet(folder, split: str = "val") -> PaperSet:
    """ImageNet (ILSVRC2012, 1,000 classes), or any part of it that lies in a folder.

    Two layouts are known, in the folder itself or in its `val`, `ILSVRC/Data/CLS-LOC/val` or
    `ILSVRC2012_img_val` (`train` alike): class folders named by WordNet ids (`n01440764`), and one flat
    folder. Where files of a flat folder are named by their ids (`ILSVRC2012_val_00000001_n01751748.JPEG`,
    `n01440764_10026.JPEG`, `n01440764.jpg`), these tell the class. One of validation images without them
    (`ILSVRC2012_val_00000001.JPEG`) needs one of two tables in the folder, beside the images, or in the
    devkit (`ILSVRC2012_devkit_t12/data`):

    - `LOC_val_solution.csv`, which names the WordNet id of each image, or
    - `ILSVRC2012_validation_ground_truth.txt` with `meta.mat`: line i is the class of image i by the devkit's
      own number, 1-1000, whose order is not the usual one (sea snake is 490 there and 65 here);
      `meta.mat` says which id a number stands for.

    Args:
        folder: where it lies.
        split: `"val"` or `"train"`.

    Returns:
        A `PaperSet` with the labels `y` (0-999, in the order of the sorted WordNet ids), `wnid` and
        `class_name`.

    Raises:
        KitError: no such folder or split, none of the layouts, a class that ImageNet does not have, a flat
            folder without its table, a table that is not as published, an image that it does not name.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> folder = Path(tempfile.mkdtemp()) / "n02123045"
        >>> folder.mkdir()
        >>> Image.new("RGB", (4, 4)).save(folder / "one.png")
        >>> read_imagenet(folder.parent).labels.values.tolist()
        [[281, 'n02123045', 'tabby cat']]
    """
    folder = checked_folder(folder)
    if split not in IMAGENET_SPLITS:
        raise KitError(
            f'ImageNet has no split "{split}" with labels; there are {" and ".join(IMAGENET_SPLITS)}.'
            f"{nearest(split, IMAGENET_SPLITS)}"
        )
    root, wnids, listing = _files(folder, split)
    classes = imagenet_classes()
    labels = pd.DataFrame({"wnid": list(wnids.values())})
    labels.insert(0, "y", pd.Index(classes.wnid).get_indexer(labels.wnid))
    labels["class_name"] = classes.class_name.to_numpy()[labels.y]
    note = f"{len(wnids):,} images of {labels.y.nunique():,} classes; published are "
    note += f"{IMAGENET_SIZES[split]:,} of {len(classes):,}."
    return PaperSet(
        root, list(wnids), labels, name=f"ImageNet {split}", notes=[note, *listing.notes],
        passed_over=dict(listing.passed_over),
    )  # fmt: skip


def _files(folder: Path, split: str) -> tuple[Path, dict[str, str], Listing]:
    """The folder of a split, for each image in it the WordNet id of its class, and how they were found."""
    places = [folder / split, folder / "ILSVRC/Data/CLS-LOC" / split, folder / f"ILSVRC2012_img_{split}"]
    root = next((place for place in places if place.is_dir()), folder)
    listing = list_images(root, deepest=1)
    wnids = _class_folders(root, [name for name in listing.names if "/" in name])
    loose = [name for name in listing.names if "/" not in name]
    if wnids and loose:
        raise KitError(
            f'"{root}" holds class folders and loose images, such as "{loose[0]}", whose class nothing '
            "tells; move these away."
        )
    if not wnids and loose:
        wnids = _flat(folder, root, split, loose)
    if not wnids:
        raise KitError(
            f'no image of ImageNet {split} below "{folder}"; looked for class folders such as n01440764'
            f"{' and for ILSVRC2012_val_00000001.JPEG' if split == 'val' else ''} there, "
            f"in {split} and in ILSVRC/Data/CLS-LOC/{split}."
        )
    other = {"val": TRAINING_FILE, "train": VALIDATION_FILE}[split]
    if odd := next((name for name in wnids if other.fullmatch(name.rpartition("/")[2])), None):
        named = "train" if split == "val" else "val"
        raise KitError(
            f'"{odd}" in "{root}" is named as an image of ImageNet {named}, but {split} was asked for; '
            f'write split="{named}", or name the folder of {split}.'
        )
    return root, wnids, listing


def _class_folders(root: Path, names: list[str]) -> dict[str, str]:
    """File in a class folder -> WordNet id, the name of the folder."""
    known = set(imagenet_classes().wnid)
    folders = {name: name.partition("/")[0] for name in names}
    wnids = {name: place for name, place in folders.items() if place in known}
    strange = sorted(set(folders.values()) - known)
    wrong = [place for place in strange if wnids or WNID.fullmatch(place)]
    if wrong:
        raise KitError(
            f'"{shown(root / wrong[0])}" holds images and is no class of ImageNet; class folders are named '
            "by one of its 1,000 WordNet ids, such as n01440764: move it away."
            f"{nearest(shown(wrong[0]), known, 1)}"
        )
    return wnids


def _flat(folder: Path, root: Path, split: str, names: list[str]) -> dict[str, str]:
    """File -> WordNet id, by the id in its name, or by the number there and the table of the data set."""
    told = [SYNSET_IN_NAME.search(name) for name in names]
    if not any(told):
        return _flat_validation(folder, root, split, names)
    if None in told:
        raise KitError(
            f'"{shown(root)}" holds images that are named by their WordNet id, and '
            f'"{shown(names[told.index(None)])}", whose class nothing tells; move it away.'
        )
    known, wnids = set(imagenet_classes().wnid), {name: match[1] for name, match in zip(names, told)}
    if odd := next((name for name, wnid in wnids.items() if wnid not in known), None):
        raise KitError(
            f'"{shown(odd)}" in "{shown(root)}" is named by a WordNet id that is none of the 1,000 of '
            f"ImageNet; move it away.{nearest(wnids[odd], known, 1)}"
        )
    return wnids


def _flat_validation(folder: Path, root: Path, split: str, names: list[str]) -> dict[str, str]:
    """File -> WordNet id, by the number in its name and the table of the data set."""
    if split != "val":
        raise KitError(
            f'"{shown(root)}" holds loose images, such as "{shown(names[0])}"; of ImageNet {split} only '
            "class folders, or WordNet ids in the names, tell the class: keep the folders of the published "
            "archives."
        )
    numbers = [VALIDATION_FILE.fullmatch(name) for name in names]
    if None in numbers:
        raise KitError(
            f'"{shown(names[numbers.index(None)])}" in "{shown(root)}" is not named as ImageNet\'s '
            "validation images are (ILSVRC2012_val_00000001.JPEG), and has no WordNet id in its name, so "
            "that its class is not known; move it away, or read the folder with kit.data.read_folder."
        )
    table = _validation_table(folder, root)
    wnids = {}
    for name, number in zip(names, (int(match[1]) for match in numbers)):
        if number not in table:
            raise KitError(
                f'the table of the {len(table):,} validation labels has none for "{name}"; take the '
                "published table, or move the image away."
            )
        wnids[name] = table[number]
    return wnids


def _validation_table(folder: Path, root: Path) -> dict[int, str]:
    """Number of a validation image -> WordNet id, from the table that is there."""
    places = [root, *(folder / place for place in TABLE_PLACES)]

    def lying(name: str) -> Path | None:
        return next((place / name for place in places if (place / name).is_file()), None)

    if (solution := lying(SOLUTION)) is not None:
        return _solution(solution)
    truth, meta = lying(TRUTH), lying(META)
    if truth is None:
        raise KitError(
            f'"{root}" is the flat validation folder of ImageNet, but nothing tells the classes of its '
            f'images; put {SOLUTION}, or {TRUTH} and {META} of the devkit, into "{folder}", or sort the '
            "images into class folders."
        )
    if meta is None:
        raise KitError(
            f'"{truth}" numbers the classes in an order of its own, which {META} of the devkit tells, and '
            "there is none; put it beside the file."
        )
    return _ground_truth(truth, _devkit_ids(meta))


def _solution(path: Path) -> dict[int, str]:
    """The table of LOC_val_solution.csv; the first id of a line is its class."""
    known, table = set(imagenet_classes().wnid), {}
    for line, row in table_rows(path, ("ImageId", "PredictionString")):
        match = VALIDATION_FILE.fullmatch(f"{row['ImageId']}.JPEG")
        wnid = row["PredictionString"].partition(" ")[0]
        if match is None or wnid not in known or int(match[1]) in table:
            raise KitError(
                f'line {line} of "{path}" says "{short(row["ImageId"])}" is "{short(wnid)}"; each line '
                "should give a new image such as ILSVRC2012_val_00000001 and its WordNet id; take the "
                "published file."
            )
        table[int(match[1])] = wnid
    return table


def _ground_truth(path: Path, ids: dict[int, str]) -> dict[int, str]:
    """The table of ILSVRC2012_validation_ground_truth.txt; line i is image i."""
    numbers = file_text(path).split()
    wrong = next((i for i, n in enumerate(numbers) if not (n.isdecimal() and int(n) in ids)), None)
    if len(numbers) != IMAGENET_SIZES["val"] or wrong is not None:
        what = "" if wrong is None else f', of which number {wrong + 1} is "{short(numbers[wrong])}"'
        raise KitError(
            f'"{path}" holds {len(numbers):,} entries{what}; the published file has '
            f"{IMAGENET_SIZES['val']:,} numbers from 1 to 1000, one for each image: take that."
        )
    return {place: ids[int(number)] for place, number in enumerate(numbers, 1)}


def _devkit_ids(path: Path) -> dict[int, str]:
    """Number of a class in the devkit, 1-1000 -> WordNet id."""
    from scipy.io import loadmat  # takes a while

    try:
        synsets = loadmat(path, variable_names=["synsets"], squeeze_me=True)["synsets"]
        pairs = zip(synsets["ILSVRC2012_ID"].tolist(), synsets["WNID"].tolist())
        ids = {int(number): str(wnid) for number, wnid in pairs if int(number) <= 1000}
    except Exception as error:  # a file in no format that it knows ends in any of a dozen
        raise KitError(
            f'"{path}" cannot be read as the table of the devkit ({type(error).__name__}); take {META} of '
            "ILSVRC2012_devkit_t12."
        ) from error
    if sorted(ids) != list(range(1, 1001)) or set(ids.values()) != set(imagenet_classes().wnid):
        raise KitError(
            f'"{path}" tells {len(ids):,} classes, which are not the 1,000 of ILSVRC2012; take {META} of '
            "ILSVRC2012_devkit_t12."
        )
    return ids
