"""What lies in the folder that `KIT_REAL_WEIGHTS` names: towers, labels, masks, directions.

The command `python -m tests.bench.real_weights` and the tests on real weights read it through this module.
"""

import csv
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize
from torchvision import transforms
from torchvision.transforms.functional import InterpolationMode

import kit
from kit.errors import KitError
from kit.models.directions import Directions, directions

TIMM_FILE = "vit_tiny_patch16_224.tinyimagenet.fp16.safetensors"
CLIP_FILE = "openclip_visual_vit_tiny16_512_bridged.fp16.safetensors"
TEXT_FILE = "clip_text_imagenet1000.vit_b_32_datacomp_xl.fp16.safetensors"
VISION = {
    "image_size": 224,
    "patch_size": 16,
    "width": 192,
    "layers": 12,
    "head_width": 64,
    "no_ln_pre": True,
}
MIN_AREA = 0.02  # of what the tower sees: four tokens of 196

# COCO's class -> names among ImageNet's 1,000 that are the same thing or a kind of it, exact or obvious.
NAMES = {
    "bicycle": ("mountain bike", "bicycle-built-for-two"),
    "car": ("sports car", "convertible", "limousine", "beach wagon", "minivan", "cab", "jeep"),
    "motorcycle": ("moped", "motor scooter"),
    "airplane": ("airliner", "warplane"),
    "bus": ("school bus", "trolleybus", "minibus"),
    "train": ("bullet train", "freight car", "electric locomotive", "steam locomotive", "passenger car"),
    "truck": ("moving van", "pickup", "trailer truck", "tow truck", "garbage truck", "fire engine"),
    "boat": ("gondola", "lifeboat", "speedboat", "canoe", "yawl", "catamaran", "trimaran", "fireboat"),
    "traffic light": ("traffic light",),
    "bench": ("park bench",),
    "bird": ("albatross", "king penguin", "black stork", "robin", "jay", "magpie", "goose", "pelican"),
    "cat": ("tabby", "Persian cat", "Egyptian cat", "tiger cat", "Siamese cat"),
    "dog": (
        "Yorkshire terrier", "golden retriever", "Labrador retriever", "German shepherd", "standard poodle",
        "beagle", "collie", "Siberian husky", "pug", "dalmatian",
    ),
    "horse": ("sorrel",),
    "sheep": ("ram",),
    "cow": ("ox",),
    "elephant": ("African elephant", "Indian elephant"),
    "bear": ("brown bear", "American black bear", "ice bear", "sloth bear"),
    "zebra": ("zebra",),
    "backpack": ("backpack",),
    "umbrella": ("umbrella",),
    "handbag": ("purse",),
    "tie": ("bow tie", "Windsor tie", "bolo tie"),
    "skis": ("ski",),
    "sports ball": ("basketball", "volleyball", "rugby ball", "soccer ball", "tennis ball", "baseball"),
    "tennis racket": ("racket",),
    "bottle": ("beer bottle", "pop bottle", "wine bottle", "water bottle"),
    "cup": ("cup", "coffee mug"),
    "spoon": ("wooden spoon",),
    "bowl": ("soup bowl", "mixing bowl"),
    "banana": ("banana",),
    "apple": ("Granny Smith",),
    "orange": ("orange",),
    "broccoli": ("broccoli",),
    "hot dog": ("hotdog",),
    "pizza": ("pizza",),
    "chair": ("rocking chair", "folding chair", "barber chair"),
    "couch": ("studio couch",),
    "bed": ("four-poster",),
    "dining table": ("dining table",),
    "toilet": ("toilet seat",),
    "tv": ("television",),
    "laptop": ("laptop",),
    "mouse": ("mouse",),
    "remote": ("remote control",),
    "keyboard": ("computer keyboard",),
    "cell phone": ("cellular telephone",),
    "microwave": ("microwave",),
    "toaster": ("toaster",),
    "sink": ("washbasin",),
    "refrigerator": ("refrigerator",),
    "clock": ("wall clock", "analog clock", "digital clock"),
    "vase": ("vase",),
    "teddy bear": ("teddy",),
}  # fmt: skip


@dataclass(frozen=True)
class Pairs:
    """Photographs of coco128, each with one class whose mask covers enough of what the tower sees.

    Attributes:
        paths: all photographs that occur.
        photo: number of the photograph of each pair, int64 [pair].
        name: COCO's class of each pair.
        inside: share of each token's pixels that lie on the class, [pair, token].
        present: for each photograph every class that its mask holds, however small.
    """

    paths: list[Path]
    photo: Tensor
    name: list[str]
    inside: Tensor
    present: list[set[str]]


def folder() -> Path:
    """The folder of weights and photographs.

    Raises:
        KitError: `KIT_REAL_WEIGHTS` is not set, or names a folder without the files.
    """
    asked = os.environ.get("KIT_REAL_WEIGHTS")
    if not asked:
        raise KitError("no folder of real weights: set KIT_REAL_WEIGHTS to the one that holds them.")
    missing = [
        name for name in (TIMM_FILE, CLIP_FILE, TEXT_FILE, "photos") if not (Path(asked) / name).exists()
    ]
    if missing:
        raise KitError(f'KIT_REAL_WEIGHTS names a folder without "{missing[0]}"; see what its README lists.')
    return Path(asked)


