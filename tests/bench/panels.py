"""Cost of a change in declared panels: in the kernel, on the wire, and with `--browser` as seen in Chromium.

`python -m tests.bench.panels --browser` writes docs/bench/panels.md; times with nothing else running. Seen is
the time from a hand's event in JupyterLab to the frame after the last change of sentence, canvases and chart.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median

import numpy as np
import torch

import kit
from kit.figures import Bars, Curves, Scatter
from kit.panels.fields import Menu, Number, names_of
from kit.panels.views import CanvasView, ChartView, view_of
from tests.bench.harness import save, settings
from tests.golden.states import PANELS, STATES
from tests.unit.toy_panel import MODEL, TEXTS, Toy
from tests.wire import messages

SCENES, HEADS, ROUNDS, WARM = 1000, 144, 20, 3
SLOW = ("model",)  # a model is loaded, and its tower runs
NOTEBOOK = "panels.ipynb"
CELLS = (
    f"""import kit
from tests.bench.panels import segmenter, spans
from tests.unit.toy_panel import MODEL, Toy
model = kit.load("stickers-l8")
panels = [Toy(MODEL), spans(model, {SCENES}), segmenter(model)]
panels[0]""",
    "panels[1]",
    "panels[2]",
)
SEEN = """async ({ panel, cell, menu, value, mark }) => {
  const root = document.querySelectorAll(".loupe")[panel], chart = root.querySelector(".loupe-plotly-ground");
  const look = () => [
    root.querySelector(".loupe-caption").textContent,
    ...[...root.querySelectorAll("canvas")].map((c) => c.getAttribute("aria-label")),
    ...[...root.querySelectorAll(".widget-html-content")].map((n) => n.innerHTML.length),
    JSON.stringify((chart?._fullData || []).map((t) => [t.x, t.marker.line.width])),
  ].join();
  const frame = () => new Promise((then) => requestAnimationFrame(then));
  const canvas = root.querySelector(".loupe-of-grid canvas"), at = canvas?.getBoundingClientRect();
  let before = look(), changed = false, last = 0;
  const begin = performance.now();
  if (mark) chart.emit("plotly_click", { points: [{ customdata: mark }] });
  else if (menu) {
    const label = [...root.querySelectorAll("label")].find((n) => n.textContent === menu);
    const select = document.getElementById(label.htmlFor);
    select.selectedIndex = value;
    select.dispatchEvent(new Event("change", { bubbles: true }));
  } else {
    const [x, y, w, h] = JSON.parse(canvas.dataset.boxes)[cell];
    canvas.dispatchEvent(new MouseEvent("click", { clientX: at.x + x + w / 2, clientY: at.y + y + h / 2 }));
  }
  for (;;) {
    await frame();
    const now = performance.now();
    if (look() !== before) [before, changed, last] = [look(), true, 0];
    else if (changed) last ||= now;  // the frame after
    if (now - begin > 5000) return null;  // nothing changed
    if (last && now - last > 400) return last - begin;
  }
}"""


def spans(model, scenes: int = SCENES):
    """Notebook 12's panel over scenes with one object."""
    images = kit.world.draw(scenes, 81_001, kind="single")
    store = kit.collect(model, images, "store", f"{scenes} scenes", selector="L*.H*")
    return kit.panels.Spans(model, images, store)


def segmenter(model):
    """Notebook 15's panel over four pictures."""
    names = list(kit.world.VALUES["concept"])
    directions = kit.models.Directions(names, model.encode_text(kit.world.prompts("concept")))
    return kit.panels.Segmenter(model, kit.world.gallery()[[0, 1, 16, 17]], directions)


def picks(view, names: list[str]) -> Iterator[Callable]:
    """Hands that pick cells of a canvas, one after the other."""
    for name in cycle(names):
        cell = view.widget.labels.index(name)
        yield partial(view.widget.set_state, {"picked": [cell]})


def chosen(panel, field: str, values: list) -> Iterator[Callable]:
    """Hands that choose in a control."""
    for value in cycle(values):
        yield partial(setattr, panel.controls[field], "value", value)


