"""The widgets of the panel of heads and tokens, built once; `head_tokens.py` gives them their meaning."""

from functools import partial

import ipywidgets as w

from kit.panels.heat_panel import BarPanel, HeadGrid, HeatPanel
from kit.panels.panel import Sentence
from kit.panels.token_looks import FILMS, SHOWS
from kit.panels.upload import UploadButton

FRAME = 700  # milliseconds between frames of a film that plays


class TokenControls:
    """Every widget of the panel, by what it does.

    Args:
        layers: of the model, the frames of the film.
        class_token: whether there is one.
        own_texts: whether heads have texts of their own.
    """

    def __init__(self, layers: int, class_token: bool, own_texts: bool):
        full, wide = partial(w.Layout, width="100%"), partial(w.Layout, width="auto")
        self.picture = w.Dropdown(description="picture", layout=w.Layout(width="290px"))
        self.upload_button = UploadButton()
        self.prompts = w.Text(
            description="prompts", placeholder="a cat; a dog", continuous_update=False, layout=full()
        )
        options = [("minus the others", "contrast"), ("as they are", "raw")]
        self.directions = w.Dropdown(
            description="prompts are taken", options=options, layout=w.Layout(width="280px")
        )
        shows = [s for s in SHOWS if s != "own text" or own_texts]
        self.shows = w.ToggleButtons(description="maps of", options=shows)
        self.kind = w.ToggleButtons(description="film", options=FILMS)
        self.shows.style.button_width = self.kind.style.button_width = "92px"
        self.beside = w.ToggleButton(
            description="hold beside", tooltip="keep this head, and look at another beside it", layout=wide()
        )
        self.class_token = w.ToggleButton(
            description="class token", tooltip="what heads read from the class token", layout=wide()
        )
        self.class_token.disabled = not class_token
        self.all_tokens = w.Button(description="all tokens", tooltip="the whole picture again", layout=wide())
        self.play = w.Play(min=0, max=layers - 1, interval=FRAME, show_repeat=False)
        self.layer = w.IntSlider(description="layer", min=0, max=layers - 1, layout=w.Layout(width="190px"))
        self.link = w.jslink((self.play, "value"), (self.layer, "value"))
        self.line = w.Text(description="state", continuous_update=False, layout=full())
        for control in (
            self.picture,
            self.prompts,
            self.directions,
            self.shows,
            self.kind,
            self.layer,
            self.line,
        ):
            control.style.description_width = "initial"
        self._build_drawings()

    def _build_drawings(self) -> None:
        self.maps = [HeatPanel(kind="map") for _ in range(3)]
        self.map_heads = [Sentence(look="head") for _ in self.maps]
        self.film = HeatPanel(kind="map", unit="what each token adds")
        self.maps.append(self.film)  # takes the same picture and tokens; it is drawn by `_draw_film`
        self.grid = HeadGrid(unit="what each part adds", tall=300)
        self.readers = HeatPanel(kind="grid", unit="what a head adds from there", tall=300)
        self.bars = BarPanel()
        self.told, self.truth = Sentence(look="caption", live=True), Sentence(look="truth")
        self.gaze, self.pair = Sentence(look="note"), Sentence(look="note")
        self.read, self.film_said = Sentence(look="note", live=True), Sentence(look="note", live=True)
        self.unseen = Sentence(look="note", live=True)
        self.grid_head = Sentence(look="head", strong="Which heads")
        self.bars_head = Sentence(look="head", strong="For which prompt")
        self.readers_head = Sentence(look="head", strong="Who reads it")
        self.film_head = Sentence(look="head", strong="Layer by layer")

    def arranged(self, say: Sentence, foot: list[w.Widget]) -> list[w.Widget]:
        """The rows of the panel from top to bottom."""
        self.columns = [_box("column", head, heat) for head, heat in zip(self.map_heads, self.maps)]
        heads, bars = _box("column", self.grid_head, self.grid), _box("column", self.bars_head, self.bars)
        bars.add_class("loupe-narrow")
        readers = _box("column", self.readers_head, self.readers, self.read)
        heads.layout.flex, heads.layout.max_width = "2 1 380px", "640px"
        readers.layout.flex, readers.layout.max_width = "2 1 420px", "660px"
        steps = _box("row", self.play, self.layer)
        film = _box("column", self.film_head, self.film, steps, self.kind, self.film_said)
        for box in (*self.columns, film):
            box.add_class("loupe-third")
        return [
            _box("row", self.picture, self.upload_button, self.directions),
            self.prompts,
            say,
            self.told,
            self.truth,
            self.unseen,
            _box("columns", heads, bars),
            _box("row", self.shows, self.beside, self.class_token, self.all_tokens),
            self.gaze,
            self.pair,
            _box("columns", *self.columns, film, readers),
            self.line,
            *foot,
        ]


def _box(look: str, *children):
    made = (w.VBox if look == "column" else w.HBox)(children)
    made.add_class(f"loupe-{look}")
    return made
