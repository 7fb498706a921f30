"""What becomes of a tower: exact, partial, refused or failed, and the self-check in words."""

import warnings
from dataclasses import dataclass

from kit.errors import KitError, Refused
from kit.models import Model
from kit.models.untrained import untrained
from kit.parts.check import Check
from kit.parts.checked import check

NAMED = 3  # hidden layers that a sentence names


@dataclass(frozen=True)
class Examined:
    """What became of one name.

    Attributes:
        name: what was examined.
        verdict: "exact", "partial", "no attention", "refused" (proved by the engine) or "failed" (an error
            of ours).
        says: the verdict in words.
        check: the self-check; None where there is no sum.
        heads: number of heads that are parts.
    """

    name: str
    verdict: str
    says: str
    check: Check | None = None
    heads: int = 0

    def __str__(self) -> str:
        return self.says


def examine(model: Model | str) -> Examined:
    """The verdict on a tower; a refusal is a result here, not an error.

    Args:
        model: from `kit.load`; a name stands for `untrained(name)`.

    Raises:
        KitError: an unknown name, or too little memory.

    Example:
        >>> examine("stickers-l8").verdict
        'exact'
    """
    model = untrained(model) if isinstance(model, str) else model
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch.export, about its own future
            found = check(model)
    except Refused as refusal:
        return Examined(model.name, "refused", str(refusal))
    except KitError as error:
        return Examined(model.name, "failed", str(error))
    return Examined(model.name, found.verdict, verdict(model, found), found, found.kinds.get("head", 0))


def verdict(model: Model, found: Check) -> str:
    """The self-check of a model in words."""
    size = " × ".join(map(str, model.image_size))
    parts, heads = sum(found.kinds.values()), found.kinds.get("head", 0)
    told = f"{model.label} at {size} pixels: {found.verdict}. {parts} parts sum to the library's own output"
    told += f" within {found.error:.0e} of its length"
    if not found.layers:
        return f"{told}. There is no attention in it; its parts are whole branches."
    told += f"; {found.reached} of {found.layers} attention layers are parts, {heads} heads in all"
    told = "; ".join(filter(None, [told, found.about_silent, found.about_tokens])) + "."
    if found.verdict == "exact":
        return told
    others = "What is no part lies" if found.silent else "The other layers lie"
    walls = [f"{part} (behind {wall})" for part, wall in found.hiding.items()]
    more = f" and {len(walls) - NAMED} more parts" if len(walls) > NAMED else ""
    return f"{told} {others} inside {', '.join(walls[:NAMED])}{more}."
