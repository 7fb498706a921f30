"""Answers after an edit are those of the slow way, and what should change nothing changes nothing."""

import numpy as np
import pandas as pd
import pytest
import torch

import kit
from kit.edits import (
    ask_classes,
    matched_answers,
    matched_draws,
    total_right,
    waterbirds_heads,
    waterbirds_table,
)
from kit.errors import KitError
from kit.measures import GroupBootstrap
from kit.parts.means import load_means
from tests.unit.test_papers import birds, write

N = 24


@pytest.fixture(scope="module")
def images():
    return kit.data.animals(N, seed=5)


@pytest.fixture(scope="module")
def answers(stickers, images):
    return ask_classes(stickers, images, kit.data.animal_texts(), "24 animals")


def slow_right(model, images, selector: str, effect: str = "direct") -> list[bool]:
    """Image by image through `kit.ablate`, class by class."""
    texts, found = kit.data.animal_texts(), []
    for n in range(len(images)):
        done = kit.ablate(model, model.preprocess(images.images[n : n + 1]), selector, effect=effect)
        best = [float((model.encode_text(t) @ done.embedding[0]).max()) for t in texts.values()]
        y = int(images.labels["y"][n])
        found.append(best[y] > best[1 - y])
    return found


@pytest.mark.parametrize("selector", ["none", "L5.H0, L5.H5", "L*.MLP", "all, !bias"])
def test_answers_after_an_edit_are_those_of_a_slow_loop(stickers, images, answers, selector):
    assert answers.right(selector).tolist() == slow_right(stickers, images, selector)


def test_answers_of_a_total_effect_are_those_of_a_slow_loop(stickers, images, answers):
    for off in ("L1.H2, L5.H0", "L1-3.H*"):
        assert total_right(stickers, images, answers, off).tolist() == slow_right(
            stickers, images, off, "total"
        )
    # what later layers make of it is seen in the answers
    assert slow_right(stickers, images, "L1-3.H*", "total") != answers.right("L1-3.H*").tolist()


def test_ablating_nothing_changes_no_group(answers):
    groups = GroupBootstrap(answers.labels["group"], 0)
    table = groups.table(answers.right("none"), answers.right())
    assert (table[["change", "change_low", "change_high"]] == 0).all().all()
    assert answers.after("none").equal(answers.whole) and answers.after([]).equal(answers.whole)


def test_a_part_replaced_by_its_own_value_is_still_there(answers):
    one = answers.with_own_means(np.arange(N) == 0)  # of one image, so that its own value is the mean
    assert torch.allclose(one.after("L*.H*")[0], one.whole[0], atol=1e-6)
    assert not torch.allclose(one.after("L*.H*")[1], one.whole[1], atol=1e-3)


def test_parts_and_constants_sum_to_the_cosines(stickers, images, answers):
    z = torch.nn.functional.normalize(stickers.encode_image(stickers.preprocess(images.images)), dim=-1)
    assert torch.allclose(answers.whole, z @ answers.directions.T, atol=1e-5)
    vectors = kit.decompose(stickers, stickers.preprocess(images.images))
    constants = [n for n, kind in enumerate(vectors.index["kind"]) if kind == "bias"]
    rest = vectors.values[:, constants].sum(1) / vectors.total.norm(dim=-1, keepdim=True)
    assert torch.allclose(answers.scores.sum(1) + rest @ answers.directions.T, answers.whole, atol=1e-5)


def test_a_store_gives_the_same_answers_without_a_pass(stickers, images, answers, tmp_path):
    store = kit.collect(stickers, images, "store", "24 animals", path=tmp_path / "store")
    before = dict(stickers.passes)
    stored = ask_classes(stickers, store, kit.data.animal_texts(), "24 animals")
    assert dict(stickers.passes) == before
    for field in ("scores", "whole", "mean_scores", "sizes"):
        assert torch.allclose(getattr(stored, field), getattr(answers, field), atol=1e-5), field
    assert stored.labels["group"].tolist() == answers.labels["group"].tolist()


def test_batches_change_nothing(stickers, images, answers):
    small = ask_classes(stickers, images, kit.data.animal_texts(), "24 animals", batch=7)
    assert torch.allclose(small.scores, answers.scores, atol=1e-5)
    assert torch.allclose(small.sizes, answers.sizes, atol=1e-5)


