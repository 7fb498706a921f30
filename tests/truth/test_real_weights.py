"""A real tower in two layouts: exact, right about photographs, and looking at what it speaks for.

The whole check is `python -m tests.bench.real_weights`; its figures stand in docs/real_weights.md.
"""

import os
from dataclasses import replace

import pytest
import torch

import kit
from kit.measures import accuracy, average_precision, bootstrap_interval
from tests.bench import real_data as real

pytestmark = pytest.mark.skipif(
    "KIT_REAL_WEIGHTS" not in os.environ, reason="KIT_REAL_WEIGHTS names no folder"
)
PHOTOS = 24  # every seventh or so of the 182, and as many of coco128


@pytest.fixture(scope="module")
def towers():
    return {"timm": real.timm_layout(), "open_clip": real.open_clip_layout()}


@pytest.fixture(scope="module")
def photographs():
    """Some photographs, with the number of their class among the head's 200 and ImageNet's 1,000."""
    paths, head, imagenet = real.photographs()
    chosen = range(0, len(paths), len(paths) // PHOTOS)
    return [paths[i] for i in chosen], head[list(chosen)], imagenet[list(chosen)]


@pytest.fixture(scope="module")
def four(towers, photographs):
    """Parts of four photographs in float64, in both layouts."""
    found = {}
    for name, model in towers.items():
        finer = model.double()
        found[name] = finer, kit.decompose(finer, finer.preprocess(photographs[0][:4]))
    return found


@pytest.mark.parametrize("layout", ["timm", "open_clip"])
def test_the_real_tower_is_exact_on_photographs(towers, photographs, four, layout):
    model = towers[layout]
    check = kit.check(model)
    assert check.verdict == "exact" and check.kinds["head"] == 36 and check.kinds["mlp"] == 12
    assert kit.decompose(model, model.preprocess(photographs[0][:4])).error.max() < 1e-5
    assert four[layout][1].error.max() < 1e-10


def heads_apart(parts, others, bridged) -> torch.Tensor:
    """Distance of each head in timm's layout, projected, from the same head in open_clip's, [batch, head]."""
    assert list(parts.index["name"]) == list(others.index["name"])
    heads = torch.tensor(list(parts.index["kind"] == "head"))
    gap = others.values[:, heads] - parts.values[:, heads] @ bridged.tower.proj
    return gap.norm(dim=-1) / others.total.norm(dim=-1)[:, None]


def test_both_layouts_have_the_same_heads_up_to_the_projection(towers, photographs, four):
    (model, parts), (bridged, found) = four["timm"], four["open_clip"]
    # a sum rounded to half precision, and another constant in the norms: 1e-4 on eight photographs
    assert heads_apart(parts, found, bridged).max() < 5e-4
    aligned = towers["open_clip"].double()
    real.align(aligned, model)
    equal = kit.decompose(aligned, model.preprocess(photographs[0][:4]))
    assert heads_apart(parts, equal, aligned).max() < 1e-12
    # the control: the heads of another photograph
    shuffled = replace(found, values=found.values.roll(1, dims=0))
    assert heads_apart(parts, shuffled, bridged).amax(1).min() > 0.05


def test_the_real_tower_names_photographs_and_a_random_one_does_not(towers, photographs):
    paths, head, imagenet = photographs
    model, bridged, random = towers["timm"], towers["open_clip"], real.timm_layout("random")
    pixels = model.preprocess(paths)
    assert accuracy(model.library_model.head(model.encode_image(pixels)), head) > 0.4  # chance is 0.005
    names = real.texts()[1][real.photographs()[2]]  # of the 182 classes, in the order of the photographs
    own = (real.photographs()[2][None] == imagenet[:, None]).int().argmax(1)
    assert accuracy(bridged.encode_image(bridged.preprocess(paths)) @ names.T, own) > 0.4
    assert accuracy(random.library_model.head(random.encode_image(pixels)), head) < 0.1
    assert accuracy(model.library_model.head(model.encode_image(pixels)), head.roll(1)) < 0.1


@pytest.fixture(scope="module")
def pairs():
    """Photographs of coco128, one class of the head that each shows, and its mask."""
    every = real.mask_pairs()
    known = real.head_directions(real.timm_layout()).names
    rows = {int(every.photo[i]): i for i, name in enumerate(every.name) if name in known}
    rows = list(rows.values())[: 2 * PHOTOS]
    return [every.paths[every.photo[i]] for i in rows], [every.name[i] for i in rows], every.inside[rows]


def whole_maps(model, pairs, directions) -> torch.Tensor:
    """Map of each photograph for its class, all heads summed, [pair, token]."""
    paths, names, _ = pairs
    maps = kit.scores(model, model.preprocess(paths), directions.vectors, by="token")
    own = torch.tensor([directions.names.index(name) for name in names])
    return maps[torch.arange(len(own)), :, model.prefix_tokens :, own].sum(1)


def test_maps_of_class_directions_lie_on_the_objects_more_than_a_random_towers(towers, pairs):
    directions, inside = real.head_directions(towers["timm"]), pairs[2]
    found = whole_maps(towers["timm"], pairs, directions)
    random = whole_maps(real.timm_layout("random"), pairs, directions)

    def ahead(masks):
        gap = average_precision(found, masks) - average_precision(random, masks)
        return bootstrap_interval(gap, seed=0)

    assert ahead(inside).low > 0
    assert bootstrap_interval(average_precision(found, inside) - inside.mean(1), seed=0).low > 0
    shuffled = ahead(inside.roll(1, dims=0))  # the control: the masks of other photographs
    assert shuffled.high < ahead(inside).low


def test_every_mask_is_seen_through_the_towers_crop():
    found = real.mask_pairs()
    assert found.inside.shape == (len(found.name), 196) and len(found.name) > 50
    assert (found.inside.mean(1) >= real.MIN_AREA).all()
    assert len(set(found.photo.tolist())) == len(found.paths)
