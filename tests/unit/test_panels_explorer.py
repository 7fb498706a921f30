"""Notebook 00's panel without a kernel: hands are played by setting traits."""

import numpy as np
import pytest

from kit.errors import KitError
from kit.maps import pictures as held
from kit.panels import Explorer, declared, encoded, pictures
from tests.unit import panel_doubles as double


@pytest.fixture
def model():
    return double.Model()


@pytest.fixture
def panel(model, monkeypatch):
    monkeypatch.setattr(encoded, "run", double.Run)
    monkeypatch.setattr(encoded, "ablate", double.ablate)
    for module in (pictures, held):
        monkeypatch.setattr(module, "gallery", double.Scenes)
    monkeypatch.setattr(encoded, "load_means", lambda model: double.means())
    monkeypatch.setattr(encoded, "shipped_names", lambda texts: ["other"])
    monkeypatch.setattr(encoded, "load", lambda name: double.Model(name))
    made = Explorer(model, texts=["a cat", "a dog"])
    yield made
    made.close()


def view(panel, name):
    """The widget of a figure."""
    return panel.views[name].widget


def head(panel, name):
    """The line above a figure."""
    return panel.views[name].head.text


def click(panel, *names):
    """Pick parts as the canvas does."""
    grid = view(panel, "grid")
    grid.picked = [grid.labels.index(name) for name in names]


def test_it_opens_on_the_head_that_adds_most(panel):
    heads = [i for i, kind in enumerate(panel.found.kinds) if kind == "head"]
    loudest = panel.found.names[max(heads, key=lambda i: panel.found.cells[i])]
    assert panel.state["selector"] == loudest and loudest in panel.caption


def test_a_head_picked_changes_map_and_caption_and_runs_no_tower(panel, model):
    for name in ("L0.H0", "L1.H1"):
        before, passes = view(panel, "map").z, dict(model.passes)
        click(panel, name)
        assert view(panel, "map").z != before
        assert panel.said.text.startswith(name)
        assert name in head(panel, "map")
        assert dict(model.passes) == passes


def test_the_canvas_draws_the_scores_of_the_finding(panel):
    click(panel, "L1.H2")
    np.testing.assert_array_equal(view(panel, "map").numbers, panel.found.heat)
    drawn = view(panel, "grid").numbers.reshape(-1)
    for cell, part in enumerate(panel.found.grid.parts):
        assert part < 0 or drawn[cell] == panel.found.cells[part]
    assert panel.caption in view(panel, "map").alt


def test_two_parts_are_selected_together(panel):
    click(panel, "L0.H0", "L1.MLP")
    assert panel.state["selector"] == "L0.H0, L1.MLP" and panel.caption.startswith("L0.H0 and L1.MLP")


def test_prompts_typed_change_the_bars_and_encode_only_the_new_one(panel, model):
    texts = model.passes["text"]
    panel.controls["texts"].value = "a cat; a dog; a fish"
    assert view(panel, "bars").texts == ["a cat", "a dog", "a fish"] and len(panel.found.bars) == 3
    assert model.passes["text"] == texts + 1 and model.passes["image"] == 1


def test_a_word_never_seen_is_named_with_the_nearest_known(panel):
    panel.controls["texts"].value = "a zebra; a dog"
    assert '"zebra" is a word that double never saw. Nearest: bear.' in panel.note.text
    panel.controls["texts"].value = "a cat; a dog"
    assert panel.note.text == ""


def test_bars_of_a_word_never_seen_are_marked(panel):
    panel.controls["texts"].value = "a zebra; a dog"
    assert panel.shown.figures["bars"].unknown == ("a zebra",) and view(panel, "bars").unknown == ["a zebra"]
    assert "with a word that the model never saw: a zebra" in view(panel, "bars").alt
    panel.controls["texts"].value = "a cat; a dog"
    assert view(panel, "bars").unknown == [] and "never saw" not in view(panel, "bars").alt


BAD = [
    ("texts", " ; ", "a prompt is empty"),
    ("texts", "a cat; a cat", "is there twice"),
    ("texts", "x" * 130, "has 130 characters"),
    ("state", "nonsense", "is not a state"),
    ("state", "double|scene 0|L9.H0|a cat", "layer 9 does not exist"),
    ("state", "double|scene 0|L1.H7|a cat", "head 7 of layer 1"),
    ("state", "double|scene 0|L1-0|a cat", "reversed"),
    ("state", "double|scene 99|L1|a cat", 'no picture "scene 99"'),
    ("state", "double|upload 00ff|L1|a cat", "Upload the file again"),
    ("state", "dubble|scene 0|L1|a cat", "Nearest: double"),
    ("state", "double|scene 0|L1|a cat|tokens=r9c9", 'no token "r9c9"'),
]