def test_sizes_are_the_spread_of_what_parts_write(stickers, images, answers):
    parts = kit.decompose(stickers, stickers.preprocess(images.images))
    vectors = parts.values / parts.total.norm(dim=-1)[:, None, None]
    spread = (vectors - vectors.mean(0)).square().sum(-1).mean(0).sqrt()
    kept = [n for n, kind in enumerate(parts.index["kind"]) if kind != "bias"]
    assert torch.allclose(spread[kept], answers.sizes, atol=1e-5)


def test_d17_means_are_of_the_reference_set_unless_the_very_images_are_asked_for(stickers, answers):
    reference = load_means(stickers)
    names = list(kit.decompose(stickers, stickers.preprocess(kit.world.draw(1, 0).images)).index["name"])
    rows = [names.index(name) for name in answers.index["name"]]
    assert torch.allclose(answers.mean_scores, reference.parts[rows] @ answers.directions.T, atol=1e-6)
    assert answers.means_id == reference.id
    own = answers.with_own_means()
    assert (
        torch.allclose(own.mean_scores, answers.scores.mean(0), atol=1e-6)
        and "the very images" in own.means_id
    )
    assert not torch.allclose(own.mean_scores, answers.mean_scores, atol=1e-3)
    assert torch.allclose(own.after("L*.H*").mean(0), answers.whole.mean(0), atol=1e-5)  # by construction
    water = answers.labels["place"] == 1
    own = answers.with_own_means(water).mean_scores
    assert torch.allclose(own, answers.scores[water.tolist()].mean(0), atol=1e-6)
    with pytest.raises(KitError, match="0 images were picked of 24"):
        answers.with_own_means(np.zeros(N))


def test_d11_heads_of_the_papers_lists_count_once_and_groups_are_computed():
    sizes = {name: len(waterbirds_heads(name)) for name in ("ViT-B-16", "ViT-L-14", "ViT-H-14")}
    assert sizes == {"ViT-B-16": 7, "ViT-L-14": 15, "ViT-H-14": 9}
    large = waterbirds_heads("ViT-L-14").set_index("part")["roles"]
    assert large["L22.H12"] == "geolocation + image location" and large.index.is_unique
    assert (large.str.contains(" + ", regex=False)).sum() == 1
    with pytest.raises(KitError, match='the paper lists no heads of "ViT-B-32"; it does of ViT-B-16'):
        waterbirds_heads("ViT-B-32")


def test_a_stretch_scales_what_is_taken_away(answers):
    rows = answers.parts_of("L5.H0, L5.H5")
    whole = answers.after(rows) - answers.whole
    assert torch.allclose(answers.after(rows, stretch=[0.5, 0.5]) - answers.whole, whole / 2, atol=1e-6)
    one = answers.after(rows[:1]) - answers.whole
    assert torch.allclose(answers.after(rows, stretch=[1.0, 0.0]) - answers.whole, one, atol=1e-6)


def test_differences_are_those_of_the_mean_texts(answers):
    land, water = (answers.directions[answers.owner == c].mean(0) for c in (0, 1))
    by_hand = answers.store.scores((water - land)[None])[..., 0]
    assert (answers.owner == 0).sum() > 1
    assert torch.allclose(answers.differences(), by_hand, atol=1e-5)


def test_a_tie_between_classes_is_no_answer(answers):
    tied = torch.zeros_like(answers.whole)
    assert not answers.judged(tied).any()


# --- figures of groups


def slow_figures(right, groups, shares) -> list[float]:
    means = {g: np.mean([r for r, h in zip(right, groups) if h == g]) for g in sorted(set(groups))}
    weighted = sum(shares[g] * m for g, m in means.items()) / sum(shares[g] for g in means)
    return [*means.values(), min(means.values()), np.mean(right), weighted]


