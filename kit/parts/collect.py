"""One pass over a set of images that keeps means or moments of the parts, or the parts themselves."""

import atexit
import os
import shutil
import time
import warnings
from pathlib import Path
from tempfile import gettempdir, mkdtemp

from kit.data.locks import Lock, is_held
from kit.data.passes import place
from kit.data.sets import Images, as_set, set_name
from kit.errors import KitError, expect_count, nearest
from kit.models.memory import check_pass
from kit.models.model import Model
from kit.parts.files import check_name
from kit.parts.labels import damaged_in
from kit.parts.means import Means, MeansKeeper
from kit.parts.moments import CONVENTIONS, Moments, MomentsKeeper
from kit.parts.one_pass import Request, pass_over
from kit.parts.store_pass import StoreKeeper
from kit.parts.stores import Store
from kit.writing import checked_path

KEEPERS = {keeper.kind: keeper for keeper in (MeansKeeper, MomentsKeeper, StoreKeeper)}
PASSING, OWNER = "loupe-passing-", "owner.lock"  # folders of stores without a place, and who made them


def collect(
    model: Model,
    images: Images,
    keep: str = "means",
    name: str | None = None,
    batch: int = 64,
    selector: str | None = None,
    path: str | Path | None = None,
    workers: int = 0,
    tokens: str | None = None,
    convention: str = "exact",
) -> Means | Moments | Store:
    """Means of every part, moments of the heads, or a store of the parts, of a set of images, in one pass.

    Means and moments do not grow with the number of images. Moments of parts of a set merge into those of
    the whole, so for labelled subsets collect each label's images by themselves (no image is run twice)
    and merge them as a question needs it. A store keeps what every image wrote, on the disk.

    With a path, a pass that was killed goes on where it was when the same call is made again, and one that
    has ended is read. One pass at a time writes there, and nothing that is not of this very pass is written
    over. Files that cannot be read are left out, told of in a warning and listed beside the result; pictures
    that were replaced since a pass began are run again by it, and refused once it has ended. Under `torchrun`
    every process takes its share; see `loupe pass --help`.

    Args:
        model: from `kit.load`.
        images: a set from `kit.data` or torchvision, scenes of `kit.world`, or anything that
            `model.preprocess` reads.
        keep: `"means"`, for mean ablation, `"moments"`, for `kit.textspan`, or `"store"`.
        name: the set in words; captions and results show it.
        batch: images at once.
        selector: which parts; None is all heads for moments, all but constants for a store.
        path: file, or folder of a store, that is written; None keeps the result in memory, a store in a
            folder that goes when Python ends.
        workers: processes that read images ahead; 0 reads them in this one.
        tokens: `"cls"` also keeps what each head read at the class token (`Store.read_at_cls`); stores alone.
        convention: `"exact"`, or `"paper"`: parts with the bookkeeping of constants of the paper's code, as
            `kit.textspan(..., convention="paper")` asks for them; moments alone, and [embed, embed] numbers
            for each part.

    Returns:
        `Means`, `Moments` or `Store`.

    Raises:
        KitError: no name of one line, no image, no image that can be read, an unknown thing to keep, a
            selector that chooses nothing, a path that holds something else or that another pass writes, a
            pass shared out without one; too little memory or disk, with the estimate.

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
    if keep not in KEEPERS:
        known = ", ".join(f'keep="{k}"' for k in KEEPERS)
        raise KitError(f'no keep="{keep}"; there are {known}.{nearest(keep, KEEPERS)}')
    if tokens is not None and (tokens != "cls" or keep != "store"):
        raise KitError(f'no tokens="{tokens}" with keep="{keep}"; there is tokens="cls" with keep="store".')
    if convention not in CONVENTIONS or (convention != "exact" and keep != "moments"):
        raise KitError(
            f'no convention="{convention}" with keep="{keep}"; there is "exact", and "paper" with '
            'keep="moments".'
        )
    if path is None and place()[1] > 1:
        raise KitError('processes that share a pass must agree on a place: name it, as path="runs/birds".')
    name, batch, workers = check_name(name), expect_count("batch", batch), expect_count("workers", workers, 0)
    images, path = as_set(images, model), None if path is None else checked_path(path)
    check_pass(model, batch)
    where = passing_folder() if keep == "store" and path is None else path
    keeper = KEEPERS[keep](Request(model, images, name, batch, selector, where, workers, tokens, convention))
    result = pass_over(keeper)
    if images.damaged is not None and path is not None:
        images.damaged |= damaged_in(keeper.listed, len(images))
    if images.damaged and place()[0] == 0:
        why = images.damaged[min(images.damaged)]
        left = f"{len(images.damaged):,} of {len(images):,} images could not be read and are left out"
        warnings.warn(f"{left}, such as: {why}", stacklevel=2)
    return result


def as_means(model: Model, means: Means | Images) -> Means:
    """Means as they are; of a set of images they are collected now, in a pass, under the set's own name."""
    return means if isinstance(means, Means) else collect(model, means, name=set_name(means))


def _age(folder: Path) -> float:
    """Seconds since something was made in a folder, or removed."""
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0


def passing_folder() -> Path:
    """Where a store lies that nobody gave a place: removed when Python ends.

    What processes that were killed left is removed by the next one that needs such a place.
    """
    for left in Path(gettempdir()).glob(f"{PASSING}*"):
        if _age(left) > 60 and (left / OWNER).is_file() and not is_held(left / OWNER):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(mkdtemp(prefix=PASSING))
    owner = Lock(folder / OWNER, f'"{folder}"')

    def remove(process: int = os.getpid()) -> None:
        if os.getpid() == process:  # a process that was forked leaves it alone
            shutil.rmtree(folder, ignore_errors=True)
            owner.release()

    atexit.register(remove)
    return folder / "store"
