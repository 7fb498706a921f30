"""The bank for photographs: 100 texts of each property, one set of templates, one tag for each text."""

import copy
import re
import zlib
from collections import Counter, defaultdict
from functools import cache

import pandas as pd
import pytest
import torch
from torch.nn.functional import normalize

from kit.errors import KitError
from kit.parts import Moments
from kit.projections import Bank, textspan
from kit.projections.photographs import check_tags, lists, tagged_texts, tags_of, telling_words

ASKED = {
    *("colours", "patterns", "textures", "shapes", "counts", "letters", "objects", "vehicles", "clothing"),
    *("animals", "people", "body parts", "profession", "emotion", "activity", "nature", "scenes"),
    *("countries and cities", "weather", "time", "art style", "photography"),
}


class BagOfWords:
    """A text tower that adds up a direction for each word: what a text says, and nothing that is learnt."""

    name, weights_hash, embed_dim, known_words = "bag of words", "0" * 64, 64, ()

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        return normalize(torch.stack([sum(map(self.direction, text.split())) for text in texts]), dim=1)

    @staticmethod
    @cache
    def direction(word: str) -> torch.Tensor:
        return torch.randn(64, generator=torch.Generator().manual_seed(zlib.crc32(word.encode())))


made = cache(tagged_texts)


@pytest.fixture(scope="module")
def encoder():
    return BagOfWords()


@pytest.fixture(scope="module")
def bank(encoder):
    return Bank.photographs(encoder)


def test_every_property_has_a_hundred_texts_that_stand_once():
    counts = Counter(each.property for each in made())
    assert set(counts) == ASKED and set(counts.values()) == {100} and len(counts) >= 16
    assert len({each.text.lower() for each in made()}) == len(made()) == 2200


def test_every_property_has_the_same_templates_equally_often():
    found = defaultdict(Counter)
    for each in made():
        found[each.property][each.template] += 1
        start, end = each.template.split("{}")
        assert each.text.startswith(start) and each.text.endswith(end)
    assert all(counts == {template: 25 for template in lists()["templates"]} for counts in found.values())


def test_the_words_of_a_text_tell_its_property_and_no_other():
    """Read anew from the lists, word by word, singular and plural alike."""
    told = defaultdict(set)
    for name, frames in lists()["properties"].items():
        for word in re.findall(r"\w+", " ".join(frames.values()).lower()):
            told[word].add(name)
    silent = {"a", "an", "the", "some", "of", "someone"}
    silent |= {form for word in ("thing", "item", "surface", "patch", "piece") for form in (word, f"{word}s")}
    for each in made():
        words = set(re.findall(r"\w+", each.text.lower())) - silent
        own = [told[w] | told[f"{w}s"] | told[w.removesuffix("s")] for w in words]
        assert set().union(*own) == {each.property}, each.text


def test_tags_are_of_whole_words():
    assert tags_of("number 10") == tags_of("caterpillar, carpet, redwood, doghouse") == set()
    assert tags_of("Two DOGS.") == {"counts", "animals"} and tags_of("a thing in place of someone") == set()
    assert tags_of("a glass bus") == {"art style", "vehicles"}  # neither is a plural
    assert not [word for template in lists()["templates"] for word in tags_of(template)]


def test_every_text_has_twins_that_differ_in_what_is_told_alone():
    twins = defaultdict(set)
    for each in made():
        twins[each.template, each.carrier].add(each.property)
    assert all(len(twins[each.template, each.carrier]) > 1 for each in made())
    tagged = {each.text: each.property for each in made()}
    one_word = ("red", "striped", "wooden", "round", "blurry")
    twins_of_red = [tagged[f"a photo of a {word} thing"] for word in one_word]
    assert twins_of_red == ["colours", "patterns", "textures", "shapes", "photography"]


def changed(name: str, frame: str, old: str, new: str) -> dict:
    given = copy.deepcopy(lists())
    assert old in given["properties"][name][frame]
    given["properties"][name][frame] = given["properties"][name][frame].replace(old, new)
    return given


@pytest.mark.parametrize(
    "given, message",
    [
        (
            ("animals", "{}", "a dog", "an orange dog"),
            'the word "orange" tells two properties, colours and animals',
        ),
        (
            ("scenes", "{}", "a kitchen", "some trains"),
            'the word "train" tells two properties, vehicles and scenes',
        ),
        (("animals", "{}", "a cat", "a dog"), '"a photo of a dog" stands twice in the bank'),
        (
            ("animals", "{}", "a cat", "a thing"),
            '"a photo of a thing" is tagged animals, but its words tell nothing',
        ),
    ],
)
def test_lists_whose_words_tell_two_properties_are_refused(given, message):
    tagged_texts()  # the lists that ship are not
    with pytest.raises(KitError, match=re.escape(message)):
        tagged_texts(changed(*given))


