"""Notebook 16's panel: which head sees what, where. Tokens, heads side by side, and a film of the layers."""

from functools import lru_cache, partial

import ipywidgets as w
import numpy as np
import pandas as pd

from kit.data.sets import Images
from kit.errors import KitError, nearest
from kit.figures import Bars, Figure, Grid, Maps, cells
from kit.maps.findings import find
from kit.maps.pictures import Picture
from kit.maps.reading import FILMS, Film, Reading, heads_of, shared_limit
from kit.maps.selection import Selection, split_tokens, token_numbers
from kit.models import load
from kit.models.model import Model
from kit.numbers import largest
from kit.panels.declared import Shown
from kit.panels.fields import Action, Menu, Number, Parts, Radio, State, Texts, Toggle, Tokens, Upload
from kit.panels.latest import Latest
from kit.panels.panel import Sentence
from kit.panels.pictures import PicturePanel
from kit.parts import run
from kit.projections import own_texts, prompt_directions

PROMPTS = ("a cat", "a dog", "a red thing", "a blue thing", "a thing on grass", "a thing on snow")
SHOWS = ("prompt", "own text", "attention")
RUNS, FRAME = 8, 700  # pictures whose runs are kept; milliseconds between frames of a film that plays
TALL = {"grid": 200, "readers": 150}  # pixels of their rows: what is clicked and what answers fit a screen


class Beside(Parts):
    """A head, or two side by side of which the second is held; one that is held alone is written twice."""

    def chosen(self, now: list[str], before: str) -> str:
        """A click looks at a head, with the held one beside it; with shift it is held, or goes."""
        first, *held = before.split(", ")
        if len(now) != 1:
            return f"{now[0]}, {now[-1]}" if now else before
        return ", ".join(now if now[0] in (first, *held) and [first] != held else [*now, *held])


