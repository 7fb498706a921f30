"""Notebook 20's panel without a kernel, on small towers that are really taken apart."""

import json
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import kit
from kit.errors import KitError
from kit.maps.pictures import scene_pictures
from kit.panels import AnyModel, any_model, declared, examine, untrained
from kit.projections.prompts import APART, CHANCE, DIRECTIONS, OWN
from tests.unit.panel_doubles import picture_bytes

SMALL = {"img_size": 64, "depth": 2}
NAMES = {
    "timm/vit_tiny_patch16_224": SMALL,
    "timm/vit_small_patch14_reg4_dinov2": {"img_size": 56, "depth": 2},
    "timm/swin_tiny_patch4_window7_224": {
        "img_size": 56,
        "embed_dim": 32,
        "depths": (1, 2),
        "num_heads": (2, 4),
    },
    "timm/resnet10t": {},
    "timm/convnext_atto": {"depths": (1, 1, 1, 1)},
}
VIT, REGISTERS, SWIN, RESNET, CONV = NAMES
REAL = untrained
EXAMINE, UNTRAINED = import_module("kit.parts.examine"), import_module("kit.models.untrained")
BUILT = {}  # each is recorded once


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(3, seed=0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Names stand for small towers; an unknown one is left to the real door."""

    def build(name, config=None, say=lambda text: None):
        say(f"building {name}…")
        if name not in BUILT:
            BUILT[name] = REAL(name, NAMES.get(name))
        return BUILT[name]

    table = pd.DataFrame({"name": ["stickers-l8", *NAMES]})
    monkeypatch.setattr(any_model, "available", lambda: table)
    monkeypatch.setattr(any_model, "untrained", build)
    monkeypatch.setattr(EXAMINE, "untrained", build)


@pytest.fixture
def panel(scenes):
    made = AnyModel(SWIN, scenes)
    yield made
    assert made.last_error is None
    made.close()


def canvas(panel, name):
    return panel.views[name].widget


def parts(panel) -> dict:
    """What each part adds, by name."""
    grid = panel.shown.figures["grid"]
    return dict(zip(grid.index["name"], grid.values))


def click(panel, *names):
    """Pick parts as the canvas does."""
    grid = canvas(panel, "grid")
    grid.picked = [grid.labels.index(name) for name in names]


def take_apart(panel, name):
    """Type a name, and press the button beside it."""
    panel.controls["model"].value = name
    panel.controls["open"].click()


def towers(panel) -> dict:
    """Each tower that is held, and the pictures that it has passed."""
    return {name: list(runs) for name, (_, runs) in panel.towers.items()}


def passes(panel) -> int:
    return panel.model.passes["image"]


def shown(panel):
    return panel.state, panel.caption, panel.note.text, canvas(panel, "map").z, canvas(panel, "grid").z


def test_it_opens_on_the_loudest_head_with_a_verdict(panel):
    heads = {name: value for name, value in parts(panel).items() if ".H" in name}
    assert panel.state["selector"] == max(heads, key=heads.get)
    verdict = panel.note.text
    assert verdict.startswith(f"{SWIN} (random weights, untrained) at 56 × 56 pixels: exact. ")
    assert f"{len(parts(panel))} parts sum to the library's own output within" in verdict
    assert verdict.endswith("of its length; 3 of 3 attention layers are parts, 10 heads in all.")


def test_the_parts_of_its_own_direction_add_up_to_one(panel):
    assert sum(parts(panel).values()) == pytest.approx(1, abs=1e-5)
    assert "add up to 1.000" in panel.views["grid"].head.text


def test_a_head_picked_changes_map_and_caption_and_runs_no_tower(panel):
    made = passes(panel)
    for name in ("L0.H1", "L2.H3"):
        before = canvas(panel, "map").z
        click(panel, name)
        assert canvas(panel, "map").z != before
        assert panel.said.text.startswith(name) and name in panel.views["map"].head.text
        assert panel.state["selector"] == name
    assert passes(panel) == made


def test_map_and_grid_are_those_of_the_kit(panel, scenes):
    click(panel, "L1.H2")
    model = panel.model
    run = kit.run(model, model.preprocess(scenes.images[:1]))
    z = torch.nn.functional.normalize(run.representation, dim=-1)
    expected = run.maps(z, "L1.H2")[0, 0, run.prefix :, 0].reshape(run.grid)
    np.testing.assert_allclose(canvas(panel, "map").numbers, expected, atol=1e-6)
    np.testing.assert_allclose(list(parts(panel).values()), run.scores(z)[0, :, 0].detach(), atol=1e-6)


def test_another_tower_replaces_the_first(panel):
    panel.controls["model"].value = VIT
    assert panel.state["model"] == SWIN  # a name alone changes nothing
    panel.controls["open"].click()
    assert panel.state["model"] == VIT and panel.note.text.startswith(VIT)
    assert canvas(panel, "map").numbers.shape == (4, 4) and panel.state["selector"] in parts(panel)
    assert towers(panel) == {VIT: ["scene 0"]}


def test_all_that_is_shown_is_of_one_tower(panel, scenes):
    """Picture, map, grid, verdict, caption, state and what is saved, whatever was there before."""
    for name in (VIT, CONV, SWIN):
        take_apart(panel, name)
        again = AnyModel(state=panel.string, images=scenes)
        assert shown(panel) == shown(again) and panel.finding() == again.finding()
        assert canvas(panel, "map").picture == canvas(again, "map").picture
        for each in (panel.line.value, panel.note.text, panel.finding(), panel.provenance().split()[1]):
            assert each.startswith(name)
        assert panel._busy.text == ""
        again.close()


def test_a_name_of_timm_needs_no_prefix(panel):
    take_apart(panel, " vit_tiny_patch16_224 ")
    assert panel.state["model"] == VIT and panel.message == "" and panel.controls["model"].value == VIT


def test_a_wrong_name_is_answered_with_the_nearest_and_what_was_typed_stays(panel):
    before = shown(panel)
    take_apart(panel, "timm/swin_tiny_patch4_window7_225")
    assert 'no model "timm/swin_tiny_patch4_window7_225"' in panel.message
    assert f"Nearest: {SWIN}" in panel.message
    typed = panel.controls["model"]
    assert shown(panel) == before and typed.value == "timm/swin_tiny_patch4_window7_225"
    click(panel, "L0.H0")
    assert panel.message == "" and typed.value == "timm/swin_tiny_patch4_window7_225"


def test_a_refused_tower_is_a_sentence_and_the_last_one_stays(panel):
    before, made = shown(panel), passes(panel)
    take_apart(panel, RESNET)
    assert f'"{RESNET}" is refused' in panel.message and "aten.relu" in panel.message
    assert shown(panel) == before and passes(panel) == made
    click(panel, "L0.H0")
    assert panel.message == "" and panel.said.text.startswith("L0.H0")
    assert list(towers(panel)) == [SWIN] and passes(panel) == made


def test_another_error_is_kept_and_shown(scenes, monkeypatch):
    panel = AnyModel(VIT, scenes)
    before = shown(panel)

    def broken(*_, **__):
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(any_model, "run", broken)
    take_apart(panel, SWIN)
    assert isinstance(panel.last_error, ZeroDivisionError) and "of ours" in panel._trouble.text
    assert shown(panel) == before and not panel.controls["open"].disabled
    panel.close()


def test_it_says_what_it_does_while_it_builds_and_takes_no_other_change(panel, monkeypatch):
    seen, build = [], any_model.untrained

    def now():
        return panel._busy.text, panel.controls["open"].disabled, canvas(panel, "grid").busy

    def watched(name, config=None, say=None):
        built = build(name, config, say)
        seen.append(now())
        return built

    def run(model, pixels, tokens):
        seen.append(now())
        return kit.run(model, pixels, tokens)

    monkeypatch.setattr(any_model, "untrained", watched)
    monkeypatch.setattr(any_model, "run", run)
    take_apart(panel, VIT)
    assert seen[0] == (f"building {VIT}…", True, True)
    assert seen[1] == (f"recording the operations of {VIT}, checking the sum…", True, True)
    assert now() == ("", False, False)


def test_each_direction_splits_its_own_cosine(panel, scenes):
    model = panel.model
    z = model.encode_image(model.preprocess(scenes.images))  # [batch, embed]
    apart = torch.nn.functional.normalize(z[0] - z.mean(0), dim=-1)
    chance = torch.randn(z[:1].shape, generator=torch.Generator().manual_seed(0))[0]
    expected = {OWN: z[0], APART: apart, CHANCE: chance}
    for name in DIRECTIONS:
        panel.controls["texts"].value = name
        direction = torch.nn.functional.normalize(expected[name], dim=-1)
        assert sum(parts(panel).values()) == pytest.approx(float(direction @ z[0] / z[0].norm()), abs=1e-5)
        assert f"‘{name}’" in panel.caption


def test_the_random_direction_is_the_same_each_time(scenes):
    drawn = []
    for _ in range(2):
        panel = AnyModel(state=f"{VIT}|scene 0|L1.H0|{CHANCE}", images=scenes)
        drawn.append(canvas(panel, "map").z)
        panel.close()
    assert drawn[0] == drawn[1]


def test_one_picture_cannot_be_set_apart(scenes):
    panel = AnyModel(VIT, [scenes.images[0]])
    before = shown(panel)
    panel.controls["texts"].value = APART
    assert "give at least two" in panel.message and shown(panel) == before
    assert panel.controls["texts"].value == OWN
    panel.close()


def test_a_state_string_brings_tower_picture_head_and_direction_back(panel, scenes):
    panel.choose(image="scene 2", selector="L1.H3", texts=CHANCE, tokens="r1c2")
    string, before = panel.string, shown(panel)
    assert string == f"{SWIN}|scene 2|L1.H3|{CHANCE}|tokens=r1c2"
    json.dumps(panel.state)
    take_apart(panel, VIT)
    panel.line.value = string
    assert shown(panel)[:2] == before[:2] and shown(panel)[3:] == before[3:]
    again = AnyModel(state=string, images=scenes)
    assert shown(again)[3:] == before[3:]
    again.close()


BAD = [
    ("nonsense", "is not a state"),
    (f"{SWIN}|scene 0|L9.H1|{OWN}", "layer 9 does not exist"),
    (f"{SWIN}|scene 9|L0.H0|{OWN}", 'no picture "scene 9"'),
    (f"{SWIN}|scene 0|L0.H0|its own directions", f"Nearest: {OWN}"),
    (f"{SWIN}|scene 0|L0.H0|{OWN};{CHANCE}", "no direction"),
    (f"{SWIN}|scene 0|L0.H0|{OWN}|tokens=r99c0", 'no token "r99c0"'),
    (f"{RESNET}|scene 0|L0.H0|{OWN}", "is refused"),
]


@pytest.mark.parametrize("string, message", BAD, ids=[m for _, m in BAD])
def test_a_bad_state_is_a_sentence_and_the_last_good_one_stays(panel, string, message):
    before = shown(panel)
    panel.line.value = string
    assert message in panel.message and shown(panel) == before
    assert panel.line.value == panel.string


def test_what_was_set_from_code_is_drawn_or_undone(panel):
    panel.selection.selector = "L0.H1"
    assert panel.caption.startswith("L0.H1") and panel.line.value == panel.string
    panel.selection.selector = "L30"
    assert "layer 30 does not exist" in panel.message and panel.state["selector"] == "L0.H1"


def test_places_picked_on_the_map_split_the_heads(panel):
    canvas(panel, "map").picked = [0, 30]
    assert panel.state["tokens"] == "r0c0, r2c2" and "2 picked tokens" in panel.caption
    assert "from these places only" in panel.views["grid"].head.text
    canvas(panel, "map").picked = []
    assert "tokens" not in panel.string and "picked token" not in panel.caption


def test_a_state_that_fails_on_the_next_tower_lets_go_of_nothing(panel):
    panel.choose(selector="L2.H3")
    made = passes(panel)
    panel.line.value = f"{VIT}|scene 0|L2.H3|{OWN}"
    assert "layer 2 does not exist" in panel.message and panel.state["model"] == SWIN
    click(panel, "L2.H1")
    assert passes(panel) == made and towers(panel) == {SWIN: ["scene 0"]}


def test_a_tower_without_attention_is_shown_by_its_branches(scenes):
    panel = AnyModel(CONV, scenes)
    assert panel.note.text.endswith("There is no attention in it; its parts are whole branches.")
    assert panel.state["selector"] in parts(panel) and np.isnan(canvas(panel, "map").numbers).all()
    branch = next(n for n in parts(panel) if "." in n and n[0].islower())
    panel.selection.selector = branch
    assert panel.caption.startswith(branch)  # the name of a module stays as it is
    panel._repr_mimebundle_()
    panel.close()


def test_places_of_one_tower_are_not_asked_of_the_next(panel):
    canvas(panel, "map").picked = [13]  # r0c13 is not on the grid of the next
    assert panel.state["tokens"] == "r0c13"
    take_apart(panel, VIT)
    assert panel.message == "" and "tokens" not in panel.string and panel.state["model"] == VIT


def test_another_direction_keeps_what_was_typed(panel):
    panel.controls["model"].value = "timm/vit_tiny"
    panel.choose(image="scene 1", texts=CHANCE)
    assert panel.controls["model"].value == "timm/vit_tiny" and panel.state["image"] == "scene 1"


def test_an_upload_is_looked_at_and_a_broken_one_is_a_sentence(panel):
    panel.upload(picture_bytes(), "mine.png")
    assert panel.state["image"].startswith("upload ") and "mine.png, 20 × 10 pixels" in panel.truth.text
    before = shown(panel)
    panel.upload(b"just text", "x.png")
    assert "not an image" in panel.message and shown(panel) == before


def test_masks_are_cut_as_the_tower_cuts_the_picture(scenes):
    cropped = kit.load(VIT, "random", config=SMALL, preprocess={"crop_pct": 0.5})
    whole = scenes.masks[0].any(0)
    seen = scene_pictures(scenes)[0].seen_by(cropped).masks
    assert seen.shape[1:] == cropped.image_size
    middle = whole[16:48, 16:48].repeat_interleave(2, 0).repeat_interleave(2, 1).numpy()
    assert (seen.any(0) == middle).mean() > 0.97 > (seen.any(0) == whole.numpy()).mean()


def test_tokens_without_a_place_are_not_called_class_token(scenes):
    panel = AnyModel(state=f"{REGISTERS}|scene 0|L0.H0|{CHANCE}", images=scenes)
    heads = [n for n in parts(panel) if ".H" in n]
    said = []
    for head in heads:
        click(panel, head)
        said.append(panel.caption)
    assert any("comes from tokens without a place)" in c for c in said)
    assert not any("class token" in c for c in said)
    panel.close()


def test_what_is_saved_says_that_a_tower_is_untrained(panel, monkeypatch):
    titles, drawn = [], declared.together
    monkeypatch.setattr(declared, "together", lambda *a: titles.append(a[1]) or drawn(*a))
    panel.png()
    assert titles == [f"{SWIN} (random weights, untrained) · scene 0"]
    assert panel.finding() == f"{SWIN} (random weights, untrained), scene 0: {panel.caption}"


def test_a_given_model_is_looked_at_as_it_is(scenes):
    model = kit.load(VIT, "random", config=SMALL)
    panel = AnyModel(model, scenes)
    take_apart(panel, SWIN)
    take_apart(panel, VIT)
    assert panel.model is model
    panel.close()


def test_wrong_beginnings_are_refused(scenes):
    with pytest.raises(KitError, match="Nearest: timm/vit_tiny_patch16_224"):
        AnyModel("timm/vit_tiny_patch16_22", scenes)
    with pytest.raises(KitError, match="is refused"):
        AnyModel(RESNET, scenes)
    with pytest.raises(KitError, match="is not a state"):
        AnyModel(state="x", images=scenes)


# --- names and verdicts, without the panel


@pytest.mark.parametrize(
    "name, side",
    [
        ("vit_small_patch14_reg4_dinov2", 112),  # half of 518 is no multiple of the patch
        ("swin_tiny_patch4_window7_224", 112),
        ("swinv2_tiny_window8_256", 128),
        ("maxvit_tiny_tf_224", 128),  # its windows do not tile 112
        ("resnet18", None),  # takes no side
    ],
)
def test_a_tower_gets_a_small_input_that_it_takes(name, side):
    settings, count = UNTRAINED._timm_settings(f"timm/{name}")
    assert settings == (None if side is None else {"img_size": side})
    assert count > 1e6


@pytest.mark.parametrize("name, grid", [("ViT-L-14", (8, 8)), ("ViT-B-32", (7, 7))])
def test_an_open_clip_tower_gets_eight_patches_a_side(name, grid):
    import open_clip

    settings, count = UNTRAINED._open_clip_settings(name)
    vision = open_clip.get_model_config(name)["vision_cfg"] | settings.get("vision_cfg", {})
    assert (vision["image_size"] // vision["patch_size"],) * 2 == grid
    assert settings["text_cfg"] is None and count > 80e6


def test_what_does_not_fit_in_memory_is_said_before_it_is_built(monkeypatch):
    monkeypatch.setattr(UNTRAINED, "free_memory", lambda: 2**20)
    monkeypatch.setattr(UNTRAINED, "load", None)
    with pytest.raises(KitError, match=r"about 0\.1 GiB, and 0\.0 GiB are free"):
        REAL("timm/vit_tiny_patch16_224")


def test_nothing_of_an_untrained_tower_sits_at_a_neutral_value():
    model = REAL("timm/vit_small_patch14_reg4_dinov2", {"img_size": 56, "depth": 1})
    assert not model.trained and "untrained" in model.label
    block = model.tower.model.blocks[0]
    for values in (block.norm1.bias, block.ls1.gamma, block.norm1.weight - 1):
        assert values.abs().mean() > 0.05
    framed = Image.new("RGB", (64, 64), "white")
    framed.paste("black", (8, 8, 56, 56))
    assert model.viewed(framed)[0].getpixel((2, 28)) == (255, 255, 255)  # not cropped


def test_verdicts(monkeypatch):
    exact = examine(REAL(VIT, SMALL))
    assert (exact.verdict, exact.heads, exact.check.reached) == ("exact", 6, 2) and "exact" in str(exact)
    hidden = examine(REAL("timm/levit_128s", {"img_size": 64}))
    assert hidden.verdict == "partial" and hidden.check.reached < hidden.check.layers
    assert "The other layers lie inside" in hidden.says and "behind aten." in hidden.says
    refused = examine(RESNET)
    assert refused.verdict == "refused" and refused.check is None and "is refused" in refused.says

    def failing(model):
        raise KitError("a defect")

    monkeypatch.setattr(EXAMINE, "check", failing)
    assert examine(VIT).verdict == "failed"
