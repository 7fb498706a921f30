"""Figures that are quoted of the paper, each with its source and the checkpoint that it belongs to.

The paper's own tables were not read: what stands here is said by its released code, by public notes or by a
review. What no source says (accuracies of single models in table 1, groups before the edit) is left out.
"""

from kit.edits.published import SECONDARY, waterbirds_published

TAGS = {"ViT-B-16": "laion2b_s34b_b88k", "ViT-L-14": "laion2b_s32b_b82k", "ViT-H-14": "laion2b_s32b_b79k"}
NOTES = "public notes on the paper, and a review; secondary"
CODE = "comments of the released code"
NOT_SAID = "one of the paper's three; which, no source says"


def published(name: str, pretrained: str | None) -> list[dict]:
    """The figures of an architecture, and whether they are of the very checkpoint.

    Args:
        name: of the model.
        pretrained: tag or file that it was loaded with.

    Returns:
        One row for each: `stage`, `what`, `value`, `unit`, `checkpoint`, `same` (whether that is the
        checkpoint at hand), `source`. None for an architecture that the paper does not have.

    Example:
        >>> [row["value"] for row in published("ViT-B-16", "random") if row["stage"] == "cues"]
        [45.6, 57.5]
        >>> published("ViT-B-32", "openai")
        []
    """
    if name not in TAGS:
        return []
    checkpoint = f"{name}, {TAGS[name]}"
    found = [
        ("ablation", "change of accuracy, all MLPs and embed", "−1 to −3", "points", NOTES, checkpoint),
        *_spans(name, checkpoint),
    ]
    birds = waterbirds_published().loc[name]
    for when, what in (("before", "nothing replaced"), ("after", "all of these, as released")):
        value = round(100 * float(birds[when]), 1)
        found.append(("cues", f"worst group, {what}", value, "%", SECONDARY, checkpoint))
    for what, value in (("pixel accuracy", 75.21), ("mIoU", 54.50), ("mAP", 81.61)):
        found.append(("segmentation", f"{what}, token maps", value, "%", SECONDARY, NOT_SAID))
    found.append(("segmentation", "pixel accuracy, raw attention", 65.67, "%", SECONDARY, NOT_SAID))
    keys = ("stage", "what", "value", "unit", "source", "checkpoint")
    same = pretrained == TAGS[name]
    return [dict(zip(keys, row)) | {"same": same and row[-1] == checkpoint} for row in found]


def _spans(name: str, checkpoint: str) -> list[tuple]:
    """What is quoted of ViT-L-14 alone."""
    if name != "ViT-L-14":
        return []
    return [
        ("spans", "accuracy, nothing replaced", 75.25, "%", SECONDARY, checkpoint),
        ("spans", "accuracy, 60 texts of the paper's own bank", 72.77, "%", SECONDARY, checkpoint),
        ("spans", "role of L20.H4", "counting", "", CODE, checkpoint),
        ("spans", "role of L23.H8", "colour", "", CODE, checkpoint),
        ("spans", "role of L22.H13", "geolocation", "", SECONDARY, checkpoint),
    ]
