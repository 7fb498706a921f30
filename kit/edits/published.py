"""What the paper's code switches off on Waterbirds, and figures quoted of it, each with its source."""

import pandas as pd

from kit.data.classes import class_vectors
from kit.data.waterbirds import BIRDS, WATERBIRDS_SIZES, read_waterbirds
from kit.edits.answers import ask_classes
from kit.errors import KitError, nearest
from kit.measures.groups import GroupBootstrap
from kit.models.model import Model
from kit.parts.collect import collect

# Lists of `compute_use_specific_heads` in yossigandelsman/clip_prs, as "layer.head", a list for each role
# that the authors read off the texts. Of ViT-L-14, 22.12 stands in both lists.
_HEADS = {
    "ViT-B-16": {"geolocation": "11.6 11.0", "image location": "11.3 10.11 10.10 9.8 9.6"},
    "ViT-L-14": {
        "geolocation": "21.1 22.12 22.13 21.11 21.14 23.6",
        "image location": "21.3 21.6 21.8 21.13 22.2 22.12 22.15 23.1 23.3 23.5",
    },
    "ViT-H-14": {
        "geolocation": "31.8 30.15 30.12 30.6 29.14 29.8",
        "image location": "31.12 30.11 29.4",
    },
}
SOURCE = "released code, yossigandelsman/clip_prs, compute_use_specific_heads"
# Worst-group accuracy on Waterbirds in percent, before and after, as a review of the paper quotes it; the
# paper's own table was not read. "After" mixes three interventions: heads, all MLPs, early attention layers.
_WORST = {"ViT-B-16": (45.6, 57.5), "ViT-L-14": (47.7, 72.9), "ViT-H-14": (37.2, 43.3)}
SECONDARY = "a review that quotes the paper; secondary"


def waterbirds_heads(model: str) -> pd.DataFrame:
    """The heads that the paper's released code ablates on Waterbirds, each once.

    Args:
        model: "ViT-B-16", "ViT-L-14" or "ViT-H-14".

    Returns:
        One row for each head: `part`, `roles` (of the lists that it stands in, joined by " + "), `source`.

    Raises:
        KitError: the paper lists no heads of this model.

    Source:
        The lists of the released code. Differs from it in that a head of two lists counts once.

    Example:
        >>> len(waterbirds_heads("ViT-L-14")), ", ".join(waterbirds_heads("ViT-B-16")["part"][:2])
        (15, 'L11.H6, L11.H0')
    """
    if model not in _HEADS:
        known = ", ".join(_HEADS)
        raise KitError(f'the paper lists no heads of "{model}"; it does of {known}.{nearest(model, _HEADS)}')
    found: dict[str, list[str]] = {}
    for role, heads in _HEADS[model].items():
        for layer, head in (place.split(".") for place in heads.split()):
            found.setdefault(f"L{layer}.H{head}", []).append(role)
    roles = [" + ".join(dict.fromkeys(each)) for each in found.values()]
    return pd.DataFrame({"part": list(found), "roles": roles, "source": SOURCE})


def waterbirds_published() -> pd.DataFrame:
    """Worst-group accuracy that is quoted of the paper, 0-1, with its source, beside its lists of heads.

    Returns:
        One row for each model: `before`, `after`, `source`; `heads`, how many are listed, and `in two lists`,
        those that stand in both.

    Example:
        >>> waterbirds_published()[["before", "after", "heads"]].loc["ViT-L-14"].tolist()
        [0.477, 0.729, 15.0]
    """
    rows = {}
    for model, (before, after) in _WORST.items():
        heads = waterbirds_heads(model)
        twice = heads["part"][heads["roles"].str.contains(" + ", regex=False)]
        rows[model] = {"before": round(before / 100, 3), "after": round(after / 100, 3), "source": SECONDARY}
        rows[model] |= {"heads": len(heads), "in two lists": ", ".join(twice)}
    return pd.DataFrame.from_dict(rows, orient="index")


def waterbirds_table(model: Model, folder) -> pd.DataFrame:
    """Groups of Waterbirds before and after the heads of the released code are switched off.

    Means are those of the training split, so that no image that is judged is among them.

    Args:
        model: one that the paper lists heads of, see `waterbirds_heads`.
        folder: of the data set, see `kit.data.read_waterbirds`.

    Returns:
        As `GroupBootstrap.told`; the average by training shares is over the published sizes.

    Raises:
        KitError: no list of heads of this model, no such folder.
    """
    off = ", ".join(waterbirds_heads(model.name)["part"])
    reference, birds = (read_waterbirds(folder, split) for split in ("train", "test"))
    vectors = class_vectors(model, list(BIRDS))
    texts = {name: vectors[n : n + 1] for n, name in enumerate(BIRDS)}
    answers = ask_classes(model, birds, texts, birds.name, collect(model, reference, "means", reference.name))
    groups = GroupBootstrap(answers.labels["group"], seed=0, shares=WATERBIRDS_SIZES["train"])
    return groups.told(answers.right(off), answers.right())
