"""Folders of transformers: weights, processors, texts, and what is amiss with them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

import kit
from kit.errors import KitError
from kit.models import fetch, load, transformers_folders
from kit.models.processors import Processed
from tests.unit import tiny_models as tiny
from tests.unit import tiny_transformers as hf

PIXELS = tiny.pixels()
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]


def processor(kind: str = "ViTImageProcessor", **settings):
    import transformers

    given = {"size": {"height": 32, "width": 32}, "image_mean": [0.4] * 3, "image_std": [0.3] * 3, **settings}
    return getattr(transformers, kind)(**given)


def cropping(**settings):
    """As CLIP's: the short side first, then the middle."""
    crop = {"height": 32, "width": 32}
    return processor("CLIPImageProcessor", size={"shortest_edge": 32}, crop_size=crop, **settings)


def clip_tokenizer():
    import transformers

    tokens = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "do", "dog</w>", "<|startoftext|>"]
    vocabulary = {token: number for number, token in enumerate([*tokens, "<|endoftext|>"])}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[("d", "o"), ("do", "g</w>")])


def word_tokenizer():
    import tokenizers
    import transformers

    words = {word: number for number, word in enumerate(["<pad>", "</s>", "<unk>", "a", "dog", "cat"])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    end = ("</s>", 1)
    inner.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[end])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        model_input_names=["input_ids"],
    )  # fmt: skip


def write(folder: Path, module, *beside) -> Path:
    module.save_pretrained(folder)
    for one in beside:
        one.save_pretrained(folder)
    return folder


@pytest.fixture
def vit(tmp_path):
    labels = {"id2label": {0: "cat", 1: "dog"}, "label2id": {"cat": 0, "dog": 1}}
    return write(tmp_path / "vit", hf.make("ViTForImageClassification", **labels), processor())


