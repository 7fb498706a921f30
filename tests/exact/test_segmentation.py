"""Masks from maps: figures, protocols, and every method on a tower whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics import JaccardIndex
from torchmetrics.functional import accuracy, average_precision
from torchvision import transforms

import kit
from kit.errors import KitError
from kit.maps import METHODS, over_chance, perfect_iou, seen_mask, segment, spread, which_object
from kit.maps.attention import rolled
from kit.maps.classes import fits, maps_of_classes
from kit.maps.methods import BLIND
from kit.maps.passes import pattern_gradients
from kit.maps.relevance import in_float64, linear_relevance, pattern_relevance
from kit.measures import Segmentation, segmentation_table
from kit.models.directions import Directions
from kit.parts.frozen import frozen_graph
from kit.parts.hook_points import HookPoints
from kit.parts.runs import forward
from tests.exact.families import EXACT
from tests.exact.planted_tower import TOWARDS, pixels, tower
from tests.exact.towers import perturbed, pixels_for, unit_directions

RATIOS = [(224, 224), (448, 336), (672, 448), (448, 672), (720, 1280)]


@pytest.fixture(scope="module")
def planted():
    return tower()


@pytest.fixture(scope="module")
def vit():
    """A tower that reads 224 pixels: short side to 256, centre crop."""
    steps = [transforms.Resize(224), transforms.CenterCrop(224), transforms.ToTensor()]
    steps += [transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
    return kit.load(
        "timm/vit_tiny_patch16_224", "random", config={"depth": 1}, preprocess=transforms.Compose(steps)
    )


def drawn(seed=0, batch=6, size=(20, 30)):
    """Maps, masks made of them and true masks that have something to do with them."""
    noise = torch.Generator().manual_seed(seed)
    true = torch.rand(batch, *size, generator=noise) > 0.6
    heat = (0.4 * true + 0.6 * torch.rand(batch, *size, generator=noise)).clamp(0, 1)
    return heat, heat > heat.mean((1, 2), keepdim=True), true


# --- figures


def test_figures_are_those_of_torchmetrics():
    heat, found, true = drawn()
    mine = Segmentation().add(heat, found, true).figures()
    jaccard = JaccardIndex(task="multiclass", num_classes=2, average="macro")
    ap = [
        average_precision(torch.cat([h, 1 - h]).flatten(), torch.cat([t, ~t]).flatten().long(), task="binary")
        for h, t in zip(heat, true)
    ]
    theirs = {
        "pixel accuracy": accuracy(found.long(), true.long(), task="multiclass", num_classes=2),
        "mIoU": jaccard(found.long(), true.long()),
        "mAP": torch.stack(ap).mean(),
    }
    assert mine == pytest.approx({name: float(value) for name, value in theirs.items()}, abs=1e-6)


def test_sums_of_sizes_and_batches_are_those_of_one_by_one():
    whole, single = Segmentation(), Segmentation()
    for part in (drawn(0), drawn(1, size=(8, 8))):
        whole.add(*part)
        for i in range(len(part[0])):
            single.add(*(one[i : i + 1] for one in part))
    assert np.array_equal(whole.counts, single.counts)
    assert whole.figures() == pytest.approx(single.figures(), abs=1e-12)
    both, either, rest, rest_either, _ = whole.counts.sum(0)
    assert whole.figures()["mIoU"] == pytest.approx((both / either + rest / rest_either) / 2)


def test_intervals_are_of_sums_over_images_drawn_again():
    fits = Segmentation().add(*drawn(batch=12))
    counts = fits.drawn(seed=3)
    rng, found = np.random.default_rng(3), []
    for chosen in rng.integers(12, size=(100, 12)):
        both, either, rest, rest_either, _ = fits.counts[chosen].sum(0)
        found.append((both / either + rest / rest_either) / 2)
    assert counts[:100, 1] == pytest.approx(np.array(found), abs=1e-9)
    low, high = np.quantile(counts[:, 1], [0.025, 0.975])
    assert tuple(fits.intervals(3)["mIoU"])[1:] == (low, high)


def test_differences_are_paired():
    heat, found, true = drawn(batch=30)
    worse = found.clone()
    worse[:, 0, 0] = ~true[:, 0, 0]
    one, other = Segmentation().add(heat, found, true), Segmentation().add(heat, worse, true)
    gap, alone = one.ahead_of(other, 0)["mIoU"], one.intervals(0)["mIoU"]
    assert gap.high - gap.low < 0.1 * (alone.high - alone.low)
    table = segmentation_table({"one": one, "other": other}, seed=0)
    assert table.loc["other", "ahead"] == pytest.approx(gap.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, f, t: (h, f.float(), t), "the mask found should be of bool"),
        (lambda h, f, t: (h + 1, f, t), "a map has values outside 0-1"),
        (lambda h, f, t: (h, f, t[:, :5]), "true should be"),
    ],
)
def test_what_cannot_be_counted_is_named(change, message):
    with pytest.raises(kit.KitError, match=message):
        Segmentation().add(*change(*drawn()))


# --- masks and protocols


def picture_of(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(255 * mask.astype(np.uint8)).convert("RGB")


def centred(size) -> np.ndarray:
    """An object in the middle whose edges lie on whole pixels after the resize."""
    width = size[1]
    step = min(size) // 224 or 1
    mask = np.zeros(size, dtype=bool)
    mask[64 * step : 160 * step, width // 2 - 48 * step : width // 2 + 48 * step] = True
    return mask


@pytest.mark.parametrize("size", RATIOS[:4], ids=str)
@pytest.mark.parametrize("shift", [0, 32])
def test_d3_a_perfect_mask_scores_one_at_any_aspect_ratio(vit, size, shift):
    mask = np.roll(centred(size), shift, 1)
    looked = (
        vit.preprocess(picture_of(mask))[0, 0] > 0
    )  # the very pixels of the object, as the tower got them
    fits = Segmentation().add(looked[None].float(), looked[None], seen_mask(vit, mask, size)[None])
    assert fits.figures() == {"pixel accuracy": 1.0, "mIoU": 1.0, "mAP": 1.0}


@pytest.mark.parametrize("size, iou", [((336, 448), 0.75), ((448, 672), 0.67), ((720, 1280), 0.56)], ids=str)
def test_d3_the_released_protocol_loses_what_the_reference_says(vit, size, iou):
    side = min(size) // 2
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    mask = np.zeros(size, dtype=bool)
    mask[top : top + side, left : left + side] = True
    looked = vit.preprocess(picture_of(mask))[0, 0] > 0
    for protocol, wanted in (("aligned", 1.0), ("released", iou)):
        true = seen_mask(vit, mask, protocol=protocol)[None]
        fits = Segmentation().add(looked[None].float(), looked[None], true)
        assert fits.iou()[0] == pytest.approx(wanted, abs=0.02)
        assert perfect_iou(vit, size, protocol) == pytest.approx(fits.iou()[0], abs=1e-6)


@pytest.fixture(scope="module")
def pairs(stickers):
    """Scenes with two objects, asked for the first one; the maps kept."""
    scenes = kit.world.draw(8, 3, kind="pair")
    names, truth = stickers.encode_text(kit.world.prompts("concept")), scenes.codes["concept"]
    methods = ["token heatmap", "rollout"]
    return scenes, segment(stickers, scenes, names, scenes.masks[:, 0], methods, truth, keep_maps=True)


def test_kept_maps_are_held_against_other_masks(pairs):
    scenes, found = pairs
    own = found.held("rollout", scenes.masks[:, 0])
    assert (own.counts == found.results["rollout"].counts).all()
    table, other = which_object(found, scenes.masks), found.held("rollout", scenes.masks[:, 1])
    row = table.loc["rollout"]
    assert row["asked for"] == own.figures()["mIoU"] and row["the other one"] == other.figures()["mIoU"]
    assert tuple(row[["difference", "low", "high"]]) == own.ahead_of(other, 0)["mIoU"]
    with pytest.raises(KitError, match="maps were not kept"):
        replace(found, maps=None).held("rollout", scenes.masks[:, 0])


def test_chance_is_what_the_masks_of_other_images_give(pairs):
    scenes, found = pairs
    masks = scenes.masks[:, 0]
    table = over_chance([found, found], masks, shifts=(1, 3))
    own = found.held("token heatmap", masks)
    others = [found.held("token heatmap", masks[[(n - k) % 8 for n in range(8)]]) for k in (1, 3)]
    chance = Segmentation.mean_of(others)
    assert chance.precision == pytest.approx((others[0].precision + others[1].precision) / 2)
    figures = own.figures(), chance.figures()
    for name in ("mIoU", "mAP"):
        assert table.loc[name, "value"] == pytest.approx(figures[0][name])
        assert table.loc[name, "over chance"] == pytest.approx(figures[0][name] - figures[1][name])
        assert table.loc[name, "low"] < table.loc[name, "over chance"] < table.loc[name, "high"]


def test_d12_a_batch_of_eight_gives_what_single_images_give(stickers):
    model, scenes = (
        stickers.double(),
        kit.world.draw(9, 5),
    )  # in float32 a pixel at the threshold may fall over
    names = model.encode_text(["a cat", "a dog", "a ship"])
    one, eight = (segment(model, scenes, names, batch=b) for b in (1, 8))
    assert torch.equal(one.classes, eight.classes)
    for name in METHODS:
        mine, theirs = one.results[name], eight.results[name]
        assert len(mine) == len(theirs) == 9
        assert np.array_equal(mine.counts, theirs.counts)
        assert np.abs(mine.precision - theirs.precision).max() < 1e-6


def test_d12_each_image_is_stretched_and_cut_by_itself_and_nothing_is_no_number():
    maps = torch.stack([torch.eye(4), 100 * torch.eye(4), -torch.ones(4, 4), torch.ones(4, 4)])
    together = spread(maps, (8, 8))
    alone = [spread(one[None], (8, 8)) for one in maps]
    assert torch.equal(together.heat, torch.cat([a.heat for a in alone]))
    assert torch.equal(together.found, torch.cat([a.found for a in alone]))
    assert torch.allclose(together.heat[0], together.heat[1])
    assert torch.isfinite(together.heat).all() and not together.found[2:].any()


def test_a_map_is_clipped_before_it_is_cut():
    found = spread(torch.tensor([[[0.0, 1.0], [-100.0, 0.1]]]), (2, 2)).found
    assert found[0].tolist() == [[False, True], [False, False]]


def test_d13_one_vector_is_the_class_minus_the_mean_of_all_in_single_precision(stickers):
    scenes, seen = kit.world.draw(3, 5), []
    names = stickers.encode_text(["a cat", "a dog", "a ship"])

    def watch(model, pixels, directions):
        seen.append(directions)
        return METHODS["token heatmap"](model, pixels, directions)

    found = segment(stickers, scenes, names, methods={"watched": watch}, keep_maps=True)
    pixels = stickers.preprocess(scenes.images)
    each = kit.scores(stickers, pixels, names, by="token", normalize=False)[:, :, 1:].sum(
        1
    )  # [batch, token, text]
    own = each.gather(2, found.classes[:, None, None].expand(-1, 64, 1))[..., 0]
    assert torch.allclose(found.maps["watched"].flatten(1), own - each.mean(2), atol=1e-5)
    assert seen[0].dtype == torch.float32 and torch.allclose(seen[0], names[found.classes] - names.mean(0))
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(kit.KitError, match="autocast"):
        segment(stickers, scenes, names)


@pytest.mark.parametrize(
    ("mask", "more", "message"),
    [
        (np.zeros((4, 4, 3)), {}, r"should be \[row, col\], True on the object; this one is \[4, 4, 3\]"),
        (np.full((4, 4), 7), {}, "True on the object"),
        (np.zeros((4, 6), bool), {"size": (6, 4)}, "the mask is 4 x 6 pixels, but its picture 6 x 4"),
        (np.zeros((4, 4), bool), {"protocol": "squashed"}, "there are aligned and released"),
    ],
)
def test_a_mask_that_cannot_be_is_named(stickers, mask, more, message):
    with pytest.raises(kit.KitError, match=message):
        seen_mask(stickers, mask, **more)


def test_a_transform_with_an_unknown_step_is_named(vit):
    odd = kit.load(
        "timm/vit_tiny_patch16_224",
        "random",
        config={"depth": 1},
        preprocess=transforms.Compose([transforms.RandomRotation(90), *vit.transform.transforms]),
    )
    with pytest.raises(kit.KitError, match='what "RandomRotation"'):
        seen_mask(odd, np.zeros((224, 224), bool))


# --- methods


@pytest.mark.parametrize("name", METHODS)
def test_planted_every_method_finds_the_red_patches(planted, name):
    images, red = pixels()
    maps = METHODS[name](planted, images, TOWARDS.expand(2, -1))
    for one, where in zip(maps, red):
        assert one[where].min() > one[~where].max() + 1e-6


@pytest.mark.parametrize("name", METHODS)
def test_planted_the_opposite_direction_turns_all_but_the_blind(planted, name):
    images, red = pixels()
    maps = METHODS[name](planted, images, -TOWARDS.expand(2, -1))
    for one, where in zip(maps, red):
        if name in BLIND:
            assert one[where].min() > one[~where].max()
        else:
            assert one[~where].min() > one[where].max() + 1e-6


def test_planted_a_tower_that_reads_nothing_gives_no_map(planted):
    images, _ = pixels()
    blind = planted.double()
    with torch.no_grad():
        for block in blind.tower.transformer.resblocks:
            block.attn.out_proj.weight.zero_()
    where = TOWARDS.double().expand(2, -1)
    for name in ("token heatmap", "GradCAM of heads", "partial LRP", "transformer attribution"):
        assert not spread(METHODS[name](blind, images.double(), where), (32, 32)).found.any(), name


@pytest.mark.parametrize("name", ["stickers-l8", "timm/deit_tiny_distilled_patch16_224"])
def test_own_maps_are_the_diagonal_of_maps_and_sum_to_the_heads(name):
    model = perturbed(name).double()
    images, directions = pixels_for(model), unit_directions(model, 2)
    run = kit.run(model, images)
    own, every = run.own_maps(directions), run.maps(directions, normalize=False).sum(1)
    assert torch.allclose(own, torch.stack([every[0, :, 0], every[1, :, 1]]), atol=1e-12)
    heads = run.index["kind"].eq("head").to_numpy().nonzero()[0]
    sums = run.scores(directions, normalize=False)[:, heads].sum(1)  # [batch, text]
    assert torch.allclose(own.sum(1), sums.diagonal(), atol=1e-10)


class Nudged(HookPoints):
    """One pattern of one layer moved a little."""

    def __init__(self, layer, at, by):
        self.layer, self.at, self.by = layer, at, by

    def attention(self, layer, call, out):
        pattern = call.pattern().clone()
        if layer == self.layer:
            pattern[self.at] += self.by
        return pattern @ call.value


def test_pattern_gradients_are_finite_differences():
    model = perturbed("stickers-l8").double()
    images, directions = pixels_for(model, 1), unit_directions(model, 1)
    _, gradients = pattern_gradients(model, images, directions, "test")
    for layer, at in ((0, (0, 1, 7, 3)), (3, (0, 0, 0, 12)), (5, (0, 5, 0, 64))):
        ends = [
            torch.nn.functional.cosine_similarity(
                forward(model, frozen_graph(model), images, Nudged(layer, at, by)), directions
            )
            for by in (1e-5, -1e-5)
        ]
        assert float((ends[0] - ends[1]) / 2e-5) == pytest.approx(
            float(gradients[layer][at]), rel=1e-4, abs=1e-9
        )


def test_relevance_keeps_its_sum_through_a_linear_map():
    noise = torch.Generator().manual_seed(0)
    values, weight, given = (torch.randn(*s, generator=noise).double() for s in ((5, 7), (4, 7), (5, 4)))
    shared = linear_relevance(values, weight, given)
    assert torch.allclose(shared.sum(1), given.sum(1), atol=1e-10)
    slow = torch.zeros_like(values)
    for b in range(5):
        for o in range(4):
            speaks = (values[b] * weight[o]).clamp(min=0)
            slow[b] += given[b, o] * speaks / speaks.sum()
    assert torch.allclose(shared, slow, atol=1e-12)


def test_relevance_does_not_depend_on_the_other_images_of_a_batch():
    model = perturbed("stickers-l8").double()
    images, directions = pixels_for(model, 3), unit_directions(model, 3)
    together = pattern_relevance(model, images, directions, "test")
    for i in range(3):
        alone = pattern_relevance(model, images[i : i + 1], directions[i : i + 1], "test")
        for one, many in zip(alone, together):
            assert torch.allclose(one[0], many[i], atol=1e-10, rtol=1e-8)


def test_a_hierarchy_is_refused_by_all_but_token_heatmaps(load):
    swin = load("timm/swin_tiny_patch4_window7_224", "random", config=EXACT["swin_tiny_patch4_window7_224"])
    images, directions = pixels_for(swin, 1), unit_directions(swin, 1)
    for name in [name for name in METHODS if name != "token heatmap"]:
        with pytest.raises(kit.KitError, match="needs a tower with the same tokens in every layer"):
            METHODS[name](swin, images, directions)
    assert METHODS["token heatmap"](swin, images, directions).shape == (1, 28, 28)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"directions": torch.eye(128)[:1]}, "one class minus the mean of all classes is nothing"),
        ({"methods": ["roll out"]}, 'no method "roll out"; there are token heatmap'),
        ({"masks": torch.zeros(3, 64, 64)}, "3 masks for 2 images"),
        ({"classes": [0, 9]}, "classes should be one number for each of 2 images, 0 to 2"),
    ],
)
def test_what_cannot_be_measured_is_named(stickers, more, message):
    options = {"directions": torch.eye(128)[:3], **more}
    with pytest.raises(kit.KitError, match=message):
        segment(stickers, kit.world.draw(2, 5), **options)


# --- what rounding must not decide


def slow_float32(model, pixels, directions):
    """Transformer attribution as it is without the copy in float64."""
    _, gradients = pattern_gradients(model, pixels, directions, "test")
    found = pattern_relevance(model, pixels, directions, "test")
    layers = [((g * r).clamp(min=0).mean(1), 1.0) for g, r in zip(gradients, found)]
    return rolled(layers, model)[:, model.prefix_tokens :].unflatten(1, model.grid)


@pytest.mark.parametrize("name", ["partial LRP", "transformer attribution"])
def test_maps_of_relevance_are_those_of_float64(stickers, name):
    scenes, double = kit.world.draw(8, seed=5), stickers.double()
    pixels, own = stickers.preprocess(scenes.images), stickers.encode_text("a cat").expand(8, -1)
    maps = METHODS[name](stickers, pixels, own)
    wanted = METHODS[name](double, pixels.double(), own.double())
    most = wanted.abs().amax((1, 2), keepdim=True)
    assert maps.dtype == torch.float32 and ((maps - wanted) / most).abs().max() < 1e-6
    if name == "transformer attribution":  # the control: float32 all the way is another map
        assert ((slow_float32(stickers, pixels, own) - wanted) / most).abs().max() > 1e-4


def test_the_copy_in_float64_is_made_once_and_anew_when_weights_change():
    model = perturbed("stickers-l8")
    asked = pixels_for(model, 2), unit_directions(model, 2)
    first, again = (in_float64(model, *asked, "test")[0] for _ in range(2))
    assert first is again and first.dtype == torch.float64 and not first.has_text
    assert sum(p.numel() for p in first.library_model.parameters()) == sum(
        p.numel() for p in model.tower.parameters()
    )
    before = METHODS["partial LRP"](model, *asked)
    with torch.no_grad():
        model.tower.transformer.resblocks[-1].attn.out_proj.weight.mul_(-1)
    other = in_float64(model, *asked, "test")[0]
    assert other is not first
    assert in_float64(other, *(each.double() for each in asked), "test")[0] is other
    assert not torch.allclose(METHODS["partial LRP"](model, *asked), before, atol=1e-3 * float(before.max()))


def test_a_map_that_is_nowhere_above_zero_says_so(stickers):
    maps = {"blank": torch.zeros(2, 2), "below": -torch.ones(2, 2), "left": torch.tensor([[1.0, -1.0]] * 2)}
    found = fits(maps, torch.tensor([[True, False]] * 2))
    assert found.blank == [True, True, False] and found.masks[:2].sum() == 0
    assert "Its map is nowhere above zero, so it finds nothing." in found.says("blank", "cat", "it")
    assert "nowhere" not in found.says("left", "cat", "it")
    scenes = kit.world.draw(3, 3)
    none = lambda model, pixels, own: torch.zeros(len(pixels), *model.grid)  # noqa: E731
    some = lambda model, pixels, own: torch.eye(8) * torch.arange(len(pixels))[:, None, None]  # noqa: E731
    names = stickers.encode_text(["a cat", "a dog"])
    done = segment(stickers, scenes, names, methods={"none": none, "some": some})
    assert done.blank == {"none": 3, "some": 1}
    said = "of 3 maps of {} are nowhere above zero, and find nothing."
    assert done.notes == [f"{n} {said.format(name)}" for name, n in done.blank.items()]


def test_gradcam_is_called_by_what_it_weighs_and_by_its_old_name(stickers):
    scenes, names = kit.world.draw(2, 3), stickers.encode_text(["a cat", "a dog"])
    found = segment(stickers, scenes, names, methods=["GradCAM", "rollout"])
    assert list(found.results) == ["GradCAM of heads", "rollout"] and "GradCAM" not in METHODS
    made, _ = maps_of_classes(
        stickers, stickers.preprocess(scenes.images), Directions(["cat", "dog"], names), ["cat"], ["GradCAM"]
    )
    assert list(made) == [("cat", "GradCAM of heads")]
