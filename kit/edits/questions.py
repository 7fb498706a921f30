"""The questions that the world's own labels answer."""

from kit.edits.answers import Answers, ask
from kit.errors import KitError
from kit.models.model import Model
from kit.parts.stores import Store

ATTRIBUTES = ("concept", "colour", "background", "position", "size", "texture")


def questions(model: Model, store: Store) -> list[Answers]:
    """One question for each attribute of the world that every image of a store has a label of.

    Args:
        model: with a text tower.
        store: of scenes of the world.

    Raises:
        KitError: no such label.

    Example:
        >>> import kit
        >>> model = kit.load("stickers-l8")
        >>> store = kit.collect(model, kit.world.draw(8, seed=1), "store", "8 scenes")
        >>> [question.name for question in questions(model, store)][:2]
        ['concept', 'colour']
    """
    known = [a for a in ATTRIBUTES if a in store.labels and store.labels[a].notna().all()]
    if not known:
        raise KitError(
            f'the images of "{store.name}" have no labels of the stickers world; '
            "give asked=[kit.edits.asked(store, directions, truth, answers)]."
        )
    return [ask(model, store, attribute) for attribute in known]
