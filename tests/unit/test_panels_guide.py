"""A guided start: each button sets the whole panel, and its sentence is true of what the panel then shows."""

import pytest

import kit
from kit.errors import KitError
from kit.panels import Explorer, Guide, first_stops
from kit.panels.guide import NOT_THERE
from tests.unit import toy_panel


@pytest.fixture
def toy():
    made = toy_panel.Toy(toy_panel.MODEL)
    yield made
    assert made.last_error is None
    made.close()


@pytest.fixture(scope="module")
def explorer():
    made = Explorer("stickers-l8", texts=["a cat", "a boat"])
    made.choose(image="scene 16", selector="L*.H*", replace="zero")
    made.stops = first_stops(made, "stickers-l8-web")
    Guide(made, made.stops)
    yield made
    assert made.last_error is None
    made.close()


def press(guide, number: int) -> None:
    """What the browser sends when a button is pressed."""
    guide._handle_msg({"content": {"data": {"method": "custom", "content": {"stop": number}}}, "buffers": []})


def test_a_stop_is_there_while_the_panel_has_its_state(toy):
    guide = Guide(
        toy, [("Dog", "Look at the dog.", {"text": "a dog"}), ("Hat", "And the hat.", {"text": "a hat"})]
    )
    assert (guide.at, guide.sentence) == (-1, NOT_THERE) and toy.box.children[0] is guide
    press(guide, 1)
    assert (guide.at, guide.sentence, toy.state["text"]) == (1, "And the hat.", "a hat")
    toy.choose(draws=50)
    assert (guide.at, guide.sentence) == (-1, NOT_THERE)
    press(guide, 0)
    assert (guide.at, toy.state["text"], toy.state["draws"]) == (0, "a dog", 100)
    toy.choose(text="a hat")  # by hand
    assert guide.at == 1


def test_a_stop_that_cannot_be_is_refused(toy):
    with pytest.raises(KitError, match='no text "a cta" here'):
        Guide(toy, [("Cat", "", {"text": "a cta"})])
    with pytest.raises(KitError, match='no field "txet"'):
        Guide(toy, [("Cat", "", {"txet": "a cat"})])


def test_a_guide_closes_with_its_panel():
    made = toy_panel.Toy(toy_panel.MODEL)
    guide = Guide(made, [("Dog", "Look at the dog.", {"text": "a dog"})])
    made.close()
    assert guide.comm is None


def test_the_first_stops_show_what_they_say(explorer):
    guide, shown = explorer.guide, []
    for number in range(6):
        press(guide, number)
        assert guide.at == number and not explorer.message
        shown.append((explorer.string, explorer.found, explorer.state))
    two, swapped, ground, place, off, printed = (found for _, found, _ in shown)
    on = explorer.picture("scene 16").tokens_on(two.heat.shape)
    assert two.heat[on[0]].sum() > 0 > two.heat[on[1]].sum()
    assert abs(two.heat + swapped.heat).max() < 1e-6 * two.heat.max()
    assert ground.heat[~on.any(0)].sum() > 20 * abs(ground.heat[on.any(0)].sum())
    assert two.heat.argmax() + 1 == place.tokens[0] and on[0].reshape(-1)[place.tokens[0] - 1]
    assert off.bars[0, 0] < 0.7 * off.marks[0]
    assert printed.bars[0, 0] > 0.3 and printed.bars[0, 2] > 0.1 * printed.bars[0, 0]
    truth = kit.world.gallery().labels.loc[22]
    assert truth["word"] == "banana" and truth["concept"] != "banana"
    assert shown[5][2]["model"] == "stickers-l8-web" and printed.heat.argmax() in letters(printed.heat.shape)
    press(guide, 0)
    assert explorer.string == shown[0][0]


def letters(shape) -> list[int]:
    """Tokens on the printed word of scene 22."""
    boxes = kit.world.word_boxes(kit.world.gallery())[[22]]
    return kit.measures.token_shares(boxes, shape)[0, 0].gt(0.25).nonzero()[:, 0].tolist()
