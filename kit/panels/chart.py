"""A chart that lives: plotly draws a figure in the browser, and a click on a mark comes back by its name."""

import gzip
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import anywidget
import ipywidgets
import traitlets

_HERE = Path(__file__).parent


class _Plotly(anywidget.AnyWidget):
    """plotly.js, packed: it travels once for a kernel, and all charts refer to it."""

    _esm = "export default {}"

    code = traitlets.Bytes().tag(sync=True)


_shared: _Plotly | None = None


def _plotly() -> _Plotly:
    """The one `_Plotly` of this kernel; it outlives the panel that was first to need it."""
    global _shared
    if _shared is None or _shared.comm is None:  # closed, by `Widget.close_all`
        code = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
        _shared = _Plotly(code=gzip.compress(code, 5))  # 4.8 MB become 1.5
    return _shared


class ChartPanel(anywidget.AnyWidget):
    """A figure of plotly that is assigned to, never made again.

    The figure comes with a transparent ground; ink, grid lines and hover labels take the colours of
    JupyterLab's theme wherever the figure's own layout names none. Its width is that of the panel.

    Traits:
        figure: plotly's JSON, `{"data": [...], "layout": {...}}`; `""` = nothing is drawn.
        alt: the figure in words, for a reader who does not see it.
        still: a PNG that is shown until plotly has loaded, or where it cannot load; may be empty.

    Example:
        >>> chart = ChartPanel()
        >>> figure = '{"data": [{"y": [1, 2], "customdata": ["L0.H0", "L0.H1"]}], "layout": {}}'
        >>> chart.show(figure, "two heads")
        >>> chart.on_picked(lambda name: None)   # called with "L0.H1" when the second mark is clicked
        >>> chart.alt
        'two heads'
    """

    _esm = _HERE / "chart.js"

    figure = traitlets.Unicode("").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    still = traitlets.Bytes(b"").tag(sync=True)
    plotly = traitlets.Instance(_Plotly).tag(sync=True, shared=True, **ipywidgets.widget_serialization)

    @traitlets.default("plotly")
    def _first_plotly(self) -> _Plotly:
        return _plotly()

    def show(self, figure_json: str, alt: str) -> None:
        """Draw this figure, and say it in these words; what did not change is not sent."""
        with self.hold_sync():
            self.figure, self.alt = figure_json, alt

    def on_picked(self, callback: Callable[[str], None]) -> None:
        """Call this with a mark's `customdata`, or its first element, at every click on the mark."""

        def heard(_, message, buffers):
            if isinstance(message, dict) and isinstance(message.get("picked"), str):
                callback(message["picked"])

        self.on_msg(heard)
