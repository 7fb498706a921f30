"""Counter-based random integers: what is drawn for a scene depends only on version, seed, index and stream.

Each attribute has a stream of its own, so that drawing one attribute more changes no other. The mixing is
splitmix64's finaliser (Steele, Lea and Flood 2014), run twice, on int64 tensors whose products wrap; shifts
are made logical by a mask. Integers only: the same to the bit on every machine and device.
"""

import zlib

import torch
from torch import Tensor

from kit.world.values import VERSION

_STEP, _MIX_1, _MIX_2 = (c - (1 << 64) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _mix(x: Tensor) -> Tensor:
    x = (x ^ ((x >> 30) & ((1 << 34) - 1))) * _MIX_1
    x = (x ^ ((x >> 27) & ((1 << 37) - 1))) * _MIX_2
    return x ^ ((x >> 31) & ((1 << 33) - 1))


class Chance:
    """Random integers for scenes, [n] for each stream.

    Args:
        seed: seed of the whole set.
        index: numbers of the scenes, int64 [n]; results are on its device.

    Example:
        >>> every, late = Chance(7, torch.arange(100)), Chance(7, torch.arange(60, 100))
        >>> bool((every.below("size", 3)[60:] == late.below("size", 3)).all())
        True
    """

    def __init__(self, seed: int, index: Tensor):
        key = torch.tensor(VERSION * 1_000_003 + seed, dtype=torch.int64, device=index.device)
        self.base = _mix(_mix(key * _STEP) + index * _STEP)  # [n]

    def again(self, seed: int) -> "Chance":
        """Other random integers for the same scenes, decided by another seed."""
        fresh = object.__new__(Chance)
        fresh.base = _mix(self.base + _mix(torch.full_like(self.base, seed + 1) * _STEP))
        return fresh

    def bits(self, stream: str) -> Tensor:
        """31 random bits, int64 [n]."""
        word = zlib.crc32(stream.encode())
        return (_mix(_mix(self.base + word) ^ self.base) >> 20) & 0x7FFFFFFF

    def below(self, stream: str, limit: int) -> Tensor:
        """Uniform integers from 0 to `limit` - 1, int64 [n]; limit at most 2**20."""
        return self.bits(stream) * limit >> 31

    def between(self, stream: str, low: int, high: int) -> Tensor:
        """Uniform integers from `low` to `high`, both included, int64 [n]."""
        return low + self.below(stream, high - low + 1)

    def happens(self, stream: str, share: float) -> Tensor:
        """True with probability `share`, to one part in a million, bool [n]."""
        return self.below(stream, 1_000_000) < round(share * 1_000_000)

    def choose(self, stream: str, shares: list[float]) -> Tensor:
        """Index into `shares`, drawn with these probabilities, int64 [n]."""
        edges = torch.tensor(shares, dtype=torch.float64).cumsum(0) * 1_000_000
        edges = edges.round().to(torch.int64).to(self.base.device)
        return torch.bucketize(self.below(stream, 1_000_000), edges[:-1], right=True)
