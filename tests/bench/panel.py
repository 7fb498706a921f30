"""Cost of a change in notebook 00's panel: in the kernel, on the wire, and as seen in Chromium.

Seen is the time from a click in JupyterLab to the frame after the one that shows the answer.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

import kit
from tests.bench.hands import explorer, hands
from tests.bench.harness import save, settings
from tests.wire import messages

MODELS = {"stickers-l8": None, "ViT-B-32": "random"}
NOTEBOOK = "panel.ipynb"
CELL = """import kit
from tests.bench.hands import PROMPTS
panel = kit.panels.Explorer("stickers-l8", texts=PROMPTS)
panel"""

# From the event to the frame after the one in which the numbers of the bars, or the caption, changed.
SEEN = """async (act) => {
  const panel = document.querySelector(".loupe");
  const words = ".loupe-bar-value, .loupe-caption";
  const look = () => [...panel.querySelectorAll(words)].map((n) => n.textContent).join();
  const before = look();
  const frame = () => new Promise((then) => requestAnimationFrame(then));
  const begin = performance.now();
  if (act.press) {
    const buttons = [...panel.querySelectorAll("button")];
    buttons.find((b) => b.textContent.trim() === act.press).click();
  } else {
    const canvas = panel.querySelectorAll(".loupe-heat canvas")[1], at = canvas.getBoundingClientRect();
    const [x, y, w, h] = JSON.parse(canvas.dataset.boxes)[act.cell];
    canvas.dispatchEvent(new MouseEvent("click", { clientX: at.x + x + w / 2, clientY: at.y + y + h / 2 }));
  }
  while (look() === before) {
    if (performance.now() - begin > 20000) throw new Error("nothing changed");
    await frame();
  }
  await frame();
  return performance.now() - begin;
}"""


def measure(name: str, pretrained: str | None, rounds: int) -> str:
    """A table of one model: milliseconds in the kernel, bytes, and calls of the towers."""
    model = kit.load(name, pretrained)
    panel = explorer(model)
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
        lines.append(f"{row(what, times[1:])} {max(sizes) / 1000:.1f} | {model.passes.total() - before} |")
    panel.close()
    return table(f"{model.label}, in the kernel", rounds, lines, " most kB sent | calls of a tower |")


def seen(rounds: int) -> str:
    """A table of `stickers-l8` in JupyterLab and Chromium: from the click to the frame that shows it."""
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
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            lab.open_notebook(page, address, NOTEBOOK)
            lab.run_all(page)
            page.locator(".loupe .loupe-bar-value").first.wait_for()
            found = _seen_times(page, rounds)
        browser.close()
    lines = [row(what, times) for what, times in found.items()]
    return table("stickers-l8, seen in JupyterLab and Chromium", rounds, lines, "")


def _seen_times(page, rounds: int) -> dict[str, list[float]]:
    from tests.browser import lab

    def act(**what) -> float:
        seconds = page.evaluate(SEEN, what) / 1000
        time.sleep(0.2)  # what the click has set going is over
        return seconds

    labels = lab.ask(page, "print(*[i for i, n in enumerate(panel.found.grid.labels) if '.H' in n])")
    heads = list(map(int, labels.split()))
    found = {"another head": [act(cell=heads[k]) for k in range(rounds)]}
    found["total effect asked for"] = []
    for k in range(rounds):  # each head's total effect is computed once, so each round takes another head
        act(cell=heads[-1 - k])
        found["total effect asked for"].append(act(press="total"))
        act(press="direct")
    act(press="total")
    found["another head, total effect"] = [act(cell=heads[k]) for k in range(rounds)]
    return found


def row(what: str, seconds: list[float]) -> str:
    middle, low, high = (f"{1000 * of(seconds):.1f}" for of in (median, min, max))
    return f"| {what} | {middle} | {low}–{high} |"


def table(heading: str, rounds: int, lines: list[str], more: str) -> str:
    facts = ", ".join(f"{key} {value}" for key, value in settings(rounds=rounds).items())
    head = f"| change | median ms | range |{more}"
    rule = "|---" * (head.count("|") - 1) + "|"
    return "\n".join([f"## {heading}", "", f"{facts[:1].upper()}{facts[1:]}.", "", head, rule, *lines, ""])


def main() -> None:
    """Measure, print, and write docs/bench/panel.md."""
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
        save("panel", tables)


if __name__ == "__main__":
    main()
