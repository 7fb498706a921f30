"""One bad picture of a set: listed with its reason, whatever is wrong with it, and the pass goes on."""

import os
import struct
import subprocess
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFile

import kit
from kit.data import read_folder
from kit.models import images as reading
from kit.models.images import FORMATS
from kit.parts import collect
from tests.bench.bad_pictures import mutated, outcome
from tests.unit.lost import BATCH, KEPT, encoded, numbers, picture, says

pytestmark = pytest.mark.filterwarnings("ignore:.*are left out")


def oriented_with_a_broken_tag() -> bytes:
    """A JPEG whose EXIF says orientation 6, and a number of a type that cannot be written again."""
    entries = struct.pack("<HHII", 0x0112, 3, 1, 6) + struct.pack("<HHI4s", 0x011A, 2, 4, b"abc\0")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + struct.pack("<I", 0)
    return encoded("JPEG", exif=exif)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0junk", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_a_picture_whose_exif_is_broken_is_read_as_it_lies(kind, exif):
    read, plain = kit.models.read_image(encoded(kind, exif=exif)), kit.models.read_image(encoded(kind))
    assert read.tobytes() == plain.tobytes() and read.size == (24, 20)


def test_an_orientation_that_can_be_read_is_followed_once():
    read = kit.models.read_image(oriented_with_a_broken_tag())
    assert read.size == (20, 24) and kit.models.read_image(read).tobytes() == read.tobytes()


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n",
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        encoded("ICO", picture(0, (16, 16))),
        encoded("TGA"),
        encoded("PCX"),
        encoded("PDF"),
        b"",
        b"\x89PNG\r\n\x1a\n",
        encoded("PNG")[:60],
        encoded("JPEG")[:300],
    ],
)
def test_only_the_formats_that_people_mean_are_opened(content, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    with says('"picture.png"'):
        reading.decode(content, '"picture.png"')


ERRORS = [
    SyntaxError("bad tag"), RuntimeError("decoder"), NotImplementedError("mode"), TypeError("None"),
    ValueError("values"), struct.error("unpack"), OSError(5, "Input/output error"), EOFError(),
    IndexError("list"),
    OverflowError("long"), MemoryError(), RecursionError("deep"), KeyError("x"), ZeroDivisionError("by zero"),
    subprocess.CalledProcessError(1, "gs"), Image.DecompressionBombError("bomb"), AssertionError(),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "odd"), PermissionError(13, "Permission denied"),
]  # fmt: skip


@pytest.mark.parametrize("where", ["decode", "transform", "read"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_error_of_one_picture_lists_it(tiny, pictures, tmp_path, monkeypatch, error, where):
    images = read_folder(pictures)
    odd = (pictures / images.names[2]).read_bytes()

    def guard(real):
        def call(first, *rest, **more):
            of_odd = odd == first if where == "decode" else Path(str(first)).name == "5.bmp"
            if where == "transform":
                of_odd = first.tobytes() == whole.tobytes()
            if of_odd:
                raise error
            return real(first, *rest, **more)

        return call

    whole = kit.models.read_image(odd)
    if where == "decode":
        monkeypatch.setattr("kit.data.reading.decode", guard(reading.decode))
    elif where == "read":
        monkeypatch.setattr("kit.data.reading.read_bytes", guard(reading.read_bytes))
    else:
        monkeypatch.setattr(tiny, "transform", guard(tiny.transform))
    store = collect(tiny, images, "store", "pictures", BATCH, path=tmp_path / "store")
    assert len(store) == 6 and list(store.damaged) == [images.names[2]] == [
        images.names[n] for n in images.damaged
    ]
    assert store.damaged[images.names[2]].endswith(".") and "\n" not in store.damaged[images.names[2]]


def test_every_error_of_pillow_becomes_a_sentence(monkeypatch):
    content = encoded("BMP")
    for error in ERRORS:
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _, error=error: (_ for _ in ()).throw(error))
        with says('"a.png"'):
            reading.decode(content, '"a.png"')


def test_pictures_that_vanish_or_are_no_files_are_listed(tiny, pictures, tmp_path):
    images = read_folder(pictures)
    (pictures / images.names[0]).unlink()
    os.mkfifo(pictures / "pipe.bmp")
    os.symlink(pictures / "nowhere.bmp", pictures / "link.bmp")
    os.symlink("loop.bmp", pictures / "loop.bmp")
    assert read_folder(pictures).names == images.names[1:]
    whole = replace(
        images, names=[*images.names, "pipe.bmp", "1", "link.bmp"], labels=pd.DataFrame(index=range(10))
    )
    for keep in KEPT:
        whole.damaged.clear()
        with pytest.warns(
            UserWarning, match="4 of 10 images could not be read and are left out, such as: there is no"
        ):
            kept = collect(tiny, whole, keep, "pictures", BATCH, path=tmp_path / keep)
        assert (len(kept) if keep == "store" else kept.count) == 6
        assert {n: w.split(" ")[-1][:0] for n, w in whole.damaged.items()}.keys() == {0, 7, 8, 9}
        with pytest.warns(UserWarning, match="4 of 10"):  # the second time it is read from the list
            collect(tiny, whole, keep, "pictures", BATCH, path=tmp_path / keep)


def test_a_list_of_paths_goes_past_a_bad_one(tiny, pictures, tmp_path):
    paths = [str(pictures / name) for name in read_folder(pictures).names]
    (pictures / "bad.bmp").write_bytes(b"no picture")
    kept = collect(tiny, [*paths, pictures / "bad.bmp", pictures / "none.bmp"], "moments", "by path", BATCH)
    assert kept.count == 7
    with says("image 1:", "uint8"):
        collect(tiny, [np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3))], "moments", "arrays")