@pytest.mark.parametrize("control, value, message", BAD, ids=[m for *_, m in BAD])
def test_bad_input_becomes_a_sentence_and_the_last_good_state_stays(panel, control, value, message):
    click(panel, "L0.H2")
    state, caption, drawn = panel.state, panel.caption, view(panel, "map").z
    {**panel.controls, "state": panel.line}[control].value = value
    assert message in panel.message
    assert (panel.state, panel.caption, view(panel, "map").z) == (state, caption, drawn)
    assert panel.controls["texts"].value == "a cat; a dog" and panel.line.value == str(panel.selection)
    assert panel.last_error is None
    click(panel, "L0.H0")
    assert panel.message == "" and panel.caption.startswith("L0.H0")


def test_a_bad_value_set_from_code_is_undone_too(panel):
    state = panel.state
    panel.selection.selector = "L30"
    assert "layer 30 does not exist" in panel.message and panel.state == state


@pytest.mark.parametrize(
    "content, message", [(b"", "empty"), (b"just text", "not an image"), (b"\x89PNG\r\n", "")]
)
def test_a_broken_upload_is_a_sentence(panel, content, message):
    state = panel.state
    panel.upload(content, "x.png")
    assert panel.message and message in panel.message and panel.state == state and panel.last_error is None


def test_an_upload_is_looked_at_and_found_again_by_its_state(panel):
    panel.upload(double.picture_bytes(), "mine.png")
    assert panel.state["image"].startswith("upload ") and panel.message == ""
    assert "mine.png, 20 × 10 pixels" in panel.truth.text
    assert "of them on the" not in panel.caption
    state = str(panel.selection)
    panel.controls["image"].value = "scene 1"
    panel.line.value = state
    assert str(panel.selection) == state


def test_another_error_is_kept_and_shown(panel, monkeypatch):
    state = panel.state

    def broken(*_):
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(panel.cases, "find", broken)
    click(panel, "L0.H0")
    assert isinstance(panel.last_error, ZeroDivisionError)
    assert "ZeroDivisionError" in panel.message and "of ours" in panel._trouble.text
    assert panel.state == state


def test_switch_off_moves_the_bars_hatches_the_cell_and_comes_back(panel):
    click(panel, "L0.H0")
    before = panel.found.bars.copy()
    panel.controls["switch"].click()
    assert view(panel, "grid").off == panel.found.grid.cells_of(panel.found.off) != []
    assert not np.allclose(panel.found.bars[:, 0], before[:, 0])
    assert len(view(panel, "bars").marks) == 2 and panel.controls["switch"].description == "switch on"
    panel.controls["switch"].click()
    np.testing.assert_array_equal(panel.found.bars, before)


def test_keep_only_leaves_constants_on(panel):
    click(panel, "L1.H1")
    panel.controls["keep"].click()
    on = [n for i, n in enumerate(panel.found.names) if i not in panel.found.off]
    assert on == ["embed", "L0.attn.bias", "L1.H1", "L1.attn.bias", "final.bias"]


def test_total_effect_runs_once_for_each_change(panel, model):
    click(panel, "L0.H0")
    panel.controls["effect"].value = "total"
    assert model.passes["image"] == 2  # the picture, and the model without L0.H0
    panel.controls["switch"].click()
    assert model.passes["image"] == 2  # the same parts replaced
    click(panel, "L0.H1")
    assert model.passes["image"] == 3
    assert not panel.controls["texts"].disabled and panel._busy.text == ""


def test_a_burst_of_changes_runs_the_last_total_effect_only(panel, model, monkeypatch):
    loop = double.Loop()
    monkeypatch.setattr(declared, "_running_loop", lambda: loop)
    panel.controls["effect"].value = "total"
    click(panel, "L0.H1")
    click(panel, "L0.H2")
    assert panel._busy.text == "computing…" and model.passes["image"] == 1
    loop.run()
    assert panel.caption.startswith("L0.H2") and model.passes["image"] == 2
    assert panel._busy.text == "" and not panel.controls["texts"].disabled


def test_what_waits_is_not_lost_to_the_next_change(panel, monkeypatch):
    loop = double.Loop()
    monkeypatch.setattr(declared, "_running_loop", lambda: loop)
    panel.controls["effect"].value = "total"
    panel.controls["replace"].value = "zero"
    click(panel, "L0.H1")
    loop.run()
    assert [panel.state[name] for name in ("effect", "replace", "selector")] == ["total", "zero", "L0.H1"]


