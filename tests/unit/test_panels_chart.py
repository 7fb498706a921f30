"""A chart's Python side: one bundle for all charts, one message for a change, clicks by name."""

import gzip
import json
from importlib.resources import files

import pytest

from kit.panels.chart import ChartPanel, _plotly
from tests.wire import messages

FIGURE = json.dumps({"data": [{"type": "bar", "x": ["a", "b"], "y": [0.1, -0.2]}], "layout": {}})
LIMIT = 20_000  # bytes


def clicked(chart, message) -> None:
    """What the browser's message does in the kernel."""
    chart._handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})


def test_plotly_travels_once_and_a_chart_is_small():
    shared = _plotly()
    with messages() as sent:
        charts = [ChartPanel() for _ in range(3)]
        for chart in charts:
            chart.show(FIGURE, "two bars")
    assert all(chart.plotly is shared for chart in charts)
    assert chart.get_state("plotly") == {"plotly": f"IPY_MODEL_{shared.model_id}"}
    assert 0 < sum(sent) < 3 * LIMIT


def test_the_bundle_is_the_installed_plotly():
    code = files("plotly").joinpath("package_data/plotly.min.js").read_bytes()
    assert gzip.decompress(_plotly().code) == code
    assert len(_plotly().code) < 2_000_000


def test_closing_a_chart_leaves_the_bundle_to_the_others():
    first, second = ChartPanel(), ChartPanel()
    first.close()
    assert second.plotly.comm is not None
    assert ChartPanel().plotly is second.plotly


def test_a_bundle_that_was_closed_is_made_again():
    before = _plotly()
    before.close()
    assert ChartPanel().plotly is not before


def test_a_change_is_one_message_and_what_stays_is_not_sent():
    chart = ChartPanel()
    with messages() as sent:
        chart.show(FIGURE, "two bars")
    assert len(sent) == 1 and len(FIGURE) < sent[0] < len(FIGURE) + 2_000
    with messages() as sent:
        chart.show(FIGURE, "two bars")
    assert sent == []


def test_the_same_mark_twice_reports_twice():
    chart, picked = ChartPanel(), []
    chart.on_picked(picked.append)
    for name in ("L5.H3", "L5.H3", "L0.H1"):
        clicked(chart, {"picked": name})
    assert picked == ["L5.H3", "L5.H3", "L0.H1"]


@pytest.mark.parametrize("message", ["L5.H3", {}, {"picked": 3}, {"picked": None}, None])
def test_another_message_is_no_click(message, caplog):
    chart, picked = ChartPanel(), []
    chart.on_picked(picked.append)
    clicked(chart, message)
    clicked(chart, {"picked": "L5.H3"})
    assert picked == ["L5.H3"] and caplog.text == ""
