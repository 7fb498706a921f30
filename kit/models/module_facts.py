"""What is read from a module: whether it runs, where its patches lie, what size of pictures it takes."""

from collections.abc import Callable

from PIL import Image
from torch import Tensor, nn

from kit.errors import KitError
from kit.models.load_open_clip import make_transform
from kit.models.walk import Walk, walk

Size = tuple[int, int]  # height and width, in pixels
PICTURES = ((48, 40), (40, 64))  # sizes on which a transform is tried


def passed(name: str, module: nn.Module, run: Callable, size: Size, values: bool = False) -> Walk:
    """`walk`, or a sentence on why the module cannot be run on pictures of this size."""
    try:
        return walk(module, run, size, values)
    except Exception as error:  # whatever a module makes of pictures that it was not built for
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise KitError(
            f"the module {name} cannot be run on pictures of {size[0]} x {size[1]} pixels: {first}; give "
            'the size that it takes with config={"image_size": ...}, and a preprocess= that gives it.'
        ) from None


def places(name: str, settings: dict, found: tuple | None) -> dict:
    """Grid and prefix tokens: as given, else as found."""
    if found is None and "grid" not in settings:
        raise KitError(
            f"where the patches of {name} lie could not be read from it; give "
            'config={"grid": (rows, cols), "prefix_tokens": n}.'
        )
    grid, prefix = found or (None, 0)
    return {"grid": tuple(settings.get("grid", grid)), "prefix_tokens": settings.get("prefix_tokens", prefix)}


class Unprepared:
    """A transform that nobody gave: asked for where it is needed."""

    def __init__(self, message: str):
        self.message = message

    def __call__(self, image: Image.Image) -> Tensor:
        raise KitError(self.message)

    def __repr__(self) -> str:
        return "not given"


def sized(
    name: str, preprocess, settings: dict, own: tuple[int, int] | None
) -> tuple[tuple[int, int], object]:
    """Size of the pictures that a module reads, and the transform that makes them.

    Args:
        name: how messages call the module.
        preprocess: a transform, settings of open_clip's own, or None.
        settings: `image_size` over what is found.
        own: the size that the module says, or None.
    """
    given = settings.get("image_size", own)
    given = (given, given) if isinstance(given, int) else given
    if callable(preprocess):
        made = size_made(preprocess, name)
        if given is not None and "image_size" in settings and tuple(given) != made:
            raise KitError(
                f"preprocess= gives pictures of {made[0]} x {made[1]} pixels, and config= says "
                f"{given[0]} x {given[1]}; make them agree."
            )
        return made, preprocess
    if given is None:
        raise KitError(
            f"what size of pictures {name} reads could not be found in it; give preprocess= a transform from "
            'PIL image to tensor, or config={"image_size": (height, width)}.'
        )
    size = tuple(int(side) for side in given)
    if preprocess is None:
        return size, Unprepared(
            f"how pictures are prepared for {name} is not known: the module does not say; load it with "
            'preprocess={"mean": [...], "std": [...]}, or a transform from PIL image to tensor.'
        )
    return size, make_transform({}, size, preprocess, name)


def size_made(transform: Callable, name: str, what: str = "preprocess=") -> Size:
    """Height and width of what a transform gives, whatever the picture.

    Raises:
        KitError: it fails, gives no tensor [3, height, width], or another size for another picture.
    """
    shapes = []
    for size in PICTURES:
        try:
            pixels = transform(Image.new("RGB", size))
        except KitError:
            raise
        except Exception as error:  # whatever a transform of the caller's makes of a picture
            raise KitError(f"{what} for {name} stops at a picture: {error}.") from None
        if not isinstance(pixels, Tensor) or pixels.ndim != 3 or pixels.shape[0] != 3:
            given = list(pixels.shape) if isinstance(pixels, Tensor) else type(pixels).__name__
            raise KitError(
                f"{what} for {name} gives {given}; it should turn a PIL image into a tensor "
                "[3, height, width]."
            )
        shapes.append(tuple(pixels.shape[1:]))
    if shapes[0] != shapes[1]:
        raise KitError(
            f"{what} for {name} gives pictures of differing size ({shapes[0]} and {shapes[1]}); let it "
            "crop or resize them to one."
        )
    return shapes[0]
