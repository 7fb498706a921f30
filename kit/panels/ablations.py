"""Notebook 11's panel: which parts are replaced, by which means, and what that costs each question."""

import base64
import html
from functools import partial

import ipywidgets as w
import pandas as pd
from PIL import Image

from kit.data.sets import Images
from kit.models.model import Model
from kit.panels.ablated_accuracy import Ablated, AblatedAccuracy, Choice
from kit.panels.charts import (
    BARS_WIDTH,
    CURVE_HEIGHT,
    CURVE_WIDTH,
    Svg,
    bars_height,
    draw_bars,
    draw_curves,
)
from kit.panels.drawing import FAINT, INK
from kit.panels.heat_panel import png_bytes
from kit.panels.panel import Sentence
from kit.panels.pictures import FINE, Sheet
from kit.panels.saving import provenance
from kit.panels.selection import FIELDS, Selection
from kit.panels.state_panel import StatePanel

THUMB = 84  # pixels of a picture whose answer changed
ACROSS = "layer l"


class Ablations(StatePanel):
    """Parts of a whole set of images switched off, and what that costs: accuracies, a curve, pictures.

    Args:
        model: from `kit.load`.
        images: what the store was collected from; None draws scenes.
        store: of these images; None collects one, which takes seconds.
        references: reference sets to choose from, `kit.edits.Means`; None collects one.
        asked: questions, `kit.edits.Answers`; None asks for the attributes of the world.
        state: a state string as the panel shows it.

    Raises:
        KitError: no questions, or a state that cannot be read.

    Example:
        >>> panel = Ablations(model, scenes, store, [reference])       # doctest: +SKIP
        >>> panel.choose(selector="L0-3.attn", texts=("colour",))      # doctest: +SKIP
        >>> panel.caption                                              # doctest: +SKIP
        'With 24 of 50 parts (L0-3.attn) replaced by means over …'
    """

    def __init__(
        self,
        model: Model,
        images: Images | None = None,
        store=None,
        references=None,
        asked=None,
        state: str | None = None,
    ):
        super().__init__()
        self.cases = AblatedAccuracy(model, images, store, references, asked)
        self.selection = Selection.parse(state) if state is not None else self.cases.first()
        self._begin()

    def finding(self) -> str:
        return f"{self.cases.model.label}, {len(self.cases.store):,} images: {self.caption}"

    def png(self, paper: bool = False) -> bytes:
        return png_bytes(_still(self.found, self.cases, self.selection).quantize(256))

    def table(self) -> pd.DataFrame:
        """Accuracy for each question, before and after, and the curve of the question that is looked at."""
        name, rows = self.selection.texts[0], []
        for row in self.found.rows:
            for when, value in (("before", row.before), ("after", row.after)):
                rows.append(("question", row.name, when, None, value, row.chance))
        for curve, values in self.found.curve.items():
            rows += [("curve", name, curve, f"L{n}", value, None) for n, value in enumerate(values)]
        columns = ("view", "question", "condition", "layer", "accuracy", "low", "high", "chance")
        return pd.DataFrame([(*r[:4], r[4].value, r[4].low, r[4].high, r[5]) for r in rows], columns=columns)

    def code(self) -> str:
        return as_code(self.selection, self.cases)

    def provenance(self) -> str:
        store, means = self.cases.store, self.selection.image if self.selection.replace == "mean" else None
        data = f"{store.name}, digest {store.facts['data'][0][:12]}"
        return provenance(self.cases.model, data, getattr(self.cases.images, "seed", None), means=means)

    # --- from hands to state

    def _chosen(self, _=None) -> None:
        """The controls of parts were moved."""
        if self._writing:
            return
        layers = tuple(self.layers.value) if self.attention.value else None
        others = ", ".join(t.strip() for t in self.others.value.split(",") if t.strip())
        choice = Choice(self.mlps.value, self.embed.value, layers, others)
        self.choose(selector=choice.selector, tokens="cls" if self.cls.value else "")

    # --- from state to screen

    def _find_and_draw(self) -> None:
        self.found: Ablated = self.cases.find(self.selection)
        self._draw()

    def _draw(self) -> None:
        found, state = self.found, self.selection
        sheets = _charts(Svg, found, state, self.cases)
        self.bars.value, self.curve.value = (
            sheet.html(alt) for sheet, alt in zip(sheets, (found.bars_alt, found.curve_alt), strict=True)
        )
        self.changed.value = _figures(found, self.cases)
        self.changed_head.text = _changed_line(found)
        self.said.text = found.caption

    def _sync(self) -> None:
        """Make every control show the state."""
        state, choice = self.selection, Choice.read(self.selection.selector)
        with self._quietly():
            self.mlps.value, self.embed.value = choice.mlps, choice.embed
            self.attention.value = choice.layers is not None
            self.layers.disabled = choice.layers is None
            if choice.layers is not None:
                self.layers.value = choice.layers
            self.others.value, self.cls.value = choice.others, state.tokens == "cls"
            self.replace.value, self.question.value = state.replace, state.texts[0]
            self.reference.value = state.image if state.image in self.cases.references else None
            self.reference.disabled = state.replace == "zero"
            self.line.value = self.string

    def _build_controls(self) -> None:
        auto, last = partial(w.Layout, width="auto"), self.cases.model.layers - 1
        check = lambda text: w.Checkbox(description=text, indent=False, layout=auto())  # noqa: E731
        self.mlps, self.embed = check("all MLPs"), check("embed")
        self.cls = check("what heads read at the class token")
        self.cls.disabled = not self.cases.cls_known
        self.attention = check("attention of layers")
        self.layers = w.IntRangeSlider(
            value=(0, last), min=0, max=last, continuous_update=False, layout=w.Layout(width="230px")
        )
        self.layers.tooltip = "first and last layer whose attention is replaced"
        self.others = w.Text(
            description="more parts",
            placeholder="L5.H0, L3.MLP",
            continuous_update=False,
            layout=w.Layout(width="300px"),
        )
        self.replace = w.ToggleButtons(
            options=["mean", "zero"], description="replaced by", tooltip="what stands in a part's place"
        )
        self.replace.style.button_width = "62px"
        self.reference = w.Dropdown(
            description="mean over", options=list(self.cases.references), layout=w.Layout(width="390px")
        )
        self.question = w.Dropdown(
            description="asked", options=list(self.cases.asked), layout=w.Layout(width="190px")
        )
        self.line = w.Text(description="state", continuous_update=False, layout=w.Layout(width="100%"))
        for control in (self.others, self.reference, self.question, self.line, self.replace):
            control.style.description_width = "initial"
        self.bars, self.curve, self.changed = w.HTML(), w.HTML(), w.HTML()
        self.said, self.changed_head = Sentence(look="caption", live=True), Sentence(look="head")
        self.box.children = self._arranged()

    def _arranged(self) -> list[w.Widget]:
        """The rows of the panel from top to bottom."""
        self.changed.add_class("loupe-changed")
        charts = [w.VBox([self.bars]), w.VBox([self.curve])]
        for box in charts:
            box.add_class("loupe-chart")
        rows = [
            w.HBox([self.mlps, self.embed, self.cls]),
            w.HBox([self.attention, self.layers, self.others]),
            w.HBox([self.replace, self.reference, self.question]),
            w.HBox(charts),
        ]
        for row, look in zip(rows, ("row", "row", "row", "columns"), strict=True):
            row.add_class(f"loupe-{look}")
        return [
            *rows[:3],
            self._say,
            self.said,
            rows[3],
            self.changed_head,
            self.changed,
            self.line,
            *self._foot(),
        ]

    def _connect(self) -> None:
        for control in (self.mlps, self.embed, self.cls, self.attention, self.layers, self.others):
            control.observe(self._chosen, names="value")
        self.replace.observe(lambda change: self.choose(replace=change.new), names="value")
        self.reference.observe(self._referred, names="value")
        self.question.observe(lambda change: self.choose(texts=(change.new,)), names="value")
        self.line.observe(lambda change: self._restore(change.new), names="value")
        self.selection.observe(self._selected, names=list(FIELDS))

    def _referred(self, change) -> None:
        if change.new is not None:
            self.choose(image=change.new)


