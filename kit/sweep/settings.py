"""What a sweep is asked to do, and how its answers are written down."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from kit.errors import KitError

CANDIDATES = ("all", "present")
KIT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Settings:
    """How a sweep is made; everything but `batch` and `workers` is part of what its results are.

    Attributes:
        candidates: classes that can be answered: "all" 1,000 of ImageNet, or those "present" in the folder.
        limit: take so many images of each set, spread evenly; None is all.
        last: layers from the last whose heads are spanned by texts.
        draws: random sets of heads beside a chosen one.
        seed: of halves, draws and intervals.
        words: a file of texts, one on each line, that is tried as a further bank.
        batch: images at once in a pass.
        workers: processes that read images ahead.

    Raises:
        KitError: no such candidates, a number that is not positive.
    """

    candidates: str = "all"
    limit: int | None = None
    last: int = 4
    draws: int = 200
    seed: int = 0
    words: Path | None = None
    batch: int = 64
    workers: int = 0

    def __post_init__(self):
        if self.candidates not in CANDIDATES:
            raise KitError(f'no candidates "{self.candidates}"; there are {" and ".join(CANDIDATES)}.')
        for name in ("limit", "last", "draws", "batch"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise KitError(f"{name}={value!r} is no positive number; give a whole number from 1.")

    def plain(self) -> dict:
        """What makes two sweeps the same, as JSON; a file of texts by its content."""
        kept = ("candidates", "limit", "last", "draws", "seed")
        words = None if self.words is None else hashlib.sha256(self.words.read_bytes()).hexdigest()
        return {name: getattr(self, name) for name in kept} | {"words": words}


@cache
def kit_version() -> str:
    """The version of the kit, and a digest of its sources: results of other sources are made again."""
    digest = hashlib.sha256()
    for path in sorted(KIT.rglob("*.py")):
        digest.update(path.relative_to(KIT).as_posix().encode() + path.read_bytes())
    try:
        number = version("loupe")
    except PackageNotFoundError:  # a clone that is on the path without having been installed
        number = "not installed"
    return f"{number}, sources {digest.hexdigest()[:8]}"


def rows(table: pd.DataFrame, name: str = "name") -> list[dict]:
    """A table as plain rows: its index as a column, numbers with six decimals, missing ones as None.

    Example:
        >>> rows(pd.DataFrame({"value": [0.5, float("nan")]}, ["a", "b"]))
        [{'name': 'a', 'value': 0.5}, {'name': 'b', 'value': None}]
    """
    found = []
    for key, row in zip(table.index, table.to_dict("records")):
        found.append({name: str(key)} | {str(column): _plain(value) for column, value in row.items()})
    return found


def _plain(value):
    if isinstance(value, str | bool | list):
        return value
    if pd.isna(value):
        return None
    return (
        int(value) if float(value).is_integer() and not isinstance(value, float) else round(float(value), 6)
    )
