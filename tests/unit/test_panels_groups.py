"""Notebook 13's panel without a kernel, on answers from a seed."""

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from kit.edits import Answers, cue_effects
from kit.errors import KitError
from kit.panels import Groups
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
    canvas = grid(panel)
    canvas.picked = [canvas.labels.index(name) for name in names]


def grid(panel):
    return panel.views["grid"].widget


def table(panel) -> pd.DataFrame:
    """What is said of each group."""
    held = panel.table()
    return held[held["view"] == "group"].set_index("group")


def shown(panel) -> tuple:
    return panel.state, panel.caption, panel.views["groups"].widget.figure, grid(panel).off


def test_it_opens_with_the_first_choice_off(make):
    panel = make()
    assert panel.state["off"] == "L1.H0, L1.H1"
    assert panel.caption.startswith("L1.H0 and L1.H1 off: worst group (")
    assert panel.said.text == panel.caption


def test_figures_are_those_of_the_answers_by_hand(make, answers):
    panel = make(shares={g: 1 for g in answers.labels["group"].unique()})
    click(panel, "L1.H1", "L0.MLP")
    right, found = answers.right("L1.H1, L0.MLP"), table(panel)
    for group in answers.labels["group"].unique():
        some = (answers.labels["group"] == group).to_numpy()
        assert found.loc[group, "accuracy"] == pytest.approx(right[some].mean(), abs=1e-6)
        assert found.loc[group, "before"] == pytest.approx(answers.right()[some].mean(), abs=1e-6)
    assert found.loc["average", "accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    groups = found["accuracy"].iloc[:4]
    assert found.loc["worst group", "accuracy"] == groups.min()
    assert found.loc["average by training shares", "accuracy"] == pytest.approx(groups.mean(), abs=1e-6)


def test_a_click_switches_off_and_another_one_on(make):
    panel = make()
    click(panel, "L1.H1", "L1.H0", "L0.H2")
    assert panel.state["off"] == "L0.H2, L1.H0, L1.H1"
    click(panel, "L1.H1")
    assert panel.state["off"] == "L1.H1" and grid(panel).off == grid(panel).picked
    click(panel)
    assert panel.state["off"] == "none" and panel.caption.startswith("Every part on: ")


def test_cells_are_effects_of_the_cue_on_a_scale_about_zero(make, effects):
    panel = make()
    labels = grid(panel).labels
    numbers = grid(panel).numbers.ravel()
    for part, cue in zip(effects["part"], effects["cue"]):
        assert numbers[labels.index(part)] == pytest.approx(cue, abs=1e-6)
    assert grid(panel).vmax == pytest.approx(np.abs(effects["cue"]).max())
    assert not any("bias" in label for label in labels)
    assert grid(panel).switches


def test_buttons_do_what_they_say(make):
    panel = make()
    panel.controls["chosen automatically"].click()
    assert panel.state["off"] == "L1.H1"
    assert panel.controls["chosen automatically"].button_style == "info"
    panel.controls["all_on"].click()
    assert panel.state["off"] == "none"


def test_random_heads_are_others_and_another_set_each_time(make):
    panel = make()
    panel.choose(off="L1.H0, L1.H1")
    seen = set()
    for _ in range(6):
        panel.controls["alike"].click()
        off = panel.state["off"].split(", ")
        assert len(off) == 2 and not {"L1.H0", "L1.H1"} & set(off) and "MLP" not in panel.state["off"]
        seen.add(panel.state["off"])
    assert len(seen) > 1


def test_a_change_runs_no_tower_and_is_small(make):
    panel = make()
    passes = dict(panel.model.passes)
    with messages() as sent:
        click(panel, "L0.H0")
    assert 0 < sum(sent) < 60_000
    assert dict(panel.model.passes) == passes


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda p: p.choose(off="L7.H0"), "layer 7 does not exist"),
        (lambda p: setattr(p.line, "value", "x"), "is not a state"),
        (lambda p: setattr(p.line, "value", "other|80 doubles|none|a;b"), 'has the model "double"'),
        (lambda p: setattr(p.line, "value", "double|others|none|a;b"), 'the set of images "80 doubles"'),
        (lambda p: setattr(p.line, "value", "double|80 doubles|none|a;c"), 'the classes "a;b", but'),
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
    panel.choose(off=off)
    before = shown(panel)
    panel.controls["alike"].click()
    assert says in panel.message and shown(panel) == before


def test_words_for_eyes_and_for_readers(make):
    panel = make()
    assert "switched off: L1.H0, L1.H1" in grid(panel).alt and "strongest is L1.H1" in grid(panel).alt
    drawn = json.loads(panel.views["groups"].widget.figure)
    assert drawn["layout"]["yaxis"]["ticktext"][0].startswith("a &lt;on")
    assert "worst group" in panel.views["groups"].widget.alt
    assert "roles are measured for shipped models" in panel.truth.text
    assert panel.finding() == f"double, 80 doubles: {panel.caption}"
    data, _ = panel._repr_mimebundle_()
    assert Image.open(io.BytesIO(data["image/png"])).width > 1000


def test_hatched_cells_differ_in_the_still_picture(make):
    panel = make()
    one = panel.png()
    panel.choose(off="L0.H0")
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


def test_the_row_of_the_worst_group_counts_its_images(answers, make):
    panel = make()
    right, groups = answers.right(), answers.labels["group"].to_numpy()
    worst = min(sorted(set(groups)), key=lambda group: right[groups == group].mean())
    labels = panel.shown.figures["groups"].labels
    assert f"worst group ({(groups == worst).sum()})" in labels and f"average ({len(groups)})" in labels