def clicks(view, names: list[str]) -> Iterator[Callable]:
    """Hands that click marks of a chart."""
    for name in cycle(names):
        content = {"data": {"method": "custom", "content": {"picked": name}}}
        yield partial(view.widget._handle_msg, {"content": content, "buffers": []})


def hands(panel) -> dict[str, Iterator[Callable]]:
    """By name: what a hand does in a panel, each time something else: cells, and options of each control."""
    made = {}
    for name, each in panel.fields.items():
        view, options = panel.views.get(getattr(each, "figure", "")), names_of(panel.options(name))
        if isinstance(view, CanvasView):
            labels = [label for label in view.widget.labels if label][
                :: 3 if len(view.widget.labels) > 60 else 1
            ]
            made[f"{each.label}, in the {each.figure}"] = picks(view, labels[:12])
        elif isinstance(view, ChartView):
            made[f"{each.label}, in the chart"] = clicks(view, options)
        if name in panel.controls and isinstance(each, Menu) and name not in SLOW and len(options) > 1:
            made[f"{each.label}, in its control"] = chosen(panel, name, options[-2:])
        if name in panel.controls and isinstance(each, Number):
            made[each.label] = chosen(panel, name, [each.low + 1, each.low + 2])
    return made


def costs(act: Iterator[Callable], rounds: int, passes: Callable[[], int]) -> str:
    """Cells of a table: times, bytes, calls of a tower."""
    times, sizes, largest, calls = [], [], [], 0
    for k in range(rounds + WARM):
        change, calls = next(act), passes() if k == WARM else calls
        begin = time.perf_counter()
        with messages() as sent:
            change()
        times.append(time.perf_counter() - begin)
        sizes.append(sum(sent))
        largest.append(max(sent, default=0))
    middle, worst = (f"{1000 * of(times[WARM:]):.1f}" for of in (median, max))
    kilobytes = (f"{max(held[WARM:]) / 1000:.1f}" for held in (sizes, largest))
    return " | ".join([middle, worst, *kilobytes, str(passes() - calls)])


def measure(panel, rounds: int) -> str:
    """A table of one panel: every hand, and a state chosen that is there already."""
    passes = panel.model.passes.total if hasattr(panel.model, "passes") else lambda: 0
    lines = [f"| {what} | {costs(act, rounds, passes)} |" for what, act in hands(panel).items()]
    assert panel.message == "" and panel.last_error is None, panel.message
    lines.append(f"| the same again | {costs(cycle([panel.choose]), rounds, passes)} |")
    head = "| change | median ms | worst ms | most kB | largest message, kB | calls of a tower |"
    return table(f"{type(panel).__name__}, {panel.model.label}, in the kernel", rounds, head, lines)


def charts(rounds: int) -> str:
    """A table of charts alone: other numbers, and the same figure again."""
    heads, lines = [f"L{i // 12}.H{i % 12}" for i in range(HEADS)], []
    draw = np.random.default_rng(0).random
    makes = {
        "Bars, 8 labels of 3 kinds with intervals": lambda: Bars(
            [f"label {i}" for i in range(8)], (v := draw((8, 3))), "share", ("a", "b", "c"), v - 0.1, v + 0.1
        ),
        "Curves, 3 of 24 places with intervals": lambda: Curves(
            range(24), (ys := {n: draw(24) for n in "abc"}), "layer", "share",
            {n: y - 0.1 for n, y in ys.items()}, {n: y + 0.1 for n, y in ys.items()},
        ),
        f"Scatter, {HEADS} points of 2 kinds": lambda: Scatter(
            draw(HEADS), draw(HEADS), heads, "attention", "map", ["early", "late"] * (HEADS // 2)
        ),
    }  # fmt: skip
    for what, make in makes.items():
        view = view_of(make())
        figures = [make() for _ in range(rounds + WARM)]
        others = (partial(view.show, figure) for figure in figures)
        lines.append(f"| {what} | {costs(others, rounds, lambda: 0)} |")
        again = (partial(view.show, replace(figures[-1])) for _ in range(rounds + WARM))
        lines.append(f"| the same again | {costs(again, rounds, lambda: 0)} |")
    head = "| change | median ms | worst ms | most kB | largest message, kB | calls of a tower |"
    return table("Charts alone, in the kernel", rounds, head, lines)


def table(heading: str, rounds: int, head: str, lines: list[str]) -> str:
    facts = ", ".join(f"{key} {value}" for key, value in settings(rounds=rounds).items())
    rule = "|---" * (head.count("|") - 1) + "|"
    return "\n".join([f"## {heading}", "", f"{facts[:1].upper()}{facts[1:]}.", "", head, rule, *lines, ""])


@contextmanager
def in_lab(sources: Sequence[str]) -> Iterator:
    """A page of JupyterLab in Chromium with a notebook of these cells, run until each shows a panel."""
    import nbformat
    from playwright.sync_api import sync_playwright

    from tests.browser import lab

    with tempfile.TemporaryDirectory() as name, sync_playwright() as pw:
        (notebooks := Path(name) / "notebooks").mkdir()
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), notebooks / NOTEBOOK)
        browser = pw.chromium.launch(executable_path=lab.chromium(), headless=True)
        path = {"PYTHONPATH": str(Path(kit.__file__).parents[1])}
        with lab.server(Path(name), notebooks, env=path) as address:
            page = browser.new_page(viewport={"width": 1280, "height": 1400})
            lab.open_notebook(page, address, NOTEBOOK)
            lab.run_all(page)
            page.locator(".loupe").nth(len(sources) - 1).wait_for(timeout=240_000)
            time.sleep(2)
            yield page
        browser.close()


