"""From a cached run to the scores of its parts for some directions, and what would replace them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from kit.errors import KitError


@dataclass(frozen=True)
class PartScores:
    """Scores of one picture's parts for some directions, and what would stand in their place.

    Attributes:
        parts: what each part adds, [part, text].
        zero, mean: what it would add if replaced by zero, or by its mean over the reference set
            (None without a means file), [part, text].
        maps: what each head adds to one of the directions from each token, [head, token]; NaN for heads whose
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


def part_scores(
    run, dirs: Tensor, text: int = 0, less_mean: bool = False, means=None, no_mean: str = ""
) -> PartScores:
    """Scores of one picture's parts for all directions; no tower runs.

    Args:
        run: the cached `kit.parts.run` of one picture.
        dirs: unit directions, [text, embed].
        text: which of them the maps are for.
        less_mean: whether every part is held against its mean over the reference set.
        means: mean parts of the reference set (`kit.parts.means`), or None.
        no_mean: why there are no means, where there are none.

    Raises:
        KitError: `less_mean` without means.
    """
    parts = array(run.scores(dirs)[0])  # [part, text]
    maps, no_maps = token_maps(run, dirs[text : text + 1])  # [head, token, text]
    whole = array(dirs @ run.representation[0] / run.norm[0])  # [text]
    zero = np.zeros_like(parts)
    mean = None if means is None else array(means.parts.to(dirs) @ dirs.T)  # [part, text]
    if less_mean:
        if mean is None:
            raise KitError(no_mean)
        parts, zero, whole, mean = parts - mean, zero - mean, whole - mean.sum(0), zero
    name = "" if means is None else means.name
    return PartScores(parts, zero, mean, maps[..., 0], whole, name, no_mean, no_maps)


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
        return array(run.maps(dirs)[0]), ""
    right = ~heads["layer"].isin(refused.keys()).to_numpy()
    some = array(run.maps(dirs, ", ".join(heads["name"][right]) or "none")[0])  # [head, token, text]
    maps = np.full((len(heads), *some.shape[1:]), np.nan, some.dtype)
    maps[right] = some
    more = f" So are those of {len(refused) - 1} more layers." if len(refused) > 1 else ""
    return maps, next(iter(refused.values())) + more


def loudest(index: pd.DataFrame, adds: np.ndarray) -> str:
    """Name of the head that adds most; of a tower without heads, of the part that does.

    Args:
        index: as `run.index`.
        adds: what each part adds, [part].

    Example:
        >>> loudest(pd.DataFrame({"name": ["L0.H0", "L0.H1", "L0.MLP"], "kind": ["head", "head", "mlp"]}),
        ...         np.array([0.1, 0.2, 0.7]))
        'L0.H1'
    """
    heads = np.flatnonzero((index["kind"] == "head").to_numpy())
    rows = heads if heads.size else np.arange(len(index))
    return str(index["name"].iloc[rows[np.argmax(adds[rows])]])


def attention_row(run, layer: int) -> Tensor:
    """How much of what each head of a layer reads for the representation it reads at each token.

    Where the representation pools several tokens, their rows are added as the pooling weighs them.

    Args:
        run: of a tower whose representation reads rows of attention (`run.frozen.plain`).
        layer: number of the layer.

    Returns:
        [batch, head, token], prefix tokens first; over tokens 1.
    """
    row = run.pattern_shares(layer).sum(1)  # [batch, head, token]
    return row / row.sum(-1, keepdim=True)


def array(tensor: Tensor) -> np.ndarray:
    """A tensor's numbers as float32, wherever it lies."""
    return tensor.detach().float().cpu().numpy()
