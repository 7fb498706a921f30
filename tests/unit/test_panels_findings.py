"""What panels show: sums that hold, edits by hand, captions that count, drawings that are signed."""

import numpy as np
import pandas as pd
import pytest
import torch

from kit.errors import KitError
from kit.maps.findings import find
from kit.maps.pictures import scene_pictures, truth_line
from kit.maps.selection import Selection, token_numbers
from kit.maps.words import holding_tokens
from kit.numbers import nice, signed
from kit.parts.layout import grid_layout
from kit.parts.part_scores import part_scores
from kit.projections import prompt_directions
from tests.unit.panel_doubles import GRID, Model, Run, Scenes, index, means

TEXTS = ("a cat", "a dog", "a fish")


def found(total=None, **values):
    """The finding of a state on the double, with the run and scores it came from."""
    state = Selection(**{"texts": TEXTS, "selector": "L1.H2", "image": "scene 0", **values})
    model, picture = Model(), scene_pictures(Scenes())[0]
    run = Run(model, model.preprocess([picture.image]))
    dirs = prompt_directions(model.encode_text(list(state.texts)), state.directions)
    less_mean = state.directions == "reference"
    scores = part_scores(run, dirs, state.text, less_mean, means())
    return find(run, scores, state, picture, total), run, scores, dirs


@pytest.mark.parametrize("directions", ["contrast", "raw", "reference"])
def test_cells_add_up_to_the_bar(directions):
    seen, run, _, dirs = found(directions=directions)
    cosine = (run.representation @ dirs.T / run.norm)[0].numpy()
    shift = (means().parts @ dirs.T).sum(0).numpy() if directions == "reference" else 0
    np.testing.assert_allclose(seen.bars[:, 0], cosine - shift, atol=1e-5)
    np.testing.assert_allclose(seen.cells.sum(), seen.bars[0, 0], atol=1e-5)


def test_map_and_prefix_add_up_to_the_score():
    seen, _, scores, _ = found(selector="L0.H1, L1.H2")
    rows = [i for i, name in enumerate(seen.names) if name in ("L0.H1", "L1.H2")]
    np.testing.assert_allclose(seen.heat.sum() + seen.prefix.sum(), scores.parts[rows, 0].sum(), atol=1e-5)


@pytest.mark.parametrize("replace", ["zero", "mean"])
def test_bars_off_and_only_are_the_sums_by_hand(replace):
    seen, _, scores, dirs = found(selector="L1.H2", replace=replace)
    row = seen.names.index("L1.H2")
    instead = (means().parts @ dirs.T).numpy() if replace == "mean" else 0 * scores.parts
    off, only = scores.parts.copy(), instead.copy()
    off[row], only[row] = instead[row], scores.parts[row]
    np.testing.assert_allclose(seen.bars[:, 1], off.sum(0), atol=1e-5)
    np.testing.assert_allclose(seen.bars[:, 2], only.sum(0), atol=1e-5)


def test_a_switched_off_part_moves_whole_and_leaves_a_mark():
    on, *_ = found()
    off, _, scores, _ = found(off="L0.H0", replace="zero")
    row = off.names.index("L0.H0")
    np.testing.assert_allclose(on.bars[:, 0] - off.bars[:, 0], scores.parts[row], atol=1e-5)
    np.testing.assert_allclose(off.marks, on.bars[:, 0], atol=1e-6)
    assert on.marks is None and off.cells[row] == 0 and off.off == [row]
    np.testing.assert_allclose(off.cells.sum(), off.bars[0, 0], atol=1e-5)


def test_picked_tokens_split_the_heads_only():
    seen, run, _, dirs = found(tokens="r0c1, cls")
    by_hand = (run.by_token[0, :, [2, 0]].sum(1) @ dirs[0] / run.norm).numpy()
    heads = [i for i, kind in enumerate(seen.kinds) if kind == "head"]
    np.testing.assert_allclose(seen.cells[heads], by_hand, atol=1e-5)
    assert np.isnan(seen.cells[[i for i in range(len(seen.cells)) if i not in heads]]).all()
    assert "2 picked tokens" in seen.caption and "2 picked tokens only" in seen.sums


