"""TextSpan against its slow form, on planted and random heads, and what must not change its picks."""

import math

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import kit
from kit.errors import KitError
from kit.parts import Moments
from kit.projections import Bank, textspan

EMBED, IMAGES, HEAD_DIM = 48, 400, 12
SCORES = ("released", "variance")
CLEAR = 1e-5  # margins below this are decided by rounding


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moments_of(values: Tensor) -> Moments:
    """Moments of vectors [image, part, embed]."""
    centred = (values - values.mean(0)).transpose(0, 1)
    index = pd.DataFrame({"name": [f"L0.H{i}" for i in range(values.shape[1])], "kind": "head"})
    index = index.assign(layer=0, head=range(values.shape[1]))
    covariance = centred.mT @ centred / len(values)
    return Moments("noise", "none", "0" * 64, len(values), index, values.mean(0), covariance, None)


def random_heads(seed: int = 0) -> Tensor:
    """Three heads of `HEAD_DIM` dimensions with falling variances and a mean, [image, head, embed]."""
    widths = torch.linspace(2, 0.2, HEAD_DIM, dtype=torch.float64)
    inner = noise(IMAGES, 3, HEAD_DIM, seed=seed) * widths + noise(3, HEAD_DIM, seed=seed + 1)
    return torch.einsum("bhd,hde->bhe", inner, noise(3, HEAD_DIM, EMBED, seed=seed + 2))


def bank(count: int = 300, seed: int = 5) -> Bank:
    return Bank([f"text {i}" for i in range(count)], normalize(noise(count, EMBED, seed=seed), dim=-1))


def planted(seed: int = 7) -> tuple[Tensor, Bank, list[int]]:
    """A head that writes five texts of falling variance, and a little noise in its span."""
    texts, chosen = bank(seed=seed), [17, 203, 4, 90, 151]
    sizes = torch.tensor([3.0, 2.0, 1.4, 1.0, 0.7], dtype=torch.float64)
    values = (noise(IMAGES, 5, seed=seed + 1) * sizes) @ texts.vectors[chosen] + 0.5
    values += 0.01 * noise(IMAGES, 7, seed=seed + 2) @ noise(7, EMBED, seed=seed + 3)
    return values[:, None], texts, chosen


def picks(found, part: int = 0) -> list[str]:
    table = found.table
    return list(table[table["part"] == f"L0.H{part}"]["text"])


def slow(x: Tensor, texts: Tensor, count: int, rank: int, score: str) -> list[int]:
    """The released algorithm: project the texts on the leading right singular vectors of the head, then
    deflate both, image by image; `variance` divides by the length of what is left of a text."""
    span = torch.linalg.svd(x, full_matrices=False).Vh[:rank]
    texts, x, found = texts @ span.T @ span, x - x.mean(0), []
    whole = texts.norm(dim=1)
    for _ in range(count):
        length = texts.norm(dim=1)
        value = (x @ texts.T).std(0) / (length if score == "variance" else 1.0)
        value[length <= 1e-5 * whole] = -1
        found.append(int(value.argmax()))
        unit = texts[found[-1]] / length[found[-1]]
        x, texts = x - (x @ unit)[:, None] * unit, texts - (texts @ unit)[:, None] * unit
    return found


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("rank", [None, 7])
@pytest.mark.parametrize("kind", ["random", "planted"])
def test_picks_are_those_of_the_slow_form(kind, rank, score):
    values, texts = (random_heads(), bank()) if kind == "random" else planted()[:2]
    found = textspan(moments_of(values), texts, 6, score, rank)
    clear = total = 0
    for part in range(values.shape[1]):
        own = found.table[found.table["part"] == f"L0.H{part}"]
        dim = int(torch.linalg.matrix_rank(values[:, part]))
        wanted = slow(values[:, part], texts.vectors, len(own), rank or dim, score)
        first = next((i for i, m in enumerate(own["margin"]) if m < CLEAR), len(own))
        assert list(own["text"])[:first] == [texts.texts[i] for i in wanted[:first]]
        assert len(own) == 6
        clear, total = clear + first, total + len(own)
    assert clear >= 0.9 * total


def test_d1_every_reconstructed_image_is_its_own():
    """On a CPU the released reconstruction writes all images into one row."""
    values = random_heads()
    found = textspan(moments_of(values), bank(), 5)
    back = found.reconstruct(values)
    assert back.var(0).amin() > 1e-3
    for part in range(3):
        q, mean = found.directions[part].T, values[:, part].mean(0)
        assert torch.allclose(back[:, part], mean + (values[:, part] - mean) @ q @ q.T, atol=1e-12)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("rank", [None, 40])
