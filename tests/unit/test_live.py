"""Live modules: the same as by name to the bit, never changed; what does not show is asked for."""

import copy

import pytest
import timm
import torch
from torch import nn
from torchvision import transforms

import kit
from kit.errors import KitError
from kit.models import load
from kit.models.build import seeded
from tests.unit import tiny_models as tiny

TEXTLESS = tiny.config(text=False)
ATTENTION_POOL = {**TEXTLESS, "vision_cfg": {**tiny.VISION, "attentional_pool": True, "attn_pooler_heads": 2}}
VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
DINOV2 = {"img_size": 28, "patch_size": 7, "embed_dim": 32, "depth": 2, "num_heads": 2}
SWIN = {"img_size": 64, "embed_dim": 16, "depths": (2, 1), "num_heads": (1, 2), "window_size": 4}
BY_NAME = {
    "a CLIP": ("mine", tiny.config()),
    "a tower with QuickGELU": ("mine", {**TEXTLESS, "quick_gelu": True}),
    "an image tower of open_clip": ("mine", TEXTLESS),
    "one that pools by attention": ("mine", ATTENTION_POOL),
    "a trunk of timm in open_clip": (
        "mine",
        {"embed_dim": 24, "vision_cfg": {
            "timm_model_name": "test_vit", "image_size": 160, "timm_proj": "linear"}},
    ),
    "ViT": (tiny.TIMM, VIT),
    "a ViT with a head": (tiny.TIMM, {**VIT, "class_names": ["a", "b"], "num_classes": 2}),
    "DINOv2 with registers": ("timm/vit_small_patch14_reg4_dinov2", DINOV2),
    "distilled DeiT": ("timm/deit_tiny_distilled_patch16_224", VIT),
    "Swin": ("timm/swin_tiny_patch4_window7_224", SWIN),
}  # fmt: skip


def facts(model) -> dict:
    names = (
        "source embed_dim image_size grid prefix_tokens preprocessing weights_hash class_names layers heads"
    )
    return {name: getattr(model, name) for name in names.split()}


def state_of(module: nn.Module) -> list:
    """What a module holds: modules, hooks and tensors by identity, plain attributes by value."""
    tensors = list(module.state_dict(keep_vars=True).values())
    about = [(id(t), t._version, t.requires_grad, t.dtype, t.device) for t in tensors]
    tables = [(id(m), {k: attribute(v) for k, v in m.__dict__.items()}) for m in module.modules()]
    return [about, tables, [t.detach().clone() for t in tensors]]


def attribute(value: object) -> object:
    """Containers that torch.export makes anew by what they say, hooks and modules by identity."""
    if isinstance(value, dict):
        return {k: attribute(v) for k, v in value.items()}
    plain = isinstance(value, tuple | list | set | str | int | float)
    return repr(value) if plain else id(value)


def same_state(before: list, after: list) -> bool:
    return before[:2] == after[:2] and all(map(torch.equal, before[2], after[2]))


@pytest.mark.parametrize("kind", BY_NAME)
def test_a_live_module_is_the_same_as_by_name_to_the_bit_and_stays_as_it_was(kind):
    name, config = BY_NAME[kind]
    by_name = load(name, "random", config=config)
    tiny.filled(by_name.library_model)
    # with gradients, torch's own attention module computes otherwise: 7e-7 apart
    module = copy.deepcopy(by_name.library_model).requires_grad_("attention" not in kind)
    before = state_of(module)
    labels = {"class_names": config["class_names"]} if "class_names" in config else None
    live, pixels = load(module, config=labels), tiny.pixels(size=by_name.image_size[0])
    assert live.library_model is module and facts(live) == facts(by_name)
    assert torch.equal(live.encode_image(pixels), by_name.encode_image(pixels))
    ours, theirs = kit.decompose(live, pixels), kit.decompose(by_name, pixels)
    assert torch.equal(ours.values, theirs.values) and not ours.values.requires_grad
    assert list(ours.index.name) == list(theirs.index.name) and live.has_text == by_name.has_text
    if live.has_text:
        assert torch.equal(live.encode_text(["a dog"]), by_name.encode_text(["a dog"]))
    assert same_state(before, state_of(module))


def vit(**settings) -> nn.Module:
    with seeded(0):
        return tiny.filled(timm.create_model("vit_tiny_patch16_224", **{**VIT, "num_classes": 0, **settings}))


def test_a_hook_that_is_set_later_is_part_of_the_model():
    module = vit()
    model, pixels = load(module), tiny.pixels()
    before = kit.decompose(model, pixels)
    handle = module.blocks[-1].attn.register_forward_hook(lambda part, args, out: out * 0)
    with pytest.warns(UserWarning, match="has forward hooks"):
        edited = kit.decompose(model, pixels)
    assert torch.equal(edited.total, model.encode_image(pixels)) or edited.error.max() < 1e-5
    assert (edited.total - before.total).abs().max() > 0.01
    handle.remove()
    assert torch.allclose(kit.decompose(model, pixels).total, before.total, atol=1e-6)


