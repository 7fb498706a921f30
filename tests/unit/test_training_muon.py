"""The optimiser of matrices: torch's own steps, and what they are made of."""

import torch

from kit.workshop.training.muon import Muon, orthogonal

SHAPES = ((24, 8), (8, 24), (8, 8), (24, 8))


def matrices(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def test_steps_are_those_of_torch_up_to_the_rounding_of_bfloat16():
    ours, theirs, start = matrices(), matrices(), matrices()
    optimisers = (
        Muon(ours, 0.01, 0.05),
        torch.optim.Muon(theirs, lr=0.01, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
    )
    for step in range(6):
        for params, optimiser in zip((ours, theirs), optimisers, strict=True):
            for p, grad in zip(params, matrices(step + 1), strict=True):
                p.grad = grad.detach()
            optimiser.step()
    for a, b, before in zip(ours, theirs, start, strict=True):
        assert (a - b).norm() < 0.02 * (b - before).norm()
    states = [optimiser.state_dict()["state"] for optimiser in optimisers]
    for i in states[1]:
        assert torch.allclose(states[0][i]["momentum_buffer"], states[1][i]["momentum_buffer"], atol=1e-6)


def test_a_matrix_without_a_gradient_stays():
    params = matrices()
    for p in params[1:]:
        p.grad = torch.ones_like(p)
    before = [p.detach().clone() for p in params]
    Muon(params, 0.01, 0.05).step()
    assert [torch.equal(p, b) for p, b in zip(params, before, strict=True)] == [True, False, False, False]


def test_orthogonal_keeps_the_singular_vectors_and_levels_the_values():
    generator = torch.Generator().manual_seed(3)
    for rows, cols in ((24, 8), (8, 24)):
        given = torch.randn(5, rows, cols, generator=generator)
        found = orthogonal(given)
        assert found.shape == given.shape
        values = torch.linalg.svdvals(found)
        assert values.min() > 0.6 and values.max() < 1.3
        u, _, v = torch.linalg.svd(given, full_matrices=False)
        across = u.mT @ found @ v.mT  # diagonal in the given matrix's own vectors
        assert (across - torch.diag_embed(across.diagonal(dim1=1, dim2=2))).abs().max() < 1e-4
