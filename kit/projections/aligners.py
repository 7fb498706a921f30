"""Parts of any tower in the space of a CLIP: linear maps, fitted on cached parts.

One map for all parts (`"shared"`) says what a part adds to the sum, and is the only one that is identifiable
there. A map for each part says what a part carries; maps that fit the sum equally well can disagree on
the parts (`disagreement`), wherever parts share what they vary by (`shared_rank`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize
from tqdm.auto import tqdm

from kit.axes import expect_shape
from kit.errors import KitError, nearest

RIDGES = tuple(10.0**k for k in range(-12, 3))  # tried for a ridge, relative to the mean eigenvalue
FLAT = 1e-13  # share of the largest eigenvalue below which there is nothing but rounding
SPAN = 1e-6  # share of a part's largest variance below which a direction is left out
EPOCHS, BATCH, RATE = 6, 256, 3e-3  # of the trained maps
STEPS = 60  # of the trained maps, at least: few images are gone through more often


@dataclass(frozen=True)
class Aligner:
    """Linear maps of a tower's parts into another space.

    Attributes:
        kind: one of `MAPS`.
        weights: [part, dim, embed]; [1, dim, embed] where all parts share one.
        bias: what is added to the sum once, [embed].
    """

    kind: str
    weights: Tensor
    bias: Tensor

    @property
    def digest(self) -> str:
        """sha256 of kind and numbers, its first sixteen signs."""
        values = torch.cat([self.weights.flatten(), self.bias.flatten()]).detach().float().cpu().numpy()
        return hashlib.sha256(self.kind.encode() + values.tobytes()).hexdigest()[:16]

    def parts(self, parts: Tensor) -> Tensor:
        """Each part in the other space, [image, part, embed]; `bias` is none of them.

        Args:
            parts: [image, part, dim], the same parts in the same order as in the fit.

        Raises:
            KitError: other parts.
        """
        count, dim = self.weights.shape[0], self.weights.shape[1]
        expect_shape(parts, "image part dim", "parts", dim=dim, **({} if count == 1 else {"part": count}))
        if count == 1:
            return parts @ self.weights[0].to(parts)
        return torch.einsum("npd,pde->npe", parts, self.weights.to(parts))

    def total(self, parts: Tensor) -> Tensor:
        """The sum of the mapped parts and the bias, [image, embed]."""
        return self.parts(parts).sum(1) + self.bias.to(parts)


def fit(
    kind: str,
    parts: Tensor,
    target: Tensor,
    *,
    isometry: float = 1.0,
    epochs: int | None = None,
    seed: int = 0,
    start: Aligner | None = None,
    progress: bool = False,
) -> Aligner:
    """Maps from a tower's parts into the space of a CLIP.

    - `"shared"`: one matrix for all parts, ridge regression of the target on their sum. Closed form.
    - `"ridge"`: a matrix for each part, ridge regression on all parts side by side. Closed form.
    - `"marginal"`: each part alone regressed on the target. Closed form and identifiable, but mapped parts
      do not sum to anything.
    - `"procrustes"`: each part alone turned towards the target, without stretching it. As marginal.
    - `"cosine"`: the paper's: a matrix for each part, mean 1 − cosine of the sum, and matrices held near an
      isometry on what the part spans. Trained.
    - `"orthogonal"`: the same with matrices that are isometries. Trained.

    The trained maps depend on how long they are trained more than on `isometry`: the longer, the better
    the sum fits, and the less the parts stay what they were.

    Args:
        kind: see above.
        parts: what each part adds, of the images to fit on, [image, part, dim].
        target: representation of the same images in the CLIP, unit rows, [image, embed].
        isometry: weight of the pull towards isometries, for "cosine".
        epochs: passes over the images, of the trained maps; None = six, and of few images as many as make
            sixty steps.
        seed: of the start and the order of images, of the trained maps.
        start: begin the training there; None = small random matrices ("cosine"), or "procrustes"
            ("orthogonal").
        progress: show a bar.

    Returns:
        `Aligner`. Each matrix acts on what its part spans over these images alone.

    Raises:
        KitError: an unknown kind, shapes that do not fit, fewer than three images, values that are not
            finite.

    Source:
        Balasubramanian et al. 2024, arXiv 2406.01583, CompAlign. Differs in: fitted on cached parts; a
        constant that belongs to no part is a bias of its own and not dealt out among parts; isometry is asked
        of the rows on the numerical span of a part, since a part of rank r cannot fill its matrix.

    Example:
        >>> parts = torch.randn(200, 3, 8, generator=torch.Generator().manual_seed(0))
        >>> turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))[0]
        >>> aligner = fit("shared", parts, parts.sum(1) @ turn)
        >>> bool((aligner.weights[0] - turn).abs().max() < 1e-3)
        True
    """
    if kind not in MAPS:
        raise KitError(f'no map "{kind}": there are {", ".join(MAPS)}.{nearest(kind, list(MAPS))}')
    expect_shape(parts, "image part dim", "parts")
    expect_shape(target, "image embed", "target", image=len(parts))
    if len(parts) < 3:
        raise KitError(f"{len(parts)} images are too few to fit a map; give hundreds.")
    if not (parts.isfinite().all() and target.isfinite().all()):
        raise KitError("parts or target hold values that are not finite; leave these images out.")
    middle, aim = parts.mean(0), target.mean(0)
    begin = None
    if start is not None:
        rows = start.weights.to(parts)
        begin = rows, start.bias.to(parts) + (middle[:, None] @ rows).sum((0, 1))
    if epochs is None:
        epochs = max(EPOCHS, math.ceil(STEPS / math.ceil(len(parts) / BATCH)))
    options = {"isometry": isometry, "epochs": epochs, "seed": seed, "begin": begin, "progress": progress}
    weights, shift = MAPS[kind](parts - middle, target - aim, aim, options)
    return Aligner(kind, weights, shift - (middle[:, None] @ weights).sum((0, 1)))


Found = tuple[Tensor, Tensor]  # matrices [part, dim, embed], and what is added to the sum of centred parts


def _shared(parts: Tensor, target: Tensor, aim: Tensor, options: dict) -> Found:
    return ridge(parts.sum(1), target)[None], aim


def _ridge(parts: Tensor, target: Tensor, aim: Tensor, options: dict) -> Found:
    bases = _bases(parts)
    inside = _inside(parts, bases)
    found = ridge(torch.cat(inside, 1), target).split([b.shape[1] for b in bases])
    return torch.stack([basis @ own for basis, own in zip(bases, found)]), aim


def _marginal(parts: Tensor, target: Tensor, aim: Tensor, options: dict) -> Found:
    bases = _bases(parts)
    return torch.stack([b @ ridge(x, target) for b, x in zip(bases, _inside(parts, bases))]), aim


def _procrustes(parts: Tensor, target: Tensor, aim: Tensor, options: dict) -> Found:
    bases = _bases(parts)
    return torch.stack([b @ polar(x.T @ target) for b, x in zip(bases, _inside(parts, bases))]), aim


def _cosine(parts: Tensor, target: Tensor, aim: Tensor, options: dict) -> Found:
    return _trained(parts, target, aim, options, hard=False)


def _orthogonal(parts: Tensor, target: Tensor, aim: Tensor, options: dict) -> Found:
    return _trained(parts, target, aim, options, hard=True)


MAPS: dict[str, Callable[[Tensor, Tensor, Tensor, dict], Found]] = {
    "shared": _shared,
    "ridge": _ridge,
    "marginal": _marginal,
    "procrustes": _procrustes,
    "cosine": _cosine,
    "orthogonal": _orthogonal,
}


def _trained(parts: Tensor, target: Tensor, aim: Tensor, options: dict, hard: bool) -> Found:
    """Matrices that bring the sum of all parts near the target by cosine."""
    bases, chance = _bases(parts), torch.Generator().manual_seed(options["seed"])
    sizes = [basis.shape[1] for basis in bases]
    inside = torch.cat(_inside(parts, bases), 1)  # [image, all ranks]
    unit = inside.square().sum(1).mean().sqrt()
    inside = inside / unit  # one rate then fits every tower, and isometries keep lengths of about 1
    shift = aim
    if options["begin"] is not None:
        before, shift = options["begin"]
        rows, shift = [basis.T @ own for basis, own in zip(bases, before)], shift / unit
    elif hard:
        rows = [polar(x.T @ target) for x in inside.split(sizes, 1)]
    else:
        rows = [0.02 * torch.randn(r, target.shape[1], generator=chance).to(parts) for r in sizes]
    matrix, whole = torch.cat(rows).requires_grad_(), target + aim
    shift = shift.clone().requires_grad_()
    optimizer = torch.optim.Adam([matrix, shift], lr=RATE)
    steps = [(epoch, low) for epoch in range(options["epochs"]) for low in range(0, len(parts), BATCH)]
    order = torch.arange(len(parts))
    for _, low in tqdm(steps, unit="step", disable=not options["progress"]):
        if low == 0:
            order = torch.randperm(len(parts), generator=chance)
        some = order[low : low + BATCH]
        loss = 1 - cosine_similarity(inside[some] @ matrix + shift, whole[some]).mean()
        if not hard and options["isometry"]:
            loss = loss + options["isometry"] * _bent(matrix.split(sizes))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if hard:
            with torch.no_grad():
                matrix.copy_(torch.cat([polar(own) for own in matrix.split(sizes)]))
    found = torch.stack([basis @ own for basis, own in zip(bases, matrix.detach().split(sizes))])
    return found, shift.detach() * unit  # a sum so many times longer has the same cosines


def _bent(matrices: tuple[Tensor, ...]) -> Tensor:
    """How far matrices [rank, embed] are from isometries, on average over parts."""
    total = matrices[0].new_zeros(())
    for own in matrices:
        gram = own @ own.T if own.shape[0] <= own.shape[1] else own.T @ own
        total = total + (gram - torch.eye(len(gram)).to(gram)).square().sum() / len(gram)
    return total / len(matrices)


def ridge(inputs: Tensor, target: Tensor) -> Tensor:
    """Ridge regression; the penalty is the one of the least generalised cross-validation error.

    Args:
        inputs: centred, [image, input]; target: centred, [image, output].

    Returns:
        Coefficients [input, output].

    Source:
        Golub, Heath and Wahba 1979, Technometrics 21.
    """
    kind, (count, width) = inputs.dtype, inputs.shape
    inputs, target = inputs.double(), target.double()
    values, axes, along = _along_axes(inputs, target)
    power = along.square().sum(1) / values  # of the target along each axis
    room = max(count - 1 - len(values), 0)  # what is left of the images when all axes are fitted
    outside = (target.square().sum() - power.sum()).clamp(min=0) if room else 0.0
    mean, best = inputs.square().sum() / width, None
    for penalty in (each * mean.clamp(min=1e-300) for each in RIDGES):
        left = penalty / (values + penalty)  # share that is not fitted, of each axis
        rest, freedom = outside + (power * left.square()).sum(), room + left.sum()
        error = (rest / freedom.clamp(min=1e-150).square()).item()
        if best is None or error < best[0]:
            best = error, 1 / (values + penalty)
    return (axes @ (best[1][:, None] * along)).to(kind)


def _along_axes(inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues of the inputs' second moment, its axes [input, axis], the target along them [axis, output].

    Of fewer images than inputs, by products of images: parts of a large tower have tens of thousands of
    directions together.
    """
    few = len(inputs) < inputs.shape[1]
    values, vectors = torch.linalg.eigh(inputs @ inputs.T if few else inputs.T @ inputs)
    inside = values > FLAT * values[-1].clamp(min=1e-300)
    values, vectors = values[inside], vectors[:, inside]
    axes = inputs.T @ vectors / values.sqrt() if few else vectors
    return values, axes, axes.T @ (inputs.T @ target)


