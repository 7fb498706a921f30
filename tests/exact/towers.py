"""AnyModel of every kind that the engine covers, with nothing left at a neutral value."""

import functools

import torch

import kit
from kit.models import Model
from kit.parts.hook_points import AttentionCall, HookPoints
from kit.parts.runs import Run


def smaller(**vision) -> dict:
    """An image tower without its text tower, with other settings where whole ones take gigabytes."""
    return {"pretrained": "random", "config": {"text_cfg": None, "vision_cfg": vision}}


CLASS_TOKEN = {
    "ViT-B-32": smaller(layers=6),
    "ViT-B-16": smaller(layers=4, image_size=112),
    "ViT-L-14": smaller(layers=4, image_size=98),
    "timm/deit_small_patch16_224": {"pretrained": "random"},
    "timm/vit_small_patch14_reg4_dinov2": {"pretrained": "random", "config": {"img_size": 98}},
    "stickers-l8": {},
}
OTHERS = {
    "timm/vit_base_patch16_siglip_224": {
        "pretrained": "random",
        "config": {"depth": 6, "embed_dim": 384, "num_heads": 6},
    },
    "timm/vit_little_patch16_reg4_gap_256": {"pretrained": "random"},
    "timm/vit_tiny_patch16_224": {"pretrained": "random"},
    "timm/deit_tiny_distilled_patch16_224": {"pretrained": "random"},
}
TOWERS = CLASS_TOKEN | OTHERS


def perturbed(name: str, seed: int = 0) -> Model:
    """A model of its own whose biases, norms and LayerScales are all moved by noise."""
    model = kit.load(name, **TOWERS[name])
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.tower.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=noise))
    return model


def pixels_for(model: Model, batch: int = 2, seed: int = 0) -> torch.Tensor:
    """Noise in the model's size and type."""
    noise = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, *model.image_size, generator=noise).to(model.dtype)


def unit_directions(model: Model, count: int = 3, seed: int = 1) -> torch.Tensor:
    """Random unit directions, [text, embed]."""
    noise = torch.Generator().manual_seed(seed)
    directions = torch.randn(count, model.embed_dim, generator=noise).to(model.dtype)
    return torch.nn.functional.normalize(directions, dim=-1)


def same_graph(left: torch.fx.GraphModule, right: torch.fx.GraphModule) -> bool:
    """Are two graphs alike node by node, names aside, over the very same tensors?"""
    pairs = list(zip(left.graph.nodes, right.graph.nodes, strict=True))
    twin = dict(pairs)
    for a, b in pairs:
        ours = torch.fx.map_arg((a.args, a.kwargs), lambda node: twin[node])
        assert (a.op, a.meta, *ours) == (b.op, b.meta, b.args, b.kwargs), (a, b)
        assert a.target == b.target or a.op == "placeholder"
        if a.op == "get_attr":
            tensors = [functools.reduce(getattr, a.target.split("."), m) for m in (left, right)]
            assert tensors[0] is tensors[1], a.target
    return True


class Pinned(HookPoints):
    """Holds every source, norm statistic and pooling pattern at what a first pass found.

    What then still moves the representation are the linear operations between the sources and the
    representation, done by the library's own operations: the affine map that the parts are read from.
    """

    def __init__(self, run: Run):
        self._norms = list(run.frozen.norms)
        self._trace = run.frozen.trace
        self._pass = 0
        self.heads: dict[int, torch.Tensor] = {}
        self.calls: dict[int, AttentionCall] = {}
        self.values: dict[str, torch.Tensor] = {}
        self.statistics: dict[int, torch.Tensor] = {}
        self.patterns: dict[int, torch.Tensor] = {}

    def attention(self, layer, call, out):
        self.calls.setdefault(layer, call)
        return self.heads.setdefault(layer, out)

    def value(self, name, out):
        return self.values.setdefault(name, out)

    def pooling(self, pool, call, out):
        return self.patterns.setdefault(pool, call.pattern()) @ call.value

    def norm(self, norm, value, out):
        node = self._norms[norm]
        eps = node.args[4]
        spread = self.statistics.setdefault(norm, (value.var(-1, unbiased=False, keepdim=True) + eps).rsqrt())
        gamma, beta = (self._trace.constant(a) for a in node.args[2:4])
        return (value - value.mean(-1, keepdim=True)) * spread * gamma + beta
