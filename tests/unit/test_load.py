"""Names, tags and settings: what `kit.load` makes of them before and after building."""

import socket

import open_clip
import pytest
import timm
import torch
from open_clip.transformer import QuickGELU

from kit.errors import KitError
from kit.models import available, build, fetch, load, load_open_clip, names
from tests.unit import tiny_models as tiny

TAGS = [
    (name, tag) for name in open_clip.list_models() for tag in open_clip.list_pretrained_tags_by_model(name)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write_folder(tmp_path_factory.mktemp("models") / "tiny-l2")


@pytest.fixture(scope="module")
def model(folder):
    return load(folder)


def normalization(transform) -> tuple:
    step = next(step for step in transform.transforms if hasattr(step, "mean"))
    return tuple(step.mean), tuple(step.std)


def test_there_are_many_tags():
    assert len(TAGS) > 150


@pytest.mark.parametrize("name, tag", TAGS)
def test_every_tag_keeps_the_settings_of_open_clips_tables(name, tag):
    entry, own = open_clip.get_pretrained_cfg(name, tag), open_clip.get_model_config(name)
    asked = load_open_clip.plan(name, tag)
    size = own["vision_cfg"]["image_size"]
    transform = load_open_clip.make_transform(asked.recipe, (size, size), None)
    assert asked.config["quick_gelu"] == bool(entry.get("quick_gelu") or own.get("quick_gelu"))
    assert normalization(transform) == (tuple(entry["mean"]), tuple(entry["std"]))
    theirs = open_clip.transform.PreprocessCfg(
        size=(size, size), **{key: entry[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    )
    assert str(transform) == str(open_clip.transform.image_transform_v2(theirs, is_train=False))
    assert {key: asked.config[key] for key in own if key != "quick_gelu"} == {
        key: value for key, value in own.items() if key != "quick_gelu"
    }


@pytest.mark.parametrize(
    "name, tag, quick",
    [
        ("ViT-B-32", "openai", True),
        ("ViT-B-32", "laion2b_s34b_b79k", False),
        ("ViT-L-14", "openai", True),
        ("ViT-L-14-336-quickgelu", "openai", True),
        ("ViT-B-16", "dfn2b", True),
        ("ViT-B-16", "laion2b_s34b_b88k", False),
    ],
)
def test_quickgelu_reaches_the_modules(name, tag, quick):
    with torch.device("meta"):
        module = build.build_open_clip(load_open_clip.plan(name, tag).config, vision_only=False)
    kinds = {type(block.mlp.gelu) for block in module.visual.transformer.resblocks}
    assert kinds == {QuickGELU if quick else torch.nn.GELU}


def test_like_decides_what_a_local_file_follows(tmp_path):
    file = tmp_path / "mine.pt"
    file.write_bytes(b"x")
    settled = load_open_clip.plan("ViT-L-14", file, like="laion2b_s32b_b82k")
    assert settled.config["quick_gelu"] is False and settled.recipe["mean"] == (0.5, 0.5, 0.5)
    settled = load_open_clip.plan("ViT-L-14", file, like="openai")
    assert settled.config["quick_gelu"] is True and settled.recipe["mean"][0] == pytest.approx(
        0.4815, abs=1e-4
    )
    other = load_open_clip.plan("mine", file, config=tiny.config(), like="ViT-B-32/openai")
    assert other.config["quick_gelu"] is True


def test_a_local_file_in_doubt_needs_like(tmp_path):
    file = tmp_path / "mine.pt"
    file.write_bytes(b"x")
    with pytest.raises(
        KitError, match=r'tags of "ViT-L-14" differ in quick_gelu, mean, std, and a file does not'
    ):
        load_open_clip.plan("ViT-L-14", file)
    decided = load_open_clip.plan(
        "ViT-L-14", file, config={"quick_gelu": True}, preprocess={"mean": 0.5, "std": 0.5}
    )
    assert decided.config["quick_gelu"] is True
    with pytest.raises(KitError, match=r"differ in quick_gelu, and a file does not"):
        load_open_clip.plan("ViT-L-14", file, preprocess={"mean": 0.5, "std": 0.5})
    assert load_open_clip.plan("ViT-L-14-336", file).config["quick_gelu"] is True  # all its tags agree


def test_random_weights_follow_the_seed_and_leave_the_stream_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, again, other = (
        load("mine", "random", config=tiny.config(False), seed=seed).weights_hash for seed in (0, 0, 1)
    )
    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), before)


def test_random_weights_are_marked(model):
    random = load("mine", "random", config=tiny.config(False))
    assert not random.trained and random.label == "mine (random weights, untrained)"
    assert "untrained" in repr(random) and "untrained" not in repr(model) and model.trained


def test_a_folder_loads_like_a_shipped_model(model, folder):
    assert (model.name, model.pretrained, model.source) == (str(folder), None, "open_clip")
    assert (model.image_size, model.grid, model.prefix_tokens, model.embed_dim) == ((32, 32), (4, 4), 1, 24)
    assert model.dtype == torch.float32 and "float16" in " ".join(model.notes)
    assert not any(p.requires_grad for p in model.library_model.parameters())
    random = load(folder, "random")
    assert not random.trained and random.weights_hash != model.weights_hash


def test_shipped_folders_are_found_by_name(folder, monkeypatch):
    monkeypatch.setattr(names, "SHIPPED", folder.parent)
    shipped = load("tiny-l2")
    assert shipped.label == "tiny-l2" and shipped.has_text
    row = available().set_index("name").loc["tiny-l2"]
    assert row.source == "shipped" and row.text
    with pytest.raises(KitError, match=r'no model "tiny-l8".* Nearest: tiny-l2'):
        load("tiny-l8")


@pytest.mark.parametrize(
    "name, prefix, grid, embed",
    [
        ("vit_small_patch14_reg4_dinov2", 5, (4, 4), 32),
        ("deit_tiny_distilled_patch16_224", 2, (7, 7), 32),
        ("vit_base_patch16_siglip_224", 0, (7, 7), 32),
        ("swin_tiny_patch4_window7_224", 0, (14, 14), 64),
    ],
)
def test_timm_facts_come_from_the_module(name, prefix, grid, embed):
    config = {"img_size": 56, "embed_dim": 32, "num_heads": 2, "depth": 1}
    if name.startswith("swin"):
        config = {"img_size": 56, "embed_dim": 32, "depths": (1, 1), "num_heads": (1, 2)}
    elif "patch14" not in name:
        config["patch_size"] = 8
    model = load(f"timm/{name}", "random", config=config)
    assert (model.prefix_tokens, model.grid, model.embed_dim) == (prefix, grid, embed)
    assert model.encode_image(tiny.pixels(size=56)).shape == (2, embed)
    tower = model.library_model
    if prefix:  # tokens that the module really has
        assert tower.forward_features(tiny.pixels(size=56)).shape[1] == prefix + grid[0] * grid[1]


def test_siglip_reads_images_and_says_what_texts_need(monkeypatch):
    asked = load_open_clip.plan("ViT-B-16-SigLIP", "webli").config
    with torch.device("meta"):
        facts = build.open_clip_facts(build.build_open_clip(asked, vision_only=True))
    assert facts == {"image_size": (224, 224), "grid": (14, 14), "prefix_tokens": 0}
    monkeypatch.setattr(load_open_clip, "has_package", lambda name: False)
    config = tiny.config()
    config["text_cfg"]["hf_tokenizer_name"] = asked["text_cfg"]["hf_tokenizer_name"]
    model = load("mine", "random", config=config)
    assert not model.has_text and model.encode_image(tiny.pixels()).shape == (2, 24)
    with pytest.raises(KitError, match=r'"mine" reads text with .* not installed: pip install transformers'):
        model.encode_text("a dog")


def test_text_towers_of_the_hub_are_asked_of_its_cache_alone_where_it_does_not_answer(monkeypatch):
    monkeypatch.setattr(fetch, "reachable", lambda: False)
    small = {"vision_cfg": {"layers": 1, "width": 64}}
    model = load("xlm-roberta-base-ViT-B-32", "random", config=small)
    with pytest.raises(KitError, match=r'text tower "xlm-roberta-base", which is not in the hub'):
        model.encode_text("a dog")
    config = tiny.config()
    config["text_cfg"]["hf_tokenizer_name"] = "timm/ViT-B-16-SigLIP"
    made = load_open_clip.Texts(lambda: load_open_clip._tokenizer("ViT-B-16-SigLIP", config, "mine"))
    with pytest.raises(KitError, match=r"the tokenizer of .* the hub does not answer"):
        made.make()


def test_coca_gives_its_pooled_output_alone():
    config = {
        **tiny.config(), "multimodal_cfg": {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2,
        "layers": 1, "attn_pooler_heads": 2},
    }  # fmt: skip
    config["vision_cfg"] |= {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    config["text_cfg"] |= {"embed_cls": True, "output_tokens": True}
    model = load("mine", "random", config=config)
    assert model.encode_image(tiny.pixels()).shape == (2, 24)
    assert model.encode_text(["a dog"]).shape == (1, 24)


def test_the_table_of_models_needs_no_network(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    table = available()
    rows = table.set_index(["name", "pretrained"])
    assert rows.loc[("ViT-B-32", "openai")].text and rows.loc[("ViT-B-32", "random")].source == "open_clip"
    assert rows.loc[("ViT-B-16-SigLIP", "webli")].needs == "transformers"
    assert rows.loc[("timm/deit_small_patch16_224", "fb_in1k")].family == "deit"
    assert set(open_clip.list_models()) | {f"timm/{n}" for n in timm.list_models()} <= set(table.name)


def test_memory_is_estimated_before_building(monkeypatch):
    monkeypatch.setattr(build, "free_memory", lambda: 2**28)
    with pytest.raises(KitError) as caught:
        load("ViT-B-32", "random")
    assert str(caught.value) == (
        '"ViT-B-32" needs about 0.6 GiB (151,277,313 parameters in float32), but 0.2 GiB of memory are free; '
        "close other programs or choose a smaller model."
    )


def test_a_tag_is_taken_from_the_cache_before_any_network(tmp_path, monkeypatch):
    """A tag's whole way, on a tiny architecture that stands in open_clip's tables for the test."""
    module = tiny.clip(tiny.config(False))
    full = tiny.clip()
    file = tmp_path / "open_clip_model.safetensors"
    tiny.save_file(full.state_dict(), file)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-tiny-test", tiny.config())
    entry = {**open_clip.get_pretrained_cfg("ViT-B-32", "openai"), "hf_hub": "nobody/nothing/"}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "ViT-tiny-test", {"openai": entry})
    monkeypatch.setattr(fetch, "cached_file", lambda repository, files: str(file))
    monkeypatch.setattr(fetch, "reachable", lambda: pytest.fail("the network was asked"))
    model = load("ViT-tiny-test", "openai")
    assert isinstance(model.tower.transformer.resblocks[0].mlp.gelu, QuickGELU)
    assert not isinstance(module.transformer.resblocks[0].mlp.gelu, QuickGELU)
    for name, value in full.visual.state_dict().items():
        assert torch.equal(model.tower.state_dict()[name], value)
    assert model.label == "ViT-tiny-test" and model.pretrained == "openai"


def test_the_cache_is_looked_at_in_the_hubs_own_layout(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--some--repo" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--some--repo" / "refs").mkdir()
    (tmp_path / "models--some--repo" / "refs" / "main").write_text("abc")
    (snapshot / "b.bin").write_bytes(b"x")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = fetch.cached_file("some/repo", ("a.safetensors", "b.bin"))
    assert found == str(snapshot / "b.bin")
    assert fetch.cached_file("some/repo", ("a.safetensors",)) is None


def test_devices_are_chosen_and_checked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert build.pick_device(None).type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert build.pick_device(None).type == "cpu"
