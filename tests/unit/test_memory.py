"""The sum of memory of a tree of processes: children of children are in it, and shared pages count once."""

import sys

import pytest

from tests.bench.memory import MIB, watched

HOLDS = 120  # MiB
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process holds")
# a child's child holds the bytes; of the second program, a fork shares what its parent holds
NESTED = f"""import subprocess, sys
held = "import time; held = b'x' * ({HOLDS} * 2**20); time.sleep(1.5)"
middle = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {{held!r}}])"
subprocess.run([sys.executable, "-c", middle])"""
SHARED = f"""import os, time
held = b"x" * ({HOLDS} * 2**20)
if os.fork():
    os.wait()
else:
    time.sleep(1.5)"""


def test_what_a_childs_child_holds_is_counted():
    status, tree = watched([sys.executable, "-c", NESTED], seconds=0.1)
    assert status == 0 and tree.samples >= 5
    assert HOLDS * MIB < tree.peak < (HOLDS + 100) * MIB
    assert "x" in tree.largest[0][1] and tree.largest[0][0] > HOLDS * MIB
    assert f"{tree.peak / 2**30:.2f} GiB" in tree.report()


def test_what_two_processes_share_counts_once():
    _, tree = watched([sys.executable, "-c", SHARED], seconds=0.1)
    assert HOLDS * MIB < tree.peak < 1.5 * HOLDS * MIB


def test_the_status_of_the_command_is_given():
    assert watched([sys.executable, "-c", "raise SystemExit(3)"], seconds=0.1)[0] == 3
