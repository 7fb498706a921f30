"""Attention layers that write nothing to the representation themselves, as in towers that read one token.

CaiT's patches meet in two dozen layers, and then one class token reads them: the representation is that
token, so nothing that those layers write stands in it. Their parts are zero, and that is the whole truth
where later attention alone reads them. Where a branch reads them too, that branch hides them.
"""

import torch
from torch import Tensor

from kit.parts.frozen import FrozenGraph
from kit.parts.taps import Taps, tapped


def read_by_attention_alone(frozen: FrozenGraph, pixels: Tensor) -> bool:
    """Whether silent layers act through other attention layers and through nothing else.

    They are silenced while the outputs of all other attention layers are held: a representation that
    moves is reached by another way, through a branch, a gate or the spread of a norm.

    Args:
        frozen: the tower, with silent layers.
        pixels: [batch, 3, height, width].
    """
    taps = _Silenced(set(frozen.silent))
    with torch.no_grad():
        before, after = (tapped(frozen)(pixels, taps) for _ in range(2))
    return torch.equal(before, after)


class _Silenced(Taps):
    """Keeps what attention layers write in a first pass and gives it again in a second, silent ones zero."""

    def __init__(self, silent: set[int]):
        self.silent = silent
        self.kept: dict[int, Tensor] = {}

    def attention(self, layer: int, call, out: Tensor) -> Tensor:
        if layer not in self.kept:
            self.kept[layer] = torch.zeros_like(out) if layer in self.silent else out
            return out
        return self.kept[layer]
