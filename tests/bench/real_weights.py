"""The checks on real weights, written to docs/real_weights.md; `KIT_REAL_WEIGHTS` names the folder."""

import hashlib
import json
import time
from pathlib import Path

import open_clip
import timm
import torch
from torch import Tensor
from torch.nn.functional import normalize

import kit
from tests.bench import real_ablation, real_maps
from tests.bench.harness import settings
from tests.bench.real_data import (
    CLIP_FILE,
    TEXT_FILE,
    TIMM_FILE,
    align,
    folder,
    open_clip_layout,
    texts,
    timm_layout,
)
from tests.bench.real_maps import table

PAGE = Path(__file__).parents[2] / "docs" / "real_weights.md"
TOWERS = {"timm's layout": timm_layout, "open_clip's layout": open_clip_layout}


def expected() -> tuple[list[Path], list[dict]]:
    """The eight photographs whose outputs are on file, and these outputs."""
    items = json.loads((folder() / "reference_outputs.json").read_text(encoding="utf-8"))["items"]
    return [folder() / "photos" / "imagenet_sample" / item["file"] for item in items], items


def sum_rows(paths: list[Path]) -> list[list[str]]:
    """Verdict, parts and errors of the sum for both towers."""
    rows = []
    for name, make in TOWERS.items():
        model = make()
        pixels, check = model.preprocess(paths), kit.check(model)
        errors = [kit.decompose(m, pixels.to(m.dtype)).error.max() for m in (model, model.double())]
        kinds = ", ".join(f"{count} {kind}" for kind, count in check.kinds.items())
        reached = f"{check.reached} of {check.layers}"
        rows.append([name, check.verdict, reached, kinds, *(f"{float(error):.1e}" for error in errors)])
    return rows


def outputs_table(paths: list[Path], items: list[dict]) -> str:
    """The outputs of both towers against those on file, which were made without this kit."""
    model, bridged = timm_layout(), open_clip_layout()
    logits = model.library_model.head(model.encode_image(model.preprocess(paths)))
    vectors = bridged.encode_image(bridged.preprocess(paths))
    near = normalize(vectors, dim=-1) @ texts()[1].T
    rows = []
    for tower, what, scores, key, value in (
        ("timm's layout", "highest outputs", logits, "timm_top3_index", "timm_top3_logit"),
        ("open_clip's layout", "nearest texts", near, "clip_top3_imagenet_index", "clip_top3_cosine"),
    ):
        top = scores.topk(3)
        same = sum(row.tolist() == item[key] for row, item in zip(top.indices, items, strict=True))
        gap = far(top.values, [item[value] for item in items])
        rows.append([tower, f"three {what}", f"{same} of {len(items)}", f"{gap:.1e}"])
    first = far(vectors[:, :4], [item["embedding_first4"] for item in items])
    length = far(vectors.norm(dim=-1), [item["embedding_norm"] for item in items])
    rows.append(["open_clip's layout", "first four numbers of the representation", "–", f"{first:.1e}"])
    rows.append(["open_clip's layout", "its length", "–", f"{length:.1e}"])
    return table(["tower", "what", "same order", "largest difference of a value"], rows)


def far(values: Tensor, wanted: list) -> float:
    """Largest absolute difference."""
    return float((values - torch.tensor(wanted)).abs().max())


def layouts_gap(paths: list[Path], aligned: bool) -> float:
    """Largest distance of a part in one layout from the same part in the other, in float64.

    Args:
        aligned: give open_clip's layout timm's very numbers first.

    Returns:
        Relative to the length of the representation.
    """
    model, bridged = timm_layout().double(), open_clip_layout().double()
    if aligned:
        align(bridged, model)
    pixels = model.preprocess(paths)
    parts, found = kit.decompose(model, pixels), kit.decompose(bridged, pixels)
    assert list(parts.index["name"]) == list(found.index["name"])
    wanted = parts.values @ bridged.tower.proj  # [batch, part, embed]
    gap = (found.values - wanted).norm(dim=-1) / found.total.norm(dim=-1)[:, None]
    return float(gap.max())


