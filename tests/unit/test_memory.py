"""What is held: by a tree of processes, with children of children and shared pages once; by one picture."""

import sys

import pytest

from tests.bench.bad_pictures import apart, read_in, smooth
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


@pytest.mark.parametrize(
    "kind, mode, how", [("PNG", "RGBA", {"compress_level": 1}), ("JPEG", "CMYK", {}), ("BMP", "RGB", {})]
)
def test_a_picture_takes_the_memory_that_is_expected_of_it(kind, mode, how, tmp_path):
    """On docs/bench/large_pictures.md all formats, as large as they are read."""
    for name, side in (("small", 64), ("large", 3000)):
        smooth(side, mode).save(tmp_path / name, kind, **how)
    pixels, expected, taken = apart(read_in, tmp_path / "large", (tmp_path / "small").read_bytes())
    assert pixels == 9e6 and 0.8 * expected < taken < expected + 8e6