def test_train_mode_is_a_sentence_and_no_switch():
    module = vit().train()
    with pytest.raises(KitError, match=r"is in train mode, .* call module\.eval\(\) first"):
        load(module)
    assert module.training
    half_trained = vit()
    half_trained.blocks[0].mlp.train()
    with pytest.raises(KitError, match="train mode"):
        load(half_trained)
    assert half_trained.blocks[0].mlp.training and not half_trained.training


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_a_copy_that_says_so(kind):
    module = vit().to(kind)
    before = state_of(module)
    model = load(module)
    assert same_state(before, state_of(module)) and next(module.parameters()).dtype == kind
    assert model.dtype == torch.float32 and model.library_model is not module
    size = sum(4 * p.numel() for p in module.parameters()) / 2**20
    assert f"computes in {str(kind)[6:]}; a float32 copy of {size:,.0f} MiB" in model.notes[0]
    full = vit().to(kind).float()
    assert torch.equal(model.encode_image(tiny.pixels()), full(tiny.pixels()))


def test_double_precision_is_taken_as_it_is():
    module = vit().double()
    model = load(module)
    assert model.library_model is module and not model.notes and kit.check(model).tolerance == 1e-10


def test_mixed_precision_becomes_a_copy_too():
    module = vit()
    module.norm.half()
    assert "float16 and float32; a float32 copy" in load(module).notes[0]


class Quantised(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False)


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: Quantised(), r'holds int8 in "weight", as quantised modules do'),
        (lambda: nn.Flatten(), "has no weights"),
        (lambda: nn.Linear(2, 2, device="meta"), "no values in \"weight\""),
        (lambda: nn.Conv2d(3, 4, 8), "what size of pictures Conv2d reads could not be found"),
        (lambda: nn.Sequential(), "has no weights"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_apart_gets_a_sentence(make, said):
    with pytest.raises(KitError, match=said):
        load(make().eval())


def test_weights_settings_and_unknown_words_are_refused():
    module = vit()
    with pytest.raises(KitError, match="leave out pretrained=, like= and key="):
        load(module, "random")
    with pytest.raises(KitError, match=r'no setting "grit"; .* Nearest: grid'):
        load(module, config={"grit": (4, 4)})
    with pytest.raises(KitError, match="preprocess= should be a dict"):
        load(module, preprocess=3)


class Mine(nn.Module):
    """A tower of the user's own: patches by a linear layer after two more tokens, the first is read."""

    def __init__(self, out=None):
        super().__init__()
        self.cut = nn.Unfold(8, stride=8)
        self.embed = nn.Linear(192, 32)
        self.tokens = nn.Parameter(torch.randn(1, 2, 32))
        self.block = nn.TransformerEncoderLayer(32, 2, 64, 0.0, "gelu", batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(32)
        self.out = out

    def forward(self, pixels):
        tokens = self.embed(self.cut(pixels).transpose(1, 2))
        tokens = self.norm(self.block(torch.cat([self.tokens.expand(pixels.shape[0], -1, -1), tokens], 1)))
        return tokens[:, 0] if self.out is None else self.out(tokens)


def mine(out=None) -> nn.Module:
    with seeded(3):
        return Mine(out).eval()


TRANSFORM = transforms.Compose(
    [transforms.Resize((32, 48)), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)]
)


class Listed(nn.Module):
    """A head whose setting stands in a plain list."""

    def __init__(self):
        super().__init__()
        self.scales = [1.0]

    def forward(self, tokens):
        return tokens[:, 0] * self.scales[0]


def test_a_setting_in_a_plain_list_that_is_changed_later_is_seen():
    module = mine(Listed())
    model, pixels = load(module, preprocess=TRANSFORM), torch.randn(2, 3, 32, 48)
    before = kit.decompose(model, pixels).total
    module.out.scales[0] = 2.0
    assert torch.allclose(kit.decompose(model, pixels).total, 2 * before, atol=1e-5)


def test_a_module_of_ones_own_shows_where_its_patches_lie():
    module = mine()
    model = load(module, preprocess=TRANSFORM)
    assert (model.image_size, model.grid, model.prefix_tokens, model.embed_dim) == ((32, 48), (4, 6), 2, 32)
    pixels = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    assert model.tower is module and kit.decompose(model, pixels).error.max() < 1e-5
    assert str(kit.check(model)).startswith("exact")
    assert model.preprocess(torch.zeros(3, 9, 9, dtype=torch.uint8)).shape == (1, 3, 32, 48)


class PooledAndNormed(nn.Module):
    """As LeViT ends: the mean of the tokens, then a batch norm."""

    def __init__(self):
        super().__init__()
        self.norm = tiny.filled(nn.BatchNorm1d(32))

    def forward(self, tokens):
        return self.norm(tokens.mean(1))


def test_a_representation_behind_a_batch_norm_is_taken_apart():
    model = load(mine(PooledAndNormed()), preprocess=TRANSFORM)
    pixels = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    parts = kit.decompose(model, pixels)
    assert parts.error.max() < 1e-5
    assert torch.allclose(parts.total, model.encode_image(pixels), atol=1e-5)


class Counts(nn.Module):
    """A tower that reads how many pictures there are as a plain number."""

    def __init__(self):
        super().__init__()
        self.cut = nn.Conv2d(3, 8, 16)

    def forward(self, pixels):
        return self.cut(pixels).reshape(len(pixels), -1)


def test_a_fixed_number_of_pictures_is_named():
    with pytest.raises(KitError, match=r"fixed number, as len\(pixels\)"):
        kit.decompose(load(Counts().eval(), config={"image_size": 16}), tiny.pixels(size=16))


def test_what_a_module_does_not_say_is_asked_for_where_it_is_needed():
    with pytest.raises(KitError, match="what size of pictures Mine reads"):
        load(mine())
    model = load(mine(), config={"image_size": (32, 48)})
    with pytest.raises(KitError, match=r"how pictures are prepared for Mine is not known: .* preprocess="):
        model.preprocess(torch.zeros(3, 9, 9, dtype=torch.uint8))
    plain = load(mine(), config={"image_size": (32, 48)}, preprocess={"mean": 0.5, "std": 0.25})
    assert plain.preprocess(torch.zeros(3, 9, 9, dtype=torch.uint8)).unique().item() == -2
    with pytest.raises(KitError, match="make them agree"):
        load(mine(), preprocess=TRANSFORM, config={"image_size": 64})
    with pytest.raises(KitError, match="of differing size"):
        load(mine(), preprocess=transforms.Compose([transforms.Resize(32), transforms.ToTensor()]))
    with pytest.raises(KitError, match=r"cannot be run on pictures of 20 x 20"):
        load(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)).eval(), config={"image_size": 20})


