"""A tiny CLIP that answers, tiny folders in the layouts of the papers' sets, and a planted head."""

import copy

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import normalize

import kit
from kit.data import class_vectors, imagenet_classes, read_imagenet, read_waterbirds
from tests.unit import tiny_models
from tests.unit.test_papers import birds, wnid, write

CLASSES = (0, 65, 281, 999)  # of ImageNet; a hue each
BIRDS = ("landbird", "waterbird")
CONFIG = {
    "embed_dim": 24,
    "vision_cfg": dict(tiny_models.VISION),
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def load_state(folder, module, name: str = "tiny"):
    """A module through a file of weights, as people load their own."""
    file = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in module.state_dict().items()}, file)
    return kit.load("ViT-B-16", str(file), config=CONFIG, like="laion2b_s34b_b88k", device="cpu")


def write_imagenet(folder):
    """`val` with four class folders, hue by class."""
    for place, y in enumerate(CLASSES):
        for number in range(6):
            name = f"ILSVRC2012_val_{100 * number + place:08d}.JPEG"
            write(folder / "val" / wnid(y) / name, 60 * place, number)
    return folder


def write_waterbirds(folder):
    """Both splits that are read; the hue tells bird and place."""
    rows = []
    for split, count in ((1, 6), (2, 7)):
        for y, place in ((0, 0), (0, 1), (1, 0), (1, 1)):
            for number in range(count):
                rows.append((f"{y + 87:03d}.Bird/Bird_{split}{y}{place}{number}.jpg", y, split, place))
                write(folder / rows[-1][0], 110 * y + 40 * place, 10 * split + number)
    birds(folder, rows)
    return folder


def tiny(folder, imagenet, waterbirds, seed: int = 4):
    """A tiny CLIP whose projection was fitted so that it names most of these pictures, not all."""
    module = tiny_models.clip(CONFIG, seed)
    model = load_state(folder, module)
    images, flying = read_imagenet(imagenet), read_waterbirds(waterbirds, "val")
    named = class_vectors(model, imagenet_classes()["class_name"].iloc[list(CLASSES)])
    wanted = named[[CLASSES.index(y) for y in images.labels["y"]]]
    wanted = torch.cat([wanted, class_vectors(model, BIRDS)[flying.labels["y"].tolist()]])
    pixels = torch.cat([model.preprocess([s[n] for n in range(len(s))]) for s in (images, flying)])
    visual = copy.deepcopy(module.visual)
    visual.proj = None
    features = visual(pixels)  # [image, dim]
    ridge = 0.1 * torch.eye(features.shape[1])
    module.visual.proj.copy_(torch.linalg.solve(features.T @ features + ridge, features.T @ wanted))
    return load_state(folder, module)


def planted(folder, waterbirds, carries: bool = True):
    """A tower in which L1.H0 alone writes the place, and L1.H1 alone the bird.

    Nothing else writes anything that differs between images. Both heads read the mean of all tokens; what
    they write lies along waterbird minus landbird.

    Args:
        carries: False takes L1.H0 away: the control.
    """
    module = tiny_models.clip(CONFIG, seed=3)
    for block in module.visual.transformer.resblocks:
        block.mlp.c_proj.weight.zero_()
        block.mlp.c_proj.bias.zero_()
        block.attn.in_proj_weight[: 2 * 32].zero_()  # queries and keys: attention is even
        block.attn.in_proj_bias[: 2 * 32].zero_()
        block.attn.out_proj.weight.zero_()
        block.attn.out_proj.bias.zero_()
    model = load_state(folder, module, "bare")
    images = read_waterbirds(waterbirds, "val")
    heads = kit.collect(model, images, "store", "bare").arrays["heads"]
    read = torch.tensor(heads).double()  # [image, part, coordinate]
    one, other = class_vectors(model, BIRDS).double()
    visual = module.visual
    fold = visual.ln_post.weight.double()[:, None] * visual.proj.double()
    fold = fold - fold.mean(0)  # of a norm that takes the mean out
    along = normalize(other - one, dim=0) @ torch.linalg.pinv(fold)  # [dim], its part is the difference
    out = visual.transformer.resblocks[1].attn.out_proj.weight
    for head, column, size in ((0, "place", 1.0 if carries else 0.0), (1, "y", 0.6)):
        signs = torch.tensor(images.labels[column].to_numpy()).double() * 2 - 1
        own = read[:, 2 + head]  # heads of layer 1 come after the two of layer 0
        probe = _probe(own, signs)
        out[:, 16 * head : 16 * (head + 1)] = (size * along[:, None] * probe[None]).float()
    pixels = model.preprocess([images[n] for n in range(len(images))])
    _balance(visual, pixels, along.float(), (other - one).float())
    return load_state(folder, module, f"planted {carries}")


def _balance(visual, pixels: Tensor, along: Tensor, difference: Tensor) -> None:
    """Constants of layer 1 such that pictures lie evenly on both sides of landbird and waterbird."""
    bias = visual.transformer.resblocks[1].attn.out_proj.bias
    for _ in range(4):  # the norm makes it not quite linear
        before = float((visual(pixels) @ difference).mean())
        bias += 0.1 * along
        slope = (float((visual(pixels) @ difference).mean()) - before) / 0.1
        bias -= (0.1 + before / slope) * along


def _probe(read: Tensor, signs: Tensor) -> Tensor:
    """Weights that tell the signs from what a head reads, [coordinate]."""
    centred = read - read.mean(0)
    ridge = 1e-6 * centred.square().sum() / len(read) * torch.eye(read.shape[1]).double()
    return torch.linalg.solve(centred.T @ centred + ridge, centred.T @ (signs - signs.mean()))
