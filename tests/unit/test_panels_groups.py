"""Notebook 13's panel without a kernel, on answers from a seed."""

import io
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from kit.edits import Answers, cue_effects
from kit.errors import KitError
from kit.panels import Groups, Selection
from tests.unit.panel_doubles import Model, index
from tests.unit.stored_scores import made_up
from tests.wire import messages

N = 80


@pytest.fixture(scope="module")
def answers() -> Answers:
    """L1.H1 carries the place, everything else noise and a little of the class."""
    rng = np.random.default_rng(0)
    parts = index().query("kind != 'bias'").reset_index(drop=True)
    y, place = rng.integers(2, size=N), rng.integers(2, size=N)
    lean = rng.normal(0, 0.02, (N, len(parts))) + 0.03 * (2 * y - 1)[:, None]
    lean[:, list(parts["name"]).index("L1.H1")] += 0.5 * (2 * place - 1)
    scores = torch.tensor(np.stack([-lean, lean], 2), dtype=torch.float32)
    groups = [f"{'ab'[a]} <on> {'cd'[b]}" for a, b in zip(y, place)]
    labels = pd.DataFrame({"y": y, "place": place, "group": groups})
    return made_up("80 doubles", "double", ["a", "b"], parts, labels, scores)


@pytest.fixture(scope="module")
def effects(answers):
    return cue_effects(answers.differences(), answers.labels["y"], answers.labels["place"], answers.index)


@pytest.fixture
def make(answers, effects):
    made = []

    def panel(choices=None, **more):
        given = {"chosen by reading": "L1.H0, L1.H1", "chosen automatically": "L1.H1"}
        made.append(Groups(Model(), answers, effects, given if choices is None else choices, **more))
        return made[-1]

    yield panel
    for one in made:
        assert one.last_error is None
        one.close()


def click(panel, *names) -> None:
    """Leave these cells picked, as the canvas does."""
    panel.grid.picked = [panel.cases.layout.labels.index(name) for name in names]


def shown(panel) -> tuple:
    return panel.state, panel.caption, panel.bars.value, panel.grid.off


def test_it_opens_with_the_first_choice_off(make):
    panel = make()
    assert panel.state["off"] == "L1.H0, L1.H1" and panel.found.off == ["L1.H0", "L1.H1"]
    assert panel.caption.startswith("L1.H0 and L1.H1 off: worst group (")
    assert panel.said.text == panel.caption


