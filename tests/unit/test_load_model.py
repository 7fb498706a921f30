"""What a loaded model offers: texts, words, copies, hashes, counters, directions."""

import pytest
import torch
from torch.nn.functional import normalize

from kit.errors import KitError
from kit.models import directions, load
from kit.models.model import hash_weights
from tests.unit import tiny_models as tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("models") / "tiny-l2")


@pytest.fixture
def model(folder):
    return load(folder)


@pytest.fixture
def classifier():
    names = ["ant", "bee", "cat"]
    config = {**tiny.TIMM_CONFIG, "num_classes": 3, "class_names": names}
    return load(tiny.TIMM, "random", config=config)


def test_text_directions_have_length_one(model):
    vectors = model.encode_text(["a dog", "a red cat", "zebra"])
    assert vectors.shape == (3, 24)
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(3), atol=1e-6)
    assert not torch.allclose(vectors[0], vectors[1], atol=1e-3)


def test_templates_give_the_unit_mean_of_unit_vectors(model):
    templates = ["a {}", "red {}", "{}"]
    vectors = model.encode_text(["dog", "cat"], templates)
    for text, vector in zip(["dog", "cat"], vectors, strict=True):
        single = torch.stack([model.encode_text(t.replace("{}", text))[0] for t in templates])
        raw = model.text_tower.encode([t.replace("{}", text) for t in templates])
        assert torch.allclose(vector, normalize(single.mean(0), dim=0), atol=1e-6)
        assert not torch.allclose(vector, single.mean(0), atol=1e-4)  # the mean alone is shorter than 1
        assert not torch.allclose(vector, normalize(raw.mean(0), dim=0), atol=1e-4)  # lengths must not weigh


def test_a_text_is_encoded_once(model):
    first = model.encode_text(["dog", "cat"])
    assert model.passes["text"] == 1
    assert torch.equal(model.encode_text(["cat", "dog"]), first.flip(0)) and model.passes["text"] == 1
    model.encode_text(["dog", "zebra"])
    assert model.passes["text"] == 2


def test_changed_text_weights_are_not_answered_from_the_cache(model):
    before = model.encode_text("dog")
    model.library_model.text_projection.mul_(-1)
    assert torch.allclose(model.encode_text("dog"), -before, atol=1e-6)


def test_non_latin_prompts_are_encoded_and_their_words_named(model):
    vectors = model.encode_text(["кот", "狗", "a dog"])
    assert torch.isfinite(vectors).all()
    assert model.unknown_words("кот") == ["кот"]
    assert model.unknown_words("a 🐱 & a ♥!") == ["🐱", "♥"]
    assert model.unknown_note("🐱") == f'"🐱" is a word that {model.name} never saw.'


def test_unknown_words_are_named_with_the_nearest_known_one(model):
    assert model.unknown_words("A red zebre, a DOG and a Dog") == ["zebre", "and"]
    sentence = f'"zebre" is a word that {model.name} never saw. Nearest: zebra.'
    assert model.unknown_note("a zebre") == sentence
    assert model.unknown_note("a red dog") == ""
    assert {"cat", "dog", "red", "thing", "zebra", "a"} <= set(model.known_words)


def test_a_list_of_words_beside_the_vocabulary_is_exact(folder):
    (folder / "words.json").write_text('["cat", "a"]')
    try:
        assert load(folder).unknown_words("a cat, a dog") == ["dog"]
    finally:
        (folder / "words.json").unlink()


def test_tokens_of_other_tokenizers_are_counted_before_they_are_cut(model):
    class OfTransformers:
        def tokenizer(self, text):
            return {"input_ids": [0, *range(len(text.split())), 1]}

    model.text_tower._tokenizer = OfTransformers()
    assert model.text_tower.count_tokens("a red dog") == 5
    with pytest.raises(KitError, match=r"has 9 tokens, but .* reads at most 8"):
        model.encode_text("a b c d e f g")


def test_open_vocabularies_name_no_unknown_words():
    model = load("mine", "random", config=tiny.config())
    assert model.known_words == () and model.unknown_words("a zebre") == []


def test_passes_count_towers_and_nothing_else(model):
    pixels = model.preprocess(torch.zeros(3, 9, 9, dtype=torch.uint8))
    model.viewed(torch.zeros(3, 9, 9, dtype=torch.uint8))
    _ = model.weights_hash, model.label, repr(model), model.known_words
    assert not model.passes
    model.encode_image(pixels)
    assert dict(model.passes) == {"image": 1}


def test_the_hash_sees_values_names_and_shapes_but_not_precision(model, folder):
    assert model.weights_hash == load(folder).weights_hash == model.double().weights_hash
    before = model.weights_hash
    model.tower.proj[0, 0] += 1
    assert model.weights_hash != before
    flat, square = torch.nn.Linear(4, 1, bias=False), torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        square.weight.copy_(flat.weight.reshape(2, 2))
    assert hash_weights(flat) != hash_weights(square)


