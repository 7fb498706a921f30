"""A guided start: buttons above a panel, each of which sets its state, with a sentence of what to see."""

from pathlib import Path
from types import SimpleNamespace

import anywidget
import traitlets

from kit.panels.declared import DeclaredPanel
from kit.panels.explorer import Explorer
from kit.parts.roles import heads_of_role

NOT_THERE = "New here? Press a number: it sets the whole panel, and says here what to see."


class Guide(anywidget.AnyWidget):
    """A row of numbered buttons on top of a panel; a stop is left as soon as a hand changes the panel.

    Args:
        panel: of the kit; the row becomes its first, and closes with it.
        stops: label, sentence and fields of the state of each; other fields are as the panel has them now.
        name: of the group of buttons, for a screen reader.

    Attributes:
        at: number of the stop whose state the panel has, from 0; -1 = none.

    Raises:
        KitError: a stop with a field that is not there, or that cannot be.

    Example:
        >>> panel = Explorer("stickers-l8", texts=["a cat", "a dog"])             # doctest: +SKIP
        >>> Guide(panel, [("One head", "It reads grass.", {"selector": "L5.H0"})])  # doctest: +SKIP
    """

    _esm = Path(__file__).with_name("guide.js")

    name = traitlets.Unicode().tag(sync=True)
    labels = traitlets.List().tag(sync=True)
    sentence = traitlets.Unicode(NOT_THERE).tag(sync=True)
    at = traitlets.Int(-1).tag(sync=True)

    def __init__(self, panel: DeclaredPanel, stops: list[tuple[str, str, dict]], name: str = "guided start"):
        super().__init__(name=name, labels=[label for label, *_ in stops])
        self.panel, self.sentences = panel, [sentence for _, sentence, _ in stops]
        self.states = [panel.checked(fields) for *_, fields in stops]
        panel.guide, panel.box.children = self, (self, *panel.box.children)
        panel.selection.observe(lambda _: self._look())
        self.on_msg(lambda _, message, buffers: self.go(message["stop"]))
        self._look()

    def go(self, number: int) -> None:
        """Bring the panel to a stop, counted from 0."""
        self.panel.choose(**self.states[number])

    def _look(self) -> None:
        state = {name: self.panel.state[name] for name in self.panel.fields}
        self.at = self.states.index(state) if state in self.states else -1
        self.sentence = self.sentences[self.at] if self.at >= 0 else NOT_THERE


def first_stops(panel: Explorer, reader: str) -> list[tuple[str, str, dict]]:
    """The six stops of notebook 00: two prompts, swapped, a head, a token, a head off, a printed word.

    Args:
        panel: of the gallery, with a shipped model. The head is the one whose true role is the background;
            the token is the one that all heads together draw most from for "a cat".
        reader: name of the shipped model that reads printed words.
    """
    pair = {"image": "scene 16", "selector": "L*.H*", "texts": ("a cat", "a dog"), "text": 0}
    heat = panel.cases.find(SimpleNamespace(**{**panel.state, **pair})).heat
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    ground, word = (heads_of_role(panel.cases.model(m), role).index[0]
                    for m, role in ((panel.label, "background"), (reader, "word")))  # fmt: skip
    grass = {**pair, "selector": ground, "texts": ("a thing on grass", "a thing on snow")}
    off = {**grass, "off": ground, "replace": "mean"}
    printed = {"model": reader, "image": "scene 22", "selector": word, "texts": ("a banana", "a cat")}
    return [
        ("Two prompts", "A cat and not a dog? Red on the cat, blue on the dog.", pair),
        ("Swap them", "A dog and not a cat? Red and blue change places.", {**pair, "text": 1}),
        ("One head", f"Grass and not snow? {ground} alone reads the grass, not the animals.", grass),
        ("One place", "One token of the cat: the grid now shows what each head draws from there.",
         {**pair, "tokens": f"r{row}c{column}"}),
        ("Switch off", f"Without {ground} the black bar of the grass falls; the orange mark stays.", off),
        ("A printed word", f"This model reads: {word} finds a banana, in the letters.", printed),
    ]  # fmt: skip
