"""Notebook 13's panel: heads that are switched off by a click, and what becomes of each group."""

from functools import partial

import ipywidgets as w
import pandas as pd

from kit.edits import Answers
from kit.errors import KitError
from kit.models.model import Model
from kit.panels.group_accuracy import GroupAccuracy, GroupFinding
from kit.panels.group_drawing import grid_values, groups_html, groups_png
from kit.panels.heat_panel import HeadGrid
from kit.panels.panel import Sentence
from kit.panels.saving import provenance
from kit.panels.selection import Selection
from kit.panels.state_panel import StatePanel


class Groups(StatePanel):
    """Heads on a grid, coloured by the effect of the cue; groups before and after those that are off.

    A click, or space, switches a part off or on: it is replaced by its mean in the sum (the direct effect),
    from stored scores, and no tower runs.

    Args:
        model: that gave the answers.
        answers: on images with groups, from `kit.edits.ask_classes`.
        effects: of the cue on other images, from `kit.edits.cue_effects`.
        choices: what buttons switch off, such as `{"chosen by reading": "L5.H0, L5.H5"}`.
        shares: group -> share of the training set, for the reweighted average.
        state: a state string as the panel shows it.

    Raises:
        KitError: answers without groups, effects of other parts, a choice or a state that cannot be.

    Example:
        >>> panel = Groups(model, answers, effects, {"chosen": "L5.H0"})     # doctest: +SKIP
        >>> panel.choose(off="L5.H0, L5.H5")                                 # doctest: +SKIP
        >>> panel.caption                                                    # doctest: +SKIP
        'L5.H0 and L5.H5 off: worst group (water animal on land) 0.65 → 0.79, change …'
    """

    def __init__(
        self,
        model: Model,
        answers: Answers,
        effects: pd.DataFrame,
        choices: dict[str, str],
        shares: dict[str, float] | None = None,
        state: str | None = None,
    ):
        super().__init__()
        self.cases = GroupAccuracy(model, answers, effects, choices, shares)
        self.selection = Selection(model=model.name, image=answers.name, texts=tuple(answers.classes))
        first = next(iter(self.cases.choices.values()), "none")
        self.selection.change(off=first)
        if state is not None:
            self.selection.change(**self._parsed(state))
        self._like, self._number = self.selection.off, -1
        self._begin()

    def finding(self) -> str:
        return f"{self.cases.answers.model}, {self.selection.image}: {self.caption}"

    def png(self) -> bytes:
        return groups_png(self.found, self.cases, f"{self.cases.answers.model} · {self.selection.image}")

    def table(self) -> pd.DataFrame:
        """What becomes of each group, and beneath it the effect of the cue on each part."""
        effects = self.cases.effects[["part", "cue", "error", "class"]].assign(view="part")
        effects["off"] = effects["part"].isin(self.found.off)
        groups = self.found.table.rename_axis("group").reset_index().assign(view="group")
        return pd.concat([groups, effects], ignore_index=True).set_index("view").reset_index()

    def code(self) -> str:
        return as_code(self.selection, self.cases.answers)

    def provenance(self) -> str:
        answers, seed = self.cases.answers, self.cases.seed
        data = f"{answers.name} ({len(answers):,})"
        return provenance(self.cases.model, data, seed, means=answers.means_id)

    # --- from hands to state

    def choose(self, off: str) -> None:
        """Switch these parts off and all others on; what cannot be becomes a sentence in the panel."""
        if self._writing:
            return
        if self.guarded(partial(self._change, {"off": off}), self._undo):
            self._like, self._number = self.selection.off, -1
        self._sync()

    def random(self) -> None:
        """Switch off random heads like those that were chosen last; every call takes another set."""
        number = self._number + 1

        def change():
            self._change({"off": self.cases.alike(self._like, number)})

        if self.guarded(change, self._undo):
            self._number = number
        self._sync()

    def _change(self, fields: dict) -> None:
        super()._change({**fields, "off": self.cases.named(fields["off"])})

    def _parsed(self, state: str) -> dict:
        """The fields of a state string of this panel's own model and images."""
        asked = Selection.parse(state).as_dict()
        for name, what in (("model", "model"), ("image", "set of images"), ("texts", "classes")):
            mine = self.selection.as_dict()[name]
            if asked[name] != mine:
                raise KitError(
                    f"this panel has the {what} {_said(mine)}, but the state is of {_said(asked[name])}; "
                    "make a panel of that one."
                )
        return {"off": self.cases.named(asked["off"])}

    # --- from state to screen

    def _find_and_draw(self) -> None:
        found: GroupFinding = self.cases.find(self.selection.off)
        self.found = found
        with self.grid.hold_sync():
            self.grid.vmax, self.grid.alt = self.cases.limit, found.grid_alt
            self.grid.set_numbers(grid_values(self.cases, found))
        self.bars.value = groups_html(found.table, found.bars_alt)
        self.truth.text, self.said.text = found.truth, found.caption

    def _sync(self) -> None:
        """Make every control show the state."""
        rows = self.cases.answers.parts_of(self.selection.off or "none")
        cells = self.cases.layout.cells_of(rows)
        with self._quietly():
            self.grid.picked, self.grid.off = cells, cells
            self.line.value = self.string
            for name, button in self.buttons.items():
                button.button_style = "info" if self.cases.choices[name] == self.selection.off else ""

    def _build_controls(self) -> None:
        def button(text: str, tip: str) -> w.Button:
            return w.Button(description=text, tooltip=tip, layout=w.Layout(width="auto"))

        self.grid = HeadGrid(unit="effect of the cue on the score", switches=True)
        self.grid.set_layout(self.cases.layout)
        self.buttons = {n: button(n, f"switch off {parts}") for n, parts in self.cases.choices.items()}
        self.alike = button("random like these", "other heads, like these in number, layer and size")
        self.all_on = button("all on", "switch every part on")
        self.line = w.Text(description="state", continuous_update=False, layout=w.Layout(width="100%"))
        self.line.style.description_width = "initial"
        self.bars = w.HTML()
        self.said, self.truth = Sentence(look="caption", live=True), Sentence(look="truth")
        means = self.cases.answers.means_id
        self.note = Sentence(text=f"Effect: direct. Off: replaced by the mean over {means}.", look="note")
        self.grid_head = Sentence(look="head", strong="Which parts carry the cue")
        self.grid_head.text = "Which parts carry the cue: click or space switches one off or on (hatched)"
        self.bars_head = Sentence(look="head", strong="What becomes of the groups")
        words = "hollow: every part on, solid: after; whiskers: 95 % of images drawn again"
        self.bars_head.text = f"What becomes of the groups: share answered right; {words}"
        self.box.children = self._arranged()

    def _arranged(self) -> list[w.Widget]:
        """The rows of the panel from top to bottom."""
        left, right = w.VBox([self.grid_head, self.grid]), w.VBox([self.bars_head, self.bars])
        right.layout.flex, right.layout.max_width = "1 1 430px", "620px"
        for box in (left, right):
            box.add_class("loupe-column")
        row, columns = w.HBox([*self.buttons.values(), self.alike, self.all_on]), w.HBox([left, right])
        row.add_class("loupe-row")
        columns.add_class("loupe-columns")
        return [row, self._say, self.said, self.truth, columns, self.note, self.line, *self._foot()]

    def _connect(self) -> None:
        for name, button in self.buttons.items():
            button.on_click(lambda _, name=name: self.choose(self.cases.choices[name]))
        self.alike.on_click(lambda _: self.random())
        self.all_on.on_click(lambda _: self.choose("none"))
        self.grid.observe(lambda change: self.choose(self._parts_at(change.new)), names="picked")
        self.line.observe(lambda change: self._restore(change.new), names="value")

    def _parts_at(self, cells: list[int]) -> str:
        labels = self.cases.layout.labels
        return ", ".join(labels[i] for i in cells if labels[i]) or "none"


def as_code(state: Selection, answers: Answers) -> str:
    """Lines that compute what a state shows, without a panel."""
    return "\n".join(
        [
            "import kit",
            f"model = kit.load({state.model!r})",
            f"images, means = ..., ...  # {answers.name}; {answers.means_id}",
            f"texts = ...  # of the classes {', '.join(answers.classes)}",
            f"answers = kit.edits.ask_classes(model, images, texts, {answers.name!r}, means)",
            'groups = kit.measures.GroupBootstrap(answers.labels["group"], seed=0, draws=1000)',
            f"groups.table(answers.right({state.off or 'none'!r}), answers.right())",
        ]
    )


def _said(value) -> str:
    """A field of a state in a message."""
    return f'"{value}"' if isinstance(value, str) else ", ".join(value)
