"""State and scores in, arrays and sentences out: all that a panel shows, without a widget."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.maps import words
from kit.maps.pictures import Picture
from kit.maps.selection import Selection, token_numbers
from kit.numbers import nice
from kit.parts import select
from kit.parts.layout import GridLayout, grid_layout
from kit.parts.means import replaced
from kit.parts.part_scores import PartScores


@dataclass(frozen=True)
class Finding:
    """What is seen for one picture and one state. Scores are shares of a cosine and have no unit.

    Attributes:
        grid: where each part sits.
        cells: what each part adds to the active prompt, float32 [part]; NaN where tokens are picked
            and the part is not split by token.
        heat: what the selected heads add from each patch, float32 [rows, cols]; NaN without a head.
        prefix: the same from class token and registers, float32 [prefix].
        bars: for each prompt: whole, selection off, only the selection; float32 [text, 3].
        marks: the whole with every part on, [text], where parts are switched off; else None.
        picked, off: rows of the index that are selected, and switched off.
        tokens: numbers of the picked tokens, prefix tokens first.
        names, kinds: of all parts.
        cell_limit, heat_limit, bar_limit: symmetric ends of colours and bars, the same for each single head.
        caption, sums, direction: sentences.
    """

    grid: GridLayout
    cells: np.ndarray
    heat: np.ndarray
    prefix: np.ndarray
    bars: np.ndarray
    marks: np.ndarray | None
    picked: list[int]
    off: list[int]
    tokens: list[int]
    names: list[str]
    kinds: list[str]
    cell_limit: float
    heat_limit: float
    bar_limit: float
    caption: str = ""
    sums: str = ""
    direction: str = ""

    @property
    def names_of_picked(self) -> str:
        """The selected parts in words."""
        return words.picked_of(self)[0] if self.picked else "nothing"


def find(
    run, scores: PartScores, state: Selection, picture: Picture, total: Callable | None = None
) -> Finding:
    """What a panel shows for this state: arrays, limits and sentences.

    Args:
        run: the cached run of the picture.
        scores: `kit.parts.part_scores` of the same run and state.
        state: what is looked at.
        picture: the picture, with the world's truth where it has one.
        total: for the total effect: from rows of the index to scores [text] of the model with these
            parts replaced and later layers run again; None for the direct effect.

    Raises:
        KitError: a part or token that is not there; "mean" without a means file; tokens of a tower whose
            maps are all refused.
    """
    index, t, n = run.index, state.text, run.prefix
    picked = select(index, state.selector)
    off = select(index, state.off) if state.off else []
    tokens = token_numbers(state.tokens, n, run.grid)
    heads = np.flatnonzero((index.kind == "head").to_numpy())
    if tokens and scores.no_maps and np.isnan(scores.maps).all():
        raise KitError(scores.no_maps)
    chosen = np.isin(heads, picked)
    heat = scores.maps[chosen].sum(0) if chosen.any() else np.full(scores.maps.shape[1], np.nan)
    replacement = scores.replacement(state.replace)
    edited = scores.parts.copy()
    edited[off] = replacement[off]
    cells = edited[:, t]
    if tokens:
        cells = np.full(len(index), np.nan)
        cells[heads] = scores.maps[:, tokens].sum(1)
    bars = (
        _direct_bars(scores, edited, replacement, picked, off)
        if total is None
        else _total_bars(total, picked, off)
    )
    limit = nice(np.quantile(np.abs(scores.parts), 0.98))
    found = Finding(
        grid=grid_layout(index),
        cells=cells.astype(np.float32),
        heat=heat[n:].reshape(run.grid).astype(np.float32),
        prefix=heat[:n].astype(np.float32),
        bars=bars.astype(np.float32),
        marks=scores.whole.astype(np.float32) if off else None,
        picked=picked,
        off=off,
        tokens=tokens,
        names=index["name"].tolist(),
        kinds=index["kind"].tolist(),
        cell_limit=limit,
        heat_limit=_heat_limit(scores.maps[:, n:], heat[n:], int(chosen.sum())) or limit,
        bar_limit=nice(max(np.nanmax(np.abs(bars)), np.abs(scores.whole).max())),
    )
    return words.with_sentences(found, scores, state, picture)


def _direct_bars(
    scores: PartScores, edited: np.ndarray, replacement: np.ndarray, picked: list[int], off: list[int]
) -> np.ndarray:
    """Bars where the sum is changed and nothing else, [text, 3]."""
    mine, instead = edited[picked].sum(0), replacement[picked].sum(0)
    # the representation itself, so that the first bar does not come from the parts it is compared with
    whole = replaced(scores.whole, scores.parts[off].sum(0), replacement[off].sum(0))
    return np.stack(
        [whole, replaced(whole, mine, instead), replaced(replacement.sum(0), instead, mine)], axis=1
    )


def _total_bars(total: Callable, picked: list[int], off: list[int]) -> np.ndarray:
    """Bars where later layers run again, [text, 3]; "only the selection" would need a run of its own."""
    whole, without = total(off), total(sorted({*off, *picked}))
    return np.stack([whole, without, np.full_like(whole, np.nan)], axis=1)


def _heat_limit(maps: np.ndarray, heat: np.ndarray, heads: int) -> float:
    """One scale for all single heads, wide enough for a sum of several; 0 where there is no map."""
    known = maps[~np.isnan(maps)]
    if not known.size:
        return 0.0
    limit = np.quantile(np.abs(known), 0.995)
    return nice(max(limit, np.quantile(np.abs(np.nan_to_num(heat)), 0.97)) if heads > 1 else limit)


def finding_table(found, state) -> pd.DataFrame:
    """The numbers of a `Finding`: one row for each part, token and bar.

    Returns:
        `view` ("part", "token" or "bar"), `name`, `prompt`, `measure`, `value` (a share of a cosine), and
        for parts whether they are `selected` and `off`.
    """
    prompt, rows = state.texts[state.text], []
    for number, (name, value) in enumerate(zip(found.names, found.cells)):
        flags = {"selected": number in found.picked, "off": number in found.off}
        rows.append(("part", name, prompt, "adds", value, flags))
    rows += [("token", f"prefix {n}", prompt, "adds", v, {}) for n, v in enumerate(found.prefix)]
    for row, values in enumerate(found.heat):
        rows += [("token", f"r{row}c{col}", prompt, "adds", v, {}) for col, v in enumerate(values)]
    for text, values in zip(state.texts, found.bars):
        measures = ("whole", "without it", "only it")
        rows += [("bar", found.names_of_picked, text, m, v, {}) for m, v in zip(measures, values)]
    columns = ("view", "name", "prompt", "measure", "value")
    return pd.DataFrame([dict(zip(columns, row)) | row[-1] for row in rows])
