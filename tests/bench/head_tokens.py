"""Cost of a click in notebook 16's panel: in the kernel, on the wire, and as seen in Chromium.

Seen is the time from the event in JupyterLab to the frame after the one in which the words of the answer
changed. A frame of the film is one step of its slider.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import torch

import kit
from tests.bench.harness import save
from tests.bench.panel import row, table
from tests.wire import messages

NOTEBOOK = "head_tokens.ipynb"
MODELS = {"stickers-l8": None, "ViT-B-32": "random"}
CELL = """import kit
panel = kit.panels.HeadTokens("stickers-l8")
panel"""

# From the event to the frame after the one in which any sentence or bar changed.
SEEN = """async (act) => {
  const panel = document.querySelector(".loupe");
  const words = ".loupe-bar-value, .loupe-caption, .loupe-note, .loupe-head";
  const look = () => [...panel.querySelectorAll(words)].map((n) => n.textContent).join();
  const before = look();
  const frame = () => new Promise((then) => requestAnimationFrame(then));
  const begin = performance.now();
  if (act.press) {
    const buttons = [...panel.querySelectorAll("button")];
    buttons.find((b) => b.textContent.trim() === act.press).click();
  } else if (act.key) {
    const handle = panel.querySelector(".widget-slider .noUi-handle");
    handle.focus();
    handle.dispatchEvent(new KeyboardEvent("keydown", { key: act.key, bubbles: true }));
  } else {
    const drawn = [...panel.querySelectorAll(".loupe-heat canvas")].filter((c) => c.offsetParent);
    const canvas = drawn.find((c) => c.getAttribute("aria-label").startsWith(act.canvas));
    const at = canvas.getBoundingClientRect(), [x, y, w, h] = JSON.parse(canvas.dataset.boxes)[act.cell];
    const place = { clientX: at.x + x + w / 2, clientY: at.y + y + h / 2, shiftKey: !!act.shift };
    canvas.dispatchEvent(new MouseEvent("click", place));
  }
  while (look() === before) {
    if (performance.now() - begin > 20000) throw new Error(`nothing changed: ${JSON.stringify(act)}`);
    await frame();
  }
  await frame();
  return performance.now() - begin;
}"""


def hands(panel) -> dict[str, Callable[[], None]]:
    """By name: functions that each make one change as the widgets of the browser do."""
    views, c = panel.views, panel.controls
    grid, bars, token = views["grid"].widget, views["bars"].widget, views["maps"].tiles[0].widget
    heads = cycle([i for i, label in enumerate(grid.labels) if ".H" in label])
    tokens, layers = cycle(range(len(token.labels))), cycle(range(c["layer"].max, -1, -1))
    shows, films = cycle(["attention", "prompt"]), cycle(["each layer", "so far"])

    def beside():
        grid.picked = [*grid.picked[:1], next(heads)]

    return {
        "another head": lambda: setattr(grid, "picked", [next(heads)]),
        "a token": lambda: setattr(token, "picked", [next(tokens)]),
        "a head beside another": beside,
        "another prompt": lambda: setattr(bars, "text", 1 - min(1, bars.text)),
        "attention, or the map again": lambda: setattr(c["shows"], "value", next(shows)),
        "a frame of the film": lambda: setattr(c["layer"], "value", next(layers)),
        "each layer, or so far": lambda: setattr(c["film"], "value", next(films)),
    }


def measure(name: str, pretrained: str | None, rounds: int) -> str:
    """A table of one model: milliseconds in the kernel, bytes, and calls of the towers."""
    model = kit.load(name, pretrained)
    panel = kit.panels.HeadTokens(model)
    lines = []
    for what, change in hands(panel).items():
        times, sizes, before = [], [], model.passes.total()
        for _ in range(rounds):
            begin = time.perf_counter()
            change()
            times.append(time.perf_counter() - begin)
            with messages() as sent:
                change()
            sizes.append(sum(sent))
        lines.append(f"{row(what, times)} {max(sizes) / 1000:.1f} | {model.passes.total() - before} |")
    panel.close()
    return table(f"{model.label}, in the kernel", rounds, lines, " most kB sent | calls of a tower |")


def seen(rounds: int) -> str:
    """A table of `stickers-l8` in JupyterLab and Chromium: from the event to the frame that shows it."""
    import nbformat
    from playwright.sync_api import sync_playwright

    from tests.browser import lab

    with tempfile.TemporaryDirectory() as name, sync_playwright() as pw:
        folder = Path(name)
        (notebooks := folder / "notebooks").mkdir()
        cells = [nbformat.v4.new_code_cell(CELL)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), notebooks / NOTEBOOK)
        browser = pw.chromium.launch(executable_path=lab.chromium(), headless=True)
        with lab.server(folder, notebooks, env={"PYTHONPATH": str(Path(kit.__file__).parents[1])}) as address:
            page = browser.new_page(viewport={"width": 1280, "height": 1800})
            lab.open_notebook(page, address, NOTEBOOK)
            lab.run_all(page)
            page.locator(".loupe .loupe-bar-value").first.wait_for()
            found = _seen_times(page, rounds)
            runs = lab.ask(page, "print(panel.model.passes['image'])")
        browser.close()
    lines = [row(what, times) for what, times in found.items()]
    words = f"Passes of the image tower in all: {runs}, of the one picture.\n"
    return table("stickers-l8, seen in JupyterLab and Chromium", rounds, lines, "") + words


def _seen_times(page, rounds: int) -> dict[str, list[float]]:
    from tests.browser import lab

    def act(**what) -> float:
        seconds = page.evaluate(SEEN, what) / 1000
        time.sleep(0.25)  # what the click has set going is over
        return seconds

    labels = lab.ask(
        page, "print(*[i for i, n in enumerate(panel.views['grid'].widget.labels) if '.H' in n])"
    )
    heads = list(map(int, labels.split()))
    last = int(lab.ask(page, "print(panel.controls['layer'].max)"))
    found = {"another head": [act(canvas="Which heads", cell=heads[k]) for k in range(rounds)]}
    found["a token"] = [act(canvas="scene", cell=9 + 5 * k) for k in range(rounds)]
    found["another token, two heads side by side"] = []
    found["a head beside another"] = [
        act(canvas="Which heads", cell=heads[-1 - k], shift=True) for k in range(rounds)
    ]
    for k in range(rounds):
        found["another token, two heads side by side"].append(act(canvas="scene", cell=12 + 4 * k))
    found["attention, or the map again"] = [act(press=("attention", "prompt")[k % 2]) for k in range(rounds)]
    found["a frame of the film"] = [
        act(key="ArrowRight" if (k // last) % 2 == 0 else "ArrowLeft") for k in range(rounds)
    ]
    return found


def main() -> None:
    """Measure, print, and write docs/bench/head_tokens.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--kernel", action="store_true", help="without JupyterLab and Chromium")
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    chosen = parser.parse_args()
    torch.set_num_threads(2)
    tables = [measure(*model, chosen.rounds) for model in MODELS.items()]
    tables += [] if chosen.kernel else [seen(chosen.rounds)]
    print(*tables, sep="\n")
    if not chosen.dry:
        save("head_tokens", tables)


if __name__ == "__main__":
    main()