def test_figures_are_those_of_the_answers_by_hand(make, answers):
    panel = make(shares={g: 1 for g in answers.labels["group"].unique()})
    click(panel, "L1.H1", "L0.MLP")
    right, table = answers.right("L1.H1, L0.MLP"), panel.found.table
    for group in answers.labels["group"].unique():
        some = (answers.labels["group"] == group).to_numpy()
        assert table.loc[group, "accuracy"] == pytest.approx(right[some].mean(), abs=1e-6)
        assert table.loc[group, "before"] == pytest.approx(answers.right()[some].mean(), abs=1e-6)
    assert table.loc["average", "accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    groups = table["accuracy"].iloc[:4]
    assert table.loc["worst group", "accuracy"] == groups.min()
    assert table.loc["average by training shares", "accuracy"] == pytest.approx(groups.mean(), abs=1e-6)


def test_a_click_switches_off_and_another_one_on(make):
    panel = make()
    click(panel, "L1.H1", "L1.H0", "L0.H2")
    assert panel.state["off"] == "L0.H2, L1.H0, L1.H1"
    click(panel, "L1.H1")
    assert panel.state["off"] == "L1.H1" and panel.grid.off == panel.grid.picked
    click(panel)
    assert panel.state["off"] == "none" and panel.caption.startswith("Every part on: ")


def test_cells_are_effects_of_the_cue_on_a_scale_about_zero(make, effects):
    panel = make()
    labels = panel.cases.layout.labels
    numbers = panel.grid.numbers.ravel()
    for part, cue in zip(effects["part"], effects["cue"]):
        assert numbers[labels.index(part)] == pytest.approx(cue, abs=1e-6)
    assert panel.grid.vmax == pytest.approx(np.abs(effects["cue"]).max())
    assert not any("bias" in label for label in labels)
    assert panel.grid.switches


def test_buttons_do_what_they_say(make):
    panel = make()
    panel.buttons["chosen automatically"].click()
    assert panel.state["off"] == "L1.H1"
    assert panel.buttons["chosen automatically"].button_style == "info"
    panel.all_on.click()
    assert panel.state["off"] == "none"


def test_random_heads_are_others_and_another_set_each_time(make):
    panel = make()
    panel.choose("L1.H0, L1.H1")
    seen = set()
    for _ in range(6):
        panel.alike.click()
        off = panel.state["off"].split(", ")
        assert len(off) == 2 and not {"L1.H0", "L1.H1"} & set(off) and "MLP" not in panel.state["off"]
        seen.add(panel.state["off"])
    assert len(seen) > 1


def test_a_change_runs_no_tower_is_quick_and_small(make):
    panel = make()
    passes = dict(panel.cases.model.passes)
    begin = time.perf_counter()
    with messages() as sent:
        click(panel, "L0.H0")
    assert time.perf_counter() - begin < 0.2
    assert 0 < sum(sent) < 60_000
    assert dict(panel.cases.model.passes) == passes


def test_a_state_string_brings_the_same_panel_back(make):
    panel = make()
    click(panel, "L0.H1", "L1.H1")
    again = make(state=panel.string)
    assert shown(again) == shown(panel)
    assert str(Selection.parse(panel.string)) == panel.string
    click(panel, "L0.H0")
    panel.line.value = again.string
    assert shown(panel) == shown(again)


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda p: p.choose("L7.H0"), "layer 7 does not exist"),
        (lambda p: setattr(p.line, "value", "x"), "is not a state"),
        (lambda p: setattr(p.line, "value", "other|80 doubles|none|a;b"), 'has the model "double"'),
        (lambda p: setattr(p.line, "value", "double|others|none|a;b"), 'the set of images "80 doubles"'),
        (lambda p: setattr(p.line, "value", "double|80 doubles|none|a;c"), "the classes a, b, but"),
        (lambda p: setattr(p.line, "value", "double|80 doubles|none|a;b|off=L0.H9"), "head 9"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_all_stays(make, change, says):
    panel = make()
    before, line = shown(panel), panel.line.value
    change(panel)
    assert says in panel.message and shown(panel) == before and panel.line.value == line
    click(panel, "L0.H0")
    assert panel.message == ""


@pytest.mark.parametrize("off, says", [("none", "every part is on"), ("L0.MLP", "is no head of these parts")])
def test_random_like_nothing_is_a_sentence(make, off, says):
    panel = make()
    panel.choose(off)
    before = shown(panel)
    panel.alike.click()
    assert says in panel.message and shown(panel) == before


def test_words_for_eyes_and_for_readers(make):
    panel = make()
    assert "Switched off: L1.H0, L1.H1" in panel.grid.alt and "the strongest is L1.H1" in panel.grid.alt
    assert "&lt;on&gt;" in panel.bars.value and "<on>" not in panel.bars.value
    assert "aria-label" in panel.bars.value and "worst group" in panel.found.bars_alt
    assert "roles are measured for shipped models" in panel.truth.text
    assert panel.finding() == f"double, 80 doubles: {panel.caption}"
    data, _ = panel._repr_mimebundle_()
    picture = Image.open(io.BytesIO(data["image/png"]))
    assert picture.width == 1080 and data["text/plain"] == panel.finding()


def test_hatched_cells_differ_in_the_still_picture(make):
    panel = make()
    one = panel.png()
    panel.choose("L0.H0")
    assert panel.png() != one


def test_answers_without_groups_and_effects_of_others_are_refused(answers, effects):
    store = replace(answers.store, labels=answers.store.labels[["y"]])
    bare = replace(answers, store=store)
    with pytest.raises(KitError, match='the labels have no column "group"; they have y'):
        Groups(Model(), bare, effects, {})
    with pytest.raises(KitError, match="not of the same parts"):
        Groups(Model(), answers, effects.iloc[1:], {})
    with pytest.raises(KitError, match="layer 9 does not exist"):
        Groups(Model(), answers, effects, {"wrong": "L9.H0"})
