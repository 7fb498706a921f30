"""Maps of parts into a CLIP's space, in planted worlds whose maps are known."""

import doctest

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

import kit.projections.aligners as aligners
from kit.errors import KitError
from kit.projections.aligners import Aligner, centred_cosine, disagreement, fit, shared_rank

PARTS, DIM, FIT, HELD = 6, 16, 1500, 500


def _turn(chance, dim=DIM):
    return torch.linalg.qr(torch.randn(dim, dim, generator=chance, dtype=torch.float64))[0]


def world(name, seed=0):
    """Parts [image, part, dim] and each part in the CLIP's space; A-D differ in what parts share.

    A: parts are independent and of full rank. B: of rank 4, as heads are. C: all share the same 16
    factors. D: all share 8 factors, each reads them in its own way.
    """
    chance = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(*shape, generator=chance, dtype=torch.float64)

    images = FIT + HELD
    if name == "A":
        parts = noise(images, PARTS, DIM)
    elif name == "B":
        parts = torch.einsum("npr,prd->npd", noise(images, PARTS, 4), noise(PARTS, 4, DIM))
    else:
        factors = noise(images, DIM if name == "C" else 8)
        parts = torch.einsum("nf,pfd->npd", factors, noise(PARTS, factors.shape[1], DIM))
    turns = torch.stack([_turn(chance) for _ in range(PARTS)])
    return parts, torch.einsum("npd,pde->npe", parts, turns)


def _errors(kind, name, seed=0, **options):
    """Error of the sum and of the parts on held-out images, relative, up to one factor for all parts."""
    parts, truth = world(name, seed)
    aligner = fit(kind, parts[:FIT], truth[:FIT].sum(1), **options)
    held, true = parts[FIT:], truth[FIT:]
    mapped = aligner.parts(held)
    total, aim = aligner.total(held), true.sum(1)
    factor = (mapped * true).sum() / mapped.square().sum()
    return (
        float(1 - cosine_similarity(total, aim, dim=-1).mean()),
        float((factor * mapped - true).norm() / true.norm()),
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["A", "B"])
def test_parts_that_are_independent_are_recovered_on_held_out_images(name, seed):
    gap, error = _errors("ridge", name, seed)
    assert gap < 1e-6 and error < 1e-2


@pytest.mark.parametrize("isometry", [0.0, 1.0])
def test_the_papers_map_recovers_independent_parts_with_and_without_isometry(isometry):
    gap, error = _errors("cosine", "A", isometry=isometry, epochs=150 if isometry else 40)
    assert gap < 2e-3 and error < 0.05


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["C", "D"])
def test_parts_that_share_factors_are_not_recovered_though_their_sum_is(name, seed):
    """The failing control: a perfect sum says nothing about the parts."""
    gap, error = _errors("ridge", name, seed)
    assert gap < 1e-6 and error > 0.5


def test_isometry_does_not_help_parts_that_share_factors():
    gap, error = _errors("cosine", "D", isometry=1.0, epochs=120)
    assert gap < 5e-3 and error > 0.4


def test_equally_good_fits_disagree_where_parts_share_factors_and_nowhere_else():
    far = {}
    for name in ("A", "D"):
        parts, truth = world(name)
        target, held, fits = truth[:FIT].sum(1), parts[FIT:], []
        for seed in (1, 2):
            chance = torch.Generator().manual_seed(seed)
            turns = torch.stack([_turn(chance) for _ in range(PARTS)])
            start = Aligner("cosine", turns, torch.zeros(DIM))
            fits.append(fit("cosine", parts[:FIT], target, isometry=0.0, epochs=120, start=start))
        gaps = [1 - cosine_similarity(f.total(held), truth[FIT:].sum(1), dim=-1).mean() for f in fits]
        assert max(gaps) < 5e-3, name
        far[name] = float(disagreement(*(f.parts(held) for f in fits)).mean())
    assert far["A"] < 0.02 and far["D"] > 0.2


def test_what_parts_share_is_seen_before_a_map_is_fitted():
    ranks = {name: shared_rank(world(name)[0]) for name in "ABCD"}
    assert ranks["A"] > 0.95 and ranks["B"] > 0.95
    assert ranks["C"] < 0.35 and ranks["D"] < 0.35


def _planted_shared(rank, seed=0):
    """Parts that share factors, whose sum has this rank, and one true map for all of them."""
    chance = torch.Generator().manual_seed(seed)
    factors = torch.randn(FIT + HELD, rank, generator=chance, dtype=torch.float64)
    alone = torch.randn(FIT + HELD, 3, DIM, generator=chance, dtype=torch.float64)
    reads = torch.randn(PARTS, rank, DIM, generator=chance, dtype=torch.float64)
    parts = torch.einsum("nf,pfd->npd", factors, reads)
    parts = torch.cat([parts, 0 * alone[:, :1]], 1)
    return parts, _turn(chance)


