"""Pictures with true masks through several methods, all with the same directions and post-processing."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import tqdm

from kit.axes import expect_shape
from kit.data.sets import Images, ImageSet, as_set
from kit.errors import KitError
from kit.maps.masks import seen_mask, spread
from kit.maps.methods import chosen_methods
from kit.measures import Segmentation, segmentation_table
from kit.models.directions import Directions
from kit.models.images import read_image
from kit.models.model import Model
from kit.numbers import interval
from kit.world import Scenes


@dataclass
class Segmented:
    """What came out: for each method how its masks fit, image by image.

    Attributes:
        results: name of the method -> `kit.measures.Segmentation`; the first is compared with the others.
        classes: number of the class whose direction each image was asked for, int64 [image].
        skipped: images that could not be read: number -> sentence. They are in no figure.
        protocol: how true masks met what the tower saw.
        maps: name of the method -> its maps, [image, row, col], where they were kept; else None.
        seen: true masks as the tower saw them, bool [image, height, width], where maps were kept.
        blank: name of the method -> how many of its maps are nowhere above zero, and so find nothing.
    """

    results: dict[str, Segmentation]
    classes: Tensor
    protocol: str
    skipped: dict[int, str] = field(default_factory=dict)
    maps: dict[str, Tensor] | None = field(default=None, repr=False)
    seen: Tensor | None = field(default=None, repr=False)
    blank: dict[str, int] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """A sentence on each method with maps that find nothing."""
        count = len(self.classes)
        said = "of {:,} maps of {} are nowhere above zero, and find nothing."
        return [f"{n:,} {said.format(count, name)}" for name, n in self.blank.items() if n]

    def table(self, seed: int = 0) -> pd.DataFrame:
        """The figures of each method, see `kit.measures.segmentation_table`."""
        return segmentation_table(self.results, seed)

    def beside(self, fits: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A table of fits with a column `method`, and these figures beside it: in full, and to be read."""
        every = fits.join(self.table(), on="method")
        ends = [interval(*e, 1.0) for e in zip(every["mIoU_low"], every["mIoU_high"])]
        return every, fits.assign(mIoU=every["mIoU"], **{"95 %": ends}, mAP=every["mAP"])

    def held(self, method: str, masks: Tensor) -> Segmentation:
        """How a method's masks fit other true ones.

        Args:
            method: whose maps were kept.
            masks: as the tower sees them, bool [image, height, width].

        Raises:
            KitError: maps were not kept.
        """
        if self.maps is None:
            raise KitError("the maps were not kept; call segment with keep_maps=True.")
        return Segmentation().add(*spread(self.maps[method], masks.shape[1:]), masks)


