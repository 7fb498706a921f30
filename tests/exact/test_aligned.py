"""Towers in the space of a CLIP: mapped parts are what the maps make of the parts, wherever asked."""

from dataclasses import replace

import pytest
import torch

import kit
from kit.errors import KitError
from kit.projections import load_aligned, save_aligner
from kit.projections.aligned import BIAS, aligned, collect, fitted, seen_by_both

TOWERS = ("stickers-deit", "stickers-swin")  # of one grid, and a hierarchy
TEXTS = ["a cat", "a dog", "a boat"]


@pytest.fixture(scope="module")
def clip(load):
    return load("stickers-s16")


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(40, seed=5)


@pytest.fixture(scope="module")
def seen(load, clip, scenes):
    return {name: seen_by_both(load(name), clip, scenes) for name in TOWERS}


@pytest.fixture(scope="module")
def of(load, clip, seen):
    """name, kind -> the aligned tower, fitted once."""
    made = {}

    def one(name, kind):
        if (name, kind) not in made:
            made[name, kind] = fitted(load(name), clip, *seen[name], kind)
        return made[name, kind]

    return one


def relative(found, wanted) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("name", TOWERS)
def test_with_one_map_it_is_a_tower_whose_parts_are_the_mapped_ones(of, load, scenes, name):
    tower, base = of(name, "shared"), load(name)
    pixels = base.preprocess(scenes[:3])
    run, plain = kit.run(tower, pixels), kit.run(base, pixels)
    assert run.frozen.check.verdict == "exact"
    mapped = (plain.vectors() / plain.norm[:, None, None]) @ tower.aligner.weights[0]
    rows = [run.index["name"].tolist().index(n) for n in plain.index["name"] if n != "final.bias"]
    own = [n for n, name in enumerate(plain.index["name"]) if name != "final.bias"]
    assert relative(run.vectors()[:, rows], mapped[:, own]) < 1e-5
    assert relative(run.vectors().sum(1), tower.encode_image(pixels)) < 1e-5
    texts = tower.encode_text(TEXTS)
    cosine = torch.nn.functional.normalize(tower.encode_image(pixels), dim=-1) @ texts.T
    assert (run.scores(texts).sum(1) - cosine).abs().max() < 1e-5


@pytest.mark.parametrize("name", TOWERS)
@pytest.mark.parametrize("kind", ["cosine", "marginal"])
def test_with_a_map_for_each_part_runs_give_what_the_maps_make_of_the_parts(of, load, scenes, name, kind):
    tower, base = of(name, kind), load(name)
    pixels = base.preprocess(scenes[:3])
    run, plain = kit.run(tower, pixels), kit.run(base, pixels)
    places = [plain.index["name"].tolist().index(n) for n in tower.names]
    mapped = torch.einsum(
        "bpd,pde->bpe", plain.vectors()[:, places] / plain.norm[:, None, None], tower.aligner.weights
    )
    assert list(run.index["name"]) == [*tower.names, BIAS]
    assert relative(run.vectors()[:, :-1], mapped) < 1e-5
    assert torch.equal(run.vectors()[0, -1], tower.aligner.bias)
    assert relative(run.representation, mapped.sum(1) + tower.aligner.bias) < 1e-5
    assert relative(tower.encode_image(pixels), run.representation) < 1e-6
    texts = tower.encode_text(TEXTS)
    wanted = run.vectors() @ texts.T / run.norm[:, None, None]
    assert relative(run.scores(texts), wanted) < 1e-5
    heads = (run.index["kind"] == "head").to_numpy().copy()
    maps = run.maps(texts)
    assert maps.shape[1] == heads.sum() and relative(maps.sum(2), wanted[:, heads]) < 1e-4
    one = run.index["name"][heads].iloc[-1]
    assert relative(run.maps(texts, one), maps[:, -1:]) < 1e-5
    assert relative(kit.scores(tower, pixels, TEXTS, selector=one), wanted[:, heads][:, -1:]) < 1e-5
    assert relative(kit.decompose(tower, pixels).total, run.representation) < 1e-5


def test_parts_are_replaced_in_the_sum(of, scenes):
    tower = of("stickers-deit", "marginal")
    pixels = tower.preprocess(scenes[:2])
    run, found = kit.run(tower, pixels), kit.ablate(tower, pixels, "L1.H0, L5.MLP", replace="zero")
    assert relative(found.embedding, run.representation - run.vectors("L1.H0, L5.MLP").sum(1)) < 1e-5


def test_each_image_has_maps_for_its_own_direction(of, load, scenes):
    tower = of("stickers-deit", "marginal")
    run = kit.run(tower, tower.preprocess(scenes[:3]))
    texts = tower.encode_text(TEXTS)
    maps = run.maps(texts, "L4.H*, L5.H1", normalize=False).sum(1)  # [batch, token, text]
    own = torch.stack([maps[n, :, n] for n in range(3)])
    assert relative(run.own_maps(texts, "L4.H*, L5.H1"), own) < 1e-5
    assert not run.own_maps(texts, "none").any() and run.maps(texts, "none").shape[1] == 0


