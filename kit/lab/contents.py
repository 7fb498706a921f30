"""Notebooks as JupyterLab reads them: a panel whose kernel is gone is its still picture."""

import psutil
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


class StillContents(AsyncLargeFileManager):
    """The server's own contents manager, which leaves dead widgets out of the notebooks that it reads.

    A saved panel holds a widget view, which is no more than the number of an object in
    its kernel, and a picture. JupyterLab prefers the view, and shows an error in the
    picture's place once that kernel is gone. So the view is left out then, and kept while
    a kernel of the notebook lives that had begun before the file was saved: a younger one,
    such as JupyterLab starts when a notebook is opened, cannot know the saved widgets. A
    restart is a beginning, too. One case is missed: where a kernel is restarted and dead
    panels are saved after that, they keep their error until their cells are run.

    Reading changes no file. A notebook that is opened with its stills and then saved is
    written without the views, which lead nowhere; the pictures stay, and running the cell
    again brings the panel back. A copy made by the server is written as it was read.
    """

    async def get(self, path, content=True, type=None, format=None, require_hash=False):
        """The model of a file or folder, as the server gives it; the hash is that of the file."""
        model = await super().get(path, content, type, format, require_hash)
        if content and model["type"] == "notebook" and not await self._lives(model):
            leave_stills(model["content"])
        return model

    async def _lives(self, model: dict) -> bool:
        """Whether there is a kernel of the notebook that may know the widgets saved in it."""
        sessions = await self.parent.session_manager.list_sessions()
        kernels = [session["kernel"]["id"] for session in sessions if session["path"] == model["path"]]
        return any(self._began(kernel) <= model["last_modified"].timestamp() for kernel in kernels)

    def _began(self, kernel: str) -> float:
        """When a kernel's process began, as `time.time` counts; never where it has ended, 0 where unknown."""
        process = getattr(self.parent.kernel_manager.get_kernel(kernel), "provisioner", None)
        pid = getattr(process, "pid", None)  # a gateway's kernel runs elsewhere
        try:
            return psutil.Process(pid).create_time() if pid else 0.0
        except psutil.NoSuchProcess:
            return float("inf")


def leave_stills(notebook: dict) -> None:
    """Take the widget view, in place, out of every output that also holds a PNG.

    A widget whose state was saved in the notebook needs no kernel to be shown, and stays;
    so does one that has no picture.

    Example:
        >>> both = {"image/png": "iVBORw0", VIEW: {"model_id": "4d1c"}, "text/plain": "a cat"}
        >>> alone = {VIEW: {"model_id": "77ab"}, "text/plain": "a slider"}
        >>> notebook = {"metadata": {}, "cells": [{"outputs": [{"data": both}, {"data": alone}]}]}
        >>> leave_stills(notebook)
        >>> list(both), list(alone)[1:]
        (['image/png', 'text/plain'], ['text/plain'])
    """
    states = notebook["metadata"].get("widgets", {}).get(STATE, {}).get("state", {})
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data and VIEW in data and data[VIEW].get("model_id") not in states:
                del data[VIEW]