def which_object(two: Segmented, masks: Tensor, seed: int = 0) -> pd.DataFrame:
    """Whether masks fit the object that was asked for better than the other one.

    Args:
        two: masks of scenes with two objects, asked for the first one; maps were kept.
        masks: of both objects as the tower sees them, bool [image, object, height, width].
        seed: of the bootstrap.

    Returns:
        One row for each method: mIoU with the one `asked for` and with `the other one`, and their
        `difference`, paired by image, with `low` and `high` of its 95 % interval.

    Example:
        >>> import kit
        >>> model, pairs = kit.load("stickers-l8"), kit.world.draw(4, 3, kind="pair")
        >>> names, truth = model.encode_text(kit.world.prompts("concept")), pairs.codes["concept"]
        >>> two = segment(model, pairs, names, pairs.masks[:, 0], ["rollout"], truth, keep_maps=True)
        >>> list(which_object(two, pairs.masks))
        ['asked for', 'the other one', 'difference', 'low', 'high']
    """
    rows = {}
    for name in two.results:
        one, other = (two.held(name, masks[:, k]) for k in (0, 1))
        gap = one.ahead_of(other, seed)["mIoU"]
        rows[name] = [one.figures()["mIoU"], other.figures()["mIoU"], *gap]
    names = ["asked for", "the other one", "difference", "low", "high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


def over_chance(
    runs: list[Segmented], masks: Tensor, shifts: tuple[int, ...] = (1, 31), seed: int = 0
) -> pd.DataFrame:
    """Figures of the first method, and how far they lie above those with the masks of other images.

    Chance is not one half: a mask that knows nothing of its image still falls on objects that lie near the
    middle. So each is held against the true masks of other images too, paired by image.

    Args:
        runs: of the same images, such as of several seeds; their figures are pooled. Maps were kept.
        masks: true ones as the tower sees them, bool [image, height, width].
        shifts: how many places further the image lies whose mask is taken instead.
        seed: of the bootstrap.

    Returns:
        One row for mIoU and one for mAP: `value`, `over chance`, `low`, `high` (95 %).

    Example:
        >>> import kit
        >>> model, scenes = kit.load("stickers-l8"), kit.world.draw(4, 3)
        >>> names, masks = model.encode_text(kit.world.prompts("concept")), scenes.masks[:, 0]
        >>> run = segment(model, scenes, names, masks, ["token heatmap"], keep_maps=True)
        >>> bool((over_chance([run], masks, shifts=(1, 2))["over chance"] > 0).all())
        True
    """
    method = next(iter(runs[0].results))
    own = Segmentation.mean_of([run.held(method, masks) for run in runs])
    rolled = [masks.roll(shift, 0) for shift in shifts]
    others = Segmentation.mean_of([run.held(method, other) for run in runs for other in rolled])
    gaps, figures = own.ahead_of(others, seed), own.figures()
    rows = {name: [figures[name], *gaps[name]] for name in ("mIoU", "mAP")}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "over chance", "low", "high"])


def segment(
    model: Model,
    images: Images,
    directions,
    masks=None,
    methods=None,
    classes=None,
    protocol: str = "aligned",
    batch: int = 8,
    keep_maps: bool = False,
) -> Segmented:
    """How well maps of class directions find objects, beside other methods on the same images.

    Each image has one class: the one that the model answers, or the one that is given. Its direction is the
    class's minus the mean of all classes, one vector, which is the same as subtracting from the class's map
    the mean of all classes' maps. Every method gets that direction, and every map the same way to a mask
    (`kit.maps.spread`).

    Args:
        model: from `kit.load`.
        images: what a pass takes (`kit.data.as_set`); or a set with masks, such as
            `kit.data.read_imagenet_segmentation` gives.
        directions: `Directions` or unit rows, [class, embed].
        masks: the object's pixels of each image at its own size: bool [image, row, col], or a list of
            [row, col]; None = what the set or the scenes know (the union of all objects of a scene). Of
            scenes they are those of `scenes.sized_for(model)`.
        methods: names of `kit.maps.METHODS` in order, or functions by name; None = all.
        classes: number of each image's class, [image]; None = the answer, as in the paper.
        protocol: see `kit.maps.seen_mask`.
        batch: images at a time; no figure depends on it but by rounding.
        keep_maps: keep each method's maps, to be looked at.

    Returns:
        `Segmented`.

    Raises:
        KitError: directions of another width, fewer than two classes, masks that are not of the images,
            a method that the tower does not allow.

    Source:
        Gandelsman et al. 2023, arXiv 2310.05916, section 5, and its released code.

    Example:
        >>> import kit
        >>> model, scenes = kit.load("stickers-l8"), kit.world.draw(4, 3)
        >>> names = model.encode_text(["a cat", "a dog", "a ship"])
        >>> found = segment(model, scenes, names, methods=["token heatmap", "rollout"])
        >>> found.table().index.tolist()
        ['token heatmap', 'rollout']
    """
    vectors = _vectors(model, directions)
    images = images.sized_for(model) if isinstance(images, Scenes) else images
    source, chosen = as_set(images), chosen_methods(methods)
    truth = _masks(images, source, masks)
    given = None if classes is None else _given(classes, len(source), len(vectors))
    kept = _Kept(chosen, keep_maps)
    for start in tqdm(range(0, len(source), batch), desc=f"{len(chosen)} methods", unit="batch"):
        numbers, pictures, seen = [], [], []
        for number in range(start, min(start + batch, len(source))):
            try:
                picture = read_image(source[number])
                true = seen_mask(model, truth(number), picture.size[::-1], protocol)
            except KitError as error:
                if source.damaged is None:
                    raise
                kept.skipped[number] = str(error)
                continue
            numbers.append(number)
            pictures.append(picture)
            seen.append(true)
        if numbers:
            own = None if given is None else given[numbers]
            kept.take(model, model.preprocess(pictures), vectors, torch.stack(seen), own)
    return kept.done(protocol)


