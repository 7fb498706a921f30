"""The rows of a card: a figure, its interval, and what it was measured on."""

from dataclasses import dataclass, field

from kit.measures import Interval, bootstrap_interval

BOOTSTRAP_SEED = 7
SLICES = {  # arguments of `kit.world.draw`; all unbiased
    "full": {},
    "natural": {"colours": 0.0},
    "clean": {"colours": 0.0, "textures": 0.0, "sizes": ("medium", "large")},
}


def rounded(interval: Interval) -> dict[str, float]:
    """A figure and its ends with four decimals."""
    return {k: round(v, 4) for k, v in interval._asdict().items()}


@dataclass
class Table:
    """Rows of measured figures, one for each thing asked and group of artists."""

    rows: list[dict] = field(default_factory=list)

    def add(self, what: str, artists: str, values, seed: int, groups=None) -> None:
        """Add the mean of `values` [batch] with its interval."""
        self.put(what, artists, bootstrap_interval(values, BOOTSTRAP_SEED, groups=groups), len(values), seed)

    def put(self, what: str, artists: str, interval: Interval, images: int, seed: int, **others) -> None:
        """Add a figure that has its interval; `others` are further columns."""
        row = {"what": what, "artists": artists, **rounded(interval), "images": images, "seed": seed}
        self.rows.append(row | others)


def figure(row: dict) -> str:
    """A figure with its interval, as the pages print it."""
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
