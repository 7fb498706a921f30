"""Heads and tokens, as data: who reads a token for which prompt, where heads look, a film of the layers."""

from collections import OrderedDict
from dataclasses import dataclass, field, replace

import numpy as np
from traitlets import Enum, Int

from kit.data.sets import Images
from kit.errors import KitError, nearest
from kit.models.model import Model
from kit.panels import token_words
from kit.panels.encoded import Encoded, kept
from kit.panels.findings import Finding, find, nice
from kit.panels.selection import Selection, token_numbers
from kit.parts import select
from kit.parts.part_scores import array, attention_row, token_maps
from kit.projections import Bank, TextSpan, own_texts, prompt_directions

SEEN = 256  # findings and films that are kept
READERS = 10  # heads that the list of readers shows
SHOWS = ("prompt", "own text", "attention")
FILMS = ("each layer", "so far")


class TokenState(Selection):
    """A `Selection` of one head or two, and what is drawn of them.

    Args:
        selector: a head, `"L5.H3"`, or two that are held side by side, `"L5.H3, L4.H1"`.
        shows: maps for the `"prompt"`, for each head's `"own text"`, or its `"attention"`.
        film: what a frame holds: `"each layer"` alone, or all layers `"so far"`.
        layer: the frame of the film, from 0.

    Example:
        >>> state = TokenState(model="stickers-l8", image="scene 0", selector="L5.H3, L4.H1", layer=2)
        >>> str(state)
        'stickers-l8|scene 0|L5.H3, L4.H1|a cat;a dog|layer=2'
        >>> str(TokenState.parse(str(state))) == str(state)
        True
    """

    fields = (
        "model", "image", "selector", "texts", "text", "tokens", "directions", "shows", "film", "layer"
    )  # fmt: skip
    directions = Enum(("contrast", "raw"), default_value="contrast")
    shows = Enum(SHOWS, default_value="prompt")
    film = Enum(FILMS, default_value="so far")
    layer = Int(0)

    def of_head(self, name: str) -> Selection:
        """The plain selection of one head."""
        names = ("model", "image", "texts", "text", "directions")
        return Selection(selector=name, **{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class Film:
    """What the heads of each layer add to the prompt, layer by layer.

    Attributes:
        frames: "each layer" and "so far" -> maps over the patches, [layer, rows, cols]; NaN where a map is
            refused.
        limits: the same names -> end of the colour scale, the same for all frames.
        heads: what all heads of a layer add, prefix tokens too, [layer].
        rest: what the layer's MLP and constants add, which have no place in the picture, [layer].
        before, after: what parts without a layer add: before the first layer (`embed`), after the last.
    """

    frames: dict[str, np.ndarray]
    limits: dict[str, float]
    heads: np.ndarray
    rest: np.ndarray
    before: float
    after: float


@dataclass(frozen=True)
class Look:
    """What is seen for one state. Scores are shares of a cosine; attention is a share of 1.

    Attributes:
        heads: one name, or two.
        found: for each of them what the other panels find: its score, map and sentence for the prompt.
        maps: for each of them the map that is drawn, float32 [rows, cols]; NaN where it is refused.
        prefix: the same from class token and registers, [prefix].
        limit: end of the colour scale of these maps and of their difference.
        unit: what the maps count.
        cells: what each part adds to the prompt from the picked tokens, float32 [part]; NaN where tokens
            are picked and the part is not split by token.
        cell_limit: end of their scale.
        tokens: numbers of the picked tokens, prefix tokens first.
        readers: heads that read the picked tokens most (the whole picture where none is picked).
        reads: what each of them adds to each prompt from there, float32 [text, reader].
        read_limit: end of the scale of `reads`.
        bars: for each prompt: all heads, then the chosen ones, from there, [text, 1 + head].
        gaze: for each head the share of its attention that each token has, [token]; empty where a tower
            has no such row.
        film: see `Film`.
        no_maps: why maps of some heads are refused, where they are.
        own: for each head its own first text, "" where there is none.
    """

    heads: list[str]
    found: list[Finding]
    maps: list[np.ndarray]
    prefix: list[np.ndarray]
    limit: float
    unit: str
    cells: np.ndarray
    cell_limit: float
    tokens: list[int]
    readers: list[str]
    reads: np.ndarray
    read_limit: float
    bars: np.ndarray
    gaze: list[np.ndarray]
    film: Film
    own: list[str]
    no_maps: str = ""
    said: dict[str, str] = field(default_factory=dict)

    @property
    def difference(self) -> np.ndarray | None:
        """The first map minus the second, where there are two."""
        return self.maps[0] - self.maps[1] if len(self.maps) == 2 else None


class TokenLooks(Encoded):
    """Pictures of one model, each encoded once; what is asked after that runs no tower.

    Args:
        model: the model.
        images: as for `Encoded`.
        spans: the texts of each head (`kit.textspan`), for maps of its own text; None = none are offered.
        bank: the bank that they were picked from; where the model encodes no text, also where the
            directions of prompts are looked up.

    Raises:
        KitError: texts without their bank, or a bank of another model.
    """

    def __init__(
        self,
        model: Model,
        images: Images | None = None,
        spans: TextSpan | None = None,
        bank: Bank | None = None,
    ):
        super().__init__(model, images)
        self.bank = bank
        self._seen: OrderedDict = OrderedDict()  # findings and films, so that a frame costs nothing again
        self.own = {} if spans is None else own_texts(model, spans, bank)

    def first_state(self, model: str, texts) -> TokenState:
        """The first picture, and the head that adds most to the first prompt."""
        state = TokenState(model=model, image=next(iter(self.pictures)), texts=tuple(texts))
        held, parts, *_ = self._asked(state)
        heads = np.flatnonzero((held.index["kind"] == "head").to_numpy())
        if not len(heads):
            raise KitError(f'"{model}" has no heads, so there is nothing to look at here.')
        state.change(selector=held.index["name"].iloc[heads[parts[heads, 0].argmax()]])
        return state

    def look(self, state: TokenState) -> Look:
        """What is shown for a state."""
        held, parts, maps, no_maps = self._asked(state)
        index = held.index
        rows = np.flatnonzero((index["kind"] == "head").to_numpy())
        names = index["name"].iloc[rows].tolist()
        heads = heads_of(index, state.selector)
        at = [names.index(head) for head in heads]
        tokens = token_numbers(state.tokens, held.prefix, held.grid)
        if tokens and np.isnan(maps).all():
            raise KitError(no_maps)
        whole = parts[rows] if no_maps else maps.sum(1)
        reads = maps[:, tokens].sum(1) if tokens else whole  # [head, text]
        t, key = state.text, (state.model, state.image, state.texts, state.directions, state.text)
        film = kept(self._seen, key, lambda: _film(index, parts[:, t], maps[:, :, t], held), SEEN)
        if not 0 <= state.layer < len(film.heads):
            raise KitError(f"no layer {state.layer}: the film has {len(film.heads)}, counted from 0.")
        drawn = [self._drawn(held, state, head, maps[k, :, state.text]) for head, k in zip(heads, at)]
        shape, n = held.grid, held.prefix
        shown = [values[n:].reshape(shape).astype(np.float32) for values in drawn]
        order = np.argsort(-np.abs(reads).max(1), kind="stable")[:READERS]  # NaN stands last
        order = order[~np.isnan(reads[order]).any(1)]
        known = maps[~np.isnan(maps[:, 0, 0]), n:, state.text]
        strongest = np.quantile(np.abs(known), 0.995) if state.shows == "prompt" and known.size else 0.0
        scores = self._scored(state)[1]
        picture = self.picture(state.image)
        found = [
            kept(self._seen, (*key, h), lambda h=h: find(held, scores, state.of_head(h), picture), SEEN)
            for h in heads
        ]
        cells = found[0].cells.copy()
        if tokens:
            cells[:] = np.nan
            cells[rows] = reads[:, state.text]
        look = Look(
            heads=heads,
            found=found,
            cells=cells,
            cell_limit=nice(np.nanmax(np.abs(reads[:, state.text]))) if tokens else found[0].cell_limit,
            tokens=tokens,
            maps=shown,
            prefix=[values[:n] for values in drawn],
            limit=shared_limit(*shown, at_least=strongest),
            unit={"attention": "share of its attention"}.get(state.shows, "what each token adds"),
            readers=[names[k] for k in order],
            reads=reads[order].T.astype(np.float32),
            read_limit=nice(np.nanmax(np.abs(reads))),
            bars=np.stack([np.nansum(reads, 0), *reads[at]], 1).astype(np.float32),
            no_maps=no_maps,
            gaze=[self._gaze(held, head) for head in heads],
            film=film,
            own=[self.own.get(head, ("", None))[0] for head in heads],
        )
        return replace(look, said=token_words.sentences(look, state, picture))

    def _dirs(self, state: Selection):
        model, bank = self.model(state.model), self.bank
        if model.has_text or bank is None:
            return super()._dirs(state)
        for text in state.texts:
            if text not in bank.texts:
                raise KitError(
                    f'"{model.label}" encodes no text, and the bank "{bank.name}" has no "{text}".'
                    f"{nearest(text, bank.texts)}"
                )
        vectors = bank.vectors[[bank.texts.index(text) for text in state.texts]]
        return prompt_directions(vectors, state.directions)

    def _asked(self, state: TokenState):
        """The run of a picture, scores [part, text] and maps [head, token, text] for all prompts, and why
        maps are missing."""
        held = self._run(state.model, state.image)

        def asked():
            dirs = self._dirs(state)
            return held, array(held.scores(dirs)[0]), *token_maps(held, dirs)

        return kept(self._scores, (state.model, state.image, state.texts, state.directions), asked)

    def _drawn(self, held, state: TokenState, head: str, for_prompt: np.ndarray) -> np.ndarray:
        """What is drawn of a head, [token]."""
        if state.shows == "prompt":
            return for_prompt
        layer = int(held.index.set_index("name").loc[head, "layer"])
        if state.shows == "attention":
            gaze = self._gaze(held, head)
            if layer in held.refused():
                raise KitError(held.refused()[layer])
            if not len(gaze):
                raise KitError(
                    f'"{state.model}" has no one row of attention for a picture; its maps are still exact.'
                )
            return gaze
        if head not in self.own:
            raise KitError(
                f"{head} has no text of its own here; give the panel spans=kit.textspan(moments, bank) and "
                "bank=bank."
            )
        direction = self.own[head][1 if state.directions == "raw" else 2]
        return array(held.maps(direction[None], head)[0, 0, :, 0])

    def _gaze(self, held, head: str) -> np.ndarray:
        """How much of what a head reads it reads at each token, [token]; empty where there is no such row."""
        row = held.index.set_index("name").loc[head]
        if not held.frozen.plain or row["layer"] in held.refused():
            return np.zeros(0)
        return array(attention_row(held, int(row["layer"]))[0, int(row["head"])])


def shared_limit(*maps: np.ndarray, at_least: float = 0.0) -> float:
    """One end for the colours of all maps that are compared, and of the difference of two.

    The released demo takes it of `map1 - map1`, which is zero, and so colours the second map by the first.

    Example:
        >>> shared_limit(np.array([0.1]), np.array([-0.7]))
        0.8
    """
    differences = [maps[0] - maps[1]] if len(maps) == 2 else []
    sizes = (float(np.abs(np.nan_to_num(values)).max()) for values in [*maps, *differences])
    return nice(max([at_least, *sizes]))


def heads_of(index, selector: str) -> list[str]:
    """The one or two heads of a selector, in the order written.

    Raises:
        KitError: none, more than two, or parts that are no heads.
    """
    rows = [row for term in selector.split(",") for row in select(index, term.strip() or "none")]
    names = list(dict.fromkeys(index["name"].iloc[row] for row in rows))
    wrong = [name for name in names if index.set_index("name").loc[name, "kind"] != "head"]
    if wrong or not 1 <= len(names) <= 2:
        what = f"{wrong[0]} is no head" if wrong else f"{len(names)} parts are selected"
        raise KitError(f'"{selector}": {what}; name one head, or two to hold side by side: "L5.H3, L4.H1".')
    return names


def _film(index, parts: np.ndarray, maps: np.ndarray, held) -> Film:
    """Frames of a prompt from scores of its parts [part] and maps [head, token]."""
    layer = index["layer"].astype("Float64").to_numpy(dtype=float, na_value=np.nan)  # [part]
    head = (index["kind"] == "head").to_numpy()
    layers = np.unique(layer[head])
    each = np.stack([maps[layer[head] == number].sum(0) for number in layers])[:, held.prefix :]
    each = each.reshape(len(layers), *held.grid)
    frames = {"each layer": each, "so far": each.cumsum(0)}
    others = np.isnan(layer)
    first = others & (np.arange(len(index)) < np.flatnonzero(head)[0])
    return Film(
        frames={name: values.astype(np.float32) for name, values in frames.items()},
        limits={name: nice(np.abs(np.nan_to_num(values)).max()) for name, values in frames.items()},
        heads=np.array([parts[head & (layer == number)].sum() for number in layers]),
        rest=np.array([parts[~head & (layer == number)].sum() for number in layers]),
        before=float(parts[first].sum()),
        after=float(parts[others & ~first].sum()),
    )
