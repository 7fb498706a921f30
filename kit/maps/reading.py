"""Who reads a token for which prompt: one picture's heads, token by token, as arrays and sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from kit.errors import KitError
from kit.numbers import nice, signed
from kit.parts import select
from kit.parts.part_scores import PartScores, array, attention_row, token_maps

READERS = 10  # heads that are named as the strongest readers
FILMS = ("each layer", "so far")
COLUMNS = ["view", "name", "token", "prompt", "value"]


class Reading:
    """What the heads of one picture add to some prompts from each token.

    For each prompt, the numbers of a head sum over tokens to its score, and those of all heads sum to what
    the heads add from a token.

    Args:
        run: of the one picture, `kit.run(model, pixels)`.
        dirs: unit directions, [text, embed].
        texts: what the directions are called.

    Attributes:
        parts: what each part adds, [part, text].
        maps: what each head adds from each token, [head, token, text]; NaN where a map is refused.
        whole: from the library's own representation, [text].
        no_maps: why maps of some heads are refused, where they are; else "".
        heads: names of all heads.
    """

    def __init__(self, run, dirs: Tensor, texts: Sequence[str]):
        self.run, self.texts, index = run, tuple(texts), run.index
        self.parts = array(run.scores(dirs)[0])
        self.maps, self.no_maps = token_maps(run, dirs)
        self.whole = array(dirs @ run.representation[0] / run.norm[0])
        self.rows = np.flatnonzero((index["kind"] == "head").to_numpy())
        self.heads = index["name"].iloc[self.rows].tolist()

    def loudest(self, text: int = 0) -> str:
        """The head that adds most to a prompt.

        Raises:
            KitError: the tower has no heads.
        """
        if not self.heads:
            raise KitError("this model has no heads, so there is nothing to look at here.")
        return self.heads[int(self.parts[self.rows, text].argmax())]

    def scores(self, text: int) -> PartScores:
        """The scores of parts, and the maps for one prompt."""
        zero = np.zeros_like(self.parts)
        return PartScores(self.parts, zero, None, self.maps[..., text], self.whole, no_maps=self.no_maps)

    def heat(self, head: str, text: int) -> np.ndarray:
        """What a head adds to a prompt, [token]."""
        return self.maps[self.heads.index(head), :, text]

    def heat_for(self, head: str, direction: Tensor) -> np.ndarray:
        """What a head adds to any unit direction [embed], [token]."""
        return array(self.run.maps(direction[None], head)[0, 0, :, 0])

    def gaze(self, head: str) -> np.ndarray:
        """The share of its attention that a head gives each token, [token].

        Raises:
            KitError: the head's layer is read token by token nowhere, or not in one row.
        """
        row, refused = self.run.index.set_index("name").loc[head], self.run.refused()
        if row["layer"] in refused:
            raise KitError(refused[row["layer"]])
        if not self.run.frozen.plain:
            raise KitError("this model has no one row of attention for a picture; its maps are still exact.")
        return array(attention_row(self.run, int(row["layer"]))[0, int(row["head"])])

    def patches(self, values: np.ndarray) -> np.ndarray:
        """Numbers of tokens [token] as a map of the patches, [row, col]."""
        return values[self.run.prefix :].reshape(self.run.grid).astype(np.float32)

    def limit(self, text: int, *maps: np.ndarray) -> float:
        """One scale for maps of a prompt, the same for each single head, and for the difference of two."""
        known = self.maps[~np.isnan(self.maps[:, 0, 0]), self.run.prefix :, text]
        return shared_limit(*maps, at_least=np.quantile(np.abs(known), 0.995) if known.size else 0.0)

    def readers(self, tokens: Sequence[int], heads: Sequence[str]) -> "Readers":
        """The heads that read some tokens most.

        Args:
            tokens: their numbers, prefix tokens first; () = the whole picture.
            heads: whose numbers stand beside those of all heads.

        Raises:
            KitError: tokens of a tower whose maps are all refused.
        """
        if len(tokens) and np.isnan(self.maps).all():
            raise KitError(self.no_maps)
        whole = self.parts[self.rows] if self.no_maps else self.maps.sum(1)
        reads = self.maps[:, list(tokens)].sum(1) if len(tokens) else whole  # [head, text]
        order = np.argsort(-np.abs(reads).max(1), kind="stable")[:READERS]  # NaN stands last
        order = order[~np.isnan(reads[order]).any(1)]
        cells = self.parts.copy()
        if len(tokens):
            cells[:] = np.nan
            cells[self.rows] = reads
        own = reads[[self.heads.index(head) for head in heads]]
        return Readers(
            texts=self.texts,
            names=[self.heads[k] for k in order],
            reads=reads[order].T.astype(np.float32),
            limit=nice(np.nanmax(np.abs(reads))),
            bars=np.stack([np.nansum(reads, 0), *own], 1).astype(np.float32),
            cells=cells.T,
            cell_limits=[nice(np.nanmax(np.abs(each))) for each in reads.T]
            if len(tokens)
            else [nice(np.quantile(np.abs(self.parts), 0.98))] * len(self.texts),
            everyone="all heads that have maps" if len(tokens) and self.no_maps else "all heads",
        )

    def film(self, text: int) -> "Film":
        """What the heads of each layer add to a prompt, layer by layer."""
        index, parts, held = self.run.index, self.parts[:, text], self.run
        layer = index["layer"].astype("Float64").to_numpy(dtype=float, na_value=np.nan)  # [part]
        head = (index["kind"] == "head").to_numpy()
        layers, others = np.unique(layer[head]), np.isnan(layer)
        maps = self.maps[:, held.prefix :, text]
        each = np.stack([maps[layer[head] == n].sum(0) for n in layers])
        each = each.reshape(len(layers), *held.grid)
        frames = {"each layer": each, "so far": each.cumsum(0)}
        first = others & (np.arange(len(index)) < np.flatnonzero(head)[0])
        return Film(
            prompt=self.texts[text],
            frames={name: values.astype(np.float32) for name, values in frames.items()},
            limits={name: nice(np.abs(np.nan_to_num(values)).max()) for name, values in frames.items()},
            heads=np.array([parts[head & (layer == n)].sum() for n in layers]),
            rest=np.array([parts[~head & (layer == n)].sum() for n in layers]),
            before=float(parts[first].sum()),
            after=float(parts[others & ~first].sum()),
        )

    def table(self, head: str, about: str, values: np.ndarray) -> pd.DataFrame:
        """The numbers of a head's map [token]: `view`, `name`, `token`, `prompt`, `value`."""
        names = [f"prefix {n}" for n in range(self.run.prefix)]
        names += [f"r{r}c{c}" for r, c in np.ndindex(self.run.grid)]
        held = {"view": "map", "name": head, "token": names, "prompt": about, "value": values}
        return pd.DataFrame(held)

    def says_gaze(self, head: str, text: int) -> str:
        """Where a head looks most, and what that adds to a prompt; "" where it has no row of attention."""
        try:
            gaze = self.gaze(head)
        except KitError:
            return ""
        most, adds = int(gaze.argmax()), self.heat(head, text).astype(np.float32)
        where = token_name(most, self.run.prefix, self.run.grid)
        return (
            f"{head} looks most at {where}: {gaze[most]:.0%} of its attention, and {signed(adds[most], 4)} "
            f"of its {signed(adds.sum(), 4)} for the prompt."
        )

    def says_own(self, head: str, text: str, values: np.ndarray) -> str:
        """What a head writes for its own first text.

        Args:
            head, text: their names.
            values: what the head adds to the text, [token].
        """
        heat = self.patches(values)
        place = np.unravel_index(heat.argmax(), heat.shape)
        whole = heat.sum() + values[: self.run.prefix].sum()
        return (
            f"The first text of {head} is ‘{text}’: it adds {signed(whole)} to it here, "
            f"most at r{place[0]}c{place[1]} ({signed(heat[place])})."
        )

    def says_apart(self, heads: Sequence[str], maps: Sequence[np.ndarray], limit: float) -> str:
        """Where two heads differ most.

        Args:
            heads, maps: of both; maps are [row, col].
            limit: end of their colour scale.
        """
        apart = maps[0] - maps[1]
        if np.isnan(apart).any():
            return self.no_maps
        place = np.unravel_index(np.abs(apart).argmax(), apart.shape)
        sums = " and ".join(signed(float(values.sum()), 4) for values in maps)
        return (
            f"{' minus '.join(heads)}: largest at r{place[0]}c{place[1]}, {signed(apart[place], 4)}. "
            f"Sums over the patches: {sums}. All three have one colour scale, up to {limit:g}."
        )