@pytest.mark.parametrize("row", [0, 3, -1])
def test_the_hash_sees_a_row_that_was_written_past_torchs_counter(model, row):
    before, weight = model.weights_hash, model.tower.transformer.resblocks[0].mlp.c_fc.weight
    assert weight.numel() > 1000
    weight.data[row] += 1
    assert model.weights_hash != before
    weight.data[row] -= 1


def test_a_double_shares_nothing_with_its_model(model):
    twin = model.double()
    assert twin.dtype == torch.float64 and model.dtype == torch.float32
    assert twin.tower is twin.library_model.visual and twin.text_tower.module is twin.library_model
    twin.tower.proj.zero_()
    assert model.tower.proj.abs().sum() > 0
    assert twin.encode_text("dog").dtype == torch.float64 and not model.passes
    assert twin.preprocess(torch.zeros(3, 9, 9, dtype=torch.uint8)).dtype == torch.float64


def test_preprocess_settings_are_overridden_one_by_one(folder):
    model = load(folder, preprocess={"mean": (0.0, 0.0, 0.0)})
    white = torch.full((3, 32, 32), 255, dtype=torch.uint8)
    assert torch.allclose(model.preprocess(white), torch.full((1, 3, 32, 32), 4.0))  # std of the folder: 1/4
    timm = load(tiny.TIMM, "random", config=tiny.TIMM_CONFIG, preprocess={"std": (0.25, 0.25, 0.25)})
    assert torch.allclose(timm.preprocess(white), torch.full((1, 3, 32, 32), 2.0))


def test_a_transform_of_ones_own_is_taken_as_it_is(folder):
    own = lambda image: torch.zeros(3, 32, 32)  # noqa: E731
    model = load(folder, preprocess=own)
    white = torch.full((3, 9, 9), 255, dtype=torch.uint8)
    assert model.preprocess(white).abs().sum() == 0
    with pytest.raises(KitError, match="has no Normalize step"):
        model.viewed(white)


def test_class_directions_are_head_rows_minus_their_mean(classifier):
    head = classifier.class_head
    found = directions(classifier, ["cat", "ant"])
    wanted = normalize(torch.stack([head[2], head[0]]) - head.mean(0), dim=-1)
    assert found.names == ["cat", "ant"] and torch.allclose(found.vectors, wanted, atol=1e-6)
    assert len(directions(classifier, "classes")) == 3


def test_texts_become_directions_where_there_is_a_text_tower(model):
    found = directions(model, "a dog", templates=["{}", "red {}"])
    assert found.names == ["a dog"]
    assert torch.equal(found.vectors, model.encode_text("a dog", ["{}", "red {}"]))


def test_classes_of_an_attribute_are_compared_among_themselves():
    names = ["colour: red", "colour: blue", "size: small", "size: large", "size: medium"]
    config = {**tiny.TIMM_CONFIG, "num_classes": 5, "class_names": names}
    model = load(tiny.TIMM, "random", config=config)
    found = directions(model, ["size: large", "colour: red"])
    head = model.class_head
    wanted = torch.stack([head[3] - head[2:].mean(0), head[0] - head[:2].mean(0)])
    assert torch.allclose(found.vectors, normalize(wanted, dim=-1), atol=1e-6)


def test_arrays_are_made_unit(classifier):
    found = directions(classifier, (["x", "y"], [[3.0] + [0.0] * 31, [0.0, -2.0] + [0.0] * 30]))
    assert found.vectors[0, 0] == 1 and found.vectors[1, 1] == -1 and len(found) == 2


def test_images_give_their_own_directions(classifier):
    pixels = tiny.pixels()
    found = directions(classifier, "self", pixels=pixels)
    assert found.names == ["self 0", "self 1"]
    assert torch.allclose(found.vectors, normalize(classifier.encode_image(pixels), dim=-1))
    assert directions(classifier, "image", pixels=pixels).names == ["image 0", "image 1"]


def test_components_are_orthogonal_ordered_and_signed(classifier):
    pixels = tiny.pixels(12)
    found = directions(classifier, "components", pixels=pixels, count=3)
    vectors = found.vectors.double()
    assert torch.allclose(vectors @ vectors.T, torch.eye(3, dtype=torch.float64), atol=1e-6)
    assert (vectors.gather(1, vectors.abs().argmax(1, keepdim=True)) > 0).all()
    values = classifier.encode_image(pixels).double()
    spread = ((values - values.mean(0)) @ vectors.T).var(0)
    assert (spread.diff() <= 0).all()
    wanted = torch.linalg.eigvalsh(torch.cov(values.T)).flip(0)[:3]
    assert torch.allclose(spread, wanted, rtol=1e-4)