def test_figures_of_groups_are_those_of_a_slow_loop():
    rng = np.random.default_rng(0)
    groups, right = rng.choice(["a", "b", "c"], 60).tolist(), rng.random(60) < 0.6
    shares = {"a": 3498, "b": 184, "c": 56}
    of = GroupBootstrap(groups, seed=7, shares=shares, draws=50)
    np.testing.assert_allclose(of.values(right), slow_figures(right, groups, shares), atol=1e-6)
    again = np.random.default_rng(7)
    chosen = [again.integers(60, size=60) for _ in range(50)]
    slow = [slow_figures(right[c], np.array(groups)[c], shares) for c in chosen]
    np.testing.assert_allclose(of.drawn(right), slow, atol=1e-5)


def test_a_table_that_is_read_says_what_was_measured():
    groups, rng = ["a"] * 6 + ["b"] * 4, np.random.default_rng(1)
    of = GroupBootstrap(groups, seed=0)
    before, after = rng.random((2, 10)) > 0.5
    before[6:], after[6:] = False, True
    told, found = of.told(after, before), of.table(after, before)
    assert list(told.index) == ["a", "b", "worst group (b)", "average"]
    assert told["images"].tolist() == [6, 4, 4, 10]
    assert told.loc["b"].tolist() == [4, "0.00", "1.00 [1.00, 1.00]", "+1.00 [+1.00, +1.00]"]
    row = found.loc["a"]
    change = f"{row['change']:+.2f} [{row['change_low']:+.2f}, {row['change_high']:+.2f}]"
    assert told.loc["a", "change"] == change.replace("-0.00", "+0.00").replace("-", "−")
    assert list(of.told(after)) == ["images", "accuracy"]
    assert of.worsts([before, after]).tolist() == [
        found.loc["worst group", c] for c in ("before", "accuracy")
    ]


def test_the_papers_heads_are_switched_off_on_waterbirds(tmp_path, load):
    rows = []
    for split in (0, 2):
        for y, place, n in ((y, place, n) for y in (0, 1) for place in (0, 1) for n in range(2)):
            rows.append((f"00{y + 1}.Bird/b{split}{y}{place}{n}.jpg", y, split, place))
            write(tmp_path / rows[-1][0], 110 * y + 40 * place, 10 * split + n)
    birds(tmp_path, rows)
    config = {"vision_cfg": {"image_size": 32, "width": 192, "head_width": 16}, "text_cfg": {"layers": 1}}
    model = kit.load("ViT-B-16", pretrained="random", config=config)
    table = waterbirds_table(model, tmp_path)
    assert list(table)[1:] == ["before", "accuracy", "change"]
    assert table["images"].tolist()[:4] == [2] * 4 and table.index[-1] == "average by training shares"


def test_changes_are_paired():
    rng = np.random.default_rng(1)
    groups, before = np.repeat(["a", "b"], 100), rng.random(200) < 0.5
    after = before.copy()
    after[:10] = True  # few images change, so a paired interval is narrow
    table = GroupBootstrap(groups, seed=0).table(after, before)
    wide = table["high"] - table["low"]
    assert (table["change_high"] - table["change_low"])["a"] < wide["a"] / 2
    assert table.loc["b", ["change", "change_low", "change_high"]].tolist() == [0, 0, 0]


def test_shares_are_those_of_training_and_sum_to_one():
    shares = kit.data.training_shares("web")
    assert sum(shares.values()) == pytest.approx(1)
    labels = kit.world.draw(3000, 3, bias=0.97).labels
    some = labels[labels["category"].isin(["land animal", "water animal"]) & (labels["fit"] != "neutral")]
    own = (some["fit"] == "own").mean()
    planned = shares["land animal on land"] + shares["water animal on water"]
    assert own == pytest.approx(planned, abs=0.02)


def test_animals_are_scenes_of_the_world():
    found, scenes = kit.data.animals(20, seed=11), kit.world.draw(400, 11)
    wanted = scenes.labels["category"].isin(["land animal", "water animal"]) & (
        scenes.labels["fit"] != "neutral"
    )
    same = scenes[wanted.to_numpy()][:20]
    assert torch.equal(found.images, same.images)
    assert found.labels["concept"].tolist() == same.labels["concept"].tolist()
    own = (found.labels["y"] == found.labels["place"]).map({True: "own", False: "conflicting"})
    assert own.tolist() == found.labels["fit"].tolist()