def as_code(state: Selection, cases: AblatedAccuracy) -> str:
    """Lines that compute what a state shows, without a panel."""
    name, cls = state.texts[0], ", cls='L*.H*'" if state.tokens else ""
    tokens = ", tokens='cls'" if cases.cls_known else ""
    reference = "None" if state.replace == "zero" else f"...  # kit.edits.Means of {state.image}"
    return "\n".join(
        [
            "import kit",
            f"model = kit.load({state.model!r})",
            f"images = ...  # those of the store: {cases.store.name}",
            f"store = kit.collect(model, images, 'store', {cases.store.name!r}{tokens})",
            f"reference = {reference}",
            f"asked = kit.edits.ask(model, store, {name!r})  # or kit.edits.asked",
            f"after = asked.after({state.selector!r}, reference{cls})  # cosines, [image, text]",
            "kit.measures.hits(after, asked.truth).double().mean()",
        ]
    )


def _charts(kind, found: Ablated, state: Selection, cases: AblatedAccuracy) -> list:
    """Both charts on sheets of a kind."""
    name = state.texts[0]
    bars = kind(BARS_WIDTH, bars_height(found.rows), "Accuracy, as it is and with the parts replaced")
    draw_bars(bars, found.rows, chosen=name)
    curve = kind(CURVE_WIDTH, CURVE_HEIGHT, f"‘{name}’ with the attention of layers replaced")
    row = next(r for r in found.rows if r.name == name)
    lines = {"as it is": row.before.value, "chance": row.chance}
    layers = [f"L{n}" for n in range(cases.model.layers)]
    draw_curves(curve, found.curve, layers, lines, ACROSS, found.point)
    return [bars, curve]


