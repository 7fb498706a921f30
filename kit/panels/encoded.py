"""Models, pictures and their cached runs: what a panel asks for a finding."""

from collections.abc import Callable

import numpy as np

from kit.edits import ablate
from kit.errors import KitError, nearest
from kit.maps.findings import Finding, find
from kit.maps.pictures import UPLOAD, Picture
from kit.maps.selection import Selection
from kit.models import load
from kit.models.model import Model
from kit.models.names import shipped_names
from kit.panels.latest import Latest
from kit.panels.saving import provenance
from kit.parts import load_means, run, select
from kit.parts.collect import as_means
from kit.parts.part_scores import PartScores, array, part_scores
from kit.projections.prompts import prompt_directions

PRINTED = " with "  # between the name of a picture and the word that is printed into it
RUNS, KEPT = 8, 64  # passes of pictures, and results, that are kept


class Encoded:
    """Everything that can be looked at in one panel. A picture passes each model once.

    Args:
        models: those to choose from, beside the shipped ones; the panel begins with the first.
        picture: from the name of a picture and a model to the picture as it is given to the model.
        means: mean parts of a reference set for the first model (`kit.collect`), or the set; None = those
            that ship.
    """

    def __init__(self, models: list[Model], picture: Callable[[str, Model], Picture], means=None):
        if not models:
            raise KitError("the panel was given no model; give at least one.")
        self.models: dict[str, Model] = {model.label: model for model in models}
        for name in self.models:
            if (count := sum(model.label == name for model in models)) > 1:
                raise KitError(
                    f'{count} models are called "{name}", so the menu cannot tell them apart; rename all '
                    'but one, as model.name = "mine".'
                )
        model = models[0]
        self.picture = picture
        self._runs, self._scores, self._totals = Latest(RUNS), Latest(KEPT), Latest(KEPT)
        self._means: dict = {} if means is None else {model.label: (as_means(model, means), "")}

    @property
    def model_names(self) -> list[str]:
        """Names of the models that can be chosen: those given, and the shipped ones that read texts."""
        return [*self.models, *(name for name in shipped_names(texts=True) if name not in self.models)]

    def model(self, name: str) -> Model:
        """The model of this name, loaded where it is a shipped one."""
        if name not in self.model_names:
            known = ", ".join(self.model_names)
            raise KitError(
                f'no model "{name}" in this panel; there are {known}.{nearest(name, self.model_names)}'
            )
        if name not in self.models:
            self.models[name] = load(name)
        return self.models[name]

    def sized(self, state: Selection) -> Picture:
        """The picture as it is given to the model: a scene is painted at the model's size."""
        return self.picture(picture_of(state), self.model(state.model))

    def seen(self, state: Selection) -> Picture:
        """The picture as the model sees it: cropped and resized."""
        picture = self.sized(state)
        viewed = self.model(state.model).viewed([picture.image])[0]
        return picture.with_image(viewed)

    def find(self, state: Selection) -> Finding:
        """The finding of a state; towers run only for what was not asked before."""
        model, picture = self.model(state.model), self.sized(state)
        held, scores = self._scored(state)
        total = self._total_of(model, picture, state, scores) if state.effect == "total" else None
        return find(held, scores, state, picture, total)

    def is_ready(self, state: Selection) -> bool:
        """Whether a finding of this state runs no image tower."""
        if (state.model, picture_of(state)) not in self._runs:
            return False
        if state.effect == "direct":
            return True
        index = self._runs[state.model, picture_of(state)].index
        return all(
            not rows or self._total_key(state, rows) in self._totals for rows in _asked_rows(index, state)
        )

    def index(self, state: Selection):
        """The parts of a state's model, as `parts.index`."""
        return self._run(state.model, picture_of(state)).index

    def _run(self, name: str, image: str):
        """The one pass of a picture through a model, kept."""
        model = self.model(name)
        picture = self.picture(image, model)
        passed = lambda: run(model, model.preprocess([picture.image]), tokens=True)  # noqa: E731
        return self._runs.of((name, image), passed)

    def _dirs(self, state: Selection):
        return prompt_directions(self.model(state.model).encode_text(list(state.texts)), state.directions)

    def _scored(self, state: Selection):
        held = self._run(state.model, picture_of(state))
        key = state.model, picture_of(state), state.texts, state.text, state.directions
        means, why = self._means_of(state.model)
        less_mean = state.directions == "reference"
        make = lambda: part_scores(held, self._dirs(state), state.text, less_mean, means, why)  # noqa: E731
        return held, self._scores.of(key, make)

    def provenance(self, state: Selection, seed: int | None) -> str:
        """Model, weights, picture, its seed and the reference set of a state, in one line."""
        means, uploaded = self._means_of(state.model)[0], state.image.startswith(UPLOAD)
        seed, source = None if uploaded else seed, self.sized(state).source
        return provenance(self.model(state.model), source, seed, means=means and means.name)

    def has_means(self, name: str) -> bool:
        """Whether this model has mean parts of a reference set."""
        return self._means_of(name)[0] is not None

    def _means_of(self, name: str):
        """The mean parts of a model's reference set and "", or None and why there are none."""
        if name not in self._means:
            try:
                self._means[name] = load_means(self.model(name)), ""
            except KitError as error:
                self._means[name] = None, str(error)
        return self._means[name]

    def _total_of(self, model: Model, picture: Picture, state: Selection, scores: PartScores):
        """From rows to scores [text] of the model with these parts replaced and later layers run again."""
        dirs, means = self._dirs(state), self._means_of(state.model)[0]

        def total(rows: list[int]) -> np.ndarray:
            if not rows:
                return scores.whole
            key = self._total_key(state, rows)
            held = self._run(state.model, picture_of(state))
            names = ", ".join(held.index["name"].iloc[rows])
            run_again = lambda: ablate(model, held, names, state.replace, "total", means).embedding  # noqa: E731
            embedding = self._totals.of(key, run_again)
            shift = scores.whole - _cosine(held.representation[0], dirs, held.norm[0])
            return _cosine(embedding[0], dirs, held.norm[0]) + shift

        return total

    def _total_key(self, state: Selection, rows: list[int]):
        return state.model, picture_of(state), state.replace, tuple(rows)


def picture_of(state: Selection) -> str:
    """The name of a state's picture, and the word that is printed into it where the state has one."""
    word = getattr(state, "word", "")
    return f"{state.image}{PRINTED}{word}" if word else state.image


def _asked_rows(index, state: Selection) -> list[list[int]]:
    off = select(index, state.off) if state.off else []
    return [off, sorted({*off, *select(index, state.selector)})]


def _cosine(embedding, dirs, norm) -> np.ndarray:
    return array(dirs.to(embedding) @ embedding / norm)
