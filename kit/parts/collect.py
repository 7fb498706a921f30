"""One pass over a set of images that keeps means or moments of the parts."""

from kit.errors import KitError, nearest
from kit.parts.means import Means, collect_means
from kit.parts.moments import Moments, collect_moments

KEPT = ("means", "moments")


def collect(
    model,
    images,
    keep: str = "means",
    name: str | None = None,
    batch: int = 64,
    selector: str | None = None,
) -> Means | Moments:
    """Means of every part, or moments of the heads, over a set of images, in one pass.

    What is kept does not grow with the number of images. Moments of parts of a set merge into those of
    the whole, so for labelled subsets collect each label's images by themselves (no image is run twice)
    and merge them as a question needs it.

    Args:
        model: from `kit.load`.
        images: anything that `model.preprocess` reads, or scenes of `kit.world`.
        keep: `"means"`, for mean ablation, or `"moments"`, for `kit.textspan`.
        name: the reference set in words; captions and results show it.
        batch: images at once.
        selector: for moments, which parts; None is all heads.

    Returns:
        `Means` or `Moments`.

    Raises:
        KitError: no name, no image, an image that cannot be read, an unknown thing to keep, a selector
            that chooses nothing.

    Example:
        >>> import kit
        >>> model, scenes = kit.load("stickers-l8"), kit.world.draw(8, seed=1)
        >>> collect(model, scenes, name="eight scenes").count
        8
        >>> large = scenes.codes["size"] == kit.world.VALUES["size"].index("large")
        >>> one, other = (collect(model, scenes.images[some], "moments", "eight scenes", selector="L5.H0")
        ...               for some in (large, ~large))
        >>> one.merge(other).count
        8
    """
    if keep not in KEPT:
        known = " and ".join(f'keep="{k}"' for k in KEPT)
        raise KitError(f'no keep="{keep}"; there are {known}.{nearest(keep, KEPT)}')
    if not name:
        raise KitError('a reference set needs a name, such as name="2,000 photographs of birds".')
    images = getattr(images, "images", images)
    if len(images) == 0:
        raise KitError("no image was given: the set is empty; give at least one.")
    if keep == "moments":
        return collect_moments(model, images, name, batch, "L*.H*" if selector is None else selector)
    if selector is not None:
        raise KitError('means are kept of every part; leave selector out, or ask for keep="moments".')
    return collect_means(model, images, name, batch)
