"""The state of notebook 00's panel: what it takes, what it refuses, and that its string gives it back."""

import pytest

import kit
from kit.errors import KitError
from kit.panels import Explorer

STATES = [
    {},
    {"image": "scene 17", "selector": "L5.H3", "texts": ("a cat",)},
    {"texts": ("50% | ; = ünï ‘x’ 猫", "b|c;d=e"), "text": 1},
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
    ({"text": -1}, '"-1" should be the number of a prompt, from 0.'),
    ({"text": "one"}, '"one" should be the number of a prompt, from 0.'),
    ({"tokens": "r3"}, 'no token "r3"; tokens are written "r3c5"'),
    ({"effect": "both"}, 'no effect "both" here; there are direct, total.'),
    ({"replace": "median"}, 'no off means "median" here; there are mean, zero.'),
    ({"directions": "up"}, 'no directions "up" here; there are contrast, raw, reference.'),
    ({"selector": 3}, "parts should be written as in kit.parts.select, but are 3."),
    ({"modle": "x"}, 'no field "modle"; there are model, image'),
]
NO_STATES = [
    ("", "is not a state: 1 fields"),
    ("{}|b|c", "is not a state: 3 fields"),
    ("{}|scene 0|c|d|colour=red", '"colour=red" is no field of this state'),
    ("{}|scene 0|c|d|efect=total", "Nearest: effect"),
    ("{}|scene 0|all|d|text=x", '"x" should be the number of a prompt'),
    ("{}|scene 0|all|d|effect=x", 'no effect "x" here'),
    ("{}|scene 0|all|", "a prompt is empty"),
]
BEFORE = {"texts": ("a cat", "a dog"), "text": 0, "tokens": "r1c1", "selector": "L1.H0", "off": ""}


@pytest.fixture(scope="module")
def made():
    panel = Explorer("stickers-s16", kit.world.gallery()[:18])
    yield panel
    assert panel.last_error is None
    panel.close()


@pytest.fixture
def panel(made):
    made.choose(**BEFORE)
    assert made.message == ""
    return made


@pytest.mark.parametrize("values", STATES, ids=str)
def test_a_state_comes_back_from_its_string(panel, values):
    state = {**panel.state, **values}
    text = panel.written(state)
    again = {**panel.parsed(text)}
    assert panel.checked(again) == panel.checked({k: v for k, v in state.items() if k in panel.fields})
    assert panel.written({**panel.checked(again)}) == text


def test_the_string_is_short_and_readable(panel):
    panel.choose(
        image="scene 17", selector="L1.H3", texts=("a cat",), tokens="", replace=panel._plain["replace"]
    )
    assert panel.string == "stickers-s16|scene 17|L1.H3|a cat"


@pytest.mark.parametrize("values, message", REFUSED, ids=[m for _, m in REFUSED])
def test_a_refused_value_leaves_all_as_it_was(panel, values, message):
    before = panel.state
    panel.choose(image="scene 1", **values)
    assert message in panel.message and panel.state == before


@pytest.mark.parametrize("name, value", [("texts", ()), ("tokens", "r3"), ("text", 9)])
def test_a_trait_set_alone_is_checked_too(panel, name, value):
    before = panel.state
    setattr(panel.selection, name, value)
    assert panel.message and panel.state == before


@pytest.mark.parametrize("text, message", NO_STATES, ids=[t for t, _ in NO_STATES])
def test_a_string_that_is_no_state_says_why(panel, text, message):
    before = panel.state
    panel.line.value = text.format("stickers-s16")
    assert message in panel.message and panel.state == before and panel.line.value == panel.string
    with pytest.raises(KitError) as error:
        Explorer("stickers-s16", kit.world.gallery()[:2], state=text.format("stickers-s16"))
    assert message in str(error.value)


def test_fewer_prompts_keep_the_chosen_one_in_range(panel):
    panel.choose(texts=("a", "b", "c"), text=2)
    panel.choose(texts=("a",))
    assert panel.selection.text == 0 and panel.message == ""


def test_observers_see_one_change_with_all_fields_set(panel):
    seen, look = [], lambda change: seen.append(panel.state)
    panel.selection.observe(look)
    panel.choose(selector="L1", texts=("x", "y", "z"), text=2)
    panel.selection.unobserve(look)
    assert seen and all(
        s["selector"] == "L1" and s["texts"] == ("x", "y", "z") and s["text"] == 2 for s in seen
    )