def test_total_bars_come_from_the_model_run_again():
    asked = []

    def total(rows):
        asked.append(rows)
        return np.array([1.0, 2.0, 3.0]) * (1 + len(rows))

    seen, *_ = found(total, effect="total", off="L0.H0", selector="L1.H2")
    rows = sorted(seen.names.index(n) for n in ("L0.H0", "L1.H2"))
    assert asked == [[rows[0]], rows]
    np.testing.assert_allclose(seen.bars[:, 0], [2, 4, 6])
    np.testing.assert_allclose(seen.bars[:, 1], [3, 6, 9])
    assert np.isnan(seen.bars[:, 2]).all() and "run again" in seen.sums


def test_limits_do_not_move_with_the_head():
    assert len({found(selector=s)[0].heat_limit for s in ("L0.H0", "L1.H2", "L1.H0, L1.MLP", "none")}) == 1
    assert len({found(selector=s)[0].cell_limit for s in ("L0.H0", "L1.H2")}) == 1


def test_the_sum_of_several_heads_does_not_run_over_the_scale():
    seen, *_ = found(selector="L*.H*")
    one = found(selector="L0.H0")[0].heat_limit
    assert seen.heat_limit > one and (np.abs(seen.heat) <= seen.heat_limit).mean() > 0.95


def test_two_objects_are_told_apart_in_the_caption():
    scenes = Scenes()
    scenes.masks[:, 1, 16:, 16:] = True
    scenes.labels = scenes.labels.assign(kind="pair", concept_2="dog", relation="left of")
    model, picture = Model(), scene_pictures(scenes)[0]
    run = Run(model, model.preprocess([picture.image]))
    state = Selection(texts=TEXTS[:2], selector="L*.H*", image=picture.name)
    dirs = prompt_directions(model.encode_text(TEXTS[:2]), "contrast")
    seen = find(run, part_scores(run, dirs, means=means()), state, picture)
    background = np.ones((4, 4), bool)
    background[:2, :2] = background[2:, 2:] = False
    cat, dog, rest = (
        signed(heat.sum()) for heat in (seen.heat[:2, :2], seen.heat[2:, 2:], seen.heat[background])
    )
    assert seen.caption.startswith("All 6 heads")
    ends = f"{cat} from tokens on the cat, {dog} from tokens on the dog and {rest} from the background"
    assert f": {ends}" in seen.caption
    assert seen.direction == f"‘{TEXTS[0]}’ minus ‘{TEXTS[1]}’"


def test_caption_counts_what_holds_most_and_what_lies_on_the_object():
    seen, _, scores, _ = found()
    score = float(scores.parts[seen.names.index("L1.H2"), 0])
    held = holding_tokens(seen.heat, score)
    on_cat = held[:2, :2].sum()  # the mask is the upper left quarter
    assert f"mostly from {held.sum()} of 16 tokens, {on_cat or 'none'} of them on the cat" in seen.caption
    assert seen.caption.startswith("L1.H2 adds" if score >= 0 else "L1.H2 lowers")
    assert f"{abs(score):.3f}" in seen.caption


def test_what_is_off_is_told_by_the_score_before_and_after():
    seen, *_ = found(off="L1.H2", replace="zero")
    before, after = signed(seen.marks[0]).lstrip("+"), signed(seen.bars[0, 0]).lstrip("+")
    verb = "falls" if seen.bars[0, 0] < seen.marks[0] else "rises"
    assert before != after and seen.caption == f"L1.H2 is off: ‘a cat’ {verb} from {before} to {after}."
    others, *_ = found(off="L1.H2, L0.H0", replace="zero")
    assert others.caption.startswith("L0.H0 and L1.H2 are off: ‘a cat’ ")
    assert found(off="L0.H0")[0].caption.startswith(("L1.H2 adds", "L1.H2 lowers"))


def test_picked_tokens_name_the_heads_that_write_most_from_there():
    seen, *_ = found(tokens="r0c1", selector="L*.H*")
    heads = {seen.names[i]: seen.cells[i] for i, kind in enumerate(seen.kinds) if kind == "head"}
    one, other = sorted(heads, key=lambda name: -abs(heads[name]))[:2]
    one, other = (f"{name} ({signed(heads[name])})" for name in (one, other))
    said = f"comes from the picked token. Of all heads {one} and {other} write most from there."
    assert seen.caption.endswith(said)


def test_holding_tokens_is_the_smallest_set():
    heat = np.array([[5.0, 3.0], [1.9, -9.0]])
    assert holding_tokens(heat, 1.0).tolist() == [[True, True], [False, False]]
    assert holding_tokens(heat, -1.0).tolist() == [[False, False], [False, True]]
    assert not holding_tokens(np.zeros((2, 2)), 1.0).any()