@pytest.mark.parametrize("rank, found", [(16, True), (12, False), (8, False)])
def test_a_shared_map_is_recovered_where_the_sum_has_full_rank_and_nowhere_else(rank, found):
    parts, turn = _planted_shared(rank)
    aligner = fit("shared", parts[:FIT], parts[:FIT].sum(1) @ turn)
    gap = (aligner.total(parts[FIT:]) - parts[FIT:].sum(1) @ turn).norm() / parts[FIT:].sum(1).norm()
    error = (aligner.parts(parts[FIT:]) - parts[FIT:] @ turn).norm() / parts[FIT:].norm()
    assert gap < 1e-5  # the sum fits in any case
    assert (error < 1e-3) == found and (found or error > 0.2)


@pytest.mark.parametrize("kind", ["marginal", "procrustes"])
def test_a_part_alone_is_turned_to_where_the_target_follows_it(kind):
    chance = torch.Generator().manual_seed(0)
    parts = torch.randn(2000, 3, DIM, generator=chance, dtype=torch.float64)
    turn = _turn(chance)
    target = parts[:, 1] @ turn  # the others have nothing to do with it
    mapped = fit(kind, parts, target).parts(parts)
    follows = [float(centred_cosine(mapped[:, p], target).mean()) for p in range(3)]
    assert follows[1] > 0.98 and max(abs(follows[0]), abs(follows[2])) < 0.2
    size = mapped.square().sum((0, 2)).sqrt()
    if kind == "marginal":  # what carries nothing is mapped to nothing; a turn keeps its length
        assert size[0] < 0.2 * size[1]
    else:
        torch.testing.assert_close(
            size, parts.sub(parts.mean(0)).square().sum((0, 2)).sqrt(), rtol=0.02, atol=0
        )


def test_what_a_part_spans_is_not_filled_by_rounding():
    parts = world("B")[0].float() + 30 * torch.ones(DIM)  # a mean that is large beside what varies
    assert [basis.shape[1] for basis in aligners._bases(parts - parts.mean(0))] == [4] * PARTS


def test_hard_isometries_are_isometries_on_what_a_part_spans():
    parts, truth = world("B")
    aligner = fit("orthogonal", parts[:FIT], truth[:FIT].sum(1), epochs=2)
    centred = parts[:FIT] - parts[:FIT].mean(0)
    lengths = [
        (centred[:, p] @ aligner.weights[p]).norm(dim=-1) / centred[:, p].norm(dim=-1) for p in range(6)
    ]
    spread = torch.stack(lengths)
    assert float((spread.std() / spread.mean()).detach()) < 1e-6


