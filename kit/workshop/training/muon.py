"""Muon in single precision, all matrices of one shape at once."""

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)  # of Newton and Schulz's iteration, as in torch


class Muon(torch.optim.Muon):
    """torch's Muon, its rates matched to AdamW's; the same steps up to the rounding of bfloat16.

    torch makes each matrix orthogonal by itself and in bfloat16, which is slow on a CPU that has no
    hardware for it; `python -m tests.bench.muon` measures both.

    Args:
        params: matrices, [row, col] each.
        lr: learning rate, of the size of AdamW's.
        weight_decay: share of a matrix that a step of rate 1 takes away.
    """

    def __init__(self, params: list[Tensor], lr: float, weight_decay: float):
        super().__init__(params, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self) -> None:
        """One step of every matrix that has a gradient."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    alike.setdefault(p.shape, []).append(p)
            for params in alike.values():
                self._step(params, group)

    def _step(self, params: list[Tensor], group: dict) -> None:
        """One step of matrices of one shape."""
        for p in params:
            self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
        grads, kept = [p.grad for p in params], [self.state[p]["momentum_buffer"] for p in params]
        torch._foreach_lerp_(kept, grads, 1 - group["momentum"])
        update = orthogonal(torch.stack(torch._foreach_lerp(grads, kept, group["momentum"])))
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        rate = 0.2 * max(params[0].shape) ** 0.5 * group["lr"]
        torch._foreach_add_(params, list(update.unbind()), alpha=-rate)


def orthogonal(matrices: Tensor, rounds: int = 5) -> Tensor:
    """Matrices of the same singular vectors whose singular values all lie near 1.

    Newton and Schulz's iteration, with the quintic of torch.

    Args:
        matrices: [matrix, row, col].
        rounds: of the iteration.

    Returns:
        [matrix, row, col].

    Example:
        >>> orthogonal(torch.diag(torch.tensor([9.0, 1.0]))[None]).diagonal(dim1=1, dim2=2).round().tolist()
        [[1.0, 1.0]]
    """
    a, b, c = QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
