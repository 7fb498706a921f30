"""Ratios of running times, measured in one run, with the noise of the machine beside them."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

REPORTS = Path(__file__).parents[2] / "docs" / "bench"
AGAIN = "the same again"
BUSY = 3.0  # load over a quarter of an hour that a benchmark of two threads does not make alone


def alternate(
    functions: dict[str, Callable],
    rounds: int = 9,
    warmup: int = 2,
    after: Callable | None = None,
    clock: Callable[[], float] | None = None,
):
    """Medians of running times, and ratios to the first function.

    The functions run in turn, every second round in reverse order, so that a machine
    that slows down slows all of them. The first one, the denominator, runs twice in
    each round: its ratio to itself says how far a ratio can be trusted.

    Args:
        functions: what is timed, by name; the first is the denominator. Called without arguments.
        rounds: how often each is timed.
        warmup: how often each runs before that, untimed.
        after: called inside the timed span after each run, such as `torch.cuda.synchronize`.
        clock: gives seconds, those of the wall where None; `time.process_time` counts those of this
            process alone, whatever else runs.

    Returns:
        By name: `{"seconds": median, "low": fastest, "high": slowest, "ratio": median over the rounds
        of its time divided by the denominator's time in the same round}`. The entry "the same again"
        is the denominator once more.
    """
    clock, first = clock or time.perf_counter, next(iter(functions))
    runs = {**functions, AGAIN: functions[first]}
    for function in runs.values():
        for _ in range(warmup):
            function()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for k in range(rounds):
        for name in list(runs)[:: 1 if k % 2 == 0 else -1]:
            start = clock()
            runs[name]()
            if after is not None:
                after()
            seconds[name].append(clock() - start)
    base = seconds[first]
    return {
        name: {
            "seconds": median(times),
            "low": min(times),
            "high": max(times),
            "ratio": median(t / b for t, b in zip(times, base)),
        }
        for name, times in seconds.items()
    }


def settings(**stated: object) -> dict[str, object]:
    """What a reader needs to judge a time: threads, cores, versions, load, and what the caller states."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        **stated,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "processor": torch.backends.cpu.get_cpu_capability() + " " + platform.machine(),
        "load average at the start": load,
    }


def table(results: dict[str, dict[str, float]], heading: str, stated: dict[str, object]) -> str:
    """A measurement as markdown: what was stated, then one row for each function."""
    rows = []
    for name, r in results.items():
        middle, low, high = (f"{1000 * r[key]:.1f}" for key in ("seconds", "low", "high"))
        rows.append(f"| {name} | {middle} | {low}–{high} | {r['ratio']:.3f} |")
    facts = ", ".join(f"{key} {value}" for key, value in stated.items())
    head = ["| what | median ms | range | ratio |", "|---|---|---|---|"]
    return "\n".join([f"## {heading}", "", f"{facts[:1].upper()}{facts[1:]}.", "", *head, *rows, ""])


def save(name: str, tables: list[str], folder: Path = REPORTS) -> Path:
    """Write the tables of one benchmark to `docs/bench/NAME.md`, with the command that made them."""
    folder.mkdir(parents=True, exist_ok=True)
    busy = hasattr(os, "getloadavg") and os.getloadavg()[2] >= BUSY
    said = "while other work ran: times are too long" if busy else "with nothing else running"
    head = f"# Benchmark: {name}\n\nMade with `python -m tests.bench.{name}`, {said}.\n"
    path = folder / f"{name}.md"
    path.write_text("\n".join([head, *tables]), encoding="utf-8", newline="\n")
    return path
