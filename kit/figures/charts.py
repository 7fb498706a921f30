"""Charts: bars, curves and points with their intervals, and reference lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.figures import look as looks
from kit.figures.figure import Figure, marked, plain, plotly_figure
from kit.numbers import array, interval, largest, number

LEFT, TOP, BELOW, THICK, THIN = 0.7, 0.62, 0.5, 0.15, 0.11  # inches; thin where a label has many bars
ROOM = 1.2  # of limits on both sides of zero
FEW = 60  # points of a curve that are marked


@dataclass(frozen=True, eq=False)
class Series:
    """Numbers at places, with the ends of their 95 % intervals (NaN where none is known).

    Attributes:
        name: of the series; values, low, high: [place]; places: numbers; names: what each place is called.
    """

    name: str
    values: np.ndarray
    places: np.ndarray
    names: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Chart(Figure):
    """What bars, curves and points share. A subclass gives its `series`, and says how they are drawn.

    Attributes:
        levels: name -> number: reference lines at a value, such as chance; for bars also one for each label.
        limits: ends of the axis of values; None = all that is drawn.
        picked: name of the place that is marked.
    """

    levels: Mapping[str, float | tuple] = field(default_factory=dict, kw_only=True)
    limits: tuple[float, float] | None = field(default=None, kw_only=True)
    picked: str = field(default="", kw_only=True)

    kind = "lines"  # or "bars", "points"

    def _axes(self) -> tuple[str, str]:
        """What the places are, and what the values are."""
        raise NotImplementedError

    @property
    def series(self) -> list[Series]:
        """All that is drawn, one series after the other."""
        raise NotImplementedError

    def _checked(self, count: int, *groups: tuple[str, ...]) -> None:
        """Make arrays of numbers, each [count, …]; check ends of intervals, and what is picked."""
        for names in groups:
            if (getattr(self, names[-2]) is None) != (getattr(self, names[-1]) is None):
                raise KitError(f"an interval has two ends; give {names[-2]} and {names[-1]}, or neither.")
            for name in names:
                if (held := getattr(self, name)) is not None:
                    object.__setattr__(self, name, array(held, [count] + [None] * (np.ndim(held) - 1), name))
        object.__setattr__(self, "levels", {n: np.asarray(v, float).tolist() for n, v in self.levels.items()})
        known = {name for s in self.series for name in s.names}
        if self.picked and self.picked not in known:
            raise KitError(f'no "{self.picked}" in this figure; there are {", ".join(sorted(known))}.')

    def told(self, s: Series, i: int) -> str:
        """A number with its interval, as it is written everywhere."""
        limit = largest(*(each.values for each in self.series))
        return f"{number(s.values[i], limit)} {interval(s.low[i], s.high[i], limit)}".rstrip()

    def rows(self) -> pd.DataFrame:
        """`series`, the place under the name of its axis, the number under its unit, `low`, `high`."""
        across, up = self._axes()
        columns = ["series", across, up, "low", "high"]
        rows = [
            row for s in self.series for row in zip([s.name] * len(s.names), s.names, s.values, s.low, s.high)
        ]
        return pd.DataFrame(rows, columns=columns)

    def _seen(self) -> str:
        each = ((s.name, name, self.told(s, i)) for s in self.series for i, name in enumerate(s.names))
        said = [" ".join(filter(None, words)) for words in each]
        for name, value in self.levels.items():
            said.append(f"{name} {', '.join(number(at) for at in dict.fromkeys(np.ravel(value)))}")
        return f"{self._axes()[1]}: {'; '.join(said)}"

    def _draw(self, sheet, look: dict) -> None:
        left, wide, high = self._room()
        axes, across = sheet.axes(left, self._top, wide, high), self.kind == "bars"
        names = [plain(name) for name in self._axes()]
        axes.set_xlabel(names[across], color=look["faint"], size=9)
        axes.set_ylabel("" if across else names[1], color=look["faint"], size=9)
        axes.tick_params(colors=look["faint"], labelsize=8.5)
        axes.grid(color=look["line"], linewidth=0.6, axis="x" if across else "both")
        axes.set_axisbelow(True)
        for k, s in enumerate(self.series):
            getattr(self, f"_draw_{self.kind}")(axes, look, k, s)
        for j, (name, value) in enumerate(self.levels.items()):
            style = {"color": look["ink"], "lw": 1.2, "linestyle": looks.STYLES[(j + 1) % 8]}
            for n, at in enumerate(np.ravel(value)):
                step = (n - 0.5, n + 0.5) if np.size(value) > 1 else (0, 1)
                line = axes.plot if np.size(value) > 1 else axes.axvline if across else axes.axhline
                where = ([at, at], step) if np.size(value) > 1 else (at,)
                line(*where, gid=f"level-{j}-{n}", label=plain(name) if not n else None, **style)
        self._finish(axes, look)
        if across:
            axes.margins(x=0.14)
        ends = self.limits or (None, None)
        if across and self.limits and ends[0] < 0 < ends[1]:
            ends = ROOM * ends[0], ROOM * ends[1]  # numbers stand beyond bars, on both sides
        (axes.set_xlim if across else axes.set_ylim)(ends)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(
                loc="lower left", bbox_to_anchor=(0, 1.0), ncols=self._columns, frameon=False, fontsize=8.5,
                labelcolor=look["faint"], borderaxespad=0.2,
            )  # fmt: skip

    def _room(self) -> tuple[float, float, float]:
        """Inches left of the axes, their width and their height."""
        return LEFT, 6.2, 2.7

    @property
    def _top(self) -> float:
        """Inches above the axes: title and legend."""
        return TOP + 0.19 * max(0, -(-len(self._named) // self._columns) - 1)

    @property
    def _named(self) -> list[str]:
        """What stands in the legend."""
        return [*(s.name for s in self.series if s.name), *self.levels]

    @property
    def _columns(self) -> int:
        """Columns of the legend, in which the longest name has room."""
        return max(1, int(self._room()[1] / (0.5 + 0.068 * max(map(len, self._named), default=0))))

    def _size(self) -> tuple[float, float]:
        left, wide, high = self._room()
        return left + wide + 0.7, self._top + high + BELOW

    def _finish(self, axes, look: dict) -> None:
        """Names of places, and what is picked."""

    def _draw_whiskers(self, axes, k: int, s: Series, colour: str) -> None:
        for i in np.flatnonzero(np.isfinite(s.low) & np.isfinite(s.high)):
            ends, at = [s.low[i], s.high[i]], [s.places[i]] * 2
            line = (ends, at, "-|") if self.kind == "bars" else (at, ends, "-_")
            axes.plot(*line, color=colour, lw=1, ms=5, gid=f"whisker-{k}-{i}")

    def plotly(self):
        """The chart as a plotly figure: hover gives numbers and intervals, a click the name of a place."""
        traces, across = [], self.kind == "bars"
        for k, s in enumerate(self.series):
            k, place = k % 8, s.names if across or self._worded() else s.places
            told = [f"{marked(name)}<br>{self.told(s, i)}" for i, name in enumerate(s.names)]
            trace = {
                "x": s.values if across else place, "y": place if across else s.values,
                "name": marked(s.name), "showlegend": bool(s.name),
                "customdata": s.names, "hovertext": told,
                "hovertemplate": "%{hovertext}", "type": "bar" if across else "scatter",
            }  # fmt: skip
            if across:
                trace |= {"orientation": "h", "marker": {"pattern": {"shape": looks.PATTERNS[k]}}}
            else:
                mode = "lines+markers" if len(place) < FEW else "lines"
                trace |= {
                    "line": {"dash": looks.DASHES[k]},
                    "marker": {"symbol": looks.SYMBOLS[k], "size": 8},
                }
                trace["mode"] = "markers" if self.kind == "points" else mode
            trace["marker"] |= {"color": looks.SERIES[k], "line": {"color": "gray", "width": self._rings(s)}}
            known = np.isfinite(s.low) & np.isfinite(s.high)
            if known.any():
                above, below = s.high - s.values, s.values - s.low
                ends = {"array": np.where(known, above, np.nan), "arrayminus": np.where(known, below, np.nan)}
                bar = {"type": "data", "symmetric": False, "thickness": 1.2, "width": 4} | ends
                trace["error_x" if across else "error_y"] = bar
            traces.append(trace)
        axes = [{"title": {"text": marked(name)}} for name in self._axes()]
        names = self.series[0].names if self.series else ()
        words = {"type": "category", "tickvals": names, "ticktext": [marked(name) for name in names]}
        if across:
            axes = [axes[1], words | {"autorange": "reversed", "showgrid": False}]
        elif self._worded():
            axes[0] |= words
        axes[not across] |= {"range": self.limits} if self.limits else {}
        layout = {"xaxis": axes[0], "yaxis": axes[1], "height": round(100 * self._size()[1])}
        legend = len(traces) > 1 or (across and bool(self.levels))
        layout |= {"shapes": self._lines("x" if across else "y"), "showlegend": legend}
        return plotly_figure(traces, self.title, layout)

    def _lines(self, axis: str) -> list[dict]:
        """Reference lines for plotly."""
        other, lines = {"x": "y", "y": "x"}[axis], []
        for name, value in self.levels.items():
            many = np.size(value) > 1
            for n, at in enumerate(np.ravel(value)):
                ends = (n - 0.5, n + 0.5) if many else (0, 1)
                line = {f"{axis}0": at, f"{axis}1": at, f"{other}0": ends[0], f"{other}1": ends[1]}
                line |= {} if many else {f"{other}ref": "paper"}
                if not n and axis == "x":  # words along an upright line would stand upright too
                    line |= {"name": marked(name), "showlegend": True}
                elif not n:
                    line |= {"label": {"text": marked(name), "textposition": "end"}}
                lines.append({"type": "line", "line": {"dash": "dot", "width": 1.5, "color": "gray"}} | line)
        return lines

    def _worded(self) -> bool:
        """Whether places are words."""
        return False

    def _rings(self, s: Series):
        return [3 * (name == self.picked) for name in s.names] if self.picked in s.names else 0


@dataclass(frozen=True, eq=False)
class Bars(Chart):
    """Horizontal bars: a group for each label, one bar for each kind, whiskers where intervals are known.

    Attributes:
        labels: of the groups; one can be picked.
        values: [label, kind], or [label] for one kind.
        unit: what the numbers are.
        kinds: of the bars of a group.
        low, high: ends of the 95 % intervals, of the same shape; None or NaN = not known.
        unknown: labels with a word that the model never saw: they are marked with a question mark.

    Raises:
        KitError: shapes that do not fit, one end of an interval without the other, a label that is not there.

    Example:
        >>> Bars(["colour", "size"], [0.75, 0.5], "accuracy", low=[0.7, 0.4], high=[0.8, 0.6]).alt
        'accuracy: colour 0.750 [0.700, 0.800]; size 0.500 [0.400, 0.600].'
    """

    labels: tuple[str, ...]
    values: np.ndarray
    unit: str
    kinds: tuple[str, ...] = ("",)
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    unknown: tuple[str, ...] = ()

    kind = "bars"

    def __post_init__(self):
        for name in ("labels", "kinds", "unknown"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        shape = len(self.labels), len(self.kinds)
        for name in ("values", "low", "high"):
            if (held := getattr(self, name)) is not None:
                flat = np.ndim(held) == 1 and shape[1] == 1
                made = array(held, shape[: 2 - flat], f"{name} of bars").reshape(shape)
                object.__setattr__(self, name, made)
        self._checked(shape[0], ("values", "low", "high"))

    def _axes(self) -> tuple[str, str]:
        return "label", self.unit

    def _seen(self) -> str:
        doubt = f"; with a word that the model never saw: {', '.join(self.unknown)}" if self.unknown else ""
        return super()._seen() + doubt

    @property
    def series(self) -> list[Series]:
        """One series for each kind of bar; places are numbers of labels."""
        nothing, at = np.full(self.values.shape, np.nan), np.arange(len(self.labels), dtype=float)
        low, high = (nothing if e is None else e for e in (self.low, self.high))
        return [
            Series(kind, self.values[:, k], at, self.labels, low[:, k], high[:, k])
            for k, kind in enumerate(self.kinds)
        ]

    def _room(self) -> tuple[float, float, float]:
        left = min(3.2, max(1.75, 0.25 + 0.068 * max(map(len, self.labels), default=0)))
        return left, 6.75 - left, max(1, len(self.labels)) * (self._thick * len(self.kinds) + 0.13)

    @property
    def _thick(self) -> float:
        """Inches of a bar."""
        return THICK if len(self.kinds) <= 2 else THIN

    def _draw_bars(self, axes, look: dict, k: int, s: Series) -> None:
        thick = self._thick / (self._thick * len(self.kinds) + 0.13)
        s = replace(s, places=s.places + thick * (k - (len(self.kinds) - 1) / 2))
        style = {"color": looks.SERIES[k % 8], "hatch": looks.HATCHES[k % 8], "edgecolor": look["ink"]}
        drawn = axes.barh(s.places, s.values, thick * 0.86, linewidth=0, label=plain(s.name) or None, **style)
        self._draw_whiskers(axes, k, s, look["ink"])
        for i, bar in enumerate(drawn):
            bar.set_gid(f"bar-{k}-{i}")
            back = s.values[i] < 0
            end = np.nanmin([s.values[i], s.low[i]]) if back else np.nanmax([s.values[i], s.high[i], 0])
            axes.annotate(
                self.told(s, i).split(" ")[0], (end, s.places[i]), (-4 if back else 4, 0),
                textcoords="offset points", size=8, color=look["faint"], va="center",
                ha="right" if back else "left", gid=f"number-{k}-{i}",
            )  # fmt: skip

    def _finish(self, axes, look: dict) -> None:
        axes.axvline(0, color=look["ink"], linewidth=1)
        axes.set_ylim(max(1, len(self.labels)) - 0.5, -0.5)
        marked = ["? " * (label in self.unknown) + plain(label) for label in self.labels]
        axes.set_yticks(range(len(self.labels)), marked)
        for label, text in zip(self.labels, axes.get_yticklabels()):
            text.set(color=look["ink"], weight="bold" if label == self.picked else "normal")


@dataclass(frozen=True, eq=False)
class Curves(Chart):
    """One curve for each name, over places that they share.

    Attributes:
        x: places: numbers, or words that are drawn one step apart; one can be picked.
        ys: name -> numbers at the places, [place]; NaN leaves a gap.
        across, up: what the axes are, with units.
        low, high: name -> ends of the 95 % intervals, [place], where they are known.
        log: whether the axis of values is logarithmic.

    Raises:
        KitError: lengths that do not fit, an interval of a curve that is not there or with one end only.

    Example:
        >>> Curves([1, 2], {"kept": [0.5, 0.75]}, "heads", "accuracy").alt
        'accuracy: kept 1 0.500; kept 2 0.750.'
    """

    x: tuple
    ys: Mapping[str, np.ndarray]
    across: str
    up: str
    low: Mapping[str, np.ndarray] = field(default_factory=dict)
    high: Mapping[str, np.ndarray] = field(default_factory=dict)
    log: bool = False

    def __post_init__(self):
        object.__setattr__(self, "x", tuple(self.x))
        if self.low.keys() != self.high.keys() or not self.low.keys() <= self.ys.keys():
            raise KitError("an interval has two ends, of a curve; give low and high by the same names.")
        for name in ("ys", "low", "high"):
            held = {n: array(v, [len(self.x)], f'{name} of "{n}"') for n, v in getattr(self, name).items()}
            object.__setattr__(self, name, held)
        self._checked(len(self.x))

    def _axes(self) -> tuple[str, str]:
        return self.across, self.up

    def _worded(self) -> bool:
        return any(isinstance(x, str) for x in self.x)

    @property
    def series(self) -> list[Series]:
        """One series for each curve; places are `x`, or their numbers where they are words."""
        nothing, names = np.full(len(self.x), np.nan), tuple(map(str, self.x))
        at = np.arange(len(self.x)) if self._worded() else np.array(self.x)
        return [
            Series(n, v, at.astype(float), names, self.low.get(n, nothing), self.high.get(n, nothing))
            for n, v in self.ys.items()
        ]

    def _draw_lines(self, axes, look: dict, k: int, s: Series) -> None:
        colour, few = looks.SERIES[k % 8], len(s.places) < FEW
        style = {"linestyle": looks.STYLES[k % 8], "marker": looks.MARKS[k % 8] if few else "", "ms": 4}
        axes.plot(s.places, s.values, color=colour, label=plain(s.name), gid=f"curve-{k}", **style)
        self._draw_whiskers(axes, k, s, colour)

    def _finish(self, axes, look: dict) -> None:
        if self._worded():
            axes.set_xticks(range(len(self.x)), map(plain, self.x))
        if self.log:
            axes.set_yscale("log")
        for s in self.series:
            if self.picked in s.names:
                i = s.names.index(self.picked)
                axes.plot(s.places[i], s.values[i], "o", ms=11, mfc="none", mec=look["ink"], gid="picked")

    def plotly(self):
        """The chart for plotly, with the axis of values in powers of ten where it is asked for."""
        made = super().plotly()
        ends = {"range": np.log10(self.limits)} if self.log and self.limits else {}  # powers of ten
        return made.update_yaxes(type="log", **ends) if self.log else made


@dataclass(frozen=True, eq=False)
class Scatter(Chart):
    """Points, each with a name; kinds differ by colour and mark.

    Attributes:
        x, y: numbers, [point].
        names: of the points; one can be picked.
        across, up: what the axes are, with units.
        kinds: of the points, [point]; () = one kind.
        low, high: ends of the 95 % intervals of `y`, [point]; None or NaN = not known.
        diagonal: whether the line of equal numbers is drawn.

    Raises:
        KitError: lengths that do not fit, or a picked point that is not there.

    Example:
        >>> Scatter([0.1], [0.5], ["L0.H0"], "attention", "map").alt
        'map: L0.H0 0.500.'
    """

    x: np.ndarray
    y: np.ndarray
    names: tuple[str, ...]
    across: str
    up: str
    kinds: tuple[str, ...] = ()
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    diagonal: bool = False

    kind = "points"

    def __post_init__(self):
        for name in ("names", "kinds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.kinds) not in (0, len(self.names)):
            count = len(self.names)
            raise KitError(f"{len(self.kinds)} kinds for {count} points; give one for each, or none.")
        self._checked(len(self.names), ("x", "y", "low", "high"))

    def _axes(self) -> tuple[str, str]:
        return self.across, self.up

    @property
    def series(self) -> list[Series]:
        """One series for each kind of point; places are along `x`."""
        kinds, names = np.array(self.kinds or [""] * len(self.names)), np.array(self.names, dtype=object)
        low, high = (np.full(len(names), np.nan) if e is None else e for e in (self.low, self.high))
        x, y, low, high = map(np.asarray, (self.x, self.y, low, high))
        groups = {kind: kinds == kind for kind in dict.fromkeys(kinds.tolist())}
        return [Series(k, y[g], x[g], tuple(names[g]), low[g], high[g]) for k, g in groups.items()]

    def rows(self) -> pd.DataFrame:
        """`series`, `name`, the number up under its axis, `low`, `high`, and the number across."""
        across, up = self._axes()
        if across == up:
            across, up = f"{across}, across", f"{up}, up"
        places = np.concatenate([[], *(s.places for s in self.series)])
        named = replace(self, across="name", up=up)
        return super(Scatter, named).rows().assign(**{across: places})

    def _room(self) -> tuple[float, float, float]:
        return LEFT, 4.6, 3.4

    def _draw_points(self, axes, look: dict, k: int, s: Series) -> None:
        style = {"color": looks.SERIES[k % 8], "marker": looks.MARKS[k % 8], "linestyle": "", "ms": 5}
        self._draw_whiskers(axes, k, s, style["color"])
        for i, name in enumerate(s.names):
            label = plain(s.name) if s.name and not i else None
            axes.plot(s.places[i], s.values[i], label=label, gid=f"point-{k}-{i}", **style)
            if name == self.picked:
                axes.plot(s.places[i], s.values[i], "o", ms=11, mfc="none", mec=look["ink"], gid="picked")
                where = (s.places[i], s.values[i]), (7, 7)
                axes.annotate(plain(name), *where, textcoords="offset points", color=look["ink"], size=9)

    def _finish(self, axes, look: dict) -> None:
        if self.diagonal:
            axes.axline((0, 0), slope=1, color=look["faint"], lw=1, linestyle=":")

    def _lines(self, axis: str) -> list[dict]:
        lines = super()._lines(axis)
        if self.diagonal and len(self.names):
            ends = float(min(self.x.min(), self.y.min())), float(max(self.x.max(), self.y.max()))
            line = {"x0": ends[0], "y0": ends[0], "x1": ends[1], "y1": ends[1], "layer": "below"}
            lines.append({"type": "line", "line": {"dash": "dot", "width": 1, "color": "gray"}} | line)
        return lines
