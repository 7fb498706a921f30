"""Weights files as people have them: each gives the very weights that were saved."""

import pytest
import torch
from safetensors.torch import save_file

from kit.errors import KitError
from kit.models import load
from kit.models.hf_layout import from_transformers
from tests.unit import tiny_models as tiny


@pytest.fixture(scope="module")
def clip():
    return tiny.clip()


def wrapped(state: dict, how: str) -> dict:
    """A state as a trainer would have saved it."""
    prefixes = {
        "ddp": "module.",
        "compiled": "_orig_mod.",
        "both": "_orig_mod.module.",
        "lightning": "model.",
    }
    if how in prefixes:
        state = {prefixes[how] + name: value for name, value in state.items()}
    if how in ("state_dict", "model", "model_state_dict", "ema"):
        state = {how: state, "epoch": 3, "optimizer": {"lr": 0.1, "step": torch.tensor(4)}}
    if how == "deep":
        state = {
            "model": {"state_dict": {f"module.{name}": value for name, value in state.items()}},
            "epoch": 1,
        }
    if how == "lightning":
        state = {"state_dict": state, "global_step": 5}
    return state


@pytest.mark.parametrize(
    "how",
    [
        "plain",
        "ddp",
        "compiled",
        "both",
        "state_dict",
        "model",
        "model_state_dict",
        "ema",
        "lightning",
        "deep",
    ],
)
def test_trainers_files_give_the_saved_weights(clip, tmp_path, how):
    torch.save(wrapped(clip.state_dict(), how), tmp_path / "mine.pt")
    model = load("mine", tmp_path / "mine.pt", config=tiny.config())
    for name, value in clip.state_dict().items():
        assert torch.equal(model.library_model.state_dict()[name], value), name
    assert model.trained and model.has_text


def test_safetensors_in_half_precision_are_computed_in_float32(clip, tmp_path):
    save_file(
        {name: value.half() for name, value in clip.state_dict().items()}, tmp_path / "mine.safetensors"
    )
    model = load("mine", tmp_path / "mine.safetensors", config=tiny.config())
    assert model.dtype == torch.float32 and "Stored as float16, computed in float32." in model.notes
    assert torch.equal(model.encode_image(tiny.pixels()), clip.visual(tiny.pixels()))


def test_plain_and_averaged_weights_are_chosen_by_key(clip, tmp_path):
    other = {name: value + 1 for name, value in clip.state_dict().items()}
    torch.save({"ema": other, "model": clip.state_dict()}, tmp_path / "mine.pt")
    with pytest.raises(KitError, match=r'2 sets of weights that fit "mine": "ema", "model"; .* key="model"'):
        load("mine", tmp_path / "mine.pt", config=tiny.config())
    model = load("mine", tmp_path / "mine.pt", config=tiny.config(), key="ema")
    assert torch.equal(model.tower.proj, clip.visual.proj + 1)
    assert model.notes[0] == 'Weights taken from "ema" of mine.pt; it also holds "model".'
    model = load("mine", tmp_path / "mine.pt", config=tiny.config(), key="model")
    assert torch.equal(model.tower.proj, clip.visual.proj)
    assert "open_clip's defaults are used" in model.notes[1]


@pytest.mark.parametrize("prefix", ["", "visual.", "module.visual."])
def test_a_file_of_the_image_tower_alone_has_no_texts(clip, tmp_path, prefix):
    state = {prefix + name: value for name, value in clip.visual.state_dict().items()}
    torch.save(state, tmp_path / "vision.pt")
    for config in (tiny.config(text=False), tiny.config()):
        model = load("mine", tmp_path / "vision.pt", config=config)
        assert torch.equal(model.encode_image(tiny.pixels()), clip.visual(tiny.pixels()))
        assert not model.has_text
        with pytest.raises(KitError, match=r"class names, \(names, array\)"):
            model.encode_text("a dog")


def test_custom_text_towers_take_either_layout(clip, tmp_path):
    config = {**tiny.config(), "custom_text": True}
    torch.save(clip.state_dict(), tmp_path / "old.pt")
    custom = load("mine", tmp_path / "old.pt", config=config)
    torch.save(custom.library_model.state_dict(), tmp_path / "new.pt")
    plain = load("mine", tmp_path / "new.pt", config=tiny.config())
    assert torch.equal(custom.encode_text("a dog"), plain.encode_text("a dog"))
    assert torch.equal(plain.library_model.token_embedding.weight, clip.token_embedding.weight)


