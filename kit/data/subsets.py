"""Subsets of images by the values of their labels."""

import numpy as np
import pandas as pd

EVERY = "all images"
FEWEST = 20  # images of a subset: fewer say little of a variance
MOST_VALUES = 12  # of a label that subsets are made of


def subsets(labels: pd.DataFrame) -> dict[str, np.ndarray | None]:
    """Subsets of images by the values of their labels.

    Args:
        labels: one row for each image. Numbers that are not whole, labels with more than 12 values and
            values of fewer than 20 images make none.

    Returns:
        `"label: value"` -> which images have it, bool [image]; first `EVERY` -> None, for all of them.

    Example:
        >>> list(subsets(pd.DataFrame({"size": ["small"] * 30 + ["large"] * 30})))
        ['all images', 'size: large', 'size: small']
    """
    found: dict[str, np.ndarray | None] = {EVERY: None}
    for column in labels.columns:
        values = labels[column].dropna()
        if values.dtype.kind == "f" or not 2 <= values.nunique() <= MOST_VALUES:
            continue
        for value in sorted(values.unique(), key=str):
            inside = (labels[column] == value).to_numpy()
            if FEWEST <= inside.sum() < len(labels):
                found[f"{column}: {value}"] = inside
    return found