def first_section() -> tuple[str, str]:
    """Loading, verdicts, errors, outputs, and the two layouts side by side; and what they say in short."""
    paths, items = expected()
    rows = sum_rows(paths)
    apart, aligned = layouts_gap(paths, False), layouts_gap(paths, True)
    exact = all(row[1] == "exact" for row in rows)
    short = f"Both towers load; their verdict is {'exact' if exact else 'not exact for both'}."
    head = ["tower", "verdict", "attention layers reached", "parts", "error, float32", "error, float64"]
    text = f"""{LOADING}
The sum of the parts against the library's own output, on {len(paths)} photographs (largest relative
distance):

{table(head, rows)}
Outputs on the same photographs, against those that were stored with the weights:

{outputs_table(paths, items)}
Both files hold one tower, so a part in open_clip's layout should be the part of the same name in timm's
layout times the projection. In float64 the largest distance of any part, relative to the length of the
representation, is {apart:.1e}. Two things differ: open_clip has no bias of patches, so its positions hold
the sum of two tensors of timm's file, rounded to half precision once more; and its norms add 1e-5 to the
variance where timm's add 1e-6. With both made equal the distance is {aligned:.1e}.
"""
    return short, text


def facts(stated: dict[str, object], seconds: dict[str, float]) -> str:
    """Versions, seeds, files and times."""
    names = (TIMM_FILE, CLIP_FILE, TEXT_FILE)
    digests = [[name, hashlib.sha256((folder() / name).read_bytes()).hexdigest()] for name in names]
    spent = ", ".join(f"section {name} {value:.0f} s" for name, value in seconds.items())
    return f"""## This run

{", ".join(f"{key} {value}" for key, value in stated.items())}.

Time: {spent}. Bootstrap: 2,000 draws, seed 0; random parts and layers: seed 0; pictures of noise: seed 0.

{table(["file", "sha256"], digests)}"""


def main() -> None:
    """Run all sections and write the page."""
    torch.set_num_threads(2)
    stated = settings(timm=timm.__version__, open_clip=open_clip.__version__)
    shorts, pieces, seconds = [], [], {}
    for number, section in enumerate((first_section, real_ablation.section, real_maps.section), 1):
        start = time.perf_counter()
        short, text = section()
        shorts.append(f"{number}. {short}\n")
        pieces.append(text)
        seconds[str(number)] = time.perf_counter() - start
    page = "\n".join([INTRODUCTION, "".join(shorts), *pieces, facts(stated, seconds)])
    PAGE.write_text(page, encoding="utf-8", newline="\n")
    print(PAGE)


INTRODUCTION = """# Checks on real weights

Made with `KIT_REAL_WEIGHTS=FOLDER python -m tests.bench.real_weights`. The folder is not part of the
repository. It holds a real ViT-Ti/16 (224 px, 12 layers of 3 heads, trained on ImageNet and fine-tuned on
Tiny ImageNet's 200 classes) as timm stores it; the same tower as open_clip stores it, with a projection,
fitted by us, into the text space of a real CLIP; the directions of ImageNet's 1,000 class names in that
space; and 470 photographs. No released CLIP is among them, and no figure here is a result of a paper.

The page answers three questions. Do such files load through the ordinary calls and come apart exactly?
Which parts does the tower's accuracy rest on? Do the tokens that its heads use lie on the objects that they
speak for?

Intervals are 95 %, bootstrapped over photographs, and paired where conditions share them. One photograph
stands for each class, and photographs may overlap with what the tower was trained on: these are checks of
the kit on real features, not a benchmark of the tower.

In short:
"""

LOADING = """## 1. Both towers load and come apart

```python
kit.load("timm/vit_tiny_patch16_224", FILE, config={"class_names": [...], "num_classes": 200},
         preprocess={"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bilinear", "crop_pct": 0.875})
kit.load("vit-ti-16-bridged", FILE, config={"embed_dim": 512, "vision_cfg": {...}}, preprocess=TRANSFORM)
```

These weights follow no published tag, so `preprocess=` says how images are prepared, and `like=`, which
names such a tag, is not used. The transform of the second is torchvision's: resize to 256, crop 224, mean
and deviation 0.5.
"""

if __name__ == "__main__":
    main()
