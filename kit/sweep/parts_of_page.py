"""Pieces of the report's page; every text that comes in is escaped here."""

from html import escape


def heading(words: str) -> str:
    return f"<h3>{escape(words)}</h3>"


def paragraph(words: str) -> str:
    return f"<p>{escape(words)}</p>"


def faint(words: str) -> str:
    return f'<p class="faint">{escape(words)}</p>'


def warning(words: str) -> str:
    return f'<p class="warn">{escape(words)}</p>'


def table(head: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A table of words; cells from the `left`-th on are figures."""
    lines = []
    for tag, row in [("th", head), *(("td", row) for row in rows)]:
        words = (escape(str(cell)).replace("\n", "<br>") for cell in row)
        kinds = (" class=n" if n >= left else "" for n in range(len(row)))
        lines.append("".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in zip(kinds, words)))
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def chart(drawing: str, caption: str) -> str:
    """A drawing and what it shows."""
    return f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def colour_bar(*ends: str) -> str:
    """Blue over white to red, with the values at its ends and middle."""
    words = "".join(f"<span>{escape(end)}</span>" for end in ends)
    return f'<div class="colours" aria-hidden="true"><i></i><div>{words}</div></div>'


def percent(row: dict, key: str = "value", ends=("low", "high")) -> str:
    """A share in per cent with its interval.

    Example:
        >>> percent({"value": 0.5, "low": 0.25, "high": 0.75})
        '50.0 [25.0, 75.0]'
    """
    value, low, high = (100 * row[k] + 0.0 for k in (key, *ends))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def points(row: dict, key: str = "change", ends=("change_low", "change_high")) -> str:
    """A change in points with its interval; no negative zero.

    Example:
        >>> points({"change": -0.01, "change_low": -0.02, "change_high": 0.0})
        '-1.0 [-2.0, +0.0]'
    """
    value, low, high = (round(100 * row[k], 1) + 0.0 for k in (key, *ends))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
