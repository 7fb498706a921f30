"""What leaves a panel: a table, a picture, a page that opens without a kernel, and where it came from."""

import base64
import html
import io
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import anywidget
import traitlets
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kit.errors import KitError
from kit.models.model import Model

_HERE = Path(__file__).parent
TYPES = {".csv": "text/csv", ".png": "image/png", ".html": "text/html", ".py": "text/x-python"}
BUTTONS = [
    [".csv", "CSV", "the numbers as a table"],
    [".png", "PNG", "the picture"],
    [".html", "HTML", "a page with picture, numbers and lines that opens without a kernel"],
    ["copy", "copy as code", "show the lines that compute this, and copy them"],
]
STYLE = """:root{color-scheme:light dark;background:Canvas;color:CanvasText}
body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em}
img{max-width:100%;background:#fff}
table{border-collapse:collapse;font-size:13px}
th,td{padding:2px 8px;text-align:left;font-weight:400;border-bottom:1px solid #8886}
pre{background:#8882;padding:8px 12px;white-space:pre-wrap}footer{font-size:13px;opacity:.8}"""


class SaveBar(anywidget.AnyWidget):
    """Buttons for what can be saved; a click is a message `{"save": kind}`, the answer a message with a file.

    Traits:
        kinds: kind, text and tip of each button.
    """

    _esm = _HERE / "save_bar.js"

    kinds = traitlets.List(BUTTONS).tag(sync=True)

    def hand_out(self, name: str, content: bytes) -> None:
        """Send a file to the browser, which saves it."""
        self.send({"name": name, "type": TYPES[Path(name).suffix]}, [content])

    def copy(self, text: str) -> None:
        """Send lines to the browser's clipboard."""
        self.send({"copy": text})


def provenance(model: Model, data: str, seed: int | None = None, **more) -> str:
    """Where figures come from, in one line: model, its weights, images, seed, version of the kit.

    Args:
        model: that was taken apart.
        data: the images, in words.
        seed: of what was drawn, where something was.
        **more: further facts, such as `means="2,000 unbiased scenes"`.

    Example:
        >>> from types import SimpleNamespace
        >>> model = SimpleNamespace(label="tiny", weights_hash="ab" * 32)
        >>> provenance(model, "scene 3", seed=0).rpartition(";")[0]
        'model tiny, weights abababababab; images scene 3; seed 0'
    """
    facts = [f"model {model.label}, weights {model.weights_hash[:12]}", f"images {data}"]
    facts += [f"{name} {value}" for name, value in more.items() if value]
    facts += [] if seed is None else [f"seed {seed}"]
    try:
        facts.append(f"loupe {version('loupe')}")
    except PackageNotFoundError:  # a clone that was not installed
        facts.append("loupe, not installed")
    return "; ".join(facts)


def content(panel, suffix: str) -> bytes:
    """What a file of this kind holds, for a panel.

    Raises:
        KitError: another kind of file.
    """
    if suffix == ".csv":
        return f"# {panel.provenance()}\n{panel.table().to_csv(index=False)}".encode()
    if suffix == ".png":
        return _marked(panel.png(paper=True), panel.provenance())
    if suffix == ".html":
        return page(panel).encode()
    if suffix == ".py":
        return f"# {panel.provenance()}\n{panel.code()}\n".encode()
    raise KitError(f'no "{suffix}" can be saved; name a file that ends with one of {", ".join(TYPES)}.')


def _marked(png: bytes, source: str) -> bytes:
    """A picture that says in its metadata where it comes from."""
    info, held = PngInfo(), io.BytesIO()
    info.add_itxt("Source", source)
    Image.open(io.BytesIO(png)).save(held, "PNG", pnginfo=info)
    return held.getvalue()


def page(panel) -> str:
    """A whole page of HTML: the finding, the picture, the numbers, the lines, where they come from."""
    title, finding, source = (html.escape(t) for t in (title_of(panel), panel.finding(), panel.provenance()))
    picture = base64.b64encode(panel.png(paper=True)).decode()
    table = panel.table().to_html(index=False, border=0, float_format="%.5g", na_rep="")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<main><h1>{title}</h1><p>{finding}</p>"
        f'<img src="data:image/png;base64,{picture}" alt="{finding}">'
        f"<h2>The lines that compute it</h2><pre>{html.escape(panel.code())}</pre>"
        f"<h2>The numbers</h2>{table}</main><footer><p>{source}</p></footer></html>\n"
    )


def title_of(panel) -> str:
    """Name of the panel and of its model."""
    return f"{type(panel).__name__}, {panel.state.get('model', '')}".strip(", ")


def file_name(panel, suffix: str) -> str:
    """A name for a file of a panel, of letters that every system takes.

    Example:
        >>> class Explorer:
        ...     state = {"model": "timm/a b", "selector": "L5.H3"}
        >>> file_name(Explorer(), ".csv")
        'explorer-timm-a-b-L5.H3.csv'
    """
    state = panel.state
    said = [
        type(panel).__name__.lower(),
        *(state.get(k) or "" for k in ("model", "image", "selector", "off")),
    ]
    words = [re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-.") for word in said if word != "none"]
    return "-".join(word for word in words if word)[:80] + suffix