def polar(matrix: Tensor) -> Tensor:
    """The isometry nearest to a matrix: orthonormal rows, or columns where it has more rows than columns."""
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left @ right


def _bases(parts: Tensor) -> list[Tensor]:
    """What each centred part spans, [dim, rank]: directions that hold more than `SPAN` of its variance."""
    bases = []
    for own in parts.unbind(1):
        own = own.double()  # a product in float32 would fill what a part leaves empty
        values, vectors = torch.linalg.eigh(own.T @ own)
        inside = values > SPAN * values[-1].clamp(min=1e-300)
        bases.append(vectors[:, inside].to(parts))
    return bases


def _inside(parts: Tensor, bases: list[Tensor]) -> list[Tensor]:
    """Coordinates of each part in what it spans, [image, rank]."""
    return [own @ basis for own, basis in zip(parts.unbind(1), bases)]


def effective_rank(values: Tensor) -> float:
    """How many directions a set of vectors fills: exp of the entropy of their variances' shares.

    Args:
        values: [image, dim].

    Source:
        Roy and Vetterli 2007, European Signal Processing Conference.

    Example:
        >>> round(effective_rank(torch.eye(4).repeat(50, 1)), 2)  # centred: three directions
        3.0
    """
    values = (values - values.mean(0)).double()
    gram = values.T @ values if values.shape[1] <= len(values) else values @ values.T
    shares = torch.linalg.eigvalsh(gram).clamp(min=0)
    shares = shares[shares > 0] / shares.sum()
    return float(torch.exp(-(shares * shares.log()).sum()))