@dataclass(frozen=True)
class Readers:
    """The heads that read some tokens most, and how much for which prompt. Scores are shares of a cosine.

    Attributes:
        texts: the prompts.
        names: the heads, those that read most first.
        reads: what each of them adds to each prompt from the tokens, float32 [text, reader].
        limit: end of their scale.
        bars: for each prompt: all heads, then the chosen ones, from the tokens, [text, 1 + head].
        cells: for each prompt what each part adds from the tokens, [text, part]; NaN where tokens are picked
            and the part is not split by token.
        cell_limits: end of their scale, [text].
        everyone: what "all heads" are called.
    """

    texts: Sequence[str]
    names: list[str]
    reads: np.ndarray
    limit: float
    bars: np.ndarray
    cells: np.ndarray
    cell_limits: list[float]
    everyone: str

    def says(self, where: str, text: int) -> str:
        """Who reads the tokens most, for a prompt and for any."""
        size = np.abs(self.reads)
        strongest = np.where(size > 0.999 * size.max(), self.reads, -np.inf)  # of equals, who adds
        any_text, column = np.unravel_index(strongest.argmax(), size.shape)
        own = np.abs(self.reads[text]).argsort()[::-1][:2]
        said = " and ".join(f"{self.names[k]} {signed(self.reads[text, k], 4)}" for k in own)
        most = f"{self.names[column]}, {signed(self.reads[any_text, column], 4)} to ‘{self.texts[any_text]}’"
        return (
            f"From {where} {self.everyone} add {signed(self.bars[text, 0], 4)} to ‘{self.texts[text]}’, most "
            f"of it {said}. Strongest reader for any prompt: {most}."
        )

    def table(self, tokens: str) -> pd.DataFrame:
        """What each reader adds to each prompt: `view`, `name`, `token`, `prompt`, `value`."""
        rows = [
            ("reader", self.names[k], tokens, self.texts[t], value)
            for (t, k), value in np.ndenumerate(self.reads)
        ]
        return pd.DataFrame(rows, columns=COLUMNS)


