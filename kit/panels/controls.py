"""The widgets of notebook 00's panel, built once; `explorer.py` gives them their meaning."""

from dataclasses import dataclass, field

import ipywidgets as w

from kit.panels.heat_panel import BarPanel, HeadGrid, HeatPanel
from kit.panels.panel import Sentence
from kit.panels.upload import UploadButton

DIRECTIONS = [
    ("minus the others", "contrast"),
    ("as they are", "raw"),
    ("minus reference mean", "reference"),
]
BARS = [
    {"name": "whole", "look": "whole"},
    {"name": "without it", "look": "rest"},
    {"name": "only it", "look": "only"},
]


def _auto(**more) -> w.Layout:
    return w.Layout(width="auto", **more)


def _labelled(widget, width: str = "auto", label: str = "initial"):
    widget.style.description_width = label
    widget.layout.width = width
    return widget


def _button(text: str, tip: str) -> w.Button:
    return w.Button(description=text, tooltip=tip, layout=_auto())


def _toggle(name: str, options: list, tip: str) -> w.ToggleButtons:
    made = w.ToggleButtons(options=options, description=name, tooltip=tip)
    made.style.button_width = "62px"
    return _labelled(made)


@dataclass
class Controls:
    """Every widget of the panel, by what it does."""

    picture: w.Dropdown = field(default_factory=lambda: _labelled(w.Dropdown(description="picture"), "290px"))
    upload: UploadButton = field(default_factory=UploadButton)
    model: w.Dropdown = field(default_factory=lambda: _labelled(w.Dropdown(description="model"), "230px"))
    prompts: w.Text = field(
        default_factory=lambda: _labelled(
            w.Text(description="prompts", placeholder="a cat; a dog", continuous_update=False), "100%"
        )
    )
    directions: w.Dropdown = field(
        default_factory=lambda: _labelled(
            w.Dropdown(description="prompts are taken", options=DIRECTIONS), "290px"
        )
    )
    effect: w.ToggleButtons = field(
        default_factory=lambda: _toggle("effect", ["direct", "total"], "total: later layers run again")
    )
    replace: w.ToggleButtons = field(
        default_factory=lambda: _toggle(
            "off means", ["mean", "zero"], "what a switched-off part is replaced by"
        )
    )
    outline: w.Checkbox = field(
        default_factory=lambda: w.Checkbox(description="outline the truth", indent=False, layout=_auto())
    )
    switch: w.Button = field(
        default_factory=lambda: _button("switch off", "switch the selected parts off, or on again")
    )
    keep: w.Button = field(
        default_factory=lambda: _button("keep only", "switch off all other heads and MLPs; constants stay")
    )
    restore: w.Button = field(default_factory=lambda: _button("all on", "switch every part on"))
    all_tokens: w.Button = field(default_factory=lambda: _button("all tokens", "forget the picked tokens"))
    pin: w.Button = field(default_factory=lambda: _button("pin", "keep this finding below, to compare"))
    state: w.Text = field(
        default_factory=lambda: _labelled(w.Text(description="state", continuous_update=False), "100%")
    )
    heat: HeatPanel = field(
        default_factory=lambda: HeatPanel(kind="map", unit="what each token adds", tall=330)
    )
    grid: HeadGrid = field(default_factory=lambda: HeadGrid(unit="what each part adds", tall=330))
    bars: BarPanel = field(default_factory=lambda: BarPanel(kinds=BARS))
    heat_head: Sentence = field(default_factory=lambda: Sentence(look="head"))
    grid_head: Sentence = field(default_factory=lambda: Sentence(look="head"))
    bars_head: Sentence = field(default_factory=lambda: Sentence(look="head"))
    face: w.HTML = field(default_factory=w.HTML)
    caption: Sentence = field(default_factory=lambda: Sentence(look="caption", live=True))
    truth: Sentence = field(default_factory=lambda: Sentence(look="truth"))
    unseen: Sentence = field(default_factory=lambda: Sentence(look="note", live=True))
    busy: Sentence = field(default_factory=lambda: Sentence(look="note", live=True))
    pins: w.HTML = field(default_factory=w.HTML)

    def arranged(self, say: Sentence, foot: list[w.Widget]) -> list[w.Widget]:
        """The rows of the panel from top to bottom."""
        self.face.add_class("loupe-face")
        column = [
            _box(w.VBox, "column", self.heat_head, self.heat, self.outline),
            _box(w.VBox, "column", self.grid_head, self.grid),
            _box(w.VBox, "column", self.bars_head, self.bars),
        ]
        column[2].add_class("loupe-narrow")
        told = _box(w.VBox, "told", self.caption, self.truth, self.unseen)
        return [
            _box(w.HBox, "row", self.picture, self.upload, self.model),
            self.prompts,
            say,
            _box(w.HBox, "row", self.face, told),
            _box(w.HBox, "columns", *column),
            _box(
                w.HBox,
                "row",
                self.switch,
                self.keep,
                self.restore,
                self.all_tokens,
                self.effect,
                self.replace,
            ),
            _box(w.HBox, "row", self.directions, self.pin, self.busy),
            self.pins,
            self.state,
            *foot,
        ]

    def to_lock(self) -> list[w.Widget]:
        """What cannot be used while a forward runs."""
        return [
            self.picture, self.upload, self.model, self.prompts, self.directions, self.effect,
            self.replace, self.switch, self.keep, self.restore, self.all_tokens, self.state,
        ]  # fmt: skip


def _box(kind, look: str, *children):
    made = kind(children)
    made.add_class(f"loupe-{look}")
    return made
