"""Live modules of transformers: which tensor is read, what is said of it, and what is refused."""

import pytest
import torch
from torch import nn

import kit
from kit.errors import KitError
from kit.models import load
from kit.models.build import seeded
from kit.models.directions import directions
from tests.unit import tiny_models as tiny
from tests.unit import tiny_transformers as hf
from tests.unit.test_live import same_state, state_of

PIXELS = tiny.pixels()


def own(module: nn.Module, **given):
    with torch.no_grad():
        return module(pixel_values=PIXELS, **given)


def in_order(module: nn.Module) -> torch.Tensor:
    """The class token of a masked autoencoder that masks nothing."""
    module.config.mask_ratio = 0.0
    out = own(module, noise=torch.arange(16.0).expand(2, 16)).last_hidden_state[:, 0]
    module.config.mask_ratio = 0.75
    return out


# name of the class -> its model, the representation by the library's own means, and what a note says
ROWS = {
    "ViTModel": (
        lambda: hf.make("ViTModel"),
        lambda m: own(m).last_hidden_state[:, 0],
        "passes an activation",
    ),
    "ViT without a pooler": (
        lambda: tiny.filled(type(hf.make("ViTModel"))(hf.make("ViTModel").config, add_pooling_layer=False)),
        lambda m: own(m).last_hidden_state[:, 0],
        "class token behind the last norm.",
    ),
    "DeiTModel": (lambda: hf.make("DeiTModel"), lambda m: own(m).last_hidden_state[:, 0], "never trained it"),
    "CLIPModel": (
        lambda: hf.dual(),
        lambda m: m.get_image_features(pixel_values=PIXELS).pooler_output,
        "",
    ),
    "CLIPVisionModelWithProjection": (
        lambda: hf.make("CLIPVisionModelWithProjection", projection_dim=24),
        lambda m: own(m).image_embeds,
        "",
    ),
    "CLIPVisionModel": (lambda: hf.make("CLIPVisionModel"), lambda m: own(m).pooler_output, ""),
    "SiglipVisionModel": (lambda: hf.make("SiglipVisionModel"), lambda m: own(m).pooler_output, ""),
    "Dinov2Model": (lambda: hf.make("Dinov2Model"), lambda m: own(m).pooler_output, ""),
    "BeitModel": (lambda: hf.make("BeitModel"), lambda m: own(m).pooler_output, ""),
    "SwinModel": (lambda: hf.make("SwinModel", hf.SWIN), lambda m: own(m).pooler_output, ""),
    "ViTMAEModel": (lambda: hf.make("ViTMAEModel", hf.VISION), in_order, "class token"),
    "ViTMAEForPreTraining": (
        lambda: hf.make("ViTMAEForPreTraining", {**hf.VISION, **hf.DECODER}),
        lambda m: in_order(m.vit),
        "that of ViTMAEModel, inside",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_the_representation_is_the_librarys_own_and_the_module_stays_as_it_was(row):
    make, truth, said = ROWS[row]
    module = make().requires_grad_(True)
    before, settings = state_of(module), str(module.config)
    model = load(module)
    with torch.no_grad():
        expected = truth(module)
    assert torch.equal(model.encode_image(PIXELS), expected)
    if row in ("ViTModel", "ViTMAEForPreTraining"):
        assert kit.decompose(model, PIXELS).error.max() < 1e-5
    assert same_state(before, state_of(module)) and str(module.config) == settings
    assert said in " ".join(model.notes) and (said or not model.notes)
    assert model.source == "transformers" and model.embed_dim == expected.shape[1]


CLASSIFIERS = {
    "ViTForImageClassification": {},
    "Dinov2ForImageClassification": {},
    "SwinForImageClassification": hf.SWIN,
    "BeitForImageClassification": {},
    "DeiTForImageClassificationWithTeacher": {},
    # computes a head that its classifier does not read
    "SiglipForImageClassification": {"vision_config": hf.VISION, "text_config": hf.TEXT},
    # its logits are those of one token [batch, 1, class]
    "PerceiverForImageClassificationLearned": hf.PERCEIVER,
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_rows_of_a_classifier_are_directions_of_its_input(name):
    labels = {2: "boat", 0: "cat", 1: "dog"}  # as a file may list them
    module = hf.make(
        name, CLASSIFIERS[name] or None, "eager" if name.startswith("Perceiver") else "sdpa",
        id2label=labels, label2id={v: k for k, v in labels.items()},
    )  # fmt: skip
    model = load(module)
    logits = own(module).logits
    z = model.encode_image(PIXELS)
    assert model.class_names == ["cat", "dog", "boat"]
    scores = z @ model.class_head.T  # and a bias, which no picture changes
    assert torch.allclose((scores - logits) - (scores - logits)[:1], torch.zeros(2, 3), atol=1e-5)
    assert directions(model, ["dog"]).vectors.shape == (1, model.embed_dim)
    if name == "Dinov2ForImageClassification":
        tokens = module.dinov2(pixel_values=PIXELS).last_hidden_state
        assert torch.equal(z, torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1))
    if name.endswith("Teacher"):
        assert "mean of 2 linear layers" in model.notes[0]
    if name.startswith(("Siglip", "Perceiver")):
        assert kit.decompose(model, PIXELS).error.max() < 1e-5 and model.layers == 2


def test_grid_and_prefix_tokens_are_read_from_one_forward():
    found = {
        name: (model.grid, model.prefix_tokens)
        for name, more in {
            "ViTModel": {"image_size": (32, 48)}, "DeiTModel": {}, "SiglipVisionModel": {},
            "Dinov2WithRegistersModel": {"num_register_tokens": 3},
            "DINOv3ViTModel": {"num_register_tokens": 2},
        }.items()
        for model in [load(hf.make(name, **more))]
    }  # fmt: skip
    assert found == {
        "ViTModel": ((4, 6), 1), "DeiTModel": ((4, 4), 2), "SiglipVisionModel": ((4, 4), 0),
        "Dinov2WithRegistersModel": ((4, 4), 4), "DINOv3ViTModel": ((4, 4), 3),
    }  # fmt: skip


def test_the_masked_autoencoder_keeps_its_patches_where_they_are():
    module = hf.make("ViTMAEModel")
    model = load(module)
    direction = nn.functional.normalize(torch.ones(1, 32), dim=-1)
    maps = kit.scores(model, PIXELS, direction, by="token")
    plain = hf.make("ViTModel")
    plain.load_state_dict({**plain.state_dict(), **module.state_dict()})
    same = kit.scores(load(plain), PIXELS, direction, by="token")
    assert torch.allclose(maps, same, atol=1e-5) and module.config.mask_ratio == 0.75


class LowRank(nn.Module):
    """A linear map with a small one beside it, as adapters put in."""

    def __init__(self, base: nn.Linear):
        super().__init__()
        self.base = base
        with seeded(4):
            self.down, self.up = nn.Linear(base.in_features, 2), nn.Linear(2, base.out_features)
        self.eval()

    def forward(self, x):
        return self.base(x) + self.up(self.down(x))


def adapted(parent: nn.Module, name: str) -> None:
    setattr(parent, name, LowRank(getattr(parent, name)))


def doubled(value: torch.Tensor) -> None:
    with torch.no_grad():
        value.mul_(2)


def scaled(part: nn.Module) -> None:
    part.register_forward_hook(lambda module, given, out: out * 1.5)


# of which model; which tensor the library itself gives; one change after the other
EDITED = {
    "ViTForImageClassification": (
        lambda: hf.make("ViTForImageClassification"),
        lambda m: m.vit(PIXELS).last_hidden_state[:, 0],
        {
            "a weight in place": lambda m: doubled(m.vit.layers[1].mlp.fc2.weight),
            "a weight through .data": lambda m: m.vit.layernorm.weight.data.mul_(1.5),
            "an adapter put in": lambda m: adapted(m.vit.layers[0].mlp, "fc1"),
            "a norm's epsilon": lambda m: setattr(m.vit.layernorm, "eps", 0.3),
            "a hook": lambda m: scaled(m.vit.layers[1].mlp),
        },
    ),
    "CLIPModel": (
        hf.dual,
        lambda m: m.get_image_features(pixel_values=PIXELS).pooler_output,
        {
            "an adapter around the projection": lambda m: adapted(m, "visual_projection"),
            "a weight of it in place": lambda m: doubled(m.visual_projection.up.weight),
            "a hook": lambda m: scaled(m.visual_projection),
        },
    ),
}


@pytest.mark.filterwarnings("ignore:.*has forward hooks")
@pytest.mark.parametrize("kind", EDITED)
def test_what_is_done_to_a_live_module_after_a_run_is_seen_by_the_next(kind):
    make, truth, edits = EDITED[kind]
    module = make()
    model = load(module)
    before = kit.decompose(model, PIXELS).total
    for what, edit in edits.items():
        edit(module)
        with torch.no_grad():
            true = truth(module)
        after = kit.decompose(model, PIXELS)
        assert (after.total - true).abs().max() < 1e-5 and after.error.max() < 1e-5, what
        assert (after.total - before).abs().max() > 1e-3, what
        before = after.total


def test_modes_types_and_a_new_classifier_of_a_live_module_are_said():
    module = hf.make("ViTForImageClassification")
    model = load(module)
    doubled(module.classifier.weight)
    assert torch.equal(model.class_head, module.classifier.weight)
    module.vit.layers[0].train()
    with pytest.raises(KitError, match="is in train mode"):
        kit.decompose(model, PIXELS)
    module.eval().half()
    with pytest.raises(KitError, match=r"computes in torch\.float16, too coarse"):
        kit.decompose(model, PIXELS)
    module.float()
    module.classifier = nn.Linear(32, 5)
    module.eval()
    with pytest.raises(KitError, match="the classifier of ViTForImageClassification is another than when"):
        kit.decompose(model, PIXELS)


def test_the_text_tower_is_no_part_of_the_image_tower():
    module = hf.dual()
    model = load(module)
    own = {id(part) for part in model.tower.modules()}
    assert id(module.vision_model) in own and id(module.text_model) not in own


def test_half_precision_of_transformers_is_copied():
    module = hf.make("ViTModel").bfloat16()
    model = load(module)
    assert "computes in bfloat16; a float32 copy" in model.notes[0]
    assert next(module.parameters()).dtype == torch.bfloat16 and model.dtype == torch.float32


@pytest.mark.parametrize("kernel", ["flash_attention_2", "flex_attention"])
def test_fused_kernels_are_refused_by_name(kernel):
    module = hf.make("ViTModel")
    module.config._attn_implementation_internal = kernel
    with pytest.raises(KitError, match=rf'by "{kernel}".*attn_implementation="sdpa"'):
        load(module)


def test_models_that_give_no_one_representation_say_what_they_give():
    with pytest.raises(KitError, match=r"SegformerModel gives tokens .* load the model with its classifier"):
        load(hf.make("SegformerModel", {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "image_size": 32}))
    with pytest.raises(KitError, match="CLIPTextModel reads input_ids, not pictures"):
        load(hf.make("CLIPTextModel", hf.TEXT))


def test_a_transform_or_settings_of_the_callers_stand_where_no_processor_lies():
    module = hf.make("ViTModel")
    with pytest.raises(KitError, match="how pictures are prepared for ViTModel is not known"):
        load(module).preprocess(torch.zeros(3, 9, 9, dtype=torch.uint8))
    model = load(module, preprocess={"mean": [0.5] * 3, "std": [0.25] * 3})
    assert model.preprocess(torch.zeros(3, 9, 9, dtype=torch.uint8)).unique().item() == -2
    with pytest.raises(KitError, match=r"cannot be run on pictures of 24 x 24 pixels: Input image size"):
        load(module, config={"image_size": 24})
