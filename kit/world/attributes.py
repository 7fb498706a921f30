"""What scenes can be asked: attributes by their labels, missing where the question makes no sense."""

import numpy as np
import pandas as pd

from kit.world import atlas
from kit.world.values import SEEN, VALUES

PLAIN = ("category", "concept", "background", "position", "size", "count", "relation")
UPRIGHT = ("above", "below")


def attributes(labels: pd.DataFrame) -> pd.DataFrame:
    """The attributes of scenes that differ between them, each missing where it is not asked.

    The same scenes are asked as by `python -m kit.workshop.cards.roles`, so that chance alone ties one
    attribute to another: colour and texture of recoloured objects, the artist of concepts that every seen
    artist drew, a word that does not name the object.

    Args:
        labels: of `kit.world.draw`, or of a store of its scenes.

    Returns:
        One column for each attribute with two values or more, one row for each scene.

    Example:
        >>> import kit
        >>> found = attributes(kit.world.draw(200, seed=1).labels)
        >>> found.columns.tolist()[:4], bool(found["colour"].isna().any())
        (['category', 'concept', 'background', 'position'], True)
    """
    found = pd.DataFrame({name: labels[name] for name in PLAIN if name in labels}, index=labels.index)
    recoloured = labels["colour"] != "natural"
    for name in ("colour", "texture"):
        found[name] = labels[name].where(recoloured)
    drawn = atlas.available()[[VALUES["artist"].index(name) for name in SEEN]].all(0).numpy()
    of_all = drawn[[VALUES["concept"].index(concept) for concept in labels["concept"]]]
    found["artist"] = labels["artist"].where(of_all)
    if (labels["kind"] == "pair").all():
        found = pd.DataFrame({"relation": labels["relation"]})  # two objects: nothing else has one value
        along = np.where(labels["relation"].isin(UPRIGHT), "above or below", "left or right")
        found.insert(0, "arrangement", along)
    elif (labels["kind"] == "count").all():
        found = found[["count"]]
    else:
        found["word"] = labels["word"].where(labels["word"] != labels["concept"])
    return found[[name for name in found if found[name].nunique() > 1]]
