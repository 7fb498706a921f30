"""No number and no word of a panel changes, and old state strings are accepted.

`python -m tests.golden` writes `panels.json`. It is written anew only where what a panel says was changed on
purpose, and the reason stands in the commit.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kit
from kit.panels.declared import DeclaredPanel
from tests.golden.record import TOLERANCE, Shown, differences, each_shown, numbers
from tests.golden.states import PANELS, STATES

HELD = json.loads(Path(__file__).with_name("panels.json").read_text(encoding="utf-8"))
SOME = Shown("a caption", "tiny, a caption", np.array([-0.25, 0.1, 0.1, 3.0]))


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_shows_what_it_showed(name, tmp_path):
    wrong = []
    for state, came in each_shown(PANELS[name], STATES[name], tmp_path):
        for line in differences(Shown.of_json(HELD[name][state]), came):
            wrong.append(f"{name}, state {state!r}\n    {line}")
    assert not wrong, "\n".join(["what panels show has changed:", *wrong])


def test_every_panel_is_held_with_six_states():
    public = {name: getattr(kit.panels, name) for name in kit.panels.__all__}
    declared = {n for n, each in public.items() if isinstance(each, type) and issubclass(each, DeclaredPanel)}
    assert HELD.keys() == PANELS.keys() == STATES.keys() == declared
    for name, states in STATES.items():
        assert list(HELD[name]) == states and len(set(states)) == 6
        assert all(len(Shown.of_json(held).numbers) > 20 for held in HELD[name].values())


@pytest.mark.parametrize(
    "other, said",
    [
        ({"caption": "another"}, "caption: expected 'a caption', came 'another'"),
        ({"finding": "tiny, another"}, "finding: expected 'tiny, a caption', came 'tiny, another'"),
        ({"numbers": [-0.25, 0.1, 0.100005, 3.0]}, "only expected: 0.100000; only came: 0.100005"),
        (
            {"numbers": [-0.25, 0.1, 3.0]},
            "expected 4 numbers, came 3; only expected: 0.100000; only came: none",
        ),
        ({"numbers": [-0.25, 0.1, 0.1, 3.0, 3.0]}, "only expected: none; only came: 3.000000"),
        (
            {"numbers": np.arange(9.0)},
            "only expected: -0.250000, 0.100000, 0.100000; only came: 0.000000, 1.",
        ),
        ({"numbers": 10 + np.arange(9.0)}, "13.000000, 14.000000 and 4 more"),
    ],
)
def test_a_difference_is_named(other, said):
    (line,) = differences(
        SOME, replace(SOME, **{k: v if isinstance(v, str) else np.array(v) for k, v in other.items()})
    )
    assert said in line


def test_rounding_is_no_difference():
    moved = replace(SOME, numbers=SOME.numbers + 0.9 * TOLERANCE * np.array([1, -1, 1, -1]))
    assert differences(SOME, moved) == [] == differences(moved, SOME)


def test_what_is_stored_comes_back():
    back = Shown.of_json(json.loads(json.dumps(SOME.as_json())))
    assert differences(SOME, back) == [] and np.abs(back.numbers - SOME.numbers).max() < 1e-9


def test_numbers_of_a_file_are_its_cells(tmp_path):
    path = tmp_path / "panel.csv"
    path.write_text('# seed 7\nname,1,other\n"a, b",0.5,True\nr3c5,,-2e-3\nnan,inf,12\n')
    assert numbers(path).tolist() == [-0.002, 0.5, 12.0]