@dataclass(frozen=True)
class Film:
    """What the heads of each layer add to a prompt, layer by layer.

    Attributes:
        prompt: what it is called.
        frames: of `FILMS` -> maps over the patches, [layer, row, col]; NaN where a map is refused.
        limits: of `FILMS` -> end of the colour scale, the same for all frames.
        heads: what all heads of a layer add, prefix tokens too, [layer].
        rest: what the layer's MLP and constants add, which have no place in the picture, [layer].
        before, after: what parts without a layer add: before the first layer (`embed`), after the last.
    """

    prompt: str
    frames: dict[str, np.ndarray]
    limits: dict[str, float]
    heads: np.ndarray
    rest: np.ndarray
    before: float
    after: float

    @property
    def whole(self) -> float:
        """What all parts add."""
        return self.before + self.heads.sum() + self.rest.sum() + self.after

    def says(self, layer: int, on: np.ndarray | None = None, things: Sequence[str] = ()) -> str:
        """How much a layer adds, and how much there is so far.

        Args:
            layer: its number.
            on: which tokens lie on each object, bool [object, row, col]; None = nobody knows.
            things: what the objects are called.
        """
        heads, rest = self.heads[: layer + 1].sum(), self.rest[: layer + 1].sum()
        last, frame, where = layer == len(self.heads) - 1, self.frames["each layer"][layer], ""
        so_far = self.before + heads + rest + (self.after if last else 0.0)
        if on is not None and not np.isnan(frame).any():
            shares = [f"{signed(frame[here].sum())} on the {thing}" for here, thing in zip(on, things)]
            where = f" ({', '.join(shares)})"
        return (
            f"Layer {layer} of 0–{len(self.heads) - 1}: its heads add {signed(self.heads[layer])} to "
            f"‘{self.prompt}’{where}. Heads so far {signed(heads)}; with MLPs and constants, which have no "
            f"place, {signed(so_far)} of {signed(self.whole)}."
        )

    def table(self, film: str) -> pd.DataFrame:
        """Every frame of a film: `view`, `name`, `token`, `prompt`, `value`."""
        frames = self.frames[film]
        layers, rows, cols = (axis.ravel() for axis in np.indices(frames.shape))
        held = {"view": "film", "name": [f"{film}, layer {n}" for n in layers]}
        held |= {"token": [f"r{r}c{c}" for r, c in zip(rows, cols)], "prompt": self.prompt}
        return pd.DataFrame(held | {"value": frames.ravel()})


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


def heads_of(index: pd.DataFrame, selector: str) -> list[str]:
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


def token_name(number: int, prefix: int, shape: tuple[int, int]) -> str:
    """What a token is called, by its number.

    Example:
        >>> token_name(0, 1, (8, 8)), token_name(10, 1, (8, 8))
        ('the class token', 'r1c1')
    """
    if number < prefix:
        return "the class token" if number == 0 else f"register {number - 1}"
    row, col = divmod(number - prefix, shape[1])
    return f"r{row}c{col}"