def test_a_text_that_tells_two_properties_is_refused():
    check_tags([("a red thing", "colours"), ("a dog", "animals")])
    with pytest.raises(
        KitError, match='"a red dog" is tagged animals, but its words tell animals and colours; write'
    ):
        check_tags([("a red dog", "animals")])
    with pytest.raises(KitError, match='"a dog" is tagged colours, but its words tell animals'):
        check_tags([("a dog", "colours")])
    assert set(telling_words().values()) == ASKED


def test_the_bank_is_tagged_and_of_its_model(encoder, bank):
    assert repr(bank) == '<Bank "photographs": 2200 texts, 22 properties>'
    assert bank.weights_hash == encoder.weights_hash and bank.vectors.shape == (2200, encoder.embed_dim)
    assert list(zip(bank.texts, bank.properties)) == [(each.text, each.property) for each in made()]
    assert all(not copies for copies in bank.copies.values())  # every text has a direction of its own


def test_a_model_of_a_closed_vocabulary_is_refused(stickers):
    with pytest.raises(
        KitError, match=r'ask for an open vocabulary, but "stickers-l8" knows \d+ words; load'
    ):
        Bank.photographs(stickers)


def test_a_centred_bank_has_unit_rows_and_no_common_axis(bank):
    centred = bank.centred()
    assert (centred.vectors.norm(dim=1) - 1).abs().max() < 1e-6 and centred.name == "photographs, centred"
    assert centred.vectors.mean(0).norm() < 0.2 < bank.vectors.mean(0).norm()
    assert (centred.texts, centred.properties) == (bank.texts, bank.properties)
    with pytest.raises(KitError, match="has length 0, not 1"):
        Bank(["alone"], torch.eye(2)[:1]).centred()


def test_spread_finds_the_property_that_was_made_wide():
    noise = torch.randn(300, 32, generator=torch.Generator().manual_seed(0))
    names = ["narrow", "wide", "middle"] * 100
    noise *= torch.tensor([0.1, 1.0, 0.3] * 100)[:, None]
    vectors = normalize(noise + 3 * torch.eye(32)[[0, 1, 2] * 100], dim=1)
    table = Bank([str(i) for i in range(300)], vectors, names).spread()
    assert list(table.property) == ["wide", "middle", "narrow"] and set(table.texts) == {100}
    own = vectors[1::3]
    assert table.spread[0] == pytest.approx(float((own - own.mean(0)).norm(dim=1).mean()), rel=1e-6)
    shuffled = pd.Series(names).sample(frac=1, random_state=0).tolist()
    control = Bank([str(i) for i in range(300)], vectors, shuffled).spread().spread
    assert control.max() < 1.1 * control.min() < table.spread.max() / table.spread.min()
    with pytest.raises(KitError, match='the bank "texts" has no properties'):
        Bank(["a"], torch.eye(1)).spread()


def test_no_property_of_the_bank_is_much_wider_than_another(bank):
    """As far as words go. What a trained tower makes of them is printed by the command of the data card."""
    for some in (bank, bank.centred()):
        table = some.spread()
        assert set(table.property) == ASKED and set(table.texts) == {100}
        assert table.spread.max() < 1.5 * table.spread.min(), table.to_string()
    lopsided = (
        pd.Series(bank.texts).str.endswith(("red thing", "green thing")).map({True: "narrow", False: "all"})
    )
    control = Bank(bank.texts, bank.vectors, lopsided.tolist()).spread().spread
    assert control.max() > 1.5 * control.min()


def planted(bank: Bank, name: str, seed: int) -> Moments:
    """A head that writes texts of one property, and a little of everything."""
    generator = torch.Generator().manual_seed(seed)
    own = bank.vectors[[i for i, each in enumerate(made()) if each.property == name]].double()
    own = own[torch.randperm(len(own), generator=generator)[:8]]
    values = torch.randn(300, 8, generator=generator, dtype=torch.float64) @ own
    values = values + 0.02 * torch.randn(values.shape, generator=generator, dtype=torch.float64)
    covariance = values.T.cov(correction=0)[None]
    index = pd.DataFrame({"name": ["L0.H0"], "kind": "head", "layer": 0, "head": 0})
    return Moments("planted", "none", bank.weights_hash, 300, index, values.mean(0)[None], covariance, None)


def test_a_head_that_writes_a_property_is_told_by_its_tag_and_not_by_shuffled_ones(bank):
    centred = bank.centred()
    order = torch.randperm(2200, generator=torch.Generator().manual_seed(0)).tolist()
    right, control = [], []
    for seed, name in enumerate(sorted(ASKED)):
        found = textspan(planted(centred, name, seed), centred, 5, score="variance").table
        right.append((found.property == name).sum())
        shuffled = [centred.properties[order[centred.texts.index(text)]] for text in found.text]
        control.append(shuffled.count(name))
    assert sum(right) > 0.6 * 5 * len(ASKED), right
    assert sum(control) < 0.15 * 5 * len(ASKED), control  # 1 of 22 by chance
