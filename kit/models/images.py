"""Any image that people hand over, read as an RGB picture or refused with a sentence."""

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError, features

from kit.errors import KitError, nearest, shown

# whatever is read as one picture, a batch of pictures, a list or a set of them
AnyImages = str | os.PathLike | bytes | Image.Image | np.ndarray | torch.Tensor | Sequence
MAX_PIXELS = 100_000_000  # a picture of 10,000 x 10,000; decoded it takes 400 MB
MAX_MEMORY = 600_000_000  # bytes that reading one picture may take, its file included
MAX_RATIO = 100  # longest over shortest side; a resize of the shortest side multiplies the longest
MAX_BYTES = 1 << 29  # of a file
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", *(["AVIF"] if features.check("avif") else []))
ORIENTATION = 0x0112  # of EXIF
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
STRIP = 1 << 18  # pixels of a picture that are laid on white at a time
RGB_BYTES = 4  # of a pixel as Pillow holds it
# bytes for each pixel while a file of a format is decoded: the picture, and what its decoder holds
DECODING = {"WEBP": 17, "AVIF": 18, "TIFF": 12}
PROGRESSIVE = 10  # of a JPEG: it holds all coefficients, 16 bits each


class Items(Sequence):
    """A set that somebody else made, as its images: of a pair the first, of a row its `image`.

    Args:
        source: has a length and gives an item for each number, such as a set of torchvision.

    Example:
        >>> Items([("picture", 3), {"image": "another", "label": 4}])[1]
        'another'
    """

    def __init__(self, source):
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, number: int):
        """One image, not yet read; an error where the set does not give it."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        try:
            item = self.source[int(number)]
        except KitError:
            raise
        except Exception as error:  # whatever decoders and file systems raise
            kind, said = type(self.source).__name__, shown(str(error) or type(error).__name__)
            raise KitError(
                f"image {number} of the {kind} cannot be had ({said}); look at that set."
            ) from None
        if isinstance(item, Mapping):
            item = next((item[key] for key in ("image", "img") if key in item), item)
        return item[0] if isinstance(item, tuple | list) and item else item


def single_images(images: AnyImages) -> Sequence | np.ndarray | torch.Tensor:
    """What was given, as single images in order: one image is a list of one.

    Args:
        images: what `read_image` reads; a list or a batch of it; a set of `kit.data`, scenes of `kit.world`,
            a set of torchvision or anything else that has a length and gives an image for each number.

    Example:
        >>> len(single_images("a.png")), len(single_images(torch.zeros(2, 3, 9, 9, dtype=torch.uint8)))
        (1, 2)
    """
    if isinstance(images, torch.Tensor | np.ndarray):
        return images if images.ndim == 4 else [images]
    if isinstance(images, list | tuple | Items):
        return images
    if isinstance(images, str | os.PathLike | bytes | bytearray | memoryview | Image.Image | Mapping | Set):
        return [images]
    if (inside := getattr(images, "images", None)) is not None:
        return single_images(inside)
    if hasattr(images, "__len__") and hasattr(images, "__getitem__"):
        return Items(images)
    return [images]


def read_image(source) -> Image.Image:
    """One RGB picture from a path, bytes, a PIL image, an array or a tensor.

    Transparent pixels are laid on white, as a page shows them. Grey, palette and
    CMYK pictures become RGB by Pillow's own conversion, 16-bit values are divided
    by 257, and of an animation the first frame is read. A picture is turned as its
    EXIF says; one whose EXIF cannot be read stays as it is. Files are JPEG, PNG, WebP,
    GIF, BMP, TIFF, PPM and, where Pillow has it, AVIF; no other reader of Pillow runs.

    Args:
        source: path, `bytes`, `PIL.Image`, `uint8` or `uint16` array [row, col] or
            [row, col, 1|3|4], or `uint8` tensor [1|3|4, row, col].

    Returns:
        A `PIL.Image` of mode RGB that shares no memory with `source`.

    Raises:
        KitError: no such file, a folder, an empty, damaged or non-image file, values that
            are not 8 or 16 bit, more than 100 million pixels, or sides more unequal than 100 to 1.

    Example:
        >>> read_image(np.zeros((2, 3), dtype=np.uint8)).size
        (3, 2)
    """
    if isinstance(source, Image.Image):
        return _to_rgb(source, "the image")
    if isinstance(source, torch.Tensor):
        return _to_rgb(_from_tensor(source), "the tensor")
    if isinstance(source, np.ndarray):
        return _to_rgb(_from_array(source), "the array")
    if isinstance(source, bytes | bytearray | memoryview):
        return decode(bytes(source), "the uploaded file")
    if isinstance(source, str | os.PathLike):
        return decode(read_bytes(Path(source))[0], f'"{shown(Path(source).name)}"')
    raise KitError(
        f"an image cannot be read from the type {type(source).__name__}; give a path, bytes, a PIL image, "
        "a uint8 array [row, col, 3] or a uint8 tensor [3, row, col]."
    )


def read_bytes(path: Path) -> tuple[bytes, bytes]:
    """What a file holds, and its `stamp_of` while it was read; empty where it changed meanwhile.

    Raises:
        KitError: there is no such file, it is no file, it is too large, or the system does not give it.
    """
    try:
        if os.path.isdir(path):
            raise KitError(
                f'"{shown(path)}" is a folder, not an image; read its images with kit.data.read_folder.'
            )
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):  # a pipe would keep us waiting for ever
            raise KitError(f'"{shown(path)}" is no ordinary file; name an image file.')
        if about.st_size > MAX_BYTES:
            raise KitError(
                f'"{shown(path)}" has {about.st_size / 2**30:.1f} GiB; an image file may have at most '
                f"{MAX_BYTES / 2**30:.1f}: make it smaller first."
            )
        with open(path, "rb") as file:
            before = stamp_of(os.fstat(file.fileno()))
            content = file.read()
            after = stamp_of(os.fstat(file.fileno()))
    except (FileNotFoundError, NotADirectoryError):
        names = []
        with suppress(OSError):
            names = os.listdir(path.parent)
        raise KitError(f'there is no image file "{shown(path)}".{shown(nearest(path.name, names))}') from None
    except (OSError, ValueError) as error:
        if isinstance(error, KitError):
            raise
        why = getattr(error, "strerror", None) or str(error)
        raise KitError(
            f'"{shown(path)}" cannot be read ({why}); see to it that this user may read it.'
        ) from None
    return content, before if before == after else b""


def stamp_of(about: os.stat_result) -> bytes:
    """What tells that a file was not touched: size, times of change and number of its node, 16 bytes."""
    facts = f"{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns} {about.st_ino}"
    return hashlib.sha256(facts.encode()).digest()[:16]


def decode(content: bytes, what: str) -> Image.Image:
    """The first frame of an encoded file as an RGB picture.

    Args:
        content: of the file.
        what: how messages call it.

    Raises:
        KitError: it is no image, or damaged; Pillow's decoders raise errors of any kind, and all mean this.
    """
    if not content:
        raise KitError(f"{what} is empty (0 bytes); choose an image file such as PNG or JPEG.")
    try:
        with warnings.catch_warnings():
            # our own limit below speaks for Pillow's warning, others tell of metadata
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            _check_size(image, what)
            _check_memory(image, what, len(content))
            image.seek(0)
            image.load()
            return _to_rgb(image, what, owned=True)
    except UnidentifiedImageError:
        start = "".join(chr(c) if 32 <= c < 127 else "?" for c in content[:16])
        raise KitError(
            f'{what} is not an image in a format that is read: it begins with "{start}"; '
            "choose a PNG, JPEG, GIF, BMP, TIFF or WebP file."
        ) from None
    except Image.DecompressionBombError:
        raise KitError(
            f"{what} has more than {MAX_PIXELS:,} pixels, the limit; make it smaller first."
        ) from None
    except KitError:
        raise
    except Exception as error:
        said = shown(str(error) or type(error).__name__)
        raise KitError(f'{what} is damaged: Pillow stopped with "{said}"; save it again.') from None


def _check_size(image: Image.Image, what: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise KitError(
            f"{what} is {width} x {height} pixels; the limit is {MAX_PIXELS:,} pixels: make it smaller first."
        )
    if width * height == 0:
        raise KitError(f"{what} is {width} x {height} pixels; an image needs at least one pixel.")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise KitError(
            f"{what} is {width} x {height} pixels; the long side may be at most {MAX_RATIO} times "
            "the short one: crop it first."
        )


def memory_to_read(image: Image.Image, size: int) -> int:
    """Bytes that reading a file of so many bytes takes at most, from its header: file, decoder, picture.

    Measured for every format on docs/bench/large_pictures.md.
    """
    kind, info = getattr(image, "format", ""), image.info
    decoding = DECODING.get(kind, RGB_BYTES)
    if info.get("progressive") or info.get("progression"):
        decoding = PROGRESSIVE
    if kind == "TIFF" and info.get("compression") == "raw":
        decoding = RGB_BYTES
    held = 1 if image.mode in ("1", "L", "P") else RGB_BYTES
    again = 0 if image.mode == "RGB" and not _turn(image) else RGB_BYTES
    return image.width * image.height * max(decoding, held + again) + size


def _check_memory(image: Image.Image, what: str, size: int) -> None:
    """Raise where reading a file of so many bytes, of which the header was read, would take too much."""
    if (need := memory_to_read(image, size)) > MAX_MEMORY:
        raise KitError(
            f"{what} is {image.width} x {image.height} pixels, {image.format} of {image.mode}, which takes "
            f"about {need / 1e6:,.0f} MB of memory to read; the limit is {MAX_MEMORY / 1e6:,.0f}: make it "
            "smaller first, or save it as a plain JPEG."
        )


def _to_rgb(image: Image.Image, what: str, owned: bool = False) -> Image.Image:
    """The picture in RGB; one that nobody else holds is not copied."""
    _check_size(image, what)
    image = _turned(image)
    if image.mode.startswith("I"):
        image = _eight_bits(np.asarray(image), what)
    elif image.mode == "F":
        raise KitError(f"{what} holds floating-point pixels; give 8 or 16 bit values, such as a PNG.")
    if image.has_transparency_data:
        return _on_white(image)
    if image.mode != "RGB":
        picture = image.convert("RGB")
    else:
        picture = image if owned and type(image) is Image.Image else _plain(image, owned)
    picture.info = {}  # where EXIF would turn it once more
    return picture


def _plain(image: Image.Image, owned: bool) -> Image.Image:
    """A picture without the file that it was read from; pixels that somebody else holds are copied."""
    return Image.Image()._new(image.im) if owned else image.copy()


def _turned(image: Image.Image) -> Image.Image:
    """The picture as its EXIF says that it was taken; as it is where EXIF says nothing that can be read."""
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """How EXIF says that a picture was turned."""
    try:
        return TURNS.get(image.getexif().get(ORIENTATION))
    except Exception:  # its parser raises errors of any kind, and a broken tag is no broken picture
        return None


def _on_white(image: Image.Image) -> Image.Image:
    """A transparent picture on white, some rows at a time, so that a large one needs no fourfold memory."""
    width, height = image.size
    whole, rows = Image.new("RGB", image.size), max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height))).convert("RGBA")
        white = Image.new("RGBA", strip.size, "white")
        whole.paste(Image.alpha_composite(white, strip).convert("RGB"), (0, top))
    return whole


def _eight_bits(values: np.ndarray, what: str) -> Image.Image:
    if values.min() < 0 or values.max() > 65535:
        raise KitError(
            f"{what} holds values from {values.min()} to {values.max()}; give 8 or 16 bit values, 0 to 65535."
        )
    small, rows = np.empty(values.shape, np.uint8), max(1, STRIP // values.shape[1])
    for top in range(0, len(values), rows):
        small[top : top + rows] = (values[top : top + rows].astype(np.uint32) + 128) // 257
    return Image.fromarray(small)


def _from_array(values: np.ndarray) -> Image.Image:
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise KitError(
            f"an image array should be [row, col] or [row, col, 1|3|4]; the shape is {list(values.shape)}."
        )
    if values.dtype == np.uint16:
        values = np.asarray(((values.astype(np.uint32) + 128) // 257), dtype=np.uint8)
    if values.dtype != np.uint8:
        raise KitError(
            f"an image array should hold uint8 values, 0 to 255, but the type is {values.dtype}; "
            "for values from 0 to 1 use (255 * array).round().astype('uint8')."
        )
    if values.size == 0:
        raise KitError(f"the array is {list(values.shape)}; an image needs at least one pixel.")
    return Image.fromarray(np.ascontiguousarray(values))


def _from_tensor(values: torch.Tensor) -> Image.Image:
    if values.dtype != torch.uint8:
        raise KitError(
            f"an image tensor should hold uint8 values, 0 to 255, but the type is {values.dtype}; "
            "pixels that are preprocessed already go to encode_image as they are."
        )
    if values.ndim != 3 or values.shape[0] not in (1, 3, 4):
        raise KitError(f"an image tensor should be [1|3|4, row, col], but the shape is {list(values.shape)}.")
    return _from_array(values.detach().cpu().permute(1, 2, 0).numpy())
