"""JupyterLab in a real Chromium, driven as a person would: start, open, run all, look."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import nbformat

from kit.cli import CONTENTS

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TOKEN, PANEL = "loupe-test", "panel.ipynb"
# JupyterLab's own complaint about the versions of its parts; nothing of ours
KNOWN_WARNINGS = ("@jupyter/ydoc", "ydoc")
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {
        "windowingMode": "none",  # the default keeps cells outside the view out of the page
        "autoStartDefaultKernel": True,
    },
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}
READY = """async () => {
  const app = window.jupyterapp;
  await app.restored;
  const wait = () => new Promise((then) => setTimeout(then, 100));
  for (let i = 0; i < 300 && !app.shell.currentWidget?.context; i++) await wait();
  const panel = app.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  return panel.context.path;
}"""
RUN_ALL = "async () => await window.jupyterapp.commands.execute('notebook:run-all-cells')"
ASK = """async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code, store_history: false });
  let text = "";
  future.onIOPub = (m) => {
    if (m.header.msg_type === "stream") text += m.content.text;
    if (m.header.msg_type === "error") text += m.content.traceback.join("\\n");
  };
  await future.done;
  return text;
}"""


def chromium() -> str | None:
    """Path of an installed Chromium or Chrome."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def write_settings(folder: Path, theme: str = "JupyterLab Light") -> None:
    """Settings of a server, as the tests expect them."""
    themes = {"@jupyterlab/apputils-extension/themes.jupyterlab-settings": {"theme": theme}}
    for name, value in (SETTINGS | themes).items():
        path = folder / "settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))


@contextmanager
def server(folder: Path, notebooks: Path, theme: str = "JupyterLab Light", env: dict | None = None):
    """A JupyterLab as `loupe` starts it, that shares nothing with the user's own; gives its address."""
    write_settings(folder, theme)
    places = {
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        "IPYTHONDIR": folder / "ipython",
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser", f"--port={port}",
        "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={notebooks}", "--allow-root", CONTENTS,
    ]  # fmt: skip
    log = (folder / "server.log").open("w")
    started = subprocess.Popen(
        command,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {}), **{k: str(v) for k, v in places.items()}},
    )
    try:
        _wait(f"http://127.0.0.1:{port}/api/status?token={TOKEN}", started)
        yield f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        started.wait(20)
        log.close()


def _wait(address: str, process, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"JupyterLab ended with code {process.returncode}; its log is server.log")
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not answer within {seconds:.0f} s")


def open_notebook(page, address: str, name: str) -> list[str]:
    """Open a notebook and wait for its kernel; gives the list that gathers the page's errors."""
    complaints: list[str] = []

    def said(message):
        if message.type == "error" and not any(known in message.text for known in KNOWN_WARNINGS):
            complaints.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{address}/lab/tree/{name}?token={TOKEN}&reset")
    page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
    page.evaluate(READY)
    return complaints


def cut(name: str, wanted: tuple[str, ...], fewer: tuple = ()) -> nbformat.NotebookNode:
    """The code cells of a notebook that its panel needs; the last one ends with the panel, named `panel`.

    The other cells run under nbval.

    Args:
        name: of the notebook's file.
        wanted: pieces of text; cells that hold one are kept, as far as the one that holds the last.
        fewer: pairs of texts, the second put in place of the first, so that less is drawn.
    """
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    code = [c for c in notebook.cells if c.cell_type == "code" and any(w in c.source for w in wanted)]
    end = next(n for n, c in enumerate(code) if wanted[-1] in c.source)
    code = code[: end + 1]
    assert all(any(w in c.source for c in code) for w in wanted)
    for cell in code:
        for old, new in fewer:
            cell.source = cell.source.replace(old, new)
    before, last = code[-1].source.rpartition("kit.panels.")[::2]
    if not before or before.endswith("\n"):
        code[-1].source = f"{before}panel = kit.panels.{last}\npanel"
    notebook.cells = code
    return notebook


def of_cells(*sources: str) -> nbformat.NotebookNode:
    """A notebook of these cells of code."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


@dataclass(frozen=True)
class Jupyter:
    """A JupyterLab that runs. Its kernels can import the tests.

    Attributes:
        address: where it answers.
        folder: of its settings; its notebooks lie in `notebooks` within.
    """

    address: str
    folder: Path

    @property
    def notebooks(self) -> Path:
        return self.folder / "notebooks"

    def put(self, folder: str, notebook: nbformat.NotebookNode) -> Path:
        """Write a notebook into a folder of its own; gives its file, named `PANEL`."""
        file = self.notebooks / folder / PANEL
        file.parent.mkdir()
        nbformat.write(notebook, file)
        return file

    def open(self, page, file: Path) -> list[str]:
        """`open_notebook` for a file of this server."""
        return open_notebook(page, self.address, quote(file.relative_to(self.notebooks).as_posix()))

    def clear(self) -> None:
        """End every kernel, and put the settings back."""
        for kernel in json.load(self._ask("")):
            self._ask(f"/{kernel['id']}", "DELETE").close()
        write_settings(self.folder)

    def _ask(self, path: str, method: str = "GET"):
        request = urllib.request.Request(f"{self.address}/api/kernels{path}", method=method)
        request.add_header("Authorization", f"token {TOKEN}")
        return urllib.request.urlopen(request, timeout=60)


def run_all(page) -> None:
    """Run every cell, and come back when the last has ended."""
    page.set_default_timeout(30_000)
    assert page.evaluate(RUN_ALL) is not False


def ask(page, code: str) -> str:
    """What the kernel prints when it runs this code."""
    return page.evaluate(ASK, code).strip()


def boxes(canvas) -> list[list[float]]:
    """Left, top, width, height of each cell that a canvas of ours has drawn, in its own pixels."""
    return json.loads(canvas.get_attribute("data-boxes"))


def click_cell(page, canvas, number: int, modifiers: tuple = ()) -> None:
    """Click the middle of a cell."""
    left, top, width, height = boxes(canvas)[number]
    canvas.click(position={"x": left + width / 2, "y": top + height / 2}, modifiers=list(modifiers))


def pixel(canvas, number: int) -> list[int]:
    """Red, green, blue in a corner of a cell, where no number stands."""
    left, top, *_ = boxes(canvas)[number]
    return canvas.evaluate(
        """(c, [x, y]) => {
          const ratio = c.width / c.getBoundingClientRect().width;
          const at = [Math.round(x * ratio), Math.round(y * ratio)];
          return [...c.getContext("2d").getImageData(...at, 1, 1).data].slice(0, 3);
        }""",
        [left + 5, top + 5],
    )
