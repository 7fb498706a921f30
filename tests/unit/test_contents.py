"""A saved panel is read as its still once its kernel is gone, and the file stays as it is."""

import asyncio
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from traitlets.config import LoggingConfigurable

from kit.lab.contents import STATE, VIEW, StillContents

PANEL = {VIEW: {"model_id": "4d1c", "version_major": 2, "version_minor": 0}, "image/png": "iVBORw0KGgo=\n"}
BARE = {VIEW: {"model_id": "77ab", "version_major": 2, "version_minor": 0}, "text/plain": "a slider"}
PATH = "sub folder/own.ipynb"


class Server(LoggingConfigurable):
    """What the contents manager asks of its server: the sessions, and the processes of their kernels."""

    def __init__(self, *kernels: tuple[str, int | None]):
        super().__init__()
        self.session_manager = self.kernel_manager = self
        self.processes = {str(number): process for number, (_, process) in enumerate(kernels)}
        self.sessions = [{"path": path, "kernel": {"id": str(n)}} for n, (path, _) in enumerate(kernels)]

    async def list_sessions(self):
        return self.sessions

    def get_kernel(self, kernel):
        return SimpleNamespace(provisioner=SimpleNamespace(pid=self.processes[kernel]))


@pytest.fixture
def file(tmp_path):
    """A notebook with a panel, a widget without a picture, some print, and a text cell."""
    cell = nbformat.v4.new_code_cell("panel")
    cell.outputs = [nbformat.v4.new_output("display_data", data=data) for data in (PANEL, BARE)]
    cell.outputs.append(nbformat.v4.new_output("stream", text="a cat\n"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("own"), cell])
    (tmp_path / PATH).parent.mkdir()
    nbformat.write(notebook, tmp_path / PATH)
    return tmp_path / PATH


@pytest.fixture
def contents(tmp_path):
    """Gives a contents manager of a server with these kernels: pairs of a notebook's path and a process."""
    return lambda *kernels: StillContents(parent=Server(*kernels), root_dir=str(tmp_path))


def wait(coroutine):
    """What a coroutine gives, also in a process in which the browser's tests left a loop running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def read(manager, path=PATH, **options):
    return wait(manager.get(path, **options))


def outputs(model) -> list[dict]:
    return [o.get("data") for o in model["content"]["cells"][1]["outputs"]]


STILL = [{"image/png": PANEL["image/png"]}, BARE, None]
LIVE = [PANEL, BARE, None]


def test_without_a_kernel_the_picture_is_read_and_a_widget_without_one_stays(contents, file):
    before = file.read_bytes()
    assert outputs(read(contents())) == STILL
    assert file.read_bytes() == before


def test_the_panel_of_a_living_kernel_is_read_as_it_was_saved(contents, file):
    assert outputs(read(contents((PATH, os.getpid())))) == LIVE
    assert outputs(read(contents((PATH, None)))) == LIVE  # a process that is not on this machine
    assert outputs(read(contents(("other.ipynb", os.getpid())))) == STILL


def test_a_kernel_that_began_after_the_file_was_saved_does_not_know_its_widgets(contents, file):
    hour_before = psutil.Process().create_time() - 3600
    os.utime(file, (hour_before, hour_before))
    assert outputs(read(contents((PATH, os.getpid())))) == STILL


def test_a_kernel_whose_process_ended_is_none(contents, file):
    gone = next(n for n in range(100_000, 200_000) if not psutil.pid_exists(n))
    assert outputs(read(contents((PATH, gone)))) == STILL
    assert outputs(read(contents((PATH, gone), (PATH, os.getpid())))) == LIVE


def test_a_widget_whose_state_was_saved_stays(contents, file):
    notebook = json.loads(file.read_text("utf-8"))
    notebook["metadata"]["widgets"] = {STATE: {"state": {"4d1c": {}}, "version_major": 2, "version_minor": 0}}
    file.write_text(json.dumps(notebook), "utf-8")
    assert outputs(read(contents())) == LIVE


def test_the_hash_is_that_of_the_file(contents, file):
    model = read(contents(), require_hash=True)
    assert outputs(model) == STILL
    assert model["hash"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_other_readings_are_the_servers_own(contents, file):
    assert read(contents(), content=False)["content"] is None
    assert read(contents(), type="file")["content"] == file.read_text("utf-8")
    assert [entry["name"] for entry in read(contents(), "sub folder")["content"]] == [file.name]


def test_a_notebook_saved_with_its_stills_keeps_them_and_a_checkpoint_is_the_file(contents, file):
    manager, before = contents(), file.read_bytes()
    checkpoint = wait(manager.create_checkpoint(PATH))
    model = read(manager)
    wait(manager.save({"type": "notebook", "content": model["content"]}, PATH))
    data = [o.get("data") for o in nbformat.read(file, 4).cells[1].outputs]
    assert data == STILL
    wait(manager.restore_checkpoint(checkpoint["id"], PATH))
    assert file.read_bytes() == before