def test_d2_picks_survive_noise_of_rounding(score, rank):
    """A rank above the head's own makes directions of the rounding, which change the released picks."""
    values = random_heads()
    rounded = values * (1 + 1e-7 * noise(*values.shape, seed=9))
    before, after = (textspan(moments_of(v), bank(), 11, score, rank) for v in (values, rounded))
    clear = before.table["margin"] > CLEAR
    assert clear.mean() > 0.9 and len(before.table) == 3 * 11
    assert list(before.table["text"][clear]) == list(after.table["text"][clear])


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("change", ["rows", "scale", "rotation", "shift"])
def test_picks_do_not_hang_on(change, score):
    values, texts = random_heads(), bank()
    turn = torch.linalg.qr(noise(EMBED, EMBED, seed=3)).Q
    changed = {
        "rows": values.flip(0),
        "scale": 1e-3 * values,
        "rotation": values @ turn,
        "shift": values + values[:1],  # inside the span of each head
    }[change]
    other = Bank(texts.texts, texts.vectors @ turn) if change == "rotation" else texts
    one, two = textspan(moments_of(values), texts, 8, score), textspan(moments_of(changed), other, 8, score)
    assert one.table["margin"].min() > CLEAR and list(one.table["text"]) == list(two.table["text"])
    assert torch.allclose(torch.tensor(one.table["share"]), torch.tensor(two.table["share"]), atol=1e-9)


def test_exact_copies_are_aliases_of_the_first():
    values, texts = random_heads(), bank()
    doubled = Bank([*texts.texts, *(f"{t} again" for t in texts.texts)], texts.vectors.repeat(2, 1))
    one, two = textspan(moments_of(values), texts, 8), textspan(moments_of(values), doubled, 8)
    assert one.table.drop(columns="aliases").equals(two.table.drop(columns="aliases"))
    assert list(two.table["aliases"]) == [[f"{t} again"] for t in one.table["text"]]


@pytest.mark.parametrize("score", SCORES)
def test_fewer_texts_are_the_first_of_more(score):
    moments = moments_of(random_heads())
    few, many = (textspan(moments, bank(), n, score) for n in (3, 9))
    # the same texts; figures to rounding, since a longer list is summed up in arrays of another shape
    pd.testing.assert_frame_equal(many.first(3).table, few.table, rtol=1e-12, atol=1e-12)
    assert torch.allclose(many.first(3).directions, few.directions, atol=1e-12)


@pytest.mark.parametrize("score", SCORES)
def test_shares_are_the_variance_that_the_reconstruction_keeps(score):
    values = random_heads()
    found = textspan(moments_of(values), bank(), 6, score)
    for part in range(3):
        own = found.table[found.table["part"] == f"L0.H{part}"]
        assert torch.allclose(found.directions[part] @ found.directions[part].T, torch.eye(6).double())
        total = values[:, part].var(0).sum()
        principal = torch.linalg.svdvals(values[:, part] - values[:, part].mean(0)).square()
        principal = (principal / principal.sum()).cumsum(0)
        for rank, cumulative in enumerate(own["cumulative"], start=1):
            kept = found.first(rank).reconstruct(values)[:, part].var(0).sum() / total
            assert math.isclose(kept, cumulative, rel_tol=1e-10)
            assert cumulative <= principal[rank - 1] + 1e-12
        assert (own["share"] > 0).all()


@pytest.mark.parametrize("score", SCORES)
def test_a_span_that_is_used_up_gets_no_more_texts(score):
    values = random_heads()
    found = textspan(moments_of(values), bank(), 40, score)
    table = found.table.groupby("part")
    assert (table.size() == HEAD_DIM).all()
    assert table["share"].sum().to_numpy() == pytest.approx(1, abs=1e-9)
    assert torch.allclose(found.reconstruct(values), values, atol=1e-8)
    assert (found.directions[:, HEAD_DIM:] == 0).all()


def test_parts_that_are_used_up_do_not_stop_the_others():
    values = random_heads()
    values[:, 1] = values[:, 1].mean(0)  # no variance
    values[:, 2] = values[:, 2] @ normalize(values[:1, 2], dim=-1).T @ normalize(values[:1, 2], dim=-1)
    sizes = textspan(moments_of(values), bank(), 20).table.groupby("part").size()
    assert sizes.to_dict() == {"L0.H0": HEAD_DIM, "L0.H2": 1}


def test_coordinates_with_a_gain_say_the_same_as_vectors():
    inner, gain = noise(IMAGES, 3, HEAD_DIM), noise(3, HEAD_DIM, EMBED, seed=2)
    whole = moments_of(torch.einsum("bhd,hde->bhe", inner, gain))
    slim = moments_of(inner)
    slim = Moments(*(getattr(slim, f) for f in list(Moments.__dataclass_fields__)[:7]), gain)
    one, two = textspan(whole, bank(), 20), textspan(slim, bank(), 20)
    assert list(one.table["text"]) == list(two.table["text"])
    assert torch.allclose(one.directions[:, :HEAD_DIM], two.directions, atol=1e-8)


def test_many_parts_and_few_at_a_time_give_the_same(monkeypatch):
    from kit.projections import textspan as module  # the function; its module is behind it

    moments = moments_of(random_heads())
    before = textspan(moments, bank(), 6)
    monkeypatch.setitem(module.__globals__, "AT_ONCE", 1)
    after = textspan(moments, bank(), 6)
    assert list(before.table["text"]) == list(after.table["text"])
    assert torch.allclose(before.directions, after.directions, atol=1e-12)


