"""A planted cue is found, random heads and shuffled places do not pass for it; and so in a trained model."""

import numpy as np
import pandas as pd
import pytest
import torch

import kit
from kit.edits import (
    Answers,
    ask_classes,
    by_reading,
    chosen_by_effect,
    cue_effects,
    matched_draws,
    ranked,
    shuffled_effects,
)
from kit.measures import GroupBootstrap
from tests.unit.stored_scores import made_up

LAYERS, HEADS, N = 4, 6, 400
CUE, CLASS, BOTH = 7, 9, 15  # rows of planted heads


def index() -> pd.DataFrame:
    rows = [(f"L{layer}.H{head}", "head", layer, head) for layer in range(LAYERS) for head in range(HEADS)]
    return pd.DataFrame(rows, columns=["name", "kind", "layer", "head"])


@pytest.fixture(scope="module")
def planted() -> Answers:
    """One head of 24 carries the place, one the class, one both and more of the class."""
    rng = np.random.default_rng(0)
    y, place = rng.integers(2, size=N), rng.integers(2, size=N)
    lean = rng.normal(0, 0.02, (N, LAYERS * HEADS))  # what each head adds to "class 1 rather than class 0"
    lean[:, CUE] += 0.30 * (2 * place - 1)
    lean[:, CLASS] += 0.10 * (2 * y - 1)
    lean[:, BOTH] += 0.05 * (2 * place - 1) + 0.15 * (2 * y - 1)
    scores = torch.tensor(np.stack([-lean, lean], 2) / 2, dtype=torch.float32)  # [image, head, text]
    groups = [f"{a} on {b}" for a, b in zip(y, place)]
    labels = pd.DataFrame({"y": y, "place": place, "group": groups})
    return made_up("planted", "planted", ["zero", "one"], index(), labels, scores)


def effects(answers: Answers, place=None) -> pd.DataFrame:
    place = answers.labels["place"] if place is None else place
    return cue_effects(answers.differences(), answers.labels["y"], place, answers.index)


def test_the_head_that_carries_the_cue_is_found_alone(planted):
    table = effects(planted)
    assert ranked(table) == ["L1.H1"]
    assert table["cue"][CUE] == pytest.approx(0.60, abs=0.01)
    assert table["class"][CLASS] == pytest.approx(0.20, abs=0.01) and abs(table["cue"][CLASS]) < 0.01
    both = table.loc[BOTH]
    assert both["significant"] and both["score"] == pytest.approx(0.10 - 0.30, abs=0.02)


def test_switching_it_off_lifts_the_worst_group(planted):
    groups = GroupBootstrap(planted.labels["group"], 0)
    change = groups.change(planted.right("L1.H1"), planted.right())
    assert change.low > 0.5
    steps = planted.steps(["L1.H1", "L0.H0", "L0.H1"])
    assert groups.fewest(steps) == 1
    assert chosen_by_effect(planted, groups) == ["L1.H1"]


def test_parts_go_one_after_the_other(planted):
    order = ["L1.H1", "L1.H0", "L0.H*"]
    wanted = [planted.right(", ".join(order[:count]) or "none") for count in range(4)]
    for found, right in zip(planted.steps(order), wanted, strict=True):
        assert (found == right).all()
    assert planted.lost({"so": order})["so"].tolist() == [right.mean() for right in wanted]
    assert (wanted[2] != planted.right(order[1])).any()  # alone it is something else


def test_shuffled_places_find_nothing(planted):
    rng, shuffles, y = np.random.default_rng(1), shuffled_effects(planted, 50, seed=1), planted.labels["y"]
    assert sum(bool(ranked(table)) for table in shuffles) <= 8  # 5 % of tables, with room for chance
    for table in shuffles[:3]:  # places are shuffled among images of a class
        place = planted.labels.groupby("y")["place"].transform(rng.permutation)
        pd.testing.assert_frame_equal(table, effects(planted, place))
        assert (place.groupby(y).sum() == planted.labels.groupby("y")["place"].sum()).all()


def test_random_heads_like_it_do_not_help(planted):
    groups = GroupBootstrap(planted.labels["group"], 0)
    draws, stretch = matched_draws(planted.index, planted.sizes, ["L1.H1"], 50, seed=0)
    for factors in (None, stretch):
        others = [
            planted.right(list(draw), None if factors is None else factors[k]) for k, draw in enumerate(draws)
        ]
        assert groups.worst_over(planted.right("L1.H1"), others).low > 0.3
        assert groups.worst_over(others[0], others).high < 0.3


