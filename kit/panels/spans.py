"""Notebook 12's panel: what each head says, for a bank of texts, and whether that is so."""

from functools import partial

import ipywidgets as w
import pandas as pd

from kit.data.sets import Images
from kit.models.model import Model
from kit.panels.head_words import MOST_TEXTS, OWN, HeadWords, SpanFound, SpanState
from kit.panels.heat_panel import HeadGrid
from kit.panels.panel import Sentence
from kit.panels.saving import provenance
from kit.panels.span_drawing import head_map, span_png, strip, text_list
from kit.panels.state_panel import StatePanel
from kit.panels.stored import stored

SEED = 81_001  # of scenes where no images are given


class Spans(StatePanel):
    """Layers by heads with the property that each head's first text tells, and the texts of one head.

    Args:
        model: a CLIP, or the name of a shipped one.
        images: the images of the store, to be shown; scenes of `kit.world` or anything that a pass takes.
            None = 1,000 scenes with one object.
        store: what the heads wrote for them (`kit.collect(..., keep="store")`); None = a pass is made now.
        banks: texts to choose from (`kit.projections.Bank`); None = the stickers grammar and controls.
        state: a state string as the panel shows it.

    Raises:
        KitError: an unknown model, a store of other images, a bank of another model, a state that cannot be.

    Example:
        >>> panel = Spans("stickers-l8")                        # doctest: +SKIP
        >>> panel.choose(texts=10, images="size: large")        # doctest: +SKIP
        >>> panel.caption                                       # doctest: +SKIP
        '10 texts of “stickers grammar” explain 63% of what L5.H0 varies over 312 images. …'
    """

    def __init__(
        self,
        model: Model | str = "stickers-l8",
        images: Images | None = None,
        store=None,
        banks=None,
        state: str | None = None,
    ):
        super().__init__()
        model, self.images, store, self.seed = stored(model, images, store, "L*.H*", SEED)
        self.cases = HeadWords(model, store, banks)
        self.selection = self.cases.first_state() if state is None else SpanState.parse(state)
        self._begin()

    def finding(self) -> str:
        return f"{self.selection.model}: {self.caption}"

    def png(self) -> bytes:
        return span_png(self.found, self.selection)

    def table(self) -> pd.DataFrame:
        """The texts of every head in the order they were taken, and the true role where it is known."""
        truth = dict(zip(self.cases.index["name"], self.found.truth))
        return self.found.table.assign(true_role=self.found.table["part"].map(truth))

    def code(self) -> str:
        return as_code(self.selection, self.cases)

    def provenance(self) -> str:
        store, state = self.cases.store, self.selection
        data = f"{store.name} ({state.images}), digest {store.facts['data'][0][:12]}"
        return provenance(self.cases.model, data, self.seed, bank=state.bank)

    # --- from hands to state

    def _change(self, fields: dict) -> None:
        self.selection = self.selection.changed(**fields)
        self._show()

    def _undo(self) -> None:
        self.selection = SpanState(**self._good)

    # --- from state to screen

    def _find_and_draw(self) -> None:
        found: SpanFound = self.cases.find(self.selection)
        self.found, state = found, self.selection
        with self.grid.hold_sync():
            self.grid.set_layout(found.grid)
            cells = found.grid.spread(found.shares).reshape(found.grid.rows, found.grid.cols)
            self.grid.set_numbers(cells)
            self.grid.vmax, self.grid.alt = 1.0, found.alt
        self.map.value = head_map(found, state.part)
        self.list.value = text_list(found, state.part)
        self.ends.value = strip([self.images[self.cases.store.rows[i]] for i in found.extremes], found)
        self.unseen.text = self._unseen()
        self.said.text = found.caption

    def _unseen(self) -> str:
        """Words of own texts that the model never saw."""
        if self.selection.bank != OWN:
            return ""
        return " ".join(
            note for t in self.selection.own.split(";") if (note := self.cases.model.unknown_note(t.strip()))
        )

    def _sync(self) -> None:
        """Make every control show the state."""
        state, found = self.selection, self.found
        with self._quietly():
            self.bank.value, self.texts.value, self.score.value = state.bank, state.texts, state.score
            self.subset.value, self.own.value, self.line.value = state.images, state.own, str(state)
            self.own.layout.display = "" if state.bank == OWN else "none"
            self.grid.picked = [found.grid.labels.index(state.part)]

    def _build_controls(self) -> None:
        full = partial(w.Layout, width="100%")
        self.bank = w.Dropdown(
            description="bank", options=self.cases.bank_names, layout=w.Layout(width="300px")
        )
        self.texts = w.IntSlider(
            description="texts a head", min=1, max=MOST_TEXTS, layout=w.Layout(width="330px")
        )
        self.subset = w.Dropdown(
            description="images", options=list(self.cases.subsets), layout=w.Layout(width="300px")
        )
        self.score = w.ToggleButtons(
            description="score", options=["released", "variance"], tooltip="which text is taken next"
        )
        self.own = w.Text(
            description="own texts", placeholder="a cat; a red thing", continuous_update=False, layout=full()
        )
        self.line = w.Text(description="state", continuous_update=False, layout=full())
        for control in (self.bank, self.texts, self.subset, self.score, self.own, self.line):
            control.style.description_width = "initial"
        self.score.style.button_width = "80px"
        self.said = Sentence(look="caption", live=True)
        self.unseen = Sentence(look="note", live=True)
        self.grid = HeadGrid(unit="share explained", missing="no such head")
        self.map, self.list, self.ends = w.HTML(), w.HTML(), w.HTML()
        self.box.children = self._arranged()

    def _arranged(self) -> list[w.Widget]:
        """The rows of the panel from top to bottom."""
        heads = [
            Sentence(look="head", strong="How much", text="How much of a head its texts explain: pick one"),
            Sentence(look="head", strong="About what", text="About what: what its first text tells"),
            Sentence(look="head", strong="Which texts", text="Which texts, in the order they were taken"),
        ]
        columns = [w.VBox(pair) for pair in zip(heads, (self.grid, self.map, self.list))]
        rows = [w.HBox([self.bank, self.texts, self.subset, self.score]), w.HBox(columns)]
        columns[1].layout = w.Layout(flex="2 1 400px", max_width="660px")
        for box, look in [*((c, "column") for c in columns), *zip(rows, ("row", "columns"))]:
            box.add_class(f"loupe-{look}")
        return [
            rows[0], self.own, self._say, self.said, self.unseen, rows[1], self.ends, self.line,
            *self._foot(),
        ]  # fmt: skip

    def _connect(self) -> None:
        pairs = {"bank": self.bank, "texts": self.texts, "score": self.score, "images": self.subset}
        for name, control in {**pairs, "own": self.own}.items():
            control.observe(partial(self._set, name), names="value")
        self.grid.observe(self._picked, names="picked")
        self.line.observe(lambda change: self._restore(change.new), names="value")

    def _set(self, name: str, change) -> None:
        if name == "bank" and change.new == OWN and not self.selection.own and not self._writing:
            self.own.layout.display = ""  # to be written first
            return
        bank = {"bank": OWN} if name == "own" and change.new else {}
        self.choose(**bank, **{name: change.new})

    def _picked(self, change) -> None:
        labels = [self.found.grid.labels[i] for i in change.new if self.found.grid.labels[i]]
        if labels and labels[-1] != self.selection.part:
            self.choose(part=labels[-1])
        elif not self._writing:
            self._sync()


def as_code(state: SpanState, cases: HeadWords) -> str:
    """Lines that compute what a state shows, without a panel."""
    bank = cases.bank(state)
    made = {
        "stickers grammar": "kit.projections.Bank.stickers(model)",
        "words of the stickers grammar": "kit.projections.Bank.words(model)",
        "random directions": f"kit.projections.Bank.random(model, {len(bank.texts)})",
        OWN: f"kit.projections.Bank({bank.texts!r}, model.encode_text({bank.texts!r}))",
    }
    column, _, value = state.images.partition(": ")
    rows = f'(store.labels["{column}"].astype(str) == {value!r}).to_numpy()' if value else "None"
    return "\n".join(
        [
            "import kit",
            f"model = kit.load({state.model!r})",
            f"images = ...  # those of the store: {cases.store.name}",
            f"store = kit.collect(model, images, 'store', {cases.store.name!r}, selector='L*.H*')",
            f"moments = store.moments({rows}, 'L*.H*')",
            f"bank = {made.get(state.bank, f'...  # {state.bank}')}",
            f"kit.textspan(moments, bank, {state.texts}, {state.score!r}).table",
        ]
    )