@pytest.mark.parametrize("chosen", [["L5.H0"], ["L5.H0", "L5.H5", "L1.H2"]])
def test_draws_hold_other_heads_each_once(answers, chosen):
    draws, stretch = matched_draws(answers.index, answers.sizes, chosen, 50, seed=3)
    names, kinds = answers.index["name"].to_numpy(), answers.index["kind"].to_numpy()
    assert draws.shape == stretch.shape == (50, len(chosen))
    for draw, factor in zip(draws, stretch):
        assert len(set(draw)) == len(chosen) and not set(names[draw]) & set(chosen)
        assert (kinds[draw] == "head").all()
        sizes = answers.sizes.numpy()
        rows = [list(names).index(part) for part in chosen]
        np.testing.assert_allclose(sizes[draw] * factor, sizes[rows], rtol=1e-5)
    again, _ = matched_draws(answers.index, answers.sizes, chosen, 50, seed=3)
    assert (again == draws).all()


def test_random_heads_are_switched_off_as_they_are_and_as_large(answers):
    rows, random = matched_answers(answers, ["L5.H0", "L5.H5"], 5, seed=3)
    draws, stretch = matched_draws(answers.index, answers.sizes, ["L5.H0", "L5.H5"], 5, seed=3)
    assert (rows == draws).all()
    plain, large = random.values()
    for k, draw in enumerate(draws):
        assert (plain[k] == answers.right(list(draw))).all()
        assert (large[k] == answers.right(list(draw), stretch[k])).all()


def test_a_head_that_writes_nothing_cannot_be_made_as_large(answers):
    rows = answers.parts_of("L5.H1, L5.H2, L5.H3, L5.H4, L5.H5")
    sizes = answers.sizes.clone()
    sizes[[row for row in range(len(sizes)) if row not in (*rows, answers.parts_of("L5.H0")[0])]] = 0
    draws, stretch = matched_draws(answers.index, sizes, ["L5.H0"], 50, seed=3, near=40)
    silent = (sizes[draws] == 0).numpy()
    assert silent.any() and (stretch[silent] == 1).all() and np.isfinite(stretch).all()
    for draw, factor in zip(draws[:5], stretch):
        assert np.isfinite(answers.after(list(draw), stretch=list(factor))).all()


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda a: matched_draws(a.index, a.sizes, ["L5.MLP"], 5, 0), '"L5.MLP" is no head of these parts'),
        (lambda a: matched_draws(a.index, a.sizes, [], 5, 0), "0 heads are chosen and 36 are left"),
        (lambda a: a.right("L7.H0"), "layer 7 does not exist"),
        (lambda a: GroupBootstrap(["a"], 0, {"b": 1.0}), 'the shares do not name the group "a"'),
        (lambda a: GroupBootstrap(["a"], 0).values([1, 0]), "1 images have a group, but answers are"),
        (lambda a: GroupBootstrap([], 0), "groups should be"),
        (lambda a: GroupBootstrap(["a"], 0).change([1], [1], "c"), 'no figure "c"; there are a, worst group'),
        (lambda a: kit.data.animals(0, 1), "n should be a positive number"),
        (lambda a: kit.data.animals(3, -1), "seed should be a whole number"),
        (lambda a: kit.data.animals(3, 1, "new"), "unknown artists 'new'"),
        (lambda a: kit.data.training_shares("dirty"), 'no mix "dirty"; there are clean and web'),
    ],
)
def test_what_cannot_be_is_a_sentence(answers, call, says):
    with pytest.raises(KitError, match=says.replace("(", "\\(").replace("[", "\\[")):
        call(answers)


def test_questions_that_cannot_be_asked(stickers, images):
    texts = kit.data.animal_texts()
    with pytest.raises(KitError, match='the labels have no column "kinds" to number the classes'):
        ask_classes(stickers, images, texts, "x", y="kinds")
    with pytest.raises(KitError, match="a question has two classes or more, not 1"):
        ask_classes(stickers, images, {"land animal": ["a dog"]}, "x")
    wrong = kit.data.Pictures(images.images, pd.DataFrame({"y": [5] * N}))
    with pytest.raises(KitError, match='"y" of image 0 is 5, but classes are numbered 0 to 1'):
        ask_classes(stickers, wrong, texts, "x")