class _Kept:
    """What is kept while batches go through."""

    def __init__(self, methods: dict, keep_maps: bool):
        self.methods, self.keep_maps = methods, keep_maps
        self.results = {name: Segmentation() for name in methods}
        self.maps: dict[str, list[Tensor]] = {name: [] for name in methods}
        self.classes: list[Tensor] = []
        self.seen: list[Tensor] = []
        self.skipped: dict[int, str] = {}
        self.blank = dict.fromkeys(methods, 0)

    def take(
        self, model: Model, pixels: Tensor, vectors: Tensor, seen: Tensor, classes: Tensor | None
    ) -> None:
        if classes is None:
            classes = (normalize(model.encode_image(pixels), dim=-1) @ vectors.T).argmax(1).cpu()
        own = vectors[classes] - vectors.mean(0)  # [batch, embed]
        for name, method in self.methods.items():
            maps = method(model, pixels, own).cpu()  # [batch, row, col]
            heat, found = spread(maps, seen.shape[1:])
            self.results[name].add(heat, found, seen)
            self.blank[name] += int((maps.amax((1, 2)) <= 0).sum())
            if self.keep_maps:
                self.maps[name].append(maps)
        self.classes.append(classes)
        self.seen += [seen] if self.keep_maps else []

    def done(self, protocol: str) -> Segmented:
        if not self.classes:
            raise KitError("no image could be read, so there is nothing to measure; look at the files.")
        maps = {name: torch.cat(one) for name, one in self.maps.items()} if self.keep_maps else None
        seen = torch.cat(self.seen) if self.keep_maps else None
        return Segmented(
            self.results, torch.cat(self.classes), protocol, self.skipped, maps, seen, self.blank
        )


def _vectors(model: Model, directions) -> Tensor:
    vectors = directions.vectors if isinstance(directions, Directions) else directions
    if not isinstance(vectors, Tensor):
        raise KitError(f"directions should be a tensor [class, embed], not {type(vectors).__name__}.")
    expect_shape(vectors, "class embed", "directions", embed=model.embed_dim)
    if len(vectors) < 2:
        raise KitError(
            "one class minus the mean of all classes is nothing; give at least two, to compare with."
        )
    return vectors.to(model.device, model.dtype)


def _given(classes, images: int, known: int) -> Tensor:
    numbers = torch.as_tensor(np.asarray(classes))
    if tuple(numbers.shape) != (images,) or not ((numbers >= 0) & (numbers < known)).all():
        raise KitError(
            f"classes should be one number for each of {images} images, 0 to {known - 1}, the row of its "
            f"direction; they are {list(numbers.shape)}."
        )
    return numbers.long()


def _masks(images: ImageSet, source, masks):
    """The mask of an image by its number."""
    if masks is None:
        if hasattr(source, "mask"):
            return source.mask
        masks = getattr(images, "masks", None)
        if masks is None:
            raise KitError("nothing tells where the objects are; give masks=, one [row, col] for each image.")
        masks = masks.any(1)  # [image, object, row, col] of scenes
    if len(masks) != len(source):
        raise KitError(f"{len(masks)} masks for {len(source)} images; give one for each.")
    return lambda number: masks[number]