def test_the_reference_set_is_named_where_it_is_used():
    assert "mean over 2,000 double scenes" in found(off="L0.H0", replace="mean")[0].caption
    assert "mean over 2,000 double scenes" in found(directions="reference")[0].caption


def test_without_means_mean_and_reference_say_why():
    model = Model()
    run = Run(model, torch.ones(1, 3, 32, 32))
    with pytest.raises(KitError, match="collect them"):
        part_scores(run, model.encode_text(TEXTS), less_mean=True, no_mean="no means; collect them")
    raw = Selection(texts=TEXTS, replace="mean", directions="raw")
    scores = part_scores(run, model.encode_text(TEXTS), no_mean="no means; collect them")
    with pytest.raises(KitError, match="collect them"):
        find(run, scores, raw, scene_pictures(Scenes())[0])


def test_contrast_is_the_prompt_minus_the_mean_of_the_others():
    vectors = torch.nn.functional.normalize(
        torch.randn(3, 8, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    by_hand = vectors[1] - (vectors[0] + vectors[2]) / 2
    made = prompt_directions(vectors, "contrast")
    assert torch.allclose(made[1], by_hand / by_hand.norm(), atol=1e-6)
    assert torch.equal(prompt_directions(vectors, "raw"), vectors)
    assert torch.equal(prompt_directions(vectors[:1], "contrast"), vectors[:1])


@pytest.mark.parametrize("text, words", [(0, "‘a cat’ minus ‘a dog’"), (1, "‘a dog’ minus ‘a cat’")])
def test_of_two_prompts_each_is_held_against_the_other(text, words):
    assert found(texts=TEXTS[:2], text=text)[0].direction == words


@pytest.mark.parametrize("tokens, message", [("r4c0", "4 rows and 4 columns"), ("r0c9", 'no token "r0c9"')])
def test_a_token_that_is_not_there_is_refused(tokens, message):
    with pytest.raises(KitError, match=message):
        token_numbers(tokens, prefix=1, shape=GRID)


def test_cls_needs_a_class_token():
    with pytest.raises(KitError, match="patches only"):
        token_numbers("cls", prefix=0, shape=GRID)


def test_every_part_has_one_cell_and_wide_cells_do_not_overlap():
    layout = grid_layout(index())
    shown = layout.parts[layout.parts >= 0]
    assert sorted(shown) == list(range(len(index())))
    assert layout.col_names == ["H0", "H1", "H2", "MLP", "bias"]
    assert layout.row_names == ["L0", "L1", ""]
    for cell, span in enumerate(layout.spans):
        assert (layout.parts[cell + 1 : cell + span] == -1).all()
    assert layout.labels[layout.cells_of([index().name.tolist().index("L1.H2")])[0]] == "L1.H2"


def test_spread_puts_each_value_at_its_part():
    layout, values = grid_layout(index()), np.arange(len(index()), dtype=np.float32)
    spread = layout.spread(values)
    assert all(spread[cell] == part for cell, part in enumerate(layout.parts) if part >= 0)
    assert np.isnan(spread[layout.parts < 0]).all()


def test_tokens_on_an_object_follow_its_mask():
    on = scene_pictures(Scenes())[0].tokens_on((4, 4))
    assert on.shape == (1, 4, 4) and on[0, :2, :2].all() and on.sum() == 4


@pytest.mark.parametrize("facts, line", [
    ({"concept": "cat", "colour": "red", "texture": "plain", "position": "left"}, "red cat, on the left"),
    ({"concept": "dog", "count": "three", "background": "sky"}, "three × dog, in the sky"),
    ({"concept": "cat", "concept_2": "dog", "colour_2": "blue", "relation": "above"}, "cat above blue dog"),
    ({"word": "horse", "concept": None, "background": "snow"}, "the word ‘horse’, on snow"),
])  # fmt: skip
def test_truth_lines(facts, line):
    assert truth_line(pd.Series(facts)) == line


@pytest.mark.parametrize(
    "value, limit", [(0.0731, 0.08), (0.21, 0.3), (1.0, 1.0), (0.0, 1.0), (float("nan"), 1.0)]
)
def test_limits_are_round(value, limit):
    assert nice(value) == pytest.approx(limit)


def test_zero_has_no_sign_of_its_own():
    assert signed(-0.0004) == "+0.000" and signed(-0.25, 2) == "−0.25"