def test_a_list_of_paths_and_pictures_goes_past_a_bad_file(tiny, pictures, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="1 of 3 images could not be read"):
        means = collect(tiny, [picture(1), tmp_path / "bad.png", picture(2)], name="three", batch=2)
    assert means.count == 2


def test_a_folder_that_is_gone_stops_the_pass_and_nothing_is_listed(make, pictures, tmp_path, monkeypatch):
    plain = numbers(make("store", path=tmp_path / "plain"))
    real = kit.data.ImageFolder.read

    def read(images, number):
        if number == 5:
            pictures.rename(tmp_path / "away")
        return real(images, number)

    monkeypatch.setattr(kit.data.ImageFolder, "read", read)
    with says("is no longer there", "make the same call again"):
        make("store")
    monkeypatch.setattr(kit.data.ImageFolder, "read", real)
    (tmp_path / "away").rename(pictures)
    assert numbers(make("store")) == plain


def test_a_folder_that_may_not_be_listed_is_an_error(pictures, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).rstrip("/").endswith("001"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with says("001", "cannot be listed (Permission denied)"):
        read_folder(pictures)


def test_links_are_followed_and_other_suffixes_are_read(pictures, tmp_path):
    far = tmp_path / "far"
    far.mkdir()
    picture(9).save(far / "9.jfif", "JPEG")
    os.symlink(far, pictures / "linked")
    os.symlink(pictures, pictures / "1" / "itself")
    assert [n for n in read_folder(pictures).names if not n.endswith("bmp")] == ["linked/9.jfif"]
    assert len(read_folder(pictures)) == 8


def test_a_process_that_reads_and_dies_is_a_sentence(make, monkeypatch):
    real = kit.data.ImageFolder.read
    monkeypatch.setattr(kit.data.ImageFolder, "read", lambda s, n: os._exit(1) if n == 4 else real(s, n))
    with says("a process that reads images has ended", "workers=0"):
        make("moments", workers=1)


def test_warnings_of_pictures_do_not_reach_the_user(recwarn):
    kit.models.read_image(encoded("PNG", exif=b"Exif\0\0junk"))
    assert not [w for w in recwarn if not issubclass(w.category, DeprecationWarning)]


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_pictures_are_read_or_refused_in_a_sentence(kind):
    """Forty of each format; `python -m tests.bench.bad_pictures` judges ten thousand."""
    said = Counter(outcome(mutated(kind, seed)) for seed in range(40))
    assert set(said) == {"read", "refused"} and said["read"] >= 2 and said["refused"] >= 10, said
    assert mutated(kind, 3) == mutated(kind, 3) != mutated(kind, 4)


TURNED = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)


def header(kind: str, size: tuple[int, int], mode: str = "RGB", **how) -> bytes:
    """A file of one format whose header says that it is large, and that holds next to nothing."""
    whole = encoded(kind, Image.new(mode, (16, 16)), **how)
    if kind == "PNG":
        body = b"IHDR" + struct.pack(">II", *size) + whole[24:29]
        return whole[:12] + body + struct.pack(">I", zlib.crc32(body)) + whole[33:]
    at = next(n for n in range(len(whole)) if whole[n] == 0xFF and whole[n + 1] in (0xC0, 0xC2))
    return whole[: at + 5] + struct.pack(">HH", *size[::-1]) + whole[at + 9 :]


@pytest.mark.parametrize(
    "content, taken",
    [
        (header("JPEG", (9900, 10000)), True),
        (header("JPEG", (7700, 7700), progressive=True), True),
        (header("JPEG", (7800, 7800), progressive=True), False),
        (header("PNG", (9900, 10000)), True),
        (header("PNG", (8600, 8600), "RGBA"), True),
        (header("PNG", (8700, 8700), "RGBA"), False),
        (header("PNG", (8700, 8700), "LA"), False),
        (header("PNG", (9900, 10000), "L"), True),
        (
            header(
                "PNG", (8700, 8700), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
            ),
            False,
        ),
        (header("JPEG", (8600, 8600)) + bytes(200_000_000), True),
        (header("JPEG", (9900, 10000)) + bytes(210_000_000), False),
    ],
)
def test_a_picture_that_would_take_too_much_memory_is_refused_unread(content, taken, monkeypatch):
    """Memory is counted from the header alone: the picture, what its decoder holds, and the file."""
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: (_ for _ in ()).throw(OSError("it was read")))
    with says("it was read" if taken else "MB of memory to read; the limit is 600"):
        reading.decode(content, '"a"')


def test_a_picture_that_was_read_is_alone_and_turned_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    read = kit.models.read_image(encoded("JPEG", exif=exif))
    assert type(read) is Image.Image and read.info == {} and read.size == (20, 24)
    assert kit.models.read_image(read).tobytes() == read.tobytes() and not dict(read.getexif())
    plain = kit.models.read_image(encoded("PNG"))
    assert type(plain) is Image.Image and not hasattr(plain, "fp") and plain.tobytes() == picture(0).tobytes()


def test_sixteen_bits_are_divided_strip_by_strip(monkeypatch):
    values = np.random.default_rng(0).integers(0, 65536, (7, 5), dtype=np.uint16)
    content = encoded("PNG", Image.fromarray(values))
    whole = kit.models.read_image(content)
    monkeypatch.setattr(reading, "STRIP", 10)
    assert kit.models.read_image(content).tobytes() == whole.tobytes()
    assert np.array_equal(np.asarray(whole)[..., 0], (values.astype(int) + 128) // 257)
