"""A loaded model against the library's own way of building and running the same thing."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn.functional import normalize

from kit.models import directions, load
from kit.models.load_timm import class_head
from tests.unit import tiny_models as tiny

WEIGHTS = Path(os.environ.get("KIT_REAL_WEIGHTS", "."))
real = pytest.mark.skipif("KIT_REAL_WEIGHTS" not in os.environ, reason="KIT_REAL_WEIGHTS names no folder")
PHOTO = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bilinear"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("models") / "tiny-l2")


@pytest.fixture(scope="module")
def picture():
    values = torch.randint(0, 256, (40, 60, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    return Image.fromarray(values.numpy())


def test_a_folder_equals_what_open_clips_own_api_loads(folder, picture):
    module, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    module.eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", bpe_path=str(folder / "bpe.txt.gz"))
    model = load(folder)
    pixels = transform(picture)[None]
    assert torch.equal(model.preprocess(picture), pixels)
    state = module.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in model.library_model.state_dict().items())
    # in float64: two copies of the same weights may differ in the last bit of float32
    module, model, pixels = module.double(), model.double(), pixels.double()
    texts = ["a dog", "a red cat thing"]
    with torch.no_grad():
        wanted = normalize(module.encode_text(tokenizer(texts)), dim=-1)
        assert torch.allclose(model.encode_image(pixels), module.encode_image(pixels), atol=1e-12)
        assert torch.allclose(model.encode_text(texts), wanted, atol=1e-12)


def test_the_working_directory_does_not_matter(folder, tmp_path, monkeypatch):
    wanted = load(folder).double().encode_text("a dog")
    monkeypatch.chdir(folder.parent)
    model = load(folder.name)
    monkeypatch.chdir(tmp_path)
    assert torch.allclose(model.double().encode_text("a dog"), wanted, atol=1e-12)


def test_timm_equals_its_own_head_and_transform(picture):
    model = load("timm/vit_tiny_patch16_224", "random", config=tiny.TIMM_CONFIG)
    module = model.library_model
    settings = timm.data.resolve_model_data_config(module)
    settings["input_size"] = (3, 32, 32)
    pixels = timm.data.create_transform(**settings, is_training=False)(picture)[None]
    assert torch.equal(model.preprocess(picture), pixels)
    representation = model.encode_image(pixels)
    assert torch.equal(module.head(representation), module(pixels))


@pytest.mark.parametrize("width, linear", [(16, True), (64, False)])
def test_only_a_head_that_is_linear_in_the_representation_gives_class_directions(width, linear):
    module = torch.nn.Module()  # as timm's MetaFormers: a hidden layer lies before the last one
    module.pretrained_cfg, module.head_hidden_size = {"classifier": "head"}, 16
    module.head = torch.nn.Linear(width, 4)
    assert (class_head(module) is not None) == linear


@pytest.mark.parametrize("source", ["open_clip", "timm"])
def test_double_equals_the_library_in_float64(folder, source):
    model = load(folder) if source == "open_clip" else load(tiny.TIMM, "random", config=tiny.TIMM_CONFIG)
    twin = model.double()
    pixels = tiny.pixels()
    with torch.no_grad():
        gap = (model.encode_image(pixels).double() - twin.encode_image(pixels.double())).norm()
    assert 0 < gap / twin.encode_image(pixels.double()).norm() < 1e-5  # float32 rounding of one forward


def test_half_precision_files_differ_only_by_their_rounding(folder, tmp_path):
    state = load_file(folder / "open_clip_model.safetensors")
    torch.save({name: value.float() for name, value in state.items()}, tmp_path / "full.pt")
    assert load(folder, tmp_path / "full.pt").weights_hash == load(folder).weights_hash


@pytest.mark.parametrize("mode", ["squash", "shortest"])
def test_viewed_shows_the_pixels_that_the_tower_reads(folder, picture, mode):
    model = load(folder, preprocess={"resize_mode": mode})
    shown = model.viewed(picture)[0]
    values = torch.from_numpy(np.array(shown)).permute(2, 0, 1).float() / 255
    assert shown.size == (32, 32)
    assert torch.allclose(model.preprocess(picture)[0] * 0.25 + 0.5, values, atol=0.5 / 255 + 1e-6)


# --- real weights -------------------------------------------------------------------------------


def expected() -> list[dict]:
    return json.loads((WEIGHTS / "reference_outputs.json").read_text())["items"]


def photographs() -> list[Path]:
    return [WEIGHTS / "photos" / "imagenet_sample" / item["file"] for item in expected()]


@real
def test_the_real_classifier_gives_the_published_outputs():
    with (WEIGHTS / "vit_tiny_patch16_224.tinyimagenet.labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = [row.get("name") or row.get("synset") or row.get("wnid") for row in rows]
    model = load(
        "timm/vit_tiny_patch16_224",
        WEIGHTS / "vit_tiny_patch16_224.tinyimagenet.fp16.safetensors",
        config={"class_names": labels},
        preprocess={**PHOTO, "crop_pct": 0.875},
    )
    logits = model.library_model.head(model.encode_image(model.preprocess(photographs())))
    for row, item in zip(logits, expected(), strict=True):
        assert row.topk(3).indices.tolist() == item["timm_top3_index"]
        assert row.topk(3).values.tolist() == pytest.approx(item["timm_top3_logit"], abs=2e-3)
    assert model.class_head.shape == (200, 192) and len(directions(model, "classes")) == 200


@real
def test_the_real_tower_in_open_clips_layout_gives_the_published_embeddings():
    text = load_file(WEIGHTS / "clip_text_imagenet1000.vit_b_32_datacomp_xl.fp16.safetensors")[
        "text_embeddings"
    ]
    vision = {
        "image_size": 224,
        "patch_size": 16,
        "width": 192,
        "layers": 12,
        "head_width": 64,
        "no_ln_pre": True,
    }
    model = load(
        "bridged",
        WEIGHTS / "openclip_visual_vit_tiny16_512_bridged.fp16.safetensors",
        config={"embed_dim": 512, "vision_cfg": {**vision, "no_ln_pre": True}},
        preprocess=_resize_256_crop_224(),
    )
    embedding = model.encode_image(model.preprocess(photographs()))
    words = directions(model, ([str(n) for n in range(1000)], text.float()))
    cosine = normalize(embedding, dim=-1) @ words.vectors.T
    for row, vector, item in zip(cosine, embedding, expected(), strict=True):
        assert vector[:4].tolist() == pytest.approx(item["embedding_first4"], abs=2e-3)
        assert vector.norm().item() == pytest.approx(item["embedding_norm"], abs=2e-3)
        assert row.topk(3).indices.tolist() == item["clip_top3_imagenet_index"]
        assert row.topk(3).values.tolist() == pytest.approx(item["clip_top3_cosine"], abs=2e-4)


def _resize_256_crop_224():
    from torchvision import transforms

    return transforms.Compose([
        transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
        transforms.Normalize((0.5,) * 3, (0.5,) * 3),
    ])  # fmt: skip
