"""Lists of texts and token maps in the paper's convention against its released algorithms, the slow way."""

import pytest
import torch

import kit
from kit.errors import KitError
from kit.parts import collect, load_moments
from kit.projections import Bank, textspan
from tests.exact.released import compared, heads_of, text_set, token_parts
from tests.unit.lost import says, tiny_clip

SCENES, BATCH, TEXTS, RANK = 96, 32, 10, 80


@pytest.fixture(scope="module")
def scenes():
    return kit.world.draw(SCENES, seed=3)


@pytest.fixture(scope="module")
def moments(stickers, scenes):
    return collect(stickers, scenes, "moments", "scenes", batch=BATCH, convention="paper")


@pytest.fixture(scope="module")
def heads(stickers, scenes):
    return heads_of(stickers, scenes.images, BATCH)


@pytest.fixture(scope="module")
def bank(stickers):
    return Bank.stickers(stickers)


def slow(heads, bank, rank: int) -> dict:
    names, values = heads
    return {name: text_set(values[:, n], bank.vectors, TEXTS, rank) for n, name in enumerate(names)}


@pytest.mark.parametrize("rank", [20, 35, 60, RANK])
def test_lists_are_those_of_the_released_algorithm(moments, heads, bank, rank):
    """With directions that cut the head's span, that are its span, and that are rounding."""
    wanted = slow(heads, bank, rank)
    found = compared(textspan(moments, bank, TEXTS, rank=rank, convention="paper"), wanted, bank.texts)
    assert found["of"] + found["behind ties"] == 360 and found["behind ties"] <= 36
    assert found["equal"] >= 0.99 * found["of"], found


def test_exact_parts_give_other_lists_and_so_do_squares(stickers, scenes, moments, heads, bank):
    """The control: neither the default nor the second moments of the same parts know the released lists."""
    wanted = slow(heads, bank, RANK)
    plain = textspan(collect(stickers, scenes, "moments", "scenes", batch=BATCH), bank, TEXTS, rank=RANK)
    assert compared(plain, wanted, bank.texts)["equal"] < 0.5 * 360
    values = heads[1].double().transpose(0, 1)  # [head, image, embed]
    squares = values.mT @ values
    axes = torch.linalg.eigh(squares).eigenvectors[:, :, -RANK:]
    true = torch.linalg.svd(values, full_matrices=False).Vh[:, :RANK].mT
    kept = torch.linalg.svd(moments.root, full_matrices=False).Vh[:, :RANK].mT
    off, own = (((a @ a.mT - true @ true.mT).norm(dim=(1, 2))).median() for a in (axes, kept))
    assert own < 1e-3 < 0.1 < off


def test_mean_and_covariance_are_those_of_the_parts(moments, heads):
    values = heads[1].double().transpose(0, 1)
    centred = values - values.mean(1, keepdim=True)
    covariance = centred.mT @ centred / values.shape[1]
    assert moments.count == SCENES and moments.gain is None and moments.parts == heads[0]
    torch.testing.assert_close(moments.embed_mean(), values.mean(1), rtol=0, atol=1e-12)
    assert (moments.embed_covariance() - covariance).norm() < 1e-10 * covariance.norm()


def test_moments_of_halves_merge_into_those_of_the_whole(stickers, scenes, moments, bank, tmp_path):
    halves = [
        collect(stickers, scenes.images[some], "moments", f"half {n}", BATCH, convention="paper")
        for n, some in enumerate((slice(32, None), slice(32)))
    ]
    halves[0].save(tmp_path / "half.safetensors")
    back = load_moments(stickers, tmp_path / "half.safetensors")
    assert torch.equal(back.root, halves[0].root) and back.index.equals(moments.index)
    both = back.merge(halves[1])
    torch.testing.assert_close(
        both.root.mT @ both.root, moments.root.mT @ moments.root, rtol=1e-10, atol=1e-10
    )
    one, two = (textspan(m, bank, TEXTS, rank=RANK, convention="paper") for m in (moments, both))
    clear = one.table["margin"] > 1e-5
    assert (one.table["text"] == two.table["text"])[clear].mean() > 0.98
    some = textspan(both, bank, TEXTS, rank=RANK, convention="paper", part="L5.H*").table
    assert list(some["text"]) == list(two.table[two.table["part"].str.startswith("L5")]["text"])


def test_a_pass_that_is_stopped_goes_on_in_the_same_convention(tmp_path):
    model, images = tiny_clip(), torch.randint(0, 256, (9, 3, 32, 32), generator=torch.manual_seed(0)).byte()
    whole = collect(model, images, "moments", "nine", 3, convention="paper")
    path = tmp_path / "kept"
    first = collect(model, images, "moments", "nine", 3, path=path, convention="paper")
    again = collect(model, images, "moments", "nine", 3, path=path, convention="paper")
    assert torch.equal(first.root, again.root) and torch.equal(first.root, whole.root)
    with says("convention", "exact parts"):
        collect(model, images, "moments", "nine", 3, path=path)


