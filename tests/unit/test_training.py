"""The training: its forward pass, its losses, its state on disk and what it exports."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import kit
import kit.world as world
from kit.errors import KitError
from kit.models.names import SHIPPED
from kit.workshop.cards.members import Clip
from kit.workshop.training import clip as clip_training
from kit.workshop.training import forward, loop, objectives
from kit.workshop.training.clip import ClipTraining
from kit.workshop.training.export import export_clip
from kit.workshop.training.recipe import CHUNK, Cycle, Phase
from kit.workshop.training.recipes import CLEAN, RECIPES, WEB
from kit.workshop.training.tokenizer import learn_merges, vocabulary_size
from kit.workshop.training.train import recipe_named

TINY = replace(
    RECIPES["stickers-l8"],
    name="tiny",
    vision={"image_size": 64, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16},
    text={"context_length": 24, "width": 16, "heads": 2, "layers": 1},
    embed_dim=16,
    phases=(
        Phase(CHUNK, CLEAN, text=True, patches=7, batch=32),
        Phase(2 * CHUNK, CLEAN, text=True, patches=7, batch=64, emphasis={"count": 3.0}),
    ),
    cycles=(Cycle(CHUNK, 2 * CHUNK),),
    warmup=4,
)


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in another order are other sums: the promise of equal losses is for one thread a shard."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def clip():
    """A small model with every weight off its starting value, biases and norms too."""
    model = clip_training.build(TINY, 600, seed=3).eval()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator)
    return model


def images_and_tokens(n=5):
    generator = torch.Generator().manual_seed(5)
    tokens = torch.zeros(n, 24, dtype=torch.int64)
    for i in range(n):
        tokens[i, : i + 3] = torch.randint(1, 598, (i + 3,), generator=generator)
        tokens[i, i + 3] = 599
    return torch.randn(n, 3, 64, 64, generator=generator), tokens


def own(clip, dtype):
    pixels, tokens = images_and_tokens()
    weights = forward.weights_of(clip, dtype)
    features = forward.image_features(clip, weights, pixels, None)
    return features @ weights["visual.proj"], forward.text_features(clip, weights, tokens)


def library(clip):
    pixels, tokens = images_and_tokens()
    return clip.encode_image(pixels), clip.encode_text(tokens)


@torch.no_grad()
def test_own_forward_equals_the_module_in_float32(clip):
    for mine, theirs in zip(own(clip, torch.float32), library(clip)):
        assert (mine - theirs).norm() / theirs.norm() < 1e-5


@torch.no_grad()
def test_own_forward_in_bfloat16_points_the_same_way(clip):
    for mine, theirs in zip(own(clip, torch.bfloat16), library(clip)):
        assert F.cosine_similarity(mine.float(), theirs).min() > 0.9995  # 16 wide; wider is closer


@torch.no_grad()
def test_kept_patches_bring_their_own_positions(clip):
    """All patches in another order are the same image."""
    pixels, _ = images_and_tokens()
    weights = forward.weights_of(clip, torch.float32)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1)).expand(len(pixels), -1)
    whole, turned = (forward.image_features(clip, weights, pixels, keep) for keep in (None, order))
    assert (whole - turned).norm() / whole.norm() < 1e-5


def test_chosen_patches_are_distinct_and_follow_the_generator():
    one, again = (forward.choose_patches(50, 64, 31, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(one, again)
    assert all(len(row.unique()) == 31 for row in one)
    assert forward.choose_patches(50, 64, 64, torch.Generator()) is None


def test_resumed_training_repeats_the_losses_to_the_bit(folder):
    unbroken = ClipTraining(TINY, folder)
    unbroken.seen = CHUNK - 24 * 32  # so that the 50 cross into the second chunk and its larger batches
    for _ in range(4):
        unbroken.step()
    unbroken.save(folder / "checkpoint.pt")
    expected = [unbroken.step() for _ in range(50)]
    resumed = ClipTraining(TINY, folder)
    resumed.load(folder / "checkpoint.pt")
    assert [resumed.step() for _ in range(50)] == expected
    assert unbroken.seen == resumed.seen > CHUNK
    assert all(torch.equal(unbroken.ema[n], resumed.ema[n]) for n in unbroken.ema)


def test_checkpoint_of_another_model_is_refused(folder):
    ClipTraining(TINY, folder).save(folder / "other.pt")
    with pytest.raises(KitError, match='holds a training of "tiny" with other shapes'):
        ClipTraining(replace(TINY, embed_dim=8), folder).load(folder / "other.pt")


def test_broken_save_leaves_the_last_checkpoint(folder, monkeypatch):
    training, path = ClipTraining(TINY, folder), folder / "kept.pt"
    training.save(path)
    before = path.read_bytes()

    def broken(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(KitError, match="the disk is full"):
        training.save(path)
    assert path.read_bytes() == before and [p.name for p in folder.glob(".*")] == []


@torch.no_grad()
def test_export_loads_through_open_clip_and_holds_no_label_heads(folder):
    import open_clip

    training = ClipTraining(TINY, folder)
    training.step()
    export_clip(training, folder / "model")
    stored = load_file(folder / "model" / "open_clip_model.safetensors")
    assert not [n for n in stored if "heads" in n]
    assert {w.dtype for w in stored.values()} == {torch.float16}
    where = f"local-dir:{folder / 'model'}"
    loaded, _, transform = open_clip.create_model_and_transforms(where)
    training.clip.load_state_dict({n: w.half().float() for n, w in training.averaged().items()})
    pixels, _ = images_and_tokens()
    assert torch.equal(loaded.eval().encode_image(pixels), training.clip.eval().encode_image(pixels))
    assert list(transform.transforms[-1].mean) == [0.5, 0.5, 0.5]
    tokenizer = open_clip.get_tokenizer(where, bpe_path=str(folder / "model" / "bpe.txt.gz"))
    texts = world.draw(20, seed=1, kind="mixed").captions
    assert torch.equal(tokenizer(texts), training.tokenizer(texts))


def test_sides_of_a_pair_name_the_object_that_stands_there():
    scenes = world.draw(200, seed=2, kind="pair")
    asked = objectives.targets(scenes.codes)
    rows = scenes.masks.flatten(2).any(2).all(1).nonzero()[:, 0].tolist()
    grid = torch.arange(64.0)
    for i in rows:
        across = [float((m * grid).sum() / m.sum()) for m in scenes.masks[i].float()]
        down = [float((m * grid[:, None]).sum() / m.sum()) for m in scenes.masks[i].float()]
        concepts = [int(scenes.codes[c][i]) for c in ("concept", "concept_2")]
        beside = int(asked["left"][i]) >= 0
        first, last = ("left", "right") if beside else ("top", "bottom")
        place = across if beside else down
        order = concepts if place[0] < place[1] else concepts[::-1]
        assert [int(asked[first][i]), int(asked[last][i])] == order


def test_two_objects_are_not_asked_for_one_colour():
    asked = objectives.targets(world.draw(50, seed=2, kind="pair").codes)
    assert all((asked[n] == -1).all() for n in ("colour", "texture", "size", "position", "count"))
    assert (asked["background"] >= 0).all()


def test_in_the_web_mix_a_printed_word_is_as_right_as_the_object():
    words = [world.VALUES["concept"].index(w) for w in world.VALUES["word"]]
    for kind in ("word", "single_word"):
        scenes = world.draw(60, seed=3, kind=kind)
        asked = objectives.targets(scenes.codes)
        read = objectives.read_targets(asked)
        named = [words[w] for w in scenes.codes["word"].tolist()]
        if kind == "word":
            assert read["concept"].tolist() == named and (read["concept_2"] == -1).all()
        else:
            assert torch.equal(read["concept"], scenes.codes["concept"])
            assert read["concept_2"].tolist() == named
    pairs = objectives.targets(world.draw(60, seed=3, kind="pair").codes)
    assert all(torch.equal(objectives.read_targets(pairs)[n], pairs[n]) for n in ("concept", "concept_2"))


def test_a_web_twin_starts_from_the_weights_that_ship():
    recipe = RECIPES["stickers-l8-web"]
    built = clip_training.build(recipe, vocabulary_size(learn_merges(world.words())), seed=1)
    shipped = load_file(SHIPPED / "stickers-l8" / "open_clip_model.safetensors")
    assert all(torch.equal(w, shipped[n].float()) for n, w in built.state_dict().items())
    assert recipe.labels[-1] == "word" and all(p.scenes["mix"] == "web" for p in recipe.phases)


def stored(name):
    weights = load_file(SHIPPED / name / "open_clip_model.safetensors")
    return {n: w.float() for n, w in weights.items()}


def test_positions_are_spread_over_a_larger_grid():
    """A field that rises evenly still does, away from the border, and the class token keeps its own."""
    row, col = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    field = torch.stack([row, col, torch.ones(8, 8)], 2).flatten(0, 1)  # [patch, dim]
    weights = {"visual.positional_embedding": torch.cat([torch.full((1, 3), 9.0), field]).half()}
    found = clip_training.enlarged(weights, (16, 16))["visual.positional_embedding"]
    assert torch.equal(found[0], torch.full((3,), 9.0))
    inner = found[1:].unflatten(0, (16, 16))[4:12, 4:12]
    at = (torch.arange(4, 12) + 0.5) / 2 - 0.5
    # torch's cubic is steeper between two places than at them
    assert torch.allclose(inner[..., 0], at[:, None].expand(8, 8), atol=0.06)
    assert torch.allclose(inner[..., 1], at.expand(8, 8), atol=0.06)
    assert torch.allclose(inner[..., 2], torch.ones(8, 8), atol=1e-5)
    same = clip_training.enlarged(weights, (8, 8))["visual.positional_embedding"]
    assert torch.equal(same, weights["visual.positional_embedding"].float())


def test_a_finer_twin_starts_from_the_weights_that_ship():
    recipe = RECIPES["stickers-l8-128"]
    built = clip_training.build(recipe, vocabulary_size(learn_merges(world.words())), seed=1)
    shipped, places = stored("stickers-l8"), "visual.positional_embedding"
    assert all(torch.equal(w, shipped[n]) for n, w in built.state_dict().items() if n != places)
    assert built.state_dict()[places].shape == (257, 192) and built.visual.image_size == (128, 128)
    assert RECIPES["stickers-l8-web-128"].start == "stickers-l8-web"


def test_a_start_may_take_over_what_a_training_changed():
    """The twin of a twin: of one grid, so that plain sums tell what is expected."""
    recipe = replace(RECIPES["stickers-l8"], start="stickers-l8", change=("stickers-l8", "stickers-l8-web"))
    found = clip_training.started(recipe, (8, 8))
    web = stored("stickers-l8-web")
    assert all(torch.allclose(w, web[n], atol=1e-5) for n, w in found.items())


def test_a_finer_model_sees_finer_scenes(folder):
    recipe = replace(
        TINY,
        name="fine",
        vision=TINY.vision | {"image_size": 128},
        preprocess=TINY.preprocess | {"size": 128},
        eight_bits=True,
    )
    training = ClipTraining(recipe, folder / "fine")
    batch, coarse = training.stream.at(0), world.draw(CHUNK, recipe.seed, artists="seen", **CLEAN)
    assert batch.images.shape == (32, 3, 128, 128)
    order = torch.randperm(CHUNK, generator=torch.Generator().manual_seed(0))[:32]
    assert torch.equal(batch.images[0], coarse[order[:1]].at(2).images[0])
    training.step()
    export_clip(training, folder / "fine" / "model")
    kept = load_file(folder / "fine" / "model" / "open_clip_model.safetensors")
    small = {n for n, w in kept.items() if w.dtype == torch.float8_e4m3fn}
    assert small == {n for n, w in kept.items() if "resblocks." in n and w.ndim == 2}
    loaded = Clip(folder / "fine" / "model")
    weights = loaded.module.state_dict()
    assert loaded.scale == 2 and all(torch.equal(weights[n], w.float()) for n, w in kept.items())
    assert torch.equal(kit.load(str(folder / "fine" / "model")).tower.proj, weights["visual.proj"])
    scenes = world.draw(2, 0)
    assert torch.equal(loaded.seen(scenes), loaded.features(scenes.at(2).images))


def test_a_second_true_caption_is_no_wrong_answer():
    """Images 0 and 1 are equal, and so are their captions: to share the answer is best."""
    images = torch.eye(3)[[0, 0, 1]]
    truth = images @ images.T > 0
    fair = objectives.caption_loss(images, images, truth, torch.tensor(100.0))
    blind = objectives.caption_loss(images, images, torch.eye(3) > 0, torch.tensor(100.0))
    assert float(fair) == pytest.approx(float(blind)) == pytest.approx(2 / 3 * math.log(2))
    apart = torch.eye(3)  # telling the equal ones apart: a gain for who takes them for different, a loss here
    assert objectives.caption_loss(apart, apart, truth, torch.tensor(10.0)) > fair + 1
    assert objectives.caption_loss(apart, apart, torch.eye(3) > 0, torch.tensor(10.0)) < 0.01


def test_a_false_caption_is_the_answer_of_its_own_image():
    """In the web mix some captions are wrong, and true of nothing in the batch."""
    images, none = torch.eye(3), torch.zeros(3, 3, dtype=torch.bool)
    loss = objectives.caption_loss(images, images, none, torch.tensor(10.0))
    assert loss == objectives.caption_loss(images, images, torch.eye(3) > 0, torch.tensor(10.0))
    scenes = world.draw(CHUNK, 1, artists="seen", **WEB)
    truth = world.truth(world.captions_for(scenes, 0)[1], scenes)
    assert 0.01 < (~truth.diagonal()).float().mean() < 0.05


def test_unasked_rows_do_not_count():
    logits = torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    alone = objectives.cross_entropy(logits[:1], torch.tensor([0]))
    assert objectives.cross_entropy(logits, torch.tensor([0, -1])) == alone
    assert objectives.cross_entropy(logits, torch.tensor([-1, -1])) == 0


def test_relation_texts_are_true_first():
    scenes = world.draw(40, seed=9, kind="pair")
    rows, texts = objectives.relation_texts(scenes.codes)
    assert rows.tolist() == list(range(40))
    names = world.prompts("concept")
    for i in range(40):
        a, b = (names[int(scenes.codes[c][i])] for c in ("concept", "concept_2"))
        relation = scenes.labels["relation"].iloc[i]
        assert texts[4 * i : 4 * i + 2] == [f"{a} {relation} {b}", f"{b} {relation} {a}"]


def test_rates_rise_stay_and_fall_to_zero():
    rates = [TINY.rate(seen) for seen in range(0, TINY.samples + 1, 64)]
    assert rates[0] == 0.25 and rates[2] == rates[20] == 1 and rates[-1] == 0
    assert rates == rates[:2] + sorted(rates[2:], reverse=True)


def test_a_second_cycle_of_rates_rises_again():
    twice = replace(TINY, cycles=(Cycle(CHUNK // 2, CHUNK), Cycle(CHUNK, 2 * CHUNK)))
    assert twice.rate(CHUNK - 32) < 0.01 and twice.rate(CHUNK) == 0.25
    assert twice.rate(CHUNK + 3 * 64) > 0.95 and twice.rate(2 * CHUNK) == 0


def test_a_cycle_may_rise_less_high():
    low = replace(TINY, cycles=(Cycle(CHUNK, 2 * CHUNK, peak=0.5),))
    assert all(low.rate(n) == TINY.rate(n) / 2 for n in range(0, TINY.samples, 64))


def test_steps_are_counted_in_the_batches_of_their_phases():
    assert [TINY.steps(n) for n in (0, 32, CHUNK, CHUNK + 64, 2 * CHUNK)] == [0, 1, 64, 65, 96]


def test_emphasis_is_a_factor_on_the_losses_of_its_label():
    asked = objectives.targets(world.draw(50, seed=2, kind="count").codes)
    heads = objectives.LabelHeads(8)
    weights = {f"heads.{n}": p for n, p in heads.named_parameters()}
    answers = heads.answers(torch.randn(50, 8, generator=torch.Generator().manual_seed(1)), weights)
    plain, louder = (objectives.head_loss(answers, asked, e).detach() for e in ({}, {"count": 3.0}))
    count = objectives.OTHER_WEIGHT * objectives.cross_entropy(answers["count"], asked["count"])
    assert louder - plain == pytest.approx(2 * float(count.detach()), rel=1e-4)


def test_scaled_recipe_keeps_its_proportions():
    recipe = RECIPES["stickers-l8"]
    half = recipe.scaled(recipe.samples // 2)
    assert half.samples == pytest.approx(recipe.samples / 2, abs=CHUNK)
    assert [p.text for p in half.phases] == [p.text for p in recipe.phases]
    assert all(p.until % CHUNK == 0 for p in half.phases)


def test_unknown_recipe_names_the_known_ones():
    with pytest.raises(
        KitError, match=r'no recipe "stickers-l9": there are stickers-l8.* Nearest: stickers-l8'
    ):
        recipe_named("stickers-l9")


def test_boxes_hide_a_part_of_some_images():
    pixels = torch.full((400, 3, 64, 64), 2.0)  # a value that no box holds
    found = loop.boxed(pixels, 0.25, torch.Generator().manual_seed(0))
    hidden = (found != pixels).any(1)  # [image, row, col]
    touched = hidden.flatten(1).any(1)
    assert 0.15 < touched.float().mean() < 0.35
    sizes = hidden[touched].flatten(1).float().mean(1)
    assert sizes.min() > 0.04 and sizes.max() < 0.3
    assert found[found != 2].min() >= 0 and found[found != 2].max() <= 1
    assert (pixels == 2).all() and torch.equal(loop.boxed(pixels, 0.0, torch.Generator()), pixels)


def test_boxes_are_laid_in_the_phases_that_say_so(folder):
    first, second = TINY.phases
    recipe = replace(TINY, phases=(first, replace(second, boxes=1.0)), brightness=0.0)
    training = ClipTraining(recipe, folder / "boxes")
    images = torch.full((8, 3, 64, 64), 128, dtype=torch.uint8)
    plain = training.pixels(images, None)
    for seen, laid in ((0, False), (CHUNK, True)):
        training.seen = seen
        shown = training.pixels(images, torch.Generator().manual_seed(0))
        assert (shown != plain).flatten(1).any(1).all() == laid and torch.equal(shown, plain) != laid
