"""What a change of the panel costs: bytes to the browser, and no call of either tower."""

import pytest

from tests.bench.hands import explorer, hands
from tests.wire import messages

LIMIT = 60_000  # bytes
TIMES = 4  # each change, always to something new
MODELS = {  # the second with layers, heads and places of the full one
    "stickers-l8": {},
    "ViT-B-32": {
        "pretrained": "random",
        "config": {"vision_cfg": {"width": 192, "head_width": 16}, "text_cfg": {"layers": 1}},
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_a_change_is_small_on_the_wire_and_calls_no_tower(load, name):
    model = load(name, **MODELS[name])
    panel = explorer(model)
    before = dict(model.passes)
    for what, change in hands(panel).items():
        for _ in range(TIMES):
            shown = panel.state
            with messages() as sent:
                change()
            assert panel.state != shown and panel.message == "", what
            assert 0 < sum(sent) < LIMIT, what
    assert dict(model.passes) == before
    panel.close()


def test_a_new_prompt_and_a_new_picture_are_seen_by_the_counter(stickers):
    panel = explorer(stickers)
    before = dict(stickers.passes)
    panel.controls["texts"].value = "two snails on snow; a cat"  # no other test asks for it
    assert stickers.passes["text"] == before["text"] + 1 and stickers.passes["image"] == before["image"]
    panel.controls["image"].value = "scene 1"
    assert stickers.passes["image"] == before["image"] + 1
    panel.close()
