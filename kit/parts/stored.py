"""What a panel on a store needs: the model, the pictures and the store, and that they belong together."""

from typing import NamedTuple

from kit.data.sets import Images, as_set
from kit.errors import KitError
from kit.models import Model, load
from kit.parts.collect import collect
from kit.parts.stores import Store
from kit.world import draw

SCENES = 1000  # where no images are given


class Stored(NamedTuple):
    """A model, images that can be shown, what its parts wrote for them, the seed that drew them, if any."""

    model: Model
    images: object
    store: Store
    seed: int | None


def stored(
    model: Model, images: Images, store, selector: str, seed: int, tokens: str | None = None
) -> Stored:
    """Fill in what is not given, and check the rest.

    Args:
        model: a model, or the name of a shipped one.
        images: anything that a pass takes; None = 1,000 scenes with one object.
        store: what was collected from these images; None = a pass is made now.
        selector: parts that such a pass keeps.
        seed: of such scenes.
        tokens: what such a pass keeps of single tokens, as for `kit.collect`.

    Raises:
        KitError: an unknown model, a store of other images.
    """
    model = load(model) if isinstance(model, str) else model
    images = draw(SCENES, seed, kind="single") if images is None else images
    if store is None:
        name = f"{len(images):,} images"
        store = collect(model, images, "store", name, selector=selector, tokens=tokens)
    shown = as_set(images, model)
    if [shown.digest] != store.facts["data"]:
        raise KitError(
            f"the store is not of these {len(shown):,} images, so other pictures would be shown than were "
            "compared; give the images that it was collected from."
        )
    return Stored(model, shown, store, getattr(images, "seed", None))
