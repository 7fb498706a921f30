"""Models of transformers against loops over their own weights, in float64."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

import kit
from kit.models import load
from kit.parts.checked import checked_run
from kit.parts.faults import fault_of
from tests.unit import tiny_models as tiny
from tests.unit import tiny_transformers as hf

PIXELS = tiny.pixels(batch=3).double()


def frozen(norm: nn.LayerNorm, at: Tensor):
    """A layer norm at a stream, as the linear map that it is with its spread held; its bias apart."""
    spread = (at.var(-1, correction=0, keepdim=True) + norm.eps).sqrt()
    return lambda x: (x - x.mean(-1, keepdim=True)) / spread * norm.weight


def walked(stream: Tensor, layers: list[dict]) -> tuple[Tensor, dict[str, Tensor]]:
    """The stream behind all blocks, and what each part has written into it, [batch, token, dim]."""
    written = {"embed": stream}
    for number, layer in enumerate(layers):
        h = layer["norm1"](stream)
        out = layer["o"]
        each = out.weight.shape[1] // 2
        q, k, v = (layer[name](h).unflatten(-1, (2, each)).transpose(1, 2) for name in "qkv")
        pattern = (q @ k.transpose(-1, -2) / each**0.5).softmax(-1)
        gain = layer.get("gain1", 1)
        for head in range(2):
            weight = out.weight[:, head * each : (head + 1) * each]
            written[f"L{number}.H{head}"] = (pattern[:, head] @ v[:, head]) @ weight.T * gain
        written[f"L{number}.attn.bias"] = (out.bias * gain).expand_as(stream)
        stream = stream + sum(w for n, w in written.items() if n.startswith((f"L{number}.H", f"L{number}.a")))
        written[f"L{number}.MLP"] = layer["mlp"](layer["norm2"](stream)) * layer.get("gain2", 1)
        stream = stream + written[f"L{number}.MLP"]
    return stream, written


def blocks(layers, attention: str, norms: tuple[str, str], out: str = "o_proj", gains=()) -> list[dict]:
    found = []
    for layer in layers:
        own = getattr(layer, attention)
        found.append({
            **{name: getattr(own, f"{name}_proj") for name in "qkv"}, "o": getattr(own, out),
            "mlp": layer.mlp, "norm1": getattr(layer, norms[0]), "norm2": getattr(layer, norms[1]),
        })  # fmt: skip
        found[-1] |= {f"gain{n}": layer.get_parameter(gain) for n, gain in enumerate(gains, 1)}
    return found


def patches(cut: nn.Conv2d) -> Tensor:
    return cut(PIXELS).flatten(2).transpose(1, 2)


def before(tokens: Tensor, *first: Tensor) -> Tensor:
    return torch.cat([*[f.expand(len(tokens), -1, -1) for f in first], tokens], 1)


def loop_vit(model) -> dict[str, Tensor]:
    model = model.vit
    own = model.embeddings
    stream = before(patches(own.patch_embeddings.projection), own.cls_token) + own.position_embeddings
    layers = blocks(model.layers, "attention", ("layernorm_before", "layernorm_after"))
    stream, written = walked(stream, layers)
    norm = frozen(model.layernorm, stream)
    return {n: norm(w)[:, 0] for n, w in written.items()} | {"final.bias": model.layernorm.bias}


def loop_clip(model) -> dict[str, Tensor]:
    tower, project = model.vision_model, model.visual_projection
    own = tower.embeddings
    stream = (
        before(patches(own.patch_embedding), own.class_embedding[None, None]) + own.position_embedding.weight
    )
    stream = tower.pre_layrnorm(stream)
    names = ("layer_norm1", "layer_norm2")
    stream, written = walked(stream, blocks(tower.encoder.layers, "self_attn", names, "out_proj"))
    norm = frozen(tower.post_layernorm, stream)
    parts = {n: project(norm(w)[:, 0]) for n, w in written.items()}
    return parts | {"final.bias": project(tower.post_layernorm.bias)}


def loop_dinov2(model) -> dict[str, Tensor]:
    tower = model.dinov2_with_registers
    own = tower.embeddings
    stream = before(patches(own.patch_embeddings.projection), own.cls_token) + own.position_embeddings
    stream = before(stream[:, 1:], stream[:1, :1], own.register_tokens)
    gains = ("layer_scale1.lambda1", "layer_scale2.lambda1")
    stream, written = walked(
        stream, blocks(tower.encoder.layer, "attention", ("norm1", "norm2"), gains=gains)
    )
    norm = frozen(tower.layernorm, stream)
    read = lambda x: torch.cat([x[:, 0], x[:, 3:].mean(1)], 1)  # noqa: E731
    bias = torch.cat([tower.layernorm.bias] * 2)
    return {n: read(norm(w)) for n, w in written.items()} | {"final.bias": bias}


def loop_beit(model) -> dict[str, Tensor]:
    own = model.embeddings
    stream = before(patches(own.patch_embeddings.projection), own.cls_token) + own.position_embeddings
    names, gains = ("layernorm_before", "layernorm_after"), ("lambda_1", "lambda_2")
    stream, written = walked(stream, blocks(model.layers, "attention", names, gains=gains))
    pooled = model.pooler.layernorm
    norm = frozen(pooled, stream[:, 1:].mean(1))
    return {n: norm(w[:, 1:].mean(1)) for n, w in written.items()} | {"final.bias": pooled.bias}


def loop_siglip(model) -> dict[str, Tensor]:
    tower = model.vision_model
    own, head = tower.embeddings, tower.head
    stream = patches(own.patch_embedding) + own.position_embedding.weight
    names = ("layer_norm1", "layer_norm2")
    stream, written = walked(stream, blocks(tower.encoder.layers, "self_attn", names, "out_proj"))
    norm, pool = frozen(tower.post_layernorm, stream), head.attention
    weights, biases = pool.in_proj_weight.chunk(3), pool.in_proj_bias.chunk(3)
    normed = norm(stream) + tower.post_layernorm.bias
    q = (head.probe[0] @ weights[0].T + biases[0]).unflatten(-1, (2, 16)).transpose(0, 1)  # [head, 1, 16]
    k = (normed @ weights[1].T + biases[1]).unflatten(-1, (2, 16)).transpose(1, 2)
    pattern = (q @ k.transpose(-1, -2) / 4).softmax(-1)  # [batch, head, 1, token]

    def read(x: Tensor) -> Tensor:
        v = (x @ weights[2].T).unflatten(-1, (2, 16)).transpose(1, 2)  # [batch, head, token, 16]
        return (pattern @ v)[:, :, 0].flatten(1) @ pool.out_proj.weight.T

    parts = {n: read(norm(w)) for n, w in written.items()}
    constant = tower.post_layernorm.bias @ weights[2].T + biases[2]
    parts["final.bias"] = constant @ pool.out_proj.weight.T + pool.out_proj.bias
    parts["vision_model.head.mlp"] = head.mlp(head.layernorm(sum(parts.values())))
    return parts


KINDS = {
    "ViT": (
        lambda a: hf.make("ViTForImageClassification", None, a, num_labels=3),
        loop_vit,
    ),
    "CLIP": (lambda a: hf.dual(attention=a), loop_clip),
    "DINOv2 with registers": (
        lambda a: hf.make(
            "Dinov2WithRegistersForImageClassification", None, a, num_register_tokens=2, num_labels=3
        ),
        loop_dinov2,
    ),
    "BEiT": (lambda a: hf.make("BeitModel", None, a, use_absolute_position_embeddings=True), loop_beit),
    "SigLIP": (lambda a: hf.dual("SiglipModel", a), loop_siglip),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    make, loop = KINDS[request.param]
    module = hf.randomly_scaled(make("sdpa")).double()
    model = load(module)
    return module, model, kit.decompose(model, PIXELS), loop


def test_parts_equal_a_loop_over_the_modules_own_weights(kind):
    module, model, parts, loop = kind
    with torch.no_grad():
        expected = loop(module)
    assert set(parts.index.name) == expected.keys()
    length = parts.total.norm(dim=-1).max()
    for name, value in expected.items():
        assert (parts[name] - value).abs().max() < 1e-10 * length, name
    assert str(kit.check(model)).startswith("exact")


def test_parts_sum_to_what_the_library_gives(kind):
    module, _, parts, _ = kind
    with torch.no_grad():
        if hasattr(module, "get_image_features"):
            own = module.get_image_features(pixel_values=PIXELS).pooler_output
        elif hasattr(module, "classifier"):
            own = None
            logits = parts.total @ module.classifier.weight.T + module.classifier.bias
            assert (logits - module(PIXELS).logits).abs().max() < 1e-10
        else:
            own = module(PIXELS).pooler_output
    sums = parts.values.sum(1)
    assert own is None or (sums - own).norm(dim=-1).max() < 1e-10 * own.norm(dim=-1).max()
    assert parts.error.max() < 1e-10


def test_parts_do_not_depend_on_the_batch(kind):
    _, model, parts, _ = kind
    one = kit.decompose(model, PIXELS[1:2])
    turned = kit.decompose(model, PIXELS.flip(0))
    assert torch.allclose(one.values[0], parts.values[1], atol=1e-12)
    assert torch.allclose(turned.values.flip(0), parts.values, atol=1e-12)


def test_source_tokens_sum_to_heads_and_nothing_removed_changes_nothing(kind):
    _, model, parts, _ = kind
    direction = normalize(torch.randn(1, model.embed_dim, generator=torch.Generator().manual_seed(1)), dim=-1)
    direction = direction.double()
    heads = kit.scores(model, PIXELS, direction)[:, parts.index.kind.eq("head").tolist()]
    tokens = kit.scores(model, PIXELS, direction, by="token")
    assert torch.allclose(tokens.sum(2), heads, atol=1e-12)
    cleared = kit.ablate(model, PIXELS, "none", replace="zero", effect="total")
    assert torch.allclose(cleared.embedding, cleared.before, atol=1e-12)


@pytest.mark.parametrize("name", ["ViT", "SigLIP"])
def test_written_out_attention_gives_the_same_parts(name):
    """Eager attention takes its softmax in float32, whatever the module's type."""
    make, _ = KINDS[name]
    pixels = PIXELS.float()
    values = [kit.decompose(load(make(kind)), pixels).values for kind in ("sdpa", "eager")]
    assert torch.allclose(*values, atol=1e-5)


def without_rounding(norm: nn.Module, hidden: Tensor) -> Tensor:
    return norm.weight * hidden * (hidden.square().mean(-1, keepdim=True) + norm.variance_epsilon).rsqrt()


def test_norms_that_a_library_computes_in_float32_are_all_that_is_between_the_sum_and_float64(monkeypatch):
    module = hf.make("Aimv2VisionModel").double()
    check = kit.check(load(module))
    assert check.verdict == "exact" and 1e-10 < check.error <= check.tolerance < 1e-6
    norm = next(type(part) for part in module.modules() if type(part).__name__ == "Aimv2RMSNorm")
    monkeypatch.setattr(norm, "forward", without_rounding)
    check = kit.check(load(module))
    assert check.verdict == "exact" and check.error < 1e-14 and check.tolerance == 1e-10


def test_what_a_library_rounds_does_not_hide_a_wrong_part():
    model = load(hf.make("Aimv2VisionModel").double())
    run = kit.run(model, PIXELS)
    vectors = run.vectors()
    vectors[:, 1] *= 1 + 1e-5
    run.frozen.check, run.vectors = None, lambda: vectors
    assert fault_of(run, None, checked_run).startswith('the parts of "Aimv2VisionModel" miss')