def _changed_line(found: Ablated) -> str:
    if not found.changed:
        return "No answer changed."
    wrong = f"; {found.other} went from one wrong answer to another" if found.other else ""
    return f"Answers that changed: {found.lost} became wrong, {found.won} right{wrong}."


def _figures(found: Ablated, cases: AblatedAccuracy) -> str:
    """The pictures whose answer changed, as HTML."""
    made = []
    for each in found.changed:
        content = base64.b64encode(png_bytes(cases.picture(each.number))).decode()
        line, words = html.escape(cases.truth(each.number)), f"{each.before} → {each.after}"
        truth = f"truth: {html.escape(each.truth)}" + (f"; {line}" if line else "")
        made.append(
            f'<figure><img src="data:image/png;base64,{content}" alt="{line or "an image of the set"}">'
            f"<figcaption><b>{html.escape(words)}</b><br>{truth}</figcaption></figure>"
        )
    return "".join(made)


def _still(found: Ablated, cases: AblatedAccuracy, state: Selection) -> Image.Image:
    """Caption, charts and pictures, for a saved notebook."""
    charts = [sheet.image for sheet in _charts(Sheet, found, state, cases)]
    wide, tall = sum(c.width for c in charts) // FINE, max(c.height for c in charts) // FINE
    sheet = Sheet(wide, 44 + tall + 40 + (THUMB + 12 if found.changed else 0), "")
    _wrapped(sheet, found.caption, wide)
    sheet.paste(charts[0], (0, 44))
    sheet.paste(charts[1], (charts[0].width / FINE, 44))
    sheet.text((8, 50 + tall), _changed_line(found), FAINT, "la", 13)
    for number, each in enumerate(found.changed):
        x, y = 8 + number * wide / 3, 74 + tall
        picture = (
            cases.picture(each.number).convert("RGB").resize((THUMB * FINE,) * 2, Image.Resampling.NEAREST)
        )
        sheet.paste(picture, (x, y))
        sheet.text((x + THUMB + 10, y + 14), f"{each.before} -> {each.after}", INK, "la", 13)
        sheet.text((x + THUMB + 10, y + 36), f"truth: {each.truth}", FAINT, "la", 12)
    return sheet.image


def _wrapped(sheet: Sheet, words: str, wide: float) -> None:
    """A sentence on one line or two."""
    half = words if len(words) < wide / 6.6 else words[: round(wide / 6.6)].rpartition(" ")[0]
    sheet.text((8, 4), half, INK, "la", 14)
    sheet.text((8, 22), words[len(half) :].strip(), INK, "la", 14)
