"""Any image that people hand over, read as an RGB picture or refused with a sentence."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from kit.errors import KitError, nearest

MAX_PIXELS = 100_000_000  # a picture of 10,000 x 10,000; decoded it takes 300 MB
MAX_RATIO = 100  # longest over shortest side; a resize of the shortest side multiplies the longest


def read_image(source) -> Image.Image:
    """One RGB picture from a path, bytes, a PIL image, an array or a tensor.

    Transparent pixels are laid on white, as a page shows them. Grey, palette and
    CMYK pictures become RGB by Pillow's own conversion, 16-bit values are divided
    by 257, EXIF rotation is applied, and of an animation the first frame is read.

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
        return _decode(bytes(source), "the uploaded file")
    if isinstance(source, str | os.PathLike):
        return _decode(_file_bytes(Path(source)), f'"{Path(source).name}"')
    raise KitError(
        f"an image cannot be read from the type {type(source).__name__}; give a path, bytes, a PIL image, "
        "a uint8 array [row, col, 3] or a uint8 tensor [3, row, col]."
    )


def _file_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise KitError(f'"{path}" is a folder, not an image; read its images with kit.data.read_folder.')
    if not path.exists():
        names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise KitError(f'there is no image file "{path}".{nearest(path.name, names)}')
    return path.read_bytes()


def _decode(content: bytes, what: str) -> Image.Image:
    """The first frame of an encoded file."""
    if not content:
        raise KitError(f"{what} is empty (0 bytes); choose an image file such as PNG or JPEG.")
    try:
        with warnings.catch_warnings():
            # our own limit below speaks for Pillow's warning
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content))
            _check_size(image, what)
            image.seek(0)
            image.load()
    except UnidentifiedImageError:
        start = "".join(chr(c) if 32 <= c < 127 else "?" for c in content[:16])
        raise KitError(
            f'{what} is not an image that Pillow can read: it begins with "{start}"; '
            "choose a PNG, JPEG, GIF, BMP, TIFF or WebP file."
        ) from None
    except Image.DecompressionBombError:
        raise KitError(
            f"{what} has more than {MAX_PIXELS:,} pixels, the limit; make it smaller first."
        ) from None
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        if isinstance(error, KitError):
            raise
        raise KitError(
            f'{what} is damaged: Pillow stopped with "{str(error) or type(error).__name__}"; save it again.'
        ) from None
    return _to_rgb(image, what)


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


def _to_rgb(image: Image.Image, what: str) -> Image.Image:
    _check_size(image, what)
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = _eight_bits(np.asarray(image), what)
    elif image.mode == "F":
        raise KitError(f"{what} holds floating-point pixels; give 8 or 16 bit values, such as a PNG.")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _eight_bits(values: np.ndarray, what: str) -> Image.Image:
    if values.min() < 0 or values.max() > 65535:
        raise KitError(
            f"{what} holds values from {values.min()} to {values.max()}; give 8 or 16 bit values, 0 to 65535."
        )
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


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