def test_no_hand_changes_anything_while_a_tower_runs(panel, monkeypatch):
    locked, ablate = [], encoded.ablate
    controls = [*panel.controls.values(), panel.line]

    def looked(*given, **more):
        canvases = [view(panel, name) for name in ("map", "grid", "bars")]
        locked.append(all(c.disabled for c in controls) and all(c.busy for c in canvases))
        assert panel._busy.text == "computing…"
        return ablate(*given, **more)

    monkeypatch.setattr(encoded, "ablate", looked)
    panel.controls["effect"].value = "total"
    assert locked == [True] and panel.last_error is None
    assert not any(view(panel, name).busy for name in ("map", "grid", "bars"))
    needless = {panel.controls["all_on"], panel.controls["all_tokens"]}  # nothing is off or picked
    assert {c for c in controls if c.disabled} == needless and panel._busy.text == ""


def test_controls_come_back_when_a_total_effect_fails(panel, monkeypatch):
    monkeypatch.setattr(encoded, "ablate", lambda *_, **__: 1 / 0)
    panel.controls["effect"].value = "total"
    assert isinstance(panel.last_error, ZeroDivisionError)
    assert panel.state["effect"] == "direct" and panel.controls["effect"].value == "direct"
    assert not any(
        c.disabled for c in (panel.controls["texts"], panel.controls["image"], panel.controls["effect"])
    )


def test_tokens_picked_on_the_map(panel):
    view(panel, "map").picked = [0, 5]
    assert panel.state["tokens"] == "r0c0, r1c1" and "2 picked tokens" in panel.caption
    panel.choose(tokens="")
    assert view(panel, "map").picked == []


def test_the_class_token_stays_picked_while_others_are(panel):
    panel.choose(tokens="r0c0, cls")
    view(panel, "map").picked = [0, 1]
    assert panel.state["tokens"] == "cls, r0c0, r0c1"
    view(panel, "map").picked = []
    assert panel.state["tokens"] == "" and "tokens=" not in panel.string


def test_the_truth_is_outlined_until_a_hand_hides_it(panel):
    assert view(panel, "map").outline and not panel.controls["outline"].disabled
    panel.controls["outline"].click()
    assert not view(panel, "map").outline
    panel.upload(double.picture_bytes(), "mine.png")
    assert panel.controls["outline"].disabled and not view(panel, "map").outline


def test_prompts_come_back_from_a_state_whatever_they_hold(panel):
    texts = ("50% a;b", "a|b=c", "%41 ‘é’")
    panel.choose(texts=texts, text=2)
    assert panel.message == "" and panel.selection.texts == texts
    held = panel.string
    assert tuple(panel.parsed(held)["texts"]) == texts
    panel.choose(texts=["a cat"])
    assert panel.state["text"] == 0
    panel.line.value = held
    assert panel.state["texts"] == texts and panel.state["text"] == 2 and panel.string == held


def test_a_prompt_that_is_not_there_is_a_sentence(panel):
    for text, message in ((2, "no prompt 2: there are 2, counted from 0"), ("x", "the number of a prompt")):
        panel.choose(text=text)
        assert message in panel.message and panel.state["text"] == 0 == view(panel, "bars").text


def test_another_model_is_loaded_and_nothing_stale_is_shown(panel, model):
    grid = view(panel, "grid").z
    panel.controls["model"].value = "other"
    assert panel.state["model"] == "other" and "other" in panel.finding()
    panel.controls["model"].value = "double"
    assert view(panel, "grid").z == grid and model.passes["image"] == 1


def test_a_random_model_is_marked(monkeypatch, panel):
    panel.cases.models["double"].trained = False
    panel.controls["image"].value = "scene 1"
    assert "random weights" in panel.truth.text


def test_pins_and_code(panel):
    panel.controls["pinned"].click()
    click(panel, "L0.H1")
    panel.controls["pinned"].click()
    assert panel.pins.value.count("loupe-pin") == 3 and "L0.H1" in panel.pins.value
    panel._saver._handle_custom_msg({"save": "copy"}, [])
    code = panel._lines.text
    assert "kit.scores" in code and "['a cat', 'a dog']" in code
    compile(code, "code", "exec")


def test_a_prompt_is_no_markup(panel):
    panel.controls["texts"].value = "<img src=x onerror=alert(1)>; a dog"
    panel.controls["pinned"].click()
    assert "<img src=x" not in panel.pins.value


def test_one_selection_can_be_changed_at_once(panel):
    panel.selection.change(selector="L0.H2", texts=("a fish", "a cat"), text=1)
    assert panel.caption.startswith("L0.H2") and "‘a cat’" in panel.caption


def test_wrong_beginnings_are_refused(model, monkeypatch):
    for module in (pictures, held):
        monkeypatch.setattr(module, "gallery", double.Scenes)
    with pytest.raises(KitError, match="a prompt is empty"):
        Explorer(model, texts=[""])
    with pytest.raises(KitError, match="the list is empty"):
        Explorer(model, images=[])
    with pytest.raises(KitError, match="is not a state"):
        Explorer(model, state="x")


