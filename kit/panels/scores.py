"""From a cached run to the scores of its parts for the prompts of a state; no tower runs."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kit.errors import KitError
from kit.panels.selection import Selection, split_tokens


@dataclass(frozen=True)
class Scores:
    """Scores of one picture's parts for the listed prompts: what all findings are made from.

    Attributes:
        parts: what each part adds, [part, text].
        zero, mean: what it would add if replaced by zero, or by its mean over the reference set
            (None without a means file), [part, text].
        maps: what each head adds to the active prompt from each token, [head, token]; NaN for heads whose
            maps are refused.
        whole: from the library's own representation, not from the parts, [text].
        means_name: what the reference set is called.
        no_mean: why there are no means, where there are none.
        no_maps: why maps of some heads are refused, where they are.
    """

    parts: np.ndarray
    zero: np.ndarray
    mean: np.ndarray | None
    maps: np.ndarray
    whole: np.ndarray
    means_name: str = ""
    no_mean: str = ""
    no_maps: str = ""

    def replacement(self, how: str) -> np.ndarray:
        """What switched-off parts add, [part, text].

        Raises:
            KitError: "mean" without a means file.
        """
        if how == "zero":
            return self.zero
        if self.mean is None:
            raise KitError(self.no_mean)
        return self.mean


def prompt_directions(vectors: Tensor, how: str) -> Tensor:
    """Unit directions of prompts, [text, embed], from their unit vectors.

    `"contrast"`: each prompt minus the mean of the others, made unit again. Texts all lie in one cone,
    and what they share says nothing about a picture. One prompt alone stays as it is.

    Example:
        >>> prompt_directions(torch.eye(2), "contrast")
        tensor([[ 0.7071, -0.7071],
                [-0.7071,  0.7071]])
    """
    n = len(vectors)
    if how != "contrast" or n < 2:
        return vectors
    others = (vectors.sum(0, keepdim=True) - vectors) / (n - 1)  # [text, embed]
    return torch.nn.functional.normalize(vectors - others, dim=-1)


def score_run(run, dirs: Tensor, state: Selection, means=None, no_mean: str = "") -> Scores:
    """Scores of one picture's parts for all prompts of the state.

    Args:
        run: the cached `kit.parts.run` of one picture.
        dirs: unit directions, [text, embed] (`prompt_directions`).
        state: which prompt the maps are for, and whether the reference mean is taken off.
        means: mean parts of the reference set (`kit.parts.means`), or None.
        no_mean: why there are no means, where there are none.

    Raises:
        KitError: directions "reference" without means.
    """
    parts = _array(run.scores(dirs)[0])  # [part, text]
    maps, no_maps = token_maps(run, dirs[state.text : state.text + 1])  # [head, token, text]
    whole = _array(dirs @ run.representation[0] / run.norm[0])  # [text]
    zero = np.zeros_like(parts)
    mean = None if means is None else _array(means.parts.to(dirs) @ dirs.T)  # [part, text]
    if state.directions == "reference":
        if mean is None:
            raise KitError(no_mean)
        parts, zero, whole, mean = parts - mean, zero - mean, whole - mean.sum(0), zero
    name = "" if means is None else means.name
    return Scores(parts, zero, mean, maps[..., 0], whole, name, no_mean, no_maps)


def token_maps(run, dirs: Tensor) -> tuple[np.ndarray, str]:
    """Maps of all heads of one picture, and why some are missing.

    Args:
        run: the run of one picture.
        dirs: unit directions, [text, embed].

    Returns:
        [head, token, text], NaN for heads whose maps are refused; and the sentence that says so, or `""`.
    """
    refused, heads = run.refused(), run.index[run.index["kind"] == "head"]
    if not refused:
        return _array(run.maps(dirs)[0]), ""
    right = ~heads["layer"].isin(refused.keys()).to_numpy()
    some = _array(run.maps(dirs, ", ".join(heads["name"][right]) or "none")[0])  # [head, token, text]
    maps = np.full((len(heads), *some.shape[1:]), np.nan, some.dtype)
    maps[right] = some
    more = f" So are those of {len(refused) - 1} more layers." if len(refused) > 1 else ""
    return maps, next(iter(refused.values())) + more


def token_numbers(tokens: str, prefix: int, shape: tuple[int, int]) -> list[int]:
    """Numbers of the tokens that `"r3c5, cls"` names; prefix tokens come first.

    Raises:
        KitError: a token that is not there.

    Example:
        >>> token_numbers("r0c1, cls", prefix=1, shape=(2, 2))
        [2, 0]
    """
    numbers = []
    for term in split_tokens(tokens):
        if term == "cls":
            if not prefix:
                raise KitError('no token "cls": this model has patches only; write "r0c0" and the like.')
            numbers.append(0)
            continue
        row, col = map(int, term[1:].split("c"))
        if row >= shape[0] or col >= shape[1]:
            raise KitError(f'no token "{term}": there are {shape[0]} rows and {shape[1]} columns, from 0.')
        numbers.append(prefix + row * shape[1] + col)
    return numbers


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