def test_mapped_parts_and_bias_sum_to_the_total_and_constants_go_to_the_bias():
    parts, truth = world("B")
    target = truth.sum(1)
    plain = fit("ridge", parts[:FIT], target[:FIT])
    moved = fit("ridge", parts[:FIT] + 5.0, target[:FIT])
    held = parts[FIT:]
    torch.testing.assert_close(plain.parts(held).sum(1) + plain.bias, plain.total(held))
    torch.testing.assert_close(moved.total(held + 5.0), plain.total(held), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(moved.weights, plain.weights, rtol=1e-6, atol=1e-6)


def test_a_ridge_is_that_of_scikit_learn_and_leaves_noise_alone():
    from sklearn.linear_model import RidgeCV

    chance = np.random.default_rng(0)
    inputs, noise = chance.normal(size=(300, 40)), chance.normal(size=(300, 5))
    target = inputs @ chance.normal(size=(40, 5)) * 0.3 + noise
    inputs, target = inputs - inputs.mean(0), target - target.mean(0)
    found = aligners.ridge(torch.from_numpy(inputs), torch.from_numpy(target)).numpy()
    mean = np.linalg.eigvalsh(inputs.T @ inputs).mean()
    other = RidgeCV(mean * np.array(aligners.RIDGES), fit_intercept=False).fit(inputs, target).coef_.T
    assert np.abs(found - other).max() < 0.03 * np.abs(other).max()
    nothing = aligners.ridge(torch.from_numpy(inputs), torch.from_numpy(noise - noise.mean(0)))
    assert nothing.norm() < 0.3 * torch.from_numpy(found).norm()


@pytest.mark.parametrize("seed", range(3))
def test_of_few_images_much_is_shrunk_as_by_scikit_learn(seed):
    from sklearn.linear_model import RidgeCV

    chance = np.random.default_rng(seed)
    inputs = chance.normal(size=(60, 40))
    target = 0.1 * inputs @ chance.normal(size=(40, 5)) + chance.normal(size=(60, 5))
    inputs, target = inputs - inputs.mean(0), target - target.mean(0)
    penalties = np.square(inputs).sum() / 40 * np.array(aligners.RIDGES)
    other = RidgeCV(penalties, fit_intercept=False).fit(inputs, target)
    assert other.alpha_ > 0.9 * np.square(inputs).sum() / 40
    found = aligners.ridge(torch.from_numpy(inputs), torch.from_numpy(target)).numpy()
    assert np.abs(found - other.coef_.T).max() < 1e-9


def test_a_ridge_on_fewer_images_than_inputs_does_not_learn_by_heart():
    chance = torch.Generator().manual_seed(0)
    inputs, noise = (torch.randn(60, n, generator=chance, dtype=torch.float64) for n in (200, 5))
    signal = inputs @ torch.randn(200, 5, generator=chance, dtype=torch.float64) * 0.1 + 1.4 * noise
    inputs = inputs - inputs.mean(0)
    for target in (noise - noise.mean(0), signal - signal.mean(0)):
        errors, found = [], []
        for penalty in (r * inputs.square().sum() / 200 for r in aligners.RIDGES):
            inverse = torch.linalg.inv(inputs @ inputs.T + penalty * torch.eye(60, dtype=torch.float64))
            left = penalty * inverse  # what is not fitted of each image; one direction more, the mean
            errors.append((left @ target).square().sum() / (left.trace() - 1) ** 2)
            found.append(inputs.T @ inverse @ target)
        some = [e for e, r in zip(errors, aligners.RIDGES) if r >= 1e-4]  # below, rounding
        best = found[len(errors) - len(some) + int(torch.stack(some).argmin())]
        assert (aligners.ridge(inputs, target) - best).norm() < 1e-6 * best.norm() + 1e-9
    nothing = inputs @ aligners.ridge(inputs, noise - noise.mean(0))
    assert nothing.norm() < 0.5 * noise.norm()


def test_trained_maps_depend_on_the_seed_alone():
    parts, truth = world("D")
    one, same, other = (fit("cosine", parts, truth.sum(1), epochs=2, seed=s).weights for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.allclose(one, other, atol=1e-3)


def test_few_images_are_gone_through_more_often():
    parts, truth = world("A")
    target, gaps = normalize(truth.sum(1), dim=-1), []
    for count, epochs in ((100, 60), (600, 20), (FIT, 10)):
        plain, told = (
            fit("cosine", parts[:count], target[:count], **options) for options in ({}, {"epochs": epochs})
        )
        assert torch.equal(plain.weights, told.weights)
    for options in ({}, {"epochs": aligners.EPOCHS}):
        aligner = fit("cosine", parts[:100], target[:100], **options)
        gaps.append(1 - centred_cosine(aligner.total(parts[FIT:]), target[FIT:]).mean())
    assert gaps[0] < 0.7 * gaps[1]
    twice = torch.cat([parts, parts])[:2600]
    aim = torch.cat([target, target])[:2600]
    plain, told = (fit("cosine", twice, aim, **options) for options in ({}, {"epochs": aligners.EPOCHS}))
    assert torch.equal(plain.weights, told.weights)


def test_longer_training_goes_on_from_a_start():
    parts, truth = world("A")
    target = normalize(truth.sum(1), dim=-1)
    short = fit("cosine", parts[:FIT], target[:FIT], isometry=0.0, epochs=2)
    more = fit("cosine", parts[:FIT], target[:FIT], isometry=0.0, epochs=2, start=short)
    gaps = [1 - cosine_similarity(a.total(parts[FIT:]), target[FIT:], dim=-1).mean() for a in (short, more)]
    assert gaps[1] < 0.5 * gaps[0]


def test_a_training_begins_with_what_it_starts_from():
    parts, truth = world("A")
    parts, target = parts + 5.0, normalize(truth.sum(1), dim=-1)
    start = fit("ridge", parts, target)
    same = fit("cosine", parts, target, epochs=0, start=start)
    torch.testing.assert_close(same.total(parts), start.total(parts))


def test_what_all_images_have_in_common_is_no_agreement():
    chance = torch.Generator().manual_seed(0)
    one, other = (torch.randn(400, 2, 3, generator=chance, dtype=torch.float64) for _ in range(2))
    far = disagreement(one, other)
    assert (far > 0.8).all()
    torch.testing.assert_close(disagreement(one + 100, other + 100), far)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"kind": "shard"}, r'no map "shard".*Nearest: shared'),
        ({"parts": torch.zeros(5, 3)}, r"parts should be \[image, part, dim\]"),
        ({"target": torch.zeros(4, 3)}, r"target should be \[image=5, embed\]"),
        ({"parts": torch.zeros(2, 1, 3), "target": torch.zeros(2, 3)}, "too few"),
        ({"target": torch.full((5, 3), torch.nan)}, "not finite"),
    ],
)
def test_what_cannot_be_fitted_is_said(change, words):
    given = {"kind": "shared", "parts": torch.ones(5, 2, 3), "target": torch.ones(5, 3)} | change
    with pytest.raises(KitError, match=words):
        fit(**given)


def test_other_parts_than_those_of_the_fit_are_refused():
    parts, truth = world("A")
    aligner = fit("ridge", parts, truth.sum(1))
    with pytest.raises(KitError, match=r"parts should be \[image, part=6, dim=16\]"):
        aligner.parts(parts[:, :5])


def test_examples_run():
    assert doctest.testmod(aligners).failed == 0
