"""Apply each mutant to a copy of the kit, run the tests that it names, and say whether they noticed."""

import argparse
import atexit
import hashlib
import importlib.util
import json
import multiprocessing as mp
import os
import pkgutil
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path

import tests.mutants
from tests.mutants import Mutant

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("table.md")
DONE = ROOT / "runs" / "mutants.json"
COPIED = ["kit", "tests", "notebooks", "conftest.py", "pyproject.toml", "constraints.txt", "environment.yml"]
COPIED += ["README.md", "LICENSE", "NOTICE", ".gitignore", "data_cards", "docs"]  # tests read them
SECONDS = 600
RAN = 10  # exit code of a test that is green; any error before it ends with 1
PRELOADED = ["torch.export", "torchvision", "open_clip", "timm", "pandas", "IPython", "ipywidgets", "pytest"]


def collect() -> list[Mutant]:
    """The mutants of every file in this folder that has a list `MUTANTS`."""
    names = sorted(m.name for m in pkgutil.iter_modules(tests.mutants.__path__))
    modules = [importlib.import_module(f"tests.mutants.{n}") for n in names if n not in ("run", "__main__")]
    return [mutant for module in modules for mutant in getattr(module, "MUTANTS", [])]


def sabotage(text: str, mutant: Mutant) -> str:
    """The text with the mutant's change; its old text must stand there exactly once."""
    if (count := text.count(mutant.old)) != 1:
        raise SystemExit(f'"{mutant.name}": its old text stands {count} times in {mutant.file}, not once')
    return text.replace(mutant.old, mutant.new)


def copy_tree(folder: Path) -> None:
    """Copy what tests need, caches apart; what is large and never written is the same file."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.part")
            shutil.copytree(source, folder / name, ignore=ignore, copy_function=_copy)
        elif source.is_file():
            shutil.copy2(source, folder / name)


def _copy(source: str, target: str) -> None:
    try:
        (os.link if source.endswith(".safetensors") else shutil.copy2)(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def run_test(folder: Path, node: str) -> tuple[str, float]:
    """green, red (a test failed), or broken (nothing ran: no such test, or the file cannot be read)."""
    start = time.monotonic()
    said = Path(tempfile.mkstemp(".txt", "said by pytest ", folder)[1])
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)  # importing them takes longer than most tests
    process = context.Process(target=_pytest, args=(folder, node, said))
    process.start()
    process.join(SECONDS)
    if process.exitcode is None:
        process.kill()
        return "red", time.monotonic() - start
    verdict = {RAN: "green", RAN + 1: "red"}.get(process.exitcode, "broken")
    if verdict == "green" and " passed" not in said.read_text(encoding="utf-8"):
        verdict = "skipped"
    return verdict, time.monotonic() - start


def _pytest(folder: Path, node: str, said: Path) -> None:
    """Run a test of a copied tree in this process, which has imported libraries but nothing of the tree."""
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for name in [n for n in sys.modules if n.partition(".")[0] in ("kit", "tests", "conftest")]:
        del sys.modules[name]
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)
    sys.path.insert(0, str(folder))
    if not Path(importlib.util.find_spec("kit").origin).is_relative_to(folder):
        sys.exit("the kit that would be tested is not the copied one")  # broken
    import pytest

    sys.exit(RAN + int(pytest.main(["-x", "-q", "-n0", "-p", "no:cacheprovider", node])))


@cache
def untouched() -> Path:
    """A copy of the tree without a mutant, gone when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="untouched-"))
    atexit.register(shutil.rmtree, folder)
    copy_tree(folder)
    return folder


@cache
def baseline(node: str) -> str:
    """What the test says of the kit as it is."""
    return run_test(untouched(), node)[0]


def judge(mutant: Mutant) -> dict:
    """One row of the table: killed, survived, or refused because a test is not green to begin with."""
    row = asdict(mutant)
    before = [baseline(node) for node in mutant.tests]
    if any(verdict != "green" for verdict in before):
        return row | {"verdict": f"refused: {', '.join(before)} without the mutant", "seconds": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        copy_tree(Path(folder))
        target = Path(folder) / mutant.file
        target.write_text(sabotage(target.read_text(encoding="utf-8"), mutant), encoding="utf-8")
        found = [run_test(Path(folder), node) for node in mutant.tests]
    verdicts = {verdict for verdict, _ in found}
    verdict = "killed" if verdicts == {"red"} else "broken" if "broken" in verdicts else "survived"
    return row | {"verdict": verdict, "seconds": sum(seconds for _, seconds in found)}


def tree_digest() -> str:
    """Changes when any source or test does: results of another tree are not taken over."""
    digest = hashlib.sha256()
    for name in COPIED:
        files = sorted((ROOT / name).rglob("*")) if (ROOT / name).is_dir() else [ROOT / name]
        for path in files:
            if path.is_file() and path.suffix in (".py", ".js", ".toml", ".safetensors", ".npz"):
                digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()


def line(text: str) -> str:
    """A piece of source as one cell of a markdown table."""
    return "`" + " ".join(text.split()).replace("|", "\\|").replace("`", "'") + "`"


def write_table(rows: list[dict]) -> None:
    """The committed table, one row for each mutant."""
    killed = sum(row["verdict"] == "killed" for row in rows)
    head = f"""# Mutants

Made with `python -m tests.mutants`. Each row is one change of the kit, and the test that turns red by it.
**{killed} of {len(rows)} killed.**

| mutant | file | from | to | test | verdict | seconds |
|---|---|---|---|---|---|---|
"""
    body = [
        f"| {r['name']} | {r['file']} | {line(r['old'])} | {line(r['new'])} | "
        f"{'<br>'.join(r['tests'])} | {r['verdict']} | {r['seconds']:.0f} |\n"
        for r in rows
    ]
    TABLE.write_text(head + "".join(body), encoding="utf-8", newline="\n")


def remembered(digest: str) -> dict[str, dict]:
    """Rows of an earlier run on the same tree that was stopped."""
    if not DONE.is_file():
        return {}
    saved = json.loads(DONE.read_text(encoding="utf-8"))
    return saved["rows"] if saved["digest"] == digest else {}


def main() -> int:
    """Run the mutants whose names hold one of the given words; all where none is given."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # for the server that tests are forked from: it must have one thread
    mutants = collect()
    chosen = [m for m in mutants if not options.words or any(w in m.name + m.file for w in options.words)]
    digest = tree_digest()
    rows = remembered(digest)
    todo = [m for m in chosen if rows.get(m.name, {}).get("verdict") != "killed"]
    DONE.parent.mkdir(exist_ok=True)
    untouched()  # made before threads ask for it
    with ThreadPoolExecutor(options.jobs) as pool:
        for row in pool.map(judge, todo):
            rows[row["name"]] = row
            DONE.write_text(json.dumps({"digest": digest, "rows": rows}), encoding="utf-8")
            print(f"{row['seconds']:6.1f} s  {row['verdict']:10s} {row['name']}", flush=True)
    if len(chosen) == len(mutants):
        write_table([rows[m.name] for m in mutants])
    alive = [m.name for m in chosen if rows[m.name]["verdict"] != "killed"]
    print(f"{len(chosen) - len(alive)} of {len(chosen)} killed")
    return int(bool(alive))