def test_two_models_of_one_name_are_refused_until_one_is_renamed(panel):
    one, two = double.Model("mine"), double.Model("mine")
    with pytest.raises(KitError, match=r'2 models are called "mine".*model\.name = "mine"'):
        Explorer([one, double.Model("another"), two], texts=["a cat", "a dog"])
    two.name = two.label = "mine, edited"
    made = Explorer([one, two], texts=["a cat", "a dog"])
    assert made.cases.model_names[:2] == ["mine", "mine, edited"]
    made.choose(model="mine, edited")
    assert made.message == "" and made.label == "mine, edited" and made.cases.model(made.label) is two
    made.close()


def test_a_cell_that_runs_again_closes_its_panel_of_before(monkeypatch):
    from kit.panels import panel as module

    class Shell:
        run = "1"

        def get_parent(self):
            return {"metadata": {"cellId": "c7"}, "header": {"msg_id": self.run}}

    shell = Shell()
    monkeypatch.setattr(module, "get_ipython", lambda: shell)
    first = module.Panel()
    beside = module.Panel()
    assert first.box.comm is not None
    shell.run = "2"
    module.Panel()
    assert beside.box.comm is None


def test_parsed_and_drawn_state_agree(panel):
    assert panel.checked(panel.parsed(panel.line.value)) == panel.state


def test_ticks_stand_where_bars_are_with_every_part_on_and_go_with_it(panel):
    click(panel, "L0.H0")
    whole = panel.found.bars[:, 0].copy()
    panel.controls["switch"].click()
    np.testing.assert_allclose(view(panel, "bars").marks, whole, atol=1e-6)
    panel.controls["switch"].click()
    assert len(view(panel, "bars").marks) == 0


def test_where_one_of_the_selected_is_off_the_others_follow(panel):
    click(panel, "L0.H0")
    panel.controls["switch"].click()
    click(panel, "L0.H0", "L0.H1")
    assert panel.controls["switch"].description == "switch off"
    panel.controls["switch"].click()
    assert panel.state["off"] == "L0.H0, L0.H1" and panel.controls["switch"].description == "switch on"
    panel.controls["switch"].click()
    assert panel.state["off"] == ""


def test_other_prompts_leave_the_choice_where_it_was(panel):
    panel.choose(texts=["a cat", "a dog", "a fish"], text=1)
    panel.controls["texts"].value = "a fish; a bear; a cat"
    assert panel.state["text"] == 1 and "‘a bear’" in panel.caption


def test_the_map_lies_over_what_the_model_sees(panel, model):
    panel.upload(double.picture_bytes((20, 10)), "mine.png")
    assert panel.shown.figures["map"].pictures[0].size == model.image_size


@pytest.mark.parametrize("replace, words", [("mean", "its mean is put in"), ("zero", "zero is put in")])
def test_bars_say_what_stands_in_for_a_part(panel, replace, words):
    panel.choose(replace=replace, selector="L0.H1")
    assert head(panel, "bars").endswith(f"“It” is L0.H1; without it, {words}")


def test_another_replacement_runs_the_later_layers_again(panel, model):
    panel.choose(effect="total", replace="mean")
    passes = model.passes["image"]
    panel.choose(replace="zero")
    assert model.passes["image"] == passes + 1
    panel.choose(replace="mean")
    assert model.passes["image"] == passes + 1


def test_random_weights_are_told_of_the_model_that_is_looked_at(panel):
    panel.cases.model("other").trained = False
    panel.controls["model"].value = "other"
    assert "random weights" in panel.truth.text
    panel.controls["model"].value = "double"
    assert "random weights" not in panel.truth.text


def test_a_saved_picture_names_the_model_that_is_looked_at(panel, monkeypatch):
    titles, drawn = [], declared.together
    monkeypatch.setattr(
        declared, "together", lambda rows, title, *more: titles.append(title) or drawn(rows, title, *more)
    )
    panel.controls["model"].value = "other"
    panel.png()
    assert titles == ["other · scene 0"]


def test_the_latest_four_pins_stay_the_last_one_first(panel):
    heads = ["L0.H0", "L0.H1", "L0.H2", "L1.H0", "L1.H1"]
    for name in heads:
        click(panel, name)
        panel.controls["pinned"].click()
    kept = [piece.split(" ", 1)[0] for piece in panel.pins.value.split('alt="')[1:]]
    assert kept == heads[:0:-1]


def test_a_saved_table_says_which_bar_is_which(panel):
    click(panel, "L0.H1", "L1.MLP")
    table = panel.table()
    bars = table[table["view"] == "bar"].pivot(index="prompt", columns="measure", values="value")
    shown = panel.shown.figures["bars"]
    np.testing.assert_array_equal(bars.loc[list(shown.labels), list(shown.kinds)], shown.values)
