"""A reader's own tower in the space of a reader's own CLIP, by names and paths alone."""

import pytest
import torch
import transformers
from torch.nn.functional import normalize

import kit
from kit.errors import KitError
from kit.models import directions
from kit.projections import fitted, load_aligned, save_aligner, seen_by_both
from tests.unit import tiny_models as tiny
from tests.unit import tiny_transformers as hf
from tests.unit.test_readme import pictures

TEXTS = ["a cat", "a dog"]
GOOD, BROKEN = [f"{place}/{number}.png" for place in "ab" for number in range(6)], "a/broken.png"
TOWERS = {
    "timm": ("timm/vit_tiny_patch16_224", "random", tiny.TIMM_CONFIG),
    "transformers": ("vit", None, None),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """What a reader has: a folder of a tower, and a folder of pictures of which one cannot be read."""
    folder = tmp_path_factory.mktemp("reader")
    hf.make("ViTModel").save_pretrained(folder / "vit")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "vit")
    pictures(folder / "pictures", GOOD)
    (folder / "pictures" / BROKEN).write_bytes((folder / "pictures" / GOOD[0]).read_bytes()[:50])
    (folder / "pictures/about.txt").write_text("of no matter")
    return folder


@pytest.fixture(scope="module")
def clip():
    return kit.load("my clip", "random", config=tiny.config())


@pytest.fixture(scope="module", params=TOWERS)
def base(request, place):
    name, weights, config = TOWERS[request.param]
    model = kit.load(place / name if weights is None else name, weights, config=config)
    assert model.source == request.param
    return model


@pytest.fixture(scope="module")
def images(place):
    return kit.data.read_folder(place / "pictures")


@pytest.fixture(scope="module", params=["shared", "cosine", "marginal"])
def tower(request, base, clip, images, place):
    return kit.align(base, clip, images, request.param, path=place / "passes")


def test_what_cannot_be_read_is_left_out_of_both_passes(base, clip, images, place, tower):
    passes = base.passes["image"], clip.passes["image"]
    store, target = seen_by_both(base, clip, images, place / "passes")
    assert (base.passes["image"], clip.passes["image"]) == passes  # what `align` kept
    assert set(store.damaged) == {BROKEN} and store.files == sorted(GOOD) and len(target) == len(GOOD)
    seen = clip.encode_image(clip.preprocess([place / "pictures" / name for name in store.files]))
    assert (target - normalize(seen, dim=-1)).abs().max() < 1e-5


def test_any_text_is_asked_and_scores_of_parts_sum_to_its_cosine(tower, base, clip, images):
    texts = tower.encode_text(TEXTS)
    assert torch.equal(texts, clip.encode_text(TEXTS))
    pixels = tower.preprocess([images[images.names.index(name)] for name in GOOD])
    run, plain = kit.run(tower, pixels), kit.run(base, pixels)
    cosine = normalize(tower.encode_image(pixels), dim=-1) @ texts.T
    assert (run.scores(texts).sum(1) - cosine).abs().max() < 1e-5
    parts = plain.vectors() / plain.norm[:, None, None]
    mapped = parts if tower.names else parts.sum(1, keepdim=True)
    rows = [plain.index["name"].tolist().index(name) for name in tower.names]
    total = tower.aligner.total(mapped[:, rows] if rows else mapped)
    assert (total - tower.encode_image(pixels)).abs().max() < 1e-5
    assert not tower.trained and "random weights, untrained" in tower.label  # a random CLIP knows nothing


def test_panels_open_on_it(tower, images):
    panel = kit.panels.Explorer([tower], images, texts=TEXTS)
    try:
        assert panel.last_error is None and "‘a cat’" in panel.caption
        panel.choose(image="image 3", texts=["a dog", "a zebra"])
        assert panel.last_error is None and "‘a dog’" in panel.caption
    finally:
        panel.close()


def test_maps_of_ones_own_come_back_from_a_file(base, clip, images, place, tmp_path, tower):
    store, _ = seen_by_both(base, clip, images, place / "passes")
    save_aligner(tmp_path / "maps.safetensors", tower, store)
    again = load_aligned(base, tmp_path / "maps.safetensors", clip)
    assert again.aligner.kind == tower.aligner.kind and again.names == tower.names
    assert torch.equal(again.encode_text(TEXTS), tower.encode_text(TEXTS))


def test_a_clip_whose_texts_are_directions_of_a_file(base, images, place):
    clip = kit.load("my image tower", "random", config=tiny.config(text=False), seed=2)
    with pytest.raises(KitError, match=r"my image tower.*Where texts are directions of a file, map with"):
        kit.align(base, clip, images)
    assert not clip.passes["image"]
    tower = fitted(base, clip, *seen_by_both(base, clip, images, place / "others"), "marginal")
    asked = directions(tower, (TEXTS, torch.eye(tower.embed_dim)[:2])).vectors
    pixels = tower.preprocess([place / "pictures" / GOOD[0]])
    cosine = normalize(tower.encode_image(pixels), dim=-1) @ asked.T
    assert (kit.run(tower, pixels).scores(asked).sum(1) - cosine).abs().max() < 1e-5
    with pytest.raises(KitError, match="my image tower"):
        tower.encode_text(TEXTS)
    assert "Directions are those of my image tower" in tower.notes[-1]
