"""The rows, bars and pages of the cards, on members whose answers are known."""

import json

import numpy as np
import pytest
import torch

import kit.world as world
from kit.errors import KitError
from kit.measures import GroupBootstrap, accuracy
from kit.models.names import SHIPPED
from kit.workshop.cards import evaluate, members, places, words
from kit.workshop.cards.bars import Bar, asked_by, bars_of, training_of
from kit.workshop.cards.family import PAGE, cards, said_of
from kit.workshop.cards.marked import CARDS, MEASURED
from kit.workshop.cards.members import Member, Pixels, fit_probe
from kit.workshop.cards.table import Table
from kit.workshop.training.recipes import RECIPES
from kit.world.printed import with_words, word_of
from kit.world.sample import TABLE


class Reader(Member):
    """Knows the concept of every scene of the attack; where a word is printed, it says the word instead.

    Args:
        scenes: those of `words.attack_scenes`.
        trust: how much more it believes the word than its eyes.
    """

    def __init__(self, scenes, trust):
        self.known = {id(s.images): s for s in scenes.values()}
        self.trust = trust

    def features(self, images):
        scenes = self.known[id(images)]
        return torch.stack([scenes.codes["concept"], scenes.codes["word"]], 1)

    def scores(self, features, attribute):
        assert attribute == "concept"
        table = torch.tensor(TABLE["word"])
        scores = torch.nn.functional.one_hot(features[:, 0], len(world.VALUES["concept"])).float()
        printed = features[:, 1] >= 0
        scores[printed, table[features[printed, 1]]] += self.trust
        return scores


@pytest.mark.parametrize(("trust", "drop"), [(2.0, 1.0), (0.5, 0.0)])
def test_the_attack_finds_a_reader_and_nothing_else(monkeypatch, trust, drop):
    scenes = words.attack_scenes(40, seed=3)
    monkeypatch.setattr(words, "attack_scenes", lambda *_: scenes)
    table = Table()
    words._attack(Reader(scenes, trust), table, "seen", 40)
    found = {r["what"]: r["value"] for r in table.rows}
    assert found["object among 16, no word"] == found["object among 16, the right word"] == 1
    assert found["typographic attack: drop"] == drop
    assert found["typographic attack: drop by what the word says"] == drop
    assert found["typographic attack: the word is the answer"] == drop


def test_the_three_scenes_of_an_attack_differ_in_the_word_alone():
    scenes = words.attack_scenes(40, seed=4)
    none, wrong, right = (scenes[n] for n in ("none", "wrong", "right"))
    assert (word_of(none.codes["concept"]) == right.codes["word"]).all()
    assert (wrong.codes["word"] != right.codes["word"]).all() and (wrong.codes["word"] >= 0).all()
    for printed in (wrong, right):
        changed = (printed.images != none.images).any(1)  # [scene, row, col]
        box = printed.labels[["word_left", "word_top", "word_width", "word_height"]].to_numpy(int)
        for where, (left, top, width, height) in zip(changed, box, strict=True):
            rows, columns = where.nonzero().unbind(1)
            assert len(rows) and rows.min() >= top and rows.max() < top + height
            assert columns.min() >= left and columns.max() < left + width


def test_words_go_back_to_what_they_were():
    drawn = world.draw(8, 5, kind="single_word")
    again = with_words(with_words(drawn, torch.full((8,), -1)), drawn.codes["word"])
    assert torch.equal(again.images, drawn.images) and again.labels.equals(drawn.labels)


def test_words_beside_two_objects_are_refused():
    with pytest.raises(KitError, match="scenes of kind pair"):
        with_words(world.draw(2, 0, kind="pair"), torch.tensor([0, 1]))
    with pytest.raises(KitError, match="words go from 0 to 99"):
        with_words(world.draw(2, 0), torch.tensor([0, 99]))


def test_a_probe_finds_what_is_there_and_not_what_is_shuffled():
    random = torch.Generator().manual_seed(0)
    features, codes = torch.randn(600, 8, generator=random), torch.arange(600) % 3
    features[:, :3] += 3 * torch.nn.functional.one_hot(codes, 3)
    shuffled = codes[torch.randperm(600, generator=random)]
    right = [fit_probe(features[:400], y[:400]).score(features[400:], y[400:]) for y in (codes, shuffled)]
    assert right[0] > 0.9 and right[1] < 0.45


def test_a_value_that_a_probe_never_saw_is_never_its_answer(monkeypatch):
    model = Pixels()
    count = len(world.VALUES["size"])
    monkeypatch.setattr(model, "_scenes", lambda _: (torch.randn(50, 4), torch.arange(50) % (count - 1)))
    scores = model.scores(torch.randn(20, 4), "size")
    assert scores.shape == (20, count) and (scores.argmax(1) < count - 1).all()


@pytest.mark.parametrize("values", [2, 3])
def test_a_probe_answers_with_the_logarithms_of_its_probabilities(monkeypatch, values):
    """Also where a probability is too small to be written down."""
    model, x = Pixels(), torch.randn(50, 4)
    monkeypatch.setattr(model, "_scenes", lambda _: (x, torch.arange(50) % values))
    scores = model.scores(x, "size")
    expected = model._probes["size"].predict_log_proba(x.numpy())
    np.testing.assert_allclose(scores[:, :values], expected, atol=1e-5)
    assert torch.isfinite(model.scores(x * 1e4, "size")).all()


