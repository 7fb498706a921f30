"""Answers on scores that a test has made up: a store in memory whose embedding is as wide as the texts."""

import numpy as np
import pandas as pd
import torch

from kit.edits import Answers
from kit.parts import Store


def made_up(
    name: str, model: str, classes: list[str], index: pd.DataFrame, labels: pd.DataFrame, scores
) -> Answers:
    """Answers of which the scores are these, [image, part, text], and nothing else is in the sum."""
    count, parts, texts = scores.shape
    ones = np.ones((count, 1), np.float32)
    store = Store(
        folder=None,
        name=name,
        model=model,
        weights_hash="",
        index=index,
        labels=labels,
        files=[str(number) for number in range(count)],
        damaged={},
        facts={"heads": [], "others": list(range(parts)), "preprocessing": "", "data": [name]},
        arrays={
            "others": np.asarray(scores, np.float32),
            "embedding": np.asarray(scores.sum(1), np.float32),
            "scalars": np.concatenate([ones, ones], 1),
        },
        rows=np.arange(count),
        gain=None,
    )
    truth = torch.tensor(labels["y"].to_numpy())
    return Answers(
        store, name, classes, torch.eye(texts), torch.arange(texts), torch.arange(count), truth, model=model
    )
