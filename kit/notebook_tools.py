"""Run notebooks from top to bottom and save them as they are committed.

`python -m kit.notebook_tools run notebooks/*.ipynb` runs each in a fresh kernel and writes
its outputs back: without widget state (megabytes that no reader needs), times of execution and
the versions of this machine. A notebook that fails, or whose outputs name a path of this machine,
is left as it was.
"""

import argparse
import hashlib
import os
import re
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from kit.errors import KitError
from kit.writing import write_file

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
WIDGET = "application/vnd.jupyter.widget-view+json"  # names a model of the kernel that is gone, at random
CELL_SECONDS = 300
FOLDERS = "home|Users|root|tmp|var|usr|opt|mnt|private|work|data|etc"
ABSOLUTE = re.compile(rf"(?<![\w.:/<~-])(/(?:{FOLDERS})/[\w.-]+|[A-Za-z]:\\\\?[\w.-]+\\)")


def absolute_path(text: str) -> str:
    """The first absolute path of a machine in a text, or an empty string.

    Addresses (`https://…`) and paths below the current folder do not count.

    Example:
        >>> absolute_path("saved to /home/ada/x.png"), absolute_path("see data/x.png")
        ('/home/ada', '')
    """
    for folder in {str(Path.cwd()), str(Path.home()), sys.prefix} - {"/"}:
        if folder in text:
            return folder
    found = ABSOLUTE.search(text)
    return found.group(1) if found else ""


def output_texts(outputs: list[dict]) -> list[str]:
    """Everything in a cell's outputs that is text: streams, tracebacks, and what is no encoded picture."""
    texts = []
    for output in outputs:
        texts.append("".join(output.get("text", "")))
        texts.append("\n".join(output.get("traceback", [])))
        for mime, data in output.get("data", {}).items():
            if not mime.startswith("image/") or mime == "image/svg+xml":
                texts.append("".join(data) if isinstance(data, list) else str(data))
    return texts


def tidy(notebook) -> None:
    """Drop from a notebook, in place, all that differs between two equal runs or between machines.

    A cell's id follows from its text, so that it stays while the text does.

    Args:
        notebook: what `nbformat.read` gives, version 4.
    """
    notebook.cells = [cell for cell in notebook.cells if cell.source.strip()]
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = {"kernelspec": KERNELSPEC, "language_info": LANGUAGE}
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        name = hashlib.sha256(cell.source.encode()).hexdigest()[:10]
        seen[name] = seen.get(name, 0) + 1
        cell.id = name if seen[name] == 1 else f"{name}-{seen[name]}"
        for key in ("execution", "ExecuteTime", "collapsed", "scrolled"):
            cell.metadata.pop(key, None)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)


def execute(path: Path):
    """The notebook of a file, run in a fresh kernel in the file's folder.

    Raises:
        KitError: a cell raised; the message names the cell and its last line of error.
    """
    import nbformat
    from jupyter_client import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    os.environ.setdefault("TQDM_DISABLE", "1")  # of the kernel: progress bars are never twice the same
    os.environ["KIT_REPORT"] = ""  # of the kernel: saved notebooks show what is true on every machine
    os.environ["KIT_STILLS"] = "1"  # of the kernel: figures that live carry a still for pages without scripts
    notebook = nbformat.read(path, as_version=4)
    tidy(notebook)
    place = {"metadata": {"path": str(path.parent)}}
    # Widget state is kept during the run (nbclient 0.11.0 fails on Output widgets without) and dropped after.
    # Sockets of files where there are any: nothing listens, and no other program can take a port meanwhile.
    way = {"transport": "ipc"} if os.name == "posix" else {}
    try:
        with TemporaryDirectory(prefix="loupe-") as folder:
            way |= {"connection_file": str(Path(folder, "kernel.json"))}
            kernel = AsyncKernelManager(kernel_name="python3", **way)
            NotebookClient(notebook, km=kernel, timeout=CELL_SECONDS, resources=place).execute()
    except (CellExecutionError, CellTimeoutError) as error:
        done = sum(1 for cell in notebook.cells if cell.get("execution_count"))
        message = f"{path.name}: code cell {done} stopped the run; the file is unchanged.\n{error}"
        raise KitError(message) from error
    tidy(notebook)
    return notebook


def save(notebook, path: Path) -> None:
    """Write a notebook in one step: a run that is killed leaves the old file whole.

    Raises:
        KitError: an output names an absolute path of this machine.
    """
    import nbformat

    for number, cell in enumerate(notebook.cells, 1):
        found = [p for text in output_texts(cell.get("outputs", [])) if (p := absolute_path(text))]
        if found:
            raise KitError(
                f'{path.name}: an output of cell {number} holds the path "{found[0]}" of this machine; '
                "show a relative path, or the file's name."
            )
    text = nbformat.writes(notebook, version=4, indent=1).rstrip("\n") + "\n"
    write_file(path, text)


def run(paths: list[Path]) -> int:
    """Run and save notebooks, one after the other.

    Args:
        paths: files that end in `.ipynb`.

    Returns:
        How many failed; what went wrong stands on stderr.
    """
    failed = 0
    for path in paths:
        start = time.monotonic()
        try:
            if not path.is_file() or path.suffix != ".ipynb":
                raise KitError(f"{path} is no notebook; name files that end in .ipynb.")
            save(execute(path.resolve()), path)
        except KitError as error:
            failed += 1
            sys.stderr.write(f"{error}\n")
            continue
        size = path.stat().st_size / 1024
        sys.stdout.write(f"{path.name}: {time.monotonic() - start:.1f} s, {size:.0f} KiB\n")
    return failed


def main(argv: list[str] | None = None) -> int:
    """The command line: `run FILE…`. Gives 0, or 1 where a notebook failed."""
    parser = argparse.ArgumentParser(prog="python -m kit.notebook_tools", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["run"])
    parser.add_argument("notebooks", nargs="+", type=Path)
    words = parser.parse_args(argv)
    return int(run(words.notebooks) > 0)


if __name__ == "__main__":
    sys.exit(main())
