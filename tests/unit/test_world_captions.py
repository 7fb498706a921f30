"""Captions say what is there, and truth knows it."""

import pytest
import torch

from kit.errors import KitError
from kit.world import VALUES, captions_for, draw, prompts, truth, words
from kit.world.captions import MENTIONED, say

OBJECTS = ("concept", "category", "colour", "texture", "size", "position", "count")


def _mention(**said):
    """Mentions of one caption by value names."""
    row = {name: -1 for name in MENTIONED} | {"objects": 1}
    for name, value in said.items():
        row[name] = value if name == "objects" else VALUES[name.removesuffix("_2")].index(value)
    return row


def _as_tensors(row):
    return {name: torch.tensor([value]) for name, value in row.items()}


@pytest.fixture(scope="module")
def scenes():
    return draw(400, 21, "mixed", mix="clean")


SAID = [
    ({"concept": "cat"}, "a cat"),
    ({"concept": "elephant", "size": "large", "colour": "red"}, "a large red elephant"),
    ({"concept": "apple"}, "an apple"),
    ({"concept": "scissors", "colour": "orange"}, "an orange pair of scissors"),
    ({"concept": "mouse", "count": "three", "background": "grass"}, "three mice on grass"),
    ({"concept": "sheep", "count": "one", "position": "left"}, "one sheep on the left"),
    ({"category": "food", "texture": "striped"}, "a striped piece of food"),
    ({"colour": "natural", "count": "two"}, "two things in their own colours"),
    ({"word": "cat", "objects": 0}, "the word cat"),
    ({"concept": "dog", "word": "bus"}, "a dog with the word bus"),
    (
        {"concept": "cat", "concept_2": "owl", "relation": "left of", "colour_2": "blue", "objects": 2},
        "a cat left of a blue owl",
    ),
    ({"concept": "cat", "concept_2": "dog", "objects": 2}, "a cat and a dog"),
]


@pytest.mark.parametrize("said, text", SAID)
def test_mentions_are_put_into_words(said, text):
    assert say(_mention(**said)) == text


def test_openings_agree_in_number():
    many, one = _mention(concept="key", count="two"), _mention(concept="key")
    assert say(many, opening=3) == "there are two keys"
    assert say(one, opening=3) == "there is a key"
    assert say(one, opening=1) == "a picture of a key"
    assert say(one, bare=True) == "key"


def test_captions_are_true_of_their_own_scene(scenes):
    for seed in range(3):
        _, mentions = captions_for(scenes, seed)
        assert truth(mentions, scenes).diagonal().all()


@pytest.mark.parametrize("name", [*OBJECTS, "background", "word", "relation"])
def test_captions_are_false_of_a_scene_with_another_value(scenes, name):
    _, mentions = captions_for(scenes, 0)
    said = (mentions[name] >= 0).nonzero()[:, 0]
    if name == "relation":  # "a thing left of a thing" is true from either side
        said = said[(mentions["concept"] >= 0)[said] & (mentions["concept_2"] >= 0)[said]]
    assert len(said) > 10
    other = scenes[said]
    if name == "relation":
        other.codes["relation"] ^= 1
    else:
        for suffix in ("", "_2") if f"{name}_2" in other.codes else ("",):
            code = other.codes[name + suffix]
            # the values said of either object are avoided
            taken = torch.stack([mentions.get(name + s, mentions[name])[said] for s in ("", "_2")])
            size = len(VALUES[name])
            fresh = torch.stack([(taken[0] + k) % size for k in range(1, 4)])
            free = (fresh[:, None] != taken).all(1).int().argmax(0)
            code[:] = torch.where(code >= 0, fresh.gather(0, free[None])[0], -1)
    if name in ("size", "position", "count"):  # of pairs these are fixed and not labels
        assert (other.codes["kind"] != VALUES["kind"].index("pair")).all()
    held = truth({k: v[said] for k, v in mentions.items()}, other)
    assert not held.diagonal().any()


def test_relations_hold_from_either_side():
    pair = draw(300, 22, "pair", colours=0.0)
    label = pair.labels.iloc[0]
    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    a, b, relation = label.concept, label.concept_2, label.relation
    cases = [
        ({"concept": a, "concept_2": b, "relation": relation}, True),
        ({"concept": b, "concept_2": a, "relation": opposite[relation]}, True),
        ({"concept": b, "concept_2": a, "relation": relation}, False),
        ({"concept": a, "concept_2": b, "relation": opposite[relation]}, False),
        ({"concept": a, "concept_2": b}, True),
        ({"concept": b, "concept_2": a}, True),
        ({"concept": a, "concept_2": a}, False),
    ]
    for said, expected in cases:
        row = _mention(objects=2, **said)
        assert bool(truth(_as_tensors(row), pair[:1])[0, 0]) is expected, said
    for concept in (a, b):
        assert truth(_as_tensors(_mention(concept=concept)), pair[:1])[0, 0]
    _, mentions = captions_for(pair, 0)
    swapped = (mentions["concept"] >= 0) & (mentions["concept"] == pair.codes["concept_2"])
    assert 60 < int(swapped.sum()) < 240


def test_the_clean_mix_prints_no_word_beside_an_object(scenes):
    codes = scenes.codes
    assert (codes["concept"][codes["word"] >= 0] < 0).all()
    captions, _ = captions_for(scenes, 0)
    assert all("word" in c or "sign" in c for c, w in zip(captions, codes["word"]) if w >= 0)


def test_the_web_mix_calls_a_printed_word_what_it_names():
    web = draw(800, 23, "mixed", mix="web")
    printed = web.codes["word"] >= 0
    assert 0.25 < printed.float().mean() < 0.35
    _, mentions = captions_for(web, 0)
    named = torch.tensor([VALUES["concept"].index(w) for w in VALUES["word"]])[web.codes["word"].clamp(min=0)]
    other = printed & (web.codes["concept"] >= 0) & (web.codes["concept"] != named)
    assert 0.35 < (mentions["concept"] == named)[other].float().mean() < 0.65
    true = truth(mentions, web).diagonal()
    assert 0.94 < true.float().mean() < 0.99, "about 4 % of web captions are wrong, and truth knows which"
    web.mix = "clean"
    assert not truth(mentions, web).diagonal()[other & (mentions["concept"] == named)].any()


def test_fresh_captions_say_the_same_scenes_otherwise(scenes):
    first, again, other = (captions_for(scenes, s)[0] for s in (0, 0, 1))
    assert first == again == scenes.captions
    assert sum(a != b for a, b in zip(first, other)) > 250


def test_every_word_is_known_and_captions_fit_the_text_tower(scenes):
    known = set(words())
    web = draw(200, 24, "mixed", mix="web")
    for captions in (scenes.captions, web.captions):
        assert {w for c in captions for w in c.split()} <= known
        assert max(len(c.split()) for c in captions) <= 22
    assert words() == sorted(known)


@pytest.mark.parametrize("name", [*OBJECTS, "background", "relation", "word"])
def test_there_is_one_prompt_for_each_value(name):
    texts = prompts(name)
    assert len(texts) == len(VALUES[name]) == len(set(texts))
    assert {w for t in texts for w in t.split()} <= set(words())


def test_what_no_caption_tells_has_no_prompts():
    with pytest.raises(KitError) as error:
        prompts("artist")
    assert str(error.value).startswith("no prompts for 'artist': captions tell concept, category, colour,")


def test_an_unknown_mix_is_answered(scenes):
    with pytest.raises(KitError, match=r"^unknown mix 'wep': there are clean, web. Nearest: web\.$"):
        captions_for(scenes, 0, "wep")
