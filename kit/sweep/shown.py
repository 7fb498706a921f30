"""Rows of a report as figures: shares in percent, changes in points, each with its interval."""

from collections.abc import Iterable

import pandas as pd

from kit.figures import Bars, Curves, Table, interval, number

VALUE, CHANGE = ("value", "low", "high"), ("change", "change_low", "change_high")


def percent(row: dict, keys: tuple[str, ...] = VALUE, sign: bool = False) -> str:
    """The share under the first key in percent, and the interval under the others, if there are any.

    Example:
        >>> percent({"value": 0.5, "low": 0.25, "high": 0.75}), percent({"chance": 0.5}, ("chance",))
        ('50.0 [25.0, 75.0]', '50.00')
    """
    value, *ends = (100 * float(row[key]) for key in keys)
    told = number(value, digits=1 if ends else 2, sign=sign)
    return f"{told} {interval(*ends, 10)}" if ends else told  # 10: one decimal


def table(
    rows: Iterable[dict], columns: dict[str, str | tuple[str, ...]], title: str, says: str = ""
) -> Table:
    """A table of rows.

    Args:
        rows: of a report.
        columns: name -> key of what is shown, or keys as of `percent`; changes are in points by their name.
        title, says: of the figure.
    """
    shown = {
        name: [row[k] if isinstance(k, str) else percent(row, k, "points" in name) for row in rows]
        for name, k in columns.items()
    }
    return Table(pd.DataFrame(shown), title=title, says=says)


def bars(rows: dict[str, dict], unit: str, keys: tuple[str, ...], **more) -> Bars:
    """One bar for each row: the shares under `keys`, in percent."""
    value, low, high = ([100 * row[key] for row in rows.values()] for key in keys)
    return Bars(list(rows), value, unit, low=low, high=high, **more)


def curves(lines: dict[str, list[dict]], places: Iterable, across: str, up: str, **more) -> Curves:
    """One curve for each list of rows, in percent, with intervals where they are known."""
    value, low, high = (
        {name: [100 * row[key] for row in rows] for name, rows in lines.items() if key in rows[0]}
        for key in VALUE
    )
    return Curves([str(place) for place in places], value, across, up, low, high, **more)
