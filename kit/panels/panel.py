"""What all panels share: one guard around every change, sentences, a still picture, closing."""

import traceback
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import traitlets
from IPython import get_ipython

from kit.errors import KitError
from kit.panels import saving
from kit.writing import write_file

_HERE = Path(__file__).parent
_of_cell: dict[str, tuple] = {}  # the panel that each cell of the notebook has made


class Sentence(anywidget.AnyWidget):
    """One sentence as plain text, announced to screen readers when it changes; empty = no room taken.

    Traits:
        look: its style in `panel.css`: "caption", "truth", "say", "note", "code" or "head".
        strong: a piece of the text that is set in bold.
    """

    _esm = _HERE / "sentence.js"

    text = traitlets.Unicode("").tag(sync=True)
    strong = traitlets.Unicode("").tag(sync=True)
    look = traitlets.Unicode("note").tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)


class StyledSentence(Sentence):
    """A sentence that brings the style of all panels into the page, and tips; each panel holds one.

    Traits:
        tips: what is said beside the mouse of controls, by their labels.
    """

    _css = _HERE / "panel.css"

    tips = traitlets.Dict().tag(sync=True)


class Panel:
    """Base of all panels: a box of widgets, and one guard.

    A change that cannot be (`KitError`) becomes a sentence in the panel, and what was there before
    stays; so it does when the kernel is interrupted. Any other error is a fault of ours: it is shown
    below the panel and kept in `last_error`. A subclass gives what is saved: `png`, `finding`, `table`,
    `code` and `provenance`.

    Attributes:
        box: the widgets.
        last_error: the last error that was no `KitError`; None where all went well.
        message: the sentence that the panel shows now about a change that could not be; `""` if none.
    """

    def __init__(self):
        self.last_error: BaseException | None = None
        self._say = StyledSentence(look="say")
        self._trouble = Sentence(look="code")
        self._saver, self._lines = saving.SaveBar(), Sentence(look="code")
        self._saver.on_msg(lambda _, message, buffers: self._leave(message))
        self.box = ipywidgets.VBox()
        self.box.add_class("loupe")
        _close_the_one_before(self)

    @property
    def message(self) -> str:
        """What could not be done, in a sentence; empty where nothing failed."""
        return self._say.text

    def guarded(self, make: Callable[[], Any]) -> Any:
        """What `make` gives; where it fails say so, undo what it did, and give None."""
        try:
            made = make()
        except KitError as error:
            said = str(error)
        except KeyboardInterrupt:
            said = "interrupted; what was there before stays."
        except Exception as error:
            self.last_error, trouble = error, "".join(traceback.format_exception(error))
            said = f"This should not have happened ({type(error).__name__}); what was there before stays."
            self._trouble.text = trouble
        else:
            self._say.text = self._trouble.text = self._lines.text = ""
            return made
        self._undo()
        self._say.text = said
        return None

    def _undo(self) -> None:
        """Back to what was there before a change that failed."""

    def save(self, path: str | Path) -> Path:
        """Write what the panel shows, first under a temporary name.

        Args:
            path: ends with `.csv` (the numbers), `.png` (the picture), `.html` (both, on a page that opens
                without a kernel) or `.py` (the lines that compute it). Numbers and lines begin with where
                they come from, behind a `#`: `pandas.read_csv(path, comment="#")`; pictures say it in their
                metadata, pages at the end.

        Returns:
            The path.

        Raises:
            KitError: another ending, or a place that cannot be written.
        """
        path = Path(path)
        write_file(path, saving.content(self, path.suffix.lower()))
        return path

    def _leave(self, message: dict) -> None:
        """A button of the save bar was pressed."""
        kind = message.get("save")
        made = self.guarded(self.code if kind == "copy" else lambda: saving.content(self, str(kind)))
        if made is not None and kind == "copy":
            self._lines.text = made
            self._saver.copy(made)
        elif made is not None:
            self._saver.hand_out(saving.file_name(self, kind), made)

    def _foot(self) -> list[ipywidgets.Widget]:
        """What every panel ends with: save bar, lines of code, and what went wrong."""
        return [self._saver, self._lines, self._trouble]

    def close(self) -> None:
        """Remove the panel's widgets from kernel and browser, with their layouts and styles."""
        for widget in _all_widgets(vars(self)):
            widget.close()

    def _repr_mimebundle_(self, include=None, exclude=None):
        live = self.box._repr_mimebundle_()
        live, metadata = live if isinstance(live, tuple) else (live, {})
        return {**live, "image/png": self.png(), "text/plain": self.finding()}, metadata


def _close_the_one_before(panel: Panel) -> None:
    """When a cell is run again, close the panel that it made before."""
    try:
        message = get_ipython().get_parent()
        cell, ran = message["metadata"]["cellId"], message["header"]["msg_id"]
    except (AttributeError, KeyError, LookupError, TypeError):
        return  # plain Python, or a front end that does not say which cell runs
    held, ran_before = _of_cell.get(cell, (None, None))
    before = held() if held is not None else None
    if before is not None and ran != ran_before:
        before.close()
    _of_cell[cell] = (weakref.ref(panel), ran)


def _all_widgets(held) -> list[ipywidgets.Widget]:
    """Widgets in lists and dictionaries, and what they hold in turn: children, layouts, styles; each once.

    What a trait with the tag `shared` holds is not the widget's own.
    """
    found, waiting = {}, [held]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list | tuple):
            waiting += each
        elif isinstance(each, ipywidgets.Widget) and each not in found:
            found[each] = None
            waiting += [getattr(each, key) for key in each.keys if not each.trait_metadata(key, "shared")]
    return list(found)