def test_pixels_know_backgrounds_and_no_concepts(monkeypatch):
    monkeypatch.setattr(members, "FITTED", 600)
    monkeypatch.setattr(members, "PENALTIES", (1e-2,))
    monkeypatch.setattr(members, "COMPONENTS", 64)
    model, scenes = Pixels(), world.draw(200, 6)
    features = model.features(scenes.images)
    right = {
        name: accuracy(model.scores(features, name), scenes.codes[name])
        for name in ("background", "category")
    }
    assert right["background"] > 0.5 and right["category"] < 0.3


def test_the_worst_group_is_found_with_its_gap():
    values = np.repeat([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0], 50)
    groups = np.repeat(["a", "b", "b", "b", "b", "a", "a", "a"], 50)
    worst, accuracy, gap = GroupBootstrap(groups, seed=0).worst(values)
    assert worst == "b" and accuracy.value == 0.5 and gap.value == 0.25
    assert gap.low < 0.25 < gap.high
    _, _, equal = GroupBootstrap(np.repeat(["a", "b"], 100), seed=0).worst(np.tile([0.0, 1.0], 100))
    assert equal.value == 0 and equal.high < 0.12
    _, _, alone = GroupBootstrap(["a"] * 200, seed=0).worst(np.tile([0.0, 1.0], 100))
    assert alone == (0, 0, 0)  # the average moves with its only group


def test_pointing_counts_the_object_that_is_named(monkeypatch, load):
    """Maps that lie on the first object, on the second, and anywhere."""
    model, pairs = load("stickers-l8"), world.draw(40, seed=3, kind="pair")
    on = places.on_objects(model, pairs)  # [scene, object, patch]
    assert on.shape == (40, 2, 64)
    for maps, gap in ((on[:, 0], 1.0), (on[:, 1], -1.0)):
        free = maps & ~on.flip(1)[:, 0 if gap > 0 else 1]  # not on both
        monkeypatch.setattr(places, "difference_maps", lambda *_, free=free: free.float())
        table = Table()
        places._pointing(model, table, pairs)
        assert table.rows[0]["value"] == pytest.approx(gap, abs=0.05)


def test_places_are_asked_of_masks_and_pairs():
    table = Table()
    places.add_places(SHIPPED / "stickers-l8", True, table, 24)
    rows = {r["what"]: r["value"] for r in table.rows}
    assert rows["token heatmaps: mIoU"] > 0.5 and rows["token heatmaps: mIoU minus that of rollout"] > 0
    assert rows["token heatmaps: largest on the named object minus on the other"] > 0.4
    asked = {what for what, _ in bars_of("stickers-l8-128") if what.startswith("token heatmaps")}
    assert asked <= rows.keys()


def test_every_recipe_has_its_bars():
    assert all(bars_of(name) for name in RECIPES)
    kinds = {name: (training_of(name), asked_by(name)) for name in RECIPES}
    assert kinds["stickers-s16-web"] == kinds["stickers-l8-web-128"] == ("web captions", "prompts")
    assert kinds["stickers-l8-128"] == ("captions", "prompts")
    assert kinds["stickers-dinov2"] == ("self-distillation", "linear probe")
    assert kinds["stickers-deit"] == ("labels", "linear probe")
    assert Bar(least=0.6).met(0.6) and not Bar(below=0.05).met(0.05)


def test_each_card_is_of_the_weights_beside_it_and_asks_what_its_bars_ask():
    found = cards()
    assert set(found) == {p.parent.name for p in SHIPPED.glob("*/card.json")} and found
    for name, card in found.items():
        assert card["bytes"] == members.weights_of(SHIPPED / name).stat().st_size
        rows = {(r["what"], r["artists"]): r for r in card["measured"]}
        assert bars_of(name).keys() <= rows.keys(), name
        assert all(r["low"] <= r["value"] <= r["high"] for r in card["measured"])
        assert said_of(card).startswith(f"- **{name}** sees")


def test_an_evaluation_asks_every_question(monkeypatch, tmp_path):
    """With random weights, in small: every row is there, and concepts are at chance."""
    found = evaluate.evaluate(SHIPPED / "stickers-l8", scenes=64, trained=False)
    rows = {(r["what"], r["artists"]): r["value"] for r in found["measured"]}
    card = json.loads((SHIPPED / "stickers-l8" / "card.json").read_text(encoding="utf-8"))
    assert set(rows) == {(r["what"], r["artists"]) for r in card["measured"]}
    assert rows["concept, full", "seen"] < 0.1 and abs(rows["typographic attack: drop", "seen"]) < 0.3


def test_commands_write_the_pages_that_are_there():
    assert {f"{name}.md" for name in cards()} <= {page.name for page in CARDS.glob("*.md")}
    assert PAGE.read_text(encoding="utf-8").count(MEASURED[0]) == 1
