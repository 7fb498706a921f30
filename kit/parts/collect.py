"""One pass over a set of images that keeps means or moments of the parts, or the parts themselves."""

import atexit
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

from kit.data.sets import as_set
from kit.errors import KitError, nearest
from kit.models.memory import check_pass
from kit.parts.means import Means, collect_means
from kit.parts.moments import Moments, collect_moments
from kit.parts.store_pass import collect_store
from kit.parts.stores import Store

KEPT = ("means", "moments", "store")


def collect(
    model,
    images,
    keep: str = "means",
    name: str | None = None,
    batch: int = 64,
    selector: str | None = None,
    path: str | Path | None = None,
    workers: int = 0,
    tokens: str | None = None,
) -> Means | Moments | Store:
    """Means of every part, moments of the heads, or a store of the parts, of a set of images, in one pass.

    Means and moments do not grow with the number of images. Moments of parts of a set merge into those of
    the whole, so for labelled subsets collect each label's images by themselves (no image is run twice)
    and merge them as a question needs it. A store keeps what every image wrote, on the disk.

    With a path, a pass that was killed goes on where it was when the same call is made again, and one that
    has ended is read. Files that cannot be read are left out and listed beside the result. Under `torchrun`
    every process takes its share; see `loupe pass --help`.

    Args:
        model: from `kit.load`.
        images: a set from `kit.data`, scenes of `kit.world`, or anything that `model.preprocess` reads.
        keep: `"means"`, for mean ablation, `"moments"`, for `kit.textspan`, or `"store"`.
        name: the set in words; captions and results show it.
        batch: images at once.
        selector: which parts; None is all heads for moments, all but constants for a store.
        path: file, or folder of a store, that is written; None keeps the result in memory, a store in a
            folder that goes when Python ends.
        workers: processes that read images ahead; 0 reads them in this one.
        tokens: `"cls"` also keeps what each head read at the class token (`Store.read_at_cls`); stores alone.

    Returns:
        `Means`, `Moments` or `Store`.

    Raises:
        KitError: no name, no image, no image that can be read, an unknown thing to keep, a selector that
            chooses nothing, a path that holds something else, a store shared out without one; too little
            memory or disk, with the estimate.

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
        known = ", ".join(f'keep="{k}"' for k in KEPT)
        raise KitError(f'no keep="{keep}"; there are {known}.{nearest(keep, KEPT)}')
    if not name:
        raise KitError('a reference set needs a name, such as name="2,000 photographs of birds".')
    if tokens is not None and (tokens != "cls" or keep != "store"):
        raise KitError(f'no tokens="{tokens}" with keep="{keep}"; there is tokens="cls" with keep="store".')
    images, path = as_set(images), path and Path(path)
    check_pass(model, batch)
    if keep == "store":
        return collect_store(model, images, name, batch, selector, path or _passing_folder(), workers, tokens)
    if keep == "moments":
        selector = "L*.H*" if selector is None else selector
        return collect_moments(model, images, name, batch, selector, path, workers)
    if selector is not None:
        raise KitError('means are kept of every part; leave selector out, or ask for keep="moments".')
    return collect_means(model, images, name, batch, path, workers)


def _passing_folder() -> Path:
    """Where a store lies that nobody gave a place: removed when Python ends."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise KitError('processes that share a pass must agree on a folder: name it, as path="runs/birds".')
    folder = mkdtemp(prefix="loupe-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder) / "store"