@pytest.mark.parametrize("name", TOWERS)
def test_a_store_of_mapped_parts_says_what_runs_say(of, seen, scenes, name):
    tower, (held, _) = of(name, "marginal"), seen[name]
    store, texts = tower.store(held), tower.encode_text(TEXTS)
    run = kit.run(tower, tower.preprocess(scenes))
    assert relative(store.scores(texts), run.scores(texts)[:, :-1]) < 1e-5
    whole = torch.nn.functional.normalize(run.representation, dim=-1) @ texts.T
    assert relative(store.cosines(texts), whole) < 1e-5
    assert store.weights_hash == tower.weights_hash != held.weights_hash


def test_two_passes_that_are_kept_are_not_made_again(load, clip, scenes, tmp_path):
    base = load("stickers-deit")
    first = kit.align(base, clip, scenes, "marginal", path=tmp_path / "kept")
    passes = base.passes["image"], clip.passes["image"]
    second = kit.align(base, clip, scenes, "shared", path=tmp_path / "kept")
    assert (base.passes["image"], clip.passes["image"]) == passes
    assert first.aligner.kind == "marginal" and second.aligner.kind == "shared"


def test_maps_come_back_from_a_file_and_only_to_their_own_towers(of, load, clip, seen, tmp_path):
    tower, (store, _) = of("stickers-deit", "cosine"), seen["stickers-deit"]
    path = tmp_path / "maps.safetensors"
    save_aligner(path, tower, store)
    again = load_aligned(tower.base, path)
    assert again.clip.name == clip.name and again.names == tower.names
    before, after = (each.aligner.parts(store.vectors()) for each in (tower, again))
    assert relative(after - after.mean(0), before - before.mean(0)) < 0.02
    with pytest.raises(KitError, match=r"these maps are of .stickers-deit. with weights"):
        load_aligned(load("stickers-dino"), path)
    with pytest.raises(KitError, match=r"these maps lead into .stickers-s16. with weights"):
        load_aligned(tower.base, path, replace(load("stickers-s8"), name=clip.name))


def test_other_maps_of_a_kind_are_another_model(of, clip):
    tower = of("stickers-deit", "marginal")
    longer = replace(tower.aligner, weights=2 * tower.aligner.weights)
    other = aligned(tower.base, clip, longer, tower.names)
    same = aligned(tower.base, clip, tower.aligner, tower.names)
    assert same.weights_hash == tower.weights_hash != other.weights_hash


def test_as_many_but_other_pictures_are_refused(load, clip, monkeypatch):
    """The tower cannot read the last of three pictures, and the CLIP not the first."""

    def reads(model, *given, **options):
        store = collect(model, *given, **options)
        return replace(store, rows=store.rows[1:] if model is clip else store.rows[:-1])

    monkeypatch.setattr("kit.projections.aligned.collect", reads)
    with pytest.raises(KitError, match="only pictures that both can read"):
        seen_by_both(load("stickers-deit"), clip, kit.world.draw(3, seed=1))


def test_in_float64_it_is_the_same_tower_more_finely(of, load, scenes):
    for kind in ("shared", "marginal"):
        tower = of("stickers-deit", kind)
        fine, pixels = tower.double(), tower.preprocess(scenes[:2])
        found = kit.run(fine, pixels.double())
        assert found.vectors().dtype == torch.float64
        assert relative(found.representation, tower.encode_image(pixels).double()) < 1e-5
        assert relative(found.vectors().sum(1), found.representation) < 1e-12


@pytest.mark.parametrize(
    "asked, words",
    [
        (lambda t, x: kit.ablate(t, x, "L1.H0", "zero", "total"), "takes each part by a map of its own"),
        (lambda t, x: kit.ablate(t, x, "L1.H0"), "has no means yet"),
        (lambda t, x: kit.pattern(t, x, 0), "takes each part by a map of its own"),
        (lambda t, x: kit.collect(t, kit.world.draw(3, seed=1), name="three"), "by a map of its own"),
        (lambda t, x: kit.decompose(t, x, convention="paper"), "mapped ones"),
        (lambda t, x: kit.run(t, x).scores(torch.zeros(2, 5)), "the width of .stickers-s16."),
        (lambda t, x: kit.align(t, "stickers-s16", kit.world.draw(3, seed=1)), "is aligned already"),
        (lambda t, x: kit.align(t.base, "stickers-s16"), "give both clip and images"),
        (lambda t, x: kit.align(t.base, "stickers-dino", kit.world.draw(3, seed=1)), "no text tower"),
        (lambda t, x: kit.align(t.base, kind="sharde"), 'no map "sharde"'),
        (lambda t, x: kit.align("stickers-s8"), "comes with no maps"),
        (lambda t, x: kit.align(t.base, epochs=3), "are fitted already"),
        (lambda t, x: t.store(kit.collect(t.clip, kit.world.draw(3, seed=1), "store", "three")), "is of"),
    ],
)
def test_what_cannot_be_asked_is_said(of, scenes, asked, words):
    tower = of("stickers-deit", "marginal")
    with pytest.raises(KitError, match=words):
        asked(tower, tower.preprocess(scenes[:1]))
