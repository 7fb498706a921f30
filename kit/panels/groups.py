"""Notebook 13's panel: heads that are switched off by a click, and what becomes of each group."""

import pandas as pd

from kit.edits import Answers, matched_draws
from kit.errors import KitError
from kit.figures import Bars, Grid, number
from kit.measures import GroupBootstrap
from kit.models.model import Model
from kit.panels.declared import DeclaredPanel, Shown
from kit.panels.fields import Action, Fixed, Parts, State
from kit.parts.roles import role_shares, says_shares

DRAWS, ALIKE, SEED = 1000, 64, 0  # of images, for intervals; of random sets; of both
ATTRIBUTE = "background"  # of the truth
NO_ROLES = "No truth is known of this model's heads: roles are measured for shipped models."


class Groups(DeclaredPanel):
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

    image = Fixed(None, "set of images")
    selector = Fixed(None, "selection")
    texts = Fixed(None, "classes")
    off = Parts("grid", switches=True)
    alike = Action("random like these", "random", "other heads, like these in number, layer and size")
    all_on = Action("all on", lambda s: {"off": "none"}, "switch every part on")
    positional = ("image", "selector", "texts")
    seed = SEED

    def __init__(
        self, model: Model, answers: Answers, effects: pd.DataFrame, choices: dict[str, str],
        shares: dict[str, float] | None = None, state: str | None = None,
    ):  # fmt: skip
        if "group" not in answers.labels:
            known = ", ".join(map(str, answers.labels.columns))
            raise KitError(f'the labels have no column "group"; they have {known}: name each image\'s group.')
        if list(effects["part"]) != list(answers.index["name"]):
            raise KitError(
                f"effects of {len(effects)} parts and answers of {len(answers.index)} are not of the same "
                "parts; measure both on one model."
            )
        self.answers, self.effects, self.roles = answers, effects, role_shares(model, ATTRIBUTE)
        self.choices = {name: self.named(selector) for name, selector in choices.items()}
        self.shares, self.bootstrap = shares, GroupBootstrap(answers.labels["group"], SEED, shares, DRAWS)
        self.whole = answers.right()
        self.before = self.bootstrap.table(self.whole)
        self.like, self.drawn, self.number = "none", "none", 0  # of random sets
        chosen = {n: Action.choosing(n, f"switch off {off}", off=off) for n, off in self.choices.items()}
        self.buttons = {**chosen, **self.buttons}
        self.rows = (tuple(self.buttons), ("grid", "groups"))
        super().__init__(model, state)

    def named(self, selector: str) -> str:
        """A selector as the names of its parts, which is how states and choices are compared."""
        rows = self.answers.parts_of(selector or "none")
        return ", ".join(self.answers.index["name"].iloc[rows]) or "none"

    def options(self, name: str) -> list:
        known = {"image": self.answers.name, "selector": "none", "texts": ";".join(self.answers.classes)}
        return [known[name]] if name in known else []

    def first(self) -> dict:
        return {"off": next(iter(self.choices.values()), "none")}

    def also(self, fields: dict) -> dict:
        if (off := self.named(fields.get("off", self.drawn))) != self.drawn:
            self.like, self.drawn, self.number = off, off, 0
        return {**fields, "off": off} if "off" in fields else fields

    def random(self) -> dict:
        """Random heads like those that were chosen last; every call takes another set."""
        names = self.answers.index["name"]
        if self.like == "none":
            raise KitError("random heads are drawn like those off, and every part is on; choose some.")
        draws, _ = matched_draws(self.answers.index, self.answers.sizes, self.like.split(", "), ALIKE, SEED)
        self.number += 1
        self.drawn = ", ".join(names.iloc[sorted(draws[(self.number - 1) % ALIKE])])
        return {"off": self.drawn}

    def show(self, s: State) -> Shown:
        """The groups before and after these parts are off, and which parts carry the cue."""
        index, rows = self.answers.index, self.answers.parts_of(s.off)
        off = list(index["name"].iloc[rows])
        after = self.bootstrap.table(self.answers.right(rows), self.whole)
        after = after.assign(before_low=self.before["low"], before_high=self.before["high"])
        cue = self.effects.loc[self.effects["cue"].abs().idxmax()]
        strongest = f"The strongest is {cue['part']} with {number(cue['cue'], digits=3, sign=True)}."
        title = "Which parts carry the cue: click or space switches one off or on (hatched)"
        unit = "effect of the cue on the score"
        grid = Grid(index, self.effects["cue"], unit, picked=off, off=off, title=title, says=strongest)
        title = "What becomes of the groups: share answered right; whiskers: 95 % interval"
        labels = [f"{name} ({count:,})" for name, count in zip(after.index, after["images"].astype(int))]
        told = says_shares(self.roles, ATTRIBUTE, off)
        ends = {"low": after[["before_low", "low"]], "high": after[["before_high", "high"]]}
        kinds = "every part on", "these off"
        groups = Bars(
            labels, after[["before", "accuracy"]], "accuracy", kinds, **ends, limits=(0, 1), title=title
        )
        effects = self.effects[["part", "cue", "error", "class"]].assign(view="part")
        effects["off"] = effects["part"].isin(off)
        table = pd.concat([after.rename_axis("group").reset_index().assign(view="group"), effects])
        return Shown(
            self.bootstrap.says(after, off), {"grid": grid, "groups": groups}, about=s.image,
            truth=f"Truth: {told}." if told else NO_ROLES,
            note=f"Effect: direct. Off: replaced by the mean over {self.answers.means_id}.",
            images=f"{self.answers.name} ({len(self.answers):,})", facts={"means": self.answers.means_id},
            table=table.set_index("view").reset_index(),
        )  # fmt: skip

    def again(self, state: State) -> str:
        return f"model, answers, effects, {self.choices!r}, {self.shares!r}"

    def lines(self) -> str:
        s, name = self.selection, self.answers.name
        return f"""\
images, means = ..., ...  # {name}; {self.answers.means_id}
texts = ...  # of the classes {", ".join(self.answers.classes)}
answers = kit.edits.ask_classes(model, images, texts, {name!r}, means)
groups = kit.measures.GroupBootstrap(answers.labels["group"], seed=0, draws=1000)
groups.table(answers.right({s.off!r}), answers.right())
effects = ...  # of the cue on other images, kit.edits.cue_effects"""