@pytest.mark.parametrize("score", SCORES)
def test_planted_texts_are_found_in_their_order(score):
    values, texts, chosen = planted()
    found = textspan(moments_of(values), texts, 5, score)
    if score == "variance":
        assert picks(found) == [f"text {i}" for i in chosen]
    assert set(picks(found)) == {f"text {i}" for i in chosen}
    assert found.table["cumulative"].iloc[-1] > 0.99


@pytest.mark.parametrize("score", SCORES)
def test_a_text_that_is_collinear_in_the_span_is_never_picked(score):
    values, texts, chosen = planted()
    span = torch.linalg.svd(values[:, 0], full_matrices=False).Vh[:12]
    outside = noise(40, EMBED, seed=8)
    outside = normalize(outside - outside @ span.T @ span, dim=-1)
    twins = normalize(0.9 * texts.vectors[chosen[0]] + 0.4 * outside, dim=-1).float()  # rounding in the span
    more = Bank([*texts.texts, *["twin"] * 40], torch.cat([texts.vectors, twins.double()]))
    found = picks(textspan(moments_of(values), more, 12, score))
    assert len(found) == 12 and f"text {chosen[0]}" in found and "twin" not in found


def test_planted_texts_are_not_found_in_noise():
    _, texts, chosen = planted()
    hits = 0
    for seed in range(20):
        head = noise(IMAGES, 1, 7, seed=100 + seed) @ noise(7, EMBED, seed=200 + seed)
        hits += len({f"text {i}" for i in chosen} & set(picks(textspan(moments_of(head), texts, 5))))
    assert hits <= 6  # 20 draws of 5 out of 300, where 5 are planted: 1.7 on average


@pytest.mark.parametrize(
    "options, message",
    [
        ({"texts": 0}, "texts=0 picks nothing; give a whole number from 1"),
        ({"rank": 0}, "rank=0 picks nothing"),
        ({"score": "varience"}, r'no score="varience"; there are released and variance. Nearest: variance'),
        ({"part": "L0.H7"}, "head 7 of layer 0 does not exist"),
        ({"bank": Bank(["x"], torch.eye(4)[:1])}, "directions are 4 wide but parts are 48 wide"),
        ({"bank": Bank(["x"], torch.eye(48)[:1], None, "b", "1" * 64)}, "weights 11111111.*weights 00000000"),
        ({"moments": moments_of(random_heads()[:1])}, "moments of 1 image have no variance"),
    ],
)
def test_what_cannot_be_spanned(options, message):
    with pytest.raises(KitError, match=message):
        textspan(**{"moments": moments_of(random_heads()), "bank": bank()} | options)


def test_what_is_no_bank(stickers, tmp_path):
    with pytest.raises(KitError, match='the bank "texts" holds no text'):
        Bank([], torch.zeros(0, 4))
    with pytest.raises(KitError, match=r'the direction of "b" has length 2, not 1'):
        Bank(["a", "b"], torch.eye(2) * torch.tensor([[1.0], [2.0]]))
    with pytest.raises(KitError, match=r"vectors of a bank should be \[text=1, embed\]"):
        Bank(["a"], torch.eye(2))
    with pytest.raises(KitError, match="1 properties for 2 texts"):
        Bank(["a", "b"], torch.eye(2), ["colour"])
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(KitError, match=r'the bank "empty[.]txt" holds no text'):
        Bank.file(stickers, tmp_path / "empty.txt")
    with pytest.raises(KitError, match="no text file at"):
        Bank.file(stickers, tmp_path / "missing.txt")


def test_banks_hold_what_they_say(stickers, tmp_path):
    grammar = Bank.stickers(stickers)
    tagged = dict(zip(grammar.texts, grammar.properties))
    assert tagged["a picture of a red thing"] == "colour" and tagged["there are two things"] == "count"
    assert tagged["a thing on the sea"] == "background" and len(set(tagged.values())) == 10
    words = Bank.words(stickers)
    assert all(" " not in w for w in words.texts) and words.properties is None and "red" in words.texts
    (tmp_path / "pool.txt").write_text("a cat\na dog\n\na cat\n")
    pool = Bank.file(stickers, tmp_path / "pool.txt")
    assert pool.texts == ["a cat", "a dog", "a cat"] and pool.copies == {0: [2], 1: []}
    control = Bank.random(stickers, 5, seed=1)
    assert torch.equal(control.vectors, Bank.random(stickers, 5, seed=1).vectors)
    assert not any(stickers.unknown_words(text) for text in [*grammar.texts, *words.texts])


def test_heads_of_a_model_are_spanned_by_its_public_name(stickers):
    scenes = kit.world.draw(48, seed=4)
    moments = kit.collect(stickers, scenes, "moments", "scenes")
    found = kit.textspan(moments, Bank.stickers(stickers), 3, part="L5.H*")
    assert found.parts == [f"L5.H{i}" for i in range(6)] and set(found.table["rank"]) == {1, 2, 3}
    assert {"part", "rank", "text", "property", "score", "share", "cumulative", "margin", "aliases"} == set(
        found.table.columns
    )
