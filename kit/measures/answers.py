"""Right and wrong answers: hits, accuracies, what is taken for what."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from kit.axes import expect_shape
from kit.errors import KitError


def hits(scores: Tensor, labels: Tensor, top: int = 1) -> Tensor:
    """Whether the right text is among the `top` best-scored ones of each image.

    A tie with a wrong text counts against the image: equal scores for all texts
    are no answer, and must not look like one.

    Args:
        scores: [batch, text].
        labels: number of the right text, int [batch].
        top: how many answers an image may give.

    Returns:
        bool [batch].

    Raises:
        KitError: shapes that do not fit, a label that is no text, scores that are not finite.

    Example:
        >>> hits(torch.tensor([[0.1, 0.3], [0.2, 0.0]]), torch.tensor([1, 1]))
        tensor([ True, False])
    """
    expect_shape(scores, "batch text", "scores")
    expect_shape(labels, "batch", "labels", batch=len(scores))
    texts = scores.shape[1]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < texts:
        span = f"{int(labels.min())} to {int(labels.max())}"
        raise KitError(f"labels go from {span}, but there are {texts} texts; leave unlabelled images out.")
    if not torch.isfinite(scores).all():
        raise KitError("scores hold values that are not finite; look for them in the model's output.")
    right = scores.gather(1, labels[:, None])  # [batch, 1]
    as_good = (scores >= right).sum(1)  # the right one itself included
    return as_good <= top


def accuracy(scores: Tensor, labels: Tensor, top: int = 1) -> float:
    """Share of images whose right text is among the `top` best-scored, 0-1; see `hits`.

    Example:
        >>> accuracy(torch.tensor([[0.1, 0.3], [0.2, 0.0]]), torch.tensor([1, 1]))
        0.5
    """
    return float(hits(scores, labels, top).float().mean())


class Changed(NamedTuple):
    """Answers that an intervention changed.

    Attributes:
        lost, won: whether each image's answer became wrong, or right, bool [image].
        other: whether it changed from one wrong answer to another, bool [image].
        said, now: numbers of the answers before and after, int64 [image].
        order: numbers of the images whose answer changed: those that became wrong first, then those that
            became right, the clearest of each first.
    """

    lost: Tensor
    won: Tensor
    other: Tensor
    said: Tensor
    now: Tensor
    order: list[int]

    def some(self, most: int = 3) -> list[int]:
        """Numbers of a few of these images, in their order, but each kind of change once before any twice.

        Example:
            >>> said, now = torch.tensor([0, 0, 1]), torch.tensor([1, 1, 0])
            >>> Changed(said > 0, said > 1, said > 1, said, now, [0, 1, 2]).some(2)
            [0, 2]
        """
        kinds: dict[tuple[int, int], list[int]] = {}
        for i in self.order:
            kinds.setdefault((int(self.said[i]), int(self.now[i])), []).append(i)
        return [i for turn in zip_longest(*kinds.values()) for i in turn if i is not None][:most]

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many became wrong, how many right, and how many went from one wrong answer to another."""
        return int(self.lost.sum()), int(self.won.sum()), int(self.other.sum())

    def says(self) -> str:
        """The counts in words; "" where no answer changed."""
        lost, won, other = self.counts
        wrong = f", {other} wrong before and after" * bool(other)
        return f"{lost} became wrong, {won} right{wrong}" * bool(self.order)


def answer_changes(before: Tensor, after: Tensor, labels: Tensor) -> Changed:
    """Which answers an intervention changed, on the same images.

    Args:
        before, after: scores, [image, text].
        labels: number of the right text, int [image]. A tie with a wrong text is wrong, as in `hits`.

    Example:
        >>> before, after = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> answer_changes(before, after, torch.tensor([0, 0])).order
        [0]
    """
    said, now = before.argmax(1), after.argmax(1)
    was, still = hits(before, labels), hits(after, labels)
    lost, won = was & ~still, ~was & still
    other = (said != now) & ~lost & ~won
    lead = (after.gather(1, now[:, None]) - after.gather(1, said[:, None]))[:, 0]  # of the new answer
    order = torch.argsort(lead + 10 * lost + 5 * won, descending=True, stable=True)
    return Changed(lost, won, other, said, now, [i for i in order.tolist() if said[i] != now[i]])


def confusions(scores: Tensor, labels: Tensor, names: Sequence[str], top: int = 10) -> pd.DataFrame:
    """The most frequent wrong answers.

    Args:
        scores: [batch, text].
        labels: number of the right text, int [batch].
        names: of the texts.
        top: rows at most.

    Returns:
        A table with columns `is`, `taken_for`, `images`, and `share` (of the images that are it), the
        most images first.

    Example:
        >>> scores = torch.eye(3)[[1, 1, 2]]
        >>> confusions(scores, torch.tensor([0, 1, 2]), ["cat", "dog", "cow"]).values.tolist()
        [['cat', 'dog', 1, 1.0]]
    """
    expect_shape(scores, "batch text", "scores", text=len(names))
    said = scores.argmax(1)
    table = pd.DataFrame({"is": labels.tolist(), "taken_for": said.tolist()})
    total = table["is"].value_counts()
    wrong = table[table["is"] != table["taken_for"]].value_counts().reset_index(name="images")
    wrong["share"] = wrong["images"] / wrong["is"].map(total)
    wrong = wrong.sort_values(["images", "share", "is"], ascending=[False, False, True], kind="stable")
    for column in ("is", "taken_for"):
        wrong[column] = wrong[column].map(lambda i: names[i])
    return wrong.head(top).reset_index(drop=True)