def test_draws_match_layers_and_sizes():
    sizes = np.full(LAYERS * HEADS, 0.01)
    sizes[6:12] = [1.0, 1.1, 0.9, 1.2, 0.8, 1.3]  # layer 1 is loud and alike
    sizes[20] = 5.0
    draws, _ = matched_draws(index(), sizes, ["L1.H0"], 200, seed=0, near=5)
    assert set(draws.ravel()) == {7, 8, 9, 10, 11}
    draws, _ = matched_draws(index(), sizes, ["L3.H2"], 200, seed=0, near=6)  # alone in its size
    assert set(draws.ravel()) == {6, 7, 8, 9, 10, 11}


def test_what_is_smaller_is_as_unlike_as_what_is_larger():
    sizes = np.full(LAYERS * HEADS, 1.0)
    sizes[6:12] = [1.0, 0.52, 0.6, 1.1, 0.9, 1.9]
    draws, _ = matched_draws(index(), sizes, ["L1.H0"], 50, seed=0, near=2)
    assert set(draws.ravel()) == {9, 10}  # 1.1 and 0.9, not the smallest and not the largest


def test_a_head_that_carries_more_of_the_class_is_not_a_carrier_of_the_cue(planted):
    table = effects(planted).set_index("part")
    both = index()["name"][BOTH]
    assert table.loc[both, "significant"] and table.loc[both, "cue"] > 0 > table.loc[both, "score"]
    assert both not in ranked(effects(planted))


def test_the_fewest_heads_are_not_the_noisiest():
    groups, rng = np.repeat(["a", "b"], 100), np.random.default_rng(0)
    base = rng.random(200) < 0.7
    better, hardly = base.copy(), base.copy()
    better[:60] = better[100:160] = True
    hardly[:] = better
    hardly[[np.flatnonzero(~better[some])[0] + some.start for some in (slice(0, 100), slice(100, 200))]] = (
        True
    )
    assert GroupBootstrap(groups, 0).fewest([base, better, hardly]) == 1


def test_reading_counts_tags():
    parts, tags = ["L0.H0", "L0.H1", "L0.H2"], [["b", "b", "c"], ["c", "b", "c"], ["b", "b", "b"]]
    rows = [(p, r + 1, tag, 0.2) for p, some in zip(parts, tags) for r, tag in enumerate(some)]
    table = pd.DataFrame(rows, columns=["part", "rank", "property", "share"])
    assert by_reading(table, "b", first=3)["part"].tolist() == ["L0.H2", "L0.H0"]
    assert by_reading(table, "b", first=1)["part"].tolist() == ["L0.H0", "L0.H2"]


# --- a trained model


@pytest.fixture(scope="module")
def web(load):
    model = load("stickers-l8-web")
    texts = kit.data.animal_texts()
    tuning = ask_classes(model, kit.data.animals(250, seed=83_001), texts, "tuning")
    return model, tuning, ask_classes(model, kit.data.animals(350, seed=83_002), texts, "test")


def test_the_web_member_is_repaired_by_heads_that_carry_the_background(web):
    model, tuning, test = web
    chosen = ranked(effects(tuning))[:3]
    roles = kit.roles(model)
    share = roles[(roles["kind"] == "head") & (roles["attribute"] == "background")].set_index("part")["share"]
    assert share[chosen].min() > share.median() and share[chosen].mean() > 2 * share.mean()
    groups = GroupBootstrap(test.labels["group"], 0)
    draws, _ = matched_draws(test.index, test.sizes, chosen, 60, seed=0)
    over = groups.worst_over(test.right(", ".join(chosen)), [test.right(list(draw)) for draw in draws])
    assert over.low > 0


def test_an_untrained_model_has_no_cue_to_remove(load):
    model = load("stickers-l8", "random")
    means = kit.collect(model, kit.world.draw(64, 83_003), "means", "64 scenes")
    texts = kit.data.animal_texts()
    tuning = ask_classes(model, kit.data.animals(150, seed=83_001), texts, "tuning", means)
    test = ask_classes(model, kit.data.animals(200, seed=83_002), texts, "test", means)
    off = ", ".join(ranked(effects(tuning))[:3]) or "none"
    assert GroupBootstrap(test.labels["group"], 0).change(test.right(off), test.right()).low <= 0
