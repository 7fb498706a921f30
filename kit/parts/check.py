"""What the self-check of a tower found: do the parts sum to it, and is all attention among them?"""

from dataclasses import dataclass, field, replace

import torch

from kit.parts.splits import wrong

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
KINDS = {"head": "heads", "mlp": "MLPs", "branch": "branches", "bias": "constants", "embed": "embed"}


@dataclass(frozen=True)
class Check:
    """What the self-check of a tower found.

    Attributes:
        verdict: `"exact"`: every attention layer that writes to the representation became parts.
            `"partial"`: the sum is exact too, but some attention layers are hidden inside other parts.
            `"no attention"`: the sum is exact, of whole branches, for there is no attention layer.
        error: largest relative distance of the sum from the library's own output.
        tolerance: what was allowed.
        reached, layers: attention layers that became parts which can be other than zero, and all.
        kinds: how many parts of each kind there are.
        hiding: the parts that hold the other attention layers, each with the operation on the way that
            no part can pass; empty where the verdict is exact.
        silent: attention layers whose parts are zero whatever the weights are, since the representation
            reads nothing that they write. Where the verdict is exact, later attention alone reads it.
        tokens: largest distance of a layer's token maps from the scores of its heads, relative to the
            maps; None until a first run kept tokens.
        wrong_splits: layers whose maps are further away than allowed, with the distance, by source and
            by position; their maps are refused.
    """

    verdict: str
    error: float
    tolerance: float
    reached: int
    layers: int
    kinds: dict[str, int]
    hiding: dict[str, str]
    silent: tuple[int, ...] = ()
    tokens: float | None = None
    wrong_splits: dict[str, dict[int, float]] = field(default_factory=dict)

    def cells(self) -> dict[str, str | int]:
        """What a table says of it: the verdict, how many parts of each kind, how many layers are reached.

        Example:
            >>> list(Check("exact", 1e-7, 1e-5, 2, 2, {"head": 12, "mlp": 2}, {}).cells().values())
            ['exact', 14, 12, 2, 0, 0, 0, '2 of 2']
        """
        told: dict[str, str | int] = {"verdict": self.verdict, "parts": sum(self.kinds.values())}
        told |= {name: self.kinds.get(kind, 0) for kind, name in KINDS.items()}
        return told | {"attention reached": f"{self.reached} of {self.layers}"}

    def __str__(self) -> str:
        told = f"{self.verdict}: the parts sum to the representation within {self.error:.0e}; "
        if not self.layers:
            return f"{told}there is no attention layer, and the parts are whole branches"
        told += f"{self.reached} of {self.layers} attention layers are parts"
        walls = "; ".join(f"{part}, behind {operation}" for part, operation in self.hiding.items())
        others = "what is no part lies" if self.silent else "the others lie"
        told += f", {self.about_silent}" if self.silent else ""
        told += f", {others} inside {walls}" if walls else ""
        return told + (f"; {self.about_tokens}" if self.wrong_splits else "")

    @property
    def about_silent(self) -> str:
        """A clause on the layers whose parts are zero; empty where there is none."""
        if not self.silent:
            return ""
        names = f"{len(self.silent)} ({_spans(self.silent)})"
        one = len(self.silent) == 1
        told = f"{names} {'writes' if one else 'write'} nothing to it {'itself' if one else 'themselves'}"
        told += f" ({'its' if one else 'their'} parts are zero)"
        alone = f": later attention alone reads {'it' if one else 'them'}"
        return told + (alone if self.verdict == "exact" else "")

    @property
    def about_tokens(self) -> str:
        """A clause on the layers whose maps are refused; empty where all are right."""
        layers = sorted({layer for own in self.wrong_splits.values() for layer in own})
        return f"token maps of {_spans(layers)} do not sum to their heads and are refused" if layers else ""

    def with_tokens(self, errors: dict[str, dict[int, float]]) -> "Check":
        """The same with what was found of the maps, as `kit.parts.splits.split_errors` gives it."""
        largest = max((e for own in errors.values() for e in own.values()), default=0.0)
        return replace(self, tokens=largest, wrong_splits=wrong(errors, self.tolerance))


def _spans(numbers) -> str:
    """Layers by name, neighbours as a range.

    Example:
        >>> _spans([0, 1, 2, 5])
        'L0–L2, L5'
    """
    ends: list[list[int]] = []
    for number in numbers:
        if ends and ends[-1][1] == number - 1:
            ends[-1][1] = number
        else:
            ends.append([number, number])
    return ", ".join(f"L{a}" if a == b else f"L{a}–L{b}" for a, b in ends)
