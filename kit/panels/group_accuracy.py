"""What switching heads off does to each group: arrays and sentences from stored scores, without widgets."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from kit.edits import Answers, matched_draws
from kit.errors import KitError
from kit.measures import GroupBootstrap
from kit.measures.groups import AVERAGE, WORST
from kit.models.model import Model
from kit.parts.layout import GridLayout, grid_layout
from kit.parts.roles import roles

DRAWS = 1000  # of images, for intervals
ALIKE = 64  # random sets that "random like these" goes through
ATTRIBUTE = "background"  # of the truth
NAMED = 4  # parts that a sentence names


@dataclass(frozen=True)
class GroupFinding:
    """What the panel shows of one set of parts that are switched off.

    Attributes:
        off: their names.
        cells: effect of the cue of each part, [part].
        table: of `GroupBootstrap.table`: figures before and after with their intervals.
        worst: name of the worst group before, and after.
        caption, truth, grid_alt, bars_alt: sentences.
    """

    off: list[str]
    cells: np.ndarray
    table: pd.DataFrame = field(repr=False)
    worst: tuple[str, str]
    caption: str
    truth: str
    grid_alt: str
    bars_alt: str


class GroupAccuracy:
    """The answers, effects and choices that a panel looks at.

    Args:
        model: that gave the answers.
        answers: on images with groups, from `kit.edits.ask_classes`.
        effects: of the cue on *other* images, from `kit.edits.cue_effects`.
        choices: name of a choice -> its heads, a selector.
        shares: group -> share of the training set.
        seed: of the images drawn again, and of random heads.

    Raises:
        KitError: answers without groups, effects of other parts, a choice that names unknown parts.
    """

    def __init__(
        self,
        model: Model,
        answers: Answers,
        effects: pd.DataFrame,
        choices: dict[str, str],
        shares=None,
        seed=0,
    ):
        if "group" not in answers.labels:
            known = ", ".join(map(str, answers.labels.columns))
            raise KitError(f'the labels have no column "group"; they have {known}: name each image\'s group.')
        if list(effects["part"]) != list(answers.index["name"]):
            raise KitError(
                f"effects of {len(effects)} parts and answers of {len(answers.index)} are not of the same "
                "parts; measure both on one model."
            )
        self.model, self.answers, self.effects, self.seed = model, answers, effects, seed
        self.choices = {name: self.named(selector) for name, selector in choices.items()}
        self.layout: GridLayout = grid_layout(answers.index)
        self.cells = effects["cue"].to_numpy(np.float64)
        self.limit = float(np.abs(self.cells).max()) or 1.0
        self.bootstrap = GroupBootstrap(answers.labels["group"], seed, shares, DRAWS)
        self.before = answers.right()
        self.first = self.bootstrap.table(self.before)
        self._background = self._truth_of(model)

    def named(self, selector: str) -> str:
        """A selector as the names of its parts, which is how states and choices are compared."""
        names = self.answers.index["name"]
        return ", ".join(names.iloc[self.answers.parts_of(selector or "none")]) or "none"

    def find(self, off: str) -> GroupFinding:
        """What becomes of the groups when these parts are replaced by their means; arithmetic alone."""
        rows = self.answers.parts_of(off or "none")
        table = self.bootstrap.table(self.answers.right(rows), self.before)
        table = table.assign(before_low=self.first["low"], before_high=self.first["high"])
        names = [self.answers.index["name"].iloc[row] for row in rows]
        groups = table.loc[self.bootstrap.groups]
        worst = groups["before"].idxmin(), groups["accuracy"].idxmin()
        return GroupFinding(
            off=names,
            cells=self.cells,
            table=table,
            worst=worst,
            caption=self._caption(names, table, worst),
            truth=self._truth(names),
            grid_alt=self._grid_alt(names),
            bars_alt=_bars_alt(table),
        )

    def alike(self, off: str, number: int) -> str:
        """Random heads like these in number, layer and size; another set for each number."""
        index = self.answers.index
        chosen = [index["name"].iloc[row] for row in self.answers.parts_of(off or "none")]
        if not chosen:
            raise KitError(
                "random heads are drawn like those that are off, and every part is on; choose some."
            )
        draws, _ = matched_draws(index, self.answers.sizes, chosen, ALIKE, self.seed)
        return ", ".join(index["name"].iloc[sorted(draws[number % ALIKE])])

    def _caption(self, names: list[str], table: pd.DataFrame, worst: tuple[str, str]) -> str:
        row, mean = table.loc[WORST], table.loc[AVERAGE]
        if not names:
            return (
                f"Every part on: {row['before']:.2f} of the worst group ({worst[0]}) is answered right, "
                f"{mean['before']:.2f} of all images."
            )
        which = worst[1] if worst[0] == worst[1] else f"{worst[0]}, now {worst[1]}"
        return (
            f"{listed(names)} off: worst group ({which}) {row['before']:.2f} → {row['accuracy']:.2f}, change "
            f"{_signed(row['change'])} [{_signed(row['change_low'])}, {_signed(row['change_high'])}]; "
            f"all images {mean['before']:.2f} → {mean['accuracy']:.2f}."
        )

    def _truth_of(self, model: Model) -> pd.Series | None:
        """Share of each head's variance that the background explains, largest first; None where unknown."""
        try:
            table = roles(model)
        except KitError:  # measured for shipped models only
            return None
        some = table[(table["kind"] == "head") & (table["attribute"] == ATTRIBUTE)]
        return some.set_index("part")["share"].sort_values(ascending=False)

    def _truth(self, names: list[str]) -> str:
        if self._background is None:
            return "No truth is known of this model's heads: roles are measured for shipped models."
        top = self._background.index[: max(len(names), 3)]
        heads = [name for name in names if name in self._background.index]
        if not heads:
            told = ", ".join(f"{part} {self._background[part]:.2f}" for part in top)
            return f"Truth: share of a head's output that the background explains, largest first: {told}."
        found = sum(head in top for head in heads)
        share = self._background[heads].mean()
        return (
            f"Truth: the background explains {share:.2f} of what these heads write, on average, and "
            f"{self._background.mean():.2f} of what all write; {found} of {len(heads)} are among the "
            f"{len(top)} of which it explains most."
        )

    def _grid_alt(self, names: list[str]) -> str:
        strong = self.effects.loc[self.effects["cue"].abs().idxmax()]
        return (
            f"Layers by heads, coloured by the effect of the cue, from −{self.limit:.3f} to "
            f"+{self.limit:.3f}; the strongest is {strong['part']} with {_signed(strong['cue'], 3)}. "
            f"Switched off: {', '.join(names) or 'none'}. Click or press space to switch a part."
        )


def listed(names: list[str]) -> str:
    """Names in a sentence, the first few and how many more.

    Example:
        >>> listed(["L5.H0", "L5.H5"])
        'L5.H0 and L5.H5'
    """
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _bars_alt(table: pd.DataFrame) -> str:
    told = [
        f"{row} {was:.2f} to {now:.2f}" for row, was, now in zip(table.index, table.before, table.accuracy)
    ]
    return f"Share answered right, before and after: {'; '.join(told)}."


def _signed(value: float, digits: int = 2) -> str:
    text = f"{value:+.{digits}f}"
    return (text if float(text) else text.replace("-", "+")).replace("-", "−")
