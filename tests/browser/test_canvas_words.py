"""Words on the canvases of panels, without a notebook: none is cut, and none lies over another."""

import base64
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.figures import Grid, Maps
from kit.panels import panel
from kit.panels.views import view_of

SOURCE = (Path(panel.__file__).parent / "heat_panel.js").read_text("utf-8")
HEADS = [(layer, head) for layer in range(8) for head in range(6)]
ROLES = ["background", "arrangement", "category", "position", "texture", "relation"]
WORDS = ["colour", "background", "arrangement", "number", "category", "texture"]
UNIT = "in the method's own units"
# a canvas in a column of this width, and the words that it drew last: text, place, own width, most pixels
PAGE = """async ([source, state, width]) => {
  document.body.innerHTML = `<div style="width:${width}px;--jp-ui-font-family:'DejaVu Sans'"></div>`;
  const drawn = [], own = CanvasRenderingContext2D.prototype;
  window.fill ??= own.fillText;
  window.clear ??= own.clearRect;
  own.clearRect = function (...box) { drawn.length = 0; return window.clear.call(this, ...box); };
  own.fillText = function (text, x, y, most) {
    drawn.push({ text, x, y, most, wide: this.measureText(text).width, align: this.textAlign });
    return most === undefined ? window.fill.call(this, text, x, y) : window.fill.call(this, text, x, y, most);
  };
  const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  for (const name of ["z", "picture", "mask"]) state[name] = bytes(state[name]);
  const panel = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const model = { get: (name) => state[name], set() {}, on() {}, save_changes() {} };
  const end = panel.default.render({ model, el: document.body.firstChild });
  await new Promise((then) => setTimeout(then, 200));
  end();
  return drawn;
}"""


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page(viewport={"width": 800, "height": 700})
    yield page
    page.close()


def drawn(page, figure, width: int) -> list[dict]:
    """Every word of a figure's canvas in a column of this width."""
    view = view_of(figure)
    view.show(figure)
    state = {name: getattr(view.widget, name) for name in view.widget.keys if not name.startswith("_")}
    state |= {name: base64.b64encode(state[name]).decode() for name in ("z", "picture", "mask")}
    view.widget.close()
    plain = {name: value for name, value in state.items() if isinstance(value, str | int | float | list)}
    return page.evaluate(PAGE, [SOURCE, plain, width])


def ends(word: dict) -> tuple[float, float]:
    """Where a word begins and ends."""
    wide = min(word["wide"], word.get("most") or np.inf)
    begin = word["x"] - {"left": 0, "center": wide / 2, "right": wide}[word["align"]]
    return begin, begin + wide


@pytest.mark.parametrize("width", [150, 176, 200, 300, 430])
@pytest.mark.parametrize("limit", [0.5, 0.0003])
def test_the_unit_of_a_map_is_whole_and_the_ends_of_its_scale_lie_apart(page, width, limit):
    figure = Maps(np.full((1, 8, 8), limit / 2), [Image.new("RGB", (64, 64))], UNIT, limit=limit)
    low, zero, high, *told = drawn(page, figure, width)
    assert zero["text"] == "0" and " ".join(word["text"] for word in told) == UNIT
    assert all(ends(word)[1] <= width for word in (high, *told))
    assert ends(low)[1] < ends(zero)[0] and ends(zero)[1] < ends(high)[0]
    assert all(ends(word)[0] > ends(high)[1] or word["y"] > high["y"] + 10 for word in told)


@pytest.mark.parametrize("width", [400, 436, 640])
def test_the_true_roles_of_heads_are_whole_in_their_cells(page, width):
    index = pd.DataFrame([{"name": f"L{a}.H{b}", "kind": "head", "layer": a, "head": b} for a, b in HEADS])
    told = [WORDS[n % 6] for n in range(len(HEADS))]
    marks = [f"✗ {ROLES[n % 6]}" for n in range(len(HEADS))]
    words = drawn(page, Grid(index, np.linspace(0, 1, len(HEADS)), "share", 1.0, False, told, marks), width)
    cells = [word for word in words if word["text"] in {*told, *marks} or "…" in word["text"]]
    assert [word["text"] for word in cells] == [text for pair in zip(told, marks) for text in pair]
    assert all(word["most"] >= 0.74 * word["wide"] for word in cells)  # narrower letters, which still read


@pytest.mark.parametrize("kind", ["map", "grid"])
def test_words_on_a_canvas_follow_the_browsers_size_of_text(page, kind):
    index = pd.DataFrame([{"name": f"L0.H{h}", "kind": "head", "layer": 0, "head": h} for h in range(3)])
    grid = Grid(index, [0.1, -0.2, 0.3], "share", picked=["L0.H0"])
    figure = grid if kind == "grid" else Maps([[[0.1, 0.2]]], [Image.new("RGB", (64, 32))], "share")
    seen = {}
    for size in (16, 24):
        page.evaluate(f"document.documentElement.style.fontSize = '{size}px'")
        words = drawn(page, figure, 20 * size)  # a column that grows as the text does
        scale, tall, left = page.evaluate(
            """() => { const c = document.querySelector("canvas");
                return [c.getContext("2d").getTransform().a, c.getBoundingClientRect().height,
                        JSON.parse(c.dataset.boxes).at(-1)[0]]; }"""
        )
        seen[size] = [scale, tall, left], [(word["text"], word["x"], word["y"]) for word in words]
    page.evaluate("document.documentElement.style.fontSize = ''")
    assert seen[24][0] == pytest.approx([1.5 * each for each in seen[16][0]], rel=0.01)
    assert seen[24][1] == seen[16][1]  # the same words at the same places, drawn larger
