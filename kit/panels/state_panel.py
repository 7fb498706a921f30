"""What panels share whose state is one `Selection`: hands, strings, other views, and what undoes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from kit.panels.panel import Panel


class StatePanel(Panel):
    """Base of panels that show what `cases` finds for `selection`.

    A subclass makes `cases`, `selection` and its controls, calls `_begin`, and says how the finding is
    found and drawn (`_find_and_draw`) and how the controls show the state (`_sync`). The sentence is
    written last: who hears or waits for it finds everything else in its place.

    Attributes:
        selection: what is looked at.
        found: what is shown of it; `found.caption` is its finding in words.
    """

    def _begin(self) -> None:
        """Draw the first state, and listen to hands from now on."""
        self._writing = False
        self._build_controls()
        self._show()
        self._sync()
        self._connect()

    @property
    def caption(self) -> str:
        """The finding in a sentence or two."""
        return self.found.caption

    @property
    def state(self) -> dict:
        """What is looked at, as plain data; `panel.string` is the same as one string."""
        return self.selection.as_dict()

    @property
    def string(self) -> str:
        """The state as one string, which the panel's own field and its argument `state` take."""
        return str(self.selection)

    def choose(self, **fields) -> None:
        """Change the state as a hand in the panel does; what cannot be becomes a sentence."""
        if not self._writing:
            self.guarded(partial(self._change, fields), self._undo)
            self._sync()

    def _change(self, fields: dict) -> None:
        with self._quietly():
            self.selection.change(**fields)
        self._show()

    def _show(self) -> None:
        """Find and draw; only what could be drawn is a state to come back to."""
        self._find_and_draw()
        self._good = self.selection.as_dict()

    def _undo(self) -> None:
        with self._quietly():
            self.selection.change(**self._good)

    def _selected(self, _) -> None:
        """The selection was changed from outside the panel."""
        if not self._writing and self.selection.as_dict() != self._good:
            self.choose()

    def _restore(self, text: str) -> None:
        """The field with the state string was written."""
        if self._writing or text == self.string:
            return
        parsed = {}
        if self.guarded(lambda: parsed.update(self._parsed(text)), self._undo):
            self.choose(**parsed)
        else:
            self._sync()

    def _parsed(self, text: str) -> dict:
        """The fields of a state string."""
        return type(self.selection).parse(text).as_dict()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Changes of state or controls that are no hand's."""
        before, self._writing = self._writing, True
        try:
            yield
        finally:
            self._writing = before

    def _build_controls(self) -> None:
        raise NotImplementedError

    def _find_and_draw(self) -> None:
        raise NotImplementedError

    def _sync(self) -> None:
        """Make every control show the state."""
        raise NotImplementedError

    def _connect(self) -> None:
        raise NotImplementedError