def test_patches_that_cannot_be_found_are_asked_for():
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 5)).eval()
    with pytest.raises(KitError, match=r'could not be read from it; give config=\{"grid"'):
        load(module, config={"image_size": 8})
    model = load(module, config={"image_size": 8, "grid": (2, 4), "prefix_tokens": 1})
    assert (model.grid, model.prefix_tokens, model.embed_dim) == ((2, 4), 1, 5)


def test_what_is_given_stands_over_what_is_read():
    given = {"grid": (6, 4), "prefix_tokens": 3}
    model = load(mine(), preprocess=TRANSFORM, config=given)
    assert (model.grid, model.prefix_tokens) == ((6, 4), 3)
    module = vit(num_classes=2)
    module.pretrained_cfg = {**module.pretrained_cfg, "label_names": ["a", "b"]}
    assert load(module).class_names == ["a", "b"]
    assert load(module, config={"class_names": ["cat", "dog"]}).class_names == ["cat", "dog"]


class Strided(nn.Module):
    """Patches by two convolutions; a third, behind a linear layer, halves what they cut."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.GELU(), nn.Conv2d(8, 16, 2, 2))
        self.mix, self.less, self.out = nn.Linear(16, 16), nn.Conv2d(16, 16, 2, 2), nn.Linear(16, 4)

    def forward(self, pixels):
        cut = self.stem(pixels)
        mixed = self.mix(cut.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(cut.shape)
        return self.out(self.less(mixed).mean((2, 3)))


class Grouped(nn.Module):
    """Tokens that are no patches: three rows of the picture each."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3 * 3 * 24, 8)

    def forward(self, pixels):
        return self.embed(pixels.transpose(1, 2).reshape(pixels.shape[0], 8, -1)).mean(1)


def test_patches_are_what_the_last_convolution_before_a_linear_layer_cuts():
    assert load(Strided().eval(), config={"image_size": (32, 64)}).grid == (4, 8)
    with pytest.raises(KitError, match="where the patches of Grouped lie could not be read"):
        load(Grouped().eval(), config={"image_size": (24, 24)})


def test_hooks_of_the_caller_are_not_called_by_loading():
    module, calls = mine(), []
    module.norm.register_forward_hook(lambda *_: calls.append("a look"))
    load(module, preprocess=TRANSFORM)
    assert not calls


@pytest.mark.parametrize(
    "out, said",
    [
        (nn.Identity(), r"it gives tokens \[batch, 26, 32\] and no one representation"),
        (lambda tokens: {"a": tokens}, "it gives a dict of a"),
    ],
)
def test_a_module_without_one_representation_is_refused(out, said):
    with pytest.raises(KitError, match=said):
        load(mine(out), preprocess=TRANSFORM)


def test_settings_of_pictures_that_open_clip_writes_into_its_module_are_followed():
    module = tiny.clip()
    module.visual.preprocess_cfg = {**tiny.PREPROCESS, "fill_color": 0}
    model = load(module)
    assert "Normalize(mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25])" in model.preprocessing
    assert not any("defaults" in note for note in model.notes)


def test_a_tokenizer_is_asked_for_where_the_vocabulary_is_not_open_clips(tmp_path):
    shipped = load(tiny.write_folder(tmp_path / "tiny"))
    live = load(shipped.library_model)
    with pytest.raises(KitError, match=r'the vocabulary of "CLIP" is not open_clip\'s own.*"tokenizer"'):
        live.encode_text("a dog")
    given = load(shipped.library_model, config={"tokenizer": shipped.text_tower.tokenizer})
    assert torch.equal(given.encode_text("a dog"), shipped.encode_text("a dog"))