def seen(rounds: int) -> str:
    """A table of the panels in JupyterLab and Chromium: from the event to the frame that shows all of it."""
    with in_lab(CELLS) as page:
        page.locator(".loupe-plotly .main-svg").first.wait_for(timeout=60_000)
        lines = _seen_lines(page, rounds)
    return table("Seen in JupyterLab and Chromium", rounds, "| change | median ms | worst ms |", lines)


def _seen_lines(page, rounds: int) -> list[str]:
    from tests.browser import lab

    heads = "print(*[i for i, n in enumerate(panels[1].views['heads'].widget.labels) if '.H' in n])"
    of_spans = cycle(map(int, lab.ask(page, heads).split()))
    of_toy = cycle(map(int, lab.ask(page, heads.replace("[1]", "[0]")).split()))
    acts = {
        "Toy: a head, in the grid": lambda k: {"panel": 0, "cell": next(of_toy)},
        "Toy: a text, in the menu": lambda k: {"panel": 0, "menu": "text", "value": (k + 1) % 3},
        "Toy: a text, in the chart": lambda k: {"panel": 0, "mark": TEXTS[k % 3]},
        "Spans: a head, in the grid": lambda k: {"panel": 1, "cell": next(of_spans)},
        "Spans: a bank, in the menu": lambda k: {"panel": 1, "menu": "bank", "value": (k + 1) % 2},
        "Segmenter: a method, in the menu": lambda k: {"panel": 2, "menu": "method", "value": (k + 1) % 5},
        "Segmenter: a picture, in the menu": lambda k: {"panel": 2, "menu": "picture", "value": (k + 1) % 4},
    }
    lines = []
    for what, act in acts.items():
        page.locator(".loupe").nth(act(0)["panel"]).scroll_into_view_if_needed()
        times = [page.evaluate(SEEN, act(k)) for k in range(rounds + 2)][2:]  # the first can be there already
        assert None not in times, f"{what}: nothing changed"
        lines.append(f"| {what} | {median(times):.0f} | {max(times):.0f} |")
    return lines


def main() -> None:
    """Measure, print, and write docs/bench/panels.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--browser", action="store_true", help="in JupyterLab and Chromium too")
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    chosen = parser.parse_args()
    torch.set_num_threads(2)
    model = kit.load("stickers-l8")
    tables = [measure(panel, chosen.rounds) for panel in (Toy(MODEL), spans(model))]
    tables += [
        measure(make(STATES[name][0]), chosen.rounds) for name, make in PANELS.items() if name != "Spans"
    ]
    tables += [charts(chosen.rounds)] + ([seen(chosen.rounds)] if chosen.browser else [])
    print(*tables, sep="\n")
    if not chosen.dry:
        save("panels", tables)


if __name__ == "__main__":
    main()