class HeadTokens(PicturePanel):
    """Click a token: who reads it, for which prompt. Click a head: where it looks. And layer by layer.

    Args:
        model: a model, or the name of a shipped one.
        images: scenes of `kit.world`, pictures (paths, PIL images, arrays), or a set; None = the gallery.
        texts: prompts to begin with; None = a few that fit the gallery.
        spans: the texts of each head (`kit.textspan`), so that maps of its own first text can be asked for.
        bank: the bank that these texts were picked from; for a model that encodes no text, also the only
            texts that prompts can be.
        state: a state string as the panel shows it, instead of texts.

    Raises:
        KitError: an unknown model, an image that cannot be read, texts without their bank, a state that
            cannot be.

    Example:
        >>> panel = HeadTokens("stickers-l8", texts=["a cat", "a thing on grass"])     # doctest: +SKIP
        >>> panel.choose(selector="L2.H3, L5.H0", tokens="r3c2")                       # doctest: +SKIP
        >>> panel.shown.figures["readers"].says                                        # doctest: +SKIP
        'From r3c2 all heads add +0.004 to ‘a cat’, most of it L2.H3 +0.003 and L5.H0 +0.000. …'
    """

    image = Menu(None, "picture", "what the heads look at", "250px")
    selector = Beside("grid", label="heads")
    texts = Texts(PROMPTS, "prompts", "a cat; a dog", "100%")
    text = Radio("bars", "prompt")
    tokens = Tokens("maps")
    directions = Menu("contrast", "prompts are taken", "what a prompt is held against", "280px")
    shows = Toggle("prompt", "maps of", "what the maps count")
    film = Toggle("so far", "film", "a frame holds a layer alone, or all layers so far")
    layer = Number(0, "layer", 0, 0)  # the last one is the model's
    file = Upload()
    hold = Action(
        "hold beside", "hold_beside", "keep this head, and look at another beside it",
        lambda s: "," in s.selector,
    )  # fmt: skip
    class_token = Action(
        "class token", "switch_class_token", "what heads read from the class token",
        lambda s: "cls" in s.tokens,
    )  # fmt: skip
    all_tokens = Action(
        "all tokens", lambda s: {"tokens": ""}, "the whole picture again", needed=lambda s: s.tokens
    )
    positional = ("image", "selector", "texts")
    stills = (("maps", "frames"), ("readers",), ("grid", "bars"))

    def __init__(
        self, model: Model | str = "stickers-l8", images: Images | None = None, texts=None, spans=None,
        bank=None, state: str | None = None,
    ):  # fmt: skip
        model = load(model) if isinstance(model, str) else model
        self.take(images)
        self.begin, self.bank = tuple(texts or PROMPTS), bank
        self.own = {} if spans is None else own_texts(model, spans, bank)
        self.seen, self.read = map(lru_cache(RUNS), (self._seen, self._read))
        self.ran = Latest(RUNS)
        last = Number(0, "layer", 0, model.layers - 1, "the frame of the film", "190px")
        self.fields, cls = {**self.fields, "layer": last}, ("class_token",) * bool(model.prefix_tokens)
        self.buttons = {
            name: each for name, each in self.buttons.items() if name in ("file", "hold", "all_tokens", *cls)
        }
        self.rows = (
            ("image", "file", "directions"), ("shows", "hold", *cls, "all_tokens"), "texts",
            (
                ("maps", "maps says", "frames", ("layer", "film"), "frames says"),
                ("grid", "readers", "readers says", "bars"),
            ),
        )  # fmt: skip
        self.told: dict[str, Sentence] = {}
        super().__init__(model, state)
        self.views["readers"].when_picked(self._reader_picked)
        self.views["frames"].when_picked(partial(self._picked, "tokens"))
        for name, tall in TALL.items():
            self.views[name].widget.tall = tall

    # --- pictures, their runs, and what was asked of them: each made once

    def _seen(self, name: str):
        return self.model.viewed([self.sized(name, self.model).image])[0]

    def run(self, name: str):
        """The one pass of a picture."""
        pixels = lambda: self.model.preprocess([self.sized(name, self.model).image])  # noqa: E731
        return self.ran.of(name, lambda: run(self.model, pixels(), tokens=True))

    def runs(self, state: State) -> bool:
        return state.image not in self.ran

    def _read(self, name: str, texts: tuple[str, ...], directions: str) -> Reading:
        model, bank = self.model, self.bank
        if model.has_text or bank is None:
            vectors = model.encode_text(list(texts))
        elif unknown := [text for text in texts if text not in bank.texts]:
            raise KitError(
                f'"{model.label}" encodes no text, and the bank "{bank.name}" has no "{unknown[0]}".'
                f"{nearest(unknown[0], bank.texts)}"
            )
        else:
            vectors = bank.vectors[[bank.texts.index(text) for text in texts]]
        return Reading(self.run(name), prompt_directions(vectors, directions), texts)

    def options(self, name: str) -> list:
        known = {
            "directions": [("minus the others", "contrast"), ("as they are", "raw")],
            "shows": [show for show in SHOWS if show != "own text" or self.own], "film": list(FILMS),
        }  # fmt: skip
        return known.get(name) or super().options(name)

    def first(self) -> dict:
        begin = super().first()
        held = self.read(begin["image"], self.begin, "contrast")
        return {**begin, "texts": self.begin, "selector": held.loudest()}

    def also(self, fields: dict) -> dict:
        """Of fewer prompts the last is asked for."""
        return (
            {"text": min(self.selection.text, len(fields["texts"]) - 1), **fields}
            if "texts" in fields
            else fields
        )

    # --- what hands do

    def hold_beside(self) -> dict:
        """Hold the head that is shown beside the next one; again, let it go."""
        head, *held = self.selection.selector.split(", ")
        return {"selector": head if held else f"{head}, {head}"}

    def switch_class_token(self) -> dict:
        """Pick the class token too, or no longer."""
        tokens = split_tokens(self.selection.tokens)
        others = [token for token in tokens if token != "cls"]
        return {"tokens": ", ".join(others if "cls" in tokens else ["cls", *others])}

    def _reader_picked(self, names: list[str]) -> None:
        """A cell of the readers is a prompt and a head."""
        if self._writing or not names:
            return self._sync()
        (text, head), before = names[-1].rsplit(" · ", 1), self.selection.selector
        same = head == before.split(", ")[0]
        selector = before if same else self.fields["selector"].chosen([head], before)
        self.choose(selector=selector, text=self.selection.texts.index(text))

    # --- from a state to what is shown

    def show(self, s: State) -> Shown:
        """Maps of one head or two, who reads the picked tokens, and a frame of the film."""
        held, picture = self.read(s.image, s.texts, s.directions), self.sized(s.image, self.model)
        if s.text >= len(s.texts):
            raise KitError(f"no prompt {s.text}: there are {len(s.texts)}, counted from 0.")
        film, heads = held.film(s.text), heads_of(held.run.index, s.selector)
        if s.layer >= len(film.heads):
            raise KitError(f"no layer {s.layer}: the film has {len(film.heads)}, counted from 0.")
        readers = held.readers(token_numbers(s.tokens, held.run.prefix, held.run.grid), heads)
        about = [self.asked(s, head) for head in heads]
        drawn = [self.drawn(held, s, head) for head in heads]  # [token] each
        if s.shows == "own text":
            said = map(held.says_own, heads, about, drawn)
        else:
            said = [find(held.run, held.scores(s.text), alone(s, head), picture).caption for head in heads]
        figures = {"maps": self._maps(held, s, heads, about, drawn), **self._readers(held, s, heads, readers)}
        tables = [*map(held.table, heads, about, drawn), readers.table(s.tokens), film.table(s.film)]
        return Shown(
            " ".join(said), figures | {"frames": self._frame(held, s, film, picture)},
            truth=picture.told,
            note=" ".join(self.notes(s).values()), about=s.image,
            images=picture.source, table=pd.concat(tables, ignore_index=True),
        )  # fmt: skip

    def asked(self, s: State, head: str) -> str:
        """The text that the map of a head is for; "" for its attention.

        Raises:
            KitError: the head has no text of its own.
        """
        if s.shows == "own text" and head not in self.own:
            raise KitError(
                f"{head} has no text of its own here; give the panel spans=kit.textspan(moments, bank) and "
                "bank=bank."
            )
        return {"prompt": s.texts[s.text], "own text": self.own.get(head, [""])[0]}.get(s.shows, "")

    def notes(self, s: State) -> dict[str, str]:
        """Prompts with words that the model never saw, and what is said of them."""
        return {text: note for text in s.texts if (note := self.model.unknown_note(text))}

    def drawn(self, held: Reading, s: State, head: str) -> np.ndarray:
        """The numbers of a head's map, [token]."""
        if s.shows == "own text":
            return held.heat_for(head, self.own[head][1 if s.directions == "raw" else 2])
        return held.gaze(head) if s.shows == "attention" else held.heat(head, s.text)

    def _maps(
        self, held: Reading, s: State, heads: list[str], about: list[str], drawn: list[np.ndarray]
    ) -> Maps:
        """The picture, the map of each head, and of two what they have apart."""
        maps, apart, share = [held.patches(each) for each in drawn], [], s.shows == "attention"
        limit = shared_limit(*maps) if s.shows != "prompt" else held.limit(s.text, *maps)
        says = [held.says_gaze(head, s.text) for head in heads]
        if len(heads) == 2:
            apart = [maps[0] - maps[1]]
            says.append(held.says_apart(heads, maps, limit))
        else:
            says.append("Shift-click another head, or press “hold beside”, to see two side by side.")
        what = f"what each token adds to ‘{about[0]}’"
        titles = {"own text": "what each token adds to a head's own first text"}
        titles["attention"] = "what a head looks at, whatever it writes there"
        own = [f": ‘{text}’" if s.shows == "own text" else "" for text in about]
        names = [s.image, *map(str.__add__, heads, own), *[" − ".join(heads)] * len(apart)]
        return Maps(
            [np.full(held.run.grid, np.nan), *maps, *apart], [self.seen(s.image)],
            "share of its attention" if share else "what each token adds", names, limit=limit,
            signed=(True, *[not share] * len(heads), *[True] * len(apart)), picked=split_tokens(s.tokens),
            title=f"Where: {titles.get(s.shows, what)}; click tokens", says=" ".join(filter(None, says)),
        )  # fmt: skip

    def _readers(self, held: Reading, s: State, heads: list[str], readers) -> dict[str, Figure]:
        """Which heads, for which prompt: from the picked tokens."""
        where, prompt = s.tokens or "the whole picture", s.texts[s.text]
        says, end = readers.says(where, s.text), largest(readers.bars, np.array([readers.limit]))
        grid = Grid(
            held.run.index, readers.cells[s.text], "what each part adds", readers.cell_limits[s.text],
            picked=heads, title=f"Which heads: what each adds to ‘{prompt}’ from {where}",
        )  # fmt: skip
        matrix = cells(
            s.texts, readers.names, readers.reads, "what a head adds from there", limit=readers.limit,
            picked=[f"{prompt} · {heads[0]}"] * (heads[0] in readers.names), says=says,
            title=f"Who reads it, for which prompt: the strongest readers of {where}",
        )  # fmt: skip
        bars = Bars(
            s.texts, readers.bars, "cosine", ("all heads", *heads), limits=(-end, end), picked=prompt,
            unknown=self.notes(s),
            title=f"For which prompt: what heads add from {where}",
        )  # fmt: skip
        return {"grid": grid, "readers": matrix, "bars": bars}

    def _frame(self, held: Reading, s: State, film: Film, picture: Picture) -> Maps:
        """A frame of the film."""
        on, which = picture.tokens_on(held.run.grid), f"layers 0–{s.layer}"
        which = f"layer {s.layer} alone" if s.film == FILMS[0] else which
        return Maps(
            film.frames[s.film][s.layer][None], [self.seen(s.image)], "what each token adds",
            limit=film.limits[s.film], picked=split_tokens(s.tokens),
            says=film.says(s.layer, on, picture.things),
            title=f"Layer by layer: all heads of {which}, for ‘{film.prompt}’",
        )  # fmt: skip

    def again(self, state: State) -> str:
        own = state.shows == "own text" or not self.model.has_text
        return super().again(state) + ", spans=spans, bank=bank" * own

    def finding(self) -> str:
        """The finding, and who reads the picked tokens."""
        return f"{super().finding()} {self.shown.figures['readers'].says}"

    # --- what this panel has beside its fields and figures: sentences below figures, and a film that plays

    def _placed(self, name, *args) -> w.Widget:
        if isinstance(name, str) and name.endswith(" says"):
            self.told[name.removesuffix(" says")] = said = Sentence(look="note", live=True)
            return said
        placed = super()._placed(name, *args)
        if name == "layer":
            play = w.Play(min=0, max=placed.max, interval=FRAME, show_repeat=False)
            self.controls["play"] = play
            self.link, placed = w.jslink((play, "value"), (placed, "value")), w.HBox([play, placed])
        return placed

    def _draw(self, shown: Shown) -> None:
        for name, sentence in self.told.items():
            sentence.text = shown.figures[name].says
        super()._draw(shown)

    def lines(self) -> str:
        given = "spans, bank = ..., ...  # texts of heads, and their bank, as the panel was given them\n"
        s, (first, *second) = self.selection, list(dict.fromkeys(self.selection.selector.split(", ")))
        mine = f"[0, 0, run.prefix:, {s.text}].reshape(run.grid)"
        code = f"""\
{given * ("bank" in self.again(s))}\
run = kit.parts.run(model, model.preprocess({self.picture(s.image).code}))
vectors = model.encode_text({list(s.texts)!r})
directions = kit.panels.prompt_directions(vectors, {s.directions!r})
maps = run.maps(directions)                                # [1, head, token, text]
first = run.maps(directions, {first!r}){mine}
"""
        if second:
            code += f"second = run.maps(directions, {second[0]!r}){mine}\n"
        if s.shows == "attention":
            layer, head = first[1:].split(".H")
            code += f"looks = run.pattern_shares({layer})[0, :, {head}].sum(0)                # [token]\n"
            code += "looks = looks / looks.sum()\n"
        film = f"run.maps(directions, f'L{{k}}.H*')[0, :, :, {s.text}].sum(0)"
        return f"{code}frames = [{film} for k in range(model.layers)]"


def alone(s: State, head: str) -> Selection:
    """The plain selection of one head."""
    return Selection(
        model=s.model, image=s.image, selector=head, texts=s.texts, text=s.text, directions=s.directions
    )
