"""One-line sabotages of the kit, each of which a named test must notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A change that makes the kit wrong.

    Args:
        name: what is sabotaged, in a few words.
        file: the file that changes, from the root of the repository.
        old: text that stands there exactly once.
        new: what takes its place.
        tests: node ids of pytest; each of them must turn red.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