def test_a_model_in_float64_is_rounded_as_the_released_files_are(stickers, scenes, bank):
    double = stickers.double()
    found = collect(double, scenes.images[:40], "moments", "few", 40, "L5.H*", convention="paper")
    names, values = heads_of(double, scenes.images[:40], 40)
    last = [n for n, name in enumerate(names) if name.startswith("L5")]
    wanted = slow(([names[n] for n in last], values[:, last]), bank, 38)
    equal = compared(textspan(found, bank, TEXTS, rank=38, convention="paper"), wanted, bank.texts)
    assert equal["equal"] >= 0.99 * equal["of"] > 40


@pytest.mark.parametrize(
    "options, message",
    [
        ({"convention": "papers"}, 'no convention "papers"; there are exact and paper.'),
        ({"convention": "exact"}, r'convention="exact" is asked of moments of "parts as the paper'),
        ({"score": "variance"}, 'convention="paper" has score="released" alone'),
    ],
)
def test_moments_of_another_convention_are_refused(moments, bank, options, message):
    with pytest.raises(KitError, match=message):
        textspan(moments, bank, **{"convention": "paper"} | options)


def test_what_the_papers_convention_does_not_have_is_refused(stickers, scenes, bank):
    exact = collect(stickers, scenes.images[:2], "moments", "two", selector="L5.H0")
    with says(
        'is asked of moments of "exact parts', 'kit.collect(model, images, "moments", convention="paper")'
    ):
        textspan(exact, bank, convention="paper")
    with says('no convention="paper" with keep="means"'):
        collect(stickers, scenes.images[:2], name="two", convention="paper")
    with says('no convention="papers"'):
        collect(stickers, scenes.images[:2], "moments", "two", convention="papers")
    with says("is no part in the paper's convention"):
        collect(stickers, scenes.images[:2], "moments", "two", selector="all", convention="paper")


# --- maps


@pytest.fixture(scope="module")
def written(stickers):
    model = stickers.double()
    pixels = model.preprocess(kit.world.gallery().images[:2])
    return model, pixels, *token_parts(model, pixels)


def test_token_maps_are_those_of_the_released_logger(written):
    model, pixels, parts, whole = written
    ours = kit.decompose(model, pixels, by="token", convention="paper")
    assert ours.values.shape == (2, 36, 65, 128) and ours.index["kind"].eq("head").all()
    assert (ours.values - parts.flatten(1, 2)).abs().max() < 1e-10 * parts.abs().max()
    texts = model.encode_text(["a cat", "a dog"])
    maps = kit.scores(model, pixels, texts, by="token", convention="paper")
    wanted = parts.flatten(1, 2) @ texts.T / whole.norm(dim=-1)[:, None, None, None]
    torch.testing.assert_close(maps, wanted, rtol=0, atol=1e-12)
    some = kit.scores(model, pixels, texts, by="token", selector="L5.H3, L2.MLP, L0.H1", convention="paper")
    torch.testing.assert_close(some, wanted[:, [1, 33]], rtol=0, atol=1e-12)
    raw = kit.scores(model, pixels, texts, by="token", normalize=False, convention="paper")
    torch.testing.assert_close(raw, parts.flatten(1, 2) @ texts.T, rtol=0, atol=1e-10)


def test_maps_sum_to_heads_and_heads_to_the_cosine(written):
    model, pixels, _, whole = written
    texts = model.encode_text(["a cat", "a dog"])
    heads = kit.scores(model, pixels, texts, convention="paper")
    maps = kit.scores(model, pixels, texts, by="token", convention="paper")
    rows = kit.decompose(model, pixels, convention="paper").index["kind"].eq("head").to_numpy()
    torch.testing.assert_close(maps.sum(2), heads[:, rows], rtol=0, atol=1e-12)
    cosine = torch.nn.functional.normalize(whole, dim=-1) @ texts.T
    torch.testing.assert_close(heads.sum(1), cosine, rtol=0, atol=1e-12)
    some = kit.scores(model, pixels, texts, selector="L5.H3, embed", convention="paper")
    assert some.shape == (2, 2, 2)


def test_the_exact_maps_are_others(written):
    model, pixels, parts, _ = written
    exact = kit.decompose(model, pixels, by="token").values
    assert (exact - parts.flatten(1, 2)).norm() > 1e-3 * parts.norm()


def test_maps_of_a_tower_that_pools_otherwise_are_refused():
    model = kit.load(
        "timm/vit_tiny_patch16_224", "random",
        config={"depth": 1, "img_size": 32, "global_pool": "avg", "num_classes": 0},
    )  # fmt: skip
    with says('convention="paper" is for towers that pool the class token'):
        kit.scores(model, torch.rand(1, 3, 32, 32), torch.eye(192)[:1], by="token", convention="paper")