def shared_rank(parts: Tensor) -> float:
    """Effective rank of all parts side by side, over the sum of their own: 1 = they share nothing.

    Far below 1, a map for each part is not identifiable: what two parts share can be given to either. It is
    below 1 for parts that share nothing, too, unless there are many more images than directions: compare it
    with that of the same parts, each with its images in an order of its own.

    Args:
        parts: [image, part, dim].

    Example:
        >>> alone = torch.randn(2000, 1, 4, generator=torch.Generator().manual_seed(0))
        >>> bool(shared_rank(torch.cat([alone, alone], 1)) < 0.51)
        True
    """
    each = (part - part.mean(0) for part in parts.unbind(1))
    scaled = torch.stack([part / part.square().sum().sqrt().clamp(min=1e-30) for part in each], 1)
    return effective_rank(scaled.flatten(1)) / sum(effective_rank(part) for part in scaled.unbind(1))


def disagreement(one: Tensor, other: Tensor) -> Tensor:
    """How far two fits disagree on each part: 1 − correlation of its mapped vectors over images, [part].

    0: both fits say the same of the part, up to its scale. 1: nothing in common.

    Args:
        one, other: mapped parts, [image, part, embed].

    Example:
        >>> same = torch.randn(50, 2, 3, generator=torch.Generator().manual_seed(0))
        >>> disagreement(same, 2 * same).abs().max().item() < 1e-5
        True
    """
    expect_shape(other, "image part embed", "other", image=len(one), part=one.shape[1], embed=one.shape[2])
    flat = [(each - each.mean(0)).transpose(0, 1).flatten(1) for each in (one, other)]
    return 1 - cosine_similarity(*flat, dim=-1)


def centred_cosine(one: Tensor, other: Tensor) -> Tensor:
    """Cosine of each image's two vectors, both less their mean over images, [image].

    Two sets of unit vectors in a narrow cone have a high cosine whatever they say of the image; this has not.

    Example:
        >>> both = torch.tensor([[1.0, 0.1], [1.0, -0.1]])
        >>> centred_cosine(both, both.flip(0)).tolist()
        [-1.0, -1.0]
    """
    one, other = normalize(one, dim=-1), normalize(other, dim=-1)
    return cosine_similarity(one - one.mean(0), other - other.mean(0))
