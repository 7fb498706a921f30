"""The papers' data sets in the layouts that people have, and labels that travel with the images."""
# ruff: noqa: E501 - messages stand as they are read

import csv

import numpy as np
import pytest
import torch
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from PIL import Image
from scipy.io import savemat
from timm.data import ImageNetInfo
from torch.nn.functional import normalize

import kit
from kit.data import (
    WATERBIRDS_SIZES,
    class_templates,
    class_vectors,
    imagenet_classes,
    read_imagenet,
    read_waterbirds,
    readable,
)
from kit.errors import KitError
from kit.measures import accuracy
from kit.parts import collect
from tests.unit.tiny_models import write_folder

CLASSES = (0, 65, 281, 999)  # of ImageNet; a hue each
IMAGES = 6  # of each class
HEADER = "img_id,img_filename,y,split,place,place_filename"


def picture(hue: int, number: int) -> Image.Image:
    """A plain picture of a hue (0-255), unlike any other by its noise."""
    noise = np.random.default_rng([hue, number]).integers(0, 40, (20, 20, 3), dtype=np.uint8)
    plain = Image.new("HSV", (20, 20), (hue, 220, 200)).convert("RGB")
    return Image.fromarray(np.asarray(plain) // 2 + noise + 40)


def write(path, hue: int, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(hue, number).save(path, "PNG")  # the content counts, not the suffix


def wnid(y: int) -> str:
    return imagenet_classes().wnid[y]


@pytest.fixture
def class_folders(tmp_path):
    """`val` with four class folders, hue by class."""
    for place, y in enumerate(CLASSES):
        for number in range(IMAGES):
            write(
                tmp_path / "val" / wnid(y) / f"ILSVRC2012_val_{100 * number + place:08d}.JPEG",
                60 * place,
                number,
            )
    return tmp_path


@pytest.fixture
def flat(tmp_path):
    """A flat validation folder whose file numbers are in no order of class, without its table."""
    order = np.random.default_rng(0).permutation(len(CLASSES) * IMAGES)
    truth = {int(n) + 1: place % len(CLASSES) for place, n in enumerate(order)}
    for number, place in truth.items():
        write(tmp_path / "val" / f"ILSVRC2012_val_{number:08d}.JPEG", 60 * place, number)
    return tmp_path, {number: CLASSES[place] for number, place in truth.items()}


def write_solution(path, truth: dict[int, int]) -> None:
    lines = [f"ILSVRC2012_val_{n:08d},{wnid(y)} 1 2 3 4 {wnid(y)} 5 6 7 8 " for n, y in truth.items()]
    path.write_text("\n".join(["ImageId,PredictionString", *lines]) + "\n")


def write_devkit(folder, truth: dict[int, int]) -> np.ndarray:
    """The two files of the devkit, whose numbers are in an order of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(1).permutation(1000)  # place in the devkit -> usual class
    kinds = [("ILSVRC2012_ID", "i4"), ("WNID", "U9"), ("words", "U40"), ("num_children", "i4")]
    rows = [(i + 1, wnid(y), "words", 0) for i, y in enumerate(order)] + [(1001, "n00001740", "entity", 9)]
    savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=kinds)})
    number = np.argsort(order) + 1
    lines = [number[truth.get(image, 7)] for image in range(1, 50_001)]
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(map(str, lines)) + "\n")
    return number


def birds(folder, rows: list[tuple], header: str = HEADER) -> None:
    """A folder in the layout of Waterbirds; rows of (file, y, split, place)."""
    lines = [
        f"{i},{file},{y},{split},{place},/b/bamboo_forest/{i:08d}.jpg"
        for i, (file, y, split, place) in enumerate(rows)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.csv").write_text("\n".join([header, *lines]) + "\n")


def write_birds(folder, counts: dict[tuple[int, int], int], split: int = 2) -> list[tuple]:
    """Waterbirds with so many images of each (y, place); their hue tells y."""
    rows = []
    for (y, place), count in counts.items():
        for number in range(count):
            rows.append((f"{y + 87:03d}.Hooded_Bird/Hooded_Bird_{y}{place}{number:04d}.jpg", y, split, place))
            write(folder / rows[-1][0], 120 * y, number)
    birds(folder, rows)
    return rows


def test_class_names_are_in_the_order_of_the_sorted_ids():
    table = imagenet_classes()
    assert len(table) == 1000 and list(table.wnid) == sorted(table.wnid)
    wanted = {0: "tench", 65: "sea snake", 281: "tabby cat", 717: "pickup truck", 999: "toilet paper"}
    assert {y: table.class_name[y] for y in wanted} == wanted

    info = ImageNetInfo()
    said = [info.index_to_description(y).lower() for y in range(1000)]

    def agree(names) -> float:  # a word of open_clip's name in timm's description of the id
        return np.mean([any(w in text for w in name.lower().split()) for name, text in zip(names, said)])

    assert agree(IMAGENET_CLASSNAMES) > 0.9
    assert agree(np.roll(IMAGENET_CLASSNAMES, 1)) < 0.5  # names that are off by one


@pytest.mark.parametrize("inner", ["val", "ILSVRC/Data/CLS-LOC/val", "ILSVRC2012_img_val", "."])
def test_class_folders_are_found_where_people_have_them(inner, tmp_path):
    write(tmp_path / inner / wnid(65) / "a.png", 0, 0)
    write(tmp_path / inner / wnid(3) / "b.jpg", 0, 1)
    (tmp_path / inner / ".cache").mkdir()
    (tmp_path / inner / "notes").mkdir()
    images = read_imagenet(tmp_path)
    assert images.names == [f"{wnid(3)}/b.jpg", f"{wnid(65)}/a.png"] and images[0].size == (20, 20)
    assert images.labels.values.tolist() == [[3, wnid(3), "tiger shark"], [65, wnid(65), "sea snake"]]
    assert images.name == "ImageNet val"
    assert images.notes == ["2 images of 2 classes; published are 50,000 of 1,000."]


def test_training_images_are_read_from_class_folders(tmp_path):
    write(tmp_path / "train" / wnid(7) / f"{wnid(7)}_12.JPEG", 0, 0)
    assert read_imagenet(tmp_path, "train").labels.y.tolist() == [7]
    with pytest.raises(
        KitError, match='is named as an image of ImageNet train, but val was asked for; write split="train"'
    ):
        read_imagenet(tmp_path / "train")


@pytest.mark.parametrize("where", [".", "val"])
def test_a_flat_folder_is_labelled_by_the_table_of_ids(flat, where):
    folder, truth = flat
    write_solution(folder / where / "LOC_val_solution.csv", truth)
    images = read_imagenet(folder)
    assert [int(name[15:23]) for name in images.names] == sorted(truth)
    assert images.labels.y.tolist() == [truth[n] for n in sorted(truth)]


@pytest.mark.parametrize("where", [".", "ILSVRC2012_devkit_t12/data"])
def test_a_flat_folder_is_labelled_by_the_devkit_whose_order_is_not_the_usual_one(flat, where):
    folder, truth = flat
    number = write_devkit(folder / where, truth)
    images = read_imagenet(folder)
    assert images.labels.y.tolist() == [truth[n] for n in sorted(truth)]
    assert images.labels.y.tolist() != [int(number[truth[n]]) - 1 for n in sorted(truth)]


def test_d10_labels_stay_right_in_a_subset_and_in_another_order(class_folders):
    images = read_imagenet(class_folders)
    order = np.random.default_rng(2).permutation(len(images))[:15]
    for some in (order, order.tolist(), slice(3, 17, 2), np.arange(len(images)) % 3 == 1):
        taken = images.take(some)
        assert taken.labels.wnid.tolist() == [name.split("/")[0] for name in taken.names]
        assert taken.labels.y.tolist() == [list(imagenet_classes().wnid).index(w) for w in taken.labels.wnid]
        assert len(taken) < len(images) and taken.digest != images.digest
        assert taken.notes[-1] == f"{len(taken)} of these 24 were taken."
    assert images.take(order).labels.y.tolist() != [i // 50 for i in range(15)]


def test_other_labels_are_another_set(flat):
    folder, truth = flat
    write_solution(folder / "LOC_val_solution.csv", truth)
    first = read_imagenet(folder).digest
    assert read_imagenet(folder).digest == first
    write_solution(folder / "LOC_val_solution.csv", truth | {1: 3})
    assert read_imagenet(folder).digest != first


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return kit.load(str(write_folder(tmp_path_factory.mktemp("tiny") / "tiny")))


def hue_directions(model, hues) -> torch.Tensor:
    """A direction for each hue, from pictures that are in no set."""
    pictures = [model.preprocess([picture(hue, n) for n in range(90, 98)]) for hue in hues]
    return normalize(torch.stack([model.encode_image(pixels).mean(0) for pixels in pictures]), dim=1)


@pytest.mark.parametrize("layout", ["class_folders", "flat"])
def test_planted_labels_reach_the_accuracy_of_a_store(tiny, layout, request, tmp_path):
    folder = request.getfixturevalue(layout)
    if layout == "flat":
        folder, truth = folder
        write_solution(folder / "LOC_val_solution.csv", truth)
    images = read_imagenet(folder)
    (images.root / images.names[5]).write_bytes(b"\xff\xd8 no picture")
    images = images.take(np.random.default_rng(3).permutation(len(images)))
    store = collect(tiny, images, "store", images.name, batch=4, path=tmp_path / "store")
    assert len(store) == 23 and len(store.damaged) == 1 and store.name == "ImageNet val"
    names = list(imagenet_classes().class_name)
    assert store.labels.class_name.tolist() == [names[y] for y in store.labels.y]
    scores = store.cosines(hue_directions(tiny, [60 * place for place in range(4)]))
    column = {y: place for place, y in enumerate(CLASSES)}

    def right(labels) -> float:
        return accuracy(scores, torch.tensor([column.get(int(y), 0) for y in labels]))

    assert right(store.labels.y) > 0.9
    shuffled = [right(np.random.default_rng(seed).permutation(store.labels.y)) for seed in range(20)]
    assert max(shuffled) < 0.7 and np.mean(shuffled) < 0.4
    assert right([i // 50 for i in range(len(store))]) < 0.5  # what the released code takes for labels


def test_waterbirds_are_read_by_split_with_both_labels(tmp_path):
    root = tmp_path / "waterbird_complete95_forest2water2"
    rows = write_birds(root, {(1, 0): 1, (0, 0): 2, (0, 1): 1, (1, 1): 2})
    birds(root, [(f, y, i % 3, p) for i, (f, y, _, p) in enumerate(rows)])
    found = {split: read_waterbirds(tmp_path, split) for split in ("train", "val", "test")}
    assert [found[s].names for s in found] == [[rows[i][0], rows[i + 3][0]] for i in range(3)]
    assert found["train"].labels.to_dict("records") == [
        {"y": 1, "class_name": "waterbird", "place": 0, "group": "waterbird on land", "species": "Hooded Bird", "scene": "bamboo forest"},
        {"y": 0, "class_name": "landbird", "place": 1, "group": "landbird on water", "species": "Hooded Bird", "scene": "bamboo forest"},
    ]  # fmt: skip
    assert read_waterbirds(root).names == found["test"].names and found["val"].name == "Waterbirds val"


def test_sizes_of_the_groups_are_compared_with_the_published_ones(tmp_path, monkeypatch):
    assert [sum(WATERBIRDS_SIZES[split].values()) for split in ("train", "val", "test")] == [4795, 1199, 5794]
    assert list(WATERBIRDS_SIZES["train"].values()) == [3498, 184, 56, 1057]
    write_birds(tmp_path, {(0, 0): 3, (0, 1): 2, (1, 0): 1, (1, 1): 1})
    assert read_waterbirds(tmp_path).notes == [
        "Not the published set, whose groups are 2,255, 2,255, 642, 642: here are 3 landbird on land, "
        "2 landbird on water, 1 waterbird on land, 1 waterbird on water."
    ]
    monkeypatch.setitem(WATERBIRDS_SIZES, "test", dict(zip(WATERBIRDS_SIZES["test"], (3, 2, 1, 1))))
    assert (
        read_waterbirds(tmp_path)
        .notes[0]
        .startswith("All 7 images, groups of the published sizes: 3 landbird")
    )


def test_groups_travel_with_the_parts_of_waterbirds(tiny, tmp_path):
    write_birds(tmp_path / "set", {(0, 0): 5, (0, 1): 4, (1, 0): 4, (1, 1): 5})
    images = read_waterbirds(tmp_path / "set")
    store = collect(tiny, images, "store", images.name, batch=5, path=tmp_path / "store")
    assert store.labels.equals(images.labels)
    scores = store.cosines(hue_directions(tiny, [0, 120]))
    assert accuracy(scores, torch.tensor(store.labels.y)) > 0.9
    assert (
        abs(accuracy(scores, torch.tensor(store.labels.place)) - 0.5) < 0.2
    )  # planted: the hue tells nothing of it


def test_class_names_are_readable_in_prompts():
    assert readable("great_white_shark, Carcharodon") == "great white shark"
    assert readable("n01.x") == "n01.x" and readable(" a  b ") == "a b"
    templates = class_templates()
    assert len(templates) == len(set(templates)) == 80 and all(t.count("{}") == 1 for t in templates)


def test_class_vectors_are_the_means_of_unit_prompts(stickers):
    names = ["polar_bear", "dog"]
    found = class_vectors(stickers, names)
    slow = torch.stack(
        [
            torch.stack([stickers.encode_text(t.format(name))[0] for t in class_templates()]).mean(0)
            for name in ("polar bear", "dog")
        ]
    )
    assert torch.allclose(found, normalize(slow, dim=1), atol=1e-6)
    assert (found.norm(dim=1) - 1).abs().max() < 1e-6  # D13: float32, unit
    assert class_vectors(stickers, ["dog"], ["a {}"]).equal(stickers.encode_text(["dog"], ["a {}"]))
    with pytest.raises(KitError, match="no class was named"):
        class_vectors(stickers, [])
    with pytest.raises(KitError, match="class 1 has no name: '_, x'"):
        class_vectors(stickers, ["dog", "_, x"])


def bad_imagenet(name):
    """A folder of ImageNet that cannot be read, for one reason."""

    def make(folder):
        def loose(number=1):
            write(folder / "val" / f"ILSVRC2012_val_{number:08d}.JPEG", 0, 0)

        match name:
            case "no table":
                loose()
            case "no meta.mat":
                loose()
                write_devkit(folder, {})
                (folder / "meta.mat").unlink()
            case "bad meta.mat":
                loose()
                write_devkit(folder, {})
                (folder / "meta.mat").write_bytes(b"MATLAB 5.0 not at all" * 20)
            case "meta.mat of others":
                loose()
                write_devkit(folder, {})
                savemat(
                    folder / "meta.mat",
                    {
                        "synsets": np.array(
                            [(1, "n01440764")], dtype=[("ILSVRC2012_ID", "i4"), ("WNID", "U9")]
                        )
                    },
                )
            case "short truth":
                loose()
                write_devkit(folder, {})
                (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n")
            case "number 1001":
                loose()
                write_devkit(folder, {})
                (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n1001\n")
            case "unlisted image":
                loose(9)
                write_solution(folder / "LOC_val_solution.csv", {1: 0})
            case "strange image":
                loose()
                write(folder / "val" / "cat.jpg", 0, 0)
            case "unknown id":
                loose()
                (folder / "LOC_val_solution.csv").write_text(
                    "ImageId,PredictionString\nILSVRC2012_val_00000001,n99 1 2 3 4\n"
                )
            case "other columns":
                loose()
                (folder / "LOC_val_solution.csv").write_text("image,class\na,b\n")
            case "not UTF-8":
                loose()
                (folder / "LOC_val_solution.csv").write_bytes(b"ImageId,PredictionString\n\xff\xfe")
            case "class of others":
                write(folder / "val" / "n01440765" / "a.jpg", 0, 0)
            case "folder of others":
                write(folder / "val" / wnid(0) / "a.jpg", 0, 0)
                write(folder / "val" / "mine" / "b.jpg", 0, 0)
            case "loose and folders":
                write(folder / "val" / wnid(0) / "a.jpg", 0, 0)
                loose()
            case "loose training":
                write(folder / "train" / "a.jpg", 0, 0)

    return make


BAD_IMAGENET = {
    "no table": '"{f}/val" is the flat validation folder of ImageNet, but nothing tells the classes of its images; put LOC_val_solution.csv, or ILSVRC2012_validation_ground_truth.txt and meta.mat of the devkit, into "{f}", or sort the images into class folders.',
    "no meta.mat": '"{f}/ILSVRC2012_validation_ground_truth.txt" numbers the classes in an order of its own, which meta.mat of the devkit tells, and there is none; put it beside the file.',
    "bad meta.mat": '"{f}/meta.mat" cannot be read as the table of the devkit (...); take meta.mat of ILSVRC2012_devkit_t12.',
    "meta.mat of others": '"{f}/meta.mat" ...',
    "short truth": '"{f}/ILSVRC2012_validation_ground_truth.txt" holds 2 entries; the published file has 50,000 numbers from 1 to 1000, one for each image: take that.',
    "number 1001": '"{f}/ILSVRC2012_validation_ground_truth.txt" holds 2 entries, of which number 2 is "1001"; the published file has 50,000 numbers from 1 to 1000, one for each image: take that.',
    "unlisted image": 'the table of the 1 validation labels has none for "ILSVRC2012_val_00000009.JPEG"; take the published table, or move the image away.',
    "strange image": '"cat.jpg" in "{f}/val" is not named as ImageNet\'s validation images are (ILSVRC2012_val_00000001.JPEG), and has no WordNet id in its name, so that its class is not known; move it away, or read the folder with kit.data.read_folder.',
    "unknown id": 'line 2 of "{f}/LOC_val_solution.csv" says "ILSVRC2012_val_00000001" is "n99"; each line should give a new image such as ILSVRC2012_val_00000001 and its WordNet id; take the published file.',
    "other columns": '"{f}/LOC_val_solution.csv" lacks the column ImageId; its first line is "image,class" and should name ImageId, PredictionString.',
    "not UTF-8": '"{f}/LOC_val_solution.csv" is not a text in UTF-8; take the published file.',
    "class of others": '"{f}/val/n01440765" holds images and is no class of ImageNet; class folders are named by one of its 1,000 WordNet ids, such as n01440764: move it away. Nearest: n01440764.',
    "folder of others": '"{f}/val/mine" holds images and is no class of ImageNet; class folders are named by one of its 1,000 WordNet ids, such as n01440764: move it away.',
    "loose and folders": '"{f}/val" holds class folders and loose images, such as "ILSVRC2012_val_00000001.JPEG", whose class nothing tells; move these away.',
    "nothing": 'no image of ImageNet val below "{f}"; looked for class folders such as n01440764 and for ILSVRC2012_val_00000001.JPEG there, in val and in ILSVRC/Data/CLS-LOC/val.',
}


def says(error: KitError, wanted: str, folder) -> None:
    """The message is the wanted one; "..." stands for anything."""
    message = str(error)
    for piece in wanted.replace("{f}", folder.as_posix()).split("..."):
        assert piece in message, message
        message = message[message.index(piece) + len(piece) :]
    assert wanted.endswith("...") or not message, message


@pytest.mark.parametrize("what", BAD_IMAGENET)
def test_a_folder_that_is_not_imagenet_is_refused_in_a_sentence(what, tmp_path):
    bad_imagenet(what)(tmp_path)
    with pytest.raises(KitError) as caught:
        read_imagenet(tmp_path)
    says(caught.value, BAD_IMAGENET[what], tmp_path)


def test_splits_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(
        KitError, match=r'ImageNet has no split "vla" with labels; there are train and val[.] Nearest: val[.]'
    ):
        read_imagenet(tmp_path, "vla")
    with pytest.raises(
        KitError, match=r'Waterbirds has no split "tset"; there are train, val, test[.] Nearest: test[.]'
    ):
        read_waterbirds(tmp_path, "tset")
    with pytest.raises(KitError, match=r'there is no folder ".*gone"'):
        read_waterbirds(tmp_path / "gone")
    bad_imagenet("loose training")(tmp_path)
    with pytest.raises(
        KitError,
        match=r'holds loose images, such as "a.jpg"; of ImageNet train only class folders, or WordNet ids',
    ):
        read_imagenet(tmp_path, "train")


BAD_BIRDS = {
    "no table": (None, 'there is no metadata.csv in "{f}"; name the folder that the published archive unpacks to, waterbird_complete95_forest2water2.'),
    "empty": ("", '"{f}/metadata.csv" lacks the column img_filename; its first line is "" and should name img_filename, y, split, place, place_filename.'),
    "no place": ("img_filename,y,split\na,0,2", '"{f}/metadata.csv" lacks the column place; its first line is "img_filename,y,split" and should name ...'),
    "short line": (f"{HEADER}\n1,a/a.jpg,0,2", 'line 2 of "{f}/metadata.csv" has 4 fields, the first line 6; take the published file.'),
    "long line": (f"{HEADER}\n1,a/a.jpg,0,2,0,b,c,d", 'line 2 of "{f}/metadata.csv" has 8 fields, the first line 6; take the published file.'),
    "open quote": (f'{HEADER}\n1,"a/a.jpg,0,2,0,b', '"{f}/metadata.csv" is not a table in CSV (...); take the published file.'),
    "third bird": (f"{HEADER}\n1,a/a.jpg,2,2,0,b", 'line 2 of metadata.csv has y "2"; it should be one of 0, 1: take the published file.'),
    "place in words": (f"{HEADER}\n1,a/a.jpg,1,2,water,b", 'line 2 of metadata.csv has place "water"; it should be one of 0, 1: take the published file.'),
    "split 01": (f"{HEADER}\n1,a/a.jpg,1,01,0,b", 'line 2 of metadata.csv has split "01"; it should be one of 0, 1, 2: take the published file.'),
    "no such split": (f"{HEADER}\n1,a/a.jpg,1,0,0,b", '"{f}/metadata.csv" has no image of the split "test"; take the published file.'),
    "missing file": (f"{HEADER}\n1,a/a.jpg,1,2,0,b\n1,a/b.jpg,1,2,0,b", '1 of 2 images that "{f}/metadata.csv" names are not there, such as "a/b.jpg"; unpack the archive again, or take their lines out of the table.'),
    "twice": (f"{HEADER}\n1,a/a.jpg,1,2,0,b\n1,a/a.jpg,0,2,0,b", '"{f}/metadata.csv" names "a/a.jpg" twice; take the published table.'),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_BIRDS)
def test_a_table_that_is_not_that_of_waterbirds_is_refused_in_a_sentence(what, tmp_path):
    content, message = BAD_BIRDS[what]
    write(tmp_path / "a" / "a.jpg", 0, 0)
    if content is not None:
        (tmp_path / "metadata.csv").write_text(content)
    with pytest.raises(KitError) as caught:
        read_waterbirds(tmp_path)
    says(caught.value, message, tmp_path)


@pytest.mark.parametrize(
    "path", ["../out.jpg", "a/../../out.jpg", "{f}/out.jpg", "C:/out.jpg", r"..\out.jpg", r"\\host\out.jpg", "", ".", "x\0.jpg"]
)  # fmt: skip
def test_a_path_in_a_table_that_leaves_its_folder_is_refused(path, tmp_path):
    write(tmp_path / "out.jpg", 0, 0)
    write(tmp_path / "set" / "a" / "a.jpg", 0, 0)
    path = path.replace("{f}", tmp_path.as_posix())
    birds(tmp_path / "set", [("a/a.jpg", 0, 2, 0), (path, 0, 2, 0)])
    with pytest.raises(
        KitError, match=r'line 3 of ".*metadata.csv" names ".*", which is not a path below its folder; take'
    ):
        read_waterbirds(tmp_path / "set")


def test_a_folder_reached_by_a_link_is_read(tmp_path):
    write_birds(tmp_path / "real", {(0, 0): 1})
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    assert len(read_waterbirds(tmp_path / "linked")) == 1


def test_the_table_that_tests_write_is_a_table(tmp_path):
    write_birds(tmp_path, {(0, 0): 1})
    with (tmp_path / "metadata.csv").open() as file:
        assert next(csv.DictReader(file))["place_filename"] == "/b/bamboo_forest/00000000.jpg"