def transformers_state(clip) -> dict:
    """The weights under the names of `transformers`, written out by hand from its module tree."""
    visual, state = clip.visual, {"logit_scale": clip.logit_scale}
    vision, text = "vision_model.", "text_model."
    state[vision + "embeddings.class_embedding"] = visual.class_embedding
    state[vision + "embeddings.patch_embedding.weight"] = visual.conv1.weight
    state[vision + "embeddings.position_embedding.weight"] = visual.positional_embedding
    state[vision + "embeddings.position_ids"] = torch.arange(17)[None]
    state[text + "embeddings.token_embedding.weight"] = clip.token_embedding.weight
    state[text + "embeddings.position_embedding.weight"] = clip.positional_embedding
    state["visual_projection.weight"] = visual.proj.T.contiguous()
    state["text_projection.weight"] = clip.text_projection.T.contiguous()
    norms = {
        vision + "pre_layrnorm": visual.ln_pre, vision + "post_layernorm": visual.ln_post,
        text + "final_layer_norm": clip.ln_final,
    }  # fmt: skip
    for start, tower in ((vision, visual), (text, clip)):
        for number, block in enumerate(tower.transformer.resblocks):
            layer, width = f"{start}encoder.layers.{number}.", block.attn.embed_dim
            for place, letter in enumerate("qkv"):
                rows = slice(place * width, (place + 1) * width)
                state[f"{layer}self_attn.{letter}_proj.weight"] = block.attn.in_proj_weight[rows]
                state[f"{layer}self_attn.{letter}_proj.bias"] = block.attn.in_proj_bias[rows]
            norms |= {
                f"{layer}self_attn.out_proj": block.attn.out_proj, f"{layer}layer_norm1": block.ln_1,
                f"{layer}layer_norm2": block.ln_2, f"{layer}mlp.fc1": block.mlp.c_fc,
                f"{layer}mlp.fc2": block.mlp.c_proj,
            }  # fmt: skip
    for name, module in norms.items():
        state[f"{name}.weight"], state[f"{name}.bias"] = module.weight, module.bias
    return {name: value.detach().clone() for name, value in state.items()}


def test_a_clip_of_transformers_gives_the_same_representations(clip, tmp_path):
    save_file(transformers_state(clip), tmp_path / "model.safetensors")
    model = load("mine", tmp_path / "model.safetensors", config=tiny.config())
    tokens = model.text_tower.tokenizer(["a dog"], context_length=8)
    assert torch.equal(model.encode_image(tiny.pixels()), clip.visual(tiny.pixels()))
    assert torch.equal(model.library_model.encode_text(tokens), clip.encode_text(tokens))
    assert "layout of transformers" in " ".join(model.notes)


def test_the_vision_part_of_a_clip_of_transformers_has_no_texts(clip, tmp_path):
    state = {k: v for k, v in transformers_state(clip).items() if k.startswith("vis")}
    torch.save(state, tmp_path / "pytorch_model.bin")
    model = load("mine", tmp_path / "pytorch_model.bin", config=tiny.config())
    assert torch.equal(model.encode_image(tiny.pixels()), clip.visual(tiny.pixels()))
    assert not model.has_text


def test_other_models_of_transformers_are_named():
    with pytest.raises(KitError, match="without a class embedding, such as SigLIP"):
        from_transformers({"vision_model.head.probe": torch.zeros(1)}, "siglip.bin")


def test_timm_files_bring_the_size_of_their_head(tmp_path):
    source = load(tiny.TIMM, "random", config={**tiny.TIMM_CONFIG, "num_classes": 7}).library_model
    tiny.filled(source)
    names = [f"class {n}" for n in range(7)]
    for wrapping in ("plain", "model"):
        torch.save(wrapped(source.state_dict(), wrapping), tmp_path / "head.pth")
        model = load(tiny.TIMM, tmp_path / "head.pth", config={**tiny.TIMM_CONFIG, "class_names": names})
        assert model.class_head.shape == (7, 32) and model.class_names == names
        assert 'as for the tag "augreg_in21k_ft_in1k"; like= names another' in model.notes[-1]
        assert torch.equal(model.library_model(tiny.pixels()), source(tiny.pixels()))
    bare = {name: value for name, value in source.state_dict().items() if not name.startswith("head.")}
    torch.save(bare, tmp_path / "bare.pth")
    model = load(tiny.TIMM, tmp_path / "bare.pth", config=tiny.TIMM_CONFIG)
    assert model.class_head is None and model.library_model.num_classes == 0


def test_timm_files_follow_the_tag_that_like_names(tmp_path):
    source = load(tiny.TIMM, "random", config=tiny.TIMM_CONFIG).library_model
    torch.save(source.state_dict(), tmp_path / "a.pth")
    name = "timm/vit_base_patch16_224"
    mean = [
        load(name, tmp_path / "a.pth", config=tiny.TIMM_CONFIG, like=tag)
        .transform.transforms[-1]
        .mean[0]
        .item()
        for tag in ("mae", "augreg_in21k_ft_in1k")
    ]
    assert mean == pytest.approx([0.485, 0.5])


def test_a_timm_folder_loads_with_its_labels(tmp_path):
    import json

    source = tiny.filled(
        load(tiny.TIMM, "random", config={**tiny.TIMM_CONFIG, "num_classes": 3}).library_model
    )
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    settings = {
        "architecture": "vit_tiny_patch16_224", "num_classes": 3, "model_args": tiny.TIMM_CONFIG,
        "label_names": ["ant", "bee", "cat"],
        "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3, "input_size": [3, 32, 32], "crop_pct": 1.0,
        "classifier": "head", "first_conv": "patch_embed.proj", "fixed_input_size": True},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(settings))
    model = load(tmp_path)
    assert torch.equal(model.library_model(tiny.pixels()), source(tiny.pixels()))
    assert model.class_names == ["ant", "bee", "cat"] and model.image_size == (32, 32)
    assert model.transform.transforms[-1].std[0].item() == 0.25