def rows(name: str) -> list[dict]:
    """The rows of a CSV file of the folder."""
    with (folder() / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def head_names() -> list[str]:
    """Names of the 200 outputs of the head; the synset where there is no name."""
    return [row["name"] or row["wnid"] for row in rows(TIMM_FILE.replace("fp16.safetensors", "labels.csv"))]


def timm_layout(pretrained=None, seed: int = 0):
    """The real ViT-Ti/16 as timm holds it, with its head; `pretrained="random"` for its shape alone."""
    return kit.load(
        "timm/vit_tiny_patch16_224",
        pretrained or folder() / TIMM_FILE,
        config={"class_names": head_names(), "num_classes": 200},
        preprocess={"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bilinear", "crop_pct": 0.875},
        seed=seed,
    )


def open_clip_layout(pretrained=None, seed: int = 0):
    """The same tower as open_clip holds it, with a projection into a real CLIP's text space."""
    return kit.load(
        "vit-ti-16-bridged",
        pretrained or folder() / CLIP_FILE,
        config={"embed_dim": 512, "vision_cfg": VISION},
        preprocess=transforms.Compose([
            transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]),
        seed=seed,
    )  # fmt: skip


def align(bridged, model) -> None:
    """Undo, in place, the two ways in which open_clip's layout does not hold timm's very numbers.

    open_clip has no bias of patches: its positions hold the sum of two tensors of timm's file, rounded to
    half precision once more. And its norms add 1e-5 to the variance where timm's add 1e-6.

    Args:
        bridged: a copy in open_clip's layout, of the type of `model`; not yet run.
        model: the tower in timm's layout.
    """
    positions = model.library_model.pos_embed[0].clone()  # [token, dim]
    positions[1:] += model.library_model.patch_embed.proj.bias
    bridged.tower.positional_embedding.data.copy_(positions)
    for module in bridged.tower.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = model.library_model.norm.eps


@cache
def texts() -> tuple[list[str], Tensor]:
    """Names of ImageNet's 1,000 classes, and a real CLIP's unit direction of each, [text, embed]."""
    names = [row["name"] for row in rows("imagenet1000_names.csv")]
    return names, normalize(load_file(folder() / TEXT_FILE)["text_embeddings"].float(), dim=-1)


@cache
def photographs() -> tuple[list[Path], Tensor, Tensor]:
    """The 182 photographs, with the number of their class among the head's 200 and ImageNet's 1,000."""
    found = rows("photos/imagenet_sample/labels.csv")
    paths = [folder() / "photos" / "imagenet_sample" / row["file"] for row in found]
    head, imagenet = (
        torch.tensor([int(row[key]) for row in found]) for key in ("tiny_imagenet_index", "imagenet1k_index")
    )
    return paths, head, imagenet


def reference_set(name: str) -> list:
    """Images that means are taken over: "coco128", "ants_bees", or 128 pictures of "noise"."""
    if name == "noise":
        random = torch.Generator().manual_seed(0)
        return list(torch.randint(0, 256, (128, 3, 256, 256), dtype=torch.uint8, generator=random))
    place = {"coco128": "coco128/images", "ants_bees": "ants_bees"}[name]
    return sorted((folder() / "photos" / place).glob("*.jpg"))


def mask_pairs() -> Pairs:
    """Every photograph of coco128 with each class of `NAMES` that covers `MIN_AREA` of the tower's view."""
    classes = [
        line.split(maxsplit=1) for line in (folder() / "photos/coco128/classes.txt").read_text().splitlines()
    ]
    view = transforms.Compose([transforms.Resize(256, InterpolationMode.NEAREST), transforms.CenterCrop(224)])
    paths, photo, name, inside, present = [], [], [], [], []
    for row in rows("photos/coco128/labels.csv"):
        image = folder() / "photos/coco128/images" / row["image"]
        mask = Image.open(folder() / "photos/coco128/masks" / row["mask"])
        if mask.size != Image.open(image).size:
            raise KitError(f'the mask of "{row["image"]}" is not of the photograph\'s size.')
        seen = torch.from_numpy(np.array(view(mask)))  # [224, 224]
        shares = {
            words: avg_pool2d((seen == int(number)).float()[None], 16).flatten() for number, words in classes
        }  # [token]
        kept = [words for words in shares if words in NAMES and shares[words].mean() >= MIN_AREA]
        photo += [len(paths)] * len(kept)
        name += kept
        inside += [shares[words] for words in kept]
        if kept:
            paths.append(image)
            present.append({words for number, words in classes if (np.array(mask) == int(number)).any()})
    return Pairs(paths, torch.tensor(photo), name, torch.stack(inside), present)


def head_directions(model) -> Directions:
    """For each COCO class the unit mean of the head's directions of its names; only classes that have any."""
    known = {words: [n for n in names if n in head_names()] for words, names in NAMES.items()}
    known = {words: names for words, names in known.items() if names}
    vectors = [directions(model, names).vectors.mean(0) for names in known.values()]
    return directions(model, (list(known), torch.stack(vectors)))


def text_directions(model) -> Directions:
    """For each COCO class the mean of its names' text directions minus the mean of all 1,000, unit."""
    names, vectors = texts()
    lacking = [n for wanted in NAMES.values() for n in wanted if n not in names]
    if lacking:
        raise KitError(f'"{lacking[0]}" is none of the 1,000 names; correct the table NAMES.')
    centred = normalize(vectors - vectors.mean(0), dim=-1)
    wanted = [centred[[names.index(n) for n in group]].mean(0) for group in NAMES.values()]
    return directions(model, (list(NAMES), torch.stack(wanted)))
