"""Charts of a report as SVG that takes its colours from the page, light or dark."""

from html import escape

KINDS = ("var(--s0)", "var(--s1)", "var(--s2)", "var(--s3)")  # Okabe-Ito, see the page's style
DASHES = ("", "7 4", "2 3", "9 3 2 3")
WIDTH, HEIGHT = 600, 344
LEFT, RIGHT, TOP, BOTTOM = 44, 190, 34, 48


def curves(found: dict[str, list[dict]], names: list[str], across: str, up: str, alt: str, lines=None) -> str:
    """Shares along places, with whiskers for intervals.

    Args:
        found: name of a curve -> for each place `value`, `low` and `high` of its interval, if any; 0-1.
        names: of the places.
        across, up: names of the axes.
        alt: what is to be seen, in words.
        lines: words -> share, drawn as level lines.
    """
    lines = lines or {}
    ends = [p.get(k, p["value"]) for own in found.values() for p in own for k in ("low", "value", "high")]
    low, high = _span([*ends, *lines.values()])
    y_of = lambda share: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (share - low) / (high - low)  # noqa: E731
    step = (WIDTH - LEFT - RIGHT) / max(1, len(names))
    x_of = lambda n, k: LEFT + step * (n + 0.5) + 4 * (k - (len(found) - 1) / 2)  # noqa: E731
    pieces = [_grid(low, high, y_of, up)]
    skip = max(1, len(names) // 16 + (len(names) % 16 > 0 and len(names) > 16))
    for n, name in enumerate(names):
        if n % skip == 0:
            pieces.append(_text(LEFT + step * (n + 0.5), HEIGHT - BOTTOM + 16, name, "middle"))
    pieces.append(_text(LEFT + step * len(names) / 2, HEIGHT - 8, across, "middle"))
    ends = [(y_of(share), words, "var(--ink)") for words, share in lines.items()]
    for y, _, _ in ends:
        pieces.append(_line([(LEFT, y), (WIDTH - RIGHT, y)], "var(--ink)", 1, "3 3"))
    for k, (name, own) in enumerate(found.items()):
        points = [(x_of(n, k), y_of(p["value"])) for n, p in enumerate(own)]
        for (x, y), point in zip(points, own):
            if "low" in point:
                pieces.append(_line([(x, y_of(point["low"])), (x, y_of(point["high"]))], KINDS[k], 1))
            pieces.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{KINDS[k]}"/>')
        pieces.append(_line(points, KINDS[k], 2, DASHES[k]))
        ends.append((points[-1][1], name, KINDS[k]))
    pieces += _labels(ends)
    return _svg(WIDTH, HEIGHT, alt, pieces)


def _labels(ends: list[tuple[float, str, str]]) -> list[str]:
    """Names at the ends of lines, pushed apart."""
    found, last = [], -100.0
    ends = sorted(ends)
    room = 15.0
    top = max(TOP + 4.0, min(e[0] for e in ends) if ends else 0)
    overflow = top + room * (len(ends) - 1) - (HEIGHT - BOTTOM)
    last = top - room - max(0.0, overflow)
    for y, words, fill in ends:
        last = max(last + room, min(y, HEIGHT - BOTTOM))
        found.append(_text(WIDTH - RIGHT + 8, last + 4, words, "start", fill))
    return found


def bars(rows: list[dict], across: str, alt: str, ticks: list[tuple[float, str]] | None = None) -> str:
    """Shares as level bars with whiskers, 0 to 1.

    Args:
        rows: `name`, `value`, `low`, `high`.
        across: name of the axis.
        alt: what is to be seen, in words.
        ticks: further values that are marked across all rows, and what they are.
    """
    left, right, high = 232, 118, 30
    x_of = lambda share: left + (WIDTH + 60 - left - right) * share  # noqa: E731
    height = 46 + high * len(rows) + 16 * len(ticks or [])
    pieces = []
    for percent in (0, 25, 50, 75, 100):
        x = x_of(percent / 100)
        pieces.append(_line([(x, 8), (x, 8 + high * len(rows))], "var(--line)", 1))
        pieces.append(_text(x, 8 + high * len(rows) + 15, str(percent), "middle"))
    pieces.append(_text(x_of(0.5), 8 + high * len(rows) + 32, across, "middle"))
    for n, row in enumerate(rows):
        y = 8 + high * n
        width = max(0.5, x_of(row["value"]) - left)
        pieces.append(f'<rect x="{left}" y="{y + 6}" width="{width:.1f}" height="18" fill="var(--s0)"/>')
        pieces.append(_line([(x_of(row["low"]), y + 15), (x_of(row["high"]), y + 15)], "var(--ink)", 2))
        for end in (row["low"], row["high"]):
            pieces.append(_line([(x_of(end), y + 10), (x_of(end), y + 20)], "var(--ink)", 2))
        pieces.append(_text(left - 8, y + 19, row["name"], "end", "var(--ink)"))
        words = f"{100 * row['value']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        pieces.append(_text(WIDTH + 60 - right + 8, y + 19, words, "start", "var(--ink)"))
    for n, (share, words) in enumerate(ticks or []):
        x, dash = x_of(share), DASHES[1 + n % 3]
        pieces.append(_line([(x, 4), (x, 8 + high * len(rows))], KINDS[1 + n % 3], 2, dash))
        y = 8 + high * len(rows) + 46 + 16 * n
        pieces.append(_line([(left, y - 4), (left + 28, y - 4)], KINDS[1 + n % 3], 2, dash))
        pieces.append(_text(left + 36, y, words, "start"))
    return _svg(WIDTH + 60, height, alt, pieces)


def _span(values: list[float]) -> tuple[float, float]:
    """Ends of an axis: tenths around the values."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    low, high = int(low * 10 - (low < 0)) / 10, -int(-high * 10 - (high > 0) * 0.999) / 10
    return (low, high) if high > low else (low, low + 0.1)


def _grid(low: float, high: float, y_of, up: str) -> str:
    steps = round((high - low) * 10)
    by = next(b for b in (1, 2, 5, 10, 20) if steps / b <= 6)
    found = []
    for n in range(0, steps + 1, by):
        share = low + n / 10
        found.append(_line([(LEFT, y_of(share)), (WIDTH - RIGHT, y_of(share))], "var(--line)", 1))
        found.append(_text(LEFT - 6, y_of(share) + 4, f"{100 * share:.0f}", "end"))
    return "".join([*found, _text(4, 12, up, "start")])


def _text(x: float, y: float, words: str, anchor: str, fill: str = "var(--faint)") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12" fill="{fill}">'
        f"{escape(words)}</text>"
    )


def _line(points, stroke: str, width: float, dash: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width}"{dash}/>'


def _svg(width: float, height: float, alt: str, pieces: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(alt)}" '
        f'style="max-width:{width:g}px">{"".join(pieces)}</svg>'
    )
