"""What a panel shows of a state, as plain data that can be stored and held against what comes later."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

STEP = 1e-6  # to which stored numbers are rounded
TOLERANCE = 2e-6  # half a step on either side, and a tenth of what float32 resolves in a score of 1
MOST = 5  # numbers that a message names


@dataclass(frozen=True)
class Shown:
    """One state of one panel.

    Attributes:
        caption: the finding in words.
        finding: the line of plain text that a saved notebook keeps.
        numbers: of the panel's CSV file, each cell that is a finite number, smallest first.
    """

    caption: str
    finding: str
    numbers: np.ndarray

    def as_json(self) -> dict:
        """The same as plain data: the smallest number in steps of 1e-6, then from each to the next."""
        steps = np.round(self.numbers / STEP).astype(np.int64)
        return {
            "caption": self.caption,
            "finding": self.finding,
            "numbers": np.diff(steps, prepend=0).tolist(),
        }

    @classmethod
    def of_json(cls, held: dict) -> "Shown":
        """What `as_json` was made of, its numbers rounded to 1e-6."""
        numbers = np.array(list(accumulate(held["numbers"])), dtype=np.float64) * STEP
        return cls(held["caption"], held["finding"], numbers)


def each_shown(make, states: list[str], folder: Path) -> Iterator[tuple[str, Shown]]:
    """Every state of a panel with what is shown of it: the first is what the panel is made with.

    Args:
        make: makes the panel from a state string.
        states: the strings.
        folder: where files of the panel are written.
    """
    panel = make(states[0])
    for state in states:
        restore(panel, state)
        yield state, shown(panel, folder)
    panel.close()


def typed(panel, state: str) -> None:
    """Type a state string, right or wrong, into the panel's field."""
    (getattr(panel, "_restore", None) or panel._restore_state)(state)


def restore(panel, state: str) -> None:
    """Give a panel a state string, as a hand does that pastes it into the panel's field."""
    typed(panel, state)
    assert panel.last_error is None, panel.last_error
    assert not panel.message, f"{type(panel).__name__} refuses the state {state!r}: {panel.message}"


def string(panel) -> str:
    """The state of a panel as a string."""
    return getattr(panel, "string", None) or str(panel.selection)


def shown(panel, folder: Path) -> Shown:
    """What a panel shows now; the CSV file is written into the folder and read again."""
    bundle, _ = panel._repr_mimebundle_()
    return Shown(panel.caption, bundle["text/plain"], numbers(panel.save(folder / "panel.csv")))


def numbers(path: Path) -> np.ndarray:
    """Every cell of a CSV file that is a finite number, sorted.

    Empty cells, words, True and False are no numbers; lines with # and the names of columns do not count.
    """
    with path.open(newline="") as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))
    cells = (_number(cell) for row in rows[1:] for cell in row)
    return np.sort(np.array([value for value in cells if np.isfinite(value)], dtype=np.float64))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def differences(expected: Shown, came: Shown) -> list[str]:
    """What differs between two showings of a state, a line for each: what was expected, and what came."""
    lines = []
    for name in ("caption", "finding"):
        was, now = getattr(expected, name), getattr(came, name)
        if was != now:
            lines.append(f"{name}: expected {was!r}, came {now!r}")
    gone, new = _apart(expected.numbers, came.numbers)
    if gone or new:
        counts = f"expected {len(expected.numbers)} numbers, came {len(came.numbers)}"
        lines.append(f"numbers: {counts}; only expected: {_some(gone)}; only came: {_some(new)}")
    return lines


def _apart(first: np.ndarray, second: np.ndarray) -> tuple[list[float], list[float]]:
    """The numbers of two sorted lists that have no partner in the other within the tolerance."""
    i, j, gone, new = 0, 0, [], []
    while i < len(first) and j < len(second):
        gap = second[j] - first[i]
        if abs(gap) <= TOLERANCE:
            i, j = i + 1, j + 1
        elif gap > 0:
            gone.append(float(first[i]))
            i += 1
        else:
            new.append(float(second[j]))
            j += 1
    return gone + first[i:].tolist(), new + second[j:].tolist()


def _some(values: list[float]) -> str:
    more = f" and {len(values) - MOST} more" if len(values) > MOST else ""
    return (", ".join(f"{value:.6f}" for value in values[:MOST]) or "none") + more
