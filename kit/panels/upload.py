"""A button that takes pictures: the browser shrinks them, sends one at a time, and each is answered."""

import re
from collections.abc import Callable
from pathlib import Path

import anywidget
import ipywidgets
import traitlets

_HERE = Path(__file__).parent
_SIDE = 1024  # pixels of the longest side, as upload.js sends it
_LONGEST = 80  # letters of a name
_SENTENCE = 300  # letters of a refusal


class UploadButton(anywidget.AnyWidget):
    """A button for image files, and beside it what is going on.

    A picture whose longer side is over 1,024 pixels, or whose file is over 2 MB, is shrunk in the browser
    (turned upright by its EXIF data; JPEG, or PNG where it is transparent); any other comes byte for
    byte. A file that is no picture to the browser comes as it is up to 8 MB, so that Python can say what is
    wrong with it; a larger one is refused in a sentence. The next file is sent when this one was answered.

    Traits:
        label, tip: the words on the button, and beside the mouse.
        busy: what is said beside the button, such as `"computing…"`.
        disabled: whether no file is taken now.

    Example:
        >>> button, seen = UploadButton(), []
        >>> button.on_file(lambda content, name, note: seen.append((content, name, note)))
        >>> button.on_refused(seen.append)
        >>> button._heard(button, {"id": "1", "name": "a.jpg", "shrunk": [1024, 683]}, [b"JPEG"])
        >>> seen
        [(b'JPEG', 'a.jpg', 'shrunk to 1,024 × 683 in the browser')]
    """

    _esm = _HERE / "upload.js"

    label = traitlets.Unicode("upload").tag(sync=True)
    tip = traitlets.Unicode("").tag(sync=True)
    busy = traitlets.Unicode("").tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._files, self._refusals = ipywidgets.CallbackDispatcher(), ipywidgets.CallbackDispatcher()
        self.on_msg(self._heard)

    def on_file(self, callback: Callable[[bytes, str, str], None]) -> None:
        """Call this with each file: its bytes, its name, and what the browser did to it (`""` = nothing)."""
        self._files.register_callback(callback)

    def on_refused(self, callback: Callable[[str], None]) -> None:
        """Call this with a sentence for each file that the browser could not send."""
        self._refusals.register_callback(callback)

    def _heard(self, _, message, buffers) -> None:
        """A message of the browser, which waits for the answer; nothing in it is trusted."""
        message = message if isinstance(message, dict) else {}
        try:
            if isinstance(message.get("refused"), str):
                self._refusals(_plain(message["refused"], _SENTENCE))
            elif isinstance(message.get("name"), str) and buffers:
                name = _plain(message["name"], _LONGEST) or "a file without a name"
                self._files(bytes(buffers[0]), name, _note(message.get("shrunk")))
        finally:  # whatever became of this file, the next one comes
            self.send({"done": message.get("id")})


def _plain(text: str, longest: int) -> str:
    """Text on one line, without signs of HTML and without what cannot be seen; cut in the middle.

    Example:
        >>> _plain("<b>cat</b>.jpg\\n", 80), _plain("a" * 90 + ".jpg", 20)
        ('bcat/b.jpg', 'aaaaaaaaaaa…aaaa.jpg')
    """
    text = "".join(c for c in re.sub(r"\s+", " ", text[:10_000]) if c.isprintable() and c not in "<>").strip()
    tail = min(longest // 2, 8)
    return text if len(text) <= longest else f"{text[: longest - tail - 1]}…{text[-tail:]}"


def _note(shrunk) -> str:
    """What the browser did, in words.

    Example:
        >>> _note([1024, 683]), _note(None)
        ('shrunk to 1,024 × 683 in the browser', '')
    """
    sound = isinstance(shrunk, list) and len(shrunk) == 2
    if sound and all(type(side) is int and 0 < side <= _SIDE for side in shrunk):
        return f"shrunk to {shrunk[0]:,} × {shrunk[1]:,} in the browser"
    return ""
