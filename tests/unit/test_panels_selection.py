"""The state of a panel: what it takes, what it refuses, and that its string gives it back."""

import pytest

from kit.errors import KitError
from kit.panels.selection import FIELDS, Selection

STATES = [
    {},
    {"model": "stickers-l8", "image": "scene 17", "selector": "L5.H3", "texts": ("a cat",)},
    {"texts": ("50% | ; = ünï ‘x’ 猫", "b|c;d=e"), "text": 1},
    {"model": "ViT-B-32 (random weights, untrained)", "image": "upload 0f3a9c1122"},
    {"selector": "all, !L5.H3", "tokens": "r3c5, cls", "off": "L3.H2, L4-5.MLP"},
    {"effect": "total", "replace": "mean", "directions": "reference"},
]
REFUSED = [
    ({"texts": ()}, "a prompt is empty"),
    ({"texts": ("a cat", "  ")}, "a prompt is empty"),
    ({"texts": "a cat"}, 'should be a list of prompts, but is the string "a cat"'),
    ({"texts": ("a cat", "a  cat")}, 'the prompt "a cat" is there twice'),
    ({"texts": ("x" * 121,)}, "has 121 characters; give at most 120"),
    ({"texts": tuple(map(str, range(13)))}, "13 prompts are more than a panel shows"),
    ({"text": 7}, "no prompt 7: there are 2, counted from 0"),
    ({"text": -1}, "no prompt -1"),
    ({"text": "one"}, "text should be a number, but is 'one'"),
    ({"tokens": "r3"}, 'no token "r3"; tokens are written "r3c5"'),
    ({"effect": "both"}, 'effect "both" is none of direct, total'),
    ({"replace": "median"}, 'replace "median" is none of mean, zero'),
    ({"directions": "up"}, 'directions "up" is none of contrast, raw, reference'),
    ({"selector": 3}, "selector should be a string, but is 3"),
    ({"modle": "x"}, 'a selection has no field "modle"; it has model, image'),
]
NO_STATES = [
    ("", "is not a state: 1 of at least 4 fields"),
    ("a|b|c", "3 of at least 4 fields"),
    ("a|b|c|d|colour=red", '"colour=red" is no field of a state'),
    ("a|b|c|d|efect=total", "Nearest: effect"),
    ("a|b|c|d|text=x", '"text=x" should be the number of a prompt'),
    ("a|b|c|d|effect=x", 'effect "x" is none of'),
    ("a|b|c|", "a prompt is empty"),
]


@pytest.mark.parametrize("values", STATES)
def test_a_state_comes_back_from_its_string(values):
    state = Selection(**values)
    again = Selection.parse(str(state))
    assert again.as_dict() == state.as_dict()
    assert str(again) == str(state)


def test_the_string_is_short_and_readable():
    state = Selection(model="stickers-l8", image="scene 17", selector="L5.H3", texts=("a cat",))
    assert str(state) == "stickers-l8|scene 17|L5.H3|a cat"
    assert repr(state) == "Selection.parse('stickers-l8|scene 17|L5.H3|a cat')"


@pytest.mark.parametrize("values, message", REFUSED, ids=[m for _, m in REFUSED])
def test_a_refused_value_leaves_all_as_it_was(values, message):
    state = Selection(model="m", tokens="r1c1")
    before = state.as_dict()
    with pytest.raises(KitError) as error:
        state.change(**{"model": "other", **values})
    assert message in str(error.value)
    assert state.as_dict() == before


@pytest.mark.parametrize("name, value", [("texts", ()), ("tokens", "r3"), ("text", 9)])
def test_a_trait_set_alone_is_checked_too(name, value):
    state = Selection()
    before = state.as_dict()
    with pytest.raises(KitError):
        setattr(state, name, value)
    assert state.as_dict() == before


@pytest.mark.parametrize("text, message", NO_STATES, ids=[t for t, _ in NO_STATES])
def test_a_string_that_is_no_state_says_why(text, message):
    with pytest.raises(KitError) as error:
        Selection.parse(text)
    assert message in str(error.value)


def test_fewer_prompts_keep_the_chosen_one_in_range():
    state = Selection(texts=("a", "b", "c"), text=2)
    state.texts = ("a",)
    assert state.text == 0


def test_observers_see_one_change_with_all_fields_set():
    state, seen = Selection(), []
    state.observe(lambda change: seen.append(state.as_dict()), names=list(FIELDS))
    state.change(selector="L1", texts=("x", "y", "z"), text=2)
    assert all(s["selector"] == "L1" and s["texts"] == ("x", "y", "z") and s["text"] == 2 for s in seen)
