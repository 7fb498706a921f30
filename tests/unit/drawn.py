"""What stands in a picture that a figure saved: elements of an SVG by their names."""

import re
from xml.etree import ElementTree

import numpy as np

SVG = "{http://www.w3.org/2000/svg}"
HALF = 0.36  # points of an SVG that are half a pixel of 1/100 inch


class Drawn:
    """A saved SVG."""

    def __init__(self, figure, folder):
        self.root = ElementTree.parse(figure.save(folder / "drawn.svg")).getroot()
        self.by_name = {e.get("id"): e for e in self.root.iter() if e.get("id")}

    def names(self, start: str) -> list[str]:
        """Names that begin so, in the order of drawing: what comes later lies above."""
        return [name for name in self.by_name if name.startswith(start)]

    def points(self, name: str) -> np.ndarray:
        """The corners of an element's path, [corner, 2]."""
        return pairs(self.by_name[name].find(f"{SVG}path").get("d"))

    def parts(self, name: str) -> list[np.ndarray]:
        """The corners of each unbroken piece of a path."""
        pieces = self.by_name[name].find(f"{SVG}path").get("d").split("M")
        return [pairs(piece) for piece in pieces if piece.strip()]

    def marks(self, name: str) -> np.ndarray:
        """Where the marks of an element stand, [mark, 2]."""
        uses = self.by_name[name].iter(f"{SVG}use")
        return np.array([(float(u.get("x")), float(u.get("y"))) for u in uses]).reshape(-1, 2)

    def box(self, name: str) -> tuple[float, float, float, float]:
        """Left, right, top and bottom of an element's path."""
        points = self.points(name)
        return *np.sort(points[:, 0])[[0, -1]], *np.sort(points[:, 1])[[0, -1]]

    def style(self, name: str) -> dict[str, str]:
        """The style of an element's path."""
        told = self.by_name[name].find(f"{SVG}path").get("style")
        return dict(part.split(": ", 1) for part in told.split("; "))

    def inside(self, name: str) -> str:
        """All that an element holds, as it is written."""
        return ElementTree.tostring(self.by_name[name], encoding="unicode")

    def text(self, name: str) -> str:
        """The words of an element."""
        return "\n".join(t.text or "" for t in self.by_name[name].iter(f"{SVG}text"))

    def at(self, axis: str, values, axes: int = 1) -> np.ndarray:
        """Where values stand in the picture: from the first and the last grid line of an axis."""
        known = self.ticks(axis, axes)
        (low, start), (high, end) = known[0], known[-1]
        return start + (np.asarray(values, float) - low) * (end - start) / (high - low)

    def ticks(self, axis: str, axes: int = 1) -> list[tuple[float, float]]:
        """The number and the place of each grid line of an axis."""
        held, found = self.by_name[f"axes_{axes}"], []
        for tick in held.iter(f"{SVG}g"):
            if (tick.get("id") or "").startswith(f"{axis}tick"):
                lines = [pairs(path.get("d")) for path in tick.iter(f"{SVG}path")]
                words = next(tick.iter(f"{SVG}text")).text.replace("−", "-")
                found.append((float(words), lines[0][0]["xy".index(axis)]))
        return found

    def labels(self, axis: str, axes: int = 1) -> dict[str, float]:
        """The words at an axis, each with the place where it is written."""
        held = [
            next(e.iter(f"{SVG}text"))
            for e in self.by_name[f"axes_{axes}"].iter(f"{SVG}g")
            if (e.get("id") or "").startswith(f"{axis}tick") and next(e.iter(f"{SVG}text"), None) is not None
        ]
        return {t.text: float(t.get(axis)) for t in held}

    def words(self) -> list[str]:
        """All that is written, from the first to the last."""
        return [t.text or "" for t in self.root.iter(f"{SVG}text")]


def pairs(path: str) -> np.ndarray:
    """The numbers of a path, [corner, 2]."""
    return np.array(re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", path), float).reshape(-1, 2)


def colour(rgb) -> str:
    """A colour as an SVG writes it."""
    return "#" + "".join(f"{int(c):02x}" for c in rgb)


def close(found, wanted) -> bool:
    """Whether places are the same within half a pixel."""
    return np.shape(found) == np.shape(wanted) and bool(np.all(np.abs(np.subtract(found, wanted)) < HALF))
