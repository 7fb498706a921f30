"""Folders as people have them: what is listed, what is counted, and sets wherever images are taken."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

import kit
from kit.data import as_set, read_folder, read_imagenet, read_waterbirds
from kit.data.listing import SUFFIXES, begins_as_image, list_images
from kit.data.sets import set_name
from kit.errors import KitError
from kit.models.images import FORMATS
from kit.parts import collect
from kit.projections import Bank
from tests.unit.lost import encoded, picture, says, tiny_clip
from tests.unit.test_papers import birds, wnid

pytestmark = pytest.mark.filterwarnings("ignore:.*are left out")
KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", *(["AVIF"] if "AVIF" in FORMATS else []))


def write(path: Path, number: int = 0, kind: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(kind, picture(number)))
    return path


@pytest.fixture
def four(tmp_path):
    """Two folders with two pictures each."""
    for number, name in enumerate(("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")):
        write(tmp_path / "four" / name, number)
    return tmp_path / "four"


# --- what is an image


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_is_listed_and_read_by_content(suffix, tmp_path):
    kind = {".avif": "AVIF", ".avifs": "AVIF", ".webp": "WEBP"}.get(suffix, "JPEG")
    write(tmp_path / f"a{suffix.upper()}", 3, kind)
    images = read_folder(tmp_path)
    assert len(images) == 1 and images[0].size == (24, 20) and not images.passed_over


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["picture", "picture.0001", "a.download", "IMG.jpg.part"])
def test_a_file_without_a_known_suffix_is_told_by_its_content(kind, name, tmp_path):
    write(tmp_path / name, 1, kind)
    assert read_folder(tmp_path).names == [name] and read_folder(tmp_path)[0].size == (24, 20)


@pytest.mark.parametrize(
    "start",
    [
        b"", b"P6", b"P7\n2 2\n255\n", b"P3 of four pages", b"P1\n", b"BM", b"BMW and others",
        b"RIFF\0\0\0\0WAVE", b"GIF88a",
        b"\x89PNG\r\n", b"%!PS-Adobe", b"\x89HDF\r\n\x1a\n", b"8BPS", b"PK\3\4", b"II\x55\0",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", b"\0\0\0\x18ftypmp42\0\0\0\0mp42avc1",
    ],
)  # fmt: skip
def test_what_begins_otherwise_is_no_image(start, tmp_path):
    assert not begins_as_image(start)
    (tmp_path / "odd").write_bytes(start)
    with says("holds no image", "files that are no image, 1"):
        read_folder(tmp_path)


def test_what_is_not_listed_is_counted_by_reason(four, tmp_path):
    for name in ("a.txt", "b.txt", "c.csv", "d.bin", "cat/e.HEIC", "cat/f.heic", "g.NEF", ".hidden.png", "e"):
        (four / name).write_bytes(b"nothing")
    (four / ".hidden").mkdir()
    os.symlink("nowhere.png", four / "h.png")
    os.symlink("i.png", four / "i.png")  # leads to itself
    os.mkfifo(four / "pipe.png")
    os.symlink("cat", four / "again")
    with pytest.warns(UserWarning, match=r"images in a format that is not read \(.heic\), 2.*nowhere, 2"):
        images = read_folder(four)
    assert images.passed_over == {
        "hidden": 2, "files that are no image (.txt)": 2, "files that are no image (.csv)": 1,
        "files that are no image (.bin)": 1, "files that are no image": 1, "links that lead nowhere": 2,
        "images in a format that is not read (.heic)": 2, "images in a format that is not read (.nef)": 1,
        "pipes, sockets and devices": 1, "folders that are listed already": 1,
    }  # fmt: skip
    (note,) = images.notes
    assert "hidden" not in note and note in repr(images) and "others, 3" in note and len(images) == 4


@pytest.mark.parametrize("name, said", [("a.heic", "not read"), ("b.png", "lead nowhere"), ("c", "opened")])
def test_each_reason_for_which_images_may_be_missing_is_warned_of(name, said, four, monkeypatch):
    if name == "b.png":
        os.symlink("nowhere", four / name)
    else:
        (four / name).write_bytes(b"nothing")
    real = open
    shut = lambda path, *how: real(path if str(path) != str(four / "c") else four, *how)  # noqa: E731
    monkeypatch.setattr("kit.data.listing.open", shut, raising=False)
    with pytest.warns(UserWarning, match=said):
        assert len(read_folder(four)) == 4


def test_a_quiet_folder_says_nothing(four, recwarn):
    images = read_folder(four)
    assert images.notes == [] and not recwarn and repr(images) == f'<ImageFolder "{four}": 4 images.>'


# --- links


def test_links_are_followed_out_of_the_folder_and_counted(four, tmp_path):
    write(tmp_path / "far" / "deep" / "9.png", 9)
    os.symlink(tmp_path / "far", four / "a far one")
    os.symlink(tmp_path / "far" / "deep" / "9.png", four / "dog" / "linked.png")
    os.symlink(tmp_path / "four", tmp_path / "far" / "deep" / "back")  # from there back into the folder
    images = read_folder(four)
    assert images.names[0] == "a far one/deep/9.png" and "dog/linked.png" in images.names and len(images) == 6
    assert images.notes[0] == "Reached by links: 2 of 6 images."
    assert images.passed_over == {"folders that are listed already": 1}


def test_a_folder_is_listed_in_its_own_place_whatever_the_links_are_called(four):
    os.symlink("cat", four / "a")
    os.symlink("..", four / "cat" / "0")
    os.symlink(four, four / "dog" / "0")
    images = read_folder(four)
    assert images.names == ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]
    assert images.passed_over == {"folders that are listed already": 3} and images.labels.folder[0] == "cat"


def test_of_two_links_to_a_folder_the_first_is_taken(four, tmp_path):
    write(tmp_path / "far" / "9.png", 9)
    for name in "ab":
        os.symlink(tmp_path / "far", four / name)
    images = read_folder(four)
    assert images.names[0] == "a/9.png" and len(images) == 5
    assert images.passed_over == {"folders that are listed already": 1}


def test_loaders_of_data_sets_follow_the_same_links(tmp_path):
    write(tmp_path / "far" / "1.png", 1)
    (tmp_path / "val").mkdir()
    os.symlink(tmp_path / "far", tmp_path / "val" / wnid(65))
    write(tmp_path / "val" / wnid(3) / "2.png", 2)
    os.symlink(tmp_path / "far" / "1.png", tmp_path / "val" / wnid(3) / "3.png")
    images = read_imagenet(tmp_path)
    assert images.labels.y.tolist() == [3, 3, 65] and images.notes[1] == "Reached by links: 2 of 3 images."
    (tmp_path / "birds" / "a").mkdir(parents=True)
    os.symlink(tmp_path / "far" / "1.png", tmp_path / "birds" / "a" / "1.jpg")
    os.symlink(tmp_path / "far", tmp_path / "birds" / "b")
    write(tmp_path / "birds" / "a" / "2.jpg")
    birds(tmp_path / "birds", [("a/1.jpg", 0, 2, 0), ("a/2.jpg", 0, 2, 0), ("b/1.png", 0, 2, 0)])
    images = read_waterbirds(tmp_path / "birds")
    assert len(images) == 3 and images.notes[1] == "Reached by links: 2 of 3 images."
    assert images[2].tobytes() == picture(1).tobytes()


def test_a_link_to_a_closed_place_is_said(four, monkeypatch):
    os.symlink("cat", four / "shut")
    real = os.stat

    def stat(path, **more):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return real(path, **more)

    monkeypatch.setattr(os, "stat", stat)
    with says("shut", "cannot be listed (Permission denied)"):
        read_folder(four)


def test_a_deep_tree_is_listed(tmp_path):
    place = tmp_path
    for _ in range(300):
        place = place / "d"
    place.mkdir(parents=True)
    write(place / "1.png")
    assert len(read_folder(tmp_path)) == 1 and list_images(tmp_path, deepest=299).names == []
    assert len(list_images(tmp_path, deepest=300).names) == 1


# --- small inputs that failed, and those like them


@dataclass
class Given:
    model: object
    folder: Path  # four pictures in two folders
    at: Path


def synset_names(given: Given, names: list[str], split: str = "val"):
    for number, name in enumerate(names):
        write(given.at / "flat" / name, number)
    return read_imagenet(given.at / "flat", split).labels.y.tolist()


def torchvisions(folder: Path):
    return torchvision.datasets.ImageFolder(str(folder))


def broken_exif(given: Given) -> int:
    write(given.folder / "dog" / "3.png").write_bytes(encoded("PNG", exif=b"Exif\0\0garbage"))
    return len(collect(given.model, read_folder(given.folder), "store", "x", path=given.at / "run"))


def odd_name(given: Given) -> int:
    Path(os.fsdecode(os.fsencode(given.folder) + b"/caf\xe9.png")).write_bytes(encoded("PNG"))
    images = read_folder(given.folder)
    assert len(images.digest) == 64 and len(as_set(images)) == 5
    return collect(given.model, images, "moments", "x", path=given.at / "run").count


def linked_folder(given: Given) -> list[str]:
    write(given.at / "far" / "1.png")
    os.symlink(given.at / "far", given.folder / "bird")
    write(given.folder / "dog" / "3.jfif", 3, "JPEG")
    return read_folder(given.folder).names


def panel_on(panel, images) -> str:
    made = panel(images)
    assert made.last_error is None
    return made.state["image"]


FAILED = {
    "F3 links and other suffixes": (
        linked_folder,
        ["bird/1.png", "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png", "dog/3.jfif"],
    ),
    "F5 broken EXIF": (broken_exif, 5),
    "F6 a name that is not UTF-8": (odd_name, 5),
    "F16 the explorer of a folder": (
        lambda g: panel_on(lambda i: kit.panels.Explorer("stickers-s16", i), read_folder(g.folder)),
        "image 0",
    ),
    "F16 the explorer of a set of torchvision": (
        lambda g: panel_on(lambda i: kit.panels.Explorer("stickers-s16", i), torchvisions(g.folder)),
        "image 0",
    ),
    "F16 heads and tokens of a folder": (
        lambda g: panel_on(lambda i: kit.panels.HeadTokens("stickers-s16", i), read_folder(g.folder)),
        "image 0",
    ),
    "F16 any model of a folder": (
        lambda g: panel_on(lambda i: kit.panels.AnyModel("stickers-s16", i), read_folder(g.folder)),
        "image 0",
    ),
    "F16 retrieval in a folder": (
        lambda g: kit.panels.Retrieval("stickers-s16", read_folder(_many(g))).state["query"], "image 0",
    ),
    "F16 spans of a folder": (
        lambda g: kit.panels.Spans("stickers-s16", read_folder(_many(g))).state["images"], "all images",
    ),
    "F16 our set preprocessed": (lambda g: list(g.model.preprocess(read_folder(g.folder)).shape)[:2], [4, 3]),
    "F16 torchvision's preprocessed": (
        lambda g: torch.equal(
            g.model.preprocess(torchvisions(g.folder)), g.model.preprocess(read_folder(g.folder))
        ),
        True,
    ),
    "F16 our set viewed": (lambda g: len(g.model.viewed(read_folder(g.folder))), 4),
    "F16 torchvision's viewed": (lambda g: len(g.model.viewed(torchvisions(g.folder))), 4),
    "F16 torchvision's collected": (
        lambda g: collect(g.model, torchvisions(g.folder), name="x").id.partition(" [")[0], "x",
    ),
    "F16 means over our set": (
        lambda g: _ablated(g, read_folder(g.folder)), '4 images of the folder "four"',
    ),
    "F16 means over torchvision's": (
        lambda g: _ablated(g, torchvisions(g.folder)), '4 images of the folder "four"',
    ),
    "F16 a list given to Bank.file": (
        lambda g: _message(lambda: Bank.file(g.model, ["a cat"])),
        "Bank.file reads a text file, but was given the type list; name a file with one text on each line, "
        "or write Bank.own(model, texts) for texts at hand.",
    ),
    "F17 synsets in the names of validation images": (
        lambda g: synset_names(
            g, ["ILSVRC2012_val_00000001_n01751748.JPEG", "ILSVRC2012_val_00000002_n01440764.JPEG"]
        ),
        [65, 0],
    ),
    "F17 synsets in front": (lambda g: synset_names(g, ["n01440764_tench.JPEG", "n01751748.jpg"]), [0, 65]),
    "F17 a flat training folder": (lambda g: synset_names(g, ["n01751748_10.JPEG"], "train"), [65]),
    "F17 a training image among those of validation": (
        lambda g: _message(lambda: synset_names(g, ["n01751748_10.JPEG"]))[-88:],
        'of ImageNet train, but val was asked for; write split="train", or name the folder of val.'[-88:],
    ),
    "F17 a synset of other sets": (
        lambda g: _message(lambda: synset_names(g, ["n00000001_1.png"])).partition(" in ")[0],
        '"n00000001_1.png"',
    ),
    "F17 a name without one": (
        lambda g: _message(lambda: synset_names(g, ["n01751748.JPEG", "me.png"]))[-47:],
        '"me.png", whose class nothing tells; move it away.'[-47:],
    ),
}  # fmt: skip


def _many(given: Given) -> Path:
    for number in range(8):
        write(given.folder / "more" / f"{number}.png", number)
    return given.folder


def _ablated(given: Given, images) -> str:
    pixels = given.model.preprocess(read_folder(given.folder))
    done = kit.ablate(given.model, pixels, "L0.H0", means=images)
    own = collect(given.model, read_folder(given.folder), name="x")
    torch.testing.assert_close(done.embedding, kit.ablate(given.model, pixels, "L0.H0", means=own).embedding)
    return done.means_id.partition(" [")[0]


def _message(call) -> str:
    with pytest.raises(KitError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("what", FAILED)
def test_small_inputs_that_failed(what, four, tmp_path):
    call, wanted = FAILED[what]
    assert call(Given(tiny_clip(), four, tmp_path)) == wanted


# --- sets of others


class Pairs(torch.utils.data.Dataset):
    """Pictures in memory with a number each, one of which cannot be had."""

    classes, targets = ("cat", "dog"), [0, 1, 1]

    def __len__(self):
        return 3

    def __getitem__(self, number: int):
        if number == 1:
            raise OSError(5, "Input/output error")
        return picture(number), self.targets[number]


def test_a_set_of_pairs_is_taken_with_its_labels_past_a_bad_one(tmp_path):
    model, images = tiny_clip(), as_set(Pairs())
    store = collect(model, images, "store", "pairs", path=tmp_path / "run")
    assert store.labels.class_name.tolist() == ["cat", "dog"] and store.labels.y.tolist() == [0, 1]
    assert store.files == ["0", "2"] and "Input/output error" in store.damaged["1"]
    assert images.digest == as_set(Pairs()).digest != as_set(torch.utils.data.Subset(Pairs(), [0])).digest
    alone = collect(model, picture(2), "store", "one")
    np.testing.assert_allclose(store.arrays["embedding"][2], alone.arrays["embedding"][0], atol=1e-6)
    with says("image 1 of the Pairs cannot be had"):
        model.preprocess(Pairs())


def test_labels_of_torchvision_are_kept_and_its_transform_is_said(four):
    theirs = torchvision.datasets.ImageFolder(str(four), transform=torchvision.transforms.ToTensor())
    ours = as_set(theirs)
    assert ours.names == read_folder(four).names and ours.digest == read_folder(four).digest
    assert ours.labels.class_name.tolist() == ["cat", "cat", "dog", "dog"]
    assert "own transform is left out" in ours.notes[0] and as_set(torchvisions(four)).notes == []
    some = as_set(torch.utils.data.Subset(theirs, [3, 0]))
    assert some.names == ["dog/2.png", "cat/1.png"] and some.labels.y.tolist() == [1, 0]


def test_rows_with_an_image_are_read_and_what_is_no_set_is_refused():
    model = tiny_clip()
    rows = type("Rows", (), {"__len__": lambda s: 2, "__getitem__": lambda s, n: {"image": picture(n)}})()
    wanted = model.preprocess([picture(0), picture(1)])
    assert torch.equal(model.preprocess(rows), wanted) and len(as_set(rows)) == 2
    for odd in ({"image": picture(0)}, iter([picture(0)]), 3, None):
        with says("an image cannot be read from the type"):
            model.preprocess(odd)


def test_sets_are_called_by_their_own_name_their_folder_or_their_number(four):
    named = [read_folder(four), kit.world.draw(2, 0), [picture(0)]]
    assert [set_name(each) for each in named] == ['4 images of the folder "four"', "2 images", "1 images"]


# --- panels on a folder


def test_a_panel_reads_the_pictures_of_a_folder_when_they_are_looked_at(four, stickers, monkeypatch):
    model, read, real = stickers, [], kit.data.ImageFolder.read
    (four / "cat" / "1.png").write_bytes(b"no picture")
    monkeypatch.setattr(kit.data.ImageFolder, "read", lambda s, n: read.append(n) or real(s, n))
    panel = kit.panels.Explorer(model, read_folder(four), ["a cat", "a dog"])
    assert panel.state["image"] == "image 1" and set(read) == {0, 1}  # the first one cannot be read
    titles = [title for title, _ in panel.options("image")]
    assert titles == [f"image {n}: {name}" for n, name in enumerate(read_folder(four).names)]
    panel.choose(image="image 3")
    assert set(read) == {0, 1, 3} and "dog/2.png, 24 × 20 pixels" in panel.picture("image 3").told
    seen = panel.found.bars[:, 0]
    direction = kit.projections.prompts.prompt_directions(model.encode_text(["a cat", "a dog"]), "contrast")
    own = model.encode_image(model.preprocess(four / "dog" / "2.png"))
    np.testing.assert_allclose(seen, (direction @ own[0] / own.norm()).numpy(), atol=1e-5)
    panel.choose(image="image 0")
    assert "is not an image in a format that is read" in panel.message and panel.state["image"] == "image 3"


def test_of_a_large_folder_the_menu_has_the_first_ones_and_says_so(four, stickers, monkeypatch):
    monkeypatch.setattr("kit.maps.pictures.MOST", 2)
    panel = kit.panels.Explorer(stickers, read_folder(four))
    assert [name for _, name in panel.options("image")] == ["image 0", "image 1"]
    assert panel.picture("image 1").told.endswith("one of the first 2 of 4")


def test_a_folder_of_nothing_but_damaged_pictures_is_said(stickers, tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    with says("none of the first 3 images could be read. The first one:"):
        kit.panels.Explorer(stickers, read_folder(tmp_path))


def test_the_labels_of_a_folder_make_no_truth(four, stickers):
    told = kit.panels.Explorer(stickers, read_folder(four)).picture("image 0").told
    assert not told.startswith("Truth")
