"""The most memory that a command and all its processes hold: `python -m tests.bench.memory -- COMMAND …`.

Every second the proportional set sizes (PSS, from `/proc/PID/smaps_rollup`) of the command, its children,
their children and so on are added up: a page that several processes share counts once. Processes whose
parent has ended, such as kernels of a worker that was killed, are followed once they were seen. The peak is
printed at the end, with what the largest processes of that second were. Linux only.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

SECONDS, LISTED = 1.0, 8
GIB, MIB = 2**30, 2**20


def pss(pid: int) -> int:
    """Proportional set size of a process in bytes; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(1024 * int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


class Tree:
    """A process and all that came of it.

    Attributes:
        peak: the largest sum that was seen, in bytes.
        largest: the processes of that moment, (bytes, command).
        samples: how often was looked.
    """

    def __init__(self, pid: int):
        self.known = {pid: psutil.Process(pid)}
        self.peak, self.largest, self.samples = 0, [], 0

    def look(self) -> int:
        """Add up what is held now; gives the sum in bytes."""
        for process in [*self.known.values()]:
            try:
                self.known |= {child.pid: child for child in process.children(recursive=True)}
            except psutil.NoSuchProcess:
                del self.known[process.pid]
        held = {pid: pss(pid) for pid, process in self.known.items() if process.is_running()}
        self.samples += 1
        if (total := sum(held.values())) > self.peak:
            self.peak = total
            first = sorted(held, key=held.get, reverse=True)[:LISTED]
            self.largest = [(held[pid], self._words(pid)) for pid in first]
        return total

    def _words(self, pid: int) -> str:
        try:
            return " ".join(self.known[pid].cmdline())
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            return "ended"

    def report(self) -> str:
        """Peak and largest processes, in lines."""
        head = f"peak {self.peak / GIB:.2f} GiB (sum of PSS, {self.samples} samples)"
        return "\n".join([head, *(f"{held / MIB:8.0f} MiB  {words[:90]}" for held, words in self.largest)])


def watched(command: Sequence[str], seconds: float = SECONDS) -> tuple[int, Tree]:
    """Run a command, look every `seconds`; gives its exit status and what was seen."""
    started = subprocess.Popen(command)
    tree, ended = Tree(started.pid), threading.Event()

    def look() -> None:
        while not ended.is_set():
            begun = time.monotonic()
            tree.look()
            ended.wait(max(0.0, seconds - (time.monotonic() - begun)))

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    try:
        status = started.wait()
    finally:
        ended.set()
        watching.join()
    return status, tree


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[:1] != ["--"] or len(given) < 2:
        sys.exit("usage: python -m tests.bench.memory -- COMMAND …")
    status, seen = watched(given[1:])
    print(seen.report())
    sys.exit(status)