def picture(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def test_a_folder_gives_the_model_its_classes_and_its_pictures(vit):
    model = load(vit)
    same = hf.make("ViTForImageClassification", num_labels=2)
    with torch.no_grad():
        tokens = same.vit(PIXELS).last_hidden_state
    assert torch.equal(model.encode_image(PIXELS), tokens[:, 0])
    assert (model.source, model.class_names, model.trained, model.notes) == (
        "transformers",
        ["cat", "dog"],
        True,
        [],
    )
    assert kit.decompose(model, PIXELS).error.max() < 1e-5
    assert not load(vit, "random").trained


@pytest.mark.parametrize("kind", [processor, cropping])
@pytest.mark.parametrize("size", [(70, 40), (40, 70), (20, 30)])
def test_pixels_are_those_of_the_librarys_processor(tmp_path, kind, size):
    own = kind()
    model = load(write(tmp_path, hf.make("ViTModel"), own))
    image = picture(*size)
    expected = own(images=image, return_tensors="pt")["pixel_values"]
    assert (model.preprocess(image) - expected).abs().max() * 0.3 <= 1 / 255
    seen = np.asarray(model.viewed(image)[0], dtype=float)  # what was seen is the picture, in its own colours
    back = (expected[0].permute(1, 2, 0).numpy() * 0.3 + 0.4) * 255
    assert np.abs(seen - back).max() < 1


def test_settings_over_the_folders_own(vit):
    model = load(vit, preprocess={"mean": 0.5, "interpolation": "nearest"})
    own = processor(image_mean=[0.5] * 3, resample=0)
    image = picture(70, 40)
    assert torch.equal(model.preprocess(image), own(images=image, return_tensors="pt")["pixel_values"])
    assert '"image_mean": [0.5, 0.5, 0.5]' in model.preprocessing
    with pytest.raises(KitError, match=r'no setting "crop_pct"'):
        load(vit, preprocess={"crop_pct": 0.9})
    with pytest.raises(KitError, match=r'"cubic" is no interpolation'):
        load(vit, preprocess={"interpolation": "cubic"})
    with pytest.raises(KitError, match=r"cannot be run on pictures of 48 x 48"):
        load(vit, preprocess={"size": 48})


def test_a_size_over_the_processors_own_takes_the_whole_picture(tmp_path):
    model = load(write(tmp_path, hf.make("Dinov2Model"), cropping()), preprocess={"size": 40})
    image = picture(70, 40)
    whole = processor("CLIPImageProcessor", size={"height": 40, "width": 40}, do_center_crop=False)
    assert (model.image_size, model.grid) == ((40, 40), (5, 5))
    assert torch.equal(model.preprocess(image), whole(images=image, return_tensors="pt")["pixel_values"])


@pytest.mark.parametrize("number, name", [(0, "nearest"), (1, "lanczos"), (2, "bilinear"), (3, "bicubic")])
def test_interpolations_are_those_of_pillow(number, name):
    image = picture(70, 40)
    model = load(hf.make("ViTModel"), preprocess=processor())
    own = Processed(model.transform.processor, {"interpolation": name}, "mine")(image)
    assert torch.equal(own, processor(resample=number)(images=image, return_tensors="pt")["pixel_values"][0])


@pytest.mark.parametrize("step", ["do_rescale", "do_normalize"])
def test_what_was_seen_is_the_picture_whatever_the_processor_leaves_out(step):
    model = load(hf.make("ViTModel"), preprocess=processor(**{step: False, "image_mean": [0.0] * 3}))
    image = picture(40, 40)
    plain = load(hf.make("ViTModel"), preprocess=processor())
    seen, expected = (np.asarray(m.viewed(image)[0], dtype=float) for m in (model, plain))
    assert np.abs(seen - expected).max() <= 1


def test_the_size_of_pictures_is_that_of_the_processor_where_the_model_takes_it(tmp_path):
    module = hf.make("Dinov2Model", image_size=56)
    small = load(write(tmp_path / "small", module, cropping()))
    assert (small.image_size, small.grid) == ((32, 32), (4, 4))
    other = processor("CLIPImageProcessor", size={"shortest_edge": 32}, do_center_crop=False)
    with pytest.raises(KitError, match="of differing size"):
        load(write(tmp_path / "other", module, other))


def test_a_clip_reads_texts_with_the_tokenizer_of_its_folder(tmp_path):
    own = clip_tokenizer()
    module = hf.dual(vocab_size=len(own), eos_token_id=own.eos_token_id, bos_token_id=own.bos_token_id)
    model = load(write(tmp_path, module, cropping(), own))
    tokens = own(["dog", "a cat"], padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = module.get_text_features(**tokens).pooler_output
    assert torch.allclose(model.encode_text(["dog", "a cat"]), normalize(expected, dim=-1), atol=1e-6)
    with pytest.raises(KitError, match=r"the prompt .* has 12 tokens, but .* reads at most 8"):
        model.encode_text("abcdefghij")
    scores = kit.scores(model, PIXELS, model.encode_text(["dog"]))
    with torch.no_grad():
        image = normalize(module.get_image_features(PIXELS).pooler_output, dim=-1)
    assert torch.allclose(scores.sum(1), image @ model.encode_text(["dog"]).T, atol=1e-5)


def test_a_siglip_reads_texts_padded_as_in_training(tmp_path):
    own = word_tokenizer()
    module = hf.dual("SiglipModel", vocab_size=6)
    model = load(write(tmp_path, module, processor("SiglipImageProcessor"), own))
    tokens = own(["a dog"], padding="max_length", max_length=8, return_tensors="pt")
    with torch.no_grad():
        expected = module.get_text_features(**tokens).pooler_output
    assert torch.allclose(model.encode_text("a dog"), normalize(expected, dim=-1), atol=1e-6)
    assert model.layers == 2 and str(kit.check(model)).startswith("exact")


def test_texts_without_a_tokenizer_are_asked_for(tmp_path):
    model = load(write(tmp_path, hf.dual(), cropping()))
    with pytest.raises(KitError, match=r'text tower, but its tokenizer is not here; give config=\{"tok'):
        model.encode_text("a dog")
    given = load(tmp_path, config={"tokenizer": clip_tokenizer()})
    assert given.has_text


def test_a_tokenizer_that_is_given_stands_over_the_processors():
    import transformers

    own, other = clip_tokenizer(), clip_tokenizer()
    both = transformers.CLIPProcessor(cropping(), own)
    assert load(hf.dual(), preprocess=both).text_tower.tokenizer is own
    assert load(hf.dual(), preprocess=both, config={"tokenizer": other}).text_tower.tokenizer is other


def test_a_live_model_finds_its_processor_where_it_came_from(vit):
    import transformers

    module = transformers.ViTForImageClassification.from_pretrained(vit, local_files_only=True)
    image = picture(70, 40)
    assert torch.equal(load(module).preprocess(image), load(vit).preprocess(image))
    given = load(hf.make("ViTModel"), preprocess=processor())
    assert torch.equal(given.preprocess(image), load(vit).preprocess(image))


def test_half_precision_and_files_in_parts(vit, tmp_path):
    state = {name: value.half() for name, value in load_file(vit / "model.safetensors").items()}
    full = load(vit).encode_image(PIXELS)
    names = sorted(state)
    (vit / "model.safetensors").unlink()
    for number, part in enumerate((names[:9], names[9:])):
        save_file({n: state[n] for n in part}, vit / f"model-{number}.safetensors")
    listed = {n: f"model-{int(n not in names[:9])}.safetensors" for n in names}
    (vit / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
    model = load(vit)
    assert model.notes == ["Stored as float16, computed in float32."] and model.dtype == torch.float32
    assert torch.equal(model.encode_image(PIXELS), full)


def test_a_bin_file_is_read_without_running_code(vit):
    full = load(vit).encode_image(PIXELS)
    state = load_file(vit / "model.safetensors")
    torch.save({name: value + 1 for name, value in state.items()}, vit / "pytorch_model.bin")
    assert torch.equal(load(vit).encode_image(PIXELS), full)  # beside safetensors it is not looked at
    torch.save(state, vit / "pytorch_model.bin")
    (vit / "model.safetensors").unlink()
    assert torch.equal(load(vit).encode_image(PIXELS), full)

    class Trap:
        def __reduce__(self):
            return os.system, (f"touch {vit / 'ran'}",)

    torch.save({"a": Trap(), **load(vit).library_model.state_dict()}, vit / "pytorch_model.bin")
    with pytest.raises(KitError, match="runs no code from a weights file"):
        load(vit)
    assert not (vit / "ran").exists()


def edit(folder: Path, **settings) -> None:
    file = folder / "config.json"
    found = {**json.loads(file.read_text()), **settings}
    file.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))


def change(folder: Path, function) -> None:
    file = folder / "model.safetensors"
    save_file(function(load_file(file)), file)


def without(*places: int):
    return lambda p: change(p, lambda s: {n: s[n] for k, n in enumerate(sorted(s)) if k not in places})


def as_int8(state: dict) -> dict:
    return {name: value.to(torch.int8) for name, value in state.items()}


def with_nan(state: dict) -> dict:
    return {**state, "classifier.bias": torch.tensor([1, float("nan")])}


CODE = {"architectures": ["MyViT"], "auto_map": {"AutoModel": "mine.MyViT"}, "model_type": "mine"}
AMISS = {
    "missing weights": (without(8, 9), r"2 of 40 tensors are missing \(vit\."),
    "a missing classifier": (without(0, 1), r"tensors are missing \(classifier"),
    "other shapes": (lambda p: edit(p, intermediate_size=40), "have another shape than config.json says"),
    "whole numbers": (lambda p: change(p, as_int8), "are no floats; dequantise"),
    "values that are not finite": (lambda p: change(p, with_nan), "holds NaN"),
    "half a file": (
        lambda p: (p / "model.safetensors").write_bytes((p / "model.safetensors").read_bytes()[:9000]),
        "is incomplete",
    ),
    "no weights": (lambda p: (p / "model.safetensors").unlink(), "holds none of model.safetensors"),
    "a quantised model": (lambda p: edit(p, quantization_config={"quant_method": "any"}), "is quantised, as"),
    "code of its own": (lambda p: edit(p, **CODE), "is a MyViT, .* brings its own code, which is never run"),
    "an unknown class": (lambda p: edit(p, architectures=["ViTForNothing"]), "it is not known to it"),
    "an unknown type": (
        lambda p: edit(p, architectures=None, model_type="vat"),
        r"config.json. cannot be read by transformers",
    ),
    "a text model": (lambda p: write(p, hf.make("CLIPTextModel", hf.TEXT)), "reads input_ids, not pictures"),
    "a broken processor": (
        lambda p: (p / "preprocessor_config.json").write_text("{"),
        "the processor of pictures in .* cannot be read",
    ),
}


@pytest.mark.parametrize("case", AMISS)
def test_what_is_amiss_is_said(vit, case):
    prepare, said = AMISS[case]
    prepare(vit)
    with pytest.raises(KitError, match=said):
        load(vit)


def test_weights_that_nothing_reads_may_be_missing_or_left_over(tmp_path):
    folder = write(tmp_path, hf.make("ViTModel"), processor())
    full = load(folder).encode_image(PIXELS)
    change(
        folder, lambda s: {"more.weight": torch.ones(2), **{n: v for n, v in s.items() if "pool" not in n}}
    )
    model = load(folder)
    said = " ".join(model.notes)
    assert torch.equal(model.encode_image(PIXELS), full)
    assert "lacks pooler.dense.bias, pooler.dense.weight; nothing here reads them" in said
    assert "1 entry (more.weight)" in said


@pytest.mark.parametrize(
    "make, lost",
    [
        (lambda: hf.make("BeitModel"), "pooler.layernorm.weight"),
        (hf.dual, "text_model.final_layer_norm.bias"),
    ],
)
def test_weights_on_which_the_representation_or_the_texts_rest_may_not_be_missing(tmp_path, make, lost):
    folder = write(tmp_path, make(), cropping(), clip_tokenizer())
    change(folder, lambda s: {name: value for name, value in s.items() if name != lost})
    with pytest.raises(KitError, match=rf"tensors are missing \({lost}\)"):
        load(folder)


def test_options_of_other_layouts_are_refused(vit):
    for options in ({"like": "openai"}, {"key": "teacher"}, {"pretrained": str(vit / "model.safetensors")}):
        with pytest.raises(KitError, match="brings its weights and settings"):
            load(vit, **options)
    with pytest.raises(KitError, match='no setting "img_size"'):
        load(vit, config={"img_size": 64})


def test_names_come_from_the_cache_and_are_never_guessed(vit, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(fetch, "reachable", lambda: False)
    monkeypatch.setattr(transformers_folders, "reachable", lambda: False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(KitError, match='"hf/me/vit" is not in the cache of the hub and could not be fetched'):
        load("hf/me/vit")
    with pytest.raises(KitError, match="no name on the hub, and no folder"):
        load("hf/me/vit/more")
    home = tmp_path / "hub" / "models--me--vit"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("a" * 40)
    (home / "snapshots").mkdir()
    (home / "snapshots" / ("a" * 40)).symlink_to(vit)
    model = load("hf/me/vit")
    assert model.name == "hf/me/vit" and model.class_names == ["cat", "dog"]
    assert torch.equal(model.encode_image(PIXELS), load(f"hf/{vit}").encode_image(PIXELS))


def test_settings_and_weights_of_two_revisions_are_not_taken_together(vit, tmp_path, monkeypatch):
    write(tmp_path / "older", hf.make("ViTForImageClassification", num_labels=2))
    places = {"config.json": tmp_path / "older" / "config.json", "model": vit / "model.safetensors"}
    monkeypatch.setattr(
        transformers_folders, "cached_file", lambda name, files: str(places[files[0].partition(".s")[0]])
    )
    monkeypatch.setattr(transformers_folders, "reachable", lambda: False)
    with pytest.raises(KitError, match="is not in the cache of the hub"):
        load("hf/me/vit")


def test_without_the_package_a_sentence_says_how_to_get_it(vit, monkeypatch):
    monkeypatch.setattr(transformers_folders, "has_package", lambda name: False)
    with pytest.raises(
        KitError, match=r"is a model of the package transformers, .* pip install transformers"
    ):
        load(vit)
