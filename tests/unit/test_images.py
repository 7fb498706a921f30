"""Images of every kind become RGB pictures with the right colours, and folders become lists."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from kit.data import read_folder, read_upload
from kit.errors import KitError
from kit.models import read_image

RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def half_transparent() -> Image.Image:
    image = Image.new("RGBA", (4, 2), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (2, 0, 4, 2))
    image.putpixel((1, 0), (255, 0, 0, 128))
    return image


@pytest.mark.parametrize(
    "image, kind, colour",
    [
        (Image.new("RGB", (4, 2), RED), "PNG", RED),
        (Image.new("L", (4, 2), 77), "PNG", (77, 77, 77)),
        (Image.new("1", (4, 2), 1), "PNG", WHITE),
        (Image.new("CMYK", (4, 2), (0, 0, 0, 0)), "TIFF", WHITE),
        (Image.new("CMYK", (4, 2), (0, 255, 255, 0)), "TIFF", RED),
        (Image.new("RGB", (4, 2), RED).quantize(4), "PNG", RED),
        (Image.new("LA", (4, 2), (0, 0)), "PNG", WHITE),
        (Image.new("RGBA", (4, 2), (255, 0, 0, 128)), "PNG", (255, 127, 127)),
        (Image.fromarray(np.full((2, 4), 257 * 77, np.uint16)), "PNG", (77, 77, 77)),
        (Image.fromarray(np.full((2, 4), 65535, np.uint16)), "TIFF", WHITE),
        (Image.fromarray(np.full((2, 4), 257 * 9, np.int32)), "TIFF", (9, 9, 9)),
    ],
)
def test_every_mode_becomes_rgb(image, kind, colour):
    read = read_image(encoded(image, kind))
    assert (read.mode, read.size) == ("RGB", (4, 2))
    assert read.getpixel((3, 1)) == colour


def test_transparent_pixels_lie_on_white():
    read = read_image(half_transparent())
    assert [read.getpixel(place) for place in ((0, 0), (1, 0), (3, 0))] == [RED, (255, 127, 127), WHITE]


def test_transparent_palettes_lie_on_white():
    image = half_transparent().convert("P", palette=Image.Palette.ADAPTIVE)
    image.info["transparency"] = image.getpixel((3, 1))
    read = read_image(encoded(image, "PNG", transparency=image.info["transparency"]))
    assert read.getpixel((3, 1)) == WHITE


def test_exif_rotation_is_applied():
    image = Image.new("RGB", (4, 2), WHITE)
    image.paste(RED, (0, 0, 1, 2))  # the left column
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture must turn right
    read = read_image(encoded(image, "PNG", exif=exif))
    assert read.size == (2, 4) and [read.getpixel((x, 0)) for x in (0, 1)] == [RED, RED]
    assert read.getpixel((0, 3)) == WHITE


def test_the_first_frame_of_an_animation_is_read():
    frames = [Image.new("RGB", (4, 2), colour) for colour in (RED, (0, 255, 0), (0, 0, 255))]
    read = read_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50))
    assert read.getpixel((1, 1)) == RED


def test_one_pixel_is_enough():
    assert read_image(encoded(Image.new("RGB", (1, 1), RED))).getpixel((0, 0)) == RED


@pytest.mark.parametrize(
    "values",
    [
        np.full((2, 4, 3), 7, np.uint8),
        np.full((2, 4), 7, np.uint8),
        np.full((2, 4, 1), 7, np.uint8),
        np.full((2, 4), 7 * 257, np.uint16),
        np.concatenate([np.full((2, 4, 3), 7), np.full((2, 4, 1), 255)], axis=2).astype(np.uint8),
        torch.full((3, 2, 4), 7, dtype=torch.uint8),
        torch.full((1, 2, 4), 7, dtype=torch.uint8),
    ],
)
def test_arrays_and_tensors_are_read_in_their_own_order(values):
    read = read_image(values)
    assert (read.mode, read.size, read.getpixel((3, 1))) == ("RGB", (4, 2), (7, 7, 7))


def test_reading_leaves_the_source_alone(tmp_path):
    image = Image.new("RGB", (4, 2), RED)
    read_image(image).putpixel((0, 0), WHITE)
    assert image.getpixel((0, 0)) == RED
    values = np.full((2, 4, 3), 7, np.uint8)
    read_image(values).putpixel((0, 0), WHITE)
    assert values.max() == 7


@pytest.fixture
def folder(tmp_path):
    for place in ("b/2.png", "a/10.JPG", "a/1.png", ".hidden/3.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 2), RED).save(tmp_path / place)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "b" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path


def test_a_folder_lists_its_images_in_order_with_labels(folder):
    images = read_folder(folder)
    assert images.names == ["a/1.png", "a/10.JPG", "b/2.png", "b/broken.png"]
    assert images.labels.folder.tolist() == ["a", "a", "b", "b"] and len(read_folder(folder, limit=2)) == 2
    assert read_folder(folder / "a").labels.shape == (2, 0)


def test_damaged_files_are_passed_over_and_listed(folder):
    images = read_folder(folder)
    assert [number for number, _ in images.readable()] == [0, 1, 2]
    assert list(images.damaged) == [3] and "broken.png" in images.damaged[3]
    with pytest.raises(KitError, match=r"broken\.png"):
        images[3]


def test_an_upload_is_known_by_its_bytes():
    first = read_upload(memoryview(encoded(Image.new("RGB", (4, 2), RED))), "a.png")
    again = read_upload(encoded(Image.new("RGB", (4, 2), RED)), "b.png")
    other = read_upload(encoded(Image.new("RGB", (4, 2), WHITE)), "a.png")
    assert first.digest == again.digest != other.digest and first.name == "a.png"
