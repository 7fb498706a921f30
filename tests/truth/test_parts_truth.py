"""Maps of source tokens find the named one of two objects; with random weights or other masks they do not."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import kit
from kit.measures import bootstrap_interval

N, SEED, BATCH = 1000, 21, 50
COVERED = 0.25  # a token lies on an object that covers a quarter of its patch


class Found(NamedTuple):
    """For each scene: whether the largest token lies on A, on B, and the share of tokens that A covers."""

    on_a: Tensor
    on_b: Tensor
    area: Tensor

    def over_area(self):
        return bootstrap_interval(self.on_a - self.area, seed=0)

    def over_b(self):
        return bootstrap_interval(self.on_a - self.on_b, seed=0)


@pytest.fixture(scope="module")
def pairs():
    return kit.world.draw(N, seed=SEED, kind="pair")


@pytest.fixture(scope="module")
def maps(stickers, pairs):
    return difference_maps(stickers, pairs)


@pytest.fixture(scope="module")
def on(stickers, pairs):
    rows, cols = stickers.grid
    high, wide = pairs.masks.shape[2] // rows, pairs.masks.shape[3] // cols
    cover = pairs.masks.float().unflatten(3, (cols, wide)).unflatten(2, (rows, high)).mean((3, 5))
    return (cover >= COVERED).flatten(2)  # [scene, object, patch]


def difference_maps(model, pairs) -> Tensor:
    """The map of A minus B of each scene, all heads together, prefix tokens left out, [scene, patch]."""
    prompts = model.encode_text(kit.world.prompts("concept"))  # [text, embed]
    first, second = pairs.codes["concept"], pairs.codes["concept_2"]
    maps = []
    for start in range(0, len(pairs), BATCH):
        some = slice(start, start + BATCH)
        run = kit.run(model, model.preprocess(pairs.images[some]))
        every = run.maps(prompts).sum(1)[:, run.prefix :]  # [scene, patch, text]
        n = torch.arange(len(every))
        maps.append(every[n, :, first[some]] - every[n, :, second[some]])
    return torch.cat(maps)


def found(maps: Tensor, on: Tensor) -> Found:
    n, top = torch.arange(len(maps)), maps.argmax(1)
    return Found(on[n, 0, top].float(), on[n, 1, top].float(), on[:, 0].float().mean(1))


def test_the_largest_token_lies_on_the_named_object(maps, on):
    result = found(maps, on)
    print(f"on A {result.on_a.mean():.3f}, on B {result.on_b.mean():.3f}, area {result.area.mean():.3f};")
    print(f"over area {result.over_area()}, over B {result.over_b()}")
    assert result.over_area().low > 0.4, "far above what blind choice would hit"
    assert result.over_b().low > 0.4, "and far above what a map blind to names would hit"


def test_random_weights_do_not_tell_the_objects_apart(load, pairs, on):
    result = found(difference_maps(load("stickers-l8", "random"), pairs), on)
    print(f"on A {result.on_a.mean():.3f}, on B {result.on_b.mean():.3f}; over B {result.over_b()}")
    # it does prefer objects to background, so area would be the wrong chance
    assert result.over_b().low <= 0 <= result.over_b().high


def test_masks_of_other_scenes_are_at_chance(maps, on):
    other = torch.randperm(len(on), generator=torch.Generator().manual_seed(0))
    result = found(maps, on[other])
    print(f"on A {result.on_a.mean():.3f}, on B {result.on_b.mean():.3f}; over B {result.over_b()}")
    assert result.over_b().low <= 0 <= result.over_b().high


def test_swapped_names_of_the_masks_turn_the_claim_around(maps, on):
    assert found(maps, on.flip(1)).over_b().high < 0


def test_swapping_the_prompts_mirrors_the_map_exactly(stickers, pairs):
    run = kit.run(stickers, stickers.preprocess(pairs.images[:BATCH]))
    first, second = stickers.encode_text(["a cat", "a dog"])
    one, other = run.maps((first - second)[None]), run.maps((second - first)[None])
    assert torch.equal(one, -other)
    assert one.abs().max() > 0


def test_map_and_prefix_tokens_are_the_score_of_the_heads(stickers, pairs):
    run = kit.run(stickers, stickers.preprocess(pairs.images[:BATCH]))
    directions = stickers.encode_text(["a cat", "a dog"])
    heads = run.scores(directions, selector="L*.H*")
    assert torch.allclose(run.maps(directions).sum(2), heads, atol=1e-5)
