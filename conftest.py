"""What holds for every test, of Python files and of notebooks: threads, network, report of time."""

import os

# Two workers on two cores: one thread each. Set before anything imports torch, and inherited by kernels.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What is large goes back to the machine when it is freed: C's allocator keeps it otherwise. Workers and
# kernels inherit this.
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(4 * 2**20))
# Threads of a worker share what is free, and `let_go` gives it back; kernels would keep it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("MALLOC_ARENA_MAX", None)
else:
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")

os.environ.setdefault("TQDM_DISABLE", "1")  # progress bars are never twice the same
os.environ["KIT_REPORT"] = ""  # a report of a sweep that lies here is not what notebooks were saved with

import asyncio
import ctypes
import gc
import shutil
import socket
import sys
import tempfile
from collections import defaultdict

import psutil
import pytest

# what the kit keeps: one folder for a run, its workers and its kernels, and never the user's own
CACHE = None if "PYTEST_XDIST_WORKER" in os.environ else tempfile.mkdtemp(prefix="loupe-tests-")
os.environ["KIT_CACHE"] = CACHE or os.environ["KIT_CACHE"]

LONGEST = (  # test files, by the seconds that they take
    "test_families.py", "test_all_panels.py", "test_any_vit_notebook.py", "test_saved_notebook.py",
    "test_golden.py", "15_a_segmenter_from_a_classifier.ipynb", "20_decomposing_any_vit.ipynb",
    "10_taking_an_image_apart.ipynb", "11_mean_ablation.ipynb", "12_what_each_head_says.ipynb",
    "13_removing_a_spurious_cue.ipynb", "14_retrieval_by_head.ipynb", "16_heads_and_tokens.ipynb",
    "21_aligning_parts_with_clip.ipynb", "22_which_parts_matter.ipynb",
    "00_start_here.ipynb", "test_start_notebook.py", "test_cue_notebook.py", "test_chart_and_upload.py",
    "test_parts.py", "test_segmenter_notebook.py", "test_declared_panel.py", "test_retrieval_notebook.py",
    "test_ablation_notebook.py", "test_heads_notebook.py", "test_tokens_notebook.py",
)  # fmt: skip
GROWN = 200 * 2**20  # bytes that a process may grow by before what nobody holds is let go
PROCESS, HELD = psutil.Process(), pytest.StashKey[int]()
LOOPBACK = ("localhost", "::1", "", None)


def is_loopback(host: object) -> bool:
    """Whether a host name or number stands for this machine."""
    host = host.decode() if isinstance(host, bytes) else host
    return host in LOOPBACK or str(host).startswith("127.")


def _without_a_loop(item):
    """As in a script: Playwright leaves its event loop running, for which a slow panel would wait."""
    loop = None if "browser" in item.path.parts else asyncio._get_running_loop()
    if loop is not None:
        asyncio._set_running_loop(None)
    try:
        return (yield)
    finally:
        if loop is not None:
            asyncio._set_running_loop(loop)


def let_go() -> None:
    """Give back what nobody holds: graphs are circles, which Python frees late, and C keeps what is freed."""
    gc.collect()
    if "torch._subclasses.fake_tensor" in sys.modules:  # what each operation of a recorded tower gives
        sys.modules["torch._subclasses.fake_tensor"].FakeTensorMode.cache_clear()
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)


def pytest_collection_modifyitems(items):
    """The files that take longest come first, so that at the end no worker waits long for another."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


def pytest_collection_finish():
    """What was imported stays, and need not be looked through again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Let go after each file, and within one after a test behind which the process is larger."""
    done = yield
    held = item.config.stash.get(HELD, 0)
    if nextitem is None or nextitem.path != item.path or PROCESS.memory_info().rss > held + GROWN:
        let_go()
        item.config.stash[HELD] = PROCESS.memory_info().rss
    return done


pytest_runtest_setup = pytest.hookimpl(wrapper=True)(_without_a_loop)
pytest_runtest_call = pytest.hookimpl(wrapper=True)(_without_a_loop)


@pytest.fixture(scope="session", autouse=True)
def network_off():
    """No test of this process reaches another machine: what tries to gets the error of a missing network."""
    patch = pytest.MonkeyPatch()

    def guarded(real):
        def connect(self, address):
            if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
                raise OSError(101, f"tests run without network, {address[0]} was asked for")
            return real(self, address)

        return connect

    real_lookup = socket.getaddrinfo

    def lookup(host, *args, **kwargs):
        if not is_loopback(host):
            raise socket.gaierror(socket.EAI_AGAIN, f"tests run without network, {host} was asked for")
        return real_lookup(host, *args, **kwargs)

    patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
    patch.setattr(socket, "getaddrinfo", lookup)
    yield
    patch.undo()


def pytest_unconfigure(config):
    """Remove what the kit kept during the run."""
    if CACHE:
        shutil.rmtree(CACHE)


def pytest_collectstart(collector):
    """Leave plotly's figures out of the comparison: their base64 floats differ between processors."""
    if collector.nodeid.endswith(".ipynb"):
        collector.skip_compare += ("application/vnd.plotly.v1+json",)


def pytest_terminal_summary(terminalreporter):
    """Say where the time went: seconds of work, by folder, summed over the workers."""
    seconds: dict[str, float] = defaultdict(float)
    tests: dict[str, set] = defaultdict(set)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration") and hasattr(report, "nodeid"):
                folder = "/".join(report.nodeid.split("::")[0].split("/")[:-1][:2]) or "."
                seconds[folder] += report.duration
                tests[folder].add(report.nodeid)
    if seconds:
        terminalreporter.section("seconds by folder")
    for folder in sorted(seconds, key=seconds.get, reverse=True):
        terminalreporter.write_line(f"{seconds[folder]:8.1f} s  {len(tests[folder]):5d} tests  {folder}")
